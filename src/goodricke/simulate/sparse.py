"""Labelled light curves in several bands: variables and transients as Rubin, ZTF or Gaia would see them.

They are for tests, demonstrations, benchmarks and pre-training: black bodies and analytic shapes, no survey's own
simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa

from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import (
    FIELDS,
    PER_FIELD,
    SIGNAL_TO_NOISE,
    VISIBLE,
    BlockMaker,
    Simulation,
    SourceBlock,
    light_curves,
    parameter_column,
    plan,
)
from goodricke.simulate.colours import magnitudes
from goodricke.simulate.kinds import MULTIBAND, survey_kinds
from goodricke.simulate.source import Float, Truth, take_stars
from goodricke.simulate.surveys import Field, find_survey, survey_field
from goodricke.simulate.variable_stars import MultibandSource

TRIES = {True: 40, False: 8}  # events, variables drawn for each that is wanted; the first that is visible is taken
FEWEST_DETECTIONS, FEWEST_OF_BRIEF = 5, 3  # of an event
BRIEF = ("kilonova",)  # over after a few visits


def simulate_multiband(
    n: int | Mapping[str, int],
    survey: str = "rubin",
    seed: int = 0,
    classes: Sequence[str] | None = None,
    workers: int = 1,
) -> LightCurves:
    """Return labelled light curves.

    Parameters
    ----------
    n : int or mapping
        Of each class, or the number by class.
    survey : str
        ``rubin``, ``ztf`` or ``gaia``.
    seed : int
    classes : list of str, optional
        By default all that the survey can see.
    workers : int
        Processes; the light curves don't depend on it.

    Returns
    -------
    LightCurves
        Rubin: forced photometry in nJy in u, g, r, i, z, y, of events (transients, outbursts, flares) from difference
        images, of variables in total. ZTF (g, r, i; AB) and Gaia (G, BP, RP; Vega): magnitudes of detections. The table
        of objects has ``label``, ``kind``, ``magnitude`` (the brightest that a visit could see), ``detections``
        (above 5 sigma, without noise), ``signal_to_noise`` and the true parameters, ``true_...``.

    Raises
    ------
    ValueError
        If there is no such survey or class.
    """
    return LightCurves.concat(list(multiband_simulation(n, survey, seed, classes).parts(workers)))


def multiband_simulation(
    n: int | Mapping[str, int], survey: str, seed: int = 0, classes: Sequence[str] | None = None
) -> Simulation:
    """Return the plan of `simulate_multiband`, whose parts can be made and written one after the other."""
    find_survey(survey)  # raises before work begins
    blocks = plan(survey_kinds(survey).counts(n, classes))
    return Simulation(blocks, SparseBlockMaker(tuple(dict.fromkeys(block.kind for block in blocks)), seed, survey))


@dataclass(frozen=True)
class SparseBlockMaker(BlockMaker):
    """Makes blocks of sources as one survey sees them."""

    survey: str = "rubin"

    def make_field(self, block: SourceBlock, field: int) -> LightCurves:
        """See `BlockMaker`."""
        source_rng, noise_rng = self.generators(block, field, 2)
        place = survey_field(self.survey, self.seed, block.number * FIELDS + field)
        truth, flux = draw_detected(MULTIBAND.sources[block.kind], place, source_rng)
        columns = {
            "product": f"simulated {self.survey}",
            "magnitude": parameter_column(magnitudes(flux.max(1))),
            "detections": pa.array(_detections(flux, place)),
            "signal_to_noise": pa.array(_variation(flux, place)),
        }
        return light_curves(
            self.ids(block, field, self.survey),
            place.visits.time,
            place.survey.measure(flux, place.visits, noise_rng),
            place.visits.band,
            bands=place.survey.bands.names,
            unit=place.survey.unit,
            time_scale=place.survey.time_scale,
            objects=self.object_table(block, MULTIBAND.labels[block.kind], columns, truth),
        )

    def example(self, kind: str) -> Truth:
        """See `BlockMaker`."""
        return _example(kind, self.survey)


@cache
def _example(kind: str, survey: str) -> Truth:
    return MULTIBAND.sources[kind].draw(2, survey_field(survey, 0, 0), np.random.default_rng(0))


def draw_detected(
    source: MultibandSource, field: Field, rng: np.random.Generator, n: int = PER_FIELD
) -> tuple[Truth, Float]:
    """Return true parameters and true fluxes (n, T) [nJy] of sources that the survey can recognise.

    Events must be detected `FEWEST_DETECTIONS` times, `VISIBLE` of the variables must have `SIGNAL_TO_NOISE`. The first
    of `TRIES` sources that does is taken, else the one that comes closest.
    """
    strength = _detections if source.event else _variation
    enough = SIGNAL_TO_NOISE if not source.event else FEWEST_OF_BRIEF if source.kind in BRIEF else FEWEST_DETECTIONS
    tries = TRIES[source.event]
    truth = source.draw(n * tries, field, rng)
    required = np.where(rng.random(n) < (1.0 if source.event else VISIBLE), enough, -np.inf)
    best, chosen = np.full(n, -np.inf), np.arange(n)
    flux = np.empty((n, len(field.visits.time)))
    for attempt in range(tries):
        weak = np.flatnonzero(best < required) if attempt else np.arange(n)
        if not len(weak):
            break
        candidates = weak + attempt * n
        candidate_flux = source.flux(take_stars(truth, candidates), field)
        candidate_strength = strength(candidate_flux, field).astype(np.float64)
        better = candidate_strength > best[weak]
        rows = weak[better]
        best[rows], chosen[rows], flux[rows] = candidate_strength[better], candidates[better], candidate_flux[better]
    return take_stars(truth, chosen), flux


def _detections(flux: Float, field: Field) -> Float:
    """Return how many visits would detect a source if there were no noise, (n,)."""
    return field.survey.detects(flux, field.visits).sum(1)


def _variation(flux: Float, field: Field) -> Float:
    """Return the root of the sum of squares of the true variation in each band over the errors, (n,)."""
    total = np.zeros(len(flux))
    sigma = field.survey.sigma(flux, field.visits)
    for band in np.unique(field.visits.band):
        points = field.visits.band == band
        deviation = flux[:, points] - flux[:, points].mean(1, keepdims=True)
        total += ((deviation / sigma[:, points]) ** 2).sum(1)
    return np.sqrt(total)
