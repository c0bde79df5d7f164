"""Speed of ASTRAFier in the paper's size: forward pass, Monte-Carlo passes, training step, several processes.

Every case is measured in a new process, and its figures are per light curve. "This / limit" is the time over that of
the network's multiplications at the rate of a big matrix product. Methods with fewer multiplications, such as Fourier
transforms for the longest kernels, can be below one. Moving weights and inputs through memory takes a few per cent of
the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.plain.astrafier import PlainAstrafier, plain_network
from benchmarks.processes import peak_memory, run_in_process, run_in_processes, wait_for_processes
from benchmarks.timing import Timing, default_clock, free_memory, gemm_rate, measure
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import monte_carlo
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.runtime import threads
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.tensors import Frames
from goodricke.training.fit_astrafier import Classification, parameter_groups
from goodricke.training.loop import LoopConfig, _step

CLASSES = tuple("ABCDEFGH")
MEMORY_FRACTION = 0.85  # of the free memory that a case may need
# By default glibc returns big blocks to the system, and gets them again at every layer
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}

Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One measurement."""

    work: Literal["forward", "passes", "training"]
    plain: bool
    batch: int
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    tiny: bool = False
    repeats: int = 3
    threads: int = field(default_factory=torch.get_num_threads)
    keep_memory: bool = False  # by glibc: `KEEP_MEMORY`

    @property
    def name(self) -> str:
        """The name in the table."""
        words = [f"batch {self.batch}", "plain" * self.plain, self.precision, "memory kept" * self.keep_memory]
        return ", ".join(filter(None, words))

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of its process."""
        return KEEP_MEMORY if self.keep_memory else {}

    @property
    def points(self) -> int:
        """Points of a light curve; at full size those of a TESS sector at 30 minutes."""
        return 40 if self.tiny else 1171

    @property
    def passes(self) -> int:
        """Monte-Carlo passes."""
        return 3 if self.tiny else 20

    @property
    def config(self) -> AstrafierConfig:
        """Sizes of the network."""
        return (
            AstrafierConfig(embed=16, heads=2, hidden=24, blocks=1, kernels=(3, 65)) if self.tiny else AstrafierConfig()
        )

    @property
    def operations(self) -> float:
        """Floating-point operations of a light curve, a multiplication and an addition counted as two."""
        factor = {"forward": 1, "passes": self.passes, "training": 3}[self.work]
        return factor * operations(self.config, self.points)

    @property
    def memory(self) -> float:
        """Memory of the plain network [GB], from the measured number of copies of the attention scores."""
        copies = 3 + 5 * self.config.blocks if self.work == "training" else 5
        return copies * 4e-9 * self.batch * self.config.heads * self.points**2


@dataclass(frozen=True)
class Result:
    """The result of a case."""

    timing: Timing  # of a whole batch
    peak: float  # memory [GB]
    difference: float  # largest of a logit from the plain network in float32


def operations(config: AstrafierConfig, points: int) -> float:
    """Return the floating-point operations of a pass: matrices per point, those of the head once, and attention."""
    network = Astrafier(config)
    matrices = sum(p.numel() for p in network.parameters() if p.ndim > 1)
    head = sum(p.numel() for p in network.head.parameters() if p.ndim > 1)
    return 2.0 * ((matrices - head) * points + head + 2 * config.blocks * config.embed * points**2)


def light_curves(n: int, points: int) -> LightCurves:
    """Return light curves like those of a TESS sector at 30 minutes: a sine, noise, a slow trend, a few outliers."""
    rng = np.random.default_rng(0)
    time = 1683.0 + np.arange(points) / 48  # (T,)
    phase, period = rng.uniform(0, 6, (n, 1)), np.exp(rng.uniform(-1, 2, (n, 1)))
    flux = 1 + 0.01 * np.sin(2 * np.pi * time / period + phase) + rng.normal(0, 0.002, (n, points))
    flux += 0.02 * ((time - time[0]) / 27) ** 2
    flux[rng.random((n, points)) < 1e-3] += 0.5
    return LightCurves.from_arrays(
        [f"TIC {i}" for i in range(n)],
        np.arange(n + 1) * points,
        np.tile(time, n),
        flux.ravel(),
        bands=("TESS",),
        unit="relative",
        time_scale="BTJD",
    )


def prepared_light_curves(n: int, points: int) -> Frames:
    """Return ``n`` prepared light curves of ``points`` points each, without clipping."""
    return prepare(light_curves(n, points), DenseConfig(clip_sigma=None))


def model(case: Case) -> Model:
    """Return an untrained model."""
    torch.manual_seed(0)
    network = Astrafier(case.config).eval().to(case.device)
    return Model(BundleConfig(name="tess", classes=CLASSES, network={}, preprocessing=DenseConfig()), network)


def perform(case: Case) -> Result:
    """Measure a case in this process, at the same time as other processes of `run_in_processes`."""
    torch.set_num_threads(case.threads)
    prepared = prepared_light_curves(case.batch, case.points)
    work = {"forward": _forward, "passes": _passes, "training": _training}[case.work]
    action = work(case, model(case), prepared)
    action()
    wait_for_processes()
    timing = measure(action, case.repeats, case.device, warm=False)
    if case.plain and case.work == "passes":  # passes are independent: one was timed
        timing = timing.scaled(case.passes)
    peak = peak_memory() if case.device == "cpu" else 1e-9 * torch.cuda.max_memory_allocated()
    return Result(timing, peak, _difference(case, prepared.take(np.arange(min(case.batch, 2)))))


def _forward(case: Case, m: Model, prepared: Frames) -> Callable[[], Any]:
    network: Any = plain_network(m.network) if case.plain else m.network
    return _one_pass(case, network, prepared)


def _passes(case: Case, m: Model, prepared: Frames) -> Callable[[], Any]:
    """Return the action of all Monte-Carlo passes; of the plain network, one."""
    if case.plain:
        network: Any = m.network
        return _one_pass(case, plain_network(network).train(), prepared)

    def action() -> None:
        with _precision(case):
            monte_carlo(m, prepared, np.arange(len(prepared)), case.passes, seed=0)

    return action


def _one_pass(case: Case, network: Astrafier | PlainAstrafier, prepared: Frames) -> Callable[[], Any]:
    batch = prepared.batch(np.arange(len(prepared))).to(case.device)

    @torch.inference_mode()
    def action() -> None:
        with _precision(case):
            if isinstance(network, Astrafier):
                threads.run(network, batch)
            else:
                network(*batch[:3])

    return action


def _training(case: Case, m: Model, prepared: Frames) -> Callable[[], Any]:
    """Return a gradient step: forward, backward, clipping, AdamW."""
    network: Any = m.network
    rows, label = np.arange(len(prepared)), np.arange(len(prepared)) % len(CLASSES)
    config = LoopConfig(batch=case.batch, precision=case.precision)
    if not case.plain:
        weights = np.ones(len(CLASSES), np.float32)
        task = Classification(network.train(), prepared, label, rows, weights, config.points)
        optimiser = torch.optim.AdamW(parameter_groups(network, config))
        return lambda: _step(task, rows, "all", optimiser, config)
    plain = plain_network(network).train()
    plain_optimiser = torch.optim.AdamW(plain.parameters(), config.rate)
    batch, target = prepared.batch(rows).to(case.device), torch.from_numpy(label).to(case.device)

    def step() -> None:
        plain_optimiser.zero_grad()
        with _precision(case):
            loss = F.cross_entropy(plain(*batch[:3]), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), config.clip)
        plain_optimiser.step()

    return step


def _precision(case: Case) -> torch.autocast:
    return torch.autocast(case.device, torch.bfloat16, enabled=case.precision == "bfloat16")


def _difference(case: Case, prepared: Frames) -> float:
    """Return the largest difference of a logit from the plain network's in float32."""
    network: Any = model(case).network
    plain, batch = plain_network(network), prepared.batch(np.arange(len(prepared))).to(case.device)
    with torch.inference_mode():
        with _precision(case):
            logits = (plain(*batch[:3]) if case.plain else threads.run(network, batch).logits).float()
        return float((logits - plain(*batch[:3])).abs().max())


# ---- tables -------------------------------------------------------------------------------------------------------


def forward(tiny: bool = False, batches: Sequence[int] = (1, 16, 64), device: str = "cpu") -> Figures:
    """Measure one deterministic pass."""
    return compare("forward", (2,) if tiny else batches, tiny, device)


def passes(tiny: bool = False, batches: Sequence[int] = (1, 16), device: str = "cpu") -> Figures:
    """Measure Monte-Carlo dropout with 20 passes; the plain network runs them one after the other."""
    return compare("passes", (2,) if tiny else batches, tiny, device)


def training(tiny: bool = False, batches: Sequence[int] = (16,), device: str = "cpu") -> Figures:
    """Measure a training step: forward, backward, clipping, AdamW."""
    return compare("training", (2,) if tiny else batches, tiny, device)


def workers(tiny: bool = False) -> Figures:
    """Measure as many processes of one thread each as there are cores."""
    number = 1 if tiny else os.cpu_count() or 1
    figures = Figures()
    for work, batch in (("forward", 2 if tiny else 16), ("passes", 1)):
        plain = None
        for case in ways(work, batch, tiny, "cpu"):
            case = replace(case, threads=torch.get_num_threads() if tiny else 1)
            if number * case.memory > MEMORY_FRACTION * free_memory():
                figures[f"{work}, {case.name}"] = {"not measured": f"needs {number * case.memory:.1f} GB"}
                continue
            results = (
                [perform(case)] if tiny else run_in_processes(perform, case, workers=number, variables=case.variables)
            )
            rate = sum(batch / r.timing.median("cpu") for r in results)
            plain = plain or rate
            figures[f"{work}, {case.name}"] = {
                "light curves per second": sum(batch / r.timing.median("wall") for r in results),
                "per CPU second": rate / number,
                "this / plain": rate / plain,
                "memory of all [GB]": sum(r.peak for r in results),
            }
    return figures


def ways(work: Any, batch: int, tiny: bool, device: str) -> list[Case]:
    """Return the ways to do a piece of work, the plain one first."""
    plain = Case(work, True, batch, device=device, tiny=tiny, repeats=2 if tiny else 3)
    single = replace(plain, plain=False)
    half = replace(single, precision="bfloat16")
    if device == "cpu":
        return [case for way in (plain, single, half) for case in (way, replace(way, keep_memory=True))]
    return [plain, replace(half, plain=True), single, half]


def compare(work: str, batches: Sequence[int], tiny: bool, device: str) -> Figures:
    """Measure the ways to do a piece of work at several batch sizes."""
    figures = Figures()
    for batch in batches:
        plain = None
        for case in ways(work, batch, tiny, device):
            if case.plain and case.memory > MEMORY_FRACTION * free_memory(device):
                figures[case.name] = {"not measured": f"needs {case.memory:.1f} GB"}
                continue
            result = perform(case) if tiny else run_in_process(perform, case, variables=case.variables)
            plain = plain or result.timing
            figures[case.name] = describe(case, result, plain)
    return figures


def describe(case: Case, result: Result, plain: Timing) -> dict[str, Any]:
    """Return the figures of a case, per light curve."""
    clock, timing = default_clock(case.device), result.timing.scaled(1e3 / case.batch)
    time = timing.median(clock)
    limit = 1e-6 * case.operations / gemm_rate(getattr(torch, case.precision), case.device)
    figures: dict[str, Any] = {
        "wall [ms]": timing.median("wall"),
        "wall, quartiles": timing.quartiles("wall"),
        "CPU [ms]": timing.median("cpu"),
        "CPU, quartiles": timing.quartiles("cpu"),
        "per second": 1e3 / time,
        "plain / this": plain.median(clock) / result.timing.median(clock),
        "this / limit": time / limit,
        "peak memory [GB]": result.peak,
    }
    if case.work == "training":
        return figures | {"epoch of 12,000 [s]": 12 * time}
    return figures | {"difference of a logit": result.difference}
