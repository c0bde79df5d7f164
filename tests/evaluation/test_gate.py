"""The first question to an alert: what is an error, after how many observations, and where there is no answer."""

from dataclasses import replace

import numpy as np
import pytest

from goodricke.data.taxonomy import Leaf, Taxonomy
from goodricke.evaluation.card import _render_gate
from goodricke.evaluation.gate import ALL, first_observations, gate_scores
from goodricke.inference import classify
from goodricke.uncertainty.calibration import Calibration
from goodricke.uncertainty.prediction_sets import Conformal
from tests.alerts.streams import light_curves, tiny_model

TREE = Taxonomy(
    leaves={"A": Leaf(), "B": Leaf(), "C": Leaf()}, nodes={"ANY": ("TRANSIENT", "C"), "TRANSIENT": ("A", "B")}
)


@pytest.fixture(scope="module")
def sample():
    curves, rng = light_curves(60, 25, seed=4), np.random.default_rng(2)
    leaf = rng.integers(0, 3, 60)
    label = np.where(leaf == 2, np.where(rng.random(60) < 0.5, "star", "junk"), "supernova")
    return curves, label, np.eye(3, dtype=bool)[leaf]


@pytest.mark.parametrize("count", [5, 10])
def test_errors_are_those_of_the_light_curves_cut_short(sample, count):
    curves, label, leaves = sample
    model = tiny_model()
    scores = {(x.group, x.threshold): x for x in gate_scores(model, TREE, curves, label, leaves, counts=(5, 10))}
    assert {group for group, _ in scores} == {"transients", "A", "B", "star", "junk"}
    short = first_observations(curves, count)
    assert short.n_obs.tolist() == np.minimum(curves.n_obs, count).tolist()
    predictions = classify(short, model)
    p = predictions.column("p_A") + predictions.column("p_B")
    answered = predictions.ok & (curves.n_obs >= count)
    for threshold in (0.5, 0.1):
        lost = answered & leaves[:, :2].any(1)
        score = scores["transients", threshold]
        assert score.n[str(count)] == lost.sum() > 5
        assert score.wrong[str(count)].value == pytest.approx((p[lost] < threshold).mean())
        called = answered & (label == "star")
        assert scores["star", threshold].wrong[str(count)].value == pytest.approx((p[called] >= threshold).mean())


def test_baselines_stand_beside_the_whole_light_curve(sample):
    curves, label, leaves = sample
    certain = {"forest": leaves.astype(float)}
    scores = gate_scores(tiny_model(), TREE, curves, label, leaves, certain, counts=(5,))
    assert all(set(x.n) == {"5", ALL, "forest"} for x in scores)
    assert all(x.wrong["forest"].value == 0 for x in scores)
    text = _render_gate([x.to_dict() for x in scores])
    assert text.count("| transients | not called a transient |") == 2
    assert "at least 0.1" in text


def test_sets_without_a_transient_are_those_of_the_stream(sample):
    curves, label, leaves = sample
    plain = tiny_model()
    _, answers = plain.update(plain.init_state(60), curves)
    p = answers.probabilities[answers.ok].astype(float)
    sets = Conformal.fit(p, p.argmax(1), answers["n_obs"][answers.ok] - 4, np.array([0, 4, 8]))  # small sets
    calibration = Calibration(plain.calibration.one_pass, plain.calibration.monte_carlo, {"stream": sets})
    model = replace(plain, calibration=calibration)
    scores = {x.group: x for x in gate_scores(model, TREE, curves, label, leaves, counts=(5,)) if x.threshold is None}
    for count, key in ((5, "5"), (10**6, ALL)):
        short = first_observations(curves, count)
        _, predictions = model.update(model.init_state(60), short)
        answered = predictions.ok & ((curves.n_obs >= count) | (key == ALL))
        members = predictions.table["prediction_set"].to_pylist()
        may_be = np.array([bool({"A", "B"} & set(names or ())) for names in members])
        transient = leaves[:, :2].any(1)
        assert 0 < may_be[answered].sum() < answered.sum()
        assert scores["transients"].n[key] == (answered & transient).sum()
        assert scores["transients"].wrong[key].value == pytest.approx(1 - may_be[answered & transient].mean())
        star = answered & (label == "star")
        assert scores["star"].wrong[key].value == pytest.approx(may_be[star].mean())
    text = _render_gate([x.to_dict() for x in gate_scores(model, TREE, curves, label, leaves, counts=(5,))])
    assert text.count("| transients | no transient in the set |") == 1
    assert text.count("| star | a transient in the set |") == 1
    assert not [x for x in gate_scores(plain, TREE, curves, label, leaves, counts=(5,)) if x.threshold is None]


def test_a_model_without_the_node_has_no_gate(sample):
    curves, label, leaves = sample
    plain = Taxonomy(leaves=TREE.leaves, nodes={"ANY": ("A", "B", "C")})
    assert gate_scores(tiny_model(), plain, curves, label, leaves) == ()
