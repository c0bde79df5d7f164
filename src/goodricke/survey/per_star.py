r"""One row per star of a catalog with one per light curve: the best of its light curves, or the mean of them.

``best``: the row of the classified light curve with the largest ``p_max``; of equal ones that with more observations.

``mean``: over the :math:`n` classified light curves of a star,

.. math:: p_c = \frac{\exp(\frac{1}{n} \sum_i \ln p_{ic})}{\sum_k \exp(\frac{1}{n} \sum_i \ln p_{ik})},

a geometric mean: the result doesn't become more certain with the number of light curves, which share the star and the
instrument. Probabilities below 1e-9 count as 1e-9: one light curve can make a class improbable but can't rule it
out. Of a model with a taxonomy, ``class``, ``class_probability``, ``leaf`` and the probabilities of nodes are those of
the mean. ``n_obs`` is the sum, ``pred_`` columns are the mean; what belongs to one run of the network over one light
curve (``std_``, ``mutual_information``, ``aleatoric_entropy``, ``prediction_set``) is left out; all other columns, the
embedding too, are those of the best light curve.

Of answered periods it is the one in which most light curves agree, to 1 % or three standard errors: their mean,
weighted by the errors; ``n_same_period`` counts them.

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
from goodricke.data.period_answer import MEASURED_COLUMNS, PERIOD_COLUMNS, PERIOD_PROBABILITY
from goodricke.data.predictions import NODE, THRESHOLD, Predictions, Status
from goodricke.data.taxonomy import UNCERTAIN, deepest_group
from goodricke.models.bundle import Model
from goodricke.uncertainty.calibration import Mode
from goodricke.uncertainty.entropy import entropy
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

How = Literal["best", "mean"]
FLOOR = 1e-9
PLACES = ("sector", "quarter", "campaign", "camera", "ccd", "source")  # of one light curve, not of a star
SAME = 0.01  # relative difference of two periods that are the same, or so many standard errors:
SAME_ERRORS = 3.0
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
            merged = new.slice(first, last - first)
            yield _replace_columns(_without_others(part, merged), merged)
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


def _without_others(part: pa.Table, merged: pa.Table) -> pa.Table:
    """Return the best light curves without the other periods of those whose own period isn't that of the star."""
    if "period" not in merged.column_names:
        return part
    own, star = (t["period"].to_numpy().astype(np.float64) for t in (part, merged))
    with np.errstate(invalid="ignore"):
        differs = pa.array(~(np.abs(own / star - 1) < SAME))
    for name in [n for n in part.column_names if n.startswith("period_alternative")]:
        field = part.schema.field(name)
        column = pc.if_else(differs, pa.scalar(None, field.type), part[name].combine_chunks())
        part = part.set_column(part.column_names.index(name), field, column)
    return part


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
    texts = {"class": classes[merged.argmax(1)]}
    if "leaf" in table.column_names:
        answers, numbers = _taxonomy_columns(table.schema, classes, merged)
        texts, values = texts | {"leaf": texts["class"]} | answers, values | numbers
    columns = {}
    for name in values.keys() & set(table.column_names):
        x = np.where(single, table[name].to_numpy()[best], values[name])  # the mean of one is exactly that one
        columns[name] = pa.array(x.astype(np.float32), mask=none)
    for name, text in texts.items():
        own = table[name].take(pa.array(best)).combine_chunks()
        columns[name] = pc.if_else(pa.array(single), own, pa.array(text, pa.string(), mask=none))
    if PERIOD_PROBABILITY in table.column_names:
        columns |= _mean_periods(table, groups, best)
    n_obs = table["n_obs"].fill_null(0).to_numpy()
    return columns | {"n_obs": pa.array(np.where(none, n_obs[best], groups.sum(n_obs)).astype(np.int64))}


def _taxonomy_columns(
    schema: pa.Schema, leaves: NDArray[np.object_], p: Float
) -> tuple[dict[str, NDArray[np.object_]], dict[str, Float]]:
    """Return the class, and the probabilities of class and nodes, that probabilities of leaves (n, L) give.

    The columns of nodes say in their metadata which leaves they have (see `goodricke.data.predictions`).
    """
    nodes = {}
    for field in schema:
        members = (field.metadata or {}).get(b"leaves", b"").decode().split("|")
        if field.name.startswith(NODE) and members != [""]:
            nodes[field.name] = np.isin(leaves.astype(str), members)
    everything = [np.ones(len(leaves), bool)]
    members_of = np.array([*everything, *nodes.values(), *np.eye(len(leaves), dtype=bool)])
    names = np.array([UNCERTAIN, *(name.removeprefix(NODE) for name in nodes), *leaves], object)
    best, probability = deepest_group(members_of, p, THRESHOLD)
    numbers = {name: p @ mask for name, mask in nodes.items()}
    return {"class": names[best]}, numbers | {"class_probability": probability}


def _mean_periods(table: pa.Table, groups: Groups, best: Int) -> dict[str, pa.Array]:
    """Return the period of each star in which most of its light curves agree, and the columns that belong to it."""
    period, error = (table[name].to_numpy().astype(np.float64) for name in ("period", "period_error"))
    representative, count = best.copy(), np.zeros(len(best), np.int32)
    merged, merged_error = period[best], error[best]
    ends = np.r_[groups.starts[1:], len(groups.order)]
    for star, (first, last) in enumerate(zip(groups.starts, ends, strict=True)):
        rows = groups.order[first:last][groups.ok[first:last]]
        rows = rows[np.isfinite(period[rows])]
        if not len(rows):
            continue
        same = _same_period(period[rows], error[rows])
        chosen = int(same.sum(1).argmax())  # of equal counts that of the best light curve
        agreeing = rows[same[chosen]]
        representative[star], count[star] = rows[chosen], len(agreeing)
        merged[star], merged_error[star] = _weighted_mean(period[agreeing], error[agreeing])
    missing = ~np.isfinite(merged)
    names = [n for n in (*PERIOD_COLUMNS, *MEASURED_COLUMNS) if n in table.column_names and n != "period_error"]
    columns = {name: table[name].take(pa.array(representative)).combine_chunks() for name in names}
    return columns | {
        "period": pa.array(merged, pa.float64(), mask=missing),
        "period_error": pa.array(merged_error, pa.float64(), mask=missing | ~np.isfinite(merged_error)),
        "n_same_period": pa.array(count, pa.int32()),
    }


def _same_period(period: Float, error: Float) -> NDArray[np.bool_]:
    """Return which of the periods (k,) are the same, (k, k)."""
    difference = np.abs(period[:, None] - period)
    known = np.nan_to_num(error)
    return difference <= np.maximum(SAME * period, SAME_ERRORS * np.hypot(known[:, None], known))


def _weighted_mean(period: Float, error: Float) -> tuple[float, float]:
    """Return the mean of periods by their errors, and its error, larger where they scatter more than their errors."""
    if len(period) == 1:
        return float(period[0]), float(error[0])
    if not (error > 0).all():
        return float(period.mean()), float(period.std(ddof=1) / np.sqrt(len(period)))
    weight = 1 / error**2
    mean = float((weight * period).sum() / weight.sum())
    scatter = float((weight * (period - mean) ** 2).sum() / (len(period) - 1))
    return mean, float(np.sqrt(max(scatter, 1.0) / weight.sum()))


def _geometric(logarithms: Float) -> Float:
    """Return probabilities (n, C) of the means of their logarithms."""
    p = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


# ---- predictions ----------------------------------------------------------------------------------------------------


def one_per_star(predictions: Predictions, model: Model, coverage: Coverage = COVERAGE) -> Predictions:
    """Return one verdict per star from predictions of its light curves: sectors, quarters, bands.

    It is the mean of all; see the module. The prediction set is that of the mean probabilities. Sectors and the like
    are null where several were merged.

    Parameters
    ----------
    predictions : Predictions
    model : Model
        That made them.
    coverage : Coverage
        Of the prediction sets.
    """
    table = per_star(Rows.from_table(predictions.table, predictions.metadata), "mean").table()
    several = pa.array(table["n_light_curves"].to_numpy() > 1)
    for name in [n for n in PLACES if n in table.column_names]:
        field = table.schema.field(name)
        column = pc.if_else(several, pa.scalar(None, field.type), table[name].combine_chunks())
        table = table.set_column(table.column_names.index(name), field, column)
    result = Predictions(table, predictions.classes)
    if "prediction_set" in predictions.table.column_names:
        table = _with_sets(result, predictions, model, coverage)
    return Predictions(table, predictions.classes)


def _with_sets(stars: Predictions, light_curves: Predictions, model: Model, coverage: Coverage) -> pa.Table:
    """Return the table of stars with the prediction sets of their probabilities."""
    mode: Mode = "monte_carlo" if f"std_{stars.classes[0]}" in light_curves.table.column_names else "one_pass"
    name = "n_points" if "n_points" in stars.table.column_names else "n_obs"
    points = stars.table[name].fill_null(0).to_numpy()
    member = model.prediction_sets(mode, stars.probabilities.astype(np.float64), points, coverage)
    if member is None:
        return stars.table
    names = np.array(stars.classes, object)
    sets = [names[own].tolist() if ok else None for own, ok in zip(member, stars.ok, strict=True)]
    field = light_curves.table.schema.field("prediction_set")
    return stars.table.append_column(field, pa.array(sets, field.type))
