"""The dominant period of each light curve, from its Lomb-Scargle periodogram."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke.data.lightcurves import LightCurves, drawing

MOST_FREQUENCIES = 5_000_000  # two centuries of observations; a stray time further away would need all the memory


class PeriodSearch(BaseModel):
    """The range of a period search: from ``shortest`` to the time span of the light curve."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shortest: float = Field(0.05, gt=0, description="shortest period [d]")
    oversampling: float = Field(3.0, ge=1, description="frequencies per natural width 1 / span")


class Periods(NamedTuple):
    """Periods, one per light curve, NaN where no search is possible."""

    period: NDArray[np.float64]  # (n,) [d]
    power: NDArray[np.float64]  # (n,) normalised Lomb-Scargle power at the period, 0 to 1


def find_periods(curves: LightCurves, search: PeriodSearch | None = None) -> Periods:
    """Find the period of the highest Lomb-Scargle peak of each light curve.

    Parameters
    ----------
    curves : LightCurves
        Finite times and values; fewer than five points, no spread in time or value, or times so far apart that more
        than `MOST_FREQUENCIES` would have to be tried give NaN. Bands are combined.
    search : PeriodSearch, optional

    Returns
    -------
    Periods

    Notes
    -----
    A sine fits eclipsing and ellipsoidal variables at half their orbital period. The highest peak is final: a choice
    among the highest peaks by phase dispersion recovered fewer catalogue periods of Catalina variables.
    """
    search = search or PeriodSearch()
    bounds = zip(curves.offsets[:-1], curves.offsets[1:], strict=True)
    peaks = [_highest_peak(curves.time[a:b], curves.value[a:b], curves.error[a:b], search) for a, b in bounds]
    period, power = np.array(peaks, np.float64).reshape(-1, 2).T
    return Periods(period, power)


class Periodogram(NamedTuple):
    """Lomb-Scargle power (F,) at evenly spaced frequencies (F,) [1/d]."""

    frequency: NDArray[np.float64]
    power: NDArray[np.float64]

    @property
    def period(self) -> NDArray[np.float64]:
        """The periods (F,) [d], the longest first."""
        return 1 / self.frequency

    @property
    def best(self) -> float:
        """The period of the highest peak [d]."""
        return float(1 / self.frequency[self.power.argmax()])

    def plot(self, period: float | None = None, ax: Any = None) -> Any:
        """Draw power against period, the highest peak marked; return the matplotlib figure.

        Parameters
        ----------
        period : float, optional
            Another period to mark [d].
        ax : matplotlib Axes, optional
        """
        return drawing().draw_spectrum(self, period, ax)


def periodogram(
    time: NDArray[np.float64], value: NDArray[np.float32], error: NDArray[np.float32], search: PeriodSearch
) -> Periodogram | None:
    """Return the periodogram of one light curve, None if nothing can be searched; see `find_periods`."""
    from nifty_ls import lombscargle

    span = np.ptp(time) if len(time) else 0.0
    if len(time) < 5 or span <= search.shortest or np.ptp(value) == 0:
        return None
    step = 1 / (search.oversampling * span)
    if (1 / search.shortest - 1 / span) / step > MOST_FREQUENCIES:
        return None
    count = max(int((1 / search.shortest - 1 / span) / step), 3)
    weighted = np.isfinite(error).all() and (error > 0).all()
    frequency = np.asarray(1 / span + step * np.arange(count), np.float64)
    power = lombscargle(
        time - time.min(),
        value.astype(np.float64),
        error.astype(np.float64) if weighted else None,
        fmin=frequency[0],
        fmax=frequency[-1],
        Nf=count,
        nthreads=1,
    ).power
    return Periodogram(frequency, np.nan_to_num(power)) if np.isfinite(power).any() else None


def _highest_peak(
    time: NDArray[np.float64], value: NDArray[np.float32], error: NDArray[np.float32], search: PeriodSearch
) -> tuple[float, float]:
    """Return period [d] and power of the highest peak of one light curve's periodogram, NaN without one."""
    spectrum = periodogram(time, value, error, search)
    return (np.nan, np.nan) if spectrum is None else (spectrum.best, float(np.clip(spectrum.power.max(), 0, 1)))
