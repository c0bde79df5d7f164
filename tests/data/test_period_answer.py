"""Periods and the nodes of a taxonomy in a table of predictions, through every format."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from goodricke.data.formats import describe
from goodricke.data.period_answer import PeriodAnswer, alternatives_of, period_column, period_relation
from goodricke.data.predictions import Output, Predictions, Status
from tests.making import LEAVES, period_answer, predictions_of, variables

READERS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}


def test_the_class_is_the_deepest_probable_node_and_the_leaf_the_most_probable() -> None:
    table = variables().table
    assert table["class"].to_pylist()[:2] == ["ECLIPSING", "MIRA"]
    assert table["class"].to_pylist()[3] is None
    assert table["class_probability"].to_pylist()[:2] == pytest.approx([0.97, 1.0])
    assert table["leaf"].to_pylist() == ["EW", "MIRA", "EA", None]
    assert table["p_max"].to_pylist()[:3] == pytest.approx([0.55, 1.0, 0.3])
    assert table["node_ECLIPSING"].to_pylist()[:3] == pytest.approx([0.97, 0.0, 0.4])
    assert variables().classes == LEAVES


def test_the_root_is_the_class_where_nothing_else_is_probable_and_has_no_column() -> None:
    table = variables().table
    root = table["class"].to_pylist()[2]
    assert table["class_probability"].to_pylist()[2] == pytest.approx(1)
    assert f"node_{root}" not in table.column_names


def test_a_set_is_named_by_the_node_that_has_just_its_leaves() -> None:
    assert variables().table["prediction_set_node"].to_pylist() == [None, None, "ECLIPSING", None]


def test_nodes_tell_their_leaves() -> None:
    field = variables().table.schema.field("node_ECLIPSING")
    assert field.metadata[b"leaves"] == b"EA|EB|EW"
    assert describe(field).description == "Probability of EA or EB or EW"


def test_periods_are_null_where_there_is_none_and_notes_where_nothing_is_to_be_said() -> None:
    table = variables().table
    assert table["period"].to_pylist() == [0.4, 300.0, None, None]
    assert table["period_alternatives"].null_count == 2
    notes = table["period_note"].to_pylist()
    assert [note is None for note in notes] == [True, False, True, True]
    assert "half the time span" in notes[1]
    assert table["false_alarm_probability"].to_pylist() == [1e-30, 0.02, None, None]


def test_a_model_that_answers_a_period_has_no_period_of_its_fold() -> None:
    fold = {"fold_period": np.full(4, 0.2)}
    assert "fold_period" not in variables(columns=fold).table.column_names
    without = variables(columns=fold, periods=None).table.column_names
    assert "fold_period" in without
    assert "period" not in without


def test_periods_of_the_user_s_table_are_not_taken_for_answers() -> None:
    objects = pa.table({"period": [1.0, 2.0], "period_note": ["a", "b"]})
    carried = predictions_of(["a", "b"], ["OK", "OK"], ("X",), np.ones((2, 1)), [1, 1], objects=objects).table
    assert carried["period"].to_pylist() == [1.0, 2.0]
    assert "period_note" not in carried.column_names
    assert period_column(carried.column_names) is None
    answered = variables(objects=pa.table({"period": [9.0] * 4, "leaf": ["x"] * 4})).table
    assert answered["period"].to_pylist()[0] == 0.4
    assert answered["leaf"].to_pylist()[0] == "EW"
    assert period_column(answered.column_names) == "period"
    assert period_column(["fold_period"]) == "fold_period"


def test_rows_are_taken_from_periods_too() -> None:
    output = Output(np.ones((4, 2)) / 2, np.zeros(4), periods=period_answer())
    taken = output.take(np.array([1, 0])).periods
    assert taken is not None
    assert taken.period.tolist() == [300.0, 0.4]
    assert taken.alternatives[1, 0] == 0.2


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"alternatives of 2 objects has the shape \(2,\); it must be \(2, 3\)"):
        PeriodAnswer(**vars(PeriodAnswer.empty(2)) | {"alternatives": np.zeros(2)})


@pytest.mark.parametrize(
    ("period", "other", "relation"),
    [
        (0.5, 0.25, "P/2"),
        (0.5, 1.0001, "2P"),
        (0.4, 1 / (1 / 0.4 - 1), "1-day alias"),
        (0.4, 1 / (1 / 0.4 + 1.0027), "1-day alias"),
        (0.8, 2 / (2 / 0.8 + 1), "1-day alias"),  # of half an orbit
        (3.0, 1 / (1 / 3 + 1 / 29.53), "1-month alias"),
        (20.0, 1 / (1 / 20 + 1 / 365.25), "1-year alias"),
        (0.4, 0.71, ""),
        (100.0, 143.0, ""),
    ],
)
def test_relations_of_periods(period: float, other: float, relation: str) -> None:
    assert period_relation(period, other) == relation


def test_alternatives_of_a_row_have_their_relation() -> None:
    first, _, none, failed = variables().table.to_pylist()
    relations = [(x["relation"], x["probability"]) for x in alternatives_of(first)]
    assert relations == [("P/2", pytest.approx(0.12)), ("1-day alias", pytest.approx(0.05))]
    assert alternatives_of(none) == alternatives_of(failed) == alternatives_of({}) == []


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ecsv", ".fits", ".vot"])
def test_answers_are_read_back_from_every_format(suffix: str, tmp_path) -> None:
    made = variables()
    made.write(tmp_path / f"p{suffix}")
    if suffix == ".csv":
        table = Table.from_pandas(pd.read_csv(tmp_path / "p.csv"))
    elif suffix == ".parquet":
        table = pq.read_table(tmp_path / "p.parquet").to_pydict()
    else:
        table = Table.read(tmp_path / f"p{suffix}", format=READERS[suffix])
    assert [str(x) for x in table["class"][:2]] == ["ECLIPSING", "MIRA"]
    assert str(table["prediction_set_node"][2]) == "ECLIPSING"
    for name in ("period", "period_error", "false_alarm_probability"):
        np.testing.assert_array_equal(np.array(table[name][:2], float), made.column(name)[:2].astype(float))
    others = table["period_alternatives"][0]
    numbers = [float(x) for x in others.split("|")] if isinstance(others, str) else np.asarray(others)[:2]
    np.testing.assert_array_equal(numbers, [0.2, 1 / 1.5])


def test_rows_that_failed_have_the_columns_of_the_others(tmp_path) -> None:
    made = variables()
    both = Predictions.concat([made, Predictions.failed(["x"], Status.UNREADABLE, made)])
    assert both.table.schema.equals(made.table.schema, check_metadata=True)
    assert both.table["period"].to_pylist()[4] is None
    both.write(tmp_path / "p.parquet")
    assert pq.read_schema(tmp_path / "p.parquet").field("node_ECLIPSING").metadata[b"leaves"] == b"EA|EB|EW"
