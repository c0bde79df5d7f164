"""Labelled light curves: bands renamed, classes capped, official splits understood."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.training.labels import (
    PART,
    _column,
    _limit_classes,
    labelled_in_memory,
    match_labels,
    official_split,
    read_labelled,
)
from goodricke.training.recipe import DataConfig


def test_bands_renamed_and_joined() -> None:
    curves = LightCurves.from_arrays(
        ["a"], [0, 4], range(4), [1.0] * 4, None, [0, 1, 2, 1], bands=("R", "g", "r"), unit="mag"
    )
    renamed = curves.rename_bands({"R": "r"})
    assert [renamed.bands[b] for b in renamed.band] == ["r", "g", "r", "g"]
    assert renamed.bands == ("r", "g")
    assert curves.rename_bands({}).bands == curves.bands


def test_at_most_so_many_of_each_class() -> None:
    name = pd.Series(["a"] * 50 + ["b"] * 5)
    config = DataConfig(light_curves="", labels="", most=10)
    keep = np.arange(55)
    selected = _limit_classes(keep, name, config)
    assert (name.iloc[selected] == "a").sum() == 10
    assert (name.iloc[selected] == "b").sum() == 5
    assert (np.diff(selected) > 0).all()
    assert np.array_equal(selected, _limit_classes(keep, name, config))
    assert np.array_equal(_limit_classes(keep, name, config.model_copy(update={"most": None})), keep)


def test_words_of_official_splits() -> None:
    words = pd.Series([True, "Train", "TEST", "val", None, "0"], name="part")
    assert official_split(words).tolist() == ["train", "train", "test", "validation", "", "test"]
    assert official_split(pd.Series([True, False])).tolist() == ["train", "test"]
    with pytest.raises(ValueError, match="holdout"):
        official_split(pd.Series(["holdout"], name="part"))


def test_held_out_objects_in_a_file_of_their_own(tmp_path: Path) -> None:
    rows = [(f"s{k}", t, 15.0, 0.1) for k in range(8) for t in range(4)]
    pd.DataFrame(rows, columns=["id", "mjd", "mag", "magerr"]).to_csv(tmp_path / "curves.csv", index=False)
    for name, ids in (("train.csv", range(6)), ("test.csv", range(5, 8))):
        frame = pd.DataFrame({"id": [f"s{k}" for k in ids], "class": ["ab"[k % 2] for k in ids]})
        frame.to_csv(tmp_path / name, index=False)
    config = DataConfig(
        light_curves=str(tmp_path / "curves.csv"),
        labels=str(tmp_path / "train.csv"),
        test_labels=str(tmp_path / "test.csv"),
        fewest=3,
    )
    data = read_labelled(config)
    part = dict(zip(data.curves.ids, data.part.tolist(), strict=True))
    assert part == {f"s{k}": "train" if k < 5 else "test" for k in range(8)}


def test_in_memory_stars_are_told_by_groups_or_ids_and_positions() -> None:
    curves = LightCurves.from_arrays(list("aabc"), [0, 1, 2, 3, 4], range(4), range(4))
    label, classes = np.array([0, 0, 1, 1]), ("x", "y")
    assert labelled_in_memory(curves, label, classes).star.tolist() == [0, 0, 1, 2]
    placed = curves.with_columns(ra=[10.0, 10.0, 50.0, 50.0001], dec=[0.0] * 4)
    assert labelled_in_memory(placed, label, classes).star.tolist() == [0, 0, 1, 1]
    expected = labelled_in_memory(placed, label, classes, ["s", "t", "t", "s"])
    assert expected.star.tolist() == expected.neighbourhood.tolist() == [0, 1, 1, 0]
    assert (expected.classes, expected.part, expected.targets.shape) == (classes, None, (4, 0))
    with pytest.raises(ValueError, match="3 groups for 4 light curves"):
        labelled_in_memory(curves, label, classes, ["s"] * 3)


def test_labels_that_are_not_used_are_not_said_to_be_missing(tmp_path: Path) -> None:
    rows = "".join(f"s{k},{t},12\n" for k in range(4) for t in (1, 2))
    (tmp_path / "curves.csv").write_text("object_id,mjd,mag\n" + rows)
    (tmp_path / "labels.csv").write_text("object_id,label\ns0,a\ns1,a\ns2,b\ns3,b\n")
    config = DataConfig(light_curves=str(tmp_path / "curves.csv"), labels=str(tmp_path / "labels.csv"), fewest=3)
    with pytest.raises(ValueError, match=r"4 light curves have a label in .*labels.csv, and none is used; .* is 3"):
        read_labelled(config)
    (tmp_path / "labels.csv").write_text("object_id,label\nx0,a\nx1,a\nx2,a\n")
    with pytest.raises(ValueError, match="none of the 4 light curves has a label"):
        read_labelled(config)


def test_a_column_that_is_missing_is_told_with_those_of_the_file() -> None:
    rows = pd.DataFrame({"label": ["a"], PART: ["train"]})
    with pytest.raises(ValueError, match=r"l.csv has no column z; it has label$"):
        _column(rows, "z", "l.csv")


def test_ids_of_labels_may_be_spelled_differently():
    table = pd.DataFrame({"object_id": ["tic-1", "2", "KIC 3"], "label": ["EB", "RR", "DSCT"]})
    matched = match_labels(table, ["TIC 00000001", "TIC 2", "TIC 3", "kic 3"])
    assert matched.index.tolist() == ["TIC 00000001", "TIC 2", "TIC 3", "kic 3"]
    assert matched["label"].fillna("").tolist() == ["EB", "RR", "", "DSCT"]
