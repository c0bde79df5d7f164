"""`goodricke calibrate`: other probabilities, the same network; its card has the coverage on held-out objects."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from goodricke import classify, load_model, read
from goodricke.cli import app
from goodricke.evaluation.recalibrate import recalibrate
from goodricke.models.bundle import verify_model
from goodricke.training.calibrate import cuts
from goodricke.training.recipe import DataConfig, read_recipe

QUIET = Console(quiet=True)


def light_curves(home: Path):
    """Return the light curves with the context column of the models."""
    curves = read(home / "curves.csv")
    return curves.with_columns(photoz=[0.1] * len(curves))


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["calibrate", *(str(a) for a in arguments)])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("name", ["bands", "folded"])
def test_by_its_own_recipe_a_model_gets_the_calibration_of_its_training_again(home: Path, tmp_path: Path, name: str):
    first = load_model(home / name / "model")
    recipe = read_recipe(home / f"{name}.toml")
    second = recalibrate(first, recipe, tmp_path / "m", passes=recipe.training.passes, console=QUIET)
    ours, theirs = second.calibration, first.calibration
    assert set(ours.sets) == set(theirs.sets)
    np.testing.assert_allclose(ours.one_pass.weight, theirs.one_pass.weight, rtol=1e-6)
    for mode in ours.sets:
        np.testing.assert_allclose(ours.sets[mode].score, theirs.sets[mode].score, atol=1e-4)
    for mode in ours.novelty:
        np.testing.assert_allclose(ours.novelty[mode].score, theirs.novelty[mode].score, rtol=1e-3, atol=1e-2)
    assert verify_model(second) < 1e-5
    cards = [(m.folder / "README.md").read_text() for m in (first, second)]
    assert [card.count("## How far to trust it") for card in cards] == [1, 1]
    assert cards[0].partition("## How far")[0].strip() == cards[1].partition("## How far")[0].strip()
    assert "## Beware" in cards[1]


@pytest.mark.parametrize("name", ["bands", "folded"])
def test_novelty_alone_is_that_of_a_whole_calibration(home: Path, tmp_path: Path, name: str):
    first, recipe = load_model(home / name / "model"), home / f"{name}.toml"
    passes = read_recipe(recipe).training.passes
    whole = recalibrate(first, read_recipe(recipe), tmp_path / "a", passes=passes, novelty="energy", console=QUIET)
    code, text = run(first.folder, "--recipe", recipe, "--novelty-only", "--novelty", "energy", "--out", tmp_path / "b")
    assert code == 0, text
    assert "novelty above 0.99: 0." in text
    alone = load_model(tmp_path / "b")
    assert alone.calibration.sets.keys() == first.calibration.sets.keys()
    for mode, before in first.calibration.sets.items():
        np.testing.assert_array_equal(alone.calibration.sets[mode].score, before.score)
    np.testing.assert_array_equal(alone.calibration.one_pass.weight, first.calibration.one_pass.weight)
    assert alone.calibration.novelty.keys() == whole.calibration.novelty.keys()
    for mode, usual in whole.calibration.novelty.items():
        assert alone.calibration.novelty[mode].detector.kind == "energy"
        np.testing.assert_array_equal(alone.calibration.novelty[mode].score, usual.score)
    cards = [(m.folder / "README.md").read_text().splitlines() for m in (first, whole, alone)]
    changed = [line for line, before in zip(cards[2], cards[0], strict=True) if line != before]
    assert all(line.startswith("| novelty above") for line in changed)
    assert sum("novelty above" in line for line in cards[2]) == 2
    assert [x for x in cards[2] if "novelty above" in x] == [x for x in cards[1] if "novelty above" in x]


def test_the_split_is_that_which_the_run_has_written(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    recipe = read_recipe(home / "bands.toml").model_copy(update={"run": tmp_path / "run"})
    made_anew = recalibrate(home / "bands" / "model", recipe, tmp_path / "a", passes=0, console=QUIET)
    assert "split.csv isn't there: the split is computed again" in caplog.text
    caplog.clear()
    split = pd.read_csv(home / "bands" / "split.csv", dtype=str)
    (tmp_path / "run").mkdir()
    split.to_csv(tmp_path / "run" / "split.csv", index=False)
    written = recalibrate(home / "bands" / "model", recipe, tmp_path / "b", passes=0, console=QUIET)
    theirs = made_anew.calibration.sets["one_pass"].score
    np.testing.assert_array_equal(written.calibration.sets["one_pass"].score, theirs)
    swapped = split.assign(part=split["part"].replace({"test": "validation", "validation": "test"}))
    swapped.to_csv(tmp_path / "run" / "split.csv", index=False)
    other = recalibrate(home / "bands" / "model", recipe, tmp_path / "c", passes=0, console=QUIET)
    assert len(other.calibration.sets["one_pass"].score) == (split["part"] == "test").sum() != len(theirs)
    assert not caplog.text


def test_training_objects_are_warned_of(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = DataConfig(name="mine", light_curves=[str(home / "curves.csv")], labels=str(home / "labels.csv"))
    recalibrate(home / "folded" / "model", data, tmp_path / "m", passes=2, console=QUIET)
    part = pd.read_csv(home / "folded" / "split.csv")["part"]
    assert f"folded was trained on {part.isin(['train', 'validation']).sum()} of these light curves" in caplog.text


def test_novelty_alone_needs_the_training_objects(home: Path, tmp_path: Path):
    data = "--light-curves", home / "curves.csv", "--labels", home / "labels.csv", "--out", tmp_path / "m"
    code, text = run(home / "bands/model", *data, "--novelty-only")
    assert code == 2
    assert "give --recipe" in text


def test_a_survey_of_one_s_own(home: Path, tmp_path: Path):
    code, text = run(
        *(home / "bands/model", "--light-curves", home / "curves.csv", "--labels", home / "labels.csv"),
        *("--merge", "slow=slow,odd", "--kind", "temperature", "--out", tmp_path / "mine"),
    )
    assert code == 0, text
    assert "softmax of" in text
    assert "sets that hold" in text
    model, old = load_model(tmp_path / "mine"), load_model(home / "bands/model")
    assert model.calibration.one_pass.kind == "temperature"
    assert len(model.calibration.sets["one_pass"].score) > len(old.calibration.sets["one_pass"].score)
    assert model.calibration.novelty["one_pass"].detector.kind == old.calibration.novelty["one_pass"].detector.kind
    curves = light_curves(home)
    ours, theirs = (classify(curves, m) for m in (model, old))
    np.testing.assert_array_equal(ours.column("class"), theirs.column("class"))  # a temperature names no other class


def test_labels_that_the_model_does_not_know(home: Path, tmp_path: Path):
    table = pd.read_csv(home / "labels.csv", dtype=str)
    table["class"] = "kind " + table["class"]
    table.to_csv(tmp_path / "other.csv", index=False)
    code, text = run(
        *(home / "bands/model", "--light-curves", home / "curves.csv", "--labels", tmp_path / "other.csv"),
        *("--out", tmp_path / "m"),
    )
    assert code == 2
    assert 'translate your labels, e.g. --merge "EW=W UMa,EC"' in text
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--kind", "magic"], "one of auto, temperature"), (["--merge", "A"], "write it as"), ([], "which objects?")],
)
def test_wrong_usage_is_told(home: Path, tmp_path: Path, options: list[str], said: str):
    code, text = run(home / "bands/model", "--out", tmp_path / "m", *options)
    assert code == 2
    assert said in text.replace("│ ", "")


def test_every_stratum_that_a_light_curve_reaches_has_one_cut_within_it():
    points = np.random.default_rng(0).integers(1, 90, 500)
    rows, counts = cuts(points)
    assert (counts <= points[rows]).all()
    assert counts.min() == 1
    edges = [2, 4, 8, 16, 32, 64]
    for k, n in enumerate(points):
        mine = np.sort(np.digitize(counts[rows == k], edges))
        assert mine.tolist() == list(range(np.digitize(n, edges) + 1))


def test_the_sets_of_a_stream_are_the_same_at_once_and_one_by_one(home: Path):
    model = load_model(home / "bands/model")
    curves = light_curves(home)[np.arange(5)]
    _, at_once = model.update(model.init_state(5), curves)
    state = model.init_state(5)
    for k in range(int(curves.n_obs.max())):
        rows = np.flatnonzero(curves.n_obs > k)
        state, one_by_one = model.update(state, _point(curves, rows, k), rows)
    sets = one_by_one.table["prediction_set"].to_pylist()
    for name, members in zip(one_by_one.column("object_id"), sets, strict=True):
        row = curves.ids.index(name)
        assert at_once.table["prediction_set"][row].as_py() == members
    assert "novelty" in at_once.table.column_names


def _point(curves, rows, k):
    """Return the k-th observation of each of some light curves."""
    at = curves.offsets[rows] + k
    own = {name: getattr(curves, name)[at] for name in ("time", "value", "error", "band")}
    ids = curves.object_id.take(rows)
    return replace(curves, object_id=ids, offsets=np.arange(len(rows) + 1), objects=curves.objects.take(rows), **own)


def test_light_curves_without_a_label_of_a_known_class_teach_nothing(home: Path, tmp_path: Path):
    few = DataConfig(light_curves=str(home / "curves.csv"), labels=str(home / "labels.csv"), drop=["slow", "fast"])
    with pytest.raises(ValueError, match="class"):
        recalibrate(home / "bands/model", few, tmp_path / "m", console=QUIET)


def rows_of(home: Path, tmp_path: Path, **labels: str) -> tuple:
    """Return light curves and a file of labels, in which the classes are what ``labels`` make of them."""
    table = pd.read_csv(home / "labels.csv", dtype=str)
    table["class"] = [labels.get(i, c) for i, c in zip(table["oid"], table["class"], strict=True)]
    table.to_csv(tmp_path / "mine.csv", index=False)
    return "--light-curves", home / "curves.csv", "--labels", tmp_path / "mine.csv"


def test_a_rare_class_teaches_and_is_not_reported_on(home: Path, tmp_path: Path):
    others = {f"s{k}": "elsewhere" for k in range(4, 82) if k % 2 and k > 6}  # two slow stars are left
    code, text = run(home / "bands/model", *rows_of(home, tmp_path, **others), "--out", tmp_path / "m")
    assert code == 0, text
    assert "has no class for" in text


def test_a_class_without_labels_is_warned_of_and_keeps_its_probability(home: Path, tmp_path: Path):
    others = {f"s{k}": "elsewhere" for k in range(82) if k % 2}
    code, text = run(home / "bands/model", *rows_of(home, tmp_path, **others), "--out", tmp_path / "m")
    assert code == 0
    assert "no labelled object of slow" in text
    assert load_model(tmp_path / "m").calibration.one_pass.kind == "temperature"


def test_the_weights_are_the_same_bytes(home: Path, tmp_path: Path):
    model = load_model(home / "bands/model")
    full = model.save(tmp_path / "full", "card", half=False)
    recipe = read_recipe(home / "bands.toml")
    recalibrate(full, recipe, tmp_path / "again", passes=0, console=QUIET)
    both = [(tmp_path / x / "model.safetensors").read_bytes() for x in ("full", "again")]
    assert both[0] == both[1]


def test_a_model_with_dropout_is_calibrated_with_its_passes(home: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="calibrate it with them"):
        recalibrate(home / "folded/model", read_recipe(home / "folded.toml"), tmp_path, passes=0, console=QUIET)


def test_scores_are_those_of_the_new_probabilities(home: Path, tmp_path: Path):
    recipe = read_recipe(home / "bands.toml")
    made = recalibrate(home / "bands/model", recipe, tmp_path / "m", passes=0, kinds=["vector"], console=QUIET)
    assert made.config.metrics["deterministic"] != load_model(home / "bands/model").config.metrics["deterministic"]
    own = DataConfig(light_curves=str(home / "curves.csv"), labels=str(home / "labels.csv"))
    other = recalibrate(home / "bands/model", own, tmp_path / "n", passes=0, console=QUIET)
    assert other.config.metrics.keys() == {"card"}
    assert "are of the model before" in (tmp_path / "n/README.md").read_text()


def test_labels_are_matched_whatever_their_case(home: Path, tmp_path: Path):
    table = pd.read_csv(home / "labels.csv", dtype=str)
    table["class"] = table["class"].str.upper()
    table.to_csv(tmp_path / "upper.csv", index=False)
    results = [
        recalibrate(
            home / "bands/model",
            DataConfig(light_curves=str(home / "curves.csv"), labels=str(labels)),
            tmp_path / labels.stem,
            console=QUIET,
        )
        for labels in (home / "labels.csv", tmp_path / "upper.csv")
    ]
    scores = [result.calibration.sets["one_pass"].score for result in results]
    np.testing.assert_array_equal(*scores)
