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
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.lightcurves import LightCurves
from goodricke.models.multiband import Cells, Multiband, MultibandNetworkConfig
from goodricke.preprocess.cleaning import finite_points
from goodricke.preprocess.multiband import (
    WINDOW,
    MultibandConfig,
    colours,
    in_known_bands,
    in_order,
    step_window,
    to_magnitudes,
    usable_error,
)

VERSION = 1
_HEADER = struct.Struct("<4sHBB")  # magic, version, cell precision in bytes, number of bands
_MAGIC = b"gkmb"
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
        return np.maximum(self.records["bands"]["count"].astype(np.int64) - WINDOW, 0).sum(1)

    @property
    def half(self) -> bool:
        """Whether the cells are kept in float16."""
        return self.records.dtype["central_cells"].base.itemsize == 2

    def tobytes(self) -> list[bytes]:
        """Return each object's state as bytes: a header, the record, and cells of the bands with a step only."""
        records, bands = self.records, self.records["bands"].shape[1]
        header = _HEADER.pack(_MAGIC, VERSION, 2 if self.half else 4, bands)
        small, stepped = _without_cells(records), records["bands"]["count"] > WINDOW
        return [
            b"".join(
                [
                    *(header, small[i].tobytes(), stepped[i].tobytes()),
                    *(records["band_cells"][i, stepped[i]].tobytes(), records["central_cells"][i].tobytes()),
                ]
            )
            for i in range(len(records))
        ]

    @classmethod
    def frombytes(cls, parts: Sequence[bytes], config: MultibandNetworkConfig) -> State:
        """Return the state of objects from what `tobytes` made of them, for a model of the same sizes.

        Raises
        ------
        ValueError
            If it is of another version, another model or cut short.
        """
        half = len(parts) > 0 and _precision(parts[0]) == 2
        state = cls.empty(len(parts), config, half)
        small = _without_cells(state.records).dtype
        for record, part in zip(state.records, parts, strict=True):
            _fill(record, part, small, half)
        return state


def _without_cells(records: NDArray[np.void]) -> NDArray[np.void]:
    """Return a packed copy of the records without the cells."""
    names = ["time", "wait", "band", "refused", "bands"]
    small = np.empty(len(records), [(name, records.dtype[name]) for name in names])
    for name in names:
        small[name] = records[name]
    return small


def _precision(part: bytes) -> int:
    """Return the number of bytes of a cell, from the header."""
    if len(part) < _HEADER.size or part[:4] != _MAGIC:
        raise ValueError("these bytes are no goodricke state")
    _, version, precision, _ = _HEADER.unpack_from(part)
    if version != VERSION:
        raise ValueError(
            f"the state has version {version}, this goodricke reads {VERSION}: rebuild it from the history"
        )
    return precision


def _fill(record: np.void, part: bytes, small: np.dtype, half: bool) -> None:
    """Fill one record from bytes."""
    bands = record["bands"].shape[0]
    if _precision(part) != (2 if half else 4) or part[7] != bands:
        raise ValueError("states of different models or precisions can't be read together")
    at = _HEADER.size
    head = np.frombuffer(part, small, 1, at)[0]
    for name in small.names or ():
        record[name] = head[name]
    at += small.itemsize
    stepped = np.frombuffer(part, bool, bands, at)
    at += bands
    cell = record["central_cells"].dtype
    cells = np.frombuffer(part[at:], cell) if (len(part) - at) % cell.itemsize == 0 else np.empty(0, cell)
    n = record["band_cells"][stepped].size
    if len(cells) != n + record["central_cells"].size:
        raise ValueError("the state is cut short, or of a model with other sizes")
    record["band_cells"][stepped] = cells[:n].reshape(record["band_cells"][stepped].shape)
    record["central_cells"][...] = cells[n:].reshape(record["central_cells"].shape)


# ---- new observations ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Round:
    """At most one observation of each object."""

    rows: NDArray[np.int64]  # (B,) into the state
    band: NDArray[np.int64]
    time: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    error: NDArray[np.float64]


@torch.inference_mode()
def advance(
    network: Multiband, config: MultibandConfig, state: State, curves: LightCurves, rows: NDArray[np.integer]
) -> tuple[State, NDArray[np.bool_]]:
    """Take new observations into the state.

    Parameters
    ----------
    network, config
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
    if len(np.unique(rows)) < len(rows):
        raise ValueError("an object comes twice; put its new observations into one light curve")
    curves = in_order(in_known_bands(finite_points(to_magnitudes(curves, config)), config))
    records, late = state.records.copy(), np.zeros(len(curves), bool)
    owner = ragged.owner(curves.offsets)
    place = np.arange(len(owner)) - curves.offsets[owner]
    by_place = np.argsort(place, kind="stable")
    for part in np.split(by_place, np.cumsum(np.bincount(place))[:-1]) if len(place) else []:
        who = owner[part]
        error, band = usable_error(curves.error[part], config), curves.band[part].astype(np.int64)
        now = _Round(np.asarray(rows)[who], band, curves.time[part], curves.value[part].astype(np.float64), error)
        late[who] |= _take(network, config, records, now)
    return State(records), late


def _take(network: Multiband, config: MultibandConfig, records: NDArray[np.void], now: _Round) -> NDArray[np.bool_]:
    """Take at most one observation of each object into the records, in place; return which were refused, (B,)."""
    old = records[now.rows]
    own = old["bands"][np.arange(len(now.rows)), now.band]
    again = (own["count"] > 0) & (now.time == own["time"])  # the same band and instant: known already
    after = (now.time > old["time"]) | ((now.time == old["time"]) & (now.band > old["band"]))
    late = (old["band"] >= 0) & ~after & ~again
    records["refused"][now.rows[late]] += 1
    for b in np.unique(now.band[~late & ~again]):
        mine = (now.band == b) & ~late & ~again
        _take_band(
            network, config, records, now.rows[mine], int(b), now.time[mine], now.magnitude[mine], now.error[mine]
        )
    return late


def _take_band(
    network: Multiband,
    config: MultibandConfig,
    records: NDArray[np.void],
    rows: NDArray[np.int64],
    b: int,
    time: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    error: NDArray[np.float64],
) -> None:
    """Take one observation in band ``b`` of each of the objects ``rows`` into the records, in place."""
    some = records[rows]
    own = some["bands"][:, b]
    first = own["count"] == 0
    log_since = np.log10(np.maximum(np.where(first, 0, time - own["time"]), config.shortest))
    change = np.where(first, 0.0, magnitude - own["magnitude"])
    window = step_window(config, own["log_since"], log_since, own["change"], change, magnitude, error)
    wait = np.log10(np.maximum(np.where(some["band"] < 0, 0.0, time - some["time"]), config.shortest))
    some["time"], some["band"] = time, b
    own["count"] += 1
    own["mean"] += (magnitude - own["mean"]) / own["count"]
    own["time"], own["magnitude"], own["log_since"], own["change"] = time, magnitude, log_since, change
    some["bands"][:, b] = own
    step = own["count"] > WINDOW
    some["wait"] = np.where(step, wait, some["wait"])
    if step.any():
        device = next(network.parameters()).device
        cells = _cells(some["band_cells"][step, b], device), _cells(some["central_cells"][step], device)
        bands, central = network.step(b, torch.from_numpy(window[step].astype(np.float32)).to(device), *cells)
        some["band_cells"][step, b], some["central_cells"][step] = _array(bands), _array(central)
    records[rows] = some


def _cells(x: NDArray[np.floating], device: torch.device) -> Cells:
    """Return hidden and cell states (B, L, h) of an array (B, 2, L, h)."""
    both = torch.from_numpy(x.astype(np.float32)).to(device)
    return both[:, 0], both[:, 1]


def _array(cells: Cells) -> NDArray[np.float32]:
    return torch.stack(cells, 1).cpu().numpy()


# ---- answers ------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def read_out(
    network: Multiband, config: MultibandConfig, state: State, context: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (n, C), embeddings (n, d) and standardised targets (n, k) of objects as they stand.

    Parameters
    ----------
    network, config, state
    context : float32 (n, columns), optional
        What the model is told of each object; unknown by default.
    """
    device, seen = next(network.parameters()).device, state.records["bands"]
    means = np.where(seen["count"] > WINDOW, seen["mean"], np.nan)
    told = np.full((len(state), len(config.columns)), np.nan) if context is None else context
    extras = np.concatenate([colours(means, config), state.records["wait"][:, None], told], 1).astype(np.float32)
    hidden = torch.from_numpy(state.records["central_cells"][:, 0].astype(np.float32)).to(device)
    answer = network.read_out(list(hidden.unbind(1)), torch.from_numpy(extras).to(device))
    logits, embedding, targets = (x.float().cpu().numpy() for x in answer)
    return logits, embedding, targets


def judge(state: State, config: MultibandConfig, late: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Return the status of each object after an update, (n,)."""
    names = ["OUT_OF_ORDER", "EMPTY", "TOO_FEW_POINTS"]
    return np.select([late, state.counts == 0, state.steps < config.fewest], names, "OK")
