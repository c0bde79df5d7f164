"""Batches: the best by score, or one of each group of the best; in pieces as in whole."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.survey.suggest import SCORES, Best, LabelHead, choose, margin


def test_margin_is_one_less_the_lead() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.2, 0.7, 0.1], [0, 0, 1]])
    np.testing.assert_allclose(margin(p), [1, 0.5, 0])
    assert margin(p[:, :1]).tolist() == [0, 0, 0]


def test_scores_are_largest_where_nothing_is_known() -> None:
    rng = np.random.default_rng(0)
    p = np.array([[1 / 3, 1 / 3, 1 / 3], [0.6, 0.3, 0.1], [1, 0, 0]])
    columns = {"mutual_information": np.array([3.0, 2, 1]), "novelty": np.array([0.9, 0.5, 0.1])}
    for name in ("margin", "entropy", "mutual_information", "novelty"):
        assert np.diff(SCORES[name](p, columns, rng)).max() < 0, name


def test_without_spreading_it_is_the_best() -> None:
    score = np.random.default_rng(0).random(100)
    rows, alike = choose(score, np.zeros((100, 3), np.float32), 7, 1)
    assert rows.tolist() == np.argsort(-score)[:7].tolist()
    assert alike.tolist() == [1] * 7


def test_a_batch_is_one_of_each_group_and_not_copies() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(6), [100, 50, 20, 10, 5, 2])
    unit = np.eye(6, dtype=np.float32)[group] + 0.01 * rng.normal(size=(187, 6)).astype(np.float32)
    score = 1 - 0.1 * group + 0.01 * rng.random(187)  # by score alone all would be of the first group
    rows, alike = choose(score, unit, 6, 20)  # 120 candidates, of the first two groups only
    assert set(group[rows]) == {0, 1}
    assert alike.sum() == 120
    rows, alike = choose(score, unit, 20, 20)
    assert set(group[rows]) == set(range(6))
    assert alike.sum() == 187
    assert (np.diff(score[rows]) <= 0).all()


def test_copies_fill_a_batch_if_there_is_nothing_else() -> None:
    rows, alike = choose(np.linspace(1, 0, 50), np.ones((50, 2), np.float32), 5, 20)
    assert len(set(rows)) == len(alike) == 5
    assert choose(np.ones(3), np.eye(3, dtype=np.float32), 5, 20)[0].tolist() == [0, 1, 2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 20), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_the_best_of_pieces_are_the_best_of_the_whole(seed: int, count: int, cuts: list[int]) -> None:
    score = np.random.default_rng(seed).permutation(60).astype(float)
    score[seed % 60] = np.nan
    ids = pa.table({"object_id": [str(i) for i in range(60)]})
    embedding = np.arange(60, dtype=np.float32)[:, None]
    best = Best(count)
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        best.add(score[a:b], ids.slice(a, b - a), embedding[a:b], embedding[a:b])
    found = best.rows()
    assert found is not None
    expected = np.argsort(-np.nan_to_num(score, nan=-1))[:count]
    assert found[1]["object_id"].to_pylist() == [str(i) for i in expected]
    assert found[2][:, 0].tolist() == expected.tolist()
    np.testing.assert_array_equal(found[0], score[expected])


def test_an_object_comes_once_with_its_best_light_curve() -> None:
    best = Best(10)
    x = np.zeros((4, 1), np.float32)
    best.add(np.array([1.0, 4, 3, 2]), pa.table({"object_id": ["a", "b", "a", "c"]}), x, x)
    score, table, *_ = best.rows()
    assert table["object_id"].to_pylist() == ["b", "a", "c"]
    assert score.tolist() == [4, 3, 2]
    assert Best(3).rows() is None


def test_a_head_separates_what_is_separate() -> None:
    z = np.repeat(np.eye(4), 5, axis=0) * 3
    label = np.repeat(list("abcd"), 5)
    head = LabelHead(z, label)
    p = head.probabilities(z)
    assert (np.array(head.classes)[p.argmax(1)] == label).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert LabelHead(z[:5], label[:5]).probabilities(z).tolist() == [[1]] * 20
