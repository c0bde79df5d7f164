"""ASTRAFier directly from the paper's text (Gregory et al., section 3), with PyTorch's own layers.

Convolutions are ``nn.Conv1d`` over (B, C, T), the recurrent part is one bidirectional ``nn.LSTM``, attention computes
the T x T scores of every head, and each Monte-Carlo pass runs the complete network. Masks need packed sequences, norms
over valid frames, and zeros in padding before each convolution.
"""

from __future__ import annotations

import math
import re

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from goodricke.models.astrafier import Astrafier, AstrafierConfig


class GroupNorm(nn.Module):
    """Normalisation over all channels and valid frames of a light curve."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, T) over the frames where ``mask`` (B, 1, T) is one."""
        count = (mask.sum(2, keepdim=True) * x.shape[1]).clamp(min=1)  # (B, 1, 1)
        mean = (x * mask).sum((1, 2), keepdim=True) / count  # (B, 1, 1)
        variance = ((x - mean) ** 2 * mask).sum((1, 2), keepdim=True) / count  # (B, 1, 1)
        x = (x - mean) / torch.sqrt(variance + 1e-5)
        return x if self.weight is None else x * self.weight[:, None] + self.bias[:, None]


class Recurrent(nn.Module):
    """Two-layer BiLSTM and its CNN projection (section 3.3)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        wide = 4 * c.embed
        self.lstm = nn.LSTM(c.embed, c.embed, 2, batch_first=True, bidirectional=True, dropout=c.dropout)
        self.pointwise1 = nn.Conv1d(2 * c.embed, wide, 1, bias=False)
        self.norm1 = GroupNorm(wide, affine=False)
        self.conv = nn.Conv1d(wide, wide, 3, padding=1)
        self.norm2 = GroupNorm(wide)
        self.pointwise2 = nn.Conv1d(wide, c.embed, 1, bias=False)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d) to (B, T, d)."""
        keep = mask[:, None].to(x.dtype)  # (B, 1, T)
        y = self.read(x, mask).transpose(1, 2) * keep  # (B, 2d, T)
        y = F.relu(self.norm1(self.pointwise1(self.dropout(y)), keep))  # (B, 4d, T)
        y = F.relu(self.norm2(self.conv(y * keep), keep))  # (B, 4d, T)
        return self.pointwise2(self.dropout(y)).transpose(1, 2)  # (B, T, d)

    def read(self, x: Tensor, mask: Tensor) -> Tensor:
        """Run the BiLSTM over ``x`` (B, T, d); packed if there is padding, for the backward direction."""
        if mask.all():
            return self.lstm(x)[0]  # (B, T, 2d)
        lengths = mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]  # (B, T, 2d)


class Transformer(nn.Module):
    """Positional encoding, attention and convolutional feed-forward module (section 3.4)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.attention = Attention(c)
        self.norm1, self.norm2 = nn.LayerNorm(c.embed), nn.LayerNorm(c.embed)
        self.pointwise1 = nn.Conv1d(c.embed, c.hidden, 1, bias=False)
        self.conv = nn.Conv1d(c.hidden, c.hidden, 3, padding=1)
        self.norm = GroupNorm(c.hidden)
        self.pointwise2 = nn.Conv1d(c.hidden, c.embed, 1, bias=False)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d), observed at ``time`` (B, T), to (B, T, d)."""
        x = self.dropout(x + positional_encoding(time, mask, x.shape[2]))
        x = self.norm1(self.dropout(self.attention(x, mask)) + x)
        keep = mask[:, None].to(x.dtype)  # (B, 1, T)
        y = F.silu(self.pointwise1(x.transpose(1, 2)))  # (B, hidden, T)
        y = F.silu(self.norm(self.conv(y * keep), keep))  # (B, hidden, T)
        y = self.pointwise2(self.dropout(y)).transpose(1, 2)  # (B, T, d)
        return self.norm2(self.dropout(y) + x)


def positional_encoding(time: Tensor, mask: Tensor, d: int) -> Tensor:
    """Encode times (B, T) as sines and cosines (B, T, d) (Eq. 2-3)."""
    frequency = torch.exp(torch.arange(0, d, 2, device=time.device) * (-math.log(10000.0) / d))  # (d/2,)
    points = mask.sum(1).clamp(min=1)  # (B,)
    phase = time[:, :, None] * frequency * (d / points)[:, None, None]  # (B, T, d/2)
    encoding = time.new_zeros(*time.shape, d)
    encoding[:, :, 0::2], encoding[:, :, 1::2] = torch.sin(phase), torch.cos(phase)
    return encoding


class Attention(nn.Module):
    """Multi-head self-attention (Eq. 1)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv, self.out = nn.Linear(c.embed, 3 * c.embed), nn.Linear(c.embed, c.embed)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend within ``x`` (B, T, d)."""
        B, T, d = x.shape
        q, k, v = self.qkv(x).reshape(B, T, self.heads, -1).transpose(1, 2).chunk(3, 3)  # (B, h, T, d/h)
        scores = q @ k.transpose(2, 3) / math.sqrt(d // self.heads)  # (B, h, T, T)
        scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        y = torch.softmax(scores, 3) @ v  # (B, h, T, d/h)
        return self.out(y.transpose(1, 2).reshape(B, T, d))


class Convolution(nn.Module):
    """Gated linear unit and convolutions of growing reach (section 3.5)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        wide = 2 * c.embed
        self.pointwise1 = nn.Conv1d(c.embed, 2 * wide, 1, bias=False)
        self.convs = nn.ModuleList(nn.Conv1d(wide, wide, k, padding=k // 2) for k in c.kernels)
        self.norms = nn.ModuleList(GroupNorm(wide) for _ in c.kernels)
        self.pointwise2 = nn.Conv1d(wide, c.embed, 1, bias=False)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d) to (B, T, d)."""
        keep = mask[:, None].to(x.dtype)  # (B, 1, T)
        y = F.glu(self.pointwise1(self.dropout(x).transpose(1, 2)), dim=1)  # (B, 2d, T)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = F.silu(norm(conv(y * keep), keep))  # (B, 2d, T)
        return self.pointwise2(self.dropout(y)).transpose(1, 2)  # (B, T, d)


class Block(nn.Module):
    """Recurrent, Transformer and convolution module (Fig. 5)."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.recurrent, self.transformer, self.convolution = Recurrent(c), Transformer(c), Convolution(c)
        self.norm1, self.norm2 = nn.LayerNorm(c.embed), nn.LayerNorm(c.embed)

    def forward(self, x: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        """Map ``x`` (B, T, d) to (B, T, d)."""
        x = self.norm1(self.recurrent(x, mask) + x)
        x = self.transformer(x, time, mask)
        return self.norm2(self.convolution(x, mask) + x)


class PlainAstrafier(nn.Module):
    """The complete network of the paper: all modules, Eq. 2-3, no context."""

    def __init__(self, c: AstrafierConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(c.channels, c.embed)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.blocks))
        self.head = nn.Sequential(
            nn.Linear(c.embed, 128),
            nn.LayerNorm(128),
            nn.SiLU(),
            nn.Dropout(c.dropout),
            nn.Linear(128, 32),
            nn.SiLU(),
            nn.Dropout(c.dropout),
            nn.Linear(32, c.classes),
        )

    def forward(self, values: Tensor, time: Tensor, mask: Tensor) -> Tensor:
        """Return the logits (B, classes) of ``values`` (B, T, channels) at ``time`` (B, T), valid in ``mask``."""
        x = self.embed(values)  # (B, T, d)
        for block in self.blocks:
            x = block(x, time, mask)  # (B, T, d)
        keep = mask[:, :, None].to(x.dtype)  # (B, T, 1)
        return self.head((x * keep).sum(1) / keep.sum(1).clamp(min=1))


def plain_network(network: Astrafier) -> PlainAstrafier:
    """Return a plain network with copies of the weights of a network, in evaluation mode."""
    plain = PlainAstrafier(network.config)
    weights = {}
    for name, weight in network.state_dict().items():
        name = re.sub(r"\.forwards\.(\d)\.(\w+)_l0", r".\2_l\1", name)
        name = re.sub(r"\.backwards\.(\d)\.(\w+)_l0", r".\2_l\1_reverse", name)
        weights[name] = weight[:, :, None] if ".pointwise" in name else weight
    plain.load_state_dict(weights)
    return plain.to(network.embed.weight).eval()
