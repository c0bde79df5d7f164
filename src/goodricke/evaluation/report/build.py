"""The report of an assessment: its first lines, the section with the scores, and all sections as one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from goodricke import __version__
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.assessment import Assessment
from goodricke.evaluation.figures.style import shorten
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import Page, Section, write_page
from goodricke.evaluation.report import classes, properties
from goodricke.evaluation.report.calibration import calibration_section
from goodricke.evaluation.report.classes import has_surveys, surveys_section
from goodricke.evaluation.report.leakage import leakage_section
from goodricke.evaluation.scores import HEADLINE
from goodricke.io import read
from goodricke.models.bundle import SHIPPED, Model
from goodricke.training.baselines.forest import BASELINES
from goodricke.training.recipe import DataConfig

IN_SUMMARY = ("accuracy", "balanced_accuracy", "macro_f1")
IN_SCORES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "negative_log_likelihood")
FEWEST = 10  # light curves for a shift test


class ShiftSet(NamedTuple):
    """Light curves that the shift test compares with the scored ones."""

    name: str
    curves: LightCurves


def check_options(report: str | Path | None, shift: Sequence[str]) -> None:
    """Raise ValueError for a report that is no HTML file, and for a shift test without a report."""
    if report is None and shift:
        raise ValueError("--shift is a section of the report: give --report OUT.html too")
    if report is not None and Path(report).suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"--report {report}: give a file that ends in .html; OUT.md and OUT.json are written beside it"
        )


def read_shift_set(sources: Sequence[str], config: DataConfig) -> ShiftSet:
    """Read the light curves of the shift test, their bands renamed as those of the scored ones.

    Raises
    ------
    ValueError
        If there are fewer than ten.
    """
    options = {n: getattr(config, n) for n in ("columns", "quality", "flux", "unit", "time_scale", "recursive")}
    try:
        curves = read(list(sources), errors="skip", **options)
    except ValueError:  # the columns of another survey have other names
        curves = read(list(sources), errors="skip", recursive=config.recursive)
    if len(curves) < FEWEST:
        raise ValueError(f"--shift {' '.join(sources)}: {len(curves)} light curves are too few for a test")
    return ShiftSet(", ".join(shorten(str(source), 60) for source in sources), curves.rename_bands(config.rename_bands))


def write_report(
    result: Assessment,
    path: Path,
    other: ShiftSet | None = None,
    passes: int = 20,
    workers: int = 1,
    console: Console | None = None,
) -> Page:
    """Write the report: OUT.html, OUT.md and OUT.json with the same numbers, and OUT_figures/ for the Markdown.

    Parameters
    ----------
    result : Assessment
    path : Path
        OUT.html.
    other : ShiftSet, optional
        Compared with the scored objects in the shift test.
    passes, workers : int
        As in `goodricke.evaluate`.
    console : rich Console, optional
        Shows the progress, section by section.
    """
    figures = path.with_name(f"{path.stem}_figures")
    figures.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    sections, steps = [], dict(_steps(result, figures, other, passes, workers))
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("Report", total=len(steps))
        for name, make in steps.items():
            progress.update(bar, description=f"Report: {name}")
            sections.append(make())
            progress.advance(bar)
    page = _page(result, sections, path)
    write_page(page, path)
    return page


def _steps(
    result: Assessment, figures: Path, other: ShiftSet | None, passes: int, workers: int
) -> Iterator[tuple[str, Callable[[], Section]]]:
    """Yield the name and the function of each section, in the order of the page."""
    yield "scores", partial(scores_section, result, passes)
    if len(result.models) > 1:
        yield "comparison", partial(classes.comparison_section, result)
    yield "confusion matrix", partial(classes.confusion_section, result, figures)
    yield "classes", partial(classes.class_section, result, figures)
    if has_surveys(result):
        yield "surveys", partial(surveys_section, result)
    yield "calibration", partial(calibration_section, result, figures)
    yield "conditions", partial(properties.conditions_section, result, figures)
    yield "mistakes", partial(classes.mistakes_section, result, figures)
    yield "leaks", partial(leakage_section, result)
    if other is not None:
        yield "shift", partial(properties.shift_section, result, other.curves, other.name, figures, workers)


def _page(result: Assessment, sections: list[Section], path: Path) -> Page:
    """Return the page; the warnings of all sections stand at its top."""
    title = f"Evaluation of {', '.join(result.models)}"
    below = [f"{section.title}: {warning}" for section in sections for warning in section.warnings]
    numbers = path.with_suffix(".json").name
    return Page(title, facts(result), sections, [*result.warnings, *below], numbers)


def facts(result: Assessment) -> list[str]:
    """Return sentences on the scored objects and the outcome; the first says whether they are simulated or observed."""
    sample, n = result.sample, len(result.rows)
    stars = len(np.unique(result.star))
    kind = "Simulated light curves" if sample.simulated else "Observed light curves"
    of_stars = "" if stars == n else f" of {stars:,} stars"
    lines = [f"{kind}: {n:,} of {len(sample.label):,} labelled objects{of_stars} are scored, {sample.origin}."]
    if sample.held_out and sample.split:
        lines.append(f"The split: {sample.split}.")
    lines += [_outcome(result, name) for name in result.models]
    common, share = _most_frequent(result)
    lines.append(f"Always answering the most frequent class, {common}, would be right for {100 * share:.1f} %.")
    if any(x.model.config.simulated for x in result.models.values()) and not sample.simulated:
        lines.append("A model here was trained on simulated light curves, and is scored on observed ones.")
    return lines


def scores_section(result: Assessment, passes: int) -> Section:
    """Return the headline scores, those of the baselines, and the objects that were not scored."""
    rows = [{"model": name} | _figures(result, name) for name in result.models]
    tables = {"Recorded when the model was trained, on what its run held out": _recorded(result)}
    return Section(
        "Scores",
        "the mean over classes beside the accuracy: a rare class that is always missed hardly changes the accuracy.",
        "a model that is hardly better than the forest on simple statistics, or much better than its recorded scores.",
        table=rows,
        tables=tables,
        notes=[
            *(note for name in result.models for note in result.unscored_notes(name)),
            *_without_baselines(result),
            "Square brackets are 95 % intervals from drawing stars, all light curves of one together. They show how "
            "much the scores would vary with other stars of the same kind, not how they change in another survey. "
            "Where all resamples are equal, as for 3 right answers of 3, they are Wilson's with a trial for each star.",
            f"Monte-Carlo passes: {passes} (of models with dropout at inference). goodricke {__version__}.",
        ],
    )


def _outcome(result: Assessment, name: str) -> str:
    """Return the outcome for one model in a sentence."""
    scores = result.scores[name]
    right, mean, f1 = (_percent(getattr(scores, key)) for key in IN_SUMMARY)
    model = result.models[name].model
    return f"{name} ({_identity(model)}): right for {right} of them; mean over classes {mean}; macro F1 {f1}."


def _identity(model: Model) -> str:
    """Return the hash of a model, and its folder unless it comes with the package."""
    if model.folder is None:
        return "never saved"
    return f"{model.hash}, " + ("shipped" if model.folder.parent == SHIPPED else str(model.folder))


def _percent(figure: Estimate) -> str:
    value, low, high = (100 * x for x in figure)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def _most_frequent(result: Assessment) -> tuple[str, float]:
    """Return the most frequent class and its share."""
    counts = np.bincount(result.label, minlength=len(result.classes))
    return result.classes[int(counts.argmax())], float(counts.max() / counts.sum())


def _figures(result: Assessment, name: str) -> dict[str, Any]:
    headline = result.scores[name].headline
    return {"objects": len(result.rows)} | {HEADLINE[key]: headline[key] for key in IN_SCORES}


def _recorded(result: Assessment) -> list[dict[str, Any]]:
    """Return the scores of models and their baselines that were recorded at training."""
    rows = []
    for name, x in result.models.items():
        for kind, figures in x.model.config.metrics.items():
            if not isinstance(figures, dict) or not isinstance(figures.get("accuracy"), dict):
                continue
            title = BASELINES.get(kind, {"deterministic": "one pass", "monte_carlo": "mean of passes"}.get(kind, kind))
            row = {HEADLINE[key]: Estimate.from_dict(figures.get(key)) for key in IN_SUMMARY}
            rows.append({"model": name, "by": title} | row)
    return rows


def _without_baselines(result: Assessment) -> list[str]:
    """Return a note on each model without a recorded baseline."""
    lacking = [name for name, x in result.models.items() if not set(BASELINES) & set(x.model.config.metrics)]
    return [f"{name} has no recorded baseline: compare it with the most frequent class." for name in lacking]
