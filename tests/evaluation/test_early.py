import json
from itertools import pairwise

import numpy as np
import pytest

from goodricke.evaluation.early import merge_bins, score_by_number, score_by_truncation
from goodricke.evaluation.intervals import Estimate, wilson
from goodricke.evaluation.scores import score

CLASSES = ("EA", "EW", "RR")
FIGURES = ("macro_f1", "accuracy")


def answers(n=400, seed=0):
    """Return labels, probabilities and numbers of observations."""
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=n)
    return label, rng.dirichlet(np.ones(3), n) * 0.6 + 0.4 * np.eye(3)[label], rng.integers(5, 200, n)


def histories(n=150, seed=0, longest=40):
    """Return labels, offsets and the probabilities of steps that get better and better."""
    rng = np.random.default_rng(seed)
    label, length = rng.integers(3, size=n), rng.integers(1, longest, n)
    step = np.concatenate([np.arange(k) for k in length])
    logits = rng.normal(size=(len(step), 3)) + np.eye(3)[np.repeat(label, length)] * step[:, None] / 8
    p = np.exp(logits)
    return label, np.append(0, length.cumsum()), p / p.sum(1, keepdims=True)


def final(offsets, steps):
    return steps[offsets[1:] - 1]


# ---- by number ------------------------------------------------------------------------------------------------------


def test_one_bin_is_the_whole_score():
    label, p, n_obs = answers()
    whole, curve = score(label, p, CLASSES), score_by_number(label, p, n_obs, [0, np.inf])
    assert all(getattr(curve, name) == (getattr(whole, name),) for name in FIGURES)  # interval and all: one seed
    assert curve.n.tolist() == [400]
    assert (curve.fewest[0], curve.median[0], curve.most[0]) == (n_obs.min(), np.median(n_obs), n_obs.max())
    assert curve.left_out == 0


def test_each_bin_is_the_score_of_its_objects():
    label, p, n_obs = answers()
    curve = score_by_number(label, p, n_obs, [0, 50, 100, 200])
    for b, (low, high) in enumerate([(0, 50), (50, 100), (100, 200)]):
        part = (n_obs >= low) & (n_obs < high)
        alone = score(label[part], p[part], CLASSES, resamples=0)
        assert curve.n[b] == part.sum()
        assert all(getattr(curve, name)[b].value == getattr(alone, name).value for name in FIGURES)
        assert curve.median[b] == np.median(n_obs[part])


def test_bins_are_half_open_and_others_are_left_out():
    label, p, _ = answers(5)
    curve = score_by_number(label, p, [9, 10, 19, 20, 30], [10, 20, 30], fewest=1)
    assert curve.n.tolist() == [2, 1]
    assert curve.left_out == 2
    assert curve.fewest.tolist() == [10, 20]
    assert curve.most.tolist() == [19, 20]


def test_small_bins_join_a_neighbour():
    label, p, _ = answers(60)
    n_obs = np.repeat([5, 15, 35], [40, 5, 15])
    curve = score_by_number(label, p, n_obs, [0, 10, 20, 30, 40], fewest=15)
    np.testing.assert_array_equal(curve.edges, [0, 10, 40])  # the empty bin goes too
    assert curve.n.tolist() == [40, 20]


@pytest.mark.parametrize(
    ("n", "fewest", "edges"),
    [
        ([20, 20, 20], 20, [0, 1, 2, 3]),
        ([1, 20, 30], 20, [0, 2, 3]),
        ([30, 20, 1], 20, [0, 1, 3]),
        ([30, 1, 20], 20, [0, 1, 3]),  # to the smaller neighbour
        ([20, 1, 30], 20, [0, 2, 3]),
        ([1, 1, 1], 20, [0, 3]),  # one bin remains, however small
        ([0, 5, 0], 0, [0, 3]),  # an empty bin has no score
    ],
)
def test_merging(n, fewest, edges):
    np.testing.assert_array_equal(merge_bins(np.arange(len(n) + 1.0), np.array(n), fewest), edges)


def test_bins_do_not_depend_on_the_answers():
    label, p, n_obs = answers()
    edges = np.arange(0, 210, 10)
    a = score_by_number(label, p, n_obs, edges, fewest=30, resamples=0)
    b = score_by_number(label, p[:, ::-1], n_obs, edges, fewest=30, resamples=0)
    np.testing.assert_array_equal(a.edges, b.edges)
    assert a.n.min() >= 30
    assert a.n.sum() == 400


def test_order_of_objects_does_not_matter():
    label, p, n_obs = answers()
    order = np.random.default_rng(1).permutation(400)
    a = score_by_number(label, p, n_obs, [0, 50, 200], star=np.arange(400))
    b = score_by_number(label[order], p[order], n_obs[order], [0, 50, 200], star=order)
    assert a.to_dict() == b.to_dict()


def test_light_curves_of_one_star_are_drawn_together():
    label, p, n_obs = answers()
    wide = score_by_number(label, p, n_obs, [0, 100, 200]).accuracy
    copies = score_by_number(
        *(np.repeat(x, 4, 0) for x in (label, p, n_obs)), [0, 100, 200], np.repeat(np.arange(400), 4)
    )
    np.testing.assert_allclose(copies.accuracy, wide)


def test_certain_answers():
    label, _, n_obs = answers()
    right = score_by_number(label, np.eye(3)[label], n_obs, [0, 100, 200])
    wrong = score_by_number(label, np.eye(3)[(label + 1) % 3], n_obs, [0, 100, 200])
    for k, n in enumerate(right.n):
        low, high = wilson(1.0, n)
        assert right.accuracy[k] == pytest.approx((1, low, high))
        assert wrong.accuracy[k] == pytest.approx((0, 1 - high, 1 - low))
        assert (right.macro_f1[k].value, right.macro_f1[k].high) == (1, 1)
        assert (wrong.macro_f1[k].value, wrong.macro_f1[k].low) == (0, 0)
        assert 0.9 < right.macro_f1[k].low < low
        assert 1 - low < wrong.macro_f1[k].high < 0.1


def test_bin_that_most_resamples_miss():
    label, _, n_obs = answers(50)
    n_obs[:] = 10
    n_obs[0] = 100
    curve = score_by_number(label, np.eye(3)[label], n_obs, [0, 50, 200], fewest=1)
    assert curve.n.tolist() == [49, 1]
    assert curve.macro_f1[1] == curve.accuracy[1] == pytest.approx((1, *wilson(1.0, 1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_obs": np.arange(3)}, "as many n_obs"),
        ({"edges": [10]}, "two or more"),
        ({"edges": [10, 10]}, "increasing"),
        ({"edges": [[1, 2]]}, "increasing"),
        ({"edges": [1000, 2000]}, "no object has 1000 to 2000"),
        ({"probabilities": np.full((400, 3), np.nan)}, "NaN"),
        ({"label": np.full(400, 3)}, "indices"),
        ({"star": [1, 2]}, "2 stars"),
    ],
)
def test_wrong_input_by_number(change, words):
    label, p, n_obs = answers()
    with pytest.raises(ValueError, match=words):
        score_by_number(**{"label": label, "probabilities": p, "n_obs": n_obs, "edges": [0, 200]} | change)


# ---- by truncation --------------------------------------------------------------------------------------------------


def test_after_the_last_step_it_is_the_final_score():
    label, offsets, steps = histories()
    whole = score(label, final(offsets, steps), CLASSES)
    longest = int(np.diff(offsets).max())
    curve = score_by_truncation(label, offsets, steps, at=(longest, longest + 1, 10_000))
    assert all(getattr(curve, name) == (getattr(whole, name),) * 3 for name in FIGURES)  # interval and all
    assert curve.reached.tolist() == [(np.diff(offsets) == longest).sum(), 0, 0]


def test_is_the_score_of_light_curves_that_are_really_cut():
    label, offsets, steps = histories()
    curve = score_by_truncation(label, offsets, steps, at=(1, 4, 17))
    for i, k in enumerate((1, 4, 17)):
        cut = np.array([steps[a:b][:k][-1] for a, b in pairwise(offsets)])
        alone = score(label, cut, CLASSES)
        assert all(getattr(curve, name)[i] == getattr(alone, name) for name in FIGURES)
        assert curve.reached[i] == (np.diff(offsets) >= k).sum()
    assert curve.n == 150


def test_by_hand():
    """Two objects of class 0 and 1 with three steps and one: the short one keeps its only answer, which is right."""
    a, b = [0.9, 0.1], [0.1, 0.9]
    curve = score_by_truncation(np.array([0, 1]), np.array([0, 3, 4]), np.array([b, b, a, b]), at=(1, 2, 3))
    assert [figure.value for figure in curve.accuracy] == [0.5, 0.5, 1]
    assert [figure.value for figure in curve.macro_f1] == [pytest.approx(1 / 3)] * 2 + [1]
    assert curve.reached.tolist() == [2, 1, 1]


def test_later_steps_have_no_say():
    label, offsets, steps = histories()
    spoiled = steps.copy()
    position = np.arange(len(steps)) - np.repeat(offsets[:-1], np.diff(offsets))
    spoiled[position >= 5] = np.roll(spoiled[position >= 5], 1, axis=1)
    a, b = (score_by_truncation(label, offsets, p, at=(1, 5)) for p in (steps, spoiled))
    assert a.to_dict() == b.to_dict()


def test_order_of_histories_does_not_matter():
    label, offsets, steps = histories()
    order = np.random.default_rng(1).permutation(len(label))
    moved = np.concatenate([steps[offsets[i] : offsets[i + 1]] for i in order])
    lengths = np.append(0, np.diff(offsets)[order].cumsum())
    a = score_by_truncation(label, offsets, steps, at=(1, 7), star=np.arange(len(label)))
    b = score_by_truncation(label[order], lengths, moved, at=(1, 7), star=order)
    assert a.to_dict() == b.to_dict()


def test_perfect_and_constant_answers():
    label, offsets, steps = histories()
    right = score_by_truncation(label, offsets, np.eye(3)[np.repeat(label, np.diff(offsets))], at=(1, 2, 50))
    assert [(x.value, x.high) for x in right.macro_f1] == [(1, 1)] * 3
    assert right.accuracy == (Estimate(1, *wilson(1.0, len(label))),) * 3
    constant = score_by_truncation(label, offsets, np.tile([0.0, 1.0, 0.0], (len(steps), 1)), at=(1, 2, 50))
    share = (label == 1).mean()
    assert [figure.value for figure in constant.accuracy] == [share] * 3
    assert constant.macro_f1[0].value == pytest.approx(2 * share / (1 + share) / 3)


def test_skill_grows_with_steps():
    curve = score_by_truncation(*histories(500), at=(1, 10, 30))
    value = [figure.value for figure in curve.macro_f1]
    assert value[0] < value[1] < value[2]
    assert all(figure.low < figure.value < figure.high for figure in curve.macro_f1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": np.array([0, 1])}, "run from 0"),
        ({"offsets": np.array([], int)}, "run from 0"),
        ({"label": np.zeros(2, int)}, "that shape"),
        ({"at": (0, 1)}, "from 1 on"),
        ({"at": (2, 2)}, "increase"),
        ({"at": (1.5,)}, "whole"),
        ({"star": [1]}, "1 stars"),
    ],
)
def test_wrong_input_by_truncation(change, words):
    label, offsets, steps = histories()
    good = {"label": label, "offsets": offsets, "step_probabilities": steps}
    with pytest.raises(ValueError, match=words):
        score_by_truncation(**good | change)


def test_objects_without_a_step_and_bad_steps():
    label, offsets, steps = histories()
    with pytest.raises(ValueError, match="no step"):
        score_by_truncation(np.append(label, 0), np.append(offsets, offsets[-1]), steps)
    steps[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        score_by_truncation(label, offsets, steps)
    with pytest.raises(ValueError, match="at least one"):
        score_by_truncation(label[:0], offsets[:1], steps[:0])


def test_records_hold_what_json_can():
    label, p, n_obs = answers()
    curves = (score_by_number(label, p, n_obs, [0, 100, np.inf]), score_by_truncation(*histories(), at=(1, 20)))
    for curve in curves:
        record = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
        assert record["accuracy"][0]["value"] == curve.accuracy[0].value
    assert curves[0].to_dict()["edges"] == [0, 100, None]
    assert curves[1].to_dict()["at"] == [1, 20]
