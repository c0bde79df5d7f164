"""Evaluate models on labelled light curves: read a sample, run the models, score them, print and write the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke.data.predictions import Output, Status
from goodricke.evaluation.assessment import Assessment, ModelResult, StepProbabilities, assess, knows, unknown_classes
from goodricke.evaluation.papers import print_printed
from goodricke.evaluation.report import build
from goodricke.evaluation.report.terminal import print_assessment, write_files
from goodricke.evaluation.sample import Sample, count_training_objects, read_sample
from goodricke.inference import compute_output, step_probabilities
from goodricke.models.bundle import Model, load_model
from goodricke.models.multiband import Multiband
from goodricke.preprocess import Prepared, Steps, prepare
from goodricke.training.recipe import DataConfig, Recipe, read_recipe
from goodricke.training.splits import TEST

TENSORS = ".safetensors"  # suffix of files of light curves with their labels (goodricke.io.products.astrafier)


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
        Of a recipe only the held-out test objects of its run are scored; otherwise all labelled light curves.
    out : path, optional
        Folder to write to: ``metrics.json``, figures, and a folder per model.
    split : path, optional
        A run's ``split.csv``, for a DataConfig: only its test objects are scored.
    passes, seed, workers
        As in `goodricke.classify`.
    history : list of str
        Ids of objects whose probabilities are drawn observation by observation (multi-band models).
    device : str
    console : rich Console, optional
    report : path, optional
        OUT.html: a page with all results and figures; OUT.md and OUT.json with the same numbers are written beside it,
        and the figures of the former in OUT_figures/.
    shift : list of str
        More light curves, without labels: the report tests whether they differ from the scored ones.
    simulated : bool
        Whether the light curves are simulations, where no recipe says so.

    Raises
    ------
    ValueError
        If no object can be scored, a file is not what it should be, or an object of ``history`` is not in the sample.

    Examples
    --------
    >>> from goodricke.training.recipe import read_recipe
    >>> evaluate(["runs/my/model"], read_recipe("my.toml")).scores["my"].accuracy  # doctest: +SKIP
    Estimate(value=0.931, low=0.921, high=0.941)
    """
    console = console or Console()
    build.check_options(report, shift)
    loaded = _by_name([model if isinstance(model, Model) else load_model(model, device) for model in models])
    with console.status("Reading light curves and labels"):
        sample = read_sample(data, [model.config for model in loaded.values()], split)
        sample = sample._replace(simulated=sample.simulated or simulated)
        other = build.read_shift_set(shift, data.data if isinstance(data, Recipe) else data) if shift else None
    if not any(knows(model, sample.label).any() for model in loaded.values()):
        raise ValueError(unknown_classes(sample, loaded))
    _check_history(history, sample, loaded)
    result = assess(sample, _run(loaded, sample, passes, seed, workers, console))
    print_assessment(result, console)
    print_printed(result, data.paper if isinstance(data, Recipe) else "", console)
    if out is not None:
        with console.status("Drawing figures"):
            write_files(result, Path(out), history)
        console.print(f"Metrics, predictions and figures written to {out}")
    if report is not None:
        build.write_report(result, Path(report), other, passes, workers, console)
        console.print(f"Report written to {report}, with .md and .json beside it", markup=False)
    return result


def data_source(
    recipe: Path | None,
    light_curves: Sequence[str] | None,
    labels: Path | None,
    split: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Recipe | DataConfig:
    """Return the recipe, or the light curves and labels with options of ``[data]``, that a command line names.

    Raises
    ------
    ValueError
        If it names both or neither, or light curves without labels. A file of tensors holds its labels.
    """
    if recipe is not None:
        values: dict[str, Any] = {"light_curves": light_curves, "labels": labels, "split": split, **(options or {})}
        spelling = {"columns": "column", "rename_bands": "band", "period": "period_column"}
        if more := ["--" + spelling.get(name, name).replace("_", "-") for name, value in values.items() if value]:
            raise ValueError(f"--recipe says which objects and how to read them: leave out {', '.join(more)}")
        return read_recipe(recipe)
    if light_curves and labels is None and len(light_curves) == 1 and light_curves[0].endswith(TENSORS):
        part = {"split": "part"} if Path(light_curves[0]).stem == TEST else {}  # the file's makers held it out
        return DataConfig(light_curves=list(light_curves), labels=light_curves[0], **dict(options or {}), **part)
    if not light_curves or labels is None:
        raise ValueError("which objects? Give --recipe RECIPE.toml, or both --light-curves and --labels")
    return DataConfig(light_curves=list(light_curves), labels=str(labels), **dict(options or {}))


def _by_name(models: Sequence[Model]) -> dict[str, Model]:
    """Return models by name; those of one name, such as folds, are numbered."""
    if not models:
        raise ValueError("no model to evaluate: name at least one")
    count, number = Counter(model.name for model in models), Counter[str]()
    result = {}
    for model in models:
        number[model.name] += 1
        result[f"{model.name}-{number[model.name]}" if count[model.name] > 1 else model.name] = model
    if len(result) < len(models):
        raise ValueError(f"the names of these models collide: {', '.join(count)}. Fix: evaluate them apart")
    return result


def _check_history(history: Sequence[str], sample: Sample, models: Mapping[str, Model]) -> None:
    """Refuse objects that can't be drawn, before the models run."""
    if history and not any(isinstance(model.network, Multiband) for model in models.values()):
        raise ValueError("--history: only multi-band models classify after every observation, and none of these is one")
    absent = sorted(set(history) - set(sample.curves.ids))
    if absent:
        raise ValueError(
            f"--history {absent[0]}: no such object among {sample.origin}; their ids look like {sample.curves.ids[:3]}"
        )


def _run(
    models: Mapping[str, Model], sample: Sample, passes: int, seed: int, workers: int, console: Console
) -> dict[str, ModelResult]:
    """Run each model on a sample; models of the same preprocessing share its result."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    prepared: dict[str, Prepared] = {}
    results = {}
    with Progress(*columns, console=console, transient=True) as progress:
        for name, model in models.items():
            bar = progress.add_task(name, total=len(sample.label))
            key = model.preprocessing.model_dump_json()
            if key not in prepared:
                prepared[key] = prepare(sample.curves, model.preprocessing, workers)
            output = compute_output(model, prepared[key], passes, seed, lambda n, bar=bar: progress.advance(bar, n))  # type: ignore[misc]
            results[name] = _result(model, prepared[key], output)
    return results


def _result(model: Model, prepared: Prepared, output: Output) -> ModelResult:
    """Return the output of a model with the statuses, the probabilities after each step and the training objects."""
    not_finite = prepared.usable & ~np.isfinite(output.probabilities).all(1)
    status = np.where(not_finite, Status.NON_FINITE, prepared.status)
    steps = StepProbabilities(prepared, step_probabilities(model, prepared)) if isinstance(prepared, Steps) else None
    return ModelResult(
        model, prepared, output, status, steps, count_training_objects(model, prepared.object_id.to_pylist())
    )
