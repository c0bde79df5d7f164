"""Figures of scores show the numbers of the scores, on the right axes."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.calibration_scores import reliability
from goodricke.evaluation.early import score_by_number, score_by_truncation
from goodricke.evaluation.figures.classes import (
    plot_class_reliabilities,
    plot_confusion,
    plot_fold_confusion,
    plot_history,
    plot_precision_recall,
    plot_purity_completeness,
    plot_regression,
    plot_reliabilities,
)
from goodricke.evaluation.figures.early import (
    MOST_CLASSES,
    highlighted_classes,
    plot_by_number,
    plot_conditions,
    plot_early,
    plot_probability_history,
    plot_shifts,
)
from goodricke.evaluation.figures.style import label_ends, move_apart
from goodricke.evaluation.folds import summarise_folds
from goodricke.evaluation.scores import score, threshold_curve
from tests.checking import ink

pytestmark = pytest.mark.usefixtures("loud")

CLASSES = ("EA", "EW", "$RR_{")
RNG = np.random.default_rng(0)
LABEL = np.arange(300) % 3
P = RNG.dirichlet(np.full(3, 0.5), 300)
N_OBS = np.arange(300) % 60


def star(n=80, bands=("g", "r")):
    rng = np.random.default_rng(0)
    time = 56000 + np.sort(rng.uniform(0, 300, n))
    value, error = 15 + rng.normal(0, 0.3, n), np.full(n, 0.03)
    return LightCurves.from_arrays(
        ["$PS1_{"], [0, n], time, value, error, rng.integers(len(bands), size=n), bands=bands, unit="mag"
    )


def history(n, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), n)


def heights(axes):
    """Return the values that marks with error bars stand at."""
    return axes.containers[0].lines[0].get_ydata()


# ---- classes --------------------------------------------------------------------------------------------------------


def test_confusion_matrix(drawn, tmp_path):
    scores = score(LABEL, P, CLASSES, resamples=0)
    plot_confusion(scores, tmp_path / "x.png")
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), 100 * scores.confusion / scores.n[:, None])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("most probable class", "true class")
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"{name} (100)" for name in CLASSES]
    cells = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert cells[2, 1] == f"{scores.confusion[1, 2]:.0f} %\n{scores.confusion[1, 2]}"


def test_fold_confusion(drawn, tmp_path):
    folds = summarise_folds([score(LABEL, P[:, ::step], CLASSES, resamples=0) for step in (1, -1, 1)])
    plot_fold_confusion(folds, tmp_path / "x.png")
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), 100 * folds.confusion[0])
    median, low, high = (round(100 * x) for x in folds.confusion[:, 1, 2])
    cells = {tuple(text.get_position()): text.get_text() for text in axes.texts}
    assert cells[2, 1] == f"${median}_{{\\,{low}}}^{{\\,{high}}}$"


def test_reliability(drawn, tmp_path):
    curve = reliability(P, LABEL)
    plot_reliabilities({"a": curve}, tmp_path / "x.png")
    plot_reliabilities({"a": curve, "b": curve}, tmp_path / "y.svg")
    for figure in drawn:
        upper, lower = figure.axes
        np.testing.assert_allclose(heights(upper), curve.rate[curve.n > 0])
        assert (upper.get_xlim(), upper.get_ylabel()) == ((0, 1), "fraction right")
        assert lower.get_xlabel() == "probability of the most probable class"
        assert lower.patches[0].get_data().values.tolist() == curve.n.tolist()
    assert drawn[0].axes[0].get_title() == f"expected calibration error {curve.error:.3f}"
    plot_class_reliabilities({"EA": {"a": reliability(P, LABEL, of=0)}}, tmp_path / "z.svg")
    np.testing.assert_allclose(heights(drawn[2].axes[0]), (c := reliability(P, LABEL, of=0)).rate[c.n > 0])


def test_training_history(drawn, tmp_path):
    row = {"validation_loss": 1.1, "accuracy": 0.8, "macro_recall": 0.7}
    rows = [row | {"epoch": i, "loss": 2.0 - i, "score": -((i - 1) ** 2)} for i in range(4)]
    plot_history(rows, tmp_path / "x.png")
    left, right = drawn[0].axes
    assert list(left.lines[0].get_ydata()) == [2, 1, 0, -1]
    assert [text.get_text() for text in left.get_legend().texts] == ["training loss", "validation loss", "best epoch"]
    assert list(right.lines[-1].get_xdata()) == [1, 1]  # the best epoch
    plot_history([], tmp_path / "x.png")
    assert drawn[1].axes[0].texts[0].get_text() == "nothing recorded"


def test_purity_and_completeness(drawn, tmp_path):
    curve = threshold_curve(P[:, 0], LABEL == 0, resamples=20)
    plot_precision_recall({"EA": {"a": curve, "b": curve}, "EW": {"a": curve, "b": curve}}, tmp_path / "a.svg")
    plot_purity_completeness({"EA": curve}, tmp_path / "b.svg")
    axes, defined = drawn[0].axes[0], np.isfinite(curve.purity[0])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), curve.completeness[0][defined])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve.purity[0][defined])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("completeness (recall)", "purity (precision)")
    purity, completeness = drawn[1].axes[0].lines
    np.testing.assert_array_equal(purity.get_ydata(), curve.purity[0])
    np.testing.assert_array_equal(completeness.get_ydata(), curve.completeness[0])
    assert drawn[1].axes[0].get_xlabel() == "threshold"


# ---- objects and observations ---------------------------------------------------------------------------------------


def test_scores_after_k_steps(drawn, tmp_path):
    label, offsets = np.arange(60) % 3, np.append(0, np.cumsum(np.arange(60) + 1))
    curves = {f"model ${i}_{{": score_by_truncation(label, offsets, history(1830, 3, i), (1, 10, 50)) for i in range(7)}
    plot_early(curves, tmp_path / "x.png")
    upper, lower = drawn[0].axes
    assert upper.lines[0].get_xdata().tolist() == [1, 10, 50]
    assert upper.lines[0].get_ydata().tolist() == [x.value for x in curves["model $0_{"].macro_f1]
    assert lower.lines[0].get_ydata() == pytest.approx(100 * np.array([60, 51, 11]) / 60)
    assert (lower.get_xscale(), upper.get_ylabel()) == ("log", "macro F1")
    assert [text.get_text() for text in upper.texts] == list(curves)


def test_scores_by_number(drawn, tmp_path):
    curve = score_by_number(LABEL, P, N_OBS, [0, 20, 40, 60], resamples=50)
    plot_by_number({"a": curve, "b": curve}, tmp_path / "x.png")
    upper, lower = drawn[0].axes
    np.testing.assert_allclose(heights(upper), [x.value for x in curve.macro_f1])
    assert [bar.get_height() for bar in lower.patches] == [100, 100, 100]
    assert lower.get_xlabel() == "number of observations"
    for count in (0, 8):
        with pytest.raises(ValueError, match=f"{count} curves"):
            plot_by_number(dict.fromkeys("abcdefgh"[:count], curve), tmp_path / "y.png")


def test_accuracy_against_properties(drawn, tmp_path):
    curve = score_by_number(LABEL, P, N_OBS + 1, [1, 20, 40, 61], resamples=50)
    plot_conditions({"number of points": {"a": curve}}, tmp_path / "x.svg")
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(heights(axes), [x.value for x in curve.accuracy])
    bars = np.array(axes.collections[0].get_segments())
    np.testing.assert_array_equal(bars[:, :, 0], np.stack([curve.fewest, curve.most], 1))
    assert (axes.get_xscale(), axes.get_ylabel(), axes.get_title()) == ("log", "accuracy", "number of points")


def test_shifted_features(drawn, tmp_path):
    pairs = {
        "a": (np.arange(9.0), np.full(4, np.nan)),
        "constant": (np.ones(3), np.ones(5)),
        "b": (np.ones(3), np.arange(5.0)),
    }
    plot_shifts(pairs, ("one", "two"), tmp_path / "s.svg")
    assert [axes.get_title() for axes in drawn[0].axes[:3]] == list(pairs)
    stairs = drawn[0].axes[1].patches
    assert [patch.get_data().values.sum() for patch in stairs] == [100] * 4


def test_probability_history(drawn, tmp_path):
    curve, p = star(), history(60, 3)
    plot_probability_history(curve.time[20:], p, CLASSES, tmp_path / "x.png", curve, truth=CLASSES[2])
    above, axes = drawn[0].axes
    assert above.yaxis_inverted()
    assert above.get_xlim() == axes.get_xlim()
    labels = {text.get_text() for text in axes.texts}
    assert f"{p[-1, 2]:.2f}  {CLASSES[2]} (true)" in labels
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 61]
    np.testing.assert_allclose(sum(lines), 1)  # all classes have a line
    plot_probability_history([], np.zeros((0, 3)), CLASSES, tmp_path / "x.png")
    assert "no step" in drawn[1].axes[0].texts[0].get_text()


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
    assert highlighted_classes(p).tolist() == [3, 0, 1]  # the last answer first, the third never gets probable
    assert highlighted_classes(p, truth=2).tolist() == [2, 3, 0, 1]
    uniform = np.full((4, 30), 1 / 30)
    assert len(highlighted_classes(uniform)) == 1  # no class is probable: the answer is shown none the less
    many = np.vstack([np.eye(20) * 0.9, np.eye(20)[19]])
    assert len(highlighted_classes(many, truth=12)) == MOST_CLASSES
    assert {12, 19} <= set(highlighted_classes(many, truth=12).tolist())


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


# ---- regression -----------------------------------------------------------------------------------------------------


def test_regression(drawn, tmp_path):
    truth = np.append(10 ** RNG.uniform(0, 2.5, 99), np.nan)
    predicted = truth * RNG.normal(1, 0.2, 100)
    plot_regression(truth, predicted, tmp_path / "x.png", "radius", "R_sun")
    upper, lower = drawn[0].axes
    np.testing.assert_array_equal(upper.lines[0].get_xdata(), truth[:99])
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), predicted[:99])
    assert (upper.get_xscale(), upper.get_yscale(), upper.get_xlim()) == ("log", "log", upper.get_ylim())
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("predicted radius [R_sun]", "error [%]")
    np.testing.assert_allclose(lower.lines[0].get_ydata(), 100 * (predicted / truth - 1)[:99])
    plot_regression(RNG.normal(size=4000), RNG.normal(size=4000), tmp_path / "x.png")
    upper, lower = drawn[1].axes
    assert (upper.get_xscale(), lower.get_ylabel()) == ("linear", "error")
    assert isinstance(upper.collections[0], PolyCollection)  # the density of many points
    with pytest.raises(ValueError, match="none of 1"):
        plot_regression([np.nan], [1.0], tmp_path / "y.png")


# ---- rendered -------------------------------------------------------------------------------------------------------


def test_figures_of_extreme_input_are_rendered_without_a_warning(tmp_path, monkeypatch):
    """Layouts are computed at rendering: many long names, single points, constants, markup in names."""
    monkeypatch.setattr("goodricke.evaluation.figures.style.DPI", 40)
    path = tmp_path / "x.png"
    for count in (1, 25):
        names = [f"a rather long name ${i}_{{" for i in range(count)]
        label, p = RNG.integers(max(count - 1, 1), size=200), RNG.dirichlet(np.ones(count), 200)
        scores = score(label, p, names, resamples=0)
        plot_confusion(scores, path)
        plot_fold_confusion(summarise_folds([scores] * 3), path)
        plot_probability_history(np.full(5, 56000.0), history(5, count), names, path, star(), truth=names[-1])
    same = score_by_number(LABEL, np.eye(3)[LABEL], np.full(300, 7), [7, 8])
    plot_by_number({"same": same}, path)
    plot_early({"one": score_by_truncation([0, 1], [0, 7, 14], history(14, 3), (7,), resamples=20)}, path)
    for truth in (np.full(12, 5.0), np.array([2.0])):
        plot_regression(truth, truth, path, "radius $R_{")
    assert ink(path)[2] > 0.02
