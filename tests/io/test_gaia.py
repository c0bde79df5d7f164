"""Gaia epoch photometry, written as the archive documents it.

Gaia DR3 documentation, section 20.7.1 (epoch_photometry, the arrays of RAW); A&A 674, A4, table 1 (one row per
observation); the archive's "DataLink products" page (one row per transit, since 2024).
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from goodricke.io import Unreadable, read, recognise

STAR = 2328619740476096384  # needs all 64 bits
SIGMA = 2.5 / np.log(10)

TRANSITS = pd.DataFrame(
    {
        "solution_id": 375316653866487564,
        "source_id": [STAR, STAR, STAR + 1],
        "transit_id": [19904707766277818, 22755823142500184, 22755823142500185],
        "g_transit_time": [1808.37, 1756.8137, 1756.9],
        "g_transit_flux": [85000.0, 61000.0, 500.0],
        "g_transit_flux_error": [85.0, 61.0, 50.0],
        "g_transit_flux_over_error": [1000.0, 1000.0, 10.0],
        "g_transit_mag": [13.3, 13.7, 18.9],
        "bp_obs_time": [np.nan, 1756.8139, 1756.9002],
        "bp_flux": [np.nan, 38000.0, 200.0],
        "bp_flux_error": [np.nan, 95.0, 20.0],
        "bp_flux_over_error": [np.nan, 400.0, 10.0],
        "bp_mag": [np.nan, 13.9, 19.2],
        "rp_obs_time": [1808.3705, 1756.8140, 1756.9003],
        "rp_flux": [45000.0, 33000.0, 300.0],
        "rp_flux_error": [90.0, 66.0, 30.0],
        "rp_flux_over_error": [500.0, 500.0, 10.0],
        "rp_mag": [13.1, 13.4, 18.5],
        "variability_flag_g_reject": [False, False, True],
        "variability_flag_bp_reject": [True, False, False],
        "variability_flag_rp_reject": [False, False, False],
        "g_other_flags": [4097, 0, 0],
        "bp_other_flags": [1024, 0, 0],
        "rp_other_flags": [16779264, 0, 0],
        "rejected_by_photometry": [False, False, False],
    }
)


def long() -> pd.DataFrame:
    parts = []
    for band, low, time in (("G", "g_transit", "g_transit"), ("BP", "bp", "bp_obs"), ("RP", "rp", "rp_obs")):
        part = TRANSITS[["source_id", "transit_id"]].assign(band=band, time=TRANSITS[f"{time}_time"])
        for name in ("mag", "flux", "flux_error", "flux_over_error"):
            part[name] = TRANSITS[f"{low}_{name}"]
        part["rejected_by_photometry"] = part["mag"].isna()
        part["rejected_by_variability"] = TRANSITS[f"variability_flag_{band.lower()}_reject"]
        part["other_flags"] = TRANSITS[f"{band.lower()}_other_flags"]
        parts.append(part.assign(solution_id=375316653866487564))
    return pd.concat(parts)


def raw() -> dict[str, list]:
    """Return one row per source, arrays in the columns, as lists with None for what is missing."""
    groups = [TRANSITS[TRANSITS["source_id"] == i] for i in (STAR, STAR + 1)]
    table = {"solution_id": [1, 1], "source_id": [STAR, STAR + 1], "n_transits": [2, 1]}
    for name in TRANSITS.columns[2:]:
        if "flags" not in name and "photometry" not in name:
            values = [group[name].astype(object).where(group[name].notna(), None).tolist() for group in groups]
            table[name] = values
    table["photometry_flag_rp_reject"] = [[False, False], [True]]
    return table


def as_text(cell):
    if not isinstance(cell, list):
        return cell
    return "[" + ", ".join("null" if x is None else str(x).lower() for x in cell) + "]"


def masked(values, kind):
    column = np.empty(len(values), object)
    for i, cell in enumerate(values):
        data = [(np.nan if kind is float else 0) if x is None else x for x in cell]  # VOTable has no other null
        column[i] = np.ma.array(data, kind, mask=[x is None for x in cell])
    return column


def written(folder, shape, form):
    path = folder / f"EPOCH_PHOTOMETRY-{shape}.{form}"
    if shape == "raw":
        columns = raw()
        if form == "parquet":
            pq.write_table(pa.table(columns), path)
        elif form == "csv":
            pd.DataFrame({k: [as_text(cell) for cell in v] for k, v in columns.items()}).to_csv(path, index=False)
        else:
            table = Table(
                {
                    name: masked(v, bool if "flag" in name else np.int64 if "id" in name else float)
                    if isinstance(v[0], list)
                    else np.array(v)
                    for name, v in columns.items()
                }
            )
            table.write(path, format={"xml": "votable", "ecsv": "ascii.ecsv"}[form])
        return path
    frame = long() if shape == "long" else TRANSITS
    if form == "csv":
        frame.replace({True: "true", False: "false"}).to_csv(path, index=False)
    elif form == "parquet":
        frame.to_parquet(path)
    else:
        Table.from_pandas(frame).write(path, format="votable")
    return path


FILES = [(shape, form) for shape in ("long", "wide", "raw") for form in ("csv", "xml", "parquet")] + [("raw", "ecsv")]


@pytest.mark.parametrize(("shape", "form"), FILES)
def test_all_shapes_and_formats_hold_the_same(tmp_path, shape, form):
    path = written(tmp_path, shape, form)
    assert recognise(path).NAME == "gaia"
    curves = read(path)
    assert curves.ids == [str(STAR), str(STAR + 1)]
    assert (curves.unit, curves.time_scale) == ("mag", "BJD")
    one = curves[0]
    assert [curves.bands[b] for b in one.band] == ["G", "BP", "RP", "G", "RP"]
    assert one.time == pytest.approx(2455197.5 + np.array([1756.8137, 1756.8139, 1756.8140, 1808.37, 1808.3705]))
    assert one.value == pytest.approx([13.7, 13.9, 13.4, 13.3, 13.1])
    assert one.error == pytest.approx(SIGMA / np.array([1000, 400, 500, 1000, 500]), rel=1e-5)
    other = {"raw": ["BP"]}.get(shape, ["BP", "RP"])  # in RAW its RP was rejected by the photometric processing
    assert [curves.bands[b] for b in curves[1].band] == other


@pytest.mark.parametrize("shape", ["long", "wide"])
def test_rejected_observations(tmp_path, shape):
    path = written(tmp_path, shape, "csv")
    assert read(path, quality="hard").n_obs.tolist() == [3, 2]
    assert read(path, quality="none").n_obs.tolist() == [5, 3]
    assert read(path).column("n_flagged").tolist() == [0, 1]


def test_flux_in_electrons_per_second(tmp_path):
    curves = read(written(tmp_path, "wide", "csv"), flux="flux")
    assert curves.unit == "electron / s"
    assert curves[1].value.tolist() == [200, 300]
    assert curves[1].error.tolist() == [20, 30]
    with pytest.raises(Unreadable, match="no brightness pdcsap"):
        read(written(tmp_path, "wide", "csv"), flux="pdcsap")


def test_error_from_the_flux_where_the_ratio_is_missing(tmp_path):
    path = written(tmp_path, "long", "csv")
    pd.read_csv(path).drop(columns="flux_over_error").to_csv(path, index=False)
    assert read(path)[0].error[:2] == pytest.approx([SIGMA / 1000, SIGMA / 400], rel=1e-5)


def test_arrays_of_different_length(tmp_path):
    columns = raw()
    columns["bp_mag"][1] = []
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match="different length in row 2"):
        read(tmp_path / "a.parquet")


def test_an_ordinary_table_with_a_band_is_not_gaia(tmp_path):
    (tmp_path / "a.csv").write_text("source_id,band,time,mag\n1,G,59000,12\n1,G,59001,13\n")
    assert recognise(tmp_path / "a.csv").NAME == "table"
