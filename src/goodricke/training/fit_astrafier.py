"""Fit ASTRAFier to labelled, prepared light curves (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.models.astrafier import Astrafier
from goodricke.models.runtime import gpu
from goodricke.models.runtime.gpu import prefetch
from goodricke.preprocess.tensors import Batch, Frames, length_buckets
from goodricke.training.loop import LoopConfig, Run, train, validation_figures


def class_weights(label: NDArray[np.int64], classes: int, power: float) -> NDArray[np.float32]:
    """Return ``(N / N_c) ** power`` for each class, (classes,); the paper's weights with power 1 (section 5)."""
    counts = np.bincount(label, minlength=classes)
    return ((len(label) / np.maximum(counts, 1)) ** power).astype(np.float32)


class Piece(NamedTuple):
    """What the loss of some objects is computed from, in host memory."""

    batch: Batch
    target: Tensor  # (B,) int64
    weight: float  # sum of the objects' weights


class Classification:
    """Weighted cross-entropy over prepared light curves: the task that the loop trains.

    Parameters
    ----------
    network : Astrafier
    prepared : Frames (n objects)
    label : int64 (n,)
    validation : int64 (v,)
        Rows of the validation objects.
    weights : float32 (classes,)
    points : int
        Padded points computed at once.
    score : {"accuracy", "macro_recall", "macro_f1"}
        The validation figure that decides; the paper's is accuracy.
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
        self.weights_there = self.weights.to(self.device)
        self._ready: dict[bytes, Piece] = {}  # the pieces of this gradient step, by their rows

    def pieces(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Cut a batch into pieces of about equal length that fit in memory."""
        for piece in length_buckets(self.prepared.padded[rows], self.points, len(rows)):
            yield rows[piece]

    def ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches; on a GPU the tensors of the next ones are made in a thread."""
        for rows, ready in prefetch(self._pieces_of, batches, self.device):
            self._ready = ready
            yield rows

    def _pieces_of(self, rows: NDArray[np.int64]) -> dict[bytes, Piece]:
        return {piece.tobytes(): self._piece(piece) for piece in self.pieces(rows)} if len(rows) else {}

    def _piece(self, rows: NDArray[np.int64]) -> Piece:
        batch = self.prepared.batch(rows, gpu.frame_multiple(self.device))
        target = torch.from_numpy(self.label[rows])
        weight = float(self.weights[target].sum())
        if self.device.type == "cuda":
            return Piece(batch.pin_memory(), target.pin_memory(), weight)
        return Piece(batch, target, weight)

    def begin(self, epoch: int) -> None:
        """Do nothing: every epoch is alike."""

    def turns(self, step: int) -> tuple[str]:
        """Return the one gradient step that a batch is for."""
        return ("all",)

    def trained(self, turn: str) -> list[list[nn.Parameter]]:
        """Train and clip all parameters together."""
        return [list(self.network.parameters())]

    def loss(self, rows: NDArray[np.int64], turn: str = "all") -> tuple[Tensor, float]:
        """Return the weighted cross-entropy summed over ``rows``, and the sum of the weights."""
        piece = self._ready.pop(rows.tobytes(), None) or self._piece(rows)
        target = piece.target.to(self.device, non_blocking=True)
        loss = F.cross_entropy(self._logits(piece), target, self.weights_there, reduction="sum")
        return loss, piece.weight

    def _logits(self, piece: Piece) -> Tensor:
        return self.network(*piece.batch.to(self.device)).logits.float()  # (B, classes)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, macro recall and macro F1 on the validation objects."""
        self.network.eval()
        pieces = list(self.pieces(self.validation))
        rows = np.concatenate(pieces)
        logits = torch.cat([self._logits(piece) for _, piece in prefetch(self._piece, pieces, self.device)]).cpu()
        figures = validation_figures(self.label[rows], logits, self.weights)
        return figures | {"score": figures[self.score]}


def parameter_groups(network: Astrafier, config: LoopConfig) -> list[dict]:
    """Return the two groups of the optimiser: the blocks, and the head with its higher rate (section 5)."""
    head = list(network.head.parameters())
    ours = {id(p) for p in head}
    body = [p for p in network.parameters() if id(p) not in ours]
    return [{"params": body, "lr": config.rate}, {"params": head, "lr": config.head_rate}]


def fit(
    network: Astrafier,
    prepared: Frames,
    label: NDArray[np.int64],
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: LoopConfig,
    folder: Path,
    weight_power: float = 1.0,
    score: str = "accuracy",
    report: Callable[[dict[str, float]], None] = lambda figures: None,
    tick: Callable[[int], None] = lambda objects: None,
) -> Run:
    """Train a network in place; see `Classification` and `goodricke.training.loop.train` for the parameters."""
    classes = network.config.classes
    if network.config.context:
        _standardise_context(network, prepared.context[training])
    weights = class_weights(label[training], classes, weight_power)
    device = next(network.parameters()).device
    points = config.points if "points" in config.model_fields_set else _points(device, config.points)
    task = Classification(network, prepared, label, validation, weights, points, score)
    return train(task, training, parameter_groups(network, config), config, folder, report, tick)


def _points(device: torch.device, cpu: int) -> int:
    """Return the padded points computed at once where nobody has said how many."""
    return gpu.points_at_once(device, "training", cpu)


def _standardise_context(network: Astrafier, known: NDArray[np.float32]) -> None:
    """Let the network standardise its context by the training objects'; a number they don't vary in counts little."""
    values = np.ma.masked_invalid(known.astype(np.float64))
    mean, std = values.mean(0).filled(0), values.std(0).filled(0)
    network.context_mean.copy_(torch.from_numpy(mean))
    network.context_std.copy_(torch.from_numpy(np.where(std > 1e-3, std, 1.0)))
