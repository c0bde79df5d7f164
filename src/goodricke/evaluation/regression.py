"""Scores of regressed physical parameters with 95 % intervals (Becker et al. 2025, section 5.2, Tables 8-10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.intervals import Estimate, bootstrap_sums, percentile_interval, star_numbers, star_sums

if TYPE_CHECKING:
    from rich.table import Table

Float = NDArray[np.float64]
FIGURES = {"r2": "R²", "rmse": "RMSE", "mape": "MAPE [%]", "mae": "MAE"}
WITH_UNIT = ("rmse", "mae")
ROUNDING = 1e-12  # a variance smaller than this part of the sum of squares is what rounding leaves of zero


@dataclass(frozen=True)
class RegressionScores:
    """Scores of a predicted parameter of n measured light curves, each with its 95 % bootstrap interval.

    Parameters
    ----------
    n : int
        Light curves whose parameter is measured.
    missing : int
        Light curves whose parameter is not, left out.
    stars : int
        Number of stars that the measured light curves are of.
    r2 : Estimate
        Coefficient of determination: 1 is perfect, 0 as good as the mean of the truths, below 0 worse than that. NaN
        if all truths are equal.
    rmse, mae : Estimate
        Root mean squared and mean absolute error, in the unit of the parameter.
    mape : Estimate
        Mean absolute error in percent of the truth. Truths of zero have none and are left out of it.
    """

    n: int
    missing: int
    stars: int
    r2: Estimate
    rmse: Estimate
    mape: Estimate
    mae: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers for JSON; NaN becomes None."""
        counts = {"n": self.n, "missing": self.missing, "stars": self.stars}
        return counts | {name: getattr(self, name).to_dict() for name in FIGURES}

    def table(self, name: str = "parameter", unit: str = "") -> Table:
        """Return the scores as a rich table for the terminal, with the parameter's name and unit."""
        from rich.table import Table
        from rich.text import Text

        result = Table(title=Text(f"{name}: {self.n} light curves of {self.stars} stars, 95 % intervals"))
        result.add_column("score")
        result.add_column("value", justify="right")
        for key, text in FIGURES.items():
            label = f"{text} [{unit}]" if unit and key in WITH_UNIT else text
            form = ".3f" if key == "r2" else "#.4g"
            result.add_row(Text(label), Text(getattr(self, key).text(form)))
        return result


def score_regression(
    truth: NDArray[np.floating],
    predicted: NDArray[np.floating],
    star: NDArray | Sequence | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> RegressionScores:
    r"""Score a predicted parameter against the measured one.

    Parameters
    ----------
    truth : (n,)
        In any one unit; NaN where it is not measured: those light curves are left out.
    predicted : (n,)
        In the same unit.
    star : (n,), optional
        The star of each light curve; by default each has a star of its own. The bootstrap draws stars.
    resamples : int
        Bootstrap samples.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If shapes disagree, nothing is measured, a truth is infinite, or a prediction of a measured one is not finite.

    Notes
    -----
    With errors :math:`e_i = \hat y_i - y_i`,
    :math:`R^2 = 1 - \sum e_i^2 / \sum (y_i - \bar y)^2`, :math:`\mathrm{RMSE} = \sqrt{\overline{e^2}}`,
    :math:`\mathrm{MAPE} = 100\ \overline{|e / y|}` and :math:`\mathrm{MAE} = \overline{|e|}`.
    """
    truth, predicted, measured = _measured_pairs(truth, predicted)
    star = star_numbers(star, len(measured))[measured]
    sums = _sums(truth, predicted, star)
    values = _figures(np.asarray(sums.sum(axis=0)).reshape(1, -1))
    bounds = {
        name: percentile_interval(figure) for name, figure in _figures(bootstrap_sums(sums, resamples, seed)).items()
    }
    figures = {name: Estimate(float(values[name][0]), *map(float, bounds[name])) for name in FIGURES}
    return RegressionScores(len(truth), int((~measured).sum()), sums.shape[0], **figures)


def _measured_pairs(truth: Any, predicted: Any) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return the measured truths and their predictions (m,), and whether each of all (n,) is measured."""
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(f"truths of shape {truth.shape} and predictions of {predicted.shape}: need (n,) of both")
    measured = ~np.isnan(truth)
    if not measured.any():
        raise ValueError(f"none of {len(truth)} light curves has a measured parameter")
    if np.isinf(truth).any():
        raise ValueError("some truths are infinite; make those that are not measured NaN")
    if not np.isfinite(predicted[measured]).all():
        raise ValueError("some predictions are not finite: leave out the objects whose status is not OK")
    return truth[measured], predicted[measured], measured


def _sums(truth: Float, predicted: Float, star: NDArray) -> Any:
    """Return the sums of each star (stars, 7): n, y, y², e², |e|, |e / y| and the number of y that are not zero."""
    y, e, nonzero = truth - truth.mean(), predicted - truth, truth != 0  # about the mean: squares of T_eff lose digits
    relative = np.divide(np.abs(e), np.abs(truth), out=np.zeros(len(e)), where=nonzero)
    amounts = (np.ones(len(y)), y, y**2, e**2, np.abs(e), relative, nonzero)
    return star_sums(star, [(np.full(len(y), i), amount) for i, amount in enumerate(amounts)], len(amounts))


def _figures(sums: Float) -> dict[str, Float]:
    """Return the figures (R,) of samples from their sums (R, 7)."""
    n, y, squares, errors, absolute, relative, nonzero = sums.T
    variance = squares - y**2 / n
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(variance > ROUNDING * squares, 1 - errors / variance, np.nan)
        mape = 100 * relative / nonzero
    return {"r2": r2, "rmse": np.sqrt(errors / n), "mape": mape, "mae": absolute / n}
