"""The models that come with the package: they load, repeat their recorded outputs, and say what they are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.cli.demo import MODEL as DEMO_MODEL
from goodricke.data.lightcurves import LightCurves
from goodricke.models.bundle import SHIPPED, load_model, read_config, shipped_models, verify_model

runner = CliRunner()


def test_the_demo_model_is_shipped() -> None:
    assert DEMO_MODEL in shipped_models()


@pytest.mark.parametrize("name", shipped_models())
def test_bundle(name: str) -> None:
    assert verify_model(load_model(name)) < 2e-4
    folder = SHIPPED / name
    assert (folder / "model.safetensors").stat().st_size < 20e6
    assert not list(folder.glob("*.pt")) + list(folder.glob("*.pkl"))
    config = read_config(name)
    card = (folder / "README.md").read_text()
    for text in ("held-out stars", "forest", "bootstrap", config.trained_on):
        assert text in card
    assert ("simulated" in card.split("\n\n")[1].lower()) == config.simulated


@pytest.mark.parametrize("name", shipped_models())
def test_scores_come_with_baseline_and_interval_and_beat_it(name: str) -> None:
    metrics = read_config(name).metrics
    network, forest = metrics.get("monte_carlo", metrics["deterministic"]), metrics["forest"]
    for score in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert network[score]["low"] < network[score]["value"] < network[score]["high"]
        assert network[score]["value"] > forest[score]["value" if score == "accuracy" else "high"]


def test_demo_finds_the_miras(tmp_path: Path) -> None:
    result = runner.invoke(app, ["demo", "--out", str(tmp_path / "demo.csv")])
    assert result.exit_code == 0, result.output
    found = pd.read_csv(tmp_path / "demo.csv", dtype={"object_id": str}).set_index("object_id")["class"]
    assert len(found) == 12
    assert (found[["217801", "232798", "247327"]] == "MIRA").all()


def test_same_answer_for_magnitudes_and_flux(stars: LightCurves) -> None:
    import goodricke

    one = stars[0]
    flux = (10 ** (-0.4 * one.value.astype(np.float64))).astype(np.float32) * 1e6
    error = flux * one.error / 1.0857
    as_flux = LightCurves.from_arrays(one.object_id, one.offsets, one.time, flux, error, unit="electron / s")
    a, b = (goodricke.classify(x, DEMO_MODEL, passes=0) for x in (one, as_flux))
    assert np.allclose(a.probabilities, b.probabilities, atol=2e-2)


def test_config_is_plain_json() -> None:
    for name in shipped_models():
        assert json.loads((SHIPPED / name / "config.json").read_text())["name"] == name
