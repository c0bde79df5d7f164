"""The experiments on embeddings: simulated labelling, and the classes of neighbours, where the answers are known."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.labelling import held_out, read_embedded, simulate_labelling
from benchmarks.neighbours import USED, neighbour_purity

from tests.survey.embedding_groups import CLASSES, groups, written

KNOWN = {f"S{i:05d}": CLASSES[i % 3] for i in range(2000)}


def test_strategies_start_alike_end_alike_and_repeat(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=240, noise=2.0)
    curves = simulate_labelling(path, KNOWN, n=20, rounds=100, seeds=2)
    assert curves.strategies == ("mixed", "cover", "margin", "entropy", "random")
    assert curves.labels.tolist() == list(range(20, curves.pool, 20))
    for scores in curves.scores.values():
        assert (scores[:, :, 0] == scores[0, :, 0]).all()  # one first batch
        assert 0.33 < scores.mean() <= 1
    again = simulate_labelling(path, KNOWN, n=20, rounds=100, seeds=2, strategies=["margin"])
    np.testing.assert_array_equal(again.scores["accuracy"], curves.scores["accuracy"][[2, 4]])
    assert curves.gain("accuracy", "random").value == 0
    assert curves.labels_saved("accuracy", "random") <= curves.labels[-1]


def test_uncertain_ones_teach_more_where_a_line_divides(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (900, 8))
    groups(n=900, failed=0, embedding=x).write(tmp_path / "p.parquet")
    known = {f"S{i:05d}": ("left", "right")[int(side)] for i, side in enumerate(x.sum(1) > 0)}
    curves = simulate_labelling(tmp_path / "p.parquet", known, n=20, rounds=5, seeds=5, strategies=["margin"])
    assert curves.gain("macro_f1", "margin").low > 0
    assert curves.labels_saved("macro_f1", "margin") < curves.labels[-1]


def test_the_third_is_held_out_of_each_class() -> None:
    label = np.repeat(["a", "b"], [30, 9])
    held, pool = held_out(label)
    assert np.unique(label[held], return_counts=True)[1].tolist() == [10, 3]
    assert sorted([*held, *pool]) == list(range(39))


def test_small_classes_are_left_out_and_too_few_labels_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "p.parquet", n=90, failed=0)
    known = {name: "rare" if i < 9 else label for i, (name, label) in enumerate(KNOWN.items())}
    assert set(read_embedded(path, known).label) == set(CLASSES)
    for bad, says in (({"nobody": "EA"}, "none of the 1 labelled"), (dict(list(KNOWN.items())[:40]), "too few")):
        with pytest.raises(ValueError, match=says):
            simulate_labelling(path, bad, n=50)
    with pytest.raises(ValueError, match="can't simulate novelty"):
        simulate_labelling(path, KNOWN, n=5, strategies=["novelty"])


def test_purity_is_one_where_groups_are_apart_and_chance_where_there_are_none(tmp_path: Path) -> None:
    apart = neighbour_purity(written(tmp_path / "p.parquet", n=300, noise=0.01), KNOWN)
    assert apart.share[USED].value == 1
    assert apart.chance == pytest.approx(1 / 3, abs=0.02)
    assert apart.share["drawn at random"].value == pytest.approx(apart.chance, abs=0.05)
    none = neighbour_purity(written(tmp_path / "q.parquet", n=900, noise=1000.0, seed=3), KNOWN)
    assert none.share[USED].value == pytest.approx(none.chance, abs=0.03)
    assert none.share[USED].low < none.share[USED].value < none.share[USED].high
    assert none.to_table().row_count == len(none.share) + 1
    with pytest.raises(ValueError, match="too few"):
        neighbour_purity(tmp_path / "p.parquet", dict(list(KNOWN.items())[:6]))
