"""Light curves that tests make up."""

import numpy as np
import pyarrow as pa

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.data.ragged import offsets_from_counts
from goodricke.uncertainty.entropy import entropy


def sine(n: int = 200, period: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return times [d] and magnitudes of a noisy sine."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 100, n)) + 55000
    return time, 12 + 0.3 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.02, n)


def sky(n=24, seed=0, bands=("g", "r"), counts=(14, 30)) -> tuple[LightCurves, np.ndarray]:
    """Return slow, wide and fast, small sines in random bands: two classes that anyone can tell apart."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    number = rng.integers(*counts, n)
    offsets = offsets_from_counts(number)
    time = np.concatenate([np.sort(rng.uniform(0, 60, k)) for k in number])
    of = np.repeat(label, number)
    value = 15 + np.where(of, np.sin(time / 5), 0.1 * np.sin(9 * time)) + rng.normal(0, 0.01, len(time))
    error = rng.uniform(0.005, 0.1, len(time))
    band = rng.integers(0, len(bands), len(time))
    ids = [str(k) for k in range(n)]
    return LightCurves.from_arrays(ids, offsets, time, value, error, band, bands=bands, unit="mag"), label


def predictions_of(
    ids, status, classes, p, n_obs, *, model="", model_hash="", columns=None, objects=None, **output
) -> Predictions:
    """Return predictions with the probabilities ``p`` (n, C); ``output`` has more of the fields of `Output`."""
    whole = Output(**{"probabilities": p, "entropy": entropy(p)} | output)
    ids = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())
    return Predictions.build(
        whole, ModelId(model, model_hash, tuple(classes)), ids, np.asarray(status), n_obs, columns, objects
    )
