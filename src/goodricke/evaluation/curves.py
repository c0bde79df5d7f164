r"""Precision and recall of one class against its probability threshold: purity and completeness of a sample cut there.

A sample of all objects with :math:`p_c \ge t` has the purity (precision) :math:`TP / (TP + FP)` and the completeness
(recall) :math:`TP / (TP + FN)`. Both hold for a population with the class shares of the objects they were measured on:
:math:`\mathrm{purity} = \pi R / (\pi R + (1 - \pi) F)`, with the class's share :math:`\pi`, recall R and false alarm
rate F, which are free of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.bootstrap import Estimate, interval, resampled, star_sums, unless_flat, wilson
from goodricke.evaluation.metrics import stars_of

Float = NDArray[np.float64]
THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)


class ThresholdCurve(NamedTuple):
    """Purity and completeness of one class at T thresholds, each with its 95 % interval from drawing stars.

    Where all drawings are alike the interval is Wilson's of as many trials as there are stars.
    ``purity`` and ``completeness`` are (3, T): value, low, high; NaN where no object is above the threshold.
    """

    thresholds: Float  # (T,)
    purity: Float  # (3, T)
    completeness: Float  # (3, T)
    chosen: NDArray[np.int64]  # (T,) objects above the threshold
    average_precision: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists for JSON."""
        names = ("value", "low", "high")
        return {
            "thresholds": self.thresholds.tolist(),
            "purity": dict(zip(names, self.purity.tolist(), strict=True)),
            "completeness": dict(zip(names, self.completeness.tolist(), strict=True)),
            "chosen": self.chosen.tolist(),
            "average_precision": self.average_precision.to_dict(),
        }

    def best_completeness(self, purity: float) -> tuple[float, float]:
        """Return the lowest threshold above which all objects together are so pure, and how complete; NaN if none."""
        pure = self.purity[0] >= purity
        if not pure.any():
            return np.nan, np.nan
        at = int(np.argmax(pure))
        return float(self.thresholds[at]), float(self.completeness[0, at])


def threshold_curve(
    p: NDArray[np.floating], true: NDArray[np.bool_], star: Any = None, resamples: int = 200, seed: int = 0
) -> ThresholdCurve:
    """Return purity and completeness of a class against the threshold.

    Parameters
    ----------
    p : (n,)
        The class's probability.
    true : bool (n,)
        Whether the object is of it.
    star : (n,), optional
        Which star each light curve is of; the bootstrap draws stars.
    resamples, seed : int
        Of the bootstrap.

    Notes
    -----
    The average precision is that of the 101 thresholds, the sum of purity times the gain in completeness; it differs
    from the exact sum over all objects by less than the interval is wide.
    """
    p, true = np.asarray(p, np.float64), np.asarray(true, bool)
    last = len(THRESHOLDS) - 1
    highest = np.minimum(np.floor(p * last + 1e-9).astype(np.int64), last)  # the last threshold that p reaches
    columns = [(highest, np.ones(len(p))), (len(THRESHOLDS) + highest, true)]
    star = stars_of(star, len(p))
    sums = star_sums(star, columns, 2 * len(THRESHOLDS))
    whole = _curves(np.asarray(sums.sum(axis=0)).reshape(1, -1))
    low_high = [interval(x) for x in _curves(resampled(sums, resamples, seed))]
    for k, n in enumerate(_stars(star, highest, true)):
        low_high[k] = unless_flat(low_high[k], wilson(whole[k][0], n))
    purity, complete, average = (np.concatenate([w, b]) for w, b in zip(whole, low_high, strict=True))
    chosen = np.bincount(highest, minlength=len(THRESHOLDS))[::-1].cumsum()[::-1]
    return ThresholdCurve(THRESHOLDS, purity, complete, chosen, Estimate(*map(float, average)))


def _stars(star: NDArray, highest: NDArray[np.int64], true: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Return how many stars purity and completeness at each threshold (T,) are fractions of."""
    index = np.unique(star, return_inverse=True)[1]
    top = np.zeros(index.max() + 1, np.int64)
    np.maximum.at(top, index, highest)
    members = np.full(len(THRESHOLDS), len(np.unique(star[true])), np.float64)
    members[0] = np.inf  # the sample of all objects is complete
    return np.bincount(top, minlength=len(THRESHOLDS))[::-1].cumsum()[::-1].astype(np.float64), members


def _curves(sums: Float) -> tuple[Float, Float, Float]:
    """Return purity (R, T), completeness (R, T) and average precision (R,) of samples whose sums (R, 2 T) are given."""
    each = sums.reshape(len(sums), 2, -1)[:, :, ::-1].cumsum(2)[:, :, ::-1]  # at and above each threshold
    chosen, right = each[:, 0], each[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        purity, complete = right / chosen, right / right[:, :1]
    gain = complete - np.concatenate([complete[:, 1:], np.zeros((len(sums), 1))], 1)
    return purity, complete, (np.nan_to_num(purity) * gain).sum(1)
