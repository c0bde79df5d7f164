"""The multi-band ensemble: one recurrent network per band and a central one over all (Becker et al. 2025, section 3).

From the top: configuration, the recurrent stack, the network of a band, the central network, the ensemble. Each new
observation costs one step of its band's network and one of the central network, for light curves of any length. The
complete sequence (`Multiband.forward`) and single steps (`Multiband.step`) give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from goodricke.models.output import NetworkOutput
from goodricke.preprocess.tensors import StepBatch

BLOCK = 32  # steps that are padded together

Cells = tuple[Tensor, Tensor]  # hidden and cell state of every layer, each (B, L, h)


class MultibandNetworkConfig(BaseModel):
    """Sizes of the ensemble; the paper's for ZTF are the defaults (spec: 383,500 per band, 430,993 central)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: int = Field(ge=1)
    classes: int = Field(ge=2)
    hidden: int = Field(128, description="width of each recurrent layer")
    band_layers: int = Field(3, ge=1, description="recurrent layers of the network of each band")
    central_layers: int = Field(2, ge=1, description="recurrent layers of the central network")
    head: tuple[int, ...] = Field((128, 128, 128), description="widths of the classification heads")
    dropout: float = Field(0.3, ge=0, lt=1, description="in the heads of the bands")
    central_dropout: float = Field(0.0, ge=0, lt=1, description="in the central head, none in the paper")
    raw_input: bool = Field(False, description="the central network also sees the raw window (the paper's Gaia model)")
    width: int = Field(4, ge=1, description="numbers per step, 4 in the paper")
    context: int = Field(0, ge=0, description="numbers per object for the central network")
    targets: int = Field(0, ge=0, description="physical parameters regressed from the central state")

    @property
    def extras(self) -> int:
        """Numbers appended to the central state (colours, the time since the previous observation, context)."""
        return self.bands * (self.bands - 1) // 2 + 1 + self.context


class Recurrent(nn.Module):
    """LSTM layers with a skip connection and a LayerNorm between them (Eq. 3).

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
        self.layers = nn.ModuleList(_single_bias(nn.LSTM(s, hidden)) for s in sizes)
        self.project = nn.Linear(size, hidden, bias=bias) if layers > 1 else None
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers - 1))

    def forward(self, x: Tensor, sizes: Tensor) -> list[Tensor]:
        """Return the layers' outputs, each (M, h), after every step of whole sequences.

        Parameters
        ----------
        x : (M, size)
            Steps in packed order, see `goodricke.preprocess.tensors.PackedSteps`; the outputs are too.
        sizes : int64 (T,)
            Number of sequences with a first, second, ... step.
        """
        outputs: list[Tensor] = []
        below = x  # (M, size), then (M, h)
        for k, layer in enumerate(self.layers):
            outputs.append(run_packed(cast(nn.LSTM, layer), below, sizes))
            below = self.between(k, x, below, outputs[-1])
        return outputs

    def step(self, x: Tensor, cells: Cells) -> tuple[list[Tensor], Cells]:
        """Read one step ``x`` (B, size) on from ``cells``; return the layers' outputs, each (B, h), and new cells."""
        outputs: list[Tensor] = []
        memory: list[Tensor] = []
        below = x
        for k, layer in enumerate(self.layers):
            before = cells[0][None, :, k].contiguous(), cells[1][None, :, k].contiguous()
            _, (h, c) = layer(below[None], before)  # a sequence of one
            outputs.append(h[0])
            memory.append(c[0])
            below = self.between(k, x, below, h[0])
        return outputs, (torch.stack(outputs, 1), torch.stack(memory, 1))

    def between(self, k: int, x: Tensor, below: Tensor, y: Tensor) -> Tensor:
        """Return the input of layer ``k + 1``: output ``y`` plus input of layer ``k``, normalised."""
        if k == len(self.norms):  # the last layer
            return y
        return self.norms[k](y + (self.project(x) if k == 0 and self.project is not None else below))


def run_packed(lstm: nn.LSTM, x: Tensor, sizes: Tensor) -> Tensor:
    """Run an LSTM over packed sequences; return its outputs (M, h), packed.

    PyTorch's packed sequences copy the complete gradient at every step where a sequence ends, and are slower forwards
    too. Here blocks of `BLOCK` steps are padded to the number of sequences at the block's start. The longest sequences
    come first, so that the state of the next block is a prefix of its rows.
    """
    outputs, start, state = [], 0, None
    for block in sizes.split(BLOCK):
        rows, count = int(block[0]), int(block.sum())
        place = torch.cat([t * rows + torch.arange(int(n)) for t, n in enumerate(block)]).to(x.device)
        padded = x.new_zeros(len(block) * rows, x.shape[1]).index_copy(0, place, x[start : start + count])
        state = None if state is None else tuple(s[:, :rows].contiguous() for s in state)
        y, state = lstm(padded.view(len(block), rows, -1), state)  # (T, B, h)
        outputs.append(y.reshape(len(block) * rows, -1).index_select(0, place))
        start += count
    return torch.cat(outputs)


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


class Standard(nn.Module):
    """Standardise numbers by the training set's mean and standard deviation; NaN becomes the mean.

    The result is clipped to ten standard deviations. Before a fit sets the statistics, the mean is 0 and the standard
    deviation 1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    mean: Tensor
    std: Tensor

    def learn(self, x: Tensor) -> None:
        """Set mean and standard deviation to those of ``x`` (M, size); a column that hardly varies is only centred."""
        finite = x.isfinite()
        count = finite.sum(0).clamp(min=1)
        mean = torch.where(finite, x, 0).double().sum(0) / count
        spread = (torch.where(finite, (x - mean) ** 2, 0).sum(0) / count).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(spread > 1e-3, spread, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise numbers (..., size)."""
        return torch.nan_to_num((x - self.mean) / self.std, nan=0.0).clamp(-10, 10)


class Head(nn.Module):
    """Dense layers with batch normalisation, then ``out`` numbers; rows are steps, never padding.

    At inference the normalisation uses running statistics: a row's output doesn't depend on other rows.
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
        if self.training and len(x) == 1:  # one row has no batch statistics
            self.eval()
            y = self.layers(x)
            self.train()
            return y
        return self.layers(x)


class BandNetwork(nn.Module):
    """The network of one band (section 3.2), trained on its band's light curves only."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        self.standard = Standard(c.width)
        self.recurrent = Recurrent(c.width, c.hidden, c.band_layers, bias=True)
        self.mixture = Mixture(c.band_layers)
        self.head = Head(c.hidden, c.head, c.classes, c.dropout)

    def forward(self, window: Tensor, sizes: Tensor) -> Tensor:
        """Return the logits (M, classes) after every step of ``window`` (M, width), in packed order."""
        return self.head(self.mixture(self.recurrent(self.standard(window), sizes)))


class Translation(nn.Module):
    """The map from a band's hidden states to the central network's common representation (section 3.3)."""

    def __init__(self, c: MultibandNetworkConfig) -> None:
        super().__init__()
        h = c.hidden
        self.raw = nn.Linear(c.width, h) if c.raw_input else None
        self.mixture = Mixture(c.band_layers + c.raw_input)
        self.norm = nn.LayerNorm(h)
        self.dense = nn.Sequential(*[layer for _ in range(3) for layer in (nn.Linear(h, h), nn.ReLU())])

    def forward(self, window: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Map a band's standardised windows (M, width) and layer outputs, each (M, h), to (M, h)."""
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
        self.standard = Standard(c.extras)
        self.head = Head(c.hidden + c.extras, c.head, c.classes, c.central_dropout)
        self.regressions = nn.ModuleList(Head(c.hidden + c.extras, (128, 128), 1) for _ in range(c.targets))


class Multiband(nn.Module):
    """The ensemble. Band networks are independent of each other and of the central one, also in training."""

    stochastic = False  # no Monte-Carlo passes: the central head has no dropout in the paper

    def __init__(self, config: MultibandNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.bands = nn.ModuleList(BandNetwork(config) for _ in range(config.bands))
        self.central = CentralNetwork(config)

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self.config.hidden + self.config.extras

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def band_modules(self, b: int) -> tuple[BandNetwork, Translation]:
        """Return the network of a band and its translation to the central network."""
        return cast(BandNetwork, self.bands[b]), cast(Translation, self.central.translations[b])

    # ---- complete light curves --------------------------------------------------------------------------------

    def forward(self, batch: StepBatch) -> NetworkOutput:
        """Return the output after every step of complete light curves, in the order of ``batch.window``."""
        return self.read_out(*self.represent(batch, self.band_states(batch)))

    def output(self, batch: StepBatch) -> NetworkOutput:
        """Return the output after the last step of each light curve with steps."""
        hidden, extras = self.represent(batch, self.band_states(batch))
        return self.read_out([h[batch.last] for h in hidden], extras[batch.last])

    @torch.no_grad()
    def band_states(self, batch: StepBatch) -> list[list[Tensor]]:
        """Return the layer outputs of every band, (M_b, h) each, in packed order.

        No gradient reaches the band networks from the central one (section 3.6).
        """
        return [
            self.band_modules(b)[0].recurrent(
                self.band_modules(b)[0].standard(batch.window[series.steps]), series.sizes
            )
            if len(series.steps)
            else []
            for b, series in enumerate(batch.bands)
        ]

    def represent(self, batch: StepBatch, states: list[list[Tensor]]) -> tuple[list[Tensor], Tensor]:
        """Run the central network over the bands' states; return its layers' outputs, each (M, h), and the extras."""
        translated = batch.window.new_zeros(len(batch.window), self.config.hidden)  # (M, h)
        for b, series in enumerate(batch.bands):
            if len(series.steps):
                network, translation = self.band_modules(b)
                states_of_band = translation(network.standard(batch.window[series.steps]), states[b])
                translated = translated.index_copy(0, series.steps, states_of_band.to(translated.dtype))
        if not len(translated):
            return [translated] * self.config.central_layers, batch.extras
        packed = self.central.norm(translated).index_select(0, batch.objects.steps)
        outputs = self.central.recurrent(packed, batch.objects.sizes)
        return [torch.empty_like(y).index_copy(0, batch.objects.steps, y) for y in outputs], batch.extras

    def read_out(self, hidden: Sequence[Tensor], extras: Tensor) -> NetworkOutput:
        """Return the output from the central layers' hidden states (M, h) and extras (M, extras)."""
        standardised = self.central.standard(extras)
        features = torch.cat([self.central.mixture(hidden), standardised], -1)  # (M, h + extras)
        targets = [head(features) for head in self.central.regressions]  # each (M, 1)
        joined = torch.cat(targets, 1) if targets else features[:, :0]
        return NetworkOutput(self.central.head(features), features, features, joined)

    # ---- one step at a time -----------------------------------------------------------------------------------

    def step(self, band: int, window: Tensor, bands: Cells, central: Cells) -> tuple[Cells, Cells]:
        """Take one step of B objects in one band: one step of the band's network, one of the central network.

        Parameters
        ----------
        band : int
        window : (B, width)
        bands : two of (B, band layers, h)
            Cells of this band's network.
        central : two of (B, central layers, h)

        Returns
        -------
        bands, central : Cells
            After the step; ``central[0]`` is the input of `read_out`.
        """
        network, translation = self.band_modules(band)
        standard = network.standard(window)
        outputs, bands = network.recurrent.step(standard, bands)
        _, central = self.central.recurrent.step(self.central.norm(translation(standard, outputs)), central)
        return bands, central
