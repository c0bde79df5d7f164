"""How time and memory grow with the length and the number of light curves.

Every case has a process of its own, which keeps freed memory as the commands do; about 0.4 GB of its peak are
libraries. An exponent is the slope in a double logarithmic plot from the row above: 0 is no growth, 1 growth in
proportion, 2 with the square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch

from benchmarks import astrafier, multiband
from benchmarks.astrafier import KEEP_MEMORY, Case, Figures
from benchmarks.timing import default_clock, measure, peak_memory, run_in_process
from goodricke.inference import POINTS, classify, compute_output
from goodricke.models.attention import LONG, attend


@dataclass(frozen=True)
class Grown:
    """What was measured of one size."""

    size: int  # points of a light curve, or light curves
    time: float  # [s]
    peak: float  # memory [GB]
    attention: float = 0.0  # of the time [s]

    def figures(self, before: Grown | None) -> dict[str, Any]:
        """Return time and memory, and how they grew."""
        figures: dict[str, Any] = {"time [s]": self.time, "its exponent": "", "peak memory [GB]": self.peak}
        if before is not None:
            figures["its exponent"] = log(self.time / before.time) / log(self.size / before.size)
        return figures | ({"attention / all": self.attention / self.time} if self.attention else {})


def run(tiny: bool = False) -> Figures:
    """Measure inference as light curves get longer and more; batches are bounded by points as everywhere."""
    lengths, numbers = ((20, 40), (3, 6)) if tiny else ((100, 300, 1000, 3000, 10000, 20000), (100, 1000, 10000))
    once = _measured(one_pass, lengths, tiny)
    figures = _table("ASTRAFier, one pass of a light curve of {:,} points", once)
    last = once[-1]  # attention takes a T^2, the rest b T
    figures["ASTRAFier, attention takes half of the time"] = {
        "from points": last.size * (last.time / last.attention - 1)
    }
    figures |= _table("ASTRAFier, 20 passes of a light curve of {:,} points", _measured(passes, lengths[1::2], tiny))
    figures |= _table("ASTRAFier, {:,} light curves of 40 points", _measured(dense, numbers, tiny))
    return figures | _table("multi-band, {:,} light curves of 100 observations", _measured(sparse, numbers, tiny))


def _measured(action: Callable[[int, int, bool], Grown], sizes: Sequence[int], tiny: bool) -> list[Grown]:
    threads = torch.get_num_threads()
    if tiny:
        return [action(size, threads, tiny) for size in sizes]
    return [run_in_process(action, size, threads, tiny, variables=KEEP_MEMORY) for size in sizes]


def _table(name: str, grown: Sequence[Grown]) -> Figures:
    return {name.format(g.size): g.figures(b) for g, b in zip(grown, [None, *grown], strict=False)}


def one_pass(T: int, threads: int, tiny: bool) -> Grown:
    """Measure a full batch of light curves of T points; figures are per light curve."""
    torch.set_num_threads(threads)
    n = 2 if tiny else max(POINTS // T, 1)
    m, prepared = astrafier.model(Case("forward", False, n, tiny=tiny)), astrafier.prepared_light_curves(n, T)
    time, peak = _time(lambda: compute_output(m, prepared, passes=0)), peak_memory()
    c: Any = m.network.config
    q, mask = torch.randn(n, c.heads, T, c.embed // c.heads), torch.ones(n, T, dtype=torch.bool)
    with torch.inference_mode():
        attention = c.blocks * _time(lambda: attend(q, q, q, mask))
    return Grown(T, time / n, peak, attention / n)


def passes(T: int, threads: int, tiny: bool) -> Grown:
    """Measure 20 Monte-Carlo passes of one light curve of T points."""
    torch.set_num_threads(threads)
    m, prepared = astrafier.model(Case("passes", False, 1, tiny=tiny)), astrafier.prepared_light_curves(1, T)
    compute_output(
        m, astrafier.prepared_light_curves(1, LONG), passes=1
    )  # compiles: a first run of all would take minutes
    return Grown(T, _time(lambda: compute_output(m, prepared, passes=20), 1, warm=False), peak_memory())


def dense(n: int, threads: int, tiny: bool) -> Grown:
    """Measure n light curves of 40 points from preprocessing to predictions."""
    torch.set_num_threads(threads)
    m, curves = astrafier.model(Case("forward", False, n, tiny=tiny)), astrafier.light_curves(n, 40)
    return Grown(n, _time(lambda: classify(curves, m, passes=0), 1), peak_memory())


def sparse(n: int, threads: int, tiny: bool) -> Grown:
    """Measure n light curves of 50 observations in each of two bands from preprocessing to predictions."""
    torch.set_num_threads(threads)
    m, curves = multiband.model(), multiband.light_curves(n, 50, 50)
    return Grown(n, _time(lambda: classify(curves, m), 1), peak_memory())


def _time(action: Callable[[], Any], repeats: int = 3, warm: bool = True) -> float:
    """Return seconds by the clock that ratios go by, after a first run that isn't counted."""
    return measure(action, repeats, warm=warm).median(default_clock("cpu"))
