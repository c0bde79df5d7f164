"""Clipping, binning, thinning and statuses, compared with a loop over the light curves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke import LightCurves
from goodricke.preprocess.cleaning import (
    align_bands,
    alternate_bands,
    bin_average,
    cleaning_status,
    clip_outliers,
    distinct_points,
    enough_per_band,
    finite_points,
    flux_to_ab,
    significant_flux,
)

value_lists = st.lists(
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, 30.0, 1e3, 1e4]), max_size=25), min_size=1, max_size=5
)


def batch(values: list, time: list | None = None, error: list | None = None) -> LightCurves:
    """Return light curves with these values, observed daily by default."""
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
    result = clip_outliers(batch(values), sigma, rounds)
    for one, v in zip(result, values, strict=True):
        expected = clip_one(np.array(v), sigma, rounds) if v else []
        assert one.value.tolist() == list(expected)


def test_clipping_rounds_are_repeated_up_to_their_limit():
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
        rows = slice(curves.offsets[i], curves.offsets[i + 1])
        filled = sorted(set(index[rows].tolist()))
        assert bins[offsets[i] : offsets[i + 1]].tolist() == filled
        for b in filled:
            inside = np.flatnonzero(index[rows] == b) + rows.start
            weight = 1 / curves.error[inside].astype(float) ** 2
            assert value[k] == pytest.approx(np.average(curves.value[inside], weights=weight), rel=1e-6)
            assert time[k] == pytest.approx(np.average(curves.time[inside], weights=weight), rel=1e-6, abs=1e-9)
            assert error[k] == pytest.approx(weight.sum() ** -0.5, rel=1e-6)
            k += 1


@pytest.mark.parametrize("bad", [np.nan, 0, -1, np.inf])
def test_one_unknown_error_gives_equal_weights_in_its_light_curve(bad):
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
    result = distinct_points(curves)
    assert result.error == pytest.approx(
        [0.1, 0.2, 0.4, 0.5, 0.6, 0.7]
    )  # another value, band or object is no repetition
    assert result.n_obs.tolist() == [4, 2]
    assert distinct_points(result) is result


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 100, width=32)), max_size=20))
def test_bands_are_aligned_where_there_are_several(points):
    points = sorted(points, key=lambda p: p[0])
    counts = np.bincount([p[0] for p in points], minlength=3)
    value, band = np.array([p[2] for p in points]), np.array([p[1] for p in points], int)
    curves = LightCurves.from_arrays(
        list("abc"), np.concatenate([[0], np.cumsum(counts)]), value, value, band=band, bands=("g", "r", "i")
    )
    for one, result in zip(curves, align_bands(curves), strict=True):
        expected = one.value.astype(float)
        if len(set(one.band.tolist())) > 1:
            for b in set(one.band.tolist()):
                expected[one.band == b] -= np.median(expected[one.band == b])
        np.testing.assert_allclose(result.value, expected, atol=1e-4)


def test_the_status_tells_the_first_reason():
    values = [[], [np.nan] * 5, [1, 2], [3] * 5, [1, 2, 3, 4, 5]]
    curves = batch(values)
    result = cleaning_status(curves, finite_points(curves), 3)
    assert result.tolist() == ["EMPTY", "NON_FINITE", "TOO_FEW_POINTS", "CONSTANT", "OK"]


def test_rows_that_readers_left_out_tell_missing_from_flagged_ones():
    curves = batch([[], [], []]).with_columns(n_read=[0, 5, 5], n_flagged=[0, 0, 5])
    assert cleaning_status(curves, curves, 3).tolist() == ["EMPTY", "NON_FINITE", "EMPTY"]


def light_curves_in(unit: str, values: list, errors: list) -> LightCurves:
    flat = [np.concatenate(xs) for xs in (values, errors)]
    offsets = np.concatenate([[0], np.cumsum([len(v) for v in values])])
    return LightCurves.from_arrays(
        [str(i) for i in range(len(values))], offsets, np.arange(len(flat[0])), *flat, unit=unit
    )


def test_fluxes_above_their_error_and_zero_are_significant():
    values, errors = [[2, 1, -2, 0], [3, 3, np.nan, 3, 3]], [[1, 1, 1, -1], [0, np.nan, 1, -1, 2.9]]
    curves = light_curves_in("nJy", values, errors)
    result = significant_flux(curves)
    assert [c.value.tolist() for c in result] == [[2], [3]]
    assert result.error == pytest.approx([1, 2.9])
    assert significant_flux(result) is result
    with pytest.raises(ValueError, match="in magnitudes"):
        significant_flux(light_curves_in("mag", values, errors))


@pytest.mark.parametrize(("unit", "jansky"), [("Jy", 1.0), ("mJy", 1e-3), ("uJy", 1e-6), ("nJy", 1e-9)])
def test_ab_magnitudes(unit, jansky):
    """A flux of 3631 Jy is magnitude 0, 3631e-10 Jy 25; one percent of error is 0.010857 mag."""
    flux = np.array([3631, 36.31, 3631e-10]) / jansky
    result = flux_to_ab(light_curves_in(unit, [flux, [-1.0, 0.0]], [flux / 100, [1.0, 1.0]]))
    assert result.unit == "mag"
    assert result.value[:3] == pytest.approx([0, 5, 25], abs=1e-5)
    assert result.error[:3] == pytest.approx([0.01 * 2.5 / np.log(10)] * 3, rel=1e-5)
    assert np.isnan(result.value[3:]).all()
    assert np.isnan(result.error[3:]).all()


@pytest.mark.parametrize("unit", ["mag", "electron / s", "relative", "unknown", "d"])
def test_no_ab_magnitudes_without_a_zero_point(unit):
    with pytest.raises(
        ValueError, match=r"have no zero point for AB magnitudes\. Fix: give magnitudes or flux densities"
    ):
        flux_to_ab(light_curves_in(unit, [[1.0]], [[0.1]]))


def gaia_curves(*curves: list) -> LightCurves:
    """Return light curves of (minutes, band) each."""
    offsets = np.concatenate([[0], np.cumsum([len(c) for c in curves], dtype=int)])
    points = [p for c in curves for p in c]
    time, band = (np.array([p[i] for p in points], float) for i in (0, 1))
    ids, bands = [str(i) for i in range(len(curves))], ("G", "BP", "RP")
    return LightCurves.from_arrays(ids, offsets, 2457000 + time / 1440, time, band=band.astype(int), bands=bands)


def remaining_bands(curves: LightCurves) -> list:
    return ["".join("GBR"[b] for b in c.band) for c in alternate_bands(curves)]


def test_bands_observed_together_alternate():
    G, B, R = 0, 1, 2
    visits = [(start + minute, band) for start in (0, 106, 1000, 1106) for minute, band in ((0, G), (0.6, B), (0.7, R))]
    single = [(0, B), (0.5, R), (106, R), (212, B), (212.5, R), (318, R), (319, B), (500, B), (700, B), (700.1, R)]
    far = [(0, B), (15.5, R), (31, B)]
    near = [(0, R), (14.5, B)]
    assert remaining_bands(gaia_curves(visits, single, [], far, near, [(0, G)])) == [
        "GBGRGBGR",
        "BRBRBR",
        "",
        "BRB",
        "B",
        "G",
    ]


def test_thinning_needs_order_in_time():
    with pytest.raises(ValueError, match=r"Fix: curves\.sorted"):
        alternate_bands(gaia_curves([(10, 1), (0, 2)]))


even_minutes = st.integers(0, 100).map(lambda half: 2 * half)  # never 15 apart, which rounding decides


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(even_minutes, st.integers(0, 2)), max_size=12), min_size=1, max_size=3))
def test_no_two_bands_within_fifteen_minutes(curves):
    curves = gaia_curves(*[sorted(set(c)) for c in curves])
    result = alternate_bands(curves)
    for one, before in zip(result, curves, strict=True):
        minutes, band, state = one.value[one.band > 0], one.band[one.band > 0], 2
        gaps = np.abs(minutes[:, None] - minutes)[band[:, None] != band]
        assert not (gaps <= 14.99).any()
        assert (one.band == 0).sum() == (before.band == 0).sum()
        visits, last = [], -np.inf
        for time, b in zip(before.value[before.band > 0], before.band[before.band > 0], strict=True):
            if time - last > 15.01:
                visits.append([])
            visits[-1].append(b)
            last = time
        expected = []
        for visit in visits:
            state = 3 - state if len(set(visit)) > 1 else visit[0]
            expected += [state] * visit.count(state)
        assert band.tolist() == expected
    assert alternate_bands(result) is result


def test_enough_observations_in_every_band():
    curves = gaia_curves([(0, 1), (1, 2)], [(0, 1), (1, 1)], [], [(0, 1), (1, 1), (2, 2), (3, 2), (4, 0)])
    assert enough_per_band(curves, 1).tolist() == [False, False, False, True]
    assert enough_per_band(curves, 1, ("BP", "RP")).tolist() == [True, False, False, True]
    assert enough_per_band(curves, 2, ("BP",)).tolist() == [False, True, False, True]
    assert enough_per_band(curves, 1, ("V",)).tolist() == [False] * 4
    assert enough_per_band(curves, 0).all()
