"""Scalings and the calibration error on samplers of known calibration, and the files of a calibration."""

import json

import numpy as np
import pytest
from scipy.special import softmax

from goodricke.uncertainty.calibration import (
    KINDS,
    Calibration,
    Scaling,
    calibration_error,
    choose_scaling,
    fit_scaling,
    fit_temperature,
)
from goodricke.uncertainty.novelty import KINDS as NOVELTY_KINDS
from goodricke.uncertainty.novelty import Novelty, fit_detector
from goodricke.uncertainty.prediction_sets import Conformal


def sample(n=20000, classes=4, sharpness=1.5, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels drawn from their own softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, classes))
    label = (softmax(logits, 1).cumsum(1) > rng.uniform(size=(n, 1))).argmax(1)
    return logits, label


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
def test_a_known_temperature_is_recovered(temperature):
    logits, label = sample()
    assert fit_temperature(logits[None] * temperature, label) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_minimises_the_log_likelihood():
    logits, label = sample(500, seed=3)

    def loss(t):
        return -np.log(softmax(logits / t, 1)[np.arange(500), label]).mean()

    best = fit_temperature(logits[None], label)
    assert loss(best) <= min(loss(best * 1.05), loss(best / 1.05))


def test_a_calibrated_sampler_has_a_small_error_and_an_overconfident_one_a_large():
    logits, label = sample()
    assert calibration_error(softmax(logits, 1), label) < 0.015
    assert calibration_error(softmax(4 * logits, 1), label) > 0.15
    assert calibration_error(softmax(logits / 4, 1), label) > 0.15
    fixed = softmax(4 * logits / fit_temperature(4 * logits[None], label), 1)
    assert calibration_error(fixed, label) < 0.015


def test_the_error_is_the_weighted_gap_of_the_bins():
    p = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.45, 0.55]])
    label = np.array([0, 1, 0, 0])
    expected = (abs(2 * 0.95 - 1) + abs(0.6 - 1) + abs(0.55 - 0)) / 4
    assert calibration_error(p, label, bins=20) == pytest.approx(expected)


def test_confident_and_right_is_no_error():
    assert calibration_error(np.eye(3), np.arange(3)) == 0
    assert calibration_error(np.eye(3), np.array([1, 2, 0])) == pytest.approx(1)


# ---- maps with more freedom ---------------------------------------------------------------------------------------


def tilted(n=4000, seed=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits of a model that names class 0 too often, the calibrated logits, and labels."""
    good, label = sample(n, seed=seed)
    return 1.7 * good + np.array([2.0, 0, 0, -1]), good, label


def loss(scaling: Scaling, logits: np.ndarray, label: np.ndarray) -> float:
    return -np.log(scaling.probabilities(logits)[np.arange(len(label)), label]).mean()


@pytest.mark.parametrize("kind", ["vector", "dirichlet"])
def test_a_tilt_towards_a_class_is_undone(kind):
    bad, good, label = tilted()
    result = fit_scaling(bad[None], label, kind).probabilities(bad)
    np.testing.assert_allclose(result, softmax(good, 1), atol=0.08)
    assert np.abs(result - softmax(good, 1)).mean() < 0.01


def test_dirichlet_undoes_a_mixing_of_classes_that_a_vector_can_not():
    good, label = sample(6000, sharpness=2)
    mixed = good @ (np.eye(4) + 0.5 * np.roll(np.eye(4), 1, 0))
    losses = {kind: loss(fit_scaling(mixed[None], label, kind), mixed, label) for kind in KINDS}
    assert losses["dirichlet"] < losses["vector"] - 0.05
    assert losses["dirichlet"] < loss(Scaling.from_temperature(1, 4), good, label) + 0.01


def test_the_simplest_sufficient_map_is_chosen():
    logits, label = sample(1500)
    assert choose_scaling(2 * logits[None], label)[0].kind == "temperature"
    bad, _, label = tilted()
    assert choose_scaling(bad[None], label)[0].kind == "vector"


def test_few_objects_get_a_temperature_only():
    bad, _, label = tilted(60)
    assert choose_scaling(bad[None], label)[0].kind == "temperature"


def test_left_out_probabilities_come_from_other_stars():
    """The probabilities of a star's objects don't depend on their own labels."""
    logits, label = sample(200)
    star = np.arange(200) // 4
    changed = label.copy()
    changed[:4] = (label[:4] + 1) % 4
    first, second = (choose_scaling(logits[None], y, star, ["vector"])[1] for y in (label, changed))
    np.testing.assert_array_equal(first[:4], second[:4])
    assert np.abs(first[4:] - second[4:]).max() > 1e-6


def test_monte_carlo_passes_are_averaged_after_the_map():
    logits, label = sample(500)
    passes = logits + np.random.default_rng(1).normal(size=(7, 500, 4))
    chosen, left_out = choose_scaling(passes, label)
    assert left_out.shape == (500, 4)
    np.testing.assert_allclose(left_out.sum(1), 1)
    np.testing.assert_allclose(chosen.probabilities(passes).mean(0), left_out, atol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_added_to_all_logits_changes_nothing(kind):
    bad, _, label = tilted(300)
    scaling = fit_scaling(bad[None], label, kind)
    p = scaling.probabilities(bad.astype(np.float32))
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(scaling.probabilities(bad + 1000), p, atol=1e-6)
    single = np.stack([scaling.probabilities(row) for row in bad.astype(np.float32)])
    np.testing.assert_allclose(single, p, rtol=1e-12)


def test_a_class_without_objects_is_not_ruled_out():
    bad, _, label = tilted()
    rows = label != 3
    chosen, _ = choose_scaling(bad[None, rows], label[rows])
    assert chosen.kind == "temperature"


# ---- labels that are sets of classes --------------------------------------------------------------------------------

GROUPS = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], bool)  # classes 0 and 1 share a label


@pytest.mark.parametrize("kind", KINDS)
def test_sets_of_one_class_give_the_map_of_single_labels(kind):
    bad, _, label = tilted(500)
    one, other = (fit_scaling(bad[None], y, kind) for y in (label, np.eye(4, dtype=bool)[label]))
    assert one.is_same_as(other)


@pytest.mark.parametrize("temperature", [0.3, 2.7])
def test_a_known_temperature_is_recovered_from_sets(temperature):
    logits, label = sample()
    assert fit_temperature(logits[None] * temperature, GROUPS[label]) == pytest.approx(temperature, rel=0.07)


def test_the_temperature_minimises_the_loss_of_the_summed_probability():
    logits, label = sample(500, seed=3)

    def loss(t):
        return -np.log((softmax(logits / t, 1) * GROUPS[label]).sum(1)).mean()

    best = fit_temperature(logits[None], GROUPS[label])
    assert loss(best) <= min(loss(best * 1.05), loss(best / 1.05))


def test_a_tilt_between_labels_is_undone_by_sets():
    bad, good, label = tilted()
    chosen, left_out = choose_scaling(bad[None], GROUPS[label])
    assert chosen.kind != "temperature"
    p, exact = (np.stack([x[:, :2].sum(1), x[:, 2], x[:, 3]], 1) for x in (left_out, softmax(good, 1)))
    assert np.abs(p - exact).mean() < 0.02


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="empty sets"):
        fit_temperature(sample(10)[0][None], np.zeros((10, 4), bool))


# ---- files ---------------------------------------------------------------------------------------------------------


def calibration(kind="vector", detector="mahalanobis") -> Calibration:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    logits = (rng.normal(size=(300, 3)) + 2 * np.eye(3)[label]).astype(np.float32)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    scaling = fit_scaling(logits[None], label, kind)
    points = rng.integers(1, 30, 300)
    sets = {m: Conformal.fit(scaling.probabilities(logits), label, points, e) for m, e in MODES.items()}
    fitted = fit_detector(detector, x, logits, label)
    score = fitted.score(x, logits).astype(np.float32)
    novelty = {"one_pass": Novelty(fitted, score, np.zeros(300, np.int16), np.zeros(1, np.int32))}
    return Calibration(scaling, fit_scaling(logits[None], label), sets, novelty)


MODES = {"one_pass": (0,), "stream": (0, 4, 16)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detector", NOVELTY_KINDS)
def test_a_written_calibration_is_read_back(kind, detector, tmp_path):
    first = calibration(kind, detector)
    first.write(tmp_path)
    second = Calibration.read(tmp_path, 3)
    rng = np.random.default_rng(1)
    logits, x, points = rng.normal(size=(50, 3)), rng.normal(size=(50, 5)), rng.integers(1, 40, 50)
    p = first.one_pass.probabilities(logits)
    np.testing.assert_array_equal(second.one_pass.probabilities(logits), p)
    for mode in MODES:
        np.testing.assert_array_equal(second.sets[mode].sets(p, points), first.sets[mode].sets(p, points))
    np.testing.assert_array_equal(second.novelty["one_pass"].rank(x, logits), first.novelty["one_pass"].rank(x, logits))
    assert set(second.novelty) == {"one_pass"}


def test_the_identity_is_the_softmax_without_sets(tmp_path):
    Calibration.identity(3).write(tmp_path)
    identity = Calibration.read(tmp_path, 3)
    assert (identity.one_pass.temperature, dict(identity.sets), dict(identity.novelty)) == (1.0, {}, {})
    assert not (tmp_path / "calibration.safetensors").exists()


DAMAGE = {
    "arrays gone": lambda f: (f / "calibration.safetensors").unlink(),
    "arrays cut": lambda f: (f / "calibration.safetensors").write_bytes(b"\0" * 40),
    "of other classes": lambda f: change_content(f, one_pass={"kind": "vector", "weight": [1, 1], "offset": [0, 0]}),
    "unknown kind": lambda f: change_content(f, one_pass={"kind": "magic", "weight": [1] * 3, "offset": [0] * 3}),
    "not finite": lambda f: change_content(
        f, monte_carlo={"kind": "vector", "weight": [float("nan")] * 3, "offset": [0] * 3}
    ),
    "not JSON": lambda f: (f / "calibration.json").write_text("{"),
}


def change_content(folder, **changes):
    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_error_of_a_damaged_calibration_names_its_folder(damage, tmp_path):
    calibration().write(tmp_path)
    DAMAGE[damage](tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path}.*damaged"):
        Calibration.read(tmp_path, 3)
