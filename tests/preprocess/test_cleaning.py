"""Clipping, binning and judging, held against a loop over the light curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke import LightCurves
from goodricke.preprocess.cleaning import align_bands, bin_average, clip_outliers, distinct_points, finite_points, judge

value_lists = st.lists(
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 30.0, 1e3, 1e4]), max_size=25), min_size=1, max_size=5
)


def batch(values: list, time: list | None = None, error: list | None = None) -> LightCurves:
    """Return light curves with these values, taken daily unless told otherwise."""
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in values], dtype=int)])
    flat = [np.concatenate([np.asarray(x, float) for x in xs]) if xs else None for xs in (time, values, error)]
    days = np.concatenate([np.arange(len(v), dtype=float) for v in values]) if time is None else flat[0]
    return LightCurves.from_arrays([str(i) for i in range(len(values))], offsets, days, flat[1], flat[2])


def clip_one(values: np.ndarray, sigma: float, rounds: int) -> np.ndarray:
    for _ in range(rounds):
        centre, width = np.median(values), np.std(values)
        inside = np.abs(values - centre) <= sigma * width
        if inside.all() or not inside.any():
            values = values[inside]
            break
        values = values[inside]
    return values


@settings(deadline=None)
@given(value_lists, st.sampled_from([0.9, 1.7, 3.3]), st.integers(0, 5))
def test_clipping_is_that_of_a_loop_per_light_curve(values, sigma, rounds):
    found = clip_outliers(batch(values), sigma, rounds)
    for one, v in zip(found, values, strict=True):
        expected = clip_one(np.array(v), sigma, rounds) if v else []
        assert one.value.tolist() == list(expected)


def test_each_round_looks_again_and_the_last_one_is_the_last():
    values = [0, 1] * 50 + [30, 1e3, 1e5]
    lengths = [len(clip_outliers(batch([values, [1, 2, 3]]), 5, k).time) for k in range(6)]
    assert lengths == [106, 105, 104, 103, 103, 103]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.floats(0.1, 10), st.floats(0.1, 2)), max_size=30))
def test_bins_hold_the_weighted_mean_and_its_error(points):
    values = [[p[2] for p in points if p[0] == i] for i in range(3)]
    errors = [[p[3] for p in points if p[0] == i] for i in range(3)]
    index = np.array([p[1] for i in range(3) for p in points if p[0] == i], np.int64)
    curves = batch(values, error=errors)
    offsets, bins, time, value, error = bin_average(curves, index)
    k = 0
    for i in range(3):
        own = slice(curves.offsets[i], curves.offsets[i + 1])
        filled = sorted(set(index[own].tolist()))
        assert bins[offsets[i] : offsets[i + 1]].tolist() == filled
        for b in filled:
            inside = np.flatnonzero(index[own] == b) + own.start
            weight = 1 / curves.error[inside].astype(float) ** 2
            assert value[k] == pytest.approx(np.average(curves.value[inside], weights=weight), rel=1e-6)
            assert time[k] == pytest.approx(np.average(curves.time[inside], weights=weight), rel=1e-6, abs=1e-9)
            assert error[k] == pytest.approx(weight.sum() ** -0.5, rel=1e-6)
            k += 1


@pytest.mark.parametrize("bad", [np.nan, 0, -1, np.inf])
def test_one_unknown_error_makes_all_points_of_its_light_curve_weigh_alike(bad):
    curves = batch([[1, 3], [1, 3]], error=[[bad, 0.1], [0.1, 0.2]])
    _, _, _, value, error = bin_average(curves, np.zeros(4, np.int64))
    assert value == pytest.approx([2, (1 * 100 + 3 * 25) / 125])
    assert np.isnan(error).tolist() == [True, False]


def test_a_bin_far_away_does_not_mix_light_curves():
    curves = batch([[1, 2], [3, 4], [5, 6]])
    index = np.array([0, 2**62, 0, 7, 2**62, 0], np.int64)
    offsets, bins, _, value, _ = bin_average(curves, index)
    assert offsets.tolist() == [0, 2, 4, 6]
    assert bins.tolist() == [0, 2**62, 0, 7, 0, 2**62]
    assert value.tolist() == [1, 2, 3, 4, 6, 5]


def test_points_without_finite_time_and_value_are_dropped():
    curves = batch([[1, np.nan, np.inf, 4], [5]], time=[[0, 1, 2, np.nan], [1]])
    assert [c.value.tolist() for c in finite_points(curves)] == [[1], [5]]


def test_repeated_observations_are_dropped_and_the_first_stays():
    curves = LightCurves.from_arrays(
        ["a", "b"],
        [0, 5, 7],
        [1, 2, 1, 1, 1, 1, 2],
        [5, 5, 5, 6, 5, 5, 5],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        [0, 0, 0, 0, 1, 0, 0],
        bands=("g", "r"),
    )
    found = distinct_points(curves)
    assert found.error == pytest.approx(
        [0.1, 0.2, 0.4, 0.5, 0.6, 0.7]
    )  # another value, band or object is no repetition
    assert found.n_obs.tolist() == [4, 2]
    assert distinct_points(found) is found


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 100, width=32)), max_size=20))
def test_bands_are_aligned_where_there_are_several(points):
    points = sorted(points, key=lambda p: p[0])
    counts = np.bincount([p[0] for p in points], minlength=3)
    value, band = np.array([p[2] for p in points]), np.array([p[1] for p in points], int)
    curves = LightCurves.from_arrays(
        list("abc"), np.concatenate([[0], np.cumsum(counts)]), value, value, band=band, bands=("g", "r", "i")
    )
    for one, found in zip(curves, align_bands(curves), strict=True):
        expected = one.value.astype(float)
        if len(set(one.band.tolist())) > 1:
            for b in set(one.band.tolist()):
                expected[one.band == b] -= np.median(expected[one.band == b])
        np.testing.assert_allclose(found.value, expected, atol=1e-4)


def test_the_status_tells_the_first_reason():
    values = [[], [np.nan] * 5, [1, 2], [3] * 5, [1, 2, 3, 4, 5]]
    curves = batch(values)
    found = judge(curves, finite_points(curves), 3)
    assert found.tolist() == ["EMPTY", "NON_FINITE", "TOO_FEW_POINTS", "CONSTANT", "OK"]
