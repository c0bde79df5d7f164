"""Carry a training recipe out: read, prepare, fit, calibrate, score on held-out stars, write model and card."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke import __version__
from goodricke.baselines.features import simple_statistics
from goodricke.baselines.forest import fit_forest
from goodricke.evaluation.figures import plot_confusion, plot_history, plot_reliability
from goodricke.evaluation.metrics import Scores, score
from goodricke.inference import ask
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model, load_model, resolve_device
from goodricke.predictions import Predictions
from goodricke.preprocess import Prepared, prepare
from goodricke.training import loop
from goodricke.training.astrafier import fit
from goodricke.training.recipe import Labelled, Recipe, read_labelled
from goodricke.training.splits import TEST, TRAIN, VALIDATION, split_by_star
from goodricke.uncertainty.calibration import fit_temperature


def run_recipe(recipe: Recipe, device: str = "cpu", console: Console | None = None) -> Path:
    """Train a model as a recipe says; return the folder of the finished bundle, ``run/model``.

    Parameters
    ----------
    recipe : Recipe
    device : str
        As in `goodricke.load_model`. Under ``torchrun`` every process takes its own GPU and its share of each batch.
    console : rich Console, optional
    """
    console = console or Console()
    where = join_processes(device)
    first = loop.rank_and_world()[0] == 0
    if not first:
        console = Console(quiet=True)
    recipe.run.mkdir(parents=True, exist_ok=True)
    (recipe.run / "recipe.json").write_text(recipe.model_dump_json(indent=2))
    data = read_labelled(recipe.data)
    prepared = _prepared(recipe, data, console)
    part = _split(recipe, data, prepared)
    parts = {name: np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST)}
    console.print(f"{len(data.classes)} classes, " + ", ".join(f"{len(rows):,} to {k}" for k, rows in parts.items()))
    network = build_network(recipe, data.classes).to(where)
    run = _fit(recipe, network, prepared, data, parts, console)
    if not first:
        return recipe.run / "model"
    model = Model(_bundle_config(recipe, data, network), network.eval())
    logits = _logits(model, prepared, parts[VALIDATION])
    model.temperature = fit_temperature(logits, data.label[parts[VALIDATION]])
    scores = _score(model, prepared, data, parts, recipe)
    return _write(recipe, model, prepared, data, parts, scores, run, console)


def join_processes(device: str) -> torch.device:
    """Join the processes started by ``torchrun``, if any; return this process's device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) < 2:
        return resolve_device(device)
    local = f"cuda:{os.environ['LOCAL_RANK']}" if device.startswith("cuda") else device
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return resolve_device(local)


def build_network(recipe: Recipe, classes: tuple[str, ...]) -> Astrafier:
    """Return the network of a recipe, freshly initialised or with the weights of ``[training] init``.

    From another model everything is taken that has the same shape: with other classes, all but the last layer.
    """
    sizes = {"channels": recipe.preprocessing.channels, "context": recipe.preprocessing.context}
    config = TypeAdapter(AstrafierConfig).validate_python(recipe.network | sizes | {"classes": len(classes)})
    torch.manual_seed(recipe.training.seed)
    network = Astrafier(config)
    if recipe.training.init is not None:
        ours, theirs = network.state_dict(), load_model(recipe.training.init).network.state_dict()
        network.load_state_dict(ours | {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape})
    return network


def _prepared(recipe: Recipe, data: Labelled, console: Console) -> Prepared:
    """Preprocess, or take what an interrupted run has left in its folder."""
    file = recipe.run / "prepared.npz"
    key = f"{recipe.preprocessing.model_dump_json()} {recipe.data.model_dump_json()} {len(data.curves)}"
    frames = getattr(recipe.preprocessing, "frames", None)
    if not file.exists() and loop.rank_and_world()[0] == 0:
        with console.status(f"Preprocessing {len(data.curves):,} light curves"):
            made = prepare(data.curves, recipe.preprocessing, recipe.training.workers)
        arrays = {k: getattr(made, k) for k in ("offsets", "time", "values", "context", "status")}
        np.savez(file.with_suffix(".partial.npz"), allow_pickle=False, key=np.array(key), **arrays)
        file.with_suffix(".partial.npz").replace(file)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    with np.load(file) as kept:
        if str(kept["key"]) != key:
            raise ValueError(f"{file}: made with other data or preprocessing; delete it or choose another run folder")
        arrays = {k: kept[k] for k in ("offsets", "time", "values", "context", "status")}
    return Prepared(data.curves.object_id, **arrays, frames=frames)


def _split(recipe: Recipe, data: Labelled, prepared: Prepared) -> NDArray[np.str_]:
    """Return train, validation or test for each light curve, nothing for those that can't be classified."""
    part = np.full(len(prepared), "", "<U10")
    ok, config = prepared.usable, recipe.data
    part[ok] = split_by_star(data.star[ok], data.label[ok], config.test, config.validation, config.seed)
    return part


def _fit(
    recipe: Recipe, network: Astrafier, prepared: Prepared, data: Labelled, parts: dict, console: Console
) -> loop.Run:
    """Train with a progress bar and a line per epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    settings = recipe.training
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("light curves", total=len(parts[TRAIN]) * settings.epochs)

        def report(figures: dict[str, float]) -> None:
            progress.update(bar, completed=len(parts[TRAIN]) * (figures["epoch"] + 1))
            progress.console.print(
                f"epoch {figures['epoch'] + 1:3d}  loss {figures['loss']:.3f}"
                f"  validation {figures['validation_loss']:.3f}  accuracy {figures['accuracy']:.3f}"
                f"  macro recall {figures['macro_recall']:.3f}"
                f"  {figures['seconds']:.0f} s"
            )

        return fit(
            network,
            prepared,
            data.label,
            parts[TRAIN],
            parts[VALIDATION],
            settings,
            recipe.run / "checkpoints",
            settings.weight_power,
            settings.score,
            report,
            lambda objects: progress.advance(bar, objects),
        )


def _bundle_config(recipe: Recipe, data: Labelled, network: Astrafier) -> BundleConfig:
    return BundleConfig(
        name=recipe.name,
        summary=recipe.summary,
        classes=data.classes,
        network=network.config.model_dump(),
        preprocessing=recipe.preprocessing,
        trained_on=Path(recipe.data.labels).parent.name,
        unit=data.curves.unit,
        bands=data.curves.bands,
        simulated=recipe.simulated,
        version=__version__,
    )


def _logits(model: Model, prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate([model.logits(prepared, part)[0] for part in np.array_split(rows, max(len(rows) // 64, 1))])


def _score(model: Model, prepared: Prepared, data: Labelled, parts: dict, recipe: Recipe) -> dict[str, Any]:
    """Score held-out stars: one deterministic pass, Monte-Carlo passes, and the forests."""
    rows = parts[TEST]
    label, star, held_out = data.label[rows], data.star[rows], prepared.take(rows)
    answers = {"deterministic": ask(model, held_out, 0)}
    if recipe.training.passes:
        answers["monte_carlo"] = ask(model, held_out, recipe.training.passes)
    scores = {k: score(label, a.probabilities, data.classes, star) for k, a in answers.items()}
    known = np.concatenate([parts[TRAIN], parts[VALIDATION]])
    features, _ = simple_statistics(data.curves)
    inputs = {"forest": features}
    if prepared.context.shape[1]:  # period and folded statistics, which the network gets too
        inputs["forest_period"] = np.hstack([features, prepared.context])
    for name, x in inputs.items():
        forest = fit_forest(x[known], data.label[known], data.classes)
        scores[name] = score(label, forest.probabilities(x[rows]), data.classes, star)
    return {"scores": scores, "answers": answers, "label": label}


def _write(
    recipe: Recipe,
    model: Model,
    prepared: Prepared,
    data: Labelled,
    parts: dict,
    found: dict,
    run: Any,
    console: Console,
) -> Path:
    """Write bundle, card, metrics, figures, split and held-out predictions into the run folder."""
    scores: dict[str, Scores] = found["scores"]
    best = "monte_carlo" if "monte_carlo" in scores else "deterministic"
    metrics = {k: s.to_dict() for k, s in scores.items()}
    (recipe.run / "metrics.json").write_text(json.dumps(metrics, indent=2))
    headline = {k: m["headline"] for k, m in metrics.items()}
    model.config = model.config.model_copy(update={"metrics": headline})
    rows = parts[TEST]
    few = prepared.take(rows[np.linspace(0, len(rows) - 1, min(8, len(rows))).astype(int)])
    saved = model.save(recipe.run / "model", card(recipe, model, scores, parts, run), few)
    plot_history(run.history, recipe.run / "history.png")
    plot_confusion(scores[best], recipe.run / "confusion.png")
    plot_reliability(found["label"], found["answers"][best].probabilities, recipe.run / "reliability.png")
    part = np.full(len(data.label), "", dtype=object)
    for name, members in parts.items():
        part[members] = name
    split = {"object_id": data.curves.ids, "label": np.array(data.classes)[data.label], "part": part}
    pd.DataFrame(split).to_csv(recipe.run / "split.csv", index=False)
    _predictions(saved, prepared.take(rows), found, best, data).write(recipe.run / "test_predictions.parquet")
    console.print(scores[best].table())
    for name in (k for k in scores if k.startswith("forest")):
        console.print(f"{_TITLES[name]}: accuracy {scores[name].accuracy}, macro F1 {scores[name].macro_f1}")
    console.print(f"Model {saved.hash} written to {recipe.run / 'model'}")
    return recipe.run / "model"


def _predictions(model: Model, held_out: Prepared, found: dict, best: str, data: Labelled) -> Predictions:
    a = found["answers"][best]
    label = pa.table({"label": pa.array(np.array(data.classes)[found["label"]].tolist())})
    return Predictions.build(
        held_out.object_id,
        held_out.status,
        model.classes,
        a.probabilities,
        held_out.n_points,
        a.spread,
        a.mutual_information,
        a.embedding,
        model.name,
        model.hash,
        label,
    )


def card(recipe: Recipe, model: Model, scores: dict[str, Scores], parts: dict, run: Any) -> str:
    """Return the model card: what it is for, what it was trained on, how well it does, what to beware of."""
    source = "**Trained on simulated light curves.**\n\n" if recipe.simulated else ""
    settings = recipe.training
    sections = "\n".join(f"## {_TITLES[k]}\n\n{s.markdown()}\n" for k, s in scores.items())
    return f"""# {recipe.name}

{source}{recipe.summary}

- Network: ASTRAFier, {model.network.n_parameters:,} parameters ({json.dumps(recipe.network)}).
- Preprocessing: {recipe.preprocessing.kind}, see `config.json`.
- Data: {Path(recipe.data.labels).parent.name}; {len(parts[TRAIN]):,} light curves to train,
  {len(parts[VALIDATION]):,} to choose the best epoch and the temperature, {len(parts[TEST]):,} held out; split by star
  (ids and positions), stratified by class, seed {recipe.data.seed}.
- Merged labels: {json.dumps(recipe.data.merge)}; dropped: {json.dumps(recipe.data.drop)}.
- Training: {run.epoch} epochs (best: {run.best_epoch + 1}), batch {settings.batch}, learning rate {settings.rate:g}
  ({settings.schedule}), class weights (N / N_c)^{settings.weight_power:g}, seed {settings.seed},
  {sum(h["seconds"] for h in run.history) / 3600:.2f} h on {platform.processor() or platform.machine()}, one thread.
- Temperature {model.temperature:.3f}, fitted on the validation objects.
- goodricke {__version__}, BSD-3-Clause.

All scores are on the held-out stars, with 95 % bootstrap intervals over stars.

{sections}
## Beware

Light curves of another survey, cadence or brightness range, and classes that are not listed, get an answer all the
same: the probabilities hold for objects like those it was trained on.
"""


_TITLES = {
    "deterministic": "One pass without dropout",
    "monte_carlo": "Mean of Monte-Carlo passes (the default)",
    "forest": "Baseline: random forest on simple statistics, same split",
    "forest_period": "Baseline: random forest on simple statistics and the network's own period features, same split",
}
