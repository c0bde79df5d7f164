r"""Scores of a classifier with 95 % intervals, the comparison of two classifiers, and purity and completeness.

A sample of all objects with :math:`p_c \ge t` has the purity (precision) :math:`TP / (TP + FP)` and the completeness
(recall) :math:`TP / (TP + FN)`. Purity holds for the class shares of the scored objects only:
:math:`\mathrm{purity} = \pi R / (\pi R + (1 - \pi) F)`, with the share of the class
:math:`\pi`, its recall R and its false alarm rate F, which don't depend on the shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.intervals import (
    Estimate,
    absolute_sum_interval,
    bootstrap_sums,
    count_stars,
    percentile_interval,
    replace_flat,
    star_numbers,
    star_sums,
    wilson,
)

if TYPE_CHECKING:
    from rich.table import Table


Float = NDArray[np.float64]
BINS = 15  # of confidence, as in `goodricke.uncertainty.calibration.calibration_error`
HEADLINE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "macro precision",
    "macro_f1": "macro F1",
    "negative_log_likelihood": "negative log-likelihood [nat]",
    "brier": "Brier score",
    "calibration_error": "expected calibration error",
}
PER_CLASS = ("recall", "precision", "f1")


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of the classification of n light curves, each with its 95 % bootstrap interval.

    Parameters
    ----------
    classes : tuple of str (C,)
    confusion : int64 (C, C)
        Light curves by true class (row) and most probable class (column).
    stars : int
        Number of stars that the light curves are of.
    accuracy, balanced_accuracy, macro_precision, macro_f1 : Estimate
        Balanced accuracy is the macro recall.
    negative_log_likelihood, brier, calibration_error : Estimate
        The Brier score is the mean squared distance of the probabilities from the truth, summed over classes: 0 to 2.
    recall, precision, f1 : tuple of Estimate (C,)

    Notes
    -----
    A class without a light curve has no recall and no F1 (NaN) and is left out of the macro means. A class that is
    never the answer has precision 0. See `goodricke.evaluation.calibration_scores.expected_calibration_error` for the
    interval of the calibration error, and `intervals` for those of figures that are equal in all resamples.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    stars: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_precision: Estimate
    macro_f1: Estimate
    negative_log_likelihood: Estimate
    brier: Estimate
    calibration_error: Estimate
    recall: tuple[Estimate, ...]
    precision: tuple[Estimate, ...]
    f1: tuple[Estimate, ...]

    @property
    def headline(self) -> dict[str, Estimate]:
        """The figures over all classes, by the names in `HEADLINE`."""
        return {name: getattr(self, name) for name in HEADLINE}

    @property
    def n(self) -> NDArray[np.int64]:
        """Light curves of each class, (C,)."""
        return self.confusion.sum(1)

    @property
    def counts(self) -> list[str]:
        """Number of right answers and of light curves for each class, such as ``154/158``."""
        return [f"{right}/{n}" for right, n in zip(np.diagonal(self.confusion), self.n, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON; NaN becomes None."""
        rows = zip(self.classes, self.n, self.counts, self.recall, self.precision, self.f1, strict=True)
        return {
            "n": int(self.n.sum()),
            "stars": self.stars,
            "headline": {name: figure.to_dict() for name, figure in self.headline.items()},
            "per_class": {
                name: {"n": int(n), "counts": counts}
                | {key: figure.to_dict() for key, figure in zip(PER_CLASS, figures, strict=True)}
                for name, n, counts, *figures in rows
            },
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }

    def table(self) -> Table:
        """Return the scores as a rich table for the terminal."""
        from rich.table import Table
        from rich.text import Text

        result = Table(title=f"{self.n.sum()} light curves of {self.stars} stars, 95 % intervals")
        for name in ("class", "right", "recall", "precision", "F1"):
            result.add_column(name, justify="left" if name == "class" else "right")
        for row in self._rows():
            result.add_row(*map(Text, row))  # as Text: square brackets are markup otherwise
        result.add_section()
        macro = (self.balanced_accuracy, self.macro_precision, self.macro_f1)
        result.add_row("mean of classes", "", *(Text(str(figure)) for figure in macro))
        right = f"{np.diagonal(self.confusion).sum()}/{self.n.sum()}"
        for name in ("accuracy", "negative_log_likelihood", "brier", "calibration_error"):
            count = right if name == "accuracy" else ""
            result.add_row(Text(HEADLINE[name]), count, Text(str(self.headline[name])))
        return result

    def _rows(self) -> list[list[str]]:
        columns = (map(str, getattr(self, name)) for name in PER_CLASS)
        return [list(row) for row in zip(self.classes, self.counts, *columns, strict=True)]


def score(
    label: NDArray[np.integer] | NDArray[np.bool_],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    star: NDArray | Sequence | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Score class probabilities against the truth.

    Parameters
    ----------
    label : int (n,) or bool (n, C)
        Index of the true class, or the classes that each label allows: an answer in the set is right, and counts as
        one of the most probable of them in the figures by class.
    probabilities : (n, C)
        Rows add up to 1.
    classes : (C,)
    star : (n,), optional
        The star of each light curve (see `goodricke.training.splits.stars`); by default each has a star of its own. The
        bootstrap draws stars, with all their light curves.
    resamples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there is no light curve, shapes disagree, a label has no class, or rows are no probabilities.
    """
    truth, probabilities = check_truth(label, probabilities, len(classes))
    label = likely_labels(probabilities, truth)
    sums = _sums(truth, probabilities, star_numbers(star, len(label)))
    total, drawn = np.asarray(sums.sum(axis=0)).reshape(1, -1), bootstrap_sums(sums, resamples, seed)
    values, samples = _figures(total, len(classes)), _figures(drawn, len(classes))
    first = {name: figure[0] for name, figure in values.items()}
    bounds = intervals(first, samples, sums[:, : len(classes) ** 2], len(classes))
    (gaps, _), (gaps_drawn, n_drawn) = _gaps(total, len(classes)), _gaps(drawn, len(classes))
    bounds["calibration_error"] = absolute_sum_interval(gaps_drawn, gaps[0], n_drawn, first["calibration_error"])
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (label, probabilities.argmax(1)), 1)
    figures: dict[str, Any] = {name: Estimate(float(first[name]), *map(float, bounds[name])) for name in HEADLINE}
    for name in PER_CLASS:
        rows = zip(first[name], *bounds[name], strict=True)
        figures[name] = tuple(Estimate(*map(float, row)) for row in rows)
    return Scores(tuple(classes), confusion, sums.shape[0], **figures)


@dataclass(frozen=True)
class Comparison:
    """The differences b - a of the scores of two classifiers on the same light curves, with 95 % intervals.

    Parameters
    ----------
    accuracy, macro_f1 : Estimate
        Differences; an interval without 0 in it is a difference at that level.
    only_a, only_b : int
        Light curves that only one of them classifies correctly.
    p_value : float
        Of McNemar's exact test that both are right equally often. It takes light curves as independent: with several
        per star, use the intervals.
    """

    accuracy: Estimate
    macro_f1: Estimate
    only_a: int
    only_b: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON."""
        figures = {"accuracy": self.accuracy.to_dict(), "macro_f1": self.macro_f1.to_dict()}
        return figures | {"only_a": self.only_a, "only_b": self.only_b, "p_value": self.p_value}


def compare(
    label: NDArray[np.integer] | NDArray[np.bool_],
    probabilities_a: NDArray[np.floating],
    probabilities_b: NDArray[np.floating],
    star: NDArray | Sequence | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two classifiers on the same light curves, by a bootstrap that draws the same stars for both.

    Parameters and errors are those of `score`.
    """
    count = np.shape(probabilities_a)[-1]
    truth, a = check_truth(label, probabilities_a, count)
    _, b = check_truth(label, probabilities_b, count)
    star = star_numbers(star, len(label))
    sums = [_sums(truth, p, star) for p in (a, b)]
    values = [_figures(np.asarray(s.sum(axis=0)).reshape(1, -1), count) for s in sums]
    samples = [_figures(bootstrap_sums(s, resamples, seed), count) for s in sums]  # one seed: the same stars
    differences = {}
    for name in ("accuracy", "macro_f1"):
        bounds = map(float, percentile_interval(samples[1][name] - samples[0][name]))
        differences[name] = Estimate(float(values[1][name][0] - values[0][name][0]), *bounds)
    right_a, right_b = (truth[np.arange(len(truth)), p.argmax(1)] for p in (a, b))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return Comparison(**differences, only_a=only_a, only_b=only_b, p_value=_mcnemar(only_a, only_b))


def _mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided exact p-value of disagreements that favour either side with probability 1/2."""
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def likely_labels(probabilities: NDArray[np.floating], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the most probable class (n,) among those that a label allows (n, C): the answer, if that is right."""
    return np.where(truth, probabilities, -1.0).argmax(1)


def _sums(truth: NDArray[np.bool_], probabilities: Float, star: NDArray) -> Any:
    """Return each star's sums (stars, C * C + 3 + BINS): confusion, log-likelihood, Brier, objects, calibration gaps.

    Of a label that allows several classes (n, C) the likelihood is their sum, and the Brier score takes them as one
    class. Calibration gaps are of the objects whose label is one class: of a set nobody knows whether its most
    probable class is right.
    """
    n, count = probabilities.shape
    label, single = likely_labels(probabilities, truth), truth.sum(1) == 1
    confidence, answer = probabilities.max(1), probabilities.argmax(1)
    likelihood = np.where(truth, probabilities, 0).sum(1)
    merged = np.where(truth, 0, probabilities)
    merged[np.arange(n), label] = likelihood
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    tiny = np.finfo(np.float64).eps  # a true class of probability 0 costs 36 nat, as in scikit-learn, not infinity
    columns = [
        (label * count + answer, np.ones(n)),
        (np.full(n, count**2), -np.log(np.maximum(likelihood, tiny))),
        (np.full(n, count**2 + 1), np.square(merged - np.eye(count)[label]).sum(1)),
        (np.full(n, count**2 + 2), single),
        (count**2 + 3 + bins, np.where(single, confidence - (answer == label), 0)),
    ]
    return star_sums(star, columns, count**2 + 3 + BINS)


def _figures(sums: Float, count: int) -> dict[str, Float]:
    """Return the figures of samples from their sums (R, C * C + 3 + BINS): headline (R,), per class (R, C)."""
    confusion, (gaps, n) = sums[:, : count**2].reshape(-1, count, count), _gaps(sums, count)
    total = confusion.sum((1, 2))
    return confusion_figures(confusion) | {
        "negative_log_likelihood": sums[:, count**2] / total,
        "brier": sums[:, count**2 + 1] / total,
        "calibration_error": np.abs(gaps).sum(1) / n,
    }


def _gaps(sums: Float, count: int) -> tuple[Float, Float]:
    """Return calibration gaps of samples (R, BINS), and the light curves (R,) whose label is one class, NaN for 0."""
    n = sums[:, count**2 + 2]
    return sums[:, count**2 + 3 :], np.where(n > 0, n, np.nan)


def confusion_figures(confusion: NDArray) -> dict[str, Float]:
    """Return the figures of confusion matrices, NaN where there is no light curve; see `Scores`.

    Parameters
    ----------
    confusion : (..., C, C)
        Light curves by true class (second last axis) and answer (last).

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``macro_precision`` and ``macro_f1`` (...), ``recall``, ``precision`` and
        ``f1`` (..., C).
    """
    n, answers = confusion.sum(-1), confusion.sum(-2)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    present = n > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(present, right / n, np.nan)
        precision = np.where(answers > 0, right / answers, np.where(present, 0.0, np.nan))
        f1 = np.where(present, 2 * right / (n + answers), np.nan)

    def mean(figure: Float) -> Float:
        with np.errstate(invalid="ignore"):
            return np.where(present, figure, 0).sum(-1) / present.sum(-1)

    with np.errstate(invalid="ignore"):
        accuracy = right.sum(-1) / n.sum(-1)
    macro = {"balanced_accuracy": mean(recall), "macro_precision": mean(precision), "macro_f1": mean(f1)}
    return {"accuracy": accuracy} | macro | {"recall": recall, "precision": precision, "f1": f1}


def intervals(values: Mapping[str, Float], samples: Mapping[str, Float], sums: Any, count: int) -> dict[str, Float]:
    """Return low and high (2, ...) of figures, which include those of `confusion_figures`.

    Parameters
    ----------
    values, samples : dict
        Figures of all stars (...) and of bootstrap samples (R, ...).
    sums : sparse array (stars, ... * C * C)
        Contribution of each star to the confusion matrices.
    count : int
        C.

    Notes
    -----
    All resamples of 3 right answers of 3 are equal. Accuracy, recall and precision then have Wilson's interval with a
    trial for each star. The bounds of F1, the harmonic mean of recall and precision, and of the means over classes
    then are the means of the bounds.
    """
    cell = np.arange(sums.shape[1])
    groups = {"accuracy": cell // count**2, "recall": cell // count}
    groups["precision"] = groups["accuracy"] * count + cell % count
    bounds = {name: percentile_interval(figure) for name, figure in samples.items()}
    for name, group in groups.items():
        stars = count_stars(sums, group, int(group[-1]) + 1).reshape(values[name].shape)
        bounds[name] = replace_flat(bounds[name], wilson(values[name], stars))
    recall, precision, present = bounds["recall"], bounds["precision"], ~np.isnan(values["recall"])
    harmonic = 2 * recall * precision / np.maximum(recall + precision, np.finfo(np.float64).tiny)
    bounds["f1"] = replace_flat(bounds["f1"], harmonic)
    for name, part in {"balanced_accuracy": "recall", "macro_precision": "precision", "macro_f1": "f1"}.items():
        mean = np.where(present, bounds[part], 0).sum(-1) / present.sum(-1)
        bounds[name] = replace_flat(bounds[name], mean)
    return bounds


def check_truth(label: Any, probabilities: Any, count: int) -> tuple[NDArray[np.bool_], Float]:
    """Return the classes that each label allows (n, C) and probabilities (n, C); raise ValueError if they are wrong.

    Labels are indices of classes (n,), or already the allowed classes, bool (n, C).
    """
    label = np.asarray(label)
    if label.dtype != bool or label.ndim != 2:
        index, p = check_probabilities(label, probabilities, count)
        return np.arange(count) == index[:, None], p
    if label.shape[1] != count or not label.any(1).all():
        raise ValueError(f"labels as sets allow at least one of {count} classes; these have the shape {label.shape}")
    return label, check_probabilities(label.argmax(1), probabilities, count)[1]


def check_probabilities(label: Any, probabilities: Any, count: int) -> tuple[NDArray[np.int64], Float]:
    """Return labels (n,) and probabilities (n, C) as arrays; raise ValueError if they are wrong; see `score`."""
    label, probabilities = np.asarray(label), np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(label), count) or not len(label):
        raise ValueError(f"{len(label)} labels and {count} classes need probabilities of that shape, and at least one")
    if not np.issubdtype(label.dtype, np.integer) or label.min() < 0 or label.max() >= count:
        raise ValueError(f"labels must be indices of classes, 0 to {count - 1}; leave out objects of other classes")
    if not np.isfinite(probabilities).all():
        raise ValueError("some probabilities are NaN: leave out the objects whose status is not OK (predictions.ok)")
    if (probabilities < 0).any() or (np.abs(probabilities.sum(1) - 1) > 1e-3).any():
        raise ValueError("rows of probabilities must add up to 1; were they logits? Apply softmax first")
    return label.astype(np.int64), probabilities


def area_under_curve(
    first: NDArray[np.floating], second: NDArray[np.floating], resamples: int = 500, seed: int = 0, star: Any = None
) -> Estimate:
    """Return the area under the ROC curve of scores that should be higher in the second set (m,) than the first (n,).

    It is the probability that a score of the second set is above one of the first; ties count half (Mann & Whitney
    1947).

    Parameters
    ----------
    first, second : (n,) and (m,)
    resamples, seed : int
        Of the bootstrap, which draws the stars of each set.
    star : (n + m,), optional
        The star of each score; by default each has a star of its own.
    """
    rng, star = np.random.default_rng(seed), star_numbers(star, len(first) + len(second))
    sets = zip((first, second), np.split(star, [len(first)]), strict=True)
    both = [(x, np.unique(s, return_inverse=True)[1]) for x, s in sets]
    samples = np.array([_area(*(_drawn_stars(x, index, rng) for x, index in both)) for _ in range(resamples)])
    return Estimate(_area(first, second), *map(float, percentile_interval(samples)))


def _drawn_stars(x: NDArray[np.floating], star: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.floating]:
    """Return a bootstrap sample of numbers (n,): stars drawn with replacement, each with all of its numbers."""
    n = int(star.max()) + 1
    return np.repeat(x, np.bincount(rng.integers(n, size=n), minlength=n)[star])


def _area(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    below, ordered = (np.searchsorted(np.sort(first), second, side) for side in ("left", "right"))
    return float((below + ordered).sum() / 2 / len(first) / len(second))


# ---- purity and completeness ----------------------------------------------------------------------------------------


THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)


class ThresholdCurve(NamedTuple):
    """Purity and completeness of one class at T thresholds, each with its 95 % interval from drawing stars.

    Where all resamples are equal the interval is Wilson's with a trial for each star.
    ``purity`` and ``completeness`` are (3, T): value, low, high; NaN where no object is above the threshold.
    """

    thresholds: Float  # (T,)
    purity: Float  # (3, T)
    completeness: Float  # (3, T)
    selected: NDArray[np.int64]  # (T,) objects above the threshold
    average_precision: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists for JSON."""
        names = ("value", "low", "high")
        return {
            "thresholds": self.thresholds.tolist(),
            "purity": dict(zip(names, self.purity.tolist(), strict=True)),
            "completeness": dict(zip(names, self.completeness.tolist(), strict=True)),
            "selected": self.selected.tolist(),
            "average_precision": self.average_precision.to_dict(),
        }

    def best_completeness(self, purity: float) -> tuple[float, float]:
        """Return the lowest threshold with this purity or more, and its completeness; NaN if there is none."""
        pure = self.purity[0] >= purity
        if not pure.any():
            return np.nan, np.nan
        at = int(np.argmax(pure))
        return float(self.thresholds[at]), float(self.completeness[0, at])


def threshold_curve(
    p: NDArray[np.floating], true: NDArray[np.bool_], star: Any = None, resamples: int = 200, seed: int = 0
) -> ThresholdCurve:
    """Return purity and completeness of a class against the threshold.

    Parameters
    ----------
    p : (n,)
        The class's probability.
    true : bool (n,)
        Whether the object is of it.
    star : (n,), optional
        The star of each light curve; the bootstrap draws stars.
    resamples, seed : int
        Of the bootstrap.

    Notes
    -----
    The average precision is that of the 101 thresholds, the sum of purity times the gain in completeness; it differs
    from the exact sum over all objects by less than the interval is wide.
    """
    p, true = np.asarray(p, np.float64), np.asarray(true, bool)
    last = len(THRESHOLDS) - 1
    highest = np.minimum(np.floor(p * last + 1e-9).astype(np.int64), last)  # the last threshold that p reaches
    columns = [(highest, np.ones(len(p))), (len(THRESHOLDS) + highest, true)]
    star = star_numbers(star, len(p))
    sums = star_sums(star, columns, 2 * len(THRESHOLDS))
    values = _curves(np.asarray(sums.sum(axis=0)).reshape(1, -1))
    low_high = [percentile_interval(x) for x in _curves(bootstrap_sums(sums, resamples, seed))]
    for k, n in enumerate(_stars(star, highest, true)):
        low_high[k] = replace_flat(low_high[k], wilson(values[k][0], n))
    purity, complete, average = (np.concatenate([w, b]) for w, b in zip(values, low_high, strict=True))
    selected = np.bincount(highest, minlength=len(THRESHOLDS))[::-1].cumsum()[::-1]
    return ThresholdCurve(THRESHOLDS, purity, complete, selected, Estimate(*map(float, average)))


def _stars(star: NDArray, highest: NDArray[np.int64], true: NDArray[np.bool_]) -> tuple[Float, Float]:
    """Return the number of stars in the denominators of purity and completeness at each threshold (T,)."""
    index = np.unique(star, return_inverse=True)[1]
    top = np.zeros(index.max() + 1, np.int64)
    np.maximum.at(top, index, highest)
    members = np.full(len(THRESHOLDS), len(np.unique(star[true])), np.float64)
    members[0] = np.inf  # the sample of all objects is complete
    return np.bincount(top, minlength=len(THRESHOLDS))[::-1].cumsum()[::-1].astype(np.float64), members


def _curves(sums: Float) -> tuple[Float, Float, Float]:
    """Return purity (R, T), completeness (R, T) and average precision (R,) of samples from their sums (R, 2 T)."""
    counts = sums.reshape(len(sums), 2, -1)[:, :, ::-1].cumsum(2)[:, :, ::-1]  # at and above each threshold
    selected, right = counts[:, 0], counts[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        purity, complete = right / selected, right / right[:, :1]
    gain = complete - np.concatenate([complete[:, 1:], np.zeros((len(sums), 1))], 1)
    return purity, complete, (np.nan_to_num(purity) * gain).sum(1)
