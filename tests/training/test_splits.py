"""Splits by star: no star on two sides (promise 10), every class on each, the same whatever the order."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.training.splits import SAME_STAR, TEST, TRAIN, VALIDATION, complete_split, split_by_star, stars

PARTS = {TRAIN, VALIDATION, TEST}


def catalogue(per_class: dict[str, int], curves=lambda k: 1) -> tuple[list[str], list[str]]:
    """Return star and label of each light curve, with this many stars per class."""
    rows = [(f"{c}-{k}", c) for c, n in per_class.items() for k in range(n) for _ in range(curves(k))]
    return [r[0] for r in rows], [r[1] for r in rows]


def sides(star, part) -> dict:
    result = defaultdict(set)
    for s, p in zip(star, part, strict=True):
        result[s].add(str(p))
    return result


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("ABCD"), st.integers(3, 30), min_size=1),
    st.floats(0, 1, exclude_min=True),
    st.floats(0, 1),
    st.integers(0, 50),
)
def test_no_star_is_on_two_sides_and_every_class_is_on_each(per_class, test, validation, seed):
    star, label = catalogue(per_class, lambda k: 1 + k % 3)
    part = split_by_star(star, label, test, validation, seed)
    assert len(part) == len(star)
    assert all(len(result) == 1 for result in sides(star, part).values())
    assert {p for s, p in zip(label, part, strict=True) if s == "A"} in (PARTS, set())
    for c in per_class:
        assert set(part[np.array(label) == c].tolist()) == PARTS, c


def test_the_fractions_are_of_the_stars_of_each_class():
    star, label = catalogue({"A": 1000, "B": 100}, lambda k: 1 + 4 * (k % 2))
    part = split_by_star(star, label, 0.2, 0.1)
    for c, n in (("A", 1000), ("B", 100)):
        of_class = [next(iter(p)) for s, p in sides(star, part).items() if s.startswith(c)]
        assert of_class.count(TEST) == 0.2 * n
        assert of_class.count(VALIDATION) == 0.08 * n
        assert of_class.count(TRAIN) == 0.72 * n


def test_folds_share_the_held_out_stars_and_take_turns_at_validation():
    star, label = catalogue({"A": 100, "B": 33}, lambda k: 1 + k % 3)
    parts = [split_by_star(star, label, 0.2, fold=(k, 7)) for k in range(1, 8)]
    held_out = split_by_star(star, label, 0.2) == TEST
    turns = np.stack([part == VALIDATION for part in parts])
    assert all(((part == TEST) == held_out).all() for part in parts)
    assert (turns.sum(0) == ~held_out).all()  # each of the others once
    for c, n in (("A", 80), ("B", 26)):
        of_class = np.array(label) == c
        for turn in turns:
            assert len(set(np.array(star)[turn & of_class].tolist())) in (n // 7, n // 7 + 1)


def test_folds_of_an_official_split():
    star, part = np.arange(90), np.repeat([TRAIN, VALIDATION, TEST], 30)
    parts = [complete_split(part, star, star % 2, fold=(k, 3)) for k in (1, 2, 3)]
    assert all(((p == TEST) == (part == TEST)).all() for p in parts)
    assert (np.stack([p == VALIDATION for p in parts]).sum(0) == (part != TEST)).all()


def test_a_star_of_two_labels_counts_as_its_most_frequent_one():
    star, label = catalogue({"A": 30, "B": 30})
    star += ["A-0"] * 3
    label += ["B"] * 3
    part = split_by_star(star, label)
    assert all(len(result) == 1 for result in sides(star, part).values())
    of_b = [next(iter(p)) for s, p in sides(star, part).items() if s.startswith("B") or s == "A-0"]
    assert of_b.count(TEST) == 6  # 0.2 * 31


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    star, label = catalogue({"A": 40, "B": 20}, lambda k: 1 + k % 2)
    part = split_by_star(star, label, seed=1)
    np.testing.assert_array_equal(split_by_star(star, label, seed=1), part)
    order = np.random.default_rng(0).permutation(len(star))
    mixed = split_by_star(np.array(star)[order], np.array(label)[order], seed=1)
    np.testing.assert_array_equal(mixed, part[order])
    assert (split_by_star(star, label, seed=2) != part).any()


def test_numbered_stars_split_as_well_as_named_ones():
    number = np.repeat(np.arange(30), 2)
    part = split_by_star(number, ["A"] * 60)
    assert all(len(result) == 1 for result in sides(number, part).values())


def test_a_class_with_too_few_stars_is_named_with_the_fix():
    star, label = catalogue({"A": 10, "RARE": 2}, lambda k: 9)
    with pytest.raises(ValueError, match=r"too few stars.*RARE \(2\)\. Fix: merge or drop"):
        split_by_star(star, label)


# ---- which light curves are of one star ---------------------------------------------------------------------------

ARCSEC = 1 / 3600


def groups(result) -> list[set[int]]:
    members = defaultdict(set)
    for row, group in enumerate(np.asarray(result).tolist()):
        members[group].add(row)
    return sorted(members.values(), key=min)


def test_without_positions_a_star_is_its_id():
    assert groups(stars(["b", "a", "b", "c"])) == [{0, 2}, {1}, {3}]
    assert groups(stars(["b", "a", "b"], ra=np.zeros(3))) == [{0, 2}, {1}]


@pytest.mark.parametrize("dec", [0.0, 45.0, -89.0, 89.9])
def test_positions_within_five_arcsec_on_the_sky_are_one_star(dec):
    stretch = np.cos(np.radians(dec))
    ra = np.array([10, 10 + 4.9 * ARCSEC / stretch, 200, 200 + 5.2 * ARCSEC / stretch])
    assert groups(stars(list("abcd"), ra, np.full(4, dec))) == [{0, 1}, {2}, {3}]
    along = np.array([dec, dec - 4.9 * ARCSEC, dec - 0.5, dec - 0.5 - 5.2 * ARCSEC])
    assert groups(stars(list("abcd"), np.full(4, 33.0), along)) == [{0, 1}, {2}, {3}]
    assert SAME_STAR == 5


def test_zero_and_360_degrees_are_neighbours():
    assert groups(stars(list("abc"), np.array([359.9999, 0.0001, 1]), np.zeros(3))) == [{0, 1}, {2}]
    assert groups(stars(list("ab"), np.array([-0.0001, 359.9999]), np.zeros(2))) == [{0, 1}]


def test_at_the_pole_every_right_ascension_is_the_same_place():
    assert groups(stars(list("abc"), np.array([0.0, 120, 240]), np.full(3, 90 - 2 * ARCSEC))) == [{0, 1, 2}]


def test_ids_and_positions_chain_into_one_star():
    # a and b lie together, b has another light curve far away, which lies with c
    result = stars(["a", "b", "b", "c", "d"], np.array([10, 10, 50, 50, 70.0]), np.zeros(5))
    assert groups(result) == [{0, 1, 2, 3}, {4}]


def test_unknown_positions_join_nothing_but_keep_their_id():
    ra = np.array([np.nan, 10, np.nan, 10, np.nan])
    result = stars(["a", "b", "b", "c", "d"], ra, np.array([5.0, 0, np.nan, 0, np.nan]))
    assert groups(result) == [{0}, {1, 2, 3}, {4}]
    assert groups(stars(["a", "b"], np.full(2, np.nan), np.full(2, np.nan))) == [{0}, {1}]


def test_no_light_curve_is_no_star():
    assert stars([], np.zeros(0), np.zeros(0)).shape == (0,)
    assert stars([]).shape == (0,)


def test_a_hundred_ids_in_one_place_are_one_star_and_a_crowd_is_a_field(caplog):
    ids, ra, dec = [str(k) for k in range(100)], np.full(101, 5.0), np.full(101, -43.0)
    assert len(set(stars(ids, ra[:100], dec[:100]).tolist())) == 1
    assert len(set(stars([*ids, "0"], ra, dec).tolist())) == 1  # a hundred and one light curves, a hundred ids
    assert not caplog.records
    assert len(set(stars([*ids, "100"], ra, dec).tolist())) == 101
    assert "101 light curves have the position of a field" in caplog.text


def test_beside_a_field_positions_still_tell_stars():
    ra, dec = np.append(np.full(500, 5.0), [7.0, 7.0, np.nan]), np.append(np.full(500, 5.0), [1.0, 1.0, np.nan])
    result = stars([str(k) for k in range(503)], ra, dec)
    assert len(set(result.tolist())) == 502
    assert result[500] == result[501]


def test_unknown_positions_are_no_crowd(caplog):
    assert len(set(stars([str(k) for k in range(500)], np.full(500, np.nan), np.full(500, np.nan)).tolist())) == 500
    assert not caplog.records


def test_stars_found_by_position_never_straddle_a_split():
    rng = np.random.default_rng(0)
    ra, dec = np.repeat(rng.uniform(0, 360, 40), 3), np.repeat(rng.uniform(-80, 80, 40), 3)
    result = stars([f"id{k}" for k in range(120)], ra + rng.uniform(-1, 1, 120) * ARCSEC, dec)
    part = split_by_star(result, np.repeat(np.resize(["A", "B"], 40), 3))
    assert all(len(p) == 1 for p in sides(ra, part).values())


def test_without_a_test_set_two_stars_of_a_class_are_enough():
    part = split_by_star(["a", "b", "c", "d"], ["A", "A", "B", "B"], test=0)
    assert sorted(part[:2]) == sorted(part[2:]) == ["train", "validation"]
    with pytest.raises(ValueError, match=r"split in two: B \(1\)"):
        split_by_star(["a", "b", "c"], ["A", "A", "B"], test=0)


def test_no_position_is_no_common_position():
    assert stars(["a", "b", "c"], np.zeros(3), np.zeros(3)).tolist() == [0, 1, 2]
