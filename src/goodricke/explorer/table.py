"""The table of the page: rows sorted and filtered, counts and histograms, over millions of rows."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.explorer.annotations import Entry, Labels
from goodricke.explorer.query import Lasso, Query, Sort, Where
from goodricke.explorer.store import Column, Store

COUNTED = 100  # values that are counted one by one
KEPT = 32  # totals and selections that are remembered
DEEP = 10_000  # rows beyond which the whole order is made and remembered: DuckDB would sort anew for every page
ORDERS = 3
SAFE = 1 << 53  # from where on JavaScript's numbers leave integers out
OURS = (Column("label", "l.label", "text", about="Yours"), Column("comment", "l.comment", "text", about="Yours"))

Rows = NDArray[np.int64]


class Table:
    """The rows of a catalog, and the labels given to them here.

    Parameters
    ----------
    store : Store
    labels : Labels
    inside : callable
        Returns the rows inside a lasso.
    """

    def __init__(self, store: Store, labels: Labels, inside: Callable[[Lasso], Rows]) -> None:
        self.store, self.labels, self._inside = store, labels, inside
        self.columns = {c.name: c for c in store.columns}
        self._query = Query({**self.columns, **{c.name: c for c in OURS}}, self._selection)
        self._totals: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._selections: OrderedDict[str, str] = OrderedDict()
        self._orders: OrderedDict[tuple[str, str, int], Rows] = OrderedDict()
        self._made, self._version, self._lock = 0, -1, threading.Lock()

    def __len__(self) -> int:
        return self.store.count

    # ---- rows -------------------------------------------------------------------------------------------------------

    def page(
        self, where: Where, sort: Sequence[Sort], offset: int, limit: int, columns: Sequence[str] | None = None
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return how many rows there are, and some of them in order.

        Raises
        ------
        ValueError
            If a column isn't there, or can't be compared so.
        """
        return self.total(where), self.rows(self.order(where, sort, offset, limit), columns)

    def order(self, where: Where, sort: Sequence[Sort], offset: int, limit: int) -> Rows:
        """Return the numbers of some rows in order."""
        if not where.all and not sort:
            return np.arange(min(offset, len(self)), min(offset + limit, len(self)))
        if offset + limit > DEEP:
            return self._whole_order(where, sort)[offset : offset + limit]
        sql, parameters = self._in_order(where, sort)
        return self._numbers(f"{sql} LIMIT ? OFFSET ?", [*parameters, limit, offset])

    def position(self, where: Where, sort: Sequence[Sort], row: int) -> int | None:
        """Return at which place in order a row is, None if the condition isn't true of it."""
        if not where.all and not sort:
            return row if 0 <= row < len(self) else None
        found = np.flatnonzero(self._whole_order(where, sort) == row)
        return int(found[0]) if len(found) else None

    def _in_order(self, where: Where, sort: Sequence[Sort]) -> tuple[str, list[Any]]:
        condition, parameters = self._query.where(where)
        order = self._query.order(sort)
        return f"SELECT r.row FROM {self._source(where, sort)} WHERE {condition} ORDER BY {order}", parameters

    def _whole_order(self, where: Where, sort: Sequence[Sort]) -> Rows:
        """Return the numbers of all rows that a condition is true of, in order; the last `ORDERS` are remembered."""
        sql, parameters = self._in_order(where, sort)
        key = (sql, _hash(where), self._version if "labels l" in sql else 0)
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        rows = self._numbers(sql, parameters)
        with self._lock:
            self._orders[key] = rows
            while len(self._orders) > ORDERS:
                self._orders.popitem(last=False)
        return rows

    def matching(self, where: Where) -> Rows | None:
        """Return the numbers of all rows that a condition is true of, in no order; None for all there are."""
        if not where.all:
            return None
        condition, parameters = self._query.where(where)
        return self._numbers(f"SELECT r.row FROM {self._source(where)} WHERE {condition}", parameters)

    def total(self, where: Where) -> int:
        """Return how many rows a condition is true of."""
        if not where.all:
            return len(self)
        self._fresh()
        key = (_hash(where), self._version)
        if key not in self._totals:
            condition, parameters = self._query.where(where)
            sql = f"SELECT count(*) FROM {self._source(where)} WHERE {condition}"
            self._totals[key] = int(self.store.ask(sql, parameters).fetchone()[0])
            while len(self._totals) > KEPT:
                self._totals.popitem(last=False)
        return self._totals[key]

    def rows(self, numbers: Rows, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return rows by their numbers, in that order, with their labels; by default with all columns."""
        chosen = [self._query.column(n) for n in (self.columns if columns is None else columns)]
        own = [c for c in chosen if c not in OURS]
        named = {c.name: c.key for c in [self.columns["object_id"], *own]}
        sql = (
            f"SELECT row, {', '.join(named.values())} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[]))"
        )
        found = {values[0]: values[1:] for values in self.store.ask(sql, [numbers.tolist()]).fetchall()}
        return [self._row(r, dict(zip(named, found[r], strict=True)), own) for r in numbers.tolist() if r in found]

    def row(self, number: int) -> dict[str, Any] | None:
        """Return a row with all columns, None if there is no such row."""
        found = self.rows(np.array([number])) if abs(number) < SAFE else []
        return found[0] if found else None

    def rows_of(self, object_ids: Sequence[str]) -> dict[str, int]:
        """Return the first row of each object that is there."""
        key = self.columns["object_id"].key
        sql = f"SELECT {key}, min(row) FROM {self.store.rows} WHERE {key} IN (SELECT unnest(?::VARCHAR[])) GROUP BY 1"
        return dict(self.store.ask(sql, [list(object_ids)]).fetchall())

    def siblings(self, object_id: str, columns: Sequence[str]) -> pa.Table:
        """Return all rows of an object in order: ``row`` and those of some columns that are there."""
        key = self.columns["object_id"].key
        named = {n: self.columns[n].key for n in ("object_id", *columns) if n in self.columns}
        listed = ", ".join(named.values())
        sql = f"SELECT row, {listed} FROM {self.store.rows} WHERE {key} = ? ORDER BY row"
        return self.store.arrow(sql, [object_id]).rename_columns(["row", *named])

    def arrow(self, numbers: Rows) -> pa.Table:
        """Return rows by their numbers, increasing, with all columns and their labels."""
        named = {c.name: c.key for c in self.columns.values()}
        sql = f"SELECT {', '.join(named.values())} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[]))"
        found = self.store.arrow(f"{sql} ORDER BY row", [numbers.tolist()]).rename_columns(list(named))
        entries = [self.labels.of(i) for i in found["object_id"].to_pylist()]
        for name in ("label", "comment"):
            told = [None if e is None else getattr(e, name) for e in entries]
            found = found.append_column(name, pa.array(told, pa.string()))
        return found

    def ids(self, numbers: Rows) -> list[str]:
        """Return the objects of rows by their numbers, increasing."""
        key = self.columns["object_id"].key
        sql = f"SELECT {key} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[])) ORDER BY row"
        return [i for (i,) in self.store.ask(sql, [numbers.tolist()]).fetchall()]

    def _row(self, number: int, values: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
        entry = self.labels.of(values["object_id"]) or Entry(values["object_id"])
        told = {c.name: plain(values[c.name]) for c in columns}
        return {"row": number, **told, "label": entry.label, "comment": entry.comment}

    # ---- counts -----------------------------------------------------------------------------------------------------

    def counts(self, where: Where, by: str) -> dict[str, Any]:
        """Return how many rows have each value of a column, the most frequent first; those beyond `COUNTED` as one."""
        key, (condition, parameters) = self._query.plain(by), self._query.where(where)
        source = self._source(where, [Sort(column=by)])
        sql = f"SELECT {key}, count(*) FROM {source} WHERE {condition} GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST"
        found = self.store.ask(sql, parameters).fetchall()
        counts = [{"value": plain(value), "count": n} for value, n in found[:COUNTED]]
        other = sum(n for _, n in found[COUNTED:])
        return {"total": sum(n for _, n in found), "counts": counts, "other": other, "values": len(found)}

    def histogram(self, where: Where, column: str, bins: int) -> dict[str, Any]:
        """Return a histogram of the finite numbers of a column.

        Raises
        ------
        ValueError
            If it holds no numbers.
        """
        if self._query.column(column).kind != "number":
            raise ValueError(f"{column} holds no numbers: ask for its counts")
        values = self.numbers(column, where)
        values = values[np.isfinite(values)]
        if not len(values):
            return {"edges": [], "counts": []}
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high - low):
            raise ValueError(f"{column} runs from {low:g} to {high:g}: too wide for a histogram; filter it first")
        counts, edges = np.histogram(values, bins, (low, high if high > low else low + max(abs(low) * 1e-6, 1e-9)))
        return {"edges": edges.tolist(), "counts": counts.tolist()}

    def numbers(self, column: str, where: Where) -> NDArray[np.float64]:
        """Return a column of numbers of the rows that a condition is true of, in no order; NaN where there is none."""
        key, (condition, parameters) = self._query.column(column).key, self._query.where(where)
        found = self.store.arrow(f"SELECT {key} FROM {self._source(where)} WHERE {condition}", parameters)
        return found.column(0).cast(pa.float64()).to_numpy()

    def all_numbers(self, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return columns of numbers of all rows in order, NaN where there is none."""
        keys = ", ".join(f"CAST({self._query.column(n).key} AS DOUBLE)" for n in columns)
        found = self.store.arrow(f"SELECT row, {keys} FROM {self.store.rows}")
        return {n: self._ordered(found, i, np.nan) for i, n in enumerate(columns, 1)}

    def codes(self, column: str, values: Sequence[str]) -> NDArray[np.int16]:
        """Return of all rows in order which of some values a column has, -1 for none of them."""
        key = self._query.column(column).key
        found = self.store.arrow(
            f"SELECT row, list_position(?::VARCHAR[], {key}) FROM {self.store.rows}", [list(values)]
        )
        return self._ordered(found, 1, 0).astype(np.int16) - np.int16(1)

    def _ordered(self, found: pa.Table, column: int, missing: float) -> NDArray:
        """Return a column (n,) in the order of the rows, which a query needn't keep."""
        result = np.empty(len(self), np.float64)
        result[found["row"].to_numpy()] = found.column(column).fill_null(missing).to_numpy()
        return result

    # ---- what is joined ---------------------------------------------------------------------------------------------

    def _source(self, where: Where, sort: Sequence[Sort] = ()) -> str:
        """Return the rows, with the labels beside them where they are asked for."""
        condition, _ = self._query.where(where)
        if "l." not in condition + self._query.order(sort):
            return f"{self.store.rows} r"
        self._fresh()
        return f"{self.store.rows} r LEFT JOIN labels l ON l.object_id = r.{self.columns['object_id'].key}"

    def _fresh(self) -> None:
        """Bring the labels in DuckDB up to those of the file."""
        with self._lock:
            version, entries = self.labels.current()
            if version != self._version:
                told = {n: [getattr(e, n) for e in entries] for n in ("object_id", "label", "comment")}
                schema = pa.schema([(n, pa.string()) for n in told])
                self.store.keep("labels", pa.table(told, schema=schema))
                self._version = version

    def _selection(self, lasso: Lasso) -> str:
        """Return the table with the rows inside a lasso, made if it is none of the last ones."""
        key = _hash(lasso)
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        rows = self._inside(lasso)
        with self._lock:
            self._made += 1
            name = f"selection{self._made}"
            self.store.keep(name, pa.table({"row": pa.array(rows, pa.int64())}))
            self._selections[key] = name
            stale = self._selections.popitem(last=False)[1] if len(self._selections) > KEPT else None
        if stale:
            self.store.drop(stale)
        return name

    def _numbers(self, sql: str, parameters: Sequence[Any]) -> Rows:
        return np.asarray(self.store.ask(sql, parameters).fetchnumpy()["row"], np.int64)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: null for what is no number, text for integers that JavaScript would round."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= SAFE:
        return str(value)
    return value


def _hash(told: Where | Lasso) -> str:
    return hashlib.sha256(json.dumps(told.model_dump()).encode()).hexdigest()
