"""Speed of making labelled light curves."""

from __future__ import annotations

from benchmarks.astrafier import Figures
from benchmarks.processes import peak_memory
from benchmarks.timing import measure
from goodricke.simulate.blocks import SourceBlock, plan
from goodricke.simulate.dense import DenseBlockMaker
from goodricke.simulate.kinds import DENSE

CADENCES = ("tess-30min", "tess-200s", "tess-2min", "kepler")


def dense(tiny: bool = False) -> Figures:
    """Measure making 50 light curves of each class in one process, by cadence, and of each kind of star."""
    n = 1 if tiny else 50
    figures = {name: _speed(name, plan(DENSE.counts(n))) for name in CADENCES[: 1 if tiny else None]}
    return figures | {kind: _speed("tess-30min", plan({kind: 64})) for kind in (["constant"] if tiny else DENSE.labels)}


def _speed(cadence: str, blocks: list[SourceBlock]) -> dict[str, float]:
    """Return the cost per light curve; parts of blocks cost as much as whole fields of eight."""
    maker = DenseBlockMaker(tuple({block.kind for block in blocks}), cadence=cadence)
    maker(blocks[0])  # reads the tables and imports libraries
    points = list[int]()
    timing = measure(lambda: points.append(sum(len(maker(block).time) for block in blocks)), repeats=1, warm=False)
    number = sum(block.rows for block in blocks)
    return {
        "CPU per light curve [ms]": 1e3 * timing.median() / number,
        "per CPU minute": 60 * number / timing.median(),
        "points each": points[0] / number,
        "memory [GB]": peak_memory(),
    }
