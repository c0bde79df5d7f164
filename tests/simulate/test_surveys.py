"""Surveys: errors against their formulas, visits against what is published of their cadences."""

import numpy as np
import pytest

from goodricke.simulate.colours import fluxes, magnitudes
from goodricke.simulate.surveys import SURVEYS, Visits, find_survey, moon_fraction, survey_field

FIELDS = range(30)


def one_visit(survey: str, band: int, depth: float) -> Visits:
    return Visits(np.array([60000.0]), np.array([band], np.uint8), np.array([depth]))


@pytest.mark.parametrize("magnitude", [16.0, 20.0, 24.0, 25.5])
def test_rubin_s_errors_are_equations_4_and_5(magnitude: float) -> None:
    depth, gamma = 24.35, 0.039
    x = 10 ** (0.4 * (magnitude - depth))
    wanted = np.sqrt(0.005**2 + (0.04 - gamma) * x + gamma * x**2)
    flux = fluxes(np.array([[magnitude]]))
    found = find_survey("rubin").sigma(flux, one_visit("rubin", 2, depth)) / flux
    assert found[0, 0] == pytest.approx(wanted, rel=1e-12)


def test_at_the_depth_the_signal_to_noise_ratio_is_5() -> None:
    for survey, band in (("rubin", 0), ("rubin", 3), ("ztf", 1)):
        flux = fluxes(np.array([[21.0]]))
        assert flux / find_survey(survey).sigma(flux, one_visit(survey, band, 21.0)) == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize("magnitude", [13.0, 17.0, 20.0])
def test_gaia_s_errors_are_those_of_its_formula(magnitude: float) -> None:
    survey = find_survey("gaia")
    z = 10 ** (0.4 * (magnitude - 15))
    wanted = 1e-3 * np.sqrt(0.04895 * z**2 + 1.8633 * z + 1.0)
    flux = fluxes(np.array([[magnitude + 0.1137]]))
    found = 2.5 / np.log(10) * survey.sigma(flux, one_visit("gaia", 0, 15 + 0.1137)) / flux
    assert found[0, 0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("survey", SURVEYS)
def test_without_light_there_is_the_sky_s_noise(survey: str) -> None:
    made, here = find_survey(survey), survey_field(survey, 0, 0)
    dark = made.sigma(np.array([[-50.0], [0.0]]) * np.ones(len(here.visits.time)), here.visits)
    assert (dark > 0).all()
    np.testing.assert_array_equal(dark[0], dark[1])


def test_measurements_scatter_by_their_errors() -> None:
    made, here = find_survey("rubin"), survey_field("rubin", 0, 1)
    flux = np.full((200, len(here.visits.time)), 800.0)
    found = made.measure(flux, here.visits, np.random.default_rng(1))
    assert ((found.value - flux) / found.error).std() == pytest.approx(1, abs=0.02)
    assert found.valid.mean() == pytest.approx(0.97, abs=0.005)


@pytest.mark.parametrize("survey", ["ztf", "gaia"])
def test_magnitudes_are_those_of_detections(survey: str) -> None:
    made, here = find_survey(survey), survey_field(survey, 0, 1)
    faint = np.full((5, len(here.visits.time)), fluxes(np.array(26.0)))
    assert not made.measure(faint, here.visits, np.random.default_rng(1)).valid.any()
    bright = np.full((5, len(here.visits.time)), fluxes(np.array(16.0)))
    found = made.measure(bright, here.visits, np.random.default_rng(1))
    away = found.value + made.zero_point[here.visits.band] - 16.0
    assert np.abs(away[found.valid] / found.error[found.valid]).max() < 6
    assert found.valid.mean() > 0.9


def test_rubin_has_the_planned_number_and_depth_of_visits() -> None:
    fields = [survey_field("rubin", 1, k) for k in FIELDS]
    years = [np.ceil((f.visits.time[-1] - 61041) / 365.25) for f in fields]
    visits = sum(len(f.visits.time) for f in fields) / sum(years)
    assert visits == pytest.approx(82.5, rel=0.1)
    band = np.concatenate([f.visits.band for f in fields])
    assert np.bincount(band) / len(band) == pytest.approx(np.array([56, 80, 184, 184, 160, 160]) / 824, abs=0.025)
    depth = np.concatenate([f.visits.depth for f in fields])
    typical = [np.median(depth[band == b]) for b in range(6)]
    assert typical == pytest.approx([23.4, 24.5, 24.0, 23.6, 23.0, 22.2], abs=0.25)
    assert depth[band == 2].max() < 24.35 + 0.5


def test_rubin_visits_twice_a_night_and_in_u_in_dark_nights() -> None:
    for k in FIELDS[:5]:
        visits = survey_field("rubin", 1, k).visits
        _, count = np.unique(np.floor(visits.time), return_counts=True)
        assert set(count) == {2}
        gaps = np.diff(visits.time.reshape(-1, 2), axis=1)
        assert 15 / 1440 - 1e-9 <= gaps.min() <= gaps.max() <= 1 / 24 + 1e-6
        assert (moon_fraction(np.floor(visits.time[visits.band == 0])) < 0.5).all()


def test_full_and_new_moons_are_where_they_were() -> None:
    assert moon_fraction(np.array(58504.2)) > 0.97  # total lunar eclipse of 2019 January 21
    assert moon_fraction(np.array(57986.8)) < 0.03  # total solar eclipse of 2017 August 21


def test_ztf_visits_every_third_night_or_later() -> None:
    for k in FIELDS[:8]:
        nights = np.unique(np.floor(survey_field("ztf", 1, k).visits.time))
        assert np.diff(nights).min() >= 2
        assert 3 <= np.median(np.diff(nights)) <= 6
        assert np.diff(nights).max() < 365.25 - 150
    band, depth = (
        np.concatenate([getattr(survey_field("ztf", 1, k).visits, n) for k in FIELDS]) for n in ("band", "depth")
    )
    assert (band == 0).sum() == (band == 1).sum() > 5 * (band == 2).sum() > 0
    assert np.median(depth[band < 2]) == pytest.approx(20.3, abs=0.25)


def test_gaia_s_transits_come_in_clumps() -> None:
    times = [np.unique(survey_field("gaia", 1, k).visits.time) for k in FIELDS]
    assert np.mean([len(t) for t in times]) == pytest.approx(72, rel=0.12)
    gaps = np.concatenate([np.diff(t) for t in times])
    assert 0.4 < (gaps < 0.2).mean() < 0.75
    spins = np.isclose(gaps[gaps < 0.2, None] * 1440, [106.5, 253.5], atol=0.1).any(1)
    assert spins.mean() > 0.97  # but for passes that overlap
    assert gaps.max() > 60


@pytest.mark.parametrize("survey", SURVEYS)
def test_fields_are_ordered_and_different(survey: str) -> None:
    visits = survey_field(survey, 3, 5).visits
    assert (np.diff(visits.time) >= 0).all()
    assert len(np.unique(np.stack([visits.time, visits.band]), axis=1).T) == len(visits.time)
    other = survey_field(survey, 3, 6).visits
    assert len(np.intersect1d(visits.time, other.time)) == 0
    again = find_survey(survey).visit(np.random.default_rng([3, 5]))
    np.testing.assert_array_equal(again.time, visits.time)


def test_an_unknown_survey_is_an_error_with_the_names() -> None:
    with pytest.raises(ValueError, match="no survey 'hst'; there are rubin, ztf, gaia"):
        find_survey("hst")


def test_vega_magnitudes_are_brighter_by_the_zero_points() -> None:
    made, here = find_survey("gaia"), survey_field("gaia", 0, 0)
    flux = np.full((1, len(here.visits.time)), fluxes(np.array(14.0)))
    found = made.measure(flux, here.visits, np.random.default_rng(0))
    means = [found.value[0][(here.visits.band == b) & found.valid[0]].mean() for b in range(3)]
    assert means == pytest.approx(14.0 - np.array([0.1137, 0.0155, 0.3561]), abs=0.01)
    assert magnitudes(flux)[0, 0] == pytest.approx(14.0)
