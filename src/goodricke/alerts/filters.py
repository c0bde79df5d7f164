"""Filters for sub-streams, such as ``p_RRL > 0.8 and n_obs >= 10``: a small language, never run as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPARE = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
WORDS = ("object_id", "status", "class", "previous_class", "leaf", "route_model", "route_class")  # no numbers
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class Filter:
    """A condition on the columns of `goodricke.alerts.answers.AlertAnswers`.

    Parameters
    ----------
    text : str
        Comparisons of columns, numbers and quoted words (``>  >=  <  <=  ==  !=``, chains such as ``0.2 < p_EA < 0.8``,
        ``class in ("RRAB", "RRC")``), sums, differences, products and quotients of columns, joined by ``and``, ``or``
        and ``not``. A comparison with NaN is false.
    names : iterable of str
        The columns.

    Raises
    ------
    ValueError
        If the text is anything else, naming the place.
    """

    def __init__(self, text: str, names: Any) -> None:
        self.text = text
        # `class` is a keyword of Python
        source = " ".join("class_" if word == "class" else word for word in _words(text))
        try:
            self._tree = ast.parse(source, mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"filter {text!r}: can't be understood ({error.msg})") from error
        example = {name: np.zeros(1, np.float32) for name in names}
        example |= {n: np.array(["x"]) for n in WORDS if n in example}
        try:
            result = self(example)
        except (TypeError, ArithmeticError) as error:  # a sum of words, 1 / 0, an overflow
            raise ValueError(f"filter {text!r}: can't be computed ({error})") from error
        if result.dtype != bool:
            raise ValueError(f"filter {text!r}: is not a condition; write a comparison, such as p_max > 0.9")

    def __call__(self, columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
        """Return which rows meet the condition, (n,)."""
        n = len(next(iter(columns.values())))
        return np.broadcast_to(np.asarray(self._value(self._tree, columns)), (n,))  # "True" has no length

    def _value(self, node: ast.AST, columns: Mapping[str, NDArray]) -> Any:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self._condition(value, columns) for value in values]
                return reduce(np.logical_and if isinstance(op, ast.And) else np.logical_or, parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._condition(operand, columns)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._value(operand, columns)
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare([left, *others], ops, columns)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                with np.errstate(all="ignore"):
                    return ARITHMETIC[type(op)](self._value(left, columns), self._value(right, columns))
            case ast.Name(id=name):
                return self._column(name.removesuffix("_") if name == "class_" else name, columns)
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return value
        raise ValueError(f"filter {self.text!r}: {ast.unparse(node)!r} is not allowed; compare columns with numbers")

    def _condition(self, node: ast.AST, columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
        value = self._value(node, columns)
        if np.asarray(value).dtype != bool:
            raise ValueError(f"filter {self.text!r}: {ast.unparse(node)!r} is not a condition")
        return np.asarray(value)

    def _compare(self, sides: list[Any], ops: list[Any], columns: Mapping[str, NDArray]) -> NDArray[np.bool_]:
        parts = []
        for left, op, right in zip(sides, ops, sides[1:], strict=False):
            if isinstance(op, ast.In | ast.NotIn) and isinstance(right, ast.Tuple | ast.List):
                values = [self._value(element, columns) for element in right.elts]
                parts.append(np.isin(self._value(left, columns), values, invert=isinstance(op, ast.NotIn)))
            elif type(op) in COMPARE:
                a, b = self._value(left, columns), self._value(right, columns)
                if isinstance(a, str) != isinstance(b, str) and np.asarray(a).dtype.kind != np.asarray(b).dtype.kind:
                    raise ValueError(
                        f"filter {self.text!r}: {ast.unparse(left)!r} is compared with a value of another type"
                    )
                parts.append(COMPARE[type(op)](a, b) & _is_known(a) & _is_known(b))
            else:
                raise ValueError(f"filter {self.text!r}: no such comparison")
        return np.asarray(reduce(np.logical_and, parts), bool)

    def _column(self, name: str, columns: Mapping[str, NDArray]) -> NDArray:
        if name not in columns:
            raise ValueError(f"filter {self.text!r}: no column {name!r}; the columns are {', '.join(columns)}")
        return columns[name]


def _is_known(value: Any) -> Any:
    """Return where a number isn't NaN, which would be unequal to everything."""
    return ~np.isnan(value) if np.asarray(value).dtype.kind == "f" else True


def _words(text: str) -> list[str]:
    """Return the words of a text; a quoted text is one word."""
    import io
    import tokenize

    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError) as error:
        raise ValueError(f"filter {text!r}: can't be understood ({error.args[0]})") from error
    return [token.string for token in tokens if token.string.strip()]
