import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics as sk

from goodricke.evaluation.intervals import Estimate, bootstrap_sums, count_stars, percentile_interval, star_sums, wilson
from goodricke.evaluation.scores import compare, score
from goodricke.uncertainty.calibration import calibration_error

CLASSES = ("EA", "EW", "RR", "ROT")


def answers(n=2000, skill=2.0, seed=0, shares=(0.5, 0.3, 0.15, 0.05)):
    """Return labels and probabilities of a classifier of some skill."""
    rng = np.random.default_rng(seed)
    label = rng.choice(len(shares), n, p=shares)
    logits = rng.normal(size=(n, len(shares)))
    logits[np.arange(n), label] += skill
    p = np.exp(logits)
    return label, p / p.sum(1, keepdims=True)


def test_figures_are_scikit_learns():
    label, p = answers()
    result, answer = score(label, p, CLASSES), p.argmax(1)
    assert result.accuracy.value == pytest.approx(sk.accuracy_score(label, answer))
    assert result.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(label, answer))
    assert result.macro_precision.value == pytest.approx(sk.precision_score(label, answer, average="macro"))
    assert result.macro_f1.value == pytest.approx(sk.f1_score(label, answer, average="macro"))
    assert result.negative_log_likelihood.value == pytest.approx(sk.log_loss(label, p))
    assert result.brier.value == pytest.approx(np.square(p - np.eye(4)[label]).sum(1).mean())
    assert result.calibration_error.value == pytest.approx(calibration_error(p, label))
    precision, recall, f1, n = sk.precision_recall_fscore_support(label, answer)
    for ours, theirs in ((result.precision, precision), (result.recall, recall), (result.f1, f1)):
        np.testing.assert_allclose([figure.value for figure in ours], theirs)
    np.testing.assert_array_equal(result.n, n)
    np.testing.assert_array_equal(result.confusion, sk.confusion_matrix(label, answer))
    assert result.counts[0] == f"{result.confusion[0, 0]}/{n[0]}"


def test_value_lies_in_its_interval():
    result = score(*answers(), CLASSES)
    for name in ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "negative_log_likelihood", "brier"):
        figure = getattr(result, name)
        assert figure.low < figure.value < figure.high
    assert all(f.low < f.value < f.high for name in ("recall", "precision", "f1") for f in getattr(result, name))


def test_calibration_error_of_resamples_is_the_function_s():
    """With every star drawn once the bootstrap's sums must give the plain figure."""
    label, p = answers(skill=0.5)
    one_star = score(label, p, CLASSES, star=np.zeros(len(label)), resamples=3)
    assert one_star.calibration_error.low == pytest.approx(calibration_error(p, label))
    assert one_star.stars == 1
    assert one_star.brier.low == pytest.approx(one_star.brier.value)
    assert one_star.accuracy == pytest.approx((one_star.accuracy.value, *wilson(one_star.accuracy.value, 1)))


def test_interval_covers_the_truth():
    """In 95 % of samples from a population of known accuracy, the interval holds it."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        label = np.zeros(150, int)
        p = np.where(rng.random(150)[:, None] < 0.8, [0.9, 0.1], [0.1, 0.9])
        figure = score(label, p, ("a", "b"), resamples=300, seed=int(rng.integers(1 << 30))).accuracy
        covered += figure.low <= 0.8 <= figure.high
    assert 0.88 <= covered / 200 <= 0.99


def test_light_curves_of_one_star_are_drawn_together():
    """Ten copies of each light curve say nothing new: the interval must not shrink."""
    label, p = answers(300)
    alone = score(label, p, CLASSES).accuracy
    copies = score(np.repeat(label, 10), np.repeat(p, 10, 0), CLASSES, star=np.repeat(np.arange(300), 10)).accuracy
    fooled = score(np.repeat(label, 10), np.repeat(p, 10, 0), CLASSES).accuracy
    assert copies == pytest.approx(alone)  # the same stars are drawn
    assert fooled.high - fooled.low < 0.4 * (alone.high - alone.low)


def test_standard_error_is_the_binomial_one():
    label, p = answers(4000)
    figure = score(label, p, CLASSES, resamples=4000).accuracy
    sigma = np.sqrt(figure.value * (1 - figure.value) / 4000)
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * sigma, rel=0.08)


def test_perfect_and_random_classifiers():
    label, _ = answers()
    perfect = score(label, np.eye(4)[label], CLASSES)
    assert perfect.accuracy == pytest.approx((1, *wilson(1.0, 2000)))
    assert perfect.brier.value == perfect.negative_log_likelihood.value == perfect.calibration_error.value == 0
    rng = np.random.default_rng(2)
    guess = score(label, rng.dirichlet(np.ones(4), len(label)), CLASSES)
    assert guess.balanced_accuracy.low < 0.25 < guess.balanced_accuracy.high
    certain_and_wrong = score(label, np.eye(4)[(label + 1) % 4], CLASSES)
    assert certain_and_wrong.accuracy.value == 0
    assert certain_and_wrong.brier.value == 2
    assert 30 < certain_and_wrong.negative_log_likelihood.value < 40  # finite


def test_class_without_light_curves_is_left_out_of_the_means():
    label, p = answers(shares=(0.5, 0.3, 0.2, 0.0))
    result = score(label, p, CLASSES)
    assert np.isnan(result.recall[3]).all()
    assert np.isnan(result.f1[3]).all()
    assert result.precision[3].value == 0  # it was answered, never rightly
    answer = p.argmax(1)
    assert result.balanced_accuracy.value == pytest.approx(
        sk.recall_score(label, answer, labels=[0, 1, 2], average="macro")
    )
    assert result.macro_f1.value == pytest.approx(sk.f1_score(label, answer, labels=[0, 1, 2], average="macro"))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["per_class"]["ROT"]["recall"]["value"] is None


def test_a_class_that_some_resamples_miss():
    label, p = answers(100)
    label[:] = 0
    label[0] = 3
    result = score(label, p, CLASSES)  # star 0 is absent from a third of the resamples
    assert np.isfinite(result.recall[3]).all()
    assert np.isfinite(result.balanced_accuracy).all()


def test_never_answered_class_has_precision_zero():
    label, p = answers()
    p[:, 3] = 0
    p /= p.sum(1, keepdims=True)
    result = score(label, p, CLASSES)
    assert result.precision[3].value == result.recall[3].value == result.f1[3].value == 0


def test_what_no_drawing_changes_is_not_certain():
    """3 of 3, 0 of 8 and an answer never given: Wilson's intervals, and what follows from them for F1 and the means."""
    label = np.repeat([0, 1, 2], [3, 8, 40])
    answer = np.where(label == 0, 0, 2)
    result = score(label, np.eye(4)[answer], CLASSES, resamples=300)
    assert result.recall[0] == pytest.approx((1, *wilson(1.0, 3)))
    assert result.recall[1] == pytest.approx((0, *wilson(0.0, 8)))
    assert result.precision[1] == pytest.approx((0, 0, 1))  # never given
    low, high = result.recall[1].high, result.precision[1].high
    assert result.f1[1] == pytest.approx((0, 0, 2 * low * high / (low + high)))
    assert 0 < result.precision[2].low < result.precision[2].value < result.precision[2].high < 1
    assert result.balanced_accuracy.low < result.balanced_accuracy.value
    assert np.isnan(result.recall[3]).all()


def test_a_perfect_class_of_few_stars_is_not_certain():
    label = np.repeat([0, 1], [10, 30])
    star = np.arange(40) // 2  # 5 and 15 stars
    result = score(label, np.eye(2)[label], ("a", "b"), star)
    assert result.accuracy == pytest.approx((1, *wilson(1.0, 20)))
    assert [x.low for x in result.recall] == pytest.approx([wilson(1.0, n)[0] for n in (5, 15)])
    assert result.precision[1].low == pytest.approx(wilson(1.0, 15)[0])
    mean = np.mean([x.low for x in result.recall])
    assert result.balanced_accuracy == pytest.approx((1, mean, 1))
    assert result.f1[1].low == pytest.approx(result.recall[1].low)
    assert result.macro_f1.low == pytest.approx(np.mean([x.low for x in result.f1]))
    nothing = score(label, np.eye(2)[label], ("a", "b"), star, resamples=0)
    assert np.isnan(nothing.accuracy.low)


def test_same_seed_same_interval():
    label, p = answers()
    assert score(label, p, CLASSES, seed=5).headline == score(label, p, CLASSES, seed=5).headline
    assert score(label, p, CLASSES, seed=5).accuracy != score(label, p, CLASSES, seed=6).accuracy


def test_resamples_are_sums_over_drawn_stars():
    star = np.array(["b", "a", "b", "c"])
    sums = star_sums(star, [(np.array([0, 0, 1, 1]), np.ones(4)), (np.full(4, 2), np.arange(4.0))], 3)
    np.testing.assert_array_equal(sums.toarray(), [[1, 0, 1], [1, 1, 2], [0, 1, 3]])
    samples = bootstrap_sums(sums, 500, seed=0)
    assert samples.shape == (500, 3)
    np.testing.assert_allclose(samples.mean(0), [2, 2, 6], rtol=0.1)  # as often as once each
    weights = np.linalg.solve(sums.toarray().T, samples.T)
    np.testing.assert_allclose(weights.sum(0), 3)
    np.testing.assert_allclose(weights, weights.round(), atol=1e-9)
    assert count_stars(sums, np.array([0, 1, 1]), 3).tolist() == [2, 3, 0]


def test_pieces_do_not_change_the_resamples(monkeypatch):
    label, p = answers()
    whole = score(label, p, CLASSES).headline
    monkeypatch.setattr("goodricke.evaluation.intervals.MOST_WEIGHTS", 7000)
    assert score(label, p, CLASSES).headline == whole


def test_interval_of_nothing():
    assert np.isnan(percentile_interval(np.zeros((0, 2)))).all()
    np.testing.assert_allclose(percentile_interval(np.array([[0.0, np.nan], [1.0, np.nan]]))[:, 0], [0.025, 0.975])


def test_presentations():
    result = score(*answers(), CLASSES)
    console = Console(width=140, record=True, file=StringIO())
    console.print(result.table())
    shown = console.export_text()
    assert str(result.macro_f1) in shown
    assert "log-likelihood [nat]" in shown
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert back["headline"]["accuracy"]["value"] == result.accuracy.value
    assert np.array_equal(back["confusion"], result.confusion)
    assert back["n"] == back["stars"] == 2000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda y, p: (y[:-1], p), "that shape"),
        (lambda y, p: (y[:0], p[:0]), "at least one"),
        (lambda y, p: (y + 1, p), "indices of classes"),
        (lambda y, p: (y - 1, p), "indices of classes"),
        (lambda y, p: (y.astype(float), p), "indices of classes"),
        (lambda y, p: (y, np.where(p > 0.9, np.nan, p)), "NaN"),
        (lambda y, p: (y, np.log(p)), "softmax"),
        (lambda y, p: (y, p * 2), "softmax"),
    ],
)
def test_wrong_input(change, words):
    with pytest.raises(ValueError, match=words):
        score(*change(*answers()), CLASSES)


def test_wrong_number_of_stars():
    with pytest.raises(ValueError, match="3 stars for 2000"):
        score(*answers(), CLASSES, star=[1, 2, 3])


def test_compare_with_itself_and_with_a_better_one():
    label, p = answers()
    same = compare(label, p, p)
    assert same.accuracy == same.macro_f1 == Estimate(0, 0, 0)
    assert (same.only_a, same.only_b, same.p_value) == (0, 0, 1.0)
    _, better = answers(skill=2.3)
    result = compare(label, p, better)
    gain = (better.argmax(1) == label).mean() - (p.argmax(1) == label).mean()
    assert result.accuracy.value == pytest.approx(gain)
    assert result.accuracy.low > 0
    assert result.p_value < 1e-3
    back = compare(label, better, p)
    assert (back.only_a, back.only_b, back.p_value) == (result.only_b, result.only_a, result.p_value)
    assert back.accuracy.low == pytest.approx(-result.accuracy.high, abs=1e-3)
    json.dumps(result.to_dict())


def test_pairing_makes_the_interval_narrow():
    label, p = answers()
    _, q = answers(skill=2.05)  # the same noise, a little more skill: nearly the same answers
    paired = compare(label, p, q).accuracy
    single = score(label, p, CLASSES).accuracy
    assert paired.high - paired.low < 0.5 * (single.high - single.low)


def test_mcnemar_is_the_exact_sign_test():
    label = np.zeros(10, int)
    good, bad = [0.9, 0.1], [0.1, 0.9]
    a = np.array([bad] * 8 + [good] + [good])
    b = np.array([good] * 8 + [bad] + [good])
    result = compare(label, a, b, resamples=10)
    assert (result.only_a, result.only_b) == (1, 8)
    assert result.p_value == pytest.approx(2 * (1 + 9) / 2**9)
