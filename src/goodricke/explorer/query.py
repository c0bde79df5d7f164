"""Conditions on rows, as the page sends them, and the SQL they become.

The SQL is made of the columns' keys and words that stand here; all that came in is bound as a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from goodricke.data.formats.metadata import BETWEEN
from goodricke.explorer.store import Column

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "contains", "in", "is null", "not null"]
Value = str | int | float | bool | None
Name = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Vertex = tuple[float, float]

ORDERING = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
HUGE = 1 << 63


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class Comparison(_Told):
    """A column against a value; rows without a value are unequal to any, and neither less nor more."""

    column: Name
    op: Operator
    value: Value | Annotated[list[Value], Field(max_length=1000)] = None


class Search(_Told):
    """Rows whose object id or label contains a text, whatever its case."""

    search: Text


class Lasso(_Told):
    """A closed polygon in a diagram, in the coordinates of its points; its edges are straight as drawn."""

    diagram: Name
    polygon: Annotated[list[Vertex], Field(min_length=3, max_length=5000)]


class Inside(_Told):
    """Rows whose points are inside a polygon in a diagram."""

    inside: Lasso


class Chosen(_Told):
    """Rows by their numbers."""

    rows: Annotated[list[int], Field(max_length=100_000)]


class Labelled(_Told):
    """Rows whose object has a label here, or none."""

    labelled: bool


Condition = Comparison | Search | Inside | Chosen | Labelled


class Where(_Told):
    """Conditions that all hold."""

    all: Annotated[list[Condition], Field(max_length=100)] = []


class Sort(_Told):
    """A column to sort by."""

    column: Name
    descending: bool = False


class Query:
    """Conditions and orders as SQL, for the columns of one table.

    Parameters
    ----------
    columns : mapping of Column
        By name. Those of the labels, ``label`` and ``comment``, have keys that begin with ``l.``.
    selected : callable
        Returns the table with the rows inside a lasso.
    """

    def __init__(self, columns: Mapping[str, Column], selected: Callable[[Lasso], str]) -> None:
        self._columns, self._selected = columns, selected

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
            raise ValueError(f"no column {name!r}: /api/about lists the columns there are") from None

    def where(self, where: Where) -> tuple[str, list[Any]]:
        """Return an expression that is true of the rows wanted, and its parameters."""
        parts = [self._condition(condition) for condition in where.all]
        return " AND ".join(f"({sql})" for sql, _ in parts) or "true", [p for _, told in parts for p in told]

    def order(self, sort: Sequence[Sort]) -> str:
        """Return by what to order: rows without a value last, those that are alike as in the catalog."""
        keys = [f"{self.plain(s.column)} {'DESC' if s.descending else 'ASC'} NULLS LAST" for s in sort]
        return ", ".join([*keys, "r.row"])

    def plain(self, name: str) -> str:
        """Return a column as a number, a text or a truth value."""
        column = self.column(name)
        return f"array_to_string({column.key}, '{BETWEEN}')" if column.kind == "list" else column.key

    def _condition(self, condition: Condition) -> tuple[str, list[Any]]:
        if isinstance(condition, Search):
            text, key = condition.search.lower(), self.column("object_id").key
            return f"contains(lower({key}), ?) OR contains(lower(coalesce(l.label, '')), ?)", [text, text]
        if isinstance(condition, Inside):
            return f"r.row IN (SELECT row FROM {self._selected(condition.inside)})", []
        if isinstance(condition, Chosen):
            return "r.row IN (SELECT unnest(?::BIGINT[]))", [[r for r in condition.rows if abs(r) < HUGE]]
        if isinstance(condition, Labelled):
            return f"l.label IS {'NOT ' if condition.labelled else ''}NULL", []
        return self._comparison(self.column(condition.column), condition)

    def _comparison(self, column: Column, told: Comparison) -> tuple[str, list[Any]]:
        key, op = self.plain(column.name), told.op
        if op in ("is null", "not null"):
            return f"{column.key} IS {'NOT ' if op == 'not null' else ''}NULL", []
        if op == "in":
            values = told.value if isinstance(told.value, list) else [told.value]
            return f"{key} IN ({', '.join('?' * len(values))})" if values else "false", [
                _value(column, v) for v in values
            ]
        if isinstance(told.value, list) or told.value is None:
            raise ValueError(f"{column.name} {op}: needs one value; for none there is 'is null', for several 'in'")
        if op == "contains":
            if column.kind == "list":
                return f"list_contains({column.key}, ?)", [str(told.value)]
            return f"contains(lower(CAST({key} AS VARCHAR)), ?)", [str(told.value).lower()]
        value = _value(column, told.value)
        if op in ("=", "!="):
            return f"{key} IS {'NOT ' if op == '=' else ''}DISTINCT FROM ?", [value]
        return f"{key} {ORDERING[op]} ?", [value]


def _value(column: Column, value: Value) -> Value:
    """Return a value as a column holds them.

    Raises
    ------
    ValueError
        If it can't.
    """
    if column.kind == "boolean":
        known = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if known is None:
            raise ValueError(f"{column.name} is true or false, not {value!r}")
        return known
    if column.kind != "number":
        return str(value)
    try:
        number = int(value) if isinstance(value, str) and column.whole else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{column.name} holds numbers, and {value!r} is none") from None
    if not np.isfinite(number) or (abs(number) >= HUGE and column.whole):
        raise ValueError(f"{column.name} holds numbers, and {value!r} is none it could hold")
    return value if column.whole and isinstance(value, int) else number
