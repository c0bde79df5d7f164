"""Files that lightkurve and astropy save of Kepler and TESS light curves, made up without lightkurve."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from astropy.time import Time
from astropy.timeseries import TimeSeries

from goodricke.io import Unreadable, read, recognise

from .conftest import write_fits

N = 20
TIME = 1700 + np.arange(N) / 72
FLUX = 1e4 * (1 + 0.02 * np.sin(np.arange(N)))
QUALITY = np.where(np.arange(N) % 5 == 0, 128, 0)
GOOD = QUALITY == 0
META = {"MISSION": "TESS", "TARGETID": 7, "SECTOR": 15}


def to_fits(path, primary=None, header=None, **over):
    """A file as lightkurve's to_fits writes it."""
    columns = {
        "TIME": TIME, "FLUX": FLUX.astype("f4"), "FLUX_ERR": np.full(N, 5, "f4"), "CADENCENO": np.arange(N, dtype="i4"),
        "QUALITY": QUALITY.astype("i8"),
    }  # fmt: skip
    first = {"CREATOR": "lightkurve.LightCurve.to_fits()", "OBJECT": "7", **META} | (primary or {})
    units = {"TUNIT1": "btjd", "TUNIT2": "electron / s", "TUNIT3": "electron / s"} | (header or {})
    return write_fits(path, first, columns | over, units)


def to_ecsv(path, time_format="btjd", meta="{MISSION: TESS}, {TARGETID: 7}, {SECTOR: 15}, {LABEL: TIC 7}"):
    """A file as lightkurve writes it in ECSV: its own time format in astropy's Time."""
    head = [
        "%ECSV 1.0", "---", "datatype:", "- {name: time, datatype: float64}",
        "- {name: flux, unit: electron / s, datatype: float64}",
        "- {name: flux_err, unit: electron / s, datatype: float64}", "- {name: quality, datatype: int64}",
        "meta: !!omap", *(f"- {{{item}}}" for item in meta.strip("{}").split("}, {")), "- __serialized_columns__:",
        "    time:", "      __class__: astropy.time.core.Time", f"      format: {time_format}", "      in_subfmt: '*'",
        "      out_subfmt: '*'", "      precision: 3", "      scale: tdb",
        "      value: !astropy.table.SerializedColumn {name: time}", "schema: astropy-2.0",
    ]  # fmt: skip
    rows = [f"{t!r} {f!r} 5.0 {q}" for t, f, q in zip(TIME.tolist(), FLUX.tolist(), QUALITY.tolist(), strict=True)]
    path.write_text("\n".join([*(f"# {line}" for line in head), "time flux flux_err quality", *rows]) + "\n")
    return path


def check(curves, object_id="TIC 7", scale="BTJD", mission="TESS"):
    assert (curves.ids, curves.time_scale, curves.unit) == ([object_id], scale, "electron / s")
    np.testing.assert_allclose(curves.time, TIME[GOOD], rtol=0, atol=1e-9)
    np.testing.assert_allclose(curves.value, FLUX[GOOD], rtol=1e-6)
    np.testing.assert_allclose(curves.error, 5)
    row = curves.objects.to_pylist()[0]
    assert (row["mission"], row["n_read"], row["n_flagged"]) == (mission, N, N - GOOD.sum())


def test_fits_stays_tess(tmp_path):
    path = to_fits(tmp_path / "a.fits")
    assert recognise(path).NAME == "lightkurve"
    check(read(path))
    assert read(path).objects["sector"].to_pylist() == [15]
    assert len(read(path, quality="none").time) == N


def test_ecsv_opens_without_lightkurve(tmp_path):
    path = to_ecsv(tmp_path / "a.ecsv")
    assert recognise(path).NAME == "lightkurve"
    check(read(path))


@pytest.mark.filterwarnings("ignore:The unit 'electron / s' could not be saved")
def test_same_numbers_from_every_file(tmp_path):
    """Promise 3, with a table that astropy writes: a pair of Julian dates instead of BTJD."""
    table = QTable({"time": Time(TIME + 2457000, format="jd", scale="tdb"), "quality": QUALITY}, meta=META)
    table["flux"], table["flux_err"] = FLUX * u.electron / u.s, np.full(N, 5.0) * u.electron / u.s
    table.write(tmp_path / "a.fits")
    check(read(tmp_path / "a.fits"))


def test_kepler_and_k2(tmp_path):
    primary = {"MISSION": "K2", "TARGETID": 9, "CAMPAIGN": 4}
    path = to_fits(tmp_path / "a.fits", primary, {"TUNIT1": "bkjd"}, QUALITY=np.where(GOOD, 0, 1 << 20))
    curves = read(path)
    check(curves, "EPIC 9", "BKJD", "K2")
    assert curves.objects["campaign"].to_pylist() == [4]
    check(read(to_ecsv(tmp_path / "a.ecsv", "bkjd", "{MISSION: Kepler}, {TARGETID: 9}"), quality="hard"), "KIC 9",
          "BKJD", "Kepler")  # fmt: skip


def test_other_flux_and_normalised_flux(tmp_path):
    path = to_fits(tmp_path / "a.fits", SAP_FLUX=FLUX / 2, SAP_FLUX_ERR=np.full(N, 3.0))
    other = read(path, flux="sap_flux")
    np.testing.assert_allclose(other.value, FLUX[GOOD] / 2, rtol=1e-6)
    np.testing.assert_allclose(other.error, 3)
    with pytest.raises(Unreadable, match="no column BKG"):
        read(path, flux="BKG")
    for unit, flux in (("ppm", FLUX * 100), ("ppt", FLUX / 10), ("percent", FLUX / 100), ("ppm", FLUX * 100 - 1e6)):
        curves = read(to_fits(tmp_path / "b.fits", header={"TUNIT2": unit}, FLUX=flux))
        assert curves.unit == "relative"
        np.testing.assert_allclose(curves.value, FLUX[GOOD] / 1e4, rtol=1e-6)


@pytest.mark.parametrize(("flux", "unit"), [(FLUX / 1e4, "relative"), (FLUX, "flux")])
def test_flux_without_a_unit(tmp_path, caplog, flux, unit):
    path = to_fits(tmp_path / "a.fits", header={"TUNIT2": None}, FLUX=flux)
    with caplog.at_level("INFO", "goodricke"):
        assert read(path).unit == unit
    assert ("has no unit" in caplog.text) == (unit == "flux")


def test_without_flags_all_stay(tmp_path):
    columns = {"TIME": TIME, "FLUX": FLUX / 1e4}
    path = write_fits(tmp_path / "a.fits", {"CREATOR": "lightkurve.LightCurve.to_fits()", **META}, columns)
    curves = read(path)
    assert (len(curves.time), curves.time_scale, np.isnan(curves.error).all()) == (N, "BTJD", True)


def test_folded_is_refused(tmp_path):
    phases = {"CREATOR": "lightkurve.FoldedLightCurve.to_fits()", "PERIOD": 0.7, "PHNORM": False, "PHEPOCH": 0.0}
    path = to_fits(tmp_path / "a.fits", phases, {"TUNIT1": "jd"}, TIME=np.linspace(-0.35, 0.35, N))
    with pytest.raises(Unreadable, match=r"folded light curve .*period 0.7 d.* phases"):
        read(path)
    path = to_ecsv(tmp_path / "a.ecsv", "jd", "{MISSION: TESS}, {TARGETID: 7}, {PERIOD: 0.7}, {NORMALIZE_PHASE: false}")
    with pytest.raises(Unreadable, match="folded light curve"):
        read(path)


def test_other_tables_in_lightkurves_time_formats(tmp_path):
    """Without mission and target it is a plain table, on the scale that its times state."""
    path = to_ecsv(tmp_path / "a.ecsv", meta="{AUTHOR: me}")
    assert recognise(path).NAME == "table"
    curves = read(path)
    assert (curves.time_scale, len(curves.time)) == ("BTJD", N)
    np.testing.assert_allclose(curves.time, TIME, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scale", ["utc", "tdb"])
def test_time_series_of_astropy_as_fits(tmp_path, scale):
    """Times are two columns in one, whose sum is the Julian date."""
    times = Time(58700 + np.arange(N) / 72, format="mjd", scale=scale)
    series = TimeSeries(time=times, data={"flux": FLUX, "flux_err": np.full(N, 5.0)})
    series["flux"].unit = "mJy"
    series.write(tmp_path / "a.fits", format="fits")
    curves = read(tmp_path / "a.fits")
    assert (curves.time_scale, curves.unit) == ("MJD", "mJy")
    np.testing.assert_allclose(curves.time, times.mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(curves.value, FLUX, rtol=1e-6)


def test_superwasp(tmp_path):
    seconds = (72_000_000 + 5574 * np.arange(N)).astype("i4")
    error = np.where(np.arange(N) == 3, 0, 10).astype("f4")
    columns = {
        "TMID": seconds, "FLUX2": FLUX.astype("f4"), "FLUX2_ERR": np.full(N, 20, "f4"),
        "TAMFLUX2": (2 * FLUX).astype("f4"), "TAMFLUX2_ERR": error, "FLAG": (np.arange(N) == 4).astype("i2"),
    }  # fmt: skip
    name = "1SWASP J000000.00+000000.0"
    path = write_fits(tmp_path / "a.fits", {"OBJNAME": name, "JD_REF": 2453005.5}, columns, {"TUNIT1": "s"})
    curves = read(path)
    assert (curves.ids, curves.time_scale, len(curves.time)) == ([name], "HJD", N)
    np.testing.assert_allclose(curves.time, 2453005.5 + seconds / 86400, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(curves.value), error == 0)
    np.testing.assert_allclose(curves.value[error > 0], 2 * FLUX[error > 0], rtol=1e-6)
    other = read(path, flux="FLUX2", quality="hard")
    np.testing.assert_allclose(other.value, np.delete(FLUX, 4), rtol=1e-6)
    np.testing.assert_allclose(other.error, 20)
