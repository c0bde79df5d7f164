"""Planted copies and giveaways are found, honest data pass, and a shift is seen where there is one."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation import data_checks
from goodricke.evaluation.data_checks import (
    categorical_columns,
    describe_shift,
    feature_shifts,
    find_copies,
    fold_count,
    forest_accuracy,
    is_label_copy,
    is_star_identifier,
    observing_conditions,
    single_feature_accuracies,
    subsample,
    two_sample_area,
    variability_features,
)
from goodricke.evaluation.scores import area_under_curve


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_checks, "TREES", 20)


def curves(n: int = 30, seed: int = 0, start: float = 0.0, points: int = 60) -> LightCurves:
    rng = np.random.default_rng(seed)
    time = start + np.sort(rng.uniform(0, 50, (n, points)), axis=1)
    value = 15 + 0.2 * rng.standard_normal((n, points))
    ids = [f"s{seed}-{k}" for k in range(n)]
    return LightCurves.from_arrays(ids, points * np.arange(n + 1), time.ravel(), value.ravel(), unit="mag")


def changed(batch: LightCurves, keep: np.ndarray | None = None, later: float = 0.0) -> LightCurves:
    kept = batch if keep is None else batch.where(keep)
    ids = [f"copy of {x}" for x in kept.ids]
    return LightCurves.from_arrays(ids, kept.offsets, kept.time + later, kept.value, unit="mag")


# ---- copies -------------------------------------------------------------------------------------------------------


def test_copies_are_found_whatever_their_ids_times_and_order() -> None:
    here, there = curves(), changed(curves(), later=1000.0)[np.arange(9, -1, -1)]
    found = find_copies(here, there)
    assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(k, 9 - k) for k in range(10)]
    assert (found.shared == 1).all()


def test_copies_with_missing_points_are_found_and_others_are_not() -> None:
    here = curves(points=120)
    keep = np.random.default_rng(1).random(len(here.time)) > 0.05
    found = find_copies(here, changed(here, keep))
    assert (found.first == found.second).all()
    assert len(found.first) > 0.9 * len(here)
    assert len(find_copies(here, curves(seed=5, points=120)).first) == 0


def test_within_one_batch_each_pair_once() -> None:
    both = LightCurves.concat([curves(5), changed(curves(5))])
    found = find_copies(both)
    assert list(zip(found.first, found.second, strict=True)) == [(k, k + 5) for k in range(5)]
    assert len(find_copies(curves()).first) == 0


def test_constants_empty_and_tiny_light_curves_are_no_copies() -> None:
    dull = LightCurves.from_arrays(list("abcd"), [0, 0, 2, 12, 22], np.arange(22.0), np.full(22, 15.0), unit="mag")
    assert len(find_copies(dull).first) == 0
    assert len(find_copies(dull, curves(3)).first) == 0


# ---- giveaways ----------------------------------------------------------------------------------------------------


def test_a_planted_giveaway_comes_first_and_noise_tells_nothing() -> None:
    rng, label = np.random.default_rng(0), np.repeat([0, 1, 2], [100, 60, 40])
    columns = {"noise": rng.normal(size=200), "start": label * 10 + rng.normal(size=200), "survey": label // 2}
    columns["half"] = np.where(rng.random(200) < 0.5, np.nan, columns["start"])
    found = {each.name: each for each in single_feature_accuracies(columns, label)}
    assert next(iter(found)) == "start"
    assert found["start"].accuracy.value > 0.97
    assert found["noise"].accuracy.value < 0.55
    assert found["noise"].majority == 0.5
    assert found["survey"].accuracy.value == pytest.approx(0.7)
    assert 0.6 < found["half"].accuracy.value < 0.9
    assert forest_accuracy({k: columns[k] for k in ("noise", "start")}, label).accuracy.value > 0.95


def test_light_curves_of_one_star_stay_on_one_side() -> None:
    rng, star = np.random.default_rng(0), np.repeat(np.arange(60), 10)
    label = rng.integers(2, size=60)[star]
    fingerprint = {"id": rng.normal(size=60)[star]}  # tells the star, and nothing of its class
    apart, together = (
        single_feature_accuracies(fingerprint, label)[0],
        single_feature_accuracies(fingerprint, label, star)[0],
    )
    assert apart.accuracy.value > 0.75
    assert together.accuracy.value < 0.65


def test_the_label_in_other_words() -> None:
    label = np.array([0, 0, 1, 2])
    assert is_label_copy(np.array([7, 7, 3, 5]), label)
    assert not is_label_copy(np.array([7, 7, 3, 3]), label)
    assert not is_label_copy(np.array([7, 6, 3, 3]), label)
    before = np.array([7, 6, 3, 5]).repeat(2)  # classes were merged
    assert is_label_copy(before, label.repeat(2))
    assert not is_label_copy(before, label.repeat(2), star=np.arange(4).repeat(2))


def test_names_of_stars_are_not_the_label_in_other_words() -> None:
    label, name = np.arange(12) % 3, np.arange(12)
    assert not is_label_copy(name, label)
    assert not is_label_copy(name.repeat(5), label.repeat(5), star=name.repeat(5))
    assert is_star_identifier(name)
    assert is_star_identifier(name.repeat(5), star=name.repeat(5))
    assert not is_star_identifier(name.repeat(5))
    assert not is_star_identifier(np.r_[name, 0])
    assert not is_star_identifier(label)


# ---- circumstances ------------------------------------------------------------------------------------------------


def test_circumstances_are_plain_numbers() -> None:
    batch = LightCurves.from_arrays(
        ["a", "b", "c"],
        [0, 3, 5, 5],
        [3.0, 1.0, 7.0, 10.0, 10.5],
        [1.0, 2.0, 6.0, 5.0, np.nan],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0, 1, 1, 0, 0],
        bands=("g", "r"),
        unit="mag",
    )
    found = observing_conditions(batch)
    np.testing.assert_array_equal(found["number of observations"], [3, 1, 0])
    np.testing.assert_array_equal(found["time of the first observation"], [1, 10, np.nan])
    np.testing.assert_array_equal(found["time span"], [6, 0, np.nan])
    np.testing.assert_array_equal(found["median spacing"], [3, np.nan, np.nan])
    np.testing.assert_array_equal(found["median brightness"], [2, 5, np.nan])
    np.testing.assert_allclose(found["median error"], [0.2, 0.4, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["share of band r"], [2 / 3, 0, np.nan])
    np.testing.assert_array_equal(found["bands observed"][:2], [2, 1])
    assert "median error" not in observing_conditions(curves(3))
    assert np.isnan(variability_features(batch)["std"]).tolist() == [False, True, True]


def test_columns_of_words() -> None:
    table = pa.table(
        {
            "s": ["x", "y", None, "x"],
            "n": [1, 2, 3, 4],
            "one": ["a"] * 4,
            "d": pa.array(list("abab")).dictionary_encode(),
        }
    )
    found = categorical_columns(table)
    assert list(found) == ["s", "d"]
    assert len(np.unique(found["s"])) == 3
    assert found["s"][0] == found["s"][3]
    assert list(categorical_columns(table, most=2)) == ["d"]


# ---- shift --------------------------------------------------------------------------------------------------------


def test_two_halves_are_alike_and_a_moved_set_is_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    alike, moved = two_sample_area(x[:150], x[150:], 100), two_sample_area(x[:150], x[150:] + np.eye(4)[0] * 4, 100)
    assert alike.low < 0.5 < alike.high
    assert moved.low > 0.9
    assert describe_shift(alike).startswith("No shift")
    assert "nearly every object" in describe_shift(moved)
    holes = x.copy()
    holes[150:, 1] = np.nan
    assert two_sample_area(holes[:150], holes[150:], 10).value == 1
    with pytest.raises(ValueError, match="two of each set"):
        two_sample_area(x[:1], x)


def of_stars(stars: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return four numbers of light curves that are alike for one star, and the stars."""
    rng, star = np.random.default_rng(seed), np.repeat(np.arange(stars), each)
    return rng.normal(size=(stars, 4))[star] + 0.05 * rng.normal(size=(len(star), 4)), star


def test_stars_with_many_light_curves_are_no_shift() -> None:
    (a, star), (b, _) = of_stars(20, 10), of_stars(20, 10, seed=1)
    both = np.r_[star, 20 + star]
    assert two_sample_area(a, b, 200).low > 0.9  # each star is known again
    by_star = two_sample_area(a, b, 200, star=both)
    assert by_star.low < 0.5 < by_star.high
    assert two_sample_area(a, b + np.eye(4)[0] * 6, 200, star=both).low > 0.9
    assert two_sample_area(a, a, 200, star=np.r_[star, star]).value == 0.5  # the same stars in both sets
    with pytest.raises(ValueError, match="1 and 200 stars"):
        two_sample_area(a, b, star=np.r_[0 * star, 1 + np.arange(200)])


def test_stars_of_very_unequal_numbers_are_all_asked() -> None:
    (a, b), star = (of_stars(3, 10)[0], of_stars(2, 10)[0]), np.r_[[0] * 28, 1, 2, [3] * 19, 4]
    assert 0 <= two_sample_area(a, b, 20, star=star).value <= 1


def test_copies_of_light_curves_do_not_narrow_an_area() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(0.5, 1, 40)
    alone = area_under_curve(a, b, 300)
    copied = np.repeat(a, 10), np.repeat(b, 10)
    assert area_under_curve(*copied, 300, star=np.arange(80).repeat(10)) == pytest.approx(alone)
    apart = area_under_curve(*copied, 300)
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low)
    assert np.isnan(area_under_curve(a, b, 0).low)


def test_one_light_curve_of_each_star_is_tested() -> None:
    (a, star), (b, _) = of_stars(20, 10), of_stars(20, 10, seed=1)
    columns = [{f"x{k}": x[:, k] for k in range(4)} for x in (a, b)]
    both = np.r_[star, 20 + star]
    assert min(x.p_value for x in feature_shifts(*columns)) < 0.01
    found = feature_shifts(*columns, both)
    assert min(x.p_value for x in found) > 0.05
    assert found == feature_shifts(*columns, both)
    medians = {x.median for x in found}
    assert medians != {x.median for x in feature_shifts(*columns, both, seed=1)}
    tenth = [{name: x[::10] for name, x in each.items()} for each in columns]
    alone = {x.name: x.distance for x in feature_shifts(*tenth)}
    assert all(x.distance == pytest.approx(alone[x.name], abs=0.11) for x in found)
    assert feature_shifts({"a": a}, {"b": b}) == []


def test_area_is_scikit_learn_s_with_ties() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(5, size=40) / 5, rng.integers(1, 6, size=30) / 5
    truth = roc_auc_score(np.repeat([0, 1], [40, 30]), np.concatenate([a, b]))
    assert area_under_curve(a, b, 50).value == pytest.approx(truth)


def test_numbers_that_shift_come_first_and_p_values_are_corrected() -> None:
    rng = np.random.default_rng(0)
    first = {f"x{k}": rng.normal(size=200) for k in range(10)} | {"gone": np.full(200, np.nan)}
    second = {name: rng.normal(size=150) for name in first} | {"other": np.zeros(150)}
    second["x3"] += 1
    found = feature_shifts(first, second)
    assert found[0].name == "x3"
    assert found[0].p_value < 1e-8
    assert sum(each.p_value < 0.05 for each in found) == 1
    assert found[-1].name == "gone"
    assert np.isnan(found[-1].p_value)
    assert (found[-1].missing, found[-1].other_missing) == (1, 0)
    assert len(subsample(10_000)) == 3000
    assert (np.diff(subsample(10_000)) > 0).all()


@pytest.mark.parametrize(("counts", "folds"), [((9, 8), 5), ((4, 2), 4), ((1, 1, 1), 1)])
def test_classes_smaller_than_the_folds_make_fewer_of_them(counts: tuple[int, ...], folds: int) -> None:
    label = np.repeat(np.arange(len(counts)), counts)
    assert fold_count(label, np.arange(len(label))) == folds
    assert fold_count(label, np.zeros(len(label), int)) == 1
    if folds > 1:
        (one,) = single_feature_accuracies({"noise": np.random.default_rng(0).normal(size=len(label))}, label)
        assert 0 <= one.accuracy.value <= 1
