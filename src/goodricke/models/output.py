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

    def numpy(self) -> NetworkOutput:
        """Return the output as float32 arrays."""
        targets = self.logits[:, :0] if self.targets is None else self.targets
        return NetworkOutput(*(x.float().cpu().numpy() for x in (*self[:3], targets)))
