"""Labelled dense light curves: stars of each class as Kepler, K2 or TESS see them.

Stars are made in blocks of 64 of one kind. A block's random numbers follow from the seed, the kind and the block's
number alone: the first stars of a larger set are those of a smaller one, and processes can share the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.simulate import blocks
from goodricke.simulate.blocks import BLOCK, Block, column
from goodricke.simulate.instrument import (
    HALF_HOUR,
    Cadence,
    Observations,
    cadence_called,
    dominate,
    draw_systematics,
    half_hour_noise,
    noise_of,
    observe,
    see,
)
from goodricke.simulate.kinds import CLASSES, counts, source
from goodricke.simulate.source import Drawn, Float, Source

FIELDS = 8  # that all kinds of stars have equal parts in: times and gaps must not tell the class
PER_FIELD = BLOCK // FIELDS
AT_ONCE = 2_000_000  # points whose flux is made at once
QUIET = ("CONSTANT", "INSTRUMENT")  # classes whose stars need not be seen to vary

# A label must mean something: of the stars of variable classes, this part must vary visibly
SEEN, SIGNAL_TO_NOISE = 0.9, 10.0
REDRAWS = 6
BRIGHTEST = {"TESS": 6.0, "Kepler": 8.0, "K2": 8.0}
DETRENDED = 61 / 48  # d, sigma of the filter that TESS light curves pass before they are classified


@dataclass(frozen=True)
class Settings:
    """What decides the light curves, besides how many.

    Parameters
    ----------
    cadence : str
    sectors : int or tuple of int
        How many sectors, quarters or campaigns in a row, from one at random for each field; or which.
    seed : int
    """

    cadence: str = "tess-30min"
    sectors: int | tuple[int, ...] = 1
    seed: int = 0


def simulate_dense(
    n: int | Mapping[str, int],
    cadence: str = "tess-30min",
    sectors: int | Sequence[int] = 1,
    seed: int = 0,
    classes: Sequence[str] = CLASSES,
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
    classes : list of str
    workers : int
        Processes; the light curves don't depend on it.

    Returns
    -------
    LightCurves
        Flux in electrons per second, flagged points left out. The table of objects has ``label``, ``kind``,
        ``magnitude``, ``noise`` (white, in half an hour, relative), ``signal_to_noise`` and the true parameters,
        ``true_...``.

    Raises
    ------
    ValueError
        If there is no such class, cadence or sector.
    """
    settings = Settings(cadence, sectors if isinstance(sectors, int) else tuple(sectors), seed)
    return LightCurves.concat(list(make_blocks(settings, plan(n, classes), workers)))


def plan(n: int | Mapping[str, int], classes: Sequence[str] = CLASSES) -> list[Block]:
    """Return the blocks of ``n`` stars of each class; see `goodricke.simulate.blocks`."""
    return blocks.plan(counts(n, classes))


def make_blocks(settings: Settings, planned: Sequence[Block], workers: int = 1) -> Iterator[LightCurves]:
    """Give the light curves of blocks in their order, however many processes make them."""
    observe(cadence_called(settings.cadence), settings.sectors, np.random.default_rng(0))  # raises, before work begins
    return blocks.make(Making(settings, tuple(dict.fromkeys(block.kind for block in planned))), planned, workers)


@dataclass(frozen=True)
class Making:
    """The making of blocks, which other processes can have; all blocks get the columns of all ``kinds``."""

    settings: Settings
    kinds: tuple[str, ...]

    def __call__(self, block: Block) -> LightCurves:
        """Return the light curves of a block; star i is in field i modulo `FIELDS`."""
        wanted = np.arange(block.rows)
        fields = wanted[:FIELDS]
        made = LightCurves.concat([self._in_field(block, int(field)) for field in fields])
        return made[(wanted % FIELDS) * PER_FIELD + wanted // FIELDS]

    def _in_field(self, block: Block, field: int) -> LightCurves:
        """Return the stars of a block that are in one field, and so have the same times."""
        key = [self.settings.seed, crc32(block.kind.encode()), block.number, field]
        stars, spacecraft, effects = map(np.random.default_rng, np.random.SeedSequence(key).spawn(3))
        cadence, made = cadence_called(self.settings.cadence), source(block.kind)
        observations = observe(cadence, self.settings.sectors, np.random.default_rng([self.settings.seed, field]))
        systematics = draw_systematics(PER_FIELD, cadence, spacecraft)
        if made.label == "INSTRUMENT":
            systematics = dominate(systematics, cadence, spacecraft)
        drawn, flux, strength = visible(made, observations, systematics, stars)
        value, error, keep = see(flux, systematics, observations, effects)
        first = block.number * BLOCK + field
        ids = [f"{block.kind}-{cadence.name}-{self.settings.seed}-{first + FIELDS * i:06d}" for i in range(PER_FIELD)]
        about = {
            "label": pa.repeat(made.label, PER_FIELD),
            "kind": pa.repeat(block.kind, PER_FIELD),
            "mission": pa.repeat(cadence.mission, PER_FIELD),
            "product": pa.repeat(f"simulated {cadence.name}", PER_FIELD),
            cadence.unit: pa.repeat(pa.scalar(observations.numbers[0], pa.int32()), PER_FIELD),
            "magnitude": pa.array(systematics["magnitude"]),
            "noise": pa.array(half_hour_noise(noise_of(systematics, cadence), cadence)),
            "signal_to_noise": pa.array(strength),
            "dilution": pa.array(systematics["dilution"]),
        }
        about |= {f"true_{name}": column(numbers) for name, numbers in drawn.items()}
        return LightCurves.from_arrays(
            ids,
            ragged.offsets_of(keep.sum(1)),
            np.broadcast_to(observations.time, keep.shape)[keep],
            value[keep],
            np.repeat(error, keep.sum(1)),
            bands=(cadence.mission,),
            unit="electron / s",
            time_scale=cadence.time_scale,
            objects=_fitted(about, self.kinds),
        )


def visible(
    made: Source, observations: Observations, systematics: Drawn, rng: np.random.Generator
) -> tuple[Drawn, NDArray[np.float32], Float]:
    """Return true parameters, fluxes (n, T) and the variability's signal-to-noise ratios (n,) of stars.

    Of a variable class `SEEN` of the stars must have `SIGNAL_TO_NOISE`. One that hasn't is drawn anew, `REDRAWS` times
    at most; then it is made as bright as need be, up to the brightest. The others are what they are.
    """
    n = len(systematics["magnitude"])
    drawn, demanded = made.draw(n, rng), np.where(rng.random(n) < SEEN, SIGNAL_TO_NOISE, 0.0)
    if made.label in QUIET:
        demanded[:] = 0
    flux = _flux(made, drawn, observations)
    strength = signal_to_noise(flux, systematics, observations)
    for _ in range(REDRAWS):
        weak = np.flatnonzero(strength < demanded)
        if not len(weak):
            break
        other = made.draw(n, rng)
        other = {name: value[: len(weak)] for name, value in other.items()}
        flux[weak] = _flux(made, other, observations)
        drawn = _replaced(drawn, weak, other)
        few = {name: value[weak] for name, value in systematics.items()}
        strength[weak] = signal_to_noise(flux[weak], few, observations)
    _brighten(systematics, strength, demanded, observations.cadence)
    return drawn, flux, strength


def signal_to_noise(flux: NDArray[np.float32], systematics: Drawn, observations: Observations) -> Float:
    """Return the root of the sum of squares of the true variation over the white noise's, (n,).

    In half hours, less a Gaussian trend for TESS: what is left of it when the light curve is classified. A sine wave
    that stands out by 4 in the amplitude spectrum has 5.
    """
    per = observations.per_half_hour
    points = flux.shape[1] // per * per
    binned = flux[:, :points].reshape(len(flux), -1, per).mean(2)
    if observations.cadence.mission == "TESS":
        binned = binned - gaussian_filter1d(binned, DETRENDED / HALF_HOUR, axis=1)
    noise = half_hour_noise(noise_of(systematics, observations.cadence), observations.cadence)
    return (1 - systematics["dilution"]) * binned.std(1, dtype=np.float64) * np.sqrt(binned.shape[1]) / noise


def _brighten(systematics: Drawn, strength: Float, demanded: Float, cadence: Cadence) -> None:
    """Make stars whose variability isn't seen as bright as need be, in tenths of a magnitude, in place."""
    magnitude = systematics["magnitude"]
    before = noise_of(systematics, cadence)
    for _ in range(200):
        weak = (strength < demanded) & (magnitude > BRIGHTEST[cadence.mission])
        if not weak.any():
            break
        magnitude[weak] -= 0.1
        after = noise_of(systematics, cadence)
        strength *= before / after
        before = after


def _flux(made: Source, drawn: Drawn, observations: Observations) -> NDArray[np.float32]:
    """Return fluxes (n, T), a few stars at a time where there are many points."""
    n, time = len(next(iter(drawn.values()))), observations.time
    rows = max(1, AT_ONCE // len(time))
    parts = [{name: value[i : i + rows] for name, value in drawn.items()} for i in range(0, n, rows)]
    flux = np.concatenate([made.flux(part, time, observations.cadence.exposure) for part in parts])
    return flux.astype(np.float32, copy=False)


def _replaced(drawn: Drawn, rows: NDArray[np.int64], other: Drawn) -> Drawn:
    """Return parameters with some rows replaced; lists of modes grow as need be."""
    result = {}
    for name, value in drawn.items():
        new = other[name]
        if value.ndim == 2:
            wide = max(value.shape[1], new.shape[1])
            value, new = (np.pad(x, ((0, 0), (0, wide - x.shape[1])), constant_values=np.nan) for x in (value, new))
        value = value.copy()
        value[rows] = new
        result[name] = value
    return result


# ---- the table of objects -----------------------------------------------------------------------------------------


@cache
def _types(kind: str) -> dict[str, pa.DataType]:
    """Return the types of a kind's true parameters by column."""
    drawn = source(kind).draw(2, np.random.default_rng(0))
    return {f"true_{name}": column(value).type for name, value in drawn.items()}


def _fitted(columns: dict[str, Any], kinds: Sequence[str]) -> pa.Table:
    """Return the columns, then the true parameters of all kinds, null where a star has none."""
    types = {name: kind_of for kind in kinds for name, kind_of in _types(kind).items()}
    rows = len(columns["label"])
    result = {name: value for name, value in columns.items() if name not in types}
    for name, kind_of in types.items():
        result[name] = columns[name].cast(kind_of) if name in columns else pa.nulls(rows, kind_of)
    return pa.table(result)
