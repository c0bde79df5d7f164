"""A step in NumPy is a step in PyTorch, with the weights that the network has now (Promise 6)."""

import gc
import weakref
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch

from goodricke.models import bundle
from goodricke.models.bundle import Model, load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.models.multiband_step import NumpyStepper, TorchStepper, stepper
from tests.models.test_multiband import network
from tests.models.test_recurrent_state import light_curves, model, random_star

NETWORKS: dict[str, Callable[[], Multiband]] = {
    "ztf-bts": lambda: load_model("ztf-bts").network,  # type: ignore[dict-item, return-value]
    "plasticc": lambda: load_model("plasticc").network,  # type: ignore[dict-item, return-value]
    "ZTF": lambda: network(hidden=128, classes=9, head=(128, 128, 128), targets=0),
    "Gaia": lambda: network(hidden=128, classes=6, head=(128, 128, 128), raw_input=True, targets=2),
    "one layer": lambda: network(band_layers=1, central_layers=1, bands=1, context=2),
}


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("batch", [1, 3, 70])
@pytest.mark.parametrize("name", NETWORKS)
def test_numpy_is_the_twin_of_pytorch(name: str, batch: int, half: bool) -> None:
    net = NETWORKS[name]()
    c, rng = net.config, np.random.default_rng(batch)
    ways = NumpyStepper(net), TorchStepper(net)
    band_cells = [np.zeros((batch, c.bands, 2, c.band_layers, c.hidden), np.float32)] * 2
    central_cells = [np.zeros((batch, 2, c.central_layers, c.hidden), np.float32)] * 2
    for k in range(4 * c.bands):  # each goes on from its own cells, so that differences add up
        b = k % c.bands
        window = rng.normal(0, 5, (batch, c.width)).astype(np.float32)
        extras = np.where(rng.random((batch, c.extras)) < 0.2, np.nan, rng.normal(0, 5, (batch, c.extras)))
        outputs = []
        for i, way in enumerate(ways):
            rows, central_cells[i] = way.step(b, window, band_cells[i][:, b], central_cells[i])
            band_cells[i] = band_cells[i].copy()
            band_cells[i][:, b] = rows
            outputs.append((rows, central_cells[i], *way.read_out(central_cells[i][:, 0], extras.astype(np.float32))))
        for result, expected in zip(*outputs, strict=True):
            assert result.dtype == expected.dtype == np.float32
            np.testing.assert_allclose(result, expected, atol=1e-5, rtol=0)
        if half:  # from the same ones, lest a digit of float16 fall either way
            band_cells, central_cells = (
                [x[0].astype(np.float16).astype(np.float32)] * 2 for x in (band_cells, central_cells)
            )


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
def test_an_update_is_the_same_by_either_way(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    m, stars = model(), [random_star(k, 30) for k in range(5)]
    results = []
    for way in (NumpyStepper, TorchStepper):
        monkeypatch.setattr(bundle, "stepper", way)
        state = m.init_state(5, half)
        for k in range(30):
            finished = m.update_arrays(state, light_curves(*([s[k]] for s in stars)))
            state = finished.state
        results.append(finished)
    for name in ("probabilities", "embedding"):
        np.testing.assert_allclose(*(getattr(r.output, name) for r in results), atol=1e-3 if half else 1e-5)
    assert (results[0].status == results[1].status).all()


def test_arrays_are_those_of_the_table() -> None:
    m, s = model(), random_star(1)
    state = m.update_arrays(m.init_state(3), light_curves(s[:20] + s[21:40], s[:1], [])).state
    now = light_curves([s[20], s[40]], [s[1]], [])
    arrays, (_, table) = m.update_arrays(state, now), m.update(state, now)
    assert table.column("status").tolist() == arrays.status.tolist() == ["OUT_OF_ORDER", "TOO_FEW_POINTS", "EMPTY"]
    assert arrays.late.tolist() == [True, False, False]
    assert table.column("n_obs").tolist() == arrays.n_obs.tolist() == [40, 2, 0]
    arrays, (after, table) = (
        m.update_arrays(state, light_curves([s[41]]), [0]),
        m.update(state, light_curves([s[41]]), np.array([0])),
    )
    assert after.records.tobytes() == arrays.state.records.tobytes()
    np.testing.assert_array_equal(table.probabilities, arrays.output.probabilities.astype(np.float32))
    np.testing.assert_array_equal(np.stack(table.column("embedding")), arrays.output.embedding)


# ---- the weights are those of now -----------------------------------------------------------------------------------


@torch.no_grad()
def write_in_place(net: Multiband) -> None:
    net.central.recurrent.layers[0].weight_hh_l0.mul_(0.5)


def load(net: Multiband) -> None:
    net.load_state_dict(network(seed=5, targets=0, head=(8, 8)).state_dict())


def assign(net: Multiband) -> None:
    net.load_state_dict(network(seed=6, targets=0, head=(8, 8)).state_dict(), assign=True)


def optimise(net: Multiband) -> None:
    optimiser = torch.optim.AdamW(net.central.parameters(), lr=0.1)
    for p in net.central.parameters():
        p.grad = torch.ones_like(p)
    optimiser.step()


def learn_statistics(net: Multiband) -> None:
    net.bands[1].standard.learn(torch.randn(10, 4) * 7)  # type: ignore[union-attr, operator]


def other_parameter(net: Multiband) -> None:
    net.central.norm.weight = torch.nn.Parameter(torch.full((8,), 3.0))


def other_module(net: Multiband) -> None:
    net.bands[0] = network(seed=7).bands[0]


def other_memory(net: Multiband) -> None:
    net.central.norm.bias.data = torch.full((8,), 3.0)


def move(net: Multiband) -> None:
    net.double().float()
    with torch.no_grad():
        net.central.norm.bias.add_(1)


CHANGES = [write_in_place, load, assign, optimise, learn_statistics, other_parameter, other_module, other_memory, move]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_weights_are_seen_by_the_next_update(change: Callable[[Multiband], None]) -> None:
    m, s = model(), random_star(8)
    net: Multiband = m.network  # type: ignore[assignment]
    _, before = m.update(m.init_state(1), light_curves(s))
    change(net)
    _, result = m.update(m.init_state(1), light_curves(s))
    _, expected = Model(m.config, deepcopy(net)).update(m.init_state(1), light_curves(s))
    assert not np.array_equal(result.probabilities, before.probabilities)
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)


def test_weights_are_taken_once_and_go_with_their_network() -> None:
    net = network()
    first = stepper(net)
    assert stepper(net) is first
    assert stepper(deepcopy(net)) is not first
    net.train()
    net.eval()
    assert stepper(net) is first
    gone = weakref.ref(first)
    del net, first
    gc.collect()
    assert gone() is None


def test_weights_made_in_inference_mode_are_taken_anew_each_time() -> None:
    with torch.inference_mode():
        net = Multiband(MultibandNetworkConfig(bands=1, classes=2, hidden=4, head=(4,))).eval()
    first = stepper(net)
    with torch.inference_mode():
        net.central.norm.bias.add_(1)
    assert stepper(net) is not first
    assert (stepper(net).norm.bias == 1).all()  # type: ignore[attr-defined]
