"""A second model on the same stream: what it would have said, and where the two disagree."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from goodricke.alerts.answers import Answers
from goodricke.alerts.engine import Engine, Message

log = logging.getLogger("goodricke")


@dataclass
class Shadow:
    """Takes what the first engine takes, publishes nothing, and counts.

    Parameters
    ----------
    engine : Engine
        Of the second model, with a store of its own.
    """

    engine: Engine
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    distance: float = 0.0  # sum of the answers' total variation distances, over the classes that both models have
    compared: int = 0

    def take(self, messages: Sequence[Message], answers: Answers) -> None:
        """Take the messages that gave ``answers``; an error costs the comparison, not the stream."""
        try:
            other = self.engine.take(messages).answers
        except Exception as error:  # the shadow must not stop the stream
            log.error("the shadow failed: %s: %s", type(error).__name__, error)
            return
        place = {name: k for k, name in enumerate(other.object_id)}
        rows = [(i, place[name]) for i, name in enumerate(answers.object_id) if name in place]
        if not rows:
            return
        mine, its = answers.take(np.array([i for i, _ in rows])), other.take(np.array([k for _, k in rows]))
        first, second = mine.columns, its.columns
        both = (first["class"] != "") & (second["class"] != "")
        self.pairs.update(zip(first["class"][both].tolist(), second["class"][both].tolist(), strict=True))
        shared = [name for name in first if name.startswith("p_") and name != "p_max" and name in second]
        apart = sum((np.abs(first[name] - second[name])[both] for name in shared), start=np.zeros(int(both.sum())))
        self.distance += 0.5 * float(np.sum(apart))
        self.compared += int(both.sum())

    @property
    def disagreement(self) -> float:
        """Fraction of the answers with another class, NaN before the first."""
        differing = sum(n for (a, b), n in self.pairs.items() if a != b)
        return differing / self.compared if self.compared else float("nan")

    def worst(self, most: int = 5) -> list[tuple[str, str, int]]:
        """Return the commonest disagreements: class of the first model, of the second, number of answers."""
        differing = [(a, b, n) for (a, b), n in self.pairs.most_common() if a != b]
        return differing[:most]
