"""Sets of simulated light curves: the same however they are made, of every class, accepted by what comes after."""

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.dense_summary import NUMBERS
from goodricke.simulate.blocks import BLOCK, SIGNAL_TO_NOISE, VISIBLE, SourceBlock
from goodricke.simulate.dense import QUIET, DenseBlockMaker, simulate_dense
from goodricke.simulate.kinds import DENSE

pytest.importorskip("batman", reason="batman isn't installed")


def equal(one: LightCurves, other: LightCurves) -> bool:
    points = all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("offsets", "time", "value", "error")
    )
    return points and one.ids == other.ids and one.table_of_objects.equals(other.table_of_objects)


@pytest.fixture(scope="module")
def few() -> LightCurves:
    return simulate_dense(8, seed=5)


def test_there_are_as_many_of_every_class(few: LightCurves) -> None:
    labels = few.table_of_objects["label"].to_pylist()
    assert {label: labels.count(label) for label in DENSE.classes} == dict.fromkeys(DENSE.classes, 8)
    assert len(set(few.ids)) == len(few) == 72
    assert set(few.table_of_objects["kind"].to_pylist()) <= set(DENSE.labels)


def test_light_curves_are_valid_and_accepted_by_the_preprocessing(few: LightCurves) -> None:
    few.validate()
    assert np.isfinite(few.value).all()
    assert (few.error > 0).all()
    assert set(prepare(few, DenseConfig()).status) == {"OK"}
    assert (few.unit, few.time_scale, few.bands) == ("electron / s", "BTJD", ("TESS",))


def test_light_curves_follow_from_the_seed() -> None:
    arguments = {"n": 3, "classes": ["ECLIPSE", "CONSTANT"]}
    assert equal(simulate_dense(seed=1, **arguments), simulate_dense(seed=1, **arguments))
    assert not equal(simulate_dense(seed=1, **arguments), simulate_dense(seed=2, **arguments))


def test_a_larger_set_begins_with_a_smaller_one() -> None:
    many = simulate_dense(70, seed=1, classes=["CONSTANT"])
    assert equal(many[:5], simulate_dense(5, seed=1, classes=["CONSTANT"]))
    assert equal(many[64:], simulate_dense(70, seed=1, classes=["CONSTANT"])[64:])


def test_other_classes_in_the_set_change_nothing() -> None:
    both = simulate_dense(4, seed=1, classes=["RRLYR_CEPHEID", "INSTRUMENT"])
    alone = simulate_dense(4, seed=1, classes=["INSTRUMENT"])
    rows = np.flatnonzero(np.array(both.table_of_objects["label"].to_pylist()) == "INSTRUMENT")
    for name in ("time", "value", "error"):
        np.testing.assert_array_equal(getattr(both[rows], name), getattr(alone, name))


def test_the_number_of_processes_changes_nothing() -> None:
    numbers = {"INSTRUMENT": 66, "RRLYR_CEPHEID": 2}  # three blocks
    assert equal(*(simulate_dense(numbers, seed=3, workers=workers) for workers in (1, 2)))


def test_times_and_gaps_are_the_same_for_all_classes() -> None:
    both = [DenseBlockMaker((kind,))(SourceBlock(kind, k, 16)) for k, kind in enumerate(["constant", "rr_lyrae_c"])]
    sectors = [curves.table_of_objects["sector"].to_pylist() for curves in both]
    assert sectors[0] == sectors[1]
    assert sectors[0][:8] == sectors[0][8:]  # whatever the number of stars, all fields have equal parts
    assert len(set(sectors[0])) > 4
    lasts = [curves.time[curves.offsets[1:] - 1].round(1) for curves in both]
    assert (lasts[0] != lasts[1]).any()  # the edges differ from star to star


@pytest.mark.parametrize("kind", ["planet", "red_giant", "delta_scuti"])
def test_most_stars_of_variable_classes_vary_visibly(kind: str) -> None:
    curves = DenseBlockMaker((kind,), seed=4)(SourceBlock(kind, 0, BLOCK))
    table = curves.table_of_objects
    assert kind not in QUIET
    strength = table["signal_to_noise"].to_numpy()
    assert (strength >= SIGNAL_TO_NOISE).mean() > VISIBLE - 0.12


def test_the_signal_to_noise_ratio_is_that_of_the_true_variation() -> None:
    curves = DenseBlockMaker(("rr_lyrae_ab",), 4, "kepler")(SourceBlock("rr_lyrae_ab", 0, 8))
    table = curves.table_of_objects
    for i, noise in enumerate(table["noise"].to_numpy()):
        value = curves[i].value
        expected = np.std(value / value.mean()) * np.sqrt(len(value)) / noise
        assert expected == pytest.approx(table["signal_to_noise"][i].as_py(), rel=0.25)


def test_true_parameters_are_columns() -> None:
    curves = simulate_dense(12, seed=2, classes=["ECLIPSE", "GDOR_SPB"])
    table = curves.table_of_objects
    kinds = np.array(table["kind"].to_pylist())
    ratio = np.array(table["true_radius_ratio"].to_pylist(), float)
    assert (np.isfinite(ratio) == (kinds == "planet")).all()
    modes = table["true_frequency"].to_pylist()
    assert all(
        (m is not None and len(m) > 0) == (k in ("gamma_doradus", "gamma_doradus_hybrid", "slowly_pulsating_b"))
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
    types: dict[str, set[str]] = {}
    for kind in DENSE.labels:
        for name, values in DenseBlockMaker((kind,))(SourceBlock(kind, 0, 1)).table_of_objects.to_pydict().items():
            types.setdefault(name, set()).update(type(v).__name__ for v in values if v is not None)
    assert {name: names for name, names in types.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "at least 1"),
        ({"n": 2, "classes": ["QUASAR"]}, "no class 'QUASAR'"),
        ({"n": 2, "cadence": "plato"}, "no cadence 'plato'"),
        ({"n": 2, "sectors": [99]}, "no sector 99"),
    ],
)
def test_wrong_arguments_are_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_dense(**arguments)


def test_constant_stars_have_no_neighbour_that_varies_visibly() -> None:
    prepared = prepare(simulate_dense({"CONSTANT": 64}, seed=3), DenseConfig(detrend=0.2, spectrum=8))
    sine = prepared.context[:, 2 * 8 + NUMBERS.index("sine")]
    assert (sine < 0.1).mean() > 0.9
