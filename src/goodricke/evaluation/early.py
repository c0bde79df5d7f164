"""Scores with few observations: by the total number of observations, and after each of the first steps.

The two answer different questions. Becker et al. (2025, Fig. 10) sort complete light curves by their number of
observations (`score_by_number`): short ones are of other stars than long ones. `score_by_truncation` measures early
classification: the same stars, each light curve cut after its k-th step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.data import ragged
from goodricke.evaluation.intervals import Estimate, bootstrap_sums, star_numbers, star_sums
from goodricke.evaluation.scores import check_probabilities, confusion_figures, intervals

Float = NDArray[np.float64]
Int = NDArray[np.int64]
FEWEST = 20  # objects in a bin; the paper shows none with fewer
STEPS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200)
FIGURES = {"macro_f1": "macro F1", "accuracy": "accuracy"}


@dataclass(frozen=True, eq=False)
class ScoresByNumber:
    """Scores in bins of the total number of observations, with 95 % bootstrap intervals.

    Parameters
    ----------
    edges : float64 (B + 1,)
        Bin b holds the objects with ``edges[b] <= number < edges[b + 1]``.
    n : int64 (B,)
        Objects in each bin.
    fewest, median, most : float64 (B,)
        Numbers of observations of the objects in each bin.
    left_out : int
        Objects outside all bins.
    macro_f1, accuracy : tuple of Estimate (B,)
        The mean of F1 is over the classes that have an object in the bin; a bootstrap sample that misses a rare class
        leaves it out too, so that intervals of small bins can be lopsided.
    """

    edges: Float
    n: Int
    fewest: Float
    median: Float
    most: Float
    left_out: int
    macro_f1: tuple[Estimate, ...]
    accuracy: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON; NaN and infinite edges become None."""
        edges = [float(x) if np.isfinite(x) else None for x in self.edges]
        bins = {name: getattr(self, name).tolist() for name in ("n", "fewest", "median", "most")}
        return {"edges": edges, "left_out": self.left_out} | bins | _lists(self)


@dataclass(frozen=True, eq=False)
class ScoresByTruncation:
    """Scores of n light curves cut after their k-th step, with 95 % bootstrap intervals.

    Parameters
    ----------
    at : int64 (K,)
        The numbers of steps k.
    n : int
        Light curves, the same for every k: one shorter than k counts with its last answer.
    reached : int64 (K,)
        Light curves that have k steps or more.
    macro_f1, accuracy : tuple of Estimate (K,)
    """

    at: Int
    n: int
    reached: Int
    macro_f1: tuple[Estimate, ...]
    accuracy: tuple[Estimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON; NaN becomes None."""
        return {"at": self.at.tolist(), "n": self.n, "reached": self.reached.tolist()} | _lists(self)


def score_by_number(
    label: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    n_obs: NDArray[np.number],
    edges: ArrayLike,
    star: NDArray | Sequence | None = None,
    fewest: int = FEWEST,
    resamples: int = 1000,
    seed: int = 0,
) -> ScoresByNumber:
    """Score complete light curves in bins of their number of observations (Becker et al. 2025, section 5.4, Fig. 10).

    Parameters
    ----------
    label : int (n,)
        Index of the true class.
    probabilities : (n, C)
    n_obs : (n,)
        Number of observations of each object, or another quantity to sort by.
    edges : (B + 1,)
        Increasing; bins are half-open. The last may be infinite.
    star : (n,), optional
        The star of each light curve; by default each has a star of its own. The bootstrap draws stars.
    fewest : int
        The smallest bin is joined to the smaller of its neighbours until none has fewer objects than this.
    resamples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If shapes disagree, rows are no probabilities, edges don't increase, or no object is in a bin.

    Notes
    -----
    The bins depend on ``n_obs`` alone: models compared on one test set share them.
    """
    truth, p = check_probabilities(label, probabilities, np.shape(probabilities)[-1])
    number, fine = np.asarray(n_obs), np.asarray(edges, np.float64)
    inside = _inside(number, fine, len(truth))
    number = number[inside]
    coarse = merge_bins(fine, np.bincount(_bin(number, fine), minlength=len(fine) - 1), fewest)
    group, bins = _bin(number, coarse), len(coarse) - 1
    flat = (truth[inside], p.argmax(1)[inside], group, star_numbers(star, len(truth))[inside])
    figures = _estimates(*flat, (bins, p.shape[1]), resamples, seed)
    return ScoresByNumber(coarse, **_counts(number, group, bins), left_out=int((~inside).sum()), **figures)


def score_by_truncation(
    label: NDArray[np.integer],
    offsets: NDArray[np.int64],
    step_probabilities: NDArray[np.floating],
    at: Sequence[int] = STEPS,
    star: NDArray | Sequence | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ScoresByTruncation:
    """Score the classification after k steps: the curve of early classification, which the paper leaves out.

    A light curve shorter than k counts with its last probabilities, so that every k is scored on the same objects. From
    the longest light curve on, the scores are the final ones.

    Parameters
    ----------
    label : int (n,)
        Index of the true class.
    offsets : int64 (n + 1,)
        Object i has the steps ``offsets[i]:offsets[i + 1]``, at least one.
    step_probabilities : (M, C)
        Class probabilities after each step, in order of time, computed from the steps so far.
    at : sequence of int (K,)
        Numbers of steps, from 1 on, increasing. A step is not an observation where a model spends the first ones of
        each band on its representation (section 5.3).
    star, resamples, seed
        As in `score_by_number`.

    Raises
    ------
    ValueError
        If shapes disagree, an object has no step, rows are no probabilities, or ``at`` doesn't increase from 1 on.
    """
    offsets, steps, cuts = np.asarray(offsets, np.int64), np.asarray(step_probabilities), np.asarray(at)
    _check_steps(offsets, steps, cuts)
    truth, _ = check_probabilities(label, steps[offsets[1:] - 1], steps.shape[1])
    n, k, length = len(truth), len(cuts), ragged.lengths(offsets)
    row = offsets[:-1, None] + np.minimum(cuts, length[:, None]) - 1  # (n, K): the last step until the cut
    answer, group = steps.argmax(1)[row].ravel(), np.tile(np.arange(k), n)
    flat = (np.repeat(truth, k), answer, group, np.repeat(star_numbers(star, n), k))
    figures = _estimates(*flat, (k, steps.shape[1]), resamples, seed)
    return ScoresByTruncation(cuts.astype(np.int64), n, (length[:, None] >= cuts).sum(0), **figures)


def merge_bins(edges: Float, n: Int, fewest: int) -> Float:
    """Return fewer edges: the smallest bin is joined to its smaller neighbour until all have ``fewest`` objects.

    Examples
    --------
    >>> merge_bins(np.array([0.0, 10, 20, 30, 40]), np.array([50, 3, 20, 1]), 10)
    array([ 0., 10., 40.])
    """
    left, counts = list(edges), list(n)
    while len(counts) > 1 and min(counts) < max(fewest, 1):  # an empty bin has no score
        i = int(np.argmin(counts))
        last, first = i == len(counts) - 1, i == 0
        if last or (not first and counts[i - 1] <= counts[i + 1]):
            i -= 1  # bins i and i + 1 are joined
        counts[i : i + 2] = [counts[i] + counts[i + 1]]
        del left[i + 1]
    return np.array(left)


def _inside(number: NDArray, edges: Float, n: int) -> NDArray[np.bool_]:
    """Return whether each object is in a bin, (n,).

    Raises
    ------
    ValueError
        If shapes disagree, edges don't increase, or no object is in a bin.
    """
    if number.shape != (n,) or edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"{n} objects need as many n_obs, and two or more increasing edges, not {edges}")
    inside = (number >= edges[0]) & (number < edges[-1])
    if not inside.any():
        raise ValueError(f"no object has {edges[0]:g} to {edges[-1]:g} observations; choose other edges")
    return inside


def _bin(number: NDArray, edges: Float) -> Int:
    """Return the half-open bin of each number."""
    return np.searchsorted(edges, number, side="right") - 1


def _counts(number: NDArray, group: Int, bins: int) -> dict[str, Any]:
    """Return the number of objects in each bin, and the fewest, median and most observations of them."""
    n = np.bincount(group, minlength=bins)
    order, offsets = np.lexsort((number, group)), ragged.offsets_from_counts(n)
    sorted_number = number[order].astype(np.float64)
    middle = (sorted_number[offsets[:-1] + (n - 1) // 2] + sorted_number[offsets[:-1] + n // 2]) / 2
    return {"n": n, "fewest": sorted_number[offsets[:-1]], "median": middle, "most": sorted_number[offsets[1:] - 1]}


def _check_steps(offsets: Int, steps: NDArray, at: NDArray) -> None:
    """Raise ValueError if offsets, probabilities or numbers of steps are wrong."""
    if steps.ndim != 2 or not len(offsets) or offsets[0] != 0 or offsets[-1] != len(steps):
        raise ValueError(f"offsets must run from 0 to the number of steps; the probabilities have shape {steps.shape}")
    if (ragged.lengths(offsets) < 1).any():
        raise ValueError("some objects have no step: leave out those whose status is not OK")
    if not np.isfinite(steps).all():
        raise ValueError("some probabilities of steps are not finite")
    if at.ndim != 1 or not np.issubdtype(at.dtype, np.integer) or (np.diff(at, prepend=0) < 1).any():
        raise ValueError(f"numbers of steps must be whole and increase from 1 on, not {at.tolist()}")


def _estimates(
    label: Int, answer: Int, group: Int, star: NDArray, shape: tuple[int, int], resamples: int, seed: int
) -> dict[str, Any]:
    """Return the figures of each group with intervals; label, answer, group, star (m,), shape groups and classes.

    The groups are columns of one table of sums, so that every bootstrap sample draws the same stars for all of them.
    """
    groups, count = shape
    cell = (group * count + label) * count + answer
    sums = star_sums(star, [(cell, np.ones(len(cell)))], groups * count**2)
    values = confusion_figures(np.asarray(sums.sum(axis=0)).reshape(groups, count, count))
    samples = confusion_figures(bootstrap_sums(sums, resamples, seed).reshape(-1, groups, count, count))
    bounds = intervals(values, samples, sums, count)
    rows = {name: zip(values[name], *bounds[name], strict=True) for name in FIGURES}
    return {name: tuple(Estimate(*map(float, row)) for row in bins) for name, bins in rows.items()}


def _lists(curve: ScoresByNumber | ScoresByTruncation) -> dict[str, Any]:
    return {name: [figure.to_dict() for figure in getattr(curve, name)] for name in FIGURES}
