"""Tables that were made apart and don't agree in their columns."""

import pyarrow as pa

from goodricke.data.arrow import join_tables


def test_missing_columns_are_null_and_conflicting_ones_text() -> None:
    one, other = pa.table({"a": [1, 2], "b": [3, 4]}), pa.table({"a": ["x"], "c": [0.5]})
    joined = join_tables([one, other])
    assert joined["a"].to_pylist() == ["1", "2", "x"]
    assert joined["b"].to_pylist() == [3, 4, None]
    assert joined["c"].to_pylist() == [None, None, 0.5]


def test_types_that_go_together_are_promoted() -> None:
    joined = join_tables(
        [pa.table({"a": pa.array([1], pa.int32())}), pa.table({"a": [0.5]}), pa.table({"a": pa.nulls(1)})]
    )
    assert joined["a"].to_pylist() == [1.0, 0.5, None]
