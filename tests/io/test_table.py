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

from goodricke.io import Unreadable, read, recognise


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "objects", "points", "used", "unit", "scale", "bands", "first"),
    [
        ("asas_acvs", 13909, 7945952, 7945952, "mag", "JD", ("V",), "149389"),
        ("crts_periodic", 30196, 6761918, 6761918, "mag", "MJD", ("none",), "3019021001365"),
        ("plasticc", 7848, 1421705, 1421705, "flux", "MJD", ("r", "g", "i", "z", "y", "u"), "615"),
        ("spcc_des", 21319, 2052860, 2052860, "flux", "MJD", ("g", "r", "i", "z"), "17"),
        ("ztf_bts", 2710, 96034, 96034, "mag", "MJD", ("R", "g"), "ZTF18abvvmdf"),
        ("hipparcos_ogle", 1392, 263608, 263608, "mag", "unknown", ("Clear",), "100148010"),
        ("s82_rrlyrae", 483, 136196, 136137, "mag", "MJD", ("r", "i", "u", "z", "g"), "1061631"),
        (
            "ps1_rrlyrae",
            314,
            9179,
            9179,
            "mag",
            "MJD",
            ("g", "r", "i", "z", "y"),
            "ps1_-3914437316742795175cleaned.txt",
        ),
    ],
)
def test_survey_tables(data, name, objects, points, used, unit, scale, bands, first):
    path = data / name / "lightcurves.parquet"
    begun = clock.perf_counter()
    curves = read(path)
    assert clock.perf_counter() - begun < 60
    assert (len(curves), len(curves.time), np.isfinite(curves.value).all()) == (objects, used, True)
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
    assert (curves.value.tolist(), curves.column("n_read").tolist()) == ([12.5], [2])


def test_parquet_with_catalogue_numbers_nulls_and_scattered_rows(tmp_path):
    columns = {"tic": [11, 22, 11, 22], "btjd": [1.0, None, 3.0, 4.0], "flux": [1.0, 2.0, None, 4.0]}
    table = pa.table(columns | {"quality": [0, 0, 8, 8], "ra": [10.0, 20.0, 10.0, 20.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.ids == ["TIC 11", "TIC 22"]
    assert curves.n_obs.tolist() == [1, 1]  # the rows without a time and without a flux are gone
    assert curves.column("n_read").tolist() == [2, 2]
    assert curves.column("ra").tolist() == [10, 20]
    hard = read(tmp_path / "a.parquet", quality="hard")
    assert hard.time.tolist() == [1.0]
    assert hard.column("n_flagged").tolist() == [1, 1]


def test_a_band_is_kept_alone_as_if_the_file_had_no_other(tmp_path, caplog):
    g, others = "mjd,mag,band\n59000,12,g\n59002,,g\n", "59001,13,r\n59003,14,\n59004,,r\n"
    both, alone = write(tmp_path / "a.csv", g + others), write(tmp_path / "b.csv", g)
    kept, same = read(both, band="g"), read(alone)
    assert (kept.bands, kept.time.tolist()) == (("g",), [59000]) == (same.bands, same.time.tolist())
    assert kept.column("n_read").tolist() == same.column("n_read").tolist() == [2]
    assert read(both, band="g", rename_bands={"g": "G"}).bands == ("G",)
    assert not caplog.text
    assert len(read(both, band="V").time) == 0
    assert "no observation in band V, only in g, r, none: keep one of these, or --band V=g" in caplog.text


def test_a_band_is_named_where_the_file_tells_none(tmp_path):
    assert read(write(tmp_path / "a.csv", "mjd,mag\n59000,12\n"), band="V").bands == ("V",)


def test_text_in_a_number_column(tmp_path):
    path = write(tmp_path / "a.csv", "mjd,mag\n59000,12.1\n59001,faint\n")
    with pytest.raises(Unreadable, match="text in column mag: 'faint' in row 2"):
        read(path)
    path = write(tmp_path / "b.csv", "mjd,flux\n59000,12.1\n59001,<19.5\n")
    with pytest.raises(Unreadable, match=r"text in column flux: '<19\.5' in row 2"):
        read(path)


ASAS_SN = """HJD,UT Date,Camera,FWHM,Limit,mag,mag_err,flux(mJy),flux_err,Filter
2456789.1,2014-05-11.6,be,1.5,16.5,14.210,0.020,7.912,0.146,V
2456790.2,2014-05-12.7,bf,1.6,16.5,>16.5,99.990,0.301,0.140,V
2458389.3,2018-09-28.8,bA,1.4,17.5,14.310,0.030,6.854,0.190,g
"""


def test_asas_sn_in_flux_and_in_magnitudes(tmp_path, caplog):
    path = write(tmp_path / "a.csv", ASAS_SN)
    curves = read(path)
    assert (curves.unit, curves.time_scale, curves.bands) == ("mJy", "HJD", ("V", "g"))
    assert curves.value.tolist() == pytest.approx([7.912, 6.854])  # the magnitude of the second is a limit
    assert curves.error.tolist() == pytest.approx([0.146, 0.190])
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(path, columns={"value": "mag"})
    assert curves.unit == "mag"
    assert curves.value.tolist() == pytest.approx([14.21, 14.31])
    assert curves.error.tolist() == pytest.approx([0.02, 0.03])
    assert caplog.messages == [f"{path}: 1 limits such as >16.5 left out"]
    full = read(path, columns={"value": "mag", "error": "mag_err"}, unit="mag")
    np.testing.assert_array_equal(full.value, curves.value)


@pytest.mark.parametrize("limit", [">16.5", "<16", " > 16.50", '"<16.5"'])
@pytest.mark.parametrize("unit", [None, "mag"])
def test_limits_of_magnitude_are_no_measurements(tmp_path, limit, unit):
    path = write(tmp_path / "a.csv", f"mjd,{'value' if unit else 'mag'}\n59000,12.5\n59001,{limit}\n59002,99.99\n")
    assert read(path, unit=unit).value.tolist() == [12.5]
    frame = pd.read_csv(path, names=["mjd", "mag"], header=0)
    frame.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", unit=unit).value.tolist() == [12.5]


@pytest.mark.parametrize(
    ("name", "first", "scale"), [("JD", 57005, "MJD"), ("MJD", 2457005, "JD"), ("HJD", 7005, "unknown")]
)
def test_times_that_are_not_what_their_column_is_called(tmp_path, caplog, name, first, scale):
    path = write(tmp_path / "a.csv", f"{name},mag\n" + "".join(f"{first + i},12\n" for i in range(3)))
    assert read(path).time_scale == scale
    said = f"column {name} holds times around {first + 1}, which are no {name}: their scale is taken as {scale}."
    assert caplog.messages == [f"{path}: {said} Another: --time-scale"]
    caplog.clear()
    assert read(path, time_scale="HJD").time_scale == "HJD"
    assert not caplog.messages


# ---- stars in a column of another name ----------------------------------------------------------------------------


def one_after_another(star, band="", n=6):
    """Rows of stars, in order of time within each (and within a band), over the same nights."""
    bands = [f",{b}" for b in band] or [""]
    return [f"{star(s)},{59000 + i + s / 7},12{b}" for s in range(4) for b in bands for i in range(n)]


def merged(path, rows, header, caplog, **options):
    """What is said of the text columns that aren't used."""
    caplog.clear()
    read(write(path, header + "\n" + "\n".join(rows) + "\n"), **options)
    return caplog.messages


@pytest.mark.parametrize(("band", "header"), [("", "Stern,mjd,mag"), ("gr", "Stern,mjd,mag,band")])
def test_a_column_that_seems_to_name_the_stars(tmp_path, caplog, band, header):
    path, rows = tmp_path / "a.csv", one_after_another("V{}".format, band)
    together = sorted(
        (row.replace(row.split(",")[1], row.split(",")[1].split(".")[0]) for row in rows), key=lambda r: r[3:]
    )
    backwards = rows[::-1]
    for given in (rows, backwards, together):
        told = merged(path, given, header, caplog)
        assert len(told) == 1
        assert "column Stern isn't used, and its 4 values look like as many light curves" in told[0]
        assert "--column object_id=Stern" in told[0]
        assert not merged(path, given, header, caplog, columns={"object_id": "Stern"})
    pd.read_csv(path).to_parquet(tmp_path / "a.parquet")
    Table.read(path).write(tmp_path / "a.ecsv")
    for form in ("parquet", "ecsv"):
        caplog.clear()
        assert len(read(tmp_path / f"a.{form}")) == 1
        assert len(caplog.messages) == 1


def test_no_alarm_about_a_column_that_names_no_stars(tmp_path, caplog):
    path, header = tmp_path / "a.csv", "Stern,mjd,mag"
    rows = one_after_another("V{}".format)
    in_order = sorted(rows, key=lambda row: row.split(",")[1])
    nights = [f"{night}. Mai,{59000 + night + i / 50},12" for night in (10, 11, 8, 9) for i in range(6)]
    grades = [f"{'AB'[i * i % 3 % 2]},{59000 + i % 30},12,{'gr'[i // 30]}" for i in range(60)]
    assert not merged(path, in_order, header, caplog)
    assert not merged(path, [f"V1,{59000 + i % 10},12" for i in range(20)], header, caplog)
    assert not merged(path, [f"V{i},{59000 + i % 10},12" for i in range(20)], header, caplog)
    assert not merged(path, nights, header, caplog)
    assert not merged(path, nights[::-1], header, caplog)
    assert not merged(path, grades, header + ",band", caplog)
    assert not merged(path, rows, "Camera,mjd,mag", caplog)
    assert merged(path, rows, header, caplog)  # so that none of these is silent for another reason


def test_rows_without_a_brightness_are_no_observations_and_others_stay_as_they_are(tmp_path):
    path = write(tmp_path / "a.csv", "mjd,flux\n59002,inf\n59001,nan\n59003,7\n59001,-5\n59001,1\n")
    curves = read(path)
    assert curves.time.tolist() == [59003, 59001, 59001]
    assert curves.value.tolist() == [7, -5, 1]
    assert (curves.column("n_read").tolist(), curves.column("n_used").tolist()) == ([5], [3])


@pytest.mark.parametrize(
    ("unit", "dummies"), [(None, [False, True, True, True, True, False, False]), ("flux", [False] * 7)]
)
def test_dummy_magnitudes_are_no_observations(tmp_path, caplog, unit, dummies):
    values = ("12", "99.99", "-99", "50", "-50", "49.9", "-49.9")
    rows = "\n".join(f"{59000 + i},{values[i]},-99" for i in range(7))
    path = write(tmp_path / "a.csv", "mjd,mag,magerr\n" + rows)
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(path, unit=unit)
    assert curves.time.tolist() == [59000 + i for i in range(7) if not dummies[i]]
    assert np.isnan(curves.error).all()
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


@pytest.mark.parametrize(
    ("name", "description", "scale"),
    [
        ("time", "Barycentric JD in TCB - 2455197.5", "BJD"),
        ("obs_time", "Heliocentric Julian date - 2455197.5", "HJD"),
        ("HJD", "date of mid-exposure - 2455197.5", "HJD"),
        ("time", "Julian date - 2455197.5", "JD"),
    ],
)
def test_a_description_tells_zero_point_and_scale(tmp_path, name, description, scale):
    table = Table({name: [100.5, 101.5], "mag": [12.1, 12.2]}, units={name: "d"}, descriptions={name: description})
    table.write(tmp_path / "a.vot", format="votable")
    curves = read(tmp_path / "a.vot")
    assert (curves.time.tolist(), curves.time_scale) == ([2455298.0, 2455299.0], scale)
