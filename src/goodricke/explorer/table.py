"""The table of the page: sorted and filtered rows, counts and histograms, for millions of rows."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data.json import json_values
from goodricke.explorer.annotations import Annotation, LabelFile
from goodricke.explorer.cache import Cache
from goodricke.explorer.conditions import Computed, Cone, FormulaTerm, Lasso, Sort, Where
from goodricke.explorer.expressions import Formula
from goodricke.explorer.positions import parse_position
from goodricke.explorer.query import Query
from goodricke.explorer.store import Column, RowStore
from goodricke.explorer.subsets import SubsetFile
from goodricke.survey.examine.sample import CatalogSample

MAX_COUNTS = 100  # values that are counted one by one
MAX_CROSSED = 40  # values of each of two columns that are counted together
CACHED_TOTALS = CACHED_SELECTIONS = 32
CACHED_ORDERS = 3
CACHED_FORMULAS = 12  # values of formulas, 8 bytes a row
KEPT = 120.0  # seconds for which a table that makes room for another one stays: a query may have its name already
DEEP = 10_000  # rows beyond which the whole order is computed and cached: DuckDB would sort again for every page
MAX_SAFE = 1 << 53  # from where JavaScript's numbers skip integers
LABEL_COLUMNS = (
    Column("label", "l.label", "text", about="Your label"),
    Column("comment", "l.comment", "text", about="Your comment"),
)

Rows = NDArray[np.int64]
Float = NDArray[np.float64]
COMPARE = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class CatalogTable:
    """The rows of a catalog with the user's labels.

    Parameters
    ----------
    store : RowStore
    labels : LabelFile
    rows_inside : callable
        Returns the rows inside a lasso.
    subsets : SubsetFile, optional
        Named selections.
    """

    def __init__(
        self,
        store: RowStore,
        labels: LabelFile,
        rows_inside: Callable[[Lasso], Rows],
        subsets: SubsetFile | None = None,
    ) -> None:
        self.store, self.labels, self.subsets, self._rows_inside = store, labels, subsets, rows_inside
        self.columns = {c.name: c for c in store.columns}
        self._query = Query({**self.columns, **{c.name: c for c in LABEL_COLUMNS}}, self)
        self._totals, self._selections = Cache(CACHED_TOTALS), Cache(CACHED_SELECTIONS)
        self._orders, self._formulas = Cache(CACHED_ORDERS), Cache(CACHED_FORMULAS)
        self._evicted = deque[tuple[float, str]]()  # tables to drop, and when
        self._selection_count, self._labels_version, self._lock = 0, -1, threading.Lock()

    def __len__(self) -> int:
        return self.store.count

    # ---- rows -------------------------------------------------------------------------------------------------------

    def page(
        self, where: Where, sort: Sequence[Sort], offset: int, limit: int, columns: Sequence[str] | None = None
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of matching rows, and some of them in order.

        Raises
        ------
        ValueError
            If a column doesn't exist, or can't be compared so.
        """
        return self.total(where), self.rows(self.order(where, sort, offset, limit), columns)

    def order(self, where: Where, sort: Sequence[Sort], offset: int, limit: int) -> Rows:
        """Return the numbers of some rows in order."""
        if not where.all and not sort:
            return np.arange(min(offset, len(self)), min(offset + limit, len(self)))
        if offset + limit > DEEP:
            return self._full_order(where, sort)[offset : offset + limit]
        sql, parameters = self._order_sql(where, sort)
        return self._row_numbers(f"{sql} LIMIT ? OFFSET ?", [*parameters, limit, offset])

    def position(self, where: Where, sort: Sequence[Sort], row: int) -> int | None:
        """Return the place of a row in an order, None if it doesn't match."""
        if not where.all and not sort:
            return row if 0 <= row < len(self) else None
        places = np.flatnonzero(self._full_order(where, sort) == row)
        return int(places[0]) if len(places) else None

    def _order_sql(self, where: Where, sort: Sequence[Sort]) -> tuple[str, list[Any]]:
        condition, parameters = self._query.where(where)
        order = self._query.order(sort)
        return f"SELECT r.row FROM {self._source(where, sort)} WHERE {condition} ORDER BY {order}", parameters

    def _full_order(self, where: Where, sort: Sequence[Sort]) -> Rows:
        """Return the numbers of all matching rows in order."""
        sql, parameters = self._order_sql(where, sort)
        key = (sql, _hash(where), self._subsets_version, self._labels_version if "labels l" in sql else 0)
        return self._orders.get(key, lambda: self._row_numbers(sql, parameters))

    def matching(self, where: Where) -> Rows | None:
        """Return the numbers of all matching rows, in no order; None for all rows."""
        if not where.all:
            return None
        condition, parameters = self._query.where(where)
        return self._row_numbers(f"SELECT r.row FROM {self._source(where)} WHERE {condition}", parameters)

    def total(self, where: Where) -> int:
        """Return the number of matching rows."""
        if not where.all:
            return len(self)
        self._update_labels()

        def count() -> int:
            condition, parameters = self._query.where(where)
            sql = f"SELECT count(*) FROM {self._source(where)} WHERE {condition}"
            return int(self.store.execute(sql, parameters).fetchone()[0])

        return self._totals.get((_hash(where), self._subsets_version, self._labels_version), count)

    def rows(self, numbers: Rows, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return rows by their numbers, in that order, with their labels; by default with all columns."""
        chosen = [self._query.column(n) for n in (self.columns if columns is None else columns)]
        own = [c for c in chosen if c not in LABEL_COLUMNS]
        keys = {c.name: c.key for c in [self.columns["object_id"], *own]}
        sql = f"SELECT row, {', '.join(keys.values())} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[]))"
        values = {row[0]: row[1:] for row in self.store.execute(sql, [numbers.tolist()]).fetchall()}
        return [self._row(r, dict(zip(keys, values[r], strict=True)), own) for r in numbers.tolist() if r in values]

    def row(self, number: int) -> dict[str, Any] | None:
        """Return a row with all columns, None if there is no such row."""
        rows = self.rows(np.array([number])) if abs(number) < MAX_SAFE else []
        return rows[0] if rows else None

    def first_rows(self, object_ids: Sequence[str]) -> dict[str, int]:
        """Return the first row of each of these objects that the catalog has."""
        key = self.columns["object_id"].key
        sql = f"SELECT {key}, min(row) FROM {self.store.rows} WHERE {key} IN (SELECT unnest(?::VARCHAR[])) GROUP BY 1"
        return dict(self.store.execute(sql, [list(object_ids)]).fetchall())

    def rows_of_object(self, object_id: str, columns: Sequence[str]) -> pa.Table:
        """Return all rows of an object in order: ``row``, ``object_id``, and those of these columns that exist."""
        key = self.columns["object_id"].key
        keys = {n: self.columns[n].key for n in ("object_id", *columns) if n in self.columns}
        sql = f"SELECT row, {', '.join(keys.values())} FROM {self.store.rows} WHERE {key} = ? ORDER BY row"
        return self.store.read_arrow(sql, [object_id]).rename_columns(["row", *keys])

    def arrow(self, numbers: Rows) -> pa.Table:
        """Return rows by their numbers, increasing, with all columns and their labels."""
        keys = {c.name: c.key for c in self.columns.values()}
        sql = f"SELECT {', '.join(keys.values())} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[]))"
        table = self.store.read_arrow(f"{sql} ORDER BY row", [numbers.tolist()]).rename_columns(list(keys))
        entries = [self.labels.get(i) for i in table["object_id"].to_pylist()]
        for name in ("label", "comment"):
            values = [None if e is None else getattr(e, name) for e in entries]
            table = table.append_column(name, pa.array(values, pa.string()))
        return table

    def object_ids(self, numbers: Rows) -> list[str]:
        """Return the objects of rows by their numbers, increasing."""
        key = self.columns["object_id"].key
        sql = f"SELECT {key} FROM {self.store.rows} WHERE row IN (SELECT unnest(?::BIGINT[])) ORDER BY row"
        return [i for (i,) in self.store.execute(sql, [numbers.tolist()]).fetchall()]

    def _row(self, number: int, values: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
        entry = self.labels.get(values["object_id"]) or Annotation(values["object_id"])
        cells = {c.name: json_value(values[c.name]) for c in columns}
        return {"row": number, **cells, "label": entry.label, "comment": entry.comment}

    def _row_numbers(self, sql: str, parameters: Sequence[Any]) -> Rows:
        return np.asarray(self.store.execute(sql, parameters).fetchnumpy()["row"], np.int64)

    # ---- counts -----------------------------------------------------------------------------------------------------

    def counts(self, where: Where, by: str) -> dict[str, Any]:
        """Return the number of rows with each value of a column, the most frequent first; the rarest as one."""
        key, (condition, parameters) = self._query.scalar(by), self._query.where(where)
        source = self._source(where, [Sort(column=by)])
        sql = f"SELECT {key}, count(*) FROM {source} WHERE {condition} GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST"
        pairs = self.store.execute(sql, parameters).fetchall()
        counts = [{"value": json_value(value), "count": n} for value, n in pairs[:MAX_COUNTS]]
        other = sum(n for _, n in pairs[MAX_COUNTS:])
        return {"total": sum(n for _, n in pairs), "counts": counts, "other": other, "values": len(pairs)}

    def crosstab(self, where: Where, x: str, y: str) -> dict[str, Any]:
        """Return the number of rows with each pair of values of two columns, the most frequent values first.

        Parameters
        ----------
        where : Where
        x, y : str
            Columns; of each the `MAX_CROSSED` most frequent values, rows without one left out.

        Returns
        -------
        dict
            ``x``, ``y``: the values; ``counts``: per value of y one list; ``other``: rows with a rarer value.
        """
        keys, (condition, parameters) = [self._query.scalar(name) for name in (x, y)], self._query.where(where)
        source = self._source(where, [Sort(column=x), Sort(column=y)])
        sql = f"SELECT {keys[0]} AS a, {keys[1]} AS b, count(*) AS n FROM {source} WHERE {condition} GROUP BY 1, 2"
        pairs = [p for p in self.store.execute(sql, parameters).fetchall() if None not in p]
        axes = [_most_frequent([(p[i], p[2]) for p in pairs]) for i in (0, 1)]
        counts = np.zeros((len(axes[1]), len(axes[0])), np.int64)
        for a, b, n in pairs:
            if a in axes[0] and b in axes[1]:
                counts[axes[1].index(b), axes[0].index(a)] = n
        other = sum(n for *_, n in pairs) - int(counts.sum())
        names = {"x": [json_value(v) for v in axes[0]], "y": [json_value(v) for v in axes[1]]}
        return {**names, "counts": counts.tolist(), "other": other}

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
        """Return a column of numbers of the matching rows, in no order, NaN for null."""
        key, (condition, parameters) = self._query.column(column).key, self._query.where(where)
        table = self.store.read_arrow(f"SELECT {key} FROM {self._source(where)} WHERE {condition}", parameters)
        return table.column(0).cast(pa.float64()).to_numpy()

    def all_numbers(self, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return columns of numbers of all rows in order, NaN for null."""
        keys = ", ".join(f"CAST({self._query.column(n).key} AS DOUBLE)" for n in columns)
        table = self.store.read_arrow(f"SELECT row, {keys} FROM {self.store.rows}")
        return {n: self._in_order(table, i, np.nan) for i, n in enumerate(columns, 1)}

    def codes(self, column: str, values: Sequence[str]) -> NDArray[np.int16]:
        """Return the index of each row's value among some values, for all rows in order; -1 for another value."""
        sql = f"SELECT row, list_position(?::VARCHAR[], {self._query.column(column).key}) FROM {self.store.rows}"
        table = self.store.read_arrow(sql, [list(values)])
        return self._in_order(table, 1, 0).astype(np.int16) - np.int16(1)

    def _in_order(self, table: pa.Table, column: int, missing: float) -> NDArray:
        """Return a column (n,) in the order of the rows, which a query needn't keep."""
        result = np.empty(len(self), np.float64)
        result[table["row"].to_numpy()] = table.column(column).fill_null(missing).to_numpy()
        return result

    # ---- what is joined to the rows ---------------------------------------------------------------------------------

    def _source(self, where: Where, sort: Sequence[Sort] = ()) -> str:
        """Return the SQL of the rows, joined with the labels if the condition or the order uses them."""
        condition, _ = self._query.where(where)
        if "l." not in condition + self._query.order(sort):
            return f"{self.store.rows} r"
        self._update_labels()
        return f"{self.store.rows} r LEFT JOIN labels l ON l.object_id = r.{self.columns['object_id'].key}"

    def _update_labels(self) -> None:
        """Bring the labels in DuckDB up to those of the file."""
        with self._lock:
            version, entries = self.labels.current()
            if version != self._labels_version:
                values = {n: [getattr(e, n) for e in entries] for n in ("object_id", "label", "comment")}
                schema = pa.schema([(n, pa.string()) for n in values])
                self.store.create_table("labels", pa.table(values, schema=schema))
                self._labels_version = version

    # ---- what conditions need besides the columns: `goodricke.explorer.query.Resolver` ------------------------------

    def selection(self, computed: Computed) -> str:
        """Return the name of the SQL table with the rows inside a lasso, or for which a formula holds."""

        def create() -> str:
            rows = self._formula_rows(computed) if isinstance(computed, FormulaTerm) else self._rows_inside(computed)
            with self._lock:
                self._selection_count += 1
                name = f"selection{self._selection_count}"
                self.store.create_table(name, pa.table({"row": pa.array(rows, pa.int64())}))
            return name

        return self._selections.get(_hash(computed), create, evict=self._drop_later)

    @property
    def _subsets_version(self) -> int:
        """A number that changes with the subsets."""
        return 0 if self.subsets is None else self.subsets.version

    def _drop_later(self, name: str) -> None:
        """Drop the tables that made room some time ago: queries that are running may still read a later one."""
        now = time.monotonic()
        with self._lock:
            self._evicted.append((now + KEPT, name))
            due = [self._evicted.popleft()[1] for _ in range(sum(at < now for at, _ in self._evicted))]
        for old in due:
            self.store.drop_table(old)

    def formula(self, text: str) -> Float:
        """Return the values (n,) of a formula for all rows in order.

        Raises
        ------
        ValueError
            If it is none, or a column doesn't exist or holds no numbers.
        """
        formula = Formula(text)
        for column in formula.columns:
            if column not in self.columns or self.columns[column].kind != "number":
                why = "holds no numbers" if column in self.columns else "is no column"
                raise ValueError(f"{column!r} {why}: /api/about lists the columns")
        if not formula.columns:
            raise ValueError(f"{text!r} has no column")
        return self._formulas.get(text, lambda: formula.evaluate(self.all_numbers(sorted(formula.columns))))

    def _formula_rows(self, term: FormulaTerm) -> Rows:
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(COMPARE[term.op](self.formula(term.formula), term.value))

    @cached_property
    def positions(self) -> tuple[str, str] | None:
        """The columns with right ascension and declination [deg], None if there are none."""
        numbers = [c.name for c in self.columns.values() if c.kind == "number" and not c.empty]
        sample = CatalogSample(pa.table({n: pa.array([], pa.float64()) for n in numbers}), (), np.zeros(0, np.int64))
        ra, dec = (sample.column_of(quantity) for quantity in ("ra", "dec"))
        return None if ra is None or dec is None else (ra, dec)

    def position_columns(self, cone: Cone) -> tuple[str, str]:
        """Return the columns with the positions that a cone is about."""
        if cone.ra and cone.dec:
            for name in (cone.ra, cone.dec):
                if self._query.column(name).kind != "number":
                    raise ValueError(f"{name} holds no numbers: a cone needs positions in degrees")
            return cone.ra, cone.dec
        if self.positions is None:
            raise ValueError(
                "the catalog has no positions ra, dec [deg]: add a table of them by --with, or name columns"
            )
        return self.positions

    def centre(self, cone: Cone) -> tuple[float, float]:
        """Return the position of the centre of a cone [deg]: as typed, or that of an object."""
        typed = parse_position(cone.position)
        if typed is not None:
            return typed
        columns = self.position_columns(cone)
        found = self.rows_of_object(cone.position.strip(), columns).to_pylist()
        for row in found:
            if None not in (values := [row[name] for name in columns]):
                return float(values[0]), float(values[1])
        why = "has no position" if found else "is neither a position nor an object of the catalog"
        raise ValueError(f"{cone.position!r} {why}: write 05 35 17.3 -05 23 28, or degrees")

    def subset(self, name: str) -> Where:
        """Return the conditions of a subset."""
        where = None if self.subsets is None else self.subsets.get(name)
        if where is None:
            raise ValueError(f"no subset {name!r}: save a selection under this name")
        return where


def _most_frequent(counts: Sequence[tuple[Any, int]]) -> list[Any]:
    """Return values by their total counts, the most frequent first, `MAX_CROSSED` at most."""
    totals: dict[Any, int] = {}
    for value, n in counts:
        totals[value] = totals.get(value, 0) + n
    return sorted(totals, key=lambda value: (-totals[value], str(value)))[:MAX_CROSSED]


def json_value(value: Any) -> Any:
    """Return a value for JSON: null for NaN, and text for integers that JavaScript would round."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= MAX_SAFE:
        return str(value)
    return json_values(value)


def _hash(condition: Where | Computed) -> str:
    return hashlib.sha256(json.dumps(condition.model_dump()).encode()).hexdigest()
