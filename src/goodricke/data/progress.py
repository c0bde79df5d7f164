"""Progress of long commands: bars on a terminal; elsewhere, where nobody sees a bar, a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 10.0  # seconds between plain lines

Advance = Callable[[int], None]


class RunProgress(NamedTuple):
    """Where a training keeps its state, and whom it tells how far it is; see `goodricke.training.loop.train`."""

    folder: Path  # of checkpoints and log
    report: Callable[[dict[str, float]], None] = lambda figures: None  # the figures of an epoch
    tick: Advance = lambda objects: None  # light curves done since the last call


class Counters:
    """Counts of what is done, each under its name.

    Parameters
    ----------
    show : callable
        Called with the name of a count and its new value.
    """

    def __init__(self, show: Callable[[str, int], None]) -> None:
        self._show, self.counts = show, dict[str, int]()

    def advance(self, name: str, done: int = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + done
        self._show(name, self.counts[name])

    def counter(self, name: str) -> Advance:
        """Return what adds to one count."""
        return lambda done: self.advance(name, done)


@contextmanager
def counting(console: Console) -> Iterator[Counters]:
    """Give counts that are shown: with a bar each on a terminal, else as lines on standard error."""
    if not console.is_terminal:
        yield Counters(PlainLines(_to_standard_error).show)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, object] = {}

        def show(name: str, value: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=None)
            bars.update(tasks[name], completed=value)  # type: ignore[arg-type]

        yield Counters(show)


class PlainLines:
    """Prints a count, at most one line in a time.

    Parameters
    ----------
    write : callable
        Prints a line.
    every : float
        Seconds between two lines.
    """

    def __init__(self, write: Callable[[str], None], every: float = EVERY) -> None:
        self._write, self._every = write, every
        self._start = self._last = time.monotonic()

    def show(self, name: str, value: int) -> None:
        """Print a count if the last line is old enough."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._write(f"{value:,} {name}, {now - self._start:.0f} s")


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
