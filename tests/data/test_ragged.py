"""Statistics over ragged arrays, held against a loop over the light curves."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from goodricke.data import ragged

QUANTILES = st.floats(0, 1)
usual = st.floats(-1e6, 1e6, width=32)
anything = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)


@st.composite
def curves(draw: st.DrawFn, elements: st.SearchStrategy[float] = usual) -> tuple[np.ndarray, np.ndarray]:
    """Return values (N,) float32 and offsets (n + 1,) of light curves of 0 to 12 points."""
    counts = draw(st.lists(st.integers(0, 12), max_size=8))
    values = draw(hnp.arrays(np.float32, sum(counts), elements=elements))
    return values, ragged.offsets_from_counts(np.array(counts, int))


def each(values: np.ndarray, offsets: np.ndarray, function, empty: float = np.nan) -> list:
    """Apply a function to each light curve by itself."""
    parts = [values[a:b] for a, b in pairwise(offsets)]
    return [function(part.astype(np.float64)) if len(part) else empty for part in parts]


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.uint32).tolist()


@settings(deadline=None)
@given(curves())
def test_the_sum_is_each_light_curve_s_own_and_zero_of_nothing(some):
    assert ragged.total(*some) == pytest.approx(each(*some, np.sum, empty=0), rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(curves())
def test_mean_deviation_and_extremes_are_those_of_a_loop(some):
    assert ragged.mean(*some) == pytest.approx(each(*some, np.mean), rel=1e-9, abs=1e-6, nan_ok=True)
    assert ragged.std(*some) == pytest.approx(each(*some, np.std), rel=1e-7, abs=1e-6, nan_ok=True)
    np.testing.assert_array_equal(ragged.extreme(*some, np.minimum), each(*some, np.min))
    np.testing.assert_array_equal(ragged.extreme(*some, np.maximum), each(*some, np.max))


@settings(deadline=None)
@given(curves(), QUANTILES)
def test_quantiles_are_numpy_s_linear_ones(some, q):
    expected = each(*some, lambda part: np.quantile(part, q))
    assert ragged.quantile(*some, q) == pytest.approx(expected, rel=1e-6, abs=1e-5, nan_ok=True)
    expected = each(*some, np.median)
    assert ragged.median(*some) == pytest.approx(expected, rel=1e-6, abs=1e-5, nan_ok=True)


def test_the_median_next_to_an_infinite_value_is_finite():
    assert ragged.median(np.array([np.inf, 2, 1], np.float32), np.array([0, 3])) == [2]
    assert ragged.median(np.array([-np.inf, 2, 1], np.float32), np.array([0, 3])) == [1]


@settings(deadline=None)
@given(curves(anything))
def test_values_are_sorted_within_their_light_curve_nan_last(some):
    values, offsets = some
    found = ragged.sort_within(values, offsets)
    for a, b in pairwise(offsets):
        np.testing.assert_array_equal(found[a:b], np.sort(values[a:b]))
        numbers = ~np.isnan(values[a:b])
        assert sorted(bits(found[a:b][: numbers.sum()])) == sorted(bits(values[a:b][numbers]))  # to the bit, -0 and 0


def test_a_nan_with_its_sign_bit_set_sorts_last_too():
    values = np.array([0xFFC00000, 0x7FC00001, 0x3F800000, 0x80000001, 0xFF800000], np.uint32).view(np.float32)
    found = ragged.sort_within(values, np.array([0, 5]))
    assert np.isnan(found[3:]).all()
    assert found[0] == -np.inf
    assert found[2] == 1


@settings(deadline=None)
@given(curves())
def test_sorting_leaves_its_input_alone(some):
    values, offsets = some
    before = values.copy()
    ragged.sort_within(values, offsets)
    np.testing.assert_array_equal(values, before)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=20), st.sampled_from([np.uint8, np.int32, np.int64]))
def test_offsets_and_lengths_undo_each_other_without_overflow(counts, dtype):
    counts = np.minimum(np.array(counts, int), np.iinfo(dtype).max).astype(dtype)
    offsets = ragged.offsets_from_counts(counts)
    assert offsets.dtype == np.int64
    assert offsets[0] == 0
    assert offsets[-1] == counts.astype(int).sum()
    assert ragged.lengths(offsets).tolist() == counts.tolist()


@settings(deadline=None)
@given(curves())
def test_owner_and_spread_repeat_per_point(some):
    _, offsets = some
    expected = [i for i, count in enumerate(np.diff(offsets)) for _ in range(count)]
    assert ragged.owner(offsets).tolist() == expected
    table = np.arange(2 * (len(offsets) - 1)).reshape(-1, 2)
    np.testing.assert_array_equal(ragged.spread(table, offsets), table[expected])


@settings(deadline=None)
@given(curves(), st.randoms())
def test_selection_gives_the_offsets_of_what_is_kept(some, random):
    values, offsets = some
    keep = np.array([random.random() < 0.5 for _ in values], bool)
    parts = [keep[a:b].sum() for a, b in pairwise(offsets)]
    assert ragged.lengths(ragged.select(keep, offsets)).tolist() == parts


def test_sums_of_many_float32_values_are_kept_in_64_bits():
    values = np.full(3_000_001, 0.1, np.float32)
    exact = np.float64(np.float32(0.1)) * len(values)
    assert ragged.total(values, np.array([0, len(values)]))[0] == pytest.approx(exact, rel=1e-9)


def test_no_light_curve_at_all_gives_nothing():
    values, offsets = np.zeros(0, np.float32), np.array([0])
    for function in (ragged.total, ragged.mean, ragged.std, ragged.median):
        assert function(values, offsets).shape == (0,)
    assert ragged.extreme(values, offsets, np.minimum).shape == (0,)
    assert ragged.sort_within(values, offsets).shape == (0,)


def test_differences_begin_anew_with_each_light_curve():
    offsets = np.array([0, 3, 3, 4, 6])
    result = ragged.differences(np.array([1, 4, 2, 9, 5, 5]), offsets)
    np.testing.assert_array_equal(result, [np.nan, 3, -2, np.nan, np.nan, 0])
    assert not len(ragged.differences(np.zeros(0), np.array([0, 0])))


def test_the_first_of_each_combination_of_keys_or_the_best():
    one, two = np.array([1, 0, 1, 1, 0, 1]), np.array([5.0, 5.0, 5.0, 6.0, 5.0, np.nan])
    assert ragged.first_of_each(one, two).tolist() == [True, True, False, True, False, True]
    best = np.array([0, 1, 7, 0, 1, 0])
    assert ragged.first_of_each(one, two, best=best).tolist() == [False, True, True, True, False, True]
    assert ragged.first_of_each(np.full(3, np.nan)).all()
