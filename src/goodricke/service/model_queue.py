"""One call of a model's network at a time: requests that wait for it are answered in batches.

Monte-Carlo passes switch the network's dropout on and off, so two threads can't use it at once. The thread that holds
the network's lock also answers the waiting requests with the same settings: an object's answer doesn't depend on the
rest of its batch, and a small network answers a batch nearly as fast as one light curve.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import nn

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.inference import InputChecks, classify, step_probabilities
from goodricke.models.bundle import Model
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

MAX_WAIT = 60.0  # seconds that a request waits for the model
BATCH_POINTS = 100_000  # observations up to which requests share one call

_LOCKS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()  # per network, which two queues may share


class BusyError(RuntimeError):
    """The model had no time for a request."""


@dataclass(eq=False)
class ClassifyRequest:
    """Light curves that wait for a model."""

    curves: LightCurves
    passes: int = 20
    seed: int = 0
    coverage: Coverage = COVERAGE
    answer: Future[Predictions] = field(default_factory=Future)

    @property
    def settings(self) -> Hashable:
        """Equal for requests that one call can answer."""
        curves = self.curves
        columns = tuple(curves.table_of_objects.column_names)
        return self.passes, self.seed, self.coverage, curves.unit, curves.time_scale, columns


class ModelQueue:
    """Runs a model for many threads.

    Parameters
    ----------
    model : Model
    max_wait : float
        Seconds that a request waits for the model.
    """

    def __init__(self, model: Model, max_wait: float = MAX_WAIT) -> None:
        self.model, self.max_wait = model, max_wait
        self._network_lock = _LOCKS.setdefault(model.network, threading.Lock())
        self._waiting, self._waiting_lock = list[ClassifyRequest](), threading.Lock()
        self._checks = InputChecks.silent(model.config)  # a batch's warnings would reach one of its clients only

    @property
    def is_multiband(self) -> bool:
        """Whether the model answers after every observation."""
        return isinstance(self.model.preprocessing, MultibandConfig)

    def classify(self, request: ClassifyRequest) -> Predictions:
        """Return the model's predictions for a request's light curves.

        Raises
        ------
        BusyError
            If the model had no time within ``max_wait``.
        ValueError
            If the model does not take light curves of this kind.
        """
        with self._waiting_lock:
            self._waiting.append(request)
        try:
            with self._network():
                if not request.answer.done():
                    self._classify_group(self._take_batch(request))
        finally:
            with self._waiting_lock:
                self._waiting = [other for other in self._waiting if other is not request]
        return request.answer.result()

    def history(self, curves: LightCurves) -> list[dict[str, object]]:
        """Return ``time``, ``band`` and probabilities ``p`` after every step of each light curve; multi-band models.

        Raises
        ------
        BusyError
            If the model had no time within ``max_wait``.
        """
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

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Hold the network's lock."""
        if not self._network_lock.acquire(timeout=self.max_wait):
            fix = "ask again later or with fewer light curves"
            raise BusyError(f"{self.model.name} is busy: no answer within {self.max_wait:g} s. Fix: {fix}")
        try:
            yield
        finally:
            self._network_lock.release()

    def _take_batch(self, request: ClassifyRequest) -> list[ClassifyRequest]:
        """Remove a request, and those with the same settings, from the waiting ones."""
        batch, points = [request], len(request.curves.time)
        with self._waiting_lock:
            for other in self._waiting:
                fits = points + len(other.curves.time) <= BATCH_POINTS
                if other is not request and fits and other.settings == request.settings:
                    batch.append(other)
                    points += len(other.curves.time)
            self._waiting = [other for other in self._waiting if other not in batch]
        return batch

    def _classify_group(self, batch: list[ClassifyRequest]) -> None:
        """Answer requests in one call; if it fails, one by one, so that a request fails only by its own fault."""
        first = batch[0]
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
        start = 0
        for request in batch:
            rows = predictions.table.slice(start, len(request.curves))
            request.answer.set_result(Predictions(rows, predictions.classes))
            start += len(request.curves)
