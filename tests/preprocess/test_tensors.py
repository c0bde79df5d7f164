"""`Frames`: batches, joining, buckets; and `prepare` in several processes."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke import LightCurves
from goodricke.preprocess import DenseConfig, FoldedConfig, Frames, prepare
from goodricke.preprocess.dense import kepler
from goodricke.preprocess.tensors import length_buckets

counts_of = st.lists(st.integers(0, 9), min_size=1, max_size=8)


def make(counts, channels=2, context=3, frames=None, seed=0) -> Frames:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=int)])
    N, n = offsets[-1], len(counts)
    return Frames(
        object_id=pa.array([f"o{k}" for k in range(n)]),
        offsets=offsets,
        time=rng.uniform(1, 2, N).astype(np.float32),
        values=rng.normal(size=(N, channels)).astype(np.float32),
        context=rng.normal(size=(n, context)).astype(np.float32),
        status=np.where(np.array(counts) > 0, "OK", "EMPTY"),
        frames=frames,
        period=rng.uniform(1, 2, n),
    )


@settings(deadline=None)
@given(counts_of, st.data(), st.sampled_from([None, 12]))
def test_a_batch_holds_its_rows_and_zeros_in_the_padding(counts, data, frames):
    prepared = make(counts, frames=frames)
    rows = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=5)))
    batch = prepared.batch(rows)
    T = frames or max(max(counts[r] for r in rows), 1)
    assert batch.values.shape == (len(rows), T, 2)
    for k, row in enumerate(rows):
        own = slice(prepared.offsets[row], prepared.offsets[row + 1])
        assert batch.mask[k].tolist() == [i < counts[row] for i in range(T)]
        np.testing.assert_array_equal(batch.values[k, : counts[row]], prepared.values[own])
        np.testing.assert_array_equal(batch.time[k, : counts[row]], prepared.time[own])
        assert not batch.values[k, counts[row] :].any()
        assert not batch.time[k, counts[row] :].any()
        np.testing.assert_array_equal(batch.context[k], prepared.context[row])
    assert batch.mask.dtype == torch.bool


def test_lengths_are_rounded_up_unless_all_are_alike():
    prepared = make([3, 5, 5, 0, 8])

    def frames(*rows, multiple=4):
        return prepared.batch(np.array(rows), multiple).mask.shape[1]

    assert frames(0, 1) == frames(0, 1, 4) == 8
    assert (frames(1), frames(1, 2), frames(0), frames(3), frames(0, 1, multiple=1)) == (5, 5, 3, 4, 5)
    assert make([3, 5], frames=9).batch(np.array([0, 1]), 4).mask.shape[1] == 9


def test_a_mask_that_leaves_nothing_out_does_not_go_to_a_gpu():
    prepared = make([5, 5, 4])
    full, ragged = (prepared.batch(np.array(rows)) for rows in ([0, 1], [0, 2]))
    assert full.to("cpu").mask.all()
    assert full.to("meta").mask is None
    assert full.to("meta").to("meta").mask is None
    assert ragged.to("meta").mask.shape == (2, 5)
    assert full.to("meta").values.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: memory can't be pinned")
def test_a_pinned_batch_is_the_same():
    batch = make([5, 3]).batch(np.array([0, 1]))
    for a, b in zip(batch, batch.pin_memory().to("cuda").to("cpu"), strict=True):
        assert torch.equal(a, b)


def test_a_batch_is_a_copy_and_without_context_has_none():
    prepared = make([3, 2], context=0)
    batch = prepared.batch(np.array([0, 1]))
    assert batch.context is None
    batch.values.fill_(7)
    assert not (prepared.values == 7).any()


@settings(deadline=None)
@given(counts_of, st.data())
def test_taking_and_joining_undo_each_other(counts, data):
    prepared = make(counts)
    n = len(counts)
    cut = data.draw(st.integers(0, n))
    parts = [prepared.take(np.arange(cut)), prepared.take(np.arange(cut, n))]
    joined = Frames.concat(parts)
    for name in ("offsets", "time", "values", "context", "status", "period"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(prepared, name))
    assert joined.object_id.equals(prepared.object_id)
    backwards = prepared.take(np.arange(n)[::-1].copy())
    assert backwards.n_points.tolist() == counts[::-1]
    assert backwards.object_id.to_pylist() == prepared.object_id.to_pylist()[::-1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 100), st.integers(1, 10))
def test_buckets_hold_each_index_once_and_stay_within_their_limits(counts, points, rows):
    counts = np.array(counts, int)
    batches = list(length_buckets(counts, points, rows))
    assert sorted(np.concatenate([*batches, np.zeros(0, int)])) == list(range(len(counts)))
    for batch in batches:
        assert 0 < len(batch) <= rows
        assert len(batch) == 1 or len(batch) * counts[batch].max() <= points
    longest = [counts[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_buckets_waste_little_on_padding():
    counts = np.random.default_rng(0).integers(1, 1000, 500)
    padded = sum(len(p) * counts[p].max() for p in length_buckets(counts, 16384, 500))
    assert padded < 1.1 * counts.sum()


def test_objects_padded_to_a_fixed_length_count_with_it():
    assert make([3, 0, 5]).padded.tolist() == [3, 0, 5]
    assert make([3, 0, 5], frames=9).padded.tolist() == [9, 9, 9]


@pytest.mark.parametrize("config", [kepler(), FoldedConfig()], ids=["dense", "folded"])
def test_chunks_and_processes_change_nothing(config):
    rng = np.random.default_rng(0)
    counts = [12, 0, 30, 5, 40, 15, 22]
    N = sum(counts)
    curves = LightCurves.from_arrays(
        [str(k) for k in range(7)],
        np.concatenate([[0], np.cumsum(counts)]),
        rng.uniform(0, 90, N),
        rng.normal(15, 1, N),
    )
    complete = prepare(curves, config)
    for result in (prepare(curves, config, chunk=3), prepare(curves, config, workers=2, chunk=2)):
        for name in ("offsets", "time", "values", "context", "status", "period"):
            np.testing.assert_array_equal(getattr(result, name), getattr(complete, name))
        assert result.object_id.equals(complete.object_id)
        assert result.frames == complete.frames


@pytest.mark.parametrize("config", [DenseConfig(), FoldedConfig()], ids=["dense", "folded"])
def test_no_light_curve_is_prepared_to_nothing(config):
    prepared = prepare(LightCurves.from_arrays([], [0], [], []), config)
    assert len(prepared) == 0
    assert prepared.values.shape == (0, config.channels)
    assert prepared.context.shape == (0, config.context)


def test_a_sum_of_constants_over_processes_keeps_fixed_lengths():
    curves = LightCurves.from_arrays(["a", "b"], [0, 12, 24], np.arange(24.0), np.arange(24.0) % 7)
    config = DenseConfig(frames=20)
    assert prepare(curves, config, chunk=1).batch(np.array([1])).mask.shape == (1, 20)
