"""The commands ``goodricke models ...``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Device, ModelArgument, console, exit_with
from goodricke.data.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, help="List, show, verify, import, export and push models.")


@app.command("list")
def list_models() -> None:
    """List the models that come with the package, with their scores on held-out stars."""
    from goodricke.cli.tables import model_table

    console().print(model_table())


@app.command()
def show(model: ModelArgument) -> None:
    """Print a model's card."""

    def run() -> int:
        from rich.markdown import Markdown

        from goodricke.models.bundle import find_model

        console().print(Markdown((find_model(model) / "README.md").read_text()))
        return ExitCode.DONE

    exit_with(run)


@app.command()
def verify(model: ModelArgument, device: Device = "cpu") -> None:
    """Recompute a model's recorded outputs on this machine and compare."""

    def run() -> int:
        from goodricke.models.bundle import load_model, verify_model

        loaded = load_model(model, device)
        difference = verify_model(loaded)
        console().print(f"{loaded.name} {loaded.hash}: recorded logits reproduced to {difference:.1e}")
        return ExitCode.DONE

    exit_with(run)


@app.command("import")
def import_published(
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="Published ASTRAFier checkpoint: OWNER/NAME[@REVISION] on the Hugging Face hub, or a file "
            "(.ckpt or .safetensors)",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the new model  [default: NAME]")] = None,
    name: Annotated[str, typer.Option(help="Name of the new model")] = "astrafier-published",
) -> None:
    """Make a model of a published ASTRAFier checkpoint, quirks included (compat="published").

    The authors' own: goodricke models import paulg9/astrafier
    Then:             goodricke classify tess/ --model astrafier-published --out tess.parquet

    The hub needs the package's extra hub and, once, a network; the checkpoint stays in the hub's cache (HF_HOME). No
    pickled code is run. The model's card names the revision and the checkpoint's SHA-256.
    """

    def run() -> int:
        from goodricke.models.bundle import BundleConfig, Model
        from goodricke.models.published import find_checkpoint, load_published, published_card, published_classes
        from goodricke.preprocess.dense import published

        source = find_checkpoint(checkpoint)
        folder = Path(name) if out is None else out
        if folder.exists() and not (folder / "config.json").exists():
            raise FileExistsError(f"{folder} is there and is no model. Fix: name another folder with --out")
        network = load_published(source.path)
        config = BundleConfig(
            name=name,
            summary="Published ASTRAFier weights, run as the published code runs them",
            classes=tuple(published_classes()),
            network=network.config.model_dump(),
            preprocessing=published(),
            trained_on="Kepler and TESS (published weights)",
        )
        model = Model(config, network).save(folder, published_card(name, source), half=False)
        console().print(f"{model.name} {model.hash} written to {folder}: {', '.join(model.classes)}", markup=False)
        console().print(f"Checkpoint {source}", markup=False, soft_wrap=True)
        return ExitCode.DONE

    exit_with(run)


@app.command()
def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="File ending in .onnx, or a folder", show_default=False)],
    coverage: Annotated[
        float, typer.Option(help="Fraction of objects whose prediction set contains the true class")
    ] = 0.9,
) -> None:
    """Write a model as one ONNX file, to be used without PyTorch; needs the package's extra onnx.

    Network, calibration, prediction sets, novelty and the taxonomy's answer are in the file; classes and preprocessing
    in its metadata, as JSON. A multi-band model takes observations as they are, all at once or one after the other
    with the state from before; other models take prepared light curves, any number of them:

    session = onnxruntime.InferenceSession("variables.onnx")

    about = session.get_modelmeta().custom_metadata_map

    logits, embedding, probabilities, *answer = session.run(None, {"values": values, "context": context})

    Inputs and outputs: help("goodricke.models.export")
    """

    def run() -> int:
        from goodricke.models.bundle import load_model
        from goodricke.models.export import export as write

        console().print(f"written to {write(load_model(model), out, coverage)}")
        return ExitCode.DONE

    exit_with(run)


@app.command()
def push(
    model: ModelArgument,
    name: Annotated[str, typer.Argument(help="Repository on the Hugging Face hub: owner/name", metavar="OWNER/NAME")],
    private: Annotated[bool, typer.Option("--private", help="Only the owner sees a new repository")] = False,
) -> None:
    """Put a model on the Hugging Face hub, from where its name is enough: --model OWNER/NAME.

    Needs the package's extra hub, and   hf auth login   once. Whoever uses the name downloads the model once; it stays
    in their hub cache (HF_HOME) and needs no network from then on.
    """

    def run() -> int:
        from goodricke.models.bundle import load_model
        from goodricke.models.hub import push

        loaded = load_model(model)  # a model that doesn't load is not published
        assert loaded.folder is not None
        console().print(f"{loaded.name} {loaded.hash} is at {push(loaded.folder, name, private)}", markup=False)
        return ExitCode.DONE

    exit_with(run)
