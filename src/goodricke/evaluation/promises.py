"""Whether promises are kept on held-out objects: the coverage of prediction sets, the false alarms of novelty.

The m validation objects that a threshold comes from are a sample themselves: the coverage of a threshold at the k-th of
their scores is distributed as Beta(m + 1 - k, k) (Vovk 2012), and the number of n held-out objects that are covered is
beta-binomial. A promise counts as broken where chance would give worse than what was found in 2.5 % of cases only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.bootstrap import LEVEL, Estimate

CHANCE = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Kept:
    """A promise and what became of it.

    Parameters
    ----------
    promised : float
        Fraction of objects.
    found : Estimate
        The fraction, with its exact binomial interval (Clopper & Pearson 1934).
    holds : bool
        Whether chance can explain that it is worse than promised, if it is.
    size : float
        Mean number of classes in a set; NaN where the promise is not about sets.
    """

    promised: float
    found: Estimate
    holds: bool
    size: float = float("nan")

    @property
    def reached(self) -> bool:
        """Whether the promise is within the interval of what was found, or what was found is better."""
        return self.found.low <= self.promised if np.isnan(self.size) else self.found.high >= self.promised

    @property
    def verdict(self) -> str:
        """What to say: kept, or missed by no more than chance in so few validation objects can explain, or broken."""
        return "yes" if self.reached else "within chance" if self.holds else "NO"

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


def coverage(
    member: NDArray[np.bool_], label: NDArray[np.integer], promised: float, validation: int, tests: int = 1
) -> Kept:
    """Return how often the true class is in the prediction set.

    Parameters
    ----------
    member : bool (n, C)
        Which classes are in each object's set.
    label : int (n,)
    promised : float
    validation : int
        Objects that the threshold comes from.
    tests : int
        Promises of which this is the worst: one in so many is broken by chance sooner.
    """
    from scipy.stats import betabinom

    hit, n = member[np.arange(len(label)), label], len(label)
    k = int(np.floor((validation + 1) * (1 - promised) + 1e-9))
    holds = k == 0 or betabinom.cdf(hit.sum(), n, validation + 1 - k, k) >= CHANCE / tests
    return Kept(promised, fraction(hit), bool(holds), float(member.sum(1).mean()) if n else float("nan"))


def false_alarms(novelty: NDArray[np.floating], validation: int, rates: Sequence[float] = (0.01, 0.05)) -> list[Kept]:
    """Return how often objects of known classes are called novel at thresholds that promise these rates.

    Parameters
    ----------
    novelty : (n,)
        Of objects of the classes that a model knows.
    validation : int
        Objects that novelty is a fraction of.
    rates : list of float
    """
    from scipy.stats import betabinom

    found = []
    for rate in rates:
        alarm = np.asarray(novelty) > 1 - rate
        j = int(np.floor((1 - rate) * (validation + 1) + 1e-9)) + 1  # validation objects that must be less strange
        holds = j > validation or betabinom.sf(alarm.sum() - 1, len(alarm), validation + 1 - j, j) >= CHANCE
        found.append(Kept(rate, fraction(alarm), bool(holds)))
    return found
