"""`Predictions`: one row per light curve, whatever became of it, and the files that other tools open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.tables import join

if TYPE_CHECKING:
    import pandas as pd


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
    Status.OUT_OF_ORDER: "an observation is older than the object's state",
    Status.UNREADABLE: "the file can't be read; the log tells why",
}

DESCRIPTIONS = {
    "object_id": "Identifier of the object",
    "status": "OK, or why the object could not be classified",
    "class": "Most probable class",
    "p_max": "Probability of the most probable class",
    "entropy": "Entropy of the mean probabilities [nat]",
    "mutual_information": "Part of the entropy due to the model's own uncertainty, over Monte-Carlo passes [nat]",
    "n_obs": "Observations used, after quality cuts and cleaning",
    "model": "Identifier of the model",
    "model_hash": "SHA-256 of the model's weights and configuration, first 12 digits",
}


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """A table of predictions with one row per light curve.

    Parameters
    ----------
    table : pyarrow.Table
        Columns ``object_id``, ``status``, ``class``, ``p_<CLASS>`` for each class, ``p_max``, ``std_<CLASS>`` (spread
        over Monte-Carlo passes), ``entropy``, ``mutual_information``, ``embedding`` (list of float32),
        ``pred_<NAME>`` (regressed parameters), ``n_obs``, ``model``, ``model_hash``, and the per-object columns of the
        light curves. Null wherever ``status`` is not OK.
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
            Per-object columns to carry along.
        parameters : dict of (n,), optional
            Regressed physical parameters by name.
        """
        ok = np.asarray(status) == Status.OK

        def numbers(x: Any, kind: pa.DataType | None = None) -> pa.Array:
            return pa.array(np.asarray(x), type=kind or pa.float32(), mask=~ok)

        best = probabilities.argmax(1) if len(ok) else np.zeros(0, int)
        names = np.array([str(c) for c in classes], dtype=object)
        columns: dict[str, Any] = {"object_id": object_id}
        columns["status"] = pa.array(np.asarray(status).astype(str).tolist(), pa.string())
        columns["class"] = pa.array(names[best], pa.string(), mask=~ok)
        columns |= {f"p_{c}": numbers(probabilities[:, k]) for k, c in enumerate(classes)}
        columns["p_max"] = numbers(probabilities.max(1, initial=0))
        if spread is not None:
            columns |= {f"std_{c}": numbers(spread[:, k]) for k, c in enumerate(classes)}
        columns["entropy"] = numbers(entropy(probabilities))
        if mutual_information is not None:
            columns["mutual_information"] = numbers(mutual_information)
        if embedding is not None and embedding.shape[1]:
            flat = pa.array(np.ascontiguousarray(embedding, np.float32).ravel())
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, embedding.shape[1], mask=pa.array(~ok))
        columns |= {f"pred_{name}": numbers(value) for name, value in (parameters or {}).items()}
        columns["n_obs"] = pa.array(np.asarray(n_obs), pa.int32())
        columns["model"] = pa.array([model] * len(ok), pa.string())
        columns["model_hash"] = pa.array([model_hash] * len(ok), pa.string())
        if objects is not None:
            columns |= {n: objects[n] for n in objects.column_names if n not in columns}
        return cls(pa.table(columns), tuple(classes))

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

    @staticmethod
    def check_format(path: str | Path) -> Callable[[Predictions, Path], None]:
        """Return the function that writes the format named by a file's suffix; see `write`."""
        suffix = Path(path).suffix.lower()
        if suffix not in _WRITERS:
            raise ValueError(f"{path}: can't write {suffix or 'a file without suffix'}; use {', '.join(_WRITERS)}")
        return _WRITERS[suffix]

    def write(self, path: str | Path) -> None:
        """Write to a file whose suffix names the format: .parquet, .csv, .ecsv, .fits or .vot.

        The file appears whole or not at all.

        Raises
        ------
        ValueError
            If the suffix is none of these.
        """
        path = Path(path)
        writer = self.check_format(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        try:
            writer(self, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the entropy [nat] of each row of ``probabilities`` (..., C)."""
    p = np.clip(np.asarray(probabilities, np.float64), 1e-300, 1)
    return -(p * np.log(p)).sum(-1)


def _parquet(predictions: Predictions, path: Path) -> None:
    import pyarrow.parquet as pq

    from goodricke import __version__

    meta = {"goodricke": __version__, "classes": ",".join(predictions.classes)}
    pq.write_table(predictions.table.replace_schema_metadata(meta), path, compression="zstd")


def _csv(predictions: Predictions, path: Path) -> None:
    import pyarrow.csv

    table = predictions.table
    kept = [name for name in table.column_names if not pa.types.is_nested(table[name].type)]
    pyarrow.csv.write_csv(pa.table({name: _plain(table[name]) for name in kept}), path)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as numbers, truth values or text: what every format can hold."""
    whole = column.combine_chunks()
    if pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_decode()
    if pa.types.is_float16(whole.type):
        return whole.cast(pa.float32())
    if pa.types.is_nested(whole.type) or pa.types.is_integer(whole.type) or pa.types.is_floating(whole.type):
        return whole
    return whole if pa.types.is_boolean(whole.type) else whole.cast(pa.string())


def _astropy(predictions: Predictions, path: Path) -> None:
    from astropy.table import Column, MaskedColumn, Table

    kind = {".fits": "fits", ".vot": "votable", ".ecsv": "ascii.ecsv"}[path.suffix.lower()]
    text = _ascii if kind == "fits" else str
    result = Table(meta={"MODEL": text((predictions.column("model").tolist() or [""])[0])})
    for field in predictions.table.schema:
        name, column = text(field.name), _plain(predictions.table[field.name])
        if pa.types.is_fixed_size_list(field.type) and pa.types.is_floating(field.type.value_type):
            width = field.type.list_size
            data = np.full((len(column), width), np.nan, np.float32)
            valid = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            data[valid] = column.drop_null().flatten().to_numpy().reshape(-1, width)
            result[name] = Column(data)
        elif pa.types.is_string(column.type):
            result[name] = Column(np.array([text(x or "") for x in column.to_pylist()], dtype=str))
        elif pa.types.is_floating(column.type):
            result[name] = Column(column.to_numpy(zero_copy_only=False))
        elif not pa.types.is_nested(column.type):
            mask = column.is_null().to_numpy(zero_copy_only=False)
            nothing = pa.scalar(0).cast(column.type)
            result[name] = MaskedColumn(column.fill_null(nothing).to_numpy(zero_copy_only=False), mask=mask)
        if name in result.colnames:
            result[name].description = text(describe(field.name))
    if kind == "ascii.ecsv":
        for name in [n for n in result.colnames if result[n].ndim > 1]:
            result.remove_column(name)
    result.write(path, format=kind, overwrite=True)


def _ascii(text: str) -> str:
    r"""Return text as FITS can hold it: anything but ASCII as an escape, such as ``\u03b4`` for a delta."""
    return str(text).encode("ascii", "backslashreplace").decode()


def describe(column: str) -> str:
    """Return what a column of `Predictions` holds, in a few words."""
    if column.startswith("p_") and column != "p_max":
        return f"Probability of class {column[2:]}"
    if column.startswith("std_"):
        return f"Standard deviation of p_{column[4:]} over Monte-Carlo passes"
    if column.startswith("pred_"):
        return f"Estimate of {column[5:]}, in the unit of the model's training set"
    return DESCRIPTIONS.get(column, "")


_WRITERS: dict[str, Callable[[Predictions, Path], None]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".ecsv": _astropy,
    ".fits": _astropy,
    ".vot": _astropy,
}
