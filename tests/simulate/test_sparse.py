"""Sets of light curves in several bands: the same however they are made, of every class, taken by what comes after."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.ensemble import RandomForestClassifier
from typer.testing import CliRunner

from goodricke import classify, read
from goodricke.cli import app
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import SIGNAL_TO_NOISE, SourceBlock
from goodricke.simulate.kinds import MULTIBAND, survey_kinds
from goodricke.simulate.sparse import (
    FEWEST_DETECTIONS,
    SparseBlockMaker,
    draw_detected,
    multiband_simulation,
    simulate_multiband,
)
from goodricke.simulate.surveys import SURVEYS, survey_field

pytest.importorskip("batman", reason="batman isn't installed")

EASY = ["AGN", "CV", "MIRA", "RRL", "SNIA", "SNII", "TDE", "MICROLENS"]


def equal(one: LightCurves, other: LightCurves) -> bool:
    names = ("offsets", "time", "value", "error", "band")
    points = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return points and one.ids == other.ids and one.table_of_objects.equals(other.table_of_objects)


@pytest.fixture(scope="module")
def few() -> dict[str, LightCurves]:
    return {survey: simulate_multiband(4, survey, seed=5) for survey in SURVEYS}


def test_there_are_as_many_of_every_class(few: dict[str, LightCurves]) -> None:
    for survey, curves in few.items():
        labels = curves.table_of_objects["label"].to_pylist()
        classes = survey_kinds(survey).classes
        assert {label: labels.count(label) for label in classes} == dict.fromkeys(classes, 4)
        assert len(set(curves.ids)) == len(curves) == multiband_simulation(4, survey).rows
        assert [MULTIBAND.labels[kind] for kind in curves.table_of_objects["kind"].to_pylist()] == labels


def test_light_curves_are_valid_and_in_the_unit_of_the_survey(few: dict[str, LightCurves]) -> None:
    for curves in few.values():
        curves.validate()
        assert np.isfinite(curves.value).all()
        assert curves.n_obs.min() > 0
    assert {name: (c.unit, c.time_scale, "".join(c.bands)) for name, c in few.items()} == {
        "rubin": ("nJy", "MJD", "ugrizy"),
        "ztf": ("mag", "MJD", "gri"),
        "gaia": ("mag", "BJD", "GBPRP"),
    }


def test_light_curves_follow_from_the_seed() -> None:
    arguments = {"n": 3, "survey": "ztf", "classes": ["SNIA", "RRL"]}
    assert equal(simulate_multiband(seed=1, **arguments), simulate_multiband(seed=1, **arguments))
    assert not equal(simulate_multiband(seed=1, **arguments), simulate_multiband(seed=2, **arguments))


def test_a_larger_set_begins_with_a_smaller_one() -> None:
    for label in ("SNII", "AGN"):
        many = simulate_multiband(70, "rubin", seed=1, classes=[label])
        assert equal(many[:5], simulate_multiband(5, "rubin", seed=1, classes=[label]))


def test_other_classes_in_the_set_change_nothing() -> None:
    both = simulate_multiband(4, "gaia", seed=1, classes=["RRL", "TDE"])
    alone = simulate_multiband(4, "gaia", seed=1, classes=["TDE"])
    rows = np.flatnonzero(np.array(both.table_of_objects["label"].to_pylist()) == "TDE")
    for name in ("time", "value", "error", "band"):
        np.testing.assert_array_equal(getattr(both[rows], name), getattr(alone, name))


def test_other_processes_can_make_blocks() -> None:
    maker, block = SparseBlockMaker(("dwarf_nova",), 3, "ztf"), SourceBlock("dwarf_nova", 1, 8)
    assert equal(pickle.loads(pickle.dumps(maker))(block), maker(block))


def test_visits_are_the_same_for_all_classes() -> None:
    field = survey_field("rubin", 4, 3)
    for kind in ("long_period", "supernova_ia"):
        curve = SparseBlockMaker((kind,), 4, "rubin")(SourceBlock(kind, 0, 8))[3]
        assert np.isin(curve.time, field.visits.time).all()
        assert curve.n_obs[0] > 0.85 * len(field.visits.time)


def test_most_sources_are_detected_or_vary_visibly(few: dict[str, LightCurves]) -> None:
    for curves in few.values():
        about = curves.table_of_objects
        events = np.array([MULTIBAND.sources[kind].event for kind in about["kind"].to_pylist()])
        brief = np.array(about["label"].to_pylist()) == "KN"
        assert (about["detections"].to_numpy()[events & ~brief] >= FEWEST_DETECTIONS).mean() > 0.98
        assert (about["signal_to_noise"].to_numpy()[~events] >= SIGNAL_TO_NOISE).mean() > 0.85


def test_chosen_events_are_detected() -> None:
    field, source = survey_field("ztf", 0, 0), MULTIBAND.sources["supernova_ia"]
    truth, flux = draw_detected(source, field, np.random.default_rng(7), n=6)
    np.testing.assert_array_equal(source.flux(truth, field), flux)
    assert (field.survey.detects(flux, field.visits).sum(1) >= FEWEST_DETECTIONS).all()


def test_noise_agrees_with_the_errors() -> None:
    curves = simulate_multiband(64, "rubin", seed=6, classes=["SNIA"])
    peak, redshift = (curves.column(f"true_{name}") for name in ("peak", "redshift"))
    before = (ragged.spread(peak, curves.offsets) - curves.time) / (1 + ragged.spread(redshift, curves.offsets))
    blank = (curves.value / curves.error)[before > 30].astype(np.float64)
    assert len(blank) > 2000
    assert kstest(blank, "norm").pvalue > 1e-3
    assert blank.std() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("survey", SURVEYS)
def test_periods_are_recovered(survey: str) -> None:
    curves = simulate_multiband({"RRL": 10}, survey, seed=2)
    found = 0
    for i, period in enumerate(curves.column("true_period")):
        one = curves[i]
        flux = 10 ** (-0.4 * one.value) if one.in_magnitudes else one.value
        level = np.array([np.mean(flux[one.band == b]) if (one.band == b).any() else 1 for b in range(len(one.bands))])
        power = [_power(one.time, flux / level[one.band], f) for f in (1 / period, 1.0027 / period, 0.31 / period)]
        found += power[0] > 1.5 * max(power[1:])
    assert found >= 8


def _power(time: np.ndarray, flux: np.ndarray, frequency: float) -> float:
    angle = 2 * np.pi * frequency * (time - time[0])
    return float(np.abs(np.mean((flux - flux.mean()) * np.exp(1j * angle))) ** 2)


def test_a_small_forest_separates_the_classes() -> None:
    train, test = (simulate_multiband(24, "ztf", seed, EASY) for seed in (1, 2))
    labels = [np.array(curves.table_of_objects["label"].to_pylist()) for curves in (train, test)]
    forest = RandomForestClassifier(100, random_state=0).fit(_features(train), labels[0])
    assert (forest.predict(_features(test)) == labels[1]).mean() > 0.7  # chance: 1 / 8


def _features(curves: LightCurves) -> np.ndarray:
    columns = [curves.n_obs]
    for band in range(2):
        mine = curves.where(curves.band == band)
        columns += [ragged.quantile(mine.value, mine.offsets, q) for q in (0.02, 0.25, 0.5, 0.75, 0.98)]
        columns.append(ragged.mean(np.abs(np.diff(mine.value, prepend=0)), mine.offsets))
    x = np.stack(columns, 1)
    differences = np.concatenate([x[:, 2:6] - x[:, 1:5], x[:, 8:12] - x[:, 7:11], x[:, [3]] - x[:, [9]]], 1)
    return np.nan_to_num(np.concatenate([differences, x[:, [0, 6, 12]]], 1), nan=-9)


@pytest.mark.parametrize(("survey", "model", "part"), [("rubin", "plasticc", 1.0), ("ztf", "ztf-bts", 0.9)])
def test_shipped_models_classify_them(few: dict[str, LightCurves], survey: str, model: str, part: float) -> None:
    found = classify(few[survey], model)
    assert found.ok.mean() >= part


def test_a_model_of_real_supernovae_recognises_type_ia() -> None:
    curves = simulate_multiband({"SNIA": 60, "SNII": 60}, "ztf", seed=8)
    found = classify(curves, "ztf-bts")
    labels = np.array(curves.table_of_objects["label"].to_pylist())
    best = np.array(found.classes)[np.nan_to_num(found.probabilities).argmax(1)]
    assert (best[labels == "SNIA"] == "IA").mean() > 0.5
    assert (best[labels == "SNII"] == "IA").mean() < 0.3


def test_true_parameters_are_columns(few: dict[str, LightCurves]) -> None:
    table = few["rubin"].table_of_objects
    labels = np.array(table["label"].to_pylist())
    flares = table["true_flare_peak"].to_pylist()
    assert {label for label, value in zip(labels, flares, strict=True) if value} == {"M_DWARF"}
    redshift = np.array(table["true_redshift"].to_pylist(), float)
    assert set(labels[np.isfinite(redshift)]) == {"AGN", "KN", "SLSN", "SNIA", "SNIBC", "SNII", "TDE"}


def test_a_parameter_has_one_type_whatever_the_kind() -> None:
    found: dict[str, set[str]] = {}
    for kind in MULTIBAND.labels:
        for name, values in (
            SparseBlockMaker((kind,), 0, "ztf")(SourceBlock(kind, 0, 1)).table_of_objects.to_pydict().items()
        ):
            found.setdefault(name, set()).update(type(v).__name__ for v in values if v is not None)
    assert {name: types for name, types in found.items() if len(types) > 1} == {}


def test_the_command_writes_a_readable_file(tmp_path: Path) -> None:
    out, page = tmp_path / "sim.parquet", tmp_path / "sim.png"
    chosen = ["--survey", "ztf", "--class", "SNIA", "--class", "RRL", "--seed", "3"]
    result = CliRunner().invoke(
        app, ["simulate", *chosen, "--per-class", "3", "--out", str(out), "--figure", str(page)]
    )
    assert result.exit_code == 0, result.output
    made, found = simulate_multiband(3, "ztf", 3, ["SNIA", "RRL"]), read(str(out))
    assert found.ids == made.ids
    np.testing.assert_array_equal(found.value, made.value)
    assert [found.bands[b] for b in found.band[:50]] == [made.bands[b] for b in made.band[:50]]
    with open(tmp_path / "sim-labels.csv") as file:
        assert [row["label"] for row in csv.DictReader(file)] == made.table_of_objects["label"].to_pylist()
    assert page.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "at least 1"),
        ({"n": 2, "classes": ["QUASAR"]}, "no class 'QUASAR' is simulated for rubin; there are AGN"),
        ({"n": 2, "survey": "gaia", "classes": ["KN"]}, "no class 'KN' is simulated for gaia"),
        ({"n": 2, "survey": "hst"}, "no survey 'hst'"),
    ],
)
def test_wrong_arguments_are_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_multiband(**arguments)
