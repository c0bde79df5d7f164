"""From which probability on a class is to be believed: cuts for a wanted purity, chosen on labelled objects.

An object answered with class c is taken for one if ``p_max`` reaches the cut of c. Purity is the fraction of those
taken that are of class c by their label (objects of classes that the model doesn't know are none); completeness is the
fraction of all labelled objects of class c that are taken, those that could not be classified included.

**The rule.** Among a few dozen objects some cut looks pure by luck. A cut is therefore chosen only if the one-sided
Clopper-Pearson lower bound of its purity, at a confidence of 95 %, reaches the wanted purity; of these cuts the lowest.
For a purity of 0.95 this takes at least 59 objects, all right, for 0.9 at least 29; a class with fewer gets no cut and
the statement says so. Because the rule looks at many cuts of the same objects, the bound holds a little less often than
its confidence says: in simulations the true purity fell short in 1 to 7 % of the choices where it grows with the
probability. The expected purity and completeness come with two-sided Clopper-Pearson intervals of 95 %. They are about
objects like the labelled ones: choose cuts on a sample that was not trained on and whose mixture of classes is that of
the survey.

Light curves of one star are not independent: merge them first (``per_star``), or the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.bootstrap import LEVEL, Estimate

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Cut:
    """What a cut is expected to give.

    Parameters
    ----------
    cut : float, optional
        Least ``p_max``; None if no cut reaches the purity.
    taken, labelled : int
        Objects that reach the cut, without one all answered with the class; labelled objects of the class.
    purity, completeness : Estimate
        Expected of the objects taken, with 95 % intervals.
    """

    cut: float | None
    taken: int
    labelled: int
    purity: Estimate
    completeness: Estimate


def choose(
    answer: NDArray, p_max: NDArray, label: NDArray, classes: Sequence[str], purity: float, confidence: float
) -> dict[str, Cut]:
    """Choose the cut of each class; see the module for the rule.

    Parameters
    ----------
    answer, label : (n,) of str
        Class found (None if not classified) and true class.
    p_max : (n,)
    classes : sequence of str
    purity, confidence : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If purity or confidence is not between 0 and 1.
    """
    for name, value in (("purity", purity), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"the {name} is a fraction between 0 and 1, such as 0.95, not {value:g}")
    found = {}
    for name in classes:
        own = answer == name
        found[name] = _choose(p_max[own], label[own] == name, int((label == name).sum()), purity, confidence)
    return found


def _choose(p: NDArray, right: NDArray[np.bool_], labelled: int, purity: float, confidence: float) -> Cut:
    """Choose the cut of a class from the objects answered with it."""
    order = np.argsort(-p, kind="stable")
    p, right = p[order], right[order]
    last = np.flatnonzero(np.diff(p, append=-1) != 0)  # objects of equal probability are taken together
    hits, taken = np.cumsum(right)[last], last + 1
    good = np.flatnonzero(lower_bound(hits, taken, confidence) >= purity)
    if not len(good):
        k, n = int(right.sum()), len(p)
        return Cut(None, n, labelled, clopper_pearson(k, n), clopper_pearson(k, labelled))
    i = good[-1]
    k, n = int(hits[i]), int(taken[i])
    cut = _short_between(float(p[n]) if n < len(p) else 0.0, float(p[n - 1]))
    return Cut(cut, n, labelled, clopper_pearson(k, n), clopper_pearson(k, labelled))


def _short_between(below: float, at: float) -> float:
    """Return the number with the fewest digits that is greater than ``below`` and not greater than ``at``."""
    for digits in range(2, 17):
        found = np.floor(at * 10**digits) / 10**digits
        if below < found <= at:
            return float(found)
    return at


def lower_bound(k: NDArray, n: NDArray, confidence: float) -> NDArray[np.float64]:
    """Return the one-sided Clopper-Pearson lower bound of a fraction, k of n; 0 where k is 0."""
    from scipy.stats import beta

    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    return np.where(k > 0, beta.ppf(1 - confidence, np.maximum(k, 1), n - k + 1), 0.0)


def clopper_pearson(k: int, n: int) -> Estimate:
    """Return the fraction k / n with its two-sided 95 % interval; NaN where n is 0."""
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    tail = (1 + LEVEL) / 2
    low = float(lower_bound(np.array(k), np.array(n), tail))
    return Estimate(k / n, low, 1 - float(lower_bound(np.array(n - k), np.array(n), tail)))
