"""The model card: purpose, training, scores beside baselines, calibration, limits.

A bundle has the contents of its card as data, in ``metrics`` of ``config.json``: the scores of the network and of each
baseline by name, and under ``card`` the description of the training, the comparisons with baselines, the scores of
regressed parameters and those of the calibration. `render_card` renders the whole card from them. Older bundles have no
``card``: the sections of their cards stay as text (`stored_card`), and new sections replace those of the same title.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.data.predictions import Output
from goodricke.evaluation.coverage_checks import CoverageCheck, coverage_checks
from goodricke.evaluation.gate import ALL, COUNTS, gate_rows
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import markdown_table
from goodricke.evaluation.period_scores import period_rows
from goodricke.evaluation.regression import RegressionScores
from goodricke.evaluation.sample import describe_split, unseen_surveys
from goodricke.evaluation.scores import HEADLINE, PER_CLASS, Scores, compare, score
from goodricke.evaluation.survey_scores import leak_rows, survey_notes, survey_rows
from goodricke.models.bundle import Model
from goodricke.training.baselines.forest import BASELINES
from goodricke.training.experiment import Experiment
from goodricke.training.loop import Run
from goodricke.training.recipe import Recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION
from goodricke.uncertainty.calibration import Scaling

TITLES = {
    "deterministic": "One pass without dropout",
    "monte_carlo": "Mean of Monte-Carlo passes (the default)",
} | {name: f"Baseline: {title}, same split" for name, title in BASELINES.items()}
NETWORKS = {
    "astrafier": "ASTRAFier",
    "multiband": "one recurrent network per band and a central one",
    "variables": "pairs of a candidate period and a class",
}
REAL_STARS = "real_stars"  # scores on real stars in the contents of a card
REAL_TITLE = "Real stars"
REAL_FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "mean recall",
    "coverage": "90 % sets that hold the class",
    "novel": "novelty above 0.99",
    "confident_wrong": "wrong with p > 0.9, not novel",
    "period": "period within 0.5 % of the catalog's",
    "period_multiple": "that, its half or its double",
}
CALIBRATION, ALARMS, LIMITS = "How far to trust it", "False alarms of novelty", "Beware"
PROPER = ("negative_log_likelihood", "brier", "calibration_error")  # scores that calibration changes
CALIBRATED = {"deterministic": "calibrated, one pass", "monte_carlo": "calibrated, mean of Monte-Carlo passes"}
BEWARE = """Light curves of another survey, cadence or brightness range, and classes that are not listed, get an answer
all the same: the probabilities hold for objects like those it was trained on. `novelty` says how unlike them an object
is."""
OWN_LABELS = """Each survey in its own labels: the probability of a label is the sum over the leaves that it allows, and
labels that allow the same leaves are one. ECE is that of the label's probability. The forests answer the same
question from the same light curves."""
LEAK = """Can the survey be guessed from the embedding? A linear classifier, cross-validated by star, tries; the nearer
to chance, the less the network depends on the survey:"""
AGREEMENT = """The fraction of periods that agree with the catalog's: frequencies differ by less than half the width of
a peak, or by less than 0.2 %. The baselines come from the same light curves in the same run. Catalogs err, too."""
GATE_TEXT = """Errors by number of observations, the first ones in any band; an answer needs three in one band. The 95 %
intervals hold for sources like the held-out ones: the share of transients in a stream, and how bright its stars are,
differ from survey to survey."""
CALLED = "A source is called a transient if the probability of the node TRANSIENT is at least {:g}:"
BY_SET = """A source may be a transient if its prediction set, that of a stream of alerts, has a class of transients. A
transient without one in its set is lost even to who follows all that may be one:"""
VERDICTS = """Holds: *yes* where the 95 % interval reaches the nominal rate; *within chance* where it doesn't, and the
finite number of validation objects explains it in more than 2.5 % of cases (of the worst class: shared among the
classes), often because they are few; else *NO*."""


# ---- contents in config.json ----------------------------------------------------------------------------------------


class HeldOutScores(NamedTuple):
    """The scores of a model on held-out stars."""

    label: NDArray[np.int64]
    outputs: dict[str, Output]  # one deterministic pass, and Monte-Carlo passes
    probabilities: dict[str, NDArray]  # of these and of the baselines, each (n, C)
    scores: dict[str, Scores]
    regression: dict[str, dict[str, RegressionScores]]  # by parameter, of the network and of a forest
    truth: NDArray  # label, or the leaves that each label allows (n, C)
    taxonomy: dict[str, Any]  # scores by label, node and survey, of periods, and of class and period, as data


def training_card(experiment: Experiment, scores: HeldOutScores) -> dict[str, Any]:
    """Return the contents of the card of a newly trained model, without its scores, as data."""
    model, parts, probabilities = experiment.model, experiment.parts, scores.probabilities
    star = experiment.data.star[parts[TEST]]
    default = "monte_carlo" if "monte_carlo" in probabilities else "deterministic"
    return {
        "training": describe_training(experiment.recipe, model, parts, experiment.run),
        "baselines": {
            name: compare(scores.truth, probabilities[name], probabilities[default], star).to_dict()
            for name in BASELINES
            if name in probabilities
        },
        "regression": {name: {k: s.to_dict() for k, s in kinds.items()} for name, kinds in scores.regression.items()},
        "calibration": calibration_record(model, scores.label, star, scores.outputs),
    } | ({"taxonomy": scores.taxonomy} if scores.taxonomy else {})


def score_records(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Return scores by name as ``config.json`` keeps them: the headline figures, and those of each class."""
    records = {name: s.to_dict() for name, s in scores.items()}
    return {name: x["headline"] | {k: x[k] for k in ("n", "stars", "per_class")} for name, x in records.items()}


def calibration_record(
    model: Model, label: NDArray[np.int64], star: NDArray, outputs: Mapping[str, Output], source: str = ""
) -> dict[str, Any]:
    """Return the effect of calibration on scores, and the coverage of prediction sets, on held-out light curves.

    Parameters
    ----------
    model : Model
    label, star : (n,)
        Of held-out light curves: classes and stars.
    outputs : dict of Output
        For them, of one pass (``deterministic``) and of Monte-Carlo passes (``monte_carlo``).
    source : str
        Name of the data that the model was calibrated by, if not those of its training.
    """
    raw = Scaling.from_temperature(1.0, len(model.classes)).probabilities(np.asarray(outputs["deterministic"].logits))
    probabilities = {"softmax of the logits": raw} | {CALIBRATED[k]: x.probabilities for k, x in outputs.items()}
    scores = {name: score(label, p, model.classes, star).headline for name, p in probabilities.items()}
    scalings = f"{_scaling_name(model.calibration.one_pass)} (one pass)"
    if "monte_carlo" in outputs:
        scalings += f", {_scaling_name(model.calibration.monte_carlo)} (Monte-Carlo passes)"
    return {
        "source": source,
        "scalings": scalings,
        "objects": len(label),
        "scores": {name: {key: x[key].to_dict() for key in PROPER} for name, x in scores.items()},
        "checks": check_records(coverage_checks(model, list(outputs.values())[-1], label)),
    }


def check_records(checks: Iterable[tuple[str, CoverageCheck]]) -> list[dict[str, Any]]:
    """Return checks of coverage or false alarms as ``config.json`` keeps them."""
    return [{"check": text} | check.to_dict() for text, check in checks]


def stored_card(model: Model) -> dict[str, Any]:
    """Return the stored contents of a card; for an older bundle the sections of the card as text, by title."""
    card = model.config.metrics.get("card")
    return {"text": card_sections(model)} if card is None else dict(card)


def card_sections(model: Model) -> dict[str, str]:
    """Return the sections of a model's card by title; that before the first title has an empty one."""
    path = None if model.folder is None else model.folder / "README.md"
    text = path.read_text(encoding="utf-8") if path is not None and path.exists() else ""
    first, *others = f"\n{text}".split("\n## ")
    sections = {"": first.partition("\n# ")[2].partition("\n")[2].strip()}
    for section in others:
        title, _, body = section.partition("\n")
        sections[title.strip()] = body.strip()
    return sections


def describe_training(recipe: Recipe, model: Model, parts: Mapping[str, NDArray[np.int64]], run: Run) -> str:
    """Return network, data, split and training of a model as a Markdown list."""
    settings, hours = recipe.training, sum(h["seconds"] for h in run.history) / 3600
    return f"""- Network: {NETWORKS[model.config.family]}, {model.network.n_parameters:,} parameters ({json.dumps(recipe.network)}).
- Preprocessing: {recipe.preprocessing.kind}, see `config.json`.
- Data: {recipe.data.name}; {len(parts[TRAIN]):,} light curves to train,
  {len(parts[VALIDATION]):,} to choose the best epoch and to calibrate, {len(parts[TEST]):,} held out;
  {describe_split(recipe.data)}.
{describe_labels(recipe)}
- Training: {run.epoch} epochs (best: {run.best_epoch + 1}), batch {settings.batch}, learning rate {settings.rate:g}
  ({settings.schedule}), class weights (N / N_c)^{settings.weight_power:g}, seed {settings.seed},
  {hours:.2f} h, {torch.get_num_threads()} threads.
- goodricke {__version__}, BSD-3-Clause."""  # noqa: E501


def describe_labels(recipe: Recipe) -> str:
    """Return what the labels of a recipe mean, and which light curves were made for it, as a Markdown list."""
    data, lines = recipe.data, []
    unseen = unseen_surveys(data)
    if unseen:
        lines += [
            f"- **Leave one survey out**: no light curve of {', '.join(unseen)} was trained on, nor of a star that it "
            "shares with another survey."
        ]
    for name, survey in data.surveys.items():
        lines += [f"- Labels of {name}: {json.dumps(survey.leaves)}; dropped: {json.dumps(survey.drop)}."]
    if not data.surveys:
        meaning = f"Labels: {json.dumps(data.leaves)}" if data.leaves else f"Merged labels: {json.dumps(data.merge)}"
        lines += [f"- {meaning}; dropped: {json.dumps(data.drop)}."]
    if data.background:
        lines += [
            "- **Simulated**: CONSTANT, AGN and TRANSIENT, at the times and with the errors of real stars, each as "
            f"many as {data.background:.0%} of these. What is said of these classes holds for simulations."
        ]
    if recipe.training.degraded:
        copies = recipe.training.degraded
        lines += [
            f"- Each training light curve also with fewer observations, more noise and other errors: {copies} time(s)."
        ]
    return "\n".join(lines)


def _scaling_name(scaling: Scaling) -> str:
    return f"temperature {scaling.temperature:.3f}" if scaling.temperature else f"{scaling.kind} scaling"


# ---- Markdown -------------------------------------------------------------------------------------------------------


def render_card(model: Model) -> str:
    """Return the card of a model in Markdown, rendered from its ``config.json``."""
    metrics, card = model.config.metrics, stored_card(model)
    sections = dict(card.get("text", {}))
    introduction = sections.pop("", "") or _introduction(model, card)
    scores = {TITLES[name]: x for name, x in metrics.items() if name in TITLES and "per_class" in x}
    sections |= {title: _render_scores(x) for title, x in scores.items()}
    if REAL_STARS in card:  # before everything that simulations say
        sections = {REAL_TITLE: render_real_stars(card[REAL_STARS])} | sections
    if card.get("regression"):
        sections["Physical parameters"] = _render_regression(model, card["regression"])
    if card.get("taxonomy", {}).get("gate"):
        sections["Is it a transient?"] = _render_gate(card["taxonomy"]["gate"])
    if card.get("taxonomy"):
        sections |= _render_surveys(card["taxonomy"])
        sections["By survey and label"] = _render_labels(card["taxonomy"])
    if "calibration" in card:
        sections[CALIBRATION] = render_calibration(card)
    if "false_alarms" in card:
        note = f'These replace the lines on novelty under "{CALIBRATION}".'
        sections[ALARMS] = f"{note}\n\n{_render_checks(card['false_alarms'])}"
    sections[LIMITS] = sections.pop(LIMITS, BEWARE)
    text = "".join(f"\n## {title}\n\n{body}\n" for title, body in sections.items())
    return f"# {model.name}\n\n{introduction}\n{text}"


def render_real_stars(x: Mapping[str, Any]) -> str:
    """Return the section on real stars in Markdown, from what `goodricke.evaluation.real_stars` measured."""
    ways: Mapping[str, Any] = x["ways"]
    rows = []
    for name, text in REAL_FIGURES.items():
        values = {way: record.get(name) for way, record in ways.items()}
        if any(values.values()):
            rows.append(
                {"": text} | {way: "-" if v is None else str(Estimate.from_dict(v)) for way, v in values.items()}
            )
    sizes = {way: f"{record['set_size']:.2f}" for way, record in ways.items() if record["set_size"] is not None}
    rows.append({"": "classes in a set"} | {way: sizes.get(way, "-") for way in ways})
    classes = dict.fromkeys(name for record in ways.values() for name in record["per_class"])
    per_class = [
        {"right": name} | {way: record["per_class"].get(name, {}).get("counts", "-") for way, record in ways.items()}
        for name in classes
    ]
    first = next(iter(ways.values()))
    how = f"mean of {x['passes']} passes" if x["passes"] else "one pass"
    unanswered = ", ".join(f"{way} {r['unanswered']}" for way, r in ways.items() if r["unanswered"])
    lines = [
        f"{first['n']} light curves of {first['stars']} real stars ({x['source']}), {how}, with 95 % intervals. Those "
        f"much longer than {x['days']:.0f} d, as long as light curves of the training, are answered from their first "
        "piece of that length, from all pieces (geometric mean of probabilities; period of the whole), and whole.",
        *([f"Not answered: {unanswered}."] if unanswered else []),
        "",
        *markdown_table(rows),
        "",
        *markdown_table(per_class),
        *(["", x["note"]] if x.get("note") else []),
    ]
    return "\n".join(lines)


def render_calibration(card: Mapping[str, Any]) -> str:
    """Return the section on calibration in Markdown from the contents of a card."""
    x = card["calibration"]
    source = f" of {x['source']}" if x["source"] else ""
    lines = [
        f"Calibrated on validation objects{source}: {x['scalings']}. Scores on {x['objects']:,} held-out light curves:",
        "",
        f"| probabilities | {' | '.join(HEADLINE[name] for name in PROPER)} |",
        "|---|---|---|---|",
    ]
    for name, scores in x["scores"].items():
        lines.append(f"| {name} | {' | '.join(str(Estimate.from_dict(scores[key])) for key in PROPER)} |")
    lines += ["", _render_checks(x["checks"]), "", VERDICTS]
    return "\n".join([*lines, *(["", card["note"]] if "note" in card else [])])


def _introduction(model: Model, card: Mapping[str, Any]) -> str:
    """Return purpose and training of a model, and its differences from the baselines."""
    parts = ["**Trained on simulated light curves.**"] if model.config.simulated else []
    parts += [text for text in (model.config.summary, card.get("training", "")) if text]
    if not any(name in TITLES for name in model.config.metrics):
        parts.append(
            "**Not scored**: no stars were held out. `goodricke evaluate` scores it on labelled light curves that it "
            "has not seen."
        )
    else:
        parts.append("All scores are on the held-out stars, with 95 % bootstrap intervals over stars.")
    if card.get("baselines"):
        lines = ["| network minus | accuracy | macro F1 | McNemar p |", "|---|---|---|---|"]
        for name, c in card["baselines"].items():
            accuracy, f1 = (Estimate.from_dict(c[key]) for key in ("accuracy", "macro_f1"))
            lines.append(f"| {BASELINES[name]} | {accuracy} | {f1} | {c['p_value']:.1g} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _render_scores(x: Mapping[str, Any]) -> str:
    lines = [f"{x['n']} light curves of {x['stars']} stars; 95 % intervals from resampling stars.", ""]
    lines += ["| score | value |", "|---|---|"]
    lines += [f"| {text} | {Estimate.from_dict(x[name])} |" for name, text in HEADLINE.items()]
    lines += ["", "| class | right | recall | precision | F1 |", "|---|---|---|---|---|"]
    for name, figures in x["per_class"].items():
        values = (str(Estimate.from_dict(figures[key])) for key in PER_CLASS)
        lines.append(f"| {name} | {figures['counts']} | {' | '.join(values)} |")
    return "\n".join(lines)


def _render_gate(scores: Iterable[Mapping[str, Any]]) -> str:
    """Return the errors of the first question to an alert in Markdown, beside the baselines' on whole light curves."""
    scores = list(scores)
    counts = {str(k): f"{k} observations" for k in COUNTS} | {ALL: "all"}
    forests = {key: f"all: {BASELINES[key]}" for key in BASELINES if key in scores[0]["wrong"]}
    lines = [GATE_TEXT]
    for threshold in dict.fromkeys(x["threshold"] for x in scores):
        rows = gate_rows([x for x in scores if x["threshold"] == threshold], counts | forests)
        lines += ["", BY_SET if threshold is None else CALLED.format(threshold), "", *markdown_table(rows)]
    return "\n".join(lines)


def _render_surveys(x: Mapping[str, Any]) -> dict[str, str]:
    """Return the sections on surveys and on periods, those that there are."""
    sections = {}
    if x.get("by_survey"):
        lines = [OWN_LABELS, "", *markdown_table(survey_rows(x["by_survey"])), ""]
        lines += [f"- {note}" for note in survey_notes(x["by_survey"])]
        if x.get("survey_leak"):
            lines += ["", LEAK, "", *markdown_table(leak_rows(x["survey_leak"]))]
        sections["By survey"] = "\n".join(lines).strip()
    if x.get("periods"):
        sections["Periods"] = "\n".join([AGREEMENT, "", *markdown_table(period_rows(x["periods"]))])
    return sections


def _render_labels(x: Mapping[str, Any]) -> str:
    """Return the scores by label and by node, and of class and period together, in Markdown."""
    lines = ["An answer is right if it is one of the leaves that the survey's label allows.", ""]
    lines += ["| label | means | n | right | else |", "|---|---|---|---|---|"]
    for row in x["by_label"]:
        right = Estimate.from_dict(row["right"])
        names = (row[key].replace("|", "\\|") for key in ("label", "meaning"))
        lines.append(f"| {' | '.join(names)} | {row['n']:,} | {right} | {row['confused_with']} |")
    lines += ["", "Nodes and leaves whose probability is at least 1/2:", ""]
    lines += ["| node | n | completeness | purity |", "|---|---|---|---|"]
    for row in x["by_node"]:
        rates = (str(Estimate.from_dict(row[key])) for key in ("completeness", "purity"))
        lines.append(f"| {row['name']} | {row['n']:,} | {' | '.join(rates)} |")
    if (check := x.get("physics")) is not None:
        worst = ", ".join(f"{k} {v['contradict']} of {v['answers']}" for k, v in list(check["by_class"].items())[:5])
        share = 100 * check["contradict"]["value"]
        text = f"Class and period contradict each other in {share:.2f} % of {check['answers']:,} answers"
        lines += ["", text + (f" ({worst})." if worst else ".")]
    return "\n".join(lines)


def _render_regression(model: Model, regression: Mapping[str, Any]) -> str:
    lines = ["| parameter | by | n | R2 | RMSE | MAE |", "|---|---|---|---|---|---|"]
    for target in model.config.targets:
        name = f"{target.name} [{target.unit}]" if target.unit else target.name
        for kind, x in regression.get(target.name, {}).items():
            values = (str(Estimate.from_dict(x[key])) for key in ("r2", "rmse", "mae"))
            lines.append(f"| {name} | {kind} | {x['n']:,} | {' | '.join(values)} |")
    return "\n".join(lines)


def _render_checks(checks: Iterable[Mapping[str, Any]]) -> str:
    lines = ["| check | nominal | held-out light curves | holds |", "|---|---|---|---|"]
    for x in checks:
        size = f", {x['mean_size']:.2f} classes in a set" if "mean_size" in x else ""
        lines.append(
            f"| {x['check']} | {x['nominal']:g} | {Estimate.from_dict(x['observed'])}{size} | {x['verdict']} |"
        )
    return "\n".join(lines)
