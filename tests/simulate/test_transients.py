"""Thermal transients: their magnitudes, colours and times, against what is known of each class."""

import numpy as np
import pytest
from astropy.cosmology import Planck18

from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn
from goodricke.simulate.surveys import field, magnitudes
from goodricke.simulate.transients import (
    Kilonova,
    Superluminous,
    SupernovaIa,
    SupernovaIbc,
    SupernovaII,
    Thermal,
    TidalDisruption,
    distance_modulus,
    redshift_at,
)
from tests.simulate.nightly import nightly

KINDS = [SupernovaIa(), SupernovaII(), SupernovaIbc(), Superluminous(), TidalDisruption(), Kilonova()]


def nearby(made: Thermal, n: int = 40, redshift: float = 0.01, **others: float) -> Drawn:
    """Return events at one redshift that peak at time 0, without dust."""
    drawn = made.draw(n, field("rubin", 0, 0), np.random.default_rng(3))
    fixed = {"redshift": redshift, "peak": 0.0, "extinction": 0.0, **others}
    return drawn | {name: np.full(n, value) for name, value in fixed.items()}


def seen(made: Thermal, drawn: Drawn, first: float = -30.0, last: float = 120.0) -> np.ndarray:
    """Return magnitudes by event, day and band of ugrizy."""
    here = nightly(first, last)
    return magnitudes(made.flux(drawn, here)).reshape(len(drawn["peak"]), -1, 6)


def test_distances_are_those_of_planck() -> None:
    redshift = np.array([0.003, 0.1, 1.0])
    assert distance_modulus(redshift) == pytest.approx(Planck18.distmod(redshift).value, abs=1e-3)
    assert redshift_at(distance_modulus(redshift)) == pytest.approx(redshift, rel=1e-4)


@pytest.mark.parametrize("made", KINDS, ids=lambda m: m.kind)
def test_a_row_follows_from_its_parameters_alone(made: Thermal) -> None:
    here = field("ztf", 0, 0)
    drawn = made.draw(5, here, np.random.default_rng(1))
    one = {name: value[2:3] for name, value in drawn.items()}
    np.testing.assert_allclose(made.flux(one, here)[0], made.flux(drawn, here)[2], rtol=1e-12)
    assert np.isfinite(made.flux(drawn, here)).all()
    assert (made.flux(drawn, here) >= 0).all()


@pytest.mark.parametrize("made", KINDS, ids=lambda m: m.kind)
def test_peaks_lie_within_the_survey_s_limit_and_its_years(made: Thermal) -> None:
    here = field("ztf", 0, 0)
    drawn = made.draw(300, here, np.random.default_rng(1))
    apparent = drawn["absolute_magnitude"] + distance_modulus(drawn["redshift"])
    near = drawn["redshift"] <= 0.002  # never nearer, however faint
    assert (apparent[~near] <= here.survey.table.value("limit") + 1e-6).all()
    assert drawn["redshift"].max() <= table(made.kind).value("highest_redshift")
    first, last = np.array(table(made.kind).value("visible")) * 1.001
    age = (here.seen.time - drawn["peak"][:, None]) / (1 + drawn["redshift"][:, None])
    assert ((age > first) & (age < last)).any(1).all()


def test_events_fill_a_volume() -> None:
    drawn = SupernovaIa().draw(4000, field("ztf", 0, 0), np.random.default_rng(2))
    farthest = redshift_at(19.8 - drawn["absolute_magnitude"])
    assert np.mean(drawn["redshift"] / farthest < 0.5) == pytest.approx(1 / 8, abs=0.02)


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
    drawn = nearby(made, 3, **zero, host_extinction=0.0)
    drawn |= {"stretch": np.array([0.0, 1.0, 0.0]), "colour": np.array([0.0, 0.0, 0.1])}
    drawn["absolute_magnitude"] = made.absolute_magnitude(drawn | {"absolute_magnitude": 0}, table(made.kind))
    drawn["host_extinction"] = made.host_extinction(drawn, table(made.kind))
    blue = seen(made, drawn)[:, :, 1]
    assert np.nanmin(blue[1]) - np.nanmin(blue[0]) == pytest.approx(-0.141, abs=0.01)
    assert np.nanmin(blue[2]) - np.nanmin(blue[0]) == pytest.approx(0.29, abs=0.04)  # 3.1 c in B, less in g
    width = (blue < np.nanmin(blue, 1, keepdims=True) + 1).sum(1)
    assert width[1] > width[0]


def test_supernovae_ia_decline_by_1_1_and_have_a_second_maximum() -> None:
    made = SupernovaIa()
    drawn = nearby(made, 1, stretch=(1 - 0.98) / 0.091, host_extinction=0.0)
    t = table(made.kind)
    d = {name: value[:, None] for name, value in drawn.items()}
    assert made.fading(d, t, np.array([[15.0]]))[0, 0] == pytest.approx(1.1, abs=0.02)
    y = seen(made, drawn)[0, :, 5]
    assert y[30 + 26] < y[30 + 13] - 0.05  # fainter between both maxima
    u = seen(made, drawn)[0, :, 0]
    assert u[30 + 26] > u[30 + 13]


def test_redshift_stretches_and_dims() -> None:
    made = SupernovaIa()
    near = seen(made, nearby(made, 5), -60, 150)[:, :, 1]
    far = seen(made, nearby(made, 5, redshift=0.5), -60, 150)[:, :, 3]  # the same light at rest
    below = [np.sum(m < np.nanmin(m, 1, keepdims=True) + 1, axis=1).mean() for m in (near, far)]
    assert below[1] / below[0] == pytest.approx(1.5 / 1.01, abs=0.25)
    assert np.nanmin(far) - np.nanmin(near) > 8


def test_a_plateau_is_flat_and_ends() -> None:
    drawn = nearby(SupernovaII(), 5, plateau_decline=0.5, plateau=100.0, rise=8.0, drop=2.0, drop_time=4.0)
    r = seen(SupernovaII(), drawn, -10, 180)[:, :, 2]
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
    drawn = nearby(TidalDisruption(), 2, decline=50.0, redshift=0.002)
    flux = TidalDisruption().flux(drawn, nightly(0, 2000))[:, 2::6]
    stretched = 1 + np.array([100, 1500]) / 1.002 / 50
    assert flux[0, 1500] / flux[0, 100] == pytest.approx((stretched[1] / stretched[0]) ** (-5 / 3), rel=1e-9)
