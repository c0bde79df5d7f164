import numpy as np
import pytest

from goodricke.io.measurements import infer_time_scale
from goodricke.io.options import Unreadable
from goodricke.io.roles import match_columns, normal_name


def roles(names, **chosen):
    found = match_columns(names, chosen, "t.csv")
    return found.object_id, found.time, found.value, found.error, found.band


def test_aliases():
    for names, expected in [
        (["id", "band", "time", "mag", "magerr"], ("id", "time", "mag", "magerr", "band")),
        (["object_id", "mjd", "passband", "flux", "flux_err"], ("object_id", "mjd", "flux", "flux_err", "passband")),
        (["id", "mjd", "flux", "flux_err", "mag", "mag_err"], ("id", "mjd", "flux", "flux_err", None)),
        (["SNID", "MJD", "BAND", "FLUXCAL", "FLUXCALERR"], ("SNID", "MJD", "FLUXCAL", "FLUXCALERR", "BAND")),
        (["Star Name", "JD", "Magnitude", "Uncertainty"], ("Star Name", "JD", "Magnitude", "Uncertainty", None)),
        (["HJD", "Vmag", "e_Vmag"], (None, "HJD", "Vmag", "e_Vmag", None)),
        (["jd", "magpsf", "sigmapsf", "fid"], (None, "jd", "magpsf", "sigmapsf", "fid")),
        (["BJD [d]", "Flux (e-/s)", "error"], (None, "BJD [d]", "Flux (e-/s)", "error", None)),
        (["hmjd", "mag", "magerr", "oid", "filtercode"], ("oid", "hmjd", "mag", "magerr", "filtercode")),
        (
            ["midpointMjdTai", "psfFlux", "psfFluxErr", "apFlux"],
            (None, "midpointMjdTai", "psfFlux", "psfFluxErr", None),
        ),
        (["jd", "mjd", "mag"], (None, "mjd", "mag", None, None)),
        (
            ["time", "SAP_FLUX", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR"],
            (None, "time", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR", None),
        ),
    ]:
        assert roles(names) == expected


def test_chosen_columns_win_in_any_spelling():
    names = ["t1", "HJD", "Vmag", "Imag", "star_no"]
    assert roles(names, value="vmag", time="HJD", object_id="star no") == ("star_no", "HJD", "Vmag", None, None)


def test_ambiguous_brightness_names_both():
    with pytest.raises(Unreadable, match=r"equal standing: Vmag, Imag. Fix: choose one, --column value=Vmag"):
        match_columns(["hjd", "Vmag", "Imag"], {}, "t.csv")


def test_missing_time_names_the_columns():
    with pytest.raises(Unreadable, match=r"no time column; its columns are id, mag. Fix: .*--column time=NAME"):
        match_columns(["id", "mag"], {}, "t.csv")


def test_missing_brightness_and_missing_choice():
    with pytest.raises(Unreadable, match="no brightness column"):
        match_columns(["mjd", "teff"], {}, "t.csv")
    with pytest.raises(Unreadable, match="no column hjd; it has mjd, mag"):
        match_columns(["mjd", "mag"], {"time": "hjd"}, "t.csv")


def test_time_scale_from_name_and_numbers():
    for name, numbers, scale in [
        ("mjd", 59000.0, "MJD"),
        ("mjd", 2459000.5, "JD"),
        ("mjd", 20000.0, "MJD"),
        ("mjd", 7000.0, "unknown"),
        ("jd", 57005.0, "MJD"),
        ("jd", 7005.0, "unknown"),
        ("hjd", 57005.0, "unknown"),
        ("time", 20000.0, "unknown"),
        ("time", 2459000.5, "JD"),
        ("time", 59000.0, "MJD"),
        ("time", 7865.0, "unknown"),
        ("hjd", 2453000.0, "HJD"),
        ("hjd", 3000.0, "unknown"),
        ("btjd", 1700.0, "BTJD"),
        ("bjd", 2457000.0, "BJD"),
        ("BJD - 2457000", 1700.0, "BTJD"),
        ("BJD-2454833", 170.0, "BKJD"),
        ("HJD-2450000", 3000.0, "HJD"),
        ("JD-2400000.5", 59000.0, "MJD"),
        ("BTJD", np.nan, "BTJD"),
    ]:
        found = match_columns([name, "mag"], {}, "t.csv")
        assert infer_time_scale(found.time_scale, np.array([numbers, numbers]) + found.offset) == scale


def test_normal():
    assert normal_name("Flux_Err [e-/s]") == "fluxerr"
