"""The report put together: sections, their figures in a folder beside, one HTML file and its twins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from goodricke.assessment.assess import Assessment
from goodricke.assessment.page import classes, conditions, leakage, mistakes, rivals, shifted, summary, trust
from goodricke.evaluation.style import shorten
from goodricke.lightcurves import LightCurves
from goodricke.pages import Page, Section, write_page
from goodricke.readers import read
from goodricke.training.recipe import DataConfig

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
        As in `goodricke.assessment.evaluate`.
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
    yield "scores", partial(summary.summary, result, passes)
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
    return Page(title, summary.facts(result), sections, [*summary.warnings(result), *told], numbers)
