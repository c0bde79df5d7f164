"""Measuring CPU and wall time, and the machine's own limit."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of several runs of one thing: CPU time of the process, and wall time."""

    cpu: float  # median
    cpu_low: float
    cpu_high: float
    wall: float  # median

    def to_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON."""
        return asdict(self)


def measure(action: Callable[[], Any], repeats: int = 5) -> Timing:
    """Time an action after one run to warm up."""
    action()
    cpu, wall = [], []
    for _ in range(repeats):
        c, w = time.process_time(), time.perf_counter()
        action()
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    return Timing(float(np.median(cpu)), min(cpu), max(cpu), float(np.median(wall)))


def gemm_rate(dtype: torch.dtype, size: int = 1024) -> float:
    """Return the rate of a big matrix product [GFLOP/s of CPU time], the most that a network can reach."""
    a = torch.randn(size, size).to(dtype)
    return 2e-9 * size**3 / measure(lambda: a @ a, 7).cpu_low


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "float32 gemm [GFLOP/s]": round(gemm_rate(torch.float32), 1),
        "bfloat16 gemm [GFLOP/s]": round(gemm_rate(torch.bfloat16), 1),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
