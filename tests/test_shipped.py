"""The models that come with the package: they load, repeat their recorded outputs, and say what they are."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.cli.demo import MODEL as DEMO_MODEL
from goodricke.cli.demo import comparison, holds
from goodricke.data.examples import literature_classes
from goodricke.data.lightcurves import LightCurves
from goodricke.data.taxonomy import Taxonomy
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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, str]:
    """Return the demo's table, by star, and what it prints."""
    path = tmp_path_factory.mktemp("demo") / "demo.parquet"
    result = runner.invoke(app, ["demo", "--out", str(path)])
    assert result.exit_code == 0, result.output
    return pd.read_parquet(path).set_index("object_id"), result.output


def test_demo_has_right_answers_or_honest_doubt(demo: tuple[pd.DataFrame, str]) -> None:
    table, text = demo
    assert len(table) == 12
    verdicts = {name: comparison(table["class"][name], x.leaves) for name, x in literature_classes().items()}
    assert list(verdicts.values()).count("another") <= 1
    sets = table["prediction_set"]
    assert all(holds(sets[name], x.leaves) for name, x in literature_classes().items() if verdicts[name] == "another")
    words = " ".join(text.split())
    assert (
        f"7 of 12 stars have a class in the literature: {list(verdicts.values()).count('right')} of 7 answers are right"
        in words
    )
    assert all(f" {x.name} " in text for x in literature_classes().values())


def test_demo_finds_the_miras(demo: tuple[pd.DataFrame, str]) -> None:
    table, _ = demo
    assert (table["class"][["217801", "232798", "247327"]] == "MIRA").all()


@pytest.mark.parametrize(("name", "period"), [("224635", 4.678), ("235913", 1.391)])
def test_demo_finds_the_cepheids(demo: tuple[pd.DataFrame, str], name: str, period: float) -> None:
    row, tree = demo[0].loc[name], Taxonomy.shipped()
    assert set(tree.members("CEP_F")) <= set(tree.members(row["class"]))
    assert set(tree.members(row["class"])) <= set(tree.members("CEPHEID"))
    assert name != "224635" or row["class"] == "CEP_F"
    assert row["period"] == pytest.approx(period, abs=0.001)


@pytest.mark.parametrize(("name", "period"), [("243412", 2.53327), ("257141", 0.32955)])
def test_demo_finds_the_contact_binaries_with_orbital_periods(
    demo: tuple[pd.DataFrame, str], name: str, period: float
) -> None:
    row, tree = demo[0].loc[name], Taxonomy.shipped()
    assert set(tree.members("EW")) <= set(tree.members(row["class"]))  # both are open: EW or EB, or in noise DSCT
    assert row["class"] != "uncertain"
    assert row["leaf"] in tree.restricted(["EA", "EB", "EW", "ELL"]).leaves
    assert "EW" in row["prediction_set"]
    assert row["period"] == pytest.approx(period, rel=1e-4)


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
