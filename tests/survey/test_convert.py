"""`goodricke convert`: every format from every kind of catalog, opened by the tools of others."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table
from typer.testing import CliRunner

from goodricke import classify
from goodricke.cli import app
from goodricke.data.formats import WRITERS
from goodricke.io import read
from goodricke.survey import Catalog
from goodricke.survey.convert import convert
from goodricke.survey.shards import Entry, Folder, catalog_rows, write_shard
from tests.survey.prediction_tables import predictions

SETTINGS = {"model": "tiny", "model_hash": "0123456789ab", "passes": 20, "seed": 0}


@pytest.fixture
def folder(tmp_path):
    """Return a catalog of two shards, the second with a column that the first has not."""
    path = tmp_path / "cat"
    book = Folder(path, "catalog", SETTINGS).begin()
    for k in range(2):
        table = predictions(100 + k, seed=k).table
        if k:
            table = table.append_column("bp_rp", pa.array(np.linspace(0, 2, len(table))))
        size, sha256 = write_shard(path / f"shard-{k}.parquet", table, 50, input=f"in{k}", model="tiny")
        book.log(Entry(str(k), f"shard-{k}.parquet", len(table), size, sha256, details={"input": f"in{k}"}))
    book.finish()
    return path


def ids(path) -> list[str]:
    if path.suffix == ".parquet":
        return pq.read_table(path)["object_id"].to_pylist()
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype={"object_id": str})["object_id"].tolist()
    form = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}[path.suffix]
    return Table.read(path, format=form)["object_id"].astype(str).tolist()


@pytest.mark.parametrize("suffix", WRITERS)
def test_all_rows_of_all_shards_are_in_the_file_in_order(suffix, folder, tmp_path):
    assert convert(folder, tmp_path / f"x{suffix}") == 201
    assert ids(tmp_path / f"x{suffix}") == Catalog.open(folder).read()["object_id"].to_pylist()


def test_the_file_says_where_it_comes_from(folder, tmp_path):
    for suffix in (".fits", ".vot", ".parquet", ".ecsv"):
        convert(folder, tmp_path / f"x{suffix}")
    header = fits.getheader(tmp_path / "x.fits", 1)
    assert (header["MODEL"], header["MODHASH"]) == ("tiny", "0123456789ab")
    assert json.loads(header["SETTINGS"]) == SETTINGS
    infos = {i.name: i.value for i in votable.parse(tmp_path / "x.vot").resources[0].infos}
    assert infos == dict(Table.read(tmp_path / "x.ecsv").meta)
    assert {"goodricke", "model", "model_hash", "settings", "input", "classes"} == set(infos)
    assert len(infos["input"]) == 16
    again = catalog_rows(Catalog.open(tmp_path / "x.parquet")).about
    assert dict(again) == infos  # and still does when converted again


def test_gaias_columns_have_their_units(folder, tmp_path):
    convert(folder, tmp_path / "x.vot")
    field = votable.parse(tmp_path / "x.vot").get_first_table().get_field_by_id_or_name("bp_rp")
    assert (str(field.unit), field.ucd) == ("mag", "phot.color;em.opt.B;em.opt.R")


def test_one_parquet_of_classify_is_a_catalog_too(tmp_path):
    found = predictions()
    found.write(tmp_path / "x.parquet")
    convert(tmp_path / "x.parquet", tmp_path / "y.parquet")
    assert pq.read_table(tmp_path / "y.parquet").equals(found.table)
    about = catalog_rows(Catalog.open(tmp_path / "y.parquet")).about
    assert about == found.metadata


def test_a_file_written_elsewhere_names_its_model_by_its_rows(tmp_path):
    pq.write_table(predictions().table, tmp_path / "x.parquet")
    assert catalog_rows(Catalog.open(tmp_path / "x.parquet")).about["model_hash"] == "0123456789ab"


def test_a_file_may_be_written_over_itself(tmp_path):
    predictions().write(tmp_path / "x.parquet")
    assert convert(tmp_path / "x.parquet", tmp_path / "x.parquet") == 60
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_duckdb_reads_the_shards_and_the_parquet(folder, tmp_path):
    duckdb = pytest.importorskip("duckdb", reason="no DuckDB on this machine")
    convert(folder, tmp_path / "x.parquet")
    wanted = "select class, count(*), max(bp_rp) from read_parquet('{}', union_by_name=true) group by class order by 1"
    paths = (folder / "shard-*.parquet", tmp_path / "x.parquet")
    shards, file = (duckdb.sql(wanted.format(path)).fetchall() for path in paths)
    assert shards == file
    assert sum(row[1] for row in file) == 201


def test_per_star_is_said_in_the_file(tmp_path):
    predictions(300, stars=40).write(tmp_path / "x.parquet")
    told = CliRunner().invoke(
        app, ["convert", str(tmp_path / "x.parquet"), "--out", str(tmp_path / "y.fits"), "--per-star", "mean"]
    )
    assert told.exit_code == 0, told.output
    table = Table.read(tmp_path / "y.fits")
    assert len(table) == len(set(table["object_id"])) == 40
    assert table["n_light_curves"].sum() == 300
    assert "mean of the light curves" in fits.getheader(tmp_path / "y.fits", 1)["PERSTAR"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "x.hdf5"], "use .parquet"),
        (["--out", "x.fits", "--per-star", "worst"], "best or mean"),
        (["--out", "x.fits", "--per-star", "best", "--star-column", "gaia"], "no column gaia"),
        (["--out", "x.fits", "--thresholds", "none.json"], "none.json"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_and_leaves_nothing(options, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    predictions().write("in.parquet")
    told = CliRunner().invoke(app, ["convert", "in.parquet", *options])
    assert told.exit_code == 2
    assert said in told.output + "".join(capfd.readouterr())
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def test_what_is_no_catalog_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no catalog there"):
        convert(tmp_path / "nothing", tmp_path / "x.fits")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="no predictions"):
        convert(tmp_path / "a.parquet", tmp_path / "x.fits")


def test_real_stars_go_through_every_format(folded_model, shared, tmp_path):
    labels = pd.read_csv(shared / "data/crts_periodic/labels.csv", dtype={"id": str}).iloc[::1500]
    path = shared / "data/crts_periodic/lightcurves.parquet"
    points = ds.dataset(path).to_table(filter=ds.field("id").isin(labels["id"].tolist()))
    pq.write_table(points, tmp_path / "lc.parquet")
    found = classify(read(tmp_path / "lc.parquet", unit="mag"), folded_model, passes=2)
    found.write(tmp_path / "x.parquet")
    labels.to_csv(tmp_path / "labels.csv", index=False)
    for suffix in WRITERS:
        convert(tmp_path / "x.parquet", tmp_path / f"y{suffix}", table=tmp_path / "labels.csv")
        assert ids(tmp_path / f"y{suffix}") == found.column("object_id").tolist()
    table = Table.read(tmp_path / "y.fits")
    own = labels.set_index("id").loc[table["object_id"].astype(str).tolist()]
    np.testing.assert_array_equal(table["ra"], own["ra"])
    assert str(table["ra"].unit) == "deg"
