"""``goodricke evaluate``, ``calibrate``, ``novelty`` and ``real-stars``: how far a model can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.options import (
    Device,
    ModelArgument,
    Passes,
    Reading,
    Seed,
    Workers,
    exit_with,
    reading_options,
)
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions


@reading_options
def evaluate(
    model: Annotated[
        list[str],
        typer.Argument(
            help="Models: folders or shipped names; several: folds, or models to compare",
            show_default=False,
            autocompletion=completions,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics.json, figures and predictions", show_default=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="OUT.html: one page with everything; OUT.md and OUT.json beside it", show_default=False),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Training recipe: its held-out test objects are scored", show_default=False)
    ] = None,
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Without --recipe: files, as for classify; repeatable", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="With --light-curves: table of classes, a row per object; tensors (.safetensors) contain theirs",
            show_default=False,
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column with the class, if not recognised")] = None,
    object_id: Annotated[str | None, typer.Option(help="Column with the object's id, if not recognised")] = None,
    period_column: Annotated[
        str | None,
        typer.Option(help="Column of --labels with the catalog's period [d], to score periods", show_default=False),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="With --light-curves: a run's split.csv; only its test objects are scored")
    ] = None,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="With --report: are these light curves like the scored ones? No labels needed; repeatable"),
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="With --light-curves: they are simulations; the report says so")
    ] = False,
    history: Annotated[
        list[str] | None,
        typer.Option(help="Draw this object's probabilities step by step (multi-band models); repeatable"),
    ] = None,
    mc: Passes = 20,
    seed: Seed = 0,
    *,
    reading: Reading,
    device: Device = "cpu",
    workers: Workers = 1,
) -> None:
    """Score models on labelled light curves: tables, a report, figures, and the predictions of each object.

    A report to read:          goodricke evaluate MODEL --recipe R.toml --report OUT.html
    Held-out objects of a run: goodricke evaluate MODEL --recipe R.toml --out DIR
    Two on the same objects:   goodricke evaluate A B --recipe R.toml --report OUT.html
    New files: goodricke evaluate MODEL --light-curves F --labels L.csv --report OUT.html
    Will it do as well there?  add --shift OTHER_LIGHT_CURVES

    Several models are scored on the same objects: those whose class all of them
    know and that all can answer; the others are counted. Two are compared, three
    or more summarised as folds. Figures have 95 % intervals from resampling stars.

    Exit code: 0 every object was answered, 3 some were not, 2 wrong usage.
    """
    reading |= {"label": label, "object_id": object_id, "period": period_column}

    def run() -> int:
        from goodricke.evaluation.evaluate import data_source
        from goodricke.evaluation.evaluate import evaluate as score_models

        data = data_source(recipe, light_curves, labels, split, reading)
        options: dict[str, Any] = {"passes": mc, "seed": seed, "workers": workers, "device": device}
        options |= {"report": report, "shift": shift or (), "simulated": simulated}
        result = score_models(model, data, out, split=split, history=history or (), **options)
        return ExitCode.DONE if result.is_complete else ExitCode.SOME_FAILED

    exit_with(run)


def calibrate(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder for the calibrated model", show_default=False)],
    recipe: Annotated[
        Path | None, typer.Option(help="The recipe that the model was trained with", show_default=False)
    ] = None,
    light_curves: Annotated[
        list[str] | None,
        typer.Option(help="Without --recipe: your survey's files, folders or globs; repeatable", show_default=False),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="With --light-curves: the table of their classes", show_default=False)
    ] = None,
    merge: Annotated[
        list[str] | None,
        typer.Option(
            help='Labels of yours that mean a class of the model: "EW=W UMa,EC"; repeatable', show_default=False
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of --labels with the class", show_default=False)] = None,
    object_id: Annotated[str | None, typer.Option(help="Column of --labels with the id", show_default=False)] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the brightness, if the files don't give it")] = None,
    kind: Annotated[
        str, typer.Option(help="auto (chosen on left-out objects), temperature, vector or dirichlet")
    ] = "auto",
    novelty: Annotated[
        str, typer.Option(help="With --recipe: combined, mahalanobis, neighbours or energy")
    ] = "combined",
    novelty_only: Annotated[
        bool,
        typer.Option(
            "--novelty-only",
            help="With --recipe: calibrate novelty again and nothing else",
        ),
    ] = False,
    mc: Passes = 20,
    seed: Annotated[int, typer.Option(help="Seed of the split of --light-curves and of the passes")] = 0,
    workers: Workers = 1,
) -> None:
    """Calibrate a model's probabilities, prediction sets and novelty without training it again.

    By its recipe:      goodricke calibrate MODEL --recipe R.toml --out DIR
    For your survey:    goodricke calibrate MODEL --light-curves F --labels L.csv --out DIR
    Then:               goodricke classify FILES --model DIR --coverage 0.95

    With your own labels, 70 % of the stars calibrate the model and 30 % test the result.
    A few hundred labels are enough for a temperature; classes with fewer than 20
    each on average don't get more.
    """
    from goodricke.uncertainty.calibration import KINDS
    from goodricke.uncertainty.novelty import KINDS as NOVELTY_KINDS

    for name, wanted, known in (("kind", kind, ("auto", *KINDS)), ("novelty", novelty, NOVELTY_KINDS)):
        if wanted not in known:
            raise typer.BadParameter(f"--{name} {wanted}: it is one of {', '.join(known)}")

    def run() -> int:
        from goodricke.evaluation.evaluate import data_source
        from goodricke.evaluation.recalibrate import recalibrate, remeasure_novelty
        from goodricke.training.recipe import Recipe

        told: dict[str, Any] = {"label": label, "object_id": object_id, "unit": unit, "merge": merged(merge)}
        data = data_source(recipe, light_curves, labels, None, {k: v for k, v in told.items() if v})
        if novelty_only:
            if not isinstance(data, Recipe):
                raise ValueError("--novelty-only measures novelty from the training objects: give --recipe")
            remeasure_novelty(model, data, out, novelty=novelty, workers=workers)  # type: ignore[arg-type]
            return ExitCode.DONE
        kinds: Any = KINDS if kind == "auto" else (kind,)
        recalibrate(model, data, out, kinds=kinds, novelty=novelty, passes=mc, seed=seed, workers=workers)  # type: ignore[arg-type]
        return ExitCode.DONE

    exit_with(run)


def merged(pairs: list[str] | None) -> dict[str, list[str]]:
    """Return what ``CLASS=label,label`` says, by class."""
    found = {}
    for pair in pairs or ():
        name, equals, others = pair.partition("=")
        if not equals or not name or not others:
            raise typer.BadParameter(f'--merge {pair}: write it as "CLASS=label,label"')
        found[name.strip()] = [other.strip() for other in others.split(",")]
    return found


def novelty(
    recipe: Annotated[Path, typer.Argument(help="TOML file, as for `goodricke train`", show_default=False)],
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out this class only; repeatable  [default: each in turn]")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Test how well novelty detects unknown classes: train without each class in turn, then classify its objects.

    Prints and writes (RUN/novelty.json, novelty.md), for each class left out and each score of novelty, the area under
    the ROC curve and the fraction detected at 1 % false alarms, beside an isolation forest. If interrupted, run
    the same command again. It trains one network per class: a recipe with few epochs is enough.
    """

    def run() -> int:
        from goodricke.evaluation.unseen_class import detect_unseen_classes
        from goodricke.training.recipe import read_recipe

        detect_unseen_classes(read_recipe(recipe), without or (), device)
        return ExitCode.DONE

    exit_with(run)


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
