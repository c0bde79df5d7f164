"""Teach a model how far its answers can be trusted, by labelled objects that it was not fitted to.

A scaling for one pass and one for Monte-Carlo passes, scores for prediction sets, and what is usual, so that novelty
means a rate of false alarms; see `goodricke.uncertainty`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from goodricke.inference import monte_carlo
from goodricke.models.bundle import Model, Told
from goodricke.preprocess import Prepared, Steps
from goodricke.uncertainty.calibration import KINDS, Calibration, Kind, Mode, choose_scaling, fit_scaling, folds_of
from goodricke.uncertainty.novelty import Detector, Novelty, fit_detector
from goodricke.uncertainty.novelty import Kind as NoveltyKind
from goodricke.uncertainty.prediction_sets import Conformal, stratum_of

ENOUGH = 5000  # validation objects that go through Monte-Carlo passes: rare classes need all of theirs
REFERENCE = 5000  # training objects that novelty is measured from
FEWEST = 50  # validation light curves wanted in a stratum of a stream
STRATA = (0, 2, 4, 8, 16, 32, 64, 128, 256)  # steps of a stream at which another stratum begins

Int = NDArray[np.int64]


def calibrate(
    model: Model,
    prepared: Prepared | Steps,
    label: NDArray[np.integer],
    validation: Int,
    known: Int,
    star: NDArray | None = None,
    passes: int = 20,
    kinds: Sequence[Kind] = KINDS,
    novelty: NoveltyKind = "combined",
) -> Calibration:
    """Return what labelled objects say of a model's answers.

    Parameters
    ----------
    model : Model
        Its own calibration doesn't matter, but for the detector of novelty if there are no ``known`` objects.
    prepared : Prepared or Steps
        Of n objects.
    label : int (n,)
        Index of the true class.
    validation : int (m,)
        Rows of the objects to learn from, usable ones that the network was not fitted to.
    known : int (k,)
        Rows of the training objects, from which novelty is measured.
    star : (n,), optional
        Which star each is of.
    passes : int
        Monte-Carlo passes; 0 for none.
    kinds : list
        Scalings to choose from, the simplest first.
    novelty : {"combined", "mahalanobis", "neighbours", "energy"}

    Raises
    ------
    ValueError
        If there is no object to learn from.
    """
    if not len(validation):
        raise ValueError("no labelled object that the model can answer for: nothing to calibrate it by")
    star = np.arange(len(label)) if star is None else star
    told = ask(model, prepared, validation)
    one_pass, left_out = choose_scaling(told.logits[None], label[validation], star[validation], kinds)
    several = one_pass
    sets: dict[Mode, Conformal] = {"one_pass": Conformal.of(left_out, label[validation])}
    if passes and model.stochastic and isinstance(prepared, Prepared):
        few = np.random.default_rng(0).permutation(validation)[:ENOUGH]
        samples = np.concatenate([monte_carlo(model, prepared, part, passes, seed=0) for part in _pieces(few)], 1)
        several, left_out = choose_scaling(samples, label[few], star[few], kinds)
        sets["monte_carlo"] = Conformal.of(left_out, label[few])
    if isinstance(prepared, Steps):
        sets["stream"] = _sets_of_stream(one_pass.kind, model, prepared, label, validation, told, star)
    usual = measure_novelty(model, prepared, label, validation, known, novelty, told)
    return Calibration(one_pass, several, sets, usual)


def measure_novelty(
    model: Model,
    prepared: Prepared | Steps,
    label: NDArray[np.integer],
    validation: Int,
    known: Int,
    kind: NoveltyKind = "combined",
    told: Told | None = None,
) -> dict[Mode, Novelty]:
    """Return what validation objects say of how strange an object is; see `calibrate`.

    ``told`` is what the model says of the validation objects, if it was asked already.
    """
    detector = _detector(model, prepared, label, known, kind)
    if detector is None:
        return {}
    found: dict[Mode, Novelty] = {"one_pass": _usual(detector, told or ask(model, prepared, validation))}
    if isinstance(prepared, Steps):
        cut, _, counts, bounds = _ask_on_the_way(model, prepared, validation)
        found["stream"] = _usual(detector, cut, stratum_of(counts, bounds), bounds.tolist())
    return found


def ask(model: Model, prepared: Prepared | Steps, rows: Int) -> Told:
    """Return what a model says in one pass, in the order of the rows."""
    answers = [model.answer(prepared, part) for part in _pieces(rows)]
    return Told(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))


def _pieces(rows: Int) -> list[Int]:
    return np.array_split(rows, max(len(rows) // 32, 1))


def _detector(
    model: Model, prepared: Prepared | Steps, label: NDArray[np.integer], known: Int, kind: NoveltyKind
) -> Detector | None:
    """Return a detector of what training objects are not; without any, the model's own."""
    if not len(known):
        return next((x.detector for x in model.calibration.novelty.values()), None)
    few = reference(known)
    told = ask(model, prepared, few)
    return fit_detector(kind, told.features, told.logits, label[few])


def reference(known: Int) -> Int:
    """Return the training objects, of all ``known`` ones, that novelty is measured from."""
    return np.sort(np.random.default_rng(0).permutation(known)[:REFERENCE])


def _usual(detector: Detector, told: Told, stratum: Int | None = None, edges: Sequence[int] = (0,)) -> Novelty:
    """Return how strange validation objects look."""
    score = detector.score(told.features, told.logits).astype(np.float32)
    where = np.zeros(len(score), np.int16) if stratum is None else stratum.astype(np.int16)
    return Novelty(detector, score, where, np.array(edges, np.int32))


def _ask_on_the_way(model: Model, steps: Steps, validation: Int) -> tuple[Told, Int, Int, NDArray[np.int32]]:
    """Return what a model says of validation light curves that are still coming in, cut somewhere in each stratum.

    With it, for each answer the place of its light curve among the ``validation`` ones, the number of steps that it was
    cut to, and the strata's edges.
    """
    rows, counts = cuts(steps.n_points[validation])
    told = ask(model, steps.cut(validation[rows], counts), np.arange(len(rows)))
    return told, rows, counts, _edges(steps.n_points[validation])


def _sets_of_stream(
    kind: Kind, model: Model, steps: Steps, label: NDArray[np.integer], validation: Int, whole: Told, star: NDArray
) -> Conformal:
    """Return prediction sets that hold for light curves that are still coming in."""
    told, rows, counts, bounds = _ask_on_the_way(model, steps, validation)
    p, fold = np.empty(told.logits.shape), folds_of(star[validation])
    for k in np.unique(fold):  # each star by a scaling fitted to others, as for whole light curves
        rest = fold != k if (fold != k).any() else fold == k
        scaling = fit_scaling(whole.logits[None, rest], label[validation][rest], kind)
        p[fold[rows] == k] = scaling.probabilities(told.logits[fold[rows] == k])
    return Conformal.of(p, label[validation[rows]], counts, bounds)


def _edges(n_points: Int) -> NDArray[np.int32]:
    """Return where strata of a stream begin: those of `STRATA` that enough light curves (n,) reach."""
    reached = [edge for edge in STRATA if edge == 0 or (n_points >= edge).sum() >= FEWEST]
    return np.array(reached, np.int32)


def cuts(n_points: Int) -> tuple[Int, Int]:
    """Return light curves and numbers of steps to cut them to: one cut in each stratum that a light curve reaches.

    Parameters
    ----------
    n_points : int (n,)
        Steps of each.

    Returns
    -------
    rows, counts : int (m,)
        Any number of steps within the stratum that the light curve has is as likely.
    """
    bounds = _edges(n_points)
    first, last = np.maximum(bounds, 1), np.append(bounds[1:] - 1, np.iinfo(np.int32).max)
    random = np.random.default_rng(0).random((len(bounds), len(n_points)))
    ends = np.minimum(last[:, None], n_points)
    inside = ends >= first[:, None]
    counts = first[:, None] + np.floor(random * (ends - first[:, None] + 1)).astype(np.int64)
    _, rows = np.nonzero(inside)
    return rows, counts[inside]
