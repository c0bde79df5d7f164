"""The model card: what a model is for, what it was trained on, how well it does beside baselines, what to beware of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.evaluation.calibration_scores import Kept, coverage, false_alarms
from goodricke.evaluation.regression import RegressionScores
from goodricke.evaluation.scores import HEADLINE, Scores, compare, score
from goodricke.inference import Answers
from goodricke.models.bundle import Model
from goodricke.training.baselines.forest import BASELINES
from goodricke.training.labels import Labelled
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION
from goodricke.uncertainty.calibration import Scaling
from goodricke.uncertainty.prediction_sets import Conformal, Coverage

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
    answers: Mapping[str, Answers],
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
    answers : dict of Answers
        Of one pass and of Monte-Carlo passes, about the held-out light curves.
    """
    sections = "\n".join(f"## {TITLES[name]}\n\n{s.markdown()}" for name, s in scores.items())
    return f"""{_about(recipe, model, parts, run)}
All scores are on the held-out stars, with 95 % bootstrap intervals over stars.

{_against_baselines(label, probabilities, data, parts)}
{sections}
{_regressed(regression, model)}{trust(model, label, data.star[parts[TEST]], answers)}
{BEWARE}"""


def card_without_scores(recipe: Recipe, model: Model, parts: dict[str, NDArray[np.int64]], run: Run) -> str:
    """Return the card of a model that was trained on all labelled light curves; see `model_card`."""
    return f"""{_about(recipe, model, parts, run)}
**Not scored**: no stars were held out. `goodricke evaluate` scores it on labelled light curves that it has not seen.

{BEWARE}"""


BEWARE = """## Beware

Light curves of another survey, cadence or brightness range, and classes that are not listed, get an answer all the
same: the probabilities hold for objects like those it was trained on. `novelty` says how unlike them an object is.
"""


def _about(recipe: Recipe, model: Model, parts: dict[str, NDArray[np.int64]], run: Run) -> str:
    """Return what was trained, on what, and how."""
    settings = recipe.training
    source = "**Trained on simulated light curves.**\n\n" if recipe.simulated else ""
    split = (
        f"the survey's own split ({recipe.data.split or recipe.data.test_labels})"
        if recipe.data.split or recipe.data.test_labels
        else f"split by star, stratified by class, seed {recipe.data.seed}"
    )
    hours = sum(h["seconds"] for h in run.history) / 3600
    return f"""# {recipe.name}

{source}{recipe.summary}

- Network: {NETWORKS[model.config.family]}, {model.network.n_parameters:,} parameters ({json.dumps(recipe.network)}).
- Preprocessing: {recipe.preprocessing.kind}, see `config.json`.
- Data: {recipe.data.name}; {len(parts[TRAIN]):,} light curves to train,
  {len(parts[VALIDATION]):,} to choose the best epoch and to calibrate, {len(parts[TEST]):,} held out; {split};
  a star is known by its id, and by positions within {recipe.data.same_star:g} arcsec where there are any; held-out
  stars within {max(recipe.data.guard, recipe.data.same_star):g} arcsec of another part's are left out.
- Merged labels: {json.dumps(recipe.data.merge)}; dropped: {json.dumps(recipe.data.drop)}.
- Training: {run.epoch} epochs (best: {run.best_epoch + 1}), batch {settings.batch}, learning rate {settings.rate:g}
  ({settings.schedule}), class weights (N / N_c)^{settings.weight_power:g}, seed {settings.seed},
  {hours:.2f} h, {torch.get_num_threads()} threads.
- goodricke {__version__}, BSD-3-Clause.
"""


TRUST = "## How far to trust it"


def with_section(card: str, section: str) -> str:
    """Return a card with a section in place of the one with its heading; without one, before what to beware of."""
    heading = section.partition("\n")[0]
    before, found, after = f"\n{card}".partition(f"\n{heading}\n")
    rest = after[after.index("\n## ") + 1 :] if "\n## " in after else ""
    if not found:
        before, found, rest = f"\n{card}".partition("\n## Beware\n")
        rest = (found + rest).lstrip()
    return f"{before.rstrip()}\n\n{section}\n{rest}".lstrip()


def trust(
    model: Model, label: NDArray[np.int64], star: NDArray, answers: Mapping[str, Answers], source: str = ""
) -> str:
    """Return what calibration has changed and which promises were kept on held-out light curves, in Markdown.

    Parameters
    ----------
    model : Model
    label, star : (n,)
        Of held-out light curves: classes and stars.
    answers : dict of Answers
        About them, of one pass (``deterministic``) and of Monte-Carlo passes (``monte_carlo``).
    source : str
        Which data the model was calibrated by, if not those of its training.
    """
    raw = Scaling.of_temperature(1.0, len(model.classes)).probabilities(answers["deterministic"].logits)
    asked = {"softmax of the logits": raw} | {_CALIBRATED[k]: x.probabilities for k, x in answers.items()}
    figures = ("negative_log_likelihood", "brier", "calibration_error")
    where = f"Calibrated on validation objects{f' of {source}' * bool(source)}: {_scalings(model, answers)}."
    lines = [TRUST, "", f"{where} {len(label):,} held-out light curves say:", ""]
    lines += [f"| probabilities | {' | '.join(HEADLINE[name] for name in figures)} |", "|---|---|---|---|"]
    for name, p in asked.items():
        scores = score(label, p, model.classes, star)
        lines.append(f"| {name} | {' | '.join(str(getattr(scores, figure)) for figure in figures)} |")
    told = list(answers.values())[-1]
    lines += ["", "| promise | promised | held-out light curves | kept |", "|---|---|---|---|"]
    lines += [_row(*promise) for promise in promises(model, told, label)]
    lines += ["", WITHIN_CHANCE]
    return "\n".join(lines) + "\n"


def with_alarms(card: str, model: Model, told: Answers) -> str:
    """Return a card that says how many false alarms of novelty a model now raises on held-out light curves."""
    for text, kept in alarms(model, told):
        row = _row(text, kept).replace("\\", r"\\")
        card = re.sub(rf"^\| {re.escape(text)} \|.*$", row, card, flags=re.MULTILINE)
    return card


def _row(text: str, kept: Kept) -> str:
    size = "" if np.isnan(kept.size) else f", {kept.size:.2f} classes in a set"
    return f"| {text} | {kept.promised:g} | {kept.found}{size} | {kept.verdict} |"


LEVELS = (0.8, 0.9, 0.95)
WITHIN_CHANCE = (
    "Kept: *yes* where the 95 % interval reaches the promise; *within chance* where it doesn't, and the luck of the "
    "validation objects\nexplains it in more than 2.5 % of cases (of the worst class: shared among the classes), often "
    "because they are few; else *NO*."
)
_CALIBRATED = {"deterministic": "calibrated, one pass", "monte_carlo": "calibrated, mean of Monte-Carlo passes"}


def _scalings(model: Model, answers: Mapping[str, Answers]) -> str:
    """Say which maps to probabilities were fitted."""

    def name(scaling: Scaling) -> str:
        return f"temperature {scaling.temperature:.3f}" if scaling.temperature else f"{scaling.kind} scaling"

    several = f", {name(model.calibration.monte_carlo)} (Monte-Carlo passes)" if "monte_carlo" in answers else ""
    return f"{name(model.calibration.one_pass)} (one pass){several}"


def promises(model: Model, told: Answers, label: NDArray[np.int64]) -> list[tuple[str, Kept]]:
    """Return promises in words, and what became of them: coverage of prediction sets, false alarms of novelty.

    Parameters
    ----------
    model : Model
    told : Answers
        About light curves of its classes that it was not fitted to, all of which it could answer.
    label : int64 (n,)
    """
    found = []
    known = model.calibration.sets.get(told.mode)
    if known is not None:
        for level in LEVELS:
            member = known.sets(told.probabilities, coverage=Coverage(level))
            found.append(("sets that hold the true class", coverage(member, label, level, len(known.score))))
        for level in LEVELS:
            each = _classes_kept(known, told.probabilities, label, level)
            worst = min(each, key=lambda c: (each[c].holds, each[c].found.value))
            missed = f", {n} of {len(each)} missed" if (n := sum(not kept.reached for kept in each.values())) else ""
            found.append((f"the same of each class{missed}; worst: {model.classes[worst]}", each[worst]))
    return found + alarms(model, told)


def alarms(model: Model, told: Answers) -> list[tuple[str, Kept]]:
    """Return what became of the promise of false alarms of novelty, in words and numbers; see `promises`."""
    usual = model.calibration.novelty.get("one_pass")
    if told.novelty is None or usual is None:
        return []
    return [(f"novelty above {1 - x.promised:g}", x) for x in false_alarms(told.novelty, len(usual.score))]


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


def _classes_kept(
    known: Conformal, probabilities: NDArray[np.floating], label: NDArray[np.int64], level: float
) -> dict[int, Kept]:
    """Return how often the objects of each class are covered where the promise is made to each."""
    member, classes = known.sets(probabilities, coverage=Coverage(level, per_class=True)), np.unique(label)
    return {
        int(c): coverage(
            *(member[label == c], label[label == c], level, int((known.label == c).sum())), tests=len(classes)
        )
        for c in classes
    }
