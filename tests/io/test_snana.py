from contextlib import suppress

import numpy as np
import pytest

from goodricke.io import Unreadable, read, recognise
from goodricke.io.products import snana

from .conftest import write_fits


def pair(folder, phot_rows=7):
    head = {
        "SNID": np.array(["11", "22"]), "RA": np.array([1.0, 2.0]), "DECL": np.array([-1.0, -2.0]),
        "PTROBS_MIN": np.array([1, 5], "i4"), "PTROBS_MAX": np.array([3, 6], "i4"),
    }  # fmt: skip
    write_fits(folder / "X_HEAD.FITS", {"SURVEY": "DES", "PHOTFILE": "X_PHOT.FITS"}, head)
    phot = {
        "MJD": np.array([56000.0, 56001, 56002, -777, 56003, 56004, -777])[:phot_rows],
        "FLT": np.array(["g", "r", "g", "-", "z", "z", "-"])[:phot_rows],
        "FLUXCAL": np.arange(7, dtype="f4")[:phot_rows],
        "FLUXCALERR": np.ones(7, "f4")[:phot_rows],
        "PHOTFLAG": np.array([0, 1, 0, 0, 0, 0, 0], "i4")[:phot_rows],
    }
    write_fits(folder / "X_PHOT.FITS", {}, phot)
    return folder / "X_HEAD.FITS"


def test_pair(tmp_path):
    path = pair(tmp_path)
    assert recognise(path).NAME == "snana"
    curves = read(path)
    assert curves.ids == ["11", "22"]
    assert curves.time.tolist() == [56000, 56001, 56002, 56003, 56004]
    assert [curves.bands[b] for b in curves.band] == ["g", "r", "g", "z", "z"]
    assert curves.column("dec").tolist() == [-1, -2]
    assert (curves.unit, curves.time_scale) == (snana.FLUXCAL, "MJD")
    assert read(path, quality="hard").n_obs.tolist() == [2, 2]


def test_broken_pairs(tmp_path, data):
    with pytest.raises(Unreadable, match="shorter than its HEAD file says"):
        read(pair(tmp_path, phot_rows=4))
    with pytest.raises(Unreadable, match="PHOT half of an SNANA pair"):
        read(tmp_path / "X_PHOT.FITS")
    (tmp_path / "X_PHOT.FITS").unlink()
    with pytest.raises(Unreadable, match=r"needs its PHOT file X_PHOT.FITS"):
        read(tmp_path / "X_HEAD.FITS")
    with pytest.raises(Unreadable, match="shorter than its HEAD file says"):  # the sample holds a part of the real pair
        read(data / "formats" / "snana" / "DES_Ia-0001_HEAD.FITS")


TEXT = """SURVEY: DES
SNID:   1248677
RA:     36.5   deg
DECL:   -4.5   deg
FILTERS: griz

NOBS: 3
NVAR: 5
VARLIST: MJD FLT FIELD FLUXCAL FLUXCALERR
OBS: 57000.1 g C3 100.5 5.5
OBS: 57001.1 r C3 -10.5 5.5
OBS: 57002.1 r NULL 110.5 5.5
END:
"""


def test_text(tmp_path):
    (tmp_path / "des.DAT").write_text(TEXT)
    curves = read(tmp_path / "des.DAT")
    assert (curves.ids, curves.unit, curves.time_scale) == (["1248677"], snana.FLUXCAL, "MJD")
    assert (curves.time.tolist(), curves.value.tolist()) == ([57000.1, 57001.1, 57002.1], [100.5, -10.5, 110.5])
    assert [curves.bands[b] for b in curves.band] == ["g", "r", "r"]
    assert (curves.column("ra")[0], curves.column("dec")[0]) == (36.5, -4.5)


@pytest.mark.parametrize("cut", [60, 115, 150, 200])
def test_cut_text_is_read_or_refused(tmp_path, cut):
    (tmp_path / "des.DAT").write_text(TEXT[:cut])
    with suppress(Unreadable):
        assert len(read(tmp_path / "des.DAT").time) < 3
