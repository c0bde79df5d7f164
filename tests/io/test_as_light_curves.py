"""Light curves from whatever holds them: the same numbers, the same light curves; what is missing is named."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from astropy.time import Time
from astropy.timeseries import TimeSeries

from goodricke.data.arrow import table_from_frame
from goodricke.data.lightcurves import LightCurves
from goodricke.io import Unreadable, as_light_curves, read
from tests.making import sky


@pytest.fixture
def curves() -> LightCurves:
    return sky(6)[0]


def lists(curves: LightCurves, time: str = "mjd") -> pd.DataFrame:
    names = np.array(curves.bands)
    rows = [(c.time, c.value, c.error, names[c.band].tolist()) for c in curves]
    return pd.DataFrame(rows, columns=[time, "mag", "magerr", "band"])


def same(one: LightCurves, other: LightCurves) -> None:
    assert one.n_obs.tolist() == other.n_obs.tolist()
    for name in ("time", "value", "error"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    assert [one.bands[b] for b in one.band] == [other.bands[b] for b in other.band]


def test_light_curves_are_themselves_and_lists_of_them_are_joined(curves):
    assert as_light_curves(curves) is curves
    same(as_light_curves([curves[:2], curves[2], curves[3:]]), curves)
    same(as_light_curves(list(curves)), curves)


def test_frames_of_lists_and_nested_ones_and_arrow_tables(curves):
    pytest.importorskip("nested_pandas", reason="needs goodricke[survey]")
    for frame in (lists(curves), curves.to_nested_pandas(), curves.to_arrow(), pa.Table.from_pandas(lists(curves))):
        found = as_light_curves(frame)
        same(found, curves)
        assert found.unit == "mag"
    assert as_light_curves(curves.to_nested_pandas()).ids == curves.ids


def test_without_a_column_of_ids_the_index_names_them(curves):
    frame = lists(curves)
    assert as_light_curves(frame.iloc[2:4]).ids == ["2", "3"]
    assert as_light_curves(frame.set_index(pd.Index(list("abcdef")))).ids == list("abcdef")
    assert as_light_curves(frame.assign(star=list("uvwxyz"))).ids == list("uvwxyz")
    assert as_light_curves(frame.assign(code=list("uvwxyz")), columns={"object_id": "code"}).ids == list("uvwxyz")


def test_options_tell_what_a_frame_does_not(curves):
    frame = lists(curves, "when").rename(columns={"mag": "light", "magerr": "give"})
    names = {"time": "when", "value": "light", "error": "give"}
    found = as_light_curves(frame, columns=names, unit="nJy", rename_bands={"g": "G"})
    assert (found.unit, set(found.bands)) == ("nJy", {"G", "r"})
    with pytest.raises(Unreadable, match=r"the DataFrame: has no time column.*columns="):
        as_light_curves(frame)


def test_unit_and_time_scale_of_a_frame_are_kept(curves):
    frame = lists(curves).rename(columns={"mag": "value", "magerr": "error"})
    frame.attrs = {"unit": "nJy", "time_scale": "BTJD"}
    assert table_from_frame(frame).schema.metadata == {b"unit": b"nJy", b"time_scale": b"BTJD"}
    assert as_light_curves(frame).unit == "nJy"


def test_missing_rows_are_empty_light_curves(curves):
    frame = lists(curves).astype(object)
    frame.loc[1] = None
    assert as_light_curves(frame).n_obs.tolist() == [0 if k == 1 else n for k, n in enumerate(curves.n_obs)]


def test_each_file_of_a_list_is_a_light_curve(curves, tmp_path, caplog):
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    for path, one in zip(paths, curves, strict=False):
        one.write_parquet(path)
    paths[1].write_bytes(b"broken")
    found = as_light_curves(paths)
    assert found.ids == ["0", "b", "2"]
    assert found.n_obs.tolist() == [curves.n_obs[0], 0, curves.n_obs[2]]
    assert "b.parquet" in caplog.text
    assert as_light_curves(np.array([str(paths[1])])).n_obs.tolist() == [0]
    curves.write_parquet(paths[0])
    with pytest.raises(ValueError, match=r"a\.parquet has 6 light curves"):
        as_light_curves(paths)
    same(as_light_curves(str(paths[0])), curves)


# ---- every kind of source ------------------------------------------------------------------------------------------

TIME, MAG, ERROR = 58000 + np.arange(12.0) * 1.25, 15 + np.sin(np.arange(12.0)).round(3), np.full(12, 0.02)
DATES = pd.DatetimeIndex(Time(TIME, format="mjd").iso)
BAND = np.array(["g", "r"] * 6)
COLUMNS = {"mjd": TIME, "mag": MAG, "magerr": ERROR, "band": BAND}
ROW = {name: list(values) for name, values in COLUMNS.items()}


class LightCurve(TimeSeries):
    """As lightkurve has it: a time series of astropy with flux, flux_err and what the header said."""

    _required_columns: ClassVar = ["time", "flux", "flux_err"]
    flux = property(lambda self: self["flux"])


class LightCurveCollection:
    """As lightkurve's: members and a length, and no sequence by type."""

    def __init__(self, members):
        self.data = list(members)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data[index]


class Exporting:
    """A frame of polars or another library: known by its columns in Arrow's memory layout only."""

    def __init__(self, table):
        self.table, self.columns = table, table.column_names

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Lazy:
    """A frame that isn't loaded."""

    columns = ("mjd", "mag")

    def collect(self):
        raise AssertionError


def time_series(kind=TimeSeries, **more):
    return kind(time=Time(TIME, format="mjd"), data={"mag": MAG * u.mag, "mag_err": ERROR * u.mag, "band": BAND} | more)


def lightkurve_like(sector=1, kind=LightCurve, **meta):
    """Return one as lightkurve downloads it."""
    flux = {"flux": (100 + MAG) * u.electron / u.s, "flux_err": ERROR * u.electron / u.s, "quality": np.zeros(12, int)}
    header = {"TARGETID": 1234, "MISSION": "TESS", "SECTOR": sector, "AUTHOR": "SPOC", "LABEL": "TIC 1234"} | meta
    return kind(time=Time(2458325 + np.arange(12.0), format="jd", scale="tdb"), data=flux, meta=header)


def with_lists(frame=pd.DataFrame):
    return frame({name: [values] for name, values in ROW.items()} | {"star": ["A"]})


ONE = {
    "pandas, long": lambda: pd.DataFrame(COLUMNS),
    "pandas, times in the index": lambda: pd.DataFrame(COLUMNS).set_index("mjd"),
    "pandas, dates in the index": lambda: pd.DataFrame(COLUMNS, index=DATES).drop(columns="mjd"),
    "pandas, star in the index": lambda: pd.DataFrame(COLUMNS | {"star": "A"}).set_index(["star", "mjd"]),
    "pandas, a row with lists": with_lists,
    "nested-pandas": lambda: as_light_curves(pd.DataFrame(COLUMNS)).to_nested_pandas(),
    "Arrow, long": lambda: pa.table(COLUMNS),
    "Arrow, a batch of rows": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "Arrow, a row with lists": lambda: with_lists(pa.table),
    "Arrow, nested": lambda: as_light_curves(pd.DataFrame(COLUMNS)).to_arrow(),
    "exporting, long": lambda: Exporting(pa.table(COLUMNS)),
    "exporting, a row with lists": lambda: Exporting(with_lists(pa.table)),
    "polars": lambda: pytest.importorskip("polars").DataFrame(COLUMNS),
    "polars, a row with lists": lambda: pytest.importorskip("polars").DataFrame({k: [v] for k, v in ROW.items()}),
    "astropy table": lambda: Table(COLUMNS),
    "astropy table with units": lambda: QTable(COLUMNS | {"mag": MAG * 1000 * u.mmag, "magerr": ERROR * 1000 * u.mmag}),
    "astropy table, a row with lists": lambda: Table(
        {name: [values] for name, values in COLUMNS.items() if name != "band"}
    ),
    "astropy time series": time_series,
    "structured array": lambda: Table(COLUMNS).as_array(),
    "mapping": lambda: dict(COLUMNS),
    "mapping of lists": lambda: dict(ROW),
    "records": lambda: [ROW],
    "list of a table": lambda: [Table(COLUMNS)],
    "tuple of a frame": lambda: (pd.DataFrame(COLUMNS),),
    "iterator": lambda: iter([pd.DataFrame(COLUMNS)]),
    "collection": lambda: LightCurveCollection([time_series()]),
    "series of light curves": lambda: pd.Series([as_light_curves(pd.DataFrame(COLUMNS))]),
    "light curves": lambda: as_light_curves(pd.DataFrame(COLUMNS)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ONE)
def test_the_same_numbers_in_any_source_are_the_same_light_curve(kind):
    if kind.startswith("nested"):
        pytest.importorskip("nested_pandas", reason="needs goodricke[survey]")
    expected = as_light_curves(time=TIME, mag=MAG, error=ERROR, band=BAND)
    source = ONE[kind]()
    for curves in (as_light_curves(source), read(source)) if kind != "iterator" else (as_light_curves(source),):
        assert len(curves) == 1
        assert (curves.unit, curves.time_scale) == ("mag", "MJD")
        assert curves.time == pytest.approx(TIME, abs=1e-8)
        if "with lists" in kind and kind.startswith("astropy"):
            assert curves.value == pytest.approx(expected.value)
            continue
        same(curves, expected)


@pytest.mark.parametrize("container", [list, np.array, pd.Series, tuple, pa.array])
def test_arrays_of_any_kind(container):
    curves = as_light_curves(
        time=container(TIME), flux=container(MAG), error=container(ERROR), unit="nJy", object_id="A"
    )
    assert (curves.ids, curves.unit, curves.time_scale, curves.bands) == (["A"], "nJy", "MJD", ("none",))
    np.testing.assert_array_equal(curves.time, TIME)
    named = as_light_curves(time=container(TIME), mag=container(MAG), band="g")
    assert (named.ids, named.unit, named.bands) == (["unnamed"], "mag", ("g",))
    assert np.isnan(named.error).all()


def test_arrays_of_several_light_curves():
    ragged = as_light_curves(time=[TIME, TIME[:5]], mag=[MAG, MAG[:5]], object_id=["A", "B"])
    assert (ragged.ids, ragged.n_obs.tolist()) == (["A", "B"], [12, 5])
    long = as_light_curves(time=np.tile(TIME, 2), mag=np.tile(MAG, 2), object_id=["A"] * 12 + ["B"] * 12)
    assert (long.ids, long.n_obs.tolist()) == (["A", "B"], [12, 12])
    assert as_light_curves(time=np.stack([TIME] * 3), flux=np.stack([MAG] * 3)).n_obs.tolist() == [12] * 3


def test_a_nested_column_without_its_frame():
    pytest.importorskip("nested_pandas", reason="needs goodricke[survey]")
    curves = as_light_curves(time=[TIME, TIME[:5]], mag=[MAG, MAG[:5]])
    column = curves.to_nested_pandas()["lightcurve"]
    same(as_light_curves(column, unit="mag", time_scale="MJD"), curves)


def test_paths_are_read_from_any_iterable(tmp_path):
    for name in "ab":
        pd.DataFrame(COLUMNS).to_csv(tmp_path / f"{name}.csv", index=False)
    expected = ["a", "b"]
    assert read(sorted(tmp_path.glob("*.csv"))).ids == expected
    assert sorted(read(tmp_path.glob("*.csv")).ids) == expected
    assert as_light_curves(iter(sorted(tmp_path.glob("*.csv")))).ids == expected
    with pytest.raises(Unreadable, match="names no file"):
        read([])


def test_quantities_and_times_bring_their_units():
    time, flux = Time(TIME, format="mjd"), np.ma.masked_less(MAG, 15)
    curves = as_light_curves(time=time, mag=MAG * 1000 * u.mmag, error=ERROR * 1000 * u.mmag)
    same(curves, as_light_curves(time=TIME, mag=MAG, error=ERROR))
    masked = as_light_curves(time=(TIME * 24) * u.hour, flux=flux)
    assert masked.time == pytest.approx(TIME[~flux.mask])


def test_one_error_is_that_of_all_values():
    same(
        as_light_curves(time=TIME, mag=MAG, error=0.02),
        as_light_curves(time=TIME, mag=MAG, error=np.full(len(MAG), 0.02)),
    )


def test_what_lightkurve_downloads():
    curves = as_light_curves(lightkurve_like())
    assert (curves.ids, curves.unit, curves.bands) == (["TIC 1234"], "electron / s", ("TESS",))
    assert curves.column("sector").tolist() == [1]
    many = as_light_curves(LightCurveCollection([lightkurve_like(1), lightkurve_like(2)]))
    assert (many.ids, many.column("sector").tolist()) == (["TIC 1234"] * 2, [1, 2])

    class FoldedLightCurve(LightCurve):
        pass

    with pytest.raises(Unreadable, match=r"phases.*before fold\(\)"):
        as_light_curves(lightkurve_like(kind=FoldedLightCurve))


def test_times_from_zero_are_no_julian_dates():
    """lightkurve calls plain numbers of days Julian dates."""
    series = LightCurve(time=Time(np.arange(12.0), format="jd"), data={"flux": 1 + MAG, "flux_err": ERROR})
    curves = as_light_curves(series)
    assert (curves.time_scale, curves.time.tolist()) == ("unknown", list(range(12)))


def test_names_of_objects():
    assert as_light_curves(pd.DataFrame(COLUMNS), object_id="A").ids == ["A"]
    assert as_light_curves([pd.DataFrame(COLUMNS), Table(COLUMNS)]).ids == ["0", "1"]
    assert as_light_curves(Table(COLUMNS, meta={"object": "RR Lyr"})).ids == ["RR Lyr"]
    assert as_light_curves([pd.DataFrame(COLUMNS)] * 2, object_id=["x", "y"]).ids == ["x", "y"]
    with pytest.raises(ValueError, match="1 object_id for 2 light curves"):
        as_light_curves([pd.DataFrame(COLUMNS)] * 2, object_id="x")


def test_there_and_back():
    curves = as_light_curves(pd.DataFrame(COLUMNS | {"star": "A"}))
    for source in (curves.to_pandas(), curves.to_astropy(), curves.to_arrow()):
        same(as_light_curves(source), curves)
        assert as_light_curves(source).ids == curves.ids
    for unit, scale in (("nJy", "BTJD"), ("relative", "unknown"), ("mag", "HJD")):
        zero = {"BTJD": 0, "unknown": 0, "HJD": 2450000}[scale]
        arrays = LightCurves.from_arrays(
            ["a", "b"], [0, 6, 12], TIME - 57000 + zero, MAG, ERROR, unit=unit, time_scale=scale
        )
        for source in (arrays.to_pandas(), arrays.to_astropy(), arrays.to_arrow()):
            back = as_light_curves(source)
            assert (back.unit, back.time_scale) == (unit, scale), type(source)
            assert back.time == pytest.approx(arrays.time, abs=1e-8)
            np.testing.assert_array_equal(back.value, arrays.value)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("05:34:31.94", "+22:00:52.2"),
        ("05 34 31.94", "22 00 52.2"),
        ("05h34m31.94s", "+22d00m52.2s"),
        (83.63308, 22.0145),
    ],
)
def test_positions_may_be_sexagesimal(ra, dec):
    place = {"ra": ra, "dec": dec}
    flat = as_light_curves(pd.DataFrame(COLUMNS | place))
    nested = as_light_curves(with_lists().assign(**place))
    for curves in (flat, nested):
        assert curves["ra"] == pytest.approx([83.63308], abs=1e-5)
        assert curves["dec"] == pytest.approx([22.0145], abs=1e-5)


def test_a_position_that_is_none_costs_no_light_curve():
    for place in ({"ra": "unknown", "dec": "+22 00 52"}, {"ra": None, "dec": None}):
        assert as_light_curves(with_lists().assign(**place)).n_obs.tolist() == [12]
        assert as_light_curves(pd.DataFrame(COLUMNS | place)).n_obs.tolist() == [12]


# ---- what is refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "nothing": (None, {}, TypeError, "nothing was given; time= and mag= or flux= missing"),
    "no brightness": (
        None,
        {"time": TIME},
        TypeError,
        r"only time= was given; mag= or flux= missing\. Fix: give time= and mag=",
    ),
    "no times": (None, {"mag": MAG, "error": ERROR}, TypeError, "only mag= and error= was given; time= missing"),
    "two brightnesses": (None, {"time": TIME, "mag": MAG, "flux": MAG}, TypeError, "both mag= and flux="),
    "lengths": (None, {"time": TIME, "mag": MAG[1:]}, ValueError, "time has 12, mag has 11"),
    "table and arrays": (pd.DataFrame(COLUMNS), {"mag": MAG}, TypeError, "both a DataFrame and mag="),
    "option": (pd.DataFrame(COLUMNS), {"units": "mag"}, TypeError, "'units'; did you mean unit"),
    "matrix": (np.zeros((3, 2)), {}, TypeError, r"3x2 numbers.*time=a\[:, 0\]"),
    "arrays without names": ((TIME, MAG), {}, TypeError, r"12 numbers.*time=t, mag=m"),
    "a whole number": (5, {}, TypeError, "in an int"),
    "empty": ([], {}, TypeError, "an empty list"),
    "numbers": ([1, 2], {}, TypeError, "whose member 0 is 1"),
    "a number": (3.5, {}, TypeError, "a float"),
    "scalars": ({"a": 1}, {}, TypeError, "'a' is no array"),
    "columns": ({"mjd": TIME, "mag": MAG[:3]}, {}, ValueError, "mjd has 12, mag has 3"),
    "no time column": (
        pd.DataFrame({"mag": MAG, "x": TIME}),
        {},
        Unreadable,
        r"DataFrame: has no time column; its columns are mag, x.*columns=\{\"time\"",
    ),
    "no value column": (Table({"mjd": TIME, "x": MAG}), {}, Unreadable, "the Table: has no"),
    "lazy": (Lazy(), {}, TypeError, r"Lazy that isn't loaded.*\.collect\(\)"),
    "mixed units": (
        [pd.DataFrame(COLUMNS), pd.DataFrame({"mjd": TIME, "flux": MAG})],
        {},
        ValueError,
        "different unit",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_error_names_what_was_given_and_what_is_missing(case):
    source, options, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        as_light_curves(source, **options)


def test_an_array_of_light_curves_has_a_shape_and_takes_rows_as_arrays_do(curves):
    assert curves.shape == (6,)
    same(curves[np.array([3, 1]), ...], curves[[3, 1]])
