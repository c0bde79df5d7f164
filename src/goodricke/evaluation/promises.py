"""Whether promises are kept on held-out objects: the coverage of prediction sets, the false alarms of novelty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.bootstrap import LEVEL, Estimate


@dataclass(frozen=True)
class Kept:
    """A promise and what became of it.

    Parameters
    ----------
    promised : float
        Fraction of objects.
    found : Estimate
        The fraction, with its exact binomial interval (Clopper & Pearson 1934).
    size : float
        Mean number of classes in a set; NaN where the promise is not about sets.
    """

    promised: float
    found: Estimate
    size: float = float("nan")

    @property
    def holds(self) -> bool:
        """Whether the interval has the promise in it; of sets, which promise at least so much, or lies above it."""
        return (self.found.low <= self.promised or not np.isnan(self.size)) and self.promised <= self.found.high

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name for JSON."""
        size = {} if np.isnan(self.size) else {"mean_size": self.size}
        return {"promised": self.promised, "found": self.found.to_dict(), "holds": self.holds} | size


def fraction(right: NDArray[np.bool_]) -> Estimate:
    """Return the fraction of objects (n,) for which something is so, with its exact 95 % binomial interval."""
    from scipy.stats import binomtest

    if not len(right):
        return Estimate(np.nan, np.nan, np.nan)
    found = binomtest(int(right.sum()), len(right)).proportion_ci(LEVEL, "exact")
    return Estimate(float(right.mean()), float(found.low), float(found.high))


def coverage(member: NDArray[np.bool_], label: NDArray[np.integer], promised: float) -> Kept:
    """Return how often the true class is in the prediction set.

    Parameters
    ----------
    member : bool (n, C)
        Which classes are in each object's set.
    label : int (n,)
    promised : float
    """
    hit = member[np.arange(len(label)), label]
    return Kept(promised, fraction(hit), float(member.sum(1).mean()) if len(label) else float("nan"))


def false_alarms(novelty: NDArray[np.floating], rates: Sequence[float] = (0.01, 0.05)) -> list[Kept]:
    """Return how often objects of known classes are called novel at thresholds that promise these rates.

    Parameters
    ----------
    novelty : (n,)
        Of objects of the classes that a model knows.
    rates : list of float
    """
    return [Kept(rate, fraction(np.asarray(novelty) > 1 - rate)) for rate in rates]
