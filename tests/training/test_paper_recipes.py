"""The recipes of the two papers: what they say, and their course from files to scores on small made-up data."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from goodricke.evaluation.evaluate import evaluate
from goodricke.evaluation.held_out import run_recipe
from goodricke.evaluation.papers import TABLES
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.training.recipe import MODULES, Recipe, ablated_recipe, fold_recipe, read_recipe, recipe_from_content
from tests.hub_server import write_tensors
from tests.quick import leave_out_forests

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
# Parameters of the whole ensemble without regression, and of the two regressions (spec of the paper's networks).
SIZES = {"gaia": (1_198_114, 67_330), "ps1": (744_645, 53_250), "ztf": (1_197_993, 67_330)}
CLASSES = {"gaia": 6, "ps1": 6, "ztf": 9}


def shrunk(name: str, folder: Path, **data: Any) -> Recipe:
    """Return a recipe with other data and sizes that a test can afford."""
    content = tomllib.loads((RECIPES / f"{name}.toml").read_text())
    content["data"] |= {"fewest": 3, "fewest_per_band": 0, "drop": [], **data}
    content["training"] |= {"epochs": 2, "batch": 32, "passes": 0}
    small = {"embed": 8, "heads": 2, "blocks": 1, "hidden": 8, "kernels": [3, 3, 3, 5]}
    if content["preprocessing"]["kind"] == "multiband":
        small = {"hidden": 8, "head": [8], **{k: v for k, v in content["network"].items() if k == "raw_input"}}
        content["training"]["ensemble"]["warmup_batches"] = 1
        content["training"]["mixture"] = False
    else:
        content["preprocessing"]["frames"] = 160
    content["network"] = small
    return recipe_from_content(content | {"run": str(folder / "run")}, name)


# ---- Becker et al. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("survey", SIZES)
def test_the_multi_band_recipes_say_what_the_paper_says(survey: str) -> None:
    recipe = read_recipe(RECIPES / f"becker-{survey}.toml")
    training, ensemble, pre = recipe.training, recipe.training.ensemble, recipe.preprocessing
    rate, batch, skip, updates, dropout, most, fewest = {
        "gaia": (1e-3, 512, 8, 2, 0.4, 40_000, 1000),
        "ps1": (5e-3, 512, 2, 1, 0.35, 10_000, 100),
        "ztf": (5e-3, 128, 3, 2, 0.3, 10_000, 500),
    }[survey]
    assert (training.rate, training.batch, ensemble.skip, ensemble.central_updates) == (rate, batch, skip, updates)
    assert (training.betas, training.weight_decay, training.schedule, training.decay) == (
        (0.9, 0.999),
        1e-4,
        "exponential",
        0.95,
    )
    assert (training.weight_power, ensemble.central_rate, ensemble.warmup_batches, ensemble.last) == (0, 0.5, 500, 0)
    assert recipe.network["dropout"] == dropout
    assert (recipe.data.most, recipe.data.fewest, recipe.data.test) == (most, fewest, 0.2)
    assert list(recipe.data.targets) == ["teff", "radius"]
    np.testing.assert_allclose(ensemble.target_weight, (20 / 300, 1 / 300), rtol=1e-5)
    assert not pre.level
    sizes = {"bands": len(pre.bands), "classes": CLASSES[survey]}
    config = MultibandNetworkConfig(**recipe.network, **sizes)
    count = sum(p.numel() for p in Multiband(config).parameters() if p.requires_grad)
    with_targets = Multiband(config.model_copy(update={"targets": 2}))
    assert count == SIZES[survey][0]
    assert sum(p.numel() for p in with_targets.parameters() if p.requires_grad) == sum(SIZES[survey])
    assert len(TABLES[recipe.paper].classes) == CLASSES[survey]
    assert [fold_recipe(recipe, k, 7).data.fold for k in (1, 7)] == [1, 7]


def gaia_files(folder: Path, rng: np.random.Generator, n: int) -> dict[str, str]:
    """Write epoch photometry as ESA sends it, and labels; return where they are."""
    rows = []
    for star in range(n):
        time = np.sort(rng.uniform(1700, 2400, 12))
        signal = (0.1, 0.5, 1.0)[star % 3] * np.sin(2 * np.pi * time / (0.3, 0.6, 300)[star % 3])
        for band, delay in (("G", 0.0), ("BP", 1e-4), ("RP", 2e-4)):
            flux = 1e4 * 10 ** (-0.4 * signal)
            for k, (t, m, f) in enumerate(zip(time + delay, 15 + signal, flux, strict=True)):
                rows.append((4_000_000 + star, k, band, t, m, f, f / 100, 100.0, "false", "false", 0, 1))
    names = ("source_id", "transit_id", "band", "time", "mag", "flux", "flux_error", "flux_over_error")
    names += ("rejected_by_photometry", "rejected_by_variability", "other_flags", "solution_id")
    pd.DataFrame(rows, columns=names).to_csv(folder / "gaia.csv", index=False)
    label = [("DSCT_SXPHE", "RRAB", "MIRA_SR")[star % 3] for star in range(n)]
    ids = [f"{4_000_000 + star}" for star in range(n)]
    return labels_file(folder, rng, ids, label) | {"light_curves": str(folder / "gaia.csv")}


def ztf_files(folder: Path, rng: np.random.Generator, n: int) -> dict[str, str]:
    """Write light curves of two bands as a table, and labels; return where they are."""
    rows = []
    for star in range(n):
        for band in ("g", "r"):
            time = np.sort(rng.uniform(58_000, 58_400, 12))
            signal = (0.1, 1.0)[star % 2] * np.sin(2 * np.pi * time / (0.5, 200)[star % 2])
            rows += [(f"ZTF18aaaaa{star:02d}", t, 18 + s, 0.05, band) for t, s in zip(time, signal, strict=True)]
    names = ("oid", "mjd", "mag", "magerr", "band")
    pd.DataFrame(rows, columns=names).to_csv(folder / "ztf.csv", index=False)
    ids = [f"ZTF18aaaaa{star:02d}" for star in range(n)]
    label = [("RRL", "LPV")[star % 2] for star in range(n)]
    return labels_file(folder, rng, ids, label) | {"light_curves": str(folder / "ztf.csv")}


def labels_file(folder: Path, rng: np.random.Generator, ids: list[str], label: list[str]) -> dict[str, str]:
    table = pd.DataFrame({"object_id": ids, "class": label})
    table["teff"] = np.where(rng.random(len(ids)) < 0.3, np.nan, rng.uniform(3500, 7900, len(ids)))
    table["radius"] = rng.uniform(0.5, 150, len(ids))
    table.to_csv(folder / "labels.csv", index=False)
    return {"labels": str(folder / "labels.csv")}


@pytest.mark.parametrize(("survey", "write", "n"), [("gaia", gaia_files, 45), ("ztf", ztf_files, 30)])
def test_the_multi_band_recipes_from_files_to_scores(survey, write, n, tmp_path, monkeypatch, capsys):
    leave_out_forests(monkeypatch)
    recipe = shrunk(f"becker-{survey}", tmp_path, **write(tmp_path, np.random.default_rng(1), n))
    folds = [fold_recipe(recipe, k, 3) for k in (1, 2, 3)]
    models = [load_model(run_recipe(fold)) for fold in folds]
    splits = [pd.read_csv(fold.run / "split.csv") for fold in folds]
    tests = [set(split["object_id"][split["part"] == "test"]) for split in splits]
    validations = [set(split["object_id"][split["part"] == "validation"]) for split in splits]
    assert tests[0] == tests[1] == tests[2]
    assert not validations[0] & validations[1]
    assert [target.name for target in models[0].config.targets] == ["teff", "radius"]
    assert models[0].preprocessing.bands == recipe.preprocessing.bands
    result = evaluate([fold.run / "model" for fold in folds], recipe, tmp_path / "scores")
    assert result.folds is not None
    assert result.folds.folds == 3
    assert set(result.regression_folds) == {"teff", "radius"}
    assert (tmp_path / "scores" / "fold_confusion.png").exists()
    printed = capsys.readouterr().out
    assert "Becker et al. (2025)" in printed


# ---- Gregory et al. ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["astrafier-tess", "astrafier-tess-by-star"])
def test_the_dense_recipes_say_what_the_paper_says(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    training = recipe.training
    assert (training.epochs, training.batch, training.rate, training.head_rate) == (250, 128, 1e-4, 1e-3)
    assert (training.betas, training.weight_decay, training.weight_power) == ((0.9, 0.95), 1e-5, 1)
    assert (training.passes, training.score, recipe.preprocessing.frames) == (20, "accuracy", 1171)
    assert recipe.network == {}
    assert recipe.data.light_curves[0].startswith(("hf://", str(RECIPES.parent)))
    assert recipe.paper in TABLES


def test_training_and_ablations_on_the_authors_tensors(tmp_path, monkeypatch, capsys):
    leave_out_forests(monkeypatch)
    write_tensors(tmp_path, "train", 48, 120, seed=1)
    write_tensors(tmp_path, "test", 16, 120, seed=2)
    train, test = (str(tmp_path / f"{name}.safetensors") for name in ("train", "test"))
    recipe = shrunk("astrafier-tess", tmp_path, light_curves=[train, test], labels=train, test_labels=test)
    model = load_model(run_recipe(recipe))
    assert model.config.network["bilstm"]
    split = pd.read_csv(recipe.run / "split.csv")
    assert set(split["object_id"][split["part"] == "test"]) == {f"test-{row}" for row in range(16)}
    assert split["part"].value_counts()["validation"] == 8  # one of each class
    assert "Table 4" in capsys.readouterr().out
    without = load_model(run_recipe(ablated_recipe(recipe, "cnn")))
    assert not without.config.network["cnn"]
    assert "Table 6" in capsys.readouterr().out


def test_ablations_leave_out_one_module():
    recipe = read_recipe(RECIPES / "astrafier-tess.toml")
    whole = sum(p.numel() for p in Astrafier(AstrafierConfig()).parameters())
    for module in MODULES:
        ablated = ablated_recipe(recipe, module)
        config = AstrafierConfig(**ablated.network)
        assert [name for name in MODULES if not getattr(config, name)] == [module]
        assert sum(p.numel() for p in Astrafier(config).parameters()) < whole
        assert ablated.run.name == f"astrafier-tess-without-{module}"
        assert ablated.paper in TABLES
    with pytest.raises(ValueError, match="one of bilstm, attention, cnn"):
        ablated_recipe(recipe, "head")
    with pytest.raises(ValueError, match="leaves out a module of ASTRAFier"):
        ablated_recipe(read_recipe(RECIPES / "becker-ztf.toml"), "cnn")
