"""The dominant period of each light curve, from its Lomb-Scargle periodogram."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke.lightcurves import LightCurves


class PeriodSearch(BaseModel):
    """Where to look for periods: from ``shortest`` to the light curve's whole span."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shortest: float = Field(0.05, gt=0, description="shortest period [d]")
    oversampling: float = Field(3.0, ge=1, description="frequencies per natural width 1 / span")


class Periods(NamedTuple):
    """What `find_periods` found, one entry per light curve, NaN where nothing can be found."""

    period: NDArray[np.float64]  # (n,) [d]
    power: NDArray[np.float64]  # (n,) normalised Lomb-Scargle power at the period, 0 to 1


def find_periods(curves: LightCurves, search: PeriodSearch | None = None) -> Periods:
    """Find the period of the highest Lomb-Scargle peak of each light curve.

    Parameters
    ----------
    curves : LightCurves
        Finite times and values; fewer than five points or no spread in time or value give NaN. Bands are taken
        together.
    search : PeriodSearch, optional

    Returns
    -------
    Periods

    Notes
    -----
    A sine finds eclipsing and ellipsoidal variables at half their orbital period. On 500 Catalina variables the peak
    is the catalogue's period, its half or its double for 98 % of the contact binaries, all RRc and 84 % of the RRab;
    deciding between the highest peaks by phase dispersion made every class but EA worse.
    """
    search = search or PeriodSearch()
    bounds = zip(curves.offsets[:-1], curves.offsets[1:], strict=True)
    found = [_highest_peak(curves.time[a:b], curves.value[a:b], curves.error[a:b], search) for a, b in bounds]
    period, power = np.array(found, np.float64).reshape(-1, 2).T
    return Periods(period, power)


def _highest_peak(
    time: NDArray[np.float64], value: NDArray[np.float32], error: NDArray[np.float32], search: PeriodSearch
) -> tuple[float, float]:
    """Return period [d] and power of the highest peak of one light curve's periodogram."""
    from nifty_ls import lombscargle

    span = np.ptp(time) if len(time) else 0.0
    if len(time) < 5 or span <= search.shortest or np.ptp(value) == 0:
        return np.nan, np.nan
    known = np.isfinite(error).all() and (error > 0).all()
    step = 1 / (search.oversampling * span)
    count = max(int((1 / search.shortest - 1 / span) / step), 3)
    power = lombscargle(
        time - time.min(),
        value.astype(np.float64),
        error.astype(np.float64) if known else None,
        fmin=1 / span,
        fmax=1 / span + step * (count - 1),
        Nf=count,
        nthreads=1,
    ).power
    best = int(power.argmax())
    return 1 / (1 / span + step * best), float(power[best])
