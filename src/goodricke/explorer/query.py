"""Conditions as a user writes them, and their SQL.

``class in ("EA", "EB") and 0.2 < period < 1 and not matches(object_id, "^S")``: comparisons, ``and``, ``or``, ``not``
(or ``&&``, ``||``, ``!``, as in TOPCAT), ``in`` and ``not in``, formulas of columns, and the functions of `FUNCTIONS`.
The text is parsed, never evaluated. Of a column whose name is no identifier one writes ``column("A 1")``.

The SQL consists of the columns' keys and the words in this module; every value from outside is a bound parameter.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from goodricke.data.formats.metadata import BETWEEN
from goodricke.explorer.conditions import (
    MAX_TERMS,
    AllOf,
    AnyOf,
    Computed,
    Condition,
    Cone,
    FilterTerm,
    FilterText,
    FormulaTerm,
    HasLabel,
    InCone,
    InsideLasso,
    InSubset,
    Not,
    Operator,
    RowNumbers,
    Search,
    Sort,
    Value,
    Where,
)
from goodricke.explorer.positions import parse_radius
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


MAX_INTEGER = 1 << 63  # of SQL's BIGINT
MAX_DEPTH = 12  # of conditions within each other
MAX_COMPUTED = 40  # of these that are lassos or formulas, which go through all rows
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Resolver(Protocol):
    """What a condition may need besides the columns."""

    def selection(self, computed: Computed) -> str:
        """Return the name of the SQL table with the rows inside a lasso, or for which a formula holds."""

    def centre(self, cone: Cone) -> tuple[float, float]:
        """Return the position of the centre of a cone [deg]."""

    def position_columns(self, cone: Cone) -> tuple[str, str]:
        """Return the columns with the positions."""

    def subset(self, name: str) -> Where:
        """Return the conditions of a subset."""


class Query:
    """Conditions and orders as SQL, for the columns of one table.

    Parameters
    ----------
    columns : mapping of Column
        By name. Those of the labels, ``label`` and ``comment``, have keys that begin with ``l.``.
    resolver : Resolver
    """

    def __init__(self, columns: Mapping[str, Column], resolver: Resolver) -> None:
        self._columns, self._resolver = columns, resolver

    def column(self, name: str) -> Column:
        """Return a column by its name.

        Raises
        ------
        ValueError
            If there is none.
        """
        try:
            return self._columns[name]
        except KeyError:
            raise ValueError(f"no column {name!r}: /api/about lists the columns") from None

    def where(self, where: Where) -> tuple[str, list[Any]]:
        """Return an SQL expression that is true of the matching rows, and its parameters.

        Raises
        ------
        ValueError
            If a column doesn't exist or can't be compared so, or there are too many conditions.
        """
        budget = _Budget()
        return self._joined("AND", where.all, budget, 0)

    def order(self, sort: Sequence[Sort]) -> str:
        """Return the SQL of an order: rows without a value last, equal rows in the order of the catalog."""
        keys = [f"{self.scalar(s.column)} {'DESC' if s.descending else 'ASC'} NULLS LAST" for s in sort]
        return ", ".join([*keys, "r.row"])

    def scalar(self, name: str) -> str:
        """Return the SQL of a column; a list becomes one text."""
        column = self.column(name)
        return f"array_to_string({column.key}, '{BETWEEN}')" if column.kind == "list" else column.key

    def _joined(self, word: str, conditions: Sequence[Condition], budget: _Budget, depth: int) -> tuple[str, list[Any]]:
        """Return conditions that all hold (AND), or one of which does (OR)."""
        parts = [self._condition(condition, budget, depth + 1) for condition in conditions]
        sql = f" {word} ".join(f"({sql})" for sql, _ in parts) or ("true" if word == "AND" else "false")
        return sql, [value for _, values in parts for value in values]

    def _condition(self, condition: Condition, budget: _Budget, depth: int) -> tuple[str, list[Any]]:
        budget.spend(condition, depth)
        match condition:
            case AllOf(all=parts):
                return self._joined("AND", parts, budget, depth)
            case AnyOf(any=parts):
                return self._joined("OR", parts, budget, depth)
            case Not(negated=part):
                sql, values = self._condition(part, budget, depth + 1)
                return f"({sql}) IS NOT TRUE", values
            case FilterText(filter=text):
                return self._condition(parse_filter(text, self._columns), budget, depth + 1)
            case InSubset(subset=name):
                return self._joined("AND", self._resolver.subset(name).all, budget, depth + 1)
            case Search(search=text):
                text, key = text.lower(), self.column("object_id").key
                return f"contains(lower({key}), ?) OR contains(lower(coalesce(l.label, '')), ?)", [text, text]
            case InsideLasso(inside=computed) | (FormulaTerm() as computed):
                return f"r.row IN (SELECT row FROM {self._resolver.selection(computed)})", []
            case RowNumbers(rows=rows):
                return "r.row IN (SELECT unnest(?::BIGINT[]))", [[r for r in rows if abs(r) < MAX_INTEGER]]
            case HasLabel(labelled=labelled):
                return f"l.label IS {'NOT ' if labelled else ''}NULL", []
            case InCone(cone=cone):
                return self._cone(cone)
            case _:
                return self._comparison(self.column(condition.column), condition.op, condition.value)

    def _cone(self, cone: Cone) -> tuple[str, list[Any]]:
        r"""Return the haversine of the distance against that of the radius, which is exact at any distance."""
        (ra, dec), radius = self._resolver.centre(cone), np.radians(parse_radius(cone.radius) / 3600)
        keys = [f"CAST({self.column(name).key} AS DOUBLE)" for name in self._resolver.position_columns(cone)]
        haversine = (
            f"pow(sin((radians({keys[1]}) - ?) / 2), 2)"
            f" + cos(radians({keys[1]})) * ? * pow(sin((radians({keys[0]}) - ?) / 2), 2)"
        )
        low, high = (dec + sign * np.degrees(radius) for sign in (-1.0000001, 1.0000001))
        values = [float(v) for v in (low, high, np.radians(dec), np.cos(np.radians(dec)), np.radians(ra))]
        sql = f"{keys[1]} BETWEEN ? AND ? AND isfinite({keys[0]}) AND {haversine} <= ?"
        return sql, [*values, float(np.sin(radius / 2) ** 2)]

    def _comparison(self, column: Column, op: Operator, value: Value | list[Value]) -> tuple[str, list[Any]]:
        key = self.scalar(column.name)
        if op in ("is null", "not null"):
            return f"{column.key} IS {'NOT ' if op == 'not null' else ''}NULL", []
        if op == "in":
            values = [_typed(column, v) for v in (value if isinstance(value, list) else [value])]
            return f"{key} IN ({', '.join('?' * len(values))})" if values else "false", values
        if isinstance(value, list) or value is None:
            raise ValueError(f"{column.name} {op}: needs one value; for none there is 'is null', for several 'in'")
        if op == "contains":
            if column.kind == "list":
                return f"list_contains(CAST({column.key} AS VARCHAR[]), ?)", [str(value)]
            return f"contains(lower(CAST({key} AS VARCHAR)), ?)", [str(value).lower()]
        if op == "matches":
            return f"regexp_matches(CAST({key} AS VARCHAR), ?)", [str(value)]
        if op in ("=", "!="):
            return f"{key} IS {'NOT ' if op == '=' else ''}DISTINCT FROM ?", [_typed(column, value)]
        return f"{key} {op} ?", [_typed(column, value)]


@dataclass
class _Budget:
    """How many conditions a question has so far."""

    terms: int = 0
    computed: int = 0

    def spend(self, condition: Condition, depth: int) -> None:
        """Count a condition.

        Raises
        ------
        ValueError
            If there are too many, or they are too deep within each other.
        """
        self.terms += 1
        self.computed += isinstance(condition, InsideLasso | FormulaTerm)
        if depth > MAX_DEPTH:
            raise ValueError(f"conditions are nested more than {MAX_DEPTH} deep: save a part as a subset")
        if self.terms > MAX_TERMS or self.computed > MAX_COMPUTED:
            raise ValueError(f"more than {MAX_TERMS} conditions, or {MAX_COMPUTED} lassos and formulas: remove some")


def _typed(column: Column, value: Value) -> Value:
    """Return a value with the type of a column.

    Raises
    ------
    ValueError
        If the column can't hold it.
    """
    if column.kind == "boolean":
        if str(value).lower() not in BOOLEANS:
            raise ValueError(f"{column.name} is true or false, not {value!r}")
        return BOOLEANS[str(value).lower()]
    if column.kind != "number":
        return str(value)
    try:
        number = int(value) if isinstance(value, str) and column.is_integer else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{column.name} holds numbers, and {value!r} is none") from None
    if not np.isfinite(number) or (abs(number) >= MAX_INTEGER and column.is_integer):
        raise ValueError(f"{column.name} holds numbers, and {value!r} is out of their range")
    return value if column.is_integer and isinstance(value, int) else number
