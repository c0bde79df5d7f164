"""`Predictions`: a table with one row per light curve, classified or not, and its file formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data.arrow import join_tables
from goodricke.data.lightcurves import LightCurves, drawing
from goodricke.data.period_answer import MEASURED_COLUMNS, PERIOD_COLUMNS, PERIOD_MEANING, PeriodAnswer

if TYPE_CHECKING:
    import pandas as pd

    from goodricke.data.taxonomy import Taxonomy

NODE = "node_"  # prefix of the probabilities of a taxonomy's nodes; those of its leaves are p_<LEAF>
RESERVED = ("p_", "std_", "pred_", NODE)  # prefixes of the columns of model output only
NEW = "new?"  # marks an object that is unlike the training set
THRESHOLD = 0.7  # probability from which the deepest node or leaf of a taxonomy is the class
# columns that only some models have; columns of these names in other tables are not carried along
OPTIONAL = (
    "mutual_information",
    "aleatoric_entropy",
    "novelty",
    "prediction_set",
    "embedding",
    "fold_period",
    "n_points",
    "class_probability",
    "prediction_set_node",
    *PERIOD_COLUMNS,
    *MEASURED_COLUMNS,
)


class Status(StrEnum):
    """Whether an object was classified, and if not, the reason."""

    OK = "OK"
    EMPTY = "EMPTY"
    NON_FINITE = "NON_FINITE"
    TOO_FEW_POINTS = "TOO_FEW_POINTS"
    CONSTANT = "CONSTANT"
    NO_PERIOD = "NO_PERIOD"
    NOT_POSITIVE = "NOT_POSITIVE"
    TOO_SPARSE = "TOO_SPARSE"
    UNKNOWN_BAND = "UNKNOWN_BAND"
    WRONG_UNIT = "WRONG_UNIT"
    WRONG_PHOTOMETRY = "WRONG_PHOTOMETRY"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    UNREADABLE = "UNREADABLE"


MEANING = {
    Status.OK: "classified",
    Status.EMPTY: "the light curve has no observation, or the quality cut removed them all (see --quality)",
    Status.NON_FINITE: "every brightness is a limit, missing or infinite, or the numbers are too large to compute with",
    Status.TOO_FEW_POINTS: "fewer usable observations than the model needs",
    Status.CONSTANT: "all observations have the same brightness",
    Status.NO_PERIOD: "no period can be searched: the observations span too little time, or centuries",
    Status.NOT_POSITIVE: "a fifth or more of the fluxes are zero or negative and have no magnitude",
    Status.TOO_SPARSE: "sampled too sparsely for the detrending of a model of dense light curves",
    Status.UNKNOWN_BAND: "no observation is in a band of the model",
    Status.WRONG_UNIT: "the model can't use this unit: counts have no zero point, magnitudes are no fluxes (--unit)",
    Status.WRONG_PHOTOMETRY: "total photometry for a model of difference photometry, or the reverse (--flux)",
    Status.OUT_OF_ORDER: "an observation is older than the object's state",
    Status.UNREADABLE: "the file can't be read; see the log",
}


class ModelId(NamedTuple):
    """The identity of a model in each row."""

    name: str
    hash: str  # first digits of the SHA-256 of its files, empty if never saved
    classes: tuple[str, ...]  # C, in the order of the logits
    taxonomy: Taxonomy | None = None  # whose leaves are the classes


def _empty_array() -> NDArray[np.floating]:
    return np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Output:
    """The calibrated output of a model for n objects, as arrays; `Predictions.build` makes a table of it.

    Numbers are NaN for unusable objects.

    Parameters
    ----------
    probabilities : (n, C)
        Mean over Monte-Carlo passes, or of one pass.
    entropy : (n,)
        Of the probabilities [nat].
    logits : (n, C), optional
        Of one pass.
    embedding : (n, d), optional
    parameters : dict of (n,)
        Regressed physical parameters by name, each in its unit.
    spread : (n, C), optional
        Standard deviation over Monte-Carlo passes.
    mutual_information : (n,), optional
        Between class and network weights [nat]; with Monte-Carlo passes.
    novelty : (n,), optional
        From 0 to 1, see `goodricke.uncertainty.novelty`.
    prediction_set : bool (n, C), optional
        Which classes are in the set.
    coverage : (float, bool)
        Coverage of the prediction sets, and whether it holds in each class.
    periods : PeriodAnswer, optional
        Periods in the convention of the answered class.
    """

    probabilities: NDArray[np.floating]
    entropy: NDArray[np.floating]
    logits: NDArray[np.floating] = field(default_factory=_empty_array)
    embedding: NDArray[np.floating] = field(default_factory=_empty_array)
    parameters: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    spread: NDArray[np.floating] | None = None
    mutual_information: NDArray[np.floating] | None = None
    novelty: NDArray[np.floating] | None = None
    prediction_set: NDArray[np.bool_] | None = None
    coverage: tuple[float, bool] = (0.9, False)
    periods: PeriodAnswer | None = None

    @property
    def mode(self) -> Literal["one_pass", "monte_carlo"]:
        """The mode in which the probabilities were computed."""
        return "one_pass" if self.spread is None else "monte_carlo"

    def take(self, rows: NDArray[np.integer]) -> Output:
        """Return the output for the objects in ``rows``."""
        arrays = {name: x[rows] for name, x in vars(self).items() if isinstance(x, np.ndarray) and len(x)}
        parameters = {name: x[rows] for name, x in self.parameters.items()}
        periods = None if self.periods is None else self.periods.take(rows)
        return replace(self, **arrays, parameters=parameters, periods=periods)


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """A table of predictions with one row per light curve.

    Parameters
    ----------
    table : pyarrow.Table
        Columns ``object_id``, ``status``, ``class``, ``p_<CLASS>`` for each class, ``p_max``, ``std_<CLASS>`` (spread
        over Monte-Carlo passes), ``entropy``, ``mutual_information`` and ``aleatoric_entropy`` (its two parts),
        ``prediction_set`` (list of classes), ``novelty``, ``embedding`` (list of float32), ``pred_<NAME>`` (regressed
        parameters), the columns of `PeriodAnswer` or else ``fold_period`` [d], ``n_obs``, ``n_points``, ``model``,
        ``model_hash``, and the per-object columns of the light curves. Null wherever ``status`` is not OK.

        Of models with a taxonomy, ``class`` is the deepest node or leaf with a probability of at least `THRESHOLD`,
        ``class_probability`` its probability, ``leaf`` the most probable leaf (``p_max``), ``node_<NODE>`` the
        probabilities of the nodes below the root, and ``prediction_set_node`` the node that has just the leaves of the
        set.
    classes : tuple of str
        Names of the classes; for models with a taxonomy, of the leaves.
    curves : tuple of LightCurves
        Batches of the light curves of the first rows, in order, for `plot`, `fold` and `periodogram`; `classify` keeps
        what it was given.

    Examples
    --------
    >>> p, status = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array(["OK", "EMPTY"])
    >>> identity, n_obs = ModelId("my-model", "", ("EW", "RRAB")), np.array([120, 0])
    >>> names = pa.array(["A", "B"])
    >>> predictions = Predictions.build(Output(p, -(p * np.log(p)).sum(1)), identity, names, status, n_obs)
    >>> predictions
    Predictions(2 rows, 1 classified by my-model, 2 classes)
    object  class  p     obs
    A       EW     0.90  120
    B       EMPTY        0
    1 EMPTY: the light curve has no observation, or the quality cut removed them all (see quality=)
    >>> predictions["class"].tolist(), len(predictions[predictions.ok])
    (['EW', None], 1)
    """

    table: pa.Table
    classes: tuple[str, ...]
    curves: tuple[LightCurves, ...] = ()

    @classmethod
    def build(
        cls,
        output: Output,
        model: ModelId,
        object_id: pa.Array,
        status: NDArray[np.str_],
        n_obs: NDArray[np.integer],
        columns: Mapping[str, NDArray | None] | None = None,
        objects: pa.Table | None = None,
    ) -> Predictions:
        """Make predictions from a model's output; rows whose status is not OK are null.

        Parameters
        ----------
        output : Output
            Of n objects.
        model : ModelId
        object_id, status, n_obs : (n,)
        columns : dict of (n,), optional
            Columns of preprocessing: ``fold_period`` [d], left out where the model answers a period; ``n_points`` where
            points are not single observations; None for none.
        objects : pyarrow.Table, optional
            Per-object columns to carry along, except those with names of prediction columns.
        """
        ok, prepared_columns = np.asarray(status) == Status.OK.value, dict(columns or {})
        n, p = len(ok), output.probabilities
        names = np.array([str(c) for c in model.classes], dtype=object)
        table: dict[str, Any] = {"object_id": object_id}
        table["status"] = pa.array(np.asarray(status).astype(str).tolist(), pa.string())
        most_probable = pa.array(names[p.argmax(1) if n else np.zeros(0, int)], pa.string(), mask=~ok)
        table |= {"class": most_probable} if model.taxonomy is None else _answers(model.taxonomy, most_probable, p, ok)
        values = {f"p_{c}": p[:, k] for k, c in enumerate(model.classes)}
        values["p_max"] = p.max(1, initial=0)
        if model.taxonomy is not None:
            values |= _node_probabilities(model.taxonomy, p)
        if output.spread is not None:
            values |= {f"std_{c}": output.spread[:, k] for k, c in enumerate(model.classes)}
        values["entropy"] = output.entropy
        if output.mutual_information is not None:
            values["mutual_information"] = output.mutual_information
            values["aleatoric_entropy"] = output.entropy - output.mutual_information
        if output.novelty is not None:
            values["novelty"] = output.novelty
        table |= _numbers(values, ok)
        if output.prediction_set is not None:
            table["prediction_set"] = _sets(output.prediction_set & ok[:, None], ok, names)
            if model.taxonomy is not None:
                table["prediction_set_node"] = _set_nodes(model.taxonomy, output.prediction_set, ok)
        if output.embedding.shape[1]:
            flat = pa.array(np.ascontiguousarray(output.embedding, np.float32).ravel())
            mask = None if ok.all() else pa.array(~ok)
            table["embedding"] = pa.FixedSizeListArray.from_arrays(flat, output.embedding.shape[1], mask=mask)
        table |= _numbers({f"pred_{name}": x for name, x in output.parameters.items()}, ok)
        if output.periods is not None:
            table |= output.periods.columns(ok)
        elif (period := prepared_columns.get("fold_period")) is not None:
            table["fold_period"] = pa.array(period, pa.float64(), mask=~ok)
        table["n_obs"] = pa.array(np.asarray(n_obs, np.int32))
        if (n_points := prepared_columns.get("n_points")) is not None:
            table["n_points"] = pa.array(np.asarray(n_points, np.int32))
        table["model"], table["model_hash"] = pa.repeat(model.name, n), pa.repeat(model.hash, n)
        if objects is not None:
            reserved = {*table, *OPTIONAL}
            carried = [name for name in objects.column_names if name not in reserved and not name.startswith(RESERVED)]
            table |= {name: objects[name] for name in carried}
        about = {"prediction_set": {"description": _coverage_text(output.coverage)}}
        if output.periods is not None:
            about["period"] = {"description": PERIOD_MEANING}
        if model.taxonomy is not None:
            about |= taxonomy_metadata(model.taxonomy)
        return cls(_with_metadata(pa.table(table), about), tuple(model.classes))

    @classmethod
    def failed(cls, object_id: Sequence[str], status: Status, template: Predictions) -> Predictions:
        """Return rows with only an id and a status, and the columns of ``template``."""
        n = len(object_id)
        values = {
            "object_id": pa.array(list(object_id), pa.string()),
            "status": pa.array([str(status)] * n),
            "n_obs": pa.array(np.zeros(n, np.int32)),
        }
        columns = {f.name: values.get(f.name, pa.nulls(n, f.type)) for f in template.table.schema}
        return cls(pa.table(columns, schema=template.table.schema), template.classes)

    @staticmethod
    def concat(parts: Sequence[Predictions]) -> Predictions:
        """Join predictions of one model."""
        tables = [part.table for part in parts]
        complete = all(sum(map(len, part.curves)) == len(part) for part in parts)
        curves = tuple(batch for part in parts for batch in part.curves) if complete else ()
        return Predictions(join_tables(tables), parts[0].classes, curves)

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        from goodricke.data.notebook import predictions_text

        return predictions_text(self, self._summary())

    def _repr_html_(self) -> str:
        """Return a table of the first rows, for a notebook."""
        from goodricke.data.notebook import predictions_html

        return predictions_html(self, self._summary())

    def _summary(self) -> str:
        names = [name for name in self.table["model"].slice(0, 1).to_pylist() if name]
        model = f" by {names[0]}" if names else ""
        return f"Predictions({len(self)} rows, {int(self.ok.sum())} classified{model}, {len(self.classes)} classes)"

    @overload
    def __getitem__(self, which: str) -> NDArray: ...

    @overload
    def __getitem__(self, which: Any) -> Predictions: ...

    def __getitem__(self, which: Any) -> Predictions | NDArray:
        """Return a column by its name; or some rows: by an index (one row), a slice, indices (n',) or a mask (n,)."""
        if isinstance(which, str):
            return self.column(which)
        if isinstance(which, int | np.integer):
            if not -len(self) <= which < len(self):
                raise IndexError(f"row {which} of {len(self)}")
            which = [which]
        rows = np.arange(len(self))[which]
        return Predictions(self.table.take(pa.array(rows)), self.classes, self._curves_of(rows))

    def _curves_of(self, rows: NDArray[np.integer]) -> tuple[LightCurves, ...]:
        """Return the light curves of some rows, none where none are kept."""
        if not self.curves:
            return ()
        if len(self.curves) == 1 and len(self.curves[0]) == len(self):
            return (self.curves[0][rows],)
        return tuple(self.light_curve(int(row)) for row in rows)

    def light_curve(self, i: int) -> LightCurves:
        """Return the light curve of row ``i``; an empty one where its file couldn't be read.

        Raises
        ------
        ValueError
            If the predictions don't keep the light curves, as those read from a file.
        """
        if not self.curves:
            raise ValueError("these predictions keep no light curves. Fix: plot the light curves that were classified")
        i += len(self) if i < 0 else 0
        first = 0
        for batch in self.curves:
            if i < first + len(batch):
                return batch[i - first]
            first += len(batch)
        batch = self.curves[0][:0]
        return replace(
            batch, object_id=self.table["object_id"].slice(i, 1).combine_chunks(), **_one_without_points(batch)
        )

    # ---- figures ----------------------------------------------------------------------------------------------------

    def plot(self, i: int = 0) -> Any:
        """Draw object ``i``: light curve, periodogram, folded light curve, class probabilities.

        Returns
        -------
        matplotlib.figure.Figure
            Shown by a notebook; ``savefig(path)`` writes it.

        Raises
        ------
        ValueError
            If the predictions don't keep the light curves.
        """
        return drawing().draw_prediction(self.light_curve(i), self[i])

    def fold(self, i: int = 0) -> LightCurves:
        """Return the light curve of row ``i`` folded on its period, or else on the highest peak of its periodogram."""
        curve = self.light_curve(i)
        return curve.fold(drawing().folding_period(curve, self[i]))

    def periodogram(self, i: int = 0, shortest: float = 0.05) -> Any:
        """Return the periodogram of the light curve of row ``i``; see `LightCurves.periodogram`."""
        return self.light_curve(i).periodogram(0, shortest)

    # ---- columns ----------------------------------------------------------------------------------------------------

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which rows were classified, (n,)."""
        return self.column("status") == Status.OK

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Class probabilities (n, C), NaN where there are none."""
        return np.stack([self.column(f"p_{c}") for c in self.classes], 1).astype(np.float32)

    @property
    def spread(self) -> NDArray[np.float32]:
        """Standard deviation over Monte-Carlo passes (n, C).

        Raises
        ------
        KeyError
            If there was one pass only.
        """
        return np.stack([self.column(f"std_{c}") for c in self.classes], 1).astype(np.float32)

    def column(self, name: str) -> NDArray:
        """Return a column as a NumPy array; nulls are NaN or None."""
        return self.table[name].to_numpy()

    def to_pandas(self) -> pd.DataFrame:
        """Return a pandas table."""
        return self.table.to_pandas()

    def to_astropy(self) -> Any:
        """Return an astropy ``Table``; columns carry units and descriptions, nulls are masked."""
        from goodricke.data.formats.metadata import Rows, to_astropy

        return to_astropy(Rows.from_table(self.table, self.metadata))

    def write(self, path: str | Path) -> None:
        """Write to a file whose suffix names the format: .parquet, .csv, .ecsv, .fits or .vot.

        The file appears completely or not at all.

        Raises
        ------
        ValueError
            If the suffix is none of these.
        """
        from goodricke.data import formats

        formats.write(formats.Rows.from_table(self.table, self.metadata), path)

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of a file (version, classes, model)."""
        from goodricke import __version__

        first = self.table.slice(0, 1).select([n for n in ("model", "model_hash") if n in self.table.column_names])
        common = {"goodricke": __version__, "classes": ",".join(self.classes)}
        return common | {k: str(v) for row in first.to_pylist() for k, v in row.items() if v}


def _one_without_points(empty: LightCurves) -> dict[str, Any]:
    """Return what makes one light curve without observations of a batch without light curves."""
    objects = None if empty.objects is None else pa.table({f.name: pa.nulls(1, f.type) for f in empty.objects.schema})
    return {"offsets": np.zeros(2, np.int64), "objects": objects}


def _numbers(named: Mapping[str, NDArray[np.floating]], ok: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Return columns of float32 of arrays (n,), null where not ``ok`` (n,); they share one mask."""
    block = np.empty((len(named), len(ok)), np.float32)
    with np.errstate(over="ignore"):
        for row, x in zip(block, named.values(), strict=True):
            row[:] = x
    valid = None if ok.all() else pa.py_buffer(np.packbits(ok, bitorder="little"))
    buffers = ([valid, pa.py_buffer(row)] for row in block)
    return {name: pa.Array.from_buffers(pa.float32(), len(ok), both) for name, both in zip(named, buffers, strict=True)}


def _sets(member: NDArray[np.bool_], ok: NDArray[np.bool_], names: NDArray[np.object_]) -> pa.Array:
    """Return the names (C,) of the members (n, C) as lists, null where not ``ok`` (n,)."""
    flat = pa.DictionaryArray.from_arrays(np.nonzero(member)[1].astype(np.int32), pa.array(names, pa.string()))
    ends = np.concatenate([[0], np.cumsum(member.sum(1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), flat.dictionary_decode(), mask=pa.array(~ok))


def _answers(taxonomy: Taxonomy, leaf: pa.Array, p: NDArray[np.floating], ok: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Return the columns of the deepest nodes or leaves that are probable enough, and of the most probable leaves."""
    name, probability = taxonomy.answers(p, THRESHOLD)
    columns = {"class": pa.array(name, pa.string(), mask=~ok)}
    return columns | _numbers({"class_probability": probability}, ok) | {"leaf": leaf}


def _node_probabilities(taxonomy: Taxonomy, p: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    """Return the probabilities of the nodes below the root, whose own is one."""
    values = zip(taxonomy.nodes, taxonomy.node_probabilities(p).T, strict=True)
    return {f"{NODE}{name}": column for name, column in values if name != taxonomy.root}


def _set_nodes(taxonomy: Taxonomy, member: NDArray[np.bool_], ok: NDArray[np.bool_]) -> pa.Array:
    """Return the node that has just the leaves of each set (n, C), null where there is none or a single leaf."""
    sets, index = np.unique(member, axis=0, return_inverse=True)
    names = [_set_node(taxonomy, one) if one.sum() > 1 else None for one in sets]
    of_rows = np.array([*names, None], object)[:-1][index.ravel()]
    return pa.array(of_rows, pa.string(), mask=~ok)


def _set_node(taxonomy: Taxonomy, member: NDArray[np.bool_]) -> str | None:
    """Return the node that has just the leaves of a set (C,); of all leaves, what such an answer is called."""
    from goodricke.data.taxonomy import UNCERTAIN

    return UNCERTAIN if member.all() else taxonomy.set_name(member)


def taxonomy_metadata(taxonomy: Taxonomy) -> dict[str, dict[str, str]]:
    """Return what the columns of a taxonomy hold; ``leaves`` of a node make the tree known to readers of the table."""
    about = {
        "class": {
            "description": f"Deepest node or leaf of the taxonomy with a probability of at least {THRESHOLD:g}; "
            "uncertain where there is none"
        },
        "p_max": {"description": "Probability of the most probable leaf"},
    }
    leaves = list(taxonomy.leaves)
    for name in taxonomy.nodes:
        members = [leaves[k] for k in taxonomy.members(name)]
        about[f"{NODE}{name}"] = {"description": f"Probability of {' or '.join(members)}", "leaves": "|".join(members)}
    return about


def _coverage_text(coverage: tuple[float, bool]) -> str:
    """Return the description of a column of prediction sets."""
    level, per_class = coverage
    group = "each class" if per_class else "all objects"
    return f"Classes, the true one among them for {100 * level:g} % of {group} like those of the training set"


def _with_metadata(table: pa.Table, about: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Return the table with metadata of those of the columns that it has."""
    return table.cast(pa.schema([f.with_metadata(about[f.name]) if f.name in about else f for f in table.schema]))
