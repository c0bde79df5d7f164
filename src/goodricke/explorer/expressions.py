"""Numbers from a catalog's columns by a formula that the user writes, such as ``g + 5*log10(parallax) - 10``.

A formula consists of numbers, columns, ``+ - * / ** ( )`` and the functions of `FUNCTIONS`. Nothing else is evaluated.
A column whose name is no identifier stands in quotes, or as a function: ``"A 1" / column("A 2")``. Values that don't
exist, such as the logarithm of a negative number, are NaN.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LONGEST = 300  # characters of a formula
DEEPEST = 50  # operations within each other
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("log10", "log", "log2", "exp", "sqrt", "abs", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("arcsin", "arccos", "arctan", "radians", "degrees", "floor", "sign")},
}
OPERATORS: dict[type[ast.operator] | type[ast.unaryop], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


class Formula:
    """A formula, parsed.

    Parameters
    ----------
    text : str

    Raises
    ------
    ValueError
        If it is no formula; the message says where.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        if not self.text or len(self.text) > LONGEST:
            raise ValueError(f"a formula has 1 to {LONGEST} characters: a column, or as bp_rp - 0.5*log10(period)")
        try:
            self._tree = ast.parse(self.text.replace("^", "**"), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"{self.text!r} is no formula: write as bp_rp - 0.5*log10(period)") from None
        self.columns = frozenset[str]()
        self._check(self._tree, 0)

    def evaluate(self, columns: Mapping[str, Float]) -> Float:
        """Return the values (n,) for columns (n,); a number alone is as long as they are.

        Examples
        --------
        >>> Formula("2*log10(a) - 1").evaluate({"a": np.array([1.0, 10.0, -1.0])})
        array([-1.,  1., nan])
        """
        with np.errstate(all="ignore"):
            values = np.asarray(self._value(self._tree, columns), np.float64)
        return np.broadcast_to(values, next(iter(columns.values())).shape) if values.ndim == 0 and columns else values

    def _check(self, node: ast.AST, depth: int) -> None:
        """Find the columns, and refuse whatever isn't part of a formula.

        Raises
        ------
        ValueError
        """
        if depth > DEEPEST:
            raise ValueError("the formula is nested too deeply")
        match node:
            case _ if (name := _column(node)) is not None:
                self.columns |= {name}
            case ast.Constant(value=bool() | complex() | None):
                raise ValueError(f"{self.text!r}: only numbers and columns")
            case ast.Constant(value=int() | float()):
                pass
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self._check(left, depth + 1)
                self._check(right, depth + 1)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                self._check(operand, depth + 1)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                self._check(argument, depth + 1)
            case ast.Call(func=ast.Name(id=name)):
                raise ValueError(f"{name}: takes one argument and is one of {', '.join(FUNCTIONS)}")
            case _:
                raise ValueError(f"{self.text!r}: only numbers, columns, + - * / ** and {', '.join(FUNCTIONS)}")

    def _value(self, node: Any, columns: Mapping[str, Float]) -> Any:
        match node:
            case _ if (name := _column(node)) is not None:
                return columns[name]
            case ast.Constant(value=int() | float() as number):
                return np.float64(number)
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](self._value(left, columns), self._value(right, columns))
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self._value(operand, columns))
            case _:
                return FUNCTIONS[node.func.id](self._value(node.args[0], columns))


def _column(node: ast.AST) -> str | None:
    """Return the column that a part of a formula is, None if it is none."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return name
        case ast.Call(func=ast.Name(id="column"), args=[ast.Constant(value=str(name))], keywords=[]):
            return name
    return None
