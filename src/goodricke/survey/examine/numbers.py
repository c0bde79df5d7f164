"""The numbers of an examination: counts at each cut, distributions, agreement with labels, systematics, hybrids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.intervals import wilson
from goodricke.survey.examine.sample import CatalogSample

Float = NDArray[np.float64]

QUANTITIES = {"teff": "effective temperature [K]", "f1": "dominant frequency f1 [1/d]", "A1": "amplitude A1 [mag]"}
SUSPECTS = {  # frequencies [1/d] that come from the Earth or the spacecraft more often than from a star
    "1/d": ("1 per day", 1.0),
    "2/d": ("2 per day", 2.0),
    "P = 2 d": ("1 per 2 days", 0.5),
    "TESS orbit": ("TESS orbit, P = 13.7 d", 1 / 13.7),
    "half orbit": ("half a TESS orbit, P = 6.85 d", 2 / 13.7),
    "month": ("synodic month, P = 29.5 d", 1 / 29.53),
}
NARROWEST = 0.01  # half width of a window around a suspect [1/d]
GROUPS = ("sector", "quarter", "campaign", "camera", "ccd")
RARE = 1e-3  # p-value, times the number of tests, below which an excess is called one


def counts(sample: CatalogSample) -> list[dict[str, Any]]:
    """Return, for each class, its stars and light curves, stars at each cut, and labelled stars."""
    rows = []
    for k, name in enumerate(sample.classes):
        row: dict[str, Any] = {"class": name, "light_curves": int((sample.assigned == k).sum())}
        row["stars"] = int(sample.of_class(k).sum())
        row |= {f"stars_at_{cut:g}": int(sample.of_class(k, cut).sum()) for cut in sample.cuts}
        row["hybrid_candidates"] = int((sample.hybrids() & (sample.assigned == k)).sum())
        row["labelled"] = int(sample.labelled(k).sum())
        rows.append(row)
    return rows


def statuses(sample: CatalogSample) -> dict[str, int]:
    """Return how many light curves have each status."""
    if "status" not in sample.table.column_names:
        return {"OK": int(sample.classified.sum())}
    rows = sample.table["status"].value_counts().to_pylist()
    return {str(row["values"]): row["counts"] for row in sorted(rows, key=lambda row: -row["counts"])}


def agreement(sample: CatalogSample) -> list[dict[str, Any]]:
    """Return, for each class and cut, how many stars have a label, and the share of them with the label of the class.

    Labelled stars are rarely a fair sample, and the model may have been trained on them.
    """
    rows = []
    for k, name in enumerate(sample.classes):
        for cut in sample.cuts:
            chosen = sample.of_class(k, cut) & (sample.label >= 0)
            right, of_class = int((sample.label[chosen] == k).sum()), int(sample.labelled(k).sum())
            row = {"class": name, "cut": cut, "with_label": int(chosen.sum()), "right": right, "labelled": of_class}
            row |= {"purity": _ratio(right, int(chosen.sum())), "completeness": _ratio(right, of_class)}
            rows.append(row)
    return rows


def distributions(sample: CatalogSample) -> list[dict[str, Any]]:
    """Return quartiles of Teff, f1 and A1 by class: of the labelled stars, and of the others at each cut.

    ``ks``: Kolmogorov-Smirnov distance of the distribution from that of the labelled stars.
    """
    from scipy.stats import ks_2samp

    rows = []
    for quantity in QUANTITIES:
        values = sample.numbers(quantity)
        if not np.isfinite(values).any():
            continue
        for k, name in enumerate(sample.classes):
            known = _finite(values[sample.labelled(k)])
            sets = {"labelled": known} | {f"p >= {c:g}": _finite(values[sample.of_class(k, c)]) for c in sample.cuts}
            for which, x in sets.items():
                row: dict[str, Any] = {"class": name, "quantity": quantity, "of": which, "n": len(x)}
                row |= dict(zip(("q25", "median", "q75"), _quartiles(x), strict=True))
                both = which != "labelled" and len(x) and len(known)
                rows.append(row | {"ks": float(ks_2samp(x, known).statistic) if both else float("nan")})
    return rows


# ---- systematics ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Excess:
    """Light curves in a narrow window around a suspicious frequency, compared with the two windows beside it."""

    short: str
    name: str
    frequency: float  # [1/d]
    half_width: float  # [1/d]
    inside: int
    beside: int  # in both neighbours, together as wide: what a smooth distribution would have inside
    p_value: float  # of so many inside by chance, one-sided binomial, if the distribution of f1 is smooth
    suspicious: bool  # p_value times the number of suspects is below `RARE`


def excesses(sample: CatalogSample) -> list[Excess]:
    """Return the excess of light curves at each suspicious frequency; the paper's ridge at 1/d is one.

    The windows are half a natural width, 1 / (2 span), wide to each side, at least `NARROWEST`; suspects that the
    span can't separate from zero are left out.
    """
    from scipy.stats import binomtest

    f1 = _finite(sample.numbers("f1")[sample.classified])
    width = half_width(sample)
    windows = []
    for short, (name, frequency) in SUSPECTS.items():
        if frequency < 2 * width or not len(f1):
            continue
        apart = np.abs(f1 - frequency)
        inside, beside = int((apart <= width).sum()), int(((apart > width) & (apart <= 2 * width)).sum())
        p = binomtest(inside, inside + beside, 0.5, "greater").pvalue if inside + beside else 1.0
        windows.append(Excess(short, name, frequency, width, inside, beside, float(p), p * len(SUSPECTS) < RARE))
    return windows


def half_width(sample: CatalogSample) -> float:
    """Return the half width of the windows around suspicious frequencies [1/d]."""
    span = _finite(sample.numbers("span"))
    return max(NARROWEST, 0.5 / float(np.median(span))) if len(span) and np.median(span) > 0 else NARROWEST


def by_group(sample: CatalogSample, frequency: float = 1.0) -> list[dict[str, Any]]:
    """Return the share of light curves near a frequency [1/d] in each sector, camera, ..., compared with all others.

    ``p_value``: Fisher's exact test, one-sided: of so great a share by chance. A group with more light curves near 1/d
    than the others has its own systematics, or its own stars.
    """
    from scipy.stats import fisher_exact

    f1 = sample.numbers("f1")
    known = sample.classified & np.isfinite(f1)
    near = known & (np.abs(f1 - frequency) <= half_width(sample))
    shares: list[dict[str, Any]] = []
    for name, group in groups(sample).items():
        for value in np.unique(group[known & (group >= 0)]):
            own = known & (group == value)
            table = np.array([[(near & rows).sum(), (~near & rows).sum()] for rows in (own, known & ~own)])
            hits, n = int(table[0, 0]), int(table[0].sum())
            low, high = map(float, wilson(hits / n, n))
            row: dict[str, Any] = {"group": name, "value": int(value), "light_curves": n, "near": hits}
            row |= {"share": hits / n, "low": low, "high": high}
            p_value = float(fisher_exact(table, "greater").pvalue) if table[1].sum() else 1.0
            shares.append(row | {"p_value": p_value})
    for row in shares:
        row["suspicious"] = bool(row["p_value"] * len(shares) < RARE)
    return shares


def groups(sample: CatalogSample) -> dict[str, NDArray[np.int64]]:
    """Return the sector, quarter, camera, ... of each light curve (n,), -1 where unknown; those with two values."""
    columns = {}
    for name in GROUPS:
        if name in sample.table.column_names:
            values = np.asarray(sample.table[name].cast("int64").fill_null(-1).to_numpy())
            if len(np.unique(values[values >= 0])) > 1:
                columns[name] = values
    return columns


# ---- hybrids --------------------------------------------------------------------------------------------------------


def hybrid_rows(sample: CatalogSample) -> list[dict[str, Any]]:
    """Return the hybrid candidates, those with the greatest share of the second class first."""
    first, second, share = sample.shares()
    rows = np.flatnonzero(sample.hybrids())
    rows = rows[np.argsort(-share[rows], kind="stable")]
    ids = sample.table["object_id"].take(rows).to_pylist()
    candidates = []
    for name, i in zip(ids, rows, strict=True):
        p_first, p_second = (float(sample.probabilities[i, k]) for k in (first[i], second[i]))
        row = {"object_id": name, "first": sample.classes[first[i]], "second": sample.classes[second[i]]}
        candidates.append({**row, "p_first": p_first, "p_second": p_second, "share": float(share[i])})
    return candidates


def count_pairs(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many hybrid candidates there are of each pair of classes, the most frequent first."""
    counted: dict[str, int] = {}
    for row in rows:
        pair = f"{row['first']} + {row['second']}"
        counted[pair] = counted.get(pair, 0) + 1
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def _finite(values: Float) -> Float:
    return values[np.isfinite(values)]


def _quartiles(values: Float) -> list[float]:
    return np.quantile(values, (0.25, 0.5, 0.75)).tolist() if len(values) else [np.nan] * 3


def _ratio(hits: int, n: int) -> float:
    return hits / n if n else float("nan")
