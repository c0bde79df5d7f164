"""The output of a network for a batch, before calibration; a model's is `goodricke.data.predictions.Output`."""

from __future__ import annotations

from typing import Any, NamedTuple


class NetworkOutput(NamedTuple):
    """The output of one pass, for B objects (multi-band networks: or after each of M steps).

    Tensors from a network, arrays from `goodricke.models.bundle.Model.run`.
    """

    logits: Any  # (B, C)
    embedding: Any  # (B, d)
    features: Any  # (B, f) the input of the head: the embedding first, then the context columns
    targets: Any = None  # (B, k) regressed parameters, standardised; None for networks without
    pairs: Any = None  # (B, K, C) logits of pairs of a candidate period and a class; None for networks without

    def numpy(self) -> NetworkOutput:
        """Return the output as float32 arrays, (B, 0) for what the network doesn't have."""
        parts = (self.logits[:, :0] if x is None else x for x in self)
        return NetworkOutput(*(x.float().cpu().numpy() for x in parts))
