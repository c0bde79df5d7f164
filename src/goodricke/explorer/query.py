"""Conditions on rows, as the page sends them, and their SQL.

The SQL consists of the columns' keys and the words in this module; every value from outside is a bound parameter.
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

MAX_INTEGER = 1 << 63  # of SQL's BIGINT
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class FilterTerm(_Model):
    """A column against a value; rows without a value are unequal to any, and neither less nor more."""

    column: Name
    op: Operator
    value: Value | Annotated[list[Value], Field(max_length=1000)] = None


class Search(_Model):
    """Rows whose object id or label contains a text, in upper or lower case."""

    search: Text


class Lasso(_Model):
    """A closed polygon in a diagram, in the coordinates of its points; its edges are straight as drawn."""

    diagram: Annotated[str, StringConstraints(max_length=2000)]
    polygon: Annotated[list[Vertex], Field(min_length=3, max_length=5000)]


class InsideLasso(_Model):
    """Rows whose points are inside a polygon in a diagram."""

    inside: Lasso


class RowNumbers(_Model):
    """Rows by their numbers."""

    rows: Annotated[list[int], Field(max_length=100_000)]


class HasLabel(_Model):
    """Rows whose object has a label of the user's, or none."""

    labelled: bool


Condition = FilterTerm | Search | InsideLasso | RowNumbers | HasLabel


class Where(_Model):
    """Conditions that all hold."""

    all: Annotated[list[Condition], Field(max_length=100)] = []


class Sort(_Model):
    """A column to sort by."""

    column: Name
    descending: bool = False


class Query:
    """Conditions and orders as SQL, for the columns of one table.

    Parameters
    ----------
    columns : mapping of Column
        By name. Those of the labels, ``label`` and ``comment``, have keys that begin with ``l.``.
    selection : callable
        Returns the name of the SQL table with the rows inside a lasso.
    """

    def __init__(self, columns: Mapping[str, Column], selection: Callable[[Lasso], str]) -> None:
        self._columns, self._selection = columns, selection

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
        """Return an SQL expression that is true of the matching rows, and its parameters."""
        parts = [self._condition(condition) for condition in where.all]
        return " AND ".join(f"({sql})" for sql, _ in parts) or "true", [p for _, values in parts for p in values]

    def order(self, sort: Sequence[Sort]) -> str:
        """Return the SQL of an order: rows without a value last, equal rows in the order of the catalog."""
        keys = [f"{self.scalar(s.column)} {'DESC' if s.descending else 'ASC'} NULLS LAST" for s in sort]
        return ", ".join([*keys, "r.row"])

    def scalar(self, name: str) -> str:
        """Return the SQL of a column; a list becomes one text."""
        column = self.column(name)
        return f"array_to_string({column.key}, '{BETWEEN}')" if column.kind == "list" else column.key

    def _condition(self, condition: Condition) -> tuple[str, list[Any]]:
        if isinstance(condition, Search):
            text, key = condition.search.lower(), self.column("object_id").key
            return f"contains(lower({key}), ?) OR contains(lower(coalesce(l.label, '')), ?)", [text, text]
        if isinstance(condition, InsideLasso):
            return f"r.row IN (SELECT row FROM {self._selection(condition.inside)})", []
        if isinstance(condition, RowNumbers):
            return "r.row IN (SELECT unnest(?::BIGINT[]))", [[r for r in condition.rows if abs(r) < MAX_INTEGER]]
        if isinstance(condition, HasLabel):
            return f"l.label IS {'NOT ' if condition.labelled else ''}NULL", []
        return self._comparison(self.column(condition.column), condition.op, condition.value)

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
        if op in ("=", "!="):
            return f"{key} IS {'NOT ' if op == '=' else ''}DISTINCT FROM ?", [_typed(column, value)]
        return f"{key} {op} ?", [_typed(column, value)]


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
