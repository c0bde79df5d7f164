import logging
import time as clock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import Table
from astropy.time import Time

from goodricke.readers import Unreadable, read, recognise


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "objects", "points", "unit", "scale", "bands", "first"),
    [
        ("asas_acvs", 13909, 7945952, "mag", "JD", ("V",), "149389"),
        ("crts_periodic", 30196, 6761918, "mag", "MJD", ("none",), "3019021001365"),
        ("plasticc", 7848, 1421705, "flux", "MJD", ("r", "g", "i", "z", "y", "u"), "615"),
        ("spcc_des", 21319, 2052860, "flux", "MJD", ("g", "r", "i", "z"), "17"),
        ("ztf_bts", 2710, 96034, "mag", "MJD", ("R", "g"), "ZTF18abvvmdf"),
        ("hipparcos_ogle", 1392, 263608, "mag", "unknown", ("Clear",), "100148010"),
        ("s82_rrlyrae", 483, 136196, "mag", "MJD", ("r", "i", "u", "z", "g"), "1061631"),
        ("ps1_rrlyrae", 314, 9179, "mag", "MJD", ("g", "r", "i", "z", "y"), "ps1_-3914437316742795175cleaned.txt"),
    ],
)
def test_survey_tables(data, name, objects, points, unit, scale, bands, first):
    path = data / name / "lightcurves.parquet"
    begun = clock.perf_counter()
    curves = read(path)
    assert clock.perf_counter() - begun < 60
    assert (len(curves), len(curves.time)) == (objects, points)
    assert (curves.unit, curves.time_scale, curves.bands, curves.ids[0]) == (unit, scale, bands, first)
    assert np.isfinite(curves.error).any()
    assert curves.column("n_read").sum() == points
    assert recognise(path).NAME == "table"


def test_agrees_with_a_plain_group_by(data):
    path = data / "ztf_bts" / "lightcurves.parquet"
    curves, frame = read(path), pd.read_parquet(path)
    for i in (0, 1000, 2709):
        mine = frame[frame["id"] == curves.ids[i]]
        np.testing.assert_array_equal(curves[i].time, mine["mjd"])
        np.testing.assert_array_equal(curves[i].value, mine["mag"].astype("f4"))
        assert [curves.bands[b] for b in curves[i].band] == mine["band"].tolist()


def test_names_divided_by_commas_and_numbers_by_blanks(tmp_path):
    path = write(tmp_path / "a.txt", "# remarks\n mjd, mag, filter\n#\n 59000 12 ZTF_g\n 59001 13 ZTF_r\n")
    curves = read(path)
    assert curves.value.tolist() == [12, 13]
    assert curves.bands == ("g", "r")


def test_magnitudes_of_the_source_and_of_the_difference_are_ambiguous(tmp_path):
    path = write(tmp_path / "a.csv", "oid,mjd,magpsf,magpsf_corr\nZTF1,59000,18,16\n")
    with pytest.raises(Unreadable, match="magpsf, magpsf_corr"):
        read(path)
    assert read(path, columns={"value": "magpsf_corr"}).value.tolist() == [16]


def test_csv_with_ids_kept_as_text(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "ID, MJD, Mag, Mag_Err, Filter\n007,59000.5,12.5,0.1,g\n07,59001.5,13,0.2,r\n007,59002.5,12,,g\n",
    )
    curves = read(path)
    assert curves.ids == ["007", "07"]
    assert curves.n_obs.tolist() == [2, 1]
    assert curves.time.tolist() == [59000.5, 59002.5, 59001.5]
    assert curves.bands == ("g", "r")
    assert curves.band.tolist() == [0, 0, 1]
    assert np.isnan(curves.error[1])
    assert (curves.unit, curves.time_scale) == ("mag", "MJD")


def test_text_without_ids_is_one_object_named_after_the_file(tmp_path):
    path = write(tmp_path / "V1234 Cyg.dat", "# HJD  V_mag err\n2453000.1 12.1 0.01\n2453001.1 12.2 0.01\n")
    curves = read(path)
    assert curves.ids == ["V1234 Cyg"]
    assert (curves.unit, curves.time_scale) == ("mag", "HJD")
    assert curves.value.tolist() == pytest.approx([12.1, 12.2])


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", "  |"])
def test_headerless_text(tmp_path, separator):
    rows = "\n".join(separator.join(f"{x:.6f}" for x in (150.0 + i, 1.0 + i, 0.1)) for i in range(5))
    curves = read(write(tmp_path / "kplr1.txt", rows), unit="relative", time_scale="BKJD")
    assert curves.time.tolist() == [150, 151, 152, 153, 154]
    assert curves.error.tolist() == pytest.approx([0.1] * 5)
    assert (curves.unit, curves.time_scale) == ("relative", "BKJD")


def test_many_headerless_columns_need_to_be_named(tmp_path):
    path = write(tmp_path / "a.txt", "1 59000 12.5 0.1 3\n2 59001 12.5 0.1 3\n")
    with pytest.raises(Unreadable, match="its columns are 1, 2, 3, 4, 5"):
        read(path)
    curves = read(path, columns={"time": "2", "value": "3", "error": "4"}, unit="mag")
    assert curves.time.tolist() == [59000, 59001]


def test_ecsv_with_units_and_times(tmp_path):
    table = Table(
        {"time": Time([59000.0, 59001.0], format="mjd"), "flux": [1.0, 2.0] * u.nJy, "flux_err": [0.1, 0.2] * u.nJy}
    )
    table.write(tmp_path / "a.ecsv")
    curves = read(tmp_path / "a.ecsv")
    assert (curves.unit, curves.time_scale) == ("nJy", "MJD")
    assert curves.time.tolist() == [59000, 59001]
    assert curves.error.tolist() == pytest.approx([0.1, 0.2])


def test_votable(tmp_path):
    masked = np.ma.array([12.5, 13.0], mask=[False, True])
    Table({"obs_time": [2455000.5, 2455001.5], "mag": masked, "source_id": [5, 5]}).write(
        tmp_path / "a.vot", format="votable"
    )
    curves = read(tmp_path / "a.vot")
    assert (curves.ids, curves.unit, curves.time_scale) == (["5"], "mag", "JD")
    assert np.isnan(curves.value[1])


def test_parquet_with_catalogue_numbers_nulls_and_scattered_rows(tmp_path):
    columns = {"tic": [11, 22, 11, 22], "btjd": [1.0, None, 3.0, 4.0], "flux": [1.0, 2.0, None, 4.0]}
    table = pa.table(columns | {"quality": [0, 0, 8, 8], "ra": [10.0, 20.0, 10.0, 20.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.ids == ["TIC 11", "TIC 22"]
    assert curves.n_obs.tolist() == [2, 1]  # the row without a time is gone, the one without a flux is not
    assert curves.column("n_read").tolist() == [2, 2]
    assert curves.column("ra").tolist() == [10, 20]
    hard = read(tmp_path / "a.parquet", quality="hard")
    assert hard.time.tolist() == [1.0]
    assert hard.column("n_flagged").tolist() == [1, 1]


def test_a_band_is_kept_alone_as_if_the_file_had_no_other(tmp_path, caplog):
    g, others = "mjd,mag,band\n59000,12,g\n59002,,g\n", "59001,13,r\n59003,14,\n"
    both, alone = write(tmp_path / "a.csv", g + others), write(tmp_path / "b.csv", g)
    kept, same = read(both, band="g"), read(alone)
    assert (kept.bands, kept.time.tolist()) == (("g",), [59000, 59002]) == (same.bands, same.time.tolist())
    assert kept.column("n_read").tolist() == same.column("n_read").tolist() == [2]
    assert read(both, band="g", rename_bands={"g": "G"}).bands == ("G",)
    assert not caplog.text
    assert len(read(both, band="V").time) == 0
    assert "no observation in band V, only in g, r, none: keep one of these, or --band V=g" in caplog.text


def test_a_band_is_named_where_the_file_tells_none(tmp_path):
    assert read(write(tmp_path / "a.csv", "mjd,mag\n59000,12\n"), band="V").bands == ("V",)


def test_text_in_a_number_column(tmp_path):
    path = write(tmp_path / "a.csv", "mjd,mag\n59000,12.1\n59001,>19.5\n")
    with pytest.raises(Unreadable, match=r"text in column mag: '>19\.5' in row 2"):
        read(path)


def test_faults_are_kept_as_found(tmp_path):
    path = write(tmp_path / "a.csv", "mjd,flux\n59002,inf\n59001,nan\n59001,-5\n59001,1\n")
    curves = read(path)
    assert curves.time.tolist() == [59002, 59001, 59001, 59001]
    assert np.isinf(curves.value[0])
    assert curves.value[2] == -5


@pytest.mark.parametrize(
    ("unit", "dummies"), [(None, [False, True, True, True, True, False, False]), ("flux", [False] * 7)]
)
def test_dummy_magnitudes_become_nan(tmp_path, caplog, unit, dummies):
    values = ("12", "99.99", "-99", "50", "-50", "49.9", "-49.9")
    rows = "\n".join(f"{59000 + i},{values[i]},-99" for i in range(7))
    path = write(tmp_path / "a.csv", "mjd,mag,magerr\n" + rows)
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(path, unit=unit)
    assert np.isnan(curves.value).tolist() == dummies
    assert curves.error.tolist() == [-99] * 7
    assert ("4 dummy magnitudes" in caplog.text) == any(dummies)


def test_missing_ids_and_too_many_bands(tmp_path):
    with pytest.raises(Unreadable, match="1 rows without id"):
        read(write(tmp_path / "a.csv", "id,mjd,mag\n1,59000,12\n,59001,12\n"))
    rows = "\n".join(f"59000,12,b{i}" for i in range(300))
    with pytest.raises(Unreadable, match="300 different bands"):
        read(write(tmp_path / "b.csv", "mjd,mag,band\n" + rows))


def test_flux_option_names_the_brightness_of_a_table(tmp_path):
    path = write(tmp_path / "a.csv", "btjd,flux,corr_flux\n1,5,6\n2,5,6\n")
    assert read(path).value[0] == 5
    assert read(path, flux="CORR_FLUX").value[0] == 6
    assert read(path, flux="flux", columns={"value": "corr_flux"}).value[0] == 6


def test_blank_separated_rows_may_end_in_a_remark(tmp_path):
    path = write(tmp_path / "a.dat", "mjd mag\n59000 12\n59001 13 clouds?\n")
    assert read(path).value.tolist() == [12, 13]
