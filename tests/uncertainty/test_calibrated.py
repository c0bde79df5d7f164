"""What a model has learned of its own answers is kept as it is."""

import json

import numpy as np
import pytest

from goodricke.uncertainty.calibration import KINDS, Calibration, fit_scaling
from goodricke.uncertainty.novelty import KINDS as NOVELTY_KINDS
from goodricke.uncertainty.novelty import Novelty, fit_detector
from goodricke.uncertainty.prediction_sets import Conformal


def calibration(kind="vector", detector="mahalanobis") -> Calibration:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    logits = (rng.normal(size=(300, 3)) + 2 * np.eye(3)[label]).astype(np.float32)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    scaling = fit_scaling(logits[None], label, kind)
    points = rng.integers(1, 30, 300)
    sets = {m: Conformal.of(scaling.probabilities(logits), label, points, e) for m, e in MODES.items()}
    found = fit_detector(detector, x, logits, label)
    strange = found.score(x, logits).astype(np.float32)
    usual = {"one_pass": Novelty(found, strange, np.zeros(300, np.int16), np.zeros(1, np.int32))}
    return Calibration(scaling, fit_scaling(logits[None], label), sets, usual)


MODES = {"one_pass": (0,), "stream": (0, 4, 16)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("detector", NOVELTY_KINDS)
def test_what_is_written_is_read(kind, detector, tmp_path):
    first = calibration(kind, detector)
    first.write(tmp_path)
    second = Calibration.read(tmp_path, 3)
    rng = np.random.default_rng(1)
    logits, x, points = rng.normal(size=(50, 3)), rng.normal(size=(50, 5)), rng.integers(1, 40, 50)
    p = first.one_pass.probabilities(logits)
    np.testing.assert_array_equal(second.one_pass.probabilities(logits), p)
    for mode in MODES:
        np.testing.assert_array_equal(second.sets[mode].sets(p, points), first.sets[mode].sets(p, points))
    np.testing.assert_array_equal(second.novelty["one_pass"].of(x, logits), first.novelty["one_pass"].of(x, logits))
    assert set(second.novelty) == {"one_pass"}


def test_nothing_fitted_is_the_softmax_without_sets(tmp_path):
    Calibration.none(3).write(tmp_path)
    none = Calibration.read(tmp_path, 3)
    assert (none.one_pass.temperature, dict(none.sets), dict(none.novelty)) == (1.0, {}, {})
    assert not (tmp_path / "calibration.safetensors").exists()


def test_the_temperatures_of_older_models_are_read(tmp_path):
    (tmp_path / "calibration.json").write_text('{"temperature": 1.25, "mc_temperature": 0.5}')
    old = Calibration.read(tmp_path, 4)
    assert (old.one_pass.temperature, old.monte_carlo.temperature) == (pytest.approx(1.25), pytest.approx(0.5))


DAMAGE = {
    "arrays gone": lambda f: (f / "calibration.safetensors").unlink(),
    "arrays cut": lambda f: (f / "calibration.safetensors").write_bytes(b"\0" * 40),
    "of other classes": lambda f: change(f, one_pass={"kind": "vector", "weight": [1, 1], "offset": [0, 0]}),
    "unknown kind": lambda f: change(f, one_pass={"kind": "magic", "weight": [1] * 3, "offset": [0] * 3}),
    "not finite": lambda f: change(f, monte_carlo={"kind": "vector", "weight": [float("nan")] * 3, "offset": [0] * 3}),
    "not JSON": lambda f: (f / "calibration.json").write_text("{"),
}


def change(folder, **changes):
    path = folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_with_the_folder(damage, tmp_path):
    calibration().write(tmp_path)
    DAMAGE[damage](tmp_path)
    with pytest.raises(ValueError, match=f"{tmp_path}.*damaged"):
        Calibration.read(tmp_path, 3)
