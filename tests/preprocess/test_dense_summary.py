"""The summary of a dense light curve: what it says of a sine, and what it doesn't depend on."""

import numpy as np
import pytest

from goodricke import LightCurves
from goodricke.data.units import STANDARDISED
from goodricke.preprocess import DenseConfig, prepare
from goodricke.preprocess.dense_summary import NUMBERS, SPECTRA, bin_edges, width

BINS = 40
CONFIG = DenseConfig(spectrum=BINS)
TIME = 1500 + np.arange(1296) / 48


def sine(frequency=2.3, amplitude=5.0, noise=1.0, unit="electron / s") -> LightCurves:
    """Return a sine on a level of 1000."""
    rng = np.random.default_rng(1)
    value = 1000 + amplitude * np.sin(2 * np.pi * frequency * TIME) + noise * rng.standard_normal(len(TIME))
    return LightCurves.from_arrays(["s"], [0, len(TIME)], TIME, value, unit=unit)


def numbers(curves: LightCurves) -> dict[str, float]:
    return dict(zip(NUMBERS, prepare(curves, CONFIG).context[0, SPECTRA * BINS :].tolist(), strict=True))


def test_the_default_has_none():
    assert DenseConfig().context == width(0) == 0
    assert prepare(sine(), DenseConfig()).context.shape == (1, 0)


@pytest.mark.parametrize("frequency", [0.5, 2.3, 17.0])
def test_a_sine_has_its_frequency_amplitude_and_noise(frequency):
    context = prepare(sine(frequency), CONFIG).context
    assert context.shape == (1, CONFIG.context)
    for spectrum in np.split(context[0, : SPECTRA * BINS], SPECTRA):
        assert int(spectrum.argmax()) == np.searchsorted(bin_edges(BINS), frequency) - 1
    n = numbers(sine(frequency))
    assert n["frequency"] == pytest.approx(np.log10(frequency), abs=0.005)
    deviation = np.hypot(5 / np.sqrt(2), 1)
    assert n["peak"] == pytest.approx(np.log10(5 / deviation), abs=0.03)  # the peak lies between two frequencies
    assert n["amplitude"] == pytest.approx(np.log10(deviation / 1000), abs=0.03)
    assert n["sine"] == pytest.approx(12.5 / 13.5, abs=0.06)
    if frequency < 1:  # from point to point a slow sine changes less than the noise
        assert n["noise"] == pytest.approx(-3, abs=0.05)


def test_slow_changes_are_in_the_trend_alone():
    curves = sine(1.0)
    slow = LightCurves.from_arrays(["s"], [0, len(TIME)], TIME, curves.value + (TIME - 1500), unit=curves.unit)
    assert numbers(curves)["trend"] == pytest.approx(0, abs=0.01)
    assert numbers(slow)["trend"] > 0.25
    assert numbers(slow)["frequency"] == pytest.approx(numbers(curves)["frequency"], abs=1e-3)


def test_the_order_of_the_points_and_the_unit_of_the_flux_change_nothing():
    curves = sine()
    order = np.random.default_rng(0).permutation(len(TIME))
    mixed = LightCurves.from_arrays(["s"], [0, len(TIME)], TIME[order], curves.value[order], unit=curves.unit)
    np.testing.assert_array_equal(prepare(mixed, CONFIG).context, prepare(curves, CONFIG).context)
    brighter = LightCurves.from_arrays(["s"], [0, len(TIME)], TIME, 7 * curves.value, unit=curves.unit)
    np.testing.assert_allclose(prepare(brighter, CONFIG).context, prepare(curves, CONFIG).context, atol=2e-3)


def test_without_a_level_the_relative_numbers_are_missing_and_the_others_stay():
    curves = sine()
    standard = prepare(curves, CONFIG)
    bare = LightCurves.from_arrays(
        ["s"], [0, len(TIME)], TIME, standard.values[:, 0].astype(np.float64), unit=STANDARDISED
    )
    missing = {"amplitude", "noise", "trend"}
    for (name, value), expected in zip(numbers(bare).items(), numbers(curves).values(), strict=True):
        assert np.isnan(value) if name in missing else value == pytest.approx(expected, abs=1e-3), name


def test_a_light_curve_too_short_for_a_spectrum_has_the_rest():
    time = np.arange(12) / 1440
    short = LightCurves.from_arrays(["s"], [0, 12], time, 1000 + np.sin(time * 900), unit="electron / s")
    context = prepare(short, CONFIG.model_copy(update={"cadence": None})).context[0]
    assert np.isnan(context[: SPECTRA * BINS]).all()
    assert np.isfinite(context[SPECTRA * BINS])
