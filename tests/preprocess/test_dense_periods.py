"""Periods of dense light curves: known signals, noise, and the limits of what is called a period."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import MEASURED_COLUMNS
from goodricke.preprocess.dense import DenseConfig, kepler, prepare
from goodricke.preprocess.dense_periods import Measurement, answer_periods, measure, period_kind

Float = NDArray[np.float64]
TIME = np.arange(0, 26.5, 1 / 48)
TIME = TIME[(TIME < 12.8) | (TIME > 14)]  # a sector and its gap
CLASSES = ("CONSTANT", "CONTACT_ROT", "DSCT_BCEP", "ECLIPSE")


def curve(signal: Float, noise: float = 3e-4, level: float = 5e4, seed: int = 1) -> LightCurves:
    flux = level * (1 + signal + noise * np.random.default_rng(seed).normal(size=len(TIME)))
    return LightCurves.from_arrays(["star"], [0, len(TIME)], TIME + 1790, flux, unit="electron / s")


def sine(period: float, amplitude: float) -> Float:
    return amplitude * np.sin(2 * np.pi * TIME / period)


def dips(period: float, depth: float, duration: float, first: float) -> Float:
    distance = np.abs((TIME - first + period / 2) % period - period / 2)
    return -depth * np.clip((duration / 2 - distance) / (0.2 * duration) + 0.5, 0, 1)


def measured(curves: LightCurves, kind: str, config: DenseConfig | None = None) -> Measurement:
    frames = prepare(curves, config or DenseConfig())
    return measure(frames.time.astype(np.float64), frames.values[:, 0].astype(np.float64), kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("period", [0.07, 0.9, 4.4])
@pytest.mark.parametrize("unit", ["electron / s", "mag"])
def test_amplitude_and_period_of_a_sine_are_those_before_detrending(period: float, unit: str) -> None:
    curves = curve(sine(period, 0.004))
    if unit == "mag":
        value = -2.5 * np.log10(curves.value) + 25
        curves = LightCurves.from_arrays(["star"], [0, len(TIME)], curves.time, value, unit="mag")
    config = DenseConfig()
    answer = answer_periods(prepare(curves, config), np.array([[0.0, 0, 1, 0]]), CLASSES, config)
    assert answer.period[0] == pytest.approx(period, abs=5 * answer.error[0])
    assert answer.error[0] < 0.005 * period
    assert answer.amplitude is not None
    assert answer.amplitude[0] == pytest.approx(0.004, rel=0.05)
    assert answer.false_alarm_probability[0] < 1e-6


def test_noise_and_what_takes_longer_than_half_the_span_have_no_period() -> None:
    assert np.isnan(measured(curve(0 * TIME), "plain").period)
    for period in (19.0, 26.5, 60.0):
        result = measured(curve(sine(period, 0.02)), "plain", kepler())
        assert not result.period > np.ptp(TIME) / 2
        assert result.frequency >= 0.99 * 2 / np.ptp(TIME)


@pytest.mark.parametrize("kind", ["plain", "eclipses"])
def test_transits_have_their_period_depth_and_duration_whatever_the_class(kind: str) -> None:
    pulsation = sine(1 / 20.16, 0.0008) + sine(1 / 9.84, 0.0005)
    result = measured(curve(dips(1.21987, 0.012, 0.115, 0.3) + pulsation), kind)
    assert result.period == pytest.approx(1.21987, rel=1e-3)
    assert result.duration == pytest.approx(0.115, rel=0.3)
    result = measured(curve(dips(3.52475, 0.0146, 0.125, 3.4)), kind)
    assert result.period == pytest.approx(3.52475, rel=1e-3)


def test_depth_is_relative_to_the_median_flux() -> None:
    config, curves = DenseConfig(), curve(dips(2.1, 0.05, 0.2, 0.4))
    answer = answer_periods(prepare(curves, config), np.array([[0.0, 0, 0, 1]]), CLASSES, config)
    assert answer.depth is not None
    assert answer.depth[0] == pytest.approx(0.05, rel=0.15)


def test_unequal_minima_double_the_period_of_stars_that_orbit_and_equal_ones_name_it() -> None:
    equal, unequal = sine(0.5, 0.02), sine(0.5, 0.02) + sine(1.0, 0.004)
    assert measured(curve(unequal), "either").period == pytest.approx(1.0, rel=1e-3)
    result = measured(curve(equal), "either")
    assert result.period == pytest.approx(0.5, rel=1e-3)
    assert result.others == pytest.approx([1.0], rel=1e-3)
    assert measured(curve(unequal), "plain").period == pytest.approx(0.5, rel=1e-3)


def test_unequal_eclipses_have_the_period_of_the_orbit() -> None:
    algol = dips(2.8673, 0.65, 0.4, 0.7) + dips(2.8673, 0.06, 0.4, 0.7 + 2.8673 / 2)
    result = measured(curve(algol), "eclipses")
    assert 2.8673 in (pytest.approx(result.period, rel=5e-3), *(pytest.approx(o, rel=5e-3) for o in result.others))


def test_a_class_without_period_has_a_dominant_frequency_only() -> None:
    result = measured(curve(sine(0.9, 0.004)), "none")
    assert np.isnan(result.period)
    assert result.frequency == pytest.approx(1 / 0.9, rel=1e-3)


def test_eclipses_of_a_long_period_survive_clipping_that_keeps_dips_and_single_outliers_do_not() -> None:
    signal = dips(11.0, 0.3, 0.09, 2.0)  # two eclipses, one lies in the gap
    signal[[300, 700]] = -0.4, 0.4
    curves = curve(signal)
    shallow, deep = (prepare(curves, DenseConfig(keep_dips=keep)) for keep in (False, True))
    lost = len(TIME) - shallow.n_points[0], len(TIME) - deep.n_points[0]
    assert lost[0] > 5
    assert lost[1] == 2
    in_magnitudes = LightCurves.from_arrays(
        ["star"], [0, len(TIME)], curves.time, -2.5 * np.log10(curves.value), unit="mag"
    )
    assert len(TIME) - prepare(in_magnitudes, DenseConfig(keep_dips=True)).n_points[0] <= 3


def test_an_answer_does_not_depend_on_the_others() -> None:
    config = DenseConfig()
    curves = LightCurves.concat([curve(sine(p, 0.004), seed=k) for k, p in enumerate((0.3, 1.2, 5.0))])
    p = np.eye(4)[[1, 2, 3]]
    together = answer_periods(prepare(curves, config), p, CLASSES, config)
    for i in range(3):
        alone = answer_periods(prepare(curves[i], config), p[i : i + 1], CLASSES, config)
        for name in ("period", "error", "false_alarm_probability", *MEASURED_COLUMNS.values()):
            np.testing.assert_array_equal(getattr(alone, name), getattr(together, name)[i : i + 1])


def test_unusable_light_curves_and_few_points_have_no_answer() -> None:
    config = DenseConfig()
    answer = answer_periods(prepare(curve(sine(1, 0.01)), config), np.full((1, 4), np.nan), CLASSES, config)
    assert np.isnan(answer.period[0])
    short = curve(sine(1, 0.01))
    short = short.where(np.arange(len(short.time)) < 15)
    answer = answer_periods(prepare(short, config), np.array([[0.0, 1, 0, 0]]), CLASSES, config)
    assert np.isnan(answer.period[0])


def test_published_names_of_classes_have_their_kind() -> None:
    names = {"INSTRUMENT/JUNK": "none", "RRLYR_CEPH": "plain", "CONTACT_ROT": "either", "ECLIPSE": "eclipses"}
    assert {name: period_kind(name) for name in names} == names
