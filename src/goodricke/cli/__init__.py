"""The command ``goodricke``: parses, calls, prints. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.alerts import app as alerts
from goodricke.cli.download import app as download
from goodricke.cli.evaluate import COMMANDS as ASSESSMENT
from goodricke.cli.explore import COMMANDS as EXPLORER
from goodricke.cli.options import (
    DONE,
    SOME_FAILED,
    USAGE,
    Band,
    Columns,
    Device,
    Flux,
    Level,
    ModelArgument,
    ModelOption,
    Passes,
    PerClass,
    Quality,
    Recursive,
    Sources,
    TimeScale,
    Unit,
    Workers,
    console,
    guarded,
    reading,
)
from goodricke.cli.serve import COMMANDS as SERVE
from goodricke.cli.similar import COMMANDS as EMBEDDINGS
from goodricke.cli.simulate import simulate
from goodricke.cli.survey import COMMANDS as CATALOG
from goodricke.models.hub import completions
from goodricke.models.runtime.memory import keep_freed_memory

app = typer.Typer(
    name="goodricke",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Turn light curves into classes, probabilities and embeddings.\n\n"
    "Start with [bold]goodricke demo[/], then [bold]goodricke inspect YOUR_FILES[/] and "
    "[bold]goodricke classify YOUR_FILES[/].",
)
models = typer.Typer(no_args_is_help=True, help="List, show, verify, import, export and push models.")
app.add_typer(models, name="models")
demo = typer.Typer(help="Show what it does on light curves that come with the package.")
app.add_typer(demo, name="demo")
app.add_typer(download, name="download")
app.add_typer(alerts, name="alerts")


def _version(wanted: bool) -> None:
    if wanted:
        from goodricke import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _setup(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell more in the log; errors with traceback")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop", is_eager=True, callback=_version)
    ] = False,
) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("goodricke").setLevel(logging.INFO if verbose else logging.WARNING)


@app.command()
def inspect(
    sources: Sources,
    plot: Annotated[Path | None, typer.Option(help="Write a PNG per light curve into this folder")] = None,
    quality: Quality = "default",
    flux: Flux = None,
    column: Columns = None,
    band: Band = None,
    unit: Unit = None,
    time_scale: TimeScale = None,
    recursive: Recursive = False,
) -> None:
    """Show what is recognised in files: mission, columns, cadence, gaps, faults, and a small plot."""
    from goodricke.cli.inspect import inspect as look

    options = reading(quality, flux, column, band, unit, time_scale, recursive)
    raise typer.Exit(guarded(lambda: look(sources, plot=plot, **options)))


@app.command()
def classify(
    sources: Sources,
    model: ModelOption,
    out: Annotated[Path | None, typer.Option(help="Results: .parquet, .csv, .ecsv, .fits or .vot")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per object into this folder")] = None,
    mc: Passes = 20,
    coverage: Level = 0.9,
    per_class: PerClass = False,
    seed: Annotated[int, typer.Option(help="Of the dropout masks: same seed, same answer, whatever the batch")] = 0,
    quality: Quality = "default",
    flux: Flux = None,
    column: Columns = None,
    band: Band = None,
    unit: Unit = None,
    time_scale: TimeScale = None,
    recursive: Recursive = False,
    device: Device = "cpu",
    workers: Workers = 1,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 (ASTRAFier), or auto: float32 on a CPU, bfloat16 on a GPU")
    ] = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at bands that the model doesn't know instead of leaving them out")
    ] = False,
) -> None:
    """Classify light curves: a table on the terminal, one row per light curve in --out, figures with --plot.

    A file that can't be read costs its row (status UNREADABLE) and a line in the log, never the run.
    Exit code: 0 all classified, 3 some were not, 2 wrong usage.
    """
    from goodricke.cli.classify import classify_files
    from goodricke.uncertainty.prediction_sets import Coverage

    options = reading(quality, flux, column, band, unit, time_scale, recursive)
    promise = Coverage(coverage, per_class)
    raise typer.Exit(
        guarded(
            *(classify_files, sources, model, out, plot, mc, seed, device, workers, options, strict, precision, promise)
        )
    )


@demo.callback(invoke_without_command=True)
def demonstrate(
    context: typer.Context,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per star into this folder")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results to this file")] = None,
) -> None:
    """Classify twelve real variable stars (ASAS survey) that come with the package; no network."""
    if context.invoked_subcommand is None:
        from goodricke.cli.classify import run_demo

        raise typer.Exit(guarded(run_demo, out, plot))


@demo.command("alerts")
def demonstrate_alerts(
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Yours, in ZTF's g and r  [default: simulated supernovae]")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Days of the stream per second  [default: as fast as it goes]")
    ] = None,
) -> None:
    """Start a broker, send a night of alerts, classify them live, compare with the whole light curves; no network."""
    from goodricke.cli.demo import run

    raise typer.Exit(guarded(run, light_curves, speed))


@app.command()
def train(
    recipe: Annotated[Path | None, typer.Argument(help="TOML file; see --example", show_default=False)] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented recipe to start from")] = False,
    multiband: Annotated[bool, typer.Option("--multiband", help="With --example: for several bands")] = False,
    add_band: Annotated[
        str | None, typer.Option(help="Add this band to the model --from; its other bands stay as they are")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Model to add a band to", autocompletion=completions)
    ] = None,
    folds: Annotated[
        int, typer.Option(min=1, help="Train so many models, each with another part for validation (RUN/fold-1, ...)")
    ] = 1,
    device: Device = "cpu",
) -> None:
    """Train a model on your own labels. Interrupted, the same command goes on from the last finished epoch.

    Light curves in one band, or dense ones: goodricke train --example > my.toml
    Sparse light curves in several bands:    goodricke train --example --multiband > my.toml
    How far the result is luck: --folds 7, then goodricke evaluate RUN/fold-*/model --recipe RECIPE --out DIR
    Several GPUs: torchrun --nproc-per-node 4 -m goodricke train RECIPE --device cuda
    """
    if (add_band is None) != (source is None):
        raise typer.BadParameter("--add-band and --from go together: --add-band i --from MODEL")
    from goodricke.training.recipe import example as example_text

    if example or recipe is None:
        typer.echo(example_text("multiband" if multiband else "folded"), nl=False)
        if not example:
            typer.echo("goodricke: name a recipe: goodricke train RECIPE.toml; above is one to start from", err=True)
        raise typer.Exit(DONE if example else USAGE)

    def run() -> int:
        from goodricke.evaluation.held_out import run_recipe
        from goodricke.training.recipe import read_recipe, with_fold, with_new_band

        told = read_recipe(recipe)
        told = told if add_band is None else with_new_band(told, add_band, str(source))
        for each in [told] if folds == 1 else [with_fold(told, k + 1, folds) for k in range(folds)]:
            run_recipe(each, device)
        return DONE

    raise typer.Exit(guarded(run))


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="TOML file, as for `goodricke train`", show_default=False)],
    device: Device = "cpu",
) -> None:
    r"""Train a network without labels: part of each light curve is hidden, and it learns to predict it.

    It learns from all light curves that \[data] light_curves names, labelled or
    not, except those of the stars that the recipe's training holds out. A training
    starts from the result with   \[training] init = "RUN/pretraining/encoder"

    Settings are in \[pretraining]: epochs, batch, rate, hidden, run, ...
    Interrupted, the same command goes on from the last finished epoch.
    """

    def run() -> int:
        from goodricke.training.experiment import pretrain_recipe
        from goodricke.training.recipe import read_recipe

        pretrain_recipe(read_recipe(recipe), device)
        return DONE

    raise typer.Exit(guarded(run))


@app.command()
def evaluate(
    model: Annotated[
        list[str],
        typer.Argument(
            help="Models: folders or shipped names; several: folds or rivals",
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
        Path | None, typer.Option(help="With --light-curves: table with a row per object", show_default=False)
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column with the class, if not recognised")] = None,
    object_id: Annotated[str | None, typer.Option(help="Column with the object's id, if not recognised")] = None,
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
    seed: Annotated[int, typer.Option(help="Of the dropout masks")] = 0,
    quality: Quality = "default",
    flux: Flux = None,
    column: Columns = None,
    band: Band = None,
    unit: Unit = None,
    time_scale: TimeScale = None,
    recursive: Recursive = False,
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
    told = reading(quality, flux, column, band, unit, time_scale, recursive)
    told |= {"label": label, "object_id": object_id}

    def run() -> int:
        from goodricke.evaluation import evaluate as put_to
        from goodricke.evaluation import source

        data = source(recipe, light_curves, labels, split, told)
        options: dict[str, Any] = {"passes": mc, "seed": seed, "workers": workers, "device": device}
        options |= {"report": report, "shift": shift or (), "simulated": simulated}
        result = put_to(model, data, out, split=split, history=history or (), **options)
        return DONE if result.complete else SOME_FAILED

    raise typer.Exit(guarded(run))


@models.command("list")
def list_models() -> None:
    """List the models that come with the package, with their scores on held-out stars."""
    from goodricke.cli.classify import table_of_models

    console().print(table_of_models())


@models.command("show")
def show_model(model: ModelArgument) -> None:
    """Print a model's card."""
    from rich.markdown import Markdown

    from goodricke.models.bundle import find_model

    def run() -> int:
        console().print(Markdown((find_model(model) / "README.md").read_text()))
        return DONE

    raise typer.Exit(guarded(run))


@models.command("verify")
def verify(model: ModelArgument, device: Device = "cpu") -> None:
    """Recompute a model's recorded outputs on this machine and compare."""

    def run() -> int:
        from goodricke.models.bundle import load_model, verify_model

        loaded = load_model(model, device)
        worst = verify_model(loaded)
        console().print(f"{loaded.name} {loaded.hash}: recorded logits reproduced to {worst:.1e}")
        return DONE

    raise typer.Exit(guarded(run))


@models.command("import")
def import_published(
    checkpoint: Annotated[Path, typer.Argument(help="A published ASTRAFier checkpoint (.ckpt or .safetensors)")],
    out: Annotated[Path, typer.Option(help="Folder of the new model")],
    name: Annotated[str, typer.Option(help="Name of the new model")] = "astrafier-published",
) -> None:
    """Make a model of a published ASTRAFier checkpoint, quirks included (compat="published")."""

    def run() -> int:
        from goodricke.cli.classify import import_checkpoint

        model = import_checkpoint(checkpoint, out, name)
        console().print(f"{model.name} {model.hash} written to {out}: {', '.join(model.classes)}")
        return DONE

    raise typer.Exit(guarded(run))


@models.command("export")
def export_model(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="Folder; for ASTRAFier also a file ending in .onnx", show_default=False)],
) -> None:
    """Write a model as ONNX, to be used without PyTorch; needs the package's extra onnx.

    ASTRAFier makes one file, for any number of light curves of any length. A multi-band model makes one per band, for
    one new observation of any number of objects: new cells and the answer from the old cells.

    Classes, calibration and preprocessing are in the file's metadata, as JSON:

    session = onnxruntime.InferenceSession("asas-v.onnx")

    about = session.get_modelmeta().custom_metadata_map

    logits, embedding = session.run(None, {"values": values, "time": time, "mask": mask, "context": context})

    How logits become probabilities, inputs and outputs: help("goodricke.models.export")
    """

    def run() -> int:
        from goodricke.models.bundle import load_model
        from goodricke.models.export import export

        for path in export(load_model(model), out):
            console().print(f"written to {path}")
        return DONE

    raise typer.Exit(guarded(run))


@models.command("push")
def push_model(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(help="Repository on the Hugging Face hub: owner/name", metavar="OWNER/NAME")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is seen by its owner alone")] = False,
) -> None:
    """Put a model on the Hugging Face hub, from where its name is enough: --model OWNER/NAME.

    Needs the package's extra hub, and   hf auth login   once. What others fetch is kept in their hub cache (HF_HOME)
    and found there without network.
    """

    def run() -> int:
        from goodricke.models.bundle import load_model
        from goodricke.models.hub import push

        loaded = load_model(model)  # nothing that doesn't load goes out
        assert loaded.folder is not None
        console().print(f"{loaded.name} {loaded.hash} is at {push(loaded.folder, name, private)}", markup=False)
        return DONE

    raise typer.Exit(guarded(run))


@app.command()
def doctor(
    verify: Annotated[
        bool, typer.Option("--verify", help="Also recompute the shipped models' recorded outputs (seconds)")
    ] = False,
    broker: Annotated[str | None, typer.Option(help="Also ask this Kafka broker, HOST:PORT")] = None,
    redis: Annotated[str | None, typer.Option(help="Also ask this store, redis://HOST:PORT/DB")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, and for reports of bugs")] = False,
) -> None:
    """Look at what goodricke runs on: versions, devices, threads, extras, models, caches; and say what to fix.

    Exit code: 0 all well (missing extras are no fault), 3 something is broken.
    """
    from goodricke.cli.doctor import examine, show

    report = examine(verify, broker, redis)
    show(report, as_json)
    raise typer.Exit(SOME_FAILED if report.broken else DONE)


app.command()(simulate)
for command in (*ASSESSMENT, *CATALOG, *EMBEDDINGS, *EXPLORER, *SERVE):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    keep_freed_memory()
    app()


if __name__ == "__main__":
    main()
