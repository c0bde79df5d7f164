"""The section on where answers fail: accuracy against number of points, brightness, amplitude and period."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.assessment.assess import Assessment, number_edges
from goodricke.evaluation.condition_figures import plot_conditions
from goodricke.evaluation.early import ByNumber, by_number
from goodricke.lightcurves import LightCurves
from goodricke.pages import Section
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.periods import PeriodSearch, find_periods

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
