r"""Calibration of probabilities: reliability, expected calibration error, Brier score, by class too.

Of all forecasts of probability :math:`p`, a fraction :math:`p` should come true. In a bin b of
:math:`n_b` forecasts with mean :math:`\bar p_b`, of which a fraction :math:`\bar y_b` came true, the expected
calibration error is :math:`\sum_b n_b |\bar p_b - \bar y_b| / n` (Guo et al. 2017, Eq. 3). The forecast is either the
answer's probability (is the most probable class right?) or that of one class (is the object of this class?). The mean
of the latter over the classes is the classwise error (Kull et al. 2019).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.intervals import (
    Estimate,
    absolute_sum_interval,
    bootstrap_sums,
    count_stars,
    mean_estimate,
    percentile_interval,
    star_numbers,
    star_sums,
    wilson,
)
from goodricke.evaluation.scores import BINS, check_probabilities

Float = NDArray[np.float64]
MOST_NUMBERS = 5_000_000  # random, in memory together


class Reliability(NamedTuple):
    """The fraction of forecasts that come true, in B bins of equal width; NaN in bins without a forecast."""

    edges: Float  # (B + 1,)
    n: NDArray[np.int64]  # (B,) forecasts
    forecast: Float  # (B,) mean probability
    rate: Float  # (B,) fraction that came true
    low: Float  # (B,) of its 95 % Wilson interval, of as many trials as there are stars
    high: Float  # (B,)

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return float(np.nansum(self.n * np.abs(self.forecast - self.rate)) / self.n.sum())

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each bin that holds a forecast."""
        columns = zip(self.edges[:-1], self.edges[1:], *self[1:], strict=True)
        names = ("from", "to", "n", "mean probability", "fraction right", "low", "high")
        return [dict(zip(names, row, strict=True)) for row in columns if row[2]]


class CalibrationError(NamedTuple):
    """The expected calibration error, its interval, and the error that chance alone would give."""

    error: Estimate
    by_chance: Estimate  # mean and central 95 % for exact probabilities of as many objects

    @property
    def significant(self) -> bool:
        """Whether the error is above what exact probabilities would show in 97.5 % of samples of this size."""
        return bool(self.error.value > self.by_chance.high)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name for JSON."""
        return {"error": self.error.to_dict(), "by_chance": self.by_chance.to_dict(), "significant": self.significant}


def forecasts(
    probabilities: NDArray[np.floating], label: NDArray[np.integer], of: int | None = None
) -> tuple[Float, NDArray[np.bool_]]:
    """Return the forecasts (n,) and whether each came true (n,): of the answer, or of the class ``of``."""
    label, p = check_probabilities(label, probabilities, np.shape(probabilities)[-1])
    return (p.max(1), p.argmax(1) == label) if of is None else (p[:, of], label == of)


def reliability(
    probabilities: NDArray[np.floating],
    label: NDArray[np.integer],
    bins: int = BINS,
    of: int | None = None,
    star: Any = None,
) -> Reliability:
    """Return the fraction of forecasts that come true, bin by bin.

    Parameters
    ----------
    probabilities : (n, C)
    label : int (n,)
        Index of the true class.
    bins : int
    of : int, optional
        The class whose probability is the forecast; by default the most probable one's.
    star : (n,), optional
        The star of each light curve; by default each has a star of its own.
    """
    p, true = forecasts(probabilities, label, of)
    index = _bin(p, bins)
    n = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        forecast, rate = (np.bincount(index, x, bins) / n for x in (p, true))
    stars = count_stars(star_sums(star_numbers(star, len(p)), [(index, np.ones(len(p)))], bins), np.arange(bins), bins)
    return Reliability(np.linspace(0, 1, bins + 1), n, forecast, rate, *wilson(rate, stars))


def expected_calibration_error(
    probabilities: NDArray[np.floating],
    label: NDArray[np.integer],
    star: Any = None,
    bins: int = BINS,
    of: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> CalibrationError:
    """Return the expected calibration error with its interval, and the error that exact probabilities would have.

    Parameters
    ----------
    probabilities, label, bins, of
        As in `reliability`.
    star : (n,), optional
        The star of each light curve; the bootstrap draws stars.
    resamples, seed : int
        Of bootstrap and simulation.

    Notes
    -----
    Absolute gaps make the error positive even for exact probabilities, and larger in resamples than in the sample; the
    interval allows for that (see `goodricke.evaluation.intervals.absolute_sum_interval`). The error is to be compared
    with ``by_chance``, that of outcomes drawn from the forecasts themselves.
    """
    p, true = forecasts(probabilities, label, of)
    return CalibrationError(
        forecast_error(p, true, star, bins, resamples, seed), _by_chance(p, bins, max(resamples, 1), seed)
    )


def forecast_error(
    p: Float, true: NDArray[np.bool_], star: Any = None, bins: int = BINS, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Return the expected calibration error of forecasts p (n,) that came true or not (n,), with its interval."""
    columns = [(_bin(p, bins), p - true), (np.full(len(p), bins), np.ones(len(p)))]
    sums = star_sums(star_numbers(star, len(p)), columns, bins + 1)
    gaps = np.asarray(sums.sum(axis=0)).ravel()[:-1]
    value, drawn = float(np.abs(gaps).sum() / len(p)), bootstrap_sums(sums, resamples, seed)
    bounds = absolute_sum_interval(drawn[:, :-1], gaps, drawn[:, -1], value)
    return Estimate(value, *bounds.tolist())


def _by_chance(p: Float, bins: int, resamples: int, seed: int) -> Estimate:
    """Return mean and interval of the error of forecasts p (n,) that are exactly right."""
    rng, index, parts = np.random.default_rng(seed), _bin(p, bins), []
    order = np.argsort(index, kind="stable")
    start = np.unique(index[order], return_index=True)[1]
    step = max(MOST_NUMBERS // len(p), 1)
    for done in range(0, resamples, step):
        outcome = rng.random((min(step, resamples - done), len(p))) < p[order]
        parts.append(np.abs(np.add.reduceat(p[order] - outcome, start, axis=1)).sum(1) / len(p))
    samples = np.concatenate(parts)
    return Estimate(float(samples.mean()), *map(float, percentile_interval(samples)))


def brier_score(
    probabilities: NDArray[np.floating],
    label: NDArray[np.integer],
    star: Any = None,
    of: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return the Brier score: the mean squared distance of probabilities from the truth, with its interval.

    Over all classes together, 0 to 2 (as in `goodricke.evaluation.scores`), or of one class against the rest, 0 to 1.
    """
    label, p = check_probabilities(label, probabilities, np.shape(probabilities)[-1])
    squares = np.square(p - np.eye(p.shape[1])[label])
    amount = squares.sum(1) if of is None else squares[:, of]
    return mean_estimate(amount, star, resamples, seed)


def classwise_calibration_error(
    probabilities: NDArray[np.floating],
    label: NDArray[np.integer],
    star: Any = None,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[CalibrationError, ...]:
    """Return the expected calibration error of each class's probability (C,); see `expected_calibration_error`."""
    classes = range(np.shape(probabilities)[-1])
    return tuple(expected_calibration_error(probabilities, label, star, bins, k, resamples, seed) for k in classes)


def _bin(p: Float, bins: int) -> NDArray[np.int64]:
    """Return the bin of equal width of each forecast (n,)."""
    return np.minimum((p * bins).astype(np.int64), bins - 1)
