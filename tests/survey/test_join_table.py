"""Columns of another table by the objects' ids."""

import logging

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from goodricke.data.formats import Rows
from goodricke.io import Unreadable
from goodricke.survey.crossmatch import join_table
from tests.survey.prediction_tables import predictions, rows


def gaia(found) -> pd.DataFrame:
    ids = found.column("object_id")[::-1][:30]
    return pd.DataFrame({"object_id": ids, "teff_gspphot": np.arange(30) + 5000.0, "RAJ2000": 10.0, "DEJ2000": -5.0})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".fits", ".vot", ".ecsv"])
def test_columns_are_found_by_id_whatever_the_format(suffix, tmp_path):
    found, path = predictions(), tmp_path / f"gaia{suffix}"
    frame = gaia(found)
    if suffix in (".csv", ".parquet"):
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    else:
        form = {".fits": "fits", ".vot": "votable", ".ecsv": "ascii.ecsv"}[suffix]
        Table({n: frame[n].to_numpy(str if n == "object_id" else float) for n in frame}).write(path, format=form)
    joined = join_table(rows(found), path)
    table = joined.table().to_pandas()
    assert joined.schema.names == [*found.table.column_names, "teff_gspphot"]
    wanted = table["object_id"].map(frame.set_index("object_id")["teff_gspphot"])
    np.testing.assert_array_equal(table["teff_gspphot"].to_numpy(float), wanted.to_numpy())
    np.testing.assert_array_equal(table["ra"], found.column("ra"))  # its own positions stay


def test_positions_are_filled_in_where_there_are_none(tmp_path):
    found = predictions()
    table = found.table
    gone = table["ra"].to_pandas().where(np.arange(60) < 50)
    table = table.set_column(table.column_names.index("ra"), "ra", [gone.tolist()])
    gaia(found).to_csv(tmp_path / "g.csv", index=False)
    joined = join_table(Rows.from_table(table, {}), tmp_path / "g.csv").table().to_pandas()
    assert joined["ra"][:50].tolist() == found.column("ra")[:50].tolist()
    assert joined["ra"][50:].tolist() == [10.0] * 10


def test_no_prediction_is_overwritten(tmp_path, caplog):
    found = predictions()
    gaia(found).assign(**{"class": "X", "p_value": 0.5}).to_csv(tmp_path / "g.csv", index=False)
    with caplog.at_level(logging.WARNING, "goodricke"):
        joined = join_table(rows(found), tmp_path / "g.csv")
    assert joined.table()["class"].to_pylist() == found.table["class"].to_pylist()
    assert "p_value" not in joined.schema.names
    assert "class" in caplog.text


def test_a_table_of_other_objects_is_refused(tmp_path):
    gaia(predictions()).assign(object_id=range(30)).to_csv(tmp_path / "g.csv", index=False)
    with pytest.raises(ValueError, match="none of the catalog's objects"):
        join_table(rows(predictions()), tmp_path / "g.csv")
    (tmp_path / "h.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Unreadable, match="no column for an object id"):
        join_table(rows(predictions()), tmp_path / "h.csv")
