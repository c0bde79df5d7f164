"""High-level science products: small files in the layout of each."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from goodricke.io import Unreadable, read, recognise

from .conftest import write_fits

N = 40
TIME = 1325.0 + np.arange(N) / 48
FLAGGED = np.arange(N) % 10 == 0  # every tenth cadence
FLUX = 1 + 0.1 * np.sin(np.arange(N))
TESS = {"TELESCOP": "TESS", "SECTOR": 1, "CAMERA": 1, "CCD": 2, "RA_OBJ": 70.0, "DEC_OBJ": -55.0}
K2 = {"TELESCOP": "Kepler", "MISSION": "K2", "KEPLERID": 200000001, "CAMPAIGN": 7, "RA_OBJ": 290.0, "DEC_OBJ": -22.0}


def flags(value):
    """Flag every tenth cadence."""
    return np.where(FLAGGED, value, 0).astype("i4")


def constant(value):
    return np.full(N, float(value))


LAYOUTS = {
    "TASOC": (
        {**TESS, "TICID": 5},
        {
            "TIME": TIME, "FLUX_RAW": 5000 * FLUX, "FLUX_RAW_ERR": constant(2), "FLUX_CORR": (FLUX - 1) * 1e6,
            "FLUX_CORR_ERR": constant(400), "QUALITY": flags(128), "PIXEL_QUALITY": flags(0),
        },
        {"BJDREFI": 2457000, "BJDREFF": 0.0, "TUNIT2": "e-/s", "TUNIT3": "e-/s", "TUNIT4": "ppm", "TUNIT5": "ppm"},
    ),
    "eleanor": (
        {**TESS, "TIC_ID": 5},
        {
            "TIME": TIME, "RAW_FLUX": 900 * FLUX, "FLUX_ERR": constant(1.5), "CORR_FLUX": 1000 * FLUX,
            "PCA_FLUX": 1000 * FLUX, "QUALITY": flags(128) + np.where(np.arange(N) == 1, 1 << 17, 0).astype("i4"),
        },
        {},
    ),
    "PATHOS": (
        {**TESS, "TICID": 5},
        {"TIME": TIME, "PSF_FLUX_RAW": 900 * FLUX, "PSF_FLUX_COR": 1000 * FLUX, "AP4_FLUX_COR": 1100 * FLUX,
         "DQUALITY": flags(128)},
        {},
    ),
    "CDIPS": (
        {"ORIGIN": "CDIPS", "TICID": "5", **TESS},
        {
            "TMID_UTC": TIME + 2456999.997, "TMID_BJD": TIME + 2457000, "IFL1": 1584 * FLUX, "IFE1": constant(1),
            "IRM1": 12.01 - FLUX, "IRE1": constant(0.002), "IRQ1": np.where(FLAGGED, "X", "G"), "TFA1": 12 - FLUX,
            "PCA1": 12.5 - FLUX,
        },
        {},
    ),
    "K2SFF": (
        K2,
        {"T": TIME + 905, "FRAW": 0.9 * FLUX, "FCOR": FLUX, "ARCLENGTH": FLUX, "MOVING": FLAGGED.astype(float)},
        {"EXTNAME": "BESTAPER"},
    ),
    "K2VARCAT": (K2, {"TIME": TIME + 905, "APTFLUX": 0.9 * FLUX, "DETFLUX": FLUX, "DETFLUX_ERR": constant(0.001)}, {}),
    "EVEREST": (
        K2,
        {
            "CADN": np.arange(N, dtype="i4"), "FLUX": 1e4 * FLUX, "FCOR": 1.01e4 * FLUX, "FRAW": 0.9e4 * FLUX,
            "FRAW_ERR": constant(3), "QUALITY": flags(1 << 22), "TIME": TIME + 905,
        },
        {"BJDREFI": 2454833, "BJDREFF": 0.0, "TUNIT2": "e-/s"},
    ),
}  # fmt: skip

# product, id, scale, first time, unit, scale of the flux, its uncertainty
DEFAULTS = [
    ("TASOC", "TIC 5", "BTJD", 1325, "relative", 1, 400e-6),
    ("eleanor", "TIC 5", "BTJD", 1325, "electron / s", 1000, 1.5),
    ("PATHOS", "TIC 5", "BTJD", 1325, "electron / s", 1000, None),
    ("CDIPS", "TIC 5", "BJD", 2458325, "mag", None, 0.002),
    ("K2SFF", "EPIC 200000001", "BKJD", 2230, "relative", 1, None),
    ("K2VARCAT", "EPIC 200000001", "BKJD", 2230, "relative", 1, 0.001),
    ("EVEREST", "EPIC 200000001", "BKJD", 2230, "electron / s", 1e4, 3),
]


@pytest.fixture
def product(tmp_path):
    def write(name, primary=None, columns=None, header=None):
        first, second, third = LAYOUTS[name]
        return write_fits(
            tmp_path / f"{name}.fits", first | (primary or {}), second | (columns or {}), third | (header or {})
        )

    return write


@pytest.mark.parametrize(("name", "object_id", "scale", "first", "unit", "level", "error"), DEFAULTS)
def test_defaults(product, name, object_id, scale, first, unit, level, error):
    path = product(name)
    assert recognise(path).NAME == "hlsp"
    curves = read(path, quality="none")
    assert (curves.ids, curves.unit, curves.time_scale, len(curves.time)) == ([object_id], unit, scale, N)
    assert curves.time[0] == first
    np.testing.assert_allclose(curves.value, 12 - FLUX if level is None else level * FLUX, rtol=1e-6)
    if error is None:
        assert np.isnan(curves.error).all()
    else:
        np.testing.assert_allclose(curves.error, error, rtol=1e-6)
    row = curves.objects.to_pylist()[0]
    tess = object_id.startswith("TIC")
    assert (row["product"], row["mission"], curves.bands[0]) == (
        (name, "TESS", "TESS") if tess else (name, "K2", "Kepler")
    )
    expected = (1, None, 70, -55) if tess else (None, 7, 290, -22)
    assert (row["sector"], row["campaign"], row["ra"], row["dec"]) == expected


@pytest.mark.parametrize("name", [row[0] for row in DEFAULTS])
def test_severe_flags_are_left_out(product, name):
    """K2VARCAT has no flags; eleanor's own bit 17 is kept but by "hard"."""
    n_flagged = 0 if name == "K2VARCAT" else int(FLAGGED.sum())
    for quality in ("default", "bitmask", "hard"):
        row = read(product(name), quality=quality).objects.to_pylist()[0]
        assert row["n_flagged"] == n_flagged + (name == "eleanor" and quality == "hard")


@pytest.mark.parametrize(
    ("name", "flux", "unit", "values", "error"),
    [
        ("TASOC", "flux_raw", "electron / s", 5000 * FLUX, 2),
        ("eleanor", "RAW_FLUX", "electron / s", 900 * FLUX, 1.5),
        ("PATHOS", "AP4_FLUX_COR", "electron / s", 1100 * FLUX, None),
        ("CDIPS", "IFL1", "flux", 1584 * FLUX, 1),
        ("CDIPS", "PCA1", "mag", 12.5 - FLUX, 0.002),
        ("K2SFF", "FRAW", "relative", 0.9 * FLUX, None),
        ("K2VARCAT", "APTFLUX", "relative", 0.9 * FLUX, None),
        ("EVEREST", "FCOR", "electron / s", 1.01e4 * FLUX, 3),
    ],
)
def test_another_flux_brings_its_own_error(product, name, flux, unit, values, error):
    curves = read(product(name), flux=flux, quality="none")
    assert curves.unit == unit
    np.testing.assert_allclose(curves.value, values, rtol=1e-6)
    assert np.isnan(curves.error).all() if error is None else np.allclose(curves.error, error)


def test_unknown_flux(product):
    with pytest.raises(Unreadable, match=r"no flux column SAP_FLUX.*FLUX_RAW, FLUX_CORR"):
        read(product("TASOC"), flux="SAP_FLUX")


def test_default_without_a_number_gives_the_next(product, caplog):
    path = product("TASOC", columns={"FLUX_CORR": constant(np.nan)})
    with caplog.at_level(logging.WARNING, "goodricke"):
        np.testing.assert_allclose(read(path, quality="none").value, 5000 * FLUX, rtol=1e-6)
    assert "FLUX_CORR holds no number, FLUX_RAW is read instead" in caplog.text


def test_ppm_stays_if_the_user_names_a_unit(product):
    assert read(product("TASOC"), unit="ppm", quality="none").value[1] == pytest.approx(1e5 * np.sin(1), rel=1e-5)


@pytest.mark.parametrize("bit", [1, 32, 1 << 15, 1 << 20, 1 << 22, 1 << 23])
def test_everest_leaves_out_what_it_masks_but_no_outlier(product, bit):
    quality = np.array([bit, 1 << 24, 1 << 26] + [0] * (N - 3), "i4")
    row = read(product("EVEREST", columns={"QUALITY": quality})).objects.to_pylist()[0]
    assert row["n_flagged"] == 1


def test_other_apertures_of_k2sff(product):
    path = product("K2SFF")
    columns = [
        fits.Column(name, "D", array=values)
        for name, values in {**LAYOUTS["K2SFF"][1], "FCOR": 2 * FLUX, "FRAW": 3 * FLUX}.items()
    ]
    fits.append(path, fits.BinTableHDU.from_columns(columns).data, fits.Header({"EXTNAME": "CIRC_APER1"}))
    np.testing.assert_allclose(read(path, quality="none").value, FLUX, rtol=1e-6)
    np.testing.assert_allclose(read(path, flux="circ_aper1", quality="none").value, 2 * FLUX, rtol=1e-6)
    np.testing.assert_allclose(read(path, flux="CIRC_APER1.FRAW", quality="none").value, 3 * FLUX, rtol=1e-6)


def test_without_a_target_the_file_names_it(product, caplog):
    path = product("K2VARCAT")
    fits.delval(path, "KEPLERID")
    with caplog.at_level(logging.WARNING, "goodricke"):
        assert read(path).ids == ["K2VARCAT"]
    assert "names no target" in caplog.text
