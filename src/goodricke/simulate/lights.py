"""Which sources are simulated in several bands, and how common each kind is within its class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from goodricke.simulate.blocks import divided
from goodricke.simulate.outbursts import DwarfNova, Flares, Microlensing
from goodricke.simulate.transients import (
    Kilonova,
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
