"""Section 4.3: the published recordings, the filter, the cadence, and what becomes of bad light curves."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from goodricke import LightCurves
from goodricke.preprocess import DenseConfig, prepare
from goodricke.preprocess.dense import PAPER_SIGMA, gaussian_trend, kepler, median_cadence, published, to_cadence
from tests.checking import assert_same

KEPT = (0, 64, 256, 1024, 2048, 8192)
HALF_HOUR = 1 / 48


def curve(n=200, step=HALF_HOUR, seed=0, unit="electron / s", start=1500.0) -> LightCurves:
    """Return a noisy sine on a slope."""
    rng = np.random.default_rng(seed)
    time = start + step * np.arange(n)
    value = 1000 + 10 * np.sin(2 * np.pi * time / 0.7) + time + rng.normal(0, 1, n)
    return LightCurves.from_arrays([f"s{seed}n{n}"], [0, n], time, value, np.full(n, 1.0), unit=unit)


def light_curve(time, value, unit="electron / s") -> LightCurves:
    return LightCurves.from_arrays(["x"], [0, len(time)], time, value, unit=unit)


def recorded_curves(recorded) -> tuple[list[str], LightCurves]:
    cases = [k.removesuffix(".flux") for k in recorded if k.endswith(".flux")]
    parts = []
    for case in cases:
        good = np.isin(recorded[f"{case}.quality"], KEPT)
        time, flux = recorded[f"{case}.time"][good], recorded[f"{case}.flux"][good]
        parts.append(LightCurves.from_arrays([case], [0, len(time)], time, flux))
    return cases, LightCurves.concat(parts)


def test_the_published_recordings_are_met_number_by_number(recorded):
    cases, curves = recorded_curves(recorded)
    assert len(cases) == 11
    prepared = prepare(curves, published())
    batch = prepared.batch(np.arange(len(cases)))
    for k, case in enumerate(cases):
        if f"{case}.raises" in recorded:  # the published code stops; here it is a status
            assert prepared.status[k] in ("EMPTY", "NON_FINITE"), case
            assert not batch.mask[k].any()
            continue
        assert prepared.status[k] == "OK", case
        np.testing.assert_array_equal(batch.mask[k], recorded[f"{case}.out_mask"], case)
        np.testing.assert_allclose(batch.values[k, :, 0], recorded[f"{case}.out_flux"], atol=2e-6, err_msg=case)
        np.testing.assert_allclose(batch.time[k], recorded[f"{case}.out_time"], atol=2e-6, err_msg=case)


WITH_SUMMARY = DenseConfig(spectrum=20)


@pytest.mark.parametrize(
    "config",
    [DenseConfig(), kepler(), published(), WITH_SUMMARY],
    ids=["default", "kepler", "published", "with a summary"],
)
def test_a_light_curve_alone_and_in_company_is_the_same_to_the_bit(config):
    steps = (HALF_HOUR, 2 / 1440, 1 / 144, 1.0)
    parts = [curve(n, step, n) for n in (0, 1, 5, 9, 10, 60, 61, 62, 300) for step in steps]
    together = prepare(LightCurves.concat(parts), config)
    backwards = prepare(LightCurves.concat(parts[::-1]), config).take(np.arange(len(parts))[::-1])
    assert_same(together, backwards)
    for k, part in enumerate(parts):
        assert_same(prepare(part, config), together.take(np.array([k])))


def test_the_trend_is_scipy_s_gaussian_of_61_samples_at_30_minutes():
    curves = curve(900)
    expected = gaussian_filter1d(curves.value, 61.0)
    np.testing.assert_allclose(gaussian_trend(curves.value, curves, PAPER_SIGMA), expected, rtol=1e-6)
    np.testing.assert_array_equal(gaussian_trend(curves.value, curves, 99.0, 61), expected)


def test_a_light_curve_shorter_than_sigma_is_filtered_with_half_its_length():
    short = curve(40)
    np.testing.assert_array_equal(gaussian_trend(short.value, short, PAPER_SIGMA), gaussian_filter1d(short.value, 20))


def test_the_trend_is_as_slow_in_days_at_another_cadence():
    def smooth(step):
        time = np.arange(0, 27, step)
        return light_curve(time, 1000 + 20 * np.sin(time / 4) + 5 * np.sin(time * 9))

    slow, fast = smooth(HALF_HOUR), smooth(HALF_HOUR / 3)
    trends = [gaussian_trend(c.value, c, PAPER_SIGMA) for c in (slow, fast)]
    assert np.abs(trends[1][::3] - trends[0]).max() < 0.1
    in_samples = gaussian_trend(fast.value, fast, PAPER_SIGMA, 61)[::3]
    assert np.abs(in_samples - trends[0]).max() > 3  # a filter in samples is another one


def test_two_minute_data_are_averaged_to_half_hours():
    fast = curve(3000, 2 / 1440)
    averaged = to_cadence(fast, HALF_HOUR)
    assert averaged.n_obs.tolist() == [200]
    halves = np.floor((fast.time - fast.time[0]) * 48)
    inside = [halves == k for k in range(200)]
    np.testing.assert_allclose(averaged.value, [fast.value[i].mean(dtype=float) for i in inside], rtol=1e-6)
    np.testing.assert_allclose(averaged.time, [fast.time[i].mean() for i in inside], rtol=1e-12)
    np.testing.assert_allclose(averaged.error, [i.sum() ** -0.5 for i in inside], rtol=1e-6)
    assert averaged.ids == fast.ids


@pytest.mark.parametrize("step", [HALF_HOUR, 29.4 / 1440, 0.8 * HALF_HOUR, 1.0])
def test_data_about_as_slow_as_the_cadence_are_left_alone(step):
    curves = curve(100, step)
    assert to_cadence(curves, HALF_HOUR) is curves


def test_in_a_mixed_batch_only_the_fast_ones_are_averaged_and_the_order_stays():
    parts = [curve(100, HALF_HOUR, 1), curve(300, 2 / 1440, 2), curve(0), curve(1, seed=3), curve(150, 1 / 480, 4)]
    curves = LightCurves.concat(parts).with_columns(k=np.arange(5))
    result = to_cadence(curves, HALF_HOUR)
    assert result.ids == curves.ids
    assert result.column("k").tolist() == [0, 1, 2, 3, 4]
    assert result.n_obs.tolist() == [100, 20, 0, 1, 15]
    assert result[0].value.tolist() == parts[0].value.tolist()


def test_the_cadence_is_the_median_step():
    curves = LightCurves.from_arrays(list("abc"), [0, 4, 5, 5], [0, 1, 2, 100, 5], np.zeros(5))
    assert median_cadence(curves)[0] == 1
    assert np.isnan(median_cadence(curves)[1:]).all()


def test_values_have_median_zero_and_deviation_one_and_times_start_at_zero():
    prepared = prepare(curve(500), DenseConfig())
    assert np.median(prepared.values) == pytest.approx(0, abs=1e-6)
    assert np.std(prepared.values.astype(float)) == pytest.approx(1, abs=1e-5)
    assert prepared.time[0] == 0
    np.testing.assert_allclose(prepared.time, np.arange(500) / 48, atol=1e-6)
    assert prepared.values.shape == (500, 1)
    assert prepared.values.dtype == prepared.time.dtype == np.float32


def test_times_are_differenced_in_64_bits_unless_told_otherwise():
    late = curve(500, start=2459000.0)
    exact = prepare(late, DenseConfig())
    np.testing.assert_allclose(exact.time, np.arange(500) / 48, atol=1e-6)
    quantised = prepare(late, DenseConfig(single_precision_time=True))
    assert np.abs(quantised.time - np.arange(500) / 48).max() > 0.01


def test_kepler_light_curves_are_only_standardised():
    curves = curve(300)
    value = curves.value.astype(float)
    value[7] = 1e5  # would be clipped
    curves = light_curve(curves.time, value)
    expected = (value - np.median(value)) / value.std()
    np.testing.assert_allclose(prepare(curves, kepler()).values[:, 0], expected, atol=1e-4)
    assert prepare(curves, DenseConfig()).n_points[0] == 299


def test_magnitudes_are_turned_over_so_that_up_is_brighter():
    flux, mag = curve(300), curve(300, unit="mag")
    np.testing.assert_allclose(prepare(mag, DenseConfig()).values, -prepare(flux, DenseConfig()).values, atol=2e-5)


def test_unsorted_light_curves_are_sorted_first():
    curves = curve(300)
    order = np.random.default_rng(1).permutation(300)
    assert_same(prepare(light_curve(curves.time[order], curves.value[order]), kepler()), prepare(curves, kepler()))


def test_negative_flux_is_flux_too():
    curves = curve(300)
    shifted = light_curve(curves.time, curves.value - 5000)
    np.testing.assert_allclose(prepare(shifted, kepler()).values, prepare(curves, kepler()).values, atol=1e-3)


def test_single_bad_points_are_dropped_and_the_rest_is_as_if_they_had_never_been():
    good = curve(300)
    value, time = good.value.copy(), good.time.copy()
    value[[3, 50]], value[70], time[90], time[100] = np.nan, np.inf, np.nan, np.inf
    selected = np.isfinite(value) & np.isfinite(time)
    assert_same(
        prepare(light_curve(time, value), DenseConfig()),
        prepare(light_curve(time[selected], value[selected]), DenseConfig()),
    )


BAD = {
    "EMPTY": light_curve([], []),
    "NON_FINITE": light_curve(np.arange(20.0), np.where(np.arange(20) % 2, np.nan, np.inf)),
    "TOO_FEW_POINTS": light_curve(np.arange(9.0), np.arange(9.0)),
    "CONSTANT": light_curve(np.arange(20.0), np.full(20, 3.3)),
}


@pytest.mark.parametrize("status", BAD)
def test_what_can_not_be_used_has_a_status_and_no_points(status):
    prepared = prepare(BAD[status], DenseConfig())
    assert prepared.status.tolist() == [status]
    assert prepared.n_points.tolist() == [0]
    assert not prepared.usable.any()


def test_nan_times_alone_make_a_light_curve_unusable():
    assert prepare(light_curve(np.full(20, np.nan), np.arange(20.0)), DenseConfig()).status.tolist() == ["NON_FINITE"]


def test_one_point_and_constants_are_zeros_as_published():
    for bad in (BAD["CONSTANT"], light_curve([1.0], [5.0])):
        prepared = prepare(bad, published())
        assert prepared.status.tolist() == ["OK"]
        assert (prepared.values == 0).all()


def test_an_hour_of_two_minute_data_is_too_few_half_hours():
    hour = light_curve(np.arange(30) * 2 / 1440, np.sin(np.arange(30.0)))
    assert prepare(hour, DenseConfig()).status.tolist() == ["TOO_FEW_POINTS"]
    assert prepare(hour, DenseConfig(cadence=None)).status.tolist() == ["OK"]


def test_averaging_a_constant_leaves_it_constant():
    constant = LightCurves.from_arrays(
        ["x"], [0, 900], np.arange(900) * 2 / 1440, np.full(900, 0.1), np.random.default_rng(0).uniform(0.1, 1, 900)
    )
    assert prepare(constant, DenseConfig()).status.tolist() == ["CONSTANT"]


@pytest.mark.parametrize("far", [1e9, 1e16, 1e30, 1e300])
def test_a_time_far_away_disturbs_nobody_else(far):
    time = np.arange(900) * 2 / 1440
    stray = light_curve(np.append(time, far), np.append(np.sin(time * 30), 0.5))
    normal = light_curve(time, np.cos(time * 30))
    both = prepare(LightCurves.concat([stray, normal, stray]), DenseConfig())
    assert_same(both.take(np.array([1])), prepare(normal, DenseConfig()))
    assert both.n_points[0] == both.n_points[1] + 1


def test_frames_cut_and_pad():
    long, short = curve(100), curve(20, seed=1)
    prepared = prepare(LightCurves.concat([long, short]), kepler().model_copy(update={"frames": 50}))
    batch = prepared.batch(np.array([0, 1]))
    assert prepared.n_points.tolist() == [50, 20]
    assert prepared.padded.tolist() == [50, 50]
    assert batch.values.shape == (2, 50, 1)
    assert prepared.batch(np.array([1])).values.shape == (1, 50, 1)


def test_misspelt_settings_are_refused():
    with pytest.raises(ValueError, match="detrnd"):
        DenseConfig(detrnd=1)
