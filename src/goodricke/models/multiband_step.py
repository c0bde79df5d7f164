"""One step of the multi-band ensemble at a time: in NumPy on a CPU, in PyTorch elsewhere.

A step of one object is 0.7 million multiplications, less work than PyTorch's overhead around them. In NumPy, with the
weights in a suitable layout, it takes a third of the time for one object, and no more for a thousand. The results are
those of `Multiband.step` and `Multiband.read_out` in evaluation mode, to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from operator import attrgetter, is_
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.models.multiband import Head, Mixture, Multiband, Recurrent, Standard

Array = NDArray[np.float32]


class Stepper(Protocol):
    """A network that takes steps, arrays in and out."""

    def step(self, band: int, window: Array, band_cells: Array, central_cells: Array) -> tuple[Array, Array]:
        """Take one step of B objects in one band.

        Parameters
        ----------
        band : int
        window : float32 (B, width)
        band_cells : float32 (B, 2, L, h)
            Hidden and cell states of this band's network.
        central_cells : float32 (B, 2, K, h)

        Returns
        -------
        band_cells, central_cells
            After the step.
        """

    def read_out(self, hidden: Array, extras: Array) -> tuple[Array, Array, Array]:
        """Return logits (B, C), embeddings (B, d) and standardised targets (B, k) of hidden states (B, K, h)."""


def stepper(network: Multiband) -> Stepper:
    """Return a stepper with the present weights of a network.

    The weights for NumPy are cached as long as the network lives and none of its tensors is written to or replaced.
    """
    if network.central.norm.weight.device.type != "cpu":
        return TorchStepper(network)
    cached = _CACHE.get(network)
    if cached is None or not cached.is_current():
        cached = _CACHE[network] = _CachedWeights(network)
    return cached.stepper


class _CachedWeights:
    """A network's weights for NumPy, and the check that they are still the network's.

    A tensor counts writes in place (by an optimiser, `load_state_dict`); a move to another device or type changes its
    memory; another tensor or module may replace it. All three are checked before every update, directly in the modules'
    dictionaries: `torch.nn.Module.parameters` takes ten times as long. PyTorch doesn't count writes through
    ``tensor.data``; they go unnoticed.
    """

    def __init__(self, network: Multiband) -> None:
        unused = {m for b in range(network.config.bands) for m in network.band_modules(b)[0].head.modules()}
        modules = [m for m in network.modules() if m not in unused]
        self.places: list[dict[str, Any]] = [d for m in modules for d in (m._modules, m._parameters, m._buffers) if d]
        self.entries = self._entries()
        self.tensors = [x for x in self.entries if isinstance(x, Tensor)]
        self.marks = self._marks()
        self.stepper = NumpyStepper(network)

    def is_current(self) -> bool:
        """Return whether the weights are those of the network's tensors."""
        entries = self._entries()
        return (
            len(entries) == len(self.entries) and all(map(is_, entries, self.entries)) and self._marks() == self.marks
        )

    def _entries(self) -> list[Any]:
        return list(chain.from_iterable([d.values() for d in self.places]))

    def _marks(self) -> list[Any]:
        try:
            return [*map(Tensor.data_ptr, self.tensors), *map(_version, self.tensors)]
        except RuntimeError:  # tensors of inference mode have no counter: a mark equal to no other
            return [object()]


_CACHE: WeakKeyDictionary[Multiband, _CachedWeights] = WeakKeyDictionary()
_version = attrgetter("_version")


class TorchStepper:
    """The steps of `Multiband` in PyTorch."""

    def __init__(self, network: Multiband) -> None:
        self.network, self.device = network, next(network.parameters()).device

    @torch.inference_mode()
    def step(self, band: int, window: Array, band_cells: Array, central_cells: Array) -> tuple[Array, Array]:
        """See `Stepper`."""
        inputs = [torch.from_numpy(x).to(self.device) for x in (window, band_cells, central_cells)]
        before = [(x[:, 0], x[:, 1]) for x in inputs[1:]]
        after = [torch.stack(cells, 1).cpu().numpy() for cells in self.network.step(band, inputs[0], *before)]
        return after[0], after[1]

    @torch.inference_mode()
    def read_out(self, hidden: Array, extras: Array) -> tuple[Array, Array, Array]:
        """See `Stepper`."""
        states = torch.from_numpy(hidden).to(self.device).unbind(1)
        output = self.network.read_out(states, torch.from_numpy(extras).to(self.device)).numpy()
        return output.logits, output.embedding, output.targets


class NumpyStepper:
    """The network's arithmetic in NumPy, with a copy of its weights."""

    def __init__(self, network: Multiband) -> None:
        central = network.central
        parts = [network.band_modules(b) for b in range(network.config.bands)]
        self.standards = [_standard(band.standard) for band, _ in parts]
        self.bands = [_Recurrent(band.recurrent) for band, _ in parts]
        self.raws = [None if t.raw is None else _Dense(t.raw) for _, t in parts]
        self.mixtures = [_mixture(t.mixture) for _, t in parts]
        self.norms = [_Norm(t.norm) for _, t in parts]
        self.translations = [[_Dense(x) for x in t.dense if isinstance(x, nn.Linear)] for _, t in parts]
        self.norm, self.central, self.mixture = (
            _Norm(central.norm),
            _Recurrent(central.recurrent),
            _mixture(central.mixture),
        )
        self.standard = _standard(central.standard)
        self.heads = [_head(head) for head in (central.head, *central.regressions)]

    def step(self, band: int, window: Array, band_cells: Array, central_cells: Array) -> tuple[Array, Array]:
        """See `Stepper`."""
        x = _standardise(window, *self.standards[band])
        band_cells = self.bands[band](x, band_cells)
        raw = self.raws[band]
        states = [*band_cells[:, 0].swapaxes(0, 1)]
        y = self.norms[band](_mix(self.mixtures[band], states if raw is None else [raw(x), *states]))
        for dense in self.translations[band]:
            y = _relu(dense(y))
        return band_cells, self.central(self.norm(y), central_cells)

    def read_out(self, hidden: Array, extras: Array) -> tuple[Array, Array, Array]:
        """See `Stepper`."""
        mixed = _mix(self.mixture, [*hidden.swapaxes(0, 1)])
        features = np.concatenate([mixed, _standardise(extras, *self.standard)], 1)
        outputs = []
        for *layers, last in self.heads:
            y = features
            for dense in layers:
                y = _relu(dense(y))
            outputs.append(last(y))
        logits, *targets = outputs
        return logits, features, np.concatenate(targets, 1) if targets else features[:, :0]


class _Dense:
    """``x W + b``, with a following batch normalisation folded in."""

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d | None = None) -> None:
        weight, bias = _array(linear.weight).T, 0.0 if linear.bias is None else _array(linear.bias)
        if norm is not None:
            mean, variance = (_array(norm.get_buffer(name)) for name in ("running_mean", "running_var"))
            scale = _array(norm.weight) / np.sqrt(variance + norm.eps)
            weight, bias = weight * scale, (bias - mean) * scale + _array(norm.bias)
        self.weight = np.ascontiguousarray(weight)  # (in, out)
        self.bias = None if linear.bias is None and norm is None else bias

    def __call__(self, x: Array) -> Array:
        y = x @ self.weight
        if self.bias is not None:
            y += self.bias
        return y


class _Norm:
    """Layer normalisation."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        self.weight, self.bias, self.eps = _array(norm.weight), _array(norm.bias), np.float32(norm.eps)
        self.mean = np.full_like(self.weight, 1 / len(self.weight))

    def __call__(self, x: Array) -> Array:
        y = x - np.vecdot(x, self.mean)[:, None]
        y /= np.sqrt(np.vecdot(y, y) * self.mean[0] + self.eps)[:, None]
        y *= self.weight
        y += self.bias
        return y


class _Recurrent:
    """`goodricke.models.multiband.Recurrent`, one step."""

    def __init__(self, recurrent: Recurrent) -> None:
        self.layers = [_Cell(layer) for layer in recurrent.layers]  # type: ignore[arg-type]
        self.norms = [_Norm(norm) for norm in recurrent.norms]  # type: ignore[arg-type]
        self.project = None if recurrent.project is None else _Dense(recurrent.project)

    def __call__(self, x: Array, cells: Array) -> Array:
        """Read ``x`` (B, size) on from cells (B, 2, L, h); return the cells after it."""
        after, below = np.empty_like(cells), x
        for k, layer in enumerate(self.layers):
            layer(below, cells[:, 0, k], cells[:, 1, k], after[:, 0, k], after[:, 1, k])
            if k < len(self.norms):
                skip = self.project(x) if k == 0 and self.project is not None else below
                below = self.norms[k](after[:, 0, k] + skip)
        return after


class _Cell:
    """One LSTM layer: all its gates are one product with ``[x, h]`` and one hyperbolic tangent.

    The gates are in the order input, forget, output, new. As sigmoid(a) = tanh(a / 2) / 2 + 1/2, the weights of the
    first three are halved.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        w = {name: _array(x) for name, x in lstm.named_parameters()}
        weights = np.concatenate(
            [w["weight_ih_l0"], w["weight_hh_l0"], (w["bias_ih_l0"] + w["bias_hh_l0"])[:, None]], 1
        )
        i, f, g, o = np.split(weights, 4)  # PyTorch's order
        weights = np.concatenate([i / 2, f / 2, o / 2, g]).T
        self.weight, self.bias = np.ascontiguousarray(weights[:-1]), weights[-1].copy()  # (size + h, 4h), (4h,)

    def __call__(self, x: Array, hidden: Array, memory: Array, hidden_after: Array, memory_after: Array) -> None:
        h = hidden.shape[1]
        gates = np.concatenate([x, hidden], 1) @ self.weight  # (B, 4h)
        gates += self.bias
        np.tanh(gates, out=gates)
        sigmoid = gates[:, : 3 * h]
        sigmoid *= np.float32(0.5)
        sigmoid += np.float32(0.5)
        i, f, o, g = (gates[:, k * h : (k + 1) * h] for k in range(4))
        np.multiply(f, memory, out=memory_after)
        i *= g
        memory_after += i
        np.multiply(o, np.tanh(memory_after), out=hidden_after)


def _array(x: Tensor) -> Array:
    return x.detach().float().numpy().copy()


def _standard(standard: Standard) -> tuple[Array, Array]:
    return _array(standard.mean), _array(standard.std)


def _standardise(x: Array, mean: Array, std: Array) -> Array:
    y = (x - mean) / std
    y[np.isnan(y)] = 0
    return np.minimum(np.maximum(y, np.float32(-10)), np.float32(10))


def _mixture(mixture: Mixture) -> Array:
    return _array(torch.softmax(mixture.alpha, 0))


def _mix(weights: Array, states: Sequence[Array]) -> Array:
    y = weights[0] * states[0]
    for w, x in zip(weights[1:], states[1:], strict=True):
        y += w * x
    return y


def _head(head: Head) -> list[_Dense]:
    dense = [x for x in head.layers if isinstance(x, nn.Linear)]
    norms = [x for x in head.layers if isinstance(x, nn.BatchNorm1d)]
    return [_Dense(*layers) for layers in zip_longest(dense, norms)]  # the last layer has no norm


def _relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)
