"""Fit ASTRAFier to labelled, prepared light curves (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.models.astrafier import Astrafier
from goodricke.preprocess.tensors import Prepared, length_buckets
from goodricke.training.loop import LoopConfig, Run, train
from goodricke.training.validation import validation_figures


def class_weights(label: NDArray[np.int64], classes: int, power: float) -> NDArray[np.float32]:
    """Return ``(N / N_c) ** power`` for each class, (classes,); the paper's weights with power 1 (section 5)."""
    counts = np.bincount(label, minlength=classes)
    return ((len(label) / np.maximum(counts, 1)) ** power).astype(np.float32)


class Classification:
    """Weighted cross-entropy over prepared light curves: the task that the loop trains.

    Parameters
    ----------
    network : Astrafier
    prepared : Prepared (n objects)
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
        prepared: Prepared,
        label: NDArray[np.int64],
        validation: NDArray[np.int64],
        weights: NDArray[np.float32],
        points: int = 16384,
        score: str = "accuracy",
    ) -> None:
        self.network, self.prepared, self.label, self.validation = network, prepared, label, validation
        self.weights, self.points, self.score = torch.from_numpy(weights), points, score
        self.device = next(network.parameters()).device

    def pieces(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Cut a batch into pieces of about equal length that fit in memory."""
        for piece in length_buckets(self.prepared.padded[rows], self.points, len(rows)):
            yield rows[piece]

    def logits(self, rows: NDArray[np.int64]) -> Tensor:
        """Return the logits (B, classes) of the objects in ``rows``."""
        return self.network(*self.prepared.batch(rows).to(self.device)).logits.float()

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
        target = torch.from_numpy(self.label[rows]).to(self.device)
        weights = self.weights.to(self.device)
        loss = F.cross_entropy(self.logits(rows), target, weights, reduction="sum")
        return loss, float(weights[target].sum())

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, macro recall and macro F1 on the validation objects."""
        self.network.eval()
        rows = np.concatenate(list(self.pieces(self.validation)))
        logits = torch.cat([self.logits(piece) for piece in self.pieces(self.validation)]).cpu()
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
    prepared: Prepared,
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
    task = Classification(network, prepared, label, validation, weights, config.points, score)
    return train(task, training, parameter_groups(network, config), config, folder, report, tick)


def _standardise_context(network: Astrafier, known: NDArray[np.float32]) -> None:
    """Let the network standardise its context by the training objects'; a number they don't vary in counts little."""
    values = np.ma.masked_invalid(known.astype(np.float64))
    mean, std = values.mean(0).filled(0), values.std(0).filled(0)
    network.context_mean.copy_(torch.from_numpy(mean))
    network.context_std.copy_(torch.from_numpy(np.where(std > 1e-3, std, 1.0)))
