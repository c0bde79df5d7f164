"""A model that many ask at the same time: one call of the network at a time, and those who wait are answered together.

A network's Monte-Carlo passes swap its dropout, so that two threads can't use it at once. Whoever has the turn takes
along the light curves of all that wait with the same settings: an object's answer doesn't depend on its company, and
small networks answer a batch nearly as fast as one.
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
from goodricke.inference import classify, step_probabilities
from goodricke.models.bundle import Model
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

PATIENCE = 60.0  # seconds that a request waits for its turn
TOGETHER = 100_000  # observations up to which requests are answered in one call


_TURNS: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()  # one for each network, not for each desk


class Busy(RuntimeError):  # noqa: N818  what it is
    """The model had no time for the request."""


@dataclass(eq=False)
class Question:
    """Light curves that wait for a model."""

    curves: LightCurves
    passes: int = 20
    seed: int = 0
    coverage: Coverage = COVERAGE
    answer: Future[Predictions] = field(default_factory=Future)

    @property
    def kind(self) -> Hashable:
        """What those that are answered together have in common."""
        curves = self.curves
        columns = tuple(curves.table_of_objects.column_names)
        return self.passes, self.seed, self.coverage, curves.unit, curves.time_scale, columns


class Desk:
    """Where a model is asked."""

    def __init__(self, model: Model, patience: float = PATIENCE) -> None:
        self.model, self.patience = model, patience
        self._turn = _TURNS.setdefault(model.network, threading.Lock())
        self._waiting, self._list = list[Question](), threading.Lock()

    @property
    def multiband(self) -> bool:
        """Whether the model answers after every observation."""
        return isinstance(self.model.preprocessing, MultibandConfig)

    def classify(self, question: Question) -> Predictions:
        """Return the answers about light curves.

        Raises
        ------
        Busy
            If the model had no time within the desk's patience.
        ValueError
            If the light curves are not of the kind that the model takes.
        """
        with self._list:
            self._waiting.append(question)
        try:
            with self._alone():
                if not question.answer.done():
                    self._answer(self._alike(question))
        finally:
            with self._list:
                self._waiting = [each for each in self._waiting if each is not question]
        return question.answer.result()

    def history(self, curves: LightCurves) -> list[dict[str, object]]:
        """Return time, band and probabilities after every step of each light curve, by a multi-band model.

        Raises
        ------
        Busy
            If the model had no time within the desk's patience.
        """
        preprocessing: Any = self.model.preprocessing
        steps: Any = prepare(curves, preprocessing)
        with self._alone():
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
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self.patience):
            raise Busy(
                f"{self.model.name} is busy: no turn in {self.patience:g} s. Ask again later or with fewer light curves"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _alike(self, question: Question) -> list[Question]:
        """Take a question and those that can be answered with it off the list."""
        taken, points = [question], len(question.curves.time)
        with self._list:
            for other in self._waiting:
                small = points + len(other.curves.time) <= TOGETHER
                if other is not question and small and other.kind == question.kind:
                    taken.append(other)
                    points += len(other.curves.time)
            self._waiting = [each for each in self._waiting if each not in taken]
        return taken

    def _answer(self, questions: list[Question]) -> None:
        """Answer questions of one kind; if that fails, each by itself, so that none pays for another."""
        first = questions[0]
        curves = first.curves if len(questions) == 1 else LightCurves.concat([each.curves for each in questions])
        try:
            done = classify(curves, self.model, first.passes, first.seed, coverage=first.coverage)
        except Exception as error:
            if len(questions) == 1:
                first.answer.set_exception(error)
            else:
                for each in questions:
                    self._answer([each])
            return
        start = 0
        for each in questions:
            rows = done.table.slice(start, len(each.curves))
            each.answer.set_result(Predictions(rows, done.classes))
            start += len(each.curves)
