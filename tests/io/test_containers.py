"""Promise 3: the same numbers give the same light curves, whatever container they come in.

A few random tables of each kind by default; ``GOODRICKE_RANDOM_TABLES=100`` tries more.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from astropy.timeseries import TimeSeries
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, as_light_curves, read, read_batches
from goodricke.io.reading import read_pieces

# warnings of writers and of broken files: some of astropy's can't be sent between test processes
pytestmark = pytest.mark.filterwarnings("ignore")

N_TABLES = int(os.environ.get("GOODRICKE_RANDOM_TABLES", "8"))
DAYS = {"mjd": 1, "time [s]": 1 / 86400, "time [h]": 1 / 24, "MJD [d]": 1, "MJD-50000": 1}
BRIGHTNESS = {"mag": "mag_err", "mag [mmag]": "mag_err [mmag]", "flux [mJy]": "flux_err [mJy]", "flux": "flux_err"}


@st.composite
def tables(draw):
    """Return a table of observations as lists by name: stars one after another, gaps, limits, bands, units in names."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    counts = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    n, time, value = sum(counts), draw(st.sampled_from(list(DAYS))), draw(st.sampled_from(list(BRIGHTNESS)))
    days = np.round(np.concatenate([np.sort(random.uniform(58000, 59000, count)) for count in counts]), 4)
    scale = 1000 if "mmag" in value else 1
    magnitudes = np.round(random.normal(15, 0.3, n), 3)
    errors = np.round(random.uniform(0.01, 0.1, n), 3)
    if value.startswith("mag") and draw(st.booleans()):
        sentinel = draw(st.sampled_from([99.99, 99.0, -99.0, 999.0]))
        magnitudes = np.where(random.random(n) < 0.2, sentinel, magnitudes)
    if draw(st.booleans()):
        errors = np.where(random.random(n) < 0.2, np.nan, errors)
    if draw(st.booleans()):
        magnitudes = np.where(random.random(n) < 0.2, np.nan, magnitudes)
    table = {
        "object_id": np.repeat([f"star{i}" for i in range(len(counts))], counts),
        time: (days - (50000 if "50000" in time else 0)) / DAYS[time],
        value: magnitudes * scale,
        BRIGHTNESS[value]: errors * scale,
    }
    if draw(st.booleans()):
        table["band"] = random.choice(["g", "r", "i"], n)
    if draw(st.booleans()):
        table["hjd"] = np.where(np.arange(n) == 0, np.nan, days + 2400000.5)
    if draw(st.booleans()) and not value.startswith("mag"):
        table["upperlimit"] = random.random(n) < 0.2
    return table


def nested(table):
    frame = pd.DataFrame(table)
    groups = [group.drop(columns="object_id") for _, group in frame.groupby("object_id", sort=False)]
    lists = pa.array([group.to_dict("records") for group in groups], _struct(frame))
    return pa.table({"object_id": list(dict.fromkeys(table["object_id"])), "lightcurve": lists})


def _struct(frame):
    types = {"f": pa.float64(), "b": pa.bool_()}
    fields = [pa.field(n, types.get(frame[n].dtype.kind, pa.string())) for n in frame.columns if n != "object_id"]
    return pa.list_(pa.struct(fields))


def as_csv(table, path):
    pd.DataFrame(table).to_csv(path, index=False)


def as_tsv(table, path):
    pd.DataFrame(table).to_csv(path, index=False, sep="\t")


def as_json(table, path):
    columns = {k: [None if x != x else x for x in np.asarray(v).tolist()] for k, v in table.items()}
    path.write_text(json.dumps([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]))


def as_json_columns(table, path):
    path.write_text(json.dumps({k: [None if x != x else x for x in np.asarray(v).tolist()] for k, v in table.items()}))


def as_vizier(table, path):
    names, units = _names_and_units(table)
    rows = ["\t".join(cells) for cells in zip(*map(_cells, table.values()), strict=True)]
    lines = ["#RESOURCE=yCat", "\t".join(names), "\t".join(units), "\t".join("-" * len(name) for name in names)]
    path.write_text("\n".join(["# VizieR", *lines, *rows, ""]))


def as_machine_readable(table, path):
    """Write a machine-readable table of the AAS, with the bytes of each column."""
    names, units = _names_and_units(table)
    columns, about, rule, at = [_cells(values) for values in table.values()], [], "-" * 80, 1
    for name, unit, cells, values in zip(names, units, columns, table.values(), strict=True):
        width = max(map(len, cells))
        form = {"f": f"F{width}.3", "b": "I1"}.get(np.asarray(values).dtype.kind, f"A{width}")
        about.append(f"{at:4d}-{at + width - 1:4d} {form:8s} {unit or '---':8s} {name:12s} ? a column")
        at += width + 1
    rows = [
        " ".join(c.ljust(max(map(len, column))) for c, column in zip(r, columns, strict=True))
        for r in zip(*columns, strict=True)
    ]
    head = ["Title: a", "Authors: b", "Table: c", "=" * 80, "Byte-by-byte Description of file: a.txt", rule]
    path.write_text(
        "\n".join([*head, "   Bytes Format Units    Label        Explanations", rule, *about, rule, *rows, ""])
    )


def _names_and_units(table):
    parts = [name.rstrip("]").split(" [") for name in table]
    return [part[0] for part in parts], [part[1] if len(part) > 1 else "" for part in parts]


def _cells(values):
    """Return values as text, missing ones empty."""
    values = np.asarray(values)
    values = values.astype(int) if values.dtype.kind == "b" else values
    return ["" if value != value else str(value) for value in values.tolist()]


def as_nested_pandas(table):
    nested_pandas = pytest.importorskip("nested_pandas", reason="needs goodricke[survey]")
    rows = nested(table)
    fields = list(rows.schema.field("lightcurve").type.value_type)
    kind = pa.struct([(field.name, pa.list_(field.type)) for field in fields])
    records = rows["lightcurve"].to_pylist()
    lists = [{field.name: [record[field.name] for record in star] for field in fields} for star in records]
    series = pd.Series(
        pa.array(lists, kind).to_pandas(types_mapper=pd.ArrowDtype), dtype=nested_pandas.NestedDtype(kind)
    )
    frame = nested_pandas.NestedFrame({"object_id": rows["object_id"].to_pylist()})
    frame["lightcurve"] = series
    return frame


WRITERS = {
    "csv": as_csv,
    "tsv": as_tsv,
    "json": as_json,
    "columns.json": as_json_columns,
    "vizier.tsv": as_vizier,
    "mrt.txt": as_machine_readable,
    "ecsv": lambda table, path: Table(table).write(path, format="ascii.ecsv"),
    "fits": lambda table, path: Table(table).write(path, format="fits"),
    "vot": lambda table, path: Table(table).write(path, format="votable"),
    "parquet": lambda table, path: pd.DataFrame(table).to_parquet(path),
    "nested.parquet": lambda table, path: pq.write_table(nested(table), path),
}
IN_MEMORY = {"pandas": pd.DataFrame, "Arrow": pa.table, "nested Arrow": nested, "astropy": Table}
IN_MEMORY |= {"nested-pandas": as_nested_pandas, "mapping": dict}


def as_hats(table, folder: Path) -> Path:
    """Write a HATS catalog of two partitions."""
    (folder / "dataset" / "Norder=0" / "Dir=0").mkdir(parents=True)
    (folder / "hats.properties").write_text("obs_collection=a\ndataproduct_type=object\n")
    rows = nested(table)
    for pixel, part in enumerate((rows.slice(0, 1), rows.slice(1))):
        pq.write_table(part, folder / "dataset" / "Norder=0" / "Dir=0" / f"Npix={pixel}.parquet")
    return folder


def check_same(curves: LightCurves, expected: LightCurves, container: str) -> None:
    assert curves.ids == expected.ids, container
    assert (curves.unit, curves.time_scale) == (expected.unit, expected.time_scale), container
    np.testing.assert_array_equal(curves.offsets, expected.offsets, container)
    np.testing.assert_allclose(curves.time, expected.time, rtol=0, atol=1e-8, err_msg=container)
    np.testing.assert_array_equal(curves.value, expected.value, container)
    np.testing.assert_array_equal(curves.error, expected.error, container)
    bands, others = ([batch.bands[i] for i in batch.band] for batch in (curves, expected))
    assert bands == others, container
    assert curves.column("n_used").tolist() == expected.column("n_used").tolist(), container


@settings(max_examples=N_TABLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_every_container_gives_the_same_light_curves(tmp_path: Path, table):
    expected = as_light_curves(pd.DataFrame(table))
    for ending, write in WRITERS.items():
        path = tmp_path / f"a.{ending}"
        path.unlink(missing_ok=True)
        write(table, path)
        check_same(read(path), expected, ending)
    for container, make in IN_MEMORY.items():
        check_same(as_light_curves(make(table)), expected, container)
    shutil.rmtree(tmp_path / "hats", ignore_errors=True)
    plain = {name: values for name, values in table.items() if name != "hjd"}  # each partition chooses its own times
    check_same(read(as_hats(plain, tmp_path / "hats")), as_light_curves(pd.DataFrame(plain)), "HATS")


@settings(max_examples=N_TABLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), unit=st.sampled_from([u.mag, u.mmag, u.mJy, u.nJy]), gaps=st.booleans())
def test_time_series_in_memory_and_in_files_are_tables(tmp_path: Path, seed, unit, gaps):
    random = np.random.default_rng(seed)
    time = Time(np.sort(random.uniform(58000, 59000, 9)).round(4), format="mjd")
    value = np.where((random.random(9) < 0.3) & gaps, np.nan, random.normal(15, 1, 9).round(3))
    name = "mag" if "mag" in str(unit) else "flux"
    columns = {f"{name} [{unit}]": value, f"{name}_err [{unit}]": np.full(9, 0.125)}
    expected = as_light_curves(pd.DataFrame({"object_id": "A", "mjd": time.mjd} | columns))
    series = TimeSeries(time=time, data={name: value * unit, f"{name}_err": np.full(9, 0.125) * unit})
    series["object_id"] = ["A"] * 9
    check_same(as_light_curves(series), expected, "TimeSeries")
    for form, ending in (("ascii.ecsv", "ecsv"), ("fits", "fits")):
        series.write(tmp_path / f"a.{ending}", format=form, overwrite=True)
        check_same(read(tmp_path / f"a.{ending}"), expected, ending)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1 << 32), batch=st.integers(1, 30))
def test_a_nested_file_is_judged_as_a_whole(tmp_path_factory, seed, batch):
    """A number is a dummy or a limit by what the whole file says, however many rows are read at a time."""
    random, path = np.random.default_rng(seed), tmp_path_factory.mktemp("nested") / "a.parquet"
    value, error = random.normal(200, 20, 60).round(2), np.full(60, 5.0)
    value[random.random(60) < 0.1], error[random.random(60) < 0.1] = -999, -1
    time = np.where(random.random(60) < 0.2, 0.0, random.uniform(58000, 59000, 60))
    ids = np.repeat([f"star{i}" for i in range(20)], 3)
    table = {"object_id": ids, "mjd": time, "flux": value, "flux_err": error}
    pq.write_table(nested(table), path, row_group_size=4)
    parts = [curves for curves, _ in read_batches(path, max_points=batch) if curves is not None]
    check_same(LightCurves.concat(parts), as_light_curves(pd.DataFrame(table)), "batches")


RARE = {  # columns by star: what one star has counts for all of the file
    "systems of zero points": {"zp": lambda i: 25.0, "zpsys": lambda i: "vega" if i == 7 else "ab"},
    "qualities in letters": {"quality": lambda i: "BGB"[i % 3] if i > 3 else "B"},
    "qualities of no known scale": {"quality": lambda i: "X" if i == 8 else "B"},
    "numbers of no survey's bands": {"fid": lambda i: 9 if i == 6 else 1 + i % 3},
    "numbers of a survey's bands": {"fid": lambda i: None if i == 2 else 1 + i % 3},
    "numbers and words as qualities": {"quality": lambda i: "B" if i == 5 else "0"},
}


@pytest.mark.parametrize("what", RARE)
@pytest.mark.parametrize("as_structs", [True, False])
def test_whatever_is_cut_into_batches_is_judged_by_all_rows(tmp_path, what, as_structs):
    rows = [{"mjd": 59000.0 + k, "flux": 100.0 + k, "flux_err": 1.0} for k in range(3)]
    stars = [[row | {name: value(i) for name, value in RARE[what].items()} for row in rows] for i in range(10)]
    lists = pa.array(stars)
    if not as_structs:
        names = [field.name for field in lists.type.value_type]
        lists = pa.StructArray.from_arrays([pa.array([[r[n] for r in s] for s in stars]) for n in names], names)
    check_batches(tmp_path / "a.parquet", pa.table({"object_id": [f"star{i}" for i in range(10)], "lightcurve": lists}))


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        ([None, None, None, "4", "5"], "4"),
        (["1.0", "2.0", "3.0", "4.0", "x"], "1.0"),
        (["1.0", "2.0", "3.0", "4.0", "5.0"], "1"),
        (["4e12", "4e13", "a", "b", "c"], "4e12"),
    ],
)
def test_identifiers_and_times_are_judged_by_all_rows(tmp_path, ids, first):
    times = [[None, None], [0.0, 1700.5], [2459000.5, 2459001.5], [2459000.5], [2459003.5, 2459004.5, 2459005.5]]
    lists = [[{"BTJD": time, "mag": 12.0 + k} for k, time in enumerate(star)] for star in times]
    curves = check_batches(tmp_path / "a.parquet", pa.table({"object_id": ids, "lightcurve": lists}))
    assert curves.ids[0] == first
    assert curves.time_scale == "JD"


def check_batches(path: Path, table: pa.Table) -> LightCurves:
    """Check that rows and row groups read one by one give what they give together; return the light curves."""
    pq.write_table(table, path, row_group_size=2)
    parts = [piece for piece, _ in read_batches(path, max_points=1)]
    groups = [range(i, i + 1) for i in range(pq.ParquetFile(path).num_row_groups)]
    pieces = [curves for group in groups for _, curves in read_pieces(str(path), ReadOptions(), 1 << 62, group)]
    curves = as_light_curves(table)
    check_same(LightCurves.concat([part for part in parts if part is not None and len(part)]), curves, "rows")
    check_same(LightCurves.concat([piece for piece in pieces if len(piece)]), curves, "row groups")
    check_same(read(path), curves, "file")
    return curves


@settings(max_examples=N_TABLES, deadline=None)
@given(table=tables())
def test_the_numbers_are_those_of_the_table(table):
    curves = as_light_curves(pd.DataFrame(table))
    time, value = (next(name for name in table if name in known) for known in (DAYS, BRIGHTNESS))
    zero = 50000 if "50000" in time else 0
    numbers = table[value] * (1e-3 if "mmag" in value else 1)
    measured = np.isfinite(numbers) & (np.abs(numbers) < 50) & ~table.get("upperlimit", np.zeros(len(numbers), bool))
    assert curves.time == pytest.approx((table[time] * DAYS[time] + zero)[measured], abs=1e-7)
    assert curves.value == pytest.approx(numbers[measured], rel=1e-6)
    assert curves.n_obs.tolist() == curves.column("n_used").tolist()


def test_series_of_astropy(tmp_path):
    time, mag = Time([59000.5, 59001.5, 59002.5], format="mjd"), [12000.0, 12500.0, 13000.0]
    series = TimeSeries(time=time, data={"mag": mag * u.mmag, "mag_err": [10.0, 20.0, 30.0] * u.mmag})
    rows = pd.DataFrame({"mjd": time.mjd, "mag [mmag]": mag, "mag_err [mmag]": [10.0, 20.0, 30.0]})
    expected, curves = as_light_curves(rows), LightCurves.from_timeseries(series, value="mag", error="mag_err")
    series.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    for other in (curves, read(tmp_path / "a.ecsv")):
        assert (other.unit, other.time_scale) == (expected.unit, expected.time_scale) == ("mag", "MJD")
        assert other.time == pytest.approx(expected.time, abs=1e-8)
        assert other.value == pytest.approx(expected.value)
        assert other.error == pytest.approx(expected.error)
