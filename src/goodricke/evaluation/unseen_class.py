"""Detection of an unseen class by novelty: train without each class in turn, then run the model on its objects.

A network is trained as a recipe says, without the objects of one class. Held-out objects of the other classes and all
objects of the unseen class are ranked by each score of novelty (`goodricke.uncertainty.novelty`), and by an isolation
forest (Liu, Ting & Zhou 2008) on features as a baseline. Thresholds come from validation objects of the other classes:
they set the rate of false alarms, not that of detections.
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
from rich.text import Text

from goodricke.data.files import atomic_write
from goodricke.data.json import dumps
from goodricke.data.taxonomy import Taxonomy
from goodricke.evaluation.intervals import Estimate, proportion
from goodricke.evaluation.scores import area_under_curve
from goodricke.models.bundle import BundleConfig, Model, resolve_device
from goodricke.preprocess import Prepared, Steps
from goodricke.training.augmentation import with_background
from goodricke.training.baselines.features import simple_statistics
from goodricke.training.baselines.forest import features_if_installed
from goodricke.training.calibrate import network_output, reference_objects
from goodricke.training.experiment import Parts, check_same_run, fit_network, prepare_once, split_objects
from goodricke.training.families import build_network
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import Recipe, resolve_recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION
from goodricke.uncertainty.label_sets import likeliest
from goodricke.uncertainty.novelty import KINDS, fit_detector

RATE = 0.01  # nominal, of false alarms
TREES = 300
RESAMPLES = 300
FIGURES = ("auroc", "caught", "false_alarms")
SCORES = [*KINDS, "isolation_forest"]
TITLES = {
    "combined": "combined",
    "mahalanobis": "Mahalanobis",
    "neighbours": "neighbours",
    "energy": "energy",
    "isolation_forest": "isolation forest",
}

Float = NDArray[np.floating]
Int = NDArray[np.int64]


def detect_unseen_classes(
    recipe: Recipe, classes: Sequence[str] = (), device: str = "cpu", console: Console | None = None
) -> dict[str, Any]:
    """Train without each class in turn and measure how well novelty detects its objects.

    Parameters
    ----------
    recipe : Recipe
        The result of a class is kept in ``run/without/CLASS``: an interrupted call continues there.
    classes : list of str
        Unseen ones; each class in turn by default. With a taxonomy also nodes; by default `nodes_to_leave_out`.
    device : str
    console : rich Console, optional

    Returns
    -------
    dict
        By unseen class, then by score: ``auroc``, ``caught`` (the rate of detections at a nominal 1 % of false alarms)
        and ``false_alarms`` (their observed rate), each with its 95 % interval. Also in ``run/novelty.json`` and
        ``run/novelty.md``.

    Raises
    ------
    ValueError
        If there is no such class, or too few are left.
    """
    console, torch_device = console or Console(), resolve_device(device)
    recipe.run.mkdir(parents=True, exist_ok=True)
    data = read_labelled(recipe.data, recipe.preprocessing.columns)
    data = with_background(data, recipe.data.background, recipe.data.seed)
    tree = None if data.label_sets is None else data.label_sets.taxonomy
    names = data.classes if tree is None else tree.names
    _check_classes(classes, names)
    recipe = resolve_recipe(recipe, data.curves, None)
    prepared = prepare_once(recipe, data.curves, console)
    parts = split_objects(recipe, data, prepared)
    features = _features(data, prepared)
    files = {name: recipe.run / "without" / name.replace("/", "_") / "novelty.json" for name in names}
    settings = recipe.model_dump_json(include={"data", "preprocessing", "network", "training"})
    key = hashlib.sha256(settings.encode()).hexdigest()
    for name in classes or (data.classes if tree is None else nodes_to_leave_out(tree)):
        if _read_finished(files[name], key) is None:
            files[name].parent.mkdir(parents=True, exist_ok=True)
            class_recipe = recipe.model_copy(update={"run": files[name].parent})
            result = _evaluate_without(name, class_recipe, data, prepared, parts, features, torch_device, console)
            atomic_write(files[name], dumps({"settings": key} | result, indent=2))
    finished = {name: _read_finished(file, key) for name, file in files.items()}
    results = {name: result for name, result in finished.items() if result is not None}
    _write(recipe.run, results)
    console.print(_table(results))
    return results


def nodes_to_leave_out(tree: Taxonomy) -> list[str]:
    """Return the nodes and leaves whose parents have only leaves or nodes of leaves below: kinds of stars.

    The nodes above leaves, such as RR_LYRAE, but not those above other nodes, such as PULSATING.
    """
    inner = {child for children in tree.nodes.values() for child in children if child in tree.nodes}
    lowest = [name for name in tree.nodes if name in inner and not set(tree.nodes[name]) & set(tree.nodes)]
    return lowest


def _check_classes(wanted: Sequence[str], classes: Sequence[str]) -> None:
    if unknown := sorted(set(wanted) - set(classes)):
        raise ValueError(f"no class {unknown[0]}; there are {', '.join(classes)}")
    if len(classes) < 3:
        raise ValueError(f"{len(classes)} classes: without one of them, at least two must be left")


def _read_finished(file: Path, key: str) -> dict[str, Any] | None:
    """Return the result of a class with these settings, None if there is none."""
    result: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return result if result.get("settings") == key and set(SCORES) <= set(result["scores"]) else None


def _features(data: Labelled, prepared: Prepared) -> Float:
    """Return the features of the isolation forest, (n, F), without NaN."""
    x = simple_statistics(data.curves)[0]
    if isinstance(prepared, Steps):
        more = features_if_installed(data.curves, prepared)
        x = x if more is None else more
    elif prepared.context.shape[1]:
        x = np.hstack([x, prepared.context])
    return np.nan_to_num(x, nan=-999, posinf=1e9, neginf=-1e9)


def _evaluate_without(
    name: str,
    recipe: Recipe,
    data: Labelled,
    prepared: Prepared,
    parts: Parts,
    features: Float,
    device: Any,
    console: Console,
) -> dict[str, Any]:
    """Train without a class; return how well each score detects it."""
    others, novel = _divide(name, data, parts)
    check_same_run(recipe, data, others)
    data = _without(name, data)
    classes = data.classes
    network = build_network(recipe, classes, (), None).to(device)
    fit_network(recipe, network, None, prepared, data, (), others, console)
    config = BundleConfig(
        name=recipe.name,
        family=recipe.preprocessing.family,
        classes=classes,
        network=network.config.model_dump(),
        preprocessing=recipe.preprocessing,
    )
    model = Model(config, network.eval())
    scores = _novelty_scores(model, prepared, data, others, novel, features)
    result = {kind: _detection(*values) for kind, values in scores}
    test = network_output(model, prepared, others[TEST])
    accuracy = proportion(right_answers(data, others[TEST], test.logits))
    return {"objects": len(novel), "accuracy_of_the_others": accuracy.to_dict(), "scores": result}


def _allowed(data: Labelled) -> NDArray[np.bool_]:
    """Return the classes that each label allows, (n, C)."""
    if data.label_sets is not None:
        return data.label_sets.leaves
    return np.asarray(np.arange(len(data.classes)) == data.label[:, None])


def _unseen(name: str, data: Labelled) -> NDArray[np.bool_]:
    """Return which classes (C,) belong to a class or node."""
    if data.label_sets is None:
        return np.asarray(np.isin(np.array(data.classes), [name]))
    mask = np.zeros(len(data.classes), bool)
    mask[list(data.label_sets.taxonomy.members(name))] = True
    return mask


def _divide(name: str, data: Labelled, parts: Parts) -> tuple[Parts, Int]:
    """Return the parts of a split without the unseen class, and all objects of it.

    Objects that may be of it or of another class are in neither.
    """
    unseen, allowed = _unseen(name, data), _allowed(data)
    possible: NDArray[np.bool_] = np.any(allowed[:, unseen], axis=1)
    certain: NDArray[np.bool_] = np.logical_not(np.any(allowed[:, ~unseen], axis=1))
    others = {part: rows[~possible[rows]] for part, rows in parts.items()}
    everything = np.sort(np.concatenate(list(parts.values())))
    return others, everything[certain[everything]]


def _without(name: str, data: Labelled) -> Labelled:
    """Return the labels without an unseen class; those of its objects have no meaning."""
    keep: NDArray[np.bool_] = np.logical_not(_unseen(name, data))
    classes = tuple(np.array(data.classes)[keep].tolist())
    new_index = np.cumsum(keep) - 1
    known = (data.label >= 0) & keep[data.label]
    label = np.where(known, new_index[data.label], 0 if data.label_sets is None else -1)
    sets = data.label_sets
    if sets is not None:
        sets = sets._replace(taxonomy=sets.taxonomy.restricted(classes), leaves=sets.leaves[:, keep])
    return data._replace(label=label, classes=classes, label_sets=sets)


def right_answers(data: Labelled, rows: Int, logits: Float) -> NDArray[np.bool_]:
    """Return whether the most probable class of each object is one that its label allows."""
    return _allowed(data)[rows, logits.argmax(1)]


def _novelty_scores(
    model: Model, prepared: Prepared, data: Labelled, others: Parts, novel: Int, features: Float
) -> Iterator[tuple[str, tuple[Float, Float, Float]]]:
    """Yield each score of novelty for validation, held-out and novel objects."""
    from sklearn.ensemble import IsolationForest

    groups = (others[VALIDATION], others[TEST], novel)
    outputs = [network_output(model, prepared, rows) for rows in groups]
    reference = reference_objects(others[TRAIN])
    training = network_output(model, prepared, reference)
    label = likeliest(training.logits, _allowed(data)[reference])
    for kind in KINDS:
        detector = fit_detector(kind, training.features, training.logits, label)
        validation, test, new = (detector.score(x.features, x.logits) for x in outputs)
        yield kind, (validation, test, new)
    forest = IsolationForest(n_estimators=TREES, random_state=0).fit(features[others[TRAIN]])
    validation, test, new = (-forest.score_samples(features[rows]) for rows in groups)
    yield "isolation_forest", (validation, test, new)


def _detection(validation: Float, known: Float, novel: Float) -> dict[str, Any]:
    """Return how well a score separates novel objects from held-out ones of the other classes."""
    rank = np.searchsorted(np.sort(validation), np.concatenate([known, novel]), side="left") / (len(validation) + 1)
    alarm = rank > 1 - RATE
    figures = {
        "auroc": area_under_curve(known, novel, RESAMPLES),
        "caught": proportion(alarm[len(known) :]),
        "false_alarms": proportion(alarm[: len(known)]),
    }
    return {name: figure.to_dict() for name, figure in figures.items()}


def _write(run: Path, results: dict[str, Any]) -> None:
    """Write the results as JSON and as a Markdown table."""
    atomic_write(run / "novelty.json", dumps(results, indent=2))
    head = ["unseen class", "objects", *(TITLES[kind] for kind in SCORES)]
    lines = [head, ["---"] * len(head), *_rows(results)]
    atomic_write(run / "novelty.md", "".join(f"| {' | '.join(line)} |\n" for line in lines))


def _table(results: dict[str, Any]) -> Table:
    """Return the results as a rich table for the terminal."""
    title = f"Novelty of unseen classes: AUROC; detections at a nominal {RATE:.0%} of false alarms"
    table = Table("unseen class", "objects", *(TITLES[kind] for kind in SCORES), title=title, title_justify="left")
    for row in _rows(results):
        table.add_row(*map(Text, row), end_section=row[0] == list(results)[-1])
    return table


def _rows(results: dict[str, Any]) -> list[list[str]]:
    """Return a row of text for each class, and one of means."""

    def cell(scores: dict[str, Any]) -> str:
        return f"{Estimate(**scores['auroc'])}; {scores['caught']['value']:.2f}"

    def mean(kind: str) -> str:
        values = [[x["scores"][kind][name]["value"] for name in FIGURES] for x in results.values()]
        area, caught, false_alarms = np.mean(values, axis=0)
        return f"{area:.3f}; {caught:.2f} (false alarms {false_alarms:.3f})"

    rows = [[name, f"{x['objects']:,}", *(cell(x["scores"][k]) for k in SCORES)] for name, x in results.items()]
    return [*rows, ["mean", "", *map(mean, SCORES)]]
