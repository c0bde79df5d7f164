import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from goodricke.evaluation.folds import Quartiles, regression_across_folds, summarise_folds
from goodricke.evaluation.regression import score_regression
from goodricke.evaluation.scores import score

CLASSES = ("EA", "EW", "RR")


def scored(answer, label=(0, 0, 0, 0, 1, 1, 2, 2), classes=CLASSES):
    """Return the scores of answers that are certain."""
    return score(np.array(label), np.eye(len(classes))[np.array(answer)], classes, resamples=0)


RIGHT, HALF, WRONG = (0, 0, 0, 0, 1, 1, 2, 2), (0, 0, 1, 1, 1, 2, 2, 0), (1, 1, 1, 1, 2, 2, 0, 0)


def test_one_fold_is_itself():
    fold = scored(HALF)
    summary = summarise_folds([fold])
    assert summary.accuracy == Quartiles(0.5, 0.5, 0.5)
    assert summary.macro_recall.median == fold.balanced_accuracy.value
    assert summary.macro_f1.median == fold.macro_f1.value
    np.testing.assert_allclose(summary.confusion, np.stack([fold.confusion / fold.n[:, None]] * 3))
    assert [q.median for q in summary.f1] == [figure.value for figure in fold.f1]


def test_by_hand():
    summary = summarise_folds([scored(WRONG), scored(RIGHT), scored(HALF)])
    assert summary.folds == 3
    assert summary.accuracy == summary.macro_recall == Quartiles(0.5, 0.25, 0.75)  # halfway between the folds
    assert summary.recall == (Quartiles(0.5, 0.25, 0.75),) * 3
    np.testing.assert_allclose(summary.confusion[0], [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    np.testing.assert_allclose(summary.confusion[1, 0], [0.25, 0.25, 0])
    np.testing.assert_allclose(summary.confusion[2, 0], [0.75, 0.75, 0])


def test_diagonal_is_the_recall_and_f1_the_median_of_folds():
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=300)
    folds = [score(label, rng.dirichlet(np.ones(3), 300), CLASSES, resamples=0) for _ in range(7)]
    summary = summarise_folds(folds)
    np.testing.assert_allclose(np.diagonal(summary.confusion, axis1=1, axis2=2).T, summary.recall)
    for k in range(3):
        assert summary.f1[k].median == np.median([fold.f1[k].value for fold in folds])
        assert summary.f1[k].low == np.quantile([fold.f1[k].value for fold in folds], 0.25)
    assert summary.macro_f1.low <= summary.macro_f1.median <= summary.macro_f1.high


def test_order_of_folds_does_not_matter():
    folds = [scored(answer) for answer in (RIGHT, HALF, WRONG, HALF)]
    a, b = summarise_folds(folds), summarise_folds(folds[::-1])
    assert a.to_dict() == b.to_dict()


def test_median_rows_need_not_add_up():
    """Three models that err to three sides: the median of each cell is 0 or 1 / 3."""
    label, classes = (0, 0, 0, 1, 2, 3), ("a", "b", "c", "d")
    folds = [scored((0, 0, wrong, 1, 2, 3), label, classes) for wrong in (1, 2, 3)]
    np.testing.assert_allclose(summarise_folds(folds).confusion[0, 0], [2 / 3, 0, 0, 0])


def test_class_without_light_curves_is_nan():
    summary = summarise_folds([scored((0, 1, 2), (0, 1, 1)), scored((0, 1, 1), (0, 1, 1))])
    assert np.isnan(summary.recall[2]).all()
    assert np.isnan(summary.confusion[:, 2]).all()
    assert summary.macro_recall == Quartiles(0.875, 0.8125, 0.9375)
    back = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert back["per_class"]["RR"]["f1"]["median"] is None
    assert back["confusion"]["low"][2] == [None] * 3


def test_presentations():
    summary = summarise_folds([scored(answer, classes=("[EA]", "EW", "RR")) for answer in (RIGHT, HALF, WRONG)])
    console = Console(width=100, record=True, file=StringIO())
    console.print(summary.table())
    shown = console.export_text()
    assert all(text in shown for text in ("3 models", "0.500 (0.250-0.750)", "[EA]", "mean of classes"))
    back = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert back["headline"]["macro_recall"] == {"median": 0.5, "low": 0.25, "high": 0.75}
    assert back["per_class"]["[EA]"]["n"] == 4
    assert back["confusion"]["median"][0] == [0.5, 0.5, 0]


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ([], "one model at least"),
        ([scored(RIGHT), scored(RIGHT, classes=("a", "b", "c"))], "fold 1 .* one test set"),
        ([scored(RIGHT), scored(RIGHT[:-1], RIGHT[:-1])], "fold 1 .* one test set"),
    ],
)
def test_wrong_input(folds, words):
    with pytest.raises(ValueError, match=words):
        summarise_folds(folds)


def test_regression_over_folds():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    folds = [score_regression(truth, truth + error, resamples=0) for error in (0.5, 0.0, 1.0)]
    quartiles = regression_across_folds(folds)
    assert quartiles["rmse"] == quartiles["mae"] == Quartiles(0.5, 0.25, 0.75)
    assert quartiles["r2"].median == pytest.approx(1 - 4 * 0.25 / 5)
    with pytest.raises(ValueError, match="one test set"):
        regression_across_folds([])
    with pytest.raises(ValueError, match="4, 3"):
        regression_across_folds([folds[0], score_regression(truth[:3], truth[:3], resamples=0)])
