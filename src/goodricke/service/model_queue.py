"""A model for many threads: its network computes one slice of a request at a time, and requests take turns.

Monte-Carlo passes switch the network's dropout on and off, so two threads can't use it at once. A long request is
computed in slices of about `SLICE_SECONDS`. After each it waits again behind the requests that came in the meantime,
and it stops when its client has gone. The thread whose turn it is also answers the waiting slices with the same
settings: an object's answer doesn't depend on the rest of its batch, and a small network answers a batch nearly as fast
as one light curve.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from torch import nn

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.inference import InputChecks, classify, step_probabilities
from goodricke.models.bundle import Model
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

MAX_WAIT = 60.0  # seconds that a slice waits for the model
SLICE_SECONDS = 0.25  # that a slice is to take
SLICE_POINTS = (100, 100_000)  # the fewest and the most of a slice, and of the requests that share a call
FIRST_SLICE = 1_000  # points of a slice whose duration isn't known yet
FEWEST_POINTS = 100  # as which a light curve with fewer counts: its periods cost as much
DAYS_PER_POINT = 10.0  # of a light curve's span, whose frequencies to search cost as much as a point
LONGEST_SPAN = 1e5  # days; of longer ones no period is searched
MOST_POINTS, MOST_STEPS = 200_000, 10_000  # of one light curve, of which there are no slices: 3 s; steps: multi-band

_TURNS: WeakKeyDictionary[nn.Module, Turns] = WeakKeyDictionary()  # per network, which two queues may share
_TURNS_LOCK = threading.Lock()


class BusyError(RuntimeError):
    """The model had no time for a request."""


class ClientGoneError(RuntimeError):
    """Nobody waits for the answer any more."""


def _never() -> bool:
    return False


@dataclass(eq=False)
class ClassifyRequest:
    """Light curves that wait for a model.

    Parameters
    ----------
    curves : LightCurves
    passes, seed, coverage
        See `goodricke.classify`.
    is_gone : callable
        Returns whether nobody waits for the answer any more; asked before each slice.
    """

    curves: LightCurves
    passes: int = 20
    seed: int = 0
    coverage: Coverage = COVERAGE
    is_gone: Callable[[], bool] = _never
    answer: Future[Predictions] = field(default_factory=Future)

    @property
    def settings(self) -> Hashable:
        """Equal for requests that one call can answer."""
        curves = self.curves
        columns = tuple(curves.table_of_objects.column_names)
        return self.passes, self.seed, self.coverage, curves.unit, curves.time_scale, columns

    @property
    def points(self) -> int:
        """What the light curves count together; see `points_of`."""
        return int(points_of(self.curves).sum())


class Turns:
    """The order in which threads use a network: first come, first served."""

    def __init__(self) -> None:
        self._condition, self._waiting, self._is_busy = threading.Condition(), deque[object](), False

    @contextmanager
    def take(self, max_wait: float, is_answered: Callable[[], bool] = _never) -> Iterator[bool]:
        """Wait for the network and hold it; give False if the answer came from another thread meanwhile.

        Raises
        ------
        TimeoutError
            If neither happens within ``max_wait`` seconds.
        """
        place = object()
        with self._condition:
            self._waiting.append(place)
            in_time = self._condition.wait_for(
                lambda: is_answered() or (not self._is_busy and self._waiting[0] is place), max_wait
            )
            self._waiting.remove(place)
            has_turn = in_time and not is_answered()
            self._is_busy |= has_turn
            self._condition.notify_all()
        if not in_time:
            raise TimeoutError
        try:
            yield has_turn
        finally:
            if has_turn:
                with self._condition:
                    self._is_busy = False
                    self._condition.notify_all()


class ModelQueue:
    """Runs a model for many threads.

    Parameters
    ----------
    model : Model
    max_wait : float
        Seconds that a slice of a request waits for the model.
    """

    def __init__(self, model: Model, max_wait: float = MAX_WAIT) -> None:
        self.model, self.max_wait = model, max_wait
        with _TURNS_LOCK:
            self._turns = _TURNS.setdefault(model.network, Turns())
        self._waiting, self._waiting_lock = list[ClassifyRequest](), threading.Lock()
        self._slice_points = dict[int, float]()  # by number of passes
        self._checks = InputChecks.silent(model.config)  # a batch's warnings would reach one of its clients only

    @property
    def is_multiband(self) -> bool:
        """Whether the model answers after every observation."""
        return isinstance(self.model.preprocessing, MultibandConfig)

    @property
    def most_points(self) -> int:
        """The longest light curve that doesn't keep others waiting for too long: one is computed in one piece."""
        return MOST_STEPS if self.is_multiband else MOST_POINTS

    def passes(self, wanted: int) -> int:
        """Return the passes that the model makes: without dropout masks there is nothing to repeat."""
        return max(wanted, 1) if self.model.stochastic else 1

    def classify(self, request: ClassifyRequest) -> Predictions:
        """Return the model's predictions for a request's light curves, computed slice by slice.

        Raises
        ------
        BusyError
            If the model had no time within ``max_wait``.
        ClientGoneError
            If nobody waits for the answer any more.
        ValueError
            If the model does not take light curves of this kind.
        """
        slices = self._slices(request.curves, request.passes, request.is_gone)
        parts = [self._classify_slice(replace(request, curves=piece, answer=Future())) for piece in slices]
        return parts[0] if len(parts) == 1 else Predictions.concat(parts)

    def history(self, curves: LightCurves, is_gone: Callable[[], bool] = _never) -> list[dict[str, object]]:
        """Return ``time``, ``band`` and probabilities ``p`` after every step of each light curve; multi-band models.

        Raises
        ------
        BusyError
            If the model had no time within ``max_wait``.
        ClientGoneError
            If nobody waits for the answer any more.
        """
        return [steps for piece in self._slices(curves, 0, is_gone) for steps in self._history_slice(piece)]

    # ---- slices -----------------------------------------------------------------------------------------------------

    def _slices(self, curves: LightCurves, passes: int, is_gone: Callable[[], bool]) -> Iterator[LightCurves]:
        """Give light curves in slices, each as long as the duration of the ones before allows, at least one of them."""
        ends, start = np.cumsum(points_of(curves)), 0
        while start < max(len(curves), 1):
            if is_gone():
                raise ClientGoneError
            done = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, done + self._slice(passes), side="right")), start + 1)
            yield curves if start == 0 and stop >= len(curves) else curves[start:stop]
            start = stop

    def _slice(self, passes: int) -> float:
        return self._slice_points.get(passes, FIRST_SLICE)

    def _adapt_slice(self, passes: int, points: int, seconds: float) -> None:
        """Choose the points of the next slices by the duration of this one, at most twice or half as many as before."""
        now = self._slice(passes)
        wanted = np.clip(points * SLICE_SECONDS / max(seconds, 1e-6), now / 2, now * 2)
        self._slice_points[passes] = float(np.clip(wanted, *SLICE_POINTS))

    @contextmanager
    def _network(self, is_answered: Callable[[], bool] = _never) -> Iterator[bool]:
        """Wait for the network and hold it; give False if the answer came from another thread meanwhile."""
        try:
            with self._turns.take(self.max_wait, is_answered) as has_turn:
                yield has_turn
        except TimeoutError:
            fix = "ask again later or with fewer light curves"
            raise BusyError(f"{self.model.name} is busy: no answer within {self.max_wait:g} s. Fix: {fix}") from None

    def _history_slice(self, curves: LightCurves) -> list[dict[str, object]]:
        preprocessing: Any = self.model.preprocessing
        steps: Any = prepare(curves, preprocessing)
        with self._network():
            p = step_probabilities(self.model, steps)
        bands = np.array(preprocessing.bands, dtype=object)[steps.band]
        pieces = (slice(*ends) for ends in zip(steps.offsets[:-1], steps.offsets[1:], strict=True))
        return [
            {
                "time": steps.time[piece].tolist(),
                "band": bands[piece].tolist(),
                "p": dict(zip(self.model.classes, p[piece].T.astype(float).tolist(), strict=True)),
            }
            for piece in pieces
        ]

    def _classify_slice(self, request: ClassifyRequest) -> Predictions:
        with self._waiting_lock:
            self._waiting.append(request)
        try:
            with self._network(request.answer.done) as has_turn:
                if has_turn:
                    self._classify_group(self._take_batch(request))
        finally:
            with self._waiting_lock:
                self._waiting = [other for other in self._waiting if other is not request]
        return request.answer.result()

    # ---- requests that share a call ---------------------------------------------------------------------------------

    def _take_batch(self, request: ClassifyRequest) -> list[ClassifyRequest]:
        """Remove a request, and those with the same settings, from the waiting ones."""
        batch, points = [request], request.points
        with self._waiting_lock:
            for other in self._waiting:
                fits = points + other.points <= self._slice(request.passes)
                if other is not request and fits and other.settings == request.settings:
                    batch.append(other)
                    points += other.points
            self._waiting = [other for other in self._waiting if other not in batch]
        return batch

    def _classify_group(self, batch: list[ClassifyRequest]) -> None:
        """Answer requests in one call; if it fails, one by one, so that a request fails only by its own fault."""
        first, start = batch[0], time.perf_counter()
        curves = LightCurves.concat([request.curves for request in batch]) if len(batch) > 1 else first.curves
        try:
            predictions = classify(
                curves, self.model, first.passes, first.seed, coverage=first.coverage, checks=self._checks
            )
        except Exception as error:
            if len(batch) == 1:
                first.answer.set_exception(error)
            else:
                for request in batch:
                    self._classify_group([request])
            return
        self._adapt_slice(first.passes, sum(request.points for request in batch), time.perf_counter() - start)
        row = 0
        for request in batch:
            rows = predictions.table.slice(row, len(request.curves))
            request.answer.set_result(Predictions(rows, predictions.classes))
            row += len(request.curves)


def points_of(curves: LightCurves) -> NDArray[np.int64]:
    """Return what each light curve counts, (n,): its observations, more if it is short or spans many years."""
    latest, earliest = (ragged.extreme(curves.time, curves.offsets, ufunc) for ufunc in (np.fmax, np.fmin))
    with np.errstate(invalid="ignore"):
        span = np.nan_to_num(latest - earliest, posinf=np.inf)
    fewest = np.maximum(np.minimum(span, LONGEST_SPAN) / DAYS_PER_POINT, FEWEST_POINTS)
    return np.maximum(curves.n_obs, fewest).astype(np.int64)
