"""One small training loop for every network: gradient steps, validation, checkpoints, log, early stopping.

A run is a folder. Kill it at any moment and start it again: it goes on from the last finished epoch and ends with the
same weights as a run without interruption, because all randomness of an epoch derives from (seed, epoch).

What the loop looks at after each epoch: loss, accuracy, macro recall and macro F1 on the validation objects.
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


class LoopConfig(BaseModel):
    """Optimiser, schedule and stopping; the defaults are the paper's (section 5) and the published code's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(250, ge=1)
    batch: int = Field(128, ge=1, description="light curves per gradient step")
    points: int = Field(
        16384, ge=1, description="padded points computed at once; smaller needs less memory; on a GPU as many as fit"
    )
    rate: float = Field(1e-4, gt=0, description="learning rate of the network")
    head_rate: float = Field(1e-3, gt=0, description="learning rate of the head")
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(1e-5, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    warmup: float = Field(5.0, ge=0, description="epochs of rising learning rate")
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    decay: float = Field(0.95, gt=0, le=1, description="factor on the rate every 60 steps of an exponential schedule")
    patience: int = Field(250, ge=1, description="epochs without a better validation score before stopping")
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 42


class Task(Protocol):
    """What the loop trains: a loss summed over some objects, and a validation score."""

    @property
    def network(self) -> nn.Module:
        """The network whose parameters are trained."""

    def begin(self, epoch: int) -> None:
        """Get ready for an epoch; whatever is random in it follows from the epoch's number."""

    def ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches of an epoch; what the next one needs may be made ready meanwhile."""

    def turns(self, step: int) -> Sequence[str]:
        """Return the gradient steps to make on a batch, by name, at step ``step`` of the run."""

    def loss(self, rows: NDArray[np.int64], turn: str) -> tuple[Tensor, float]:
        """Return the summed loss of the training objects ``rows`` and the weight to divide by.

        Without waiting for a GPU: the loop asks for no number before the epoch is done.
        """

    def trained(self, turn: str) -> Sequence[Sequence[nn.Parameter]]:
        """Return the parameters that a turn trains, in groups whose gradients are clipped together."""

    def pieces(self, rows: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        """Cut a batch into pieces that fit in memory."""

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
    """Return this process's number and how many train together (started by ``torchrun``), 0 and 1 otherwise."""
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
    """Train until the epochs are done or patience ends, and leave the best epoch's weights in the network.

    Parameters
    ----------
    task : Task
    rows : int64 (n,)
        The training objects.
    groups : list of dict
        Parameter groups of the optimiser, each with its learning rate ``lr``.
    config : LoopConfig
    folder : Path
        Of the run; an earlier, interrupted run in it is taken up.
    report : callable
        Gets the figures of each epoch.
    tick : callable
        Gets the number of objects after each gradient step.

    Returns
    -------
    Run
    """
    fused = next(task.network.parameters()).device.type == "cuda"  # one kernel instead of a dozen per parameter
    optimiser = torch.optim.AdamW(groups, betas=config.betas, weight_decay=config.weight_decay, eps=1e-8, fused=fused)
    steps = math.ceil(len(rows) / config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, config))
    run = _take_up(folder, task.network, optimiser, schedule)
    while run.epoch < config.epochs and run.epoch - run.best_epoch <= config.patience:
        start = time.perf_counter()
        loss = _epoch(task, rows, optimiser, schedule, config, run, tick)
        figures = {"epoch": run.epoch, "loss": loss, "rate": optimiser.param_groups[0]["lr"]} | _from_first(
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


def _rate(step: int, steps: int, config: LoopConfig) -> float:
    """Return the factor on the learning rate at a step."""
    warm = max(int(config.warmup * steps), 1)
    if step < warm:
        return (step + 1) / warm
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "exponential":
        return config.decay ** ((step - warm) / 60)
    done = (step - warm) / max(config.epochs * steps - warm, 1)
    return max(0.5 * (1 + math.cos(math.pi * min(done, 1.0))), 1e-3)


def _epoch(
    task: Task, rows: NDArray[np.int64], optimiser: Any, schedule: Any, config: LoopConfig, run: Run, tick: Any
) -> float:
    """Make one pass over the training objects; return the mean loss of each batch's last turn."""
    rank, world = rank_and_world()
    torch.manual_seed(config.seed * 1_000_003 + run.epoch * 1_009 + rank)
    order = np.random.default_rng([config.seed, run.epoch]).permutation(rows)
    task.begin(run.epoch)
    task.network.train()
    batches = [order[start : start + config.batch] for start in range(0, len(order), config.batch)]
    sums = []
    mine = task.ahead(batch[rank::world] for batch in batches)
    for batch, own in zip(batches, mine, strict=True):
        for turn in task.turns(run.step):
            last = _step(task, own, turn, optimiser, config)
        schedule.step()
        run.step += 1
        sums.append(last)
        tick(len(batch))
    total, weight = torch.stack(sums).cpu().double().sum(0).tolist()  # a GPU is waited for once an epoch
    return total / max(weight, 1e-12)


def _step(task: Task, batch: NDArray[np.int64], turn: str, optimiser: Any, config: LoopConfig) -> Tensor:
    """Make one gradient step, computed in pieces; return the summed loss and its weight over all processes, (2,)."""
    optimiser.zero_grad(set_to_none=True)
    device = next(task.network.parameters()).device
    sums = torch.zeros(2, device=device)
    for piece in task.pieces(batch) if len(batch) else ():
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            loss, weight = task.loss(piece, turn)
        loss.backward()
        sums[0] += loss.detach()
        sums[1] += weight
    trained = task.trained(turn)
    parameters = [p for group in trained for p in group]
    _add_over_processes(parameters, sums)
    whole = sums[1].clamp(min=1e-12)
    for p in parameters:
        if p.grad is not None:
            p.grad /= whole
    for group in trained:
        torch.nn.utils.clip_grad_norm_(group, config.clip)
    optimiser.step()
    return sums


def _add_over_processes(parameters: list[nn.Parameter], sums: Tensor) -> None:
    """Sum gradients and loss over the processes that train together."""
    if not dist.is_initialized():
        return
    moved = sums.to(parameters[0].device) if dist.get_backend() == "nccl" else sums
    dist.all_reduce(moved)
    sums.copy_(moved)
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(p.grad)


def _from_first(figures: dict[str, float]) -> dict[str, float]:
    """Return the first process's figures in every process, so that all agree on when to stop."""
    if not dist.is_initialized():
        return figures
    shared = [figures]
    dist.broadcast_object_list(shared, src=0)
    return shared[0]


def _take_up(folder: Path, network: nn.Module, optimiser: Any, schedule: Any) -> Run:
    """Return the run in the folder, restored into network, optimiser and schedule, or a new one."""
    file = folder / "checkpoint.pt"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        return Run(folder)
    kept = torch.load(file, map_location=next(network.parameters()).device, weights_only=True)
    network.load_state_dict(kept["network"])
    optimiser.load_state_dict(kept["optimiser"])
    schedule.load_state_dict(kept["schedule"])
    return Run(folder, **kept["run"])


def _save(run: Run, network: nn.Module, optimiser: Any, schedule: Any) -> None:
    """Write checkpoint, best weights and log, each under another name first: a kill leaves the old or the new one."""
    if not rank_and_world()[0]:
        _save_all(run, network, optimiser, schedule)
    if dist.is_initialized():
        dist.barrier()  # nobody reads best.pt before it is whole


def _save_all(run: Run, network: nn.Module, optimiser: Any, schedule: Any) -> None:
    state = {k: v for k, v in vars(run).items() if k != "folder"}
    if run.best_epoch == run.epoch - 1:
        _write(run.folder / "best.pt", network.state_dict())
    kept = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    _write(run.folder / "checkpoint.pt", kept | {"run": state})
    lines = "".join(json.dumps(figures) + "\n" for figures in run.history)
    (run.folder / "log.jsonl").write_text(lines)


def _write(path: Path, content: Any) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


# ---- What the loop looks at after each epoch: loss, accuracy, macro recall and macro F1 on the validation ------------


def validation_figures(label: NDArray[np.int64], logits: Tensor, weights: Tensor | None = None) -> dict[str, float]:
    """Return the figures of answers.

    Parameters
    ----------
    label : int64 (n,)
    logits : Tensor (n, C)
    weights : Tensor (C,), optional
        Of the classes, for the loss.
    """
    from sklearn.metrics import f1_score

    answer, classes = logits.argmax(1).numpy(), np.unique(label)
    right = answer == label
    return {
        "validation_loss": float(F.cross_entropy(logits, torch.from_numpy(label), weights)),
        "accuracy": float(right.mean()),
        "macro_recall": float(np.mean([right[label == c].mean() for c in classes])),
        "macro_f1": float(f1_score(label, answer, labels=classes, average="macro", zero_division=0)),
    }
