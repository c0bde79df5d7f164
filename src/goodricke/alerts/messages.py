"""What goes into the engine and what comes out: messages, dead letters, and how many of everything there were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from goodricke.alerts.answers import Answers


@dataclass(frozen=True)
class Message:
    """A message of one partition of the stream."""

    offset: int
    value: bytes
    partition: int = 0


@dataclass(frozen=True)
class DeadLetter:
    """A message that can't be used, and why."""

    message: Message
    error: str


@dataclass
class Counts:
    """What became of messages and observations since the engine began."""

    messages: int = 0
    repeated: int = 0  # messages that were taken before
    unkeyed: int = 0  # messages without a key, in a topic of several partitions
    dead: int = 0  # messages that can't be decoded
    unusable: int = 0  # sound messages that tell nothing of a known band, of a fixed object, or passing the cuts
    observations: int = 0  # taken
    other_bands: int = 0  # observations in bands that the model doesn't know
    faint: int = 0  # fluxes not above their errors, which have no magnitude for a model of magnitudes
    filled: int = 0  # of them those that no message but a packet's past told of
    known: int = 0  # observations that the object had
    refused: int = 0  # older than anything kept
    rebuilt: int = 0  # objects
    born: int = 0  # objects seen for the first time
    strayed: int = 0  # objects seen for the first time that another partition has too: the topic isn't keyed by object
    damaged: int = 0  # records that had to be thrown away

    def add(self, **more: int) -> None:
        """Add to some of them."""
        for name, number in more.items():
            setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True)
class Taken:
    """What came of a batch."""

    answers: Answers
    dead: list[DeadLetter]
    offset: int  # of the next message


class Outbox(NamedTuple):
    """What a store's last transaction says of its batch, whose answers may not have been published."""

    first: int  # offset of its first message
    objects: list[str]

    def tobytes(self) -> bytes:
        """Return it as bytes."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def frombytes(cls, data: bytes) -> Outbox:
        """Return it from its bytes, an empty one from none."""
        return cls(**json.loads(data)) if data else cls(0, [])
