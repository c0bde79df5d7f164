"""A newcomer's path: own light curves and labels in CSV files, a recipe, a trained model that classifies."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.evaluation.held_out import run_recipe
from goodricke.models.bundle import load_model
from goodricke.preprocess import prepare
from goodricke.training import experiment
from goodricke.training.experiment import FEWEST_STEPS, run_with_progress, split_objects
from goodricke.training.labels import merge_labels, read_labelled
from goodricke.training.recipe import DataConfig, example, read_recipe, with_enough_epochs

runner = CliRunner()
RECIPE = """
name = "toy"
run = "run"
[data]
light_curves = "curves.csv"
labels = "labels.csv"
drop = ["junk"]
merge = {{ ECL = ["EA", "EB"] }}
fewest = 10
[preprocessing]
kind = "folded"
bins = 32
[network]
embed = 8
heads = 2
hidden = 16
blocks = 1
kernels = [3, 7]
[training]
epochs = {epochs}
batch = 16
rate = 3e-3
head_rate = 3e-3
warmup = 0.5
passes = 3
"""


def curve(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    time = np.sort(rng.uniform(0, 200, 60))
    phase = time / rng.uniform(0.4, 3) % 1
    shape = {
        "sine": 0.4 * np.sin(2 * np.pi * phase),
        "EA": 0.8 * np.exp(-(((phase - 0.5) / 0.04) ** 2)),
        "EB": 0.8 * np.exp(-(((phase - 0.5) / 0.06) ** 2)),
        "junk": np.zeros(60),
    }[kind]
    return time, 12 + shape + rng.normal(0, 0.01, 60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for k in range(110):
        kind = ("sine", "EA", "sine", "EB")[k % 4] if k < 100 else "junk"
        time, mag = curve(kind, rng)
        rows.append(pd.DataFrame({"star": f"s{k:03d}", "HJD": time, "Vmag": mag, "e_Vmag": 0.01}))
        labels.append((f"s{k:03d}", kind, 10.0 + k, -20.0))
    pd.concat(rows).to_csv(tmp_path / "curves.csv", index=False)
    pd.DataFrame(labels, columns=["star", "class", "ra", "dec"]).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def train(home: Path, epochs: int) -> None:
    (home / "toy.toml").write_text(RECIPE.format(epochs=epochs))
    result = runner.invoke(app, ["train", str(home / "toy.toml")])
    assert result.exit_code == 0, result.output


def test_recipe_to_model_to_answers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(home, 2)
    run = home / "run"
    split = pd.read_csv(run / "split.csv")
    assert set(split["label"]) == {"ECL", "sine"}
    assert set(split["part"]) == {"train", "validation", "test"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics) == {"deterministic", "monte_carlo", "forest", "forest_period"}
    assert metrics["forest"]["n"] == (split["part"] == "test").sum()
    for name in ("history.png", "confusion.png", "reliability.png", "test_predictions.parquet", "model/README.md"):
        assert (run / name).stat().st_size > 500
    assert "forest" in (run / "model" / "README.md").read_text()
    out = home / "out.csv"
    asked = ["classify", str(home / "curves.csv"), "--model", str(run / "model"), "--out", str(out)]
    result = runner.invoke(app, [*asked, "--mc", "3"])  # as many as the recipe says, whose masks are the same
    assert result.exit_code == 0, result.output
    answers = pd.read_csv(out, dtype={"object_id": str}).set_index("object_id")
    assert len(answers) == 110
    held_out = pd.read_parquet(run / "test_predictions.parquet").set_index("object_id")
    same = answers.loc[held_out.index]
    # in the test set's company and in everybody's: the same probabilities (up to the weights' rounding to 16 bits)
    assert np.allclose(same["p_ECL"], held_out["p_ECL"], atol=5e-4)
    monkeypatch.setattr("goodricke.evaluation.held_out.forest_probabilities", None)  # it isn't called again
    train(home, 2)
    again = json.loads((run / "metrics.json").read_text())
    assert again["forest"] == metrics["forest"]
    assert again["forest_period"] == metrics["forest_period"]


@pytest.mark.usefixtures("network_only")
def test_taken_up_after_an_interruption(home: Path) -> None:
    train(home, 1)
    log = (home / "run/checkpoints/log.jsonl").read_text()
    train(home, 2)
    longer = (home / "run/checkpoints/log.jsonl").read_text()
    assert longer.startswith(log)
    assert len(longer.splitlines()) == 2


@pytest.mark.usefixtures("network_only")
@pytest.mark.parametrize("stage", ["training.experiment.calibrate", "evaluation.held_out._score"])
def test_a_training_that_stops_before_its_end_leaves_no_model_or_the_former_one(
    home: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    recipe, model = read_recipe(home / "toy.toml"), home / "run" / "model"
    with monkeypatch.context() as patch:
        patch.setattr(f"goodricke.{stage}", stop)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe, console=Console(quiet=True))
    assert not model.exists()
    assert not list(model.parent.glob(".*"))
    run_recipe(recipe, console=Console(quiet=True))
    former = load_model(model, verify=True).hash
    monkeypatch.setattr(f"goodricke.{stage}", stop)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, console=Console(quiet=True))
    assert load_model(model).hash == former


@pytest.mark.usefixtures("network_only")
def test_folds_are_trained_beside_each_other_and_evaluated_together(home: Path) -> None:
    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    trained = runner.invoke(app, ["train", str(home / "toy.toml"), "--folds", "2"])
    assert trained.exit_code == 0, trained.output
    parts = [pd.read_csv(home / f"run/fold-{k}/split.csv", dtype=str).set_index("object_id")["part"] for k in (1, 2)]
    assert (parts[0].eq("test") == parts[1].eq("test")).all()
    assert (parts[0].eq("validation") ^ parts[1].eq("validation") == ~parts[0].eq("test")).all()
    models = [str(home / f"run/fold-{k}/model") for k in (1, 2)]
    found = runner.invoke(app, ["evaluate", *models, "--recipe", str(home / "toy.toml"), "--out", str(home / "out")])
    assert found.exit_code == 0, found.output
    assert (home / "out/metrics.json").exists()


@pytest.mark.usefixtures("network_only")
def test_a_short_run_says_that_it_is_short_and_what_to_set(home: Path) -> None:
    (home / "toy.toml").write_text(RECIPE.format(epochs=2))
    shown = " ".join(runner.invoke(app, ["train", str(home / "toy.toml")]).output.split())
    found = re.search(r"Only (\d+) gradient steps: .*? Raise \[training\] epochs to (\d+)", shown)
    assert found, shown
    steps, epochs = map(int, found.groups())
    assert (epochs - 1) * steps / 2 < 1500 <= epochs * steps / 2


@pytest.mark.usefixtures("network_only")
def test_fine_tuning_starts_from_a_model(home: Path) -> None:
    from goodricke.models.bundle import load_model
    from goodricke.training.families import build_network

    train(home, 1)
    model = load_model(home / "run/model")
    network = build_network(read_recipe(home / "toy.toml"), ("a", "b", "c"), (), model)
    old, new = model.network.state_dict(), network.state_dict()
    assert all((new[k] == old[k]).all() for k in old if not k.startswith("head.7"))
    assert new["head.7.weight"].shape == (3, 32)


@pytest.mark.parametrize("kind", ["folded", "multiband"])
def test_example_recipe_is_valid(tmp_path: Path, kind: str) -> None:
    (tmp_path / "my.toml").write_text(example(kind))
    recipe = read_recipe(tmp_path / "my.toml")
    assert recipe.run == tmp_path.resolve() / "runs/my-model"


@pytest.mark.parametrize("kind", ["variables", "folded", "dense", "multiband"])
@pytest.mark.parametrize("objects", [20, 300, 20_000, 1_000_000])
def test_an_example_recipe_has_enough_epochs_for_any_set(tmp_path: Path, kind: str, objects: int) -> None:
    (tmp_path / "my.toml").write_text(example(kind))
    given = read_recipe(tmp_path / "my.toml").training
    training = with_enough_epochs(given, objects)
    assert training.epochs * math.ceil(objects / training.batch) >= FEWEST_STEPS
    assert training.epochs == given.epochs or training.patience >= training.epochs
    tuned = given.model_copy(update={"init": "variables"})
    assert with_enough_epochs(tuned, objects).epochs == given.epochs


def test_without_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "MINUTE", 0.0)
    console = Console(file=StringIO(), width=80)

    def fit(report: Callable, tick: Callable) -> str:
        tick(5)
        report({"epoch": 0, "loss": 1.0, "validation_loss": 2.0, "seconds": 3.0})
        tick(5)
        return "fitted"

    assert run_with_progress(fit, 10, 2, console) == "fitted"
    lines = console.file.getvalue().splitlines()
    counts = [line.split(",")[0].strip() for line in lines if "of 20 light curves" in line]
    assert counts == ["5 of 20 light curves", "10 of 20 light curves"]
    assert sum(line.startswith("epoch   1") for line in lines) == 1


def test_recipe_errors_name_the_key(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'name = "x"\nrun = "r"\n[data]\nlight_curves = "a"\nlabel = 3\n[training]\nepoch = 3\n'
    )
    with pytest.raises(ValueError, match=r"data.labels.*\n.*data.label.*\n.*training.epoch"):
        read_recipe(tmp_path / "bad.toml")
    for content in (b"name = ", b"\xff\xfe"):
        (tmp_path / "worse.toml").write_bytes(content)
        with pytest.raises(ValueError, match=r"worse\.toml: not valid TOML"):
            read_recipe(tmp_path / "worse.toml")


def test_merge_drop_and_rare_classes() -> None:
    config = DataConfig(light_curves="x", labels="y", merge={"E": ["EA", "EB"]}, drop=["J"], fewest=3)
    label = pd.Series(["EA", "EB", "EA", "J", "R", "S", "S", "S", None])
    assert merge_labels(label, config).fillna("-").tolist() == ["E", "E", "E", "-", "-", "S", "S", "S", "-"]


def test_labels_that_fit_no_light_curve(home: Path) -> None:
    pd.DataFrame({"star": ["other"], "class": ["EA"]}).to_csv(home / "labels.csv", index=False)
    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    result = runner.invoke(app, ["train", str(home / "toy.toml")])
    assert result.exit_code == 2


def test_a_recipe_that_can_use_no_light_curve_says_why(home: Path) -> None:
    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    recipe = read_recipe(home / "toy.toml")
    data = read_labelled(recipe.data)
    prepared = prepare(data.curves[:2], recipe.preprocessing.resolved(data.curves))
    none = replace(prepared, status=np.full(2, "NO_PERIOD"))
    with pytest.raises(ValueError, match=r"none of 2 labelled light curves can be used \(2 NO_PERIOD\)"):
        split_objects(recipe, data, none)


def test_a_fraction_of_the_training_stars_leaves_the_other_parts_and_grows_by_stars(home: Path) -> None:
    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    recipe = read_recipe(home / "toy.toml")
    data = read_labelled(recipe.data)
    prepared = prepare(data.curves, recipe.preprocessing.resolved(data.curves))
    whole, half, tenth = (
        split_objects(
            recipe.model_copy(update={"data": recipe.data.model_copy(update={"fraction": x})}), data, prepared
        )
        for x in (1.0, 0.5, 0.1)
    )
    assert set(tenth["train"]) < set(half["train"]) < set(whole["train"])
    stars = [len(np.unique(data.star[parts["train"]])) for parts in (whole, half, tenth)]
    assert stars[1:] == [round(stars[0] * x) for x in (0.5, 0.1)]
    for part in ("validation", "test"):
        np.testing.assert_array_equal(half[part], whole[part])


MULTIBAND = """
name = "two-bands"
run = "run"
[data]
light_curves = "curves.csv"
labels = "labels.csv"
split = "part"
fewest = 10
[data.targets.period]
column = "P"
log = true
unit = "d"
[preprocessing]
kind = "multiband"
bands = ["g", "r"]
columns = ["photoz"]
[network]
hidden = 8
head = [16]
[training]
epochs = {epochs}
batch = 16
[training.ensemble]
warmup_batches = 3
thin = 0.2
noise = 1.0
"""


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """Write slow and fast sines in three bands, labels with an official split, a period and a number to be told."""
    rng = np.random.default_rng(1)
    rows, labels = [], []
    for k in range(100):
        slow, n = k % 2, rng.integers(25, 45)
        time, period = np.sort(rng.uniform(0, 100, n)), (30.0 if slow else 3.0) * rng.uniform(0.9, 1.1)
        mag = 15 + np.sin(2 * np.pi * time / period) * (1 if slow else 0.3)
        bands = rng.choice(["g", "r", "i"], n)
        rows.append(pd.DataFrame({"oid": f"s{k}", "mjd": 58000 + time, "band": bands, "mag": mag, "magerr": 0.02}))
        part = "test" if k % 5 == 0 else "train"
        labels.append((f"s{k}", "slow" if slow else "fast", part, period if k % 3 else None, 0.1 * (k % 7)))
    pd.concat(rows).to_csv(tmp_path / "curves.csv", index=False)
    names = ["oid", "class", "part", "P", "photoz"]
    pd.DataFrame(labels, columns=names).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def train_bands(survey: Path, epochs: int, *more: str) -> str:
    (survey / "toy.toml").write_text(MULTIBAND.format(epochs=epochs))
    result = runner.invoke(app, ["train", str(survey / "toy.toml"), *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_two_bands_from_recipe_to_answers(survey: Path) -> None:
    from goodricke import classify
    from goodricke.io import read
    from goodricke.models.bundle import load_model

    train_bands(survey, 12)
    metrics = json.loads((survey / "run/metrics.json").read_text())
    assert metrics["deterministic"]["n"] == 20  # the official split
    assert metrics["deterministic"]["headline"]["accuracy"]["value"] > 0.8
    assert {"forest", "forest_features", "balanced_forest", "period"} <= set(metrics)
    assert metrics["period"]["network"]["missing"] == 7  # not measured
    model = load_model(survey / "run/model", verify=True)
    with pytest.raises(ValueError, match="photoz"):
        classify(read(survey / "curves.csv"), model)
    curves, labels = read(survey / "curves.csv"), pd.read_csv(survey / "labels.csv").set_index("oid")
    told = replace(curves, objects=pa.table({"photoz": labels["photoz"].loc[curves.ids].to_numpy()}))
    answers = classify(told, model).to_pandas().set_index("object_id")
    held_out = pd.read_parquet(survey / "run/test_predictions.parquet").set_index("object_id")
    assert np.allclose(answers["p_slow"].loc[held_out.index], held_out["p_slow"], atol=1e-4)
    assert (answers["pred_period"] > 0).all()


@pytest.mark.usefixtures("network_only")
def test_unknown_bands_are_left_out_or_refused(survey: Path) -> None:
    (survey / "toy.toml").write_text(MULTIBAND.format(epochs=1).replace('columns = ["photoz"]', ""))
    assert runner.invoke(app, ["train", str(survey / "toy.toml")]).exit_code == 0
    asked = ["classify", str(survey / "curves.csv"), "--model", str(survey / "run/model")]
    assert runner.invoke(app, asked).exit_code == 0
    refused = runner.invoke(app, [*asked, "--strict"])
    assert refused.exit_code == 2
    assert "has the bands g, r, not i" in refused.output


def test_a_new_band_leaves_the_old_ones_as_they_are(survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from goodricke.models.bundle import load_model

    train_bands(survey, 2)
    (survey / "run").rename(survey / "old")
    loaded = []
    monkeypatch.setattr(
        "goodricke.training.experiment.load_initial", lambda name: loaded.append(name) or load_model(name)
    )
    output = train_bands(survey, 2, "--add-band", "i", "--from", str(survey / "old/model"))
    assert loaded == [str(survey / "old/model")]  # once
    assert "Bands g, r: bit for bit those of two-bands" in output.replace("\n", " ")
    old, new = load_model(survey / "old/model"), load_model(survey / "run/model")
    assert new.preprocessing.bands == ("g", "r", "i")
    for name, weight in old.network.bands.state_dict().items():
        assert (new.network.bands.state_dict()[name] == weight).all()
    result = runner.invoke(
        app, ["train", str(survey / "toy.toml"), "--add-band", "g", "--from", str(survey / "old/model")]
    )
    assert result.exit_code == 2
    assert runner.invoke(app, ["train", str(survey / "toy.toml"), "--add-band", "i"]).exit_code == 2
