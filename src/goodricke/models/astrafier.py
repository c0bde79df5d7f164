"""ASTRAFier: a BiLSTM, a Transformer encoder and a multi-scale CNN in each of three blocks (Gregory et al., section 3).

From the top: configuration, the modules of a block in their order, the block, the network. Equation and section numbers
are the paper's. The default follows the paper; ``compat="published"`` follows the published code where the two differ
(positional encoding, normalisation over padding, mixed heads).

PyTorch's attention multiplies small matrices, with more overhead than arithmetic for heads of only 8 numbers. On a CPU
the compiled kernel of `goodricke.models.attention_kernel` replaces it at inference over long light curves, if numba is
installed (the extra ``goodricke[fast]``).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from math import e, log2, sqrt
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from einops import rearrange
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from goodricke.models.dropout import Dropout
from goodricke.models.layers import BiLSTM, Conv, MaskedGroupNorm, at_least_float32, masked_mean, repeat
from goodricke.models.output import NetworkOutput
from goodricke.models.runtime.gpu import begin_pass, fused
from goodricke.preprocess.dense_summary import SPECTRA
from goodricke.preprocess.tensors import Batch

LONG = 512  # frames from which on the kernel is worth its compilation
WIDEST = 16  # numbers per head up to which it is faster


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Return softmax(q k^T / sqrt(c)) v of every head (Eq. 1), (B, h, T, c).

    Parameters
    ----------
    q, k, v : Tensor (B, h, T, c)
    mask : Tensor (B, T), bool, optional
        True for points, a prefix of each row: the keys. A light curve without points attends to all frames. None where
        every frame is a point: PyTorch's fastest attention on a GPU takes no mask.
    """
    if mask is None:
        if not (_suits(q) and has_kernel()):
            return F.scaled_dot_product_attention(q, k, v)
        mask = q.new_ones(q.shape[0], q.shape[2], dtype=torch.bool)
    keys = mask | ~mask.any(1, keepdim=True)  # (B, T): all frames without a point, else NaN
    if _suits(q) and has_kernel():
        return attend_compiled(q.float(), k.float(), v.float(), keys.sum(1)).to(q.dtype)
    # one row of keys for all heads and queries, expanded without a copy where T is a multiple of 8
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keys[:, None, None])


def _suits(q: Tensor) -> bool:
    plain = q.device.type == "cpu" and q.dtype in (torch.float32, torch.bfloat16) and not torch.is_grad_enabled()
    if not plain or torch.compiler.is_compiling():  # an exported network has only standard operations, for any length
        return False
    return q.shape[2] >= LONG and q.shape[3] <= WIDEST


@cache
def has_kernel() -> bool:
    """Return whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def attend_compiled(q: Tensor, k: Tensor, v: Tensor, keys: Tensor) -> Tensor:
    """Return the result of `attend`, with the first ``keys`` (B,) frames of each light curve as keys."""
    from goodricke.models import attention_kernel

    kernel = cast(Callable[..., None], attention_kernel.attend)
    B, h, T, c = q.shape
    result = torch.empty(B * h, T, c)
    scaled = q * (log2(e) / sqrt(c))  # the kernel works with powers of two
    rows = [x.reshape(B * h, T, c).contiguous().numpy() for x in (scaled, k, v)]
    rows += [keys.repeat_interleave(h).numpy(), result.numpy()]
    threads = min(torch.get_num_threads(), B * h)
    parts = zip(*(np.array_split(x, threads) for x in rows), strict=True)
    if threads == 1:
        kernel(*next(parts), tuple(range(c)))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: kernel(*part, tuple(range(c))), parts))
    return result.view(B, h, T, c)


SPECTRUM_WIDTH = 64  # numbers that the spectra become


class AstrafierConfig(BaseModel):
    """Sizes and choices of the network; the defaults are the paper's (8,755,240 parameters)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int = Field(8, ge=2)
    embed: int = Field(64, description="embedding width d_emb")
    heads: int = Field(8, description="of the attention in each block")
    blocks: int = Field(3, description="number of blocks of BiLSTM, Transformer layer and CNN module")
    hidden: int = Field(256, description="width of the convolutional feed-forward module")
    kernels: tuple[int, ...] = Field((3, 7, 15, 111), description="of the CNN module, odd")
    dropout: float = Field(0.2, ge=0, lt=1, description="in blocks and head; also on in Monte-Carlo passes")
    channels: int = Field(1, description="numbers per observation: flux alone in the paper")
    context: int = Field(0, description="numbers per object for the head besides the embedding; none in the paper")
    spectrum: int = Field(
        0, description="bins of the amplitude spectra that the context begins with, read by convolutions; 0: none"
    )
    bilstm: bool = Field(True, description="ablation of Table 6: without it, its CNN projection goes too")
    attention: bool = Field(True, description="ablation of Table 6: the Transformer encoder")
    cnn: bool = Field(True, description="ablation of Table 6: the CNN module")
    encoding: Literal["paper", "fast"] = Field(
        "paper", description="angular frequencies 10000^(-2i/d) of Eq. 2-3, or 10000^(+2i/d) as in the published code"
    )
    projection: Literal["paper", "published"] = Field(
        "paper", description="norm and ReLU after the first two convolutions, or ReLU; norm, SiLU"
    )
    compat: Literal["paper", "published"] = Field(
        "paper", description="published: repeat the published code where it departs from the paper, for its weights"
    )

    @model_validator(mode="after")
    def _consistent(self) -> AstrafierConfig:
        if self.embed % self.heads:
            raise ValueError(f"embed={self.embed} must be a multiple of heads={self.heads}")
        if any(k % 2 == 0 for k in self.kernels):
            raise ValueError(f"kernels must be odd, not {self.kernels}")
        if SPECTRA * self.spectrum > self.context:
            raise ValueError(f"spectrum={self.spectrum} needs a context of {SPECTRA * self.spectrum} numbers or more")
        if not (self.bilstm or self.attention or self.cnn):
            raise ValueError("at least one of bilstm, attention and cnn must be on")
        return self


class GroupNorm(MaskedGroupNorm):
    """One-group normalisation; the published code counts padding frames as data."""

    def __init__(self, channels: int, config: AstrafierConfig, affine: bool = True) -> None:
        super().__init__(channels, affine)
        self.counts_padding = config.compat == "published"

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise ``x`` (B, T, C)."""
        return super().forward(x, torch.ones_like(mask) if self.counts_padding else mask)


class BatchNorm(nn.BatchNorm1d):
    """The published feed-forward module's norm: running statistics at inference."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise ``x`` (B, T, C) per channel."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Padding(nn.Module):
    """Set frames outside the mask to zero before a convolution; the published code does not."""

    def __init__(self, config: AstrafierConfig) -> None:
        super().__init__()
        self.leave = config.compat == "published"

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return ``x`` (B, T, C) with zeros outside ``mask`` (B, T)."""
        return x if self.leave else x * mask.unsqueeze(2).to(x.dtype)


class RecurrentModule(nn.Module):
    """Two-layer BiLSTM and the CNN projection of its 2 d channels down to d (section 3.3)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        wide = 4 * c.embed
        self.published = c.compat == "published"
        self.lstm = BiLSTM(c.embed, c.embed, 2, c.dropout, monte_carlo=not self.published)
        self.pointwise1 = nn.Linear(2 * c.embed, wide, bias=False)
        # Without gain and bias of its own: the network keeps the published number of parameters.
        self.norm1 = GroupNorm(wide, c, affine=False) if c.projection == "paper" else None
        self.conv = Conv(wide, wide, 3)
        self.norm2 = GroupNorm(wide, c)
        self.pointwise2 = nn.Linear(wide, c.embed, bias=False)
        self.pad, self.dropout1, self.dropout2 = Padding(c), Dropout(c.dropout), Dropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor, passes: int = 1) -> Tensor:
        """Map ``x`` (B, T, d) to (B passes, T, d)."""
        y = self.lstm(x, torch.ones_like(mask) if self.published else mask, passes)  # (B passes, T, 2d)
        return self.project(y, repeat(mask, passes))

    @fused
    def project(self, y: Tensor, mask: Tensor) -> Tensor:
        """Map the output of the BiLSTM, ``y`` (B, T, 2d), to (B, T, d)."""
        y = self.pointwise1(self.dropout1(y * mask.unsqueeze(2).to(y.dtype)))  # (B, T, 4d)
        y = F.relu(y if self.norm1 is None else self.norm1(y, mask))
        y = self.norm2(self.conv(self.pad(y, mask)), mask)  # (B, T, 4d)
        y = F.silu(y) if self.norm1 is None else F.relu(y)
        return self.pointwise2(self.dropout2(y))  # (B, T, d)


def positional_encoding(time: Tensor, mask: Tensor, config: AstrafierConfig) -> Tensor:
    """Encode times [d] from each light curve's start, (B, T) -> (B, T, d) (Eq. 2-3).

    The phase of channel pair i is ``time / 10000^(2i/d) * d / T`` with T the number of points of the light
    curve. ``encoding="fast"`` multiplies instead of dividing: the shortest period is then about ``2 pi T / (10^4 d)``
    days; the paper's phases hardly change within a light curve. In the published code T is the padded length.
    """
    d = config.embed
    exponent = torch.arange(0, d, 2, device=time.device, dtype=torch.float32) * (math.log(10000.0) / d)  # (d/2,)
    if config.compat == "published":  # in the recorded order of operations; another changes logits by up to 7e-4
        phase = (time.unsqueeze(2) / torch.exp(-exponent)) * (d / time.shape[1])  # (B, T, d/2)
    else:
        scale = d / mask.sum(1).clamp(min=1).float()  # (B,)
        frequency = torch.exp(exponent if config.encoding == "fast" else -exponent)  # (d/2,)
        phase = time.unsqueeze(2) * frequency * scale[:, None, None]  # (B, T, d/2)
    return torch.stack([phase.sin(), phase.cos()], 3).flatten(2)  # (B, T, d)


class Attention(nn.Module):
    """Multi-head self-attention over the valid frames (Eq. 1)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.heads, self.published = c.heads, c.compat == "published"
        self.qkv = nn.Linear(c.embed, 3 * c.embed)  # rows ordered head by head: q, k, v of the first head, ...
        self.out = nn.Linear(c.embed, c.embed)

    def forward(self, x: Tensor, mask: Tensor, full: bool = False) -> Tensor:
        """Attend within ``x`` (B, T, d); ``full``: every frame is a point."""
        q, k, v = rearrange(self.qkv(x), "b t (h three c) -> three b h t c", h=self.heads, three=3)
        y = attend(q, k, v, None if full else mask)  # (B, h, T, c)
        if not self.published:
            return self.out(rearrange(y, "b h t c -> b t (h c)"))
        # The published code reads the (heads, time) memory as if it were (time, heads).
        y = y * mask[:, None, :, None]
        return self.out(y.reshape(x.shape))


class TransformerModule(nn.Module):
    """Positional encoding, attention and a convolutional feed-forward module (section 3.4)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.config = c
        self.attention = Attention(c)
        self.norm1, self.norm2 = nn.LayerNorm(c.embed), nn.LayerNorm(c.embed)
        self.pointwise1 = nn.Linear(c.embed, c.hidden, bias=False)
        self.conv = Conv(c.hidden, c.hidden, 3)
        self.norm = BatchNorm(c.hidden) if c.compat == "published" else GroupNorm(c.hidden, c)
        self.pointwise2 = nn.Linear(c.hidden, c.embed, bias=False)
        self.pad = Padding(c)
        self.dropouts = nn.ModuleList(Dropout(c.dropout) for _ in range(4))

    def forward(self, x: Tensor, time: Tensor, mask: Tensor, full: bool = False) -> Tensor:
        """Map ``x`` (B, T, d), observed at ``time`` (B, T), to (B, T, d)."""
        x = self.dropouts[0](x + positional_encoding(time, mask, self.config))  # (B, T, d)
        x = self.norm1(self.dropouts[1](self.attention(x, mask, full)) + x)
        return self.norm2(self.dropouts[3](self.feed_forward(x, mask)) + x)

    def feed_forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d) to (B, T, d), convolving over neighbouring frames."""
        y = F.silu(self.pointwise1(x))  # (B, T, hidden)
        y = self.norm(self.conv(self.pad(y, mask)), mask)  # (B, T, hidden)
        return self.pointwise2(self.dropouts[2](F.silu(y)))  # (B, T, d)


class ConvolutionModule(nn.Module):
    """Convolutions of growing reach after a gated linear unit (section 3.5, Fig. 7)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        wide = 2 * c.embed
        self.pointwise1 = nn.Linear(c.embed, 2 * wide, bias=False)
        self.convs = nn.ModuleList(Conv(wide, wide, k) for k in c.kernels)
        self.norms = nn.ModuleList(GroupNorm(wide, c) for _ in c.kernels)
        self.pointwise2 = nn.Linear(wide, c.embed, bias=False)
        self.pad, self.dropout1, self.dropout2 = Padding(c), Dropout(c.dropout), Dropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d) to (B, T, d)."""
        y = F.glu(self.pointwise1(self.dropout1(x)), dim=2)  # (B, T, 2d), Eq. 5
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = F.silu(norm(conv(self.pad(y, mask)), mask))  # (B, T, 2d)
        return self.pointwise2(self.dropout2(y))  # (B, T, d)


class Block(nn.Module):
    """A block: recurrent, Transformer and convolution module, the outer two with "add and norm" (Fig. 5)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.recurrent = RecurrentModule(c) if c.bilstm else None
        self.norm1 = nn.LayerNorm(c.embed) if c.bilstm else None
        self.transformer = TransformerModule(c) if c.attention else None
        self.convolution = ConvolutionModule(c) if c.cnn else None
        self.norm2 = nn.LayerNorm(c.embed) if c.cnn else None

    def forward(self, x: Tensor, time: Tensor, mask: Tensor, passes: int = 1, full: bool = False) -> Tensor:
        """Map ``x`` (B, T, d) to (B passes, T, d)."""
        recurrent = None if self.recurrent is None else self.recurrent(x, mask, passes)  # (B, T, d)
        return self.after_recurrence(repeat(x, passes), recurrent, repeat(time, passes), repeat(mask, passes), full)

    @fused
    def after_recurrence(self, x: Tensor, recurrent: Tensor | None, time: Tensor, mask: Tensor, full: bool) -> Tensor:
        """Apply the modules after the recurrent one, (B, T, d)."""
        if recurrent is not None and self.norm1 is not None:
            x = self.norm1(recurrent + x)
        if self.transformer is not None:
            x = self.transformer(x, time, mask, full)
        if self.convolution is not None and self.norm2 is not None:
            x = self.norm2(self.convolution(x, mask) + x)
        return x


class SpectrumEncoder(nn.Sequential):
    """Four convolutions over the amplitude spectra, (B, 2, bins) to (B, `SPECTRUM_WIDTH`); not in the paper."""

    def __init__(self, c: AstrafierConfig) -> None:
        filters = (SPECTRA, 16, 32, 48, 48)
        layers: list[nn.Module] = []
        for k, (before, after) in enumerate(pairwise(filters)):
            layers += [nn.Conv1d(before, after, 5, 2 if k else 1, 2), nn.GroupNorm(1, after), nn.SiLU()]
        length = math.ceil(c.spectrum / 8)  # after three strides of 2
        layers += [nn.Flatten(), Dropout(c.dropout), nn.Linear(filters[-1] * length, SPECTRUM_WIDTH), nn.SiLU()]
        super().__init__(*layers)


class ClassificationHead(nn.Sequential):
    """The three-layer perceptron from embedding (and context) to logits (section 3.6)."""

    def __init__(self, c: AstrafierConfig) -> None:
        width = c.embed + c.context - (SPECTRA * c.spectrum - SPECTRUM_WIDTH if c.spectrum else 0)
        super().__init__(
            nn.Linear(width, 128),
            nn.LayerNorm(128),
            nn.SiLU(),
            Dropout(c.dropout),
            nn.Linear(128, 32),
            nn.SiLU(),
            Dropout(c.dropout),
            nn.Linear(32, c.classes),
        )


class Astrafier(nn.Module):
    """The complete network: light curves in, logits and embeddings out."""

    stochastic = True  # dropout makes Monte-Carlo passes differ

    context_mean: Tensor
    context_std: Tensor

    def __init__(self, config: AstrafierConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Linear(config.channels, config.embed)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.spectrum = SpectrumEncoder(config) if config.spectrum else None
        self.head = ClassificationHead(config)
        if config.context:  # of the training objects; set by the fit, saved with the weights
            self.register_buffer("context_mean", torch.zeros(config.context))
            self.register_buffer("context_std", torch.ones(config.context))

    def forward(
        self, values: Tensor, time: Tensor, mask: Tensor | None, context: Tensor | None = None, passes: int = 1
    ) -> NetworkOutput:
        """Classify a padded batch.

        Parameters
        ----------
        values : Tensor (B, T, channels)
            Standardised flux first; anything in padding.
        time : Tensor (B, T)
            Days since each light curve's first point; anything in padding.
        mask : Tensor (B, T), bool, optional
            True for points, a prefix of each row; None where every frame is a point.
        context : Tensor (B, context), optional
            Numbers per object, if the network has context; NaN where unknown, which counts as the mean.
        passes : int
            Passes of each light curve: Monte-Carlo passes share the layers before the first dropout.

        Returns
        -------
        NetworkOutput
            Logits (B passes, classes) and embedding (B passes, embed): the mean over time of the last block (Eq. 6).
        """
        begin_pass(values)
        full = mask is None
        mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device) if mask is None else mask  # (B, T)
        values = values.masked_fill(~mask.unsqueeze(2), 0)  # (B, T, channels): a NaN in padding would survive a product
        time = time.masked_fill(~mask, 0)  # (B, T)
        x = self.embed(values)  # (B, T, d)
        for block in self.blocks:
            x = block(x, time, mask, passes, full)  # (B, T, d)
            time, mask, passes = repeat(time, passes), repeat(mask, passes), 1
        embedding = masked_mean(at_least_float32(x), mask)  # (B, d)
        features = embedding  # (B, d)
        if context is not None:
            context = repeat(context, embedding.shape[0] // context.shape[0])
            standardised = (context - self.context_mean) / self.context_std  # (B, context)
            features = torch.cat([features, self._encoded(torch.nan_to_num(standardised).clamp(-10, 10))], 1)
        return NetworkOutput(self.head(features), embedding, features)

    def _encoded(self, context: Tensor) -> Tensor:
        """Return standardised context (B, context) with its spectra, if it has any, replaced by their encoding."""
        if self.spectrum is None:
            return context
        bins = SPECTRA * self.config.spectrum
        spectra = rearrange(context[:, :bins], "b (s f) -> b s f", s=SPECTRA)
        return torch.cat([self.spectrum(spectra), context[:, bins:]], 1)

    def output(self, batch: Batch) -> NetworkOutput:
        """Classify a batch of prepared light curves."""
        return self(*batch)

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self.config.embed

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
