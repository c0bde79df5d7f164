"""The networks of whole light curves as ONNX graphs: `Astrafier` and `Variables`, line by line as their ``forward``.

Layers are written by `layer`, one for each kind of module; dropout is left out. All results are those of the networks
in evaluation mode, to float32 rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from goodricke.models.astrafier import (
    Astrafier,
    BatchNorm,
    Block,
    ConvolutionModule,
    GroupNorm,
    RecurrentModule,
    TransformerModule,
)
from goodricke.models.dropout import Dropout
from goodricke.models.layers import BiLSTM, Conv
from goodricke.models.onnx.graph import Graph, Value, array
from goodricke.models.variables import IMPOSSIBLE, LARGEST, Variables
from goodricke.preprocess.dense_summary import SPECTRA


class NetworkValues(NamedTuple):
    """The outputs of a network in a graph; see `goodricke.models.output.NetworkOutput`."""

    logits: Value  # (B, C)
    embedding: Value  # (B, d)
    features: Value  # (B, f)
    targets: Value | None = None  # (B, k)
    pairs: Value | None = None  # (B, K, C)


# ---- layers -------------------------------------------------------------------------------------------------------


def layer(module: nn.Module, x: Value) -> Value:
    """Return a layer's output.

    Raises
    ------
    TypeError
        If it is none of those that the networks have.
    """
    if isinstance(module, nn.Sequential):
        return layers(module, x)
    if isinstance(module, nn.Linear):
        y = x @ array(module.weight).T
        return y if module.bias is None else y + array(module.bias)
    if isinstance(module, nn.LayerNorm):
        parts = (x.graph.constant(array(w)) for w in (module.weight, module.bias))
        return x.graph.op("LayerNormalization", x, *parts, axis=-1, epsilon=module.eps)
    if isinstance(module, nn.BatchNorm1d):
        return batch_norm(module, x)
    if isinstance(module, nn.GroupNorm):
        return one_group_norm(module, x)
    if isinstance(module, nn.Conv1d):
        return convolution(module, x)
    if isinstance(module, nn.GELU):
        return gelu(x)
    if isinstance(module, nn.SiLU):
        return silu(x)
    if isinstance(module, nn.ReLU):
        return x.apply("Relu")
    if isinstance(module, nn.Flatten):
        return x.apply("Flatten")
    if isinstance(module, nn.Dropout | Dropout):
        return x
    raise TypeError(f"{type(module).__name__} has no form in ONNX. Fix: add it to goodricke.models.onnx.networks.layer")


def layers(modules: Iterable[nn.Module], x: Value) -> Value:
    """Return the output of layers, one after the other."""
    for module in modules:
        x = layer(module, x)
    return x


def silu(x: Value) -> Value:
    """Return x sigmoid(x)."""
    return x * x.apply("Sigmoid")


def gelu(x: Value) -> Value:
    """Return x Phi(x), with the normal distribution Phi."""
    return x * ((x * math.sqrt(0.5)).apply("Erf") + 1) * 0.5


def batch_norm(norm: nn.BatchNorm1d, x: Value) -> Value:
    """Normalise the last axis of ``x`` with running statistics."""
    mean, variance = (array(cast(torch.Tensor, y)).astype(np.float64) for y in (norm.running_mean, norm.running_var))
    scale = array(norm.weight) / np.sqrt(variance + norm.eps)
    return x * scale + (array(norm.bias) - mean * scale)


def one_group_norm(norm: nn.GroupNorm, x: Value) -> Value:
    """Normalise ``x`` (B, C, T) over channels and time, as a group normalisation with one group does."""
    centred = x - x.reduce("Mean", 1, 2, keep=True)
    variance = (centred * centred).reduce("Mean", 1, 2, keep=True)
    y = centred / (variance + norm.eps).apply("Sqrt")
    return y * array(norm.weight)[:, None] + array(norm.bias)[:, None]


def convolution(conv: nn.Conv1d, x: Value) -> Value:
    """Convolve ``x`` (B, C, T), with zeros or the other end of the cycle at its ends."""
    ends = int(cast(tuple[int, ...], conv.padding)[0])
    if conv.padding_mode == "circular":
        x, ends = x.graph.concat([x.slice(2, -ends), x, x.slice(2, 0, ends)], 2), 0
    parts = [x, x.graph.constant(array(conv.weight))]
    parts += [] if conv.bias is None else [x.graph.constant(array(conv.bias))]
    return x.graph.op("Conv", *parts, strides=list(conv.stride), pads=[ends, ends])


# ---- ASTRAFier ----------------------------------------------------------------------------------------------------


class Frames(NamedTuple):
    """What the modules of ASTRAFier know of a batch besides its values."""

    time: Value  # (B, T)
    mask: Value  # (B, T) of points
    valid: Value  # (B, T, 1) the mask as numbers
    ones: Value  # (B, T, 1) the mask of the published code's norms and LSTM: every frame


def astrafier(network: Astrafier, graph: Graph) -> NetworkValues:
    """Write the network, its inputs ``values``, ``time``, ``mask`` and ``context`` among them."""
    c = network.config
    values = graph.input("values", np.float32, ("B", "T", c.channels))
    time, mask = graph.input("time", np.float32, ("B", "T")), graph.input("mask", bool, ("B", "T"))
    valid = mask.unsqueeze(2).cast(np.float32)
    frames = Frames(time.where(mask, 0.0), mask, valid, valid * 0.0 + 1.0)
    x = layer(network.embed, values.where(mask.unsqueeze(2), 0.0))  # (B, T, d)
    for block in network.blocks:
        x = _block(cast(Block, block), x, frames)
    embedding = (x * valid).reduce("Sum", 1) / valid.reduce("Sum", 1).clip(1.0)  # (B, d)
    features = embedding
    if c.context:
        context = graph.input("context", np.float32, ("B", c.context))
        standardised = (context - array(network.context_mean)) / array(network.context_std)
        known = standardised.where(standardised.equals(standardised), 0.0).clip(-10.0, 10.0)
        features = graph.concat([embedding, _spectra(network, known)], 1)
    return NetworkValues(layer(network.head, features), embedding, features)


def _spectra(network: Astrafier, context: Value) -> Value:
    """Return standardised context (B, context) with its spectra, if it has any, replaced by their encoding."""
    if network.spectrum is None:
        return context
    bins = SPECTRA * network.config.spectrum
    spectra = context.slice(1, 0, bins).reshape(0, SPECTRA, network.config.spectrum)
    rest = context.slice(1, bins)
    return context.graph.concat([layer(network.spectrum, spectra), rest], 1)


def _block(block: Block, x: Value, frames: Frames) -> Value:
    if block.recurrent is not None and block.norm1 is not None:
        x = layer(block.norm1, _recurrent(block.recurrent, x, frames) + x)
    if block.transformer is not None:
        x = _transformer(block.transformer, x, frames)
    if block.convolution is not None and block.norm2 is not None:
        x = layer(block.norm2, _convolutions(block.convolution, x, frames) + x)
    return x


def _recurrent(module: RecurrentModule, x: Value, frames: Frames) -> Value:
    y = layer(
        module.pointwise1, _bilstm(module.lstm, x, frames.ones if module.published else frames.valid) * frames.valid
    )
    y = y.apply("Relu") if module.norm1 is None else _masked_norm(module.norm1, y, frames).apply("Relu")
    y = _masked_norm(module.norm2, _over_time(module.conv, _padded(module, y, frames)), frames)
    return layer(module.pointwise2, silu(y) if module.norm1 is None else y.apply("Relu"))


def _bilstm(module: BiLSTM, x: Value, valid: Value) -> Value:
    """Return the outputs (B, T, 2 h) of layers both ways, the backward one from each light curve's last valid frame."""
    length = valid.reduce("Sum", 1, 2).clip(1.0).cast(np.int32)  # (B,); ONNX reverses within it
    for pair in zip(module.forwards, module.backwards, strict=True):
        weights = [_onnx_lstm(cast(nn.LSTM, lstm)) for lstm in pair]
        parts = [x.graph.constant(np.stack(part)) for part in zip(*weights, strict=True)]
        hidden = cast(nn.LSTM, pair[0]).hidden_size
        options: dict[str, Any] = {"hidden_size": hidden, "direction": "bidirectional"}
        y = x.graph.op("LSTM", x.transpose(1, 0, 2), *parts, length, **options)  # (T, 2, B, h)
        x = y.transpose(2, 0, 1, 3).reshape(0, 0, 2 * hidden)
    return x


def _onnx_lstm(lstm: nn.LSTM) -> tuple[np.ndarray, ...]:
    """Return the weights (4 h, size) and (4 h, h) and biases (8 h,) with gates in ONNX's order."""
    w = {name: _onnx_gates(array(x)) for name, x in lstm.named_parameters()}
    return w["weight_ih_l0"], w["weight_hh_l0"], np.concatenate([w["bias_ih_l0"], w["bias_hh_l0"]])


def _onnx_gates(weight: np.ndarray) -> np.ndarray:
    """Return weights (4 h, ...) of the gates in ONNX's order: input, output, forget, cell."""
    i, f, g, o = np.split(weight, 4)
    return np.concatenate([i, o, f, g])


def _masked_norm(norm: GroupNorm, x: Value, frames: Frames) -> Value:
    """Normalise ``x`` (B, T, C) over its valid frames and all channels; see `MaskedGroupNorm`."""
    valid = frames.ones if norm.counts_padding else frames.valid
    channels = x.graph.op("Shape", x, start=2, dtype=np.int64).cast(np.float32)  # (1,)
    count = (valid.reduce("Sum", 1, 2, keep=True) * channels).clip(1.0)  # (B, 1, 1)
    centred = (x - (x * valid).reduce("Sum", 1, 2, keep=True) / count) * valid
    variance = (centred * centred).reduce("Sum", 1, 2, keep=True) / count
    y = centred / (variance + norm.eps).apply("Sqrt")
    return y if norm.weight is None or norm.bias is None else y * array(norm.weight) + array(norm.bias)


def _padded(module: Any, x: Value, frames: Frames) -> Value:
    return x if module.pad.leave else x * frames.valid


def _over_time(conv: Conv, x: Value) -> Value:
    """Convolve ``x`` (B, T, C)."""
    return convolution(conv, x.transpose(0, 2, 1)).transpose(0, 2, 1)


def _transformer(module: TransformerModule, x: Value, frames: Frames) -> Value:
    x = x + _positional_encoding(module, frames)
    x = layer(module.norm1, _attention(module, x, frames) + x)
    y = _over_time(module.conv, _padded(module, silu(layer(module.pointwise1, x)), frames))
    norm = module.norm
    y = layer(norm, y) if isinstance(norm, BatchNorm) else _masked_norm(norm, y, frames)
    return layer(module.norm2, layer(module.pointwise2, silu(y)) + x)


def _positional_encoding(module: TransformerModule, frames: Frames) -> Value:
    """Return the encoding (B, T, d) of times; see `goodricke.models.astrafier.positional_encoding`."""
    c, d, time = module.config, module.config.embed, frames.time
    exponent = torch.arange(0, d, 2, dtype=torch.float32) * (math.log(10000.0) / d)
    if c.compat == "published":
        length = time.graph.op("Shape", time, start=1, dtype=np.int64).cast(np.float32)  # (1,)
        phase = (time.unsqueeze(2) / torch.exp(-exponent).numpy()) * (time.graph.constant(np.float32(d)) / length)
    else:
        frequency = torch.exp(exponent if c.encoding == "fast" else -exponent).numpy()
        count = frames.valid.reduce("Sum", 1, 2, keep=True).clip(1.0)  # (B, 1, 1)
        phase = time.unsqueeze(2) * frequency * (time.graph.constant(np.float32(d)) / count)
    both = [phase.apply(name).unsqueeze(3) for name in ("Sin", "Cos")]
    return time.graph.concat(both, 3).reshape(0, 0, d)


def _attention(module: TransformerModule, x: Value, frames: Frames) -> Value:
    attention = module.attention
    d, heads = module.config.embed, attention.heads
    qkv = layer(attention.qkv, x).reshape(0, 0, heads, 3, d // heads).transpose(3, 0, 2, 1, 4)  # (3, B, h, T, c)
    q, k, v = (part.squeeze(0) for part in qkv.split(3, 0))
    some = frames.mask.cast(np.float32).reduce("Max", 1, keep=True) > 0.0
    keys = (frames.mask | ~some).unsqueeze(1, 2)  # (B, 1, 1, T): all frames of a light curve without points
    scores = (q @ k.transpose(0, 1, 3, 2)) / math.sqrt(d // heads)
    y = scores.where(keys, -np.inf).softmax() @ v  # (B, h, T, c)
    if attention.published:
        y = y * frames.valid.unsqueeze(1)
        return layer(attention.out, x.graph.op("Reshape", y, x.graph.op("Shape", x, dtype=np.int64)))
    return layer(attention.out, y.transpose(0, 2, 1, 3).reshape(0, 0, d))


def _convolutions(module: ConvolutionModule, x: Value, frames: Frames) -> Value:
    y, gate = layer(module.pointwise1, x).split(2)
    y = y * gate.apply("Sigmoid")
    for conv, norm in zip(module.convs, module.norms, strict=True):
        convolved = _over_time(cast(Conv, conv), _padded(module, y, frames))
        y = silu(_masked_norm(cast(GroupNorm, norm), convolved, frames))
    return layer(module.pointwise2, y)


# ---- class and period together --------------------------------------------------------------------------------------


def variables(network: Variables, graph: Graph) -> NetworkValues:
    """Write the network, its inputs ``values`` and ``context`` among them."""
    c, head = network.config, network.head
    values = graph.input("values", np.float32, ("B", c.candidates * c.bins, c.channels))
    context = graph.input("context", np.float32, ("B", c.context))
    folds = values.reshape(-1, c.bins, c.channels).transpose(0, 2, 1)
    numbers = context.slice(1, c.star).reshape(0, c.candidates, c.candidate)
    exists = numbers.take(0, 2).is_finite().unsqueeze(2)  # (B, K, 1)
    shape = layer(network.fold, folds).reshape(-1, c.candidates, c.width)
    described = graph.concat([shape, _standardised(network, numbers, slice(c.star, None))], 2)
    is_there = exists.cast(np.float32)
    candidates = layer(network.candidate, described) * is_there  # (B, K, width)
    star = layer(network.star, _standardised(network, context.slice(1, 0, c.star), slice(None, c.star)))
    mean = candidates.reduce("Sum", 1) / is_there.reduce("Sum", 1).clip(1.0)
    largest = candidates.where(exists, -9.0).reduce("Max", 1)
    shared = graph.concat([star, mean, largest], 1).unsqueeze(1)
    repeated = graph.op("Expand", shared, graph.constant(np.array([1, c.candidates, 1])))
    x = layer(head.norm, gelu(layer(head.first, graph.concat([candidates, repeated], 2))))
    hidden = x + gelu(layer(head.second, x))  # (B, K, hidden)
    pairs = layer(head.last, hidden).where(exists, IMPOSSIBLE)  # (B, K, C)
    weight = pairs.reshape(0, -1).softmax().reshape(-1, c.candidates, c.classes).reduce("Sum", 2, keep=True)
    embedding = (weight * hidden).reduce("Sum", 1)
    return NetworkValues(pairs.logsumexp(1).squeeze(1), embedding, embedding, pairs=pairs)


def _standardised(network: Variables, x: Value, columns: slice) -> Value:
    """Return numbers (..., n) standardised, 0 where unknown, and flags of the unknown ones, (..., 2 n)."""
    known = x.is_finite()
    scaled = (x - array(network.context_mean)[columns]) / array(network.context_std)[columns]
    clipped = scaled.where(known, 0.0).clip(-LARGEST, LARGEST)
    return x.graph.concat([clipped, (~known).cast(np.float32)], -1)
