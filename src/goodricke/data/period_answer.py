"""`PeriodAnswer`: the period that a model answers with the class, and its columns in a table of predictions.

The period is that of the class's convention: orbital for eclipsing and ellipsoidal stars, of pulsation or rotation for
the others. ``fold_period`` is another quantity: the period of the fold that a network without such an answer was given.
A table has one of the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.floating]

ALTERNATIVES = 3  # other periods of an object that are listed
# a table has an answered period if it has this column; one with `period` alone has it from the user's own table
PERIOD_PROBABILITY = "period_probability"
PERIOD_COLUMNS = (
    "period_error",
    PERIOD_PROBABILITY,
    "period_alternatives",
    "period_alternative_probabilities",
    "false_alarm_probability",
    "period_note",
)
# of models of dense light curves, whose periods are measured and not chosen by the network
MEASURED_COLUMNS = {
    "dominant_frequency": "frequency",
    "dominant_amplitude": "amplitude",
    "period_snr": "signal_to_noise",
    "eclipse_depth": "depth",
    "eclipse_duration": "duration",
}
PERIOD_MEANING = "Period; the orbital one of eclipsing and ellipsoidal stars"
LONG = "longer than half the time span: fewer than two cycles were observed"

RATIOS = {"P/2": 1 / 2, "2P": 2.0, "P/3": 1 / 3, "3P": 3.0, "2P/3": 2 / 3, "3P/2": 3 / 2, "P/4": 1 / 4, "4P": 4.0}
TOLERANCE = 0.01  # of a ratio; of an alias, in its frequency
# frequencies of sampling windows [1/d], and how far an alias may lie from the computed one; a solar and a sidereal day
# are one
WINDOWS = {"1-day alias": (1.0, 0.004), "1-month alias": (1 / 29.53, 0.001), "1-year alias": (1 / 365.25, 0.0007)}
SHAPES = ((1, 1), (2, 2), (2, 1), (1, 2))  # repetitions of the shapes within the period and the alias


@dataclass(frozen=True, eq=False, kw_only=True)
class PeriodAnswer:
    """Periods of n objects in days, NaN where there is none.

    Parameters
    ----------
    period : (n,)
        In the convention of the class that is answered.
    probability : (n,)
        That it is the right one: of all (class, period) pairs, the sum over the classes of this period. NaN for a
        period that was measured in the light curve and not chosen by the network.
    error : (n,)
        Standard error, if it is the right one [d].
    alternatives : (n, 3)
        Other periods, the most probable first, each in the convention of its own class.
    alternative_probabilities : (n, 3)
    false_alarm_probability : (n,)
        Of a peak as high in noise alone.
    is_long : bool (n,)
        Whether the period is longer than half the time span.
    frequency, amplitude : (n,), optional
        Of the highest peak of the amplitude spectrum [1/d], and of its sine [relative flux]; of dense light curves, as
        the next ones.
    signal_to_noise : (n,), optional
        Of that peak, or of the eclipses whose period is answered.
    depth, duration : (n,), optional
        Of the eclipses [relative flux], [d].
    """

    period: Floats
    probability: Floats
    error: Floats
    alternatives: Floats
    alternative_probabilities: Floats
    false_alarm_probability: Floats
    is_long: NDArray[np.bool_]
    frequency: Floats | None = None
    amplitude: Floats | None = None
    signal_to_noise: Floats | None = None
    depth: Floats | None = None
    duration: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.period)
        for name, array in vars(self).items():
            shape = (n, ALTERNATIVES) if name.startswith("alternative") else (n,)
            if array is not None and np.shape(array) != shape:
                raise ValueError(f"{name} of {n} objects has the shape {np.shape(array)}; it must be {shape}")

    @classmethod
    def empty(cls, n: int) -> PeriodAnswer:
        """Return the answer for n objects without a period, to be filled in."""
        nan = {name: np.full(n, np.nan) for name in ("period", "probability", "error", "false_alarm_probability")}
        lists = {name: np.full((n, ALTERNATIVES), np.nan) for name in ("alternatives", "alternative_probabilities")}
        return cls(**nan, **lists, is_long=np.zeros(n, bool))

    @classmethod
    def measured(cls, n: int) -> PeriodAnswer:
        """Return the answer for n dense light curves in which nothing was measured, to be filled in."""
        return replace(cls.empty(n), **{name: np.full(n, np.nan) for name in MEASURED_COLUMNS.values()})

    def take(self, rows: NDArray[np.integer]) -> PeriodAnswer:
        """Return the answer for the objects in ``rows``."""
        parts: dict[str, Any] = {name: None if array is None else array[rows] for name, array in vars(self).items()}
        return PeriodAnswer(**parts)

    def columns(self, ok: NDArray[np.bool_]) -> dict[str, pa.Array]:
        """Return the columns of a table of predictions, null where not ``ok`` (n,) or where there is no period."""
        missing = ~ok | ~np.isfinite(self.period)
        # without a period there is no false alarm to fear, except where the highest peak was measured all the same
        no_peak = missing if self.frequency is None else ~ok | ~np.isfinite(self.frequency)
        measured = {name: getattr(self, attribute) for name, attribute in MEASURED_COLUMNS.items()}
        notes = np.where(self.is_long & ~missing, LONG, "")
        return {
            "period": pa.array(self.period, pa.float64(), mask=missing),
            "period_error": pa.array(self.error, pa.float64(), mask=missing | ~np.isfinite(self.error)),
            PERIOD_PROBABILITY: pa.array(self.probability, pa.float32(), mask=missing | ~np.isfinite(self.probability)),
            "period_alternatives": _lists(self.alternatives, missing),
            "period_alternative_probabilities": _lists(self.alternative_probabilities, missing),
            "false_alarm_probability": pa.array(
                self.false_alarm_probability, pa.float64(), mask=no_peak | ~np.isfinite(self.false_alarm_probability)
            ),
            "period_note": pa.array(notes.tolist(), pa.string(), mask=notes == ""),
        } | {
            name: pa.array(x, pa.float64(), mask=~ok | ~np.isfinite(x)) for name, x in measured.items() if x is not None
        }


def _lists(values: Floats, missing: NDArray[np.bool_]) -> pa.FixedSizeListArray:
    flat = pa.array(np.ascontiguousarray(values, np.float64).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, ALTERNATIVES, mask=pa.array(missing))


def period_column(names: Collection[str]) -> str | None:
    """Return which of a table's columns has the period to fold on: the answered one, or that of the network's fold."""
    if PERIOD_PROBABILITY in names:
        return "period"
    return "fold_period" if "fold_period" in names else None


def alternatives_of(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the other periods of a row of predictions: ``period`` [d], ``probability``, ``relation`` to the period.

    The probability is None where the network gives none.
    """
    if row.get("period") is None:
        return []
    periods, p = (row.get(name) or () for name in ("period_alternatives", "period_alternative_probabilities"))
    return [
        {
            "period": other,
            "probability": None if probability is None or np.isnan(probability) else probability,
            "relation": period_relation(row["period"], other),
        }
        for other, probability in zip(periods, p, strict=True)
        if other is not None and np.isfinite(other)
    ]


def period_relation(period: float, other: float) -> str:
    r"""Return how another period is related to a period [d]: a multiple, an alias of the sampling, or "".

    Aliases of the frequency f are f' = |f ± w| for a frequency w of the sampling window. For w = 1/d they are all f'
    with n f' = |m f ± k w|, where k, m and n are 1 or 2: shapes may repeat within a period.

    Examples
    --------
    >>> period_relation(0.5, 0.25), period_relation(0.4, 1 / 1.5), period_relation(0.4, 0.7)
    ('P/2', '1-day alias', '')
    """
    for name, ratio in RATIOS.items():
        if abs(other / period / ratio - 1) < TOLERANCE:
            return name
    for name, (window, tolerance) in WINDOWS.items():
        nearest = min(abs(1 / other - alias) for alias in _aliases(1 / period, window))
        if nearest < min(tolerance, TOLERANCE / other):
            return name
    return ""


def _aliases(frequency: float, window: float) -> list[float]:
    """Return the aliases of a frequency in a window of another frequency."""
    shapes, shifts = (SHAPES, (-2, -1, 1, 2)) if window == 1 else (SHAPES[:1], (-1, 1))
    return [abs(m * frequency + k * window) / n for m, n in shapes for k in shifts]
