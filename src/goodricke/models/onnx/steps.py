"""The multi-band ensemble as an ONNX graph: raw observations and an object's state in, the answer and the state out.

A loop takes one observation of each object at a time, as `goodricke.models.recurrent_state.advance` does: it refuses
what is older than the state and what was seen before, makes the step of the observation's band, takes one step of the
band's network for the objects that have one, and one of the central network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from goodricke.data.units import MAGNITUDES_PER_E
from goodricke.models.multiband import Head, Mixture, Multiband, Recurrent, Standard
from goodricke.models.onnx.graph import Graph, Value, array
from goodricke.models.onnx.networks import NetworkValues, layer, layers
from goodricke.preprocess.multiband import WINDOW, MultibandConfig

FIELDS = ("count", "time", "log_since", "magnitude", "change", "mean")  # of a band in the state
STATE = ("last", "bands", "band_cells", "central_cells")


class StateValues(NamedTuple):
    """The state of B objects; all numbers are zero before an object's first observation."""

    last: Value  # float64 (B, 3): time of the last observation [d], wait before the last step, 1 + index of its band
    bands: Value  # float64 (B, `FIELDS`, bands)
    band_cells: Value  # float32 (B, bands, 2, L, h)
    central_cells: Value  # float32 (B, 2, K, h)


def shapes(network: Multiband) -> dict[str, tuple[str | int, ...]]:
    """Return the shape of each part of the state."""
    c = network.config
    return {
        "last": ("B", 3),
        "bands": ("B", len(FIELDS), c.bands),
        "band_cells": ("B", c.bands, 2, c.band_layers, c.hidden),
        "central_cells": ("B", 2, c.central_layers, c.hidden),
    }


def multiband(
    network: Multiband, config: MultibandConfig, graph: Graph
) -> tuple[NetworkValues, StateValues, Value, Value]:
    """Write the network and its preprocessing; return outputs, state, and numbers of observations and steps (B,)."""
    name = "magnitude" if config.brightness == "magnitude" else "flux"
    time = graph.input("time", np.float64, ("B", "T"))
    brightness, error = (graph.input(x, np.float32, ("B", "T")) for x in (name, "error"))
    band = graph.input("band", np.int64, ("B", "T"))
    kinds = (np.float64, np.float64, np.float32, np.float32)
    parts = [graph.input(x, kind, shape) for (x, shape), kind in zip(shapes(network).items(), kinds, strict=True)]
    context = [graph.input("context", np.float32, ("B", len(config.columns)))] if config.columns else []
    magnitude, magnitude_error = _magnitudes(config, brightness, error)
    usable = time.is_finite() & magnitude.is_finite() & (band < len(config.bands))
    scanned = (time, magnitude, magnitude_error, band.where(usable, -1))
    body = _loop_body(network, config, graph)
    names = [graph.new_name() for _ in STATE]
    graph.nodes.append(_scan([*parts, *scanned], names, body))
    state = StateValues(*(Value(graph, x, np.dtype(kind)) for x, kind in zip(names, kinds, strict=True)))
    counts = state.bands.take(0, 1)  # (B, bands)
    extras = graph.concat([*_colours(config, counts, state.bands.take(5, 1)), _wait(state), *context], 1)
    n_steps = (counts - float(WINDOW)).clip(0.0).reduce("Sum", 1).cast(np.int64)
    return _read_out(network, state, extras), state, counts.reduce("Sum", 1).cast(np.int64), n_steps


def _scan(inputs: Sequence[Value], outputs: Sequence[str], body: Graph) -> Any:
    from onnx.helper import make_node

    names, scanned = [x.name for x in inputs], len(inputs) - len(STATE)
    return make_node(
        "Scan",
        names,
        outputs,
        body=body.to_proto("observation"),
        num_scan_inputs=scanned,
        scan_input_axes=[1] * scanned,
    )


def _magnitudes(config: MultibandConfig, brightness: Value, error: Value) -> tuple[Value, Value]:
    """Return float64 magnitudes and usable errors (B, T); see `goodricke.preprocess.multiband.to_magnitudes`."""
    if config.brightness != "magnitude":
        twice = 2 * (config.softening or 1.0)
        width = (brightness * brightness + twice * twice).apply("Sqrt")
        error = error * MAGNITUDES_PER_E / width
        brightness = (brightness / twice).apply("Asinh") * -MAGNITUDES_PER_E
    wide = error.cast(np.float64)
    return brightness.cast(np.float64), wide.where(wide.is_finite(), 1.0).clip(config.smallest_error)


def _colours(config: MultibandConfig, counts: Value, means: Value) -> list[Value]:
    """Return the colours (B, 1) of pairs of bands, NaN where one has had no step."""
    known = means.where(counts > float(WINDOW), np.nan).cast(np.float64)
    return [(known.take([i], 1) - known.take([j], 1)).cast(np.float32) for i, j in config.pairs]


def _wait(state: StateValues) -> Value:
    return state.last.take([1], 1).cast(np.float32)


# ---- one observation of each object ---------------------------------------------------------------------------------


def _loop_body(network: Multiband, config: MultibandConfig, outer: Graph) -> Graph:
    """Return the graph of one observation of each object: state and observation in, state out."""
    graph, kinds = Graph(outer), (np.float64, np.float64, np.float32, np.float32)
    named = shapes(network).items()
    state = StateValues(
        *(graph.input(f"{name}_before", kind, shape) for (name, shape), kind in zip(named, kinds, strict=True))
    )
    time, magnitude, error = (graph.input(f"one_{x}", np.float64, ("B",)) for x in ("time", "magnitude", "error"))
    band = graph.input("one_band", np.int64, ("B",))
    last, bands, window, step = _bookkeeping(config, state, time, magnitude, error, band)
    band_cells, central_cells = _network_step(network, state, window, band, step)
    after = StateValues(last, bands, band_cells, central_cells)
    for (name, shape), value in zip(named, after, strict=True):
        graph.output(f"{name}_next", value, shape)
    return graph


def _bookkeeping(
    config: MultibandConfig, state: StateValues, time: Value, magnitude: Value, error: Value, band: Value
) -> tuple[Value, Value, Value, Value]:
    """Return ``last`` and ``bands`` after an observation, its window (B, width), and which objects take a step (B,)."""
    graph = time.graph
    in_band = band.unsqueeze(1).equals(np.arange(len(config.bands)))  # (B, bands)
    own = (state.bands * in_band.cast(np.float64).unsqueeze(1)).reduce("Sum", 2)  # (B, fields)
    count, own_time, log_before, own_magnitude, change_before, own_mean = (own.take(k, 1) for k in range(len(FIELDS)))
    last_time, last_wait, last_band = (state.last.take(k, 1) for k in range(3))
    place = band.cast(np.float64) + 1.0
    none_before, first = last_band < 0.5, count < 0.5
    later = (time > last_time) | (time.equals(last_time) & (place > last_band)) | none_before
    new = (band >= 0) & later & ~(~first & time.equals(own_time))
    log_since = _log_days(config, (time - own_time).where(~first, 0.0))
    change = (magnitude - own_magnitude).where(~first, 0.0)
    level = [magnitude, _log10(error)] if config.level else []
    window = graph.concat([x.unsqueeze(1) for x in (log_before, log_since, change_before, change, *level)], 1)
    count = count + 1.0
    step = new & (count > float(WINDOW))
    wait = _rounded(_log_days(config, (time - last_time).where(~none_before, 0.0))).where(step, last_wait)
    mean = own_mean + (magnitude - own_mean) / count
    fields = (count, time, _rounded(log_since), magnitude, _rounded(change), mean)
    values = graph.concat([x.unsqueeze(1, 2) for x in fields], 1)  # (B, fields, 1)
    bands = values.where((in_band & new.unsqueeze(1)).unsqueeze(1), state.bands)
    after = (time.where(new, last_time), wait, place.where(new, last_band))
    return graph.concat([x.unsqueeze(1) for x in after], 1), bands, window.cast(np.float32), step


def _log10(x: Value) -> Value:
    return x.apply("Log") * (1 / np.log(10))


def _log_days(config: MultibandConfig, days: Value) -> Value:
    return _log10(days.clip(config.shortest))


def _rounded(x: Value) -> Value:
    """Return float64 values rounded to float32, as records hold them."""
    return x.cast(np.float32).cast(np.float64)


def _network_step(
    network: Multiband, state: StateValues, window: Value, band: Value, step: Value
) -> tuple[Value, Value]:
    """Return the cells after one step of the objects that take one; see `Multiband.step`."""
    graph, c = window.graph, network.config
    cells, inputs, rows = state.band_cells, list[Value](), list[Value]()
    for b in range(c.bands):
        own, translation = network.band_modules(b)
        places = graph.op("NonZero", step & band.equals(b), dtype=np.int64).squeeze(0)  # (n,)
        x = _standard(own.standard, window.take(places))
        before = state.band_cells.take(b, 1).take(places)
        outputs, after = _recurrent_step(own.recurrent, x, before)
        index = graph.concat([places.unsqueeze(1), places.unsqueeze(1) * 0 + b], 1)
        cells = graph.op("ScatterND", cells, index, after)
        states = [*outputs] if translation.raw is None else [layer(translation.raw, x), *outputs]
        mixed = layer(translation.norm, _mixture(translation.mixture, states))
        inputs.append(layers(translation.dense, mixed))
        rows.append(places)
    x, places = layer(network.central.norm, graph.concat(inputs, 0)), graph.concat(rows, 0)
    _, after = _recurrent_step(network.central.recurrent, x, state.central_cells.take(places))
    return cells, graph.op("ScatterND", state.central_cells, places.unsqueeze(1), after)


def _recurrent_step(recurrent: Recurrent, x: Value, cells: Value) -> tuple[list[Value], Value]:
    """Return outputs, each (n, h), and cells (n, 2, L, h) after one step; see `Recurrent.step`."""
    graph, below = x.graph, x
    hidden, memory = cells.take(0, 1), cells.take(1, 1)  # (n, L, h)
    outputs, memories = list[Value](), list[Value]()
    for k, lstm in enumerate(recurrent.layers):
        h, c = _lstm_step(cast(nn.LSTM, lstm), below, hidden.take(k, 1), memory.take(k, 1))
        outputs.append(h)
        memories.append(c)
        if k < len(recurrent.norms):
            skip = layer(recurrent.project, x) if k == 0 and recurrent.project is not None else below
            below = layer(recurrent.norms[k], h + skip)
    after = [graph.concat([y.unsqueeze(1) for y in part], 1).unsqueeze(1) for part in (outputs, memories)]
    return outputs, graph.concat(after, 1)


def _lstm_step(lstm: nn.LSTM, x: Value, hidden: Value, memory: Value) -> tuple[Value, Value]:
    """Return hidden and cell state (n, h) after one step, all gates as one product."""
    w = {name: array(y) for name, y in lstm.named_parameters()}
    weight = np.concatenate([w["weight_ih_l0"], w["weight_hh_l0"]], 1).T
    gates = x.graph.concat([x, hidden], 1) @ weight + (w["bias_ih_l0"] + w["bias_hh_l0"])
    i, f, g, o = gates.split(4)
    after = f.apply("Sigmoid") * memory + i.apply("Sigmoid") * g.apply("Tanh")
    return o.apply("Sigmoid") * after.apply("Tanh"), after


def _standard(standard: Standard, x: Value) -> Value:
    y = (x - array(standard.mean)) / array(standard.std)
    return y.where(y.equals(y), 0.0).clip(-10.0, 10.0)


def _mixture(mixture: Mixture, states: Sequence[Value]) -> Value:
    weights = torch.softmax(mixture.alpha.detach(), 0).tolist()
    mixed = [state * weight for state, weight in zip(states, weights, strict=True)]
    total = mixed[0]
    for part in mixed[1:]:
        total = total + part
    return total


def _read_out(network: Multiband, state: StateValues, extras: Value) -> NetworkValues:
    """Return the outputs for the present state; see `Multiband.read_out`."""
    central, graph = network.central, extras.graph
    hidden = state.central_cells.take(0, 1)  # (B, K, h)
    mixed = _mixture(central.mixture, [hidden.take(k, 1) for k in range(network.config.central_layers)])
    features = graph.concat([mixed, _standard(central.standard, extras)], 1)
    targets = [layers(cast(Head, head).layers, features) for head in central.regressions]
    joined = graph.concat(targets, 1) if targets else None
    return NetworkValues(layers(central.head.layers, features), features, features, joined)
