"""The multi-band ensemble: the paper's sizes, and the same answer by every way to it (Promises 1, 2, 3, 5)."""

import numpy as np
import pytest
import torch

from goodricke.data.lightcurves import LightCurves
from goodricke.models import multiband
from goodricke.models.multiband import Head, Multiband, MultibandNetworkConfig, Standard
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.preprocess.tensors import Steps

PAPER = {
    "Gaia": {"bands": 2, "classes": 6, "raw_input": True},
    "PS1": {"bands": 5, "classes": 6, "hidden": 64, "central_layers": 3, "head": (128, 128)},
    "ZTF": {"bands": 2, "classes": 9},
}


@pytest.mark.parametrize(
    ("survey", "band", "central", "regression"),
    [("Gaia", 383_113, 431_888, 499_218), ("PS1", 110_153, 193_880, 247_130), ("ZTF", 383_500, 430_993, 498_323)],
)
def test_parameters_are_the_papers(survey: str, band: int, central: int, regression: int) -> None:
    config = MultibandNetworkConfig(**PAPER[survey])
    network = Multiband(config)
    assert trainable(network.bands[0]) == band
    assert trainable(network.central) == central
    assert network.n_parameters == central + config.bands * band
    both = Multiband(config.model_copy(update={"targets": 2}))
    assert trainable(both.central) == regression


def trainable(part: torch.nn.Module) -> int:
    return sum(p.numel() for p in part.parameters() if p.requires_grad)


def network(seed: int = 0, **changes: object) -> Multiband:
    """Return a small network whose norms are moved off their initial values."""
    torch.manual_seed(seed)
    sizes = {"bands": 2, "classes": 3, "hidden": 8, "head": (8, 8), "targets": 1} | changes
    created = Multiband(MultibandNetworkConfig(**sizes)).eval()
    for module in created.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, Standard):
            module.mean.normal_()
            module.std.uniform_(0.5, 2)
    return created


def curves(seed: int, counts: list[int], bands: int = 2) -> LightCurves:
    """Return random light curves: random bands, gaps up to years."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *counts])
    return LightCurves.from_arrays(
        [str(i) for i in range(len(counts))],
        offsets,
        np.cumsum(10 ** rng.uniform(-3, 2.5, offsets[-1])) + 58000,
        rng.normal(18, 1, offsets[-1]),
        rng.uniform(0.01, 0.2, offsets[-1]),
        rng.integers(0, bands, offsets[-1]),
        bands=tuple("grizy"[:bands]),
        unit="mag",
    )


def steps(seed: int, counts: list[int], bands: int = 2) -> Steps:
    config = MultibandConfig(bands=tuple("grizy"[:bands]), brightness="magnitude")
    return prepare(curves(seed, counts, bands), config)


def test_alone_as_in_company_and_in_any_order() -> None:
    model, counts = network(), [30, 3, 0, 17, 60, 1]
    complete = steps(3, counts)
    with torch.inference_mode():
        together = model(complete.batch())
        shuffled = model.output(complete.batch(np.array([4, 0, 3])))
        for i in range(len(counts)):
            rows = slice(*complete.offsets[i : i + 2])
            single = model(complete.batch(np.array([i])))
            assert torch.allclose(together.logits[rows], single.logits, atol=1e-5)
            assert torch.allclose(together.targets[rows], single.targets, atol=1e-5)
    last = complete.offsets[1:][[4, 0, 3]] - 1
    assert torch.allclose(shuffled.logits, together.logits[last], atol=1e-5)


def test_the_last_answer_is_that_of_the_last_step() -> None:
    model, complete = network(), steps(4, [20, 2, 9])
    with torch.inference_mode():
        every, last = model(complete.batch()), model.output(complete.batch())
    assert torch.allclose(every.logits[complete.batch().last], last.logits, atol=1e-6)
    assert torch.allclose(every.embedding[complete.batch().last], last.embedding, atol=1e-6)


def test_later_observations_change_nothing_before() -> None:
    model, complete = network(), steps(5, [40])
    with torch.inference_mode():
        before = model(complete.batch()).logits[:10]
        complete.window[20:] = 99.0
        after = model(complete.batch()).logits[:10]
    assert torch.allclose(before, after, atol=1e-6)


def test_training_the_central_network_leaves_the_bands_bit_identical() -> None:
    model = network(raw_input=True).train()
    bands = {k: v.clone() for k, v in model.bands.state_dict().items()}
    optimiser = torch.optim.AdamW(model.central.parameters(), lr=0.1)
    output = model(steps(7, [30] * 4).batch())
    (output.logits.square().sum() + output.targets.sum()).backward()
    assert all(p.grad is None for p in model.bands.parameters())
    assert all(p.grad is not None for p in model.central.parameters() if p.requires_grad)
    optimiser.step()
    assert all(torch.equal(v, bands[k]) for k, v in model.bands.state_dict().items())


def test_skip_connections_are_true() -> None:
    stack = network().bands[0].recurrent
    x, sizes = torch.randn(5, 4), torch.ones(5, dtype=torch.int64)  # one sequence of five steps
    outputs = stack(x, sizes)
    below = stack.norms[0](outputs[0] + stack.project(x))
    assert torch.allclose(stack.layers[1](below)[0], outputs[1], atol=1e-6)
    assert torch.allclose(stack.layers[2](stack.norms[1](outputs[1] + below))[0], outputs[2], atol=1e-6)


def test_packed_sequences_are_read_like_one_after_the_other() -> None:
    model, complete = network(), steps(8, [25, 40, 3, 12])
    batch = complete.batch()
    for b, series in enumerate(batch.bands):
        packed = model.bands[b].recurrent(batch.window[series.steps], series.sizes)
        for i in range(4):
            rows = np.flatnonzero((complete.band == b) & (np.repeat(np.arange(4), complete.n_points) == i))
            if not len(rows):
                continue
            one = model.bands[b].recurrent(batch.window[rows], torch.ones(len(rows), dtype=torch.int64))
            at = torch.tensor([int((series.steps == k).nonzero()) for k in rows])
            assert torch.allclose(packed[2][at], one[2], atol=1e-6)


def test_statistics_of_the_training_set_are_learned_and_strays_kept_near() -> None:
    standard = Standard(3)
    x = torch.tensor([[1.0, 5.0, 2.0], [3.0, 5.0, torch.nan], [5.0, 5.0, 4.0]])
    standard.learn(x)
    assert torch.allclose(standard.mean, torch.tensor([3.0, 5.0, 3.0]))
    assert torch.allclose(standard.std, torch.tensor([(8 / 3) ** 0.5, 1.0, 1.0]))
    assert standard(torch.tensor([[3.0, 1e9, torch.nan]])).tolist() == [[0.0, 10.0, 0.0]]


def test_a_head_learns_from_a_single_step() -> None:
    head = Head(4, (8,), 2).train()
    assert torch.isfinite(head(torch.randn(1, 4))).all()
    assert head.training


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_of_any_length_compute_the_same(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, complete = network(central_layers=3, raw_input=True), steps(9, [140, 3, 70, 1, 33, 0, 64])
    expected = model(complete.batch()).logits
    expected.square().sum().backward()
    gradient = model.central.recurrent.layers[0].weight_hh_l0.grad.clone()
    monkeypatch.setattr(multiband, "BLOCK", block)
    model.zero_grad()
    result = model(complete.batch()).logits
    result.square().sum().backward()
    assert torch.allclose(result, expected, atol=1e-5)
    assert torch.allclose(model.central.recurrent.layers[0].weight_hh_l0.grad, gradient, rtol=1e-3, atol=1e-4)


def test_layers_equal_torch_on_each_sequence() -> None:
    recurrent = network().bands[0].recurrent
    x = torch.randn(40, 4)
    single = recurrent(x, torch.ones(40, dtype=torch.int64))[0]
    assert torch.allclose(single, recurrent.layers[0](x)[0], atol=1e-6)
