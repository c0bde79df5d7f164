from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def data() -> Path:
    """The folder of survey files beside the repository."""
    if not DATA.is_dir():
        pytest.skip(f"no survey files at {DATA}: the checks against real data need them")
    return DATA


@pytest.fixture
def kepler_tess(data: Path) -> Path:
    return data / "formats" / "kepler_tess"


@pytest.fixture
def tglc_files(data: Path) -> list[Path]:
    return sorted((data / "formats" / "tglc").glob("*.fits"))


def write_fits(path: Path, primary: dict, columns: dict, header: dict | None = None) -> Path:
    first = fits.PrimaryHDU()
    first.header.update(primary)
    formats = {"f": {4: "E", 8: "D"}, "i": {2: "I", 4: "J", 8: "K"}}
    made = [
        fits.Column(name, formats[a.dtype.kind][a.dtype.itemsize] if a.dtype.kind in "fi" else "20A", array=a)
        for name, a in columns.items()
    ]
    table = fits.BinTableHDU.from_columns(made, name="LIGHTCURVE")
    table.header.update(header or {})
    fits.HDUList([first, table]).writeto(path, overwrite=True)
    return path


@pytest.fixture
def qlp_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a QLP light curve as the product is documented; the real ones are at MAST."""

    def write(
        name: str = "qlp.fits", generation: int = 1, n: int = 100, tic: int = 1234567, **over: np.ndarray
    ) -> Path:
        flux = (1 + 0.01 * np.sin(np.arange(n))).astype("f4")
        detrended = "KSPSAP_FLUX" if generation == 1 else "DET_FLUX"
        columns = {
            "TIME": 1683.4 + np.arange(n) / 48,
            "CADENCENO": np.arange(n, dtype="i4"),
            "SAP_FLUX": flux,
            detrended: (flux - 0.5).astype("f4"),
            f"{detrended}_ERR": np.full(n, 2e-4, "f4"),
            "QUALITY": np.zeros(n, "i4"),
            "ORBITID": np.full(n, 35, "i4"),
            **{name: np.zeros(n, "f4") for name in ("SAP_X", "SAP_Y", "SAP_BKG", "SAP_BKG_ERR")},
            f"{detrended}_SML": flux,
            f"{detrended}_LAG": flux,
        }
        if generation == 2:
            columns["SYS_RM_FLUX"] = flux
        primary = {
            **{"ORIGIN": "MIT/QLP", "MISSION": "TESS", "TELESCOP": "TESS", "TICID": tic, "OBJECT": f"TIC {tic}"},
            **{"SECTOR": 14, "CAMERA": 2, "CCD": 4, "RA_OBJ": 290.5, "DEC_OBJ": 44.25, "TESSMAG": 10.5},
        }
        header = {"BJDREFI": 2457000, "BJDREFF": 0.0, "TUNIT1": "BJD - 2457000, days"}
        return write_fits(tmp_path / name, primary, columns | over, header)

    return write
