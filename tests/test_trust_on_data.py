"""What `ztf-bts` promises of its answers, held against what its training held out: transients and variable stars."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from goodricke import classify, load_model
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.gate import first_observations
from goodricke.inference import step_probabilities
from goodricke.io import read
from goodricke.preprocess import prepare
from goodricke.training.experiment import split_objects
from goodricke.training.labels import read_labelled
from goodricke.training.recipe import read_recipe
from goodricke.training.splits import TEST
from goodricke.uncertainty.calibration import calibration_error

RECIPE = Path(__file__).parents[1] / "recipes" / "ztf-bts.toml"


@pytest.fixture(scope="module")
def held_out(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LightCurves, np.ndarray]:
    """Return the held-out light curves of the shipped model's recipe and their labels."""
    home = tmp_path_factory.mktemp("recipes")
    runpy.run_path(str(RECIPE.with_name("ztf_bts_data.py")))["make"](shared / "data", home / "data" / "ztf_bts_gate")
    for name in (RECIPE.name, "transients.toml"):
        (home / name).write_text(RECIPE.with_name(name).read_text())
    recipe = read_recipe(home / RECIPE.name)
    data, model = read_labelled(recipe.data), load_model("ztf-bts")
    rows = split_objects(recipe, data, prepare(data.curves, model.preprocessing))[TEST]
    return data.curves[rows], np.array(data.classes)[data.label[rows]]


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("per_class", [False, True])
def test_sets_hold_the_true_class_as_often_as_promised(held_out, level, per_class) -> None:
    curves, label = held_out
    sets = classify(curves, "ztf-bts", coverage=(level, per_class)).table["prediction_set"].to_pylist()
    hit = np.mean([name in members for name, members in zip(label, sets, strict=True)])
    assert hit > level - 3 * np.sqrt(level * (1 - level) / len(label))


def test_known_classes_raise_as_many_alarms_as_promised(held_out) -> None:
    novelty = classify(held_out[0], "ztf-bts").column("novelty")
    usual = load_model("ztf-bts").calibration.novelty["one_pass"].score  # the threshold is a quantile of a sample too
    for rate in (0.01, 0.05, 0.2):
        spread = np.sqrt(rate * (1 - rate) * (1 / len(novelty) + 1 / len(usual)))
        assert abs((novelty > 1 - rate).mean() - rate) < 4 * spread


def test_early_sets_of_a_stream_keep_the_promise_too(held_out) -> None:
    """After three and after ten steps: not only when the light curve is whole."""
    curves, label = held_out
    model = load_model("ztf-bts")
    steps = prepare(curves, model.preprocessing)
    p = step_probabilities(model, steps)
    for k in (3, 10):
        rows = np.flatnonzero(steps.n_points >= k)
        sets = model.prediction_sets("stream", p[steps.offsets[rows] + k - 1], np.full(len(rows), k))
        hit = sets[np.arange(len(rows)), [model.classes.index(c) for c in label[rows]]]
        assert hit.mean() > 0.9 - 4 * 0.3 / np.sqrt(len(rows))


def test_calibrated_probabilities_are_nearer_the_truth_than_the_softmax(held_out) -> None:
    curves, label = held_out
    model = load_model("ztf-bts")
    prepared = prepare(curves, model.preprocessing)
    truth = np.array([model.classes.index(c) for c in label])
    logits = model.run(prepared, np.arange(len(label)))[0]
    raw = np.exp(logits - logits.max(1, keepdims=True))
    before = calibration_error(raw / raw.sum(1, keepdims=True), truth)
    assert calibration_error(model.calibration.one_pass.probabilities(logits), truth) < before


def test_few_variable_stars_are_called_transients_and_few_transients_lost(held_out) -> None:
    curves, label = held_out
    transient = np.isin(label, ["IA", "II", "IIN", "SLSN", "STRIPPED"])
    for count, called, lost in ((5, 0.1, 0.15), (10, 0.05, 0.05), (1000, 0.05, 0.02)):
        table = classify(first_observations(curves, count), "ztf-bts").table
        p = table["node_TRANSIENT"].to_numpy(zero_copy_only=False)
        answered = np.isfinite(p)
        assert (p[answered & ~transient] >= 0.5).mean() < called
        assert (p[answered & transient] < 0.5).mean() < lost


def test_known_variable_stars_of_an_alert_stream_are_no_transients(shared: Path) -> None:
    """None of them, nor the survey's own photometry of any star, was in the training."""
    stars = read(str(shared / "data" / "formats" / "alerce" / "detections_sample.parquet"), photometry="difference")
    for count in (10, 30, 1000):
        table = classify(first_observations(stars, count), "ztf-bts").table
        assert (table["node_TRANSIENT"].to_numpy() < 0.5).all(), count
