"""Preprocessed light curves: `Prepared`, ragged arrays that become padded or packed batches of tensors.

`Frames` are the points of light curves for a network that reads a whole light curve at once (`dense`, `folded`);
`Steps` are those of multi-band light curves for a network that reads one observation after another (`multiband`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged

if TYPE_CHECKING:
    from torch import Tensor


class Batch(NamedTuple):
    """A padded batch; padding is zero and outside the mask."""

    values: Tensor  # (B, T, channels) float32
    time: Tensor  # (B, T) float32 [d]
    mask: Tensor | None  # (B, T) bool; None: every frame is a point
    context: Tensor | None  # (B, context) float32

    def to(self, device: Any) -> Batch:
        """Return the batch on a device; for a GPU without a mask that is True everywhere."""
        moved = (None if x is None else x.to(device, non_blocking=True) for x in self._drop_full_mask(device))
        return Batch(*moved)  # type: ignore[arg-type]

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory, which a GPU copies asynchronously."""
        return Batch(*(None if x is None else x.pin_memory() for x in self))  # type: ignore[arg-type]

    def _drop_full_mask(self, device: Any) -> Batch:
        """Drop a mask that is True everywhere before the copy to a GPU; a check on the GPU would wait for it."""
        import torch

        keep = torch.device(device).type == "cpu" or self.mask is None or self.mask.device.type != "cpu"
        return self if keep or not self.mask.all() else self._replace(mask=None)  # type: ignore[union-attr]


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(ABC):
    """Preprocessed light curves, ``n`` objects with ``N`` points in all.

    Parameters
    ----------
    object_id : pyarrow string array (n,)
    offsets : int64 (n + 1,)
    context : float32 (n, columns)
        Numbers per object, NaN where unknown; no column if the network takes none.
    status : str (n,)
        ``"OK"`` or the reason why the object can't be classified; it then has no points.
    """

    POINT_FIELDS: ClassVar[tuple[str, ...]]  # names of the arrays with a row per point
    OBJECT_FIELDS: ClassVar[tuple[str, ...]] = ("context", "status", "observations")  # with a row per object

    object_id: pa.Array
    offsets: NDArray[np.int64]
    context: NDArray[np.float32]
    status: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.object_id)

    @property
    def n_points(self) -> NDArray[np.int64]:
        """Number of points, or steps, per object, (n,)."""
        return ragged.lengths(self.offsets)

    @property
    @abstractmethod
    def n_obs(self) -> NDArray[np.int64]:
        """Number of observations behind the points, (n,), also of unusable objects."""

    @property
    def padded(self) -> NDArray[np.int64]:
        """Number of points of each object in a batch of objects of its length, (n,)."""
        return self.n_points

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which objects a network can be run on, (n,)."""
        return self.status == "OK"

    @property
    def table_columns(self) -> dict[str, NDArray | None]:
        """Columns (n,) of preprocessing for `goodricke.Predictions`."""
        return {}

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return the objects in ``rows`` (n',), in that order."""
        return self._select(rows, *ragged.gather(rows, self.offsets))

    def _select(self, rows: NDArray[np.int64], points: NDArray[np.int64], offsets: NDArray[np.int64]) -> Self:
        """Return the objects in ``rows`` with the points in ``points``."""
        arrays: dict[str, Any] = {name: getattr(self, name)[points] for name in self.POINT_FIELDS}
        for name in self.OBJECT_FIELDS:
            arrays[name] = None if getattr(self, name) is None else getattr(self, name)[rows]
        return replace(self, object_id=self.object_id.take(pa.array(rows)), offsets=offsets, **arrays)

    @abstractmethod
    def batch(self, rows: NDArray[np.int64] | None = None, multiple: int = 1) -> Batch | StepBatch:
        """Return the objects in ``rows`` (B,), all by default, as tensors.

        Parameters
        ----------
        rows : int64 (B,), optional
        multiple : int
            Padded length: that of the longest object, rounded up to a multiple of this unless all have one length.
        """

    @abstractmethod
    def to_arrays(self) -> dict[str, NDArray]:
        """Return the arrays that ``from_arrays`` restores the object from, for a file without pickle."""


class CandidatePeriods(NamedTuple):
    """The candidate periods of n objects, K each, the best first; NaN where there are fewer."""

    period: NDArray[np.float64]  # (n, K) [d]
    error: NDArray[np.float64]  # (n, K) [d]
    false_alarm_probability: NDArray[np.float64]  # (n,) of the best
    span: NDArray[np.float64]  # (n,) [d] of the observations

    def take(self, rows: NDArray[np.integer]) -> CandidatePeriods:
        """Return those of the objects in ``rows``."""
        return CandidatePeriods(*(x[rows] for x in self))


@dataclass(frozen=True, eq=False, kw_only=True)
class Frames(Prepared):
    """Preprocessed light curves for a network that reads a light curve at once.

    Parameters
    ----------
    time : float32 (N,)
        Days since each light curve's first point; positions of phase bins for `goodricke.preprocess.folded`.
    values : float32 (N, channels)
        Standardised brightness first.
    frames : int, optional
        Length to pad every batch to, for networks whose output depends on it (the published ASTRAFier).
    observations : int64 (n,), optional
        Observations of each light curve after cleaning, before averaging; its points by default.
    period : float64 (n,), optional
        Period of the fold [d].
    candidates : CandidatePeriods, optional
        For networks that choose a period.
    scale : float64 (n,), optional
        Relative flux of one unit of the values, NaN where the flux has no positive level.
    """

    POINT_FIELDS = ("time", "values")
    OBJECT_FIELDS = (*Prepared.OBJECT_FIELDS, "period", "scale")

    time: NDArray[np.float32]
    values: NDArray[np.float32]
    frames: int | None = None
    observations: NDArray[np.int64] | None = None
    period: NDArray[np.float64] | None = None
    candidates: CandidatePeriods | None = None
    scale: NDArray[np.float64] | None = None

    def _select(self, rows: NDArray[np.int64], points: NDArray[np.int64], offsets: NDArray[np.int64]) -> Frames:
        candidates = None if self.candidates is None else self.candidates.take(rows)
        return replace(super()._select(rows, points, offsets), candidates=candidates)

    @property
    def n_obs(self) -> NDArray[np.int64]:
        """Number of observations behind the points, (n,), also of unusable objects."""
        return self.n_points if self.observations is None else self.observations

    @property
    def padded(self) -> NDArray[np.int64]:
        """Number of points of each object in a batch, (n,), ``frames`` or the object's own."""
        return self.n_points if self.frames is None else np.full(len(self), self.frames)

    @property
    def table_columns(self) -> dict[str, NDArray | None]:
        """Number of points and period of the fold."""
        return {"n_points": self.n_points, "fold_period": self.period}

    def batch(self, rows: NDArray[np.int64] | None = None, multiple: int = 1) -> Batch:
        """Return the objects in ``rows`` (B,) as padded tensors."""
        import torch

        rows = np.arange(len(self)) if rows is None else rows
        counts = self.n_points[rows]
        longest = max(counts.max(initial=0), 1)
        equal = counts.min(initial=longest) == longest
        mask = np.arange(self.frames or (longest if equal else rounded_up(longest, multiple))) < counts[:, None]
        points, _ = ragged.gather(rows, self.offsets)
        values = np.zeros((*mask.shape, self.values.shape[1]), np.float32)
        time = np.zeros(mask.shape, np.float32)
        values[mask], time[mask] = self.values[points], self.time[points]
        context = torch.from_numpy(self.context[rows]) if self.context.shape[1] else None
        return Batch(torch.from_numpy(values), torch.from_numpy(time), torch.from_numpy(mask), context)

    def to_arrays(self) -> dict[str, NDArray]:
        """Return the arrays that `from_arrays` restores the object from, for a file without pickle."""
        names = ("offsets", "time", "values", "context", "status", "n_obs")
        ids = np.array(self.object_id.to_pylist(), dtype=str)
        optional = {name: x for name in ("period", "scale") if (x := getattr(self, name)) is not None}
        if self.candidates is not None:
            optional |= {f"candidate_{name}": x for name, x in self.candidates._asdict().items()}
        return {"object_id": ids} | {name: getattr(self, name) for name in names} | optional

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray], frames: int | None = None) -> Frames:
        """Restore the object of `to_arrays`; without a status, all objects are usable."""
        ids = pa.array(arrays["object_id"].tolist(), pa.string())
        return cls(
            object_id=ids,
            **{name: arrays[name] for name in ("offsets", "time", "values", "context")},
            status=arrays["status"] if "status" in arrays else np.full(len(ids), "OK"),
            frames=frames,
            observations=arrays.get("n_obs"),
            period=arrays.get("period"),
            scale=arrays.get("scale"),
            candidates=CandidatePeriods(*(arrays[f"candidate_{name}"] for name in CandidatePeriods._fields))
            if "candidate_period" in arrays
            else None,
        )

    @staticmethod
    def concat(parts: Sequence[Frames]) -> Frames:
        """Concatenate prepared light curves."""
        if len(parts) == 1:
            return parts[0]
        candidates = [part.candidates for part in parts if part.candidates is not None]
        return replace(
            parts[0],
            object_id=pa.concat_arrays([part.object_id for part in parts]),
            offsets=ragged.offsets_from_counts(np.concatenate([part.n_points for part in parts])),
            time=np.concatenate([part.time for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            context=np.concatenate([part.context for part in parts]),
            status=np.concatenate([part.status for part in parts]),
            observations=np.concatenate([part.n_obs for part in parts]),
            period=None if parts[0].period is None else np.concatenate([part.period for part in parts]),
            scale=None if parts[0].scale is None else np.concatenate([part.scale for part in parts]),
            candidates=CandidatePeriods(*map(np.concatenate, zip(*candidates, strict=True))) if candidates else None,
        )


def rounded_up(count: Any, multiple: int) -> Any:
    """Return the next multiple of ``multiple`` from ``count`` on, an int or an array of them."""
    return -(-count // multiple) * multiple


def length_buckets(counts: NDArray[np.int64], points: int, rows: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches of indices of about equal length: at most ``points`` padded points and ``rows`` objects each.

    Memory is bounded by points, not by objects, and little of it is padding. A light curve longer than ``points``
    makes a batch of its own.
    """
    order = np.argsort(counts, kind="stable")[::-1]  # longest first: running out of memory shows at once
    start = 0
    while start < len(order):
        fit = max(int(points // max(counts[order[start]], 1)), 1)
        yield order[start : start + min(fit, rows)]
        start += min(fit, rows)


@dataclass(frozen=True, eq=False, kw_only=True)
class Steps(Prepared):
    """The steps of multi-band light curves, ``M`` in all, in order of time, then band.

    Parameters
    ----------
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
    observations : int64 (n,)
        Number of finite observations in the model's bands, repeated ones counted once.
    bands : int
        Number of bands of the configuration.
    """

    POINT_FIELDS = ("band", "window", "error", "colour", "wait", "time", "rank")

    band: NDArray[np.uint8]
    window: NDArray[np.float32]
    error: NDArray[np.float32]
    colour: NDArray[np.float32]
    wait: NDArray[np.float32]
    time: NDArray[np.float64]
    rank: NDArray[np.int64]
    observations: NDArray[np.int64]
    bands: int

    @property
    def n_obs(self) -> NDArray[np.int64]:
        """Number of observations used of each object, (n,)."""
        return self.observations

    def cut(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Steps:
        """Return the objects in ``rows`` (n',) cut to their first ``counts`` (n',) steps."""
        offsets = ragged.offsets_from_counts(counts)
        points = np.arange(offsets[-1]) + ragged.spread(self.offsets[rows] - offsets[:-1], offsets)
        return self._select(rows, points, offsets)

    def to_arrays(self) -> dict[str, NDArray]:
        """Return the arrays that `from_arrays` restores the object from, for a file without pickle."""
        ids = np.array(self.object_id.to_pylist(), dtype=str)
        return {name: np.asarray(x) for name, x in vars(self).items() if name != "object_id"} | {"object_id": ids}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Steps:
        """Restore the steps of `to_arrays`."""
        values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls)}
        values["object_id"] = pa.array(values["object_id"].tolist(), pa.string())
        return cls(**values | {"bands": int(values["bands"])})

    def batch(self, rows: NDArray[np.int64] | None = None, multiple: int = 1) -> StepBatch:
        """Return the objects in ``rows`` (B,), all by default, as tensors without padding."""
        return step_batch(self if rows is None else self.take(rows))


class PackedSteps(NamedTuple):
    """Sequences of different lengths in the order in which a recurrent network reads them, without padding.

    The first steps of all sequences, the longest sequence first, then the second steps, and so on: the order of
    `torch.nn.utils.rnn.PackedSequence`.
    """

    steps: Tensor  # (M_b,) int64, into the steps of the batch
    sizes: Tensor  # (T,) int64 on the CPU, number of sequences with a first, second, ... step


class StepBatch(NamedTuple):
    """Steps of B objects, M in all, flat in order of object and time."""

    window: Tensor  # (M, width)
    extras: Tensor  # (M, extras): colours, NaN if unknown, the time since the previous observation, columns
    bands: tuple[PackedSteps, ...]  # the steps of each band
    objects: PackedSteps  # the steps of all bands
    last: Tensor  # (B',) int64, the last step of each object that has one

    def to(self, device: Any) -> StepBatch:
        """Return the batch on a device."""
        moved = [PackedSteps(s.steps.to(device), s.sizes) for s in (*self.bands, self.objects)]
        window, extras, last = (x.to(device) for x in (self.window, self.extras, self.last))
        return StepBatch(window, extras, tuple(moved[:-1]), moved[-1], last)

    def pin_memory(self) -> StepBatch:
        """Return the batch itself: it is small."""
        return self


def step_batch(steps: Steps) -> StepBatch:
    """Return the steps of objects as tensors."""
    import torch

    row = ragged.owner(steps.offsets)
    place = np.arange(len(row)) - ragged.spread(steps.offsets[:-1], steps.offsets)
    extras = np.concatenate([steps.colour, steps.wait[:, None], steps.context[row]], 1)
    of_band = [np.flatnonzero(steps.band == b) for b in range(steps.bands)]
    last = steps.offsets[1:][steps.n_points > 0] - 1
    return StepBatch(
        torch.from_numpy(steps.window),
        torch.from_numpy(extras),
        tuple(_series(m, row[m], steps.rank[m]) for m in of_band),
        _series(np.arange(len(row)), row, place),
        torch.from_numpy(last),
    )


def _series(index: NDArray[np.int64], row: NDArray[np.int64], place: NDArray[np.int64]) -> PackedSteps:
    """Return steps in the order of `PackedSteps`, from their sequence ``row`` and their ``place`` in it."""
    import torch

    longest_first = np.argsort(np.argsort(-np.bincount(row), kind="stable"), kind="stable") if len(row) else row
    order = np.lexsort((longest_first[row], place))
    return PackedSteps(torch.from_numpy(index[order]), torch.from_numpy(np.bincount(place)))
