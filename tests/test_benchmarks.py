"""The benchmarks run, at toy sizes, and the plain network that they measure against says the same; nothing is timed."""

import math

from benchmarks import multiband


def test_multiband_benchmarks_run() -> None:
    results = multiband.run(tiny=True)
    for figures in results.values():
        assert all(math.isfinite(x) and x >= 0 for x in figures.values() if isinstance(x, float))
    differences = [f["largest difference of a logit"] for f in results.values() if "largest difference of a logit" in f]
    assert len(differences) == 2
    assert max(differences) < 1e-5
