"""The index has the neighbours of the formula, follows the catalog, and is never read half-written."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.survey import embeddings
from goodricke.survey.embeddings import Space
from goodricke.survey.shards import Catalog, Entry, Folder, write_shard
from goodricke.survey.similar import cached_index_path, identity, index_path, open_index
from tests.survey.embedding_groups import embedding_of, groups, written


def neighbours_by_formula(x: np.ndarray, query: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest rows and their distances by the formula, in double precision."""
    z = (x - x.mean(0)) / x.std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    distance = 1 - z @ z[query]
    rows = np.argsort(distance)[:k]
    return rows, distance[rows]


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize(("n", "d", "k"), [(90, 6, 5), (300, 24, 40), (12, 3, 50)])
def test_it_has_the_neighbours_of_the_formula(tmp_path: Path, monkeypatch, block: int, n: int, d: int, k: int) -> None:
    monkeypatch.setattr(embeddings.blocks, "__defaults__", ((), block))
    path = written(tmp_path / "p.parquet", n=n, d=d)
    ids, x = embedding_of(path)
    index = open_index(Catalog.open(path))
    assert index.table["object_id"].to_pylist() == ids
    queries = np.arange(0, len(ids), 5)
    rows, distance = index.nearest(index.vectors(queries), k)
    for q, found, d_found in zip(queries, rows, distance, strict=True):
        expected, d_expected = neighbours_by_formula(x, q, k)
        np.testing.assert_allclose(d_found, d_expected, atol=1e-5)
        assert set(found[:3]) == set(expected[:3])
        assert found[0] == q
        assert d_found[0] == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(2, 20), k=st.integers(1, 30))
def test_near_copies_and_skewed_axes_lose_no_neighbour(tmp_path_factory, seed: int, d: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, d)) * rng.uniform(0.01, 3, d) @ rng.normal(size=(d, d))
    x[30:] = x[rng.integers(0, 30, 30)] + 1e-3 * rng.normal(size=(30, d))
    path = tmp_path_factory.mktemp("x") / "p.parquet"
    groups(n=60, failed=0, embedding=x).write(path)
    index = open_index(Catalog.open(path))
    whole = index.vectors(np.arange(60)).astype(np.float64)
    rows, distance = index.nearest(index.vectors(np.array([seed % 60])), k)
    expected = np.sort(np.square(whole - whole[seed % 60]).sum(1) / 2)[:k]
    np.testing.assert_allclose(distance[0], expected, atol=1e-5)
    assert len(set(rows[0])) == k


def test_queries_together_have_the_answers_of_each(tmp_path: Path) -> None:
    index = open_index(Catalog.open(written(tmp_path / "p.parquet", n=100)))
    vectors = index.vectors(np.arange(40))
    rows, distance = index.nearest(vectors, 4)
    for i in range(40):
        single = index.nearest(vectors[i : i + 1], 4)
        np.testing.assert_array_equal(single[0][0], rows[i])
        np.testing.assert_array_equal(single[1][0], distance[i])


def test_it_stays_until_the_file_changes(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=30)
    first = open_index(Catalog.open(path))
    assert first.path == index_path(path) == tmp_path / "_p.parquet.similar.arrow"
    made = first.path.stat().st_mtime_ns
    assert open_index(Catalog.open(path)).path.stat().st_mtime_ns == made
    written(path, n=36, failed=0)
    os.utime(path, ns=(1, 1))
    assert len(open_index(Catalog.open(path))) == 36
    assert not list(tmp_path.glob(".*"))  # no leftovers


def test_it_follows_a_catalog_that_grows(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "cat", "catalog", {"model": "tiny"}).begin()
    for task, n in enumerate((20, 30)):
        table = groups(n=n, failed=0, seed=task, ids=[f"{task}-{i}" for i in range(n)]).table
        size, sha = write_shard(folder.path / f"shard-{task}.parquet", table, 7)
        folder.log(Entry(str(task), f"shard-{task}.parquet", n, size, sha))
        index = open_index(Catalog.open(folder.path))
        assert len(index) == (20, 50)[task]
    folder.finish()
    assert index.path.name == "_similar.arrow"
    assert (index.model, index.model_hash) == ("tiny", "0123456789ab")
    assert len(Catalog.open(folder.path)) == 50  # the index is no row of the catalog


@pytest.mark.parametrize("damage", [b"", b"ARROW1", None])
def test_a_damaged_index_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    path = written(tmp_path / "p.parquet", n=30)
    index = open_index(Catalog.open(path)).path
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    open_index(Catalog.open(path))
    assert index.read_bytes() == whole


def test_where_nothing_can_be_written_it_goes_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = written(tmp_path / "p.parquet", n=30)
    index_path(path).mkdir()  # nothing can be written under that name
    index = open_index(Catalog.open(path))
    assert index.path == cached_index_path(path)
    assert index.path.is_relative_to(tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    with pytest.raises(ValueError, match="set XDG_CACHE_HOME"):
        open_index(Catalog.open(path))


def test_embeddings_of_two_models_are_refused(tmp_path: Path) -> None:
    tables = [groups(n=9, model_hash=h, ids=[f"{h}{i}" for i in range(9)]).table for h in ("aaa", "bbb")]
    one, other = (tmp_path / f"{k}.parquet" for k in "ab")
    for path, table in zip((one, other), tables, strict=True):
        write_shard(path, table, 100)
    with pytest.raises(ValueError, match="several models"):
        open_index(Catalog.open(tmp_path))
    write_shard(other, groups(n=9, d=4).table, 100)
    with pytest.raises(ValueError, match="several lengths"):
        open_index(Catalog.open(tmp_path))


def test_without_embeddings_it_says_how_to_get_them(tmp_path: Path) -> None:
    write_shard(tmp_path / "p.parquet", groups(n=9).table.drop_columns(["embedding"]), 9)
    with pytest.raises(ValueError, match=r"no column embedding.*goodricke classify"):
        embeddings.open_embedded(tmp_path / "p.parquet")
    (tmp_path / "p.csv").write_text("object_id,p_EA\n1,0.5\n")
    with pytest.raises(ValueError, match="is no Parquet file"):
        embeddings.open_embedded(tmp_path / "p.csv")
    written(tmp_path / "q.parquet", n=5, failed=1.1)
    with pytest.raises(ValueError, match="no row has an embedding"):
        open_index(embeddings.open_embedded(tmp_path / "q.parquet"))


def test_blocks_are_the_rows_that_have_an_embedding(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=50, failed=0.3)
    ids, x = embedding_of(path)
    parts = list(embeddings.blocks(Catalog.open(path), ("p_EA", "nothing"), 8))
    assert [len(t) for t, _ in parts][:-1] == [8] * (len(parts) - 1)
    assert pa.concat_tables([t for t, _ in parts])["object_id"].to_pylist() == ids
    np.testing.assert_array_equal(np.concatenate([e for _, e in parts]), x)
    assert parts[0][0].column_names == ["object_id", "p_EA"]


def test_the_space_of_the_index_is_that_of_the_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=50)
    _, x = embedding_of(path)
    index = open_index(Catalog.open(path))
    np.testing.assert_allclose(index.vectors(np.arange(len(x))), Space.fit([x]).unit(x), atol=1e-6)
    assert identity(Catalog.open(path)) != identity(Catalog.open(written(tmp_path / "q.parquet", n=50)))
