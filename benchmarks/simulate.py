"""Speed of making labelled light curves."""

from __future__ import annotations

from benchmarks.astrafier import Figures
from benchmarks.timing import measure, peak_memory
from goodricke.simulate.blocks import Block
from goodricke.simulate.dense import Making, Settings, plan
from goodricke.simulate.kinds import counts, source

CADENCES = ("tess-30min", "tess-200s", "tess-2min", "kepler")


def dense(tiny: bool = False) -> Figures:
    """Measure making 50 light curves of each class in one process, by cadence, and of each kind of star."""
    n = 1 if tiny else 50
    figures = {name: _speed(name, plan(n)) for name in CADENCES[: 1 if tiny else None]}
    for kind in counts(n) if not tiny else ["constant"]:
        figures[kind] = _speed("tess-30min", plan({source(kind).label: 500}), kind)
    return figures


def _speed(cadence: str, blocks: list[Block], only: str | None = None) -> dict[str, float]:
    """Return what whole blocks cost per light curve: those that are cut short are made whole too."""
    blocks = [block for block in blocks if only in (None, block.kind)][: None if only is None else 1]
    making = Making(Settings(cadence), tuple({block.kind for block in blocks}))
    making(blocks[0])  # tables are read, libraries loaded
    done = list[int]()
    timing = measure(lambda: done.append(sum(len(making(block).time) for block in blocks)), repeats=1, warm=False)
    number = sum(block.rows for block in blocks)
    return {
        "CPU per light curve [ms]": 1e3 * timing.median() / number,
        "per CPU minute": 60 * number / timing.median(),
        "points each": done[0] / number,
        "memory [GB]": peak_memory(),
    }
