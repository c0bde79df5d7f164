"""Pan-STARRS1 DR2 detections, written as MAST documents its Detection table (outerspace.stsci.edu, PANSTARRS)."""

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from goodricke.io import Unreadable, read, recognise
from goodricke.io.products.panstarrs import BITS

STAR = 169841701110866261


def rows(n=5, **over):
    columns = {
        "objID": STAR,
        "filterID": np.arange(n) % 5 + 1,
        "obsTime": 55000.5 + np.arange(n),
        "ra": 170.11,
        "dec": -8.4,
        "psfFlux": 1e-3,
        "psfFluxErr": 1e-5,
        "apFlux": 2e-3,
        "apFluxErr": 4e-5,
        "psfQfPerfect": 0.99,
        "infoFlag": 0,
        "infoFlag2": 0,
        "infoFlag3": 0,
    }
    return pd.DataFrame({name: np.resize(value, n) for name, value in (columns | over).items()})


@pytest.mark.parametrize("form", ["csv", "parquet", "xml", "fits"])
def test_fluxes_become_ab_magnitudes(tmp_path, form):
    path, frame = tmp_path / f"ps1.{form}", rows()
    if form in ("csv", "parquet"):
        getattr(frame, f"to_{form}")(path, index=False)
    else:
        Table.from_pandas(frame).write(path, format="votable" if form == "xml" else form)
    assert recognise(path).NAME == "panstarrs"
    curves = read(path)
    assert curves.ids == [str(STAR)]
    assert (curves.unit, curves.time_scale, curves.bands) == ("mag", "MJD", tuple("grizy"))
    assert curves.value == pytest.approx(np.full(5, -2.5 * np.log10(1e-3 / 3631)), rel=1e-6)
    assert curves.error == pytest.approx(np.full(5, 2.5 / np.log(10) * 0.01), rel=1e-5)
    assert curves.column("dec").tolist() == [-8.4]


def write(path, frame):
    frame.to_csv(path, index=False)
    return path


def test_the_cut_of_appendix_a(tmp_path):
    """Every excluded flag excludes, alone or with others; others don't."""
    excluded = [(name, 1 << bit) for name, bits in BITS.items() for bit in range(32) if bits >> bit & 1]
    assert [sum(name == n for n, _ in excluded) for name in BITS] == [18, 8, 2]
    frame = rows(len(excluded) + 7)
    for i, (name, bit) in enumerate(excluded):
        frame.loc[i, name] = bit | 1
    last = len(excluded)
    frame.loc[last, "infoFlag"] = 1 | 4 | 64 | 512  # none of them in the list
    frame.loc[last + 1, "psfQfPerfect"] = 0.9
    frame.loc[last + 2, "psfFlux"] = -999
    frame.loc[last + 3, "psfFluxErr"] = 0
    frame.loc[last + 4, "psfFluxErr"] = 1e-3
    frame.loc[last + 5, "obsTime"] = -999
    path = write(tmp_path / "a.csv", frame)
    kept = {how: (read(path, quality=how).time - 55000.5).tolist() for how in ("default", "bitmask", "hard", "none")}
    assert kept["default"] == [last, last + 6]
    assert kept["bitmask"] == [last, last + 1, *range(last + 3, last + 5), last + 6]
    assert kept["hard"] == [last + 6]
    assert len(kept["none"]) == last + 5  # one without a time, one without a flux
    assert read(path).column("n_flagged").tolist() == [last + 4]


def test_other_fluxes_bands_and_units(tmp_path):
    path = write(tmp_path / "a.csv", rows())
    assert read(path, flux="apflux").value == pytest.approx(np.full(5, -2.5 * np.log10(2e-3 / 3631)), rel=1e-6)
    assert read(path, unit="Jy").value == pytest.approx(np.full(5, 1e-3))
    assert read(path, columns={"value": "apFlux"}, unit="Jy").value == pytest.approx(np.full(5, 2e-3))
    by_name = rows().drop(columns="filterID").assign(filterType=list("yzirg"))
    assert read(write(tmp_path / "b.csv", by_name)).bands == tuple("yzirg")
    with pytest.raises(Unreadable, match="no column kronFlux"):
        read(path, flux="kronFlux")


def test_detections_that_can_not_be_judged(tmp_path):
    path = write(tmp_path / "a.csv", rows().drop(columns="psfQfPerfect"))
    with pytest.raises(Unreadable, match="psfQfPerfect"):
        read(path)
    assert len(read(path, quality="none").time) == 5
