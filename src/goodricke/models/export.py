"""Models as ONNX files, for use without PyTorch: in an alert broker, another language, a browser.

A file holds a network with its weights, and as metadata ``model``, ``hash``, ``family``, ``classes``, ``calibration``,
``preprocessing``, ``unit``, ``bands``, ``targets`` and ``taxonomy`` (null without one), each as JSON. All numbers are
float32, ``mask`` is bool, B is any number of objects. A file computes one deterministic pass, without Monte-Carlo
dropout.

ASTRAFier becomes one file, for any number of points T; see `goodricke.models.astrafier.Astrafier.forward`. It has
standard attention and convolutions, which are slower than here and need memory proportional to T squared::

    values (B, T, channels), time (B, T), mask (B, T)[, context (B, context)] -> logits (B, C), embedding (B, d)

``context`` are the numbers of `goodricke.preprocess.dense_summary`, NaN where there is none.

A model of the family ``variables`` becomes one file. Its inputs are those of `goodricke.preprocess.variables`: the
folds at K candidate periods, and the numbers of star and candidates. ``pairs`` are the logits of each candidate period
with each class, -1e9 for a candidate that a star doesn't have; the period that belongs to a class c is that of the
largest ``pairs[:, :, c]``::

    values (B, K bins, channels), context (B, star + K candidate) -> logits (B, C), embedding (B, d), pairs (B, K, C)

A multi-band model becomes a file per band, ``band-0-g.onnx``, ``band-1-r.onnx``, ...: the update by one new observation
in that band, a step of the band's network and one of the central network, whose weights are in each file. ``band`` in
the metadata is the band's index. Cells are those of `models.recurrent_state`, zero before an object's first step. A
band's cells are the input of that band's next step, the central cells that of the next step in any band. ``window`` and
``extras`` (colours, wait, context columns) are those of `goodricke.preprocess.multiband`::

    window (B, width), extras (B, extras), band_cells (B, 2, L, h), central_cells (B, 2, K, h)
        -> band_cells_after, central_cells_after, logits (B, C), embedding (B, d)[, targets (B, k)]

Used without goodricke::

    import json, numpy as np, onnxruntime
    session = onnxruntime.InferenceSession("variables.onnx")
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    logits, embedding, pairs = session.run(None, {"values": values, "context": context})
    scores = logits - np.log(np.exp(logits).sum(1, keepdims=True))  # logarithms of uncalibrated probabilities
    odds = np.exp(scores @ np.array(about["calibration"]["weight"]).T + about["calibration"]["offset"])
    probabilities = odds / odds.sum(1, keepdims=True)  # (B, C), in the order of about["classes"]
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import torch
from torch import Tensor, nn

from goodricke.models.astrafier import Astrafier
from goodricke.models.bundle import Model
from goodricke.models.multiband import Multiband
from goodricke.models.variables import Variables
from goodricke.preprocess import MultibandConfig
from goodricke.uncertainty.calibration import Scaling

Axes = dict[int, str]  # names of the axes of any length


def export(model: Model, out: str | Path) -> list[Path]:
    """Write a model as ONNX files; see the module's text.

    Parameters
    ----------
    model : Model
    out : str or Path
        Folder; for models that become one file also a file that ends in ``.onnx``.

    Returns
    -------
    list of Path
        The written files.

    Raises
    ------
    ValueError
        If ``out`` is one file and the model becomes several.
    ImportError
        If the extra ``goodricke[onnx]`` isn't installed.
    """
    out, network = Path(out), plain_copy(model.network)
    if isinstance(network, Astrafier | Variables):
        path = out if out.suffix == ".onnx" else out / f"{model.name}.onnx"
        module = LightCurveNetwork(network) if isinstance(network, Astrafier) else CandidatesNetwork(network)
        return [_write(module, model, path)]
    if out.suffix == ".onnx":
        raise ValueError(f"--out {out}: a multi-band model becomes a file per band. Fix: give a folder")
    network, bands = cast(Multiband, network), cast(MultibandConfig, model.preprocessing).bands
    paths = [out / f"band-{b}-{quote(name, safe='')}.onnx" for b, name in enumerate(bands)]
    return [_write(StepNetwork(network, b), model, path, b) for b, path in enumerate(paths)]


class LightCurveNetwork(nn.Module):
    """ASTRAFier with tensors in and out."""

    outputs = ("logits", "embedding")

    def __init__(self, network: Astrafier) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, values: Tensor, time: Tensor, mask: Tensor, context: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and embedding (B, d)."""
        output = self.network(values, time, mask, context)
        return output.logits, output.embedding

    def inputs(self) -> dict[str, tuple[Tensor, Axes]]:
        """Return an example of every input, and the names of its variable axes."""
        B, T, c = 2, 5, self.network.config
        axes = {0: "B", 1: "T"}
        mask = torch.arange(T) < torch.tensor([[T], [T - 2]])
        tensors = {"values": torch.randn(B, T, c.channels), "time": torch.rand(B, T).cumsum(1), "mask": mask}
        examples = {name: (x, axes) for name, x in tensors.items()}
        return examples | ({"context": (torch.randn(B, c.context), {0: "B"})} if c.context else {})


class CandidatesNetwork(nn.Module):
    """The network of pairs of a candidate period and a class, with tensors in and out."""

    outputs = ("logits", "embedding", "pairs")

    def __init__(self, network: Variables) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), embedding (B, d) and pairs (B, K, C)."""
        output = self.network(values, None, None, context)
        return output.logits, output.embedding, output.pairs

    def inputs(self) -> dict[str, tuple[Tensor, Axes]]:
        """Return an example of every input, and the names of its variable axes."""
        B, c = 2, self.network.config
        shapes: dict[str, tuple[int, ...]] = {"values": (c.candidates * c.bins, c.channels), "context": (c.context,)}
        return {name: (torch.randn(B, *shape), {0: "B"}) for name, shape in shapes.items()}


class StepNetwork(nn.Module):
    """One step of a band's network, one of the central network, and the output, with tensors in and out."""

    def __init__(self, network: Multiband, band: int) -> None:
        super().__init__()
        self.network, self.band = network, band
        names = ("band_cells_after", "central_cells_after", "logits", "embedding", "targets")
        self.outputs = names if network.config.targets else names[:4]

    def forward(self, window: Tensor, extras: Tensor, band_cells: Tensor, central_cells: Tensor) -> tuple[Tensor, ...]:
        """Return cells (B, 2, L, h) and (B, 2, K, h), and the output of `Multiband.read_out` for them."""
        before = band_cells.unbind(1), central_cells.unbind(1)
        band, central = self.network.step(self.band, window, *before)  # type: ignore[arg-type]
        output = self.network.read_out(central[0].unbind(1), extras)
        cells = torch.stack(band, 1), torch.stack(central, 1)
        return (*cells, output.logits, output.embedding, output.targets)[: len(self.outputs)]

    def inputs(self) -> dict[str, tuple[Tensor, Axes]]:
        """Return an example of every input, with the names of its axes."""
        B, c = 2, self.network.config
        shapes: dict[str, tuple[int, ...]] = {
            "window": (c.width,),
            "extras": (c.extras,),
            "band_cells": (2, c.band_layers, c.hidden),
            "central_cells": (2, c.central_layers, c.hidden),
        }
        return {name: (torch.randn(B, *shape), {0: "B"}) for name, shape in shapes.items()}


class OnnxLSTM(nn.Module):
    """ONNX's LSTM operator in place of `torch.nn.LSTM`, whose export fixes the number of steps."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        weights = dict(lstm.named_parameters())
        self.hidden, self.batch_first = lstm.hidden_size, lstm.batch_first
        self.input = nn.Parameter(_onnx_gate_order(weights["weight_ih_l0"])[None])  # (1, 4h, size)
        self.recurrent = nn.Parameter(_onnx_gate_order(weights["weight_hh_l0"])[None])  # (1, 4h, h)
        biases = [_onnx_gate_order(weights[name]) for name in ("bias_ih_l0", "bias_hh_l0")]
        self.bias = nn.Parameter(torch.cat(biases)[None])  # (1, 8h)

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] = (cast(Tensor, None),) * 2
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read ``x`` (T, B, size), or (B, T, size) with ``batch_first``, as `torch.nn.LSTM` does."""
        x = x.transpose(0, 1) if self.batch_first else x
        T, B, _ = x.shape
        state_shape = (1, B, self.hidden)
        y, h, c = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            [x, self.input, self.recurrent, self.bias, None, *state],
            {"hidden_size": self.hidden},
            dtypes=[x.dtype] * 3,
            shapes=[(T, *state_shape), state_shape, state_shape],
        )
        y = y.squeeze(1)  # (T, B, h)
        return (y.transpose(0, 1) if self.batch_first else y), (h, c)


def _onnx_gate_order(weight: Tensor) -> Tensor:
    """Return weights (4h, ...) of the gates in ONNX's order: input, output, forget, cell."""
    i, f, g, o = weight.detach().chunk(4)
    return torch.cat([i, o, f, g])


def plain_copy(network: nn.Module) -> nn.Module:
    """Return a copy of a network in float32 on the CPU, with layers that can be exported."""
    copy = deepcopy(network).cpu().float().eval()
    for name, module in list(copy.named_modules()):
        if isinstance(module, nn.LSTM):
            copy.set_submodule(name, OnnxLSTM(module))
    return copy


def metadata(model: Model, band: int | None = None) -> dict[str, str]:
    """Return the metadata of a file, each value as JSON."""
    content: dict[str, Any] = model.config.model_dump(
        mode="json", include={"family", "classes", "preprocessing", "unit", "bands", "targets", "taxonomy"}
    )
    content |= {"model": model.name, "hash": model.hash, "calibration": _matrix(model.calibration.one_pass)}
    return {name: json.dumps(value) for name, value in (content | ({} if band is None else {"band": band})).items()}


def _matrix(scaling: Scaling) -> dict[str, Any]:
    """Return a map to probabilities of any kind with its weight as a matrix."""
    weight = scaling.weight if scaling.weight.ndim == 2 else np.diag(scaling.weight)
    return scaling.to_dict() | {"weight": weight.tolist()}


def _write(
    module: LightCurveNetwork | CandidatesNetwork | StepNetwork, model: Model, path: Path, band: int | None = None
) -> Path:
    """Trace a module and write it."""
    _require_onnx()
    inputs = module.inputs()
    dims = {name: torch.export.Dim(name) for _, axes in inputs.values() for name in axes.values()}
    with torch.no_grad(), _silence_exporter():
        program = torch.onnx.export(
            module.eval(),
            tuple(x for x, _ in inputs.values()),
            input_names=list(inputs),
            output_names=list(module.outputs),
            dynamic_shapes=tuple({k: dims[name] for k, name in axes.items()} for _, axes in inputs.values()),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata(model, band))
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(str(path), external_data=False)
    return path


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import torch.onnx.ops  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: export to ONNX needs an extra. Fix: pip install 'goodricke[onnx]'") from error


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Suppress the exporter's warnings about its future versions and optional packages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
