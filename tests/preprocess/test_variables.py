"""Folds and numbers at candidate periods: what must not matter doesn't, and what must be seen is seen."""

from dataclasses import replace

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import VariablesConfig, prepare, restore
from goodricke.preprocess.tensors import Frames
from goodricke.preprocess.variables import CANDIDATE, STAR

CONFIG = VariablesConfig()
PERIOD = 0.61


def pulsator(n: int = 250, seed: int = 0, bands: tuple[str, ...] = ("V",), zero: float = 55000.0) -> LightCurves:
    """Return a sawtooth of 0.61 d, of other amplitude and mean in each band."""
    rng = np.random.default_rng(seed)
    time, band = np.sort(rng.uniform(0, 900, n)), rng.integers(0, len(bands), n)
    phase = (time / PERIOD) % 1
    shape = np.where(phase < 0.85, phase / 0.85, (1 - phase) / 0.15) - 0.5
    value = 12 + band + (1 - 0.4 * band) * 0.6 * shape + rng.normal(0, 0.02, n)
    return LightCurves.from_arrays(
        ["star"], [0, n], time + zero, value, np.full(n, 0.02), band, bands=bands, unit="mag"
    )


def same(a: Frames, b: Frames, tolerance: float = 1e-3) -> None:
    np.testing.assert_allclose(a.candidates.period, b.candidates.period, rtol=1e-5)
    np.testing.assert_allclose(a.context, b.context, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(a.values, b.values, atol=tolerance)


def number(prepared: Frames, name: str, candidate: int | None = None) -> float:
    if candidate is None:
        return float(prepared.context[0, STAR.index(name)])
    return float(prepared.context[0, len(STAR) + candidate * len(CANDIDATE) + CANDIDATE.index(name)])


@pytest.fixture(scope="module")
def prepared() -> Frames:
    return prepare(pulsator(), CONFIG)


def test_shapes(prepared: Frames) -> None:
    assert prepared.status.tolist() == ["OK"]
    assert prepared.values.shape == (CONFIG.search.number * CONFIG.bins, CONFIG.channels)
    assert prepared.context.shape == (1, CONFIG.context)
    assert CONFIG.context == len(STAR) + CONFIG.search.number * len(CANDIDATE)


def test_the_fold_is_faintest_at_phase_zero_and_steep_before_maximum(prepared: Frames) -> None:
    assert prepared.candidates.period[0, 0] == pytest.approx(PERIOD, rel=1e-4)
    fold = prepared.values[: CONFIG.bins, 0]
    assert fold[0] < -1
    rise = fold.argmax() / CONFIG.bins
    assert rise < 0.3  # it brightens in 15 % of the cycle
    assert number(prepared, "log10 period [d]", 0) == pytest.approx(np.log10(PERIOD), abs=1e-4)
    assert 10 ** number(prepared, "log10 amplitude [mag]") == pytest.approx(0.6 * 0.9, rel=0.1)


def test_neither_zero_of_time_nor_brightness_nor_order_matters(prepared: Frames) -> None:
    same(prepare(pulsator(zero=0.0), CONFIG), prepared)
    brighter = pulsator()
    same(prepare(replace(brighter, value=brighter.value - np.float32(3)), CONFIG), prepared)
    order = np.random.default_rng(0).permutation(len(brighter.time))
    columns = {name: getattr(brighter, name)[order] for name in ("time", "value", "error", "band")}
    same(prepare(replace(brighter, **columns), CONFIG), prepared)


def test_flux_and_magnitudes_are_the_same_star(prepared: Frames) -> None:
    star = pulsator()
    flux = 10 ** (-0.4 * (star.value.astype(np.float64) - 20))
    error = flux * star.error / 1.0857362
    in_flux = replace(star, value=flux.astype(np.float32), error=error.astype(np.float32), unit="uJy")
    same(prepare(in_flux, CONFIG), prepared, 5e-3)


def test_two_bands_of_different_amplitude_give_the_shape_of_one() -> None:
    two, one = prepare(pulsator(400, bands=("V", "I")), CONFIG), prepare(pulsator(400), CONFIG)
    assert two.candidates.period[0, 0] == pytest.approx(PERIOD, rel=1e-4)
    np.testing.assert_allclose(two.values[: CONFIG.bins, 0], one.values[: CONFIG.bins, 0], atol=0.6)
    name = "-log10 unexplained variance, 4 harmonics"
    assert number(two, name, 0) > 0.6 * number(one, name, 0)


def test_a_star_alone_and_in_company(stars: LightCurves) -> None:
    together = prepare(stars, CONFIG)
    for i in (0, 5, 11):
        single = prepare(stars[i : i + 1], CONFIG)
        same(single, together.take(np.array([i])), 1e-6)


def test_a_second_mode_shows_in_the_residuals() -> None:
    star = pulsator()
    second = 0.2 * np.sin(2 * np.pi * star.time / (0.744 * PERIOD))
    double = prepare(replace(star, value=(star.value + second).astype(np.float32)), CONFIG)
    ratio = 10 ** -number(double, "log10 ratio of second frequency and first")
    assert ratio == pytest.approx(0.744, rel=1e-3)
    single = prepare(star, CONFIG)
    name = "log10 variance at second frequency"
    assert number(double, name) > number(single, name) + 0.5


def test_arrays_round_trip_and_concatenate(prepared: Frames, stars: LightCurves) -> None:
    restored = restore(prepared.to_arrays(), CONFIG)
    same(restored, prepared, 0)
    both = Frames.concat([prepared, prepare(stars[:2], CONFIG)])
    assert both.candidates.period.shape == (3, CONFIG.search.number)
    same(both.take(np.array([0])), prepared, 0)


def test_what_cannot_be_searched_has_a_status() -> None:
    star = pulsator(12)
    few = star.where(np.arange(12) < 5)
    flat = replace(star, value=np.full(12, 12, np.float32))
    assert prepare(few, CONFIG).status.tolist() == ["TOO_FEW_POINTS"]
    assert prepare(flat, CONFIG).status.tolist() == ["CONSTANT"]
    result = prepare(LightCurves.concat([few, star]), CONFIG)
    assert result.status.tolist() == ["TOO_FEW_POINTS", "OK"]
    assert np.isnan(result.candidates.period[0]).all()
