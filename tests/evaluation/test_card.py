"""The card is rendered from what the bundle keeps; the cards of older bundles stay readable and keep their text."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from goodricke import load_model
from goodricke.evaluation.card import CALIBRATION, card_sections, render_card, stored_card
from goodricke.evaluation.recalibrate import recalibrate, remeasure_novelty
from goodricke.models.bundle import Model
from goodricke.models.hub import shipped_models
from goodricke.training.recipe import read_recipe

QUIET = Console(quiet=True)


def card(model: Model) -> str:
    return (model.folder / "README.md").read_text()


def older(home: Path, folder: Path) -> Model:
    """Return the multi-band model as an older bundle: without the data of its card, and with a section of its own."""
    model = load_model(home / "bands" / "model")
    text = card(model).replace("## Beware", "## Our own tests\n\nAll went well.\n\n## Beware")
    metrics = {
        k: {n: x for n, x in v.items() if n != "per_class"} for k, v in model.config.metrics.items() if k != "card"
    }
    old = replace(model, config=model.config.model_copy(update={"metrics": metrics}))
    return old.save(folder, text, same_weights=True)


@pytest.mark.parametrize("name", ["bands", "folded"])
def test_a_card_is_rendered_from_its_bundle_alone(home: Path, name: str) -> None:
    model = load_model(home / name / "model")
    assert render_card(replace(model, folder=None)) == card(model)
    sections = card_sections(model)
    assert list(sections)[-2:] == [CALIBRATION, "Beware"]
    assert "- Training: " in sections[""]
    assert ("Physical parameters" in sections) == (name == "bands")
    assert f"| accuracy | {model.config.metrics['deterministic']['accuracy']['value']:.3f} [" in card(model)


@pytest.mark.parametrize("name", shipped_models())
def test_cards_of_older_bundles_keep_their_text(name: str) -> None:
    model = load_model(name)
    if "text" not in stored_card(model):
        assert render_card(replace(model, folder=None)) == card(model)
        return
    sections = card_sections(model)
    assert set(stored_card(model)) <= {"text", "calibration"}
    assert len(sections) > 4
    assert sections[""].startswith(model.config.summary[:20]) or model.config.simulated
    rendered = render_card(model)
    for title, text in sections.items():
        assert f"## {title}\n\n{text}" in rendered if title else text in rendered


def test_an_older_model_gets_a_new_calibration_and_keeps_its_other_sections(home: Path, tmp_path: Path) -> None:
    old = older(home, tmp_path / "old")
    recipe = read_recipe(home / "bands.toml")
    new = recalibrate(old, recipe, tmp_path / "new", passes=0, kinds=["vector"], console=QUIET)
    before, after = card_sections(old), card_sections(new)
    assert after["Our own tests"] == "All went well."
    assert after[""] == before[""]
    assert after[CALIBRATION] != before[CALIBRATION]
    assert "of the calibration before" in after[CALIBRATION]
    assert list(after) == list(before)
    assert render_card(replace(new, folder=None)) == card(new)
    measured = remeasure_novelty(old, recipe, tmp_path / "novelty", console=QUIET)
    assert card_sections(measured)[CALIBRATION] == before[CALIBRATION]
    assert "| novelty above 0.99 | 0.01 |" in card_sections(measured)["False alarms of novelty"]


def test_the_comparison_with_baselines_goes_with_other_probabilities(home: Path, tmp_path: Path) -> None:
    model, recipe = load_model(home / "bands" / "model"), read_recipe(home / "bands.toml")
    estimate = {"value": 0.1, "low": 0.0, "high": 0.2}
    comparison = {"forest": {"accuracy": estimate, "macro_f1": estimate, "p_value": 0.5}}
    metrics = model.config.metrics | {"card": model.config.metrics["card"] | {"baselines": comparison}}
    model = replace(model, config=model.config.model_copy(update={"metrics": metrics}))
    assert "| random forest on simple statistics | 0.100 [0.000, 0.200] |" in render_card(model)
    same = recalibrate(model, recipe, tmp_path / "same", passes=0, console=QUIET)
    assert "network minus" in card(same)
    other = recalibrate(model, recipe, tmp_path / "other", passes=0, kinds=["vector"], console=QUIET)
    assert "network minus" not in card(other)
