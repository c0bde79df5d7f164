"""Reading and preparing dense light curves one at a time (section 4.3), with astropy, NumPy and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from goodricke.io.products.qlp import KEEP


def read(path: Path) -> tuple[int, NDArray[np.float64], NDArray[np.float32]]:
    """Return TIC number, times [d] and flux of the unflagged cadences of a QLP file."""
    with fits.open(path) as file:
        tic, table = file[0].header["TICID"], file[1].data
        good = np.isin(table["QUALITY"], KEEP)
        return tic, table["TIME"][good].astype(np.float64), table["SAP_FLUX"][good].astype(np.float32)


def prepare(time: NDArray[np.float64], flux: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return times [d] from the first point and flux clipped, detrended and standardised, (n,) each."""
    finite = np.isfinite(flux)
    time, flux = time[finite], flux[finite]
    for _ in range(5):
        inside = np.abs(flux - np.median(flux)) <= 10 * flux.std()
        time, flux = time[inside], flux[inside]
        if inside.all():
            break
    sigma = 61 / 48 / np.median(np.diff(time))
    flux = flux - gaussian_filter1d(flux, sigma if len(flux) >= sigma else len(flux) // 2)
    return (time - time[0]).astype(np.float32), (flux - np.median(flux)) / flux.std()
