"""Coverage of prediction sets and false alarms of novelty on held-out objects, against their nominal rates.

The m validation objects that a threshold comes from are a sample themselves: the coverage of a threshold at the k-th of
their scores is distributed as Beta(m + 1 - k, k) (Vovk 2012), and the number of n held-out objects that are covered is
beta-binomial. Coverage counts as too low only where a result this low has a probability below 2.5 %.

Sets are checked over all objects, in bins of the highest probability (``p_max``), where ambiguous objects must have
larger sets, and, if made for it, in each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.predictions import Output
from goodricke.evaluation.intervals import LEVEL, Estimate, proportion
from goodricke.models.bundle import Model
from goodricke.uncertainty.prediction_sets import Conformal, Coverage

LEVELS = (0.8, 0.9, 0.95)  # nominal coverage of the prediction sets that are checked
CONFIDENCE_LEVEL = 0.9  # that is checked in bins of p_max
CONFIDENCE_BORDERS = (0.5, 0.7, 0.9)  # of these bins
CHANCE = (1 - LEVEL) / 2


@dataclass(frozen=True)
class CoverageCheck:
    """A nominal rate and the rate observed on held-out objects.

    Parameters
    ----------
    nominal : float
        Fraction of objects: least coverage of prediction sets, or most false alarms.
    observed : Estimate
        The fraction, with its exact binomial interval (Clopper & Pearson 1934).
    is_plausible : bool
        Whether chance can explain the difference, if the observed rate is on the wrong side of the nominal one.
    set_size : float
        Mean number of classes in a set; NaN for false alarms.
    """

    nominal: float
    observed: Estimate
    is_plausible: bool
    set_size: float = float("nan")

    @property
    def is_met(self) -> bool:
        """Whether the interval reaches the nominal rate, or the observed rate is better."""
        if np.isnan(self.set_size):
            return self.observed.low <= self.nominal
        return self.observed.high >= self.nominal

    @property
    def verdict(self) -> str:
        """``yes``: met; ``within chance``: few validation objects can explain the difference; ``NO``: neither."""
        return "yes" if self.is_met else "within chance" if self.is_plausible else "NO"

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name for JSON."""
        size = {} if np.isnan(self.set_size) else {"mean_size": self.set_size}
        return {"nominal": self.nominal, "observed": self.observed.to_dict(), "verdict": self.verdict} | size


def check_coverage(
    member: NDArray[np.bool_], label: NDArray[np.integer], nominal: float, validation: int, tests: int = 1
) -> CoverageCheck:
    """Return the fraction of objects whose true class is in the prediction set.

    Parameters
    ----------
    member : bool (n, C)
        Which classes are in the set of each object.
    label : int (n,)
    nominal : float
    validation : int
        Number of objects that the threshold comes from.
    tests : int
        Number of checks of which this is the worst (Bonferroni's correction).
    """
    from scipy.stats import betabinom

    covered, n = member[np.arange(len(label)), label], len(label)
    k = int(np.floor((validation + 1) * (1 - nominal) + 1e-9))
    is_plausible = k == 0 or betabinom.cdf(covered.sum(), n, validation + 1 - k, k) >= CHANCE / tests
    size = float(member.sum(1).mean()) if n else float("nan")
    return CoverageCheck(nominal, proportion(covered), bool(is_plausible), size)


def check_false_alarms(
    novelty: NDArray[np.floating], validation: int, rates: Sequence[float] = (0.01, 0.05)
) -> list[CoverageCheck]:
    """Return the fractions of objects of known classes with a novelty above the thresholds 1 - rate.

    Parameters
    ----------
    novelty : (n,)
        Of objects of the classes of a model.
    validation : int
        Number of objects that novelty is a fraction of.
    rates : list of float
        Nominal rates of false alarms.
    """
    from scipy.stats import betabinom

    checks = []
    for rate in rates:
        alarm = np.asarray(novelty) > 1 - rate
        j = int(np.floor((1 - rate) * (validation + 1) + 1e-9)) + 1  # validation objects that must be less novel
        is_plausible = j > validation or betabinom.sf(alarm.sum() - 1, len(alarm), validation + 1 - j, j) >= CHANCE
        checks.append(CoverageCheck(rate, proportion(alarm), bool(is_plausible)))
    return checks


def coverage_checks(model: Model, output: Output, label: NDArray[np.int64]) -> list[tuple[str, CoverageCheck]]:
    """Return the checks of a model's prediction sets and of its novelty, each with a description.

    Parameters
    ----------
    model : Model
    output : Output
        For light curves of its classes that it was not fitted to, all of them classified.
    label : int64 (n,)
    """
    checks = []
    if (conformal := model.calibration.sets.get(output.mode)) is not None:
        for level in LEVELS:
            member = conformal.sets(output.probabilities, coverage=Coverage(level))
            check = check_coverage(member, label, level, len(conformal))
            checks.append(("sets that hold the true class", check))
        checks += checks_by_confidence(conformal, output.probabilities, label, CONFIDENCE_LEVEL)
        for level in LEVELS:
            by_class = _checks_by_class(conformal, output.probabilities, label, level)
            worst = min(by_class, key=lambda c: (by_class[c].is_plausible, by_class[c].observed.value))
            missed = sum(not check.is_met for check in by_class.values())
            count = f", {missed} of {len(by_class)} missed" if missed else ""
            checks.append((f"sets made for each class{count}; worst: {model.classes[worst]}", by_class[worst]))
    return checks + false_alarm_checks(model, output)


def false_alarm_checks(model: Model, output: Output) -> list[tuple[str, CoverageCheck]]:
    """Return the checks of the false alarms of novelty, each with a description; see `coverage_checks`."""
    reference = model.calibration.novelty.get("one_pass")
    if output.novelty is None or reference is None:
        return []
    checks = check_false_alarms(output.novelty, len(reference.score))
    return [(f"novelty above {1 - check.nominal:g}", check) for check in checks]


def checks_by_confidence(
    conformal: Conformal, probabilities: NDArray[np.floating], label: NDArray[np.int64], level: float
) -> list[tuple[str, CoverageCheck]]:
    """Return the coverage of the objects in each bin of the highest probability that has any, with a description."""
    member, confidence = conformal.sets(probabilities, coverage=Coverage(level)), probabilities.max(1)
    number = np.searchsorted(CONFIDENCE_BORDERS, confidence, side="right")
    reference = np.searchsorted(CONFIDENCE_BORDERS, conformal.confidence, side="right")
    bounds = (0.0, *CONFIDENCE_BORDERS, 1.0)
    checks = []
    for k in np.unique(number):
        rows, validation = number == k, round(float(conformal.weight[reference == k].sum()))
        check = check_coverage(member[rows], label[rows], level, validation, tests=len(bounds) - 1)
        checks.append((f"the same where p_max is {bounds[k]:g} to {bounds[k + 1]:g}", check))
    return checks


def _checks_by_class(
    conformal: Conformal, probabilities: NDArray[np.floating], label: NDArray[np.int64], level: float
) -> dict[int, CoverageCheck]:
    """Return the coverage of the objects of each class, by sets that should reach the level in each class."""
    member, classes = conformal.sets(probabilities, coverage=Coverage(level, per_class=True)), np.unique(label)
    number = {c: round(float(conformal.weight[conformal.label == c].sum())) for c in classes}
    return {
        int(c): check_coverage(member[label == c], label[label == c], level, number[c], tests=len(classes))
        for c in classes
    }
