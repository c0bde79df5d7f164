import numpy as np
import pytest

from goodricke.io import Unreadable, read, recognise


def test_both_versions(tglc_files):
    one, two = [path for path in tglc_files if "s0007" in path.name]
    for path, product, n_read in ((one, "TGLC v1", 1086), (two, "TGLC v2", 1093)):
        curves = read(path)
        assert recognise(path).NAME == "tglc"
        assert curves.ids == ["TIC 218795833"]
        assert (curves.unit, curves.time_scale, curves.bands) == ("electron / s", "BTJD", ("TESS",))
        row = curves.objects.to_pylist()[0]
        assert (row["product"], row["sector"], row["camera"], row["ccd"]) == (product, 7, 2, 3)
        assert (row["n_read"], len(curves.time)) == (n_read, 1048)
        assert row["n_flagged"] == n_read - 1048


def test_all_files(tglc_files):
    curves = read(tglc_files)
    assert len(curves) == 8
    assert set(curves.ids) == {"TIC 218795833", "TIC 389023759"}
    assert curves.objects["source"].num_chunks == 1


@pytest.mark.parametrize(
    ("flux", "unit", "median"),
    [
        ("psf", "electron / s", 228.74),
        ("aper", "electron / s", 228.79),
        ("cal_psf", "relative", 1),
        ("CAL_APER_FLUX", "relative", 1),
    ],
)
def test_fluxes(tglc_files, flux, unit, median):
    curves = read(next(p for p in tglc_files if "s0007" in p.name and "v2" in p.name), flux=flux)
    assert curves.unit == unit
    assert np.median(curves.value) == pytest.approx(median, rel=2e-3)
    assert len(set(curves.error.tolist())) == 1


def test_errors_are_the_header_s(tglc_files):
    path = next(p for p in tglc_files if "s0007" in p.name and "v1" in p.name)
    assert read(path).error[0] == pytest.approx(1.700102690346794)
    assert read(path, flux="psf_flux").error[0] == pytest.approx(2.007718717815219)


@pytest.mark.parametrize(("quality", "kept"), [("default", 1048), ("hard", 1048), ("bitmask", 1086), ("none", 1093)])
def test_quality(tglc_files, quality, kept):
    path = next(p for p in tglc_files if "s0007" in p.name and "v2" in p.name)
    assert len(read(path, quality=quality).time) == kept


def test_unknown_flux(tglc_files):
    with pytest.raises(Unreadable, match="choose one of psf_flux, aperture_flux, cal_psf_flux, cal_aper_flux"):
        read(tglc_files[0], flux="SAP_FLUX")
