"""The multi-band ensemble: one recurrent network per band and a central one over all (Becker et al. 2025, section 3).

Read from the top: configuration, the recurrent stack, the network of a band, the central network, the ensemble, and
its stateful update. Each new observation costs one step of its band's network and one of the central network, however
long the light curve is; the whole sequence and the stepwise update give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from goodricke import ragged
from goodricke.preprocess.multiband import Steps

Cells = tuple[Tensor, Tensor]  # hidden and cell state of every layer, each (B, L, h)


class MultibandNetworkConfig(BaseModel):
    """Sizes of the ensemble; the paper's for ZTF are the defaults (spec: 383,500 per band, 430,993 central)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: int = Field(ge=1)
    classes: int = Field(ge=2)
    hidden: int = 128
    band_layers: int = 3
    central_layers: int = 2
    head: tuple[int, ...] = Field((128, 128, 128), description="widths of the classification heads")
    dropout: float = Field(0.3, ge=0, lt=1, description="in the heads of the bands")
    raw_input: bool = Field(False, description="the central network also sees the raw window (the paper's Gaia model)")
    targets: int = Field(0, description="physical parameters regressed from the central state")

    @property
    def extras(self) -> int:
        """Numbers appended to the central state: colours and the time since the previous observation."""
        return self.bands * (self.bands - 1) // 2 + 1


class Recurrent(nn.Module):
    """LSTM layers with a skip connection and a LayerNorm between them, and a learned mean of all of them (Eq. 3).

    Layer 2 reads ``LN(h1 + W x)``, layer 3 ``LN(h2 + input of layer 2)``: a true skip in every layer.

    Parameters
    ----------
    size, hidden, layers : int
    bias : bool
        Of the projection of the input to the first skip.
    """

    def __init__(self, size: int, hidden: int, layers: int, bias: bool) -> None:
        super().__init__()
        sizes = [size] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(_single_bias(nn.LSTM(s, hidden, batch_first=True)) for s in sizes)
        self.project = nn.Linear(size, hidden, bias=bias) if layers > 1 else None
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers - 1))

    def forward(self, x: Tensor, cells: Cells | None = None) -> tuple[list[Tensor], Cells]:
        """Read ``x`` (B, T, size) on from ``cells``; return the layers' outputs, each (B, T, h), and the new cells."""
        outputs: list[Tensor] = []
        hidden, memory = [], []
        below = x  # (B, T, size), then (B, T, h)
        for k, layer in enumerate(self.layers):
            before = None if cells is None else tuple(c[:, k].unsqueeze(0).contiguous() for c in cells)
            y, (h, c) = layer(below, before)  # (B, T, h)
            outputs.append(y)
            hidden.append(h[0])
            memory.append(c[0])
            if k < len(self.norms):
                skip = self.project(x) if k == 0 and self.project is not None else below
                below = self.norms[k](y + skip)
        return outputs, (torch.stack(hidden, 1), torch.stack(memory, 1))


def _single_bias(lstm: nn.LSTM) -> nn.LSTM:
    """Freeze one of PyTorch's two biases at zero, and set the forget gate's to one."""
    weights = dict(lstm.named_parameters())
    h = lstm.hidden_size
    with torch.no_grad():
        weights["bias_hh_l0"].zero_().requires_grad_(False)
        weights["bias_ih_l0"].zero_()[h : 2 * h] = 1
        nn.init.orthogonal_(weights["weight_hh_l0"])
        nn.init.xavier_uniform_(weights["weight_ih_l0"])
    return lstm


class Mixture(nn.Module):
    """A weighted mean of ``count`` tensors with learned softmax weights (Eq. 3)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(count))

    def forward(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the weighted mean of tensors of one shape."""
        weights = torch.softmax(self.alpha, 0)
        return sum((w * x for w, x in zip(weights, tensors, strict=True)), torch.zeros_like(tensors[0]))


class Head(nn.Module):
    """Dense layers with batch normalisation, then ``out`` numbers; rows are steps, never padding.

    At inference the normalisation uses running statistics: a row's answer doesn't depend on the others.
    """

    def __init__(self, size: int, widths: Sequence[int], out: int, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(size, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, out))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (M, size) to (M, out)."""
        return self.layers(x)


class BandNetwork(nn.Module):
    """The network of one band (section 3.2), trained alone on its band's light curves."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        self.recurrent = Recurrent(4, c.hidden, c.band_layers, bias=True)
        self.mixture = Mixture(c.band_layers)
        self.head = Head(c.hidden, c.head, c.classes, c.dropout)

    def forward(self, window: Tensor, mask: Tensor) -> Tensor:
        """Return the logits (M, classes) of the steps of ``window`` (B, T, 4) in ``mask`` (B, T), row by row."""
        outputs, _ = self.recurrent(window)
        return self.head(self.mixture(outputs)[mask])


class Translation(nn.Module):
    """From a band's hidden states to the common language of the central network (section 3.3)."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        h = c.hidden
        self.raw = nn.Linear(4, h) if c.raw_input else None
        self.mixture = Mixture(c.band_layers + c.raw_input)
        self.norm = nn.LayerNorm(h)
        self.dense = nn.Sequential(*[layer for _ in range(3) for layer in (nn.Linear(h, h), nn.ReLU())])

    def forward(self, window: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Map a band's windows (..., 4) and layer outputs, each (..., h), to (..., h)."""
        states = [*outputs] if self.raw is None else [self.raw(window), *outputs]
        return self.dense(self.norm(self.mixture(states)))


class CentralNetwork(nn.Module):
    """The network over all bands' states in order of time (section 3.3)."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        self.translations = nn.ModuleList(Translation(c) for _ in range(c.bands))
        self.norm = nn.LayerNorm(c.hidden)
        self.recurrent = Recurrent(c.hidden, c.hidden, c.central_layers, bias=False)
        self.mixture = Mixture(c.central_layers)
        self.head = Head(c.hidden + c.extras, c.head, c.classes)
        self.regressions = nn.ModuleList(Head(c.hidden + c.extras, (128, 128), 1) for _ in range(c.targets))
        self.register_buffer("extras_mean", torch.zeros(c.extras))
        self.register_buffer("extras_std", torch.ones(c.extras))

    extras_mean: Tensor
    extras_std: Tensor

    def features(self, outputs: Sequence[Tensor], extras: Tensor) -> Tensor:
        """Join the mixed layer outputs (..., h) and standardised extras (..., extras); an unknown colour is average."""
        known = torch.nan_to_num((extras - self.extras_mean) / self.extras_std)
        return torch.cat([self.mixture(outputs), known], -1)  # (..., h + extras)


class Answer(NamedTuple):
    """What the ensemble says after each step."""

    logits: Tensor  # (M, classes)
    embedding: Tensor  # (M, hidden + extras)
    targets: Tensor  # (M, targets), standardised


class StepBatch(NamedTuple):
    """Steps of B objects, flat in order of object and time; see `goodricke.preprocess.multiband.Steps`."""

    window: Tensor  # (M, 4)
    extras: Tensor  # (M, extras): colours, NaN if unknown, then the time since the previous observation
    band: Tensor  # (M,) int64
    row: Tensor  # (M,) int64, the object of each step
    place: Tensor  # (M,) int64, position among the object's steps
    band_place: Tensor  # (M,) int64, position among the object's steps in the same band
    size: int  # B


def step_batch(steps: Steps) -> StepBatch:
    """Return the steps of objects as tensors."""
    row = ragged.owner(steps.offsets)
    place = np.arange(len(row)) - ragged.spread(steps.offsets[:-1], steps.offsets)
    extras = np.concatenate([steps.colour, steps.wait[:, None]], 1)
    arrays = (steps.window, extras, steps.band.astype(np.int64), row, place, steps.rank)
    window, colours, band, rows, places, band_places = (torch.from_numpy(x) for x in arrays)
    return StepBatch(window, colours, band, rows, places, band_places, len(steps))


class Multiband(nn.Module):
    """The ensemble. Band networks are independent of each other and of the central one: they can be trained alone."""

    def __init__(self, config: MultibandNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.bands = nn.ModuleList(BandNetwork(config) for _ in range(config.bands))
        self.central = CentralNetwork(config)

    def of_band(self, b: int) -> tuple[BandNetwork, Translation]:
        """Return the network of a band and its translation into the central network's language."""
        return cast(BandNetwork, self.bands[b]), cast(Translation, self.central.translations[b])

    def forward(self, batch: StepBatch) -> Answer:
        """Answer after every step of whole light curves. No gradient reaches the band networks (section 3.6)."""
        states = self._translated(batch)  # (M, h)
        length = int(batch.place.max()) + 1 if len(batch.place) else 1
        sequence = states.new_zeros(batch.size, length, self.config.hidden)  # (B, D, h)
        sequence[batch.row, batch.place] = self.central.norm(states)
        outputs, _ = self.central.recurrent(sequence)
        return self._answer([y[batch.row, batch.place] for y in outputs], batch.extras)

    def _translated(self, batch: StepBatch) -> Tensor:
        """Return every step's band state in the central network's language, (M, h)."""
        result = batch.window.new_zeros(len(batch.window), self.config.hidden)
        for b in range(self.config.bands):
            network, translation = self.of_band(b)
            mine = (batch.band == b).nonzero()[:, 0]  # (M_b,)
            if not len(mine):
                continue
            row, place = batch.row[mine], batch.band_place[mine]
            padded = batch.window.new_zeros(batch.size, int(place.max()) + 1, 4)  # (B, T, 4)
            padded[row, place] = batch.window[mine]
            with torch.no_grad():
                outputs, _ = network.recurrent(padded)
            result = result.index_copy(0, mine, translation(batch.window[mine], [y[row, place] for y in outputs]))
        return result

    def _answer(self, outputs: Sequence[Tensor], extras: Tensor) -> Answer:
        features = self.central.features(outputs, extras)  # (M, h + extras)
        targets = [head(features) for head in self.central.regressions]  # each (M, 1)
        joined = torch.cat(targets, 1) if targets else features[:, :0]
        return Answer(self.central.head(features), features, joined)

    # ---- the stateful update ----------------------------------------------------------------------------------

    def init_state(self, n: int, dtype: torch.dtype = torch.float32) -> MultibandState:
        """Return the state of ``n`` objects before their first step: zeros."""
        c = self.config
        bands = torch.zeros(n, c.bands, 2, c.band_layers, c.hidden, dtype=dtype)
        return MultibandState(bands, torch.zeros(n, 2, c.central_layers, c.hidden, dtype=dtype))

    @torch.inference_mode()
    def update(
        self, state: MultibandState, rows: Tensor, band: Tensor, window: Tensor, extras: Tensor
    ) -> tuple[MultibandState, Answer]:
        """Take one new step of each of some objects: one step of each one's band network, one of the central network.

        Parameters
        ----------
        state : MultibandState
            Of n objects; left as it is.
        rows : int64 (B,)
            Objects that have a new step, each once.
        band : int64 (B,)
        window, extras : (B, 4), (B, extras)
            As in `StepBatch`.

        Returns
        -------
        MultibandState
            Of the n objects.
        Answer
            Of the B objects, equal to what `forward` says at the same step.

        Raises
        ------
        ValueError
            If an object comes twice: its second step needs the state after the first.
        """
        if len(rows.unique()) < len(rows):
            raise ValueError("an object comes twice in one update; make one update per step")
        bands, central = state.bands.clone(), state.central.clone()
        states = window.new_zeros(len(rows), self.config.hidden)  # (B, h)
        for b in band.unique().tolist():
            mine = (band == b).nonzero()[:, 0]
            cells = bands[rows[mine], b].float()  # (B_b, 2, L, h)
            network, translation = self.of_band(b)
            outputs, (h, c) = network.recurrent(window[mine].unsqueeze(1), (cells[:, 0], cells[:, 1]))
            bands[rows[mine], b] = torch.stack([h, c], 1).to(bands.dtype)
            states[mine] = translation(window[mine], [y[:, 0] for y in outputs])
        cells = central[rows].float()  # (B, 2, L, h)
        outputs, (h, c) = self.central.recurrent(self.central.norm(states).unsqueeze(1), (cells[:, 0], cells[:, 1]))
        central[rows] = torch.stack([h, c], 1).to(central.dtype)
        return MultibandState(bands, central), self._answer([y[:, 0] for y in outputs], extras)

    def n_parameters(self, part: nn.Module | None = None) -> int:
        """Return the number of trainable parameters of the ensemble or of a part of it."""
        return sum(p.numel() for p in (part or self).parameters() if p.requires_grad)


@dataclass(frozen=True)
class MultibandState:
    """Recurrent state of n objects; zeros in a band that has no step yet.

    Parameters
    ----------
    bands : Tensor (n, bands, 2, band layers, h)
        Hidden and cell states of the band networks.
    central : Tensor (n, 2, central layers, h)
    """

    bands: Tensor
    central: Tensor
