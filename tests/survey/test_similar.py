"""Neighbours: never oneself, never twice, of a new light curve as of the same one in the catalog; hints at typos."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import goodricke
from goodricke.data.taxonomy import Taxonomy
from goodricke.inference import classify
from goodricke.survey.similar import Neighbours
from tests.survey.embedding_groups import CLASSES, embedding_of, groups, written


def opened(tmp_path: Path, **options) -> Neighbours:
    return Neighbours.open(written(tmp_path / "p.parquet", **options))


def test_neighbours_are_of_the_same_group(tmp_path: Path) -> None:
    found = goodricke.similar("S00003", written(tmp_path / "p.parquet", failed=0, noise=0.05), k=7).to_pylist()
    assert [row["rank"] for row in found] == [1, 2, 3, 4, 5, 6, 7]
    assert {int(row["object_id"][1:]) % 3 for row in found} == {0}
    assert {row["query"] for row in found} == {"S00003"}
    assert "S00003" not in {row["object_id"] for row in found}
    distance = [row["distance"] for row in found]
    assert distance == sorted(distance)
    assert 0 < distance[0] < distance[-1] < 0.2
    assert found[0]["class"] == "EA"
    assert found[0]["p_max"] >= 0.5


def test_a_class_goes_with_its_probability_where_it_is_a_node(tmp_path: Path) -> None:
    tree = Taxonomy.shipped().restricted(CLASSES)
    made = groups(failed=0, taxonomy=tree)
    made.write(tmp_path / "p.parquet")
    expected = {row["object_id"]: row for row in made.table.to_pylist()}
    found = Neighbours.open(tmp_path / "p.parquet").of(["S00003"], 40)
    assert found.column_names[-2:] == ["class", "class_probability"]
    assert "ECLIPSING" in found["class"].to_pylist()
    for row in found.to_pylist():
        own = expected[row["object_id"]]
        assert (row["class"], row["class_probability"]) == (own["class"], own["class_probability"])


def test_an_object_with_several_light_curves_comes_once_and_is_asked_with_all(tmp_path: Path) -> None:
    n = 60
    ids = [f"S{i % 12}" for i in range(n)]
    path = written(tmp_path / "p.parquet", n=n, ids=ids, failed=0, noise=1.0)
    found = goodricke.similar(["S4", "S5"], path, k=20).to_pylist()
    names, x = embedding_of(path)
    z = (x - x.mean(0)) / x.std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    for query in ("S4", "S5"):
        own = np.array(names) == query
        nearest = {s: float((1 - z[own] @ z[np.array(names) == s].T).min()) for s in set(names) - {query}}
        mine = [row for row in found if row["query"] == query]
        assert [row["object_id"] for row in mine] == sorted(nearest, key=nearest.__getitem__)
        np.testing.assert_allclose([row["distance"] for row in mine], sorted(nearest.values()), atol=1e-5)


def test_a_new_light_curve_has_the_neighbours_of_the_same_in_the_catalog(tmp_path: Path, stars, folded_model) -> None:
    classify(stars, folded_model, passes=0).write(tmp_path / "p.parquet")
    neighbours = Neighbours.open(tmp_path / "p.parquet")
    known = neighbours.of([stars.ids[4]], 5).to_pylist()
    again = neighbours.like(stars[4], folded_model, 5).to_pylist()
    assert [row["object_id"] for row in again] == [row["object_id"] for row in known]
    np.testing.assert_allclose([r["distance"] for r in again], [r["distance"] for r in known], atol=1e-4)


def test_another_model_is_refused(tmp_path: Path, stars, folded_model) -> None:
    neighbours = opened(tmp_path)
    with pytest.raises(ValueError, match=r"made by tiny \(0123456789ab\), not tiny"):
        neighbours.like(stars[0], folded_model)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        *[(asked, "KIC 10268952") for asked in ("KIC 1026895", "kic 10268952", "10268952", "KIC 10268592")],
        ("TIC 77", "TIC 777"),
    ],
)
def test_a_misspelt_id_is_hinted_at(tmp_path: Path, asked: str, meant: str) -> None:
    neighbours = opened(tmp_path, n=6, failed=0, ids=["KIC 10268952", "TIC 777", *"abcd"])
    with pytest.raises(ValueError, match=f"not in the catalog.*did you mean {meant}"):
        neighbours.of([asked])
    assert asked not in neighbours
    assert meant in neighbours


def test_an_id_like_no_other_gets_examples(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its ids look like S00000, S00001"):
        opened(tmp_path, failed=0).of(["V* Omicron Ceti"])


def test_what_was_not_classified_is_no_neighbour(tmp_path: Path) -> None:
    made = groups(failed=0.5)
    made.write(tmp_path / "p.parquet")
    ok = made.table.filter(pa.array(made.ok))["object_id"].to_pylist()
    found = goodricke.similar(ok[0], tmp_path / "p.parquet", k=1000)
    assert sorted(found["object_id"].to_pylist()) == sorted(set(ok) - {ok[0]})
    failed = next(iter(set(made.table["object_id"].to_pylist()) - set(ok)))
    with pytest.raises(ValueError, match="without embedding"):
        goodricke.similar(failed, tmp_path / "p.parquet")
    with pytest.raises(ValueError, match="ask for at least one"):
        goodricke.similar(ok[0], tmp_path / "p.parquet", k=0)
