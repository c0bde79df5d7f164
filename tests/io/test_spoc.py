import numpy as np
import pytest

from goodricke.io import Unreadable, read, recognise

Q2 = "kplr010002792-2009259160929_llc.fits"
K2 = "ktwo211117077-c04_llc.fits"
TESS = "tess2018206045859-s0001-0000000358108509-0120-s_lc.fits"


def about(curves):
    return {name: value for name, value in curves.objects.to_pylist()[0].items() if value is not None}


def test_kepler(kepler_tess):
    curves = read(kepler_tess / Q2)
    assert recognise(kepler_tess / Q2).NAME == "spoc"
    assert curves.ids == ["KIC 10002792"]
    assert (curves.unit, curves.time_scale, curves.bands) == ("electron / s", "BKJD", ("Kepler",))
    assert len(curves.time) == 4075
    assert about(curves) == {
        "source": str(kepler_tess / Q2), "mission": "Kepler", "product": "Kepler long cadence", "quarter": 2,
        "ra": 287.86721, "dec": 46.98308, "n_read": 4354, "n_flagged": 119, "n_used": 4070,
    }  # fmt: skip
    assert 4354 - 119 - 4075 == 160  # rows without a time
    assert curves.time[0] > 169.5
    assert np.isfinite(curves.time).all()
    assert np.nanmedian(curves.error) == pytest.approx(9.6, rel=0.3)


def test_k2(kepler_tess):
    curves = read(kepler_tess / K2)
    assert curves.ids == ["EPIC 211117077"]
    assert curves.time_scale == "BKJD"
    row = about(curves)
    assert (row["mission"], row["campaign"], row["n_read"], row["n_flagged"]) == ("K2", 4, 3470, 169)
    assert "sector" not in row


def test_tess(kepler_tess):
    curves = read(kepler_tess / TESS)
    assert curves.ids == ["TIC 358108509"]
    assert (curves.unit, curves.time_scale, curves.bands) == ("electron / s", "BTJD", ("TESS",))
    row = about(curves)
    assert (row["product"], row["sector"], row["camera"], row["ccd"]) == ("SPOC 120 s", 1, 3, 3)
    assert (row["n_read"], row["n_flagged"], len(curves.time)) == (20076, 1160, 18101)
    assert curves.time[0] == pytest.approx(1325.29731802)
    assert curves.value[0] == pytest.approx(242.094, abs=1e-3)


@pytest.mark.parametrize(
    ("quality", "kept"), [("none", 19261), ("default", 18101), ("bitmask", 18101), ("hard", 18101)]
)
def test_quality_cuts(kepler_tess, quality, kept):
    assert len(read(kepler_tess / TESS, quality=quality).time) == kept


def test_flux_column(kepler_tess):
    sap = read(kepler_tess / TESS, flux="sap_flux", quality="none")
    assert sap.value[0] == pytest.approx(236.50084, abs=1e-4)
    assert sap.error[0] == pytest.approx(3.9069269, abs=1e-5)
    with pytest.raises(Unreadable, match="choose one of SAP_FLUX, PDCSAP_FLUX with --flux"):
        read(kepler_tess / TESS, flux="DET_FLUX")


def test_nan_fluxes_stay(kepler_tess):
    assert np.isnan(read(kepler_tess / Q2, quality="none").value).sum() > 100


def test_overrides(kepler_tess):
    curves = read(kepler_tess / Q2, unit="relative", time_scale="BTJD", band="Kp")
    assert (curves.unit, curves.time_scale, curves.bands) == ("relative", "BTJD", ("Kp",))


def test_batch_of_both_quarters(kepler_tess):
    curves = read(str(kepler_tess / "kplr*.fits"))
    assert curves.ids == ["KIC 10002792"] * 2
    assert curves.column("quarter").tolist() == [2, 5]


def test_missions_do_not_mix(kepler_tess):
    with pytest.raises(ValueError, match=r"BKJD.*BTJD"):
        read([kepler_tess / Q2, kepler_tess / TESS])


def test_file_that_lies_about_its_name(kepler_tess):
    """The name says a mission's file of KIC 10002792; inside is another pipeline's K2 table, and that counts."""
    pony = kepler_tess / "pony010002792-2009259160929_llc.fits"
    assert recognise(pony).NAME == "table"
    curves = read(pony)
    assert curves.ids == ["EPIC 211983544"]
    assert (curves.time_scale, curves.unit, len(curves.time)) == ("BKJD", "flux", 2371)
    assert about(curves)["product"] == "FITS table"
    with pytest.raises(Unreadable, match="no column PDCSAP_FLUX"):
        read(pony, columns={"value": "PDCSAP_FLUX"})
    assert len(read(pony, quality="hard").time) < 2371
