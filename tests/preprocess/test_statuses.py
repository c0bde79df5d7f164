"""Light curves that could be computed on, but whose answer would mean nothing."""

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import DenseConfig, FoldedConfig, prepare


def test_flux_around_zero_has_no_magnitudes() -> None:
    rng = np.random.default_rng(0)
    time, flux = np.sort(rng.uniform(0, 100, 200)), rng.normal(0, 1, 200)
    both = LightCurves.from_arrays(["difference", "total"], [0, 200, 400], np.tile(time, 2), [*flux, *(flux + 20)])
    result = prepare(both, FoldedConfig())
    assert result.status.tolist() == ["NOT_POSITIVE", "OK"]
    assert result.n_points[0] == 0


def test_ground_based_light_curves_are_too_sparse_to_be_detrended() -> None:
    rng = np.random.default_rng(0)
    nightly, dense = np.arange(200.0), np.arange(200) / 48
    both = LightCurves.from_arrays(["nightly", "dense"], [0, 200, 400], [*nightly, *dense], rng.normal(1, 0.1, 400))
    assert prepare(both, DenseConfig()).status.tolist() == ["TOO_SPARSE", "OK"]
    assert prepare(both, DenseConfig(detrend=None)).status.tolist() == ["OK", "OK"]


def test_repeated_observations_count_once() -> None:
    rng = np.random.default_rng(0)
    time, flux = np.sort(rng.uniform(0, 100, 200)), rng.normal(10, 1, 200)
    error = rng.uniform(0.1, 0.2, 200)
    twice = [np.concatenate([x, x[:120]]) for x in (time, flux, error)]
    once, double = (
        prepare(LightCurves.from_arrays(["a"], [0, len(t)], t, f, e, unit="mag"), FoldedConfig())
        for t, f, e in ((time, flux, error), twice)
    )
    assert np.array_equal(once.values, double.values)
    assert np.array_equal(once.context, double.context)
