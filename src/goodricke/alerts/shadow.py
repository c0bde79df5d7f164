"""A second model on the same stream: what it would have said, and where the two disagree.

The shadow's store keeps, in one transaction with its states and its offset, what was found so far (`Report`), so that
every batch counts once, whoever dies when. The shadow takes a batch after the first engine has: when a worker dies
between the two, the next one begins at the shadow's offset, and the batch is compared with the answers that the first
engine's store still has of it (`Engine.recover`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np

from goodricke.alerts.answers import Answers, Message
from goodricke.alerts.engine import Engine
from goodricke.alerts.events import event


@dataclass
class Report:
    """How far two models agree.

    Parameters
    ----------
    pairs : Counter
        Answers by the class that the first model gave and the one that the second gave.
    distance : float
        Sum of the answers' total variation distances, over the classes that both models have.
    compared : int
        Answers that have a class from both.
    alone : int
        Messages that the second took without answers of the first to compare with.
    """

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    distance: float = 0.0
    compared: int = 0
    alone: int = 0

    def add(self, answers: Answers, others: Answers) -> None:
        """Add the first model's answers about a batch, and the second's."""
        place = {name: k for k, name in enumerate(others.object_id)}
        rows = [(i, place[name]) for i, name in enumerate(answers.object_id) if name in place]
        mine, its = (part.take(np.array([row[k] for row in rows], int)) for k, part in enumerate((answers, others)))
        first, second = mine.columns, its.columns
        both = (first["class"] != "") & (second["class"] != "")
        self.pairs.update(zip(first["class"][both].tolist(), second["class"][both].tolist(), strict=True))
        shared = [name for name in first if name.startswith("p_") and name != "p_max" and name in second]
        apart = sum((np.abs(first[name] - second[name])[both] for name in shared), start=np.zeros(int(both.sum())))
        self.distance += 0.5 * float(np.sum(apart))
        self.compared += int(both.sum())

    @property
    def differing(self) -> int:
        """Answers with another class."""
        return sum(n for (a, b), n in self.pairs.items() if a != b)

    @property
    def disagreement(self) -> float:
        """Fraction of the answers with another class, NaN before the first."""
        return self.differing / self.compared if self.compared else float("nan")

    def worst(self, most: int = 5) -> list[tuple[str, str, int]]:
        """Return the commonest disagreements: class of the first model, of the second, number of answers."""
        differing = [(a, b, n) for (a, b), n in self.pairs.most_common() if a != b]
        return differing[:most]

    @classmethod
    def of(cls, parts: Iterable[Report]) -> Report:
        """Return the sum of reports."""
        total = cls()
        for part in parts:
            total.pairs.update(part.pairs)
            total.distance += part.distance
            total.compared += part.compared
            total.alone += part.alone
        return total

    def tobytes(self) -> bytes:
        """Return it as bytes."""
        pairs = [[*pair, n] for pair, n in self.pairs.items()]
        return json.dumps({"pairs": pairs, **{k: v for k, v in vars(self).items() if k != "pairs"}}).encode()

    @classmethod
    def frombytes(cls, data: bytes) -> Report:
        """Return it from its bytes."""
        told = json.loads(data)
        return cls(**told | {"pairs": Counter({(a, b): n for a, b, n in told["pairs"]})})


@dataclass
class _Behind:
    """What of a partition the first engine has taken and the shadow has not."""

    first: int  # offset of the first message of the first engine's last batch
    until: int  # the first engine's offset
    answers: Answers  # of that batch
    waiting: list[Message] = field(default_factory=list)  # of that batch


@dataclass
class Shadow:
    """Takes what the first engine takes, publishes nothing, and compares.

    Parameters
    ----------
    engine : Engine
        Of the second model, with a store of its own.
    """

    engine: Engine
    reports: dict[int, Report] = field(default_factory=dict)  # by partition
    _behind: dict[int, _Behind] = field(default_factory=dict)
    _resting: set[int] = field(default_factory=set)

    @property
    def report(self) -> Report:
        """Of all partitions."""
        return Report.of(list(self.reports.values()))

    def assign(self, number: int, leader: Engine) -> int:
        """Open a partition that the first engine has opened; return the offset of the next message that either wants.

        A shadow that is new on a stream begins where the first engine is.
        """
        own, at = self.engine.assign(number), leader.assign(number)
        if not self.engine.outbox(number):
            self.engine.skip_to(number, at, Report().tobytes())
            own = at
            if at:
                event(
                    "shadow_new", f"the shadow begins at {at} in partition {number}, with what packets tell of the past"
                )
        self.reports[number] = Report.frombytes(self.engine.outbox(number))
        self._resting.discard(number)
        self._behind.pop(number, None)
        if own < at:
            answers = leader.recover(number) or Answers.none(leader.model.classes)
            self._behind[number] = _Behind(leader.last_batch(number).first, at, answers)
        return min(own, at)

    def revoke(self, number: int) -> None:
        """Let go of a partition, for another worker."""
        self.engine.revoke(number)
        self.reports.pop(number, None)
        self._behind.pop(number, None)

    def close(self) -> None:
        """Let go of all partitions; the report stays."""
        self.engine.close()

    def take(self, messages: Sequence[Message], answers: Answers) -> None:
        """Take messages of one partition, of which the first engine has just given ``answers``.

        An error costs the comparison, not the stream: the shadow then leaves the partition alone until it is assigned
        again, and goes on where it was.
        """
        number = messages[0].partition
        if number in self._resting:
            return
        try:
            self._take(number, messages, answers)
        except Exception as error:  # the shadow must not stop the stream
            self._resting.add(number)
            told = f"{type(error).__name__}: {error}"
            text = "the shadow failed in partition %d: %s; it goes on there when a worker takes up the partition again"
            event("shadow_failed", text % (number, told), "error", partition=number, error=told)

    def _take(self, number: int, messages: Sequence[Message], answers: Answers) -> None:
        behind = self._behind.get(number)
        if behind is not None:
            self._alone(number, [message for message in messages if message.offset < behind.first])
            behind.waiting += [message for message in messages if behind.first <= message.offset < behind.until]
            if messages[-1].offset + 1 < behind.until:
                return
            self._compare(number, behind.waiting, behind.answers)
            del self._behind[number]
            messages = [message for message in messages if message.offset >= behind.until]
        self._compare(number, messages, answers)

    def _compare(self, number: int, messages: Sequence[Message], answers: Answers) -> None:
        """Take messages and write what comes of the comparison in the same transaction."""
        report = deepcopy(self.reports[number])

        def note(others: Answers) -> bytes:
            report.add(answers, others)
            return report.tobytes()

        if messages:
            self.engine.take(messages, note=note)
            self.reports[number] = report

    def _alone(self, number: int, messages: Sequence[Message]) -> None:
        """Take messages without comparing."""
        report, at = deepcopy(self.reports[number]), self.engine.assign(number)
        report.alone += sum(message.offset >= at for message in messages)
        if messages:
            self.engine.take(messages, note=lambda _: report.tobytes())
            self.reports[number] = report
