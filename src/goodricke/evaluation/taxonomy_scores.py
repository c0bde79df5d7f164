"""Scores of answers where a label is a set of leaves, and of class and period together.

An answer is right if its leaf is in the label's set. A node's answer is right, wrong or left open by the label: of a
set that is partly in the node nobody knows.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data.predictions import Output
from goodricke.data.taxonomy import EITHER, Taxonomy
from goodricke.evaluation.intervals import Estimate, mean_estimate

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

ALLOWED = 0.005  # fraction of answers whose class and period may contradict each other


class LabelScore(NamedTuple):
    """How often the objects of one label of a survey are answered by one of its leaves."""

    label: str  # as the survey writes it
    meaning: str  # the leaves, or the node that has just these
    n: int
    right: Estimate  # fraction
    probability: float  # mean of the set's summed probability
    confused_with: str  # the most frequent wrong answers

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text for JSON."""
        return self._asdict() | {"right": self.right.to_dict()}


class NodeScore(NamedTuple):
    """How a node, or a leaf, does as an answer: above a probability of 1/2, whatever its leaves."""

    name: str
    n: int  # objects that are of it
    unknown: int  # objects whose label leaves it open; not counted
    completeness: Estimate
    purity: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text for JSON."""
        return self._asdict() | {"completeness": self.completeness.to_dict(), "purity": self.purity.to_dict()}


@dataclass(frozen=True)
class PhysicsCheck:
    """Answers whose class and period exclude each other.

    Parameters
    ----------
    n : int
        Answers with a class and a period.
    fraction : Estimate
        Of them that contradict.
    by_class : dict of (int, int)
        Contradictions and answers of each class that has any contradiction, the most frequent first.
    """

    n: int
    fraction: Estimate
    by_class: Mapping[str, tuple[int, int]]

    @property
    def is_met(self) -> bool:
        """Whether less than 0.5 % contradict."""
        return not self.fraction.value >= ALLOWED

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers for JSON."""
        by_class = {name: {"contradict": bad, "answers": n} for name, (bad, n) in self.by_class.items()}
        return {"answers": self.n, "contradict": self.fraction.to_dict(), "by_class": by_class, "is_met": self.is_met}

    def __str__(self) -> str:
        worst = ", ".join(f"{name} {bad} of {n}" for name, (bad, n) in list(self.by_class.items())[:5])
        text = f"class and period contradict each other in {100 * self.fraction.value:.2f} % of {self.n:,} answers"
        return text + (f" ({worst})" if worst else "")


def physics_check(
    taxonomy: Taxonomy, answer: Sequence[str] | NDArray, period: NDArray[np.floating], star: Any = None
) -> PhysicsCheck | None:
    """Return the fraction of answers that contradict physics, None if no answer has a period.

    Parameters
    ----------
    taxonomy : Taxonomy
        Whose leaves give the plausible periods.
    answer : (n,) of str
        Leaf or node of each.
    period : (n,)
        In the class's convention [d]; NaN where there is none.
    star : (n,), optional
        The star of each light curve, for the interval.
    """
    period, answer = np.asarray(period, np.float64), np.asarray(answer, object)
    rows = np.flatnonzero(np.isfinite(period))
    if not len(rows):
        return None
    bad = taxonomy.contradicts(answer[rows], period[rows])
    wrong, total = Counter(answer[rows][bad].tolist()), Counter(answer[rows].tolist())
    fraction = mean_estimate(bad, None if star is None else np.asarray(star)[rows])
    return PhysicsCheck(len(rows), fraction, {name: (n, total[name]) for name, n in wrong.most_common()})


def check_periods(taxonomy: Taxonomy, output: Output, ok: Mask, star: Any = None) -> PhysicsCheck | None:
    """Return the `physics_check` of a model's most probable leaves, None if it answers no periods; ``ok`` is (n,)."""
    if output.periods is None or not ok.any():
        return None
    rows = np.flatnonzero(ok)
    answer = np.array(list(taxonomy.leaves), object)[output.probabilities[rows].argmax(1)]
    return physics_check(
        taxonomy, answer, output.periods.period[rows], None if star is None else np.asarray(star)[rows]
    )


def allowed_leaves(label: Sequence[Any] | NDArray, taxonomy: Taxonomy) -> Mask:
    """Return the leaves (n, L) that labels in any words of the taxonomy allow; none for a label that it lacks."""
    masks = {name: _mask(taxonomy, name) for name in {str(x) for x in label}}
    return np.array([masks[str(x)] for x in label], bool).reshape(len(label), len(taxonomy.leaves))


def _mask(taxonomy: Taxonomy, label: str) -> Mask:
    mask = np.zeros(len(taxonomy.leaves), bool)
    for part in EITHER.split(label):
        with contextlib.suppress(ValueError):  # "EB|RRD" for a model without RRD: EB
            mask |= taxonomy.mask(taxonomy.parse(part))
    return mask


def set_names(allowed: Mask, taxonomy: Taxonomy) -> NDArray[np.object_]:
    """Return a label (n,) for each set of leaves (n, L): the leaf or node that has just these, else "EB|EW"."""
    sets, index = np.unique(allowed, axis=0, return_inverse=True)
    leaves = np.array(list(taxonomy.leaves), object)
    names = [taxonomy.set_name(row) or "|".join(leaves[row]) for row in sets]
    return np.array(names, object)[index.ravel()]


def is_right(answer: NDArray[np.integer], allowed: Mask) -> Mask:
    """Return whether the leaf of each answer (n,) is one of its label's (n, L)."""
    return allowed[np.arange(len(answer)), answer]


def score_labels(
    taxonomy: Taxonomy, label: NDArray, allowed: Mask, probabilities: Float, star: Any = None
) -> tuple[LabelScore, ...]:
    """Return the score of each label of a survey.

    Parameters
    ----------
    taxonomy : Taxonomy
        Of L leaves.
    label : (n,) of str
        In the survey's words.
    allowed : bool (n, L)
        What they mean.
    probabilities : (n, L)
    star : (n,), optional
    """
    answer, leaves = probabilities.argmax(1), np.array(list(taxonomy.leaves), object)
    right, mass = is_right(answer, allowed), np.where(allowed, probabilities, 0).sum(1)
    scores = []
    for name in sorted(set(label.tolist()), key=str):
        rows = label == name
        wrong = Counter(leaves[answer[rows & ~right]].tolist()).most_common(3)
        meaning = str(set_names(allowed[rows][:1], taxonomy)[0])
        estimate = mean_estimate(right[rows], None if star is None else np.asarray(star)[rows])
        confused = ", ".join(f"{leaf} {n}" for leaf, n in wrong)
        scores.append(LabelScore(str(name), meaning, int(rows.sum()), estimate, float(mass[rows].mean()), confused))
    return tuple(scores)


def score_nodes(taxonomy: Taxonomy, allowed: Mask, probabilities: Float, star: Any = None) -> tuple[NodeScore, ...]:
    """Return the score of each node and leaf but the root; parameters as in `score_labels`."""
    p = np.concatenate([taxonomy.node_probabilities(probabilities), probabilities], 1)
    scores = []
    for k, name in enumerate(taxonomy.names):
        inside = allowed[:, list(taxonomy.members(name))].sum(1)
        true, open_ = inside == allowed.sum(1), (inside > 0) & (inside < allowed.sum(1))
        if name == taxonomy.root or not true.any():
            continue
        answered = p[:, k] >= 0.5
        groups = true, answered & ~open_
        rates = (_rate(answered, groups[0], star), _rate(true, groups[1], star))
        scores.append(NodeScore(name, int(true.sum()), int(open_.sum()), *rates))
    return tuple(scores)


def _rate(right: Mask, rows: Mask, star: Any) -> Estimate:
    if not rows.any():
        return Estimate(np.nan, np.nan, np.nan)
    return mean_estimate(right[rows], None if star is None else np.asarray(star)[rows])
