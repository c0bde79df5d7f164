"""From a recipe to a network: adopted weights, new statistics, targets, and official splits."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

from goodricke.data.progress import RunProgress
from goodricke.models.bundle import BundleConfig, Model, Target
from goodricke.models.multiband import Multiband, MultibandNetworkConfig, Standard
from goodricke.preprocess.folded import FoldedConfig
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.training.families import (
    Examples,
    _class_indices,
    adopt,
    build_network,
    check_unchanged_bands,
    family_of,
    learned_targets,
    same_extras,
    standardised,
    to_standardise,
)
from goodricke.training.labels import Labelled, official_split
from goodricke.training.recipe import Recipe, new_band_recipe, resolve_recipe
from goodricke.training.splits import TEST, TRAIN, VALIDATION, complete_split
from tests.making import sky
from tests.training.test_fit_multiband import copied, same

SIZES = {"hidden": 6, "head": [5]}


def network(seed=0, **sizes) -> Multiband:
    """Return a network whose norms and statistics are moved off their initial values."""
    torch.manual_seed(seed)
    net = Multiband(MultibandNetworkConfig(**{"bands": 2, "classes": 3, "targets": 1} | SIZES | sizes)).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, Standard):
            module.mean.normal_()
            module.std.uniform_(0.5, 2)
    return net


def model(bands=("g", "r"), columns=(), level=False, **sizes) -> Model:
    config = MultibandConfig(bands=bands, brightness="magnitude", columns=columns, level=level)
    sizes = {"bands": len(bands), "context": len(columns), "width": config.width} | sizes
    net = network(**sizes)
    classes = tuple("ABCDEFG"[: net.config.classes])
    about = BundleConfig(
        name="old",
        family="multiband",
        classes=classes,
        network=net.config.model_dump(),
        preprocessing=config,
        targets=[Target(name=name) for name in "PT"[: net.config.targets]],
    )
    return Model(about, net)


def recipe(bands=("g", "r"), columns=(), frozen=(), targets=("P",), level=False, **network) -> Recipe:
    columns_of_targets = {name: {"column": name} for name in targets}
    preprocessing = {"kind": "multiband", "bands": bands, "columns": columns, "brightness": "magnitude", "level": level}
    training = {"ensemble": {"frozen_bands": frozen}, "epochs": 1, "batch": 8}
    return Recipe.model_validate(
        {
            "name": "new",
            "run": "run",
            "data": {"light_curves": "x", "labels": "y", "targets": columns_of_targets},
            "preprocessing": preprocessing,
            "network": SIZES | network,
            "training": training,
        }
    )


# ---- a freshly built network --------------------------------------------------------------------------------------


def test_sizes_follow_from_data_and_preprocessing_and_the_seed_decides():
    settings = recipe(("g", "r", "i"), ("z",), level=True, targets=("P", "T"))
    net = build_network(settings, ("A", "B"), (), None)
    assert isinstance(net, Multiband)
    c = net.config
    assert (c.bands, c.classes, c.width, c.context, c.targets, c.hidden) == (3, 2, 6, 1, 2, 6)
    again = build_network(settings, ("A", "B"), (), None)
    assert same(copied(net), copied(again))


# ---- what is taken over -------------------------------------------------------------------------------------------


def run_network(net: Multiband, config: MultibandConfig, columns: dict[str, float] | None = None, seed=3):
    """Return logits and targets of light curves in the bands g, r and i, some of them in one band alone."""
    curves = sky(12, seed, ("g", "r", "i"), (9, 20))[0]
    curves = curves.where((curves.band == 0) | (np.repeat(np.arange(12), curves.n_obs) > 2))
    steps = prepare(curves, config.model_copy(update={"columns": ()}))
    context = np.array(
        [[np.nan if columns is None else columns.get(name, np.nan) for name in config.columns]], np.float32
    )
    object.__setattr__(steps, "context", np.repeat(context, 12, 0))
    usable = np.flatnonzero(steps.usable)
    with torch.inference_mode():
        output = net.eval().output(steps.batch(usable))
    return torch.cat([output.logits, output.targets], 1)


def adopted(old: Model, bands=None, columns=None, targets=None, **sizes) -> tuple[Multiband, MultibandConfig]:
    """Return another network that took over what it could, and its preprocessing."""
    changes = {"bands": bands or old.preprocessing.bands}
    changes |= {"columns": old.preprocessing.columns if columns is None else columns}
    config = old.preprocessing.model_copy(update=changes)
    targets = old.config.targets if targets is None else targets
    follow = {"bands": len(config.bands), "context": len(config.columns), "width": config.width}
    new = network(9, **follow | {"targets": len(targets)} | sizes)
    adopt(new, config, old, "ABCDEFG"[: new.config.classes], targets)
    return new, config


def test_a_model_of_which_nothing_fits_is_no_start():
    old = model()
    with pytest.raises(ValueError, match=f"no weights of {old.name} fit"):
        adopt(torch.nn.Linear(3, 2), FoldedConfig(), old, old.classes, ())


def test_the_same_bands_are_taken_over_whole():
    old = model()
    new, _ = adopted(old)
    assert same(copied(new), copied(old.network))


@pytest.mark.parametrize("order", list(permutations("gri")))
def test_bands_in_another_order_are_the_same_network(order):
    """Colours of turned pairs change their sign: the weights that they meet must, too."""
    old = model(("g", "r", "i"))
    new, config = adopted(old, order)
    for b, name in enumerate(order):
        assert same(copied(new.bands[b]), copied(old.network.bands["gri".index(name)]))
    torch.testing.assert_close(
        run_network(new, config), run_network(old.network, old.preprocessing), atol=1e-5, rtol=1e-5
    )


def test_two_bands_swapped():
    old = model(("g", "r"))
    new, config = adopted(old, ("r", "g"))
    assert new.central.standard.mean[0] == -old.network.central.standard.mean[0]
    assert new.central.standard.std[0] == old.network.central.standard.std[0]
    torch.testing.assert_close(
        run_network(new, config), run_network(old.network, old.preprocessing), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("bands", [("g", "r", "i"), ("i", "g", "r"), ("r", "i", "g")])
def test_a_new_band_changes_nothing_for_light_curves_without_it(bands):
    old = model(("g", "r"))
    new, config = adopted(old, bands)
    curves = sky(12, 3, ("g", "r", "i"), (9, 20))[0]
    without = prepare(curves.where(curves.band < 2), config)
    before = prepare(curves, old.preprocessing)
    with torch.inference_mode():
        result, expected = new.output(without.batch()), old.network.output(before.batch())
    torch.testing.assert_close(result.logits, expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(result.targets, expected.targets, atol=1e-5, rtol=1e-5)


def test_columns_keep_their_weights_wherever_they_are():
    old = model(("g", "r"), ("photoz", "g-r"))  # a column may be called like a colour
    told = {"photoz": 0.4, "g-r": -1.5}
    expected = run_network(old.network, old.preprocessing, told)
    for columns in (("g-r", "photoz"), ("new", "g-r", "photoz")):
        new, config = adopted(old, ("r", "g"), columns)
        torch.testing.assert_close(run_network(new, config, told), expected, atol=1e-5, rtol=1e-5)
    moved = run_network(old.network, old.preprocessing, told | {"photoz": 3.0})
    assert not torch.allclose(moved, expected, atol=1e-3)


def test_shared_extras_are_named_with_their_sign():
    old = MultibandConfig(bands=("g", "r", "i"), columns=("z", "dust"))
    new = MultibandConfig(bands=("u", "i", "g"), columns=("dust", "wait"))
    # old: g-r g-i r-i wait z dust; new: u-i u-g i-g wait dust and a column of that name
    assert same_extras(old, new) == [(1, 2, -1), (3, 3, 1), (5, 4, 1)]
    assert same_extras(old, old) == [(k, k, 1) for k in range(6)]


def test_other_classes_leave_the_last_layers_as_they_are(caplog):
    old, plain = model(classes=3), network(9, classes=4)
    new, _ = adopted(old, classes=4)
    assert caplog.messages[0].endswith(
        "which start from random weights: bands.g.head, bands.r.head, central.head.layers"
    )
    selected, fresh, reference = copied(new), copied(plain), copied(old.network)
    for name, weight in selected.items():
        last = name.endswith(("head.layers.4.weight", "head.layers.4.bias"))
        assert torch.equal(weight, (fresh if last else reference)[name]), name


def test_other_sizes_are_no_error_and_take_what_fits():
    old = model()
    new, config = adopted(old, hidden=4)
    assert torch.equal(new.bands[0].standard.mean, old.network.bands[0].standard.mean)
    assert torch.equal(new.central.standard.mean, old.network.central.standard.mean)
    assert torch.isfinite(run_network(new, config)).all()


# ---- regressed parameters -----------------------------------------------------------------------------------------

PERIOD = Target(name="P", unit="d", log=True, mean=0.7, std=0.5)
HEAT = Target(name="T", unit="K", mean=6000, std=900)


@pytest.fixture
def hot() -> Model:
    """Return a model of a period, learned as its logarithm, and a temperature."""
    created = model(targets=2)
    created.config = created.config.model_copy(update={"targets": (PERIOD, HEAT)})
    return created


def test_parameters_in_another_order_and_standardisation_say_the_same_in_their_units(hot):
    new = (
        Target(name="mass", mean=3, std=2),
        HEAT.model_copy(update={"mean": 5500.0, "std": 40.0}),
        PERIOD.model_copy(update={"mean": -1.2, "std": 3.0}),
    )
    created, config = adopted(hot, targets=new)
    result, expected = run_network(created, config)[:, 3:].numpy(), run_network(hot.network, config)[:, 3:].numpy()
    np.testing.assert_allclose(new[1].physical(result[:, 1]), HEAT.physical(expected[:, 1]), rtol=1e-5)
    np.testing.assert_allclose(new[2].physical(result[:, 2]), PERIOD.physical(expected[:, 0]), rtol=1e-4)
    assert np.ptp(expected, 0).min() > 1e-3  # not all the same
    fresh = network(9, targets=3).central.regressions[0]
    assert same(copied(created.central.regressions[0]), copied(fresh))


@pytest.mark.parametrize("change", [{"log": False}, {"unit": "h"}, {"name": "period"}])
def test_a_parameter_that_is_another_number_starts_afresh(hot, change, caplog):
    created, _ = adopted(hot, targets=(PERIOD.model_copy(update=change), HEAT))
    fresh = network(9, targets=2).central.regressions[0]
    assert same(copied(created.central.regressions[0]), copied(fresh))
    assert same(copied(created.central.regressions[1]), copied(hot.network.central.regressions[1]))
    named = {"unit": "d", "log": True, "name": "P"} | change
    assert caplog.messages == [
        "old has no fitting weights for these layers, which start from random weights: "
        f"central.regressions.{'log ' * named['log']}{named['name']} [{named['unit']}]"
    ]


# ---- from the recipe ----------------------------------------------------------------------------------------------


TOLD = model(columns=("photoz",))


def built(settings: Recipe, init: Model | None = TOLD) -> Multiband:
    return build_network(settings, ("A", "B", "C"), TOLD.config.targets, init)


def test_a_recipe_starts_from_a_model(caplog):
    new = built(recipe(("r", "g"), ("photoz",)))
    assert torch.equal(new.central.norm.weight, TOLD.network.central.norm.weight)
    assert not caplog.messages


def test_what_the_initial_model_does_not_know_is_standardised_anew():
    def learned(init=TOLD, **changes):
        return to_standardise(recipe(**changes).preprocessing, init)

    # extras of two bands and a column: g-r wait photoz
    assert learned(None) == (None, None)
    assert learned(columns=("photoz",)) == ([], [])
    assert learned(bands=("r", "g"), columns=("photoz",)) == ([], [])
    assert learned(bands=("g", "r", "i"), columns=("photoz",)) == ([2], [1, 2])
    assert learned(columns=("mass", "photoz")) == ([], [2])


def asinh(**changes) -> MultibandConfig:
    return MultibandConfig(**{"bands": ("g",), "brightness": "asinh", "softening": 2.5, "unit": "nJy"} | changes)


def initial_preprocessing(
    config: MultibandConfig, unit="nJy", initial: MultibandConfig | None = None
) -> MultibandConfig:
    """Return the preprocessing of a training that starts from a model, of asinh magnitudes and levels by default."""
    settings = recipe().model_copy(update={"preprocessing": config})
    about = TOLD.config.model_copy(update={"preprocessing": initial or asinh(level=True)})
    return resolve_recipe(settings, replace(sky()[0], unit=unit), about).preprocessing


def test_what_a_recipe_leaves_open_is_as_the_initial_model_has_it():
    expected = asinh(level=True, bands=("g", "r"))
    assert (
        initial_preprocessing(MultibandConfig()) == initial_preprocessing(MultibandConfig(), "mJy") == expected
    )  # bands follow the data
    assert initial_preprocessing(asinh(level=True, fewest=4)) == asinh(level=True, fewest=4)
    plain = MultibandConfig(bands=("g",), brightness="magnitude")
    assert initial_preprocessing(MultibandConfig(bands=("r",)), initial=plain) == plain.model_copy(
        update={"bands": ("r",)}
    )
    assert resolve_recipe(recipe(), sky()[0], None).preprocessing == recipe().preprocessing


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"brightness": "magnitude"}, "brightness is magnitude, .* old, whose weights were trained with asinh"),
        ({"softening": 3.0}, "softening is 3.0, .* trained with 2.5"),
        ({"unit": "mJy"}, "unit is mJy, .* trained with nJy"),
        ({"level": False}, "level is False, .* trained with True. Fix: leave level out"),
    ],
)
def test_a_recipe_that_makes_other_numbers_than_the_initial_model_is_refused(told, message):
    with pytest.raises(ValueError, match=message):
        initial_preprocessing(MultibandConfig(**told))


def test_a_band_is_added_to_numbers_made_as_the_model_has_them(tmp_path):
    old = model(level=True)
    old.save(tmp_path, "# old\n")
    left_open = recipe().model_copy(update={"preprocessing": MultibandConfig()})
    extended = new_band_recipe(left_open, "i", str(tmp_path)).preprocessing
    assert extended == old.preprocessing.model_copy(update={"bands": ("g", "r", "i")})
    otherwise = recipe().model_copy(update={"preprocessing": MultibandConfig(brightness="asinh")})
    with pytest.raises(ValueError, match=r"brightness is asinh, .* trained with magnitude"):
        new_band_recipe(otherwise, "i", str(tmp_path))


@pytest.mark.parametrize(
    ("init", "changes", "strange"),
    [
        (None, {"frozen": ("g",)}, "network of g"),  # it would stay as random numbers
        (TOLD, {"frozen": ("g", "x")}, "network of x"),
        (TOLD, {"frozen": ("g", "i"), "bands": ("g", "r", "i")}, "network of i"),
        (TOLD, {"frozen": ("g",), "head": [7]}, "network of g"),
    ],
)
def test_bands_that_can_not_be_frozen_are_named_before_the_training(init, changes, strange):
    with pytest.raises(ValueError, match=f"{strange} can't be frozen"):
        built(recipe(columns=("photoz",), **changes), init)


def test_bands_that_have_changed_are_noticed():
    settings, old = recipe(("r", "i", "g"), ("photoz",), frozen=("g",)), TOLD
    new = built(settings)
    check_unchanged_bands(new, settings.preprocessing, old, ("g", "r"))
    new.bands[2].head.layers[1].running_mean += 1e-7  # not a trained weight, but part of the answer
    check_unchanged_bands(new, settings.preprocessing, old, ("r",))
    with pytest.raises(RuntimeError, match="band g has changed"):
        check_unchanged_bands(new, settings.preprocessing, old, ("g", "r"))


def fit(recipe, network, init, prepared, data, targets, training, validation, folder) -> None:
    examples = Examples(prepared, data, targets, training, validation)
    family_of(recipe.preprocessing).fit(recipe, network, init, examples, RunProgress(folder))


def labelled(n=24, targets=0, bands=("g", "r")) -> Labelled:
    curves, label = sky(n, bands=bands)
    truth = np.full((n, targets), np.nan)
    return Labelled(curves, label, ("A", "B"), np.arange(n), np.arange(n), truth, None)


def test_adding_a_band_keeps_old_statistics_and_learns_new_ones(tmp_path):
    old = model(("g", "r"), classes=2, targets=0)
    settings = recipe(("g", "r", "i"), frozen=("g", "r"), targets=())
    data = labelled(bands=("g", "r", "i"))
    prepared = prepare(data.curves, settings.preprocessing)
    new = build_network(settings, data.classes, (), old)
    rows = np.arange(24)
    parts = rows[:16], rows[16:], tmp_path / "run"
    fit(settings, new, old, prepared, data, (), *parts)
    check_unchanged_bands(new, settings.preprocessing, old, ("g", "r"))
    before, now = old.network.central.standard, new.central.standard
    assert now.mean[[0, 3]].tolist() == before.mean[[0, 1]].tolist()  # g-r, wait
    training = prepared.take(rows[:16])
    np.testing.assert_allclose(now.mean[[1, 2]], np.nanmean(training.colour[:, 1:], 0), rtol=1e-4)
    window = training.window[training.band == 2]
    np.testing.assert_allclose(new.bands[2].standard.mean, window.mean(0), atol=1e-5)


def test_targets_are_standardised_by_measured_training_objects():
    data = labelled(8)
    settings = recipe(targets=("P", "T"))
    settings.data.targets["P"] = settings.data.targets["P"].model_copy(update={"log": True, "unit": "d"})
    period = np.array([1, 10, 100, np.nan, -5, 1e9, 1e9, 1e9])  # a period below zero is none
    data = data._replace(targets=np.stack([period, [5000, 6000, np.nan, 7000, 5000, 9, 9, 9]], 1))
    training = np.arange(5)
    p, t = learned_targets(settings, data, training)
    assert (p.name, p.unit, p.log, t.log) == ("P", "d", True, False)
    assert (p.mean, p.std) == (pytest.approx(1), pytest.approx(np.sqrt(2 / 3)))
    for target, k in ((p, 0), (t, 1)):
        learned = target.standardised(data.targets[training, k])
        valid = learned[np.isfinite(learned)]
        assert valid.mean() == pytest.approx(0)
        assert valid.std() == pytest.approx(1)
        back = target.physical(learned)
        np.testing.assert_allclose(back[np.isfinite(back)], data.targets[training, k][np.isfinite(learned)])
    np.testing.assert_array_equal(standardised(data, (p, t))[:, 1], t.standardised(data.targets[:, 1]))
    assert standardised(labelled(8), ()).shape == (8, 0)


@pytest.mark.parametrize("values", [[np.nan] * 4, [3, np.nan, np.nan, np.nan], [3, 3, 3, 3]])
def test_a_target_without_two_values_is_named(values):
    data = labelled(4)._replace(targets=np.array(values, float)[:, None])
    with pytest.raises(ValueError, match=r"data.targets.P"):
        learned_targets(recipe(), data, np.arange(4))


def test_the_fit_has_standardised_targets_and_class_weights(tmp_path, monkeypatch):
    data = labelled(24)._replace(label=np.array([0] * 18 + [1] * 6), targets=np.arange(24.0)[:, None])
    settings, calls = recipe(), []
    monkeypatch.setattr("goodricke.training.fit_multiband.fit", lambda task, *rest: calls.append((task, *rest)))
    prepared = prepare(data.curves, settings.preprocessing)
    training = np.r_[0:9, 18:20]  # another mixture of classes than all objects'
    targets = learned_targets(settings, data, training)
    net = build_network(settings, data.classes, targets, None)
    parts = training, np.arange(20, 24), tmp_path
    fit(settings, net, None, prepared, data, targets, *parts)
    task, rows, *_ = calls[0]
    assert rows is training
    np.testing.assert_allclose(task.weights, [(11 / 9) ** 0.5, (11 / 2) ** 0.5])
    assert task.targets[training].mean() == pytest.approx(0, abs=1e-6)
    assert task.targets[training].std() == pytest.approx(1)
    assert task.validation.tolist() == [20, 21, 22, 23]


# ---- a survey's own split -----------------------------------------------------------------------------------------


def test_words_of_a_split_are_understood():
    words = ["train", " Training", True, "1", 1.0, "TEST", "testing", False, 0, "val", "dev", "Validation", ""]
    result = official_split(pd.Series(words, dtype=object))
    assert result.tolist() == [TRAIN] * 5 + [TEST] * 4 + [VALIDATION] * 3 + [""]
    assert official_split(pd.Series([True, False])).tolist() == [TRAIN, TEST]


@pytest.mark.parametrize("column", [["train", None, "test"], [1.0, np.nan, 0.0], [True, np.nan, False]])
def test_an_object_without_a_part_is_in_none(column):
    assert official_split(pd.Series(column)).tolist() == [TRAIN, "", TEST]


def test_an_unknown_word_is_named():
    with pytest.raises(ValueError, match=r"column part has \['fold3'\]"):
        official_split(pd.Series(["train", "fold3"], name="part"))


@pytest.mark.parametrize("with_validation", [True, False])
def test_a_completed_split_keeps_stars_apart(with_validation):
    rng = np.random.default_rng(0)
    star = rng.integers(0, 60, 300)
    words = [TRAIN, TRAIN, TRAIN, TEST, ""] + [VALIDATION] * with_validation
    official = rng.choice(words, 300).astype("<U10")
    official[star >= 20] = np.where(star[star >= 20] % 4 == 0, TEST, TRAIN)  # the first twenty are in several parts
    before = official.copy()
    part = complete_split(official, star, star % 2, 0.2, 7)
    assert (official == before).all()
    sides = [set(star[part == name].tolist()) for name in (TRAIN, VALIDATION, TEST)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    np.testing.assert_array_equal(part == TEST, official == TEST)  # the test set is the survey's own
    assert not part[official == ""].any()
    if not with_validation:
        assert 0.1 < len(sides[1]) / (len(sides[0]) + len(sides[1])) < 0.3
        assert (complete_split(official, star, star % 2, 0.2, 8) != part).any()
    np.testing.assert_array_equal(complete_split(official, star, star % 2, 0.2, 7), part)


def test_names_become_indices_and_no_name_means_all() -> None:
    assert _class_indices(("A", "B", "C"), ["C", "A"]) == [2, 0]
    assert _class_indices(("A", "B", "C"), []) == [0, 1, 2]
    with pytest.raises(ValueError, match="D of the classes A, B, C"):
        _class_indices(("A", "B", "C"), ["A", "D"])
    assert np.isin([0, 1, 2], _class_indices(("A", "B", "C"), ["B"])).tolist() == [False, True, False]
