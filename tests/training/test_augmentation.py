"""Thinned light curves, and simulated sources at the times of real ones."""

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.data.ragged import lengths, mean, std
from goodricke.training.augmentation import FEWEST, SOURCES, degraded, simulated_sources, thin
from tests.making import sky


def test_thinned_light_curves_are_parts_of_the_original(stars: LightCurves) -> None:
    thinned = thin(stars, seed=1)
    assert thinned.ids == stars.ids
    assert (thinned.n_obs <= stars.n_obs).all()
    assert thinned.n_obs.sum() < 0.9 * stars.n_obs.sum()
    for i in range(len(stars)):
        assert np.isin(thinned[i].time, stars[i].time).all()
    np.testing.assert_array_equal(thin(stars, seed=1).time, thinned.time)
    assert len(thin(stars, seed=2).time) != len(thinned.time)


def test_thinned_light_curves_are_of_all_lengths() -> None:
    curves, _ = sky(n=400, counts=(300, 301))
    counts = thin(curves, seed=3).n_obs
    assert ((counts >= FEWEST) & (counts < 40)).sum() > 20
    assert (counts > 250).sum() > 20


def test_short_light_curves_are_not_thinned() -> None:
    curves, _ = sky(n=10, counts=(5, FEWEST))
    np.testing.assert_array_equal(thin(curves, seed=0).n_obs, curves.n_obs)


def test_degraded_light_curves_have_more_noise_and_other_errors_or_none() -> None:
    curves, _ = sky(n=400, counts=(300, 301))
    worse = degraded(curves, seed=3)
    thinned = thin(curves, seed=3)
    np.testing.assert_array_equal(worse.time, thinned.time)
    noise = std(worse.value.astype(np.float64) - thinned.value, worse.offsets) / mean(thinned.error, thinned.offsets)
    assert 0.4 < (noise < 1e-3).mean() < 0.6
    assert 1.0 < noise.max() < 2.5
    lost = np.isnan(mean(worse.error, worse.offsets))
    assert 0.1 < lost.mean() < 0.2
    ratio = mean(worse.error, worse.offsets)[~lost] / mean(thinned.error, thinned.offsets)[~lost]
    assert (ratio < 0.8).sum() > 20
    assert (ratio > 1.5).sum() > 20
    np.testing.assert_array_equal(degraded(curves, seed=3).value, worse.value)


@pytest.mark.parametrize("kind", SOURCES)
def test_simulated_sources_keep_times_bands_and_errors(stars: LightCurves, kind: str) -> None:
    simulated = simulated_sources(stars, kind, seed=4)
    np.testing.assert_array_equal(simulated.time, stars.time)
    np.testing.assert_array_equal(simulated.error, stars.error)
    assert not set(simulated.ids) & set(stars.ids)
    assert np.isfinite(simulated.value).all()
    again = simulated_sources(stars, kind, seed=4)
    np.testing.assert_array_equal(again.value, simulated.value)


def test_constant_stars_vary_like_their_errors_and_quasars_more(stars: LightCurves) -> None:
    noise = mean(stars.error, stars.offsets)
    constant, quasar, transient = (
        std(simulated_sources(stars, kind, seed=0).value, stars.offsets) / noise for kind in SOURCES
    )
    assert np.median(constant) < 2.5
    assert np.median(quasar) > 1.2 * np.median(constant)
    brightest = np.array(
        [x.value.min() for x in map(simulated_sources(stars, "TRANSIENT", seed=0).__getitem__, range(12))]
    )
    median = np.array([np.median(stars[i].value) for i in range(len(stars))])
    assert (median - brightest > 0.4).all()
    assert np.isfinite(transient).all()
    assert lengths(stars.offsets).min() > 0


def test_an_unknown_kind_of_source_is_an_error(stars: LightCurves) -> None:
    with pytest.raises(ValueError, match="CONSTANT, AGN, TRANSIENT"):
        simulated_sources(stars, "PULSAR", seed=0)
