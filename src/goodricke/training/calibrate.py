"""Calibrate a model on labelled objects that it was not fitted to, with the statistics of `goodricke.uncertainty`.

Scalings of probabilities for one pass and for Monte-Carlo passes, and the scores of validation objects for prediction
sets and novelty. Those of a stream come from validation light curves cut at all lengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goodricke.inference import monte_carlo
from goodricke.models.bundle import Model
from goodricke.models.output import NetworkOutput
from goodricke.preprocess import Prepared, Steps
from goodricke.uncertainty.calibration import (
    KINDS,
    Calibration,
    Kind,
    Label,
    Mode,
    choose_scaling,
    fit_scaling,
    folds_of,
)
from goodricke.uncertainty.label_sets import likeliest
from goodricke.uncertainty.novelty import Detector, Novelty, fit_detector
from goodricke.uncertainty.novelty import Kind as NoveltyKind
from goodricke.uncertainty.prediction_sets import Conformal, stratum_of

MONTE_CARLO_OBJECTS = 5000  # validation objects for Monte-Carlo passes
REFERENCE_OBJECTS = 5000  # training objects to which the detector of novelty is fitted
STRATUM_OBJECTS = 50  # smallest number of validation light curves in a stratum of a stream
STRATA = (0, 2, 4, 8, 16, 32, 64, 128, 256)  # smallest number of steps in each stratum of a stream

Int = NDArray[np.int64]


def calibrate(
    model: Model,
    prepared: Prepared,
    label: Label,
    validation: Int,
    training: Int,
    star: NDArray | None = None,
    passes: int = 20,
    kinds: Sequence[Kind] = KINDS,
    novelty: NoveltyKind = "combined",
) -> Calibration:
    """Return the calibration of a model, fitted to labelled objects.

    Parameters
    ----------
    model : Model
        Without ``training`` objects the detector of novelty of its calibration is used.
    prepared : Prepared
        Of n objects.
    label : int (n,) or bool (n, C)
        Index of the true class, or the set of classes that it is in, see `goodricke.uncertainty.label_sets`.
    validation : int (m,)
        Rows of usable objects that the network was not fitted to.
    training : int (k,)
        Rows of the training objects, for the detector of novelty.
    star : (n,), optional
        Star of each object.
    passes : int
        Monte-Carlo passes; 0 for none.
    kinds : list
        Scalings to choose from, the simplest first.
    novelty : {"combined", "mahalanobis", "neighbours", "energy"}

    Raises
    ------
    ValueError
        If there is no validation object, or a label is an empty set.
    """
    if not len(validation):
        raise ValueError("no labelled object that the model can classify, so it can't be calibrated")
    star = np.arange(len(label)) if star is None else star
    output = network_output(model, prepared, validation)
    one_pass, probabilities = choose_scaling(output.logits[None], label[validation], star[validation], kinds)
    monte_carlo_scaling = one_pass
    sets: dict[Mode, Conformal] = {"one_pass": Conformal.fit(probabilities, label[validation])}
    if passes and model.stochastic:
        rows = np.random.default_rng(0).permutation(validation)[:MONTE_CARLO_OBJECTS]
        samples = np.concatenate([monte_carlo(model, prepared, part, passes, seed=0) for part in _split_rows(rows)], 1)
        monte_carlo_scaling, probabilities = choose_scaling(samples, label[rows], star[rows], kinds)
        sets["monte_carlo"] = Conformal.fit(probabilities, label[rows])
    if isinstance(prepared, Steps):
        sets["stream"] = _stream_sets(one_pass.kind, model, prepared, label, validation, output, star)
    return Calibration(
        one_pass,
        monte_carlo_scaling,
        sets,
        measure_novelty(model, prepared, label, validation, training, novelty, output),
    )


def measure_novelty(
    model: Model,
    prepared: Prepared,
    label: Label,
    validation: Int,
    training: Int,
    kind: NoveltyKind = "combined",
    output: NetworkOutput | None = None,
) -> dict[Mode, Novelty]:
    """Return the novelty scores of validation objects by mode; see `calibrate`.

    ``output`` is the network's for the validation objects, computed by default.
    """
    detector = _detector(model, prepared, label, training, kind)
    if detector is None:
        return {}
    output = network_output(model, prepared, validation) if output is None else output
    novelty: dict[Mode, Novelty] = {"one_pass": _novelty(detector, output)}
    if isinstance(prepared, Steps):
        cut, _, counts, edges = _cut_output(model, prepared, validation)
        novelty["stream"] = _novelty(detector, cut, stratum_of(counts, edges), edges.tolist())
    return novelty


def network_output(model: Model, prepared: Prepared, rows: Int) -> NetworkOutput:
    """Return the output of one pass for the objects in ``rows``, in their order."""
    outputs = [model.run(prepared, part) for part in _split_rows(rows)]
    return NetworkOutput(*(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))


def _split_rows(rows: Int) -> list[Int]:
    return np.array_split(rows, max(len(rows) // 32, 1))


def _detector(model: Model, prepared: Prepared, label: Label, training: Int, kind: NoveltyKind) -> Detector | None:
    """Return a detector fitted to training objects; without any, the model's own."""
    if not len(training):
        return next((novelty.detector for novelty in model.calibration.novelty.values()), None)
    rows = reference_objects(training)
    output = network_output(model, prepared, rows)
    return fit_detector(kind, output.features, output.logits, likeliest(output.logits, label[rows]))


def reference_objects(training: Int) -> Int:
    """Return the training objects for the detector of novelty, in order."""
    return np.sort(np.random.default_rng(0).permutation(training)[:REFERENCE_OBJECTS])


def _novelty(
    detector: Detector, output: NetworkOutput, stratum: Int | None = None, edges: Sequence[int] = (0,)
) -> Novelty:
    """Return the scores of validation objects as the reference of a detector."""
    score = detector.score(output.features, output.logits).astype(np.float32)
    stratum = np.zeros(len(score), np.int64) if stratum is None else stratum
    return Novelty(detector, score, stratum.astype(np.int16), np.array(edges, np.int32))


# ---- streams -------------------------------------------------------------------------------------------------------


def _cut_output(model: Model, steps: Steps, validation: Int) -> tuple[NetworkOutput, Int, Int, NDArray[np.int32]]:
    """Return the output for validation light curves cut once in each stratum.

    Also for each output the index of its light curve among the ``validation`` ones and the number of steps after the
    cut, and the edges of the strata.
    """
    rows, counts = cuts(steps.n_points[validation])
    output = network_output(model, steps.cut(validation[rows], counts), np.arange(len(rows)))
    return output, rows, counts, _edges(steps.n_points[validation])


def _stream_sets(
    kind: Kind,
    model: Model,
    steps: Steps,
    label: Label,
    validation: Int,
    complete: NetworkOutput,
    star: NDArray,
) -> Conformal:
    """Return prediction sets for incomplete light curves; ``complete`` is the output of complete ones."""
    output, rows, counts, edges = _cut_output(model, steps, validation)
    probabilities, fold = np.empty(output.logits.shape), folds_of(star[validation])
    for k in np.unique(fold):  # a scaling fitted to other stars, as for complete light curves
        others = fold != k if (fold != k).any() else fold == k
        scaling = fit_scaling(complete.logits[None, others], label[validation][others], kind)
        probabilities[fold[rows] == k] = scaling.probabilities(output.logits[fold[rows] == k])
    return Conformal.fit(probabilities, label[validation[rows]], counts, edges)


def _edges(n_points: Int) -> NDArray[np.int32]:
    """Return the edges of a stream's strata: those of `STRATA` that enough light curves (n,) reach."""
    reached = [edge for edge in STRATA if edge == 0 or (n_points >= edge).sum() >= STRATUM_OBJECTS]
    return np.array(reached, np.int32)


def cuts(n_points: Int) -> tuple[Int, Int]:
    """Return random cuts of light curves, one in each stratum that a light curve reaches.

    Parameters
    ----------
    n_points : int (n,)
        Number of steps of each light curve.

    Returns
    -------
    rows, counts : int (m,)
        Index of the light curve and number of steps after the cut, uniform within the stratum.
    """
    bounds = _edges(n_points)
    first, last = np.maximum(bounds, 1), np.append(bounds[1:] - 1, np.iinfo(np.int32).max)
    random = np.random.default_rng(0).random((len(bounds), len(n_points)))
    ends = np.minimum(last[:, None], n_points)
    inside = ends >= first[:, None]
    counts = first[:, None] + np.floor(random * (ends - first[:, None] + 1)).astype(np.int64)
    _, rows = np.nonzero(inside)
    return rows, counts[inside]
