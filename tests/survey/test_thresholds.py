"""Statements about cuts: chosen, kept, read, applied; and said no to."""

import json
import logging

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.predictions import Predictions
from goodricke.data.taxonomy import Taxonomy
from goodricke.survey.per_star import per_star
from goodricke.survey.thresholds import FILE, Thresholds, thresholds, with_confident_class
from tests.making import predictions_of
from tests.survey.prediction_tables import CLASSES, predictions, rows


def labelled(n: int = 3000) -> tuple[Predictions, pd.DataFrame]:
    """Return predictions and labels that their probabilities speak true of; ROT is a coin."""
    found, rng = predictions(n), np.random.default_rng(1)
    p = np.nan_to_num(found.probabilities.astype(float), nan=1 / 3)
    drawn = [CLASSES[rng.choice(3, p=row / row.sum())] for row in p]
    label = [rng.choice(["EA", "ROT"]) if c == "ROT" else c for c in drawn]
    return found, pd.DataFrame({"object_id": found.column("object_id"), "label": label})


@pytest.fixture(scope="module")
def chosen() -> Thresholds:
    found, labels = labelled()
    return thresholds(rows(found), labels, CLASSES, 0.9)


def test_cuts_are_chosen_per_class_and_the_hopeless_class_gets_none(chosen):
    assert chosen.classes["RRAB"].cut is not None
    assert chosen.classes["ROT"].cut is None
    assert (chosen.model, chosen.model_hash, chosen.objects) == ("tiny", "0123456789ab", 3000)
    with_none = chosen.to_table()
    assert with_none.row_count == 3
    assert "none" in str(with_none.caption)


def test_a_statement_read_is_the_statement_written(chosen, tmp_path):
    assert Thresholds.read(chosen.write(tmp_path)) == chosen
    assert [p.name for p in tmp_path.iterdir()] == [FILE]
    told = json.loads((tmp_path / FILE).read_text())
    assert "Clopper-Pearson" in told["rule"]
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match=r"other\.json: no statement"):
        Thresholds.read(tmp_path / "other.json")


def test_nan_of_classes_without_objects_survives(tmp_path):
    found, labels = labelled()
    told = thresholds(rows(found), labels, [*CLASSES, "NEVER"], 0.9)
    back = Thresholds.read(told.write(tmp_path / "t.json"))
    assert np.isnan(back.classes["NEVER"].purity.value)


def test_the_confident_class_is_the_class_from_the_cut_on(chosen):
    found = with_confident_class(rows(predictions(500)), chosen).table().to_pandas()
    cut = found["class"].map({name: c.cut for name, c in chosen.classes.items()}).astype(float)
    sure = (found["p_max"] >= cut).fillna(False)
    assert found["confident_class"].isna().tolist() == (~sure).tolist()
    assert (found["confident_class"] == found["class"])[sure].all()
    assert sure.any()
    assert "ROT" not in set(found["confident_class"].dropna())
    again = with_confident_class(with_confident_class(rows(predictions(500)), chosen), chosen)
    assert again.schema.names.count("confident_class") == 1


def test_cuts_of_another_model_or_another_merging_are_refused(chosen):
    with pytest.raises(ValueError, match=r"another model .*choose them anew"):
        with_confident_class(rows(predictions(), model_hash="fff"), chosen)
    with pytest.raises(ValueError, match="merged in another way"):
        with_confident_class(per_star(rows(predictions()), "best"), chosen)
    merged = thresholds(per_star(rows(predictions(3000)), "best"), labelled()[1], CLASSES, 0.9)
    assert "confident_class" in with_confident_class(per_star(rows(predictions()), "best"), merged).schema.names


def test_labels_that_fit_nothing_are_an_error_that_shows_both(chosen):
    found, labels = labelled(50)
    with pytest.raises(ValueError, match=r"none of the 50 rows has a label.*S0000000.*X S0000000"):
        thresholds(rows(found), labels.assign(object_id="X " + labels["object_id"]), CLASSES, 0.9)
    with pytest.raises(ValueError, match=r"no label is a class of the model.*eclipsing"):
        thresholds(rows(found), labels.assign(label="eclipsing"), CLASSES, 0.9)


def test_several_light_curves_of_an_object_are_warned_of(caplog):
    found, labels = predictions(300, stars=100), labelled(100)[1]
    with caplog.at_level(logging.WARNING, "goodricke"):
        thresholds(rows(found), labels, CLASSES, 0.5)
    assert "--per-star" in caplog.text


def test_the_command_writes_the_statement_and_convert_finds_it(tmp_path):
    found, labels = labelled()
    (tmp_path / "cat").mkdir()
    found.write(tmp_path / "cat/shard-0.parquet")
    labels.to_csv(tmp_path / "labels.csv", index=False)
    run = CliRunner().invoke
    asked = ["thresholds", str(tmp_path / "cat"), "--labels", str(tmp_path / "labels.csv"), "--purity", "0.9"]
    told = run(app, [*asked, "--apply"])
    assert told.exit_code == 0, told.output
    assert "RRAB" in told.output
    statement = Thresholds.read(tmp_path / "cat" / FILE)
    assert (statement.labels, len(statement.labels_sha256)) == ("labels.csv", 64)
    told = run(app, ["convert", str(tmp_path / "cat"), "--out", str(tmp_path / "x.parquet")])
    assert told.exit_code == 0, told.output
    back = pq.read_table(tmp_path / "x.parquet")
    assert 0 < back["confident_class"].null_count < len(back)
    assert Thresholds.from_json(back.schema.metadata[b"thresholds"].decode()) == statement
    (tmp_path / "split.csv").write_text("object_id,part\nS0000001,test\nS0000002,train\n")
    told = run(app, [*asked, "--split", str(tmp_path / "split.csv"), "--out", str(tmp_path / "t.json")])
    assert Thresholds.read(tmp_path / "t.json").objects == 1


def test_a_file_can_keep_no_statement(tmp_path):
    found, labels = labelled(50)
    found.write(tmp_path / "x.parquet")
    labels.to_csv(tmp_path / "l.csv", index=False)
    told = CliRunner().invoke(
        app, ["thresholds", str(tmp_path / "x.parquet"), "--labels", str(tmp_path / "l.csv"), "--apply"]
    )
    assert told.exit_code == 2


def of_leaves(n: int = 900) -> tuple[Predictions, pd.DataFrame]:
    """Return predictions of a model with a taxonomy, calibrated, whose class is a node for close binaries."""
    leaves, rng = ("EA", "EB", "EW", "RRAB"), np.random.default_rng(3)
    label = rng.integers(4, size=n)
    p = np.full((n, 4), 0.01)
    p[np.arange(n), label] = 0.97
    close = np.isin(label, (1, 2))
    p[close] = [0.01, 0.33, 0.65, 0.01]  # EW 0.65 / EB 0.33: the class is ECLIPSING, 0.99
    label[close] = np.where(rng.random(close.sum()) < 0.65, 2, 1)
    tree = Taxonomy.shipped().restricted(leaves)
    found = predictions_of([str(k) for k in range(n)], ["OK"] * n, leaves, p, [50] * n, taxonomy=tree)
    return found, pd.DataFrame({"object_id": [str(k) for k in range(n)], "label": np.array(leaves)[label]})


def test_the_leaf_goes_with_its_probability_where_the_class_is_a_node():
    found, labels = of_leaves()
    assert "ECLIPSING" in found.table["class"].to_pylist()
    told = thresholds(rows(found), labels, found.classes, 0.5)
    right = labels["label"] == "EW"
    assert told.classes["EW"].taken == int((found.column("leaf") == "EW").sum())  # not only where it is the class
    assert told.classes["EW"].completeness.value == 1
    assert told.classes["EW"].purity.value == pytest.approx(right.sum() / told.classes["EW"].taken)
    table = with_confident_class(rows(found), told).table()
    sure = [name for name in table["confident_class"].to_pylist() if name is not None]
    assert set(sure) <= set(found.classes)
    assert sure.count("EW") == told.classes["EW"].taken
    assert not [
        n
        for n, p in zip(table["confident_class"].to_pylist(), table["p_max"].to_pylist(), strict=True)
        if n == "EW" and p < 0.6
    ]


def test_labels_that_are_sets_of_leaves_are_right_for_each_and_complete_none():
    found, labels = of_leaves()
    coarse = labels.assign(label=labels["label"].where(labels["label"] != "EB", "EB|EW"))
    exact, sets = (thresholds(rows(found), x, found.classes, 0.5).classes["EW"] for x in (labels, coarse))
    assert sets.purity.value == 1
    assert exact.purity.value < 0.75
    assert sets.completeness == exact.completeness
    vsx = labels.assign(label=labels["label"].replace({"EW": "EW/RS", "RRAB": "RRAB/BL"}))
    assert (
        thresholds(rows(found), vsx, found.classes, 0.5).classes
        == thresholds(rows(found), labels, found.classes, 0.5).classes
    )
