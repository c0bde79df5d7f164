"""Every intrinsic kind: rows stand alone, seeds repeat, drawn values keep to the table, exposures average."""

import numpy as np
import pytest

from goodricke.simulate.aperiodic import BeStar, Burster, DampedRandomWalk, Dipper, Flickering, IrregularRed
from goodricke.simulate.classical import (
    Cepheid,
    CepheidOvertone,
    HighAmplitudeDeltaScuti,
    RRLyraeAb,
    RRLyraeC,
    RRLyraeD,
    Type2Cepheid,
)
from goodricke.simulate.parameters import table
from goodricke.simulate.pulsation import BetaCephei, DeltaScuti, GammaDoradus, SlowlyPulsatingB
from goodricke.simulate.rotation import ChemicallyPeculiar, SpottedRotator
from goodricke.simulate.solarlike import RedGiant, SolarType
from goodricke.simulate.source import Constant, Source, averaged

HALF_HOUR = 1 / 48
SECTOR = np.concatenate([np.arange(0, 12, HALF_HOUR), np.arange(13.3, 25, HALF_HOUR)]) + 1683.4
PERIODIC: list[Source] = [DeltaScuti(), GammaDoradus(), SlowlyPulsatingB(), RRLyraeAb(), RRLyraeC(), RRLyraeD()]
PERIODIC += [Cepheid(), CepheidOvertone(), Type2Cepheid(), HighAmplitudeDeltaScuti(), ChemicallyPeculiar()]
RANDOM: list[Source] = [
    BetaCephei(),
    SpottedRotator(),
    RedGiant(),
    SolarType(),
    DampedRandomWalk(),
    Dipper(),
    Burster(),
]
RANDOM += [BeStar(), Flickering(), IrregularRed()]
SOURCES: list[Source] = [*PERIODIC, *RANDOM, Constant()]
all_kinds = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.kind)


def some(drawn, rows):
    return {name: values[rows] for name, values in drawn.items()}


@all_kinds
def test_one_draw_gives_the_same_bits_again(source):
    first, again = (source.draw(5, np.random.default_rng(8)) for _ in range(2))
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert np.array_equal(source.flux(first, SECTOR, HALF_HOUR), source.flux(again, SECTOR, HALF_HOUR))


@all_kinds
def test_a_star_alone_is_the_star_in_company(source):
    drawn = source.draw(6, np.random.default_rng(3))
    together = source.flux(drawn, SECTOR, HALF_HOUR)
    np.testing.assert_allclose(source.flux(some(drawn, [4]), SECTOR, HALF_HOUR)[0], together[4], atol=2e-6)
    np.testing.assert_allclose(source.flux(some(drawn, [5, 1]), SECTOR, HALF_HOUR), together[[5, 1]], atol=2e-6)


@all_kinds
def test_flux_is_finite_float32_with_a_row_per_star_and_a_column_per_time(source):
    drawn = source.draw(40, np.random.default_rng(5))
    flux = source.flux(drawn, SECTOR, HALF_HOUR)
    assert flux.shape == (40, len(SECTOR))
    assert flux.dtype == np.float32
    assert np.isfinite(flux).all()
    assert (flux > 0).all()
    assert {len(values) for values in drawn.values()} == {40}
    assert abs(np.median(flux) - 1) < 0.15


@all_kinds
def test_shapes_of_what_is_drawn_do_not_depend_on_the_number_of_stars(source):
    one, many = source.draw(1, np.random.default_rng(1)), source.draw(30, np.random.default_rng(2))
    assert {name: values.shape[1:] for name, values in one.items()} == {k: v.shape[1:] for k, v in many.items()}


@all_kinds
def test_what_is_drawn_is_in_the_table_and_within_its_bounds(source):
    drawn, of_kind = source.draw(300, np.random.default_rng(6)), table(source.kind)
    assert of_kind.label == source.label
    assert set(of_kind.derived) <= set(drawn)
    changed = {"nu_max", "period_spacing", "amplitude", "metallicity", "second_amplitude", "flare_rate"}
    changed |= {"blazhko_amplitude", "blazhko_phase", "second_phase"}
    for name in (set(drawn) & set(of_kind.parameters)) - changed:
        low, high = of_kind.parameters[name].bounds
        assert low <= drawn[name].min(), name
        assert drawn[name].max() <= high, name


@pytest.mark.parametrize("source", PERIODIC, ids=lambda source: source.kind)
def test_an_exposure_averages_what_instants_show(source):
    drawn = source.draw(4, np.random.default_rng(12))
    time, exposure = np.arange(0, 3, 0.11), HALF_HOUR
    fine = (np.arange(60) + 0.5) / 60 - 0.5
    instants = source.flux(drawn, (time[:, None] + exposure * fine).ravel(), 0.0).astype(np.float64)
    brute = instants.reshape(4, len(time), 60).mean(axis=2)
    amplitude = np.ptp(instants, axis=1)[:, None]
    assert (np.abs(source.flux(drawn, time, exposure) - brute) < 1e-3 * amplitude + 2e-6).all()


@pytest.mark.parametrize("source", [RedGiant(), Flickering(), BetaCephei(), SpottedRotator()], ids=lambda s: s.kind)
def test_long_exposures_average_short_ones_of_the_same_star(source):
    drawn = source.draw(3, np.random.default_rng(4))
    drawn |= {"deviation": np.zeros(3)} if "deviation" in drawn else {}  # the slow walk is drawn per observation
    drawn |= {"flare_rate": np.zeros(3)} if "flare_rate" in drawn else {}
    drawn |= {"knee": np.full(3, 1.0), "slope": np.full(3, 2.0)} if "knee" in drawn else {}
    short = np.arange(900 * 15) * HALF_HOUR / 15 + 100
    fine = source.flux(drawn, short, HALF_HOUR / 15).reshape(3, -1, 15).mean(axis=2)
    coarse = source.flux(drawn, short.reshape(-1, 15)[:, 7], HALF_HOUR)
    assert (np.abs(fine - coarse).max(axis=1) < 0.05 * fine.std(axis=1)).all()


@pytest.mark.parametrize("source", [*PERIODIC, SpottedRotator(), RedGiant(), Burster()], ids=lambda s: s.kind)
def test_gaps_change_nothing_beside_them(source):
    drawn = source.draw(3, np.random.default_rng(9))
    drawn |= {"deviation": np.zeros(3)} if "deviation" in drawn else {}
    whole = np.arange(0, 25, HALF_HOUR) + 10
    kept = (whole < 20) | (whole > 27)
    with_gap = source.flux(drawn, whole[kept], HALF_HOUR)
    np.testing.assert_allclose(with_gap, source.flux(drawn, whole, HALF_HOUR)[:, kept], atol=5e-6)


@pytest.mark.parametrize(
    ("source", "low", "high"),
    [
        (DeltaScuti(), 5e-6, 0.06),
        (GammaDoradus(), 2e-4, 0.1),
        (RRLyraeAb(), 0.03, 0.45),
        (Cepheid(), 0.02, 0.35),
        (SpottedRotator(), 2e-5, 0.08),
        (RedGiant(), 1e-4, 4e-3),
        (SolarType(), 5e-6, 4e-4),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_standard_deviations_are_those_of_the_class(source, low, high):
    spread = source.flux(source.draw(100, np.random.default_rng(2)), SECTOR, HALF_HOUR).std(axis=1)
    assert low < spread.min() < spread.max() < high


def test_the_average_over_an_exposure_is_exact_for_polynomials():
    time = np.linspace(-1, 1, 7)
    exact = ((time + 0.2) ** 6 - (time - 0.2) ** 6) / 6 / 0.4
    np.testing.assert_allclose(averaged(lambda t: t**5, time, 0.4, nodes=3), exact, atol=1e-14)
    np.testing.assert_array_equal(averaged(lambda t: t**5, time, 0.0), time**5)
