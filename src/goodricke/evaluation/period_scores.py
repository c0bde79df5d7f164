r"""How often the period of a model agrees with that of a catalog, beside periods that need no network.

An answered period P agrees with the catalog's Q if their frequencies do,

.. math:: |1/P - 1/Q| < \max(0.5 / T, 0.002 / Q),

half the width of a peak for observations over a time T, or two thousandths. Catalogs aren't always right: half and
double of their period are counted too, with the same tolerance at those frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Output
from goodricke.evaluation.intervals import Estimate, mean_estimate
from goodricke.preprocess import Prepared, Preprocessing, VariablesConfig
from goodricke.preprocess.candidates import CandidateSearch, highest_peaks, join_bands
from goodricke.preprocess.cleaning import distinct_points, finite_points
from goodricke.preprocess.folded import in_magnitudes
from goodricke.preprocess.periods import MOST_FREQUENCIES
from goodricke.training.fit_variables import RELATIVE, WIDTHS

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

FACTORS = (1.0, 0.5, 2.0)  # of the catalog's period
ALL = "all"  # light curves with a catalog period
FINDERS = {
    "model": "the model",
    "best_candidate": "best candidate alone",
    "highest_peak": "highest peak, one harmonic",
    "any_candidate": "any of the candidates",
}
BASELINES = ("best_candidate", "highest_peak")


class PeriodScore(NamedTuple):
    """The fractions of the light curves of one group whose period agrees with the catalog's."""

    group: str  # "all", a survey, or "survey: label"
    n: int  # light curves with a catalog period
    same: dict[str, Estimate]  # by the names of `FINDERS`
    multiple: dict[str, Estimate]  # P, P/2 or 2P

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain numbers and text for JSON."""
        both = {"same": self.same, "same_half_or_double": self.multiple}
        by = {name: {kind: x[name].to_dict() for kind, x in both.items()} for name in self.same}
        return {"group": self.group, "n": self.n, "by": by}


def agrees(period: Float, catalog: Float, span: Float, factors: Sequence[float] = (1.0,)) -> Mask:
    """Return whether periods agree with those of a catalog, or with one of some multiples of them.

    Parameters
    ----------
    period : (n,) or (n, K)
        [d], NaN where there is none; of several any may agree.
    catalog, span : (n,)
        Periods of the catalog and time between the first and the last observation [d].
    factors : sequence of float
        The multiples.

    Returns
    -------
    bool (n,)

    Examples
    --------
    >>> agrees([0.5, 0.25, np.nan], [0.5, 0.5, 0.5], [1000.0] * 3).tolist()
    [True, False, False]
    >>> agrees([0.5, 0.25, np.nan], [0.5, 0.5, 0.5], [1000.0] * 3, FACTORS).tolist()
    [True, True, False]
    """
    period, catalog, span = (np.asarray(x, np.float64) for x in (period, catalog, span))
    period = period.reshape(len(catalog), -1)
    agree = np.zeros(period.shape, bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        for factor in factors:
            frequency = 1 / (factor * catalog[:, None])
            tolerance = np.maximum(WIDTHS / span[:, None], RELATIVE * frequency)
            agree |= np.abs(1 / period - frequency) < tolerance
    return np.asarray(np.any(agree, axis=1))


def period_scores(
    curves: LightCurves,
    prepared: Prepared,
    output: Output,
    catalog: Float | None,
    groups: Mapping[str, Mask],
    star: NDArray | None = None,
    search: CandidateSearch | None = None,
) -> tuple[PeriodScore, ...]:
    """Score the periods of a model, and those of its candidate search without the network.

    Parameters
    ----------
    curves, prepared, output
        n light curves, as a model got them, and its output for them.
    catalog : (n,), optional
        Periods [d], NaN where the catalog has none.
    groups : dict of bool (n,)
        Light curves that are scored together, by name.
    star : (n,), optional
        The star of each light curve, for the intervals.
    search : CandidateSearch, optional
        The range of the highest peak; that of the model.

    Returns
    -------
    tuple of PeriodScore
        Of all light curves with a catalog period, then of each group that has any; empty if the model answers no
        periods or the catalog has none. A light curve without an answer doesn't agree; those that the model can't use
        aren't counted.
    """
    answered = None if catalog is None else answered_periods(prepared, output)
    if answered is None or catalog is None:
        return ()
    rows = np.flatnonzero(np.isfinite(catalog) & prepared.usable)
    if not len(rows):
        return ()
    peak, span = highest_peak_periods(curves[rows], search)
    periods = {"model": answered[rows], "highest_peak": peak}
    if (candidates := getattr(prepared, "candidates", None)) is not None:
        periods |= {"best_candidate": candidates.period[rows, 0], "any_candidate": candidates.period[rows]}
    star = None if star is None else np.asarray(star)[rows]
    return score_periods(catalog[rows], span, periods, {name: mask[rows] for name, mask in groups.items()}, star)


def score_periods(
    catalog: Float, span: Float, periods: Mapping[str, Float], groups: Mapping[str, Mask], star: NDArray | None = None
) -> tuple[PeriodScore, ...]:
    """Score periods by name, each (n,) or (n, K), all light curves together and each group; see `period_scores`."""
    names = [name for name in FINDERS if name in periods]
    right = {
        name: (agrees(periods[name], catalog, span), agrees(periods[name], catalog, span, FACTORS)) for name in names
    }
    everything = {ALL: np.ones(len(catalog), bool)} | {name: mask for name, mask in groups.items() if mask.any()}
    scores = []
    for group, mask in everything.items():
        own = None if star is None else star[mask]
        same, multiple = ({name: mean_estimate(right[name][k][mask], own) for name in names} for k in (0, 1))
        scores.append(PeriodScore(group, int(mask.sum()), same, multiple))
    return tuple(scores)


def answered_periods(prepared: Prepared, output: Output) -> Float | None:
    """Return the periods (n,) [d] that a model answers, or folds on; None if it knows none."""
    period = prepared.table_columns.get("fold_period") if output.periods is None else output.periods.period
    return None if period is None else np.asarray(period, np.float64)


def highest_peak_periods(curves: LightCurves, search: CandidateSearch | None = None) -> tuple[Float, Float]:
    """Return the period [d] of the highest peak of each one-harmonic periodogram, and the time span [d], both (n,).

    The bands are joined as for the candidate search; the period is NaN where there is nothing to search.
    """
    search = search or CandidateSearch()
    joined = join_bands(distinct_points(finite_points(in_magnitudes(curves))).sorted())
    period, span = np.full(len(curves), np.nan), np.zeros(len(curves))
    lengths = ragged.lengths(joined.offsets)
    for i in np.flatnonzero((lengths > 0) & (joined.scale > 0)).tolist():
        part = slice(joined.offsets[i], joined.offsets[i + 1])
        span[i] = joined.time[part][-1]
        if search.shortest < span[i] <= MOST_FREQUENCIES * search.shortest / search.oversampling:
            found, _ = highest_peaks(joined.time[part], joined.value[part], joined.weight[part], search, 1)
            period[i] = 1 / found[0] if len(found) else np.nan
    return period, span


def search_of(config: Preprocessing) -> CandidateSearch | None:
    """Return the range of a model's candidate search, None if it has none."""
    return config.search if isinstance(config, VariablesConfig) else None


def groups_of(survey: NDArray, label: NDArray) -> dict[str, Mask]:
    """Return the light curves of each survey, and of each of its labels, by name.

    Parameters
    ----------
    survey : (n,) of str
        "" where there is one only.
    label : (n,) of str
        In the survey's words.
    """
    survey, label = np.asarray(survey).astype(str), np.asarray(label).astype(str)
    groups = {}
    for name in sorted(set(survey.tolist())):
        own = survey == name
        if name:
            groups[name] = own
        groups |= {f"{name}: {x}" if name else x: own & (label == x) for x in sorted(set(label[own].tolist()))}
    return groups


def period_rows(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a row of text for each group, from what `PeriodScore.to_dict` made, for a table in any medium."""
    rows = []
    for x in scores:
        row = {"light curves": x["group"], "n": f"{x['n']:,}"}
        row |= {FINDERS[name]: str(Estimate.from_dict(by["same"])) for name, by in x["by"].items()}
        wanted = {name: by for name, by in x["by"].items() if name in ("model", *BASELINES)}
        titles = {name: f"P, P/2 or 2P: {FINDERS[name]}" for name in wanted}
        row |= {titles[name]: str(Estimate.from_dict(by["same_half_or_double"])) for name, by in wanted.items()}
        rows.append(row)
    return rows
