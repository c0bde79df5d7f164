"""Scores of each survey in its own labels, and how well the survey can be guessed from embeddings.

A label of a survey is a set of leaves, and its probability the sum over them. Labels of equal sets are one. Of labels
whose sets overlap ("contact", and "any close binary") the smaller one is scored; an object of the larger one may be of
either and is left out. Leaves that no label of the survey allows don't compete: the survey asks which of its labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from goodricke.data.taxonomy import Taxonomy
from goodricke.evaluation.calibration_scores import forecast_error
from goodricke.evaluation.intervals import Estimate, mean_estimate, star_numbers
from goodricke.evaluation.scores import Scores, score

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Int = NDArray[np.int64]

FOLDS = 3  # of the cross-validation that guesses the survey
FEWEST = 30  # stars of a leaf in a survey, for the guess
MOST = 600  # light curves of a leaf and a survey, drawn at random: a linear classifier needs no more
REGULARISATION = 0.1  # C of scikit-learn's logistic regression
FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "calibration_error": "ECE",
    "outside": "leaf of none of the labels",
    "coverage": "sets hold a leaf of the label",
}


SHOWN = (("accuracy", "accuracy"), ("macro_f1", "macro F1"))  # of baselines
SHORT = {"forest": "forest on simple statistics", "forest_folds": "forest on all that the network knows"}


class OwnLabels(NamedTuple):
    """The labels of one survey as classes that exclude each other."""

    names: tuple[str, ...]  # (M,) in the survey's words; labels of one set joined by ", "
    leaves: Mask  # (M, L)
    place: Int  # (n,) of each object's label among them, -1 where its label overlaps others
    overlapping: dict[str, int]  # objects by label that is left out


@dataclass(frozen=True, eq=False)
class SurveyScores:
    """The scores of one survey's held-out light curves in its own labels.

    Parameters
    ----------
    survey : str
    is_unseen : bool
        Whether the whole survey was kept out of the training.
    labels : tuple of str
    overlapping : dict of (str, int)
        Light curves by label that overlaps others, left out.
    scores : Scores
        Of the model, among the survey's labels.
    calibration_error : Estimate
        Of the probability of the answered label, as it is: not brought to a sum of 1 over the survey's labels.
    outside : Estimate
        Fraction whose most probable leaf is in none of the survey's labels.
    coverage : Estimate, optional
        Fraction whose prediction set has a leaf of the label.
    set_size : float
        Mean number of leaves in a set.
    baselines : dict of Scores
        Of other classifiers of the same leaves.
    """

    survey: str
    is_unseen: bool
    labels: tuple[str, ...]
    overlapping: Mapping[str, int]
    scores: Scores
    calibration_error: Estimate
    outside: Estimate
    coverage: Estimate | None = None
    set_size: float = np.nan
    baselines: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, Estimate | None]:
        """The figures by the names in `FIGURES`."""
        own = {"calibration_error": self.calibration_error, "outside": self.outside, "coverage": self.coverage}
        return {name: own.get(name, getattr(self.scores, name, None)) for name in FIGURES}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text for JSON."""
        wanted = ("accuracy", "balanced_accuracy", "macro_f1")
        return {
            "survey": self.survey,
            "is_unseen": self.is_unseen,
            "n": int(self.scores.n.sum()),
            "stars": self.scores.stars,
            "labels": dict(zip(self.labels, self.scores.n.tolist(), strict=True)),
            "overlapping": dict(self.overlapping),
            "figures": {k: None if x is None else x.to_dict() for k, x in self.figures.items()},
            "set_size": None if np.isnan(self.set_size) else self.set_size,
            "baselines": {k: {x: getattr(s, x).to_dict() for x in wanted} for k, s in self.baselines.items()},
        }


def own_labels(label: NDArray, allowed: Mask) -> OwnLabels:
    """Return the labels of one survey as classes.

    Parameters
    ----------
    label : (n,) of str
        In the survey's words.
    allowed : bool (n, L)
        The leaves that each allows.

    Returns
    -------
    OwnLabels
        A class for each set of leaves that is disjoint from the smaller ones; of overlapping sets of one size the one
        with more objects.
    """
    label = np.asarray(label).astype(str)
    sets, index, count = np.unique(allowed, axis=0, return_inverse=True, return_counts=True)
    index, chosen, taken = index.ravel(), list[int](), np.zeros(allowed.shape[1], bool)
    for k in np.lexsort((-count, sets.sum(1))).tolist():
        if sets[k].any() and not (taken & sets[k]).any():
            chosen.append(k)
            taken |= sets[k]
    chosen.sort(key=lambda k: sorted(set(label[index == k].tolist())))
    place = np.full(len(sets), -1)
    place[chosen] = np.arange(len(chosen))
    names = tuple(", ".join(sorted(set(label[index == k].tolist()))) for k in chosen)
    left = Counter(label[place[index] < 0].tolist())
    return OwnLabels(names, sets[chosen], place[index], dict(left.most_common()))


def survey_scores(
    survey: NDArray,
    label: NDArray,
    allowed: Mask,
    probabilities: Float,
    star: Any = None,
    prediction_set: Mask | None = None,
    baselines: Mapping[str, Float] | None = None,
    unseen: Sequence[str] = (),
) -> tuple[SurveyScores, ...]:
    """Score each survey in its own labels.

    Parameters
    ----------
    survey, label : (n,) of str
        Of held-out light curves.
    allowed : bool (n, L)
        The leaves that each label allows.
    probabilities : (n, L)
    star : (n,), optional
    prediction_set : bool (n, L), optional
    baselines : dict of (n, L), optional
        Probabilities of other classifiers.
    unseen : sequence of str
        Surveys that were kept out of the training as a whole.

    Returns
    -------
    tuple of SurveyScores
        Without the surveys that have fewer than two labels of their own.
    """
    survey, label, star = np.asarray(survey).astype(str), np.asarray(label).astype(str), star_numbers(star, len(label))
    result = []
    for name in sorted(set(survey.tolist())):
        rows = np.flatnonzero(survey == name)
        own = own_labels(label[rows], allowed[rows])
        rows, index = rows[own.place >= 0], own.place[own.place >= 0]
        if len(own.names) < 2:
            continue
        p = np.asarray(probabilities[rows], np.float64)
        mass = p @ own.leaves.T  # (n', M)
        right = mass.argmax(1) == index
        member = None if prediction_set is None else prediction_set[rows]
        true, is_outside = own.leaves[index], np.asarray(~np.any(own.leaves, axis=0))[p.argmax(1)]
        others = {k: _score(q[rows] @ own.leaves.T, index, own.names, star[rows]) for k, q in (baselines or {}).items()}
        result.append(
            SurveyScores(
                name,
                name in unseen,
                own.names,
                own.overlapping,
                _score(mass, index, own.names, star[rows]),
                forecast_error(mass.max(1).clip(0, 1), right, star[rows]),
                mean_estimate(is_outside, star[rows]),
                None if member is None else mean_estimate(np.asarray(np.any(member & true, axis=1)), star[rows]),
                np.nan if member is None else float(member.sum(1).mean()),
                others,
            )
        )
    return tuple(result)


def _score(mass: Float, index: Int, names: Sequence[str], star: NDArray) -> Scores:
    """Score the probabilities (n, M) of a survey's labels, brought to a sum of 1."""
    mass = np.asarray(mass, np.float64) + np.finfo(np.float64).tiny
    return score(index, mass / mass.sum(1, keepdims=True), names, star)


# ---- which survey? --------------------------------------------------------------------------------------------------


class SurveyLeak(NamedTuple):
    """How well the survey of the stars of one leaf can be guessed from embeddings."""

    leaf: str
    surveys: dict[str, int]  # light curves used of each
    balanced_accuracy: Estimate

    @property
    def chance(self) -> float:
        """The balanced accuracy of a guess without embeddings."""
        return 1 / len(self.surveys)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text for JSON."""
        return self._asdict() | {"balanced_accuracy": self.balanced_accuracy.to_dict(), "chance": self.chance}


def survey_leaks(
    embedding: NDArray[np.floating], survey: NDArray, allowed: Mask, taxonomy: Taxonomy, star: Any = None, seed: int = 0
) -> tuple[SurveyLeak, ...]:
    """Guess the survey of stars of one leaf from their embeddings.

    A logistic regression of standardised embeddings, with weights that make all surveys count alike, guesses in a
    cross-validation that keeps the light curves of one star together.

    Parameters
    ----------
    embedding : (n, d)
    survey : (n,) of str
    allowed : bool (n, L)
        The leaves that each label allows; stars whose label is one leaf count.
    taxonomy : Taxonomy
        Of L leaves.
    star : (n,), optional
    seed : int
        Of the drawing and the folds.

    Returns
    -------
    tuple of SurveyLeak
        For each leaf with at least `FEWEST` stars in two surveys.
    """
    survey, star = np.asarray(survey).astype(str), star_numbers(star, len(survey))
    rng, leaks, usable = np.random.default_rng(seed), [], np.isfinite(embedding).all(1)
    for k, leaf in enumerate(taxonomy.leaves):
        own = np.flatnonzero(usable & (allowed.sum(1) == 1) & allowed[:, k])
        parts = {name: own[survey[own] == name] for name in sorted(set(survey[own].tolist()))}
        parts = {x: rng.permutation(rows)[:MOST] for x, rows in parts.items() if len(np.unique(star[rows])) >= FEWEST}
        if len(parts) < 2:
            continue
        rows, names = np.concatenate(list(parts.values())), tuple(parts)
        label = np.repeat(np.arange(len(parts)), [len(part) for part in parts.values()])
        guess = _guessed(np.asarray(embedding[rows], np.float64), label, star[rows], seed)
        figure = score(label, np.eye(len(names))[guess], names, star[rows]).balanced_accuracy
        leaks.append(SurveyLeak(leaf, {name: len(part) for name, part in parts.items()}, figure))
    return tuple(leaks)


@threadpool_limits.wrap(limits=1, user_api="blas")  # small matrices: threads only wait for each other
def _guessed(x: Float, label: Int, star: NDArray, seed: int) -> Int:
    """Return the guessed label (n,) of each row of x (n, d) by a classifier that has not seen its star."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=300, tol=0.01)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    guess: Int = cross_val_predict(make_pipeline(StandardScaler(), linear), x, label, groups=star, cv=folds)
    return guess


# ---- tables ---------------------------------------------------------------------------------------------------------


def survey_rows(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a row of text for each survey, from what `SurveyScores.to_dict` made, for a table in any medium."""
    rows = []
    for x in scores:
        row = {"survey": (x["survey"] or "all") + (" (not trained on)" if x["is_unseen"] else "")}
        row |= {"labels": str(len(x["labels"])), "n": f"{x['n']:,}"}
        row |= {title: str(Estimate.from_dict(x["figures"][name])) for name, title in FIGURES.items()}
        if x["set_size"] is not None:
            row["leaves in a set"] = f"{x['set_size']:.2f}"
        for name, baseline in x["baselines"].items():
            row |= {
                f"{key}, {SHORT.get(name, name)}": str(Estimate.from_dict(baseline[figure])) for figure, key in SHOWN
            }
        rows.append(row)
    return rows


def survey_notes(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what the numbers of `survey_rows` leave out, in sentences."""
    notes = []
    for x in scores:
        if x["is_unseen"]:
            notes.append(
                f"No light curve of {x['survey']} was in the training: its scores are those of a survey left out."
            )
        if x["overlapping"]:
            names = ", ".join(f"{label} ({n:,})" for label, n in x["overlapping"].items())
            notes.append(f"{x['survey'] or 'Left out'}: labels that overlap others are not scored: {names}.")
    return notes


def leak_rows(leaks: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a row of text for each leaf, from what `SurveyLeak.to_dict` made, for a table in any medium."""
    return [
        {
            "stars of": x["leaf"],
            "surveys": ", ".join(f"{name} {n:,}" for name, n in x["surveys"].items()),
            "survey guessed, balanced accuracy": str(Estimate.from_dict(x["balanced_accuracy"])),
            "chance": f"{x['chance']:.2f}",
        }
        for x in leaks
    ]
