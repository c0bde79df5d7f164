"""Suggestions: never what is labelled, never all alike, with reasons; the filled file is read as labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import goodricke
from goodricke.data import formats
from goodricke.data.predictions import Predictions
from goodricke.io import read_labels
from goodricke.survey import embeddings
from goodricke.survey.suggest import STRATEGIES, explain, read_known_labels, suggest
from tests.survey.embedding_groups import CLASSES, groups, written


def with_novelty(made: Predictions, novelty: np.ndarray) -> Predictions:
    return Predictions(made.table.append_column("novelty", pa.array(novelty.astype(np.float32))), made.classes)


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"novelty", "information"}))
def test_it_suggests_as_many_as_wanted_and_nothing_that_is_labelled(tmp_path: Path, strategy: str) -> None:
    path = written(tmp_path / "p.parquet")
    ids = groups().table.filter(pa.array(groups().ok))["object_id"].to_pylist()
    labelled = {name: CLASSES[int(name[1:]) % 3] for name in ids[:20]}
    found = suggest(path, 30, labelled, strategy)
    assert found["rank"].to_pylist() == list(range(1, 31))
    names = found["object_id"].to_pylist()
    assert len(set(names)) == 30
    assert set(names) <= set(ids[20:])
    assert found.equals(suggest(path, 30, labelled, strategy))
    assert len(suggest(path, 1000, labelled, strategy)) == len(ids) - 20
    assert all(found["why"].to_pylist())
    assert found["label"].null_count == 30


def test_uncertain_ones_are_those_whose_classes_are_level(tmp_path: Path) -> None:
    made = groups(failed=0)
    made.write(tmp_path / "p.parquet")
    p = np.sort(made.probabilities, 1)
    expected = np.argsort(p[:, -1] - p[:, -2], kind="stable")[:10]
    found = goodricke.suggest(tmp_path / "p.parquet", 10, strategy="margin").to_pylist()
    assert [row["object_id"] for row in found] == [f"S{i:05d}" for i in expected]
    first = made.table.slice(int(expected[0]), 1).to_pylist()[0]
    assert found[0]["class"] == first["class"]
    assert found[0]["p_max"] == first["p_max"]
    assert found[0]["entropy"] == pytest.approx(first["entropy"], rel=1e-5)
    assert found[0]["why"].startswith(f"uncertain between {first['class']} and ")


def test_blocks_don_t_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "p.parquet", n=300)
    whole = suggest(path, 10)
    monkeypatch.setattr(embeddings.blocks, "__defaults__", ((), 13))
    assert suggest(path, 10)["object_id"].to_pylist() == whole["object_id"].to_pylist()


def test_one_in_five_is_novel_where_that_is_known(tmp_path: Path) -> None:
    made = groups(n=200, failed=0)
    novelty = np.random.default_rng(0).random(200) * 0.9
    novelty[::20] = 0.999
    with_novelty(made, novelty).write(tmp_path / "p.parquet")
    found = suggest(tmp_path / "p.parquet", 20).to_pylist()
    strange = [row["rank"] for row in found if "unlike the training set" in row["why"]]
    assert {5, 10, 15, 20} <= set(strange)
    assert found[4]["novelty"] == pytest.approx(0.999)
    only = suggest(tmp_path / "p.parquet", 3, strategy="novelty")
    assert only["novelty"].to_pylist() == pytest.approx([0.999] * 3)


def test_with_labels_it_speaks_of_the_user_s_classes(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", failed=0)
    labelled = {f"S{i:05d}": ("even", "odd")[i % 2] for i in range(40)}
    found = suggest(path, 5, labelled)
    assert set(found["class"].to_pylist()) <= {"even", "odd"}
    labelled = {f"S{i:05d}": f"group {i % 3}" for i in range(60)}
    rows = suggest(path, 30, labelled).to_pylist()
    assert all(row["class"] == f"group {int(row['object_id'][1:]) % 3}" for row in rows)  # the head has learnt them


def test_labels_of_one_class_teach_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "p.parquet", failed=0)
    found = suggest(path, 5, {"S00001": "EB", "S00004": "EB"})
    assert set(found["class"].to_pylist()) <= set(CLASSES)
    assert "the catalog's own probabilities" in caplog.text


def test_the_filled_file_is_read_as_labels(tmp_path: Path) -> None:
    path, out = written(tmp_path / "p.parquet", failed=0), tmp_path / "to_label.csv"
    formats.write(formats.Rows.from_table(suggest(path, 12), {}), out)
    assert read_known_labels([out]) == {}
    table = pd.read_csv(out, dtype=str)
    table.loc[:4, "label"] = "mine"
    table.loc[5, "label"] = " "
    table.to_csv(out, index=False)
    read = read_labels(out).dropna(subset="label")
    assert set(read["label"]) <= {"mine", ""}
    known = read_known_labels([out])
    assert known == dict.fromkeys(table["object_id"][:5], "mine")
    assert not set(known) & set(suggest(path, 50, known)["object_id"].to_pylist())
    table.loc[0, "label"] = "other"
    table.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(ValueError, match="is other here and mine elsewhere"):
        read_known_labels([out, tmp_path / "b.csv"])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=9, failed=0)
    for strategy, says in (("novelty", "no column novelty"), ("information", "--mc 20"), ("best", "no strategy best")):
        with pytest.raises(ValueError, match=says):
            suggest(path, 3, strategy=strategy)
    with pytest.raises(ValueError, match="none of the 1 labelled"):
        suggest(path, 3, {"nobody": "EA"})
    with pytest.raises(ValueError, match="nothing is left to label"):
        suggest(path, 3, {f"S{i:05d}": "EA" for i in range(9)})
    with pytest.raises(ValueError, match="at least"):
        suggest(path, 0)


def test_an_object_with_several_light_curves_is_suggested_once(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=60, failed=0, ids=[f"S{i % 20}" for i in range(60)])
    for strategy in ("margin", "mixed"):
        assert sorted(suggest(path, 20, strategy=strategy)["object_id"].to_pylist()) == sorted(
            {f"S{i}" for i in range(20)}
        )


def test_reasons_are_in_words() -> None:
    p = np.array([0.1, 0.42, 0.48])
    assert explain(p, CLASSES, None, 1, "margin") == "uncertain between RRAB and EB (0.48, 0.42)"
    assert explain(p, CLASSES, 0.995, 7, "random") == "unlike the training set; covers a group of 7 alike"
    assert explain(p, CLASSES, 0.5, 1, "random") == "drawn at random"
    assert explain(np.ones(1), ("EA",), None, 1, "margin") == ""
