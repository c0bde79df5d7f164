"""Measuring CPU and wall time, and the machine's own limit."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch

Clock = Literal["cpu", "wall"]
CPU_MATRIX, GPU_MATRIX = 1024, 8192  # rows of the matrices of `gemm_rate`
COPIED = 256  # MB, of `copy_rate`


@dataclass(frozen=True)
class Timing:
    """Seconds of several runs of one action: CPU time of the process, and wall time, (runs,) each."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]

    def median(self, clock: Clock = "cpu") -> float:
        """Return the median run."""
        return float(np.median(getattr(self, clock)))

    def quartiles(self, clock: Clock = "cpu") -> list[float]:
        """Return the lower and the upper quartile."""
        return np.percentile(getattr(self, clock), [25, 75]).tolist()

    def scaled(self, factor: float) -> Timing:
        """Return the times multiplied by a factor."""
        return Timing(tuple(factor * x for x in self.cpu), tuple(factor * x for x in self.wall))


def measure(
    action: Callable[[], Any], repeats: int = 5, device: str = "cpu", seconds: float = 60, warm: bool = True
) -> Timing:
    """Time an action after one run to warm up; from three runs on, stop when ``seconds`` are spent."""
    if warm:
        action()
    synchronise(device)
    cpu, wall, start = [], [], time.perf_counter()
    while len(cpu) < repeats and (len(cpu) < 3 or time.perf_counter() - start < seconds):
        c, w = time.process_time(), time.perf_counter()
        action()
        synchronise(device)
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
    return Timing(tuple(cpu), tuple(wall))


def synchronise(device: str) -> None:
    """Wait for a GPU to finish."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def default_clock(device: str) -> Clock:
    """Return the clock for ratios: CPU time for one thread, which other programs hardly change, else wall time."""
    return "cpu" if device == "cpu" and torch.get_num_threads() == 1 else "wall"


@cache
def gemm_rate(dtype: torch.dtype, device: str = "cpu", clock: Clock | None = None) -> float:
    """Return the rate of a big matrix product [GFLOP/s] in its fastest run, the most that a network can reach."""
    size = CPU_MATRIX if device == "cpu" else GPU_MATRIX
    a = torch.randn(size, size, device=device).to(dtype)
    timing = measure(lambda: a @ a, 9, device)
    return 2e-9 * size**3 / min(getattr(timing, clock or default_clock(device)))


def copy_rate(device: str = "cpu") -> float:
    """Return the rate of copying memory [GB/s], read and written bytes both counted, in its fastest run."""
    a = torch.ones(COPIED * 2**18, device=device)
    b = torch.empty_like(a)
    timing = measure(lambda: b.copy_(a), 9, device)
    return 2e-9 * a.nbytes / min(getattr(timing, default_clock(device)))


def free_memory(device: str = "cpu") -> float:
    """Return the free memory [GB]; infinite if the system doesn't report it."""
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0] * 1e-9
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024e-9 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float("inf")


def machine() -> dict[str, Any]:
    """Return the properties of the machine on which the figures depend."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "allocator": _allocator(),
        "ratios and limits by": f"{default_clock('cpu')} time",
        "float32 gemm [GFLOP/s]": round(gemm_rate(torch.float32), 1),
        "bfloat16 gemm [GFLOP/s]": round(gemm_rate(torch.bfloat16), 1),
        "copy [GB/s]": round(copy_rate(), 1),
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _allocator() -> str:
    """Return the C library and the environment variables of its allocator."""
    names = [k for k in sorted(os.environ) if k.startswith("MALLOC_") or k in ("LD_PRELOAD", "GLIBC_TUNABLES")]
    settings = [f"{k}={os.environ[k]}" for k in names]
    return " ".join([*platform.libc_ver(), *(settings or ["defaults"])])
