"""Self-supervised pre-training: the network predicts hidden observations from the others, without labels.

ASTRAFier gets a light curve with some points replaced by a learned token and predicts their brightness. The multi-band
ensemble, which is causal, predicts after each step the brightness of the next observation, given its band and time. The
network without its decoders, the encoder, is the start of a training with few labels (``[training] init``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file, save
from torch import Tensor, nn

from goodricke.data import ragged
from goodricke.data.files import atomic_folder
from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import RunProgress
from goodricke.models.astrafier import Astrafier
from goodricke.models.bundle import FAMILIES, BundleConfig, Model, load_model
from goodricke.models.multiband import BandNetwork, Multiband
from goodricke.models.runtime.gpu import begin_pass
from goodricke.preprocess import Frames, MultibandConfig, Prepared
from goodricke.preprocess.tensors import StepBatch, Steps, length_buckets
from goodricke.training.fit_multiband import EnsembleConfig, StepTask, learn_statistics
from goodricke.training.loop import LoopConfig, Run, train

FLOOR = 0.3  # added to errors in quadrature, in standard deviations of the predicted quantity
SINCE, CHANGE = 1, 3  # columns of a step's window: time and magnitude since the band's previous observation
CONFIG, WEIGHTS = "encoder.json", "encoder.safetensors"


class PretrainingConfig(LoopConfig):
    """The ``[pretraining]`` section: the loop's settings, and the hidden points."""

    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1)
    rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warmup: float = Field(0.5, ge=0)
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    hidden: float = Field(0.4, gt=0, lt=1, description="fraction of points hidden (ASTRAFier)")
    run: int = Field(
        8, ge=1, description="number of neighbours hidden together in half of the light curves (ASTRAFier)"
    )
    validation: float = Field(0.05, gt=0, lt=1, description="fraction of the stars that select the best epoch")


# ---- ASTRAFier: hidden points ---------------------------------------------------------------------------------------


def sample_hidden(mask: Tensor, fraction: float, run: int, generator: torch.Generator | None = None) -> Tensor:
    """Return a random selection of points to hide, bool (B, T).

    Parameters
    ----------
    mask : Tensor (B, T), bool
        True for points.
    fraction : float
        Of each light curve's points, at least one and never all of several.
    run : int
        In half of the light curves, at random, about this many neighbours are hidden together: single points can be
        interpolated, gaps can not.
    generator : torch.Generator, optional
        Of the random numbers; PyTorch's own by default.
    """
    noise = torch.rand(mask.shape, generator=generator)  # (B, T)
    smooth = F.avg_pool1d(noise, run, 1, run // 2, count_include_pad=False)[:, : mask.shape[1]]  # (B, T)
    together = torch.rand(len(mask), 1, generator=generator) < 0.5  # (B, 1)
    rank = torch.where(mask, torch.where(together, smooth, noise), 2.0).argsort(1).argsort(1)  # (B, T)
    number = mask.sum(1, keepdim=True)  # (B, 1)
    n_hidden = (fraction * number).round().clamp(min=1).minimum((number - 1).clamp(min=1))
    return (rank < n_hidden) & mask


def huber_loss(difference: Tensor, error: Tensor) -> Tensor:
    """Return Huber's loss of differences over their errors plus `FLOOR` in quadrature, any shape."""
    scaled = difference / (error.square() + FLOOR**2).sqrt()
    return F.smooth_l1_loss(scaled, torch.zeros_like(scaled), reduction="none")


def make_decoder(size: int, hidden: int) -> nn.Sequential:
    """Return a small decoder from ``size`` numbers to a brightness."""
    return nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, 1))


class HiddenPoints(nn.Module):
    """ASTRAFier with a token in place of hidden points, and a decoder of its output at every point."""

    def __init__(self, network: Astrafier) -> None:
        super().__init__()
        d = network.config.embed
        self.network = network
        self.token = nn.Parameter(0.02 * torch.randn(d))
        self.decoder = make_decoder(d, 2 * d)

    def forward(self, values: Tensor, time: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
        """Return the brightness (B, T) of all points; of the ``hidden`` ones (B, T) only the time is input."""
        begin_pass(values)
        x = torch.where(hidden.unsqueeze(2), self.token, self.network.embed(values))  # (B, T, d)
        for block in self.network.blocks:
            x = block(x, time, mask)  # (B, T, d)
        return self.decoder(x).squeeze(2).float()


class MaskedPoints:
    """Prediction of hidden points: a `goodricke.training.loop.Task`.

    Parameters
    ----------
    network : HiddenPoints
    prepared : Frames (n objects)
    validation : int64 (v,)
        Rows of the validation objects, with the same hidden points after every epoch.
    config : PretrainingConfig
    """

    def __init__(
        self, network: HiddenPoints, prepared: Frames, validation: NDArray[np.int64], config: PretrainingConfig
    ) -> None:
        self.network, self.prepared, self.validation, self.config = network, prepared, validation, config
        self.device = next(network.parameters()).device

    def begin(self, epoch: int) -> None:
        """Do nothing: hidden points derive from PyTorch's random numbers, which the loop seeds."""

    def prepare_ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """Yield the batches."""
        yield from batches

    def phases(self, step: int) -> tuple[str]:
        """Return the only phase of a batch."""
        return ("all",)

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return all parameters as one group."""
        return [list(self.network.parameters())]

    def microbatches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split a batch into microbatches of about equal length that fit in memory."""
        for bucket in length_buckets(self.prepared.padded[rows], self.config.points, len(rows)):
            yield rows[bucket]

    def loss(self, rows: NDArray[np.int64], phase: str = "all") -> tuple[Tensor, float]:
        """Return the loss summed over the hidden points of ``rows``, and their number."""
        sums, number = self._losses(rows)
        return sums[0], number

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the mean loss of the validation objects, and its reduction relative to predicting the mean."""
        self.network.eval()
        generator = torch.Generator().manual_seed(self.config.seed)
        return _figures([self._losses(rows, generator) for rows in self.microbatches(self.validation)])

    def _losses(self, rows: NDArray[np.int64], generator: torch.Generator | None = None) -> tuple[Tensor, float]:
        """Return the summed losses of the network and of the mean, 0, (2,), and the number of hidden points."""
        batch = self.prepared.batch(rows)
        mask = torch.ones(batch.time.shape, dtype=torch.bool) if batch.mask is None else batch.mask
        hidden = sample_hidden(mask, self.config.hidden, self.config.run, generator)
        number = float(hidden.sum())
        values, time, mask, hidden = (x.to(self.device) for x in (batch.values, batch.time, mask, hidden))
        truth = values[..., 0][hidden]
        error = values[..., 1][hidden] if values.shape[2] > 1 else torch.zeros_like(truth)
        guess = self.network(values, time, mask, hidden)[hidden]
        return torch.stack([huber_loss(guess - truth, error).sum(), huber_loss(truth, error).sum()]), number


def _figures(parts: Sequence[tuple[Tensor, float]]) -> dict[str, float]:
    """Return the validation figures from sums of losses."""
    network_sum, mean_sum = torch.stack([sums for sums, _ in parts]).double().sum(0).tolist()
    loss = network_sum / max(sum(number for _, number in parts), 1)
    return {"validation_loss": loss, "explained": 1 - network_sum / max(mean_sum, 1e-12), "score": -loss}


# ---- the multi-band ensemble: the next observation -----------------------------------------------------------------


class NextObservation(nn.Module):
    """The ensemble with decoders of each band's next observation, and of the next one in any band."""

    def __init__(self, network: Multiband) -> None:
        super().__init__()
        h, bands = network.config.hidden, network.config.bands
        self.network = network
        self.bands = nn.ModuleList(make_decoder(h + 1, h) for _ in range(bands))
        self.central = make_decoder(h + 1 + bands, h)

    def forward(self, batch: StepBatch, band: Tensor, later: Tensor, then: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict changes of magnitude at later steps, in units of each band's standard deviation of changes.

        Parameters
        ----------
        batch : StepBatch
            M steps.
        band : Tensor (M,), int64
        later : Tensor (M,), int64
            Each step's next step in the same band; -1 for a band's last one.
        then : Tensor (M,), int64
            Each step's next step in any band; -1 for an object's last one.

        Returns
        -------
        windows : Tensor (M, width)
            Standardised input of the band networks.
        band_prediction : Tensor (M,)
            Prediction of each band for step ``later``; 0 where there is none.
        central_prediction : Tensor (M,)
            Prediction of the central network for step ``then``; 0 where there is none.
        """
        windows, band_prediction = torch.zeros_like(batch.window), batch.window.new_zeros(len(batch.window))
        states = []
        for b, series in enumerate(batch.bands):
            network: BandNetwork = self.network.band_modules(b)[0]
            windows = windows.index_copy(0, series.steps, network.standard(batch.window[series.steps]))
            outputs = network.recurrent(windows[series.steps], series.sizes) if len(series.steps) else []
            states.append([y.detach() for y in outputs])  # no gradient from the central network (section 3.6)
            follows = later[series.steps] >= 0
            if follows.any():
                step = series.steps[follows]
                wait = windows[later[step], SINCE : SINCE + 1]
                prediction = self.bands[b](torch.cat([network.mixture(outputs)[follows], wait], 1)).squeeze(1)
                band_prediction = band_prediction.index_copy(0, step, prediction.float())
        follows = then >= 0
        hidden, _ = self.network.represent(batch, states)
        band_code = F.one_hot(band[then[follows]], len(self.bands)).float()  # (M', bands)
        wait = torch.cat([windows[then[follows], SINCE : SINCE + 1], band_code], 1)
        prediction = self.central(torch.cat([self.network.central.mixture(hidden)[follows], wait], 1)).squeeze(1)
        return windows, band_prediction, torch.zeros_like(band_prediction).masked_scatter(follows, prediction.float())


def next_of_group(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the next element of the same group, (M,); -1 for the last of a group."""
    order = np.argsort(group, kind="stable")
    result = np.full(len(group), -1)
    same = group[order[1:]] == group[order[:-1]]
    result[order[:-1][same]] = order[1:][same]
    return result


class Forecast(StepTask):
    """Prediction of the next observation: a `goodricke.training.loop.Task`, see `StepTask`.

    Parameters
    ----------
    network : NextObservation
    curves : LightCurves (n)
    preprocessing : MultibandConfig
    validation : int64 (v,)
    ensemble : EnsembleConfig
        Of the augmentation.
    config : PretrainingConfig
    """

    network: NextObservation

    def __init__(
        self,
        network: NextObservation,
        curves: LightCurves,
        preprocessing: MultibandConfig,
        validation: NDArray[np.int64],
        ensemble: EnsembleConfig,
        config: PretrainingConfig,
    ) -> None:
        label, targets = np.zeros(len(curves), np.int64), np.zeros((len(curves), 0), np.float32)
        weights = np.ones(1, np.float32)
        super().__init__(
            network,
            curves,
            preprocessing,
            label,
            targets,
            validation,
            weights,
            ensemble,
            config.points,
            seed=config.seed,
        )

    def phases(self, step: int) -> tuple[str]:
        """Return the only phase of a batch."""
        return ("all",)

    def clip_groups(self, phase: str) -> list[list[nn.Parameter]]:
        """Return all parameters; each network's gradient is clipped separately."""
        network = self.network
        parts = [[network.network.bands[b], network.bands[b]] for b in range(len(network.bands))]
        parts.append([network.network.central, network.central])
        return [[p for part in parts_of for p in part.parameters() if p.requires_grad] for parts_of in parts]

    def loss(self, rows: NDArray[np.int64], phase: str = "all") -> tuple[Tensor, float]:
        """Return the loss summed over the predictions of ``rows``, and their number."""
        sums, number = self._losses(self.steps.take(rows))
        return sums[0], number

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the mean loss of the validation objects, and its reduction relative to predicting the mean change."""
        self.network.eval()
        rows = self.validation[self.complete_steps.usable[self.validation]]
        batches = length_buckets(self.complete_steps.n_points[rows], self.points, len(rows))
        return _figures([self._losses(self.complete_steps.take(rows[batch])) for batch in batches])

    def _losses(self, steps: Steps) -> tuple[Tensor, float]:
        """Return the summed losses of the network and of the mean, 0, (2,), and the number of predictions."""
        owner = ragged.owner(steps.offsets)
        later = next_of_group(owner * steps.bands + steps.band)
        arrays = (steps.band.astype(np.int64), later, next_of_group(owner), steps.error)
        band, later_step, then, error = (torch.from_numpy(x).to(self.device) for x in arrays)
        windows, band_prediction, central_prediction = self.network(
            steps.batch().to(self.device), band, later_step, then
        )
        spread = torch.stack([self.network.network.band_modules(b)[0].standard.std[CHANGE] for b in range(steps.bands)])
        error = np.sqrt(2) * error / spread[band]  # of a change: that of two observations
        sums = torch.zeros(2, device=self.device)
        for prediction, following in ((band_prediction, later_step), (central_prediction, then)):
            has_next = following >= 0
            truth, size = windows[following[has_next], CHANGE], error[following[has_next]]
            sums = sums + torch.stack(
                [huber_loss(prediction[has_next] - truth, size).sum(), huber_loss(truth, size).sum()]
            )
        return sums, float((arrays[1] >= 0).sum() + (arrays[2] >= 0).sum())


# ---- the fit and the encoder ----------------------------------------------------------------------------------------


def pretrain(
    network: Astrafier | Multiband,
    curves: LightCurves,
    preprocessing: Any,
    prepared: Prepared,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    config: PretrainingConfig,
    progress: RunProgress,
    ensemble: EnsembleConfig | None = None,
) -> Run:
    """Pre-train a network in place.

    Parameters
    ----------
    network : Astrafier or Multiband
    curves, preprocessing, prepared
        n light curves, their preprocessing, and its result.
    training, validation : int64
        Rows, usable ones.
    config : PretrainingConfig
    progress : RunProgress
    ensemble : EnsembleConfig, optional
        Of the augmentation of a multi-band network; none by default.
    """
    device = next(network.parameters()).device
    task: Any
    if isinstance(network, Multiband) and isinstance(prepared, Steps):
        learn_statistics(network, prepared.take(training), range(network.config.bands), range(network.config.extras))
        forecaster, disturb = NextObservation(network).to(device), ensemble or EnsembleConfig()
        task = Forecast(forecaster, curves, preprocessing, validation, disturb, config)
    elif isinstance(network, Astrafier) and isinstance(prepared, Frames):
        task = MaskedPoints(HiddenPoints(network).to(device), prepared, validation, config)
    else:
        raise TypeError(f"a {type(network).__name__} network doesn't fit {preprocessing.kind} preprocessing")
    parameters = [p for group in task.clip_groups("all") for p in group]
    groups = [{"params": parameters, "lr": config.rate}]
    return train(task, training, groups, config, *progress)


def remove_heads(network: nn.Module) -> nn.Module:
    """Remove the classification heads, which pre-training doesn't fit, and return the network."""
    for module in list(network.modules()):
        if "head" in module._modules:
            module._modules["head"] = nn.Sequential()
    return network


def save_encoder(config: BundleConfig, network: nn.Module, folder: Path) -> Path:
    """Write an encoder, ``encoder.json`` and ``encoder.safetensors``; return the folder."""
    state = remove_heads(network).state_dict()
    with atomic_folder(folder) as partial:
        (partial / WEIGHTS).write_bytes(save({name: x.detach().cpu().contiguous() for name, x in state.items()}))
        (partial / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
    return folder


def load_initial(name: str) -> Model:
    """Load the model of ``[training] init``: an encoder's folder, or a model as in `goodricke.load_model`.

    An encoder becomes a model without classes and with empty heads.
    """
    folder = Path(name)
    if not (folder / CONFIG).exists():
        return load_model(name)
    config = BundleConfig.model_validate_json((folder / CONFIG).read_text())
    family = FAMILIES[config.family]
    network = remove_heads(family.network(family.config.model_validate(config.network)))
    network.load_state_dict(load_file(folder / WEIGHTS))
    return Model(config, network.eval(), folder=folder)
