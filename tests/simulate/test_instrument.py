"""Noise against its model, artefacts one at a time, gaps, and what dominates class INSTRUMENT."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from goodricke.simulate.cadence import CADENCES, ObservedTimes, observe
from goodricke.simulate.instrument import (
    ARTEFACTS,
    Instrument,
    draw_systematics,
    electrons,
    half_hour_noise,
    measure,
    strengthen_artefacts,
    systematics_noise,
    white_noise,
)
from goodricke.simulate.source import Truth

NONE = ("drift", "background", "level", "tweak", "ramp", "scatter", "dump", "sawtooth", "jump", "burst", "red_noise")
NONE += ("cut", "dump_flagged", "outliers", "missing", "gaps", "jumps", "bursts", "edge", "dilution", "neighbour")


def perfect(n: int, cadence: str, seed: int = 0, **changes: float) -> tuple[Truth, ObservedTimes]:
    """Return systematics of which none is there but the white noise and those given."""
    truth = draw_systematics(n, CADENCES[cadence], np.random.default_rng(seed))
    truth |= {name: np.zeros(n) for name in NONE} | {name: np.full(n, value) for name, value in changes.items()}
    return truth, observe(CADENCES[cadence], 1, np.random.default_rng(seed))


def measured_flux(
    n: int = 6, cadence: str = "tess-30min", **changes: float
) -> tuple[np.ndarray, np.ndarray, ObservedTimes]:
    """Return relative fluxes of constant stars, which points are kept, and the observations."""
    truth, observations = perfect(n, cadence, magnitude=6.0, **changes)
    result = measure(np.ones((n, len(observations.time)), np.float32), truth, observations, np.random.default_rng(1))
    star = electrons(CADENCES[cadence], truth["magnitude"]) / (1 - truth["dilution"])
    return result.value / star[:, None] - 1, result.valid, observations


@pytest.mark.parametrize("cadence", CADENCES)
def test_noise_and_error_are_those_of_the_model(cadence: str) -> None:
    truth, observations = perfect(20, cadence, reported=1.0)
    result = measure(np.ones((20, len(observations.time)), np.float32), truth, observations, np.random.default_rng(1))
    star = electrons(CADENCES[cadence], truth["magnitude"])
    np.testing.assert_allclose(result.value.mean(1), star, rtol=2e-3)
    np.testing.assert_allclose(result.value.std(1), star * systematics_noise(truth, CADENCES[cadence]), rtol=0.1)
    np.testing.assert_allclose(result.error[:, 0], star * systematics_noise(truth, CADENCES[cadence]), rtol=1e-5)
    assert result.valid.all()


def test_noise_is_that_of_the_missions() -> None:
    tess = [half_hour_noise(white_noise(CADENCES["tess-30min"], np.array([m])), CADENCES["tess-30min"])[0] * 1e6
            for m in (6.0, 10.0, 14.5)]  # fmt: skip
    assert 30 < tess[0] < 100
    assert 180 < tess[1] < 400
    assert 3500 < tess[2] < 8000
    kepler = white_noise(CADENCES["kepler"], np.array([12.0, 15.0])) * 1e6
    assert 50 < kepler[0] < 80  # about 30 ppm in 6.5 hours with the star's own noise, Jenkins et al. (2010)
    assert 250 < kepler[1] < 500
    two, thirty = (white_noise(CADENCES[f"tess-{c}min"], np.array([12.0]))[0] for c in (2, 30))
    assert two == pytest.approx(thirty * np.sqrt(15), rel=0.01)


@pytest.mark.parametrize("name", ["drift", "level", "tweak", "ramp", "dump", "sawtooth", "neighbour"])
def test_a_single_effect_has_its_size(name: str) -> None:
    quiet, (loud, valid, _) = measured_flux(60)[0], measured_flux(60, **{name: 0.01})
    assert quiet.std() < 1e-3
    size = loud.std(1) if name not in ("level",) else np.abs(loud.mean(1))
    assert 1e-4 < np.median(size) < 0.03
    assert valid.mean() == 1 or name == "dump"


def test_red_noise_has_its_strength_and_memory() -> None:
    flux, _, observations = measured_flux(40, red_noise=20.0, red_time=0.3)
    noise = systematics_noise(perfect(40, "tess-30min", magnitude=6.0)[0], observations.cadence)
    assert np.median(flux.std(1) / noise) == pytest.approx(20, rel=0.15)
    lag = round(0.3 / observations.cadence.step)
    correlation = [np.corrcoef(row[:-lag], row[lag:])[0, 1] for row in flux]
    assert np.mean(correlation) == pytest.approx(np.exp(-1), abs=0.1)


def test_scattered_light_is_at_the_ends_of_the_orbits_and_can_be_flagged() -> None:
    flux, valid, observations = measured_flux(60, scatter=1e4, scatter_time=0.3, cut=0.0)
    piece = observations.pieces[0]
    assert (flux[:, piece.stop - 1] > 5 * np.abs(flux[:, (piece.start + piece.stop) // 2])).mean() > 0.9
    assert valid.all()
    _, valid, _ = measured_flux(60, scatter=1e4, scatter_time=0.3, cut=1.0)
    assert valid[:, (piece.start + piece.stop) // 2].all()
    assert not valid[:, piece.stop - 1].any()
    assert (measured_flux(4, "kepler")[0].std(1) < 1e-3).all()


def test_jumps_recover_in_part_and_bursts_lose_light() -> None:
    flux, _, _ = measured_flux(60, jump=0.05, jumps=3.0)
    steps = np.abs(np.diff(flux, axis=1)).max(1)
    assert (steps > 0.01).mean() > 0.7
    flux, _, _ = measured_flux(60, burst=0.05, bursts=2.0, burst_length=0.5)
    lost = (flux < -0.01).mean(1)
    assert flux.max() < 1e-3
    assert 0 < np.median(lost) < 0.2


def test_outliers_gaps_and_missing_points_have_their_rates() -> None:
    flux, _, _ = measured_flux(40, outliers=0.01, outlier=50.0)
    spread = np.median(np.abs(flux)) * 1.48
    assert (np.abs(flux) > 6 * spread).mean() == pytest.approx(0.01, rel=0.4)
    assert (flux > 6 * spread).sum() > 2 * (flux < -6 * spread).sum()
    _, valid, _ = measured_flux(40, missing=0.05)
    assert 1 - valid.mean() == pytest.approx(0.05, rel=0.1)
    _, valid, observations = measured_flux(100, gaps=3.0, gap=1.0)
    expected = 3 * np.ptp(observations.time) / 30 * 1.0 / np.ptp(observations.time)
    assert 1 - valid.mean() == pytest.approx(expected, rel=0.35)
    _, valid, observations = measured_flux(100, edge=0.5)
    assert not valid[:, observations.pieces[1].start].any()
    assert 1 - valid.mean() == pytest.approx(4 * 0.5 / (len(observations.time) / 48), rel=0.3)


def test_dumps_can_be_flagged() -> None:
    flux, valid, observations = measured_flux(40, dump=0.05, dump_flagged=0.0)
    at = np.flatnonzero(np.diff(observations.reset) < 0) + 1
    assert np.abs(flux[:, at]).mean() > 10 * np.abs(flux[:, at - 3]).mean()
    assert valid.all()
    _, valid, _ = measured_flux(40, dump=0.05, dump_flagged=1.0)
    np.testing.assert_array_equal(np.flatnonzero(~valid[0]), at)


def test_a_neighbours_light_shrinks_the_amplitudes() -> None:
    truth, observations = perfect(2, "tess-30min", magnitude=6.0)
    truth["dilution"] = np.array([0.0, 0.5])
    wave = 1 + 0.1 * np.sin(2 * np.pi * observations.time)
    result = measure(np.tile(wave, (2, 1)).astype(np.float32), truth, observations, np.random.default_rng(0))
    relative = result.value / result.value.mean(1, keepdims=True)
    assert np.ptp(relative[1]) == pytest.approx(np.ptp(relative[0]) / 2, rel=0.02)
    assert result.value[1].mean() == pytest.approx(2 * result.value[0].mean(), rel=1e-3)


@pytest.mark.parametrize("cadence", ["tess-30min", "kepler", "k2"])
def test_artefacts_dominate_the_noise_of_class_instrument(cadence: str) -> None:
    truth = draw_systematics(64, CADENCES[cadence], np.random.default_rng(0))
    artefacts = strengthen_artefacts(truth, CADENCES[cadence], np.random.default_rng(1))
    np.testing.assert_array_equal(truth["magnitude"], artefacts["magnitude"])
    changed = np.stack([truth[name] != artefacts[name] for name in ARTEFACTS])
    assert changed.sum(0).min() >= 1
    assert changed.sum(0).max() <= 3
    assert changed.any(1).sum() == (9 if cadence == "tess-30min" else 8)
    observations = observe(CADENCES[cadence], 1, np.random.default_rng(2))
    ones = Instrument().flux(Instrument().draw(64, np.random.default_rng(0)), observations.time, 0.02)
    spreads = [measure(ones, s, observations, np.random.default_rng(3)) for s in (truth, artefacts)]
    spread = [(s.value - gaussian_filter1d(s.value, 61, axis=1)).std(1) / s.error[:, 0] for s in spreads]
    assert np.median(spread[1]) > 1.5 * np.median(spread[0])
