"""Fit `goodricke.models.variables` to stars whose labels are sets of classes, and whose periods are known or not.

The loss of a star is -log of the summed probability of the pairs (candidate period, class) that its label and its
catalog period allow: the classes of the label's set, with the candidates that agree with the catalog period, or, where
there is none or none agrees, with those that the class can have (no RR Lyrae of 80 d, no pulsation at twice its
period). Catalog periods are targets
only, and noisy ones; they are no inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from goodricke.data.taxonomy import Taxonomy
from goodricke.models.variables import IMPOSSIBLE, Variables
from goodricke.preprocess.tensors import CandidatePeriods, Frames
from goodricke.preprocess.variables import CANDIDATE, STAR
from goodricke.training.labels import Labelled
from goodricke.training.loop import LoopConfig, Run, train

WIDTHS = 0.5  # candidate and catalog frequency agree within this, in units of 1 / span, ...
RELATIVE = 2e-3  # ... or within this fraction of the frequency
LARGEST_LOSS = 20.0  # [nat] per star: a wrong label must not dominate a step
SHIFT = 2  # phase bins by which folds are shifted at random: the faintest phase is uncertain
TAILS = (0.02, 0.5, 0.98)  # quantiles that standardise the numbers of stars


class Targets(NamedTuple):
    """The pairs of a candidate period and a class that are right for n stars."""

    classes: NDArray[np.bool_]  # (n, C) that the label allows
    pairs: NDArray[np.bool_]  # (n, K, C)
    group: NDArray[np.int64]  # (n,) survey and label, for weights and scores

    def take(self, rows: NDArray[np.int64]) -> Targets:
        """Return those of the stars in ``rows``."""
        return Targets(self.classes[rows], self.pairs[rows], self.group[rows])

    def joined(self, other: Targets) -> Targets:
        """Return those of the stars of both."""
        classes, pairs, group = (np.concatenate(both) for both in zip(self, other, strict=True))
        return Targets(classes.astype(bool), pairs.astype(bool), group)


def pair_targets(prepared: Frames, data: Labelled, rows: NDArray[np.int64] | None = None) -> Targets:
    """Return the targets of prepared light curves, those of the labelled objects ``rows`` (all by default)."""
    rows = np.arange(len(data.label)) if rows is None else rows
    sets, label = data.label_sets, data.label[rows]
    candidates = cast(CandidatePeriods, prepared.candidates)
    if sets is None:
        classes = np.arange(len(data.classes)) == label[:, None]
        return Targets(classes, allowed_pairs(candidates, classes, np.full(len(label), np.nan)), label)
    _, group = np.unique(sets.levels()[1], return_inverse=True)  # survey and leaves
    classes = sets.leaves[rows]
    pairs = allowed_pairs(candidates, classes, sets.period[rows], sets.taxonomy, second_to_first_harmonic(prepared))
    return Targets(classes, pairs, group[rows])


def allowed_pairs(
    candidates: CandidatePeriods,
    classes: NDArray[np.bool_],
    period: NDArray[np.float64],
    taxonomy: Taxonomy | None = None,
    harmonics: NDArray[np.floating] | None = None,
) -> NDArray[np.bool_]:
    """Return the pairs (n, K, C) that labels and catalog periods allow.

    Parameters
    ----------
    candidates : CandidatePeriods
        Of n stars.
    classes : bool (n, C)
        That the labels allow.
    period : (n,)
        Of the catalog [d], NaN where unknown.
    taxonomy : Taxonomy, optional
        Its leaves are the classes.
    harmonics : (n, K), optional
        Amplitude of a candidate's second harmonic over that of its first.

    Returns
    -------
    bool (n, K, C)
        The candidates that agree with the catalog period. Where there is none or none agrees, those that the class can
        have by the taxonomy, and of a pulsating class those whose first harmonic is the strongest, as at its double
        period it isn't; if there are none of these either, all that exist.
    """
    exists = np.isfinite(candidates.period)
    agree = agreeing_candidates(candidates, period)
    has_agreeing = agree.sum(1, keepdims=True) > 0
    periods = agree | (exists & ~has_agreeing)
    allowed = periods[:, :, None] & classes[:, None]
    if taxonomy is None:
        return allowed
    contradictions = [taxonomy.contradicts(leaf, candidates.period) for leaf in taxonomy.leaves]
    plausible = allowed & ~np.stack(contradictions, 2)
    if harmonics is not None:
        pulsating = np.array([leaf.period == "pulsation" for leaf in taxonomy.leaves.values()])
        single = plausible & ~((harmonics > 1)[:, :, None] & pulsating)
        plausible = np.where(single.any((1, 2), keepdims=True), single, plausible)
    is_free = ~has_agreeing[:, :, None] & plausible.any((1, 2), keepdims=True)
    return np.where(is_free, plausible, allowed)


def second_to_first_harmonic(prepared: Frames) -> NDArray[np.float32]:
    """Return the amplitude of the second harmonic over that of the first at each candidate, (n, K)."""
    candidates = cast(CandidatePeriods, prepared.candidates)
    numbers = prepared.context[:, len(STAR) :].reshape(*candidates.period.shape, len(CANDIDATE))
    return numbers[..., CANDIDATE.index("amplitude ratio 21")]


def agreeing_candidates(candidates: CandidatePeriods, period: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which candidates (n, K) agree with catalog periods (n,) [d], NaN where unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        frequency = 1 / period[:, None]
        tolerance = np.maximum(WIDTHS / candidates.span[:, None], RELATIVE * frequency)
        return np.abs(1 / candidates.period - frequency) < tolerance


def star_weights(group: NDArray[np.int64], power: float) -> NDArray[np.float32]:
    """Return ``(N / N_g) ** power`` of each star's group of survey and label, scaled to mean 1, (n,)."""
    counts = np.bincount(group)
    weight = (len(group) / np.maximum(counts, 1)[group]) ** power
    return (weight / weight.mean()).astype(np.float32)


class PairClassification:
    """Softmax over pairs of period and class: a `goodricke.training.loop.Task`.

    Parameters
    ----------
    network : Variables
    prepared : Frames (n objects)
    targets : Targets (n objects)
    weights : float32 (n,)
        Of the training objects.
    validation : int64 (v,)
        Rows of the validation objects.
    score : {"accuracy", "macro_recall", "macro_f1"}
        The validation figure that selects the best epoch; ``macro_f1`` means the same as ``macro_recall`` here.
    """

    def __init__(
        self,
        network: Variables,
        prepared: Frames,
        targets: Targets,
        weights: NDArray[np.float32],
        validation: NDArray[np.int64],
        score: str = "accuracy",
    ) -> None:
        self.network, self.prepared, self.targets, self.validation, self.score = (
            network,
            prepared,
            targets,
            validation,
            score,
        )
        self.weights = torch.from_numpy(weights)
        self.device = next(network.parameters()).device

    def microbatches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield a batch at once: folds are small."""
        yield rows

    def prepare_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches."""
        return iter(batches)

    def begin(self, epoch: int) -> None:
        """Do nothing: all epochs are equal."""

    def phases(self, step: int) -> tuple[str]:
        """Return the only phase of a batch."""
        return ("all",)

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return all parameters as one group."""
        return [list(self.network.parameters())]

    def loss(self, rows: NDArray[np.int64], phase: str = "all") -> tuple[Tensor, float]:
        """Return the weighted loss summed over ``rows``, and the sum of the weights."""
        weight = self.weights[rows]
        loss = pair_loss(self._pairs(rows, shift=True), self._allowed(rows)[1]).clamp(max=LARGEST_LOSS)
        return (loss * weight.to(self.device)).sum(), float(weight.sum())

    def _pairs(self, rows: NDArray[np.int64], shift: bool = False) -> Tensor:
        """Return the network's logits (B, K, C), from folds shifted at random or not."""
        batch = self.prepared.batch(rows).to(self.device)
        values = batch.values
        if shift:
            folds = values.unflatten(1, (self.network.config.candidates, -1))  # (B, K, bins, channels)
            values = folds.roll(int(torch.randint(-SHIFT, SHIFT + 1, ())), 2).flatten(1, 2)
        return self.network(values, batch.time, batch.mask, batch.context).pairs

    def _allowed(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the classes (B, C) and pairs (B, K, C) that are right."""
        classes, pairs, _ = self.targets.take(rows)
        return torch.from_numpy(classes).to(self.device), torch.from_numpy(pairs).to(self.device)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy (the most probable class is one of the label's), and its mean over groups."""
        self.network.eval()
        losses, right, right_period = [], [], []
        for rows in np.array_split(self.validation, max(len(self.validation) // 1024, 1)):
            pairs, (classes, allowed) = self._pairs(rows), self._allowed(rows)
            losses.append(pair_loss(pairs, allowed))
            right.append(classes.gather(1, torch.logsumexp(pairs, 1).argmax(1, keepdim=True))[:, 0])
            right_period.append(allowed.any(2).gather(1, torch.logsumexp(pairs, 2).argmax(1, keepdim=True))[:, 0])
        correct, group = torch.cat(right).cpu().numpy(), self.targets.group[self.validation]
        recall = float(np.mean([correct[group == g].mean() for g in np.unique(group)]))
        figures = {
            "validation_loss": float(torch.cat(losses).mean()),
            "accuracy": float(correct.mean()),
            "macro_recall": recall,
            "period": float(torch.cat(right_period).float().mean()),
        }
        return figures | {"score": figures["accuracy" if self.score == "accuracy" else "macro_recall"]}


def pair_loss(pairs: Tensor, allowed: Tensor) -> Tensor:
    """Return -log of the summed probability of the allowed pairs, (B,).

    Parameters
    ----------
    pairs : Tensor (B, K, C)
        Logits.
    allowed : Tensor (B, K, C), bool
    """
    total = torch.logsumexp(pairs.flatten(1), 1)
    return total - torch.logsumexp(pairs.masked_fill(~allowed, IMPOSSIBLE).flatten(1), 1)


def fit(
    network: Variables,
    prepared: Frames,
    targets: Targets,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: LoopConfig,
    folder: Path,
    weight_power: float = 0.5,
    score: str = "accuracy",
    report: Callable[[dict[str, float]], None] = lambda figures: None,
    tick: Callable[[int], None] = lambda objects: None,
    is_standardised: bool = False,
) -> Run:
    """Train a network in place; see `PairClassification` and `goodricke.training.loop.train` for the parameters.

    The network's numbers are standardised by the training stars, unless they are already: by those of an initial model,
    on which its weights depend.
    """
    if not is_standardised:
        standardise(network, prepared.context[training])
    weights = np.zeros(len(prepared), np.float32)
    weights[training] = star_weights(targets.group[training], weight_power)
    task = PairClassification(network, prepared, targets, weights, validation, score)
    head = list(network.head.parameters())
    body = [*network.fold.parameters(), *network.candidate.parameters(), *network.star.parameters()]
    groups = [{"params": body, "lr": config.rate}, {"params": head, "lr": config.head_rate}]
    return train(task, training, groups, config, folder, report, tick)


def standardise(network: Variables, context: NDArray[np.float32]) -> None:
    """Set the network's location and scale of its numbers from training stars (n, star + K candidate)."""
    c = network.config
    star, candidate = context[:, : c.star], context[:, c.star :].reshape(-1, c.candidate)
    for columns, numbers in ((slice(None, c.star), star), (slice(c.star, None), candidate)):
        finite = np.where(np.isfinite(numbers), numbers, np.nan)
        known = np.isfinite(finite).any(0)
        low, middle, high = np.nanquantile(np.where(known, finite, 0), TAILS, axis=0)
        network.context_mean[columns] = torch.from_numpy(middle).float()
        network.context_std[columns] = torch.from_numpy(np.maximum((high - low) / 3, 1e-3)).float()
