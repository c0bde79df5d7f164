"""Light curves that tests make up."""

import numpy as np
import pyarrow as pa

from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import PeriodAnswer
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.data.ragged import offsets_from_counts
from goodricke.data.taxonomy import Taxonomy
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
    ids, status, classes, p, n_obs, *, model="", model_hash="", taxonomy=None, columns=None, objects=None, **output
) -> Predictions:
    """Return predictions with the probabilities ``p`` (n, C); ``output`` has more of the fields of `Output`."""
    whole = Output(**{"probabilities": p, "entropy": entropy(p)} | output)
    ids = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())
    identity = ModelId(model, model_hash, tuple(classes), taxonomy)
    return Predictions.build(whole, identity, ids, np.asarray(status), n_obs, columns, objects)


LEAVES = ("EA", "EB", "EW", "RRAB", "MIRA")


def period_answer() -> PeriodAnswer:
    """Return the periods of four objects: with aliases, long, none, and of an object that isn't classified."""
    nan = np.nan
    return PeriodAnswer(
        period=np.array([0.4, 300.0, nan, 1.0]),
        probability=np.array([0.83, 0.6, nan, 1.0]),
        error=np.array([0.00002, 4.0, nan, 1.0]),
        alternatives=np.array([[0.2, 1 / 1.5, nan], [150.0, nan, nan], [nan] * 3, [nan] * 3]),
        alternative_probabilities=np.array([[0.12, 0.05, nan], [0.4, nan, nan], [nan] * 3, [nan] * 3]),
        false_alarm_probability=np.array([1e-30, 0.02, nan, 0.5]),
        is_long=np.array([False, True, False, True]),
    )


def variables(**more) -> Predictions:
    """Return four predictions of a model with a taxonomy and periods; the last is not classified."""
    p = np.array([[0.0, 0.42, 0.55, 0.02, 0.01], [0, 0, 0, 0, 1.0], [0.3, 0.05, 0.05, 0.3, 0.3], [np.nan] * 5])
    sets = np.array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    fields = {"prediction_set": sets, "novelty": np.array([0.5, 0.1, 0.999, np.nan]), "periods": period_answer()}
    names = {"model": "variables", "model_hash": "0123456789ab"}
    tree = Taxonomy.shipped().restricted(LEAVES)
    ids, status = ["binary", "mira", "strange", "empty"], ["OK", "OK", "OK", "EMPTY"]
    return predictions_of(ids, status, LEAVES, p, [80, 60, 40, 0], taxonomy=tree, **names | fields | more)
