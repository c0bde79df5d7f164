"""Outbursts, microlensing and flares: shapes, and that nothing shines when nothing happens."""

import numpy as np
import pytest

from goodricke.simulate.surveys import field
from goodricke.simulate.transients import DwarfNova, Flares, Microlensing, flare_shape, magnification
from tests.simulate.nightly import nightly

HERE = field("rubin", 0, 2)


@pytest.mark.parametrize("made", [DwarfNova(), Microlensing(), Flares()], ids=lambda m: m.kind)
def test_a_row_follows_from_its_parameters_alone(made) -> None:  # type: ignore[no-untyped-def]
    drawn = made.draw(6, HERE, np.random.default_rng(1))
    flux = made.flux(drawn, HERE)
    one = made.flux({name: value[3:4] for name, value in drawn.items()}, HERE)
    np.testing.assert_allclose(one[0], flux[3], rtol=1e-12)
    assert np.isfinite(flux).all()
    assert (flux >= 0).all()
    assert (flux.max(1) > 0).all()


def test_magnification_is_paczynski_s() -> None:
    assert magnification(np.array(1.0)) == pytest.approx(3 / np.sqrt(5))
    assert magnification(np.array(0.01)) == pytest.approx(100, rel=1e-3)
    assert magnification(np.array(100.0)) == pytest.approx(1, abs=1e-7)


def test_lensing_without_blending_changes_no_colour_and_is_symmetric() -> None:
    drawn = Microlensing().draw(4, HERE, np.random.default_rng(2))
    drawn |= {"blend_slope": np.zeros(4), "peak": np.full(4, 61200.0), "source_share": np.ones(4)}
    flux = Microlensing().flux(drawn, nightly(61100, 61301)).reshape(4, -1, 6)
    colour = flux[:, :, 1] / flux[:, :, 3]
    np.testing.assert_allclose(colour, np.broadcast_to(colour[:, :1], colour.shape), rtol=1e-9)
    np.testing.assert_allclose(flux, flux[:, ::-1], rtol=1e-9)


def test_flares_rise_at_once_and_have_their_width() -> None:
    age = np.linspace(-2, 12, 14001)
    shape = flare_shape(age)
    assert shape.max() == pytest.approx(1, abs=0.01)
    assert age[shape.argmax()] == pytest.approx(0, abs=0.01)
    assert np.ptp(age[shape > 0.5]) == pytest.approx(1, abs=0.1)
    assert (shape[age < -1] == 0).all()


def test_flares_are_blue_and_as_many_as_told() -> None:
    drawn = Flares().draw(50, HERE, np.random.default_rng(3))
    assert (np.isfinite(drawn["flare_peak"]).sum(1) == drawn["flares"]).all()
    bright = drawn | {
        "flare_peak": np.full((50, 12), 61200.0),
        "extinction": np.zeros(50),
        "flare_temperature": np.full(50, 1e4),
    }
    flux = Flares().flux(bright, nightly(61200, 61201))
    assert (flux[:, 0] > flux[:, 5]).all()
    height = np.nansum(drawn["flare_amplitude"], 1)
    assert (flux[:, 5] < height * 1e9).all()


def test_outbursts_come_again_and_are_as_high_as_told() -> None:
    drawn = DwarfNova().draw(6, HERE, np.random.default_rng(4))
    fixed = {"recurrence": 40.0, "duration": 6.0, "irregularity": 0.0, "sagging": 0.0, "rise": 0.3, "decay": 1.5}
    drawn |= {name: np.full(6, value) for name, value in fixed.items()}
    drawn |= {"irregular": np.zeros((6, 32)), "peak": np.full(6, 61100.0), "height": np.full(6, 3.0)}
    flux = DwarfNova().flux(drawn, nightly(61000, 61400)).reshape(6, -1, 6)[:, :, 2]
    np.testing.assert_allclose(flux[:, 100:140], flux[:, 140:180], atol=1e-9 * flux.max())
    assert (flux[:, 120] == 0).all()
    top = flux.max(1)
    assert -2.5 * np.log10(top) + 31.4 == pytest.approx(drawn["magnitude"] - 2.5 * np.log10(1 - 10**-1.2), abs=1e-6)
    days = (flux > 0.9 * top[:, None]).sum(1) / 10
    assert (days >= 6).all()
    assert (days <= 8).all()
