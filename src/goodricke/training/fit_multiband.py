"""Fit the multi-band ensemble (Becker et al. 2025, section 3.4-3.6).

Every band's network learns to classify after each of its observations. The central network learns from the bands'
states, without a gradient to the band networks. After a warm-up of the bands only, every batch makes one gradient step
of the bands and two of the central network at half their rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import RunProgress
from goodricke.models.multiband import Multiband, Standard
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.preprocess.tensors import StepBatch, Steps, length_buckets
from goodricke.training.loop import LoopConfig, Run, train, validation_figures


class EnsembleConfig(BaseModel):
    """Settings of the ensemble's training; the defaults are the paper's (sections 3.4-3.6)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    skip: int = Field(3, ge=0, description="first steps without a loss (N_skip)")
    warmup_batches: int = Field(
        500, ge=0, description="first batches, which train the bands only; at most a fifth of all"
    )
    central_updates: int = Field(2, ge=1, description="gradient steps of the central network per batch")
    central_rate: float = Field(
        0.5, gt=0, description="the central network's learning rate as a fraction of the bands'"
    )
    last: float = Field(0.0, ge=0, le=1, description="share of the last step in the loss; the paper: 0")
    thin: float = Field(0.0, ge=0, lt=1, description="up to this fraction of observations is dropped, anew each epoch")
    noise: float = Field(0.0, ge=0, description="brightness is shifted by this many of its errors, anew each epoch")
    fade: float = Field(
        0.0, ge=0, description="up to this many magnitudes fainter, with the added noise, anew each epoch"
    )
    negative: float = Field(
        0.0, ge=0, le=1, description="share of light curves of which one flux turns negative, anew each epoch"
    )
    target_weight: float | tuple[float, ...] = Field(
        0.1, description="weight of the regressed parameters relative to the classification, one for all or one each"
    )
    frozen_bands: tuple[str, ...] = Field((), description="bands whose networks are not trained")
    scale_by: tuple[str, ...] = Field(
        (), description="classes whose steps determine mean and scale of the input; empty: all classes"
    )


class StepTask:
    """Base of the tasks that train on steps: augmentation, microbatches and validation.

    Parameters
    ----------
    network : Multiband
        Or another network with the method ``output``.
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
        Steps per microbatch.
    score : {"accuracy", "macro_recall", "macro_f1"}
        The validation figure that selects the best epoch.
    seed : int
        Of the augmentation.
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
        self.complete_steps = self.steps = prepare(curves, preprocessing)
        self.device = next(network.parameters()).device

    def begin(self, epoch: int) -> None:
        """Augment the light curves anew."""
        config = self.config
        if config.thin or config.noise or config.fade or config.negative:
            rng = np.random.default_rng([self.seed, epoch])
            curves = augment(self.curves, config.thin, config.noise, rng, config.fade, config.negative)
            self.steps = prepare(curves, self.preprocessing)

    def prepare_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches; nothing is prepared ahead, as the input depends on the phase."""
        yield from batches

    def microbatches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split a batch into microbatches that fit in memory."""
        for bucket in length_buckets(self.steps.n_points[rows], self.points, len(rows)):
            yield np.sort(rows[bucket])

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return loss, accuracy, macro recall and macro F1 of the last step on the validation objects."""
        self.network.eval()
        rows = self.validation[self.complete_steps.usable[self.validation]]
        order, logits, errors = [], [], []
        for bucket in length_buckets(self.complete_steps.n_points[rows], self.points, len(rows)):
            output = self.network.output(self.complete_steps.batch(rows[bucket]).to(self.device))
            order.append(rows[bucket])
            logits.append(output.logits.float().cpu())
            errors.append(output.targets.float().cpu() - torch.from_numpy(self.targets[rows[bucket]]))
        return self._figures(self.label[np.concatenate(order)], torch.cat(logits), torch.cat(errors))

    def _figures(self, label: NDArray[np.int64], logits: Tensor, error: Tensor) -> dict[str, float]:
        figures = validation_figures(label, logits)
        if error.shape[1]:
            figures["target_rmse"] = float(error[error.isfinite()].square().mean().sqrt())
        return figures | {"score": figures[self.score]}


class Ensemble(StepTask):
    """The losses of the bands and of the central network, as a `goodricke.training.loop.Task`; see `StepTask`."""

    network: Multiband
    batches: int | None = None  # of the whole run, if known
    _cached: tuple[bytes, Steps, StepBatch, list[list[Tensor]]] | None = (
        None  # states of a microbatch, for the next phase
    )

    @property
    def learning(self) -> list[int]:
        """The bands whose networks are trained."""
        return [b for b, name in enumerate(self.preprocessing.bands) if name not in self.config.frozen_bands]

    def begin(self, epoch: int) -> None:
        """Clear the cached states and augment anew."""
        self._cached = None
        super().begin(epoch)

    # ---- phases -----------------------------------------------------------------------------------------------

    def phases(self, step: int) -> list[str]:
        """Return the phases of a batch: the bands, and after the warm-up the central network."""
        bands = ["bands"] if self.learning else []
        limit = step + 1 if self.batches is None else self.batches // 5  # at most a fifth of a short run is warm-up
        is_warmup = bands and step < min(self.config.warmup_batches, limit)
        return bands if is_warmup else bands + ["central"] * self.config.central_updates

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return the parameters of a phase; each network's gradient is clipped separately."""
        networks = [self.network.bands[b] for b in self.learning] if phase == "bands" else [self.network.central]
        return [[p for p in network.parameters() if p.requires_grad] for network in networks]

    def loss(self, rows: NDArray[np.int64], phase: str) -> tuple[Tensor, float]:
        """Return the loss of a phase summed over ``rows``, and the sum of their class weights."""
        total = float(self.weights[self.label[rows]].sum())
        if phase == "bands":
            self._cached = None
            steps = self.steps.take(rows)
            return self._band_losses(steps, steps.batch().to(self.device), rows), total
        key = rows.tobytes()
        if self._cached is None or self._cached[0] != key:
            steps = self.steps.take(rows)
            batch = steps.batch().to(self.device)
            self._cached = key, steps, batch, self.network.band_states(batch)
        return self._central_loss(*self._cached[1:], rows), total

    # ---- losses -----------------------------------------------------------------------------------------------

    def _band_losses(self, steps: Steps, batch: StepBatch, rows: NDArray[np.int64]) -> Tensor:
        """Return the sum of the bands' losses (Eq. 4): each step's cross-entropy, weighted by inverse uncertainty."""
        owner = ragged.owner(steps.offsets)
        series = owner * steps.bands + steps.band
        weight = self._step_weights(steps.error, series, steps.rank) * self.weights[self.label[rows]][owner]
        target, weights = self._tensors(self.label[rows][owner], weight)
        losses = [batch.window.new_zeros((), requires_grad=True)]  # a batch may have no step in these bands
        for b in self.learning:
            index, sizes = batch.bands[b]
            if len(index):
                logits = self.network.band_modules(b)[0](batch.window[index], sizes).float()
                losses.append((F.cross_entropy(logits, target[index], reduction="none") * weights[index]).sum())
        return torch.stack(losses).sum()

    def _central_loss(
        self, steps: Steps, batch: StepBatch, states: list[list[Tensor]], rows: NDArray[np.int64]
    ) -> Tensor:
        """Return the central network's loss (Eq. 5-7), with equal weights of a light curve's bands."""
        owner = ragged.owner(steps.offsets)
        place = np.arange(len(owner)) - steps.offsets[owner]
        weight = self._central_weights(steps, owner, place) * self.weights[self.label[rows]][owner]
        target, weights = self._tensors(self.label[rows][owner], weight)
        output = self.network.read_out(*self.network.represent(batch, states))
        loss = (F.cross_entropy(output.logits.float(), target, reduction="none") * weights).sum()
        if self.targets.shape[1]:
            rows_with_steps = rows[steps.n_points > 0]
            truth = torch.from_numpy(self.targets[rows_with_steps]).to(self.device)
            error = torch.where(truth.isfinite(), output.targets[batch.last].float() - truth.nan_to_num(), 0)
            loss = loss + (error.square() * self._target_weights(error)).sum()
        return loss

    def _target_weights(self, error: Tensor) -> Tensor:
        """Return the weights of the parameters' errors (B, k), one for all or (k,)."""
        weights = np.atleast_1d(self.config.target_weight)
        if len(weights) not in (1, error.shape[1]):
            raise ValueError(
                f"[training.ensemble] target_weight has {len(weights)} weights for {error.shape[1]} parameters. Fix: "
                "one for all, or one for each in the order of [data.targets]"
            )
        return torch.as_tensor(weights, dtype=error.dtype, device=error.device)

    def _central_weights(self, steps: Steps, owner: NDArray, place: NDArray) -> NDArray[np.float64]:
        """Return the weights (M,) of steps, which sum to one over each light curve."""
        skip = np.minimum(self.config.skip, steps.n_points - 1)[owner]
        series = owner * steps.bands + steps.band
        weight = _shares(np.where(place >= skip, 1 / steps.error.astype(np.float64), 0.0), series)
        weight = _shares(weight, owner)  # divided among the light curve's bands
        last = place == steps.n_points[owner] - 1
        return (1 - self.config.last) * weight + self.config.last * last

    def _step_weights(self, error: NDArray, series: NDArray, rank: NDArray) -> NDArray[np.float64]:
        """Return weights (M,) by inverse uncertainty that sum to one over each series, its first steps skipped."""
        count = np.bincount(series)[series] if len(series) else series
        counted = rank >= np.minimum(self.config.skip, count - 1)
        return _shares(np.where(counted, 1 / error.astype(np.float64), 0.0), series)

    def _tensors(self, target: NDArray[np.int64], weight: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(target).to(self.device), torch.from_numpy(weight.astype(np.float32)).to(self.device)


def _shares(weight: NDArray[np.float64], group: NDArray) -> NDArray[np.float64]:
    """Return weights (M,) divided by the sum over their group."""
    total = np.bincount(group, weight)[group] if len(group) else weight
    return np.divide(weight, total, out=np.zeros(len(weight)), where=total > 0)


def augment(
    curves: LightCurves,
    thin: float,
    noise: float,
    rng: np.random.Generator,
    fade: float = 0.0,
    negative: float = 0.0,
) -> LightCurves:
    """Return light curves as of a poorer survey, or of the same objects at larger distances.

    Parameters
    ----------
    curves : LightCurves
    thin : float
        A random fraction between 0 and this of each light curve's observations is dropped.
    noise : float
        Standard deviation of the added noise in units of the errors, where these are known.
    fade : float
        Each light curve becomes fainter by a random amount between 0 and this [mag]. Noise is added, as that of the
        sky stays: fluxes keep their errors, errors in magnitudes grow.
    negative : float
        This share of the light curves, if they are fluxes, have one observation with the other sign: a bad subtraction,
        or an exposure against a reference image that contains the source.
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
    if negative and not curves.in_magnitudes and len(value):
        rows = np.flatnonzero((rng.random(len(curves)) < negative) & (curves.n_obs > 0))
        value[curves.offsets[rows] + (rng.random(len(rows)) * curves.n_obs[rows]).astype(np.int64)] *= -1
    return replace(curves, value=value.astype(np.float32)).where(rng.random(len(fraction)) >= fraction)


def parameter_groups(task: Ensemble, rate: float) -> list[dict]:
    """Return the optimiser's groups: the bands, and the central network with its lower rate."""
    bands = [p for group in task.clip_groups("bands") for p in group] if task.learning else []
    central = [p for group in task.clip_groups("central") for p in group]
    groups = [{"params": bands, "lr": rate}, {"params": central, "lr": rate * task.config.central_rate}]
    return [group for group in groups if group["params"]]


def learn_statistics(network: Multiband, steps: Steps, bands: Sequence[int], extras: Sequence[int]) -> None:
    """Set the standardisation of the ``bands``' windows and of the central network's ``extras`` from steps."""
    window = torch.from_numpy(steps.window)
    for b in bands:
        if (steps.band == b).any():
            network.band_modules(b)[0].standard.learn(window[torch.from_numpy(steps.band == b)])
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
    progress: RunProgress,
    learn: Sequence[int] | None = None,
    extras: Sequence[int] | None = None,
    scale_by: NDArray[np.int64] | None = None,
) -> Run:
    """Train a network in place.

    Parameters
    ----------
    task : Ensemble
    training : int64 (t,)
        Rows of the training objects.
    config, progress
        See `goodricke.training.loop.train`.
    learn : list of int, optional
        Bands whose standardisation is set from the training objects, all by default.
    extras : list of int, optional
        The same for the central network's extras.
    scale_by : int64 (s,), optional
        Of the training objects, those that set the standardisation; all by default.
    """
    network = task.network
    bands = range(network.config.bands) if learn is None else learn
    places = range(network.config.extras) if extras is None else extras
    scaled = training if scale_by is None else scale_by
    learn_statistics(network, task.complete_steps.take(scaled), bands, places)
    task.batches = config.epochs * math.ceil(len(training) / config.batch)
    return train(task, training, parameter_groups(task, config.rate), config, *progress)
