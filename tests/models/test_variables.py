"""The network of pairs of a period and a class: company, missing candidates, passes, the answered period."""

import numpy as np
import pytest
import torch
from torch import Tensor

from goodricke.models.dropout import dropout_from, row_keys
from goodricke.models.variables import Variables, VariablesNetworkConfig, answered_periods
from goodricke.preprocess.tensors import CandidatePeriods

CONFIG = VariablesNetworkConfig(
    classes=5, candidates=3, bins=16, star=4, candidate=6, filters=(4, 5, 6, 7), width=8, hidden=12
)
FIRST = slice(CONFIG.star, None, CONFIG.candidate)  # the first number of each candidate


@pytest.fixture(scope="module")
def network() -> Variables:
    torch.manual_seed(3)
    return Variables(CONFIG).eval()


def inputs(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, CONFIG.candidates * CONFIG.bins, CONFIG.channels, generator=generator)
    return values, torch.randn(n, CONFIG.context, generator=generator)


@torch.inference_mode()
def test_classes_are_sums_over_candidates_of_a_softmax_over_pairs(network: Variables) -> None:
    values, context = inputs(4)
    output = network(values, values[..., 0], None, context)
    pairs = torch.softmax(output.pairs.flatten(1), 1).view_as(output.pairs)
    torch.testing.assert_close(torch.softmax(output.logits, 1), pairs.sum(1))
    assert output.embedding.shape == (4, network.embedding_size)


@torch.inference_mode()
def test_a_star_alone_and_in_company_has_the_same_output(network: Variables) -> None:
    values, context = inputs(6)
    together = network(values, values[..., 0], None, context)
    for i in range(6):
        single = network(values[i : i + 1], values[i : i + 1, :, 0], None, context[i : i + 1])
        torch.testing.assert_close(single.pairs[0], together.pairs[i], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_candidate_that_does_not_exist_has_no_probability_and_no_influence(network: Variables) -> None:
    values, context = inputs(2)
    context[:, FIRST][:, 2] = torch.nan
    output = network(values, values[..., 0], None, context)
    assert torch.softmax(output.pairs.flatten(1), 1).view_as(output.pairs)[:, 2].max() < 1e-12
    values[:, 2 * CONFIG.bins :] = 7.0
    torch.testing.assert_close(network(values, values[..., 0], None, context).logits, output.logits)


@torch.inference_mode()
def test_unknown_numbers_differ_from_mean_ones(network: Variables) -> None:
    values, context = inputs(1)
    context[:, 1] = 0
    known = network(values, values[..., 0], None, context).logits
    context[:, 1] = torch.nan
    unknown = network(values, values[..., 0], None, context).logits
    assert torch.isfinite(unknown).all()
    assert (known - unknown).abs().max() > 1e-4


@torch.inference_mode()
def test_passes_of_a_call_are_those_of_single_calls(network: Variables) -> None:
    values, context = inputs(2)
    keys = row_keys(["a", "b"], [0, 1, 2], seed=5)
    with dropout_from(network, keys):
        together = network(values, values[..., 0], None, context, passes=3).logits
    for i in range(2):
        for p in range(3):
            with dropout_from(network, keys[3 * i + p : 3 * i + p + 1]):
                single = network(values[i : i + 1], values[i : i + 1, :, 0], None, context[i : i + 1]).logits
            torch.testing.assert_close(single[0], together[3 * i + p], rtol=1e-5, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_the_answered_period_belongs_to_the_most_probable_class() -> None:
    pairs = np.log(
        [
            [
                [0.40, 0.02],
                [0.05, 0.43],
                [0.0001, 0.0001],
            ],  # class 0 most probable below: its best candidate is the first
            [[0.10, 0.30], [0.10, 0.40], [0.05, 0.05]],
            [[0.50, 0.10], [0.20, 0.10], [0.05, 0.05]],
        ]
    )
    probabilities = np.array([[0.6, 0.4], [0.25, 0.75], [np.nan, np.nan]])
    period = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 40.0], [1.0, 2.0, 3.0]])
    candidates = CandidatePeriods(period, period / 100, np.full(3, 0.01), np.full(3, 3.0))
    answer = answered_periods(pairs, probabilities, candidates, np.array([True, True]))
    np.testing.assert_array_equal(answer.period, [1.0, 2.0, np.nan])
    np.testing.assert_allclose(answer.probability[:2], [0.42 / 0.9002, 0.5], atol=1e-3)
    np.testing.assert_array_equal(answer.alternatives[0], [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(answer.alternatives[1], [1.0, 40.0, np.nan])
    np.testing.assert_array_equal(answer.is_long, [False, True, False])
    without = answered_periods(pairs, probabilities, candidates, np.array([False, True]))
    assert np.isnan(without.period[0])  # a constant star has no period
    assert without.period[1] == 2.0
