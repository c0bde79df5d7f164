"""Class and period together: one small network scores every pair of a class and a candidate period.

Each candidate period of a star (`goodricke.preprocess.variables`) gives a folded light curve and numbers that describe
it. A convolutional encoder reads the fold, a perceptron the numbers; the head then gives a logit z_kc to candidate k
with class c. The probabilities are a softmax over all pairs,

    p(k, c) = exp(z_kc) / sum_jd exp(z_jd),

their sums over candidates are the class probabilities, and p(k | c) = p(k, c) / p(c) is the probability of a period,
given the class. Two candidates are never compared by a rule: an eclipsing binary at half its period looks wrong as a
binary, a pulsating star at twice its period looks wrong as a pulsating star.

Everything that dropout changes comes after the encoders, so that Monte-Carlo passes share these.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from einops import rearrange
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import softmax
from torch import Tensor, nn

from goodricke.data.period_answer import ALTERNATIVES, PeriodAnswer
from goodricke.models.dropout import Dropout
from goodricke.models.layers import repeat
from goodricke.models.output import NetworkOutput
from goodricke.preprocess.tensors import Batch, CandidatePeriods

IMPOSSIBLE = -1e9  # logit of a candidate that a star doesn't have
LARGEST = 4.0  # standardised numbers are clipped here


class VariablesNetworkConfig(BaseModel):
    """Sizes of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: int = Field(ge=2)
    candidates: int = Field(4, ge=1, description="candidate periods K")
    bins: int = Field(64, ge=16, multiple_of=8, description="phase bins of a fold")
    channels: int = Field(3, description="numbers per phase bin")
    star: int = Field(description="numbers that describe a star")
    candidate: int = Field(description="numbers that describe a star at a candidate period")
    filters: tuple[int, int, int, int] = Field((32, 48, 64, 96), description="of the four convolutions")
    width: int = Field(128, description="of the encoders' output")
    hidden: int = Field(256, description="of the head; also the length of an embedding")
    dropout: float = Field(0.2, ge=0, lt=1, description="in the head; also on in Monte-Carlo passes")

    @property
    def context(self) -> int:
        """Numbers per object besides the folds."""
        return self.star + self.candidates * self.candidate


class FoldEncoder(nn.Sequential):
    """Four convolutions around the cycle, the last three with stride 2: (N, channels, bins) to (N, width)."""

    def __init__(self, c: VariablesNetworkConfig) -> None:
        a, b, d, e = c.filters
        layers = [
            nn.Conv1d(n_in, n_out, kernel, stride, padding=kernel // 2, padding_mode="circular")
            for n_in, n_out, kernel, stride in ((c.channels, a, 5, 1), (a, b, 5, 2), (b, d, 5, 2), (d, e, 3, 2))
        ]
        activated = [module for layer in layers for module in (layer, nn.GELU())]
        super().__init__(*activated, nn.Flatten(), nn.Linear(e * c.bins // 8, c.width), nn.GELU())


class Head(nn.Module):
    """From a candidate, its star and the other candidates to the logits of the pairs (section 3.6's dropout)."""

    def __init__(self, c: VariablesNetworkConfig) -> None:
        super().__init__()
        self.first = nn.Linear(4 * c.width, c.hidden)
        self.norm = nn.LayerNorm(c.hidden)
        self.second = nn.Linear(c.hidden, c.hidden)
        self.last = nn.Linear(c.hidden, c.classes)
        self.dropout = nn.ModuleList(Dropout(c.dropout) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K, C) and hidden features (B, K, hidden) from ``x`` (B, K, 4 width)."""
        x = self.norm(self.dropout[1](F.gelu(self.first(self.dropout[0](x)))))
        x = x + F.gelu(self.second(x))
        return self.last(self.dropout[2](x)), x


class Variables(nn.Module):
    """The complete network: folds and numbers of a star in, logits of (period, class) pairs out."""

    stochastic = True  # dropout makes Monte-Carlo passes differ

    context_mean: Tensor
    context_std: Tensor

    def __init__(self, config: VariablesNetworkConfig) -> None:
        super().__init__()
        self.config = c = config
        self.fold = FoldEncoder(c)
        self.candidate = nn.Sequential(nn.Linear(c.width + 2 * c.candidate, c.width), nn.GELU(), nn.LayerNorm(c.width))
        self.star = nn.Sequential(
            nn.Linear(2 * c.star, c.width), nn.GELU(), nn.Linear(c.width, c.width), nn.GELU(), nn.LayerNorm(c.width)
        )
        self.head = Head(c)
        # location and scale of the star's numbers, then of a candidate's; set by the fit, saved with the weights
        self.register_buffer("context_mean", torch.zeros(c.star + c.candidate))
        self.register_buffer("context_std", torch.ones(c.star + c.candidate))

    def forward(
        self, values: Tensor, time: Tensor | None, mask: Tensor | None, context: Tensor, passes: int = 1
    ) -> NetworkOutput:
        """Classify a batch.

        Parameters
        ----------
        values : Tensor (B, K bins, channels)
            The folds, one after the other; see `goodricke.preprocess.variables`.
        time, mask : Tensor
            Not used: all folds have the same bins.
        context : Tensor (B, star + K candidate)
            Numbers of the star, then of each candidate; NaN where unknown. The first number of a candidate is NaN if
            the star has fewer.
        passes : int
            Passes of each star.

        Returns
        -------
        NetworkOutput
            Logits (B passes, C): log sum_k exp(z_kc). Embedding (B passes, hidden): features before the last layer,
            their mean over candidates by probability. Pairs (B passes, K, C): z_kc.
        """
        c = self.config
        folds = rearrange(values, "b (k t) n -> (b k) n t", k=c.candidates)
        numbers = rearrange(context[:, c.star :], "b (k n) -> b k n", k=c.candidates)
        exists = torch.isfinite(numbers[..., 0])  # (B, K)
        shape = self.fold(folds).unflatten(0, (-1, c.candidates))  # (B, K, width)
        described = torch.cat([shape, self._standardised(numbers, slice(c.star, None))], 2)
        candidates = self.candidate(described) * exists.unsqueeze(2)  # (B, K, width)
        star = self.star(self._standardised(context[:, : c.star], slice(None, c.star)))  # (B, width)
        mean = candidates.sum(1) / exists.sum(1, keepdim=True).clamp(min=1)
        largest = candidates.masked_fill(~exists.unsqueeze(2), -9.0).amax(1)
        shared = torch.cat([star, mean, largest], 1).unsqueeze(1).expand(-1, c.candidates, -1)
        x, exists = repeat(torch.cat([candidates, shared], 2), passes), repeat(exists, passes)
        logits, hidden = self.head(x)
        pairs = logits.float().masked_fill(~exists.unsqueeze(2), IMPOSSIBLE)  # (B passes, K, C)
        weight = torch.softmax(pairs.flatten(1), 1).view_as(pairs).sum(2, keepdim=True)  # (B passes, K, 1)
        embedding = (weight * hidden.float()).sum(1)
        return NetworkOutput(torch.logsumexp(pairs, 1), embedding, embedding, pairs=pairs)

    @property
    def pairs(self) -> tuple[int, int]:
        """Number of candidates and of classes, (K, C)."""
        return self.config.candidates, self.config.classes

    def _standardised(self, x: Tensor, columns: slice) -> Tensor:
        """Return numbers (..., n) standardised, 0 where unknown, and flags of the unknown ones, (..., 2 n)."""
        unknown = ~torch.isfinite(x)
        scaled = (x - self.context_mean[columns]) / self.context_std[columns]
        return torch.cat([scaled.masked_fill(unknown, 0).clamp(-LARGEST, LARGEST), unknown.to(scaled.dtype)], -1)

    def output(self, batch: Batch) -> NetworkOutput:
        """Classify a batch of prepared light curves."""
        return self(*batch)

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self.config.hidden

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def answered_periods(
    pairs: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    candidates: CandidatePeriods,
    periodic: NDArray[np.bool_],
) -> PeriodAnswer:
    """Return the periods that belong to the most probable classes of n stars.

    The period is the candidate with the largest p(k, c) for that class c; the alternatives are the others by their
    probability p(k), the sum over classes.

    Parameters
    ----------
    pairs : (n, K, C)
        Logits; NaN for stars that can't be classified.
    probabilities : (n, C)
        Of the classes.
    candidates : CandidatePeriods
        Of n stars.
    periodic : bool (C,)
        Whether a class has a period: of a star without variability, none is answered.
    """
    answer = PeriodAnswer.empty(len(pairs))
    rows = np.flatnonzero(np.isfinite(pairs).all((1, 2)) & np.isfinite(probabilities).all(1))
    best_class = probabilities[rows].argmax(1)
    rows, best_class = rows[periodic[best_class]], best_class[periodic[best_class]]
    if not len(rows):
        return answer
    p = softmax(pairs[rows].astype(np.float64), (1, 2)).sum(2)  # (m, K)
    at = np.arange(len(rows))
    best = pairs[rows, :, best_class].argmax(1)
    answer.period[rows] = candidates.period[rows, best]
    answer.error[rows] = candidates.error[rows, best]
    answer.probability[rows] = p[at, best]
    answer.false_alarm_probability[rows] = candidates.false_alarm_probability[rows]
    answer.is_long[rows] = candidates.period[rows, best] > candidates.span[rows] / 2
    rank = np.where(np.isfinite(candidates.period[rows]), p, -1.0)
    rank[at, best] = -2.0
    for place, k in enumerate(np.argsort(-rank, 1, kind="stable").T[:ALTERNATIVES]):
        exists = rank[at, k] >= 0
        answer.alternatives[rows[exists], place] = candidates.period[rows[exists], k[exists]]
        answer.alternative_probabilities[rows[exists], place] = p[at[exists], k[exists]]
    return answer
