"""Black bodies, dust and magnitudes, against astropy and published values."""

import numpy as np
import pytest
from astropy import units as u
from astropy.modeling.models import BlackBody

from goodricke.simulate.colours import (
    Passbands,
    band_fluxes,
    band_mean,
    extinction,
    fluxes,
    magnitudes,
    planck,
    stellar,
    transmission,
)

BANDS = Passbands(("g", "r"), np.array([0.405, 0.552]), np.array([0.552, 0.691]))


def test_black_bodies_are_astropy_s() -> None:
    wavelength = np.array([0.15, 0.5, 1.0])
    for temperature in (2500.0, 9000.0):
        theirs = BlackBody(temperature * u.K)(wavelength * u.um).value
        ours = planck(wavelength, np.array(temperature))
        np.testing.assert_allclose(ours / ours[1], theirs / theirs[1], rtol=1e-4)


def test_a_band_s_mean_is_that_of_photons() -> None:
    fine = np.geomspace(BANDS.low[0], BANDS.high[0], 20001)
    spectrum = planck(fine, np.array(5000.0))
    exact = np.trapezoid(spectrum / fine, fine) / np.log(fine[-1] / fine[0])
    assert band_mean(planck(BANDS.nodes, np.array(5000.0)))[0] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(("band", "wavelength", "part"), [("U", 0.365, 1.569), ("B", 0.44, 1.337), ("I", 0.90, 0.479)])
def test_dust_is_as_published(band: str, wavelength: float, part: float) -> None:
    assert extinction(np.array(wavelength)) == pytest.approx(part, abs=0.025)  # table 3 of the paper


def test_dust_has_no_steps() -> None:
    wavelength = np.linspace(0.17, 1.2, 4000)
    assert extinction(np.array(1 / 1.82)) == pytest.approx(1.0, abs=1e-3)
    assert np.abs(np.diff(extinction(wavelength))).max() < 0.05
    assert extinction(np.array(0.05)) == extinction(np.array(0.17))


def test_magnitudes_are_the_inverse_of_fluxes() -> None:
    assert fluxes(np.array(8.9)) == pytest.approx(1e9, rel=1e-3)
    assert magnitudes(fluxes(np.array([18.0, 25.0]))) == pytest.approx([18.0, 25.0])
    assert np.isnan(magnitudes(np.array([0.0, -1.0]))).all()
    assert transmission(np.array(2.5)) == pytest.approx(0.1)


def test_band_fluxes_have_the_magnitude_in_the_reference_band_and_redden() -> None:
    spectrum = stellar(BANDS.nodes, np.full((2, 1, 1), 6000.0), 0.5)
    found = magnitudes(band_fluxes(BANDS, spectrum, np.array([18.0, 18.0]), np.array([0.0, 1.0]), reference=1))
    assert found[:, 1] == pytest.approx([18.0, 18.0])
    reddening = np.diff(found[:, 0])[0]
    assert reddening == pytest.approx(extinction(BANDS.effective[0]) - extinction(BANDS.effective[1]), abs=0.03)


def test_stars_are_weaker_below_the_balmer_jump() -> None:
    temperature, wavelength = np.array(7000.0), np.array([0.39, 0.41])
    assert stellar(wavelength, temperature, 0.7) / planck(wavelength, temperature) == pytest.approx([10**-0.28, 1])
