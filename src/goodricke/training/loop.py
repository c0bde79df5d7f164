"""The training loop of all networks: gradient steps, validation, checkpoints, log, early stopping.

A run is a folder. An interrupted run resumes after its last finished epoch and ends with the same weights as an
uninterrupted one, because all random numbers of an epoch derive from (seed, epoch).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from goodricke.data.files import atomic_path, atomic_write


class LoopConfig(BaseModel):
    """Optimiser, schedule and stopping; the defaults are the paper's (section 5) and the published code's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(250, ge=1, description="passes through the training light curves, at most")
    batch: int = Field(128, ge=1, description="light curves per gradient step")
    points: int = Field(
        16384,
        ge=1,
        description="padded points per microbatch; fewer need less memory; on a GPU by default as many as fit",
    )
    rate: float = Field(1e-4, gt=0, description="learning rate of the network")
    head_rate: float = Field(1e-3, gt=0, description="learning rate of the head")
    betas: tuple[float, float] = Field((0.9, 0.95), description="decay rates of the two moments of AdamW")
    weight_decay: float = Field(1e-5, ge=0, description="of AdamW")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    warmup: float = Field(5.0, ge=0, description="epochs of rising learning rate")
    schedule: Literal["constant", "cosine", "exponential"] = Field(
        "constant", description="of the learning rate after the warm-up: constant, cosine or exponential"
    )
    decay: float = Field(0.95, gt=0, le=1, description="factor on the rate every 60 steps of an exponential schedule")
    patience: int = Field(250, ge=1, description="epochs without a better validation score before stopping")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the training: float32, or bfloat16 on GPUs and CPUs with AVX512-BF16 or AMX"
    )
    seed: int = Field(42, description="of the initial weights, the order of the light curves and the dropout")


class Task(Protocol):
    """A training task: a loss summed over objects, and a validation score."""

    @property
    def network(self) -> nn.Module:
        """The network whose parameters are trained."""

    def begin(self, epoch: int) -> None:
        """Prepare an epoch; its random numbers derive from the epoch's number."""

    def prepare_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches of an epoch, optionally preparing the next ones meanwhile."""

    def phases(self, step: int) -> Sequence[str]:
        """Return the names of the gradient steps for a batch at step ``step`` of the run."""

    def loss(self, rows: NDArray[np.int64], phase: str) -> tuple[Tensor, float]:
        """Return the summed loss of the training objects ``rows`` and the weight to divide by.

        It must not wait for a GPU: the loop reads numbers only at the end of an epoch.
        """

    def clip_groups(self, phase: str) -> Sequence[Sequence[nn.Parameter]]:
        """Return the parameters trained in a phase, in groups whose gradients are clipped together."""

    def microbatches(self, rows: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        """Split a batch into microbatches that fit in memory."""

    def validate(self) -> dict[str, float]:
        """Return validation figures; ``score`` decides which epoch is best (higher is better)."""


@dataclass
class Run:
    """A training run in its folder: ``checkpoint.pt``, ``log.jsonl`` and the best weights ``best.pt``."""

    folder: Path
    epoch: int = 0
    step: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


def rank_and_world() -> tuple[int, int]:
    """Return the rank of this process and the number of processes started by ``torchrun``; 0 and 1 without it."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def train(
    task: Task,
    rows: NDArray[np.int64],
    groups: list[dict[str, Any]],
    config: LoopConfig,
    folder: Path,
    report: Callable[[dict[str, float]], None] = lambda figures: None,
    tick: Callable[[int], None] = lambda objects: None,
) -> Run:
    """Train until the last epoch or the end of patience, and load the best epoch's weights into the network.

    Parameters
    ----------
    task : Task
    rows : int64 (n,)
        The training objects.
    groups : list of dict
        Parameter groups of the optimiser, each with its learning rate ``lr``.
    config : LoopConfig
    folder : Path
        Folder of the run; an interrupted run in it is resumed.
    report : callable
        Called with the figures of each epoch.
    tick : callable
        Called with the number of objects after each batch.

    Returns
    -------
    Run
    """
    fused = next(task.network.parameters()).device.type == "cuda"  # one kernel instead of a dozen per parameter
    optimiser = torch.optim.AdamW(groups, betas=config.betas, weight_decay=config.weight_decay, eps=1e-8, fused=fused)
    steps = math.ceil(len(rows) / config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_factor(step, steps, config))
    run = _resume(folder, task.network, optimiser, schedule)
    while run.epoch < config.epochs and run.epoch - run.best_epoch <= config.patience:
        start = time.perf_counter()
        loss = _epoch(task, rows, optimiser, schedule, config, run, tick)
        figures = {"epoch": run.epoch, "loss": loss, "rate": optimiser.param_groups[0]["lr"]} | _from_first_process(
            task.validate()
        )
        run.epoch += 1
        if figures["score"] > run.best:
            run.best, run.best_epoch = figures["score"], run.epoch - 1
        run.history.append(figures | {"seconds": time.perf_counter() - start})
        _save(run, task.network, optimiser, schedule)
        report(run.history[-1])
    device = next(task.network.parameters()).device
    task.network.load_state_dict(torch.load(folder / "best.pt", map_location=device, weights_only=True))
    return run


def _rate_factor(step: int, steps: int, config: LoopConfig) -> float:
    """Return the factor on the learning rate at ``step``, with ``steps`` per epoch."""
    warm = max(int(config.warmup * steps), 1)
    if step < warm:
        return (step + 1) / warm
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "exponential":
        return config.decay ** ((step - warm) / 60)
    progress = (step - warm) / max(config.epochs * steps - warm, 1)
    return max(0.5 * (1 + math.cos(math.pi * min(progress, 1.0))), 1e-3)


def _epoch(
    task: Task, rows: NDArray[np.int64], optimiser: Any, schedule: Any, config: LoopConfig, run: Run, tick: Any
) -> float:
    """Make one pass over the training objects; return the mean loss of the last phase."""
    rank, world = rank_and_world()
    torch.manual_seed(config.seed * 1_000_003 + run.epoch * 1_009 + rank)
    order = np.random.default_rng([config.seed, run.epoch]).permutation(rows)
    task.begin(run.epoch)
    task.network.train()
    batches = [order[start : start + config.batch] for start in range(0, len(order), config.batch)]
    sums = []
    own_rows = task.prepare_ahead(batch[rank::world] for batch in batches)
    for batch, rows_of_process in zip(batches, own_rows, strict=True):
        for phase in task.phases(run.step):
            last = _step(task, rows_of_process, phase, optimiser, config)
        schedule.step()
        run.step += 1
        sums.append(last)
        tick(len(batch))
    total, weight = torch.stack(sums).cpu().double().sum(0).tolist()  # the only wait for a GPU in an epoch
    return total / max(weight, 1e-12)


def _step(task: Task, batch: NDArray[np.int64], phase: str, optimiser: Any, config: LoopConfig) -> Tensor:
    """Make one gradient step; return the summed loss and its weight over all microbatches and processes, (2,)."""
    optimiser.zero_grad(set_to_none=True)
    device = next(task.network.parameters()).device
    sums = torch.zeros(2, device=device)
    for rows_of_microbatch in task.microbatches(batch) if len(batch) else ():
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss, weight = task.loss(rows_of_microbatch, phase)
        loss.backward()
        sums[0] += loss.detach()
        sums[1] += weight
    groups = task.clip_groups(phase)
    parameters = [p for group in groups for p in group]
    _sum_over_processes(parameters, sums)
    total_weight = sums[1].clamp(min=1e-12)
    for p in parameters:
        if p.grad is not None:
            p.grad /= total_weight
    for group in groups:
        torch.nn.utils.clip_grad_norm_(group, config.clip)
    optimiser.step()
    return sums


def _sum_over_processes(parameters: list[nn.Parameter], sums: Tensor) -> None:
    """Sum gradients and loss over the processes that train together."""
    if not dist.is_initialized():
        return
    moved = sums.to(parameters[0].device) if dist.get_backend() == "nccl" else sums
    dist.all_reduce(moved)
    sums.copy_(moved)
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(p.grad)


def _from_first_process(figures: dict[str, float]) -> dict[str, float]:
    """Return the first process's figures in every process, so that all stop at the same epoch."""
    if not dist.is_initialized():
        return figures
    shared = [figures]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]


def _resume(folder: Path, network: nn.Module, optimiser: Any, schedule: Any) -> Run:
    """Return the run in the folder, after restoring network, optimiser and schedule, or a new run."""
    file = folder / "checkpoint.pt"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        return Run(folder)
    saved = torch.load(file, map_location=next(network.parameters()).device, weights_only=True)
    network.load_state_dict(saved["network"])
    optimiser.load_state_dict(saved["optimiser"])
    schedule.load_state_dict(saved["schedule"])
    return Run(folder, **saved["run"])


def _save(run: Run, network: nn.Module, optimiser: Any, schedule: Any) -> None:
    """Write checkpoint, best weights and log, each completely or not at all."""
    if not rank_and_world()[0]:
        _write_state(run, network, optimiser, schedule)
    if dist.is_initialized():
        dist.barrier()  # no process reads best.pt before it is complete


def _write_state(run: Run, network: nn.Module, optimiser: Any, schedule: Any) -> None:
    state = {k: v for k, v in vars(run).items() if k != "folder"}
    if run.best_epoch == run.epoch - 1:
        _write(run.folder / "best.pt", network.state_dict())
    state_dicts = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
    }
    _write(run.folder / "checkpoint.pt", state_dicts | {"run": state})
    lines = "".join(json.dumps(figures) + "\n" for figures in run.history)
    atomic_write(run.folder / "log.jsonl", lines)


def _write(path: Path, content: Any) -> None:
    with atomic_path(path) as partial:
        torch.save(content, partial)


def validation_figures(label: NDArray[np.int64], logits: Tensor, weights: Tensor | None = None) -> dict[str, float]:
    """Return loss, accuracy, macro recall and macro F1 of predictions.

    Parameters
    ----------
    label : int64 (n,)
    logits : Tensor (n, C)
    weights : Tensor (C,), optional
        Of the classes, for the loss.
    """
    from sklearn.metrics import f1_score

    predicted, classes = logits.argmax(1).numpy(), np.unique(label)
    right = predicted == label
    return {
        "validation_loss": float(F.cross_entropy(logits, torch.from_numpy(label), weights)),
        "accuracy": float(right.mean()),
        "macro_recall": float(np.mean([right[label == c].mean() for c in classes])),
        "macro_f1": float(f1_score(label, predicted, labels=classes, average="macro", zero_division=0)),
    }
