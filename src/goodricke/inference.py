"""Classify light curves: preprocess, length-bucketed batches, Monte-Carlo passes, predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions, Status
from goodricke.models.bundle import Model, load_model
from goodricke.models.dropout import row_keys, summarise
from goodricke.models.multiband import Multiband
from goodricke.models.runtime import gpu, threads
from goodricke.models.runtime.gpu import prefetch
from goodricke.preprocess import Prepared, Steps, prepare
from goodricke.preprocess.tensors import Batch, length_buckets, rounded_up
from goodricke.uncertainty.calibration import Mode
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

POINTS = 32768  # padded points in one call of the network on a CPU: bounds memory whatever the light curves


class Answers(NamedTuple):
    """What a network says of n objects; NaN for those it can't be asked about."""

    probabilities: NDArray[np.float64]  # (n, C)
    spread: NDArray[np.float64] | None  # (n, C)
    mutual_information: NDArray[np.float64] | None  # (n,)
    embedding: NDArray[np.float32]  # (n, d)
    parameters: dict[str, NDArray[np.float64]]  # each (n,)
    novelty: NDArray[np.float64] | None  # (n,), of models that were calibrated for it
    logits: NDArray[np.float32]  # (n, C), of one pass

    @property
    def mode(self) -> Mode:
        """How they were got."""
        return "one_pass" if self.spread is None else "monte_carlo"

    def of(self, rows: NDArray[np.integer]) -> Answers:
        """Return what it says of some of the objects."""
        taken = {name: x[rows] for name, x in self._asdict().items() if isinstance(x, np.ndarray)}
        return self._replace(**taken, parameters={name: x[rows] for name, x in self.parameters.items()})


def classify(
    curves: LightCurves,
    model: Model | str | Path,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    tick: Callable[[int], None] = lambda objects: None,
    coverage: Coverage = COVERAGE,
) -> Predictions:
    """Classify light curves.

    Parameters
    ----------
    curves : LightCurves
    model : Model, str or Path
        Or the name or folder of one, see `goodricke.load_model`.
    passes : int
        Monte-Carlo passes with dropout on (section 3.6: 20), whose mean is the probability; 0 for one pass without.
        Multi-band models have one pass in any case.
    seed : int
        Of the dropout masks. Same seed, same answer, whatever the batch.
    workers : int
        Processes for preprocessing.
    tick : callable
        Gets the number of objects after each batch, for a progress bar.
    coverage : Coverage
        What is promised of the prediction sets: ``(0.95, True)`` for 95 % in each class.

    Returns
    -------
    Predictions
        One row per light curve, in order.
    """
    model = model if isinstance(model, Model) else load_model(model)
    prepared = prepare(curves, model.preprocessing, workers)
    answers = ask(model, prepared, passes, seed, tick)
    broken = prepared.usable & ~np.isfinite(answers.probabilities).all(1)
    status = np.where(broken, Status.NON_FINITE, prepared.status)
    return predictions(model, prepared, answers, status, curves.objects, coverage)


def predictions(
    model: Model,
    prepared: Prepared | Steps,
    answers: Answers,
    status: NDArray,
    objects: pa.Table | None = None,
    coverage: Coverage = COVERAGE,
) -> Predictions:
    """Return answers about prepared light curves as predictions."""
    return Predictions.build(
        prepared.object_id,
        status,
        model.classes,
        answers.probabilities,
        prepared.n_obs,
        answers.spread,
        answers.mutual_information,
        answers.embedding,
        model.name,
        model.hash,
        objects,
        answers.parameters,
        prepared.n_points if isinstance(prepared, Prepared) else None,
        answers.novelty,
        model.prediction_sets(answers.mode, answers.probabilities, prepared.n_points, coverage),
        coverage,
        prepared.period if isinstance(prepared, Prepared) else None,
    )


def ask(
    model: Model,
    prepared: Prepared | Steps,
    passes: int = 20,
    seed: int = 0,
    tick: Callable[[int], None] = lambda objects: None,
) -> Answers:
    """Put prepared light curves to a network; see `classify` for the parameters."""
    if not model.classes:
        raise ValueError(f"{model.name} is an encoder without classes: start a training from it ([training] init)")
    n, classes = len(prepared), len(model.classes)
    passes = passes if model.stochastic else 0
    mean, spread = np.full((2, n, classes), np.nan)
    information, targets = np.full(n, np.nan), np.full((n, len(model.config.targets)), np.nan)
    embedding = np.full((n, model.embedding_size), np.nan, np.float32)
    one_pass = np.full((n, classes), np.nan, np.float32)
    novelty = np.full(n, np.nan) if "one_pass" in model.calibration.novelty else None
    scaling = model.calibration.scaling("monte_carlo" if passes else "one_pass")
    usable = np.flatnonzero(prepared.usable)
    lengths = rounded_up(prepared.padded[usable], gpu.frame_multiple(model.device))
    buckets = length_buckets(lengths, _points(model) // max(passes, 1), len(usable))
    batches = prefetch(lambda rows: model.batch(prepared, rows), (usable[piece] for piece in buckets), model.device)
    for rows, here in batches:
        batch = here.to(model.device)
        told = model.answer_batch(batch)
        one_pass[rows], embedding[rows], targets[rows] = told.logits, told.embedding, told.targets
        if novelty is not None:
            novelty[rows] = model.novelty("one_pass", told.features, told.logits, prepared.n_points[rows])
        samples = one_pass[None, rows]
        if passes and isinstance(prepared, Prepared) and isinstance(batch, Batch):
            samples = monte_carlo(model, prepared, rows, passes, seed, batch)
        mean[rows], spread[rows], information[rows] = summarise(scaling.probabilities(samples))
        tick(len(rows))
    tick(n - len(usable))
    parameters = model.parameters(targets)
    if not passes:
        return Answers(mean, None, None, embedding, parameters, novelty, one_pass)
    return Answers(mean, spread, information, embedding, parameters, novelty, one_pass)


def _points(model: Model) -> int:
    """Return the padded points in one call of the network."""
    return gpu.points_at_once(model.device, "inference", POINTS)


@torch.inference_mode()
def monte_carlo(
    model: Model, prepared: Prepared, rows: NDArray[np.int64], passes: int, seed: int, batch: Batch | None = None
) -> NDArray[np.float32]:
    """Return the logits (S, B, C) of ``passes`` passes with dropout on, computed as enlarged batches.

    A light curve so long that its passes don't fit into one call together is passed in several; the masks are the
    same. ``batch`` is that of the ``rows``, if there is one already.
    """
    batch = batch or cast(Batch, model.batch(prepared, rows)).to(model.device)
    at_once = int(np.clip(_points(model) // batch.time.numel(), 1, passes))
    names = prepared.object_id.take(rows).to_pylist()
    results = []
    for first in range(0, passes, at_once):
        some = range(first, min(first + at_once, passes))
        with model.autocast():
            answer = threads.answer(model.network, batch, len(some), row_keys(names, some, seed))
        logits = answer.logits.float().cpu().numpy()  # (B * S', C)
        results.append(logits.reshape(len(rows), len(some), -1).swapaxes(0, 1))
    return np.concatenate(results)


@torch.inference_mode()
def step_probabilities(model: Model, steps: Steps) -> NDArray[np.float32]:
    """Return what a multi-band model says after every step, before it sees the rest of the light curve.

    Parameters
    ----------
    model : Model
    steps : Steps
        Of n objects, M in all.

    Returns
    -------
    float32 (M, C)
        Calibrated class probabilities, in the order of the steps; NaN for objects that can't be classified. The last
        of an object are its answer (`classify`).

    Raises
    ------
    TypeError
        If it is no multi-band model.
    """
    if not isinstance(model.network, Multiband) or not isinstance(steps, Steps):
        raise TypeError(f"{model.name} is a model of whole light curves: only multi-band models answer at every step")
    result = np.full((len(steps.window), len(model.classes)), np.nan, np.float32)
    usable = np.flatnonzero(steps.usable)
    for piece in length_buckets(steps.padded[usable], POINTS, len(usable)):
        points, _ = ragged.gather(usable[piece], steps.offsets)
        logits = model.network(steps.batch(usable[piece]).to(model.device)).logits.double().cpu().numpy()
        result[points] = model.calibration.one_pass.probabilities(logits)
    return result
