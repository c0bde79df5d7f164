"""Every intrinsic kind: no star depends on others, flux follows from the seed, exposures are averages."""

import numpy as np
import pytest

from goodricke.simulate.kinds import DENSE
from goodricke.simulate.parameters import table
from goodricke.simulate.source import exposure_mean, take_stars

HALF_HOUR = 1 / 48
SECTOR = np.concatenate([np.arange(0, 12, HALF_HOUR), np.arange(13.3, 25, HALF_HOUR)]) + 1683.4
PERIODIC = ["delta_scuti", "gamma_doradus", "slowly_pulsating_b", "rr_lyrae_ab", "rr_lyrae_c", "rr_lyrae_d", "cepheid"]
PERIODIC += ["cepheid_overtone", "type2_cepheid", "high_amplitude_delta_scuti", "chemically_peculiar"]
ELSEWHERE = {"contact", "detached", "semidetached", "planet", "delta_scuti_binary", "gamma_doradus_binary"}
INTRINSIC = [kind for kind in DENSE.labels if kind not in ELSEWHERE]  # the others are in test_binaries


def by_kind(*kinds):
    return pytest.mark.parametrize("source", [DENSE.sources[kind] for kind in kinds], ids=lambda source: source.kind)


all_kinds = by_kind(*INTRINSIC)


@all_kinds
def test_flux_follows_from_the_seed(source):
    first, again = (source.draw(5, np.random.default_rng(8)) for _ in range(2))
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert np.array_equal(source.flux(first, SECTOR, HALF_HOUR), source.flux(again, SECTOR, HALF_HOUR))


@all_kinds
def test_a_star_does_not_depend_on_the_others(source):
    truth = source.draw(6, np.random.default_rng(3))
    together = source.flux(truth, SECTOR, HALF_HOUR)
    np.testing.assert_allclose(source.flux(take_stars(truth, [4]), SECTOR, HALF_HOUR)[0], together[4], atol=2e-6)
    np.testing.assert_allclose(source.flux(take_stars(truth, [5, 1]), SECTOR, HALF_HOUR), together[[5, 1]], atol=2e-6)


@all_kinds
def test_flux_is_finite_float32_with_a_row_per_star_and_a_column_per_time(source):
    truth = source.draw(40, np.random.default_rng(5))
    flux = source.flux(truth, SECTOR, HALF_HOUR)
    assert flux.shape == (40, len(SECTOR))
    assert flux.dtype == np.float32
    assert np.isfinite(flux).all()
    assert (flux > 0).all()
    assert {len(values) for values in truth.values()} == {40}
    assert abs(np.median(flux) - 1) < 0.15


@all_kinds
def test_shapes_of_parameters_do_not_depend_on_the_number_of_stars(source):
    one, many = source.draw(1, np.random.default_rng(1)), source.draw(30, np.random.default_rng(2))
    assert {name: values.shape[1:] for name, values in one.items()} == {k: v.shape[1:] for k, v in many.items()}


@all_kinds
def test_parameters_are_in_the_table_and_within_its_bounds(source):
    truth, parameters = source.draw(300, np.random.default_rng(6)), table(source.kind)
    assert parameters.label == DENSE.labels[source.kind]
    assert set(parameters.derived) <= set(truth)
    changed = {"nu_max", "period_spacing", "amplitude", "metallicity", "second_amplitude", "flare_rate"}
    changed |= {"blazhko_amplitude", "blazhko_phase", "second_phase"}
    for name in (set(truth) & set(parameters.parameters)) - changed:
        low, high = parameters.parameters[name].bounds
        assert low <= truth[name].min(), name
        assert truth[name].max() <= high, name


@by_kind(*PERIODIC)
def test_an_exposure_is_the_average_of_instants(source):
    truth = source.draw(4, np.random.default_rng(12))
    time, exposure = np.arange(0, 3, 0.11), HALF_HOUR
    fine = (np.arange(60) + 0.5) / 60 - 0.5
    instants = source.flux(truth, (time[:, None] + exposure * fine).ravel(), 0.0).astype(np.float64)
    brute = instants.reshape(4, len(time), 60).mean(axis=2)
    amplitude = np.ptp(instants, axis=1)[:, None]
    assert (np.abs(source.flux(truth, time, exposure) - brute) < 1e-3 * amplitude + 2e-6).all()


@by_kind("red_giant", "flickering", "beta_cephei", "spotted_rotator")
def test_long_exposures_average_short_ones_of_the_same_star(source):
    truth = source.draw(3, np.random.default_rng(4))
    truth |= {"deviation": np.zeros(3)} if "deviation" in truth else {}  # the slow walk is drawn per observation
    truth |= {"flare_rate": np.zeros(3)} if "flare_rate" in truth else {}
    truth |= {"knee": np.full(3, 1.0), "slope": np.full(3, 2.0)} if "knee" in truth else {}
    short = np.arange(900 * 15) * HALF_HOUR / 15 + 100
    fine = source.flux(truth, short, HALF_HOUR / 15).reshape(3, -1, 15).mean(axis=2)
    coarse = source.flux(truth, short.reshape(-1, 15)[:, 7], HALF_HOUR)
    assert (np.abs(fine - coarse).max(axis=1) < 0.05 * fine.std(axis=1)).all()


@by_kind(*PERIODIC, "spotted_rotator", "red_giant", "burster")
def test_gaps_change_no_other_points(source):
    truth = source.draw(3, np.random.default_rng(9))
    truth |= {"deviation": np.zeros(3)} if "deviation" in truth else {}
    time = np.arange(0, 25, HALF_HOUR) + 10
    outside = (time < 20) | (time > 27)
    with_gap = source.flux(truth, time[outside], HALF_HOUR)
    np.testing.assert_allclose(with_gap, source.flux(truth, time, HALF_HOUR)[:, outside], atol=5e-6)


def test_standard_deviations_are_those_of_the_class():
    ranges = {
        "delta_scuti": (5e-6, 0.06),
        "gamma_doradus": (2e-4, 0.1),
        "rr_lyrae_ab": (0.03, 0.45),
        "cepheid": (0.02, 0.35),
        "spotted_rotator": (2e-5, 0.08),
        "red_giant": (1e-4, 4e-3),
        "solar_type": (5e-6, 4e-4),
    }
    for kind, (low, high) in ranges.items():
        source = DENSE.sources[kind]
        spread = source.flux(source.draw(100, np.random.default_rng(2)), SECTOR, HALF_HOUR).std(axis=1)
        assert low < spread.min() < spread.max() < high, kind


def test_the_average_over_an_exposure_is_exact_for_polynomials():
    time = np.linspace(-1, 1, 7)
    exact = ((time + 0.2) ** 6 - (time - 0.2) ** 6) / 6 / 0.4
    np.testing.assert_allclose(exposure_mean(lambda t: t**5, time, 0.4, nodes=3), exact, atol=1e-14)
    np.testing.assert_array_equal(exposure_mean(lambda t: t**5, time, 0.0), time**5)


def test_constant_stars_are_constant():
    source = DENSE.sources["constant"]
    flux = source.flux(source.draw(3, np.random.default_rng(0)), np.arange(7.0), 0.02)
    assert flux.shape == (3, 7)
    assert (flux == 1).all()
