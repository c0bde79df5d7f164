"""Which kinds of stars are simulated, and how common each is within its class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module

from goodricke.simulate.source import Source

CLASSES = (
    "APERIODIC",
    "CONSTANT",
    "CONTACT_ROT",
    "DSCT_BCEP",
    "ECLIPSE",
    "GDOR_SPB",
    "INSTRUMENT",
    "RRLYR_CEPHEID",
    "SOLARLIKE",
)


def _made(module: str, name: str) -> Callable[[], Source]:
    def make() -> Source:
        made: Source = getattr(import_module(f"goodricke.simulate.{module}"), name)()
        return made

    return make


def _pulsating(kind: str, pulsator: str) -> Callable[[], Source]:
    def make() -> Source:
        from goodricke.simulate.binaries import PulsatingBinary, draw_detached

        return PulsatingBinary(kind, draw_detached, source(pulsator))

    return make


def _binary(name: str) -> Callable[[], Source]:
    def make() -> Source:
        made: Source = getattr(import_module("goodricke.simulate.binaries"), name)
        return made

    return make


# kind: how it is made, its share of the class
KINDS: dict[str, tuple[Callable[[], Source], float]] = {
    "damped_random_walk": (_made("aperiodic", "DampedRandomWalk"), 0.2),
    "flickering": (_made("aperiodic", "Flickering"), 0.15),
    "irregular_red": (_made("aperiodic", "IrregularRed"), 0.2),
    "be_star": (_made("aperiodic", "BeStar"), 0.15),
    "dipper": (_made("aperiodic", "Dipper"), 0.15),
    "burster": (_made("aperiodic", "Burster"), 0.15),
    "constant": (_made("source", "Constant"), 1.0),
    "contact": (_binary("CONTACT"), 0.4),
    "spotted_rotator": (_made("rotation", "SpottedRotator"), 0.45),
    "chemically_peculiar": (_made("rotation", "ChemicallyPeculiar"), 0.15),
    "delta_scuti": (_made("pulsation", "DeltaScuti"), 0.7),
    "high_amplitude_delta_scuti": (_made("classical", "HighAmplitudeDeltaScuti"), 0.1),
    "beta_cephei": (_made("pulsation", "BetaCephei"), 0.2),
    "detached": (_binary("DETACHED"), 0.5),
    "semidetached": (_binary("SEMIDETACHED"), 0.15),
    "planet": (_made("binaries", "Planet"), 0.2),
    "delta_scuti_binary": (_pulsating("delta_scuti_binary", "delta_scuti"), 0.08),
    "gamma_doradus_binary": (_pulsating("gamma_doradus_binary", "gamma_doradus"), 0.07),
    "gamma_doradus": (_made("pulsation", "GammaDoradus"), 0.65),
    "slowly_pulsating_b": (_made("pulsation", "SlowlyPulsatingB"), 0.35),
    "instrument": (_made("instrument", "Spoiled"), 1.0),
    "rr_lyrae_ab": (_made("classical", "RRLyraeAb"), 0.4),
    "rr_lyrae_c": (_made("classical", "RRLyraeC"), 0.2),
    "rr_lyrae_d": (_made("classical", "RRLyraeD"), 0.05),
    "cepheid": (_made("classical", "Cepheid"), 0.2),
    "cepheid_overtone": (_made("classical", "CepheidOvertone"), 0.07),
    "type2_cepheid": (_made("classical", "Type2Cepheid"), 0.08),
    "red_giant": (_made("solarlike", "RedGiant"), 0.7),
    "solar_type": (_made("solarlike", "SolarType"), 0.3),
}


@cache
def source(kind: str) -> Source:
    """Return a kind of star.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of star {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind][0]()


@cache
def kinds_of(label: str) -> dict[str, float]:
    """Return the kinds of a class and their shares of it, which sum to 1.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    found = {kind: share for kind, (_, share) in KINDS.items() if source(kind).label == label}
    if not found:
        raise ValueError(f"no class {label!r} is simulated; there are {', '.join(CLASSES)}")
    return {kind: share / sum(found.values()) for kind, share in found.items()}


def counts(n: int | Mapping[str, int], classes: Iterable[str] = CLASSES) -> dict[str, int]:
    """Return how many stars of each kind make ``n`` of each class.

    Rounded so that the kinds of a class sum to ``n``, and none becomes fewer when ``n`` grows by more than a few.
    """
    wanted = n if isinstance(n, Mapping) else dict.fromkeys(classes, n)
    result = {}
    for label, number in wanted.items():
        before, share = 0, 0.0
        for kind, part in kinds_of(label).items():
            share += part
            result[kind] = round(number * share) - before
            before += result[kind]
    return {kind: number for kind, number in result.items() if number > 0}
