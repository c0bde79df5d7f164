"""The steps of many multi-band light curves, flat in order of object and time, and what a network gets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke import ragged

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of ``n`` objects, ``M`` in all, in order of time (equal times: in order of the bands).

    Parameters
    ----------
    object_id : pyarrow string array (n,)
    offsets : int64 (n + 1,)
    band : uint8 (M,)
        Index into the configuration's bands.
    window : float32 (M, 4 or 6)
        Two log10 time differences [d], then two magnitude differences, the older first; with ``level`` also the
        magnitude and log10 of its error [mag].
    error : float32 (M,)
        In magnitudes.
    colour : float32 (M, pairs)
        Differences of the bands' running mean magnitudes, NaN while one of the two has no step.
    wait : float32 (M,)
        log10 of the time since the object's previous observation in any band [d].
    time : float64 (M,)
    rank : int64 (M,)
        Number of earlier steps of the same object and band.
    context : float32 (n, columns)
        Numbers per object, NaN where unknown.
    status : str (n,)
    observations : int64 (n,)
        Finite ones in known bands, repeated ones once.
    bands : int
        How many bands the configuration has.
    """

    object_id: pa.Array
    offsets: NDArray[np.int64]
    band: NDArray[np.uint8]
    window: NDArray[np.float32]
    error: NDArray[np.float32]
    colour: NDArray[np.float32]
    wait: NDArray[np.float32]
    time: NDArray[np.float64]
    rank: NDArray[np.int64]
    context: NDArray[np.float32]
    status: NDArray[np.str_]
    observations: NDArray[np.int64]
    bands: int

    def __len__(self) -> int:
        return len(self.object_id)

    @property
    def n_points(self) -> NDArray[np.int64]:
        """Number of steps per object, (n,)."""
        return ragged.lengths(self.offsets)

    @property
    def padded(self) -> NDArray[np.int64]:
        """Number of steps that each object takes in a batch, (n,): its own, there is no padding."""
        return self.n_points

    @property
    def n_obs(self) -> NDArray[np.int64]:
        """Number of observations used of each object, (n,)."""
        return self.observations

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which objects a network may be asked about, (n,)."""
        return self.status == "OK"

    def take(self, rows: NDArray[np.int64]) -> Steps:
        """Return the objects in ``rows`` (n',), in that order."""
        return self._chosen(rows, *ragged.gather(rows, self.offsets))

    def cut(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Steps:
        """Return the objects in ``rows`` (n',) as they were after so many steps (n',), at most as many as they have."""
        offsets = ragged.offsets_of(counts)
        return self._chosen(
            rows, np.arange(offsets[-1]) + ragged.spread(self.offsets[rows] - offsets[:-1], offsets), offsets
        )

    def _chosen(self, rows: NDArray[np.int64], points: NDArray[np.int64], offsets: NDArray[np.int64]) -> Steps:
        of_steps = ("band", "window", "error", "colour", "wait", "time", "rank")
        of_objects = ("context", "status", "observations")
        return replace(
            self,
            object_id=self.object_id.take(pa.array(rows)),
            offsets=offsets,
            **{name: getattr(self, name)[points] for name in of_steps},
            **{name: getattr(self, name)[rows] for name in of_objects},
        )

    def to_arrays(self) -> dict[str, NDArray]:
        """Return arrays that `from_arrays` makes the same of, for a file without pickle."""
        ids = np.array(self.object_id.to_pylist(), dtype=str)
        return {name: np.asarray(x) for name, x in vars(self).items() if name != "object_id"} | {"object_id": ids}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Steps:
        """Return what `to_arrays` was made of."""
        known: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls)}
        known["object_id"] = pa.array(known["object_id"].tolist(), pa.string())
        return cls(**known | {"bands": int(known["bands"])})

    def batch(self, rows: NDArray[np.int64] | None = None) -> StepBatch:
        """Return the objects in ``rows`` (B,), all by default, as tensors."""
        return step_batch(self if rows is None else self.take(rows))


class Series(NamedTuple):
    """Sequences of different lengths in the order in which a recurrent network reads them, without padding.

    First the first step of every sequence, the longest sequence first, then the second steps, and so on: the order of
    `torch.nn.utils.rnn.PackedSequence`.
    """

    steps: Tensor  # (M_b,) int64, into the steps of the batch
    sizes: Tensor  # (T,) int64 on the CPU, how many sequences have a first, second, ... step


class StepBatch(NamedTuple):
    """Steps of B objects, M in all, flat in order of object and time."""

    window: Tensor  # (M, width)
    extras: Tensor  # (M, extras): colours, NaN if unknown, the time since the previous observation, columns
    bands: tuple[Series, ...]  # the steps of each band
    objects: Series  # the steps of all bands
    last: Tensor  # (B',) int64, the last step of each object that has one

    def to(self, device: Any) -> StepBatch:
        """Return the batch on a device."""
        moved = [Series(s.steps.to(device), s.sizes) for s in (*self.bands, self.objects)]
        window, extras, last = (x.to(device) for x in (self.window, self.extras, self.last))
        return StepBatch(window, extras, tuple(moved[:-1]), moved[-1], last)


def step_batch(steps: Steps) -> StepBatch:
    """Return the steps of objects as tensors."""
    import torch

    row = ragged.owner(steps.offsets)
    place = np.arange(len(row)) - ragged.spread(steps.offsets[:-1], steps.offsets)
    extras = np.concatenate([steps.colour, steps.wait[:, None], steps.context[row]], 1)
    mine = [np.flatnonzero(steps.band == b) for b in range(steps.bands)]
    last = steps.offsets[1:][steps.n_points > 0] - 1
    return StepBatch(
        torch.from_numpy(steps.window),
        torch.from_numpy(extras),
        tuple(_series(m, row[m], steps.rank[m]) for m in mine),
        _series(np.arange(len(row)), row, place),
        torch.from_numpy(last),
    )


def _series(index: NDArray[np.int64], row: NDArray[np.int64], place: NDArray[np.int64]) -> Series:
    """Order steps, each of sequence ``row`` at ``place`` in it, as `Series` says."""
    import torch

    longest_first = np.argsort(np.argsort(-np.bincount(row), kind="stable"), kind="stable") if len(row) else row
    order = np.lexsort((longest_first[row], place))
    return Series(torch.from_numpy(index[order]), torch.from_numpy(np.bincount(place)))
