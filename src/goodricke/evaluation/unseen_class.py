"""Would a class that nobody has labelled be noticed? Train without each class in turn, then show the model its objects.

A network is trained and calibrated as a recipe says, but for one class that it never sees. Held-out objects of known
classes and all of the class left out are ranked by each score of novelty (`goodricke.uncertainty.novelty`), and by an
isolation forest (Liu, Ting & Zhou 2008) on features as a baseline. Thresholds come from validation objects of known
classes: they promise false alarms, not what will be caught.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from goodricke.evaluation.held_out import fit
from goodricke.evaluation.intervals import Estimate, proportion
from goodricke.evaluation.scores import area_under_curve
from goodricke.models.bundle import BundleConfig, Model, Told, resolve_device
from goodricke.preprocess import MultibandConfig, Prepared, Steps
from goodricke.training.baselines.features import simple_statistics
from goodricke.training.baselines.forest import features_if_installed
from goodricke.training.calibrate import ask, reference
from goodricke.training.experiment import Parts, check_same_run, prepare_once, split_objects
from goodricke.training.families import build_network, family
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import Recipe, resolved
from goodricke.training.splits import TEST, TRAIN, VALIDATION
from goodricke.uncertainty.novelty import KINDS, fit_detector

RATE = 0.01  # of false alarms at which what is caught is counted
TREES = 300
RESAMPLES = 300
ALL = [*KINDS, "isolation_forest"]
TITLES = {
    "combined": "combined",
    "mahalanobis": "Mahalanobis",
    "neighbours": "neighbours",
    "energy": "energy",
    "isolation_forest": "isolation forest",
}

Float = NDArray[np.floating]


def leave_out(
    recipe: Recipe, classes: Sequence[str] = (), device: str = "cpu", console: Console | None = None
) -> dict[str, Any]:
    """Train without each class in turn and measure how well its objects are noticed.

    Parameters
    ----------
    recipe : Recipe
        A finished class is kept in ``run/without/CLASS``: broken off, the same call goes on.
    classes : list of str
        To leave out; all by default.
    device : str
    console : rich Console, optional

    Returns
    -------
    dict
        By class left out, then by score: ``auroc``, ``caught`` (at 1 % promised false alarms) and ``false_alarms``
        (those found), each with its 95 % interval. Also in ``run/novelty.json`` and ``run/novelty.md``.

    Raises
    ------
    ValueError
        If there is no such class, or too few are left.
    """
    console, where = console or Console(), resolve_device(device)
    recipe.run.mkdir(parents=True, exist_ok=True)
    told = recipe.preprocessing.columns if isinstance(recipe.preprocessing, MultibandConfig) else ()
    data = read_labelled(recipe.data, told)
    _check(classes, data.classes)
    recipe = resolved(recipe, data.curves, None)
    prepared = prepare_once(recipe, data.curves, console)
    parts = split_objects(recipe, data, prepared)
    features = _features(data, prepared)
    files = {name: recipe.run / "without" / name.replace("/", "_") / "novelty.json" for name in data.classes}
    settings = recipe.model_dump_json(include={"data", "preprocessing", "network", "training"})
    key = hashlib.sha256(settings.encode()).hexdigest()
    for name in classes or data.classes:
        if _finished(files[name], key) is None:
            files[name].parent.mkdir(parents=True, exist_ok=True)
            own = recipe.model_copy(update={"run": files[name].parent})
            found = _without(name, own, data, prepared, parts, features, where, console)
            _replace(files[name], json.dumps({"settings": key} | found, indent=2))
    kept = {name: _finished(file, key) for name, file in files.items()}
    results = {name: found for name, found in kept.items() if found is not None}
    _write(recipe.run, results)
    console.print(_table(results))
    return results


def _check(wanted: Sequence[str], classes: Sequence[str]) -> None:
    if unknown := sorted(set(wanted) - set(classes)):
        raise ValueError(f"no class {unknown[0]}; there are {', '.join(classes)}")
    if len(classes) < 3:
        raise ValueError(f"{len(classes)} classes: without one of them there is nothing to tell apart")


def _finished(file: Path, key: str) -> dict[str, Any] | None:
    """Return what is kept of a class that was left out with these settings."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found if found.get("settings") == key and set(ALL) <= set(found["scores"]) else None


def _replace(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    partial.replace(file)


def _features(data: Labelled, prepared: Prepared) -> Float:
    """Return what the isolation forest sees of each object, (n, F), without NaN."""
    x = simple_statistics(data.curves)[0]
    if isinstance(prepared, Steps):
        more = features_if_installed(data.curves, prepared)
        x = x if more is None else more
    elif prepared.context.shape[1]:
        x = np.hstack([x, prepared.context])
    return np.nan_to_num(x, nan=-999, posinf=1e9, neginf=-1e9)


def _without(
    name: str,
    recipe: Recipe,
    data: Labelled,
    prepared: Prepared,
    parts: Parts,
    features: Float,
    where: Any,
    console: Console,
) -> dict[str, Any]:
    """Train without a class; return how well each score notices it."""
    out = data.classes.index(name)
    kept = {part: rows[data.label[rows] != out] for part, rows in parts.items()}
    check_same_run(recipe, data, kept)
    classes = tuple(c for c in data.classes if c != name)
    label = np.maximum(data.label - (data.label > out), 0)  # those of the class itself are not asked for
    data = data._replace(label=label, classes=classes)
    network = build_network(recipe, classes, (), None).to(where)
    fit(recipe, network, None, prepared, data, (), kept, console)
    about = {"name": recipe.name, "family": family(network), "preprocessing": recipe.preprocessing}
    config = BundleConfig(classes=classes, network=network.config.model_dump(), **about)
    model = Model(config, network.eval())
    novel = np.setdiff1d(np.concatenate(list(parts.values())), np.concatenate(list(kept.values())))
    scores = _strangeness(model, prepared, data, kept, novel, features)
    result = {kind: _scored(*each) for kind, each in scores}
    answers = ask(model, prepared, kept[TEST])
    accuracy = proportion(answers.logits.argmax(1) == label[kept[TEST]])
    return {"objects": len(novel), "accuracy_of_the_others": accuracy.to_dict(), "scores": result}


def _strangeness(
    model: Model, prepared: Prepared, data: Labelled, kept: Parts, novel: NDArray[np.int64], features: Float
) -> Iterator[tuple[str, tuple[Float, Float, Float]]]:
    """Give each score of novelty of validation, held-out and novel objects."""
    from sklearn.ensemble import IsolationForest

    asked: list[Told] = [ask(model, prepared, rows) for rows in (kept[VALIDATION], kept[TEST], novel)]
    few = reference(kept[TRAIN])
    known = ask(model, prepared, few)
    for kind in KINDS:
        detector = fit_detector(kind, known.features, known.logits, data.label[few])
        validation, test, new = (detector.score(x.features, x.logits) for x in asked)
        yield kind, (validation, test, new)
    forest = IsolationForest(n_estimators=TREES, random_state=0).fit(features[kept[TRAIN]])
    validation, test, new = (-forest.score_samples(features[r]) for r in (kept[VALIDATION], kept[TEST], novel))
    yield "isolation_forest", (validation, test, new)


def _scored(validation: Float, known: Float, novel: Float) -> dict[str, Any]:
    """Return how well a score tells novel objects from held-out ones of known classes."""
    rank = np.searchsorted(np.sort(validation), np.concatenate([known, novel]), side="left") / (len(validation) + 1)
    alarm = rank > 1 - RATE
    figures = {
        "auroc": area_under_curve(known, novel, RESAMPLES),
        "caught": proportion(alarm[len(known) :]),
        "false_alarms": proportion(alarm[: len(known)]),
    }
    return {name: figure.to_dict() for name, figure in figures.items()}


def _write(run: Path, results: dict[str, Any]) -> None:
    _replace(run / "novelty.json", json.dumps(results, indent=2))
    lines = [
        f"| class left out | objects | {' | '.join(TITLES[kind] for kind in ALL)} |",
        "|---|---|" + "---|" * len(ALL),
    ]
    for name, found in results.items():
        lines.append(f"| {name} | {found['objects']:,} | {' | '.join(_cell(found, kind) for kind in ALL)} |")
    lines.append(f"| mean | | {' | '.join(_mean(results, kind) for kind in ALL)} |")
    _replace(run / "novelty.md", "\n".join(lines) + "\n")


def _cell(found: dict[str, Any], kind: str) -> str:
    area, caught = (Estimate(**found["scores"][kind][name]) for name in ("auroc", "caught"))
    return f"{area}; {caught.value:.2f}"


def _mean(results: dict[str, Any], kind: str) -> str:
    area, caught, false = (
        np.mean([found["scores"][kind][name]["value"] for found in results.values()])
        for name in ("auroc", "caught", "false_alarms")
    )
    return f"{area:.3f}; {caught:.2f} (false alarms {false:.3f})"


def _table(results: dict[str, Any]) -> Table:
    title = f"Novelty of classes never seen: AUROC; part caught at {RATE:.0%} promised false alarms"
    table = Table(title=title, title_justify="left")
    for name in ("left out", "objects", *(TITLES[kind] for kind in ALL)):
        table.add_column(name)
    for name, found in results.items():
        table.add_row(name, f"{found['objects']:,}", *(_cell(found, kind).replace("[", r"\[") for kind in ALL))
    table.add_section()
    table.add_row("mean", "", *(_mean(results, kind) for kind in ALL))
    return table
