"""What the loop looks at after each epoch: loss, accuracy, macro recall and macro F1 on the validation objects."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor


def validation_figures(label: NDArray[np.int64], logits: Tensor, weights: Tensor | None = None) -> dict[str, float]:
    """Return the figures of answers.

    Parameters
    ----------
    label : int64 (n,)
    logits : Tensor (n, C)
    weights : Tensor (C,), optional
        Of the classes, for the loss.
    """
    from sklearn.metrics import f1_score

    answer, classes = logits.argmax(1).numpy(), np.unique(label)
    right = answer == label
    return {
        "validation_loss": float(F.cross_entropy(logits, torch.from_numpy(label), weights)),
        "accuracy": float(right.mean()),
        "macro_recall": float(np.mean([right[label == c].mean() for c in classes])),
        "macro_f1": float(f1_score(label, answer, labels=classes, average="macro", zero_division=0)),
    }
