"""HATS catalogs: every row in its pixel, opened and cross-matched by LSDB."""

import logging
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.formats import Rows
from goodricke.survey import Catalog
from goodricke.survey.convert import ORDER, convert, tiles, write_hats
from tests.survey.prediction_tables import predictions, rows

lsdb = pytest.importorskip("lsdb", reason="needs goodricke[survey]")
N = 200  # predictions, in 18 pixels


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folder of a HATS catalog of several pixels, and the predictions in it."""
    path = tmp_path_factory.mktemp("hats") / "stars.hats"
    found = predictions(N)
    write_hats(rows(found), path, pixel_rows=20)
    return path, found


def test_lsdb_opens_it_with_all_its_rows_and_columns(written):
    path, found = written
    catalog = lsdb.open_catalog(path)
    assert catalog.npartitions > 12
    assert set(found.table.column_names) <= set(catalog.columns)
    back = catalog.compute().set_index("object_id").loc[found.column("object_id")]
    assert back["class"].isna().tolist() == found.table["class"].is_null().to_pylist()
    np.testing.assert_array_equal(back["p_EA"].to_numpy(np.float32, na_value=np.nan), found.column("p_EA"))
    np.testing.assert_array_equal(back["ra"].to_numpy(float), found.column("ra"))
    assert catalog.name == "stars"


def test_lsdb_finds_each_star_in_a_cross_match(written):
    path, found = written
    places = pd.DataFrame({"name": found.column("object_id"), "ra": found.column("ra"), "dec": found.column("dec")})
    places = places.nlargest(N // 20, "dec")  # in a few of the pixels: a second for each
    other = lsdb.from_dataframe(places, ra_column="ra", dec_column="dec", margin_threshold=10)
    pairs = lsdb.open_catalog(path).crossmatch(
        other, radius_arcsec=1, suffixes=("", "_other"), suffix_method="overlapping_columns"
    )
    pairs = pairs.compute()
    assert len(pairs) == len(places)
    assert (pairs["object_id"] == pairs["name"]).all()


def test_a_cone_is_searched_by_its_pixels(written):
    path, found = written
    ra, dec = found.column("ra")[0], found.column("dec")[0]
    near = lsdb.open_catalog(path).cone_search(ra, dec, radius_arcsec=5).compute()
    assert near["object_id"].tolist() == [found.column("object_id")[0]]


def test_rows_are_in_the_order_of_their_pixels_and_say_what_they_are(written):
    for file in sorted((written[0] / "dataset").rglob("*.parquet")):
        table = pq.read_table(file)
        assert (np.diff(table["_healpix_29"].to_numpy()) >= 0).all()
        assert table.schema.field("ra").metadata[b"unit"] == b"deg"
        assert table.schema.metadata[b"model_hash"] == b"0123456789ab"
        assert len(table) <= 20
    assert not list(written[0].rglob("*.arrow"))
    assert "goodricke_model_hash=0123456789ab" in (written[0] / "hats.properties").read_text()


def test_it_is_a_catalog_of_goodricke_again(written, tmp_path):
    path, _ = written
    assert len(Catalog.open(path)) == N
    assert convert(path, tmp_path / "y.hats") == N
    assert lsdb.open_catalog(tmp_path / "y.hats").columns.tolist().count("_healpix_29") <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12 * 4**ORDER - 1), max_size=300), st.integers(1, 50))
def test_tiles_hold_few_rows_and_their_parents_too_many(pixels, most):
    index = np.array(pixels, np.int64)
    order, pixel = tiles(index, most)
    assert (index >> 2 * (ORDER - order) == pixel).all()
    for k, number in {*zip(order.tolist(), pixel.tolist(), strict=True)}:
        inside = index >> 2 * (ORDER - k) == number
        assert inside.sum() <= most or k == ORDER
        assert (order[inside] == k).all()  # tiles don't overlap
        assert k == 0 or (index >> 2 * (ORDER - k + 1) == number >> 2).sum() > most


def test_rows_without_a_position_are_left_out_and_counted(tmp_path, caplog):
    table = predictions(50).table
    ra = pa.array([None if k < 3 else x for k, x in enumerate(table["ra"].to_pylist())])
    table = table.set_column(table.column_names.index("ra"), "ra", ra)
    with caplog.at_level(logging.WARNING, "goodricke"):
        assert write_hats(Rows.from_table(table, {}), tmp_path / "x") == 47
    assert "3 rows without a position" in caplog.text
    with pytest.raises(ValueError, match=r"none of the 3 rows has a position .*--join"):
        write_hats(Rows.from_table(table.slice(0, 3), {}), tmp_path / "y")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path):
    found = rows(predictions())
    without = Rows.from_table(found.table().drop_columns(["ra"]), {})
    with pytest.raises(ValueError, match=r"no column ra: .*--join"):
        write_hats(without, tmp_path / "x")
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="exists: choose a new folder"):
        write_hats(found, tmp_path / "old")


def test_without_lsdb_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hats", None)
    with pytest.raises(ImportError, match=r"goodricke\[survey\]"):
        write_hats(rows(predictions()), tmp_path / "x")


def test_the_command_names_the_catalog(tmp_path):
    predictions().write(tmp_path / "x.parquet")
    told = CliRunner().invoke(
        app, ["convert", str(tmp_path / "x.parquet"), "--out", str(tmp_path / "folder"), "--hats", "variables"]
    )
    assert told.exit_code == 0, told.output
    assert lsdb.open_catalog(tmp_path / "folder").name == "variables"
