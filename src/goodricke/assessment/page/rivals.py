"""The section on several models: which is better on the same objects, by tests in pairs."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from goodricke.assessment.assess import Assessment
from goodricke.evaluation.metrics import Comparison, compare
from goodricke.evaluation.multiple import holm
from goodricke.pages import Section

LEVEL = 0.05
FEWEST = 6  # stars, of fewer not even all on one side are significant: 2 / 2^5 is above the level


def rivals(result: Assessment) -> Section:
    """Return the differences of all pairs of models with intervals, and tests corrected for their number."""
    star = result.sample.star[result.rows]
    stars = len(np.unique(star))
    pairs = {
        (a, b): compare(result.label, result.probabilities[a], result.probabilities[b], star)
        for a, b in combinations(result.answered, 2)
    }
    corrected = holm([c.p_value for c in pairs.values()])
    rows = [_row(*pair, c, float(p)) for (pair, c), p in zip(pairs.items(), corrected, strict=True)]
    several = stars < len(star)
    notes = [
        _in_words(*pair, c, _stars_differ(c, stars) if several else bool(p < LEVEL))
        for (pair, c), p in zip(pairs.items(), corrected, strict=True)
    ]
    if several:
        notes.append(
            f"Judged by the intervals, which draw the {stars:,} stars ({FEWEST} are needed): McNemar's test takes the "
            f"{len(star):,} light curves as independent, and its p-values may be far too small here."
        )
    else:
        notes.append(f"Judged by McNemar's test at {LEVEL:g}, as each light curve is of another star.")
    if len(pairs) > 1:
        notes.append(f"{len(pairs)} pairs: p-values are corrected by Holm, intervals are those of each pair alone.")
    return Section(
        "Comparison",
        "differences on the same objects, second less first: an interval without 0 is a difference at 95 %. "
        "McNemar's exact test asks whether both are right equally often, if light curves are independent.",
        "a difference in accuracy with none in macro F1: bought in common classes with rare ones.",
        table=rows,
        notes=notes,
    )


def _row(first: str, second: str, c: Comparison, p: float) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "accuracy, difference": c.accuracy,
        "macro F1, difference": c.macro_f1,
        "only the first right": c.only_a,
        "only the second right": c.only_b,
        "McNemar p": c.p_value,
        "p (Holm)": p,
    }


def _stars_differ(c: Comparison, stars: int) -> bool:
    """Return whether the interval of the difference in accuracy, from drawing stars, leaves out 0."""
    return stars >= FEWEST and not c.accuracy.low <= 0 <= c.accuracy.high


def _in_words(first: str, second: str, c: Comparison, differ: bool) -> str:
    if not differ:
        return f"{first} and {second}: no difference in accuracy that these objects could show."
    better, other = (second, first) if c.accuracy.value > 0 else (first, second)
    return f"{better} is right more often than {other}, by {abs(100 * c.accuracy.value):.1f} percentage points."
