"""The commands ``goodricke train`` and ``goodricke pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Device, exit_with
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions


def train(
    recipe: Annotated[Path | None, typer.Argument(help="TOML file; see --example", show_default=False)] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented recipe to start from")] = False,
    dense: Annotated[bool, typer.Option("--dense", help="With --example: for dense space photometry")] = False,
    multiband: Annotated[
        bool,
        typer.Option("--multiband", help="With --example: for sources that change once, an answer per observation"),
    ] = False,
    add_band: Annotated[
        str | None, typer.Option(help="Add this band to the model --from; its other bands stay as they are")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="Model to add a band to", autocompletion=completions)
    ] = None,
    ablation: Annotated[
        str | None,
        typer.Option(help="Train ASTRAFier without one module: bilstm, attention or cnn (RUN-without-...)"),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(min=1, help="Number of models to train, each with another part for validation (RUN/fold-1, ...)"),
    ] = 1,
    device: Device = "cpu",
) -> None:
    """Train a model on your own labels. If interrupted, run the same command again: it continues after the last epoch.

    Sparse light curves of variable stars, any bands: goodricke train --example > my.toml
    Kepler, TESS:                                     goodricke train --example --dense > my.toml
    Transients, an answer after each observation:     goodricke train --example --multiband > my.toml
    How much the result varies: --folds 7, then goodricke evaluate RUN/fold-*/model --recipe RECIPE --out DIR
    Several GPUs: torchrun --nproc-per-node 4 -m goodricke train RECIPE --device cuda
    """
    if (add_band is None) != (source is None):
        raise typer.BadParameter("--add-band and --from go together: --add-band i --from MODEL")
    if example or recipe is None:
        from goodricke.training.recipe import example as example_text

        typer.echo(example_text("multiband" if multiband else "dense" if dense else "variables"), nl=False)
        if example:
            raise typer.Exit
        typer.echo("goodricke: name a recipe: goodricke train RECIPE.toml; above is one to start from", err=True)
        raise typer.Exit(ExitCode.USAGE)

    def run() -> int:
        from goodricke.evaluation.held_out import run_recipe
        from goodricke.training.recipe import ablated_recipe, fold_recipe, new_band_recipe, read_recipe

        base = read_recipe(recipe)
        if add_band is not None:
            base = new_band_recipe(base, add_band, str(source))
        if ablation is not None:
            base = ablated_recipe(base, ablation)
        for variant in [base] if folds == 1 else [fold_recipe(base, k + 1, folds) for k in range(folds)]:
            run_recipe(variant, device)
        return ExitCode.DONE

    exit_with(run)


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="TOML file, as for `goodricke train`", show_default=False)],
    device: Device = "cpu",
) -> None:
    r"""Train a network without labels: part of each light curve is hidden, and it learns to predict it.

    It learns from all light curves that \[data] light_curves names, labelled or
    not, except those of the stars that the recipe's training holds out. A training
    starts from the result with   \[training] init = "RUN/pretraining/encoder"

    Settings are in \[pretraining]: epochs, batch, rate, hidden, run, ...
    If interrupted, run the same command again: it continues after the last finished epoch.
    """

    def run() -> int:
        from goodricke.training.experiment import pretrain_recipe
        from goodricke.training.recipe import read_recipe

        pretrain_recipe(read_recipe(recipe), device)
        return ExitCode.DONE

    exit_with(run)
