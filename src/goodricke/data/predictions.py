"""`Predictions`: one row per light curve, whatever became of it, and the files that other tools open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import formats
from goodricke.data.arrow import join
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

if TYPE_CHECKING:
    import pandas as pd


RESERVED = ("p_", "std_", "pred_")  # how the columns of a model's numbers begin, and no others
# columns that not every model makes; another table's are not taken for them
OPTIONAL = (
    "mutual_information",
    "aleatoric_entropy",
    "novelty",
    "prediction_set",
    "embedding",
    "fold_period",
    "n_points",
)


class Status(StrEnum):
    """Why an object has, or has not, been classified."""

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
    OUT_OF_ORDER = "OUT_OF_ORDER"
    UNREADABLE = "UNREADABLE"


MEANING = {
    Status.OK: "classified",
    Status.EMPTY: "the light curve has no observation, or the quality cut removed them all (see --quality)",
    Status.NON_FINITE: "every brightness is NaN or infinite, or the numbers are too large to compute with",
    Status.TOO_FEW_POINTS: "fewer usable observations than the model needs",
    Status.CONSTANT: "all observations have the same brightness",
    Status.NO_PERIOD: "no period can be searched: the observations span too little time, or centuries",
    Status.NOT_POSITIVE: "a fifth or more of the fluxes are zero or negative and have no magnitude",
    Status.TOO_SPARSE: "sampled too sparsely for the detrending of a model of dense light curves",
    Status.UNKNOWN_BAND: "no observation is in a band that the model knows",
    Status.WRONG_UNIT: "the model can't take this unit: counts have no zero point, magnitudes are no fluxes (--unit)",
    Status.OUT_OF_ORDER: "an observation is older than the object's state",
    Status.UNREADABLE: "the file can't be read; the log tells why",
}


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """A table of predictions with one row per light curve.

    Parameters
    ----------
    table : pyarrow.Table
        Columns ``object_id``, ``status``, ``class``, ``p_<CLASS>`` for each class, ``p_max``, ``std_<CLASS>`` (spread
        over Monte-Carlo passes), ``entropy``, ``mutual_information`` and ``aleatoric_entropy`` (its two parts),
        ``prediction_set`` (list of classes), ``novelty``, ``embedding`` (list of float32), ``pred_<NAME>`` (regressed
        parameters), ``fold_period`` [d], ``n_obs``, ``n_points``, ``model``, ``model_hash``, and the per-object columns
        of the light curves. Null wherever ``status`` is not OK.
    classes : tuple of str
    """

    table: pa.Table
    classes: tuple[str, ...]

    @classmethod
    def build(
        cls,
        object_id: pa.Array,
        status: NDArray[np.str_],
        classes: Sequence[str],
        probabilities: NDArray[np.floating],
        n_obs: NDArray[np.integer],
        spread: NDArray[np.floating] | None = None,
        mutual_information: NDArray[np.floating] | None = None,
        embedding: NDArray[np.floating] | None = None,
        model: str = "",
        model_hash: str = "",
        objects: pa.Table | None = None,
        parameters: Mapping[str, NDArray[np.floating]] | None = None,
        n_points: NDArray[np.integer] | None = None,
        novelty: NDArray[np.floating] | None = None,
        prediction_set: NDArray[np.bool_] | None = None,
        coverage: Coverage = COVERAGE,
        fold_period: NDArray[np.float64] | None = None,
    ) -> Predictions:
        """Make predictions from arrays; rows whose status is not OK are nulled whatever they hold.

        Parameters
        ----------
        object_id, status : (n,)
        classes : (C,)
        probabilities : (n, C)
            Mean over Monte-Carlo passes, or of the one pass.
        n_obs : (n,)
        spread : (n, C), optional
            Standard deviation over Monte-Carlo passes.
        mutual_information : (n,), optional
            In nat.
        embedding : (n, d), optional
        model, model_hash : str
        objects : pyarrow.Table, optional
            Per-object columns to carry along, but for those that could be taken for a prediction's.
        parameters : dict of (n,), optional
            Regressed physical parameters by name.
        n_points : (n,), optional
            Points that the network was given, where that isn't one for each observation.
        novelty : (n,), optional
            From 0 to 1, see `goodricke.uncertainty.novelty`.
        prediction_set : bool (n, C), optional
            Which classes are in it.
        coverage : Coverage
            What is promised of the sets.
        fold_period : (n,), optional
            On which the light curves were folded [d].
        """
        ok = np.asarray(status) == Status.OK.value
        n, whole = len(ok), bool(ok.all())
        best = probabilities.argmax(1) if n else np.zeros(0, int)
        names = np.array([str(c) for c in classes], dtype=object)
        columns: dict[str, Any] = {"object_id": object_id}
        columns["status"] = pa.array(np.asarray(status).astype(str).tolist(), pa.string())
        columns["class"] = pa.array(names[best], pa.string(), mask=~ok)
        values = {f"p_{c}": probabilities[:, k] for k, c in enumerate(classes)}
        values["p_max"] = probabilities.max(1, initial=0)
        if spread is not None:
            values |= {f"std_{c}": spread[:, k] for k, c in enumerate(classes)}
        values["entropy"] = entropy(probabilities)
        if mutual_information is not None:
            values["mutual_information"] = mutual_information
            values["aleatoric_entropy"] = values["entropy"] - mutual_information
        if novelty is not None:
            values["novelty"] = novelty
        columns |= _numbers(values, ok)
        if prediction_set is not None:
            columns["prediction_set"] = _sets(prediction_set & ok[:, None], ok, names)
        if embedding is not None and embedding.shape[1]:
            flat = pa.array(np.ascontiguousarray(embedding, np.float32).ravel())
            mask = None if whole else pa.array(~ok)
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1], mask=mask)
        if parameters:
            columns |= _numbers({f"pred_{name}": x for name, x in parameters.items()}, ok)
        if fold_period is not None:
            columns["fold_period"] = pa.array(fold_period, pa.float64(), mask=~ok)
        columns["n_obs"] = pa.array(np.asarray(n_obs, np.int32))
        if n_points is not None:
            columns["n_points"] = pa.array(np.asarray(n_points, np.int32))
        columns["model"], columns["model_hash"] = pa.repeat(model, n), pa.repeat(model_hash, n)
        if objects is not None:
            taken = {*columns, *OPTIONAL}
            own = [n for n in objects.column_names if n not in taken and not n.startswith(RESERVED)]
            columns |= {n: objects[n] for n in own}
        return cls(_told(pa.table(columns), coverage), tuple(classes))

    @classmethod
    def failed(cls, object_id: Sequence[str], status: Status, like: Predictions) -> Predictions:
        """Return rows with only an id and a status, shaped to be joined with ``like``."""
        n = len(object_id)
        known = {
            "object_id": pa.array(list(object_id), pa.string()),
            "status": pa.array([str(status)] * n),
            "n_obs": pa.array(np.zeros(n, np.int32)),
        }
        columns = {f.name: known.get(f.name, pa.nulls(n, f.type)) for f in like.table.schema}
        return cls(pa.table(columns, schema=like.table.schema), like.classes)

    @staticmethod
    def concat(parts: Sequence[Predictions]) -> Predictions:
        """Join predictions of one model."""
        tables = [part.table for part in parts]
        return Predictions(join(tables), parts[0].classes)

    def __len__(self) -> int:
        return self.table.num_rows

    def __repr__(self) -> str:
        return f"Predictions({len(self)} rows, {int(self.ok.sum())} classified, classes {', '.join(self.classes)})"

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

    def write(self, path: str | Path) -> None:
        """Write to a file whose suffix names the format: .parquet, .csv, .ecsv, .fits or .vot.

        The file appears whole or not at all.

        Raises
        ------
        ValueError
            If the suffix is none of these.
        """
        formats.write(formats.Rows.of(self.table, self.about), path)

    @property
    def about(self) -> dict[str, str]:
        """What is said of the whole in a file's metadata."""
        from goodricke import __version__

        first = self.table.slice(0, 1).select([n for n in ("model", "model_hash") if n in self.table.column_names])
        told = {"goodricke": __version__, "classes": ",".join(self.classes)}
        return told | {k: str(v) for row in first.to_pylist() for k, v in row.items() if v}


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy [nat] of each row of ``probabilities`` (..., C)."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-300, 1)
    return -(p * np.log(p)).sum(-1)


def _numbers(named: Mapping[str, NDArray[np.floating]], ok: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Return columns of float32 of arrays (n,), null where not ``ok`` (n,); a mask for each would take four times."""
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


def _told(table: pa.Table, coverage: Coverage) -> pa.Table:
    """Write what is promised of the prediction sets where every format shows it."""
    place = table.schema.get_field_index("prediction_set")
    if place < 0:
        return table
    coverage = Coverage(*coverage)  # from a plain pair, too
    of = "each class" if coverage.per_class else "all objects"
    text = f"Classes, the true one among them for {100 * coverage.level:g} % of {of} like those of the training set"
    return table.cast(table.schema.set(place, table.schema.field(place).with_metadata({"description": text})))
