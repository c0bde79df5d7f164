"""Dropout masks: the right rate, independent elements, and the same from every way to make them."""

import numpy as np
import pytest
import torch

from goodricke.models.dropout import BLOCK, dropout_mask, mask_at_once, mask_by_blocks, mixed, mixed_tensor

KEYS = torch.from_numpy(mixed(np.arange(3, dtype=np.uint64)).view(np.int64))


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_the_rate_is_the_fraction_dropped_and_the_mean_is_kept(rate):
    mask = dropout_mask(KEYS[:1], torch.zeros(1, 4000, 50), rate).numpy()
    assert np.unique(mask) == pytest.approx([0, 1 / (1 - rate)])
    n = mask.size
    assert (mask == 0).mean() == pytest.approx(rate, abs=5 * (rate * (1 - rate) / n) ** 0.5)
    kept = mask[0] > 0
    for shift in (1, 2, 3, 4, 8, 17):  # neighbours are independent, those of one word too
        both = (kept.ravel()[:-shift] & kept.ravel()[shift:]).mean()
        assert both == pytest.approx((1 - rate) ** 2, abs=5 * (1 / n) ** 0.5), shift
    both = (kept[:-1] & kept[1:]).mean()  # neighbours in time
    assert both == pytest.approx((1 - rate) ** 2, abs=5 * (1 / n) ** 0.5)


def test_a_rate_of_zero_drops_nothing():
    assert (dropout_mask(KEYS, torch.zeros(3, 50, 3), 0.0) == 1).all()


def test_the_bits_are_splitmix64_s():
    """First outputs of the reference implementation seeded with 1234567 (Rosetta Code, "Pseudo-random numbers")."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    words = np.uint64(1234567) + np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert mixed(words).tolist() == known
    assert mixed_tensor(torch.from_numpy(words.view(np.int64))).numpy().view(np.uint64).tolist() == known


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(3, 1), (3, 7), (3, 50, 8), (3, 33, 5), (2, 4 * BLOCK + 3)])
def test_a_gpu_s_way_makes_the_same_masks(shape, dtype):
    x = torch.zeros(shape, dtype=dtype)
    a, b = mask_by_blocks(KEYS[: shape[0]], x, 0.2), mask_at_once(KEYS[: shape[0]], x, 0.2)
    assert a.dtype == b.dtype == dtype
    assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the arithmetic of one is tested on the CPU")
def test_the_masks_of_a_gpu_are_those_of_a_cpu():
    x = torch.zeros(3, 333, 64)
    assert torch.equal(dropout_mask(KEYS.cuda(), x.cuda(), 0.2).cpu(), dropout_mask(KEYS, x, 0.2))


def test_rows_are_independent_and_padding_behind_them_changes_nothing():
    mask = dropout_mask(KEYS, torch.zeros(3, 500, 8), 0.5)
    assert 0.45 < (mask[0] == mask[1]).float().mean() < 0.55
    assert torch.equal(mask, dropout_mask(KEYS, torch.zeros(3, 700, 8), 0.5)[:, :500])
    assert torch.equal(mask[1:2], dropout_mask(KEYS[1:2], torch.zeros(1, 500, 8), 0.5))
