"""Put trained models to labelled light curves: which objects, whose answers count, the scores, the figures.

Several models, folds or rivals, are scored on one set of objects: those whose class all of them know and that all of
them can answer. What is left out is counted. The numbers come from `goodricke.evaluation`; here they are only put
together (Becker et al. 2025, sections 5-6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke.data import ragged
from goodricke.data.predictions import Status
from goodricke.evaluation.early import AT, ByNumber, ByTruncation, by_number, by_truncation
from goodricke.evaluation.folds import FoldSummary, across_folds, regression_across_folds
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.evaluation.report.terminal import tell, write
from goodricke.evaluation.sample import Sample, read_sample, trained_on
from goodricke.evaluation.scores import Comparison, Scores, compare, score
from goodricke.inference import Answers, ask, step_probabilities
from goodricke.models.bundle import Model, load_model
from goodricke.models.multiband import Multiband
from goodricke.preprocess import Prepared, Steps, prepare
from goodricke.training.recipe import DataConfig, Recipe, read_recipe

Int = NDArray[np.int64]
MOST_BINS, OF_EACH = 8, 40  # bins of the number of observations, and objects wanted in each
APART = 1.2  # ratio of the longest light curve to the last cut before it


class EachStep(NamedTuple):
    """What a multi-band model says after each of M steps."""

    steps: Steps  # of n objects
    probabilities: NDArray[np.float32]  # (M, C)

    def of(self, rows: Int) -> tuple[NDArray[np.float64], NDArray[np.float32], Int]:
        """Return times (M',), probabilities (M', C) and offsets (n' + 1,) of the objects ``rows`` (n',)."""
        points, offsets = ragged.gather(rows, self.steps.offsets)
        return self.steps.time[points], self.probabilities[points], offsets


class Answered(NamedTuple):
    """What one model says of a sample."""

    model: Model
    prepared: Prepared  # n objects
    answers: Answers
    status: NDArray[np.str_]  # (n,)
    each_step: EachStep | None  # of a multi-band model
    trained_on: int | None  # how many of the n are training objects by the split beside the model; None without one

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which objects have an answer, (n,)."""
        return self.status == Status.OK


@dataclass(frozen=True, eq=False)
class Assessment:
    """How well models answer of one sample; dictionaries are by the models' names.

    Parameters
    ----------
    sample : Sample
        Of n objects.
    answered : dict of Answered
    classes : tuple of str (C,)
        Of all models.
    rows : int64 (m,)
        The objects that are scored: known to all models, and answered by all.
    label : int64 (m,)
    probabilities : dict of (m, C)
        Zero for a class that a model doesn't have.
    scores : dict of Scores
    by_number : dict of ByNumber
    early : dict of ByTruncation
        Of multi-band models.
    regression : dict of dict of RegressionScores
        By model, then by parameter.
    comparison : Comparison, optional
        Of two models, the second less the first.
    folds : FoldSummary, optional
        Of three models or more.
    """

    sample: Sample
    answered: dict[str, Answered]
    classes: tuple[str, ...]
    rows: Int
    label: Int
    probabilities: dict[str, NDArray[np.float64]]
    scores: dict[str, Scores]
    by_number: dict[str, ByNumber]
    early: dict[str, ByTruncation]
    regression: dict[str, dict[str, RegressionScores]]
    comparison: Comparison | None = None
    folds: FoldSummary | None = None

    @property
    def complete(self) -> bool:
        """Whether every model has an answer for every object."""
        return all(x.ok.all() for x in self.answered.values())

    def unknown_labels(self, name: str) -> dict[str, int]:
        """Return the labels that a model has no class for, and how many objects have each."""
        return _counted(x for x in self.sample.label if x not in self.answered[name].model.classes)

    def without_answer(self, name: str) -> dict[str, int]:
        """Return how many objects have each status but OK."""
        return _counted(x for x in self.answered[name].status if x != Status.OK)

    @property
    def regression_folds(self) -> dict[str, Any]:
        """Quartiles over three models or more of the scores of each parameter that all of them regress."""
        each = list(self.regression.values())
        common = [t for t in each[0] if all(t in scores for scores in each)] if len(each) >= 3 else []
        return {t: regression_across_folds([scores[t] for scores in each]) for t in common}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON."""
        counts = {"labelled": len(self.sample.label), "scored": len(self.rows)}
        objects = {"origin": self.sample.origin, "held_out": self.sample.held_out} | counts
        result: dict[str, Any] = {"objects": objects, "models": {name: self._model(name) for name in self.answered}}
        if self.comparison is not None:
            first, second = self.answered
            result["comparison"] = {"of": second, "less": first} | self.comparison.to_dict()
        if self.folds is not None:
            regressed = {t: {k: q.to_dict() for k, q in x.items()} for t, x in self.regression_folds.items()}
            result["folds"] = self.folds.to_dict() | {"regression": regressed}
        return result

    def _model(self, name: str) -> dict[str, Any]:
        """Return what concerns one model."""
        told = self.answered[name]
        return {
            "source": str(told.model.folder),
            "hash": told.model.hash,
            "trained_on": told.trained_on,
            "unknown_labels": self.unknown_labels(name),
            "without_answer": self.without_answer(name),
            "scores": self.scores[name].to_dict(),
            "by_number": self.by_number[name].to_dict(),
            "early": self.early[name].to_dict() if name in self.early else None,
            "regression": {t: s.to_dict() for t, s in self.regression[name].items()},
        }


def evaluate(
    models: Sequence[Model | str | Path],
    data: Recipe | DataConfig,
    out: str | Path | None = None,
    *,
    split: str | Path | None = None,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    history: Sequence[str] = (),
    device: str = "cpu",
    console: Console | None = None,
    report: str | Path | None = None,
    shift: Sequence[str] = (),
    simulated: bool = False,
) -> Assessment:
    """Score models on labelled light curves; print tables, write figures, metrics and predictions.

    Parameters
    ----------
    models : list of Model, str or Path
        Folders or shipped names.
    data : Recipe or DataConfig
        Of a recipe only the held-out test objects count, those of its run; otherwise all labelled light curves.
    out : path, optional
        Folder for what is written: ``metrics.json``, figures, and a folder per model.
    split : path, optional
        A run's ``split.csv``, for a DataConfig: only its test objects count.
    passes, seed, workers
        As in `goodricke.classify`.
    history : list of str
        Ids of objects whose probabilities are drawn observation by observation (multi-band models).
    device : str
    console : rich Console, optional
    report : path, optional
        OUT.html: a page that holds everything, figures too; OUT.md and OUT.json with the same numbers are written
        beside it, and the figures of the former in OUT_figures/.
    shift : list of str
        More light curves, without labels: the report says how far they differ from the scored ones.
    simulated : bool
        Whether the light curves are simulations, where no recipe says so.

    Raises
    ------
    ValueError
        If no object can be scored, a file is not what it should be, or an object of ``history`` is not among them.

    Examples
    --------
    >>> from goodricke.training.recipe import read_recipe
    >>> evaluate(["runs/my/model"], read_recipe("my.toml")).scores["my"].accuracy  # doctest: +SKIP
    Estimate(value=0.931, low=0.921, high=0.941)
    """
    from goodricke.evaluation.report import build  # here: it knows the types above

    console = console or Console()
    build.check(report, shift)
    named = _named([model if isinstance(model, Model) else load_model(model, device) for model in models])
    with console.status("Reading light curves and labels"):
        sample = read_sample(data, [model.config for model in named.values()], split)
        sample = sample._replace(simulated=sample.simulated or simulated)
        other = build.read_other(shift, data.data if isinstance(data, Recipe) else data) if shift else None
    _check_classes(sample, named)
    _check_history(history, sample, named)
    result = assess(sample, _ask_all(named, sample, passes, seed, workers, console))
    tell(result, console)
    if out is not None:
        with console.status("Drawing figures"):
            write(result, Path(out), history)
        console.print(f"Metrics, predictions and figures written to {out}")
    if report is not None:
        build.write_report(result, Path(report), other, passes, workers, console)
        console.print(f"Report written to {report}, its twins beside it", markup=False)
    return result


def source(
    recipe: Path | None,
    light_curves: Sequence[str] | None,
    labels: Path | None,
    split: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Recipe | DataConfig:
    """Return what a command line names: a recipe, or light curves and labels with options of ``[data]``.

    Raises
    ------
    ValueError
        If it names both or neither, or the labels are not there.
    """
    if recipe is not None:
        given: dict[str, Any] = {"light_curves": light_curves, "labels": labels, "split": split, **(options or {})}
        spelt = {"columns": "column", "rename_bands": "band"}
        if more := ["--" + spelt.get(name, name).replace("_", "-") for name, value in given.items() if value]:
            raise ValueError(f"--recipe says which objects and how to read them: leave out {', '.join(more)}")
        return read_recipe(recipe)
    if not light_curves or labels is None:
        raise ValueError("which objects? Give --recipe RECIPE.toml, or both --light-curves and --labels")
    return DataConfig(light_curves=list(light_curves), labels=str(labels), **dict(options or {}))


# ---- what the models say ------------------------------------------------------------------------------------------


def _named(models: Sequence[Model]) -> dict[str, Model]:
    """Return models by name; those of one name, such as folds, are numbered."""
    if not models:
        raise ValueError("no model to evaluate: name one at least")
    often, seen = Counter(model.name for model in models), Counter[str]()
    result = {}
    for model in models:
        seen[model.name] += 1
        result[f"{model.name}-{seen[model.name]}" if often[model.name] > 1 else model.name] = model
    if len(result) < len(models):
        raise ValueError(f"models with names that can't be told apart: {', '.join(often)}")
    return result


def _check_classes(sample: Sample, models: Mapping[str, Model]) -> None:
    """Refuse labels that no model knows before the work, not after."""
    if not any(set(model.classes) & set(sample.label) for model in models.values()):
        raise ValueError(_other_classes(sample, models))


def _check_history(history: Sequence[str], sample: Sample, models: Mapping[str, Model]) -> None:
    """Refuse what can't be drawn before the work, not after."""
    if history and not any(isinstance(model.network, Multiband) for model in models.values()):
        raise ValueError("--history: only multi-band models answer at every observation, and none of these is one")
    absent = sorted(set(history) - set(sample.curves.ids))
    if absent:
        raise ValueError(
            f"--history {absent[0]}: no such object among {sample.origin}; their ids look like {sample.curves.ids[:3]}"
        )


def _ask_all(
    models: Mapping[str, Model], sample: Sample, passes: int, seed: int, workers: int, console: Console
) -> dict[str, Answered]:
    """Put a sample to each model; those of one preprocessing share its result."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    prepared: dict[str, Prepared] = {}
    result = {}
    with Progress(*columns, console=console, transient=True) as progress:
        for name, model in models.items():
            bar = progress.add_task(name, total=len(sample.label))
            key = model.preprocessing.model_dump_json()
            if key not in prepared:
                prepared[key] = prepare(sample.curves, model.preprocessing, workers)
            answers = ask(model, prepared[key], passes, seed, lambda n, bar=bar: progress.advance(bar, n))  # type: ignore[misc]
            result[name] = _answered(model, prepared[key], answers)
    return result


def _answered(model: Model, prepared: Prepared, answers: Answers) -> Answered:
    """Return answers with what goes with them."""
    broken = prepared.usable & ~np.isfinite(answers.probabilities).all(1)
    status = np.where(broken, Status.NON_FINITE, prepared.status)
    each_step = EachStep(prepared, step_probabilities(model, prepared)) if isinstance(prepared, Steps) else None
    return Answered(model, prepared, answers, status, each_step, trained_on(model, prepared.object_id.to_pylist()))


# ---- scores -------------------------------------------------------------------------------------------------------


def assess(sample: Sample, answered: dict[str, Answered]) -> Assessment:
    """Score what models say of a sample, all of them on the same objects.

    Raises
    ------
    ValueError
        If no object is left to score.
    """
    classes = tuple(dict.fromkeys(c for x in answered.values() for c in x.model.classes))
    known = np.all([np.isin(sample.label, x.model.classes) for x in answered.values()], axis=0)
    rows = np.flatnonzero(known & np.all([x.ok for x in answered.values()], axis=0))
    if not len(rows):
        raise ValueError(_nothing_to_score(sample, answered, int(known.sum())))
    truth, star = np.array([classes.index(x) for x in sample.label[rows]]), sample.star[rows]
    p = {name: among(x.answers.probabilities[rows], x.model.classes, classes) for name, x in answered.items()}
    n_obs = sample.curves.n_obs[rows]
    edges, scores = number_edges(n_obs), {name: score(truth, q, classes, star) for name, q in p.items()}
    return Assessment(
        *(sample, answered, classes, rows, truth, p, scores),
        by_number={name: by_number(truth, q, n_obs, edges, star) for name, q in p.items()},
        early={
            name: _early(x.each_step, rows, truth, x.model.classes, classes, star)
            for name, x in answered.items()
            if x.each_step is not None
        },
        regression={name: _regression(x, sample, rows) for name, x in answered.items()},
        comparison=_comparison(truth, list(p.values()), star),
        folds=across_folds(list(scores.values())) if len(p) >= 3 else None,
    )


def _nothing_to_score(sample: Sample, answered: Mapping[str, Answered], known: int) -> str:
    """Say why no object is left."""
    if not known:
        return _other_classes(sample, {name: x.model for name, x in answered.items()})
    why = [f"{name} {x}" for x in answered.values() for name in {*x.status} - {Status.OK}]
    return f"none of the {known} objects of known classes is answered by all models: {', '.join(sorted(set(why)))}"


def _other_classes(sample: Sample, models: Mapping[str, Model]) -> str:
    """Say that no label is a class that all models know."""
    names = ", ".join(_counted(sample.label))
    known = ", ".join(f"{name}: {' '.join(model.classes)}" for name, model in models.items())
    return (
        f"none of {len(sample.label)} objects ({sample.origin}) can be scored: their labels are {names}, and the "
        f"classes of the models {known}. Name them alike, with [data.merge] in a recipe or in the table of labels"
    )


def among(p: NDArray, own: Sequence[str], classes: Sequence[str]) -> NDArray:
    """Return probabilities (..., C) among all classes of those among a model's own, zero for the others."""
    result = np.zeros((*p.shape[:-1], len(classes)), p.dtype)
    result[..., [list(classes).index(c) for c in own]] = p
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
    bins = int(np.clip(len(number) // OF_EACH, 1, MOST_BINS))
    left = np.unique(np.quantile(number, np.arange(bins) / bins, method="higher"))
    return np.append(left, number.max() + 1).astype(np.float64)


def _early(
    told: EachStep, rows: Int, label: Int, own: Sequence[str], classes: Sequence[str], star: Int
) -> ByTruncation:
    """Score the light curves cut short, up to where the longest ends."""
    _, p, offsets = told.of(rows)
    longest = int(ragged.lengths(offsets).max())
    at = [k for k in AT if APART * k < longest] + [longest]
    return by_truncation(label, offsets, among(p, own, classes), at, star)


def _comparison(label: Int, p: Sequence[NDArray], star: Int) -> Comparison | None:
    """Compare two models; more or fewer are not compared."""
    return compare(label, p[0], p[1], star) if len(p) == 2 else None


def _regression(told: Answered, sample: Sample, rows: Int) -> dict[str, RegressionScores]:
    """Score the parameters that a model regresses and that are measured."""
    truth = {name: value[rows] for name, value in sample.targets.items() if np.isfinite(value[rows]).any()}
    return {
        name: score_regression(truth[name], value[rows], sample.star[rows])
        for name, value in told.answers.parameters.items()
        if name in truth
    }


def _counted(names: Any) -> dict[str, int]:
    """Return how often each name comes, the most frequent first."""
    return dict(Counter(map(str, names)).most_common())
