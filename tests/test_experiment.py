"""A newcomer's path: own light curves and labels in CSV files, a recipe, a trained model that classifies."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.training.recipe import DataConfig, example, merged, read_recipe

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


def test_recipe_to_model_to_answers(home: Path) -> None:
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
    result = runner.invoke(
        app, ["classify", str(home / "curves.csv"), "--model", str(run / "model"), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    answers = pd.read_csv(out, dtype={"object_id": str}).set_index("object_id")
    assert len(answers) == 110
    held_out = pd.read_parquet(run / "test_predictions.parquet").set_index("object_id")
    same = answers.loc[held_out.index]
    # in the test set's company and in everybody's: the same probabilities (up to the weights' rounding to 16 bits)
    assert np.allclose(same["p_ECL"], held_out["p_ECL"], atol=5e-3)


def test_taken_up_after_an_interruption(home: Path) -> None:
    train(home, 1)
    log = (home / "run/checkpoints/log.jsonl").read_text()
    train(home, 2)
    longer = (home / "run/checkpoints/log.jsonl").read_text()
    assert longer.startswith(log)
    assert len(longer.splitlines()) == 2


def test_fine_tuning_starts_from_a_model(home: Path) -> None:
    from goodricke.experiment import build_network
    from goodricke.models.bundle import load_model

    train(home, 1)
    recipe = read_recipe(home / "toy.toml")
    settings = recipe.training.model_copy(update={"init": str(home / "run/model")})
    network = build_network(recipe.model_copy(update={"training": settings}), ("a", "b", "c"))
    old = load_model(home / "run/model").network.state_dict()
    new = network.state_dict()
    assert all((new[k] == old[k]).all() for k in old if not k.startswith("head.7"))
    assert new["head.7.weight"].shape == (3, 32)


def test_example_recipe_is_valid(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(example())
    recipe = read_recipe(tmp_path / "my.toml")
    assert recipe.run == tmp_path.resolve() / "runs/my-model"


def test_recipe_errors_name_the_key(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'name = "x"\nrun = "r"\n[data]\nlight_curves = "a"\nlabel = 3\n[training]\nepoch = 3\n'
    )
    with pytest.raises(ValueError, match=r"data.labels.*\n.*data.label.*\n.*training.epoch"):
        read_recipe(tmp_path / "bad.toml")
    (tmp_path / "worse.toml").write_text("name = ")
    with pytest.raises(ValueError, match="not valid TOML"):
        read_recipe(tmp_path / "worse.toml")


def test_merge_drop_and_rare_classes() -> None:
    config = DataConfig(light_curves="x", labels="y", merge={"E": ["EA", "EB"]}, drop=["J"], fewest=3)
    label = pd.Series(["EA", "EB", "EA", "J", "R", "S", "S", "S", None])
    assert merged(label, config).fillna("-").tolist() == ["E", "E", "E", "-", "-", "S", "S", "S", "-"]


def test_labels_that_fit_no_light_curve(home: Path) -> None:
    pd.DataFrame({"star": ["other"], "class": ["EA"]}).to_csv(home / "labels.csv", index=False)
    (home / "toy.toml").write_text(RECIPE.format(epochs=1))
    result = runner.invoke(app, ["train", str(home / "toy.toml")])
    assert result.exit_code == 2
