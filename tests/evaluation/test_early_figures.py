import numpy as np
import pytest
from matplotlib.figure import Figure

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.early import score_by_number, score_by_truncation
from goodricke.evaluation.figures.classes import plot_fold_confusion
from goodricke.evaluation.figures.early import (
    MOST_CLASSES,
    highlighted,
    plot_by_number,
    plot_early,
    plot_probability_history,
)
from goodricke.evaluation.figures.regression import plot_regression
from goodricke.evaluation.figures.style import label_ends, move_apart
from goodricke.evaluation.folds import summarise_folds
from goodricke.evaluation.scores import score
from tests.checking import ink

pytestmark = pytest.mark.usefixtures("loud")

CLASSES = ("EA", "EW", "$RR_{")


def star(n=80, bands=("g", "r")):
    rng = np.random.default_rng(0)
    time = 56000 + np.sort(rng.uniform(0, 300, n))
    value, error = 15 + rng.normal(0, 0.3, n), np.full(n, 0.03)
    return LightCurves.from_arrays(
        ["$PS1_{"], [0, n], time, value, error, rng.integers(len(bands), size=n), bands=bands, unit="mag"
    )


def history(n, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), n)


@pytest.mark.parametrize("count", [1, 3, 9, 25])
def test_fold_confusion(count, tmp_path):
    rng = np.random.default_rng(0)
    label, names = rng.integers(max(count - 1, 1), size=300), [f"class ${i}_{{" for i in range(count)]
    folds = [score(label, rng.dirichlet(np.ones(count), 300), names, resamples=0) for _ in range(3)]
    plot_fold_confusion(summarise_folds(folds), tmp_path / "x.png")
    assert ink(tmp_path / "x.png")[2] > 0.02


@pytest.mark.parametrize("figure_of_merit", ["macro_f1", "accuracy"])
@pytest.mark.parametrize("at", [(1, 2, 5), (1, 10, 100, 300), (7,)])
def test_early(at, figure_of_merit, tmp_path):
    label, offsets = np.arange(60) % 3, np.append(0, np.cumsum(np.arange(60) + 1))
    curves = {
        f"model ${i}_{{": score_by_truncation(label, offsets, history(1830, 3, i), at, resamples=50) for i in range(7)
    }
    plot_early(curves, tmp_path / "x.png", figure_of_merit)
    width, height, inked = ink(tmp_path / "x.png")
    assert (width, height) == (900, 576)
    assert inked > 0.02


@pytest.mark.parametrize("edges", [[0, 20, 40, 60], [1, 5, 60, np.inf], [0, 100]])
def test_by_number(edges, tmp_path):
    label, n_obs = np.arange(600) % 3, np.arange(600) % 60
    curves = {f"model {i}": score_by_number(label, history(600, 3, i), n_obs, edges, resamples=50) for i in range(3)}
    plot_by_number(curves, tmp_path / "x.png")
    assert ink(tmp_path / "x.png")[2] > 0.02
    plot_by_number({"same": score_by_number(label, np.eye(3)[label], np.full(600, 7), [7, 8])}, tmp_path / "x.png")
    assert ink(tmp_path / "x.png")[2] > 0.02


def test_scores_that_can_not_be_drawn(tmp_path):
    curve = score_by_number(np.arange(3), np.eye(3), [1, 2, 3], [0, 9], resamples=0)
    plot_by_number({"without intervals": curve}, tmp_path / "x.png")
    with pytest.raises(ValueError, match="0 curves"):
        plot_by_number({}, tmp_path / "y.png")
    with pytest.raises(ValueError, match="8 curves"):
        plot_by_number(dict.fromkeys("abcdefgh", curve), tmp_path / "y.png")
    with pytest.raises(ValueError, match="macro_f1 or accuracy"):
        plot_by_number({"a": curve}, tmp_path / "y.png", "f1")
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("count", [1, 2, 3, 25])
@pytest.mark.parametrize("steps", [0, 1, 60])
def test_probability_history(steps, count, tmp_path):
    curve, names = star(), [f"class ${i}_{{" for i in range(count)]
    time, p = curve.time[len(curve.time) - steps :], history(steps, count)
    plot_probability_history(time, p, names, tmp_path / "alone.png")
    plot_probability_history(time, p, names, tmp_path / "both.png", curve, truth=names[-1])
    plot_probability_history(time, p, names, tmp_path / "empty.png", star(0))
    assert ink(tmp_path / "alone.png")[2] > 0.002
    assert ink(tmp_path / "both.png")[:2] == (1200, 672)
    assert ink(tmp_path / "both.png")[2] > 0.005
    assert ink(tmp_path / "empty.png")[2] > 0.002


def test_history_of_steps_at_one_time(tmp_path):
    plot_probability_history(np.full(5, 56000.0), history(5, 3), CLASSES, tmp_path / "x.png")
    assert ink(tmp_path / "x.png")[2] > 0.005


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": [1.0, 2.0]}, "that shape"),
        ({"time": [1.0, 3.0, 2.0]}, "in order"),
        ({"time": [1.0, np.nan, 2.0]}, "finite"),
        ({"probabilities": np.full((3, 3), np.nan)}, "finite"),
        ({"curve": LightCurves.concat([star(), star()])}, "not 2"),
        ({"truth": "SN"}, "'SN' is none of EA"),
    ],
)
def test_wrong_history(change, words, tmp_path):
    good = {"time": [1.0, 2.0, 3.0], "probabilities": history(3, 3), "classes": CLASSES, "path": tmp_path / "x.png"}
    with pytest.raises(ValueError, match=words):
        plot_probability_history(**good | change)
    assert not list(tmp_path.iterdir())


def test_highlighted_classes():
    p = np.array([[0.5, 0.3, 0.1, 0.1], [0.0, 0.05, 0.05, 0.9]])
    assert highlighted(p).tolist() == [3, 0, 1]  # the last answer first, the third never gets probable
    assert highlighted(p, truth=2).tolist() == [2, 3, 0, 1]
    uniform = np.full((4, 30), 1 / 30)
    assert len(highlighted(uniform)) == 1  # no class is probable: the answer is shown none the less
    many = np.vstack([np.eye(20) * 0.9, np.eye(20)[19]])
    assert len(highlighted(many, truth=12)) == MOST_CLASSES
    assert {12, 19} <= set(highlighted(many, truth=12).tolist())


def test_labels_keep_apart():
    assert move_apart([0.5], 0.1).tolist() == [0.5]
    np.testing.assert_allclose(move_apart([0.1, 0.9, 0.5], 0.1), [0.1, 0.9, 0.5])  # far enough: not moved
    np.testing.assert_allclose(move_apart([0.5, 0.5], 0.1), [0.45, 0.55])
    np.testing.assert_allclose(move_apart([0.0, 0.0, 0.0], 0.1), [0.0, 0.1, 0.2])  # never below the axes
    np.testing.assert_allclose(move_apart([1.0, 0.99], 0.1), [1.0, 0.9])
    np.testing.assert_allclose(move_apart(np.zeros(21), 0.1), np.linspace(0, 1, 21))  # closer if there is no room
    rng = np.random.default_rng(0)
    for _ in range(20):
        places = rng.uniform(size=8)
        moved = move_apart(places, 0.08)
        assert np.diff(np.sort(moved)).min() > 0.08 - 1e-9
        assert (moved.argsort() == places.argsort()).all()
        assert 0 <= moved.min() <= moved.max() <= 1


def test_labels_stand_where_lines_end():
    axes = Figure(figsize=(5, 5)).add_subplot()
    axes.set_ylim(0, 10)
    label_ends(axes, [(2.0, "low", "red"), (9.0, "high", "blue"), (np.nan, "none", "green")])
    texts = {text.get_text(): text for text in axes.texts}
    assert texts.keys() == {"low", "high"}
    np.testing.assert_allclose(texts["low"].xyann, (1.03, 0.2))
    np.testing.assert_allclose(texts["high"].xy, (1, 0.9))
    label_ends(axes, [])
    assert len(axes.texts) == 2


@pytest.mark.parametrize("n", [1, 12, 900, 4000])
@pytest.mark.parametrize("kind", ["linear", "log", "perfect", "constant"])
def test_regression(kind, n, tmp_path):
    rng = np.random.default_rng(0)
    truth = {"log": 10 ** rng.uniform(0, 2.5, n), "constant": np.full(n, 5.0)}.get(kind, rng.normal(0, 2, n))
    predicted = truth if kind == "perfect" else truth * rng.normal(1, 0.2, n) - 0.5  # some below zero
    truth[n // 2 :: 5] = truth[n // 2 :: 5] if n == 1 else np.nan
    plot_regression(truth, predicted, tmp_path / "x.png", "radius $R_{", "R_sun")
    width, height, inked = ink(tmp_path / "x.png")
    assert (width, height) == (624, 792)
    assert inked > 0.02


def test_regression_without_truth(tmp_path):
    with pytest.raises(ValueError, match="none of 1"):
        plot_regression([np.nan], [1.0], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
