"""JSON of results is strict: NaN and infinity are null, NumPy values are plain ones."""

import json

import numpy as np

from goodricke.data.json import dumps, json_values


class Point:
    def to_dict(self) -> dict[str, float]:
        return {"x": np.float64(np.nan), "y": 1.0}


def test_everything_that_results_hold_becomes_plain() -> None:
    value = {1: np.float32(np.inf), "a": (np.int64(3), np.bool_(True), None, "text"), "b": np.array([[1.5, np.nan]])}
    expected = {"1": None, "a": [3, True, None, "text"], "b": [[1.5, None]]}
    assert json_values(value) == expected
    assert json_values([Point()]) == [{"x": None, "y": 1.0}]
    assert json.loads(dumps(value)) == expected
    assert dumps({"a": -np.inf}, indent=2) == '{\n  "a": null\n}'
