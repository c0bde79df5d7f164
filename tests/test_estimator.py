"""The classifier as scikit-learn has them, in scikit-learn's own tools.

`sklearn.utils.estimator_checks.check_estimator` can't apply: it feeds tables of random numbers, and a light curve is
none. The checks in it that ask no data are run one by one, the rest is held here with light curves.
"""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import goodricke as gr
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.estimator import GoodrickeClassifier
from goodricke.evaluation.held_out import run_recipe
from goodricke.models.bundle import verify_model
from goodricke.training.recipe import read_recipe
from tests.making import sky

QUICK = {"kind": "multiband", "size": "tiny", "epochs": 1, "batch": 8, "rate": 1e-2}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def quick(**changes) -> GoodrickeClassifier:
    return GoodrickeClassifier(**QUICK | changes)


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    return sky(40)[0]


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return np.array(["slow", "fast"])[sky(40)[1]]


@pytest.fixture(scope="module")
def fitted(curves, y) -> GoodrickeClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return quick(epochs=15).fit(curves, y)


@pytest.fixture(scope="module")
def hopeless(curves) -> LightCurves:
    """Return four light curves of which the second has no observation and the third none in a known band."""
    empty = LightCurves.from_arrays(["nothing"], [0, 0], [], [], unit="mag")
    unusual = curves[0].rename_bands({"g": "x", "r": "y"})
    return LightCurves.concat([curves[0], empty, unusual, curves[1]])


# ---- scikit-learn's own checks ------------------------------------------------------------------------------------

CHECKS = (
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
)


@pytest.mark.parametrize("name", CHECKS)
def test_checks_that_ask_no_data(name):
    getattr(estimator_checks, name)("GoodrickeClassifier", GoodrickeClassifier())


def test_it_is_a_classifier_that_must_be_fitted_first(curves):
    from sklearn.base import is_classifier

    assert gr.GoodrickeClassifier is GoodrickeClassifier
    assert is_classifier(GoodrickeClassifier())
    with pytest.raises(NotFittedError):
        GoodrickeClassifier().predict(curves)


# ---- fit and predict ----------------------------------------------------------------------------------------------


def test_it_learns(fitted, curves, y):
    assert fitted.classes_.tolist() == ["fast", "slow"]
    p = fitted.predict_proba(curves)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(fitted.predict(curves), fitted.classes_[p.argmax(1)])
    assert fitted.score(curves, y) > 0.9
    assert fitted.transform(curves).shape == (40, fitted.model_.embedding_size)
    assert ((fitted.novelty(curves) >= 0) & (fitted.novelty(curves) <= 1)).all()
    sets = fitted.predict_sets(curves, coverage=0.9)
    assert sets.shape == (40, 2)
    assert sets[np.arange(40), p.argmax(1)].all()
    assert (fitted.predict_sets(curves, coverage=0.99) >= sets).all()


def test_the_seed_determines_the_result(curves, y):
    one, same, other = (quick(seed=seed).fit(curves, y).predict_proba(curves) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_one_by_one_as_in_a_batch(fitted, curves):
    single = np.concatenate([fitted.predict_proba(one) for one in curves[:5]])
    np.testing.assert_allclose(single, fitted.predict_proba(curves)[:5], atol=1e-5)


def test_it_is_what_the_command_line_trains(curves, y, tmp_path):
    curves.write_parquet(tmp_path / "curves.parquet")
    pd.DataFrame({"object_id": curves.ids, "label": y}).to_csv(tmp_path / "labels.csv", index=False)
    clf = quick().fit(curves, y)
    recipe = clf.recipe(len(curves), tmp_path / "run")
    data = recipe.data.model_copy(
        update={"light_curves": str(tmp_path / "curves.parquet"), "labels": str(tmp_path / "labels.csv"), "fewest": 3}
    )
    from rich.console import Console

    folder = run_recipe(recipe.model_copy(update={"data": data}), console=Console(quiet=True))
    expected = gr.classify(curves, folder).probabilities
    np.testing.assert_allclose(expected, clf.predict_proba(curves), atol=1e-6)


def test_unusable_light_curves_stop_nothing(fitted, hopeless):
    bad = np.array([False, True, True, False])
    assert fitted.status(hopeless).tolist() == ["OK", "EMPTY", "UNKNOWN_BAND", "OK"]
    for name in ("predict_proba", "transform"):
        np.testing.assert_array_equal(np.isnan(getattr(fitted, name)(hopeless)).all(1), bad)
    np.testing.assert_array_equal(np.isnan(fitted.novelty(hopeless)), bad)
    np.testing.assert_array_equal(fitted.predict_sets(hopeless).any(1), ~bad)
    np.testing.assert_array_equal(fitted.predict(hopeless) == "", bad)
    right = fitted.predict(hopeless)[[0, 3]]
    assert fitted.score(hopeless, [right[0], "fast", "slow", right[1]]) == 0.5
    assert len(fitted.predict(hopeless[:0])) == 0
    assert (fitted.predict(hopeless[1:3]) == "").all()


def test_numbers_as_labels_stay_numbers(curves, hopeless):
    label = np.where(sky(40)[1] == 1, 7, 10)
    clf = quick().fit(curves, label)
    assert clf.classes_.tolist() == [7, 10]
    assert clf.model_.classes == ("7", "10")
    assert set(clf.predict(curves)) <= {7, 10}
    assert clf.predict(hopeless)[1] == -1
    assert clf.set_params(unclassified=99).predict(hopeless)[1] == 99
    with pytest.raises(ValueError, match="stands for no class"):
        quick().fit(curves, np.where(label == 7, -1, 1))


def test_groups_keep_the_light_curves_of_a_star_together(curves, y, tmp_path):
    star = np.arange(40) // 4 * 2 + np.arange(40) % 2  # two light curves of one class each
    quick(run=tmp_path / "run", test=0.2).fit(curves, y, groups=star)
    split = pd.read_csv(tmp_path / "run/split.csv")
    parts = split.groupby(star)["part"].nunique()
    assert (parts == 1).all()
    assert set(split["part"]) == {"train", "validation", "test"}


def test_held_out_stars_are_scored_if_asked_for(fitted, curves, y):
    assert fitted.metrics_ == {}
    clf = quick(test=0.3).fit(curves, y)
    assert 0 <= clf.metrics_["deterministic"]["accuracy"]["value"] <= 1


# ---- wrong use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "label", "message"),
    [
        ({"kind": "dens"}, None, "kind is one of variables, folded, dense, multiband"),
        ({"size": "huge"}, None, "size is one of tiny, small, paper"),
        ({"network": {"hiden": 3}}, None, "network.hiden"),
        ({"training": {"rates": 3}}, None, "training.rates"),
        ({"validation": 2.0}, None, "data.validation"),
        ({"init": "variables"}, None, "kind='variables'"),
        ({}, ["a"] * 40, "one class"),
        ({}, ["a", "b"], "2 labels for 40 light curves"),
        ({}, [None, "b"] * 20, "20 of 40 labels are missing"),
        ({}, ["a"] * 39 + ["b"], r"too few stars.*b \(1\)"),
        ({}, np.linspace(0, 1, 40), "continuous"),
    ],
)
def test_errors_name_the_mend(changes, label, message, curves, y):
    with pytest.raises(ValueError, match=message):
        quick(**changes).fit(curves, y if label is None else label)


def test_a_table_of_features_is_refused_with_a_hint():
    with pytest.raises(TypeError, match=r"say what they are: time="):
        quick().fit(np.zeros((4, 3)), [0, 1, 0, 1])


def test_a_warning_of_too_short_a_training(curves, y):
    with pytest.warns(ConvergenceWarning, match="about 5 gradient steps"):
        quick().fit(curves, y)


@pytest.mark.parametrize("kind", ["variables", "folded", "dense", "multiband"])
def test_epochs_follow_from_the_number_of_light_curves(kind):
    clf = GoodrickeClassifier(kind)
    small, many = (clf.recipe(n, "run").training for n in (100, 1_000_000))
    assert 1500 <= small.epochs * np.ceil(90 / small.batch) < 1500 + np.ceil(90 / small.batch)
    assert many.epochs == 10
    assert small.patience == small.epochs


def test_defaults_are_those_of_the_example_recipes(tmp_path):
    from goodricke.training.recipe import example

    for kind in ("variables", "folded", "dense", "multiband"):
        (tmp_path / "my.toml").write_text(example(kind))
        expected, recipe = read_recipe(tmp_path / "my.toml"), GoodrickeClassifier(kind, epochs=3).recipe(100, "run")
        assert recipe.preprocessing == expected.preprocessing
        skip = {"epochs", "least_steps", "patience", "passes"}
        assert recipe.training.model_dump(exclude=skip) == expected.training.model_dump(exclude=skip)
        assert recipe.network.items() >= {k: v for k, v in expected.network.items() if k != "encoding"}.items()


def test_a_model_to_start_from_gives_its_sizes_and_preprocessing():
    recipe = GoodrickeClassifier(init="variables", network={"dropout": 0.1}).recipe(100, "run")
    config = gr.load_model("variables").config
    assert recipe.preprocessing == config.preprocessing
    assert (recipe.network["hidden"], recipe.network["dropout"]) == (config.network["hidden"], 0.1)
    assert recipe.training.init == "variables"


# ---- in scikit-learn's tools --------------------------------------------------------------------------------------


def test_cross_validation_over_light_curves_by_star(curves, y):
    scores = cross_val_score(quick(), curves, y, groups=np.arange(40) // 2, cv=GroupKFold(2))
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


def test_a_grid_and_a_pipeline(curves, y):
    bright = FunctionTransformer(lambda x: x.where(x.value < 99))
    pipe = make_pipeline(bright, quick(passes=0))
    grid = GridSearchCV(pipe, {"goodrickeclassifier__rate": [1e-5, 1e-2]}, cv=2, error_score="raise").fit(curves, y)
    assert set(grid.best_params_.values()) <= {1e-5, 1e-2}
    assert grid.predict(curves).shape == (40,)


def test_train_test_split_gives_light_curves(curves, y):
    train, test, _, _ = train_test_split(curves, y, random_state=0)
    assert isinstance(train, LightCurves)
    assert sorted(train.ids + test.ids) == sorted(curves.ids)


def test_a_frozen_model_gives_embeddings_to_another_classifier(fitted, curves, y):
    pipe = make_pipeline(FrozenEstimator(fitted), LogisticRegression()).fit(curves, y)
    assert pipe.score(curves, y) > 0.9
    frame = fitted.set_output(transform="pandas").transform(curves)
    fitted.set_output(transform="default")
    assert list(frame.columns[:2]) == ["goodrickeclassifier0", "goodrickeclassifier1"]


# ---- frames and files ---------------------------------------------------------------------------------------------


def lists(curves: LightCurves) -> pd.DataFrame:
    names = np.array(curves.bands)
    rows = [(c.time, c.value, c.error, names[c.band].tolist()) for c in curves]
    return pd.DataFrame(rows, columns=["mjd", "mag", "magerr", "band"], index=curves.ids)


def test_frames_and_files_give_what_light_curves_give(fitted, curves, tmp_path):
    expected = fitted.predict_proba(curves[:6])
    nested = curves[:6].to_nested_pandas()
    for frame in (lists(curves[:6]), nested, curves[:6].to_arrow(), [curves[:4], curves[4:6]]):
        np.testing.assert_allclose(fitted.predict_proba(frame), expected, atol=1e-5)
    paths = [str(tmp_path / f"{k}.parquet") for k in range(6)]
    for path, one in zip(paths, curves, strict=False):
        one.write_parquet(path)
    Path(paths[2]).write_bytes(b"broken")
    for X in (paths, np.array(paths), pd.Series(paths)):
        p = fitted.predict_proba(X)
        np.testing.assert_array_equal(np.isnan(p).all(1), np.arange(6) == 2)
        np.testing.assert_allclose(p[[0, 5]], expected[[0, 5]], atol=1e-5)


def test_labels_and_groups_by_column(fitted, curves, y):
    star = [f"star {k}" for k in range(40)]
    np.testing.assert_array_equal(
        quick().fit(lists(curves).assign(kind=y, star=star), "kind", groups="star").predict_proba(curves),
        quick().fit(curves.with_columns(kind=y, star=star), "kind", groups="star").predict_proba(curves),
    )
    assert fitted.score(curves.with_columns(kind=y), "kind") == fitted.score(curves, y)


# ---- kept ---------------------------------------------------------------------------------------------------------


def test_saved_pickled_and_loaded_models_predict_the_same(fitted, curves, hopeless, tmp_path):
    folder = fitted.save(tmp_path / "model")
    expected = fitted.predict_proba(curves)
    assert verify_model(gr.load_model(folder)) < 1e-4
    for other in (GoodrickeClassifier.load(folder, passes=0), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.predict_proba(curves), expected)
        assert other.classes_.tolist() == fitted.classes_.tolist()
    from typer.testing import CliRunner

    hopeless.write_parquet(tmp_path / "x.parquet")
    command = ["classify", str(tmp_path / "x.parquet"), "--model", str(folder), "--out", str(tmp_path / "out.csv")]
    assert CliRunner().invoke(app, command).exit_code == 3
    p = pd.read_csv(tmp_path / "out.csv")["p_slow"]
    np.testing.assert_allclose(p, fitted.predict_proba(hopeless)[:, 1], atol=1e-5)
    fitted.save(folder)  # again
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="contains other files"):
        fitted.save(tmp_path)


def test_a_model_of_a_folder_is_a_fitted_classifier(stars, variables_model):
    stars, folder = stars[:4], variables_model.folder
    clf = GoodrickeClassifier.load(folder, passes=0)
    assert clf.get_params()["kind"] == "variables"
    expected = gr.classify(stars, folder, passes=0)
    np.testing.assert_array_equal(clf.predict_proba(stars), expected.probabilities)
    best = np.array(variables_model.classes)[expected.probabilities.argmax(1)]
    np.testing.assert_array_equal(clf.predict(stars), best)  # leaves, not nodes
    with pytest.raises(ValueError, match="goodricke calibrate"):
        clf.predict_sets(stars)  # it was never calibrated


def test_sets_are_those_of_classify():
    curves, clf = sky(5)[0], GoodrickeClassifier.load("ztf-bts")
    expected = gr.classify(curves, "ztf-bts", coverage=(0.8, True)).table["prediction_set"].to_pylist()
    assert clf.predict_sets(curves, 0.8, per_class=True).sum(1).tolist() == [len(members) for members in expected]


def test_importing_goodricke_imports_neither_sklearn_nor_torch():
    code = "import goodricke, sys; assert not {'torch', 'sklearn', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
