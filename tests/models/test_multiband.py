"""The multi-band ensemble: the paper's sizes, and the same answer by every way to it (Promises 1, 2, 3, 5)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.lightcurves import LightCurves
from goodricke.models.multiband import Multiband, MultibandNetworkConfig, StepBatch, step_batch
from goodricke.preprocess.multiband import MultibandConfig, steps

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
    assert network.n_parameters(network.bands[0]) == band
    assert network.n_parameters(network.central) == central
    assert network.n_parameters() == central + config.bands * band
    both = Multiband(config.model_copy(update={"targets": 2}))
    assert both.n_parameters(both.central) == regression


def network(seed: int = 0, **changes: object) -> Multiband:
    """Return a small network whose norms are moved off their initial values."""
    torch.manual_seed(seed)
    sizes = {"bands": 2, "classes": 3, "hidden": 8, "head": (8, 8), "targets": 1} | changes
    made = Multiband(MultibandNetworkConfig(**sizes)).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made


def batch(seed: int, counts: list[int], bands: int = 2) -> StepBatch:
    """Return the steps of random light curves: random bands, gaps up to years."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *counts])
    time = np.cumsum(10 ** rng.uniform(-3, 2.5, offsets[-1])) + 58000
    curves = LightCurves.from_arrays(
        [str(i) for i in range(len(counts))],
        offsets,
        time,
        rng.normal(18, 1, len(time)),
        rng.uniform(0.01, 0.2, len(time)),
        rng.integers(0, bands, len(time)),
        bands=tuple("grizy"[:bands]),
        unit="mag",
    )
    return step_batch(steps(curves, MultibandConfig(bands=tuple("grizy"[:bands]))))


def stepwise(model: Multiband, whole: StepBatch, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the logits (M, classes) from one stateful update per step."""
    state, logits = model.init_state(whole.size, dtype), torch.zeros(len(whole.band), model.config.classes)
    for k in range(int(whole.place.max()) + 1 if len(whole.place) else 0):
        now = (whole.place == k).nonzero()[:, 0]
        state, answer = model.update(state, *(getattr(whole, f)[now] for f in ("row", "band", "window", "extras")))
        logits[now] = answer.logits
    return logits


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 25), min_size=1, max_size=5), st.sampled_from([1, 2, 3]))
def test_stateful_update_equals_the_whole_sequence_at_every_step(seed: int, counts: list[int], bands: int) -> None:
    model = network(bands=bands, central_layers=3, raw_input=bool(seed % 2))
    whole = batch(seed, counts, bands)
    with torch.inference_mode():
        answer = model(whole)
    assert torch.allclose(answer.logits, stepwise(model, whole), atol=1e-5)


def test_half_precision_state_drifts_little() -> None:
    model, whole = network(hidden=32), batch(1, [200] * 4)
    with torch.inference_mode():
        exact = model(whole).logits.softmax(1)
    assert (exact - stepwise(model, whole, torch.float16).softmax(1)).abs().max() < 5e-3


def test_alone_as_in_company_and_in_any_order() -> None:
    model = network()
    counts = [30, 3, 0, 17, 60]
    with torch.inference_mode():
        together = model(batch(3, counts))
    rows = batch(3, counts).row
    whole = batch(3, counts)
    for i in range(len(counts)):
        mine = (rows == i).nonzero()[:, 0]
        if not len(mine):
            continue
        fields = {f: getattr(whole, f)[mine] for f in whole._fields if f not in ("size", "row")}
        with torch.inference_mode():
            alone = model(StepBatch(**fields, row=torch.zeros(len(mine), dtype=torch.int64), size=1))
        assert torch.allclose(together.logits[mine], alone.logits, atol=1e-5)
        assert torch.allclose(together.targets[mine], alone.targets, atol=1e-5)


def test_later_observations_change_nothing_before() -> None:
    model, whole = network(), batch(5, [40])
    with torch.inference_mode():
        before = model(whole).logits[:10]
        whole.window[20:] = 99.0
        after = model(whole).logits[:10]
    assert torch.equal(before, after)


def test_training_the_central_network_leaves_the_bands_bit_identical() -> None:
    model = network(raw_input=True).train()
    bands = {k: v.clone() for k, v in model.bands.state_dict().items()}
    optimiser = torch.optim.AdamW(model.central.parameters(), lr=0.1)
    answer = model(batch(7, [30] * 4))
    (answer.logits.square().sum() + answer.targets.sum()).backward()
    assert all(p.grad is None for p in model.bands.parameters())
    assert all(p.grad is not None for p in model.central.parameters() if p.requires_grad)
    optimiser.step()
    assert all(torch.equal(v, bands[k]) for k, v in model.bands.state_dict().items())


def test_skip_connections_are_true() -> None:
    model = network()
    stack = model.bands[0].recurrent
    x = torch.randn(2, 5, 4)
    outputs, _ = stack(x)
    below = stack.norms[0](outputs[0] + stack.project(x))
    assert torch.allclose(stack.layers[1](below)[0], outputs[1])
    assert torch.allclose(stack.layers[2](stack.norms[1](outputs[1] + below))[0], outputs[2])


def test_an_object_comes_once_per_update() -> None:
    model, rows = network(), torch.tensor([0, 0])
    with pytest.raises(ValueError, match="twice"):
        model.update(model.init_state(1), rows, rows, torch.zeros(2, 4), torch.zeros(2, 2))


def test_update_leaves_the_given_state_alone() -> None:
    model, whole = network(), batch(2, [5, 5])
    state = model.init_state(2)
    model.update(state, torch.tensor([1]), whole.band[:1], whole.window[:1], whole.extras[:1])
    assert not state.bands.any()
    assert not state.central.any()
