r"""One row per star of a catalog with one per light curve: the best of its light curves, or the mean of them.

``best``: the row of the classified light curve with the largest ``p_max``; of equal ones that with more observations.

``mean``: over the :math:`n` classified light curves of a star,

.. math:: p_c = \frac{\exp(\frac{1}{n} \sum_i \ln p_{ic})}{\sum_k \exp(\frac{1}{n} \sum_i \ln p_{ik})},

a geometric mean: the result doesn't become more certain with the number of light curves, which share the star and the
instrument. Probabilities below 1e-9 count as 1e-9: one light curve can make a class improbable but can't rule it
out. ``n_obs`` is the sum, ``pred_`` columns are the mean; what belongs to one run of the network over one light curve
(``std_``, ``mutual_information``, ``aleatoric_entropy``, ``prediction_set``) is left out; all other columns, the
embedding too, are those of the best light curve.

A star of which no light curve was classified keeps one row, with the status of the light curve with most observations.
The result doesn't depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.formats import Rows
from goodricke.data.predictions import Status
from goodricke.uncertainty.entropy import entropy

How = Literal["best", "mean"]
FLOOR = 1e-9
RUN_COLUMNS = ("std_", "mutual_information", "aleatoric_entropy", "prediction_set")
STAR_COLUMNS = pa.schema([("n_light_curves", pa.int32()), ("n_classified", pa.int32()), ("agreement", pa.float32())])

Int = NDArray[np.int64]
Float = NDArray[np.float64]


def per_star(rows: Rows, how: How = "best", star: str = "object_id") -> Rows:
    """Merge the light curves of each star into one row.

    Parameters
    ----------
    rows : Rows
        One row per light curve, see `goodricke.Predictions`.
    how : {"best", "mean"}
        See the module.
    star : str
        Column with the star's identifier; a row without one is a star of its own.

    Returns
    -------
    Rows
        With the columns ``n_light_curves``, ``n_classified`` and ``agreement`` (fraction of the classified light curves
        whose class is the star's), in the order in which the chosen light curves come in the catalog.

    Raises
    ------
    ValueError
        If there is no such column, or no such way.
    """
    if how not in get_args(How):
        raise ValueError(f"per star there is {' or '.join(get_args(How))}, not {how!r}")
    if star not in rows.schema.names:
        raise ValueError(
            f"no column {star} that says which star a light curve is of; there are {_column_names(rows.schema)}"
        )
    flat = [f.name for f in rows.schema if not pa.types.is_nested(f.type)]
    narrow = pa.concat_tables([rows.schema.empty_table().select(flat), *(b.select(flat) for b in rows.batches())])
    chosen, new = _merge(narrow, how, star)
    dropped = [n for n in rows.schema.names if how == "mean" and n.startswith(RUN_COLUMNS)]
    schema = _replace_columns(rows.schema.empty_table().drop_columns(dropped), new.slice(0, 0)).schema

    def batches() -> Iterator[pa.Table]:
        done = 0
        for batch in rows.batches():
            first, last = np.searchsorted(chosen, [done, done + len(batch)])
            part = batch.take(pa.array(chosen[first:last] - done)).drop_columns(dropped)
            yield _replace_columns(part, new.slice(first, last - first))
            done += len(batch)

    about = {**rows.about, "per_star": f"{how} of the light curves with the same {star}"}
    return Rows(schema, len(chosen), batches, about)


def _column_names(schema: pa.Schema) -> str:
    return ", ".join([n for n in schema.names if not n.startswith(("p_", "std_"))][:15])


def _replace_columns(table: pa.Table, new: pa.Table) -> pa.Table:
    """Return a table with new columns in the place of those of the same name, the others at the end."""
    for name in new.column_names:
        if name in table.column_names:
            column = new[name].cast(table.schema.field(name).type)
            table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
        else:
            table = table.append_column(name, new[name])
    return table


def _merge(table: pa.Table, how: How, star: str) -> tuple[Int, pa.Table]:
    """Return the rows that stand for the stars, in ascending order, and each star's new columns."""
    ok = pc.equal(table["status"], str(Status.OK)).to_numpy(zero_copy_only=False).astype(bool)
    code = _star_codes(table[star])
    order = _order(table, code, ok)
    if not len(order):
        return order, STAR_COLUMNS.empty_table()
    starts = np.flatnonzero(np.r_[True, np.diff(code[order]) != 0])
    best, n = order[starts], np.diff(np.r_[starts, len(order)])
    groups = Groups(order, starts, ok)
    new = {} if how == "best" else _mean_columns(table, groups, best)
    answer = new.get("class", table["class"].take(pa.array(best)))
    agreeing = groups.sum(_agrees(table["class"], answer, groups, n))
    n_ok = groups.sum(np.ones(len(ok)))
    agreement = pa.array((agreeing / np.maximum(n_ok, 1)).astype(np.float32), mask=n_ok == 0)
    new |= dict(
        zip(STAR_COLUMNS.names, [pa.array(n, pa.int32()), pa.array(n_ok.astype(np.int32)), agreement], strict=True)
    )
    by_row = np.argsort(best)
    return best[by_row], pa.table(new).take(pa.array(by_row))


def _star_codes(star: pa.ChunkedArray) -> Int:
    """Return a number for each star (n,); rows without a star get one each."""
    coded = star.combine_chunks().dictionary_encode()
    without_star = coded.indices.is_null().to_numpy(zero_copy_only=False)
    code = coded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    code[without_star] = len(coded.dictionary) + np.arange(without_star.sum())
    return code


def _order(table: pa.Table, code: Int, ok: NDArray[np.bool_]) -> Int:
    """Return the rows star by star, the best first; ties are decided by all columns, not by the order of the rows."""
    keys = {"": pa.array(code), " ": pa.array(~ok).cast(pa.int8())}
    first = [("", "ascending"), (" ", "ascending"), ("p_max", "descending"), ("n_obs", "descending")]
    rest = [n for n in table.column_names if n not in ("p_max", "n_obs") and not pa.types.is_null(table[n].type)]
    plain = {n: _sortable(table[n]) for n in ["p_max", "n_obs", *rest]}
    return pc.sort_indices(pa.table(keys | plain), sort_keys=[*first, *((n, "ascending") for n in rest)]).to_numpy()


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column


class Groups:
    """Rows in order star by star, and sums over the classified ones of each star.

    Parameters
    ----------
    order : (n,)
        Rows, star by star.
    starts : (stars,)
        Where in ``order`` each star begins.
    ok : (n,)
        Which rows count.
    """

    def __init__(self, order: Int, starts: Int, ok: NDArray[np.bool_]) -> None:
        self.order, self.starts, self.ok = order, starts, ok[order]

    def sum(self, values: NDArray) -> Float:
        """Return sums (stars, ...) of the values (n, ...) of the rows."""
        ordered = np.asarray(values, np.float64)[self.order]
        ordered[~self.ok] = 0
        return np.add.reduceat(ordered, self.starts, axis=0)

    def mean(self, values: NDArray) -> Float:
        """Return means (stars, ...), NaN where no row counts."""
        n = self.sum(np.ones(len(self.order))).reshape(-1, *[1] * (values.ndim - 1))
        with np.errstate(invalid="ignore"):
            return self.sum(values) / n


def _agrees(classes: pa.ChunkedArray, answer: pa.ChunkedArray | pa.Array, groups: Groups, n: Int) -> NDArray[np.bool_]:
    """Return which rows (n,) have the class of their star."""
    star = np.empty(len(groups.order), np.int64)
    star[groups.order] = np.repeat(np.arange(len(n)), n)
    agrees = pc.equal(classes.combine_chunks(), pa.array(answer.to_pylist(), pa.string()).take(pa.array(star)))
    return agrees.fill_null(False).to_numpy(zero_copy_only=False)


def _mean_columns(table: pa.Table, groups: Groups, best: Int) -> dict[str, pa.Array]:
    """Return the columns of the mean of the light curves of each star."""
    names = [n for n in table.column_names if n.startswith("p_") and n != "p_max"]
    p = np.stack([table[n].to_numpy() for n in names], 1).astype(np.float64)
    merged = _geometric(groups.mean(np.log(np.maximum(p, FLOOR))))
    n_ok = groups.sum(np.ones(len(p)))
    none, single = n_ok == 0, n_ok == 1
    classes = np.array([n[2:] for n in names], object)
    values = {n: merged[:, k] for k, n in enumerate(names)} | {"p_max": merged.max(1), "entropy": entropy(merged)}
    values |= {n: groups.mean(table[n].to_numpy()) for n in table.column_names if n.startswith("pred_")}
    columns = {}
    for name in values.keys() & set(table.column_names):
        x = np.where(single, table[name].to_numpy()[best], values[name])  # the mean of one is exactly that one
        columns[name] = pa.array(x.astype(np.float32), mask=none)
    own = table["class"].take(pa.array(best)).combine_chunks()
    answer = pa.array(classes[np.where(none, 0, merged.argmax(1))], pa.string(), mask=none)
    columns["class"] = pc.if_else(pa.array(single), own, answer)
    n_obs = table["n_obs"].fill_null(0).to_numpy()
    return columns | {"n_obs": pa.array(np.where(none, n_obs[best], groups.sum(n_obs)).astype(np.int64))}


def _geometric(logarithms: Float) -> Float:
    """Return probabilities (n, C) of the means of their logarithms."""
    p = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)
