import logging
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import brightness_unit, unit_in_name
from goodricke.io import ReadOptions, Unreadable, read, read_batches
from goodricke.io.measurements import days_per_unit

DAYS = np.array([59000.0, 59000.25, 59003.0])
TAKEN_AS_FLUX = "has no known unit and is taken as flux; if it is in magnitudes, say --unit mag"


def write(tmp_path, form, table):
    path = tmp_path / f"a.{form}"
    table.write(path, format={"ecsv": "ascii.ecsv", "vot": "votable", "fits": "fits"}[form], overwrite=True)
    return path


def test_times_of_every_unit_come_out_in_days(tmp_path):
    for unit in ["s", "min", "h", "d", "yr"]:
        for form in ["ecsv", "vot", "fits"]:
            time = (DAYS * u.d).to(unit)
            curves = read(write(tmp_path, form, Table({"time": time, "flux": [1.0, 2.0, 3.0]})))
            assert curves.time == pytest.approx(DAYS, abs=1e-7)
            assert curves.time_scale == "MJD"


def test_thousandths_of_magnitudes_come_out_in_magnitudes(tmp_path):
    for form in ["ecsv", "vot", "fits"]:
        table = Table(
            {"mjd": DAYS, "mag": [12000.0, 12500.0, 13000.0] * u.mmag, "mag_err": [10.0, 20.0, 30.0] * u.mmag}
        )
        curves = read(write(tmp_path, form, table))
        assert curves.unit == "mag"
        assert curves.value == pytest.approx([12, 12.5, 13])
        assert curves.error == pytest.approx([0.01, 0.02, 0.03])


def test_an_uncertainty_may_have_a_unit_of_its_own(tmp_path):
    table = Table({"mjd": DAYS, "mag": [12.0, 12.5, 13.0] * u.mag, "mag_err": [10.0, 20.0, 30.0] * u.mmag})
    assert read(write(tmp_path, "ecsv", table)).error == pytest.approx([0.01, 0.02, 0.03])


def test_unknown_unit_of_time(tmp_path):
    path = tmp_path / "a.fits"
    columns = [fits.Column("TIME", "D", unit="furlong", array=DAYS), fits.Column("FLUX", "E", array=np.ones(3))]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    with pytest.raises(Unreadable, match="--time-scale") as caught:
        read(path)
    assert caught.value.path == str(path)
    assert "unknown unit 'furlong' (column TIME)" in caught.value.reason
    assert read(path, time_scale="MJD").time.tolist() == DAYS.tolist()


def test_ways_to_write_a_unit_of_time():
    for stated, days in [
        *((text, 1) for text in (None, "", "d", "days", "Day", "JD", "MJD", "BTJD", "JD-2450000", "BJD_TDB")),
        *((text, 1) for text in ("BJD - 2457000, days", "Julian Date", "JD2450000")),
        *((text, 1 / 86400) for text in ("s", "sec", "seconds", "S")),
        *((text, 1 / 24) for text in ("h", "hr", "hours")),
        *((text, 1 / 1440) for text in ("min", "minutes")),
        *((text, 365.25) for text in ("yr", "years", "a")),
    ]:
        assert days_per_unit(stated, "time", ReadOptions(), "x") == pytest.approx(days)


def test_no_units_of_time():
    for stated in ["m", "nJy", "sectors", "dex", "0.1"]:
        with pytest.raises(Unreadable):
            days_per_unit(stated, "time", ReadOptions(), "x")


def test_brightness_unit():
    for kind, stated, expected in [
        ("mag", None, ("mag", 1)),
        ("mag", "nonsense", ("mag", 1)),
        ("", "mag", ("mag", 1)),
        ("", "mmag", ("mag", 1e-3)),
        ("flux", "mmag", ("mag", 1e-3)),
        ("flux", "e-/s", ("electron / s", 1)),
        ("flux", "dB", ("dB", 1)),
        ("", None, ("unknown", 1)),
    ]:
        assert brightness_unit(kind, stated) == expected


def test_units_in_names():
    for name, unit in [
        *(
            ("flux(mJy)", "mJy"),
            ("flux [mJy] ", "mJy"),
            ("mag(mag)", "mag"),
            ("time [s]", "s"),
            ("time (hours)", "hours"),
        ),
        *(("Flux (e-/s)", "e-/s"), ("flux (electron / s)", "electron / s"), ("flux [erg/(s cm2)]", "erg/(s cm2)")),
        *(("flux(erg/(s cm2))", "erg/(s cm2)"), ("m (mag(AB))", "mag(AB)"), ("flux (PSF) [nJy]", "nJy")),
        *((name, None) for name in ("flux", "flux()", "BJD-2457000", "time (BJD - 2457000)", "time (TT)", "HJD (UTC)")),
        *(
            (name, None)
            for name in ("mag (V)", "flux (g)", "mag (AB)", "flux (2)", "flux (H)", "flux_a (a)", "(mJy) flux")
        ),
    ]:
        assert unit_in_name(name) == unit


def test_text_with_units_in_the_names(tmp_path):
    rows = [(t * 86400, f) for t, f in zip(DAYS, (1.5, 2.5, 3.5), strict=True)]
    heads = {
        ",": "time [s],flux(mJy),flux_err",
        " ": "time [s] flux (mJy) flux_err",
        "  ": "# time [s] flux [mJy] flux_err",
    }
    for separator, head in heads.items():
        path = tmp_path / "a.txt"
        path.write_text("\n".join([head, *(separator.join(map(str, (*row, 0.1))) for row in rows)]))
        curves = read(path)
        assert curves.time == pytest.approx(DAYS)
        assert (curves.unit, curves.time_scale) == ("mJy", "MJD")
        assert curves.value.tolist() == [1.5, 2.5, 3.5]
        assert curves.error == pytest.approx([0.1] * 3)


def test_thousandths_of_magnitudes_in_the_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mjd [d],mag [mmag],mag_err [mmag]\n59000,12500,10\n59001,13000,20\n")
    curves = read(path)
    assert curves.unit == "mag"
    assert curves.value == pytest.approx([12.5, 13])
    assert curves.error == pytest.approx([0.01, 0.02])


def test_units_in_the_names_of_parquet_unless_the_file_states_others(tmp_path):
    table = pa.table({"mjd": DAYS, "flux(mJy)": [1.0, 2.0, 3.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").unit == "mJy"
    stated = table.schema.field(1).with_metadata({"unit": "nJy"})
    pq.write_table(table.cast(pa.schema([table.schema.field(0), stated])), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").unit == "nJy"


def test_a_unit_that_is_said_is_taken_with_the_numbers_as_they_are(tmp_path):
    table = Table({"mjd": DAYS, "mag": [12.0, 12.5, 13.0] * u.mmag, "mag_err": [0.1, 0.2, 0.3] * u.mmag})
    curves = read(write(tmp_path, "ecsv", table), unit="mag")
    assert curves.value == pytest.approx([12, 12.5, 13])
    assert curves.error == pytest.approx([0.1, 0.2, 0.3])


def test_nested_file_in_thousandths_of_magnitudes(tmp_path):
    written = LightCurves.from_arrays(["a"], [0, 3], DAYS, [12000, 12500, 13000], [10, 20, 30], unit="mmag")
    written.write_parquet(tmp_path / "a.parquet")
    curves = read(tmp_path / "a.parquet")
    assert curves.unit == "mag"
    assert curves.value == pytest.approx([12, 12.5, 13])
    assert curves.error == pytest.approx([0.01, 0.02, 0.03])


# ---- brightness without a name ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["59000 12.5\n59001 12.6\n", "mjd,value\n59000,12.5\n59001,12.6\n"])
def test_brightness_without_a_name_is_told_once(tmp_path, caplog, text):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with caplog.at_level(logging.WARNING, logger="goodricke"):
        assert read(path).unit == "unknown"
    assert caplog.messages == [f"{path}: the brightness {TAKEN_AS_FLUX}"]
    caplog.clear()
    assert read(path, unit="mag").in_magnitudes
    assert not caplog.messages


def test_nested_brightness_without_a_name_is_told_once_a_file(tmp_path, caplog):
    rows = [[{"mjd": 59000.0, "value": 15.0}]] * 10
    pq.write_table(pa.table({"id": list(range(10)), "lc": rows}), tmp_path / "a.parquet")
    batches = list(read_batches(tmp_path, max_points=3))
    assert len(batches) > 1
    assert caplog.messages == [f"{tmp_path / 'a.parquet'}: the brightness {TAKEN_AS_FLUX}"]


# ---- from_timeseries ----------------------------------------------------------------------------------------------


def test_series_in_thousandths_of_magnitudes_and_hours():
    series = SimpleNamespace(
        time=DAYS * 24 * u.h, mag=[12000.0, 12500, 13000] * u.mmag, mag_err=[0.1, 0.2, 0.3] * u.mag
    )
    curves = LightCurves.from_timeseries(series, value="mag", error="mag_err")
    assert curves.time == pytest.approx(DAYS)
    assert (curves.unit, curves.time_scale) == ("mag", "unknown")
    assert curves.value == pytest.approx([12, 12.5, 13])
    assert curves.error == pytest.approx([0.1, 0.2, 0.3])


def test_series_from_masked_columns_of_a_table():
    table = Table({"time": DAYS * 1440 * u.min})
    table["flux"] = MaskedColumn([1.0, 2.0, 3.0], mask=[False, True, False], unit="mmag")
    table["flux_err"] = MaskedColumn([10.0, 20.0, 30.0], unit="mmag")
    curves = LightCurves.from_timeseries(table, value="flux", error="flux_err")
    assert curves.time == pytest.approx(DAYS)
    assert np.isnan(curves.value).tolist() == [False, True, False]
    assert curves.value[[0, 2]] == pytest.approx([0.001, 0.003])
    assert curves.error == pytest.approx([0.01, 0.02, 0.03])
    assert curves.unit == "mag"


def test_series_in_other_units_keep_them():
    for unit, name in [(u.nJy, "nJy"), (u.ABmag, "mag(AB)"), (u.dex, "dex")]:
        series = SimpleNamespace(time=DAYS, flux=[1.0, 2.0, 3.0] * unit)
        curves = LightCurves.from_timeseries(series, value="flux")
        assert (curves.unit, curves.value.tolist()) == (name, [1, 2, 3])


def test_series_whose_times_are_no_times():
    with pytest.raises(ValueError, match="the times are in m, which is no unit of time"):
        LightCurves.from_timeseries(SimpleNamespace(time=DAYS * u.m, flux=[1.0, 2.0, 3.0]), value="flux")
