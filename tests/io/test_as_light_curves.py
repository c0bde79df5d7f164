"""Light curves in memory, one for each row of a frame or each file."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from goodricke.data.arrow import table_from_frame
from goodricke.data.lightcurves import LightCurves
from goodricke.io import Unreadable, as_light_curves
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
    with pytest.raises(Unreadable, match="the frame: has no time column"):
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


@pytest.mark.parametrize("given", [np.zeros((3, 2)), [], [1, 2], None, {"a": 1}])
def test_anything_else_is_refused_with_a_hint(given):
    with pytest.raises(TypeError, match=r"LightCurves\.from_arrays"):
        as_light_curves(given)


def test_an_array_of_light_curves_has_a_shape_and_takes_rows_as_arrays_do(curves):
    assert curves.shape == (6,)
    same(curves[np.array([3, 1]), ...], curves[[3, 1]])
