"""Recipes of ASTRAFier without one of its three modules: the ablations of the paper's Table 6."""

from __future__ import annotations

from typing import Literal, get_args

from goodricke.training.recipe import Recipe

Module = Literal["bilstm", "attention", "cnn"]
MODULES: tuple[Module, ...] = get_args(Module)


def ablated_recipe(recipe: Recipe, module: str) -> Recipe:
    """Return the recipe of a network without a module, everything else the same, in a run folder of its own.

    Parameters
    ----------
    recipe : Recipe
        Of the kind dense or folded, whose network is ASTRAFier.
    module : {"bilstm", "attention", "cnn"}
        Without the BiLSTM its CNN projection goes too, as in the paper.

    Raises
    ------
    ValueError
        If there is no such module, or the network is another one.
    """
    if module not in MODULES:
        raise ValueError(f"--ablation {module}: it is one of {', '.join(MODULES)}")
    if recipe.preprocessing.family != "astrafier":
        raise ValueError(
            f'--ablation leaves out a module of ASTRAFier, and the recipe\'s kind "{recipe.preprocessing.kind}" has '
            'another network. Fix: use a recipe of the kind "dense" or "folded"'
        )
    if recipe.training.init is not None:
        raise ValueError("--ablation starts from random weights. Fix: leave out [training] init")
    changes = {
        "name": f"{recipe.name}-without-{module}",
        "run": recipe.run.with_name(f"{recipe.run.name}-without-{module}"),
        "network": recipe.network | {module: False},
        "paper": f"astrafier-without-{module}" if recipe.paper == "astrafier-both" else "",
    }
    return recipe.model_copy(update=changes)
