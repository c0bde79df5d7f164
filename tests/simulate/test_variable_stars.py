"""Variables in bands: amplitudes and colours by wavelength, against the shapes they are made of."""

import numpy as np
import pytest

from goodricke.simulate.binaries import WAVELENGTH, brightness_ratio
from goodricke.simulate.colours import magnitudes, temperature_of_brightness
from goodricke.simulate.kinds import DENSE, MULTIBAND
from goodricke.simulate.surveys import survey_field
from goodricke.simulate.variable_stars import ActiveNucleus, LongPeriod, time_since_start
from tests.simulate.nightly import nightly

pytest.importorskip("batman", reason="batman isn't installed")
HERE = survey_field("rubin", 0, 2)
VARIABLES = [kind for kind in MULTIBAND.labels if not MULTIBAND.sources[kind].event]


@pytest.mark.parametrize("kind", VARIABLES)
def test_a_row_follows_from_its_parameters_alone(kind: str) -> None:
    made = MULTIBAND.sources[kind]
    truth = made.draw(4, HERE, np.random.default_rng(1))
    flux = made.flux(truth, HERE)
    one = made.flux({name: value[2:3] for name, value in truth.items()}, HERE)
    np.testing.assert_allclose(one[0], flux[2], rtol=1e-5)
    assert (flux > 0).all()
    in_r = magnitudes(np.median(flux[:, HERE.visits.band == 2], axis=1))
    assert np.abs(in_r - truth["magnitude"]).max() < 2.5


@pytest.mark.parametrize("kind", ["rr_lyrae_ab", "cepheid", "high_amplitude_delta_scuti"])
def test_pulsators_swing_more_in_the_blue_about_the_dense_shape(kind: str) -> None:
    made, here = MULTIBAND.sources[kind], nightly(61000, 61060, step=0.037)
    truth = made.draw(6, here, np.random.default_rng(2))
    swing = np.ptp(magnitudes(made.flux(truth, here)).reshape(6, -1, 6), axis=1)
    assert (swing[:, 1] > 1.2 * swing[:, 2]).all()
    assert (swing[:, 2] > swing[:, 5]).all()
    flux = DENSE.sources[kind].flux(truth, time_since_start(here), 0.0).astype(float)
    dense = magnitudes(flux).reshape(6, -1, 6)[:, :, 0]
    assert swing[:, 2] / np.ptp(dense, axis=1) == pytest.approx(swing[0, 2] / np.ptp(dense[0]), rel=1e-3)


def test_temperatures_are_the_inverse_of_brightness_ratios() -> None:
    hot = np.array([6000.0, 9000.0])
    cool = np.array([4000.0, 8800.0])
    assert temperature_of_brightness(WAVELENGTH, hot, brightness_ratio(hot, cool)) == pytest.approx(cool, rel=1e-3)


def test_the_cooler_star_s_eclipses_are_shallower_in_the_blue() -> None:
    made, here = MULTIBAND.sources["semidetached"], nightly(61000, 61080, step=0.02)
    truth = made.draw(8, here, np.random.default_rng(3))
    found = magnitudes(made.flux(truth, here)).reshape(8, -1, 6)
    depth = np.ptp(found, axis=1)
    deep = depth[:, 1] > 0.5
    assert deep.sum() >= 3
    assert (depth[deep, 1] > depth[deep, 5]).all()  # the hot star is hidden


@pytest.mark.parametrize(
    ("kind", "g_r"),
    [("rr_lyrae_ab", (0.0, 0.6)), ("cepheid", (0.2, 0.9)), ("long_period", (1.2, 3.0)), ("contact", (0.2, 1.1))],
)
def test_colours_are_those_of_the_class(kind: str, g_r: tuple[float, float]) -> None:
    here = nightly(61000, 61060, step=0.51)
    truth = MULTIBAND.sources[kind].draw(30, here, np.random.default_rng(4))
    mean = np.median(magnitudes(MULTIBAND.sources[kind].flux(truth, here)).reshape(30, -1, 6), axis=1)
    assert g_r[0] < np.median(mean[:, 1] - mean[:, 2]) < g_r[1]


def test_nuclei_have_their_structure_function_and_vary_more_in_the_blue() -> None:
    n = 200
    here = nightly(61000, 67000, step=3.0)
    truth = ActiveNucleus().draw(n, here, np.random.default_rng(5))
    truth |= {"tau": np.full(n, 50.0), "redshift": np.full(n, 1.0), "structure": np.full(n, 0.3)}
    spread = magnitudes(ActiveNucleus().flux(truth, here)).reshape(n, -1, 6).std(1)
    rest = here.survey.bands.effective / 2 / 0.4
    assert np.sqrt((spread**2).mean(0)) == pytest.approx(0.3 / np.sqrt(2) * rest**-0.479, rel=0.04)


def test_mira_stars_have_their_period_and_amplitude() -> None:
    n, here = 10, nightly(61000, 64000)
    truth = LongPeriod().draw(n, here, np.random.default_rng(6))
    truth |= {"unevenness": np.zeros(n), "period": np.full(n, 300.0)}
    found = magnitudes(LongPeriod().flux(truth, here)).reshape(n, -1, 6)
    np.testing.assert_allclose(found[:, :300], found[:, 300:600], atol=1e-9)
    assert (np.ptp(found[:, :, 2], axis=1) > truth["amplitude"]).all()  # r is bluer than 0.7 um
    rising = (np.diff(found[:, :300, 2], axis=1) < 0).mean(1)
    assert rising == pytest.approx(truth["rising"], abs=0.02)
