"""Surveys' tables that need no reader of their own: ZTF's public light curves, and PLAsTiCC's."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from goodricke.io import read, recognise

# The columns of IRSA's ZTF Lightcurve Queries (irsa.ipac.caltech.edu/docs/program_interface/ztf_lightcurve_api.html).
IRSA = {
    "oid": np.array([686103400034440, 686103400034440, 686203400047013]),
    "expid": np.array([45231, 45232, 45233]),
    "hjd": np.array([2458207.5012, 2458208.5012, 2458207.6]),
    "mjd": np.array([58206.9979, 58207.9979, 58207.1]),
    "mag": np.array([17.5, 17.625, 16.25], "f4"),
    "magerr": np.array([0.03, 0.04, 0.02], "f4"),
    "catflags": np.array([0, 32768, 2], "i4"),
    "filtercode": np.array(["zg", "zg", "zr"]),
    "ra": np.array([298.0, 298.0, 298.1]),
    "dec": np.array([29.8, 29.8, 29.9]),
}


@pytest.mark.parametrize(("name", "form"), [("a.csv", "ascii.csv"), ("a.tbl", "ascii.ipac"), ("a.xml", "votable")])
def test_irsa(tmp_path, name, form):
    table = Table(IRSA)
    for column, unit in {"hjd": "d", "mjd": "d", "mag": "mag", "magerr": "mag", "ra": "deg", "dec": "deg"}.items():
        table[column].unit = unit if form != "ascii.csv" else None
    table.write(tmp_path / name, format=form)
    assert recognise(tmp_path / name).NAME == "table"
    curves = read(tmp_path / name)
    assert curves.ids == ["686103400034440", "686203400047013"]
    assert (curves.unit, curves.time_scale, curves.bands) == ("mag", "HJD", ("g", "r"))
    assert curves.time.tolist() == [2458207.5012, 2458207.6]
    assert curves.error == pytest.approx([0.03, 0.02])
    assert curves.column("n_flagged").tolist() == [1, 0]
    assert curves.column("dec").tolist() == [29.8, 29.9]
    assert len(read(tmp_path / name, quality="none").time) == 3
    assert len(read(tmp_path / name, quality="hard").time) == 1


def test_bulk_light_curves_of_ztf(tmp_path):
    """One row per object and filter, arrays beside each other, as the data releases' Parquet files."""
    table = {
        "objectid": [686103400034440, 686203400047013],
        "filterid": pa.array([1, 3], pa.int8()),
        "objra": [298.0, 298.1],
        "objdec": [29.8, 29.9],
        "hmjd": [[58207.0, 58208.0], [58207.1]],
        "mag": [[17.5, 17.625], [16.25]],
        "magerr": [[0.03, 0.04], [0.02]],
        "clrcoeff": [[-0.05, -0.05], [0.1]],
        "catflags": [[0, 32769], [2]],
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.n_obs.tolist() == [1, 1]
    assert [curves.bands[b] for b in curves.band] == ["g", "i"]
    assert curves.column("ra").tolist() == [298.0, 298.1]
    assert len(read(tmp_path / "a.parquet", quality="none").time) == 3


def test_plasticc(tmp_path):
    """The columns of plasticc_training_lightcurves.csv (zenodo.org/records/2539456)."""
    path = tmp_path / "training_set.csv"
    path.write_text(
        "object_id,mjd,passband,flux,flux_err,detected\n615,59750.4229,2,-544.810303,3.622952,1\n"
        "615,59750.4306,1,-816.434326,5.55337,1\n713,59825.2597,0,-0.5,1.25,0\n713,59826.2597,5,2.5,1.5,0\n"
    )
    assert recognise(path).NAME == "table"
    curves = read(path)
    assert curves.ids == ["615", "713"]
    assert (curves.unit, curves.time_scale) == ("flux", "MJD")
    assert [curves.bands[b] for b in curves.band] == ["r", "g", "u", "y"]
    assert curves.value == pytest.approx([-544.810303, -816.434326, -0.5, 2.5])
    assert curves.error == pytest.approx([3.622952, 5.55337, 1.25, 1.5])


def test_two_names_of_one_band_are_one_band(tmp_path):
    (tmp_path / "a.csv").write_text("mjd,mag,filter\n58206,17,zg\n58207,17,g\n58208,17,zr\n58209,17,V\n")
    curves = read(tmp_path / "a.csv")
    assert [curves.bands[b] for b in curves.band] == ["g", "g", "r", "V"]
    assert len(curves.bands) == 3
