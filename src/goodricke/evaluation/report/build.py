"""The first lines of the report: which objects, how they were held out, how good the answers are, what to beware of.

The report put together: sections, their figures in a folder beside, one HTML file and its twins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Status
from goodricke.evaluation.assess import Assessment
from goodricke.evaluation.figures.style import shorten
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import Page, Section, write_page
from goodricke.evaluation.report import classes, conditions, leakage, trust
from goodricke.evaluation.report import classes as mistakes
from goodricke.evaluation.report import classes as rivals
from goodricke.evaluation.report import conditions as shifted
from goodricke.evaluation.scores import HEADLINE
from goodricke.io import read
from goodricke.models.bundle import SHIPPED, Model
from goodricke.training.baselines.forest import BASELINES
from goodricke.training.recipe import DataConfig

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1")
IN_SCORES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "negative_log_likelihood")


def facts(result: Assessment) -> list[str]:
    """Return what was scored and the outcome, in sentences; the first says whether it is simulation or observation."""
    sample, n = result.sample, len(result.rows)
    stars = len(np.unique(sample.star[result.rows]))
    kind = "Simulated light curves" if sample.simulated else "Observed light curves"
    of_stars = "" if stars == n else f" of {stars:,} stars"
    told = [f"{kind}: {n:,} of {len(sample.label):,} labelled objects{of_stars} are scored, {sample.origin}."]
    if sample.held_out and sample.split:
        told.append(f"The split: {sample.split}.")
    told += [_verdict(result, name) for name in result.answered]
    common, share = _most_frequent(result)
    told.append(f"Always answering the most frequent class, {common}, would be right for {100 * share:.1f} %.")
    if any(x.model.config.simulated for x in result.answered.values()) and not sample.simulated:
        told.append("A model here was trained on simulated light curves, and is scored on observed ones.")
    return told


def warnings(result: Assessment) -> list[str]:
    """Return what speaks against the scores as a whole."""
    found = []
    if not result.sample.held_out:
        found.append(
            "Training objects may be among these: nothing says that they were held out, and what a model says of "
            "objects that it was trained on tells nothing of new ones. Give --recipe, or --split with the split.csv."
        )
    for name, told in result.answered.items():
        if told.trained_on:
            found.append(
                f"{name} was trained or validated on {told.trained_on:,} of these {len(told.status):,} objects "
                "(split.csv beside the model): its scores are too good."
            )
    return found


def summary(result: Assessment, passes: int) -> Section:
    """Return the headline figures, the baselines' beside them, and what was left out."""
    from goodricke import __version__

    rows = [{"model": name} | _figures(result, name) for name in result.answered]
    tables = {"Recorded when the model was trained, on what its run held out": _recorded(result)}
    return Section(
        "Scores",
        "the mean over classes beside the accuracy: a rare class that is always missed hardly moves the latter.",
        "a model that is hardly better than the forest on simple statistics, or much better than its recorded scores.",
        table=rows,
        tables=tables,
        notes=[
            *_left_out(result),
            *_without_record(result),
            "Square brackets are 95 % intervals from drawing stars, all light curves of one together. They tell how "
            "much the scores would vary with other stars of the same kind, not how they change in another survey. "
            "Where all drawings are alike, as of 3 right answers of 3, they are Wilson's for as many trials as stars.",
            f"Monte-Carlo passes: {passes} (of models with dropout at inference). goodricke {__version__}.",
        ],
    )


def _verdict(result: Assessment, name: str) -> str:
    """Return the outcome for one model in a sentence."""
    scores = result.scores[name]
    right, mean, f1 = (_percent(getattr(scores, key)) for key in SHOWN)
    model = result.answered[name].model
    return f"{name} ({_whence(model)}): right for {right} of them; mean over classes {mean}; macro F1 {f1}."


def _whence(model: Model) -> str:
    """Return which model it is: its hash, and its folder unless it comes with the package."""
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
    """Return the scores that models and their baselines had when they were trained."""
    rows = []
    for name, told in result.answered.items():
        for kind, figures in told.model.config.metrics.items():
            if not isinstance(figures, dict) or not isinstance(figures.get("accuracy"), dict):
                continue
            title = BASELINES.get(kind, {"deterministic": "one pass", "monte_carlo": "mean of passes"}.get(kind, kind))
            row = {HEADLINE[key]: _estimate(figures.get(key)) for key in SHOWN}
            rows.append({"model": name, "by": title} | row)
    return rows


def _estimate(recorded: Any) -> Estimate | None:
    """Return a recorded figure with its interval."""
    if not isinstance(recorded, dict) or recorded.get("value") is None:
        return None
    return Estimate(*(np.nan if recorded.get(k) is None else float(recorded[k]) for k in Estimate._fields))


def _without_record(result: Assessment) -> list[str]:
    """Say which models have no baseline beside them."""
    lacking = [name for name, x in result.answered.items() if not set(BASELINES) & set(x.model.config.metrics)]
    return [f"{name} has no baseline recorded with it: the most frequent class is all there is." for name in lacking]


def _left_out(result: Assessment) -> list[str]:
    """Return what was not scored and why."""
    notes = []
    for name in result.answered:
        if unknown := result.unknown_labels(name):
            listed = ", ".join(f"{label} ({count:,})" for label, count in unknown.items())
            notes.append(f"{name} has no class for these labels, left out: {listed}.")
        for status, count in result.without_answer(name).items():
            notes.append(f"{name}: {count:,} not scored, {status}: {MEANING[Status(status)]}.")
    return notes


# ---- The report put together: sections, their figures in a folder beside, one HTML file and its twins ----------------


FEWEST = 10  # light curves for a shift test


class Other(NamedTuple):
    """Light curves whose likeness to the scored ones is in question."""

    name: str
    curves: LightCurves


def check(report: str | Path | None, shift: Sequence[str]) -> None:
    """Refuse a report that is no page, and a shift test without a report, before the work.

    Raises
    ------
    ValueError
        Saying which.
    """
    if report is None and shift:
        raise ValueError("--shift is a section of the report: give --report OUT.html too")
    if report is not None and Path(report).suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--report {report}: give a file that ends in .html; its twins, .md and .json, go beside it")


def read_other(sources: Sequence[str], config: DataConfig) -> Other:
    """Read the light curves of the shift test, their bands called as the scored ones' are.

    Raises
    ------
    ValueError
        If there are fewer than ten.
    """
    same = {n: getattr(config, n) for n in ("columns", "quality", "flux", "unit", "time_scale", "recursive")}
    try:
        curves = read(list(sources), errors="skip", **same)
    except ValueError:  # the columns of another survey have other names
        curves = read(list(sources), errors="skip", recursive=config.recursive)
    if len(curves) < FEWEST:
        raise ValueError(f"--shift {' '.join(sources)}: {len(curves)} light curves are too few for a test")
    return Other(", ".join(shorten(str(source), 60) for source in sources), curves.rename_bands(config.rename_bands))


def write_report(
    result: Assessment,
    path: Path,
    other: Other | None = None,
    passes: int = 20,
    workers: int = 1,
    console: Console | None = None,
) -> Page:
    """Write OUT.html with everything in it, OUT.md and OUT.json with the same numbers, and OUT_figures/ for the second.

    Parameters
    ----------
    result : Assessment
    path : Path
        OUT.html.
    other : Other, optional
        Held against the scored objects in the shift test.
    passes, workers : int
        As in `goodricke.evaluation.evaluate`.
    console : rich Console, optional
        Shows the sections as they are made.
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
    result: Assessment, figures: Path, other: Other | None, passes: int, workers: int
) -> Iterator[tuple[str, Callable[[], Section]]]:
    """Yield what each section is about and what makes it, in the order of the page."""
    yield "scores", partial(summary, result, passes)
    if len(result.answered) > 1:
        yield "comparison", partial(rivals.rivals, result)
    yield "confusion matrix", partial(classes.confusion, result, figures)
    yield "classes", partial(classes.per_class, result, figures)
    yield "calibration", partial(trust.trust, result, figures)
    yield "conditions", partial(conditions.conditions, result, figures)
    yield "mistakes", partial(mistakes.mistakes, result, figures)
    yield "leaks", partial(leakage.leakage, result)
    if other is not None:
        yield "shift", partial(shifted.shift, result, other.curves, other.name, figures, workers)


def _page(result: Assessment, sections: list[Section], path: Path) -> Page:
    """Return the page with the sections' warnings above all."""
    title = f"Evaluation of {', '.join(result.answered)}"
    told = [f"{section.title}: {warning}" for section in sections for warning in section.warnings]
    numbers = path.with_suffix(".json").name
    return Page(title, facts(result), sections, [*warnings(result), *told], numbers)
