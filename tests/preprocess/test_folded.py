"""Folding: periods found, phases in place, nothing learned from the company, statuses for the rest."""

from dataclasses import replace

import numpy as np
import pytest

from goodricke import LightCurves
from goodricke.preprocess import FoldedConfig, folded, prepare
from goodricke.preprocess.periods import PeriodSearch, find_periods
from tests.checking import assert_same

CONFIG = FoldedConfig(search=PeriodSearch(shortest=0.2))
CONTEXT = {name.split(" [")[0]: k for k, name in enumerate(folded.CONTEXT)}


def star(n=300, period=0.7, seed=0, unit="mag", shape="sine", noise=0.01, error=True) -> LightCurves:
    """Return a star observed at random over 200 days, 0.4 mag deep."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 200, n))
    phase = (time / period) % 1
    depth = 0.4 * (np.sin(2 * np.pi * phase) if shape == "sine" else (np.abs(phase - 0.5) < 0.07).astype(float))
    mag = 15 + depth + noise * rng.normal(size=n)
    sigma = np.full(n, max(noise, 1e-3)) if error else None
    if unit != "mag":
        mag, sigma = 10 ** (-0.4 * (mag - 20)), None if sigma is None else sigma * np.log(10) / 2.5
        sigma = None if sigma is None else sigma * mag
    return LightCurves.from_arrays([f"{shape}{seed}"], [0, n], time, mag, sigma, unit=unit)


def light_curve(time, value, error=None, unit="mag") -> LightCurves:
    return LightCurves.from_arrays(["x"], [0, len(time)], time, value, error, unit=unit)


def test_a_star_alone_and_in_company_is_the_same_to_the_bit():
    parts = [star(n, 0.3 + 0.2 * n / 100, n, shape=s) for n in (0, 4, 9, 12, 60, 300) for s in ("sine", "eclipse")]
    together = prepare(LightCurves.concat(parts), CONFIG)
    backwards = prepare(LightCurves.concat(parts[::-1]), CONFIG).take(np.arange(len(parts))[::-1])
    assert_same(together, backwards)
    for k, part in enumerate(parts):
        assert_same(prepare(part, CONFIG), together.take(np.array([k])))


def test_the_order_of_the_observations_does_not_matter():
    sorted_star = star()
    order = np.random.default_rng(3).permutation(300)
    mixed = light_curve(sorted_star.time[order], sorted_star.value[order], sorted_star.error[order])
    assert_same(prepare(mixed, CONFIG), prepare(sorted_star, CONFIG))


@pytest.mark.parametrize("unit", ["mag", "nJy"])
@pytest.mark.parametrize("period", [0.41, 3.3, 41.0])
def test_a_sine_has_its_period(period, unit):
    result = find_periods(star(period=period, unit=unit), CONFIG.search)
    resolution = 1 / (3 * 200)  # between frequencies tried: a third of the natural width
    assert 1 / result.period[0] == pytest.approx(1 / period, abs=0.6 * resolution)
    assert 0.9 < result.power[0] <= 1


def test_an_eclipsing_star_has_its_period_or_a_simple_fraction_of_it():
    result = find_periods(star(800, 2.3, shape="eclipse"), CONFIG.search).period[0]
    ratio = 2.3 / result
    assert ratio == pytest.approx(round(ratio), abs=0.01)
    assert round(ratio) in (1, 2, 3)


def test_the_context_tells_period_power_and_amplitude():
    prepared = prepare(star(1000, 0.7), CONFIG)
    context = prepared.context[0]
    assert np.log10(prepared.period[0]) == pytest.approx(context[CONTEXT["log10 period"]], abs=1e-6)
    assert context[CONTEXT["log10 period"]] == pytest.approx(np.log10(0.7), abs=1e-3)
    assert context[CONTEXT["periodogram power"]] > 0.9
    assert context[CONTEXT["log10 amplitude"]] == pytest.approx(np.log10(0.8), abs=0.02)
    assert context[CONTEXT["asymmetry"]] == pytest.approx(0, abs=0.05)
    assert context[CONTEXT["log10 noise to signal"]] == pytest.approx(np.log10(0.01 / (0.4 / 2**0.5)), abs=0.05)
    assert context[CONTEXT["folded roughness"]] < 0.05
    assert context.shape == (len(folded.CONTEXT),) == (CONFIG.context,)


def test_noise_is_rough_and_has_little_power():
    rng = np.random.default_rng(0)
    context = prepare(light_curve(np.sort(rng.uniform(0, 200, 500)), 15 + rng.normal(size=500)), CONFIG).context[0]
    assert context[CONTEXT["folded roughness"]] > 0.5
    assert context[CONTEXT["periodogram power"]] < 0.2


def test_magnitudes_and_the_same_star_in_flux_are_nearly_the_same():
    mag, flux = (prepare(star(unit=unit), CONFIG) for unit in ("mag", "nJy"))
    np.testing.assert_allclose(flux.time, mag.time)
    np.testing.assert_allclose(flux.values, mag.values, atol=2e-3)
    np.testing.assert_allclose(flux.context, mag.context, atol=2e-3)


def test_up_is_brighter_and_the_light_curve_starts_at_its_faintest():
    prepared = prepare(star(2000, noise=0.001), CONFIG)
    brightness, bins = prepared.values[:, 0], np.round(prepared.time * 48).astype(int)
    assert prepared.n_points[0] == 128
    assert bins.tolist() == list(range(128))
    # the two cycles are alike: faintest at bins 0 and 64, brightest at 32 and 96
    assert brightness[[0, 1, 127]].max() < -1.2
    assert brightness[[31, 32, 33]].min() > 1.2
    assert np.ptp(brightness[[0, 64]]) < 0.1


def test_two_cycles_of_the_found_period_are_folded():
    eclipser = star(3000, 2.3, shape="eclipse", noise=0.002)
    prepared = prepare(eclipser, CONFIG)
    period = 10 ** prepared.context[0, 0]
    dips = prepared.values[:, 0] < -1.5
    cycles = round(2 * period / 2.3)  # true cycles on show
    starts = dips & ~np.roll(dips, 1)
    assert starts.sum() == cycles or cycles == 1


@pytest.mark.parametrize("phase", [0, 0.25, 0.5])
def test_when_the_observations_begin_does_not_matter_to_a_well_covered_star(phase):
    def shifted(shift):
        time = np.linspace(0, 50, 5000)
        return prepare(light_curve(time, 15 + 0.4 * np.sin(2 * np.pi * (time / 0.7 + shift))), CONFIG).values[:, 0]

    a, b = shifted(0), shifted(phase)
    assert np.abs(a - b).max() < 0.15


def test_missing_errors_are_zero_and_change_the_brightness_little():
    valid, unknown = prepare(star(), CONFIG), prepare(star(error=False), CONFIG)
    assert (valid.values[:, 1] > 0).all()
    assert (unknown.values[:, 1] == 0).all()
    np.testing.assert_allclose(unknown.values[:, 0], valid.values[:, 0], atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_one_bad_error_leaves_finite_numbers(bad):
    good = star()
    error = good.error.copy()
    error[5] = bad
    prepared = prepare(light_curve(good.time, good.value, error), CONFIG)
    assert prepared.status.tolist() == ["OK"]
    assert np.isfinite(prepared.values).all()
    assert 10 ** prepared.context[0, 0] == pytest.approx(0.7, rel=0.01)


def test_an_absurdly_small_error_leaves_a_power_between_zero_and_one():
    good = star()
    error = good.error.copy()
    error[5] = 1e-30
    context = prepare(light_curve(good.time, good.value, error), CONFIG).context[0]
    assert 0 <= context[CONTEXT["periodogram power"]] <= 1


def test_without_errors_the_noise_is_unknown_and_the_rest_known():
    unknown = np.isnan(prepare(star(error=False), CONFIG).context[0])
    assert np.flatnonzero(unknown).tolist() == [CONTEXT["log10 noise to signal"]]


def test_a_second_band_of_another_brightness_changes_no_period():
    one = star(600)
    bluer = np.arange(600) % 2
    value = one.value + 3 * bluer
    two = LightCurves.from_arrays(["x"], [0, 600], one.time, value, one.error, bluer, bands=("r", "g"), unit="mag")
    a, b = (prepare(curves, CONFIG) for curves in (one, two))
    np.testing.assert_allclose(b.context[0, :2], a.context[0, :2], atol=0.02)
    np.testing.assert_allclose(
        b.context[0, CONTEXT["log10 amplitude"]], a.context[0, CONTEXT["log10 amplitude"]], atol=0.05
    )


def test_negative_flux_is_dropped_and_the_rest_used():
    flux = star(unit="nJy")
    value = flux.value.copy()
    value[::10] = -1
    selected = value > 0
    sample = prepare(light_curve(flux.time, value, flux.error, "nJy"), CONFIG)
    remaining = prepare(light_curve(flux.time[selected], value[selected], flux.error[selected], "nJy"), CONFIG)
    assert_same(sample, remaining)
    assert prepare(light_curve(flux.time, -flux.value, flux.error, "nJy"), CONFIG).status.tolist() == ["NON_FINITE"]


DAYS = np.arange(30.0) + 0.1 * np.sin(np.arange(30))
BAD = {
    "EMPTY": light_curve([], []),
    "NON_FINITE": light_curve(DAYS, np.full(30, np.nan)),
    "TOO_FEW_POINTS": light_curve(DAYS[:9], np.arange(9.0)),
    "CONSTANT": light_curve(DAYS, np.full(30, 15.0)),
    "NO_PERIOD": light_curve(np.full(30, 5.0), np.arange(30.0)),
}


@pytest.mark.parametrize("status", BAD)
def test_what_can_not_be_folded_has_a_status_and_no_points(status):
    prepared = prepare(LightCurves.concat([star(), BAD[status], star(seed=1)]), CONFIG)
    assert prepared.status.tolist() == ["OK", status, "OK"]
    assert prepared.n_points[1] == 0
    assert (prepared.context[1] == 0).all()
    assert_same(prepared.take(np.array([0])), prepare(star(), CONFIG))


@pytest.mark.parametrize("far", [1e8, 1e30, 1e300, -1e300])
def test_a_time_centuries_away_is_a_status_and_not_all_the_memory(far):
    good = star()
    stray = light_curve(np.append(good.time, far), np.append(good.value, 15), np.append(good.error, 0.01))
    prepared = prepare(LightCurves.concat([stray, good]), CONFIG)
    assert prepared.status.tolist() == ["NO_PERIOD", "OK"]


@pytest.mark.parametrize("odd", [1, 2, 5, 20])
@pytest.mark.filterwarnings("error")
def test_quantised_magnitudes_leave_finite_or_unknown_numbers(odd):
    value = np.full(90, 15.0)
    value[:odd] = 15.01
    rng = np.random.default_rng(0)
    prepared = prepare(light_curve(np.sort(rng.uniform(0, 200, 90)), value), CONFIG)
    assert prepared.status.tolist() == ["OK"]
    assert np.nanmax(np.abs(prepared.context)) < 100  # never infinite
    valid = np.isfinite(prepared.context[0, [CONTEXT["log10 period"], CONTEXT["periodogram power"]]])
    assert valid.all()
    assert np.isfinite(prepared.values).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_huge_and_tiny_numbers_stay_finite(scale):
    good = star()
    prepared = prepare(light_curve(good.time, good.value * scale, good.error * scale), CONFIG)
    assert np.isfinite(prepared.context).all()
    assert np.isfinite(prepared.values).all()


def test_a_million_points_are_folded():
    n = 1_000_000
    time = np.linspace(0, 20, n)
    prepared = prepare(light_curve(time, 15 + np.sin(2 * np.pi * time / 0.7)), CONFIG)
    assert prepared.status.tolist() == ["OK"]
    assert prepared.n_points.tolist() == [128]


def test_the_sky_position_and_the_id_are_no_inputs():
    plain = star()
    named = LightCurves.from_arrays(["other"], plain.offsets, plain.time, plain.value, plain.error, unit="mag")
    assert_same(prepare(named.with_columns(ra=[1.0], period=[9.0]), CONFIG), prepare(plain, CONFIG))


def two_bands(n: int = 60, seed: int = 0) -> LightCurves:
    """Return a sine in two bands, half as strong and 0.7 mag fainter in r."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 50, n))
    band = np.arange(n) % 2
    mag = np.where(band == 0, 15.0, 15.7) + np.where(band == 0, 0.4, 0.2) * np.sin(2 * np.pi * time / 0.7)
    return LightCurves.from_arrays(["s"], [0, n], time, mag, np.full(n, 0.01), band, bands=("g", "r"), unit="mag")


def test_colours_and_ratios_of_amplitude_are_told_where_there_are_several_bands() -> None:
    star = two_bands()
    config = FoldedConfig().resolved(star)
    assert config.bands == ("g", "r")
    expected = prepare(star, config).context[0]
    assert len(expected) == config.context == 9
    assert expected[7] == pytest.approx(-0.7, abs=0.15)
    assert expected[8] == pytest.approx(np.log10(2), abs=0.1)
    # whatever order or company the bands come in
    swapped = LightCurves.from_arrays(
        ["s"], [0, 60], star.time, star.value, star.error, 2 - star.band, bands=("x", "r", "g"), unit="mag"
    )
    assert np.allclose(prepare(swapped, config).context[0], expected, atol=1e-5)


def test_a_missing_band_has_no_colour_and_one_band_is_told_none() -> None:
    config = FoldedConfig(bands=("g", "r"))
    one = two_bands().where(two_bands().band == 0)
    assert np.isnan(prepare(one, config).context[0, 7:]).all()
    assert FoldedConfig().resolved(one).bands is None
    assert prepare(one, FoldedConfig()).context.shape[1] == FoldedConfig().context == 7


def test_the_level_is_told_where_it_is_wanted_in_each_band() -> None:
    star, expected = two_bands(), FoldedConfig(level=True)
    both = expected.resolved(star)
    assert both.context == 11
    assert prepare(star, both).context[0, 9:] == pytest.approx([15.0, 15.7], abs=0.15)
    one = star.where(star.band == 1)
    assert expected.resolved(one).context == 8
    assert prepare(one, expected).context[0, 7] == pytest.approx(15.7, abs=0.1)
    missing = prepare(one, both).context[0, 9:]
    assert np.isnan(missing[0])
    assert missing[1] == pytest.approx(15.7, abs=0.1)


def test_the_level_of_fluxes_is_in_their_unit() -> None:
    star = two_bands()
    flux = replace(star, value=(10 ** (-0.4 * (star.value - 20))).astype(np.float32), unit="mJy")
    flux = replace(flux, error=(star.error * flux.value / 1.0857).astype(np.float32))
    config = FoldedConfig(level=True, bands=("g", "r"))
    magnitudes, fluxes = prepare(star, config), prepare(flux, config)
    assert np.allclose(fluxes.values, magnitudes.values, atol=2e-3)
    assert np.allclose(fluxes.context[0, 9:], magnitudes.context[0, 9:] - 20, atol=1e-4)
