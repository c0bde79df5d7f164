"""When Kepler, K2 and TESS observed: sectors, quarters and campaigns, their gaps, and exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.source import Float

Span = tuple[float, float]

MINUTE = 1 / 1440  # d
HALF_HOUR = 30 * MINUTE

# first and last exposure of each; TESS in BJD - 2457000, Kepler and K2 in BJD - 2454833
PRIMARY = (
    (1325.3, 1353.2), (1354.1, 1381.5), (1385.9, 1406.3), (1410.9, 1436.8), (1437.9, 1464.4), (1465.2, 1490.0),
    (1491.7, 1516.1), (1517.4, 1542.0), (1543.2, 1568.5), (1569.4, 1595.7), (1596.8, 1623.9), (1624.9, 1652.9),
    (1653.9, 1682.4), (1683.4, 1710.2), (1711.4, 1737.4), (1738.7, 1763.3), (1764.7, 1789.7), (1790.7, 1815.0),
    (1816.1, 1841.1), (1842.5, 1868.8), (1870.4, 1897.8), (1899.3, 1926.5), (1928.1, 1954.9), (1955.8, 1982.3),
    (1983.6, 2009.3), (2010.3, 2035.1),
)  # fmt: skip
FIRST_EXTENSION, LAST_SECTOR = 27, 83
EXTENDED_STARTS = ([27, 34, 56, 61, 83], [2036.3, 2229.1, 2825.3, 2962.8, 3557.0])  # between these: in proportion
EXTENDED_LENGTH = 25.3
QUARTERS = (
    (120.5, 130.3), (131.5, 165.0), (169.8, 258.5), (260.2, 349.5), (352.4, 442.2), (443.5, 538.2), (539.5, 629.3),
    (630.2, 719.5), (735.4, 802.3), (808.5, 905.9), (906.9, 1000.3), (1001.2, 1098.3), (1099.4, 1182.0),
    (1182.8, 1273.1), (1274.1, 1371.3), (1373.5, 1471.1), (1472.1, 1558.0), (1559.2, 1591.0),
)  # fmt: skip
CAMPAIGNS = {
    1: (1977.0, 2057.0), 2: (2061.0, 2139.0), 3: (2144.0, 2213.0), 4: (2228.8, 2299.7), 5: (2306.0, 2381.0),
    6: (2384.0, 2463.0), 7: (2467.0, 2550.0), 8: (2559.0, 2638.0), 12: (2905.0, 2984.0), 13: (2988.0, 3068.0),
    14: (3074.0, 3154.0), 15: (3156.0, 3244.0), 16: (3262.0, 3342.0), 17: (3344.0, 3411.0), 18: (3418.5, 3469.4),
}  # fmt: skip

ROLL = 0.2452  # d between two firings of K2's thrusters
RESETS = {"TESS": (2.0, 2.5, 3.1, 3.4, 4.4, 6.7), "Kepler": (2.98,), "K2": (ROLL,)}  # d between resets of the pointing


@dataclass(frozen=True)
class Cadence:
    """A way to observe.

    Parameters
    ----------
    name : str
    mission : str
        ``"TESS"``, ``"Kepler"`` or ``"K2"``.
    step, exposure : float
        Days from one point to the next, and of light in each.
    spans : dict
        First and last time [d] of each sector, quarter or campaign that has this cadence.
    time_scale : str
    """

    name: str
    mission: str
    step: float
    exposure: float
    spans: dict[int, Span]
    time_scale: str

    @property
    def unit(self) -> str:
        """What a part of the observations is called."""
        return {"TESS": "sector", "Kepler": "quarter", "K2": "campaign"}[self.mission]


def _sectors(first: int, last: int) -> dict[int, Span]:
    """Return the spans of TESS sectors."""
    starts = {n: float(np.interp(n, *EXTENDED_STARTS)) for n in range(FIRST_EXTENSION, LAST_SECTOR + 1)}
    spans = dict(enumerate(PRIMARY, 1)) | {n: (start, start + EXTENDED_LENGTH) for n, start in starts.items()}
    return {n: spans[n] for n in range(first, last + 1)}


CADENCES = {
    c.name: c
    for c in (
        Cadence("tess-30min", "TESS", HALF_HOUR, HALF_HOUR, _sectors(1, 26), "BTJD"),
        Cadence("tess-10min", "TESS", 10 * MINUTE, 10 * MINUTE, _sectors(27, 55), "BTJD"),
        Cadence("tess-200s", "TESS", 200 / 86400, 200 / 86400, _sectors(56, LAST_SECTOR), "BTJD"),
        Cadence("tess-2min", "TESS", 2 * MINUTE, 2 * MINUTE, _sectors(1, LAST_SECTOR), "BTJD"),
        Cadence("kepler", "Kepler", 29.4244 * MINUTE, 27.088 * MINUTE, dict(enumerate(QUARTERS)), "BKJD"),
        Cadence("k2", "K2", 29.4244 * MINUTE, 27.088 * MINUTE, CAMPAIGNS, "BKJD"),
    )
}


def find_cadence(name: str) -> Cadence:
    """Return a cadence.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in CADENCES:
        raise ValueError(f"no cadence {name!r}; there are {', '.join(CADENCES)}")
    return CADENCES[name]


@dataclass(frozen=True)
class ObservedTimes:
    """When stars in one field were observed.

    Parameters
    ----------
    cadence : Cadence
    numbers : tuple of int
        The sectors, quarters or campaigns.
    time : (T,) float64 [d]
        Middles of the exposures.
    piece : (T,) int
        The number of a point's stretch between two gaps (TESS: orbit).
    sector : (T,) int
        Position in ``numbers``.
    reset : (T,) float64
        Time since the last reset of the pointing (momentum dump, thruster firing) over the time between two.
    """

    cadence: Cadence
    numbers: tuple[int, ...]
    time: Float
    piece: NDArray[np.int64]
    sector: NDArray[np.int64]
    reset: Float

    @property
    def pieces(self) -> list[slice]:
        """The points of each stretch."""
        edges = np.flatnonzero(np.diff(self.piece)) + 1
        return [slice(a, b) for a, b in zip([0, *edges], [*edges, len(self.time)], strict=True)]

    @property
    def per_half_hour(self) -> int:
        """Points that average to the noise of half an hour."""
        return max(1, round(HALF_HOUR / self.cadence.step))


def observe(cadence: Cadence, sectors: int | Sequence[int], rng: np.random.Generator) -> ObservedTimes:
    """Return when the stars of one field are observed.

    Parameters
    ----------
    cadence : Cadence
    sectors : int or list of int
        How many, one after the other from one drawn at random; or their numbers.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If there are not so many, or not these, with this cadence.
    """
    numbers = _choose_sectors(cadence, sectors, rng)
    parts = [(k, piece) for k, n in enumerate(numbers) for piece in _pieces(cadence, cadence.spans[n], rng)]
    times = [np.arange(start, stop, cadence.step) for _, (start, stop) in parts]
    lengths = [len(t) for t in times]
    sector = np.repeat([k for k, _ in parts], lengths)
    time = np.concatenate(times)
    interval = rng.choice(RESETS[cadence.mission], len(numbers))[sector]
    cycles = (time - time[0]) / interval + rng.random()
    piece = np.repeat(np.arange(len(parts)), lengths)
    return ObservedTimes(cadence, numbers, time, piece, sector, cycles - np.floor(cycles))


def _choose_sectors(cadence: Cadence, sectors: int | Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    available = list(cadence.spans)
    if not isinstance(sectors, int):
        absent = [n for n in sectors if n not in cadence.spans]
        if absent or not len(sectors):
            what = f"no {cadence.unit} {', '.join(map(str, absent))}" if absent else f"no {cadence.unit} given"
            raise ValueError(f"{what} with cadence {cadence.name}; there are {available[0]} to {available[-1]}")
        return tuple(sorted(set(sectors)))
    if not 1 <= sectors <= len(available):
        raise ValueError(f"no {sectors} {cadence.unit}s: with cadence {cadence.name} there are {len(available)}")
    first = int(rng.integers(0, len(available) - sectors + 1))
    return tuple(available[first : first + sectors])


def _pieces(cadence: Cadence, span: Span, rng: np.random.Generator) -> list[Span]:
    """Return the stretches of a sector between the gaps of the downlinks."""
    start, stop = span
    pieces = []
    for place, median in _downlinks(cadence, span):
        middle = span[0] + (place + 0.015 * rng.standard_normal()) * (span[1] - span[0])
        half = 0.5 * median * float(np.clip(10 ** (0.18 * rng.standard_normal()), 0.6, 4))
        pieces.append((start, middle - half))
        start = middle + half
    return [*pieces, (start, stop)]


def _downlinks(cadence: Cadence, span: Span) -> list[tuple[float, float]]:
    """Return where in a sector the downlinks are, as fractions of it, and how long they typically take [d]."""
    if cadence.mission == "K2" or span[1] - span[0] < 12:  # quarter 0 had none
        return []
    if cadence.mission == "Kepler":  # monthly
        return [(1 / 3, 0.95), (2 / 3, 0.95)]
    if span[0] > EXTENDED_STARTS[1][2] - 1:  # from sector 56 on also at apogee
        return [(0.23, 0.21), (0.5, 1.4), (0.77, 0.21)]
    return [(0.5, 1.4)]
