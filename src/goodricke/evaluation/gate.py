"""Is it a transient at all? The first question to an alert, scored after the first few observations and late.

A model whose taxonomy has the node `GATE` answers it by the node's probability, the sum over the transients it knows.
Both errors are measured: transients that aren't called so, and other sources that are, by their label. So they are by
the prediction set, which says less in doubt: a source may be a transient if the set has a class of transients. A
transient is lost to an operator who follows all such sources if its set has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.taxonomy import Taxonomy
from goodricke.evaluation.intervals import Estimate, clopper_pearson
from goodricke.inference import compute_output
from goodricke.models.bundle import Model
from goodricke.preprocess import prepare

GATE = "TRANSIENT"  # the node
COUNTS = (3, 5, 10, 30)  # observations
THRESHOLDS = (0.5, 0.1)  # of the node's probability: as probable as not, and not to lose early transients
ALL = "all"


@dataclass(frozen=True)
class GateScore:
    """Errors about the light curves of one group.

    Parameters
    ----------
    group : str
        A leaf, "transients" for all of them, or a label of other sources.
    transient : bool
        Whether they are transients: the error is then that they aren't called so.
    threshold : float, optional
        Of the node's probability, from which on a source is called a transient; None: by the prediction set.
    wrong : dict of Estimate
        Fraction of errors by number of observations, and with `ALL`, each with its `clopper_pearson` interval.
    n : dict of int
        Light curves with so many observations that have an answer: a band needs three.
    """

    group: str
    transient: bool
    threshold: float | None
    wrong: Mapping[str, Estimate]
    n: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain data."""
        wrong = {key: estimate.to_dict() for key, estimate in self.wrong.items()}
        about = {"group": self.group, "transient": self.transient, "threshold": self.threshold}
        return about | {"wrong": wrong, "n": dict(self.n)}


def first_observations(curves: LightCurves, count: int) -> LightCurves:
    """Return the light curves with their first ``count`` observations only."""
    owner = ragged.owner(curves.offsets)
    order = np.lexsort((curves.band, curves.time, owner))
    place = np.empty(len(owner), np.int64)
    place[order] = np.arange(len(owner)) - curves.offsets[owner]
    return curves.where(place < count)


def gate_scores(
    model: Model,
    taxonomy: Taxonomy,
    curves: LightCurves,
    label: NDArray,
    leaves: NDArray[np.bool_],
    baselines: Mapping[str, NDArray] | None = None,
    counts: Sequence[int] = COUNTS,
) -> tuple[GateScore, ...]:
    """Return the errors of the gate at each of `THRESHOLDS`, and by prediction sets; none for a model without one.

    Parameters
    ----------
    model : Model
        Of L leaves.
    taxonomy : Taxonomy
    curves : LightCurves
        n held-out ones.
    label : (n,) of str
        Of the sources in the words of the labels, by which those that are no transients are grouped.
    leaves : bool (n, L)
        What they allow.
    baselines : dict of (n, L), optional
        Probabilities of other classifiers from the whole light curves.
    counts : sequence of int
        Numbers of observations.
    """
    if GATE not in taxonomy.nodes:
        return ()
    members = list(taxonomy.members(GATE))
    transient = leaves[:, members].any(1)
    groups = {"transients": (True, transient)}
    groups |= {x: (True, leaves[:, k]) for k, x in enumerate(taxonomy.leaves) if k in members}
    groups |= {str(x): (False, ~transient & (label == x)) for x in sorted(set(label[~transient].tolist()))}
    answers = {str(k): _answers(model, first_observations(curves, k), members, k) for k in counts}
    answers[ALL] = _answers(model, curves, members, 0)
    answers |= {name: _GateAnswers(p[:, members].sum(1), None) for name, p in (baselines or {}).items()}
    criteria = (*THRESHOLDS, *([] if answers[ALL].in_set is None else [None]))
    scores = []
    for threshold, (name, (is_transient, rows)) in product(criteria, groups.items()):
        wrong, n = {}, {}
        for key, answer in answers.items():
            called, answered = answer.called(threshold), rows & np.isfinite(answer.p)
            if called is None:
                continue
            n[key] = int(answered.sum())
            if n[key]:
                errors = called[answered] != is_transient
                wrong[key] = clopper_pearson(int(errors.sum()), n[key])
        scores.append(GateScore(name, is_transient, threshold, wrong, n))
    return tuple(scores)


class _GateAnswers(NamedTuple):
    """Answers about n light curves: probabilities of a transient, and whether their sets have a class of transients."""

    p: NDArray[np.float64]  # (n,) NaN where there is no answer
    in_set: NDArray[np.bool_] | None  # (n,) None without calibrated sets

    def called(self, threshold: float | None) -> NDArray[np.bool_] | None:
        """Return which light curves (n,) are called transients."""
        return self.in_set if threshold is None else self.p >= threshold


def _answers(model: Model, curves: LightCurves, members: list[int], count: int) -> _GateAnswers:
    """Return the answers about light curves, none with fewer than ``count`` observations."""
    prepared = prepare(curves, model.preprocessing)
    p = np.asarray(compute_output(model, prepared, 0).probabilities, np.float64)
    sets = model.prediction_sets("stream", p, prepared.n_points)
    probability = np.where(prepared.usable & (curves.n_obs >= count), p[:, members].sum(1), np.nan)
    return _GateAnswers(probability, None if sets is None else np.asarray(sets[:, members].any(1)))


def gate_rows(scores: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows of a table from `GateScore.to_dict`; ``titles`` name the columns, others are left out."""
    rows = []
    for score in scores:
        by_set = score["threshold"] is None
        lost = "no transient in the set" if by_set else "not called a transient"
        called = "a transient in the set" if by_set else "called one"
        row = {"group": score["group"], "error": lost if score["transient"] else called}
        for key, title in titles.items():
            estimate = score["wrong"].get(key)
            row[title] = "-" if estimate is None else f"{_percent(Estimate.from_dict(estimate))} of {score['n'][key]:,}"
        rows.append(row)
    return rows


def _percent(x: Estimate) -> str:
    return f"{100 * x.value:.1f} % [{100 * x.low:.1f}, {100 * x.high:.1f}]"
