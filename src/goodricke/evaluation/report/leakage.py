"""The section on leakage: copies of training light curves, and labels that follow from how an object was observed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.evaluation.assessment import Assessment
from goodricke.evaluation.data_checks import (
    REFERENCE_FEATURES,
    FeatureAccuracy,
    categorical_columns,
    find_copies,
    fold_count,
    forest_accuracy,
    is_label_copy,
    is_star_identifier,
    observing_conditions,
    single_feature_accuracies,
    variability_features,
)
from goodricke.evaluation.page import Section

Int = NDArray[np.int64]

SINGLE, TOGETHER = 0.25, 0.5  # part of the model's lead over the most frequent class that is suspicious
NAMED = 5  # objects named in a sentence
KNOWN_CASE = (
    "A known example is the training set of Debosscher et al. (2007), where some classes come from Hipparcos and "
    "others from OGLE: the time of the first observation separates many of them, and a network that gets it learns the "
    "survey."
)


class CheckResult(NamedTuple):
    """Rows of a table, warnings and notes of a check."""

    rows: list[dict[str, Any]]
    warnings: list[str]
    notes: list[str]


def leakage_section(result: Assessment) -> Section:
    """Return the checks for copies across the split and for labels that follow from the observing conditions."""
    copies, confounding = check_copies(result), check_confounding(result)
    return Section(
        "Leakage checks",
        "observing conditions, such as the number of points, that alone predict the label: a cross-validated tree of "
        "one input. Its lead is the part of the way from the most frequent class to the model's accuracy; above "
        f"{SINGLE:g} it is suspicious. Variability features may well predict the class; they are there for comparison.",
        "an input that says where, when or how an object was observed and predicts its class: a model that has learnt "
        "it fails on objects observed in another way. " + KNOWN_CASE,
        warnings=[*copies.warnings, *confounding.warnings],
        table=confounding.rows,
        tables={"Light curves that are on both sides of the split": copies.rows},
        notes=[*copies.notes, *confounding.notes],
    )


def check_copies(result: Assessment) -> CheckResult:
    """Look for training objects among the scored ones: by id, by star, by the values of their light curves."""
    curves, star = result.curves, result.star
    ids = np.array(curves.ids, dtype=object)
    within = find_copies(curves)
    apart = star[within.first] != star[within.second]
    notes: list[str] = []
    warnings: list[str] = []
    if apart.any():
        pairs = zip(ids[within.first[apart]], ids[within.second[apart]], strict=True)
        warnings.append(
            f"{apart.sum():,} pairs of scored objects hold the same light curve under different stars: "
            f"{_list(pairs)}. They count twice, and intervals are too narrow."
        )
    training = result.sample.training
    if training is None:
        notes.append("No split says which objects the model was trained on: no check for copies of them.")
        return CheckResult([], warnings, notes)
    training_ids = np.array(training.curves.ids, dtype=object)
    checks = {
        "the id": np.isin(ids, training_ids),
        "the star (by id, or by position as in the split)": np.isin(star, training.star),
    }
    for name, shared in checks.items():
        if shared.any():
            warnings.append(
                f"{shared.sum():,} scored objects share {name} with a training object: {_list(ids[shared])}."
            )
        else:
            notes.append(f"No scored object shares {name} with one of the {len(training_ids):,} training objects.")
    both = find_copies(curves, training.curves)
    if not len(both.first):
        return CheckResult(
            [], warnings, [*notes, "No scored light curve is a copy of a training one, in whole or half."]
        )
    columns = {
        "scored": ids[both.first],
        "training": training_ids[both.second],
        "class of the scored": result.sample.label[result.rows][both.first],
        "class of the training": training.label[both.second],
        "shared": both.shared,
    }
    warnings.append(
        f"{len(np.unique(both.first)):,} scored light curves are copies of training light curves in whole or half: "
        f"{_list(np.unique(ids[both.first]))}. Their scores are no test."
    )
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return CheckResult(rows, warnings, notes)


def check_confounding(result: Assessment) -> CheckResult:
    """Look for inputs, one by one and all together, that predict the label without the variability of the star."""
    label, star = np.unique(result.label, return_inverse=True)[1], result.star
    if fold_count(label, star) < 2:
        return CheckResult([], [], ["Not tested: a class with light curves of at least two stars is needed."])
    curves = result.curves
    best = max(float(np.mean(p.argmax(1) == result.label)) for p in result.probabilities.values())
    observed, context = observing_conditions(curves), _context(result)
    categories, untested = _categories(result, label, star)
    features = variability_features(curves)
    features = {name: features[name] for name in REFERENCE_FEATURES if np.isfinite(features[name]).any()}
    kinds = dict.fromkeys(observed, "observing condition") | dict.fromkeys(context, "context of the model")
    kinds |= dict.fromkeys(categories, "column") | dict.fromkeys(features, "variability, for comparison")
    single = single_feature_accuracies(observed | context | categories | features, label, star)
    together = forest_accuracy(observed, label, star)
    suspects = [(x, SINGLE) for x in single if kinds[x.name] in ("observing condition", "column")]
    suspects.append((together, TOGETHER))
    confounded = [x for x, limit in suspects if _is_suspicious(x, best, limit)]
    warnings = [_warning(confounded, best)] if confounded else []
    notes = [f"Column {name} {reason}: not tested." for name, reason in untested.items()]
    if warnings:
        notes.append(_preprocessing_note(result))
    rows = [_row(x, kinds.get(x.name, "observing conditions, a forest"), best) for x in (together, *single)]
    return CheckResult(rows, warnings, notes)


def lead(x: FeatureAccuracy, best: float) -> float:
    """Return the lead of an input over the most frequent class as a part of the model's lead."""
    return (x.accuracy.value - x.majority) / max(best - x.majority, 1e-9)


def _is_suspicious(x: FeatureAccuracy, best: float, limit: float) -> bool:
    return best > x.majority and lead(x, best) >= limit and x.accuracy.low > x.majority


def _warning(confounded: list[FeatureAccuracy], best: float) -> str:
    names = "; ".join(f"{x.name}, {100 * x.accuracy.value:.1f} %" for x in confounded)
    return (
        "Classes and observing conditions are confounded. Inputs that say nothing of how an object varies predict its "
        f"label in cross-validation, where the most frequent class gives {100 * confounded[0].majority:.1f} % and the "
        f"best model {100 * best:.1f} %: {names}."
    )


def _row(x: FeatureAccuracy, kind: str, best: float) -> dict[str, Any]:
    return {
        "input": x.name,
        "kind": kind,
        "accuracy": x.accuracy,
        "most frequent class": x.majority,
        "part of the model's lead": lead(x, best),
    }


def _context(result: Assessment) -> dict[str, NDArray]:
    """Return the context columns of the models."""
    names = {name for x in result.models.values() for name in x.model.preprocessing.columns}
    curves = result.curves
    return {f"{name} (column)": curves.column(name).astype(np.float64) for name in sorted(names)}


def _categories(result: Assessment, label: Int, star: Int) -> tuple[dict[str, Int], dict[str, str]]:
    """Return the columns of categories of light curves and labels, and the reasons why others can't be tested."""
    tables = [result.curves.table_of_objects]
    if result.sample.table is not None:
        labels = result.sample.table.iloc[result.rows].drop(columns="label")
        texts = [name for name in labels if not pd.api.types.is_numeric_dtype(labels[name])]
        tables.append(pa.Table.from_pandas(labels[texts].astype("string"), preserve_index=False))
    columns = {f"{name} (column)": x for table in tables for name, x in categorical_columns(table).items()}
    in_labels = {f"{name} (column)" for name in tables[-1].column_names} if len(tables) > 1 else set()
    same = [name for name, x in columns.items() if name in in_labels and is_label_copy(x, label, star)]
    untested = dict.fromkeys(same, "is the label in other words")
    identifiers = [name for name, x in columns.items() if is_star_identifier(x, star)]
    untested |= dict.fromkeys(identifiers, "has a value of its own for each star")
    return {name: x for name, x in columns.items() if name not in untested}, untested


def _preprocessing_note(result: Assessment) -> str:
    """Return a note on what the preprocessing of the models keeps of the observing conditions."""
    kinds = {x.model.preprocessing.kind for x in result.models.values()}
    inputs = {
        "variables": "models of kind variables get no dates, brightness or colors; they get errors and the sampling",
        "folded": "folded models get no times, and brightness only if level = true; they get errors and gaps",
        "dense": "models of dense light curves get no brightness and no date; they get span and gaps",
        "multiband": "multi-band models get times since the first observation, and brightness unless scaled",
    }
    text = "; ".join(inputs[kind] for kind in sorted(kinds) if kind in inputs)
    return f"Whether a model can use such an input depends on its preprocessing: {text}."


def _list(names: Any) -> str:
    """Return the first few names, and how many more there are."""
    texts = [" and ".join(x) if isinstance(x, tuple) else str(x) for x in names]
    more = f" and {len(texts) - NAMED:,} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
