"""Transients: magnitudes, colours and times of each class; shapes of outbursts, lenses and flares."""

import numpy as np
import pytest
from astropy.cosmology import Planck18

from goodricke.simulate.colours import magnitudes
from goodricke.simulate.parameters import table
from goodricke.simulate.rotation import flare
from goodricke.simulate.source import Truth
from goodricke.simulate.surveys import survey_field
from goodricke.simulate.transients import (
    DwarfNova,
    Flares,
    Kilonova,
    Microlensing,
    Superluminous,
    SupernovaIa,
    SupernovaIbc,
    SupernovaII,
    Thermal,
    TidalDisruption,
    distance_modulus,
    magnification,
    redshift_at,
)
from tests.simulate.nightly import nightly

KINDS = [SupernovaIa(), SupernovaII(), SupernovaIbc(), Superluminous(), TidalDisruption(), Kilonova()]


def nearby(made: Thermal, n: int = 40, redshift: float = 0.01, **others: float) -> Truth:
    """Return events at one redshift that peak at time 0, without dust."""
    truth = made.draw(n, survey_field("rubin", 0, 0), np.random.default_rng(3))
    fixed = {"redshift": redshift, "peak": 0.0, "extinction": 0.0, **others}
    return truth | {name: np.full(n, value) for name, value in fixed.items()}


def seen(made: Thermal, truth: Truth, first: float = -30.0, last: float = 120.0) -> np.ndarray:
    """Return magnitudes by event, day and band of ugrizy."""
    here = nightly(first, last)
    return magnitudes(made.flux(truth, here)).reshape(len(truth["peak"]), -1, 6)


def test_distances_are_those_of_planck() -> None:
    redshift = np.array([0.003, 0.1, 1.0])
    assert distance_modulus(redshift) == pytest.approx(Planck18.distmod(redshift).value, abs=1e-3)
    assert redshift_at(distance_modulus(redshift)) == pytest.approx(redshift, rel=1e-4)


@pytest.mark.parametrize("made", KINDS, ids=lambda m: m.kind)
def test_a_row_follows_from_its_parameters_alone(made: Thermal) -> None:
    here = survey_field("ztf", 0, 0)
    truth = made.draw(5, here, np.random.default_rng(1))
    one = {name: value[2:3] for name, value in truth.items()}
    np.testing.assert_allclose(made.flux(one, here)[0], made.flux(truth, here)[2], rtol=1e-12)
    assert np.isfinite(made.flux(truth, here)).all()
    assert (made.flux(truth, here) >= 0).all()


@pytest.mark.parametrize("made", KINDS, ids=lambda m: m.kind)
def test_peaks_lie_within_the_survey_s_limit_and_its_years(made: Thermal) -> None:
    here = survey_field("ztf", 0, 0)
    truth = made.draw(300, here, np.random.default_rng(1))
    apparent = truth["absolute_magnitude"] + distance_modulus(truth["redshift"])
    near = truth["redshift"] <= 0.002  # never nearer, however faint
    assert (apparent[~near] <= here.survey.table.value("limit") + 1e-6).all()
    assert truth["redshift"].max() <= table(made.kind).value("highest_redshift")
    first, last = np.array(table(made.kind).value("visible")) * 1.001
    age = (here.visits.time - truth["peak"][:, None]) / (1 + truth["redshift"][:, None])
    assert ((age > first) & (age < last)).any(1).all()


def test_events_fill_a_volume() -> None:
    truth = SupernovaIa().draw(4000, survey_field("ztf", 0, 0), np.random.default_rng(2))
    farthest = redshift_at(19.8 - truth["absolute_magnitude"])
    assert np.mean(truth["redshift"] / farthest < 0.5) == pytest.approx(1 / 8, abs=0.02)


@pytest.mark.parametrize(
    ("made", "peak", "g_r"),
    [
        (SupernovaIa(), (-19.7, -18.8), (-0.25, 0.15)),
        (SupernovaII(), (-18.2, -15.5), (-0.4, 0.2)),
        (SupernovaIbc(), (-18.7, -16.5), (0.1, 0.7)),
        (Superluminous(), (-22.4, -20.6), (-0.4, 0.0)),
        (TidalDisruption(), (-20.8, -18.2), (-0.45, -0.15)),
        (Kilonova(), (-16.5, -14.5), (-0.3, 0.5)),
    ],
    ids=lambda m: getattr(m, "kind", ""),
)
def test_peaks_and_colours_are_those_of_the_class(made: Thermal, peak: tuple, g_r: tuple) -> None:
    found = seen(made, nearby(made, host_extinction=0.0), -0.001, 1)[:, 0] - distance_modulus(np.array(0.01))
    assert peak[0] < np.median(found[:, 2]) < peak[1]
    assert g_r[0] < np.median(found[:, 1] - found[:, 2]) < g_r[1]


def test_supernovae_ia_keep_to_the_tripp_relation() -> None:
    made, zero = SupernovaIa(), {"scatter": 0.0, "colour": 0.0, "stretch": 0.0}
    truth = nearby(made, 3, **zero, host_extinction=0.0)
    truth |= {"stretch": np.array([0.0, 1.0, 0.0]), "colour": np.array([0.0, 0.0, 0.1])}
    truth["absolute_magnitude"] = made.absolute_magnitude(truth | {"absolute_magnitude": 0}, table(made.kind))
    truth["host_extinction"] = made.host_extinction(truth, table(made.kind))
    blue = seen(made, truth)[:, :, 1]
    assert np.nanmin(blue[1]) - np.nanmin(blue[0]) == pytest.approx(-0.141, abs=0.01)
    assert np.nanmin(blue[2]) - np.nanmin(blue[0]) == pytest.approx(0.29, abs=0.04)  # 3.1 c in B, less in g
    width = (blue < np.nanmin(blue, 1, keepdims=True) + 1).sum(1)
    assert width[1] > width[0]


def test_supernovae_ia_decline_by_1_1_and_have_a_second_maximum() -> None:
    made = SupernovaIa()
    truth = nearby(made, 1, stretch=(1 - 0.98) / 0.091, host_extinction=0.0)
    t = table(made.kind)
    d = {name: value[:, None] for name, value in truth.items()}
    assert made.fading(d, t, np.array([[15.0]]))[0, 0] == pytest.approx(1.1, abs=0.02)
    y = seen(made, truth)[0, :, 5]
    assert y[30 + 26] < y[30 + 13] - 0.05  # fainter between both maxima
    u = seen(made, truth)[0, :, 0]
    assert u[30 + 26] > u[30 + 13]


def test_redshift_stretches_and_dims() -> None:
    made = SupernovaIa()
    near = seen(made, nearby(made, 5), -60, 150)[:, :, 1]
    far = seen(made, nearby(made, 5, redshift=0.5), -60, 150)[:, :, 3]  # the same light at rest
    below = [np.sum(m < np.nanmin(m, 1, keepdims=True) + 1, axis=1).mean() for m in (near, far)]
    assert below[1] / below[0] == pytest.approx(1.5 / 1.01, abs=0.25)
    assert np.nanmin(far) - np.nanmin(near) > 8


def test_a_plateau_is_flat_and_ends() -> None:
    truth = nearby(SupernovaII(), 5, plateau_decline=0.5, plateau=100.0, rise=8.0, drop=2.0, drop_time=4.0)
    r = seen(SupernovaII(), truth, -10, 180)[:, :, 2]
    assert np.ptp(r[:, 30:80], axis=1) == pytest.approx(0.3, abs=0.3)
    assert r[:, 140] - r[:, 80] == pytest.approx(2.3, abs=0.5)
    assert np.diff(r[:, 150:185], axis=1).mean() == pytest.approx(0.0098, abs=0.001)  # the tail: 56Co
    assert np.isnan(r[:, 0]).all() or (r[:, 0] > 30).all()  # nothing before the explosion


def test_kilonovae_redden_within_days_and_disruptions_stay_blue() -> None:
    kilonova = seen(Kilonova(), nearby(Kilonova(), first_day=6500.0, rise=0.5), 0, 5)
    assert ((kilonova[:, 4, 1] - kilonova[:, 4, 3]) > (kilonova[:, 0, 1] - kilonova[:, 0, 3]) + 1).all()
    blue = seen(TidalDisruption(), nearby(TidalDisruption()), -10, 60)
    colour = blue[:, :, 1] - blue[:, :, 2]
    assert np.abs(colour - colour[:, :1]).max() < 1e-9


def test_disruptions_decline_as_a_power() -> None:
    truth = nearby(TidalDisruption(), 2, decline=50.0, redshift=0.002)
    flux = TidalDisruption().flux(truth, nightly(0, 2000))[:, 2::6]
    stretched = 1 + np.array([100, 1500]) / 1.002 / 50
    assert flux[0, 1500] / flux[0, 100] == pytest.approx((stretched[1] / stretched[0]) ** (-5 / 3), rel=1e-9)


HERE = survey_field("rubin", 0, 2)


@pytest.mark.parametrize("made", [DwarfNova(), Microlensing(), Flares()], ids=lambda m: m.kind)
def test_an_event_follows_from_its_parameters_alone(made) -> None:  # type: ignore[no-untyped-def]
    truth = made.draw(6, HERE, np.random.default_rng(1))
    flux = made.flux(truth, HERE)
    one = made.flux({name: value[3:4] for name, value in truth.items()}, HERE)
    np.testing.assert_allclose(one[0], flux[3], rtol=1e-12)
    assert np.isfinite(flux).all()
    assert (flux >= 0).all()
    assert (flux.max(1) > 0).all()


def test_magnification_is_paczynski_s() -> None:
    assert magnification(np.array(1.0)) == pytest.approx(3 / np.sqrt(5))
    assert magnification(np.array(0.01)) == pytest.approx(100, rel=1e-3)
    assert magnification(np.array(100.0)) == pytest.approx(1, abs=1e-7)


def test_lensing_without_blending_changes_no_colour_and_is_symmetric() -> None:
    truth = Microlensing().draw(4, HERE, np.random.default_rng(2))
    truth |= {"blend_slope": np.zeros(4), "peak": np.full(4, 61200.0), "source_share": np.ones(4)}
    flux = Microlensing().flux(truth, nightly(61100, 61301)).reshape(4, -1, 6)
    colour = flux[:, :, 1] / flux[:, :, 3]
    np.testing.assert_allclose(colour, np.broadcast_to(colour[:, :1], colour.shape), rtol=1e-9)
    np.testing.assert_allclose(flux, flux[:, ::-1], rtol=1e-9)


def test_flares_rise_at_once_and_have_their_width() -> None:
    age = np.linspace(-2, 12, 14001)
    shape = flare(age)
    assert shape.max() == pytest.approx(1, abs=0.01)
    assert age[shape.argmax()] == pytest.approx(0, abs=0.01)
    assert np.ptp(age[shape > 0.5]) == pytest.approx(1, abs=0.1)
    assert (shape[age < -1] == 0).all()


def test_flares_are_blue_and_have_their_number() -> None:
    truth = Flares().draw(50, HERE, np.random.default_rng(3))
    assert (np.isfinite(truth["flare_peak"]).sum(1) == truth["flares"]).all()
    bright = truth | {
        "flare_peak": np.full((50, 12), 61200.0),
        "extinction": np.zeros(50),
        "flare_temperature": np.full(50, 1e4),
    }
    flux = Flares().flux(bright, nightly(61200, 61201))
    assert (flux[:, 0] > flux[:, 5]).all()
    height = np.nansum(truth["flare_amplitude"], 1)
    assert (flux[:, 5] < height * 1e9).all()


def test_outbursts_recur_with_their_height() -> None:
    truth = DwarfNova().draw(6, HERE, np.random.default_rng(4))
    fixed = {"recurrence": 40.0, "duration": 6.0, "irregularity": 0.0, "sagging": 0.0, "rise": 0.3, "decay": 1.5}
    truth |= {name: np.full(6, value) for name, value in fixed.items()}
    truth |= {"irregular": np.zeros((6, 32)), "peak": np.full(6, 61100.0), "height": np.full(6, 3.0)}
    flux = DwarfNova().flux(truth, nightly(61000, 61400)).reshape(6, -1, 6)[:, :, 2]
    np.testing.assert_allclose(flux[:, 100:140], flux[:, 140:180], atol=1e-9 * flux.max())
    assert (flux[:, 120] == 0).all()
    top = flux.max(1)
    assert magnitudes(top) == pytest.approx(truth["magnitude"] - 2.5 * np.log10(1 - 10**-1.2), abs=1e-6)
    days = (flux > 0.9 * top[:, None]).sum(1) / 10
    assert (days >= 6).all()
    assert (days <= 8).all()
