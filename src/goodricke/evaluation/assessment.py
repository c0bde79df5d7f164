"""Scores of trained models on one sample of labelled light curves.

Several models, such as the folds of a cross-validation, are scored on the same objects: those whose class all models
know and that all models can classify. The other objects are counted. The statistics come from the other modules of
`goodricke.evaluation`; this module combines them (Becker et al. 2025, sections 5-6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.data import ragged
from goodricke.data.predictions import MEANING, Output, Status
from goodricke.evaluation.early import STEPS, ScoresByNumber, ScoresByTruncation, score_by_number, score_by_truncation
from goodricke.evaluation.folds import FoldSummary, Quartiles, regression_across_folds, summarise_folds
from goodricke.evaluation.period_scores import PeriodScore, groups_of, period_scores, search_of
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.evaluation.sample import Sample
from goodricke.evaluation.scores import Comparison, Scores, compare, likely_labels, score
from goodricke.evaluation.survey_scores import SurveyLeak, SurveyScores, survey_leaks, survey_scores
from goodricke.evaluation.taxonomy_scores import (
    LabelScore,
    NodeScore,
    PhysicsCheck,
    allowed_leaves,
    check_periods,
    score_labels,
    score_nodes,
)
from goodricke.models.bundle import Model
from goodricke.preprocess import Prepared, Steps

Int = NDArray[np.int64]
MOST_BINS, BIN_OBJECTS = 8, 40  # bins of the number of observations, and objects wanted in each
LAST_CUT_RATIO = 1.2  # least ratio of the longest light curve to the last cut before it


class StepProbabilities(NamedTuple):
    """The class probabilities of a multi-band model after each of M steps."""

    steps: Steps  # of n objects
    probabilities: NDArray[np.float32]  # (M, C)

    def select(self, rows: Int) -> tuple[NDArray[np.float64], NDArray[np.float32], Int]:
        """Return times (M',), probabilities (M', C) and offsets (n' + 1,) of the objects ``rows`` (n',)."""
        points, offsets = ragged.gather(rows, self.steps.offsets)
        return self.steps.time[points], self.probabilities[points], offsets


class ModelResult(NamedTuple):
    """A model and its output for a sample of n objects."""

    model: Model
    prepared: Prepared
    output: Output
    status: NDArray[np.str_]  # (n,)
    steps: StepProbabilities | None  # of a multi-band model
    training_objects: int | None  # how many of the n the model's run trained on; None if it left no split

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Whether each object is classified, (n,)."""
        return self.status == Status.OK


@dataclass(frozen=True, eq=False)
class Assessment:
    """Scores of models on one sample; dictionaries are by the names of the models.

    Parameters
    ----------
    sample : Sample
        Of n objects.
    models : dict of ModelResult
    classes : tuple of str (C,)
        Of all models.
    rows : int64 (m,)
        The objects that are scored: of a class that all models know, and classified by all models.
    label : int64 (m,)
    probabilities : dict of (m, C)
        Zero for a class that a model doesn't have.
    scores : dict of Scores
    by_number : dict of ScoresByNumber
    early : dict of ScoresByTruncation
        Of multi-band models.
    regression : dict of dict of RegressionScores
        By model, then by parameter.
    comparison : Comparison, optional
        Of two models, the second minus the first.
    folds : FoldSummary, optional
        Of three models or more.
    allowed : bool (m, C), optional
        The classes that each label allows, if models have a taxonomy; ``label`` is then the most probable of them.
    by_label, nodes, physics
        Of models with a taxonomy: by label of the survey, by node, and of class and period together.
    surveys, leaks
        Of models with a taxonomy: each survey in its own labels, and how well the survey is guessed from embeddings.
    periods
        Of models that answer periods, where the catalog has some.
    """

    sample: Sample
    models: dict[str, ModelResult]
    classes: tuple[str, ...]
    rows: Int
    label: Int
    probabilities: dict[str, NDArray[np.float64]]
    scores: dict[str, Scores]
    by_number: dict[str, ScoresByNumber]
    early: dict[str, ScoresByTruncation]
    regression: dict[str, dict[str, RegressionScores]]
    comparison: Comparison | None = None
    folds: FoldSummary | None = None
    allowed: NDArray[np.bool_] | None = None
    by_label: dict[str, tuple[LabelScore, ...]] = field(default_factory=dict)
    nodes: dict[str, tuple[NodeScore, ...]] = field(default_factory=dict)
    physics: dict[str, PhysicsCheck] = field(default_factory=dict)
    surveys: dict[str, tuple[SurveyScores, ...]] = field(default_factory=dict)
    leaks: dict[str, tuple[SurveyLeak, ...]] = field(default_factory=dict)
    periods: dict[str, tuple[PeriodScore, ...]] = field(default_factory=dict)

    @property
    def star(self) -> Int:
        """The star of each scored object, (m,)."""
        return self.sample.star[self.rows]

    @property
    def curves(self) -> Any:
        """The light curves of the scored objects."""
        return self.sample.curves[self.rows]

    @property
    def is_complete(self) -> bool:
        """Whether every model has classified every object."""
        return all(result.ok.all() for result in self.models.values())

    def unknown_labels(self, name: str) -> dict[str, int]:
        """Return the labels that a model has no class for, with the number of objects."""
        known = knows(self.models[name].model, self.sample.label)
        return _count(self.sample.label[~known])

    def unclassified(self, name: str) -> dict[str, int]:
        """Return the number of objects with each status but OK."""
        return _count(status for status in self.models[name].status if status != Status.OK)

    @property
    def warnings(self) -> list[str]:
        """Reasons why all scores may be too good."""
        lines = []
        if not self.sample.held_out:
            lines.append(
                "Training objects may be among these: nothing says that they were held out, and scores on training "
                "objects say nothing about new objects. Give --recipe, or --split with the split.csv."
            )
        for name, x in self.models.items():
            if x.training_objects:
                lines.append(
                    f"{name} was trained or validated on {x.training_objects:,} of these {len(x.status):,} objects "
                    "(split.csv beside the model): its scores are too good."
                )
        return lines

    def unscored_notes(self, name: str) -> list[str]:
        """Return notes on the objects that a model was not scored on, with the reasons."""
        notes = []
        if unknown := self.unknown_labels(name):
            counts = ", ".join(f"{label} ({count:,})" for label, count in unknown.items())
            notes.append(f"{name} has no class for these labels, left out: {counts}.")
        for status, count in self.unclassified(name).items():
            notes.append(f"{name}: {count:,} not scored, {status}: {MEANING[Status(status)]}.")
        return notes

    @property
    def regression_folds(self) -> dict[str, dict[str, Quartiles]]:
        """Quartiles over three models or more of the scores of each parameter that all models regress."""
        folds = list(self.regression.values())
        common = [t for t in folds[0] if all(t in scores for scores in folds)] if len(folds) >= 3 else []
        return {t: regression_across_folds([scores[t] for scores in folds]) for t in common}

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as plain lists and numbers for JSON."""
        counts = {"labelled": len(self.sample.label), "scored": len(self.rows)}
        objects = {"origin": self.sample.origin, "held_out": self.sample.held_out} | counts
        result: dict[str, Any] = {"objects": objects, "models": {name: self._model_dict(name) for name in self.models}}
        if self.comparison is not None:
            first, second = self.models
            result["comparison"] = {"of": second, "less": first} | self.comparison.to_dict()
        if self.folds is not None:
            regression = {t: {k: q.to_dict() for k, q in x.items()} for t, x in self.regression_folds.items()}
            result["folds"] = self.folds.to_dict() | {"regression": regression}
        return result

    def _model_dict(self, name: str) -> dict[str, Any]:
        result = self.models[name]
        return (
            {
                "source": str(result.model.folder),
                "hash": result.model.hash,
                "trained_on": result.training_objects,
                "unknown_labels": self.unknown_labels(name),
                "without_answer": self.unclassified(name),
                "scores": self.scores[name].to_dict(),
                "by_number": self.by_number[name].to_dict(),
                "early": self.early[name].to_dict() if name in self.early else None,
                "regression": {t: s.to_dict() for t, s in self.regression[name].items()},
            }
            | self._taxonomy_dict(name)
            | self.survey_records(name)
        )

    def survey_records(self, name: str) -> dict[str, Any]:
        """Return the scores of one model by survey, of its periods, and of what it knows of the survey, as data."""
        parts: dict[str, dict[str, Any]]
        parts = {"by_survey": self.surveys, "periods": self.periods, "survey_leak": self.leaks}
        return {key: [x.to_dict() for x in part[name]] for key, part in parts.items() if part.get(name)}

    def _taxonomy_dict(self, name: str) -> dict[str, Any]:
        """Return the scores of a model with a taxonomy by label, by node and of class and period together."""
        if name not in self.nodes:
            return {}
        physics = self.physics.get(name)
        return {
            "by_label": [x.to_dict() for x in self.by_label[name]],
            "by_node": [x.to_dict() for x in self.nodes[name]],
            "physics": None if physics is None else physics.to_dict(),
        }


def assess(sample: Sample, models: dict[str, ModelResult]) -> Assessment:
    """Score the output of models for a sample, all models on the same objects.

    Raises
    ------
    ValueError
        If no object is left to score.
    """
    classes = tuple(dict.fromkeys(c for result in models.values() for c in result.model.classes))
    allowed = _allowed(sample.label, [result.model for result in models.values()], classes)
    known = allowed.any(1)
    rows = np.flatnonzero(known & np.all([result.ok for result in models.values()], axis=0))
    if not len(rows):
        raise ValueError(_nothing_to_score(sample, models, int(known.sum())))
    star, allowed = sample.star[rows], allowed[rows]
    p = {
        name: align_classes(result.output.probabilities[rows], result.model.classes, classes)
        for name, result in models.items()
    }
    first, *others = p.values()
    label = likely_labels(np.mean(list(p.values()), axis=0), allowed)  # of a set the most probable class
    trees = {name: result.model.config.taxonomy for name, result in models.items()}
    n_obs = sample.curves.n_obs[rows]
    edges, scores = number_edges(n_obs), {name: score(allowed, q, classes, star) for name, q in p.items()}
    return Assessment(
        sample,
        models,
        classes,
        rows,
        label,
        p,
        scores,
        by_number={name: score_by_number(label, q, n_obs, edges, star) for name, q in p.items()},
        early={
            name: _score_early(result.steps, rows, label, result.model.classes, classes, star)
            for name, result in models.items()
            if result.steps is not None
        },
        regression={name: _score_parameters(result, sample, rows) for name, result in models.items()},
        comparison=compare(allowed, first, others[0], star) if len(others) == 1 else None,
        folds=summarise_folds(list(scores.values())) if len(p) >= 3 else None,
        periods={name: _score_periods(result, sample) for name, result in models.items()},
        **_score_taxonomies(sample, models, rows, allowed if any(trees.values()) else None),
    )


def _score_taxonomies(
    sample: Sample, models: Mapping[str, ModelResult], rows: Int, allowed: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Return what `Assessment` holds of models with a taxonomy."""
    by_label, nodes, physics, surveys, leaks = {}, {}, {}, {}, {}
    words, star = (sample.label if sample.words is None else sample.words)[rows], sample.star[rows]
    for name, result in models.items():
        tree, p = result.model.config.taxonomy, np.asarray(result.output.probabilities, np.float64)
        if tree is None:
            continue
        truth = allowed_leaves(sample.label[rows], tree)
        by_label[name] = score_labels(tree, words, truth, p[rows], star)
        nodes[name] = score_nodes(tree, truth, p[rows], star)
        if (check := check_periods(tree, result.output, result.ok, sample.star)) is not None:
            physics[name] = check
        if sample.survey is None:
            continue
        member = None if result.output.prediction_set is None else result.output.prediction_set[rows]
        own = survey_scores(
            sample.survey[rows], sample.own_words[rows], truth, p[rows], star, member, unseen=sample.unseen
        )
        surveys[name] = own
        if len(embedding := result.output.embedding):
            leaks[name] = survey_leaks(embedding[rows], sample.survey[rows], truth, tree, star)
    found = {"by_label": by_label, "nodes": nodes, "physics": physics, "surveys": surveys, "leaks": leaks}
    return {"allowed": allowed} | found


def _score_periods(result: ModelResult, sample: Sample) -> tuple[PeriodScore, ...]:
    """Score the periods of a model, by survey and label."""
    if sample.period is None:
        return ()
    survey = np.full(len(sample.label), "") if sample.survey is None else sample.survey
    groups = groups_of(survey, sample.own_words)
    catalog = np.where(result.ok, sample.period, np.nan)
    search = search_of(result.model.preprocessing)
    return period_scores(sample.curves, result.prepared, result.output, catalog, groups, sample.star, search)


def knows(model: Model, label: NDArray) -> NDArray[np.bool_]:
    """Return whether labels (n,) are a class of the model, or allow a leaf of its taxonomy."""
    return np.asarray(np.any(_classes_of(model, label), axis=1))


def _classes_of(model: Model, label: NDArray) -> NDArray[np.bool_]:
    """Return the model's classes (n, c) that labels allow."""
    same = np.asarray(label).astype(str)[:, None] == np.array(model.classes)
    tree = model.config.taxonomy
    return same if tree is None else allowed_leaves(label, tree)


def _allowed(label: NDArray, models: Sequence[Model], classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return the classes (n, C) that labels allow and all models know."""
    known = [align_classes(_classes_of(model, label), model.classes, classes) for model in models]
    return np.all(known, axis=0)


def _nothing_to_score(sample: Sample, models: Mapping[str, ModelResult], known: int) -> str:
    """Return the reason why no object is left."""
    if not known:
        return unknown_classes(sample, {name: result.model for name, result in models.items()})
    reasons = {f"{name} {status}" for name, result in models.items() for status in {*result.status} - {Status.OK}}
    return f"none of the {known} objects of known classes is classified by all models: " + ", ".join(sorted(reasons))


def unknown_classes(sample: Sample, models: Mapping[str, Model]) -> str:
    """Return a message that no label is a class that all models know."""
    names = ", ".join(_count(sample.label))
    known = ", ".join(f"{name}: {' '.join(model.classes)}" for name, model in models.items())
    return (
        f"none of {len(sample.label)} objects ({sample.origin}) can be scored: their labels are {names}, and the "
        f"classes of the models {known}. Give them the same names: [data.merge] in a recipe, or in the table of labels"
    )


def align_classes(p: NDArray, columns: Sequence[str], classes: Sequence[str]) -> NDArray:
    """Return probabilities (..., C) of ``classes`` from those of ``columns`` (..., c), zero for the other classes."""
    result = np.zeros((*p.shape[:-1], len(classes)), p.dtype)
    result[..., [list(classes).index(c) for c in columns]] = p
    return result


def number_edges(n_obs: ArrayLike) -> NDArray[np.float64]:
    """Return edges of bins of the number of observations (n,) that hold about as many objects each.

    Examples
    --------
    >>> number_edges([5] * 40 + [30] * 40)
    array([ 5., 30., 31.])
    >>> number_edges([7, 7])
    array([7., 8.])
    """
    number = np.asarray(n_obs)
    bins = int(np.clip(len(number) // BIN_OBJECTS, 1, MOST_BINS))
    left = np.unique(np.quantile(number, np.arange(bins) / bins, method="higher"))
    return np.append(left, number.max() + 1).astype(np.float64)


def _score_early(
    steps: StepProbabilities, rows: Int, label: Int, columns: Sequence[str], classes: Sequence[str], star: Int
) -> ScoresByTruncation:
    """Score the light curves cut after a few steps, up to the length of the longest."""
    _, p, offsets = steps.select(rows)
    longest = int(ragged.lengths(offsets).max())
    at = [k for k in STEPS if LAST_CUT_RATIO * k < longest] + [longest]
    return score_by_truncation(label, offsets, align_classes(p, columns, classes), at, star)


def _score_parameters(result: ModelResult, sample: Sample, rows: Int) -> dict[str, RegressionScores]:
    """Score the parameters that a model regresses and that are measured."""
    truth = {name: value[rows] for name, value in sample.targets.items() if np.isfinite(value[rows]).any()}
    return {
        name: score_regression(truth[name], value[rows], sample.star[rows])
        for name, value in result.output.parameters.items()
        if name in truth
    }


def _count(names: Any) -> dict[str, int]:
    """Return the number of times that each name comes, the most frequent first."""
    return dict(Counter(map(str, names)).most_common())
