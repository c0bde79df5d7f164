"""`Predictions`: nulls where nothing is known, and files that other tools read back."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from goodricke import Predictions
from goodricke.data import formats
from goodricke.data.formats import describe
from goodricke.data.predictions import MEANING, Status
from goodricke.uncertainty.entropy import entropy
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage
from tests.making import predictions_of

FORMATS = (".parquet", ".csv", ".ecsv", ".fits", ".vot")
ASTROPY = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}
KNOWN = ["p_A", "p_B", "p_max", "std_A", "std_B", "entropy", "mutual_information"]
OBJECTS = pa.table(
    {
        "label": pa.array(["x", None, "z"]),
        "wide": pa.array(["x", None, "z"], pa.large_string()),
        "category": pa.array(["u", None, "u"]).dictionary_encode(),
        "teff": pa.array([5000.5, None, 6000.5]),
        "tic": pa.array([2**60, None, 3]),
        "flag": pa.array([True, None, False]),
        "date": pa.array([0, None, 1], pa.timestamp("us")),
        "nothing": pa.nulls(3),
        "p_A": pa.array([9.0, 9.0, 9.0]),
    }
)


def build(status=("OK", "EMPTY", "OK"), classes=("A", "B"), columns=None, objects=None, **more) -> Predictions:
    n, C = len(status), len(classes)
    p = np.random.default_rng(1).dirichlet(np.ones(C), n)
    arrays = {"spread": p / 10, "mutual_information": p[:, 0] / 5, "embedding": np.arange(4.0 * n).reshape(n, 4)}
    names = {"model": "tiny", "model_hash": "0123456789ab", "columns": columns, "objects": objects}
    ids = [f"{k:03d}" for k in range(n)]
    return predictions_of(ids, np.array(status, str), classes, p, np.arange(n) + 50, **names | arrays | more)


def test_rows_that_are_not_ok_are_null_whatever_they_hold():
    table = build().table
    for name in [*KNOWN, "class", "embedding"]:
        assert table[name].is_null().to_pylist() == [False, True, False], name
    for name in ("object_id", "status", "n_obs", "model", "model_hash"):
        assert table[name].null_count == 0, name
    assert table["status"].to_pylist() == ["OK", "EMPTY", "OK"]


def test_numbers_of_unusable_rows_may_be_nan():
    p = np.array([[0.9, 0.1], [np.nan, np.nan]])
    found = predictions_of(["a", "b"], ["OK", "CONSTANT"], ("A", "B"), p, np.array([5, 0]))
    assert found.table["class"].to_pylist() == ["A", None]
    assert np.isnan(found.probabilities[1]).all()
    assert found.ok.tolist() == [True, False]


def test_the_class_is_the_most_probable_and_p_max_its_probability():
    found = build(("OK",) * 20, ("A", "B", "C"))
    assert found.table["class"].to_pylist() == [found.classes[k] for k in found.probabilities.argmax(1)]
    np.testing.assert_array_equal(found.column("p_max"), found.probabilities.max(1))
    expected = [-sum(p * np.log(p) for p in row) for row in found.probabilities.astype(float)]
    assert found.column("entropy") == pytest.approx(expected, abs=1e-6)
    assert found.spread == pytest.approx(found.probabilities / 10)


def test_entropy_is_zero_when_sure_and_log_n_when_not():
    assert entropy(np.array([[1.0, 0, 0], [1 / 3] * 3])) == pytest.approx([0, np.log(3)])


def test_per_object_columns_ride_along_but_replace_nothing():
    found = build(objects=OBJECTS)
    assert found.table["tic"].to_pylist() == [2**60, None, 3]
    assert found.column("p_A")[0] < 1


def test_without_passes_there_is_no_spread():
    found = build(spread=None, mutual_information=None, embedding=np.zeros((3, 0)))
    assert not {"std_A", "mutual_information", "embedding"} & set(found.table.column_names)
    with pytest.raises(KeyError):
        _ = found.spread


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_read_back(suffix, tmp_path):
    found = build(objects=OBJECTS)
    path = tmp_path / f"new folder/p{suffix}"
    found.write(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix == ".parquet":
        back = pd.read_parquet(path)
    elif suffix == ".csv":
        back = pd.read_csv(path, dtype={"object_id": str, "tic": "Int64"}, keep_default_na=True)
    else:
        table = Table.read(path, format=ASTROPY[suffix])
        table.convert_bytestring_to_unicode()
        back = table.to_pandas()
    assert back["object_id"].tolist() == ["000", "001", "002"]
    assert back["status"].tolist() == ["OK", "EMPTY", "OK"]
    for name in [*KNOWN, "teff"]:
        assert back[name].isna().tolist() == [False, True, False], name
        assert back[name][[0, 2]].tolist() == pytest.approx(found.column(name)[[0, 2]].tolist(), rel=1e-6), name
    for name in ("class", "label", "wide", "category", "date"):
        unknown = back[name].isna() | (back[name].astype(str) == "")
        assert unknown.tolist() == [False, True, False], name
    assert back["class"][[0, 2]].tolist() == found.column("class")[[0, 2]].tolist()
    assert back["wide"][[0, 2]].tolist() == ["x", "z"]
    assert back["category"][[0, 2]].tolist() == ["u", "u"]
    if suffix in (".csv", ".ecsv", ".vot"):
        assert [int(x) for x in back["tic"][[0, 2]]] == [2**60, 3]
        assert bool(back["tic"].isna()[1])
    assert back["n_obs"].tolist() == [50, 51, 52]


@pytest.mark.parametrize("suffix", [".parquet", ".fits", ".vot"])
def test_embeddings_are_read_back_nan_or_null_where_unknown(suffix, tmp_path):
    build().write(tmp_path / f"p{suffix}")
    if suffix == ".parquet":
        found = pq.read_table(tmp_path / "p.parquet")["embedding"].to_pylist()
        assert found == [[0, 1, 2, 3], None, [8, 9, 10, 11]]
        return
    found = np.ma.filled(Table.read(tmp_path / f"p{suffix}")["embedding"], np.nan)
    assert found[[0, 2]].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("suffix", ASTROPY)
def test_every_column_carries_its_description(suffix, tmp_path):
    build().write(tmp_path / f"p{suffix}")
    table = Table.read(tmp_path / f"p{suffix}", format=ASTROPY[suffix])
    for name in table.colnames:
        assert " ".join((table[name].description or "").split()) == describe(name).description, name


def test_parquet_names_the_classes(tmp_path):
    build().write(tmp_path / "p.parquet")
    assert pq.read_schema(tmp_path / "p.parquet").metadata[b"classes"] == b"A,B"


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_row_is_a_file_with_the_columns_and_no_row(suffix, tmp_path):
    path = tmp_path / f"p{suffix}"
    build(()).write(path)
    if suffix in ASTROPY:
        found = Table.read(path, format=ASTROPY[suffix])
    else:
        found = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path)
    assert len(found) == 0
    assert {"object_id", "status", "p_A", "entropy"} <= set(found.columns)


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_classified_row_is_a_file_of_statuses(suffix, tmp_path):
    found = build(("EMPTY", "CONSTANT"), embedding=np.full((2, 4), np.nan))
    found.write(tmp_path / f"p{suffix}")
    assert (tmp_path / f"p{suffix}").stat().st_size


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("suffix", FORMATS)
def test_greek_classes_and_labels_can_be_written(suffix, tmp_path):
    path = tmp_path / f"p{suffix}"
    build(classes=("δ Sct", "B"), objects=pa.table({"σ": ["β Lyr", "x", "y"]}), model="π").write(path)
    if suffix == ".fits":
        assert "p_\\u03b4 Sct" in Table.read(path).colnames
    else:
        text = path.read_bytes() if suffix != ".parquet" else str(pq.read_table(path).to_pydict()).encode()
        assert "δ Sct".encode() in text
        assert "β Lyr".encode() in text


@pytest.mark.parametrize("name", ["p.hdf5", "p", "p.csv.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones_named(name, tmp_path):
    with pytest.raises(ValueError, match=r"\.parquet, \.csv, \.ecsv, \.fits, \.vot"):
        build().write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_crash_while_writing_leaves_no_file_and_the_old_one_whole(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"p{suffix}"
    build().write(path)
    before = path.read_bytes()

    def crash(rows, partial):
        partial.write_bytes(b"half a ta")
        raise OSError("disk full")

    monkeypatch.setitem(formats.WRITERS, suffix, crash)
    with pytest.raises(OSError, match="disk full"):
        build(("OK",)).write(path)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(OSError, match="disk full"):
        build().write(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_file_is_written_under_another_name_first(suffix, tmp_path, monkeypatch):
    path, seen = tmp_path / f"p{suffix}", []
    real = formats.WRITERS[suffix]
    monkeypatch.setitem(formats.WRITERS, suffix, lambda p, to: (seen.append((to, path.exists())), real(p, to)))
    build().write(path)
    assert seen[0][0] != path
    assert seen[0][0].parent == path.parent  # a rename within a file system can't be half done
    assert not seen[0][1]


def test_failed_rows_have_an_id_and_a_status_and_join_the_others():
    good = build(objects=OBJECTS)
    bad = Predictions.failed(["x", "y"], Status.UNREADABLE, good)
    both = Predictions.concat([good, bad])
    assert both.table.schema.equals(good.table.schema)
    assert both.table["object_id"].to_pylist() == ["000", "001", "002", "x", "y"]
    assert both.table["status"].to_pylist()[3:] == ["UNREADABLE"] * 2
    for name in [*KNOWN, "class", "embedding", "label"]:
        assert both.table[name].to_pylist()[3:] == [None, None], name
    assert both.classes == ("A", "B")
    assert repr(both).startswith("Predictions(5 rows, 2 classified by")
    assert len(Predictions.failed([], Status.UNREADABLE, good)) == 0


def test_predictions_with_and_without_embeddings_or_columns_are_joined():
    empty = build(("EMPTY",), embedding=np.zeros((1, 0)))
    both = Predictions.concat([build(objects=OBJECTS), empty])
    assert both.table["embedding"].to_pylist()[3] is None
    assert both.table["tic"].to_pylist() == [2**60, None, 3, None]


def test_every_status_has_a_meaning():
    assert set(MEANING) == set(Status)


def test_numbers_for_other_rows_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        build(mutual_information=np.zeros(2))


def test_numbers_too_large_are_infinite_and_those_not_known_stay_nan():
    found = build(parameters={"x": np.array([1e300, 1e300, np.nan])})
    assert found.table["pred_x"].is_null().to_pylist() == [False, True, False]
    np.testing.assert_array_equal(found.column("pred_x"), [np.inf, np.nan, np.nan])


# ---- how far to trust them ----------------------------------------------------------------------------------------


def trusted(coverage=COVERAGE) -> Predictions:
    """Return three predictions with sets, novelty and the parts of the entropy; the last has failed."""
    member = np.array([[True, False, False], [True, True, False], [True, True, True]])
    return predictions_of(
        ["a", "b", "c"],
        ["OK", "OK", "EMPTY"],
        ("X", "Y", "Z"),
        np.array([[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [np.nan] * 3]),
        np.array([10, 20, 0]),
        spread=np.full((3, 3), 0.1),
        mutual_information=np.array([0.1, 0.2, np.nan]),
        novelty=np.array([0.2, 0.995, np.nan]),
        prediction_set=member,
        coverage=coverage,
    )


def test_sets_and_novelty_are_columns_and_null_where_there_is_no_answer():
    table = trusted().table
    assert table["prediction_set"].to_pylist() == [["X"], ["X", "Y"], None]
    assert table["novelty"].to_pylist() == [pytest.approx(0.2), pytest.approx(0.995), None]


def test_the_two_parts_of_the_entropy_add_up():
    rows = trusted().to_pandas()[:2]
    np.testing.assert_allclose(rows["mutual_information"] + rows["aleatoric_entropy"], rows["entropy"], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".fits", ".vot"])
def test_formats_without_lists_have_sets_as_text(suffix, tmp_path):
    path = tmp_path / f"p{suffix}"
    trusted().write(path)
    if suffix == ".csv":
        found = pd.read_csv(path)["prediction_set"].fillna("").tolist()
    else:
        column = Table.read(path)["prediction_set"]
        found = ["" if x is np.ma.masked else str(x) for x in column]
    assert [x.strip() for x in found] == ["X", "X|Y", ""]


@pytest.mark.parametrize(
    ("coverage", "said"), [(COVERAGE, "90 % of all objects"), (Coverage(0.955, True), "95.5 % of each class")]
)
def test_the_promise_is_in_the_file(coverage, said, tmp_path):
    trusted(coverage).write(tmp_path / "p.parquet")
    kept = pq.read_schema(tmp_path / "p.parquet").field("prediction_set").metadata[b"description"].decode()
    assert said in kept
    trusted(coverage).write(tmp_path / "p.ecsv")
    assert said in Table.read(tmp_path / "p.ecsv")["prediction_set"].description


def test_predictions_with_sets_can_be_joined_with_failures():
    ok = trusted()
    both = Predictions.concat([ok, Predictions.failed(["d"], Status.UNREADABLE, ok)])
    assert both.table["prediction_set"].to_pylist() == [["X"], ["X", "Y"], None, None]
    assert b"90 %" in both.table.schema.field("prediction_set").metadata[b"description"]


def test_a_plain_pair_is_a_promise_too():
    assert b"80 % of each class" in trusted((0.8, True)).table.schema.field("prediction_set").metadata[b"description"]


def test_columns_of_other_tables_are_not_taken_for_a_model_s():
    objects = pa.table({"novelty": ["a", "b"], "prediction_set": ["x", "y"], "kept": [1, 2]})
    made = predictions_of(["a", "b"], ["OK", "OK"], ("X",), np.ones((2, 1)), [1, 1], objects=objects)
    assert "kept" in made.table.column_names
    assert not {"novelty", "prediction_set"} & set(made.table.column_names)
