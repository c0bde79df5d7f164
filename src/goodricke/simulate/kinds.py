"""Which kinds of stars and transients are simulated, of which class each is, and how common it is within its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from goodricke.simulate.aperiodic import BeStar, Burster, DampedRandomWalk, Dipper, Flickering, IrregularRed
from goodricke.simulate.binaries import Contact, Detached, Planet, PulsatingBinary, Semidetached
from goodricke.simulate.classical import (
    Cepheid,
    CepheidOvertone,
    HighAmplitudeDeltaScuti,
    RRLyraeAb,
    RRLyraeC,
    RRLyraeD,
    Type2Cepheid,
)
from goodricke.simulate.instrument import Instrument
from goodricke.simulate.pulsation import BetaCephei, DeltaScuti, GammaDoradus, SlowlyPulsatingB
from goodricke.simulate.rotation import ChemicallyPeculiar, SpottedRotator
from goodricke.simulate.solarlike import RedGiant, SolarType
from goodricke.simulate.source import Constant, Source
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
    LongPeriod,
    MultibandBinary,
    MultibandPulsator,
    MultibandSource,
    temperature_from_mass,
    temperature_parameter,
)


class Named(Protocol):
    """A kind of star or transient."""

    @property
    def kind(self) -> str:
        """Its name."""


S = TypeVar("S", bound=Named)


@dataclass(frozen=True)
class Kinds(Generic[S]):
    """Classes of simulated sources.

    Parameters
    ----------
    shares : dict of dict
        By class, the share of each of its kinds; they sum to 1.
    sources : tuple
        One of each kind.
    survey : str
        Whose they are, for messages; empty for dense light curves.
    """

    shares: Mapping[str, Mapping[str, float]]
    sources: tuple[S, ...]
    survey: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the alphabet."""
        return tuple(self.shares)

    @property
    def labels(self) -> dict[str, str]:
        """The class of each kind."""
        return {kind: label for label, shares in self.shares.items() for kind in shares}

    def source(self, kind: str) -> S:
        """Return the source of a kind.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        sources = {source.kind: source for source in self.sources}
        if kind not in sources:
            raise ValueError(f"no kind of star {kind!r}; there are {', '.join(self.labels)}")
        return sources[kind]

    def counts(self, n: int | Mapping[str, int], classes: Sequence[str] | None = None) -> dict[str, int]:
        """Return how many sources of each kind make ``n`` of each class, by default of all classes.

        Raises
        ------
        ValueError
            If a class isn't simulated.
        """
        numbers = n if isinstance(n, Mapping) else dict.fromkeys(classes or self.classes, n)
        for label in numbers:
            if label not in self.shares:
                where = f" for {self.survey}" if self.survey else ""
                raise ValueError(f"no class {label!r} is simulated{where}; there are {', '.join(self.classes)}")
        parts = [divide(number, self.shares[label]) for label, number in numbers.items()]
        return {kind: number for part in parts for kind, number in part.items() if number > 0}


def divide(n: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of ``n`` sources each kind has by its share; the numbers sum to ``n``."""
    ends = np.rint(n * np.cumsum(list(shares.values())) / sum(shares.values())).astype(int)
    return dict(zip(shares, np.diff(ends, prepend=0).tolist(), strict=True))


DENSE: Kinds[Source] = Kinds(
    {
        "APERIODIC": {
            "damped_random_walk": 0.2,
            "flickering": 0.15,
            "irregular_red": 0.2,
            "be_star": 0.15,
            "dipper": 0.15,
            "burster": 0.15,
        },
        "CONSTANT": {"constant": 1.0},
        "CONTACT_ROT": {"contact": 0.4, "spotted_rotator": 0.45, "chemically_peculiar": 0.15},
        "DSCT_BCEP": {"delta_scuti": 0.7, "high_amplitude_delta_scuti": 0.1, "beta_cephei": 0.2},
        "ECLIPSE": {
            "detached": 0.5,
            "semidetached": 0.15,
            "planet": 0.2,
            "delta_scuti_binary": 0.08,
            "gamma_doradus_binary": 0.07,
        },
        "GDOR_SPB": {"gamma_doradus": 0.65, "slowly_pulsating_b": 0.35},
        "INSTRUMENT": {"instrument": 1.0},
        "RRLYR_CEPHEID": {
            "rr_lyrae_ab": 0.4,
            "rr_lyrae_c": 0.2,
            "rr_lyrae_d": 0.05,
            "cepheid": 0.2,
            "cepheid_overtone": 0.07,
            "type2_cepheid": 0.08,
        },
        "SOLARLIKE": {"red_giant": 0.7, "solar_type": 0.3},
    },
    (
        BeStar(),
        Burster(),
        DampedRandomWalk(),
        Dipper(),
        Flickering(),
        IrregularRed(),
        Constant(),
        Contact(),
        SpottedRotator(),
        ChemicallyPeculiar(),
        DeltaScuti(),
        HighAmplitudeDeltaScuti(),
        BetaCephei(),
        Detached(),
        Semidetached(),
        Planet(),
        PulsatingBinary("delta_scuti_binary", DeltaScuti()),
        PulsatingBinary("gamma_doradus_binary", GammaDoradus()),
        GammaDoradus(),
        SlowlyPulsatingB(),
        Instrument(),
        RRLyraeAb(),
        RRLyraeC(),
        RRLyraeD(),
        Cepheid(),
        CepheidOvertone(),
        Type2Cepheid(),
        RedGiant(),
        SolarType(),
    ),
)

MULTIBAND: Kinds[MultibandSource] = Kinds(
    {
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
    },
    (
        ActiveNucleus(),
        MultibandPulsator(Cepheid(), "colours_cepheid"),
        MultibandPulsator(CepheidOvertone(), "colours_cepheid"),
        MultibandPulsator(Type2Cepheid(), "colours_cepheid"),
        MultibandBinary(Contact(), temperature_parameter),
        DwarfNova(),
        MultibandPulsator(HighAmplitudeDeltaScuti(), "colours_delta_scuti"),
        MultibandPulsator(DeltaScuti(), "colours_delta_scuti"),
        MultibandBinary(Detached(), temperature_from_mass),
        MultibandBinary(Semidetached(), temperature_from_mass),
        Kilonova(),
        Microlensing(),
        LongPeriod(),
        Flares(),
        MultibandPulsator(RRLyraeAb(), "colours_rr_lyrae"),
        MultibandPulsator(RRLyraeC(), "colours_rr_lyrae"),
        MultibandPulsator(RRLyraeD(), "colours_rr_lyrae"),
        Superluminous(),
        SupernovaIa(),
        SupernovaIbc(),
        SupernovaII(),
        TidalDisruption(),
    ),
)

# Gaia sees two transits, two hours apart, of what is over in days or minutes
INVISIBLE = {"gaia": ("KN", "M_DWARF")}


def survey_kinds(survey: str) -> Kinds[MultibandSource]:
    """Return the classes that are simulated for a survey: rubin, ztf or gaia."""
    shares = {label: kinds for label, kinds in MULTIBAND.shares.items() if label not in INVISIBLE.get(survey, ())}
    return Kinds(shares, MULTIBAND.sources, survey)
