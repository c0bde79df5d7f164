"""State per object: update a multi-band model with new observations, at a cost independent of the light curve's length.

The state of n objects is one flat array of records (`layout`), a few kB each: the object's last observations and the
cells of its recurrent networks. After every observation the output is that of the complete light curve so far. An
observation older than the state is refused; the caller may rebuild the object from its history.

A record, little-endian and without padding, for B bands, L band layers, K central layers and h hidden units, with
cells in float32 or float16 (``*``)::

    time         f8          of the last observation used, in any band [d]
    wait         f4          log10 of the time from the previous observation to the last step [d]
    band         i2          of the last observation, -1 before the first
    refused      u2          observations refused because they were older than the state
    bands        B times:
      count      u4          observations
      time       f8          of the last one [d]
      log_since  f4          log10 of the time since the previous one [d]
      magnitude  f8          of the last one
      change     f4          since the previous one
      mean       f8          of all magnitudes so far
    band_cells   * B x 2 x L x h     hidden and cell states
    central_cells * 2 x K x h

As bytes, an object's state holds a header (magic, version, bytes of a cell, number of bands), the record without cells,
one byte per band that says whether it has had a step, and the cells of these bands and, if there are any, of the
central network. Objects with steps in the same bands have bytes of the same layout and are read and written as one
array.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Output
from goodricke.models.multiband import MultibandNetworkConfig
from goodricke.models.multiband_step import Stepper
from goodricke.preprocess.cleaning import finite_points
from goodricke.preprocess.multiband import (
    WINDOW,
    MultibandConfig,
    colours,
    select_bands,
    sort_steps,
    step_window,
    to_magnitudes,
    usable_error,
)

_BAND = [
    ("count", "<u4"),
    ("time", "<f8"),
    ("log_since", "<f4"),
    ("magnitude", "<f8"),
    ("change", "<f4"),
    ("mean", "<f8"),
]


def layout(config: MultibandNetworkConfig, half: bool = False) -> np.dtype:
    """Return the record of one object; see the module's text."""
    cell, h = ("<f2" if half else "<f4"), config.hidden
    return np.dtype(
        [
            ("time", "<f8"),
            ("wait", "<f4"),
            ("band", "<i2"),
            ("refused", "<u2"),
            ("bands", np.dtype(_BAND), (config.bands,)),
            ("band_cells", cell, (config.bands, 2, config.band_layers, h)),
            ("central_cells", cell, (2, config.central_layers, h)),
        ]
    )


@dataclass(frozen=True, eq=False)
class State:
    """The state of n objects.

    Parameters
    ----------
    records : structured array (n,)
        See `layout`.
    """

    records: NDArray[np.void]

    @classmethod
    def empty(cls, n: int, config: MultibandNetworkConfig, half: bool = False) -> State:
        """Return the state of ``n`` objects before their first observation."""
        records = np.zeros(n, layout(config, half))
        records["band"] = -1
        return cls(records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> State:
        """Return the state of the objects at ``rows``."""
        return State(self.records[rows])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of observations used of each object, (n,)."""
        return self.records["bands"]["count"].sum(1, dtype=np.int64)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Number of steps taken by each object, (n,)."""
        return count_steps(self.records["bands"]["count"].astype(np.int64))

    @property
    def half(self) -> bool:
        """Whether the cells are kept in float16."""
        return self.records.dtype["central_cells"].base.itemsize == 2

    def tobytes(self) -> list[bytes]:
        """Return each object's state as bytes; see the module's text."""
        return to_bytes(self.records, self.records["bands"]["count"] > WINDOW)

    @classmethod
    def frombytes(cls, parts: Sequence[bytes], config: MultibandNetworkConfig) -> State:
        """Return the state of objects from their `tobytes`, for a model of the same sizes.

        Raises
        ------
        ValueError
            If the bytes are of another version or model, or incomplete.
        """
        state = cls.empty(len(parts), config, len(parts) > 0 and cell_bytes(parts[0]) == 2)
        fill(state.records, parts)
        return state


def count_steps(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of steps (n,) from the number of observations in each band, (n, bands)."""
    return np.maximum(counts - WINDOW, 0).sum(1)


# ---- new observations ---------------------------------------------------------------------------------------------


class _Observations(NamedTuple):
    """Observations of B objects."""

    row: NDArray[np.integer]  # (B,) into the state
    band: NDArray[np.int64]
    time: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    error: NDArray[np.float64]

    def take(self, which: NDArray) -> _Observations:
        """Return the observations at ``which``, indices or a mask."""
        return _Observations(*(x[which] for x in self))


def advance(
    steps: Stepper, config: MultibandConfig, state: State, curves: LightCurves, rows: NDArray[np.integer]
) -> tuple[State, NDArray[np.bool_]]:
    """Update the state with new observations.

    Parameters
    ----------
    steps, config
        Of one model.
    state : State
        Of n objects; not changed.
    curves : LightCurves
        New observations of m objects, any number of each; those not finite or not in the model's bands are dropped.
    rows : int (m,)
        Index of each light curve's object among the n, each once.

    Returns
    -------
    State
    late : bool (m,)
        Which objects have an observation older than their state; it was refused, later ones were used.

    Raises
    ------
    ValueError
        If an object occurs twice, or the unit can't be converted to the model's magnitudes.
    """
    if len(set(rows.tolist())) < len(rows):
        raise ValueError("an object occurs twice. Fix: put its new observations into one light curve")
    records, late = state.records.copy(), np.zeros(len(state), bool)
    for points in _one_per_object(curves, config, rows):
        late[_advance_once(steps, config, records, points)] = True
    return State(records), late[rows]


def _one_per_object(curves: LightCurves, config: MultibandConfig, rows: NDArray[np.integer]) -> Iterator[_Observations]:
    """Yield every object's first usable observation, every object's second, and so on, in order of time and band."""
    curves = finite_points(to_magnitudes(curves, config))
    if curves.bands != config.bands:
        curves = select_bands(curves, config)
    several = (curves.n_obs > 1).any()
    if several:
        curves = sort_steps(curves)
    owner, error = ragged.owner(curves.offsets), usable_error(curves.error, config)
    points = _Observations(
        rows[owner], curves.band.astype(np.int64), curves.time, curves.value.astype(np.float64), error
    )
    if not several:
        return iter([points] if len(owner) else [])
    place = np.arange(len(owner)) - curves.offsets[owner]
    order, ends = np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))
    return (points.take(order[end - count : end]) for count, end in zip(np.bincount(place), ends, strict=True))


def _advance_once(
    steps: Stepper, config: MultibandConfig, records: NDArray[np.void], now: _Observations
) -> NDArray[np.integer]:
    """Update the records with at most one observation per object, in place; return the rows of refused ones."""
    state, time, band = records["bands"][now.row, now.band], records["time"][now.row], records["band"][now.row]
    repeated = (state["count"] > 0) & (now.time == state["time"])  # the same band and time: used already
    is_later = (now.time > time) | ((now.time == time) & (now.band > band)) | (band < 0)
    late = now.row[~is_later & ~repeated]
    records["refused"][late] += 1
    new = is_later & ~repeated
    if not new.all():
        now, state, time, band = now.take(new), state[new], time[new], band[new]
    first = state["count"] == 0
    log_since = np.log10(np.maximum(np.where(first, 0.0, now.time - state["time"]), config.shortest))
    change = np.where(first, 0.0, now.magnitude - state["magnitude"])
    window = step_window(config, state["log_since"], log_since, state["change"], change, now.magnitude, now.error)
    wait = np.log10(np.maximum(np.where(band < 0, 0.0, now.time - time), config.shortest))
    state["count"] += 1
    state["mean"] += (now.magnitude - state["mean"]) / state["count"]
    state["time"], state["magnitude"], state["log_since"], state["change"] = now.time, now.magnitude, log_since, change
    records["time"][now.row], records["band"][now.row], records["bands"][now.row, now.band] = now.time, now.band, state
    step = np.flatnonzero(state["count"] > WINDOW)
    records["wait"][now.row[step]] = wait[step]
    for b in set(now.band[step].tolist()):
        in_band = step[now.band[step] == b]
        _step(steps, records, b, now.row[in_band], window[in_band])
    return late


def _step(steps: Stepper, records: NDArray[np.void], b: int, rows: NDArray[np.integer], window: NDArray) -> None:
    """Take one step of the objects ``rows`` in band ``b``, in place."""
    band_cells, central_cells = records["band_cells"][rows, b], records["central_cells"][rows]
    after = steps.step(b, *(x.astype(np.float32, copy=False) for x in (window, band_cells, central_cells)))
    records["band_cells"][rows, b], records["central_cells"][rows] = after


# ---- output -------------------------------------------------------------------------------------------------------


class Update(NamedTuple):
    """States of n objects, and the output for m of them, after an update (`goodricke.models.bundle.Model.update`)."""

    state: State  # of the n objects
    status: NDArray[np.str_]  # (m,); the output holds where it is OK
    late: NDArray[np.bool_]  # (m,) an observation was older than the state and was refused
    n_obs: NDArray[np.int64]  # (m,) observations used so far
    output: Output  # of the m objects


def read_out(
    steps: Stepper,
    config: MultibandConfig,
    state: State,
    rows: NDArray[np.integer],
    context: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (m, C), embeddings (m, d) and standardised targets (m, k) of objects in their present state.

    Parameters
    ----------
    steps, config, state
    rows : int (m,)
        Indices of the objects.
    context : float32 (m, columns), optional
        Context columns, NaN where unknown, if the configuration has any.
    """
    records = state.records
    bands = records["bands"][rows]
    means = np.where(bands["count"] > WINDOW, bands["mean"], np.nan)
    parts = [colours(means, config), records["wait"][rows, None], *([] if context is None else [context])]
    extras = np.concatenate(parts, 1, dtype=np.float32)
    return steps.read_out(records["central_cells"][rows, 0].astype(np.float32, copy=False), extras)


def stream_status(counts: NDArray[np.int64], config: MultibandConfig, late: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the status of objects (n,) after an update, from their observations in each band (n, bands)."""
    status = np.full(len(counts), "OK", "<U14")
    status[count_steps(counts) < config.fewest] = "TOO_FEW_POINTS"
    status[counts.sum(1) == 0] = "EMPTY"
    status[late] = "OUT_OF_ORDER"
    return status


# ---- states as bytes ----------------------------------------------------------------------------------------------


VERSION = 2
HEADER = struct.Struct("<4sHBB")  # magic, version, bytes of a cell, number of bands
MAGIC = b"gkmb"
PLAIN_FIELDS = ("time", "wait", "band", "refused", "bands")


def to_bytes(records: NDArray[np.void], stepped: NDArray[np.bool_]) -> list[bytes]:
    """Return each object's bytes.

    Parameters
    ----------
    records : structured array (n,)
        Of `goodricke.models.recurrent_state.layout`.
    stepped : bool (n, bands)
        Which bands have had a step.
    """
    result: list[bytes] = [b""] * len(records)
    cell = records.dtype["central_cells"].base.itemsize
    header = HEADER.pack(MAGIC, VERSION, cell, stepped.shape[1])
    for pattern, rows in _group_by_pattern(stepped):
        group = records if len(rows) == len(records) else records[rows]
        packed = np.zeros(len(rows), _packed_type(records.dtype, pattern))
        packed["header"], packed["stepped"] = np.void(header), pattern
        for name in PLAIN_FIELDS:
            packed[name] = group[name]
        if pattern.any():
            packed["band_cells"], packed["central_cells"] = group["band_cells"][:, pattern], group["central_cells"]
        data, size = packed.tobytes(), packed.itemsize
        for k, row in enumerate(rows.tolist()):
            result[row] = data[k * size : (k + 1) * size]
    return result


def cell_bytes(part: bytes) -> int:
    """Return the bytes of a cell, 2 or 4, from an object's bytes.

    Raises
    ------
    ValueError
        If they are no state, or of another version.
    """
    if len(part) < HEADER.size or part[:4] != MAGIC:
        raise ValueError("these bytes are no goodricke state")
    _, version, cell, _ = HEADER.unpack_from(part)
    if version != VERSION:
        raise ValueError(
            f"the state has version {version}, this goodricke reads {VERSION}. Fix: rebuild it from the history"
        )
    return int(cell)


def fill(records: NDArray[np.void], parts: Sequence[bytes]) -> None:
    """Fill zeroed records (n,) from each object's bytes.

    Raises
    ------
    ValueError
        If they are of another version, precision or model, or incomplete.
    """
    if not len(parts):
        return
    bands, cell = records["bands"].shape[1], records.dtype["central_cells"].base.itemsize
    start = _packed_type(records.dtype, np.zeros(bands, bool)).fields["stepped"][1]  # type: ignore[index]
    header = HEADER.pack(MAGIC, VERSION, cell, bands)
    for part in parts:
        if part[: len(header)] != header:
            cell_bytes(part)  # raises if it is another version
            raise ValueError("states of different models or precisions can't be read together")
        if len(part) < start + bands:
            raise ValueError("the state is incomplete")
    stepped = np.frombuffer(b"".join([part[start : start + bands] for part in parts]), bool).reshape(-1, bands)
    for pattern, rows in _group_by_pattern(stepped):
        kind = _packed_type(records.dtype, pattern)
        group = [parts[row] for row in rows.tolist()]
        if any(len(part) != kind.itemsize for part in group):
            raise ValueError("the state is incomplete, or of a model with other sizes")
        _unpack(records, rows, pattern, np.frombuffer(b"".join(group), kind))


def _unpack(records: NDArray[np.void], rows: NDArray[np.int64], pattern: NDArray[np.bool_], packed: NDArray) -> None:
    """Copy packed records to ``rows``."""
    for name in PLAIN_FIELDS:
        records[name][rows] = packed[name]
    if pattern.any():
        cells = np.zeros((len(rows), *records["band_cells"].shape[1:]), records["band_cells"].dtype)
        cells[:, pattern] = packed["band_cells"]
        records["band_cells"][rows], records["central_cells"][rows] = cells, packed["central_cells"]


def _packed_type(record: np.dtype, pattern: NDArray[np.bool_]) -> np.dtype:
    """Return the dtype of an object's bytes if the bands in ``pattern`` have had a step."""
    fields: list[tuple] = [("header", f"V{HEADER.size}"), *((name, record[name]) for name in PLAIN_FIELDS)]
    fields.append(("stepped", bool, pattern.shape))
    if pattern.any():
        cells = record["band_cells"]
        fields += [("band_cells", cells.base, (int(pattern.sum()), *cells.shape[1:]))]
        fields += [("central_cells", record["central_cells"])]
    return np.dtype(fields)


def _group_by_pattern(stepped: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Return each combination of bands that occurs, and the objects with it."""
    patterns, which = np.unique(stepped, axis=0, return_inverse=True)
    return [(pattern, np.flatnonzero(which.ravel() == k)) for k, pattern in enumerate(patterns)]
