"""The commands ``goodricke demo`` and ``goodricke demo alerts``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goodricke.cli.classify import classify_files
from goodricke.cli.options import console, exit_with

if TYPE_CHECKING:
    from rich.console import Console

    from goodricke.data.answer_text import Row
    from goodricke.data.predictions import Predictions

MODEL = "variables"
COLOURS = {"right": "{}", "wider": "[yellow]{}[/]", "another": "[red]{}[/]"}  # of literature classes, by comparison

app = typer.Typer(help="Show what goodricke does on light curves that come with the package.")


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per star into this folder")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results to this file")] = None,
) -> None:
    """Classify twelve real variable stars (ASAS survey) that come with the package; no network."""
    if context.invoked_subcommand is None:
        exit_with(classify_examples, out, plot, console())


@app.command("alerts")
def demo_alerts(
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Yours, in ZTF's g and r  [default: simulated supernovae]")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Days of the stream per second  [default: as fast as possible]")
    ] = None,
) -> None:
    """Start a broker, send a night of alerts, classify them live, compare with the whole light curves; no network."""
    from goodricke.cli.alert_demo import run

    exit_with(run, light_curves, speed)


def classify_examples(out: Path | None, plot: Path | None, console: Console) -> int:
    """Classify the light curves that come with the package, and compare with the literature.

    See `goodricke.cli.classify.classify_files`.
    """
    from goodricke.data.examples import example_files, literature_classes

    answers: list[Predictions] = []

    def show(predictions: Predictions, title: str, console: Console) -> None:
        print_with_literature(predictions, title, console)
        answers.append(predictions)

    code = classify_files(example_files(), MODEL, out, plot, console=console, show=show)
    if plot is not None:
        from goodricke.evaluation.figures.objects import plot_overview
        from goodricke.io import read

        literature = {name: known.name for name, known in literature_classes().items()}
        plot_overview(read(example_files()), answers[0], plot / "overview.png", literature)
        console.print(f"all stars together in {plot / 'overview.png'}", highlight=False)
    return code


def print_with_literature(predictions: Predictions, title: str, console: Console) -> None:
    """Print predictions of the examples with the literature's classes beside them, and how many agree."""
    from goodricke.cli.tables import Layout, print_predictions
    from goodricke.data.examples import literature_classes

    literature = literature_classes()

    def cell(row: Row) -> str:
        known = literature.get(row["object_id"])
        return "-" if known is None else COLOURS[comparison(row["class"], known.leaves)].format(known.name)

    print_predictions(predictions, title, console, [Layout("known", cell, "", no_wrap=True)])
    answers = dict(zip(predictions.column("object_id"), predictions.column("class"), strict=True))
    verdicts = {name: comparison(answers[name], known.leaves) for name, known in literature.items() if name in answers}
    right = f"{list(verdicts.values()).count('right')} of {len(verdicts)} answers are right"
    console.print(f"{len(verdicts)} of {len(predictions)} stars have a class in the literature: {right}")
    sets = dict(zip(predictions.column("object_id"), predictions.table["prediction_set"].to_pylist(), strict=True))
    for verdict, words in (("wider", "wider than"), ("another", "another class than")):
        for name in [name for name, one in verdicts.items() if one == verdict]:
            is_held = holds(sets[name] or (), literature[name].leaves)
            place = "in its set" if is_held else "not in its set"
            console.print(f"  {name}: {answers[name]} is {words} {literature[name].name}, which is {place}")


def holds(prediction_set: Sequence[str], literature: str) -> bool:
    """Return whether a prediction set has a leaf of a literature class."""
    from goodricke.data.taxonomy import Taxonomy

    tree = Taxonomy.shipped()
    return not set(tree.members(literature)).isdisjoint(x for name in prediction_set for x in tree.members(name))


def comparison(answer: str | None, literature: str) -> str:
    """Return how an answered class compares with a literature class, both leaves or nodes of the package's taxonomy.

    Returns
    -------
    {"right", "wider", "another"}
        Whether the answer is the class or below it, a node above it, or neither.

    Examples
    --------
    >>> comparison("CEP_F", "CLASSICAL_CEPHEID"), comparison("ECLIPSING", "EW"), comparison("RRC", "EW")
    ('right', 'wider', 'another')
    """
    from goodricke.data.taxonomy import Taxonomy

    tree = Taxonomy.shipped()
    answered, true = (set(tree.members(name)) if name else set() for name in (answer, literature))
    return "right" if answered and answered <= true else "wider" if answered > true else "another"
