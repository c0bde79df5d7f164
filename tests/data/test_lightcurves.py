"""`LightCurves`: conversions that keep every number, choosing, ordering, folding and the list of faults."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke import LightCurves
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import Fault

POINTS = ("time", "value", "error", "band")


def make(counts=(2, 0, 3), unit="mag", time_scale="MJD", bands=("g", "r"), seed=0, columns=True) -> LightCurves:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=int)])
    n, total = len(counts), offsets[-1]
    curves = LightCurves.from_arrays(
        [f"obj{i}" for i in range(n)],
        offsets,
        np.concatenate([np.sort(rng.uniform(0, 10, c)) for c in counts]) if n else [],
        rng.normal(15, 1, total),
        rng.uniform(0.01, 0.1, total),
        rng.integers(0, len(bands), total),
        bands=bands,
        unit=unit,
        time_scale=time_scale,
    )
    label = pa.array([f"class{i}" for i in range(n)], pa.string())
    return curves.with_columns(label=label, ra=np.arange(n) * 1.5) if columns else curves


def rows(curves: LightCurves) -> list:
    """Return the content, light curve by light curve, NaN as None."""

    def plain(x):
        return [None if v != v else v for v in np.asarray(x).tolist()]

    names = np.array(curves.bands, dtype=object)
    return [
        (i, *(plain(getattr(c, k)) for k in POINTS[:3]), names[c.band].tolist(), c.table_of_objects.to_pylist())
        for i, c in zip(curves.ids, curves, strict=True)
    ]


def assert_same(found: LightCurves, expected: LightCurves) -> None:
    assert rows(found) == rows(expected)
    assert (found.unit, found.time_scale) == (expected.unit, expected.time_scale)
    for name in POINTS:
        assert getattr(found, name).dtype == getattr(expected, name).dtype


counts = st.lists(st.integers(0, 5), max_size=6)

# ---- Arrow and Parquet --------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(counts, st.integers(0, 100))
def test_an_arrow_round_trip_keeps_everything(counts, seed):
    curves = make(counts, seed=seed)
    assert_same(LightCurves.from_arrow(curves.to_arrow()), curves)


def test_an_arrow_round_trip_shares_the_memory():
    curves = make()
    back = LightCurves.from_arrow(curves.to_arrow())
    for name in POINTS:
        assert np.shares_memory(getattr(back, name), getattr(curves, name)), name


def test_slices_share_the_memory_and_so_do_their_tables():
    curves = make((3, 4, 5))
    part = curves[1:]
    assert np.shares_memory(part.time, curves.time)
    assert np.shares_memory(LightCurves.from_arrow(part.to_arrow()).value, curves.value)


@settings(deadline=None)
@given(counts, st.integers(0, 6), st.integers(0, 6))
def test_a_sliced_table_gives_the_sliced_light_curves(counts, start, stop):
    curves = make(counts)
    start, stop = min(start, len(counts)), min(stop, len(counts))
    table = curves.to_arrow().slice(start, max(stop - start, 0))
    assert_same(LightCurves.from_arrow(table), curves[start:stop])


def test_chunked_tables_with_other_band_dictionaries_are_joined():
    parts = [make(seed=1), make(seed=2, bands=("r", "i")), make((), seed=3), make((4,), seed=4, bands=("z",))]
    table = pa.concat_tables([p.to_arrow() for p in parts])
    assert table["lightcurve"].num_chunks > 1
    found = LightCurves.from_arrow(table)
    assert rows(found) == list(itertools.chain.from_iterable(rows(p) for p in parts))
    assert_same(found, LightCurves.concat(parts))


def test_parquet_keeps_everything(tmp_path):
    curves = make((3, 0, 5, 1))
    curves.write_parquet(tmp_path / "a.parquet")
    assert_same(LightCurves.read_parquet(tmp_path / "a.parquet"), curves)


def test_parquet_in_several_row_groups_keeps_everything(tmp_path):
    curves = make((3, 0, 5, 1, 2), bands=("g", "r", "i"))
    pq.write_table(curves.to_arrow(), tmp_path / "a.parquet", row_group_size=2)
    assert_same(LightCurves.read_parquet(tmp_path / "a.parquet"), curves)


def test_an_empty_batch_survives_arrow_and_parquet(tmp_path):
    empty = make()[:0]
    empty.write_parquet(tmp_path / "a.parquet")
    assert len(LightCurves.read_parquet(tmp_path / "a.parquet")) == 0
    assert len(LightCurves.from_arrow(empty.to_arrow().schema.empty_table())) == 0


LISTS = [pa.list_, pa.large_list]


@pytest.mark.parametrize("list_of", LISTS)
def test_list_of_struct_and_struct_of_list_are_the_same_light_curves(list_of):
    points = [[{"time": 1.0, "value": 2.0, "band": "g"}, {"time": 2.0, "value": 3.0, "band": "r"}], None, []]
    types = [("time", pa.float64()), ("value", pa.float64()), ("band", pa.string())]
    outer = pa.array(points, list_of(pa.struct(types)))
    lists = pa.array(
        [{k: [p[k] for p in row] for k in ("time", "value", "band")} if row is not None else None for row in points],
        pa.struct([(name, list_of(kind)) for name, kind in types]),
    )
    found = [LightCurves.from_arrow(pa.table({"object_id": ["a", "b", "c"], "lightcurve": x})) for x in (outer, lists)]
    assert rows(found[0]) == rows(found[1])
    assert found[0].n_obs.tolist() == [2, 0, 0]
    assert found[0].error.shape == (2,)
    assert np.isnan(found[0].error).all()
    assert found[0].bands == ("g", "r")


def test_a_null_row_that_hides_points_is_an_empty_light_curve():
    hidden = pa.ListArray.from_arrays(pa.array([0, 2, 5], pa.int32()), pa.array([1.0, 2, 3, 4, 5]))
    nested = pa.StructArray.from_arrays([hidden, hidden], ["time", "value"], mask=pa.array([True, False]))
    curves = LightCurves.from_arrow(pa.table({"object_id": ["a", "b"], "lightcurve": nested}))
    assert curves.n_obs.tolist() == [0, 3]
    assert curves.time.tolist() == [3, 4, 5]


def test_null_numbers_are_nan_and_null_bands_have_the_name_of_no_band():
    table = pa.table(
        {"lightcurve": [{"time": [1.0, 2.0], "value": [None, 2.0], "error": [0.1, None], "band": ["g", None]}]}
    )
    curves = LightCurves.from_arrow(table)
    assert np.isnan(curves.value).tolist() == [True, False]
    assert np.isnan(curves.error).tolist() == [False, True]
    assert [curves.bands[b] for b in curves.band] == ["g", NO_BAND]
    assert curves.ids == ["0"]


def test_null_bands_in_a_dictionary_are_not_the_first_band():
    codes = pa.DictionaryArray.from_arrays(pa.array([1, None, 0], pa.int8()), ["g", "r"])
    numbers = pa.array([[1.0, 2.0, 3.0]])
    band = pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), codes)
    nested = pa.StructArray.from_arrays([numbers, numbers, band], ["time", "value", "band"])
    curves = LightCurves.from_arrow(pa.table({"object_id": ["a"], "lightcurve": nested}))
    assert [curves.bands[b] for b in curves.band] == ["r", NO_BAND, "g"]


def test_lists_of_different_length_in_one_row_are_refused():
    table = pa.table({"lightcurve": [{"time": [1.0, 2.0], "value": [1.0]}]})
    with pytest.raises(ValueError, match="'value' differs in length"):
        LightCurves.from_arrow(table)
    swapped = pa.table({"lightcurve": [{"time": [1.0], "value": [1.0, 2]}, {"time": [1.0, 2], "value": [1.0]}]})
    with pytest.raises(ValueError, match="differs in length"):
        LightCurves.from_arrow(swapped)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"object_id": ["a"]}, "no column 'lightcurve'"),
        ({"lightcurve": [1.0]}, "structs of lists or lists of structs"),
        ({"lightcurve": [[1.0]]}, "structs of lists or lists of structs"),
        ({"lightcurve": [{"time": [1.0]}]}, "no field value"),
    ],
)
def test_a_table_without_light_curves_is_refused_by_name(table, message):
    with pytest.raises(ValueError, match=message):
        LightCurves.from_arrow(pa.table(table))


# ---- long tables --------------------------------------------------------------------------------------------------

LONG = {"object_id": ["b", "a", "b", "c", "a"], "time": [5.0, 4, 3, 2, 1], "value": [1.0, 2, 3, 4, 5]}


@pytest.mark.parametrize("kind", [dict, pd.DataFrame, pa.table])
def test_long_tables_keep_the_order_of_objects_and_of_observations(kind):
    curves = LightCurves.from_long(kind(LONG), unit="mag")
    assert curves.ids == ["b", "a", "c"]
    assert [c.time.tolist() for c in curves] == [[5, 3], [4, 1], [2]]
    assert [c.value.tolist() for c in curves] == [[1, 3], [2, 5], [4]]
    assert np.isnan(curves.error).all()
    assert curves.bands == (NO_BAND,)
    assert curves.unit == "mag"


def test_observations_of_a_long_table_that_is_long_keep_their_order():
    ids = np.random.default_rng(0).integers(0, 5, 2000)
    curves = LightCurves.from_long({"object_id": ids, "time": np.arange(2000), "value": np.zeros(2000)})
    assert curves.is_sorted.all()
    assert [c.time.tolist() for c in curves] == [np.flatnonzero(ids == int(i)).tolist() for i in curves.ids]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (np.array([2**62 + 1, 7]), [str(2**62 + 1), "7"]),
        (np.array([12.0, 7.0]), ["12", "7"]),
        (["007", "7"], ["007", "7"]),
        (pd.array([5, 6], dtype="Int64"), ["5", "6"]),
        (pd.Categorical(["x", "y"]), ["x", "y"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
    ],
)
def test_ids_become_text_digit_by_digit(ids, expected):
    assert LightCurves.from_long({"object_id": ids, "time": [1, 2], "value": [1, 2]}).ids == expected


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
def test_long_tables_carry_errors_and_bands_with_nulls(kind):
    more = {"error": [0.1, None, 0.3, 0.4, 0.5], "band": ["r", "g", None, "r", "g"]}
    curves = LightCurves.from_long(kind(LONG | more))
    assert [[curves.bands[b] for b in c.band] for c in curves] == [["r", NO_BAND], ["g", "g"], ["r"]]
    assert [c.error.tolist()[0] == c.error.tolist()[0] for c in curves] == [True, False, True]
    assert curves.error[[0, 1]] == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "double[pyarrow]"])
def test_missing_numbers_of_every_pandas_kind_are_nan(dtype):
    frame = pd.DataFrame({"object_id": [1, 1], "time": [1, 2], "value": pd.array([1, None], dtype=dtype)})
    assert np.isnan(LightCurves.from_long(frame).value).tolist() == [False, True]


def test_a_long_table_without_its_columns_is_refused_by_name():
    with pytest.raises(ValueError, match="no column time, value; it has object_id"):
        LightCurves.from_long({"object_id": ["a"]})


def test_observations_without_an_object_id_are_refused():
    with pytest.raises(ValueError, match="1 observations have no object_id"):
        LightCurves.from_long({"object_id": ["a", None], "time": [1, 2], "value": [1, 2]})


def test_dates_are_not_taken_for_days():
    dates = pd.to_datetime(["2020-01-01", "2020-01-02"])
    with pytest.raises(ValueError, match="dates are no numbers of days"):
        LightCurves.from_long(pd.DataFrame({"object_id": [1, 2], "time": dates, "value": [1, 2]}))


def test_more_bands_than_an_index_can_tell_are_refused_wherever_they_come_from():
    many = [f"band{i}" for i in range(257)]
    numbers = np.arange(257.0)
    long = {"object_id": ["a"] * 257, "time": numbers, "value": numbers, "band": many}
    with pytest.raises(ValueError, match="257 different bands"):
        LightCurves.from_long(long)
    nested = pa.table({"lightcurve": [{k: list(long[k]) for k in ("time", "value", "band")}]})
    with pytest.raises(ValueError, match="257 different bands"):
        LightCurves.from_arrow(nested)
    halves = [make((2,), bands=tuple(many[:200])), make((2,), bands=tuple(many[100:]))]
    with pytest.raises(ValueError, match="257 different bands"):
        LightCurves.concat(halves)


def test_a_long_table_of_no_row_is_an_empty_batch():
    assert len(LightCurves.from_long({"object_id": [], "time": [], "value": [], "band": []})) == 0


@settings(deadline=None)
@given(counts)
def test_a_long_table_made_and_read_gives_the_light_curves_that_have_points(counts):
    curves = make(counts, columns=False)
    back = LightCurves.from_long(curves.to_long(), unit=curves.unit, time_scale=curves.time_scale)
    assert_same(back, curves[curves.n_obs > 0])


# ---- nested-pandas ------------------------------------------------------------------------------------------------


def test_nested_pandas_and_back_keeps_everything():
    pytest.importorskip("nested_pandas")
    curves = make((2, 0, 3))
    frame = curves.to_nested_pandas()
    assert frame["lightcurve.time"].tolist() == curves.time.tolist()
    assert_same(LightCurves.from_nested_pandas(frame), curves)
    frame.attrs |= {"note": 5}
    assert len(LightCurves.from_nested_pandas(frame.iloc[1:])) == 2
    assert len(LightCurves.from_nested_pandas(frame.iloc[:0])) == 0
    joined = pd.concat([frame, frame.iloc[2:]])
    assert rows(LightCurves.from_nested_pandas(joined)) == rows(curves[[0, 1, 2, 2]])
    indexed = frame.set_index("object_id")
    assert LightCurves.from_nested_pandas(indexed).ids == curves.ids


def test_without_nested_pandas_the_error_names_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nested_pandas", None)
    with pytest.raises(ImportError, match=r"goodricke\[survey\]"):
        make().to_nested_pandas()


# ---- time series --------------------------------------------------------------------------------------------------


def test_an_astropy_time_series_keeps_its_numbers_and_units():
    from astropy import units as u
    from astropy.time import Time
    from astropy.timeseries import TimeSeries

    series = TimeSeries(time=Time([58000.25, 58001.5], format="mjd"))
    series["flux"] = [1.0, 2.0] * u.Jy
    series["flux_err"] = [0.1, 0.2] * u.Jy
    curves = LightCurves.from_timeseries(series, value="flux", error="flux_err", object_id="star", band="V")
    assert curves.time == pytest.approx([58000.25, 58001.5], abs=1e-8)
    assert (curves.unit, curves.time_scale, curves.bands, curves.ids) == ("Jy", "MJD", ("V",), ["star"])
    assert curves.value.tolist() == [1, 2]
    assert curves.error == pytest.approx([0.1, 0.2])


def test_an_iso_time_series_is_in_julian_dates_and_magnitudes_are_known():
    from astropy import units as u
    from astropy.timeseries import TimeSeries

    series = TimeSeries(time=["2000-01-01T12:00:00", "2000-01-02T12:00:00"])
    series["mag"] = [12.0, 13.0] * u.mag
    curves = LightCurves.from_timeseries(series, value="mag")
    assert curves.time.tolist() == [2451545, 2451546]
    assert (curves.unit, curves.time_scale, curves.in_magnitudes) == ("mag", "JD", True)
    assert np.isnan(curves.error).all()
    assert curves.ids == ["unnamed"]


class Duck:
    """What lightkurve's LightCurve shows of itself: a BTJD time, masked fluxes, a header."""

    def __init__(self) -> None:
        from astropy import units as u
        from astropy.utils.masked import Masked

        self.time = SimpleNamespace(format="btjd", jd=np.array([1500.5, 1501.5, 1502.5]) + 2457000)
        self.flux = Masked(np.array([1.0, 2.0, 3.0]) * u.electron / u.s, mask=[False, True, False])
        self.flux_err = np.array([0.1, 0.2, 0.3]) * u.electron / u.s
        self.meta = {"OBJECT": "TIC 1", "MISSION": "TESS"}


def test_a_lightkurve_like_object_is_taken_by_its_looks():
    curves = LightCurves.from_timeseries(Duck(), value="flux", error="flux_err", object_id="TIC 1", band="TESS")
    assert curves.time.tolist() == [1500.5, 1501.5, 1502.5]
    assert np.isnan(curves.value).tolist() == [False, True, False]
    assert curves.value[[0, 2]].tolist() == [1, 3]
    assert curves.error == pytest.approx([0.1, 0.2, 0.3])
    assert (curves.ids, curves.bands, curves.unit, curves.time_scale) == (
        ["TIC 1"],
        ("TESS",),
        "electron / s",
        "BTJD",
    )


def test_masked_arrays_and_plain_numbers_will_do():
    series = SimpleNamespace(time=[1.0, 2.0], magnitude=np.ma.MaskedArray([10.0, 11.0], [True, False]))
    curves = LightCurves.from_timeseries(series, value="magnitude")
    assert np.isnan(curves.value).tolist() == [True, False]
    assert (curves.unit, curves.time_scale) == ("unknown", "unknown")  # no name is taken for a unit


def test_a_time_series_without_brightness_is_refused():
    with pytest.raises(ValueError, match=r"has no mag, mag_err. Fix: .*as_light_curves"):
        LightCurves.from_timeseries(SimpleNamespace(time=[1.0], flux=[1.0]), value="mag", error="mag_err")


# ---- nothing is guessed -------------------------------------------------------------------------------------------


def test_no_constructor_loses_a_unit():
    from astropy import units as u
    from astropy.table import Table

    seconds, one = [86400.0, 172800.0] * u.s, [1.0, 2.0]
    with pytest.raises(ValueError, match=r"time is in s, a unit that would be lost. Fix: .*as_light_curves"):
        LightCurves.from_arrays(["a"], [0, 2], seconds, one)
    with pytest.raises(ValueError, match="value is in mmag"):
        LightCurves.from_long(Table({"object_id": ["a", "a"], "time": one, "value": one * u.mmag}))
    kind = pa.list_(pa.struct([pa.field("time", pa.float64(), metadata={"unit": "s"}), ("value", pa.float64())]))
    table = pa.table({"object_id": ["a"], "lightcurve": pa.array([[{"time": 86400.0, "value": 1.0}]], kind)})
    with pytest.raises(ValueError, match="field 'time' is in s, not in days"):
        LightCurves.from_arrow(table)
    kind = pa.list_(pa.struct([("time", pa.float64()), pa.field("value", pa.float64(), metadata={"unit": "mmag"})]))
    table = pa.table({"object_id": ["a"], "lightcurve": pa.array([[{"time": 1.0, "value": 1.0}]], kind)})
    with pytest.raises(ValueError, match="field 'value' is in mmag, not in the table's unit, mag"):
        LightCurves.from_arrow(table.replace_schema_metadata({"unit": "mag"}))


@pytest.mark.parametrize("ids", [np.array([2.0**53, 1.0]), np.array([2.0**24, 1.0], np.float32)])
def test_rounded_identifiers_are_refused_by_every_constructor(ids):
    message = "identifiers were rounded, such as"
    with pytest.raises(ValueError, match=message):
        LightCurves.from_arrays(ids, [0, 1, 2], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        LightCurves.from_long({"object_id": ids, "time": [1.0, 2.0], "value": [1.0, 2.0]})
    lists = pa.array([[{"time": 1.0, "value": 1.0}]] * 2)
    with pytest.raises(ValueError, match=message):
        LightCurves.from_arrow(pa.table({"object_id": ids, "lightcurve": lists}))
    assert LightCurves.from_arrays(ids - 1, [0, 1, 2], [1.0, 2.0], [1.0, 2.0]).ids == [str(int(ids[0]) - 1), "0"]


# ---- choosing, joining, ordering ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(counts, st.data())
def test_slices_masks_indices_and_loops_choose_the_same(counts, data):
    curves = make(counts)
    n = len(counts)
    which = data.draw(st.slices(n))
    expected = [rows(curves)[i] for i in range(n)[which]]
    assert rows(curves[which]) == expected
    assert rows(curves[list(range(n)[which])]) == expected
    indices = data.draw(st.lists(st.integers(-n, n - 1), max_size=5)) if n else []
    assert rows(curves[indices]) == [rows(curves)[i] for i in indices]
    mask = np.array([data.draw(st.booleans()) for _ in range(n)], bool)
    assert rows(curves[mask]) == [r for r, m in zip(rows(curves), mask, strict=True) if m]


def test_one_index_is_a_batch_of_one_also_from_the_end():
    curves = make()
    assert curves[-1].ids == ["obj2"]
    assert len(curves[0]) == 1
    assert [c.ids[0] for c in curves] == curves.ids


@pytest.mark.parametrize("which", [3, -4, [3], [-4], [True], [True] * 4, [0.7]])
def test_indices_that_do_not_fit_are_refused(which):
    with pytest.raises(IndexError):
        make()[which]


def test_joining_merges_bands_by_name_and_fills_missing_columns_with_null():
    first, second = make(bands=("g", "r")), make(bands=("r", "i"), seed=9).with_columns(extra=[1, 2, 3])
    both = LightCurves.concat([first, second])
    assert both.bands == ("g", "r", "i")
    assert [r[:5] for r in rows(both)] == [r[:5] for r in rows(first) + rows(second)]
    assert both.table_of_objects["extra"].to_pylist() == [None] * 3 + [1, 2, 3]
    assert (
        both.table_of_objects["label"].to_pylist() == first.column("label").tolist() + second.column("label").tolist()
    )


def test_joining_with_and_without_columns_keeps_the_rows():
    both = LightCurves.concat([make(columns=False), make()])
    assert both.table_of_objects["label"].to_pylist() == [None] * 3 + ["class0", "class1", "class2"]
    assert LightCurves.concat([make(columns=False), make(columns=False)]).objects is None


@pytest.mark.parametrize("other", [{"unit": "nJy"}, {"time_scale": "JD"}])
def test_light_curves_in_different_units_are_not_joined(other):
    with pytest.raises(ValueError, match=f"different {next(iter(other))}"):
        LightCurves.concat([make(), make(**other)])


def test_joining_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing to concatenate"):
        LightCurves.concat([])


@settings(deadline=None)
@given(counts, st.lists(st.booleans(), min_size=30, max_size=30))
def test_where_keeps_all_the_objects_and_some_of_the_points(counts, mask):
    curves = make(counts)
    keep = np.array(mask[: len(curves.time)], bool)
    found = curves.where(keep)
    assert found.ids == curves.ids
    for i, (a, b) in enumerate(zip(curves.offsets[:-1], curves.offsets[1:], strict=True)):
        assert found[i].time.tolist() == curves.time[a:b][keep[a:b]].tolist()
        assert found[i].band.tolist() == curves.band[a:b][keep[a:b]].tolist()


@settings(deadline=None)
@given(counts)
def test_a_band_alone_is_the_light_curves_without_the_others(counts):
    curves = make(counts)
    for name in (*curves.bands, "none of them"):
        alone = curves.in_band(name)
        assert (alone.ids, alone.bands) == (curves.ids, (name,))
        assert all(n == np.sum(np.take(curves.bands, c.band) == name) for n, c in zip(alone.n_obs, curves, strict=True))
    assert curves.has_several_bands.tolist() == [len(set(c.band.tolist())) > 1 for c in curves]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0, np.inf]), max_size=6), max_size=5))
def test_sorting_by_time_is_stable_within_each_light_curve(times):
    flat = list(itertools.chain.from_iterable(times))
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in times], dtype=int)])
    curves = LightCurves.from_arrays([str(i) for i in range(len(times))], offsets, flat, np.arange(len(flat)))
    assert curves.is_sorted.tolist() == [t == sorted(t) for t in times]
    for found, t, first in zip(curves.sorted(), times, offsets, strict=False):
        order = np.argsort(t, kind="stable")
        assert found.value.tolist() == (first + order).tolist()
        assert found.time.tolist() == sorted(t)


def test_a_light_curve_with_a_nan_between_falling_times_is_not_sorted():
    falling = LightCurves.from_arrays(["a", "b"], [0, 3, 6], [3, np.nan, 1, 1, np.nan, 3], np.zeros(6))
    assert falling.is_sorted.tolist() == [False, True]
    assert falling.sorted()[0].time[:2].tolist() == [1, 3]


# ---- folding ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=8), st.floats(1e-3, 1e4), st.none() | st.floats(-1e5, 1e5))
def test_phases_are_in_the_unit_interval_in_order_and_right(times, period, epoch):
    curves = LightCurves.from_arrays(["a"], [0, len(times)], times, np.arange(len(times)))
    folded = curves.fold(period, epoch)
    assert (folded.time >= 0).all()
    assert (folded.time < 1).all()
    assert (np.diff(folded.time) >= 0).all()
    assert folded.time_scale == "phase"
    zero = min(times) if epoch is None else epoch
    exact = (np.array(times)[folded.value.astype(int)] - zero) / period
    gap = (exact - folded.time + 0.5) % 1 - 0.5  # a phase of 0.999... is as good as 0
    assert np.abs(gap).max() < 1e-9 * max(1, np.abs(exact).max())


def test_each_light_curve_folds_on_its_own_period_and_epoch():
    curves = LightCurves.from_arrays(["a", "b"], [0, 2, 4], [10.0, 11, 20, 21], [0, 1, 2, 3])
    folded = curves.fold([4.0, 5.0], [9.0, 18.0])
    assert folded.time == pytest.approx([0.25, 0.5, 0.4, 0.6])
    assert curves.fold([4.0, 5.0]).time == pytest.approx([0, 0.25, 0, 0.2])


def test_a_time_just_before_the_epoch_has_phase_zero_and_not_one():
    curves = LightCurves.from_arrays(["a"], [0, 1], [-1e-20], [1])
    assert curves.fold(1.0, 0.0).time.tolist() == [0]


def test_a_nan_time_does_not_spoil_the_other_phases():
    folded = LightCurves.from_arrays(["a"], [0, 3], [np.nan, 10, 10.5], [1, 2, 3]).fold(2.0)
    assert np.sort(folded.time)[:2].tolist() == [0, 0.25]


@pytest.mark.parametrize("period", [0, -1, np.nan, np.inf, [1, 2, 0]])
def test_impossible_periods_are_refused(period):
    with pytest.raises(ValueError, match="positive and finite"):
        make().fold(period)


# ---- faults -------------------------------------------------------------------------------------------------------

GOOD = {"time": [1.0, 2, 3, 4], "value": [1.0, 2, 3, 4], "error": [0.1, np.nan, 0.1, 0.1], "band": [0, 0, 0, 1]}
BAD = {
    "time is not finite": {"time": [1, 2, np.nan, 4]},
    "value is not finite": {"value": [1, -np.inf, 3, 4]},
    "error is infinite": {"error": [np.inf, 0.1, 0.1, 0.1]},
    "error is not positive": {"error": [0.1, 0, -1, 0.1]},
    "duplicate time": {"time": [1, 2, 2, 2]},
    "times are not sorted": {"time": [1, 3, 2, 4]},
}
COUNTS = dict.fromkeys(BAD, 1) | {"error is not positive": 2, "times are not sorted": 0}


def batch(*kinds: str) -> LightCurves:
    """Return a good light curve, one with each of the faults, a good one."""
    content = [GOOD, *(GOOD | BAD[k] for k in kinds), GOOD]
    flat = {k: np.concatenate([c[k] for c in content]) for k in GOOD}
    ids = ["good", *(k.replace(" ", "-") for k in kinds), "fine"]
    return LightCurves.from_arrays(ids, 4 * np.arange(len(ids) + 1), **flat, bands=("g", "r"))


@pytest.mark.parametrize("kind", BAD)
def test_each_fault_alone_is_found_in_its_object_and_nowhere_else(kind):
    assert batch(kind).faults() == [Fault(kind.replace(" ", "-"), kind, COUNTS[kind])]


def test_all_faults_together_are_listed_object_by_object():
    assert batch(*BAD).faults() == [Fault(kind.replace(" ", "-"), kind, COUNTS[kind]) for kind in BAD]


def test_one_object_can_have_every_fault():
    curves = LightCurves.from_arrays(
        ["x"],
        [0, 5],
        [5, 1, np.nan, 1, 2],
        [np.nan, 1, 2, np.inf, 1],
        [0, -1, np.inf, -np.inf, 1],
    )
    assert curves.faults() == [
        Fault("x", "duplicate time", 1),
        Fault("x", "error is infinite", 2),
        Fault("x", "error is not positive", 2),
        Fault("x", "time is not finite", 1),
        Fault("x", "times are not sorted", 0),
        Fault("x", "value is not finite", 2),
    ]


def test_empty_light_curves_and_repeated_ids_are_faults():
    curves = LightCurves.from_arrays(["a", "b", "a"], [0, 1, 1, 2], [1, 2], [1, 2])
    twice = "object id comes more than once"
    assert curves.faults() == [Fault("a", twice, 0), Fault("b", "no observation", 0), Fault("a", twice, 0)]


def test_equal_times_in_different_bands_or_objects_are_no_fault():
    curves = LightCurves.from_arrays(["a", "b"], [0, 2, 3], [1, 1, 1], [1, 2, 3], band=[0, 1, 0], bands=("g", "r"))
    assert curves.faults() == []
    assert curves.validate() is curves


def test_duplicates_are_found_out_of_order_and_counted():
    curves = LightCurves.from_arrays(["a"], [0, 5], [1, 2, 1, 2, 1], np.zeros(5))
    assert Fault("a", "duplicate time", 3) in curves.faults()


def test_validate_names_every_fault_with_its_object():
    with pytest.raises(ValueError, match="faults in") as raised:
        batch(*BAD).validate()
    message = str(raised.value)
    assert message.startswith("6 faults in 8 light curves")
    for kind in BAD:
        assert f"{kind.replace(' ', '-')}: {kind}" in message
    assert "(2 points)" in message


def test_a_long_list_of_faults_is_cut_with_its_length_told():
    empty = LightCurves.from_arrays([str(i) for i in range(60)], np.zeros(61, int), [], [])
    with pytest.raises(ValueError, match=r"60 faults(.|\n)*and 10 more"):
        empty.validate()


def test_no_light_curve_has_no_fault():
    assert make(()).faults() == []


# ---- construction, columns, immutability --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 3]}, "offsets must hold 3 numbers"),
        ({"offsets": [1, 2, 3]}, "offsets must hold 3 numbers from 0 to 3"),
        ({"offsets": [0, 2, 2]}, "offsets must hold"),
        ({"offsets": [0, 4, 3]}, "must not decrease"),
        ({"value": [1, 2]}, "value has 2 entries, time has 3"),
        ({"error": [1, 2]}, "error has 2 entries"),
        ({"band": [0]}, "band has 1 entries"),
        ({"band": [0, 1, 2]}, "band index 2 has no name"),
        ({"band": np.array([0, 1, 256])}, "band indices must be from 0 to 255"),
        ({"band": np.array([0, 1, -1])}, "band indices must be from 0 to 255"),
        ({"objects": pa.table({"x": [1]})}, "objects has 1 rows for 2"),
        ({"objects": pa.table({"object_id": ["x", "y"]})}, "can't be called 'object_id'"),
        ({"objects": pa.table({"lightcurve": ["x", "y"]})}, "can't be called 'lightcurve'"),
    ],
)
def test_a_batch_that_contradicts_itself_is_refused(change, message):
    parts = {"offsets": [0, 1, 3], "time": [1, 2, 3], "value": [1, 2, 3], "bands": ("g", "r")} | change
    with pytest.raises(ValueError, match=message):
        LightCurves.from_arrays(["a", "b"], **parts)


def test_types_are_converted_and_times_stay_in_64_bits():
    curves = LightCurves.from_arrays(["a"], [0, 1], [2459000.123456789], [1.1])
    assert curves.time[0] == 2459000.123456789
    assert [getattr(curves, k).dtype for k in POINTS] == [np.float64, np.float32, np.float32, np.uint8]
    assert curves.offsets.dtype == np.int64


def test_a_batch_can_not_be_changed():
    time = np.array([1.0, 2.0])
    curves = LightCurves.from_arrays(["a"], [0, 2], time, [1, 2])
    for name in (*POINTS, "offsets"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(curves, name)[0] = 0
        with pytest.raises(AttributeError):
            setattr(curves, name, None)
    time[0] = 1.5  # the caller's own array stays his


def test_columns_are_added_and_replaced_in_a_new_batch():
    curves = make()
    more = curves.with_columns(label=["x", "y", "z"], n=pa.array([1, 2, 3]))
    assert more.column("label").tolist() == ["x", "y", "z"]
    assert more.column("n").tolist() == [1, 2, 3]
    assert curves.column("label").tolist() == ["class0", "class1", "class2"]
    assert make(columns=False).with_columns(x=[1, 2, 3]).column("x").tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match=r"3|length"):
        curves.with_columns(short=[1])


def test_an_unknown_column_is_a_key_error_that_lists_the_known():
    with pytest.raises(KeyError, match="no per-object column 'period'; there are: label, ra"):
        make().column("period")


def test_a_batch_tells_what_it_is():
    assert repr(make()) == "LightCurves(3 objects, 5 observations, bands g/r, value in mag, time in MJD)"
    assert make().in_magnitudes
    assert not make(unit="electron / s").in_magnitudes
