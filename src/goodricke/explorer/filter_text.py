"""Conditions as a user writes them: ``class in ("EA", "EB") and 0.2 < period < 1 and not matches(object_id, "^S")``.

Comparisons, ``and``, ``or``, ``not`` (or ``&&``, ``||``, ``!``, as in TOPCAT), ``in`` and ``not in``, formulas of
columns, and the functions of `FUNCTIONS`. The text is parsed, never evaluated. Of a column whose name is no identifier
one writes ``column("A 1")``.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Mapping
from typing import Any

from goodricke.explorer.conditions import (
    AllOf,
    AnyOf,
    Condition,
    Cone,
    FilterTerm,
    FormulaTerm,
    HasLabel,
    InCone,
    InSubset,
    Not,
)
from goodricke.explorer.store import Column

HINT = 'write as class == "EA" and 0.2 < period < 1, or cone("05 35 17 -05 23 28", 60)'
RESERVED = "|".join(sorted(set(keyword.kwlist) - {"and", "or", "not", "in", "is", "True", "False", "None"}))
TOKENS = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|&&|\|\||!(?!=)|<>|(?<![<>=!])=(?!=)|\b(?:AND|OR|NOT|IN)\b"""
    rf"|\b(?P<name>{RESERVED})\b"
)
SPELLINGS = {"&&": " and ", "||": " or ", "!": " not ", "<>": "!=", "=": "=="}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
DEEPEST = 40  # parts within each other


def parse_filter(text: str, columns: Mapping[str, Column]) -> Condition:
    """Return the condition that a text stands for.

    Raises
    ------
    ValueError
        If it stands for none; the message says why.
    """
    try:
        tree = ast.parse(TOKENS.sub(_as_python, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no filter: {HINT}") from None
    return _Parser(columns).condition(tree)


def _as_python(token: re.Match[str]) -> str:
    """Return a token as Python spells it; a column such as `class` is a word of its own there."""
    if token["name"]:
        return f'column("{token["name"]}")'
    return token[1] or SPELLINGS.get(token[0]) or f" {token[0].lower()} "


class _Parser:
    """Parts of a parsed text as conditions."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        self.functions: dict[str, Callable[..., Condition]] = {
            "contains": lambda c, text: FilterTerm(column=self.name(c), op="contains", value=_text(text)),
            "matches": lambda c, text: FilterTerm(column=self.name(c), op="matches", value=_text(text)),
            "missing": lambda c: FilterTerm(column=self.name(c), op="is null"),
            "cone": self.cone,
            "subset": lambda name: InSubset(subset=_text(name)),
            "labelled": lambda: HasLabel(labelled=True),
        }

    def condition(self, node: ast.expr, depth: int = 0) -> Condition:
        """Return a condition."""
        if depth > DEEPEST:
            raise ValueError("the filter is nested too deeply")
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return AllOf(all=[self.condition(part, depth + 1) for part in parts])
            case ast.BoolOp(op=ast.Or(), values=parts):
                return AnyOf(any=[self.condition(part, depth + 1) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return Not.model_validate({"not": self.condition(part, depth + 1)})
            case ast.Compare(left=left, ops=ops, comparators=rights):
                sides = [left, *rights]
                pairs = [self.comparison(*pair) for pair in zip(sides, ops, rights, strict=False)]
                return pairs[0] if len(pairs) == 1 else AllOf(all=pairs)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in self.functions:
                return self.call(name, arguments)
            case ast.Name() | ast.Call(func=ast.Name(id="column")):
                column = self.columns.get(self.name(node))
                if column is not None and column.kind == "boolean":
                    return FilterTerm(column=column.name, op="=", value=True)
        raise ValueError(f"{_shown(node)} is neither true nor false: {HINT}")

    def call(self, name: str, arguments: list[ast.expr]) -> Condition:
        """Return the condition of a function."""
        try:
            return self.functions[name](*arguments)
        except TypeError:
            raise ValueError(f"{name}(...) takes another number of arguments than {len(arguments)}") from None

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        """Return the condition of two sides: a column and a value, or two formulas."""
        if isinstance(op, ast.In | ast.NotIn):
            term: Condition = self.membership(left, right)
            return Not.model_validate({"not": term}) if isinstance(op, ast.NotIn) else term
        if type(op) not in COMPARISONS:
            raise ValueError(f"{_shown(left)}: compare by = != < <= > >= in")
        sign = COMPARISONS[type(op)]
        for one, other, word in ((left, right, sign), (right, left, FLIPPED[sign])):
            if (column := self.plain(one)) is not None and (value := self.value(column, other)) is not None:
                return FilterTerm(column=column.name, op=word, value=value)
        if isinstance(right, ast.Constant) and isinstance(right.value, int | float):
            return FormulaTerm(formula=self.formula(left), op=sign, value=right.value)
        difference = f"({self.formula(left)}) - ({self.formula(right)})"
        return FormulaTerm(formula=difference, op=sign, value=0.0)

    def membership(self, left: ast.expr, right: ast.expr) -> FilterTerm:
        """Return the condition of a column among values."""
        column = self.plain(left)
        items = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
        values = [None if column is None else self.value(column, item) for item in items]
        if column is None or None in values:
            raise ValueError(f'{_shown(left)} in ...: write as class in ("EA", "EB")')
        return FilterTerm(column=column.name, op="in", value=values)

    def plain(self, node: ast.expr) -> Column | None:
        """Return the column that a part is, None if it is none."""
        match node:
            case ast.Name(id=name) | ast.Call(func=ast.Name(id="column"), args=[ast.Constant(value=str(name))]):
                return self.columns.get(name)
        return None

    def value(self, column: Column, node: ast.expr) -> str | float | bool | None:
        """Return a value to compare a column with, None if the part is none: a formula."""
        match node:
            case ast.Constant(value=str() | bool() | int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Name(id=name) if column.kind != "number" and name not in self.columns:
                return name  # class = EA
        return None

    def formula(self, node: ast.expr) -> str:
        """Return a formula as text: `goodricke.explorer.expressions` judges it."""
        return ast.unparse(node)

    def name(self, node: ast.expr) -> str:
        """Return the name of a column; the query says so if there is none."""
        match node:
            case ast.Name(id=name) | ast.Constant(value=str(name)):
                return name
            case ast.Call(func=ast.Name(id="column"), args=[ast.Constant(value=str(name))]):
                return name
        raise ValueError(f"{_shown(node)} is no column")

    def cone(self, first: ast.expr, second: ast.expr, third: ast.expr | None = None) -> InCone:
        """Return the condition of ``cone("POSITION or id", RADIUS)`` or ``cone(RA, DEC, RADIUS)``."""
        if third is None:
            return InCone(cone=Cone(position=_text(first), radius=_radius(second)))
        return InCone(cone=Cone(position=f"{_number(first):.10f} {_number(second):.10f}", radius=_radius(third)))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise ValueError(f"{_shown(node)}: needs a text in quotes")


def _number(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=part):
            return -_number(part) if isinstance(sign, ast.USub) else _number(part)
    raise ValueError(f"{_shown(node)}: needs a number")


def _radius(node: ast.expr) -> str | float:
    return _text(node) if isinstance(node, ast.Constant) and isinstance(node.value, str) else _number(node)


def _shown(node: Any) -> str:
    """Return a part as text, cut."""
    return ast.unparse(node)[:80]
