"""Which kinds of stars and transients are simulated, of which class each is, and how common it is within its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np

from goodricke.simulate.aperiodic import (
    BeStar,
    Burster,
    DampedRandomWalk,
    Dipper,
    Flickering,
    GalacticNucleus,
    IrregularRed,
)
from goodricke.simulate.binaries import Contact, Detached, Ellipsoidal, Planet, PulsatingBinary, Semidetached
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
from goodricke.simulate.pulsation import BetaCephei, DeltaScuti, GammaDoradus, GammaDoradusHybrid, SlowlyPulsatingB
from goodricke.simulate.rotation import ChemicallyPeculiar, FlaringDwarf, SpottedRotator
from goodricke.simulate.solarlike import LuminousGiant, RedGiant, SolarType
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
from goodricke.simulate.variable_stars import (
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
    """The kinds of simulated sources.

    Parameters
    ----------
    rows : tuple of (str, float, source)
        Class, share of the class, and source of each kind; the shares of a class sum to 1.
    survey : str
        Whose they are, for messages; empty for dense light curves.
    """

    rows: tuple[tuple[str, float, S], ...]
    survey: str = ""

    @cached_property
    def shares(self) -> dict[str, dict[str, float]]:
        """The shares of the kinds, by class."""
        labels = sorted({label for label, _, _ in self.rows})
        return {name: {s.kind: share for label, share, s in self.rows if label == name} for name in labels}

    @cached_property
    def labels(self) -> dict[str, str]:
        """The class of each kind."""
        return {source.kind: label for label, _, source in self.rows}

    @cached_property
    def sources(self) -> dict[str, S]:
        """The source of each kind."""
        return {source.kind: source for _, _, source in self.rows}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the alphabet."""
        return tuple(self.shares)

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
    (
        ("APERIODIC", 0.15, DampedRandomWalk()),
        ("APERIODIC", 0.12, Flickering()),
        ("APERIODIC", 0.15, IrregularRed()),
        ("APERIODIC", 0.12, BeStar()),
        ("APERIODIC", 0.12, Dipper()),
        ("APERIODIC", 0.12, Burster()),
        ("APERIODIC", 0.14, LuminousGiant()),
        ("APERIODIC", 0.08, GalacticNucleus()),
        ("CONSTANT", 1.0, Constant()),
        ("CONTACT_ROT", 0.25, Contact()),
        ("CONTACT_ROT", 0.2, Ellipsoidal()),
        ("CONTACT_ROT", 0.32, SpottedRotator()),
        ("CONTACT_ROT", 0.1, FlaringDwarf()),
        ("CONTACT_ROT", 0.13, ChemicallyPeculiar()),
        ("DSCT_BCEP", 0.7, DeltaScuti()),
        ("DSCT_BCEP", 0.1, HighAmplitudeDeltaScuti()),
        ("DSCT_BCEP", 0.2, BetaCephei()),
        ("ECLIPSE", 0.5, Detached()),
        ("ECLIPSE", 0.15, Semidetached()),
        ("ECLIPSE", 0.2, Planet()),
        ("ECLIPSE", 0.08, PulsatingBinary("delta_scuti_binary", DeltaScuti())),
        ("ECLIPSE", 0.07, PulsatingBinary("gamma_doradus_binary", GammaDoradus())),
        ("GDOR_SPB", 0.55, GammaDoradus()),
        ("GDOR_SPB", 0.12, GammaDoradusHybrid()),
        ("GDOR_SPB", 0.33, SlowlyPulsatingB()),
        ("INSTRUMENT", 1.0, Instrument()),
        ("RRLYR_CEPHEID", 0.4, RRLyraeAb()),
        ("RRLYR_CEPHEID", 0.2, RRLyraeC()),
        ("RRLYR_CEPHEID", 0.05, RRLyraeD()),
        ("RRLYR_CEPHEID", 0.2, Cepheid()),
        ("RRLYR_CEPHEID", 0.07, CepheidOvertone()),
        ("RRLYR_CEPHEID", 0.08, Type2Cepheid()),
        ("SOLARLIKE", 0.96, RedGiant()),
        ("SOLARLIKE", 0.04, SolarType()),
    )
)

MULTIBAND: Kinds[MultibandSource] = Kinds(
    (
        ("AGN", 1.0, ActiveNucleus()),
        ("CEPHEID", 0.6, MultibandPulsator(Cepheid(), "colours_cepheid")),
        ("CEPHEID", 0.2, MultibandPulsator(CepheidOvertone(), "colours_cepheid")),
        ("CEPHEID", 0.2, MultibandPulsator(Type2Cepheid(), "colours_cepheid")),
        ("CONTACT", 1.0, MultibandBinary(Contact(), temperature_parameter)),
        ("CV", 1.0, DwarfNova()),
        ("DSCT", 0.5, MultibandPulsator(HighAmplitudeDeltaScuti(), "colours_delta_scuti")),
        ("DSCT", 0.5, MultibandPulsator(DeltaScuti(), "colours_delta_scuti")),
        ("EB", 0.7, MultibandBinary(Detached(), temperature_from_mass)),
        ("EB", 0.3, MultibandBinary(Semidetached(), temperature_from_mass)),
        ("KN", 1.0, Kilonova()),
        ("MICROLENS", 1.0, Microlensing()),
        ("MIRA", 1.0, LongPeriod()),
        ("M_DWARF", 1.0, Flares()),
        ("RRL", 0.65, MultibandPulsator(RRLyraeAb(), "colours_rr_lyrae")),
        ("RRL", 0.28, MultibandPulsator(RRLyraeC(), "colours_rr_lyrae")),
        ("RRL", 0.07, MultibandPulsator(RRLyraeD(), "colours_rr_lyrae")),
        ("SLSN", 1.0, Superluminous()),
        ("SNIA", 1.0, SupernovaIa()),
        ("SNIBC", 1.0, SupernovaIbc()),
        ("SNII", 1.0, SupernovaII()),
        ("TDE", 1.0, TidalDisruption()),
    )
)

# Gaia sees two transits, two hours apart, of what is over in days or minutes
INVISIBLE = {"gaia": ("KN", "M_DWARF")}


def survey_kinds(survey: str) -> Kinds[MultibandSource]:
    """Return the kinds that are simulated for a survey: rubin, ztf or gaia."""
    return Kinds(tuple(row for row in MULTIBAND.rows if row[0] not in INVISIBLE.get(survey, ())), survey)
