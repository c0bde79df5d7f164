"""What is a measurement in a table, and what is a limit, a word for nothing, another column or a rounded number."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from goodricke.io import ReadOptions, Unreadable, as_light_curves, read
from goodricke.io.files import SourceFile
from goodricke.io.products import find_reader

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


def write(tmp_path, header, *rows):
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="goodricke")
    return caplog


# ---- dates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["csv", "parquet", "timestamps", "nested", "frame"])
def test_dates_of_the_calendar_become_mjd(tmp_path, container):
    dates = ["2020-01-01T12:00:00", "2020-01-02 00:00:00.000", "2020-01-02T06:00:00Z"]
    frame = pd.DataFrame({"obsdate": dates, "mag": [15.0, 15.1, 15.2]})
    stamps = pd.to_datetime(frame["obsdate"], format="ISO8601", utc=True)
    if container == "frame":
        curves = as_light_curves(frame.assign(obsdate=stamps))
    elif container == "nested":
        rows = [{"obsdate": time, "mag": mag} for time, mag in zip(stamps, frame["mag"], strict=True)]
        curves = as_light_curves(pa.table({"object_id": ["a"], "lightcurve": [rows]}))
    else:
        path = tmp_path / f"a.{container}"
        frame = frame.assign(obsdate=stamps) if container == "timestamps" else frame
        frame.to_csv(path, index=False) if container == "csv" else frame.to_parquet(path)
        curves = read(path)
    assert curves.time.tolist() == [58849.5, 58850.0, 58850.25]
    assert curves.time_scale == "MJD"


def test_dates_count_only_where_no_other_time_is(tmp_path):
    path = write(tmp_path, "UT Date,hjd,mag", "2020-01-01,2458849.503,15", ",2458850.503,15.1")
    assert read(path).time.tolist() == [2458849.503, 2458850.503]
    with pytest.raises(Unreadable, match=r"in row 1\. Fix: turn dates into days"):
        read(write(tmp_path, "date,mag", "2020-01-01,15", "01/31/2020,15.1"))


def test_seconds_without_their_unit_are_no_days(tmp_path):
    path = write(tmp_path, "time,mag", "1577836800,15", "1577923200,15.1")
    with pytest.raises(Unreadable, match=r'1.57788e\+09 in column time, which are no days. Fix: .*"time \[s\]"'):
        read(path)
    assert len(read(path, time_scale="MJD").time) == 2


# ---- marks of limits and of nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [("l_mag", ">", ""), ("detected", "False", "True"), ("isdetection", "0", "1"), ("upperlimit", "T", "F")],
)
def test_columns_that_mark_limits(tmp_path, name, yes, no):
    path = write(tmp_path, f"mjd,{name},mag,err", f"55000,{no},15,.1", f"55001,{yes},19.5,", f"55002,{no},15.2,.1")
    assert read(path).value == pytest.approx([15, 15.2])


def test_a_flux_is_measured_even_where_nothing_is_detected(tmp_path):
    assert read(write(tmp_path, "mjd,flux,detected", "55000,15,1", "55001,-1,0")).value.tolist() == [15, -1]


@pytest.mark.parametrize("dummy", ["1e30", "-1e20", "9.99e37", "-99999"])
def test_fluxes_that_no_star_has(tmp_path, dummy):
    rows = [f"5500{i},{dummy if i in (2, 5) else 15 + i},{dummy if i == 2 else 0.1}" for i in range(9)]
    curves = read(write(tmp_path, "mjd,flux,flux_err", *rows))
    assert curves.value.tolist() == [15, 16, 18, 19, 21, 22, 23]


@pytest.mark.parametrize(
    ("value", "error", "factor"),
    [
        ("flux [nJy]", "flux_err [uJy]", 1000),
        ("flux [nanomaggy]", "flux_err [nJy]", 1),
        ("flux [relative]", "flux_err [ppm]", 1e-6),
        ("flux [mJy]", "flux_err", 1),
        ("mag", "mag_err [mmag]", 1e-3),
        ("mag [mmag]", "mag_err", 1e-3),
        ("flux [mJy]", "flux_err [mag]", None),
    ],
)
def test_an_error_in_a_unit_of_its_own(tmp_path, said, value, error, factor):
    path = write(tmp_path, f"mjd,{value},{error}", "55000,15,2")
    errors = read(path).error
    if factor is None:
        assert np.isnan(errors).all()
        assert f"{path}: column {error} is in mag, which is no error in mJy: not used" in said.messages
    else:
        assert errors == pytest.approx([2 * factor])


# ---- choice of column ---------------------------------------------------------------------------------------------


def test_times_with_gaps_never_beat_full_ones(tmp_path, said):
    path = write(tmp_path, "hjd,jd,mag", ",2457000.5,12", "2457001.503,2457001.5,13", ",2457002.5,14")
    curves = read(path)
    assert (curves.time.tolist(), curves.time_scale) == ([2457000.5, 2457001.5, 2457002.5], "JD")
    assert said.messages == [f"{path}: 2 of 3 rows have no hjd: jd is used"]
    assert read(path, columns={"time": "hjd"}).time.tolist() == [2457001.503]


def test_of_full_times_the_first_alias_is_used_and_said(tmp_path, said):
    path = write(tmp_path, "mjd,hjd,mag", "57000,2457000.5,12", "57001,2457001.5,13")
    assert read(path).time_scale == "HJD"
    assert said.messages == [f"{path}: column hjd is used for the times, not mjd"]


def test_a_brightness_with_gaps_never_beats_a_full_one(tmp_path, said):
    path = write(tmp_path, "mjd,flux,mag,mag_err", "59000,,12,.1", "59001,5,13,.1", "59002,,14,.1")
    curves = read(path)
    assert (curves.value.tolist(), curves.unit) == ([12, 13, 14], "mag")
    assert curves.error == pytest.approx([0.1] * 3)
    assert said.messages == [f"{path}: 2 of 3 rows have no flux: mag is used"]


@pytest.mark.parametrize(
    ("value", "error", "kind", "band"),
    [
        ("Vmag", "e_Vmag", "mag", "V"),
        ("VMAG", "VMAG_ERR", "mag", "V"),
        ("mag_g", "e_mag_g", "mag", "g"),
        ("Hpmag", "e_Hpmag", "mag", "Hp"),
        ("Rcmag", "Rcmag_err", "mag", "Rc"),
        ("V Mag (Johnson)", "err", "mag", "V"),
        ("GMAG", "e_GMAG", "mag", "none"),
        ("vmag", "e_vmag", "mag", "none"),
        ("psfMag", "psfMagErr", "mag", "none"),
        ("aperMag3", "aperMag3Err", "mag", "none"),
        ("FLUX_PSF", "FLUX_ERR_PSF", "flux", "none"),
        ("rel_flux_T1", "rel_flux_err_T1", "flux", "none"),
        ("V-C", "s1", "mag", "none"),
        ("V", "e_V", "mag", "V"),
        ("norm_flux", "norm_flux_err", "relative", "none"),
    ],
)
def test_names_of_a_brightness_tell_error_kind_and_band(tmp_path, value, error, kind, band):
    curves = read(write(tmp_path, f"jd,{value},{error}", "2457000.5,12,0.1", "2457001.5,13,0.2"))
    assert (curves.value.tolist(), curves.unit, curves.bands) == ([12, 13], kind, (band,))
    assert curves.error == pytest.approx([0.1, 0.2])


def test_a_column_of_bands_beats_the_band_in_a_name(tmp_path):
    path = write(tmp_path, "jd,Vmag,filter", "2457000.5,12,B")
    assert read(path).bands == ("B",)
    assert read(write(tmp_path, "jd,Vmag", "2457000.5,12"), band="TG").bands == ("TG",)


def test_the_only_name_that_speaks_of_a_brightness_is_taken_and_said(tmp_path, said):
    path = write(tmp_path, "jd,Corrected Flux,flux_limit,image,sky_mag", "2457000.5,12,1,2,20")
    assert read(path).value.tolist() == [12]
    assert said.messages == [
        f"{path}: column Corrected Flux is taken for the brightness, by its name. Another: --column value=NAME"
    ]
    path = write(tmp_path, "jd,flux_1,flux_2", "2457000.5,12,13")
    with pytest.raises(Unreadable, match=r"several columns that may be the brightness: flux_1, flux_2\. Fix: choose"):
        read(path)


def test_the_only_name_that_speaks_of_a_julian_date_is_taken_and_said(tmp_path, said):
    path = write(tmp_path, "JD_hel,jd_max,mag", "2457000.5,2457009.5,12")
    assert (read(path).time.tolist(), read(path).time_scale) == ([2457000.5], "JD")
    assert f"{path}: column JD_hel is taken for the times, by its name. Another: --column time=NAME" in said.messages
    with pytest.raises(Unreadable, match="no time column"):
        read(write(tmp_path, "mjd_a,mjd_b,mag", "57000,57001,12"))


def test_surveys_write_bands_in_their_own_way(tmp_path):
    path = write(
        tmp_path, "sourceID,mjd,filterID,aperMag3", "1,57000.5,5,13", "1,57001.5,1,-9.999995e8", "1,57002.5,3,13"
    )
    assert (read(path).bands, read(path).value.tolist()) == (("Ks", "Z", "J"), [13, 13])
    path = write(tmp_path, "diaObjectId,midPointTai,filterName,psFlux", "1,60000.5,Y,13", "1,60001.5,g,13")
    assert read(path).bands == ("y", "g")
    assert read(write(tmp_path, "mjd,band,mag", "60000.5,Y,13", "60001.5,g,13")).bands == ("Y", "g")


def test_an_empty_brightness_leaves_the_other_of_equal_standing(tmp_path):
    assert read(write(tmp_path, "hjd,Vmag,Imag", "2457000,,12", "2457001,,13")).value.tolist() == [12, 13]


@pytest.mark.parametrize("value", ["psFlux", "apFlux"])
def test_the_error_belongs_to_the_brightness(tmp_path, value):
    names = [value, "psFlux", "psFluxErr", "apFlux", "apFluxErr"]
    path = write(tmp_path, "diaObjectId,midPointTai," + ",".join(names[1:]), "1,60000,500,20,850,90")
    curves = read(path, flux=value)
    assert (curves.value[0], curves.error[0]) == {"psFlux": (500, 20), "apFlux": (850, 90)}[value]
    alone = write(tmp_path, "diaObjectId,midPointTai,psFlux,apFlux,apFluxErr", "1,60000,500,850,90")
    assert read(alone, flux="psFlux").error is None or np.isnan(read(alone, flux="psFlux").error).all()


def test_the_error_of_another_flux_is_not_taken(tmp_path):
    path = write(tmp_path, "btjd,flux,flux_err,corr_flux", "1,5,1,6", "2,5,1,6")
    curves = read(path, flux="corr_flux")
    assert curves.error is None or np.isnan(curves.error).all()


@pytest.mark.parametrize("time", ["midPointTai", "midpointMjdTai", "expMidptMJD"])
@pytest.mark.parametrize("flux", ["psFlux", "psfFlux"])
def test_names_of_rubin(tmp_path, time, flux):
    path = write(tmp_path, f"diaObjectId,{time},{flux},{flux}Err,apFlux,band", "1,60000.1,500,20,850,g")
    curves = read(path)
    assert (curves.unit, curves.time_scale, curves.bands, curves.ids) == ("nJy", "MJD", ("g",), ["1"])
    assert curves.value.tolist() == [500]


def test_the_flag_of_the_brightness_leaves_rows_out(tmp_path):
    path = write(
        tmp_path, "objectId,expMidptMJD,psfFlux,psfFlux_flag,psfDiffFlux", "1,60000,5,True,1", "1,60001,6,False,2"
    )
    curves = read(path)
    assert (curves.value.tolist(), curves.column("n_flagged").tolist()) == ([6], [1])
    assert read(path, quality="none").value.tolist() == [5, 6]


# ---- missing values and limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["INDEF", "null", "--", "", "NaN", "n/a", "None", "..."])
def test_words_for_no_number(tmp_path, word):
    rows = [f"2457000.5,12.5,{word}", f"2457001.5,{word},0.1", "2457002.5,12.6,0.1"]
    curves = read(write(tmp_path, "hjd,mag,mag_err", *rows))
    assert curves.time.tolist() == [2457000.5, 2457002.5]
    assert np.isnan(curves.error).tolist() == [True, False]
    text = pd.DataFrame({"mjd": [59000.0, 59001.0], "mag": ["12.5", word]})
    text.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").value.tolist() == [12.5]


@pytest.mark.parametrize("sentinel", ["9.999", "29.999", "99", "99.9", "99.99", "999", "-99", "-999", "-999.0"])
def test_numbers_for_no_measurement(tmp_path, said, sentinel):
    rows = [f"{59000 + i},{sentinel if i % 5 == 0 else 15 + i / 20},0.05" for i in range(20)]
    curves = read(write(tmp_path, "mjd,mag,mag_err", *rows))
    assert curves.time.tolist() == [59000 + i for i in range(20) if i % 5]
    assert any(": 4 " in message for message in said.messages)
    assert curves.column("n_used").tolist() == [16]


@pytest.mark.parametrize("sentinel", ["9.999", "99", "99.9", "99.99", "999"])
def test_an_impossible_error_marks_a_limit(tmp_path, said, sentinel):
    rows = [f"{59000 + i},{15 + i / 20},{sentinel if i % 5 == 0 else 0.05}" for i in range(20)]
    curves = read(write(tmp_path, "mjd,mag,mag_err", *rows))
    assert curves.time.tolist() == [59000 + i for i in range(20) if i % 5]
    assert said.messages == [
        f"{tmp_path}/a.csv: 4 limits of magnitude (their error is impossible, such as 99.99) left out"
    ]


def test_errors_that_say_nothing_leave_the_magnitudes(tmp_path):
    curves = read(write(tmp_path, "mjd,mag,mag_err", *(f"{59000 + i},{15 + i / 20},99.99" for i in range(9))))
    assert curves.n_obs.tolist() == [9]
    assert np.isnan(curves.error).all()


def test_real_magnitudes_that_look_like_none(tmp_path):
    bright = [f"A,{59000 + i},{9.9 + i * 0.033:.3f},0.01" for i in range(10)]  # 9.999 among them
    faint = [f"B,{59000 + i},{15 + i / 20},0.01" for i in range(10)]
    zero = [f"C,{59000 + i},{(i - 5) / 10},0.01" for i in range(10)]
    curves = read(write(tmp_path, "star,mjd,mag,mag_err", *bright, *faint, *zero, "A,59011,9.999,0.01"))
    assert curves.n_obs.tolist() == [11, 10, 10]


def test_a_number_is_judged_within_its_star(tmp_path):
    bright = [f"A,{59000 + i},{9.9 + i * 0.033:.3f},0.01" for i in range(10)]
    faint = [f"B,{59000 + i},{9.999 if i % 3 else 15.2},0.01" for i in range(9)]
    curves = read(write(tmp_path, "star,mjd,mag,mag_err", *bright, *faint))
    assert curves.column("n_used").tolist() == [10, 3]


def test_fluxes_that_are_none(tmp_path):
    rows = [f"{59000 + i},{-999 if i % 5 == 0 else 100 + i},{-999 if i % 5 == 0 else 2}" for i in range(20)]
    curves = read(write(tmp_path, "mjd,flux,flux_err", *rows))
    assert curves.column("n_used").tolist() == [16]
    real = [f"{59000 + i},{-999 + i * 100},50" for i in range(20)]
    assert read(write(tmp_path, "mjd,flux,flux_err", *real)).column("n_used").tolist() == [20]


@pytest.mark.parametrize("yes", ["T", "True", "1", "y"])
def test_a_column_of_limits(tmp_path, yes):
    no = {"T": "F", "True": "False", "1": "0", "y": "n"}[yes]
    path = write(tmp_path, "event,time,magnitude,e_magnitude,upperlimit", f"A,58000,17,.1,{no}", f"A,58001,20.5,,{yes}")
    curves = read(path)
    assert curves.value.tolist() == [17]
    assert (curves.ids, curves.column("n_used").tolist()) == (["A"], [1])


def test_a_depth_is_no_mark_of_limits(tmp_path):
    assert read(write(tmp_path, "hjd,mag,limit", "2457000,12,17", "2457001,13,16.5")).value.tolist() == [12, 13]


@pytest.mark.parametrize(
    ("name", "letters", "kept"),
    [
        ("quality", "GBG", [True, False, True]),
        ("grade", "ADB", [True, False, True]),
        ("grade", "BBD", [True, True, False]),
        ("Validation Flag", "ZTV", [True, False, True]),
    ],
)
def test_qualities_in_letters(tmp_path, name, letters, kept):
    path = write(tmp_path, f"hjd,mag,{name}", *(f"{2457000 + i},{12 + i},{letter}" for i, letter in enumerate(letters)))
    assert read(path).value.tolist() == [12 + i for i in range(3) if kept[i]]
    assert read(path, quality="none").value.tolist() == [12, 13, 14]
    assert read(path).column("n_flagged").tolist() == [kept.count(False)]


def test_qualities_of_no_known_meaning_are_said(tmp_path, said):
    path = write(tmp_path, "hjd,mag,quality", "2457000,12,xq", "2457001,13,yq")
    assert len(read(path).value) == 2
    assert "(xq, yq) have no known meaning" in said.text


# ---- units --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zp", "zeropoint", "zero_point", "ZP"])
def test_fluxes_with_a_zero_point_per_row(tmp_path, name):
    path = write(tmp_path, f"mjd,band,flux,fluxerr,{name},zpsys", "59000,g,100,5,25,ab", "59001,g,1000,50,27.5,AB")
    curves = read(path)
    assert curves.unit == "nJy"
    assert curves.value == pytest.approx([36310, 36310])
    assert curves.error == pytest.approx([1815.5, 1815.5])
    assert read(path, unit="flux").value.tolist() == [100, 1000]


def test_zero_points_of_vega_come_to_one(tmp_path, said):
    path = write(tmp_path, "mjd,band,flux,fluxerr,zp,zpsys", "59000,g,100,5,25,vega", "59001,g,1000,50,27.5,vega")
    curves = read(path)
    assert curves.unit == "flux"
    assert curves.value == pytest.approx([1000, 1000])
    assert "of the system vega" in said.text


@pytest.mark.parametrize("unit", ["AB", "ABmag", "mag(AB)", "Vega", "VEGAMAG", "ST", "mag"])
def test_magnitudes_of_every_system(tmp_path, unit):
    table = pa.table({"mjd": [59000.0, 59001.0], "value": [12.0, 99.99]})
    schema = pa.schema([table.schema.field(0), table.schema.field(1).with_metadata({"unit": unit})])
    pq.write_table(table.cast(schema), tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.in_magnitudes
    assert curves.value.tolist() == [12]


@pytest.mark.parametrize(("name", "unit"), [("flux", "banana"), ("mag", "nJy"), ("flux", "dex"), ("flux", "km")])
def test_units_of_no_brightness_are_refused(tmp_path, name, unit):
    table = pa.table({"mjd": [59000.0, 59001.0], name: [12.0, 13.0]})
    schema = pa.schema([table.schema.field(0), table.schema.field(1).with_metadata({"unit": unit})])
    pq.write_table(table.cast(schema), tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match=rf"unknown unit '{unit}' \(column {name}\). Fix: say which unit"):
        read(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", unit="mag").value.tolist() == [12, 13]


@pytest.mark.parametrize("column", ["fluxunit", "flux_unit", "Flux Units"])
def test_a_unit_in_a_column_of_its_own(tmp_path, column):
    """The Transient Name Server writes magnitudes in a column flux, and ABMag in another."""
    curves = read(write(tmp_path, f"jd,flux,fluxerr,{column}", "2459000.5,18.1,0.1,ABMag", "2459001.5,99.99,99.99,"))
    assert (curves.unit, curves.value.tolist()) == ("mag", [pytest.approx(18.1)])
    with pytest.raises(Unreadable, match=r"several units in column flux \(ABMag, mJy in column"):
        read(write(tmp_path, f"jd,flux,fluxerr,{column}", "2459000.5,18.1,0.1,ABMag", "2459001.5,1,0.1,mJy"))
    with pytest.raises(Unreadable, match="unknown unit 'banana'"):
        read(write(tmp_path, f"jd,flux,{column}", "2459000.5,18.1,banana"))


def test_fluxcal_is_what_snana_means(tmp_path):
    assert read(write(tmp_path, "MJD,FLUXCAL,FLUXCALERR", "59000,10,1")).unit == "36.3078 nJy"


@pytest.mark.parametrize(
    ("name", "written", "scale", "first"),
    [
        ("HJD-2450000", 7000.5, "HJD", 2457000.5),
        ("HJD (2450000+)", 7000.5, "HJD", 2457000.5),
        ("BJD - 2454833", 170.5, "BKJD", 170.5),
        ("time (BJD - 2457000)", 1700.5, "BTJD", 1700.5),
        ("BJD_TDB", 2457000.5, "BJD", 2457000.5),
        ("MJD-50000", 7000.5, "MJD", 57000.5),
        ("RJD", 57000.5, "JD", 2457000.5),
        ("time_s", 57000.5 * 86400, "MJD", 57000.5),
    ],
)
def test_zero_points_and_units_in_names_of_times(tmp_path, name, written, scale, first):
    curves = read(write(tmp_path, f"{name},mag", f"{written},12", f"{written},12"))
    assert (curves.time_scale, curves.time[0]) == (scale, pytest.approx(first, abs=1e-6))


@pytest.mark.parametrize(("unit", "scale"), [("btjd", "BTJD"), ("bkjd", "BKJD"), ("BJD - 2457000, days", "BTJD")])
def test_scales_in_units_of_times(tmp_path, unit, scale):
    columns = [fits.Column("TIME", "D", unit=unit, array=[1700.0, 1701]), fits.Column("FLUX", "E", array=[1, 2.0])]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    assert read(tmp_path / "a.fits").time_scale == scale


def test_zero_point_of_times_in_the_header(tmp_path):
    columns = [fits.Column("TIME", "D", unit="s", array=[0, 86400.0]), fits.Column("FLUX", "E", array=[1, 2.0])]
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update({"MJDREFI": 51910, "MJDREFF": 0.25, "TIMEZERO": 86400.0, "TIMEUNIT": "s"})
    table.writeto(tmp_path / "a.fits")
    curves = read(tmp_path / "a.fits")
    assert (curves.time.tolist(), curves.time_scale) == ([51911.25, 51912.25], "MJD")


def test_dates_in_32_bits_are_said(tmp_path, said):
    Table({"jd": np.array([2457000.5, 2457001.5], "f4"), "mag": [12.0, 13]}).write(tmp_path / "a.fits")
    read(tmp_path / "a.fits")
    assert "32-bit numbers, rounded to 0.25 d" in said.text


@pytest.mark.parametrize("options", [{}, {"columns": {"time": "phase"}}])
def test_phases_are_no_days(tmp_path, options):
    path = write(tmp_path, "phase,mag", "0.1,12", "0.2,13")
    with pytest.raises(Unreadable, match="phases in column phase, which are no days"):
        read(path, **options)


# ---- identifiers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["int64", "uint64", "str"])
def test_long_identifiers_are_exact(tmp_path, kind):
    ids = np.array([9007199254740993, 9007199254740992]).astype(kind)
    pd.DataFrame({"diaObjectId": ids, "mjd": [1.0, 2], "mag": [12.0, 13]}).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").ids == ["9007199254740993", "9007199254740992"]


def test_rounded_identifiers_are_refused(tmp_path):
    ids = np.array([9007199254740993.0, 9007199254740994.0])
    pd.DataFrame({"diaObjectId": ids, "mjd": [1.0, 2], "mag": [12.0, 13]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match="rounded identifiers in column diaObjectId"):
        read(tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match=r"such as 9.00720e\+15"):
        read(write(tmp_path, "diaObjectId,mjd,mag", "9.00720e+15,1,12", "9.00720e+15,2,13"))


def test_whole_numbers_that_were_written_as_floats(tmp_path):
    assert read(write(tmp_path, "objectId,mjd,mag", "11.0,1,12", "12.0,2,13")).ids == ["11", "12"]


@pytest.mark.parametrize("name", ["MasterID", "asas_sn_id", "COADD_OBJECT_ID", "diaObjectId", "event"])
def test_names_of_identifiers(tmp_path, name):
    assert read(write(tmp_path, f"{name},mjd,mag", "1,59000,12", "2,59000,13")).ids == ["1", "2"]


def test_of_two_identifiers_the_one_that_rows_share(tmp_path, said):
    path = write(tmp_path, "id,star,mjd,mag", *(f"{i},V{i % 2},{59000 + i},12" for i in range(6)))
    assert read(path).ids == ["V0", "V1"]
    assert "column id numbers the rows: star names the objects" in said.text


def test_numbers_that_seem_to_name_the_stars(tmp_path, said):
    rows = [f"{s + 17},{59000 + i + s / 7},12" for s in range(4) for i in range(6)]
    read(write(tmp_path, "Nummer,mjd,mag", *rows))
    assert "column Nummer isn't used, and its 4 values look like as many light curves" in said.text


def test_places_that_seem_to_be_several_stars(tmp_path, said):
    read(write(tmp_path, "mjd,mag,ra,dec", *(f"{59000 + i},12,{10 + i % 3},5" for i in range(9))))
    assert "the rows are at 3 places of the sky" in said.text


# ---- files as people have them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "used", "unit"),
    [
        *(("aavso.csv", [3], "mag"), ("aavsodata.csv", [108], "mag"), ("partial_bjd.csv", [200], "mag")),
        *(("pyasassn.csv", [2, 1], "mJy"), ("pyasassn_two.csv", [130, 130], "mJy"), ("crts.csv", [2, 2], "mag")),
        *(("zp.csv", [2], "nJy"), ("sncosmo_mixed_zp.csv", [60], "nJy"), ("osc.csv", [1], "mag")),
        *(("dp0.csv", [1], "nJy"), ("dp02_diasource.parquet", [30, 30], "nJy"), ("indef.txt", [2], "mag")),
        *(("dp1_forcedsource_visit.parquet", [24, 24], "nJy"), ("elasticc_diasource.csv", [30, 30], "nJy")),
    ],
)
def test_files_as_people_have_them(name, used, unit):
    if not CASES.is_dir():
        pytest.skip(f"no files at {CASES}")
    curves = read(CASES / name)
    assert (curves.n_obs.tolist(), curves.column("n_used").tolist(), curves.unit) == (used, used, unit)


def test_asas_sn_in_magnitudes_leaves_limits_and_bad_images_out():
    if not CASES.is_dir():
        pytest.skip(f"no files at {CASES}")
    curves = read(CASES / "pyasassn.csv", flux="mag")
    assert curves.value == pytest.approx([13.9, 13.6, 16.4])
    assert [curves.bands[b] for b in curves.band] == ["V", "g", "V"]


# ---- rows that are left out ---------------------------------------------------------------------------------------


def test_each_row_has_one_reason(tmp_path):
    rows = ["59000,15,0.1,G", "59001,>16.5,,G", "59002,99.99,0.1,G", "59003,99.99,0.1,B", "59004,,0.1,G", ",15,0.1,G"]
    file = SourceFile(write(tmp_path, "mjd,mag,mag_err,quality", *rows, "0,0,0,G"))
    curves = find_reader(file).read(file, ReadOptions())
    assert (curves.n_obs.tolist(), curves.column("n_read").tolist()) == ([1], [7])
    assert file.left_out == {
        "padding rows": 1,
        "without a time": 1,
        "rows of quality B (column quality)": 1,
        "limits such as >16.5": 1,
        "dummy magnitudes (50 or more either way)": 1,
        "missing brightnesses": 1,
    }


def test_where_unit_and_time_scale_were_found(tmp_path):
    def origins(header, row):
        file = SourceFile(write(tmp_path, header, row))
        find_reader(file).read(file, ReadOptions())
        return file.origins

    assert origins("mjd,flux [mJy]", "59000,1")["unit"] == "name of flux [mJy]"
    assert origins("time [s],mag", "59000,1")["time unit"] == "name of time [s]"
    assert origins("diaObjectId,midpointMjdTai,psfFlux", "1,60000,5")["unit"] == "the survey, known by its columns"
    assert origins("hjd,mag", "2457000,5")["time scale"] == "name of hjd and the numbers"


@pytest.mark.parametrize(
    ("magnitude", "error"), [(">16.5", "99.99"), (">16.5", ""), ("16.9", "99.99"), ("99.99", "99.99")]
)
@pytest.mark.parametrize("names", ["asas_sn_id,jd,flux,flux_err,mag,mag_err", "hjd,camera,mag,mag_err,flux,flux_err"])
def test_a_flux_of_asas_sn_whose_magnitude_is_a_limit(tmp_path, names, magnitude, error):
    one = {"asas_sn_id": "1", "camera": "be", "flux": "5", "flux_err": "1", "mag": "14.5", "mag_err": "0.1"}
    limit = one | {"mag": magnitude, "mag_err": error, "flux": "0.3"}
    days = [{"jd": day, "hjd": day} for day in ("2458000.5", "2458001.5")]
    rows = [
        ",".join((day | row)[name] for name in names.split(",")) for day, row in zip(days, (one, limit), strict=True)
    ]
    curves = read(write(tmp_path, names, *rows))
    assert (curves.value.tolist(), curves.unit) == ([5], "mJy")


@pytest.mark.parametrize("first", [5266.5, 2455266.5])
def test_files_of_ogle_are_magnitudes(tmp_path, first):
    path = tmp_path / "OGLE-LMC-CEP-0001.dat"
    path.write_text("".join(f"{first + i} 15.{i}22 0.010\n" for i in range(3)))
    curves = read(path)
    assert (curves.unit, curves.time_scale, curves.time[0]) == ("mag", "HJD", 2455266.5)


@pytest.mark.parametrize(("name", "unit"), [("flux [ppm]", "ppm"), ("flux (counts)", "counts"), ("flux (raw)", "flux")])
def test_units_of_no_physics_in_names(tmp_path, name, unit):
    assert read(write(tmp_path, f"mjd,{name}", "59000,1")).unit == unit


def test_an_unknown_unit_in_square_brackets_is_refused(tmp_path):
    with pytest.raises(Unreadable, match="unknown unit 'banana'"):
        read(write(tmp_path, "mjd,flux [banana]", "59000,1"))


def test_the_zero_point_of_dates_in_a_description(tmp_path):
    table = Table({"HJD": [7000.5, 7001.5], "mag": [12.0, 13.0]})
    table["HJD"].description, table["HJD"].unit = "Heliocentric Julian Date - 2450000", "d"
    table.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    curves = read(tmp_path / "a.ecsv")
    assert (curves.time.tolist(), curves.time_scale) == ([2457000.5, 2457001.5], "HJD")


@pytest.mark.parametrize(
    ("names", "day"),
    [
        ("oid,mjd,fid,magpsf,sigmapsf,isdiffpos", 59000.5),
        ("i:objectId,i:jd,i:fid,i:magpsf,i:sigmapsf,i:isdiffpos", 2459000.5),
    ],
)
def test_negative_differences_of_any_broker_are_no_magnitudes(tmp_path, names, day):
    path = write(tmp_path, names, f"ZTF1,{day},1,18.1,0.1,1", f"ZTF1,{day + 1},2,18.2,0.1,-1")
    assert read(path).value.tolist() == pytest.approx([18.1])
    difference = read(path, flux="difference")
    assert (np.sign(difference.value).tolist(), difference.unit) == ([1, -1], "nJy")


def test_a_flux_of_nothing_with_an_error_of_nothing_is_none(tmp_path):
    """Rows of 0, 0 fill a table up; a flux of 0 with an error is one, and so are simulations without errors."""
    for rows, expected in (
        ("1,5\n0,0\n2,5\n", [1, 2]),
        ("1,5\n0,5\n2,5\n", [1, 0, 2]),
        ("1,0\n0,0\n2,0\n", [1, 0, 2]),
    ):
        lines = [f"{57000.5 + i},{row}" for i, row in enumerate(rows.split())]
        (tmp_path / "a.csv").write_text("\n".join(["mjd,flux,fluxerr", *lines]))
        assert read(tmp_path / "a.csv").value.tolist() == expected
