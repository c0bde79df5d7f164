"""Radial pulsators: Fourier parameters measured from the light curve are the drawn ones and lie in published ranges."""

import numpy as np
import pytest

from goodricke.simulate.classical import (
    Cepheid,
    CepheidOvertone,
    HighAmplitudeDeltaScuti,
    RRLyraeAb,
    RRLyraeC,
    RRLyraeD,
    Type2Cepheid,
)

SOURCES = [RRLyraeAb(), RRLyraeC(), RRLyraeD(), Cepheid(), CepheidOvertone(), Type2Cepheid(), HighAmplitudeDeltaScuti()]


def plain(truth):
    """Return the same stars without second modes, modulation and jitter."""
    none = ("second_amplitude", "blazhko_amplitude", "blazhko_phase", "jitter_amplitude")
    return truth | {name: np.zeros_like(truth[name]) for name in none}


def fourier(source, truth, row):
    """Return A1, ratios R_k1 and phases phi_k1 of one star's magnitudes over one cycle."""
    star = {name: values[[row]] for name, values in plain(truth).items()}
    time = np.arange(512) / 512 * truth["period"][row]
    magnitude = -2.5 * np.log10(source.flux(star, time, 0.0)[0].astype(np.float64))
    terms = np.fft.rfft(magnitude)[1:13] / 256
    k = np.arange(1, 13)
    return (
        np.abs(terms[0]),
        np.abs(terms) / np.abs(terms[0]),
        np.mod(np.angle(terms) - k * np.angle(terms[0]), 2 * np.pi),
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.kind)
def test_fourier_parameters_of_the_light_curve_are_the_drawn_ones(source):
    truth = source.draw(5, np.random.default_rng(1))
    for row in range(5):
        amplitude, ratio, phase = fourier(source, truth, row)
        assert amplitude == pytest.approx(truth["amplitude"][row], rel=1e-4)
        np.testing.assert_allclose(ratio, truth["ratio"][row], atol=1e-4)
        difference = np.mod(phase[:3] - truth["phase_difference"][row, :3] + np.pi, 2 * np.pi) - np.pi
        np.testing.assert_allclose(difference, 0, atol=0.01)


@pytest.mark.parametrize(
    ("source", "r21", "phi21", "r31"),
    [
        (RRLyraeAb(), (0.3, 0.6), (3.4, 4.8), (0.1, 0.42)),  # Nemec et al. 2013, sines to cosines
        (RRLyraeC(), (0.0, 0.31), (4.0, 5.5), (0.0, 0.17)),
        (Cepheid(), (0.08, 0.6), (3.7, 6.3), (0.04, 0.33)),  # Simon & Lee 1981
        (HighAmplitudeDeltaScuti(), (0.02, 0.6), (3.5, 4.5), (0.0, 0.3)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_fourier_parameters_lie_in_the_published_ranges(source, r21, phi21, r31):
    truth = source.draw(500, np.random.default_rng(2))
    for values, (low, high) in (
        (truth["ratio"][:, 1], r21),
        (truth["phase_difference"][:, 1], phi21),
        (truth["ratio"][:, 2], r31),
    ):
        assert low <= values.min() < values.max() <= high
    assert (truth["ratio"][:, -1] < 0.06).all()


def test_metallicity_follows_from_period_and_phi31_by_jurcsik_and_kovacs():
    """Jurcsik & Kovacs 1996, A&A 312, 111, eq. 3: [Fe/H] = -5.038 - 5.394 P + 1.345 phi31, of sines."""
    source = RRLyraeAb()
    truth = source.draw(20, np.random.default_rng(3))
    for row in range(20):
        phi31 = np.mod(fourier(source, truth, row)[2][2] - np.pi, 2 * np.pi)
        phi31 += 2 * np.pi * np.round((5 - phi31) / (2 * np.pi))
        found = -5.038 - 5.394 * truth["period"][row] + 1.345 * phi31
        assert found == pytest.approx(truth["metallicity"][row], abs=0.02)


def test_the_hertzsprung_progression_dips_in_r21_at_ten_days():
    truth = Cepheid().draw(3000, np.random.default_rng(4))
    median = [
        np.median(truth["ratio"][(truth["period"] > low) & (truth["period"] < high), 1])
        for low, high in ((3, 5), (9.5, 11.5), (20, 40))
    ]
    assert median[1] < 0.5 * min(median[0], median[2])


def test_rr_lyrae_stars_rise_faster_than_they_fall():
    source = RRLyraeAb()
    truth = plain(source.draw(30, np.random.default_rng(5)))
    for row in range(30):
        star = {name: values[[row]] for name, values in truth.items()}
        flux = source.flux(star, np.arange(400) / 400 * truth["period"][row], 0.0)[0]
        rise = np.mod(np.argmax(flux) - np.argmin(flux), 400) / 400
        assert 0.05 < rise < 0.36


def test_the_blazhko_effect_modulates_the_maxima_by_its_amplitude():
    source = RRLyraeAb()
    truth = source.draw(1, np.random.default_rng(6))
    truth |= {
        "blazhko_amplitude": np.array([0.2]),
        "blazhko_phase": np.array([0.0]),
        "blazhko_period": np.array([20.0]),
    }
    time = np.arange(0, 20, 0.002)
    magnitude = -2.5 * np.log10(source.flux(truth, time, 0.0)[0])
    cycles = (time // truth["period"][0]).astype(int)
    heights = np.array([np.ptp(magnitude[cycles == cycle]) for cycle in range(1, cycles.max())])
    assert heights.max() / heights.min() == pytest.approx(1.2 / 0.8, rel=0.03)


def test_two_modes_beat_at_the_published_ratio_and_make_combinations():
    source = RRLyraeD()
    truth = source.draw(20, np.random.default_rng(7))
    assert ((1 / truth["period_ratio"] > 0.74) & (1 / truth["period_ratio"] < 0.749)).all()
    row = np.argmax(truth["second_amplitude"])
    star = {name: values[[row]] for name, values in truth.items()}
    first = 1 / star["period"][0]
    second = first / star["period_ratio"][0]
    time = np.arange(0, 50, 0.01)
    flux = source.flux(star, time, 0.0)[0].astype(np.float64) - 1

    def amplitude(frequency):
        return 2 * np.abs(np.mean(flux * np.hanning(len(time)) * 2 * np.exp(-2j * np.pi * frequency * time)))

    assert amplitude(first + second) > 0.05 * amplitude(second)
    assert amplitude(second) > 10 * amplitude(second * 1.17)


def test_jitter_shifts_cepheids_by_its_standard_deviation():
    truth = Cepheid().draw(200, np.random.default_rng(8))
    angle = (
        2 * np.pi * (truth["jitter_frequency"][..., None] * np.arange(0, 4000, 7.3) + truth["jitter_phase"][..., None])
    )
    shift = (truth["jitter_amplitude"][..., None] * np.cos(angle)).sum(axis=1)
    ratio = shift.std(axis=1) / truth["jitter"]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert 0.5 < ratio.min() < ratio.max() < 1.5  # frequencies that lie close together beat for long


def test_only_rv_tauri_stars_have_minima_of_alternating_depth():
    truth = Type2Cepheid().draw(300, np.random.default_rng(9))
    assert ((truth["second_amplitude"] > 0) == (truth["period"] > 20)).all()
