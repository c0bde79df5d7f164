"""Numbers of a dense light curve before detrending: a slow sine is one, a line and noise aren't."""

import numpy as np
import pytest

from goodricke import LightCurves
from goodricke.data.units import STANDARDISED
from goodricke.preprocess import DenseConfig, dense_summary, prepare
from goodricke.preprocess.slow_variability import FREQUENCIES, NUMBERS

CONFIG = DenseConfig(spectrum=8, slow_numbers=True)
TIME = 1500 + np.arange(1200) / 48
NOISE = np.random.default_rng(1).standard_normal(len(TIME))


def numbers(change: np.ndarray, time: np.ndarray = TIME, unit: str = "electron / s") -> dict[str, float]:
    """Return the numbers of a light curve on a level of 1000."""
    curves = LightCurves.from_arrays(["s"], [0, len(time)], time, 1000 + change, unit=unit)
    context = prepare(curves, CONFIG).context
    assert context.shape == (1, CONFIG.context)
    return dict(zip(NUMBERS, context[0, -len(NUMBERS) :].tolist(), strict=True))


def test_they_are_there_only_where_asked_for_and_change_no_others():
    curves = LightCurves.from_arrays(["s"], [0, len(TIME)], TIME, 1000 + NOISE, unit="electron / s")
    plain = prepare(curves, CONFIG.model_copy(update={"slow_numbers": False})).context
    assert plain.shape[1] == dense_summary.width(8) == CONFIG.context - len(NUMBERS)
    np.testing.assert_array_equal(prepare(curves, CONFIG).context[:, : plain.shape[1]], plain)
    assert DenseConfig(slow_numbers=True).context == 0  # without a spectrum no network reads them


@pytest.mark.parametrize("period", [8.0, 13.0, 19.0])
def test_a_slow_sine_that_detrending_removes_has_its_period_and_amplitude(period):
    n = numbers(5 * np.sin(2 * np.pi * TIME / period) + NOISE)
    assert 10 ** -n["frequency"] == pytest.approx(period, rel=0.05)
    assert n["sine"] > 0.97
    assert n["line"] < 0.5
    assert n["rest"] == pytest.approx(0, abs=0.3)  # little but noise is left
    deviation = np.hypot(5 / np.sqrt(2), 1)
    assert n["amplitude"] == pytest.approx(np.log10(deviation / 1000), abs=0.05)
    assert n["noise"] == pytest.approx(-np.log10(deviation), abs=0.05)
    nearest = np.abs(np.log(FREQUENCIES * period)).argmin()
    highest = max(range(len(FREQUENCIES)), key=lambda k: n[f"amplitude_{k}"])
    assert abs(highest - nearest) <= 1


def test_a_line_is_a_line_and_a_random_walk_changes_less_smoothly_than_a_sine():
    line = numbers(0.5 * (TIME - 1500) + NOISE)
    assert line["line"] > 0.99
    walk = numbers(np.cumsum(NOISE))
    sine = numbers(20 * np.sin(2 * np.pi * TIME / 19) + NOISE)
    assert walk["rest"] > sine["rest"] + 0.5
    assert walk["structure_1"] - walk["structure_4"] > sine["structure_1"] - sine["structure_4"]


def test_the_unit_and_the_order_of_the_points_change_nothing():
    change = 5 * np.sin(TIME / 2) + NOISE
    order = np.random.default_rng(0).permutation(len(TIME))
    assert numbers(change[order], TIME[order]) == numbers(change)
    curves = LightCurves.from_arrays(["s"], [0, len(TIME)], TIME, 7 * (1000 + change), unit="electron / s")
    scaled = prepare(curves, CONFIG).context[0, -len(NUMBERS) :]
    np.testing.assert_allclose(scaled, list(numbers(change).values()), atol=2e-3)


def test_without_a_level_or_with_few_points_numbers_are_missing():
    bare = numbers(5 * np.sin(TIME / 2) + NOISE, unit=STANDARDISED)
    assert np.isnan(bare["amplitude"])
    assert np.isfinite(bare["sine"])
    short = numbers(NOISE[:40], TIME[:40])
    assert np.isfinite(short["noise"])
    assert np.isnan(short["sine"])
