"""`goodricke evaluate` on the held-out objects of a run repeats the scores of the run; unscored objects are counted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.evaluation.assessment import Assessment, number_edges
from goodricke.evaluation.evaluate import evaluate
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import MultibandConfig
from goodricke.training.recipe import DataConfig, read_recipe

runner = CliRunner()
QUIET = Console(quiet=True)


def run(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["evaluate", *(str(a) for a in arguments)])
    return result.exit_code, " ".join(result.output.split())


def files(home: Path) -> DataConfig:
    return DataConfig(light_curves=str(home / "curves.csv"), labels=str(home / "labels.csv"))


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def evaluate_bands(home: Path, **options: object) -> Assessment:
    data = options.pop("data", None) or read_recipe(home / "bands.toml")
    return evaluate([home / "bands/model"], data, console=QUIET, **options)


# ---- the objects of a run -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn")
def test_with_the_recipe_the_run_s_own_metrics_come_again(home: Path, tmp_path: Path) -> None:
    first = pd.read_parquet(home / "bands/test_predictions.parquet")["object_id"][0]
    code, text = run(home / "bands/model", "--recipe", home / "bands.toml", "--out", tmp_path, "--history", first)
    assert code == 0
    assert "Training objects may be" not in text
    found, expected = metrics(tmp_path)["models"]["bands"], metrics(home / "bands")
    assert found["scores"] == expected["deterministic"]
    assert found["regression"]["period"] == expected["period"]["network"]
    assert (found["trained_on"], found["unknown_labels"], found["without_answer"]) == (0, {}, {})
    mine = pd.read_parquet(tmp_path / "bands/predictions.parquet").set_index("object_id")
    theirs = pd.read_parquet(home / "bands/test_predictions.parquet").set_index("object_id")
    assert mine["scored"].all()
    pd.testing.assert_frame_equal(mine[list(theirs)], theirs, check_dtype=False)
    figures = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")}
    own = {"confusion.png", "reliability.png", "regression_period.png", f"history_{first}.png"}
    assert figures == {"by_number.png", "early.png"} | {f"bands/{name}" for name in own}


@pytest.mark.parametrize(("passes", "name"), [(2, "monte_carlo"), (0, "deterministic")])
def test_monte_carlo_passes_come_again_too(home: Path, passes: int, name: str) -> None:
    result = evaluate([home / "folded/model"], read_recipe(home / "folded.toml"), passes=passes, console=QUIET)
    assert result.scores["folded"].to_dict() == metrics(home / "folded")[name]
    assert not result.early


def test_a_split_that_the_run_did_not_leave_is_made_anew(home: Path) -> None:
    recipe = read_recipe(home / "bands.toml")
    anew = evaluate_bands(home, data=recipe.model_copy(update={"run": home / "nowhere"}))
    assert anew.sample.curves.ids == evaluate_bands(home).sample.curves.ids
    assert anew.scores["bands"].to_dict() == metrics(home / "bands")["deterministic"]
    assert not (home / "nowhere").exists()


def test_a_split_file_restricts_to_its_test_objects(home: Path) -> None:
    whole = evaluate_bands(home, data=files(home))
    part = evaluate_bands(home, data=files(home), split=home / "bands/split.csv")
    split = pd.read_csv(home / "bands/split.csv")
    assert part.sample.curves.ids == split["object_id"][split["part"] == "test"].tolist()
    assert part.scores["bands"].to_dict() == evaluate_bands(home).scores["bands"].to_dict() | {"stars": len(part.rows)}
    assert part.models["bands"].training_objects == 0
    assert whole.models["bands"].training_objects == split["part"].isin(["train", "validation"]).sum()
    assert (part.sample.held_out, whole.sample.held_out) == (True, False)


def test_the_column_of_an_official_split_restricts_too(home: Path, tmp_path: Path) -> None:
    table = pd.read_csv(home / "labels.csv")
    table.assign(part=np.where(table.index < 50, "train", "test")).to_csv(tmp_path / "labels.csv", index=False)
    data = files(home).model_copy(update={"labels": str(tmp_path / "labels.csv"), "split": "part"})
    assert evaluate_bands(home, data=data).sample.curves.ids == [f"s{k}" for k in range(50, 82)]


# ---- what is left out ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn")
def test_objects_without_answer_and_unknown_labels_are_counted_and_not_scored(home: Path, tmp_path: Path) -> None:
    options = ["--light-curves", home / "curves.csv", "--labels", home / "labels.csv", "--out", tmp_path]
    code, text = run(home / "bands/model", *options)
    assert code == 3
    assert "Training objects may be among these" in text
    assert "bands was trained or validated on" in text
    assert "no class for these labels, left out: odd (4)" in text
    assert "2 not scored, TOO_FEW_POINTS" in text
    written = metrics(tmp_path)
    assert [written["objects"][k] for k in ("labelled", "scored", "held_out")] == [82, 76, False]
    assert written["models"]["bands"]["unknown_labels"] == {"odd": 4}
    assert written["models"]["bands"]["without_answer"] == {"TOO_FEW_POINTS": 2}
    assert written["models"]["bands"]["scores"]["n"] == 76
    regression = written["models"]["bands"]["regression"]["period"]  # the column of its name
    assert (regression["n"], regression["missing"]) == (51, 25)
    table = pd.read_parquet(tmp_path / "bands/predictions.parquet").set_index("object_id")
    assert len(table) == 82
    assert table.index[~table["scored"]].tolist() == ["s0", "s1", "s2", "s3", "s80", "s81"]
    assert table.loc[["s80", "s81"], "class"].isna().all()
    assert table["label"]["s0"] == "odd"


def test_labels_are_matched_whatever_their_case(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pd.read_csv(home / "labels.csv")
    table.assign(**{"class": table["class"].str.upper()}).to_csv(tmp_path / "labels.csv", index=False)
    data = files(home).model_copy(update={"labels": str(tmp_path / "labels.csv")})
    scores = [evaluate_bands(home, data=x).scores["bands"].to_dict() for x in (data, files(home))]
    assert scores[0] == scores[1]
    assert "FAST = fast" in caplog.text


def test_a_small_class_is_scored(home: Path, tmp_path: Path) -> None:
    table = pd.read_csv(home / "labels.csv")
    table[table["oid"].isin(["s4", "s6", "s8", "s9"])].to_csv(tmp_path / "labels.csv", index=False)
    data = files(home).model_copy(update={"labels": str(tmp_path / "labels.csv")})
    assert evaluate_bands(home, data=data).scores["bands"].n.tolist() == [3, 1]


# ---- several models -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn")
def test_one_model_thrice_is_its_own_fold(home: Path, tmp_path: Path) -> None:
    model = home / "bands/model"
    code, _ = run(model, model, model, "--recipe", home / "bands.toml", "--out", tmp_path)
    assert code == 0
    written = metrics(tmp_path)
    assert list(written["models"]) == ["bands-1", "bands-2", "bands-3"]
    own = metrics(home / "bands")
    for name, figure in written["folds"]["headline"].items():
        value = own["deterministic"]["headline"][{"macro_recall": "balanced_accuracy"}.get(name, name)]["value"]
        assert figure == {"median": value, "low": value, "high": value}
    r2 = own["period"]["network"]["r2"]["value"]
    assert written["folds"]["regression"]["period"]["r2"] == {"median": r2, "low": r2, "high": r2}
    assert (tmp_path / "fold_confusion.png").exists()


def untrained(home: Path) -> Model:
    """Return an untrained model that knows one class more."""
    torch.manual_seed(3)
    config = MultibandConfig(bands=("g", "r"), brightness="magnitude")
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, hidden=4, head=(8,)))
    about = BundleConfig(
        name="untrained",
        family="multiband",
        classes=("slow", "odd", "fast"),
        network=network.config.model_dump(),
        preprocessing=config,
    )
    return Model(about, network.eval())


def test_two_models_with_other_classes_are_compared_on_the_same_objects(home: Path) -> None:
    own, recipe = load_model(home / "bands/model"), read_recipe(home / "bands.toml")
    both = evaluate([own, untrained(home)], recipe, console=QUIET)
    assert both.classes == ("fast", "slow", "odd")
    single = evaluate_bands(home).scores["bands"].headline
    assert all(both.scores["bands"].headline[name].value == pytest.approx(x.value) for name, x in single.items())
    answers = both.models["untrained"].output.probabilities
    np.testing.assert_array_equal(both.probabilities["untrained"], answers[both.rows][:, [2, 0, 1]])
    difference = both.scores["untrained"].accuracy.value - single["accuracy"].value
    assert both.comparison is not None
    assert both.comparison.accuracy.value == pytest.approx(difference)
    assert both.models["untrained"].training_objects is None
    # a label that only one of them knows is left out for both
    all_labels = evaluate([own, untrained(home)], files(home), console=QUIET)
    assert (all_labels.unknown_labels("bands"), all_labels.unknown_labels("untrained")) == ({"odd": 4}, {})
    assert len(all_labels.rows) == 76


def test_a_model_doesn_t_differ_from_itself(home: Path) -> None:
    model = load_model(home / "bands/model")
    comparison = evaluate([model, model], read_recipe(home / "bands.toml"), console=QUIET).comparison
    assert comparison is not None
    assert comparison.to_dict()["accuracy"] == {"value": 0, "low": 0, "high": 0}
    assert comparison.p_value == 1


# ---- curves -------------------------------------------------------------------------------------------------------


def test_whole_light_curves_are_the_last_cut(home: Path) -> None:
    result = evaluate_bands(home, data=files(home))
    curve, scores = result.early["bands"], result.scores["bands"]
    assert (curve.macro_f1[-1].value, curve.accuracy[-1].value) == (scores.macro_f1.value, scores.accuracy.value)
    assert curve.n == len(result.rows)
    assert result.by_number["bands"].n.sum() == len(result.rows)


def test_edges_hold_all_objects_and_increase() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 39, 100, 5000):
        number = rng.integers(1, 60, n)
        edges = number_edges(number)
        assert (np.diff(edges) > 0).all()
        assert edges[0] == number.min()
        assert edges[-1] == number.max() + 1
        assert len(edges) <= 9


@pytest.mark.usefixtures("drawn")
def test_no_history_is_drawn_of_an_unclassified_object(home: Path, tmp_path: Path, caplog) -> None:
    evaluate_bands(home, data=files(home), out=tmp_path, history=["s80", "s7", "s0"])
    assert "s80: no history" in caplog.text
    assert {p.name for p in tmp_path.rglob("history_*.png")} == {"history_s7.png", "history_s0.png"}


# ---- wrong usage --------------------------------------------------------------------------------------------------


def test_wrong_usage_names_the_fix(home: Path, tmp_path: Path) -> None:
    model, out = home / "bands/model", ("--out", tmp_path)
    recipe = ("--recipe", home / "bands.toml")
    options = ("--light-curves", home / "curves.csv", "--labels", home / "labels.csv")
    foreign = tmp_path / "foreign.csv"
    pd.DataFrame({"object_id": ["x"], "part": ["test"]}).to_csv(foreign, index=False)
    for arguments, words in {
        (model, *out): "Give --recipe",
        (model, *out, "--light-curves", home / "curves.csv"): "both --light-curves and --labels",
        (model, *out, *recipe, *options): "leave out --light-curves, --labels",
        (model, *out, *recipe, "--label", "class", "--column", "time=mjd"): "leave out --column, --label",
        (model, *out, *recipe, "--history", "nobody"): "--history nobody: no such object",
        (home / "folded/model", *out, *recipe, "--history", "s7"): "only multi-band models",
        (model, *out, *options, "--split", home / "labels.csv"): "columns object_id and part",
        (model, *out, *options, "--split", home / "absent.csv"): "absent.csv: can't be read",
        (model, *out, *options, "--split", foreign): "none of the 82 labelled light curves is a test object there",
        (model, *out, *options, "--label", "ra"): "Give them the same names",
        (tmp_path / "nothing", *out, *recipe): "no model",
    }.items():
        code, text = run(*arguments)
        assert code == 2, arguments
        assert words in text
    assert not (tmp_path / "metrics.json").exists()


def test_nothing_classified_says_why(home: Path, tmp_path: Path) -> None:
    table = pd.read_csv(home / "labels.csv")
    table[table["oid"].isin(["s80", "s81"])].to_csv(tmp_path / "labels.csv", index=False)
    data = files(home).model_copy(update={"labels": str(tmp_path / "labels.csv")})
    with pytest.raises(ValueError, match=r"none of the 2 objects of known classes is classified.*TOO_FEW_POINTS"):
        evaluate_bands(home, data=data)


def test_help_teaches() -> None:
    text = runner.invoke(app, ["evaluate", "--help"]).output
    for word in ("--recipe", "--light-curves", "--split", "held-out", "Exit code"):
        assert word in text


def test_labels_of_other_classes_are_refused_before_the_work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "goodricke.evaluation.evaluate.prepare", lambda *_: pytest.fail("the light curves were prepared")
    )
    data = files(home).model_copy(update={"label": "ra"})
    with pytest.raises(ValueError, match=r"can be scored: their labels are .* Give them the same names"):
        evaluate_bands(home, data=data)
