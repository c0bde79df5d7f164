"""Speed of exported models in onnxruntime, against the package itself."""

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

from benchmarks import astrafier
from benchmarks.astrafier import Case, Figures, Result, describe, perform, prepared_light_curves
from benchmarks.plain.astrafier import plain_network
from benchmarks.processes import peak_memory, run_in_process
from benchmarks.timing import measure
from goodricke.data.lightcurves import LightCurves
from goodricke.models.bundle import Model, load_model
from goodricke.models.export import export

POINTS = 40  # observations of a whole light curve


def run(tiny: bool = False) -> Figures:
    """Measure exported models in onnxruntime: ASTRAFier's forward pass (memory kept), multi-band answers."""
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnx") is None:
        return {"none": {"not measured": "needs pip install 'goodricke[onnx]'"}}
    with TemporaryDirectory() as name:
        return forward(Path(name), tiny) | answers(Path(name), tiny)


def forward(folder: Path, tiny: bool) -> Figures:
    """Return the figures of ASTRAFier in the paper's size, per light curve."""
    figures = Figures()
    path = export(astrafier.model(Case("forward", False, 1, tiny=tiny)), folder)
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


def answers(folder: Path, tiny: bool) -> Figures:
    """Return the figures of answers of the shipped transients, sets and novelty among them, by batch size.

    A whole light curve has `POINTS` observations and no state; a new observation is the last of them.
    """
    model, figures = load_model("ztf-bts"), Figures()
    run_session = session(export(model, folder))
    for batch in (1, 3) if tiny else (1, 16, 256, 2048):
        whole, last = _light_curves(batch, 6 if tiny else POINTS), slice(-1, None)
        before, state = {name: x[:, :-1] for name, x in whole.items()}, _empty_state(model, batch)
        curves, earlier = _as_light_curves(whole), _as_light_curves(before)
        at_last = dict(zip(state, run_session(before | state)[-4:], strict=True))
        stored, _ = model.update(model.init_state(batch), earlier)
        new = {name: x[:, last] for name, x in whole.items()}
        latest = _as_light_curves(new)
        ways: dict[str, dict[str, Callable[[], Any]]] = {
            "whole light curve": {
                "goodricke": partial(model.update_arrays, model.init_state(batch), curves),
                "onnxruntime": partial(run_session, whole | state),
            },
            "new observation": {
                "goodricke": partial(model.update_arrays, stored, latest),
                "onnxruntime": partial(run_session, new | at_last),
            },
        }
        for what, actions in ways.items():
            row = 1 if tiny else max((64 if what.startswith("whole") else 1000) // batch, 2)
            timings = {name: measure(partial(_in_a_row, action, row)) for name, action in actions.items()}
            expected, logits = actions["goodricke"]().output.logits, actions["onnxruntime"]()[0]
            for name, timing in timings.items():
                single = timing.scaled(1e6 / (row * batch))
                figures[f"{what}, batch {batch}, {name}"] = {
                    "CPU [us]": single.median(),
                    "CPU, quartiles": single.quartiles(),
                    "per CPU second": 1e6 / single.median(),
                    "goodricke / this": timings["goodricke"].median() / timing.median(),
                    "difference of a logit": float(np.abs(logits - expected).max()),
                }
    return figures


def _light_curves(n: int, points: int) -> dict[str, np.ndarray]:
    """Return rising and fading fluxes [nJy] as the inputs of a file."""
    rng = np.random.default_rng(0)
    time = 59000 + np.sort(rng.uniform(0, 60, (n, points)), 1)
    flux = 2e5 * np.exp(-(((time - 59025) / 15) ** 2)) + rng.normal(0, 2000, (n, points))
    band = np.tile(np.arange(points) % 2, (n, 1))
    return {"time": time, "flux": flux.astype("f4"), "error": np.full_like(flux, 2000, "f4"), "band": band}


def _as_light_curves(inputs: dict[str, np.ndarray]) -> LightCurves:
    n, points = inputs["time"].shape
    columns = (inputs[name].ravel() for name in ("time", "flux", "error", "band"))
    ids, offsets = [str(k) for k in range(n)], np.arange(n + 1) * points
    return LightCurves.from_arrays(ids, offsets, *columns, bands=("r", "g"), unit="nJy")


def _empty_state(model: Model, n: int) -> dict[str, np.ndarray]:
    from goodricke.models.onnx.steps import shapes

    named = shapes(model.network).items()  # type: ignore[arg-type]
    kinds = dict.fromkeys(("last", "bands"), np.float64)
    return {name: np.zeros((n, *shape[1:]), kinds.get(name, np.float32)) for name, shape in named}  # type: ignore[arg-type]


def _in_a_row(action: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        action()
