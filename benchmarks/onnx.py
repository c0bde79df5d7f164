"""Speed of exported models in onnxruntime, against the same networks in PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks import astrafier, multiband
from benchmarks.astrafier import Case, Figures, Result, describe, perform, prepared_light_curves
from benchmarks.plain.astrafier import plain_network
from benchmarks.processes import peak_memory, run_in_process
from benchmarks.timing import measure
from goodricke.models.export import StepNetwork, export
from goodricke.models.multiband_step import stepper


def run(tiny: bool = False) -> Figures:
    """Measure exported models in onnxruntime: ASTRAFier's forward pass (memory kept), a multi-band step and answer."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnxscript") is None:
        return {"none": {"not measured": "needs pip install 'goodricke[onnx]'"}}
    with TemporaryDirectory() as name:
        return forward(Path(name), tiny) | steps(Path(name), tiny)


def forward(folder: Path, tiny: bool) -> Figures:
    """Return the figures of ASTRAFier in the paper's size, per light curve."""
    figures = Figures()
    (path,) = export(astrafier.model(Case("forward", False, 1, tiny=tiny)), folder)
    for batch in (2,) if tiny else (1, 16):
        plain = Case("forward", True, batch, tiny=tiny, keep_memory=True, repeats=2 if tiny else 5)
        ours = replace(plain, plain=False)
        half = replace(ours, precision="bfloat16")
        ways = {"plain": plain, "goodricke": ours, "goodricke, bfloat16": half, "onnxruntime": ours}
        first = None
        for name, case in ways.items():
            todo = (exported, case, path) if name == "onnxruntime" else (perform, case)
            result = todo[0](*todo[1:]) if tiny else run_in_process(*todo, variables=case.variables)
            first = first or result.timing
            figures[f"ASTRAFier, batch {batch}, {name}"] = describe(case, result, first)
    return figures


def exported(case: Case, path: Path) -> Result:
    """Measure an exported network in this process."""
    torch.set_num_threads(case.threads)
    prepared, run_session = prepared_light_curves(case.batch, case.points), session(path)
    batch = prepared.batch(np.arange(len(prepared)))
    inputs = {"values": batch.values.numpy(), "time": batch.time.numpy(), "mask": batch.mask.numpy()}
    timing, peak = measure(lambda: run_session(inputs), case.repeats), peak_memory()
    network: Any = astrafier.model(case).network
    with torch.inference_mode():
        expected = plain_network(network)(*(x[:2] for x in batch[:3] if x is not None)).numpy()
    return Result(timing, peak, float(np.abs(run_session(inputs)[0][:2] - expected).max()))


def session(path: Path) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    """Return the function that runs an exported network, with PyTorch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    inference = onnxruntime.InferenceSession(path, options)
    return lambda inputs: inference.run(None, inputs)


def steps(folder: Path, tiny: bool) -> Figures:
    """Return the figures of a step and answer of a multi-band model in the paper's ZTF sizes."""
    model, figures, rng = multiband.model(), Figures(), np.random.default_rng(0)
    network: Any = model.network
    step, run_session = StepNetwork(network, 0), session(export(model, folder)[0])

    @torch.inference_mode()
    def in_pytorch(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [x.numpy() for x in step(*map(torch.from_numpy, inputs.values()))]

    def in_numpy(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        steps = stepper(network)
        bands, central = steps.step(0, inputs["window"], inputs["band_cells"], inputs["central_cells"])
        return [bands, central, *steps.read_out(central[:, 0], inputs["extras"])]

    for batch in (1, 3) if tiny else (1, 16, 256):
        shapes = {name: (batch, *x.shape[1:]) for name, (x, _) in step.inputs().items()}
        inputs = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        ways: dict[str, Any] = {"goodricke": in_numpy, "PyTorch": in_pytorch, "onnxruntime": run_session}
        row = 1 if tiny else max(1000 // batch, 10)  # in a row, to take longer than the resolution of the clock
        timings = {name: measure(partial(_in_a_row, way, inputs, row)) for name, way in ways.items()}
        for name, timing in timings.items():
            single = timing.scaled(1e6 / (row * batch))
            figures[f"multi-band, batch {batch}, {name}"] = {
                "CPU [us]": single.median(),
                "CPU, quartiles": single.quartiles(),
                "per CPU second": 1e6 / single.median(),
                "goodricke / this": timings["goodricke"].median() / timing.median(),
                "difference of a logit": float(np.abs(ways[name](inputs)[2] - in_pytorch(inputs)[2]).max()),
            }
    return figures


def _in_a_row(action: Callable[[Any], Any], argument: Any, times: int) -> None:
    for _ in range(times):
        action(argument)
