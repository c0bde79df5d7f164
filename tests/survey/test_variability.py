import numpy as np
import pytest
from astropy.timeseries import LombScargle

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import MAGNITUDES_PER_E
from goodricke.survey.variability import (
    SearchLimits,
    dominant_variability,
    highest_frequency,
    log10_false_alarm,
    sine_amplitude,
)
from tests.making import sine


def one(time, value, error=None, band=None, **about) -> LightCurves:
    about = {"unit": "mag"} | about
    return LightCurves.from_arrays(["a"], [0, len(time)], time, value, error, band, **about)


@pytest.mark.parametrize("period", [0.11, 0.7, 13.0])
def test_frequency_and_amplitude_of_a_sparse_sine(period):
    found = dominant_variability(one(*sine(period=period)))
    assert abs(found.f1[0] - 1 / period) < 0.05 / 100  # a twentieth of the natural width
    assert found.A1[0] == pytest.approx(0.3, abs=0.01)
    assert found.status[0] == "OK"
    assert found.f_max[0] == 20
    assert found.log10_fap[0] < -20
    assert found.snr[0] > 5


def test_dense_flux_up_to_its_nyquist_frequency():
    time = np.arange(1200) / 48
    rng = np.random.default_rng(0)
    flux = 500 * (1 + 0.003 * np.sin(2 * np.pi * 17.3 * time) + rng.normal(0, 0.001, len(time)))
    found = dominant_variability(one(time, flux, unit="electron / s"))
    assert found.f_max[0] == pytest.approx(24)
    assert found.f1[0] == pytest.approx(17.3, abs=0.005)
    assert found.A1[0] == pytest.approx(0.003 * MAGNITUDES_PER_E, rel=0.1)


def test_bands_are_searched_together():
    time, value = sine(120)
    band = np.arange(120) % 3
    shifted = value + np.array([0, 2.5, -1])[band]
    found = dominant_variability(one(time, shifted, np.full(120, 0.02), band, bands=("g", "r", "i")))
    assert found.f1[0] == pytest.approx(1 / 0.7, abs=1e-3)
    assert found.A1[0] == pytest.approx(0.3, abs=0.02)


def test_errors_are_weights():
    time, value = sine()
    bad = np.arange(len(time)) % 2 == 0
    value[bad] += np.random.default_rng(1).normal(0, 1, bad.sum())
    weighted = dominant_variability(one(time, value, np.where(bad, 1, 0.02)))
    plain = dominant_variability(one(time, value))
    assert weighted.power[0] > 0.9 > plain.power[0]


def test_differences_of_flux_have_no_relative_amplitude():
    time, value = sine()
    found = dominant_variability(one(time, value - 12, unit="nJy"))
    assert found.f1[0] == pytest.approx(1 / 0.7, abs=1e-3)
    assert np.isnan(found.A1[0])


def test_alone_and_in_company():
    parts = [one(*sine(80 + 9 * k, 0.3 + 0.2 * k, seed=k)) for k in range(4)]
    together = dominant_variability(LightCurves.concat(parts))
    for k, part in enumerate(parts):
        alone = dominant_variability(part)
        np.testing.assert_array_equal([x[k] for x in together[1:8]], [x[0] for x in alone[1:8]])


def test_every_state_is_told():
    time, value = sine(30)
    cases = {
        "EMPTY": ([], []),
        "NON_FINITE": (time, np.full(30, np.nan)),
        "TOO_FEW_POINTS": (time[:4], value[:4]),
        "CONSTANT": (time, np.full(30, 12.0)),
        "NO_PERIOD": (np.full(30, 5.0), value),
        "OK": (time, value),
    }
    found = dominant_variability(
        LightCurves.concat([one(*case) for case in cases.values()]), with_spectrum=np.ones(6, bool)
    )
    assert found.status.tolist() == list(cases)
    assert np.isfinite(found.f1).tolist() == [status == "OK" for status in cases]
    assert [s is not None for s in found.spectra] == [status == "OK" for status in cases]


def test_stray_times_do_not_ask_for_all_the_memory():
    time, value = sine(30)
    time[-1] = 1e9
    assert dominant_variability(one(time, value)).status[0] == "NO_PERIOD"


def test_limit_follows_the_sampling():
    assert highest_frequency(np.arange(100) / 720, SearchLimits()) == 80  # two minutes
    assert highest_frequency(np.arange(100) / 48, SearchLimits()) == pytest.approx(24)
    assert highest_frequency(np.cumsum(np.random.default_rng(0).exponential(1, 99)), SearchLimits()) == 20
    assert highest_frequency(np.zeros(5), SearchLimits()) == 20


@pytest.mark.parametrize("power", [0.02, 0.08, 0.15, 0.5])
def test_false_alarm_probability_is_that_of_astropy(power):
    time, value = sine()
    time = time - time[0]  # astropy's variance of large times loses digits
    theirs = LombScargle(time, value).false_alarm_probability(power, method="baluev", maximum_frequency=20.0)
    ours = log10_false_alarm(power, len(time), float(np.std(time)), 20.0)
    assert ours == pytest.approx(np.log10(theirs), abs=1e-4)  # its grid ends a little off


def test_false_alarm_probability_does_not_underflow():
    assert -4000 < log10_false_alarm(1.0, 500, 30.0, 20.0) < log10_false_alarm(0.99, 500, 30.0, 20.0) < -400


def test_noise_is_no_alarm():
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 100, 150))
    parts = [one(time, rng.normal(12, 0.1, 150)) for _ in range(40)]
    found = dominant_variability(LightCurves.concat(parts))
    assert (found.log10_fap < -2).sum() <= 2


def test_amplitude_by_least_squares_is_exact():
    time = np.sort(np.random.default_rng(0).uniform(0, 10, 50))
    value = 3 + 0.25 * np.cos(2 * np.pi * 1.37 * time + 0.4)
    assert sine_amplitude(time, value, np.full(50, np.nan), np.zeros(50, int), 1.37) == pytest.approx(0.25)


def test_spectrum_peaks_at_f1_with_a1():
    limits = SearchLimits()
    found = dominant_variability(one(*sine()), with_spectrum=np.array([True]))
    spectrum = found.spectra[0].astype(float)
    assert spectrum.shape == (limits.bins,)
    peak = np.nanargmax(spectrum)
    assert limits.edges[peak] * 0.999 <= found.f1[0] <= limits.edges[peak + 1] * 1.001
    assert np.nanmax(spectrum) == pytest.approx(found.A1[0], rel=1e-3)  # float16
    assert np.isnan(spectrum[0])  # below one cycle in the span
    assert np.isnan(spectrum[-1])  # above the limit
