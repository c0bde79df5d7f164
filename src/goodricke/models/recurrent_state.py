"""State per object: update a multi-band model with new observations, at a cost that doesn't grow with the light curve.

The state of n objects is one flat array of records (`layout`), a few kB each: where the object's last observations
were, and the cells of its recurrent networks. After every observation the answer is the one that the whole light curve
would get (Promise 1). An observation older than the state is refused: the caller may rebuild the object from its
history (`State.build`).

A record, little-endian and without padding, for B bands, L band layers, K central layers and h hidden units, with
cells in float32 or float16 (``*``)::

    time         f8          of the last observation used, in any band [d]
    wait         f4          log10 of the time from the one before to the last that was a step [d]
    band         i2          of the last observation, -1 before the first
    refused      u2          observations refused because they were older than the state
    bands        B times:
      count      u4          observations
      time       f8          of the last one [d]
      log_since  f4          log10 of its distance from the one before [d]
      magnitude  f8          of the last one
      change     f4          from the one before
      mean       f8          of all so far
    band_cells   * B x 2 x L x h     hidden and cell states
    central_cells * 2 x K x h

The bytes of objects' states: only what is in use, many objects at once.

An object's bytes are a header (magic, version, bytes of a cell, number of bands), its record without the cells, which
of the bands have had a step (a byte each), and the cells of those bands and, if there is one, of the central network.
Objects in which the same bands have had a step have bytes of the same shape: an array of them is read and written at
once.
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
            *[("time", "<f8"), ("wait", "<f4"), ("band", "<i2"), ("refused", "<u2")],
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
        """Return the state of some of the objects."""
        return State(self.records[rows])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of observations used of each object, (n,)."""
        return self.records["bands"]["count"].sum(1, dtype=np.int64)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Number of steps taken by each object, (n,)."""
        return steps_of(self.records["bands"]["count"].astype(np.int64))

    @property
    def half(self) -> bool:
        """Whether the cells are kept in float16."""
        return self.records.dtype["central_cells"].base.itemsize == 2

    def tobytes(self) -> list[bytes]:
        """Return each object's state as bytes: a header, the record, and cells of the bands with a step only."""
        return to_bytes(self.records, self.records["bands"]["count"] > WINDOW)

    @classmethod
    def frombytes(cls, parts: Sequence[bytes], config: MultibandNetworkConfig) -> State:
        """Return the state of objects from what `tobytes` made of them, for a model of the same sizes.

        Raises
        ------
        ValueError
            If it is of another version, another model or cut short.
        """
        state = cls.empty(len(parts), config, len(parts) > 0 and cell_bytes(parts[0]) == 2)
        fill(state.records, parts)
        return state


def steps_of(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of steps (n,) of objects with so many observations in each band, (n, bands)."""
    return np.maximum(counts - WINDOW, 0).sum(1)


# ---- new observations ---------------------------------------------------------------------------------------------


class _Points(NamedTuple):
    """Observations."""

    row: NDArray[np.integer]  # (B,) into the state
    band: NDArray[np.int64]
    time: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    error: NDArray[np.float64]

    def where(self, which: NDArray) -> _Points:
        """Return some of them."""
        return _Points(*(x[which] for x in self))


def advance(
    steps: Stepper, config: MultibandConfig, state: State, curves: LightCurves, rows: NDArray[np.integer]
) -> tuple[State, NDArray[np.bool_]]:
    """Take new observations into the state.

    Parameters
    ----------
    steps, config
        Of one model.
    state : State
        Of n objects; left as it is.
    curves : LightCurves
        New observations of m objects, any number of each; those not finite or in unknown bands are left out.
    rows : int (m,)
        Which of the n objects each light curve belongs to, each once.

    Returns
    -------
    State
    late : bool (m,)
        Which objects have an observation older than their state; it was refused, later ones were taken.

    Raises
    ------
    ValueError
        If an object comes twice, or magnitudes meet fluxes.
    """
    if len(set(rows.tolist())) < len(rows):
        raise ValueError("an object comes twice; put its new observations into one light curve")
    records, late = state.records.copy(), np.zeros(len(state), bool)
    for points in _rounds(curves, config, rows):
        late[_take(steps, config, records, points)] = True
    return State(records), late[rows]


def _rounds(curves: LightCurves, config: MultibandConfig, rows: NDArray[np.integer]) -> Iterator[_Points]:
    """Yield every object's first usable observation, every object's second, and so on, in order of time and band."""
    curves = finite_points(to_magnitudes(curves, config))
    if curves.bands != config.bands:
        curves = select_bands(curves, config)
    several = (curves.n_obs > 1).any()
    if several:
        curves = sort_steps(curves)
    owner, error = ragged.owner(curves.offsets), usable_error(curves.error, config)
    points = _Points(rows[owner], curves.band.astype(np.int64), curves.time, curves.value.astype(np.float64), error)
    if not several:
        return iter([points] if len(owner) else [])
    place = np.arange(len(owner)) - curves.offsets[owner]
    order, ends = np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))
    return (points.where(order[end - count : end]) for count, end in zip(np.bincount(place), ends, strict=True))


def _take(steps: Stepper, config: MultibandConfig, records: NDArray[np.void], now: _Points) -> NDArray[np.integer]:
    """Take at most one observation of each object into the records, in place; return the rows of those refused."""
    own, time, band = records["bands"][now.row, now.band], records["time"][now.row], records["band"][now.row]
    again = (own["count"] > 0) & (now.time == own["time"])  # the same band and instant: known already
    after = (now.time > time) | ((now.time == time) & (now.band > band)) | (band < 0)
    late = now.row[~after & ~again]
    records["refused"][late] += 1
    new = after & ~again
    if not new.all():
        now, own, time, band = now.where(new), own[new], time[new], band[new]
    first = own["count"] == 0
    log_since = np.log10(np.maximum(np.where(first, 0.0, now.time - own["time"]), config.shortest))
    change = np.where(first, 0.0, now.magnitude - own["magnitude"])
    window = step_window(config, own["log_since"], log_since, own["change"], change, now.magnitude, now.error)
    wait = np.log10(np.maximum(np.where(band < 0, 0.0, now.time - time), config.shortest))
    own["count"] += 1
    own["mean"] += (now.magnitude - own["mean"]) / own["count"]
    own["time"], own["magnitude"], own["log_since"], own["change"] = now.time, now.magnitude, log_since, change
    records["time"][now.row], records["band"][now.row], records["bands"][now.row, now.band] = now.time, now.band, own
    step = np.flatnonzero(own["count"] > WINDOW)
    records["wait"][now.row[step]] = wait[step]
    for b in set(now.band[step].tolist()):
        mine = step[now.band[step] == b]
        _step(steps, records, b, now.row[mine], window[mine])
    return late


def _step(steps: Stepper, records: NDArray[np.void], b: int, rows: NDArray[np.integer], window: NDArray) -> None:
    """Take one step of the objects ``rows`` in band ``b``, in place."""
    band_cells, central_cells = records["band_cells"][rows, b], records["central_cells"][rows]
    after = steps.step(b, *(x.astype(np.float32, copy=False) for x in (window, band_cells, central_cells)))
    records["band_cells"][rows, b], records["central_cells"][rows] = after


# ---- answers ------------------------------------------------------------------------------------------------------


class Update(NamedTuple):
    """States of n objects, and the output for m of them, after an update (`goodricke.models.bundle.Model.update`)."""

    state: State  # of the n objects
    status: NDArray[np.str_]  # (m,); the output holds where it is OK
    late: NDArray[np.bool_]  # (m,) an observation was older than the state and was refused
    n_obs: NDArray[np.int64]  # (m,) observations used so far
    output: Output  # of the m objects


def read_out(
    steps: Stepper, config: MultibandConfig, state: State, rows: NDArray[np.integer], told: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (m, C), embeddings (m, d) and standardised targets (m, k) of objects as they stand.

    Parameters
    ----------
    steps, config, state
    rows : int (m,)
        Which objects.
    told : float32 (m, columns), optional
        What the model is told of each, NaN where unknown, if its configuration has columns.
    """
    records = state.records
    seen = records["bands"][rows]
    means = np.where(seen["count"] > WINDOW, seen["mean"], np.nan)
    known = [colours(means, config), records["wait"][rows, None], *([] if told is None else [told])]
    extras = np.concatenate(known, 1, dtype=np.float32)
    return steps.read_out(records["central_cells"][rows, 0].astype(np.float32, copy=False), extras)


def status_of(counts: NDArray[np.int64], config: MultibandConfig, late: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the status of objects (n,) after an update, from their observations in each band (n, bands)."""
    status = np.full(len(counts), "OK", "<U14")
    status[steps_of(counts) < config.fewest] = "TOO_FEW_POINTS"
    status[counts.sum(1) == 0] = "EMPTY"
    status[late] = "OUT_OF_ORDER"
    return status


# ---- The bytes of objects' states: only what is in use, many objects at once -----------------------------------------


VERSION = 2
HEADER = struct.Struct("<4sHBB")  # magic, version, bytes of a cell, number of bands
MAGIC = b"gkmb"
SMALL = ("time", "wait", "band", "refused", "bands")


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
    for pattern, rows in _alike(stepped):
        some = records if len(rows) == len(records) else records[rows]
        packed = np.zeros(len(rows), _packed(records.dtype, pattern))
        packed["header"], packed["stepped"] = np.void(header), pattern
        for name in SMALL:
            packed[name] = some[name]
        if pattern.any():
            packed["band_cells"], packed["central_cells"] = some["band_cells"][:, pattern], some["central_cells"]
        data, size = packed.tobytes(), packed.itemsize
        for k, row in enumerate(rows.tolist()):
            result[row] = data[k * size : (k + 1) * size]
    return result


def cell_bytes(part: bytes) -> int:
    """Return the bytes of a cell, 2 or 4, from an object's bytes.

    Raises
    ------
    ValueError
        If they are no state, or one of another version.
    """
    if len(part) < HEADER.size or part[:4] != MAGIC:
        raise ValueError("these bytes are no goodricke state")
    _, version, cell, _ = HEADER.unpack_from(part)
    if version != VERSION:
        raise ValueError(
            f"the state has version {version}, this goodricke reads {VERSION}: rebuild it from the history"
        )
    return int(cell)


def fill(records: NDArray[np.void], parts: Sequence[bytes]) -> None:
    """Fill the records (n,), zeros so far, from each object's bytes.

    Raises
    ------
    ValueError
        If they are of another version, precision or model, or cut short.
    """
    if not len(parts):
        return
    bands, cell = records["bands"].shape[1], records.dtype["central_cells"].base.itemsize
    at = _packed(records.dtype, np.zeros(bands, bool)).fields["stepped"][1]  # type: ignore[index]
    header = HEADER.pack(MAGIC, VERSION, cell, bands)
    for part in parts:
        if part[: len(header)] != header:
            cell_bytes(part)  # says what is wrong, if it is the version
            raise ValueError("states of different models or precisions can't be read together")
        if len(part) < at + bands:
            raise ValueError("the state is cut short")
    stepped = np.frombuffer(b"".join([part[at : at + bands] for part in parts]), bool).reshape(-1, bands)
    for pattern, rows in _alike(stepped):
        kind = _packed(records.dtype, pattern)
        some = [parts[row] for row in rows.tolist()]
        if any(len(part) != kind.itemsize for part in some):
            raise ValueError("the state is cut short, or of a model with other sizes")
        _put(records, rows, pattern, np.frombuffer(b"".join(some), kind))


def _put(records: NDArray[np.void], rows: NDArray[np.int64], pattern: NDArray[np.bool_], packed: NDArray) -> None:
    """Put what was packed into the records of the rows."""
    for name in SMALL:
        records[name][rows] = packed[name]
    if pattern.any():
        cells = np.zeros((len(rows), *records["band_cells"].shape[1:]), records["band_cells"].dtype)
        cells[:, pattern] = packed["band_cells"]
        records["band_cells"][rows], records["central_cells"][rows] = cells, packed["central_cells"]


def _packed(record: np.dtype, pattern: NDArray[np.bool_]) -> np.dtype:
    """Return the type of an object's bytes when the bands in ``pattern`` have had a step."""
    fields: list[tuple] = [("header", f"V{HEADER.size}"), *((name, record[name]) for name in SMALL)]
    fields.append(("stepped", bool, pattern.shape))
    if pattern.any():
        cells = record["band_cells"]
        fields += [("band_cells", cells.base, (int(pattern.sum()), *cells.shape[1:]))]
        fields += [("central_cells", record["central_cells"])]
    return np.dtype(fields)


def _alike(stepped: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Return each combination of bands that occurs, and the objects that have it."""
    patterns, which = np.unique(stepped, axis=0, return_inverse=True)
    return [(pattern, np.flatnonzero(which.ravel() == k)) for k, pattern in enumerate(patterns)]
