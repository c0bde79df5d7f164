"""Sections on the objects: accuracy by their properties, and the shift test against another set of light curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.assessment import Assessment, number_edges
from goodricke.evaluation.data_checks import (
    FeatureShift,
    describe_shift,
    feature_shifts,
    observing_conditions,
    subsample,
    two_sample_area,
    variability_features,
)
from goodricke.evaluation.early import ScoresByNumber, score_by_number
from goodricke.evaluation.figures.early import plot_conditions, plot_shifts
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import Section
from goodricke.inference import compute_output
from goodricke.models.bundle import Model
from goodricke.preprocess import prepare
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.periods import PeriodSearch, find_periods
from goodricke.training.labels import labelled_in_memory

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Stars = tuple[Int, Int]  # the star of each light curve of the two sets

MOST_PERIODS = 4000  # searched, about 10 ms each
FALSE_ALARM = 1e-3  # probability above which a peak counts as noise
CYCLES = 2.0  # that a light curve must span for its period to count
WIDTHS = 3.0  # of a peak, 1 / span, within which of whole cycles per day a peak is an alias of some slow change
DRAWN = 9  # of the most shifted features
CLEAR = 0.7  # area under the curve from which on it is a warning
LEVEL = 0.01  # corrected p-value below which a feature counts as shifted
BY_STAR = (
    "no forest is tested on a star that it was trained on, intervals are from drawing stars, and each feature by "
    "itself is tested on one light curve of each star."
)


# ---- accuracy by properties -----------------------------------------------------------------------------------------


class Quantity(NamedTuple):
    """A property that objects are sorted by."""

    name: str  # with its unit
    value: Float  # (m,), NaN where it has none
    note: str = ""


def conditions_section(result: Assessment, folder: Path) -> Section:
    """Return accuracy against properties of the objects, in bins that hold about as many objects each."""
    curves, star = result.curves, result.star
    scores, notes = {}, []
    for quantity in quantities(curves):
        rows = np.flatnonzero(np.isfinite(quantity.value))
        notes += [quantity.note] if quantity.note else []
        if len(np.unique(quantity.value[rows])) < 2:
            notes.append(f"{quantity.name}: nothing to sort by: it is equal or unknown for all.")
            continue
        edges = number_edges(quantity.value[rows])
        scores[quantity.name] = {
            name: score_by_number(result.label[rows], p[rows], quantity.value[rows], edges, star[rows])
            for name, p in result.probabilities.items()
        }
    path = folder / "conditions.svg"
    if scores:
        plot_conditions(scores, path)
    return Section(
        "Where it fails",
        "the number of points, the magnitude and the amplitude below which few classifications are right.",
        "a step at one value, which no physics explains; a fall at periods a little off one day, where those of "
        "days and weeks alias (at one day itself and its whole fractions no period is counted).",
        {"Accuracy against properties of the light curves": path} if scores else {},
        tables={f"Accuracy by {name}": _rows(models) for name, models in scores.items()},
        notes=notes,
        missing="" if scores else "All objects are alike in number of points, brightness and amplitude.",
    )


def quantities(curves: LightCurves) -> list[Quantity]:
    """Return number of points, brightness, amplitude and, of periodic ones, period of light curves (m,)."""
    finite = finite_points(curves)
    level = clip_outliers(align_bands(finite).sorted(), sigma=10, rounds=5)
    ordered = ragged.sort_within(level.value, level.offsets)
    low, high = (ragged.sorted_quantile(ordered, level.offsets, q) for q in (0.05, 0.95))
    kind = "magnitude" if curves.in_magnitudes else "flux"
    unit = f" [{curves.unit}]" if curves.unit not in ("mag", "unknown") else ""
    return [
        Quantity("number of points", finite.n_obs.astype(np.float64)),
        Quantity(f"median {kind}{unit}", ragged.median(finite.value, finite.offsets)),
        Quantity(f"amplitude (5 to 95 %){unit or ' [mag]' * curves.in_magnitudes}", high - low),
        _period(level),
    ]


def _period(curves: LightCurves) -> Quantity:
    """Return the periods of light curves whose highest peak is significant, NaN for others.

    The chance that noise makes a peak so high is that at a single frequency, (1 - z)^((N - 3) / 2) for normalised power
    z (Zechmeister & Kürster 2009), times the number of independent ones, span / shortest period.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(curves))[:MOST_PERIODS])
    search, part = PeriodSearch(), curves[rows]
    period, power = find_periods(part, search)
    low, high = (ragged.extreme(part.time, part.offsets, f) for f in (np.minimum, np.maximum))
    with np.errstate(invalid="ignore", divide="ignore"):
        log_chance = (part.n_obs - 3) / 2 * np.log1p(-power) + np.log((high - low) / search.shortest)
        good = (log_chance < np.log(FALSE_ALARM)) & (period * CYCLES < high - low)
        daily = np.round(1 / period)
        good &= (daily < 1) | (np.abs(1 / period - daily) > WIDTHS / (high - low))
    value = np.full(len(curves), np.nan)
    value[rows] = np.where(good, period, np.nan)
    searched = "" if len(rows) == len(curves) else f" of {len(rows):,} that were searched"
    note = (
        f"Period: of the {int(good.sum()):,} objects{searched} whose highest Lomb-Scargle peak has a false-alarm "
        f"probability below {FALSE_ALARM:g} and two cycles or more, and is not at whole cycles per day, where slow "
        "changes alias; eclipsing binaries are found at half their orbital period."
    )
    return Quantity("period found [d]", value, note)


def _rows(models: dict[str, ScoresByNumber]) -> list[dict[str, Any]]:
    """Return a row for each bin, with a column of accuracy for each model."""
    first = next(iter(models.values()))
    return [
        {"from": float(first.fewest[b]), "to": float(first.most[b]), "objects": int(first.n[b])}
        | {f"accuracy {name}": scores.accuracy[b] for name, scores in models.items()}
        for b in range(len(first.n))
    ]


# ---- shift ----------------------------------------------------------------------------------------------------------


def shift_section(result: Assessment, other: LightCurves, name: str, folder: Path, workers: int) -> Section:
    """Return the differences of another set from the scored objects: in features and in the models' embeddings."""
    scored = result.curves
    rows, other_rows = subsample(len(scored)), subsample(len(other))
    first, second = scored[rows], other[other_rows]
    stars = result.star[rows], number_stars(scored.ids, result.star, other)[other_rows]
    here, there = ({**observing_conditions(x), **variability_features(x)} for x in (first, second))
    common = [n for n in here if n in there]
    shifts = feature_shifts({n: here[n] for n in common}, there, np.concatenate(stars))
    areas = _areas_by_features(here, there, common, stars) | _areas_by_embeddings(result, rows, second, stars, workers)
    drawn = {s.name: (here[s.name], there[s.name]) for s in shifts[:DRAWN]}
    plot_shifts(drawn, ("scored objects", name), folder / "shift.svg")
    clear = [n for n, area in areas.items() if area.low > CLEAR]
    return Section(
        "Shift",
        "an area under the ROC curve of 0.5: a forest can't tell the two sets apart; at 1 it recognises the set of "
        "each object. Times and brightness always differ between surveys; a shift in variability, or in the embedding, "
        "matters more.",
        "a shift in the embedding: the model gets objects unlike those that it was scored on.",
        {f"The most shifted features, scored objects and {name}": folder / "shift.svg"},
        table=[
            {"by": by, "area under the ROC curve": area, "meaning": describe_shift(area)} for by, area in areas.items()
        ],
        tables={"Each feature by itself, the most shifted first": [_shift_row(s) for s in shifts]},
        notes=[
            f"{len(first):,} of {len(scored):,} scored objects against {len(second):,} of {len(other):,} of {name}.",
            *_star_notes(stars),
            f"{sum(s.p_value < LEVEL for s in shifts)} of {len(shifts)} features differ at {LEVEL:g} "
            "(Kolmogorov-Smirnov, corrected by Holm for their number).",
            "With many objects the smallest difference is significant: mind the distance, 0 to 1, not the p-value.",
            *(
                f"{model}: no embedding of {name}, which comes without the context column {', '.join(missing)}."
                for model, x in result.models.items()
                if (missing := _missing_columns(x.model, other))
            ),
        ],
        warnings=[f"{name} is unlike the scored objects ({'; '.join(clear)}): the scores above don't hold there."]
        if clear
        else [],
    )


def number_stars(ids: Sequence[str], star: Int, other: LightCurves) -> Int:
    """Return the star of each light curve of another set (m,), by ids and positions.

    Parameters
    ----------
    ids, star : (n,)
        Of the scored light curves: a light curve of the other set with one of these ids is of the same star.
    other : LightCurves
    """
    numbers = labelled_in_memory(other, np.zeros(len(other), np.int64), ()).star + star.max() + 1
    scored = dict(zip(ids, star, strict=True))
    same = {number: scored[name] for number, name in zip(numbers, other.ids, strict=True) if name in scored}
    return np.array([same.get(number, number) for number in numbers])


def _count(stars: Stars) -> list[int]:
    """Return the number of stars of each set."""
    return [len(np.unique(star)) for star in stars]


def _star_notes(stars: Stars) -> list[str]:
    """Return notes on the tests of stars with several light curves."""
    first, second = _count(stars)
    if first + second == sum(map(len, stars)):
        return []
    few = ["No forest: with one star in a set, it would recognise the star."] if min(first, second) < 2 else []
    return [f"They are of {first:,} and {second:,} stars: {BY_STAR}", *few]


def _areas_by_features(
    here: dict[str, Any], there: dict[str, Any], common: list[str], stars: Stars
) -> dict[str, Estimate]:
    """Return the areas of a forest on the observing conditions, and on the variability features."""
    first = common.index("std") if "std" in common else len(common)
    variability = set(common[first:]) - {"chi2", "steepest"}  # shapes and amplitudes, whatever the unit of the survey
    groups = {"observing conditions": set(common) - variability, "variability": variability}
    groups = {by: names for by, names in groups.items() if names and min(_count(stars)) > 1}
    both = np.concatenate(stars)

    def matrix(columns: dict[str, Any], names: set[str]) -> Any:
        return np.stack([columns[n] for n in sorted(names)], 1)

    return {by: two_sample_area(matrix(here, names), matrix(there, names), star=both) for by, names in groups.items()}


def _areas_by_embeddings(
    result: Assessment, rows: Int, other: LightCurves, stars: Stars, workers: int
) -> dict[str, Estimate]:
    """Return the area of a forest on the embeddings of each model."""
    areas = {}
    for name, x in result.models.items():
        scored = x.output.embedding
        if scored is None or _missing_columns(x.model, other):
            continue
        prepared = prepare(other, x.model.preprocessing, workers)
        embedding = np.asarray(compute_output(x.model, prepared, 0).embedding)
        ok = np.isfinite(embedding).all(1) & prepared.usable
        ok_stars = stars[0], stars[1][ok]
        if min(map(len, ok_stars)) >= 10 and min(_count(ok_stars)) > 1:
            first, second = scored[result.rows[rows]], embedding[ok]
            areas[f"embedding of {name}"] = two_sample_area(first, second, star=np.concatenate(ok_stars))
    return areas


def _missing_columns(model: Model, other: LightCurves) -> list[str]:
    """Return the context columns of a model that the other light curves lack."""
    return [name for name in model.preprocessing.columns if name not in other.table_of_objects.column_names]


def _shift_row(shift: FeatureShift) -> dict[str, Any]:
    return {
        "feature": shift.name,
        "distance": shift.distance,
        "p (Holm)": shift.p_value,
        "median, scored": shift.median,
        "median, other": shift.other_median,
        "missing, scored": shift.missing,
        "missing, other": shift.other_missing,
    }
