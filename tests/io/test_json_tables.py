"""Tables in JSON of every shape that services and programs write."""

import json

import numpy as np
import pytest

from goodricke.io import Unreadable, read

OSC = {
    "SN2099A": {
        "name": "SN2099A",
        "photometry": [
            {"time": "58000.25", "magnitude": "17.1", "e_magnitude": "0.1", "band": "r", "u_time": "MJD"},
            {"time": ["58001", "58002"], "magnitude": "17.2", "e_magnitude": "0.1", "band": "r", "u_time": "MJD"},
            {"time": "58003", "magnitude": "16", "band": "r", "u_time": "MJD", "model": "x"},
        ],
    }
}


def write(path, content, **form):
    path.write_text(content if isinstance(content, str) else json.dumps(content, **form))
    return path


RECORDS = [
    {"oid": "9007199254740993", "mjd": 59000.5, "mag": 12.5, "magerr": 0.1, "fid": 1},
    {"oid": "9007199254740995", "mjd": 59001.5, "mag": 13.5, "magerr": None, "fid": 2},
]
COLUMNS = {name: [row[name] for row in RECORDS] for name in RECORDS[0]}
SHAPES = {
    "records": RECORDS,
    "columns": COLUMNS,
    "inside": {"data": RECORDS, "count": 2},
    "split": {"columns": list(COLUMNS), "index": [0, 1], "data": [list(row.values()) for row in RECORDS]},
    "rows": [list(COLUMNS), *(list(row.values()) for row in RECORDS)],
    "by column": {name: dict(zip("01", values, strict=True)) for name, values in COLUMNS.items()},
    "by row": dict(zip("01", RECORDS, strict=True)),
    "tap": {"metadata": [{"name": name} for name in COLUMNS], "data": [list(row.values()) for row in RECORDS]},
    "lines": "\n".join(map(json.dumps, RECORDS)),
    "whole numbers": [{**row, "oid": int(row["oid"])} for row in RECORDS],
    "numbers as text": [{**row, "mag": str(row["mag"])} for row in RECORDS],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("indent", [None, 2])
def test_every_shape_gives_the_same_light_curves(tmp_path, shape, indent):
    curves = read(write(tmp_path / "a.json", SHAPES[shape], indent=indent))
    assert curves.ids == ["9007199254740993", "9007199254740995"]
    assert curves.time.tolist() == [59000.5, 59001.5]
    assert curves.value.tolist() == [12.5, 13.5]
    assert curves.error.tolist() == pytest.approx([0.1, np.nan], nan_ok=True)
    assert curves.bands == ("g", "r")
    assert (curves.unit, curves.time_scale) == ("mag", "MJD")


@pytest.mark.parametrize("indent", [None, 4])
def test_open_supernova_catalog(tmp_path, caplog, indent):
    curves = read(write(tmp_path / "a.json", OSC, indent=indent))
    assert curves.ids == ["SN2099A"]
    assert curves.time.tolist() == [58000.25, 58001.5]
    assert curves.value.tolist() == pytest.approx([17.1, 17.2])
    assert "1 computed magnitudes" in caplog.text


def test_light_curve_of_alerces_interface(tmp_path):
    detections = [{"mjd": 59000.5, "fid": 1, "magpsf": 18.1, "sigmapsf": 0.1, "candid": "1"}]
    content = {"oid": "ZTF1", "detections": detections, "non_detections": [{"mjd": 58999, "fid": 1, "diffmaglim": 20}]}
    curves = read(write(tmp_path / "a.json", content))
    assert curves.ids == ["ZTF1"]
    assert curves.value.tolist() == pytest.approx([18.1])


def test_one_record_per_object(tmp_path):
    rows = [{"id": "a", "mjd": [59000.5, 59001.5], "mag": [12.0, 13.0]}, {"id": "b", "mjd": [59000.5], "mag": [14.0]}]
    curves = read(write(tmp_path / "a.json", rows))
    assert curves.ids == ["a", "b"]
    assert curves.n_obs.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"error": "no such object", "status": 404}, "answer of a service"),
        ([], "empty list"),
        ({"a": {"b": {"c": 1}}}, "without a table"),
        ('[{"mjd": 59000.5, "mag": 12.', "ends or breaks off"),
        ({"x": [{"a": 1}], "y": [{"b": 1}]}, "several lists of records: x, y"),
        ([1, [2], {"a": 3}], "JSON|without"),
        ([{"x": 1, "y": 2}], "no time column"),
    ],
)
def test_what_is_no_table_says_what_it_is(tmp_path, content, word):
    with pytest.raises(Unreadable, match=word) as caught:
        read(write(tmp_path / "a.json", content))
    assert "damaged" not in str(caught.value)


def test_columns_beside_their_metadata(tmp_path):
    data = {"time": [55070, 55071], "flux": [1, 2], "fluxerr": [0.1, 0.2], "zp": [25, 27.5], "zpsys": ["ab", "ab"]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"meta": {"name": "SN 1", "z": 0.1}, "data": data}))
    curves = read(path)
    assert curves.ids == ["SN 1"]
    assert curves.value == pytest.approx([363.1, 72.6156], rel=1e-4)
