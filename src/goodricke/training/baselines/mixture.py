"""The paper's baseline of multi-band models: a mixture of experts (Becker et al. 2025, section 4.2).

One recurrent network per band; the states after each band's last observation and the final colours, concatenated, are
the input of one head, and all is trained end to end with one loss. The published numbers of this baseline come from a
faulty run (``spec/multiband.md``, section 7.1). Here it has the ensemble's light curves, augmentation, class weights,
optimiser and early stopping.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor, nn

from goodricke.data.progress import RunProgress
from goodricke.models.multiband import Head, Mixture, MultibandNetworkConfig, Recurrent, Standard
from goodricke.models.output import NetworkOutput
from goodricke.preprocess.multiband import MultibandConfig
from goodricke.preprocess.tensors import StepBatch, Steps, length_buckets
from goodricke.training.families import multiband_network_config
from goodricke.training.fit_astrafier import class_weights
from goodricke.training.fit_multiband import StepTask
from goodricke.training.labels import Labelled
from goodricke.training.loop import train
from goodricke.training.recipe import Recipe
from goodricke.uncertainty.calibration import fit_temperature

POINTS = 65536  # steps computed at once


class Expert(nn.Module):
    """The network of one band, without head."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        self.standard = Standard(c.width)
        self.recurrent = Recurrent(c.width, c.hidden, c.band_layers, bias=True)
        self.mixture = Mixture(c.band_layers)

    def forward(self, window: Tensor, sizes: Tensor, last: Tensor) -> Tensor:
        """Return the state (B, h) at the steps ``last`` (B,) of ``window`` (M, width), in packed order."""
        outputs = self.recurrent(self.standard(window), sizes)
        return self.mixture([y.index_select(0, last) for y in outputs])


def last_places(sizes: Tensor) -> Tensor:
    """Return the index in packed order of the last step of each sequence, (B,), the longest sequence first.

    Parameters
    ----------
    sizes : int64 (T,)
        Number of sequences with a first, second, ... step.
    """
    sequence = torch.arange(int(sizes[0]))
    length = (sizes[:, None] > sequence).sum(0)  # (B,)
    start = sizes.cumsum(0) - sizes  # of the first, second, ... steps
    return start[length - 1] + sequence


class MixtureOfExperts(nn.Module):
    """Band networks joined by one head.

    A band without a step contributes zeros, and an unknown colour the mean. As in the paper, the head has no other
    input for missing bands, and, unlike the ensemble, none for the time between observations of different bands.
    """

    stochastic = False  # compared with one pass of the ensemble

    def __init__(self, config: MultibandNetworkConfig) -> None:
        super().__init__()
        c = self.config = config
        wait = c.bands * (c.bands - 1) // 2  # index of the wait, after the colours
        self.columns = [k for k in range(c.extras) if k != wait]
        self.experts = nn.ModuleList(Expert(c) for _ in range(c.bands))
        self.standard = Standard(len(self.columns))
        self.head = Head(c.bands * c.hidden + len(self.columns), c.head, c.classes, c.dropout)

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def forward(self, batch: StepBatch) -> NetworkOutput:
        """Answer after the last step of each light curve that has one."""
        states = [self._state(b, batch) for b in range(self.config.bands)]  # each (B', h)
        extras = self.standard(self.last_extras(batch))  # (B', colours + context)
        features = torch.cat([*states, extras], 1)
        return NetworkOutput(self.head(features), features, features, features[:, :0])

    def output(self, batch: StepBatch) -> NetworkOutput:
        """Answer after the last step of each light curve that has one."""
        return self(batch)

    def last_extras(self, batch: StepBatch) -> Tensor:
        """Return the final colours and the context of each light curve that has a step, (B', colours + context)."""
        return batch.extras[batch.last][:, self.columns]

    def _state(self, b: int, batch: StepBatch) -> Tensor:
        """Return the state of a band after its last step, (B', h), zeros where it has none."""
        state = batch.window.new_zeros(len(batch.last), self.config.hidden)
        steps, sizes = batch.bands[b]
        if not len(steps):
            return state
        last = last_places(sizes).to(steps.device)
        outputs = cast(Expert, self.experts[b])(batch.window[steps], sizes, last)
        owner = torch.searchsorted(batch.last, steps[last])  # the light curve of each step
        return state.index_copy(0, owner, outputs.to(state.dtype))


class MixtureTask(StepTask):
    """Cross-entropy after the last step, with one gradient step per batch."""

    network: MixtureOfExperts

    def phases(self, step: int) -> list[str]:
        """Return the only phase of a batch."""
        return ["all"]

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return all parameters as one group."""
        return [[p for p in self.network.parameters() if p.requires_grad]]

    def loss(self, rows: NDArray[np.int64], phase: str = "all") -> tuple[Tensor, float]:
        """Return the weighted cross-entropy summed over ``rows``, and the sum of the weights."""
        total = float(self.weights[self.label[rows]].sum())
        rows = rows[self.steps.n_points[rows] > 0]  # augmentation may remove all steps of an object
        logits = self.network(self.steps.batch(rows).to(self.device)).logits.float()
        target = torch.from_numpy(self.label[rows]).to(self.device)
        weights = torch.from_numpy(self.weights).to(self.device)
        return F.cross_entropy(logits, target, weights, reduction="sum"), total


def fit_mixture(
    recipe: Recipe,
    data: Labelled,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    progress: RunProgress,
    device: torch.device | str = "cpu",
) -> MixtureOfExperts:
    """Train a mixture of experts from random weights, with the recipe's settings of the ensemble.

    Parameters
    ----------
    recipe : Recipe
        Of a multi-band model, its preprocessing resolved.
    data : Labelled (n objects)
    training, validation : int64
        Rows.
    progress : RunProgress
        An interrupted run in its folder is resumed.
    device : torch.device

    Returns
    -------
    MixtureOfExperts
        With the weights of the best epoch on the validation objects.
    """
    settings, preprocessing = recipe.training, cast(MultibandConfig, recipe.preprocessing)
    torch.manual_seed(settings.seed)
    network = MixtureOfExperts(multiband_network_config(recipe, data.classes)).to(device)
    weights = class_weights(data.label[training], len(data.classes), settings.weight_power)
    task = MixtureTask(
        network,
        data.curves,
        preprocessing,
        data.label,
        np.zeros((len(data.label), 0), np.float32),
        validation,
        weights,
        settings.ensemble,
        settings.points,
        settings.score,
        settings.seed,
    )
    learn_statistics(network, task.complete_steps.take(training))
    groups = [{"params": task.clip_groups("all")[0], "lr": settings.rate}]
    train(task, training, groups, settings, *progress)
    return network


def learn_statistics(network: MixtureOfExperts, steps: Steps) -> None:
    """Set the standardisation of the experts' windows and of the head's extras from steps."""
    batch = steps.batch()
    for expert, series in zip(network.experts, batch.bands, strict=True):
        if len(series.steps):
            cast(Expert, expert).standard.learn(batch.window[series.steps])
    network.standard.learn(network.last_extras(batch))


@torch.inference_mode()
def mixture_logits(network: MixtureOfExperts, steps: Steps, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits (n', C) of the objects ``rows`` (n',), each of which must have a step."""
    device = next(network.parameters()).device
    logits = np.zeros((len(rows), network.config.classes), np.float32)
    network.eval()
    for bucket in length_buckets(steps.n_points[rows], POINTS, len(rows)):
        logits[bucket] = network(steps.batch(rows[bucket]).to(device)).logits.float().cpu().numpy()
    return logits


def mixture_probabilities(
    network: MixtureOfExperts,
    steps: Steps,
    label: NDArray[np.int64],
    validation: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the probabilities (n', C) of the objects ``rows`` (n',), with temperature scaling.

    Parameters
    ----------
    network : MixtureOfExperts
    steps : Steps (n objects)
    label : int64 (n,)
    validation, rows : int64
        The temperature is fitted to the ``validation`` objects.
    """
    temperature = fit_temperature(mixture_logits(network, steps, validation)[None], label[validation])
    return softmax(mixture_logits(network, steps, rows).astype(np.float64) / temperature, axis=1)
