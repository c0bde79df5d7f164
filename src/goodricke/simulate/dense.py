"""Labelled dense light curves: stars of each class as Kepler, K2 or TESS see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import (
    PER_FIELD,
    SIGNAL_TO_NOISE,
    VISIBLE,
    BlockMaker,
    Simulation,
    SourceBlock,
    light_curves,
    plan,
)
from goodricke.simulate.cadence import HALF_HOUR, Cadence, ObservedTimes, find_cadence, observe
from goodricke.simulate.instrument import (
    draw_systematics,
    half_hour_noise,
    measure,
    strengthen_artefacts,
    systematics_noise,
)
from goodricke.simulate.kinds import DENSE
from goodricke.simulate.source import Float, Source, Truth, take_stars

AT_ONCE = 2_000_000  # points whose flux is made at once
QUIET = ("constant", "instrument")  # kinds whose stars need not vary visibly
REDRAWS = 6
UNSEEN = 0.1  # amplitude of a sine over the noise of half an hour that no sector shows
BRIGHTEST = {"TESS": 6.0, "Kepler": 8.0, "K2": 8.0}
DETRENDED = 61 / 48  # d, sigma of the filter that TESS light curves pass before they are classified


def simulate_dense(
    n: int | Mapping[str, int],
    cadence: str = "tess-30min",
    sectors: int | Sequence[int] = 1,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    workers: int = 1,
) -> LightCurves:
    """Return labelled light curves.

    Parameters
    ----------
    n : int or mapping
        Of each class, or the number by class.
    cadence : str
        ``tess-30min``, ``tess-10min``, ``tess-200s``, ``tess-2min``, ``kepler`` or ``k2``.
    sectors : int or list of int
        How many sectors (quarters, campaigns) in a row, from a random one for each field; or which.
    seed : int
    classes : list of str, optional
        By default all.
    workers : int
        Processes; the light curves don't depend on it.

    Returns
    -------
    LightCurves
        Flux in electrons per second, without flagged points. The table of objects has ``label``, ``kind``,
        ``magnitude``, ``noise`` (white, in half an hour, relative), ``signal_to_noise`` and the true parameters,
        ``true_...``.

    Raises
    ------
    ValueError
        If there is no such class, cadence or sector.
    """
    return LightCurves.concat(list(dense_simulation(n, cadence, sectors, seed, classes).parts(workers)))


def dense_simulation(
    n: int | Mapping[str, int],
    cadence: str = "tess-30min",
    sectors: int | Sequence[int] = 1,
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> Simulation:
    """Return the plan of `simulate_dense`, whose parts can be made and written one after the other."""
    blocks = plan(DENSE.counts(n, classes))
    observe(find_cadence(cadence), sectors, np.random.default_rng(0))  # raises before work begins
    kinds = tuple(dict.fromkeys(block.kind for block in blocks))
    sectors = sectors if isinstance(sectors, int) else tuple(sectors)
    return Simulation(blocks, DenseBlockMaker(kinds, seed, cadence, sectors))


@dataclass(frozen=True)
class DenseBlockMaker(BlockMaker):
    """Makes blocks of stars as one spacecraft sees them; for ``cadence`` and ``sectors`` see `simulate_dense`."""

    cadence: str = "tess-30min"
    sectors: int | tuple[int, ...] = 1

    def make_field(self, block: SourceBlock, field: int) -> LightCurves:
        """See `BlockMaker`."""
        star_rng, systematics_rng, noise_rng = self.generators(block, field, 3)
        cadence, source = find_cadence(self.cadence), DENSE.sources[block.kind]
        observations = observe(cadence, self.sectors, np.random.default_rng([self.seed, field]))
        systematics = draw_systematics(PER_FIELD, cadence, systematics_rng)
        if block.kind == "instrument":
            systematics = strengthen_artefacts(systematics, cadence, systematics_rng)
        if block.kind == "constant":  # with a neighbour that varies visibly it wouldn't be called constant
            limit = UNSEEN * half_hour_noise(systematics_noise(systematics, cadence), cadence)
            systematics["neighbour"] = np.minimum(systematics["neighbour"], limit)
        truth, flux, strength = draw_visible(source, observations, systematics, star_rng)
        columns = {
            "mission": cadence.mission,
            "product": f"simulated {cadence.name}",
            cadence.unit: pa.scalar(observations.numbers[0], pa.int32()),
            "magnitude": pa.array(systematics["magnitude"]),
            "noise": pa.array(half_hour_noise(systematics_noise(systematics, cadence), cadence)),
            "signal_to_noise": pa.array(strength),
            "dilution": pa.array(systematics["dilution"]),
        }
        return light_curves(
            self.ids(block, field, cadence.name),
            observations.time,
            measure(flux, systematics, observations, noise_rng),
            bands=(cadence.mission,),
            unit="electron / s",
            time_scale=cadence.time_scale,
            objects=self.object_table(block, DENSE.labels[block.kind], columns, truth),
        )

    def example(self, kind: str) -> Truth:
        """See `BlockMaker`."""
        return _example(kind)


@cache
def _example(kind: str) -> Truth:
    return DENSE.sources[kind].draw(2, np.random.default_rng(0))


def draw_visible(
    source: Source, observations: ObservedTimes, systematics: Truth, rng: np.random.Generator
) -> tuple[Truth, NDArray[np.float32], Float]:
    """Return true parameters, fluxes (n, T) and signal-to-noise ratios of the variability (n,) of stars.

    `VISIBLE` of the stars of a variable kind must have `SIGNAL_TO_NOISE`. One that hasn't is drawn anew, `REDRAWS`
    times at most; then it is made as bright as necessary, up to the brightest. ``systematics`` is changed in place.
    """
    n = len(systematics["magnitude"])
    truth, required = source.draw(n, rng), np.where(rng.random(n) < VISIBLE, SIGNAL_TO_NOISE, 0.0)
    if source.kind in QUIET:
        required[:] = 0
    flux = _flux(source, truth, observations)
    strength = signal_to_noise(flux, systematics, observations)
    for _ in range(REDRAWS):
        weak = np.flatnonzero(strength < required)
        if not len(weak):
            break
        other = take_stars(source.draw(n, rng), slice(len(weak)))
        flux[weak] = _flux(source, other, observations)
        truth = _replace_stars(truth, weak, other)
        strength[weak] = signal_to_noise(flux[weak], take_stars(systematics, weak), observations)
    _brighten(systematics, strength, required, observations.cadence)
    return truth, flux, strength


def signal_to_noise(flux: NDArray[np.float32], systematics: Truth, observations: ObservedTimes) -> Float:
    """Return the root of the sum of squares of the true variation over the white noise's, (n,).

    In half hours, less a Gaussian trend for TESS: what is left of it when the light curve is classified. A sine wave
    that stands out by 4 in the amplitude spectrum has 5.
    """
    per = observations.per_half_hour
    points = flux.shape[1] // per * per
    binned = flux[:, :points].reshape(len(flux), -1, per).mean(2)
    if observations.cadence.mission == "TESS":
        binned = binned - gaussian_filter1d(binned, DETRENDED / HALF_HOUR, axis=1)
    noise = half_hour_noise(systematics_noise(systematics, observations.cadence), observations.cadence)
    return (1 - systematics["dilution"]) * binned.std(1, dtype=np.float64) * np.sqrt(binned.shape[1]) / noise


def _brighten(systematics: Truth, strength: Float, required: Float, cadence: Cadence) -> None:
    """Make stars whose variability isn't visible as bright as necessary, in tenths of a magnitude, in place."""
    magnitude = systematics["magnitude"]
    before = systematics_noise(systematics, cadence)
    for _ in range(200):
        weak = (strength < required) & (magnitude > BRIGHTEST[cadence.mission])
        if not weak.any():
            break
        magnitude[weak] -= 0.1
        after = systematics_noise(systematics, cadence)
        strength *= before / after
        before = after


def _flux(source: Source, truth: Truth, observations: ObservedTimes) -> NDArray[np.float32]:
    """Return fluxes (n, T), a few stars at a time where there are many points."""
    n, time = len(next(iter(truth.values()))), observations.time
    rows = max(1, AT_ONCE // len(time))
    parts = [take_stars(truth, slice(i, i + rows)) for i in range(0, n, rows)]
    flux = np.concatenate([source.flux(part, time, observations.cadence.exposure) for part in parts])
    return flux.astype(np.float32, copy=False)


def _replace_stars(truth: Truth, rows: NDArray[np.int64], other: Truth) -> Truth:
    """Return parameters with some rows replaced; lists of modes grow as necessary."""
    result = {}
    for name, value in truth.items():
        new = other[name]
        if value.ndim == 2:
            wide = max(value.shape[1], new.shape[1])
            value, new = (np.pad(x, ((0, 0), (0, wide - x.shape[1])), constant_values=np.nan) for x in (value, new))
        value = value.copy()
        value[rows] = new
        result[name] = value
    return result
