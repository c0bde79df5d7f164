"""The section on leaks: copies of training light curves, and labels that follow how an object was observed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.evaluation.assess import Assessment
from goodricke.evaluation.data_checks import (
    SHOWN_BEHAVIOUR,
    SingleInput,
    all_inputs,
    behaviour,
    circumstances,
    copies,
    folds_for,
    names_the_star,
    says_the_label,
    single_inputs,
    text_columns,
)
from goodricke.evaluation.page import Section
from goodricke.preprocess import MultibandConfig

Int = NDArray[np.int64]

SINGLE, TOGETHER = 0.25, 0.5  # part of the model's lead over the most frequent class that is suspicious
NAMED = 5  # objects named in a sentence
KNOWN_CASE = (
    "A known example is the training set of Debosscher et al. (2007), where some classes come from Hipparcos and "
    "others from OGLE: the time of the first observation tells many of them apart, and a network that sees it learns "
    "the survey."
)


class Found(NamedTuple):
    """What a check found."""

    rows: list[dict[str, Any]]
    warnings: list[str]
    notes: list[str]


def leakage(result: Assessment) -> Section:
    """Return what could make the scores too good."""
    twice, single = duplicates(result), giveaways(result)
    return Section(
        "Leakage checks",
        "circumstances of observation, such as the number of points, that alone tell the label: a cross-validated "
        "tree of one input. Its lead is its way from the most frequent class to the model's accuracy; above "
        f"{SINGLE:g} it is suspicious. How an object varies may well tell its class; it stands there for scale.",
        "an input that says where, when or how an object was observed and tells its class: on objects observed "
        "otherwise, a model that has learnt it fails. " + KNOWN_CASE,
        warnings=[*twice.warnings, *single.warnings],
        table=single.rows,
        tables={"Light curves that are on both sides of the split": twice.rows},
        notes=[*twice.notes, *single.notes],
    )


def duplicates(result: Assessment) -> Found:
    """Look for training objects among the scored ones: by id, by star, by the values of their light curves."""
    sample, rows = result.sample, result.rows
    curves, ids = sample.curves[rows], np.array(sample.curves.ids, dtype=object)[rows]
    within = copies(curves)
    apart = sample.star[rows][within.first] != sample.star[rows][within.second]
    notes: list[str] = []
    warnings: list[str] = []
    if apart.any():
        pairs = zip(ids[within.first[apart]], ids[within.second[apart]], strict=True)
        warnings.append(
            f"{apart.sum():,} pairs of scored objects hold the same light curve under different stars: "
            f"{_named(pairs)}. They count twice, and intervals are too narrow."
        )
    if sample.seen is None:
        return Found(
            [], warnings, [*notes, "No split tells what the model was trained on: copies can't be looked for."]
        )
    seen = sample.seen
    theirs = np.array(seen.curves.ids, dtype=object)
    checks = {
        "the id": np.isin(ids, theirs),
        "the star (id, or position as the split has it)": np.isin(sample.star[rows], seen.star),
    }
    for what, twice in checks.items():
        if twice.any():
            named = _named(ids[twice])
            warnings.append(f"{twice.sum():,} scored objects share {what} with a training object: {named}.")
        else:
            notes.append(f"No scored object shares {what} with one of the {len(theirs):,} training objects.")
    both = copies(curves, seen.curves)
    if not len(both.first):
        return Found([], warnings, [*notes, "No scored light curve is a copy of a training one, in whole or half."])
    known = {"scored": ids[both.first], "training": theirs[both.second]}
    labels = {"its class": sample.label[rows][both.first], "class there": seen.label[both.second]}
    warnings.append(
        f"{len(np.unique(both.first)):,} scored light curves are copies of training light curves in whole or half: "
        f"{_named(np.unique(ids[both.first]))}. Their scores are no test."
    )
    return Found(_records(known | labels | {"shared": both.shared}), warnings, notes)


def giveaways(result: Assessment) -> Found:
    """Look for inputs, each by itself and all together, from which the label follows without the star's variations."""
    label, star = _present(result.label), result.sample.star[result.rows]
    if folds_for(label, star) < 2:
        return Found([], [], ["Not tested: a class with light curves of at least two stars is needed."])
    curves = result.sample.curves[result.rows]
    best = max(float(np.mean(p.argmax(1) == result.label)) for p in result.probabilities.values())
    observed, told, text, untested = circumstances(curves), _told(result), *_text(result, label, star)
    varies = {name: x for name, x in behaviour(curves).items() if name in SHOWN_BEHAVIOUR and np.isfinite(x).any()}
    kinds = dict.fromkeys(observed, "circumstance") | dict.fromkeys(told, "told to the model")
    kinds |= dict.fromkeys(text, "column") | dict.fromkeys(varies, "variation, for scale")
    single = single_inputs(observed | told | text | varies, label, star)
    together = all_inputs(observed, label, star)
    suspects = [(each, SINGLE) for each in single if kinds[each.name] in ("circumstance", "column")]
    suspects.append((together, TOGETHER))
    found = [each for each, limit in suspects if _suspicious(each, best, limit)]
    warnings = [_alarm(found, best)] if found else []
    notes = [f"Column {name} {why}: not tested." for name, why in untested.items()]
    if warnings:
        notes.append(_what_the_model_sees(result))
    rows = [_row(each, kinds.get(each.name, "circumstances, a forest"), best) for each in (together, *single)]
    return Found(rows, warnings, notes)


def lead(each: SingleInput, best: float) -> float:
    """Return which part of the model's lead over the most frequent class an input alone has."""
    return (each.accuracy.value - each.majority) / max(best - each.majority, 1e-9)


def _suspicious(each: SingleInput, best: float, limit: float) -> bool:
    return best > each.majority and lead(each, best) >= limit and each.accuracy.low > each.majority


def _alarm(found: list[SingleInput], best: float) -> str:
    named = "; ".join(f"{each.name}, {100 * each.accuracy.value:.1f} %" for each in found)
    return (
        "Classes and the way they were observed are confounded. Inputs that say nothing of how an object varies tell "
        f"its label in cross-validation, where the most frequent class gives {100 * found[0].majority:.1f} % and the "
        f"best model {100 * best:.1f} %: {named}."
    )


def _row(each: SingleInput, kind: str, best: float) -> dict[str, Any]:
    figures = {
        "accuracy": each.accuracy,
        "most frequent class": each.majority,
        "part of the model's lead": lead(each, best),
    }
    return {"input": each.name, "kind": kind} | figures


def _present(label: Int) -> Int:
    """Return labels (n,) numbered without gaps."""
    return np.unique(label, return_inverse=True)[1]


def _told(result: Assessment) -> dict[str, NDArray]:
    """Return the columns that a model is told of each object."""
    configs = [x.model.preprocessing for x in result.answered.values()]
    names = {name for c in configs if isinstance(c, MultibandConfig) for name in c.columns}
    curves = result.sample.curves[result.rows]
    return {f"{name} (column)": curves.column(name).astype(np.float64) for name in sorted(names)}


def _text(result: Assessment, label: Int, star: Int) -> tuple[dict[str, Int], dict[str, str]]:
    """Return the columns of words of light curves and labels, and why others of them can't be tested."""
    tables = [result.sample.curves[result.rows].table_of_objects]
    if result.sample.about is not None:
        about = result.sample.about.iloc[result.rows].drop(columns="label")
        texts = [name for name in about if not pd.api.types.is_numeric_dtype(about[name])]
        tables.append(pa.Table.from_pandas(about[texts].astype("string"), preserve_index=False))
    columns = {f"{name} (column)": x for table in tables for name, x in text_columns(table).items()}
    known = {f"{name} (column)" for name in tables[-1].column_names} if len(tables) > 1 else set()
    same = [name for name, x in columns.items() if name in known and says_the_label(x, label, star)]
    untested = dict.fromkeys(same, "is the label in other words")
    untested |= {name: "has a value of its own for each star" for name, x in columns.items() if names_the_star(x, star)}
    return {name: x for name, x in columns.items() if name not in untested}, untested


def _what_the_model_sees(result: Assessment) -> str:
    """Say by what preprocessing the models see the light curves."""
    kinds = {x.model.preprocessing.kind for x in result.answered.values()}
    seen = {
        "folded": "folded models are not told times, nor brightness unless level = true; they do see errors and gaps",
        "dense": "models of dense light curves are not told brightness or the date; they do see span and gaps",
        "multiband": "multi-band models are told times since the first observation and brightness, unless scaled",
    }
    told = "; ".join(seen[kind] for kind in sorted(kinds) if kind in seen)
    return f"Whether a model can use such an input depends on its preprocessing: {told}."


def _named(names: Any) -> str:
    """Return the first few names, and how many more there are."""
    told = [" and ".join(x) if isinstance(x, tuple) else str(x) for x in names]
    more = f" and {len(told) - NAMED:,} more" if len(told) > NAMED else ""
    return ", ".join(told[:NAMED]) + more


def _records(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
