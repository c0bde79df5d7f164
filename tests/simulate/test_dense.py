"""Sets of simulated light curves: the same however they are made, of every class, accepted by what comes after."""

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.simulate.dense import (
    BLOCK,
    QUIET,
    SEEN,
    SIGNAL_TO_NOISE,
    Block,
    Making,
    Settings,
    make_blocks,
    plan,
    simulate_dense,
)
from goodricke.simulate.kinds import CLASSES, KINDS, counts, kinds_of, source

pytest.importorskip("batman", reason="batman isn't installed")


def equal(one: LightCurves, other: LightCurves) -> bool:
    points = all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("offsets", "time", "value", "error")
    )
    return points and one.ids == other.ids and one.table_of_objects.equals(other.table_of_objects)


@pytest.fixture(scope="module")
def few() -> LightCurves:
    return simulate_dense(20, seed=5)


def test_every_class_is_there_in_its_number(few: LightCurves) -> None:
    labels = few.table_of_objects["label"].to_pylist()
    assert {label: labels.count(label) for label in CLASSES} == dict.fromkeys(CLASSES, 20)
    assert len(set(few.ids)) == len(few) == 180
    assert set(few.table_of_objects["kind"].to_pylist()) <= set(KINDS)


def test_they_are_without_fault_and_the_preprocessing_takes_them_all(few: LightCurves) -> None:
    few.validate()
    assert np.isfinite(few.value).all()
    assert (few.error > 0).all()
    assert set(prepare(few, DenseConfig()).status) == {"OK"}
    assert (few.unit, few.time_scale, few.bands) == ("electron / s", "BTJD", ("TESS",))


def test_the_same_seed_makes_the_same_and_another_others() -> None:
    made = {"n": 3, "classes": ["ECLIPSE", "CONSTANT"]}
    assert equal(simulate_dense(seed=1, **made), simulate_dense(seed=1, **made))
    assert not equal(simulate_dense(seed=1, **made), simulate_dense(seed=2, **made))


def test_the_first_of_many_are_those_of_a_few() -> None:
    many = simulate_dense(70, seed=1, classes=["CONSTANT"])
    assert equal(many[:5], simulate_dense(5, seed=1, classes=["CONSTANT"]))
    assert equal(many[64:], simulate_dense(70, seed=1, classes=["CONSTANT"])[64:])


def test_others_in_the_set_change_nothing() -> None:
    both = simulate_dense(4, seed=1, classes=["RRLYR_CEPHEID", "INSTRUMENT"])
    alone = simulate_dense(4, seed=1, classes=["INSTRUMENT"])
    rows = np.flatnonzero(np.array(both.table_of_objects["label"].to_pylist()) == "INSTRUMENT")
    for name in ("time", "value", "error"):
        np.testing.assert_array_equal(getattr(both[rows], name), getattr(alone, name))


def test_processes_make_the_same_in_the_same_order() -> None:
    settings, blocks = Settings(seed=3), plan({"INSTRUMENT": 70, "RRLYR_CEPHEID": 8})
    one, two = (LightCurves.concat(list(make_blocks(settings, blocks, workers))) for workers in (1, 2))
    assert equal(one, two)


def test_times_and_gaps_do_not_tell_the_class() -> None:
    both = [Making(Settings(seed=0), (kind,))(Block(kind, k, 16)) for k, kind in enumerate(["constant", "rr_lyrae_c"])]
    sectors = [curves.table_of_objects["sector"].to_pylist() for curves in both]
    assert sectors[0] == sectors[1]
    assert sectors[0][:8] == sectors[0][8:]  # whatever the number of stars, all fields have equal parts
    assert len(set(sectors[0])) > 4
    lasts = [curves.time[curves.offsets[1:] - 1].round(1) for curves in both]
    assert (lasts[0] != lasts[1]).any()  # the edges are each star's own


@pytest.mark.parametrize("kind", ["planet", "red_giant", "delta_scuti"])
def test_most_stars_of_variable_classes_vary_visibly(kind: str) -> None:
    curves = Making(Settings(seed=4), (kind,))(Block(kind, 0, BLOCK))
    table = curves.table_of_objects
    assert table["label"][0].as_py() not in QUIET
    strength = table["signal_to_noise"].to_numpy()
    assert (strength >= SIGNAL_TO_NOISE).mean() > SEEN - 0.12


def test_the_signal_to_noise_ratio_is_that_of_the_true_variation() -> None:
    curves = Making(Settings("kepler", seed=4), ("rr_lyrae_ab",))(Block("rr_lyrae_ab", 0, 8))
    table = curves.table_of_objects
    for i, noise in enumerate(table["noise"].to_numpy()):
        value = curves[i].value
        seen = np.std(value / value.mean()) * np.sqrt(len(value)) / noise
        assert seen == pytest.approx(table["signal_to_noise"][i].as_py(), rel=0.25)


def test_parameters_ride_along() -> None:
    curves = simulate_dense(12, seed=2, classes=["ECLIPSE", "GDOR_SPB"])
    table = curves.table_of_objects
    kinds = np.array(table["kind"].to_pylist())
    ratio = np.array(table["true_radius_ratio"].to_pylist(), float)
    assert (np.isfinite(ratio) == (kinds == "planet")).all()
    modes = table["true_frequency"].to_pylist()
    assert all(
        (m is not None and len(m) > 0) == (k in ("gamma_doradus", "slowly_pulsating_b"))
        for m, k in zip(modes, kinds, strict=True)
    )
    assert (table["sector"].to_numpy() >= 1).all()


@pytest.mark.parametrize(
    ("cadence", "sectors", "points"), [("kepler", [9], 4700), ("k2", 1, 3000), ("tess-10min", 2, 7000)]
)
def test_other_cadences(cadence: str, sectors: int | list[int], points: int) -> None:
    curves = simulate_dense({"CONSTANT": 2, "INSTRUMENT": 2}, cadence, sectors)
    assert len(curves) == 4
    assert 0.5 * points < curves.n_obs.mean() < 1.4 * points
    curves.validate()


def test_a_parameter_has_one_type_whatever_the_kind() -> None:
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        for name, values in Making(Settings(), (kind,))(Block(kind, 0, 1)).table_of_objects.to_pydict().items():
            found.setdefault(name, set()).update(type(v).__name__ for v in values if v is not None)
    assert {name: types for name, types in found.items() if len(types) > 1} == {}


def test_shares_make_the_number_of_each_class() -> None:
    for n in (1, 7, 100, 1234):
        told = counts(n)
        for label in CLASSES:
            assert sum(told.get(kind, 0) for kind in kinds_of(label)) == n
    assert {source(kind).kind for kind in KINDS} == set(KINDS)
    assert {source(kind).label for kind in KINDS} == set(CLASSES)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"n": 0}, "at least 1"),
        ({"n": 2, "classes": ["QUASAR"]}, "no class 'QUASAR'"),
        ({"n": 2, "cadence": "plato"}, "no cadence 'plato'"),
        ({"n": 2, "sectors": [99]}, "no sector 99"),
    ],
)
def test_what_can_not_be_made_is_refused(told: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_dense(**told)
    with pytest.raises(ValueError, match="there are"):
        source("unicorn")
