"""The model card: what a model is for, what it was trained on, how well it does beside baselines, what to beware of."""

from __future__ import annotations

import json

import numpy as np
import torch
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.evaluation.metrics import Scores, compare
from goodricke.models.bundle import Model
from goodricke.training.loop import Run
from goodricke.training.recipe import Labelled, Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION

BASELINES = {
    "forest": "Random forest on simple statistics, same split",
    "forest_period": "Random forest on simple statistics and the network's own period features, same split",
}
TITLES = {
    "deterministic": "One pass without dropout",
    "monte_carlo": "Mean of Monte-Carlo passes (the default)",
} | {name: f"Baseline: {title[0].lower()}{title[1:]}" for name, title in BASELINES.items()}


def model_card(
    recipe: Recipe,
    model: Model,
    label: NDArray[np.int64],
    probabilities: dict[str, NDArray],
    scores: dict[str, Scores],
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
        Of one pass, of Monte-Carlo passes and of the forests, on the held-out light curves.
    """
    settings = recipe.training
    source = "**Trained on simulated light curves.**\n\n" if recipe.simulated else ""
    sections = "\n".join(f"## {TITLES[name]}\n\n{s.markdown()}" for name, s in scores.items())
    hours = sum(h["seconds"] for h in run.history) / 3600
    return f"""# {recipe.name}

{source}{recipe.summary}

- Network: ASTRAFier, {model.network.n_parameters:,} parameters ({json.dumps(recipe.network)}).
- Preprocessing: {recipe.preprocessing.kind}, see `config.json`.
- Data: {recipe.data.name}; {len(parts[TRAIN]):,} light curves to train,
  {len(parts[VALIDATION]):,} to choose the best epoch and the temperatures, {len(parts[TEST]):,} held out; split by star
  (ids, and positions within {recipe.data.same_star:g} arcsec), stratified by class, seed {recipe.data.seed};
  held-out stars within {max(recipe.data.guard, recipe.data.same_star):g} arcsec of another part's are left out.
- Merged labels: {json.dumps(recipe.data.merge)}; dropped: {json.dumps(recipe.data.drop)}.
- Training: {run.epoch} epochs (best: {run.best_epoch + 1}), batch {settings.batch}, learning rate {settings.rate:g}
  ({settings.schedule}), class weights (N / N_c)^{settings.weight_power:g}, seed {settings.seed},
  {hours:.2f} h, {torch.get_num_threads()} threads.
- Temperatures, fitted on validation objects: {model.temperature:.3f} (one pass), {model.mc_temperature:.3f} (mean of
  Monte-Carlo passes).
- goodricke {__version__}, BSD-3-Clause.

All scores are on the held-out stars, with 95 % bootstrap intervals over stars.

{_against_forests(label, probabilities, data, parts)}
{sections}
## Beware

Light curves of another survey, cadence or brightness range, and classes that are not listed, get an answer all the
same: the probabilities hold for objects like those it was trained on.
"""


def _against_forests(
    label: NDArray[np.int64], probabilities: dict[str, NDArray], data: Labelled, parts: dict[str, NDArray[np.int64]]
) -> str:
    """Return a table of the network's lead over the forests on the same held-out light curves."""
    ours = "monte_carlo" if "monte_carlo" in probabilities else "deterministic"
    lines = ["| network minus | accuracy | macro F1 | McNemar p |", "|---|---|---|---|"]
    for name, title in BASELINES.items():
        if name in probabilities:
            c = compare(label, probabilities[name], probabilities[ours], data.star[parts[TEST]])
            lines.append(f"| {title[0].lower()}{title[1:]} | {c.accuracy} | {c.macro_f1} | {c.p_value:.1g} |")
    return "\n".join(lines) + "\n"
