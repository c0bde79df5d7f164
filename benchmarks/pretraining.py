"""Is pre-training without labels worth it? With 20, 100 and 500 labels per class, beside training from scratch.

::

    python -m benchmarks.pretraining --data FOLDER --out DIR      # FOLDER/asas_acvs/lightcurves.parquet, ...
    python -m benchmarks.pretraining --only asas --seeds 3        # one data set; asas, plasticc, crts
    python -m benchmarks.pretraining --table DIR                  # the table of what is done so far

The arms "scratch" and "pre-trained" have the same network, labels, schedule and number of gradient steps, and their
last epoch counts: so few labels leave none to choose an epoch by. In "gentle" the pre-trained encoder learns at a tenth
of the head's rate; "scratch-gentle" does the same with random weights, "scratch-long" makes twice the steps: what
pre-training adds must be more than what these do. A seed draws the labels and the initial weights; the encoder is
trained once. The held-out stars are those of the recipe's split, which the encoder hasn't seen either. A random forest
gets the same labels. Every run is resumed where it stopped; finished ones are read from DIR.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import t

from goodricke.evaluation.intervals import Estimate, Z, bootstrap_sums, star_sums
from goodricke.models.bundle import Model
from goodricke.preprocess import Prepared, Steps
from goodricke.preprocess.tensors import length_buckets
from goodricke.training.baselines.features import simple_statistics
from goodricke.training.baselines.forest import features_if_installed, fit_forest
from goodricke.training.experiment import prepare_once, pretrain_recipe, split_objects
from goodricke.training.families import Network, build_network, family_of
from goodricke.training.labels import Labelled, limit_labels, read_everything
from goodricke.training.pretraining import load_initial
from goodricke.training.recipe import Recipe, read_recipe, resolve_recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION

RECIPES = Path(__file__).parents[1] / "recipes"
EPOCHS = {  # of the fit by labels per class: the fewer labels, the more often each is seen
    "asas": {20: 60, 100: 30, 500: 12},
    "crts": {20: 60, 100: 30, 500: 12},
    "plasticc": {20: 30, 100: 12, 500: 5},
}


class Arm(NamedTuple):
    """A way to train a network."""

    pretrained: bool
    rate: float = 1.0  # of the encoder, over the head's (ASTRAFier alone has two)
    epochs: int = 1  # times as many


ARMS = {
    "scratch": Arm(False),
    "pre-trained": Arm(True),
    "gentle": Arm(True, rate=0.1),
    "scratch-gentle": Arm(False, rate=0.1),
    "scratch-long": Arm(False, epochs=2),
}
GAINS = (
    ("pre-trained", "scratch"),
    ("gentle", "scratch"),
    ("gentle", "scratch-gentle"),
    ("pre-trained", "scratch-long"),
    ("gentle", "scratch-long"),
)
RESAMPLES = 1000


class Material(NamedTuple):
    """What all runs on a data set share."""

    name: str
    recipe: Recipe
    data: Labelled
    prepared: Prepared
    features: NDArray  # (n, F) of the forest
    pool: NDArray[np.int64]  # rows from which labels are drawn
    test: NDArray[np.int64]
    encoder: Model


def material(name: str, data: Path | None, out: Path, console: Console) -> Material:
    """Read and prepare a data set, and pre-train its encoder."""
    recipe = read_recipe(RECIPES / f"pretrain-{name}.toml")
    config = recipe.data.model_copy(update={"per_class": None})
    if data is not None:
        curves = [str(data / Path(path).parent.name / Path(path).name) for path in config.light_curves]
        labels = data / Path(config.labels).parent.name / Path(config.labels).name
        config = config.model_copy(update={"light_curves": curves, "labels": str(labels)})
    recipe = recipe.model_copy(update={"run": out / name, "data": config})
    encoder = load_initial(str(pretrain_recipe(recipe, console=console)))
    labelled, everything = read_everything(config)
    recipe = resolve_recipe(recipe, everything.curves, encoder.config)
    shared = recipe.model_copy(update={"run": out / name / "pretraining"})  # where the encoder's are kept
    prepared = prepare_once(shared, everything.curves, console).take(everything.labelled)
    parts = split_objects(recipe, labelled, prepared)
    pool = np.sort(np.concatenate([parts[TRAIN], parts[VALIDATION]]))
    inputs = forest_features(labelled, prepared)
    return Material(name, recipe, labelled, prepared, inputs, pool, parts[TEST], encoder)


def forest_features(data: Labelled, prepared: Prepared) -> NDArray:
    """Return the inputs (n, F) of the better forest: simple statistics and periods, or light-curve features."""
    simple = simple_statistics(data.curves)[0]
    if isinstance(prepared, Steps):
        features = features_if_installed(data.curves, prepared)
        return simple if features is None else features
    return np.hstack([simple, np.nan_to_num(prepared.context, nan=-999)])


def drawn(m: Material, labels: int, seed: int) -> NDArray[np.int64]:
    """Return the rows whose labels are known, as many of each class."""
    parts = {TRAIN: m.pool, VALIDATION: m.pool[:0], TEST: m.test}
    return limit_labels(parts, m.data.label, labels, seed)[TRAIN]


def run(m: Material, arm: str, labels: int, seed: int, out: Path) -> None:
    """Train once; write the probabilities of the held-out light curves to ``out``."""
    rows = drawn(m, labels, seed)
    if arm == "forest":
        forest = fit_forest(m.features[rows], m.data.label[rows], m.data.classes, seed=seed)
        probabilities = forest.probabilities(m.features[m.test])
    else:
        probabilities = fitted(m, arm, labels, seed, rows, out.with_suffix(""))
    partial = out.with_suffix(".partial.npz")
    np.savez(partial, probabilities=probabilities.astype(np.float32), labels=len(rows))
    partial.replace(out)


def fitted(m: Material, arm: str, labels: int, seed: int, rows: NDArray[np.int64], folder: Path) -> NDArray[np.float32]:
    """Return what a network says of the held-out light curves after the last epoch of its training."""
    how, base = ARMS[arm], m.recipe.training
    epochs = how.epochs * EPOCHS[m.name][labels]
    rate = base.rate if isinstance(m.prepared, Steps) else base.head_rate  # the recipes' own is that of "gentle"
    changes = {"seed": seed, "epochs": epochs, "patience": epochs, "rate": how.rate * rate, "init": None}
    training = base.model_copy(update=changes)
    recipe = m.recipe.model_copy(update={"training": training})
    init = m.encoder if how.pretrained else None
    network = build_network(recipe, m.data.classes, (), init)
    validation = rows[:16]  # nothing is selected by it
    silent: Any = lambda _: None  # noqa: E731
    fit = family_of(recipe.preprocessing).fit
    fit(recipe, network, init, m.prepared, m.data, (), rows, validation, folder, silent, silent)
    last = torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
    network.load_state_dict(last)
    return answers(network.eval(), m.prepared, m.test)


@torch.inference_mode()
def answers(network: Network, prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return probabilities (n', C) of one deterministic pass."""
    result: Any = None
    for bucket in length_buckets(prepared.padded[rows], 16384, 256):
        logits = network.output(prepared.batch(rows[bucket])).logits.float()  # type: ignore[arg-type]
        result = np.zeros((len(rows), logits.shape[1]), np.float32) if result is None else result
        result[bucket] = logits.softmax(1).numpy()
    return result


# ---- scores ---------------------------------------------------------------------------------------------------------


def scores(confusion: NDArray) -> NDArray:
    """Return accuracy and macro F1, (..., 2), of confusion matrices (..., C, C), true classes in rows."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(-1) + confusion.sum(-2)
    there = confusion.sum(-1) > 0
    f1 = np.where(there, 2 * right / np.maximum(both, 1), np.nan)
    return np.stack([right.sum(-1) / confusion.sum((-2, -1)), np.nanmean(f1, -1)], -1)


def samples(label: NDArray, star: NDArray, answer: NDArray, classes: int) -> NDArray:
    """Return accuracy and macro F1 of all held-out stars, then of bootstrap samples of them, (1 + R, 2)."""
    sums = star_sums(star, [(label * classes + answer, np.ones(len(label)))], classes * classes)
    whole = np.asarray(sums.sum(axis=0)).reshape(1, -1)
    confusion = np.concatenate([whole, bootstrap_sums(sums, RESAMPLES, 0)]).reshape(-1, classes, classes)
    return scores(confusion)


def estimates(found: NDArray) -> list[Estimate]:
    """Return the means over seeds of figures (S, 1 + R, F), and their 95 % intervals: over stars and over seeds.

    Half an interval is the root of two squares: 1.96 standard deviations of bootstrap samples of the stars, which all
    seeds share, and Student's t over the seeds, of which one alone tells nothing.
    """
    seeds = len(found)
    half = Z * found[:, 1:].mean(0).std(0, ddof=1)
    if seeds > 1:
        half = np.hypot(half, t.ppf(0.975, seeds - 1) * found[:, 0].std(0, ddof=1) / np.sqrt(seeds))
    value = found[:, 0].mean(0)
    return [Estimate(*map(float, x)) for x in zip(value, value - half, value + half, strict=True)]


def summary(folder: Path) -> dict[str, Any]:
    """Return, for each data set and number of labels, the figures of each arm and what pre-training adds."""
    result: dict[str, Any] = {}
    for truth in sorted(folder.glob("*/truth.npz")):
        for labels in (20, 100, 500):
            found = {arm: by_seed(truth, arm, labels) for arm in ("forest", *ARMS)}
            found = {arm: runs for arm, runs in found.items() if runs}
            if found:
                result[f"{truth.parent.name} {labels}"] = compared(found) | about(truth, labels)
    return result


def about(truth: Path, labels: int) -> dict[str, int]:
    """Return how many light curves are held out, and how many labels are known."""
    known = np.load(next(truth.parent.glob(f"*-{labels}-?.npz")))["labels"]
    return {"held out": len(np.load(truth)["label"]), "labels": int(known)}


def by_seed(truth: Path, arm: str, labels: int) -> dict[int, NDArray]:
    """Return `samples` of the finished runs of an arm by their seeds."""
    known, paths = np.load(truth), truth.parent.glob(f"{arm}-{labels}-?.npz")
    given = known["label"], known["star"]
    return {
        int(path.stem[-1]): samples(*given, np.load(path)["probabilities"].argmax(1), int(known["classes"]))
        for path in sorted(paths)
    }


def compared(found: dict[str, dict[int, NDArray]]) -> dict[str, Any]:
    """Return the figures of the arms on the seeds that they have, and the gains on those that both have."""
    runs = dict(found)
    for a, b in GAINS:
        both = sorted(set(found.get(a, {})) & set(found.get(b, {})))
        runs |= {f"{a} - {b}": {k: found[a][k] - found[b][k] for k in both}} if both else {}
    return {
        arm: {
            "seeds": list(each),
            "by seed": [x[0].round(4).tolist() for x in each.values()],
            "figures": estimates(np.stack(list(each.values()))),
        }
        for arm, each in runs.items()
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the figures as Markdown: a row for each data set, number of labels and arm, and for each gain."""
    lines = ["| set, labels per class | labels | arm | seeds | accuracy | of each seed | macro F1 |"]
    lines += ["|---|---:|---|---:|---|---|---|"]
    for case, figures in found.items():
        for arm in [name for name in figures if name not in ("held out", "labels")]:
            form = "+.3f" if " - " in arm else ".3f"
            accuracy, f1 = (x.text(form) for x in figures[arm]["figures"])
            each = " ".join(f"{x[0]:{form}}" for x in figures[arm]["by seed"])
            row = [case, str(figures["labels"]), arm, str(len(figures[arm]["seeds"])), accuracy, each, f1]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def cases(names: list[str], seeds: int, labels: list[int]) -> Iterator[tuple[int, str, int]]:
    """Yield seed, data set and number of labels: the quick ones first."""
    for number in labels:
        for seed in range(1, seeds + 1):
            for name in names:
                yield seed, name, number


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets; the recipes' own by default")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs")] = Path("runs/pretraining"),
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(EPOCHS)}; may be repeated")] = None,
    arms: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(ARMS)}; the first two by default")] = None,
    labels: Annotated[list[int] | None, typer.Option(help="Labels per class; 20, 100 and 500 by default")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of labels and initial weights")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch")] = 1,
    table: Annotated[Path | None, typer.Option(help="Only print the table of what is done in this folder")] = None,
) -> None:
    """Measure what pre-training without labels adds to few labels."""
    if table is not None:
        print(markdown(summary(table)))
        return
    torch.set_num_threads(threads)
    console, ready = Console(), {}
    for seed, name, number in cases(only or list(EPOCHS), seeds, labels or [20, 100, 500]):
        if name not in ready:
            m = ready[name] = material(name, data, out, console)
            known = {"label": m.data.label[m.test], "star": m.data.star[m.test], "classes": len(m.data.classes)}
            np.savez(out / name / "truth.npz", **known)
        for arm in ("forest", *(arms or list(ARMS)[:2])):
            path = out / name / f"{arm}-{number}-{seed}.npz"
            if not path.exists():
                run(ready[name], arm, number, seed, path)
        found = summary(out)  # after each: the whole takes long
        console.print(f"{name}, {number} labels per class, seed {seed}: done")
        (out / "table.md").write_text(markdown(found))
        (out / "table.json").write_text(json.dumps(found, indent=2))
    print(markdown(summary(out)))


if __name__ == "__main__":
    typer.run(main)
