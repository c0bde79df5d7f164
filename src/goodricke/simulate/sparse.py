"""Which sources are simulated in several bands, and how common each kind is within its class.

Labelled light curves in several bands: variables and transients as Rubin, ZTF or Gaia would see them.

They are for tests, demonstrations, benchmarks and pre-training: black bodies and analytic shapes, no survey's own
simulation. As the dense ones they are made in blocks of 64 of one kind, whose random numbers follow from the seed, the
kind and the block's number alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import pyarrow as pa

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import BLOCK, Block, column, divided, make, plan
from goodricke.simulate.source import Drawn, Float
from goodricke.simulate.surveys import Field, Measured, field, magnitudes, survey_called
from goodricke.simulate.transients import (
    DwarfNova,
    Flares,
    Kilonova,
    Microlensing,
    Superluminous,
    SupernovaIa,
    SupernovaIbc,
    SupernovaII,
    TidalDisruption,
)
from goodricke.simulate.variables import (
    ActiveNucleus,
    EclipsingBinary,
    Light,
    LongPeriod,
    Pulsator,
    hot_as_drawn,
    hot_by_mass,
)

# class: kinds and their shares of it
CLASSES: dict[str, dict[str, float]] = {
    "AGN": {"active_nucleus": 1.0},
    "CEPHEID": {"cepheid": 0.6, "cepheid_overtone": 0.2, "type2_cepheid": 0.2},
    "CONTACT": {"contact": 1.0},
    "CV": {"dwarf_nova": 1.0},
    "DSCT": {"high_amplitude_delta_scuti": 0.5, "delta_scuti": 0.5},
    "EB": {"detached": 0.7, "semidetached": 0.3},
    "KN": {"kilonova": 1.0},
    "MICROLENS": {"microlensing": 1.0},
    "MIRA": {"long_period": 1.0},
    "M_DWARF": {"m_dwarf_flare": 1.0},
    "RRL": {"rr_lyrae_ab": 0.65, "rr_lyrae_c": 0.28, "rr_lyrae_d": 0.07},
    "SLSN": {"superluminous": 1.0},
    "SNIA": {"supernova_ia": 1.0},
    "SNIBC": {"supernova_ibc": 1.0},
    "SNII": {"supernova_ii": 1.0},
    "TDE": {"tidal_disruption": 1.0},
}
LABELS = {kind: label for label, kinds in CLASSES.items() for kind in kinds}
COLOURS = {"RRL": "colours_rr_lyrae", "CEPHEID": "colours_cepheid", "DSCT": "colours_delta_scuti"}
OWN: tuple[Light, ...] = (
    *(ActiveNucleus(), DwarfNova(), Flares(), Kilonova(), LongPeriod(), Microlensing(), Superluminous()),
    *(SupernovaIa(), SupernovaIbc(), SupernovaII(), TidalDisruption()),
    *(EclipsingBinary(kind, hot_by_mass) for kind in ("detached", "semidetached")),
    EclipsingBinary("contact", hot_as_drawn),
)
# Two transits of Gaia, two hours apart, are all it sees of what is over in days or minutes
UNSEEN = {"gaia": ("KN", "M_DWARF")}


@cache
def light(kind: str) -> Light:
    """Return a kind of source."""
    own = {made.kind: made for made in OWN}
    return own[kind] if kind in own else Pulsator(kind, COLOURS[LABELS[kind]])


def classes_of(survey: str) -> tuple[str, ...]:
    """Return the classes that are simulated for a survey."""
    return tuple(label for label in CLASSES if label not in UNSEEN.get(survey, ()))


def counts(n: int | Mapping[str, int], survey: str, classes: Iterable[str] | None = None) -> dict[str, int]:
    """Return how many sources of each kind make ``n`` of each class.

    Raises
    ------
    ValueError
        If a class isn't simulated for the survey.
    """
    known = classes_of(survey)
    wanted = n if isinstance(n, Mapping) else dict.fromkeys(known if classes is None else classes, n)
    unknown = [label for label in wanted if label not in known]
    if unknown:
        raise ValueError(f"no class {unknown[0]!r} is simulated for {survey}; there are {', '.join(known)}")
    numbers = [divided(number, CLASSES[label]) for label, number in wanted.items()]
    return {kind: number for part in numbers for kind, number in part.items() if number > 0}


# ---- Labelled light curves in several bands: variables and transients as Rubin, ZTF or Gaia would see the ------------


FIELDS = 8  # of a block, that all kinds have equal parts in: times and gaps must not tell the class
PER_FIELD = BLOCK // FIELDS
TRIES = {True: 40, False: 8}  # events, variables drawn for each that is wanted; the first that is seen is taken

# A label must mean something: events must be detected so often, and of the variables this part must be seen to vary
FEWEST, FEWEST_OF_BRIEF = 5, 3
SEEN, SIGNAL_TO_NOISE = 0.9, 10.0
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
        (above 5 sigma, noise apart), ``signal_to_noise`` and the true parameters, ``true_...``.

    Raises
    ------
    ValueError
        If there is no such survey or class.
    """
    return LightCurves.concat(list(parts(n, survey, seed, classes, workers)))


def parts(
    n: int | Mapping[str, int],
    survey: str,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    workers: int = 1,
) -> Iterator[LightCurves]:
    """Give the light curves of `simulate_multiband` block by block."""
    survey_called(survey)  # raises, before work begins
    blocks = plan(counts(n, survey, classes))
    return make(Making(survey, seed, tuple(dict.fromkeys(block.kind for block in blocks))), blocks, workers)


def expected(n: int | Mapping[str, int], survey: str, classes: Sequence[str] | None = None) -> int:
    """Return how many light curves `simulate_multiband` gives.

    Raises
    ------
    ValueError
        If there is no such survey or class.
    """
    survey_called(survey)
    return sum(counts(n, survey, classes).values())


@dataclass(frozen=True)
class Making:
    """The making of blocks, which other processes can have; all blocks get the columns of all ``kinds``."""

    survey: str
    seed: int
    kinds: tuple[str, ...]

    def __call__(self, block: Block) -> LightCurves:
        """Return the light curves of a block; source i is in field i modulo `FIELDS`."""
        wanted = np.arange(block.rows)
        made = LightCurves.concat([self._in_field(block, int(place)) for place in wanted[:FIELDS]])
        return made[(wanted % FIELDS) * PER_FIELD + wanted // FIELDS]

    def _in_field(self, block: Block, place: int) -> LightCurves:
        """Return the sources of a block that are in one field."""
        key = [self.seed, crc32(block.kind.encode()), block.number, place]
        sources, effects = map(np.random.default_rng, np.random.SeedSequence(key).spawn(2))
        here = field(self.survey, self.seed, block.number * FIELDS + place)
        chosen = seen(light(block.kind), here, sources)
        first = block.number * BLOCK + place
        ids = [f"{block.kind}-{self.survey}-{self.seed}-{first + FIELDS * i:06d}" for i in range(PER_FIELD)]
        about = {
            "label": pa.repeat(LABELS[block.kind], PER_FIELD),
            "kind": pa.repeat(block.kind, PER_FIELD),
            "product": pa.repeat(f"simulated {self.survey}", PER_FIELD),
            "magnitude": column(magnitudes(chosen.flux.max(1))),
            "detections": pa.array(_detections(chosen.flux, here)),
            "signal_to_noise": pa.array(_variation(chosen.flux, here)),
        }
        about |= {f"true_{name}": column(numbers) for name, numbers in chosen.drawn.items()}
        measured = here.survey.measured(chosen.flux, here.seen, effects)
        return _light_curves(ids, measured, here, _fitted(about, self.survey, self.kinds))


class Chosen(NamedTuple):
    """Sources and their true fluxes, (n, T) [nJy]."""

    drawn: Drawn
    flux: Float


def seen(made: Light, here: Field, rng: np.random.Generator, n: int = PER_FIELD) -> Chosen:
    """Return ``n`` sources of a kind that the survey sees for what they are.

    Events must be detected `FEWEST` times, `SEEN` of the variables must have `SIGNAL_TO_NOISE`. Of `TRIES` sources the
    first that does is taken, else the one that comes closest.
    """
    strength = _detections if made.event else _variation
    enough = SIGNAL_TO_NOISE if not made.event else FEWEST_OF_BRIEF if made.kind in BRIEF else FEWEST
    tries = TRIES[made.event]
    drawn = made.draw(n * tries, here, rng)
    demanded = np.where(rng.random(n) < (1.0 if made.event else SEEN), enough, -np.inf)
    best, taken = np.full(n, -np.inf), np.arange(n)
    flux = np.empty((n, len(here.seen.time)))
    for again in range(tries):
        weak = np.flatnonzero(best < demanded) if again else np.arange(n)
        if not len(weak):
            break
        other = weak + again * n
        light_of = made.flux({name: value[other] for name, value in drawn.items()}, here)
        found = strength(light_of, here).astype(np.float64)
        better = found > best[weak]
        rows = weak[better]
        best[rows], taken[rows], flux[rows] = found[better], other[better], light_of[better]
    return Chosen({name: value[taken] for name, value in drawn.items()}, flux)


def _detections(flux: Float, here: Field) -> Float:
    """Return how many visits would detect a source if there were no noise, (n,)."""
    return here.survey.detects(flux, here.seen).sum(1)


def _variation(flux: Float, here: Field) -> Float:
    """Return the root of the sum of squares of the true variation in each band over the errors, (n,)."""
    total = np.zeros(len(flux))
    sigma = here.survey.sigma(flux, here.seen)
    for band in np.unique(here.seen.band):
        mine = here.seen.band == band
        away = flux[:, mine] - flux[:, mine].mean(1, keepdims=True)
        total += ((away / sigma[:, mine]) ** 2).sum(1)
    return np.sqrt(total)


def _light_curves(ids: list[str], measured: Measured, here: Field, objects: pa.Table) -> LightCurves:
    kept = measured.kept
    return LightCurves.from_arrays(
        ids,
        ragged.offsets_of(kept.sum(1)),
        np.broadcast_to(here.seen.time, kept.shape)[kept],
        measured.value[kept],
        measured.error[kept],
        np.broadcast_to(here.seen.band, kept.shape)[kept],
        bands=here.survey.bands.names,
        unit=here.survey.unit,
        time_scale=here.survey.time_scale,
        objects=objects,
    )


@cache
def _types(kind: str, survey: str) -> dict[str, pa.DataType]:
    """Return the types of a kind's true parameters by column."""
    drawn = light(kind).draw(2, field(survey, 0, 0), np.random.default_rng(0))
    return {f"true_{name}": column(value).type for name, value in drawn.items()}


def _fitted(columns: dict[str, Any], survey: str, kinds: Sequence[str]) -> pa.Table:
    """Return the columns, then the true parameters of all kinds, null where a source has none."""
    types = {name: kind_of for kind in kinds for name, kind_of in _types(kind, survey).items()}
    rows = len(columns["label"])
    result = {name: value for name, value in columns.items() if name not in types}
    for name, kind_of in types.items():
        result[name] = columns[name].cast(kind_of) if name in columns else pa.nulls(rows, kind_of)
    return pa.table(result)
