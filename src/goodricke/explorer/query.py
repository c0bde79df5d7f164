"""The SQL of conditions on rows.

The SQL consists of the columns' keys and the words in this module; every value from outside is a bound parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from goodricke.explorer.filter_text import parse_filter
from goodricke.explorer.positions import parse_radius
from goodricke.explorer.store import Column

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
