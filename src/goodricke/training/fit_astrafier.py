"""Fit ASTRAFier to labelled, prepared light curves (section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.data.progress import RunProgress
from goodricke.models.astrafier import Astrafier
from goodricke.models.runtime import gpu
from goodricke.models.runtime.gpu import prefetch
from goodricke.preprocess.tensors import Batch, Frames, length_buckets
from goodricke.training.loop import LoopConfig, Run, train, validation_figures


def class_weights(label: NDArray[np.int64], classes: int, power: float) -> NDArray[np.float32]:
    """Return ``(N / N_c) ** power`` for each class, (classes,); the paper's weights with power 1 (section 5)."""
    counts = np.bincount(label, minlength=classes)
    return ((len(label) / np.maximum(counts, 1)) ** power).astype(np.float32)


class Microbatch(NamedTuple):
    """The input of the loss for B objects, in host memory."""

    batch: Batch
    target: Tensor  # (B,) int64
    weight: float  # sum of the objects' weights


class Classification:
    """Weighted cross-entropy over prepared light curves: a `goodricke.training.loop.Task`.

    Parameters
    ----------
    network : Astrafier
    prepared : Frames (n objects)
    label : int64 (n,)
    validation : int64 (v,)
        Rows of the validation objects.
    weights : float32 (classes,)
    points : int
        Padded points per microbatch.
    score : {"accuracy", "macro_recall", "macro_f1"}
        The validation figure that selects the best epoch; the paper's is accuracy.
    """

    def __init__(
        self,
        network: Astrafier,
        prepared: Frames,
        label: NDArray[np.int64],
        validation: NDArray[np.int64],
        weights: NDArray[np.float32],
        points: int = 16384,
        score: str = "accuracy",
    ) -> None:
        self.network, self.prepared, self.label, self.validation = network, prepared, label, validation
        self.weights, self.points, self.score = torch.from_numpy(weights), points, score
        self.device = next(network.parameters()).device
        self.device_weights = self.weights.to(self.device)
        self._prepared: dict[bytes, Microbatch] = {}  # microbatches of this step by the bytes of their rows

    def microbatches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split a batch into microbatches of about equal length that fit in memory."""
        for bucket in length_buckets(self.prepared.padded[rows], self.points, len(rows)):
            yield rows[bucket]

    def prepare_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches; on a GPU a thread prepares the tensors of the next ones."""
        for rows, prepared in prefetch(self._prepare_batch, batches, self.device):
            self._prepared = prepared
            yield rows

    def _prepare_batch(self, rows: NDArray[np.int64]) -> dict[bytes, Microbatch]:
        return (
            {microbatch.tobytes(): self._prepare_microbatch(microbatch) for microbatch in self.microbatches(rows)}
            if len(rows)
            else {}
        )

    def _prepare_microbatch(self, rows: NDArray[np.int64]) -> Microbatch:
        batch = self.prepared.batch(rows, gpu.frame_multiple(self.device))
        target = torch.from_numpy(self.label[rows])
        weight = float(self.weights[target].sum())
        if self.device.type == "cuda":
            return Microbatch(batch.pin_memory(), target.pin_memory(), weight)
        return Microbatch(batch, target, weight)

    def begin(self, epoch: int) -> None:
        """Do nothing: all epochs are equal."""

    def phases(self, step: int) -> tuple[str]:
        """Return the only phase of a batch."""
        return ("all",)

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return all parameters as one group."""
        return [list(self.network.parameters())]

    def loss(self, rows: NDArray[np.int64], phase: str = "all") -> tuple[Tensor, float]:
        """Return the weighted cross-entropy summed over ``rows``, and the sum of the weights."""
        microbatch = self._prepared.pop(rows.tobytes(), None) or self._prepare_microbatch(rows)
        target = microbatch.target.to(self.device, non_blocking=True)
        loss = F.cross_entropy(self._logits(microbatch), target, self.device_weights, reduction="sum")
        return loss, microbatch.weight

    def _logits(self, microbatch: Microbatch) -> Tensor:
        return self.network(*microbatch.batch.to(self.device)).logits.float()  # (B, classes)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, macro recall and macro F1 on the validation objects."""
        self.network.eval()
        batches = list(self.microbatches(self.validation))
        rows = np.concatenate(batches)
        logits = torch.cat(
            [self._logits(microbatch) for _, microbatch in prefetch(self._prepare_microbatch, batches, self.device)]
        ).cpu()
        figures = validation_figures(self.label[rows], logits, self.weights)
        return figures | {"score": figures[self.score]}


def parameter_groups(network: Astrafier, config: LoopConfig) -> list[dict]:
    """Return the two groups of the optimiser: the blocks, and the head with its higher rate (section 5)."""
    head = list(network.head.parameters())
    head_ids = {id(p) for p in head}
    body = [p for p in network.parameters() if id(p) not in head_ids]
    return [{"params": body, "lr": config.rate}, {"params": head, "lr": config.head_rate}]


def fit(
    network: Astrafier,
    prepared: Frames,
    label: NDArray[np.int64],
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: LoopConfig,
    progress: RunProgress,
    weight_power: float = 1.0,
    score: str = "accuracy",
) -> Run:
    """Train a network in place; see `Classification` and `goodricke.training.loop.train` for the parameters."""
    classes = network.config.classes
    if network.config.context:
        _standardise_context(network, prepared.context[training])
    weights = class_weights(label[training], classes, weight_power)
    points = config.points
    if "points" not in config.model_fields_set:
        points = gpu.points_at_once(next(network.parameters()).device, "training", points)
    task = Classification(network, prepared, label, validation, weights, points, score)
    return train(task, training, parameter_groups(network, config), config, *progress)


def _standardise_context(network: Astrafier, context: NDArray[np.float32]) -> None:
    """Set the network's mean and standard deviation of context from training objects (n, context)."""
    values = np.ma.masked_invalid(context.astype(np.float64))
    mean, std = values.mean(0).filled(0), values.std(0).filled(0)
    network.context_mean.copy_(torch.from_numpy(mean))
    network.context_std.copy_(torch.from_numpy(np.where(std > 1e-3, std, 1.0)))
