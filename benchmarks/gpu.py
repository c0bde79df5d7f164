"""Speed of ASTRAFier on a GPU, as `goodricke.classify` and the training loop use it; on a CPU only to see that it runs.

Every case is measured in a new process, in which `GOODRICKE_COMPILE` determines what is compiled. Its first run, with
the compiler's time, is measured separately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.astrafier import CLASSES, Case, Figures, model, operations, prepared_light_curves
from benchmarks.processes import peak_memory, run_in_process
from benchmarks.timing import Timing, copy_rate, gemm_rate, measure
from goodricke.inference import compute_output
from goodricke.models.layers import Conv, fft_convolution
from goodricke.models.runtime import gpu
from goodricke.training.fit_astrafier import Classification, parameter_groups
from goodricke.training.loop import LoopConfig, Run, _epoch

EPOCH = 12_000  # light curves of the paper's training set
STEPS = 32  # gradient steps that are timed
WAYS = ("off", "auto", "default", "reduce-overhead")  # values of GOODRICKE_COMPILE


@dataclass(frozen=True)
class Job:
    """Some light curves to classify, or batches of so many to learn from."""

    work: Literal["passes", "training"]
    light_curves: int
    compiled: str
    tiny: bool = False

    @property
    def device(self) -> str:
        """The device; without a GPU, at toy sizes, a CPU."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def case(self) -> Case:
        """Sizes of the network and of the light curves."""
        return Case(self.work, False, self.light_curves, "bfloat16", self.device, self.tiny)


def run(tiny: bool = False) -> Figures:
    """Measure 20 Monte-Carlo passes and training on a GPU, in bfloat16, eager and compiled."""
    if not torch.cuda.is_available() and not tiny:
        return {"none": {"not measured": f"PyTorch {torch.__version__} sees no GPU"}}
    passes, batches = ((2,), (2,)) if tiny else ((1, 16, 64, 256, 1024), (128,))
    figures: Figures = {"GPU" if torch.cuda.is_available() else "none: a CPU, to see that it runs": limits()}
    figures |= convolutions(tiny)
    return figures | measured("passes", passes, tiny) | measured("training", batches, tiny)


def limits() -> dict[str, Any]:
    """Return the maximum rates of the device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    properties = torch.cuda.get_device_properties(0) if device == "cuda" else None
    return {
        "name": properties.name if properties else "CPU",
        "bfloat16 gemm [TFLOP/s]": 1e-3 * gemm_rate(torch.bfloat16, device),
        "copy [GB/s]": copy_rate(device),
        "memory [GB]": 1e-9 * properties.total_memory if properties else peak_memory(),
    }


def convolutions(tiny: bool) -> Figures:
    """Measure the longest convolution in both ways, per frame, to choose one for GPUs."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    B, T, C, K = (2, 40, 8, 15) if tiny else (128, 1171, 128, 111)
    conv, x = Conv(C, C, K).to(device), torch.randn(B, T, C, device=device)
    plane = x.to(torch.bfloat16).transpose(1, 2).unsqueeze(2)
    weight, bias = conv.weight.to(torch.bfloat16).unsqueeze(2), conv.bias
    with torch.inference_mode():
        ways: dict[str, Callable[[], Any]] = {
            "direct, bfloat16": lambda: torch.conv2d(plane, weight, padding=(0, K // 2)),
            "Fourier transforms, float32": lambda: fft_convolution(x, conv.spectrum(T), bias, K),
        }
        times = {name: measure(way, 9, device).median("wall") for name, way in ways.items()}
    return {f"convolution of {K} frames, {name}": {"frame [ns]": 1e9 * t / (B * T)} for name, t in times.items()}


def measured(work: Literal["passes", "training"], sizes: Sequence[int], tiny: bool) -> Figures:
    """Measure a piece of work at several sizes in all `WAYS`."""
    figures = Figures()
    for size in sizes:
        for way in ("auto",) if tiny else WAYS:
            job = Job(work, size, way, tiny)
            name = f"{work}, {size} light curves, GOODRICKE_COMPILE={way}"
            try:
                figures[name] = perform(job) if tiny else run_in_process(perform, job, variables={gpu.VARIABLE: way})
            except RuntimeError as error:  # out of memory, or a limit of the compiler: the other cases go on
                figures[name] = {"not measured": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    return figures


def perform(job: Job) -> dict[str, Any]:
    """Measure a job in this process."""
    action, light_curves = (_classifying if job.work == "passes" else _learning)(job)
    first = measure(action, 1, job.device, warm=False)
    timing = measure(action, job.case.repeats, job.device, warm=False)
    return describe(job, first, timing, light_curves)


def _classifying(job: Job) -> tuple[Callable[[], Any], int]:
    """Return the action that computes the outputs of predictions, with batches made in a thread."""
    m, prepared = model(job.case), prepared_light_curves(job.light_curves, job.case.points)
    return lambda: compute_output(m, prepared, job.case.passes), job.light_curves


def _learning(job: Job) -> tuple[Callable[[], Any], int]:
    """Return the action of some dozens of training steps, and their number of light curves."""
    count = job.light_curves * (2 if job.tiny else STEPS)
    prepared, network = prepared_light_curves(count, job.case.points), model(job.case).network
    rows, label = np.arange(count), np.arange(count) % len(CLASSES)
    config = LoopConfig(batch=job.light_curves, precision="bfloat16")
    points = gpu.points_at_once(torch.device(job.device), "training", config.points)
    task = Classification(network, prepared, label, rows, np.ones(len(CLASSES), np.float32), points)  # type: ignore[arg-type]
    groups = parameter_groups(network, config)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(groups, fused=job.device == "cuda")
    schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
    return lambda: _epoch(task, rows, optimiser, schedule, config, Run(Path()), lambda n: None), count


def describe(job: Job, first: Timing, timing: Timing, light_curves: int) -> dict[str, Any]:
    """Return the figures of a job."""
    seconds, case = timing.median("wall"), job.case
    work = (case.passes if job.work == "passes" else 3) * operations(case.config, case.points)
    limit = 1e-9 * work * light_curves / gemm_rate(torch.bfloat16, job.device)
    figures = {
        "light curves per second": light_curves / seconds,
        "quartiles [s]": timing.quartiles("wall"),
        "this / limit": seconds / limit,
        "first run [s]": first.median("wall"),
        "peak memory [GB]": 1e-9 * torch.cuda.max_memory_allocated() if job.device == "cuda" else peak_memory(),
    }
    return figures | ({"epoch of 12,000 [s]": seconds * EPOCH / light_curves} if job.work == "training" else {})
