"""Accuracy on worse light curves: held-out stars with fewer observations, more noise, other errors, or none.

::

    python -m benchmarks.robustness recipes/variables.toml variables --stars 1500

The recipe has been trained: its run folder has the split. An answer is right if the most probable leaf is one of those
that the survey's label allows, as in the cards. All models and all kinds of light curves share the same stars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import goodricke
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.intervals import mean_estimate
from goodricke.inference import compute_output
from goodricke.preprocess import prepare
from goodricke.training.augmentation import with_background
from goodricke.training.labels import LabelSets, read_labelled
from goodricke.training.recipe import read_recipe


def with_points(curves: LightCurves, number: int, seed: int) -> LightCurves:
    """Return light curves of about ``number`` of their observations, chosen at random."""
    rng, owner = np.random.default_rng(seed), ragged.owner(curves.offsets)
    fraction = np.minimum(number / np.maximum(ragged.lengths(curves.offsets), 1), 1)
    return curves.where(rng.random(len(owner)) < fraction[owner])


def with_noise(curves: LightCurves, seed: int) -> LightCurves:
    """Return light curves with as much white noise again as their errors say, and errors that say so."""
    noise = np.nan_to_num(curves.error) * np.random.default_rng(seed).standard_normal(len(curves.error))
    value, error = curves.value + noise, curves.error * np.sqrt(2)
    return replace(curves, value=value.astype(np.float32), error=error.astype(np.float32))


KINDS: dict[str, Callable[[LightCurves], LightCurves]] = {
    "as observed": lambda curves: curves,
    "80 observations": lambda curves: with_points(curves, 80, seed=0),
    "40 observations": lambda curves: with_points(curves, 40, seed=0),
    "noise 1.4 times": lambda curves: with_noise(curves, seed=0),
    "errors twice as large": lambda curves: replace(curves, error=2 * curves.error),
    "no errors": lambda curves: replace(curves, error=np.full_like(curves.error, np.nan)),
}


def main(
    recipe: Annotated[Path, typer.Argument(help="trained, with a taxonomy")],
    models: Annotated[list[str], typer.Argument(help="names or folders")],
    stars: Annotated[int, typer.Option(help="held-out light curves, drawn at random")] = 1500,
    seed: int = 0,
) -> None:
    """Score models on held-out light curves made worse in one way each; one pass, accuracy with 95 % intervals."""
    settings = read_recipe(recipe)
    data = read_labelled(settings.data, settings.preprocessing.columns)
    data = with_background(data, settings.data.background, settings.data.seed)
    assert isinstance(data.label_sets, LabelSets)
    split = pd.read_csv(settings.run / "split.csv", dtype={"object_id": str})
    held_out = np.flatnonzero(split["part"] == "test")
    rows = np.sort(np.random.default_rng(seed).permutation(held_out)[:stars])
    leaves, curves = data.label_sets.leaves[rows], data.curves[rows]
    loaded = [goodricke.load_model(name) for name in models]
    table = Table("light curves", *[f"{model.name} {model.hash}" for model in loaded], title=f"{len(rows):,} held out")
    for name, change in track(KINDS.items(), "kinds of light curves"):
        inputs = {str(model.preprocessing): model.preprocessing for model in loaded}
        prepared_for = {key: prepare(change(curves), config) for key, config in inputs.items()}
        cells = []
        for model in loaded:
            prepared = prepared_for[str(model.preprocessing)]
            answer = compute_output(model, prepared, 0).probabilities[prepared.usable].argmax(1)
            right = leaves[prepared.usable][np.arange(len(answer)), answer]
            cells.append(str(mean_estimate(right, data.star[rows][prepared.usable])))
        table.add_row(name, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
