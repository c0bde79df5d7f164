"""The model card: what a model is for, what it was trained on, how well it does beside baselines, what to beware of."""

from __future__ import annotations

import json

import numpy as np
import torch
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.baselines.suite import BASELINES
from goodricke.evaluation.metrics import Scores, compare
from goodricke.evaluation.regression import RegressionScores
from goodricke.models.bundle import Model
from goodricke.training.labelled import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION

TITLES = {
    "deterministic": "One pass without dropout",
    "monte_carlo": "Mean of Monte-Carlo passes (the default)",
} | {name: f"Baseline: {title}, same split" for name, title in BASELINES.items()}
NETWORKS = {"astrafier": "ASTRAFier", "multiband": "one recurrent network per band and a central one"}


def model_card(
    recipe: Recipe,
    model: Model,
    label: NDArray[np.int64],
    probabilities: dict[str, NDArray],
    scores: dict[str, Scores],
    regression: dict[str, dict[str, RegressionScores]],
    data: Labelled,
    parts: dict[str, NDArray[np.int64]],
    run: Run,
) -> str:
    """Return a card in Markdown.

    Parameters
    ----------
    recipe, model, data, parts, run
        What was trained, on what, and how.
    label : int64 (n,)
        Of the held-out light curves.
    probabilities, scores : dict
        Of one pass, of Monte-Carlo passes and of the baselines, on the held-out light curves.
    regression : dict
        Of each physical parameter, by the network and by a forest.
    """
    settings = recipe.training
    source = "**Trained on simulated light curves.**\n\n" if recipe.simulated else ""
    sections = "\n".join(f"## {TITLES[name]}\n\n{s.markdown()}" for name, s in scores.items())
    split = (
        f"the survey's own split ({recipe.data.split or recipe.data.test_labels})"
        if recipe.data.split or recipe.data.test_labels
        else f"split by star, stratified by class, seed {recipe.data.seed}"
    )
    monte_carlo = f", {model.mc_temperature:.3f} (mean of Monte-Carlo passes)" if "monte_carlo" in scores else ""
    hours = sum(h["seconds"] for h in run.history) / 3600
    return f"""# {recipe.name}

{source}{recipe.summary}

- Network: {NETWORKS[model.config.family]}, {model.network.n_parameters:,} parameters ({json.dumps(recipe.network)}).
- Preprocessing: {recipe.preprocessing.kind}, see `config.json`.
- Data: {recipe.data.name}; {len(parts[TRAIN]):,} light curves to train,
  {len(parts[VALIDATION]):,} to choose the best epoch and the temperatures, {len(parts[TEST]):,} held out; {split};
  a star is known by its id, and by positions within {recipe.data.same_star:g} arcsec where there are any; held-out
  stars within {max(recipe.data.guard, recipe.data.same_star):g} arcsec of another part's are left out.
- Merged labels: {json.dumps(recipe.data.merge)}; dropped: {json.dumps(recipe.data.drop)}.
- Training: {run.epoch} epochs (best: {run.best_epoch + 1}), batch {settings.batch}, learning rate {settings.rate:g}
  ({settings.schedule}), class weights (N / N_c)^{settings.weight_power:g}, seed {settings.seed},
  {hours:.2f} h, {torch.get_num_threads()} threads.
- Temperatures, fitted on validation objects: {model.temperature:.3f} (one pass){monte_carlo}.
- goodricke {__version__}, BSD-3-Clause.

All scores are on the held-out stars, with 95 % bootstrap intervals over stars.

{_against_baselines(label, probabilities, data, parts)}
{sections}
{_regressed(regression, model)}## Beware

Light curves of another survey, cadence or brightness range, and classes that are not listed, get an answer all the
same: the probabilities hold for objects like those it was trained on.
"""


def _against_baselines(
    label: NDArray[np.int64], probabilities: dict[str, NDArray], data: Labelled, parts: dict[str, NDArray[np.int64]]
) -> str:
    """Return a table of the network's lead over the baselines on the same held-out light curves."""
    ours = "monte_carlo" if "monte_carlo" in probabilities else "deterministic"
    lines = ["| network minus | accuracy | macro F1 | McNemar p |", "|---|---|---|---|"]
    for name, title in BASELINES.items():
        if name in probabilities:
            c = compare(label, probabilities[name], probabilities[ours], data.star[parts[TEST]])
            lines.append(f"| {title} | {c.accuracy} | {c.macro_f1} | {c.p_value:.1g} |")
    return "\n".join(lines) + "\n"


def _regressed(regression: dict[str, dict[str, RegressionScores]], model: Model) -> str:
    """Return a table of how well physical parameters are regressed; nothing if there are none."""
    if not regression:
        return ""
    lines = ["## Physical parameters", "", "| parameter | by | n | R2 | RMSE | MAE |", "|---|---|---|---|---|---|"]
    for target in model.config.targets:
        for kind, s in regression[target.name].items():
            name = f"{target.name} [{target.unit}]" if target.unit else target.name
            lines.append(f"| {name} | {kind} | {s.n:,} | {s.r2} | {s.rmse} | {s.mae} |")
    return "\n".join(lines) + "\n\n"
