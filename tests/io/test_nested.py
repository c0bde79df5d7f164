import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.io import Unreadable, read, read_batches, recognise

ROWS = [
    [
        {"hmjd": 58000.0, "mag": 15.0, "magerr": 0.1, "band": "g"},
        {"hmjd": 58001.0, "mag": 16.0, "magerr": 0.1, "band": "r"},
    ],
    None,
    [{"hmjd": 58002.0, "mag": 17.0, "magerr": None, "band": "g"}],
]


def many(path, n=1000, length=50, row_group=100):
    rng = np.random.default_rng(0)
    curves = LightCurves.from_arrays(
        [f"{i:05d}" for i in range(n)],
        np.arange(n + 1) * length,
        np.tile(59000.0 + np.arange(length), n),
        rng.normal(size=n * length),
        unit="nJy",
        time_scale="MJD",
    )
    pq.write_table(curves.to_arrow(), path, row_group_size=row_group)
    return curves


def test_list_of_structs(tmp_path):
    pq.write_table(pa.table({"objectid": [3, 1, 2], "obs": ROWS, "class": ["a", "b", None]}), tmp_path / "a.parquet")
    assert recognise(tmp_path / "a.parquet").NAME == "nested"
    curves = read(tmp_path / "a.parquet")
    assert curves.ids == ["3", "1", "2"]
    assert curves.n_obs.tolist() == [2, 0, 1]
    assert curves.bands == ("g", "r")
    assert (curves.unit, curves.time_scale) == ("mag", "MJD")
    assert np.isnan(curves.error[2])
    assert curves.objects["class"].to_pylist() == ["a", "b", None]


def test_struct_of_lists_under_any_name(tmp_path):
    kind = pa.struct(
        {"mjd": pa.list_(pa.float64()), "psfFlux": pa.list_(pa.float32()), "psfFluxErr": pa.list_(pa.float32())}
    )
    rows = [
        {"mjd": [59000.0, np.nan], "psfFlux": [1.0, 2.0], "psfFluxErr": [0.1, 0.2]},
        {"mjd": [], "psfFlux": [], "psfFluxErr": []},
    ]
    pq.write_table(
        pa.table({"id": ["a", "b"], "forced": pa.array(rows, kind), "RA": [1.0, 2.0]}), tmp_path / "a.parquet"
    )
    curves = read(tmp_path / "a.parquet")
    assert curves.n_obs.tolist() == [1, 0]
    assert curves.column("n_read").tolist() == [2, 0]
    assert curves.column("ra").tolist() == [1, 2]
    assert curves.unit == "flux"


def test_plain_list_columns_side_by_side(tmp_path):
    table = pa.table({"id": ["a", "b"], "band": ["g", "r"], "time": [[1.0, 2.0], [3.0]], "mag": [[10.0, 11.0], [12.0]]})
    pq.write_table(table, tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.n_obs.tolist() == [2, 1]
    assert [curves.bands[b] for b in curves.band] == ["g", "g", "r"]


def test_round_trip_of_our_own_files(tmp_path):
    written = many(tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.ids == written.ids
    assert (curves.unit, curves.time_scale) == ("nJy", "MJD")
    np.testing.assert_array_equal(curves.value, written.value)
    np.testing.assert_array_equal(curves.offsets, written.offsets)


def test_streamed_in_bounded_pieces(tmp_path):
    written = many(tmp_path / "a.parquet")
    batches = [batch for batch, failures in read_batches(tmp_path / "a.parquet", max_points=5000) if not failures]
    assert max(len(batch.time) for batch in batches) <= 5000
    assert len(batches) == 10
    np.testing.assert_array_equal(LightCurves.concat(batches).value, written.value)
    assert LightCurves.concat(batches).ids == written.ids


def test_rows_without_ids_are_numbered_across_pieces(tmp_path):
    many(tmp_path / "a.parquet", n=10)
    pq.write_table(pq.read_table(tmp_path / "a.parquet").drop_columns(["object_id"]), tmp_path / "b.parquet")
    batches = [batch for batch, _ in read_batches(tmp_path / "b.parquet", max_points=100)]
    assert LightCurves.concat(batches).ids == [f"b:{i}" for i in range(10)]


def test_lists_of_different_length(tmp_path):
    table = pa.table({"id": ["a"], "time": [[1.0, 2.0]], "mag": [[10.0]]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match="different length in row 1"):
        read(tmp_path / "a.parquet")


def test_no_or_several_light_curves(tmp_path):
    pq.write_table(pa.table({"id": [1], "a": [[{"x": 1.0}]]}), tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match="no time column"):
        read(tmp_path / "a.parquet")
    one = [[{"mjd": 59000.0, "mag": 1.0}]]
    pq.write_table(pa.table({"id": [1], "a": one, "b": one}), tmp_path / "b.parquet")
    with pytest.raises(Unreadable, match="several nested light curves: a, b"):
        read(tmp_path / "b.parquet")


def test_a_plain_table_with_a_stray_list_stays_a_table(tmp_path):
    table = pa.table({"id": [1, 1], "mjd": [59000.0, 59001.0], "mag": [1.0, 2.0], "tags": [["a"], ["b"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert recognise(tmp_path / "a.parquet").NAME == "table"
    assert len(read(tmp_path / "a.parquet")) == 1


def test_dummy_magnitudes_become_nan(tmp_path):
    rows = [[{"mjd": 59000.0, "mag": 15.0}, {"mjd": 59001.0, "mag": 99.99}], [{"mjd": 59000.0, "mag": -999.0}]]
    pq.write_table(pa.table({"id": ["a", "b"], "lc": rows}), tmp_path / "a.parquet")
    assert np.isnan(read(tmp_path / "a.parquet").value).tolist() == [False, True, True]
    assert not np.isnan(read(tmp_path / "a.parquet", unit="nJy").value).any()
