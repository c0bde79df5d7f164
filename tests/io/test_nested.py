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
    with pytest.raises(Unreadable, match=r"several nested light curves: a, b.*--light-curve a"):
        read(tmp_path / "b.parquet")


def test_a_plain_table_with_a_stray_list_stays_a_table(tmp_path):
    table = pa.table({"id": [1, 1], "mjd": [59000.0, 59001.0], "mag": [1.0, 2.0], "tags": [["a"], ["b"]]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert recognise(tmp_path / "a.parquet").NAME == "table"
    assert len(read(tmp_path / "a.parquet")) == 1


def test_dummy_magnitudes_are_no_observations(tmp_path):
    rows = [[{"mjd": 59000.0, "mag": 15.0}, {"mjd": 59001.0, "mag": 99.99}], [{"mjd": 59000.0, "mag": -999.0}]]
    pq.write_table(pa.table({"id": ["a", "b"], "lc": rows}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").n_obs.tolist() == [1, 0]
    assert read(tmp_path / "a.parquet", unit="nJy").n_obs.tolist() == [2, 1]


def test_one_of_several_nested_columns_is_chosen(tmp_path):
    source = [[{"midpointMjdTai": 60000.5, "psfFlux": 1.0, "psfFluxErr": 0.1}]]
    forced = [[{"midpointMjdTai": 60001.5, "psfFlux": 2.0, "psfFluxErr": 0.1}]]
    table = pa.table({"diaObjectId": [1], "diaSource": source, "diaObjectForcedSource": forced})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    with pytest.raises(Unreadable, match="--light-curve diaObjectForcedSource"):
        read(path)
    assert read(path, light_curve="diaObjectForcedSource").value.tolist() == [2]
    assert read(path, light_curve="diaSource").value.tolist() == [1]
    with pytest.raises(Unreadable, match="no nested column x; it has diaSource, diaObjectForcedSource"):
        read(path, light_curve="x")


@pytest.mark.parametrize("sentinel", [0.0, -99.0, -999.0])
@pytest.mark.parametrize("name", ["mag", "flux"])
def test_padding_is_no_observation(tmp_path, sentinel, name):
    rows = [
        {"mjd": [59000.5, 59001.5, sentinel], name: [15.0, 16.0, 0.0], f"{name}_err": [0.1, 0.1, 0.0]},
        {"mjd": [59000.5, sentinel, sentinel], name: [17.0, 0.0, 0.0], f"{name}_err": [0.1, 0.0, 0.0]},
    ]
    pq.write_table(pa.table({"id": ["a", "b"], "lc": rows}), tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.n_obs.tolist() == [2, 1]
    assert curves.value.tolist() == [15, 16, 17]


def test_a_row_without_identifier_costs_no_other(tmp_path, caplog):
    rows = [[{"mjd": 59000.0 + i, "mag": 15.0 + i}] for i in range(3)]
    pq.write_table(pa.table({"id": pa.array([7, None, 9]), "lc": rows}), tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.ids == ["7", "9"]
    assert curves.value.tolist() == [15, 17]
    assert "1 rows without id are left out" in caplog.text


def test_invented_identifiers_of_partitions_differ(tmp_path, caplog):
    rows = [[{"mjd": 59000.0, "mag": 15.0}]]
    for order in (0, 1):
        folder = tmp_path / f"Norder={order}" / "Dir=0"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"lc": rows}), folder / "Npix=4.parquet")
    curves = read(tmp_path, recursive=True)
    assert curves.ids == ["Norder=0:Npix=4:0", "Norder=1:Npix=4:0"]
    assert "has no identifiers" in caplog.text


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_empty_partitions_add_nothing(tmp_path, empty):
    table = pa.table({"id": [1], "lc": [[{"mjd": 59000.0, "mag": 15.0}]]})
    for i in range(3):
        folder = tmp_path / "Norder=0" / "Dir=0"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(0, 0) if i == empty else table, folder / f"Npix={i}.parquet")
    assert read(tmp_path, recursive=True).ids == ["1", "1"]
    ((batch, failures),) = read_batches(tmp_path, recursive=True)
    assert (batch.ids, failures) == (["1", "1"], [])


def test_lists_with_the_band_before_their_names(tmp_path):
    table = pa.table(
        {
            "id": ["a", "b"],
            "g_mjd": [[59000.0, 59001.0], [59002.0]],
            "g_mag": [[15.0, 16.0], [17.0]],
            "g_magerr": [[0.1, 0.1], [0.1]],
            "r_mjd": [[59003.0], []],
            "r_mag": [[18.0], []],
            "r_magerr": [[0.1], []],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.n_obs.tolist() == [3, 1]
    assert curves.value.tolist() == [15, 16, 18, 17]
    assert [curves.bands[b] for b in curves.band] == ["g", "g", "r", "g"]


def test_units_inside_a_nested_column(tmp_path):
    rows = [[{"time [s]": 86400.0, "mag [mmag]": 12500.0}, {"time [s]": 172800.0, "mag [mmag]": 13500.0}]]
    pq.write_table(pa.table({"id": ["a"], "lc": rows}), tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.time.tolist() == [1, 2]
    assert curves.value.tolist() == pytest.approx([12.5, 13.5])


def test_times_in_32_bits_get_a_warning(tmp_path, caplog):
    kind = pa.list_(pa.struct({"mjd": pa.float32(), "mag": pa.float32()}))
    rows = pa.array([[{"mjd": 59000.5, "mag": 15.0}, {"mjd": 59001.5, "mag": 16.0}]], kind)
    pq.write_table(pa.table({"id": ["a"], "lc": rows}), tmp_path / "a.parquet")
    read(tmp_path / "a.parquet")
    assert "32-bit numbers" in caplog.text
