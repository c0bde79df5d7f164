"""Fit the multi-band ensemble (Becker et al. 2025, section 3.4-3.6).

Every band's network learns to classify after each of its observations; the central network learns from the bands'
states, and no gradient goes back from it to them. After a warm-up of the bands alone, every batch makes one gradient
step of the bands and two of the central network at half their rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.models.multiband import Multiband, Standard
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.preprocess.tensors import StepBatch, Steps, length_buckets
from goodricke.training.loop import LoopConfig, Run, train, validation_figures


class EnsembleConfig(BaseModel):
    """What is particular to the ensemble's training; the defaults are the paper's (sections 3.4-3.6)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    skip: int = Field(3, ge=0, description="first steps that are not learned from (N_skip)")
    warmup_batches: int = Field(
        500, ge=0, description="batches that train the bands alone, first; a fifth of all at most"
    )
    central_updates: int = Field(2, ge=1, description="gradient steps of the central network per batch")
    central_rate: float = Field(
        0.5, gt=0, description="the central network's learning rate as a fraction of the bands'"
    )
    last: float = Field(0.0, ge=0, le=1, description="share of the loss that is the last step's alone; the paper: 0")
    thin: float = Field(0.0, ge=0, lt=1, description="up to this fraction of observations is left out, anew each epoch")
    noise: float = Field(0.0, ge=0, description="brightness is shifted by this many of its errors, anew each epoch")
    fade: float = Field(0.0, ge=0, description="up to this many magnitudes fainter, with the noise of it, each epoch")
    target_weight: float = Field(0.1, ge=0, description="weight of each regressed parameter beside the classification")
    frozen_bands: tuple[str, ...] = Field((), description="bands whose networks stay as they are")


class StepTask:
    """What training on steps has in common, whatever the network: what it sees, and how it is judged.

    Parameters
    ----------
    network : Multiband
        Or another with its ``answer``.
    curves : LightCurves (n)
        Training, validation and other objects.
    preprocessing : MultibandConfig
    label : int64 (n,)
    targets : float32 (n, k)
        Standardised parameters, NaN where unknown.
    validation : int64 (v,)
        Rows of the validation objects.
    weights : float32 (classes,)
    config : EnsembleConfig
    points : int
        Steps computed at once.
    score : {"accuracy", "macro_recall", "macro_f1"}
        The validation figure that decides.
    seed : int
        Of what is left out and shifted.
    """

    def __init__(
        self,
        network: Any,
        curves: LightCurves,
        preprocessing: MultibandConfig,
        label: NDArray[np.int64],
        targets: NDArray[np.float32],
        validation: NDArray[np.int64],
        weights: NDArray[np.float32],
        config: EnsembleConfig,
        points: int = 65536,
        score: str = "macro_f1",
        seed: int = 42,
    ) -> None:
        self.network, self.curves, self.preprocessing = network, curves, preprocessing
        self.label, self.targets, self.validation, self.weights = label, targets, validation, weights
        self.config, self.points, self.score, self.seed = config, points, score, seed
        self.whole = self.steps = prepare(curves, preprocessing)
        self.device = next(network.parameters()).device

    def begin(self, epoch: int) -> None:
        """Leave observations out, shift and fade them anew."""
        config = self.config
        if config.thin or config.noise or config.fade:
            rng = np.random.default_rng([self.seed, epoch])
            curves = disturbed(self.curves, config.thin, config.noise, rng, config.fade)
            self.steps = prepare(curves, self.preprocessing)

    def ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches: what a turn needs of them depends on the turn, nothing is made ahead."""
        yield from batches

    def pieces(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Cut a batch into pieces that fit in memory."""
        for piece in length_buckets(self.steps.n_points[rows], self.points, len(rows)):
            yield np.sort(rows[piece])

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, macro recall and macro F1 of the last answers on the validation objects."""
        self.network.eval()
        rows = self.validation[self.whole.usable[self.validation]]
        order, logits, errors = [], [], []
        for piece in length_buckets(self.whole.n_points[rows], self.points, len(rows)):
            answer = self.network.output(self.whole.batch(rows[piece]).to(self.device))
            order.append(rows[piece])
            logits.append(answer.logits.float().cpu())
            errors.append(answer.targets.float().cpu() - torch.from_numpy(self.targets[rows[piece]]))
        return self._figures(self.label[np.concatenate(order)], torch.cat(logits), torch.cat(errors))

    def _figures(self, label: NDArray[np.int64], logits: Tensor, error: Tensor) -> dict[str, float]:
        figures = validation_figures(label, logits)
        if error.shape[1]:
            figures["target_rmse"] = float(error[error.isfinite()].square().mean().sqrt())
        return figures | {"score": figures[self.score]}


class Ensemble(StepTask):
    """The task that the loop trains: the losses of the bands, and that of the central network; see `StepTask`."""

    network: Multiband
    batches: int | None = None  # of the whole run, if known
    _kept: tuple[bytes, Steps, StepBatch, list[list[Tensor]]] | None = None  # a piece's states, for the next turn

    @property
    def learning(self) -> list[int]:
        """Return the bands whose networks are trained."""
        return [b for b, name in enumerate(self.preprocessing.bands) if name not in self.config.frozen_bands]

    def begin(self, epoch: int) -> None:
        """Forget the states of the epoch before."""
        self._kept = None
        super().begin(epoch)

    # ---- what the loop asks for -------------------------------------------------------------------------------

    def turns(self, step: int) -> list[str]:
        """Return the gradient steps of a batch: the bands', and after the warm-up the central network's."""
        bands = ["bands"] if self.learning else []
        most = step + 1 if self.batches is None else self.batches // 5  # a short run is not all warm-up
        alone = bands and step < min(self.config.warmup_batches, most)
        return bands if alone else bands + ["central"] * self.config.central_updates

    def trained(self, turn: str) -> list[list[nn.Parameter]]:
        """Return the parameters of a turn; each network's gradient is clipped by itself."""
        networks = [self.network.bands[b] for b in self.learning] if turn == "bands" else [self.network.central]
        return [[p for p in network.parameters() if p.requires_grad] for network in networks]

    def loss(self, rows: NDArray[np.int64], turn: str) -> tuple[Tensor, float]:
        """Return the loss of a turn summed over ``rows``, and the sum of their class weights."""
        total = float(self.weights[self.label[rows]].sum())
        if turn == "bands":
            self._kept = None
            steps = self.steps.take(rows)
            return self._band_losses(steps, steps.batch().to(self.device), rows), total
        key = rows.tobytes()
        if self._kept is None or self._kept[0] != key:
            steps = self.steps.take(rows)
            batch = steps.batch().to(self.device)
            self._kept = key, steps, batch, self.network.band_states(batch)
        return self._central_loss(*self._kept[1:], rows), total

    # ---- losses -----------------------------------------------------------------------------------------------

    def _band_losses(self, steps: Steps, batch: StepBatch, rows: NDArray[np.int64]) -> Tensor:
        """Return the sum of the bands' losses (Eq. 4): each step's cross-entropy, weighted by inverse uncertainty."""
        owner = ragged.owner(steps.offsets)
        series = owner * steps.bands + steps.band
        weight = self._step_weights(steps.error, series, steps.rank) * self.weights[self.label[rows]][owner]
        target, weights = self._tensors(self.label[rows][owner], weight)
        losses = [batch.window.new_zeros((), requires_grad=True)]  # a batch may be without a step in these bands
        for b in self.learning:
            index, sizes = batch.bands[b]
            if len(index):
                logits = self.network.of_band(b)[0](batch.window[index], sizes).float()
                losses.append((F.cross_entropy(logits, target[index], reduction="none") * weights[index]).sum())
        return torch.stack(losses).sum()

    def _central_loss(
        self, steps: Steps, batch: StepBatch, states: list[list[Tensor]], rows: NDArray[np.int64]
    ) -> Tensor:
        """Return the central network's loss (Eq. 5-7): the bands share a light curve's weight equally."""
        owner = ragged.owner(steps.offsets)
        place = np.arange(len(owner)) - steps.offsets[owner]
        weight = self._central_weights(steps, owner, place) * self.weights[self.label[rows]][owner]
        target, weights = self._tensors(self.label[rows][owner], weight)
        answer = self.network.read_out(*self.network.represent(batch, states))
        loss = (F.cross_entropy(answer.logits.float(), target, reduction="none") * weights).sum()
        if self.targets.shape[1]:
            known = rows[steps.n_points > 0]
            truth = torch.from_numpy(self.targets[known]).to(self.device)
            error = torch.where(truth.isfinite(), answer.targets[batch.last].float() - truth.nan_to_num(), 0)
            loss = loss + self.config.target_weight * error.square().sum()
        return loss

    def _central_weights(self, steps: Steps, owner: NDArray, place: NDArray) -> NDArray[np.float64]:
        """Return the weights (M,) of steps, which sum to one over each light curve."""
        skip = np.minimum(self.config.skip, steps.n_points - 1)[owner]
        series = owner * steps.bands + steps.band
        weight = _shares(np.where(place >= skip, 1 / steps.error.astype(np.float64), 0.0), series)
        weight = _shares(weight, owner)  # as many shares as the light curve has bands
        last = place == steps.n_points[owner] - 1
        return (1 - self.config.last) * weight + self.config.last * last

    def _step_weights(self, error: NDArray, series: NDArray, rank: NDArray) -> NDArray[np.float64]:
        """Return weights (M,) by inverse uncertainty that sum to one over each series, its first steps skipped."""
        count = np.bincount(series)[series] if len(series) else series
        kept = rank >= np.minimum(self.config.skip, count - 1)
        return _shares(np.where(kept, 1 / error.astype(np.float64), 0.0), series)

    def _tensors(self, target: NDArray[np.int64], weight: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(target).to(self.device), torch.from_numpy(weight.astype(np.float32)).to(self.device)


def _shares(weight: NDArray[np.float64], group: NDArray) -> NDArray[np.float64]:
    """Return weights (M,) divided by the sum over their group."""
    total = np.bincount(group, weight)[group] if len(group) else weight
    return np.divide(weight, total, out=np.zeros(len(weight)), where=total > 0)


def disturbed(
    curves: LightCurves, thin: float, noise: float, rng: np.random.Generator, fade: float = 0.0
) -> LightCurves:
    """Return the light curves as a poorer survey would have seen them, or the same objects farther away.

    Parameters
    ----------
    curves : LightCurves
    thin : float
        Of each light curve a fraction of observations between 0 and this is left out.
    noise : float
        Brightness is shifted by a normal deviate of this many errors, where errors are known.
    fade : float
        Each light curve is made fainter by between 0 and this [mag]. What is added is the noise of the sky, which
        doesn't fade along: fluxes keep their errors, errors in magnitudes grow.
    """
    fraction = ragged.spread(rng.uniform(0, thin, len(curves)), curves.offsets)
    error = np.where(np.isfinite(curves.error) & (curves.error > 0), curves.error, 0)
    value = curves.value + noise * error * rng.standard_normal(len(error))
    if fade:
        fainter = ragged.spread(rng.uniform(0, fade, len(curves)), curves.offsets)
        factor = 10 ** (-0.4 * fainter)
        lost = np.sqrt(1 - factor**2) * rng.standard_normal(len(error))
        if curves.in_magnitudes:
            value, error = value + fainter + error / factor * lost, error / factor
        else:
            value = value * factor + error * lost
        error = np.where(np.isfinite(curves.error) & (curves.error > 0), error, curves.error)
        curves = replace(curves, error=error.astype(np.float32))
    return replace(curves, value=value.astype(np.float32)).where(rng.random(len(fraction)) >= fraction)


def parameter_groups(task: Ensemble, rate: float) -> list[dict]:
    """Return the optimiser's groups: the bands, and the central network with its lower rate."""
    bands = [p for group in task.trained("bands") for p in group] if task.learning else []
    central = [p for group in task.trained("central") for p in group]
    groups = [{"params": bands, "lr": rate}, {"params": central, "lr": rate * task.config.central_rate}]
    return [group for group in groups if group["params"]]


def learn_statistics(network: Multiband, steps: Steps, bands: Sequence[int], extras: Sequence[int]) -> None:
    """Let the networks of ``bands`` standardise what they see, the central one its ``extras``, by training objects."""
    window = torch.from_numpy(steps.window)
    for b in bands:
        if (steps.band == b).any():
            network.of_band(b)[0].standard.learn(window[torch.from_numpy(steps.band == b)])
    if len(extras) and len(steps.window):
        places = torch.as_tensor(extras)
        learned = Standard(len(extras))
        learned.learn(steps.batch().extras[:, places])
        network.central.standard.mean[places] = learned.mean.to(network.central.standard.mean.device)
        network.central.standard.std[places] = learned.std.to(network.central.standard.std.device)


def fit(
    task: Ensemble,
    training: NDArray[np.int64],
    config: LoopConfig,
    folder: Path,
    learn: Sequence[int] | None = None,
    extras: Sequence[int] | None = None,
    report: Callable[[dict[str, float]], None] = lambda figures: None,
    tick: Callable[[int], None] = lambda objects: None,
) -> Run:
    """Train a network in place.

    Parameters
    ----------
    task : Ensemble
    training : int64 (t,)
        Rows of the training objects.
    config, folder, report, tick
        See `goodricke.training.loop.train`.
    learn : list of int, optional
        Bands whose standardisation is learned from the training objects, all by default.
    extras : list of int, optional
        The same of the central network's extras.
    """
    network = task.network
    bands = range(network.config.bands) if learn is None else learn
    places = range(network.config.extras) if extras is None else extras
    learn_statistics(network, task.whole.take(training), bands, places)
    task.batches = config.epochs * math.ceil(len(training) / config.batch)
    return train(task, training, parameter_groups(task, config.rate), config, folder, report, tick)
