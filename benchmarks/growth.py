"""Growth of time and memory with the length and the number of light curves.

Every case runs in a process of its own, which keeps freed memory as the commands do; libraries are about 0.4 GB of its
peak. An exponent is the slope in a double logarithmic plot from the row above: 0 is no growth, 1 growth in
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
from benchmarks.processes import peak_memory, run_in_process
from benchmarks.timing import default_clock, measure
from goodricke.inference import POINTS, classify, compute_output
from goodricke.models.astrafier import LONG, attend


@dataclass(frozen=True)
class SizeFigures:
    """Time and memory at one size."""

    size: int  # points of a light curve, or light curves
    time: float  # [s]
    peak: float  # memory [GB]
    attention: float = 0.0  # of the time [s]

    def figures(self, smaller: SizeFigures | None) -> dict[str, Any]:
        """Return time and memory, and the exponent of the time from the next smaller size."""
        figures: dict[str, Any] = {"time [s]": self.time, "exponent": "", "peak memory [GB]": self.peak}
        if smaller is not None:
            figures["exponent"] = log(self.time / smaller.time) / log(self.size / smaller.size)
        return figures | ({"attention / all": self.attention / self.time} if self.attention else {})


def run(tiny: bool = False) -> Figures:
    """Measure inference on longer and on more light curves; batches are bounded by points as everywhere."""
    lengths, numbers = ((20, 40), (3, 6)) if tiny else ((100, 300, 1000, 3000, 10000, 20000), (100, 1000, 10000))
    single = _measure_sizes(one_pass, lengths, tiny)
    figures = _table("ASTRAFier, one pass of a light curve of {:,} points", single)
    last = single[-1]  # attention takes a T^2, the rest b T
    figures["ASTRAFier, attention takes half of the time"] = {
        "from points": last.size * (last.time / last.attention - 1)
    }
    figures |= _table(
        "ASTRAFier, 20 passes of a light curve of {:,} points", _measure_sizes(passes, lengths[1::2], tiny)
    )
    figures |= _table("ASTRAFier, {:,} light curves of 40 points", _measure_sizes(dense, numbers, tiny))
    return figures | _table("multi-band, {:,} light curves of 100 observations", _measure_sizes(sparse, numbers, tiny))


def _measure_sizes(
    action: Callable[[int, int, bool], SizeFigures], sizes: Sequence[int], tiny: bool
) -> list[SizeFigures]:
    threads = torch.get_num_threads()
    if tiny:
        return [action(size, threads, tiny) for size in sizes]
    return [run_in_process(action, size, threads, tiny, variables=KEEP_MEMORY) for size in sizes]


def _table(name: str, sizes: Sequence[SizeFigures]) -> Figures:
    return {name.format(s.size): s.figures(smaller) for s, smaller in zip(sizes, [None, *sizes], strict=False)}


def one_pass(T: int, threads: int, tiny: bool) -> SizeFigures:
    """Measure a full batch of light curves of T points; figures are per light curve."""
    torch.set_num_threads(threads)
    n = 2 if tiny else max(POINTS // T, 1)
    m, prepared = astrafier.model(Case("forward", False, n, tiny=tiny)), astrafier.prepared_light_curves(n, T)
    time, peak = _time(lambda: compute_output(m, prepared, passes=0)), peak_memory()
    c: Any = m.network.config
    q, mask = torch.randn(n, c.heads, T, c.embed // c.heads), torch.ones(n, T, dtype=torch.bool)
    with torch.inference_mode():
        attention = c.blocks * _time(lambda: attend(q, q, q, mask))
    return SizeFigures(T, time / n, peak, attention / n)


def passes(T: int, threads: int, tiny: bool) -> SizeFigures:
    """Measure 20 Monte-Carlo passes of one light curve of T points."""
    torch.set_num_threads(threads)
    m, prepared = astrafier.model(Case("passes", False, 1, tiny=tiny)), astrafier.prepared_light_curves(1, T)
    compute_output(
        m, astrafier.prepared_light_curves(1, LONG), passes=1
    )  # compiles: a first run of all would take minutes
    return SizeFigures(T, _time(lambda: compute_output(m, prepared, passes=20), 1, warm=False), peak_memory())


def dense(n: int, threads: int, tiny: bool) -> SizeFigures:
    """Measure n light curves of 40 points from preprocessing to predictions."""
    torch.set_num_threads(threads)
    m, curves = astrafier.model(Case("forward", False, n, tiny=tiny)), astrafier.light_curves(n, 40)
    return SizeFigures(n, _time(lambda: classify(curves, m, passes=0), 1), peak_memory())


def sparse(n: int, threads: int, tiny: bool) -> SizeFigures:
    """Measure n light curves of 50 observations in each of two bands from preprocessing to predictions."""
    torch.set_num_threads(threads)
    m, curves = multiband.model(), multiband.light_curves(n, 50, 50)
    return SizeFigures(n, _time(lambda: classify(curves, m), 1), peak_memory())


def _time(action: Callable[[], Any], repeats: int = 3, warm: bool = True) -> float:
    """Return seconds by the clock that ratios go by, after a first run that isn't counted."""
    return measure(action, repeats, warm=warm).median(default_clock("cpu"))
