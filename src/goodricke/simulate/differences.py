"""What an alert stream holds of a source that varies: significant differences from a reference image, of either sign.

A survey subtracts a reference image and reports what is left where it is significant. A supernova wasn't there before:
its difference is its own light. A variable star was: its difference is the light of the moment less that of the
reference, negative as often as positive, and nothing is reported while it is near the reference.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.simulate.surveys import SIGNIFICANT

Float = NDArray[np.float64]
REFERENCE = 20  # exposures in a reference image at most


def to_differences(curves: LightCurves, seed: int = 0, significance: float = SIGNIFICANT) -> LightCurves:
    """Return the alerts' photometry of sources of which all the light is known.

    Parameters
    ----------
    curves : LightCurves
        Total AB magnitudes, or fluxes in nJy.
    seed : int
        Of the exposures that make the reference image: successive ones in each band, up to `REFERENCE`, anywhere in the
        light curve. They are no part of the result.
    significance : float
        Absolute differences over their errors below which there is no detection.

    Returns
    -------
    LightCurves
        Differences [nJy] with the errors of exposure and reference. Light curves may be empty.

    Raises
    ------
    ValueError
        If the unit is neither mag nor nJy.
    """
    if not curves.in_magnitudes and curves.unit != "nJy":
        raise ValueError(f"total AB magnitudes or fluxes in nJy are needed, not {curves.unit}")
    value, error = curves.value.astype(np.float64), curves.error.astype(np.float64)
    flux, sigma = nanojansky(value, error) if curves.in_magnitudes else (value, error)
    rng, owner = np.random.default_rng(seed), ragged.owner(curves.offsets)
    difference, total = np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    order = np.lexsort((curves.time, curves.band, owner))
    series = owner[order] * len(curves.bands) + curves.band[order]
    ends = np.flatnonzero(np.diff(series, prepend=-1, append=-1))
    for start, end in pairwise(ends.tolist()):
        rows = order[start:end]
        size = min(REFERENCE, max(len(rows) // 3, 1))
        first = int(rng.integers(0, len(rows) - size + 1))
        exposures, used = rows[first : first + size], np.delete(rows, np.s_[first : first + size])
        difference[used] = flux[used] - flux[exposures].mean()
        total[used] = np.hypot(sigma[used], np.sqrt((sigma[exposures] ** 2).sum()) / size)
    keep = np.abs(difference) >= significance * total  # NaN: a part of the reference
    kept = replace(curves, value=difference.astype(np.float32), error=total.astype(np.float32), unit="nJy")
    return kept.where(keep)
