"""The section on where answers fail: accuracy against number of points, brightness, amplitude and period.

The section on shift: whether another set of light curves is like the one that was scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.assess import Assessment, number_edges
from goodricke.evaluation.data_checks import behaviour, circumstances, feature_shifts, in_words, some, two_sample
from goodricke.evaluation.early import ByNumber, by_number
from goodricke.evaluation.figures.conditions import plot_conditions, plot_shifts
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import Section
from goodricke.inference import ask
from goodricke.models.bundle import Model
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.periods import PeriodSearch, find_periods
from goodricke.training.labels import in_memory

Float = NDArray[np.float64]

MOST_PERIODS = 4000  # searched, about 10 ms each
FALSE_ALARM = 1e-3  # probability above which a peak counts as noise
CYCLES = 2.0  # that a light curve must span for its period to count
WIDTHS = 3.0  # of a peak, 1 / span, within which of whole cycles per day a peak is an alias of some slow change


class Quantity(NamedTuple):
    """What objects are sorted by."""

    name: str  # with its unit
    value: Float  # (m,), NaN where it has none
    note: str = ""


def conditions(result: Assessment, folder: Path) -> Section:
    """Return accuracy against what the objects are like, in bins that hold about as many objects each."""
    curves, star = result.sample.curves[result.rows], result.sample.star[result.rows]
    found, notes = {}, []
    for quantity in quantities(curves):
        rows = np.flatnonzero(np.isfinite(quantity.value))
        notes += [quantity.note] if quantity.note else []
        if len(np.unique(quantity.value[rows])) < 2:
            notes.append(f"{quantity.name}: nothing to sort by, it is the same or unknown for all.")
            continue
        edges = number_edges(quantity.value[rows])
        found[quantity.name] = {
            name: by_number(result.label[rows], p[rows], quantity.value[rows], edges, star[rows])
            for name, p in result.probabilities.items()
        }
    path = folder / "conditions.svg"
    if found:
        plot_conditions(found, path)
    return Section(
        "Where it fails",
        "the few points, faint magnitudes and small amplitudes below which answers stop being worth much.",
        "a step at one value, which no physics would make; a fall at periods a little off one day, where those of "
        "days and weeks alias (at one day itself and its whole fractions no period is counted).",
        {"Accuracy against properties of the light curves": path} if found else {},
        tables={f"Accuracy by {name}": _rows(each) for name, each in found.items()},
        notes=notes,
        missing="" if found else "All objects are alike in number of points, brightness and amplitude.",
    )


def quantities(curves: LightCurves) -> list[Quantity]:
    """Return what light curves (m,) are sorted by: points, brightness, amplitude and, of periodic ones, period."""
    seen = finite_points(curves)
    level = clip_outliers(align_bands(seen).sorted(), sigma=10, rounds=5)
    ordered = ragged.sort_within(level.value, level.offsets)
    low, high = (ragged.sorted_quantile(ordered, level.offsets, q) for q in (0.05, 0.95))
    kind = "magnitude" if curves.in_magnitudes else "flux"
    unit = f" [{curves.unit}]" if curves.unit not in ("mag", "unknown") else ""
    return [
        Quantity("number of points", seen.n_obs.astype(np.float64)),
        Quantity(f"median {kind}{unit}", ragged.median(seen.value, seen.offsets)),
        Quantity(f"amplitude (5 to 95 %){unit or ' [mag]' * curves.in_magnitudes}", high - low),
        _period(level),
    ]


def _period(curves: LightCurves) -> Quantity:
    """Return the periods of light curves whose highest peak is no chance, NaN for others.

    The chance that noise makes a peak so high is that at a single frequency, (1 - z)^((N - 3) / 2) for normalised power
    z (Zechmeister & Kürster 2009), times the number of independent ones, span / shortest period.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(curves))[:MOST_PERIODS])
    search, some = PeriodSearch(), curves[rows]
    period, power = find_periods(some, search)
    low, high = (ragged.extreme(some.time, some.offsets, f) for f in (np.minimum, np.maximum))
    with np.errstate(invalid="ignore", divide="ignore"):
        log_chance = (some.n_obs - 3) / 2 * np.log1p(-power) + np.log((high - low) / search.shortest)
        good = (log_chance < np.log(FALSE_ALARM)) & (period * CYCLES < high - low)
        daily = np.round(1 / period)
        good &= (daily < 1) | (np.abs(1 / period - daily) > WIDTHS / (high - low))
    value = np.full(len(curves), np.nan)
    value[rows] = np.where(good, period, np.nan)
    asked = "" if len(rows) == len(curves) else f" of {len(rows):,} that were searched"
    note = (
        f"Period: of the {int(good.sum()):,} objects{asked} whose highest Lomb-Scargle peak has a false-alarm "
        f"probability below {FALSE_ALARM:g} and two cycles or more, and is not at whole cycles per day, where slow "
        "changes alias; eclipsing binaries are found at half their orbital period."
    )
    return Quantity("period found [d]", value, note)


def _rows(models: dict[str, ByNumber]) -> list[dict[str, Any]]:
    """Return a row for each bin, with a column of accuracy for each model."""
    first = next(iter(models.values()))
    return [
        {"from": float(first.fewest[b]), "to": float(first.most[b]), "objects": int(first.n[b])}
        | {f"accuracy {name}": each.accuracy[b] for name, each in models.items()}
        for b in range(len(first.n))
    ]


# ---- The section on shift: whether another set of light curves is like the one that was scored -----------------------


Int = NDArray[np.int64]
Stars = tuple[Int, Int]  # which star each light curve of the two sets is of

DRAWN = 9  # of the most shifted numbers
CLEAR = 0.7  # area under the curve from which on it is a warning
LEVEL = 0.01  # corrected p-value below which a number counts as shifted
BY_STAR = (
    "no forest is asked about a star that it has seen, intervals are from drawing stars, and each number by itself is "
    "tested on one light curve of each star."
)


def shift(result: Assessment, other: LightCurves, name: str, folder: Path, workers: int) -> Section:
    """Return how far another set differs from the scored objects, by simple numbers and by the models' embeddings."""
    scored = result.sample.curves[result.rows]
    mine, theirs = some(len(scored)), some(len(other))
    first, second = scored[mine], other[theirs]
    star = result.sample.star[result.rows]
    stars = star[mine], _stars(scored.ids, star, other)[theirs]
    here, there = ({**circumstances(x), **behaviour(x)} for x in (first, second))
    common = [n for n in here if n in there]
    shifts = feature_shifts({n: here[n] for n in common}, there, np.concatenate(stars))
    areas = _by_features(here, there, common, stars) | _by_embeddings(result, mine, second, stars, workers)
    drawn = {s.name: (here[s.name], there[s.name]) for s in shifts[:DRAWN]}
    plot_shifts(drawn, ("scored objects", name), folder / "shift.svg")
    clear = [n for n, area in areas.items() if area.low > CLEAR]
    return Section(
        "Shift",
        "an area under the ROC curve of 0.5: a forest can't tell the two sets apart; at 1 each object betrays its set. "
        "Times and brightness always differ between surveys; what matters more is the shift in how objects vary, and "
        "in the embedding, which is what the model makes of them.",
        "a shift in the embedding: there the model sees objects unlike those that it was scored on.",
        {f"The most shifted numbers, scored objects and {name}": folder / "shift.svg"},
        table=[{"by": by, "area under the ROC curve": area, "meaning": in_words(area)} for by, area in areas.items()],
        tables={"Each number by itself, the most shifted first": [_row(s) for s in shifts]},
        notes=[
            f"{len(first):,} of {len(scored):,} scored objects against {len(second):,} of {len(other):,} of {name}.",
            *_about_stars(stars),
            f"{sum(s.p_value < LEVEL for s in shifts)} of {len(shifts)} numbers differ at {LEVEL:g} "
            "(Kolmogorov-Smirnov, corrected by Holm for their number).",
            "With many objects the smallest difference is significant: mind the distance, 0 to 1, not the p-value.",
            *(
                f"{model}: no embedding of {name}, which comes without the column {', '.join(lacking)} that it is told."
                for model, told in result.answered.items()
                if (lacking := _lacking(told.model, other))
            ),
        ],
        warnings=[_alarm(name, clear)] if clear else [],
    )


def _stars(ids: Sequence[str], star: Int, other: LightCurves) -> Int:
    """Return which star each light curve of another set (m,) is of, by ids and positions.

    Parameters
    ----------
    ids, star : (n,)
        Of the scored light curves: what the other set shares an id with is the same star.
    other : LightCurves
    """
    found = in_memory(other, np.zeros(len(other), np.int64), ()).star + star.max() + 1
    known = dict(zip(ids, star, strict=True))
    same = {f: known[name] for f, name in zip(found, other.ids, strict=True) if name in known}
    return np.array([same.get(f, f) for f in found])


def _count(stars: Stars) -> list[int]:
    """Return how many stars each set has."""
    return [len(np.unique(star)) for star in stars]


def _about_stars(stars: Stars) -> list[str]:
    """Return what stars with several light curves have changed."""
    first, second = _count(stars)
    if first + second == sum(map(len, stars)):
        return []
    few = ["No forest: with one star of a set, it could as well tell the star."] if min(first, second) < 2 else []
    return [f"They are of {first:,} and {second:,} stars: {BY_STAR}", *few]


def _by_features(here: dict[str, Any], there: dict[str, Any], common: list[str], stars: Stars) -> dict[str, Estimate]:
    """Return the areas of a forest on all numbers, and on those that say how objects vary."""
    observed = {n for n in common if n not in _variation(common)}
    groups = {"how they were observed": observed, "how they vary": _variation(common)}
    groups = {by: names for by, names in groups.items() if names and min(_count(stars)) > 1}
    both = np.concatenate(stars)
    return {by: two_sample(_matrix(here, names), _matrix(there, names), star=both) for by, names in groups.items()}


def _matrix(columns: dict[str, Any], names: set[str]) -> Any:
    """Return the columns of these names side by side, in their order."""
    return np.stack([columns[n] for n in sorted(names)], 1)


def _variation(names: list[str]) -> set[str]:
    """Return the names of numbers in units that don't depend on the survey: shapes and amplitudes."""
    first = names.index("std") if "std" in names else len(names)
    return set(names[first:]) - {"chi2", "steepest"}


def _by_embeddings(
    result: Assessment, mine: Int, other: LightCurves, stars: Stars, workers: int
) -> dict[str, Estimate]:
    """Return the area of a forest on each model's embeddings."""
    areas = {}
    for name, told in result.answered.items():
        if _lacking(told.model, other):
            continue
        prepared = prepare(other, told.model.preprocessing, workers)
        theirs = ask(told.model, prepared, 0).embedding
        kept = np.isfinite(theirs).all(1) & prepared.usable
        own = stars[0], stars[1][kept]
        if min(map(len, own)) >= 10 and min(_count(own)) > 1:
            ours = told.answers.embedding[result.rows[mine]]
            areas[f"embedding of {name}"] = two_sample(ours, theirs[kept], star=np.concatenate(own))
    return areas


def _lacking(model: Model, other: LightCurves) -> list[str]:
    """Return the columns that a model is told of each object and that the other light curves come without."""
    config = model.preprocessing
    names = config.columns if isinstance(config, MultibandConfig) else ()
    return [name for name in names if name not in other.table_of_objects.column_names]


def _row(shifted: Any) -> dict[str, Any]:
    return {
        "number": shifted.name,
        "distance": shifted.distance,
        "p (Holm)": shifted.p_value,
        "median, scored": shifted.median,
        "median, other": shifted.other,
        "missing, scored": shifted.missing,
        "missing, other": shifted.other_missing,
    }


def _alarm(name: str, clear: list[str]) -> str:
    return f"{name} is unlike the scored objects ({'; '.join(clear)}): the scores above don't hold there."
