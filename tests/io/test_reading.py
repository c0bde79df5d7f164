import logging
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, Unreadable, read, read_batches
from goodricke.io.reading import split_batch


def csv(path, n=3, unit="mag", first=59000.0):
    path.write_text(f"mjd,{unit}\n" + "".join(f"{first + i},{10 + i}\n" for i in range(n)))
    return path


def test_errors_raise_or_skip(tmp_path, caplog):
    csv(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(b"")
    csv(tmp_path / "c.csv")
    with pytest.raises(Unreadable, match=r"b\.csv: is empty"):
        read(tmp_path)
    with caplog.at_level(logging.WARNING, logger="goodricke"):
        assert read(tmp_path, errors="skip").ids == ["a", "c"]
    assert "b.csv: is empty" in caplog.text
    with pytest.raises(Unreadable):
        read(tmp_path / "b.csv", errors="skip")
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        read(tmp_path, errors="ignore")


def test_options_are_checked():
    with pytest.raises(ValueError, match="quality is one of"):
        read("x", quality="best")
    with pytest.raises(ValueError, match="no role 'flux'"):
        read("x", columns={"flux": "a"})
    with pytest.raises(ValueError, match="time scale is one of MJD, JD, HJD, BJD, BTJD, BKJD, not 'foo'"):
        read("x", time_scale="foo")
    with pytest.raises(ValueError, match="'parsec' is a unit of length; brightness is in mag, nJy"):
        read("x", unit="parsec")
    with pytest.raises(TypeError):
        read("x", colour="red")


def test_any_unit_of_brightness_may_be_said():
    for unit in ["mag", "mmag", "nJy", "36.3078 nJy", "electron / s", "DN/s", "ppt", "relative", "?"]:
        assert ReadOptions(unit=unit).unit == unit


def test_batches_never_stop_and_never_mix(tmp_path):
    for i in range(6):
        csv(tmp_path / f"{i}.csv", unit=("mag", "flux")[i % 2])
    (tmp_path / "3b.csv").write_text("nothing here")
    (tmp_path / "9.csv").write_bytes(b"\x00\x01")
    batches = list(read_batches(tmp_path, max_points=6))
    curves = [batch for batch, _ in batches if batch is not None]
    assert all(len(batch.time) <= 6 for batch in curves)
    assert {batch.unit for batch in curves} == {"mag", "flux"}
    assert sorted(name for batch in curves for name in batch.ids) == list("012345")
    assert sorted(error.path[-6:] for _, errors in batches for error in errors) == ["/9.csv", "3b.csv"]
    assert all(str(error).endswith(".") and "Fix:" in str(error) for _, errors in batches for error in errors)


def test_only_failures(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"")
    assert [(batch, len(errors)) for batch, errors in read_batches(tmp_path)] == [(None, 1)]


def test_missing_folder_of_a_batch_run_is_an_error(tmp_path):
    with pytest.raises(Unreadable):
        list(read_batches(tmp_path))


def test_memory_is_bounded_over_kinds(tmp_path):
    for i in range(40):
        csv(
            tmp_path / f"{i:02d}.csv",
            n=10,
            unit=("mag", "flux", "Vmag", "Bflux")[i % 4],
            first=(59000, 100)[i // 20 % 2],
        )
    seen = []
    for batch, errors in read_batches(tmp_path, max_points=45):
        assert not errors
        assert len(batch.time) <= 45
        assert len(set(batch.column("n_read"))) == 1
        seen += batch.ids
    assert sorted(seen) == [f"{i:02d}" for i in range(40)]


def test_whole_light_curves_only():
    curves = LightCurves.from_arrays(list("abcd"), [0, 2, 2, 10, 12], np.arange(12.0), np.arange(12.0))
    pieces = list(split_batch(curves, 4))
    assert [piece.ids for piece in pieces] == [["a", "b"], ["c"], ["d"]]
    assert [len(piece.time) for piece in pieces] == [2, 8, 2]


def test_a_folder_of_many_files(tmp_path, qlp_file):
    """Read a survey's folder, all of whose names are links to one file."""
    first = qlp_file(n=30)
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(200):
        os.link(first, folder / f"{i:05d}.fits")
    (folder / "00100x.fits").write_text("<html>404</html>")
    objects, failures, most = 0, [], 0
    for batch, errors in read_batches(folder, max_points=2_000):
        objects, failures, most = objects + len(batch), failures + errors, max(most, len(batch.time))
    assert (objects, most) == (200, 1_980)
    assert len(failures) == 1
    assert failures[0].reason.startswith("is a web page")


def test_a_pattern_without_a_file_leaves_the_others_alone(tmp_path):
    good, nothing = csv(tmp_path / "good.csv"), str(tmp_path / "nope*.csv")
    for source in ([good, nothing], [nothing, good]):
        batches = list(read_batches(source))
        assert [name for batch, _ in batches if batch is not None for name in batch.ids] == ["good"]
        failures = [error for _, errors in batches for error in errors]
        assert [(error.path, error.reason) for error in failures] == [(nothing, "matches no file")]
        assert read(source, errors="skip").ids == ["good"]
        with pytest.raises(Unreadable, match="matches no file"):
            read(source)


def test_a_source_that_names_nothing_at_all_is_an_error(tmp_path):
    with pytest.raises(Unreadable, match=r"a\*: matches no file"):
        list(read_batches([str(tmp_path / "a*"), str(tmp_path / "b*")]))
    with pytest.raises(Unreadable, match="names no file"):
        list(read_batches([]))


def nested(path, **columns):
    light_curves = [[{"mjd": 59000.0, "mag": 15.0}]]
    pq.write_table(pa.table({"id": [path.stem], "lc": light_curves} | columns), path)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([1]), pa.array(["RR"]), ["1", "RR"]),
        (pa.array([2**60 + 1]), pa.array([0.5]), [str(2**60 + 1), "0.5"]),
        (pa.array(["a"]).dictionary_encode(), pa.array([True]), ["a", "True"]),
        (pa.array([1], pa.int32()), pa.array([2.5]), [1.0, 2.5]),
        (pa.nulls(1), pa.array([3]), [None, 3]),
    ],
)
def test_columns_of_one_name_and_several_types(tmp_path, first, second, expected):
    nested(tmp_path / "a.parquet", kind=first, same=[1])
    nested(tmp_path / "b.parquet", kind=second)
    [(batch, failures)] = read_batches(tmp_path)
    assert not failures
    assert batch.objects["kind"].to_pylist() == expected
    assert batch.objects["same"].to_pylist() == [1, None]
    assert read(tmp_path).objects["kind"].to_pylist() == expected
