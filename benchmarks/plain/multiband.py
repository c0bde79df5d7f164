"""The multi-band ensemble directly from the paper's text (Becker et al. 2025, section 3), without a state.

Every band's sequence and the merged one are padded to the longest of the batch, every head is computed at every step,
and a new observation needs the complete light curve again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from goodricke.models.multiband import Multiband
from goodricke.preprocess.tensors import Steps


@torch.inference_mode()
def classify(network: Multiband, steps: Steps) -> Tensor:
    """Return the logits (B, C) after the last step of every object, which has at least one."""
    size, h = len(steps), network.config.hidden
    longest = int(steps.n_points.max())
    merged = torch.zeros(size, longest, h)
    window, extras = torch.from_numpy(steps.window), steps.batch().extras
    for b in range(network.config.bands):
        band, translation = network.band_modules(b)
        rows = [(steps.band[steps.offsets[i] : steps.offsets[i + 1]] == b).nonzero()[0] for i in range(size)]
        padded = torch.zeros(size, max(len(r) for r in rows), window.shape[1])
        for i, r in enumerate(rows):
            padded[i, : len(r)] = window[steps.offsets[i] + r]
        x = band.standard(padded)
        outputs = layers(band.recurrent, x)
        band.head.layers(band.mixture(outputs).reshape(-1, h))  # the output of the band, at every padded step
        states = network.central.norm(translation(x, outputs))
        for i, r in enumerate(rows):
            merged[i, r] = states[i, : len(r)]
    outputs = layers(network.central.recurrent, merged)
    context = torch.zeros(size, longest, extras.shape[1])
    for i in range(size):
        context[i, : steps.n_points[i]] = extras[steps.offsets[i] : steps.offsets[i + 1]]
    output = network.read_out([y.reshape(-1, h) for y in outputs], context.reshape(size * longest, -1))
    last = torch.arange(size) * longest + torch.from_numpy(steps.n_points) - 1
    return output.logits[last]


def layers(recurrent: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """Return the outputs (B, T, h) of a stack of LSTM layers over padded sequences (B, T, size)."""
    outputs, below = [], x
    for k, layer in enumerate(recurrent.layers):
        y = layer(below.transpose(0, 1))[0].transpose(0, 1)
        outputs.append(y)
        if k < len(recurrent.norms):
            below = recurrent.norms[k](y + (recurrent.project(x) if k == 0 else below))
    return outputs
