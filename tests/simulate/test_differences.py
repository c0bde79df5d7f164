"""Differences from a reference image: what they are made of, and that the shipped model calls few stars transients."""

from dataclasses import replace

import numpy as np
import pytest

from goodricke import classify
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.evaluation.gate import first_observations
from goodricke.simulate.differences import REFERENCE, to_differences
from goodricke.simulate.sparse import simulate_multiband

STARS = ("CEPHEID", "CONTACT", "EB", "RRL")


@pytest.fixture(scope="module")
def stars() -> LightCurves:
    return simulate_multiband(25, "ztf", seed=3, classes=STARS)


def test_a_difference_is_the_flux_less_that_of_the_reference(stars) -> None:
    everything = to_differences(stars, seed=1, significance=0.0)
    assert (everything.unit, everything.bands) == ("nJy", stars.bands)
    for name in stars.ids[::20]:
        total, difference = stars[stars.ids.index(name)], everything[everything.ids.index(name)]
        for band in np.unique(difference.band):
            flux = nanojansky(total.value[total.band == band].astype(float), total.error[total.band == band])[0]
            time = total.time[total.band == band]
            used = np.isin(time, difference.time[difference.band == band])
            assert 0 < (~used).sum() <= REFERENCE
            reference = flux[~used].mean()
            np.testing.assert_allclose(
                difference.value[difference.band == band], flux[used] - reference, atol=2e-6 * flux.max()
            )


def test_only_significant_differences_of_either_sign_are_detections(stars) -> None:
    alerts = to_differences(stars, seed=1)
    assert (np.abs(alerts.value) >= 4.999 * alerts.error).all()
    assert 0.2 < (alerts.value < 0).mean() < 0.8
    assert 0 < alerts.n_obs.sum() < stars.n_obs.sum()


def test_other_units_are_refused(stars) -> None:
    with pytest.raises(ValueError, match="not electron / s"):
        to_differences(replace(stars, unit="electron / s"))


@pytest.mark.parametrize("count", [10, 1000])
def test_the_shipped_model_calls_few_stars_transients_and_loses_few_supernovae(stars, count: int) -> None:
    """Of another simulation's cadence and noise than those it was trained on."""
    alerts = first_observations(to_differences(stars, seed=1), count)
    called = classify(alerts, "ztf-bts").table["node_TRANSIENT"].to_numpy(zero_copy_only=False)
    assert np.isfinite(called).sum() > 40
    assert (called[np.isfinite(called)] >= 0.5).mean() < 0.05
    events = simulate_multiband({"SNIA": 60, "SNII": 60}, "ztf", seed=8)
    kept = classify(first_observations(events, count), "ztf-bts").table["node_TRANSIENT"]
    kept = kept.to_numpy(zero_copy_only=False)
    assert (kept[np.isfinite(kept)] >= 0.5).mean() > 0.9
