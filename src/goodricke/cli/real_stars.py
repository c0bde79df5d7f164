"""The command ``goodricke real-stars``: a model of dense light curves on real stars of known class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.options import ModelArgument, Passes, Reading, Seed, Workers, exit_with, reading_options
from goodricke.data.exit_codes import ExitCode


@reading_options
def real_stars(
    model: ModelArgument,
    light_curves: Annotated[
        list[str], typer.Option(help="Files, folders or globs of real light curves; repeatable", show_default=False)
    ],
    labels: Annotated[Path, typer.Option(help="Table with a row per star and its class", show_default=False)],
    label: Annotated[str | None, typer.Option(help="Column with the class, if not recognised")] = None,
    object_id: Annotated[str | None, typer.Option(help="Column with the id, if not recognised")] = None,
    period: Annotated[
        str | None, typer.Option("--period-column", help="Column with the catalog's period [d], to score periods")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the sample, for the card  [default: the file's name]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the model with these scores first in its card", show_default=False)
    ] = None,
    note: Annotated[
        Path | None, typer.Option(help="Text (Markdown) to add below the scores in the card", show_default=False)
    ] = None,
    mc: Passes = 20,
    seed: Seed = 0,
    *,
    reading: Reading,
    workers: Workers = 1,
) -> None:
    """Score a model of dense light curves on real stars of known class: a sector's length, in pieces, and whole.

    Prints, with 95 % intervals, how many classes are right, whether prediction sets hold, false alarms of novelty, and
    periods against the catalog's. With --out the scores stand in the model's card, before those of simulations.
    """
    options = reading | {"label": label, "object_id": object_id, "period": period}

    def run() -> int:
        text = "" if note is None else note.read_text().strip()
        return score_files(model, light_curves, labels, options, name, out, mc, seed, workers, text)

    exit_with(run)


def score_files(
    model: str,
    light_curves: list[str],
    labels: Path,
    reading: dict[str, Any],
    name: str | None = None,
    out: Path | None = None,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    note: str = "",
) -> int:
    """Score a model on files of real stars; print the scores, and write the model with them in its card."""
    from rich.console import Console
    from rich.markdown import Markdown

    from goodricke.data.progress import counting
    from goodricke.evaluation.card import REAL_STARS, render_card, render_real_stars
    from goodricke.evaluation.evaluate import data_source
    from goodricke.evaluation.real_stars import score_real_stars, with_real_stars
    from goodricke.evaluation.sample import read_sample
    from goodricke.models.bundle import load_model

    console, loaded = Console(), load_model(model)
    data = data_source(None, light_curves, labels, None, reading)
    sample = read_sample(data, [loaded.config])
    with counting(console) as counts:
        results = score_real_stars(loaded, sample, passes, seed, workers, counts.counter("light curves"))
    scored = with_real_stars(loaded, results, name or labels.parent.name or labels.stem, passes, note)
    console.print(Markdown(render_real_stars(scored.config.metrics["card"][REAL_STARS])))
    if out is not None:
        written = scored.save(out, render_card(scored), same_weights=True)
        console.print(f"Model {written.name} {written.hash} written to {out}", highlight=False)
    unanswered = max(result.unanswered for result in results.values())
    return ExitCode.SOME_FAILED if unanswered else ExitCode.DONE
