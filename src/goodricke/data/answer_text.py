"""How an answer reads: class and leaves, prediction set and period of one row of predictions, in words.

A row is a mapping of column names to values, as `pyarrow.Table.to_pylist` gives it. Tables on the terminal, figures and
the explorer show these texts, so that an object reads the same everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from goodricke.data.period_answer import PERIOD_PROBABILITY, alternatives_of
from goodricke.data.taxonomy import UNCERTAIN

LEAST_PROBABLE = 0.01  # of the other periods that are named
Row = Mapping[str, Any]

NOVEL = 0.99  # novelty above which an object is pointed out: one in a hundred objects of known classes
NEW_MEANING = (
    f"less like the training set than {NOVEL:.0%} of the objects that calibrated the novelty; they may belong to a "
    "class that the model doesn't have"
)
LEAST = 0.05  # probability from which a leaf is named beside the class
MOST = 3  # leaves named
DOUBTFUL = 0.01  # false-alarm probability from which it is pointed out
CERTAIN = 1e-6  # below which it is no more than that
PLACES = ("sector", "quarter", "campaign")  # columns that tell the light curves of a star apart


def answer_columns(names: Collection[str]) -> tuple[str, str]:
    """Return the columns of the class of a table of predictions and of its probability, which belong together.

    Of a model with a taxonomy the class may be a node, whose probability isn't that of the most probable leaf.

    Examples
    --------
    >>> answer_columns(["class", "p_max"]), answer_columns(["class", "class_probability", "leaf", "p_max"])
    (('class', 'p_max'), ('class', 'class_probability'))
    """
    return "class", "class_probability" if "class_probability" in names else "p_max"


def leaf_columns(names: Collection[str]) -> tuple[str, str]:
    """Return the columns of the most probable single class of a table of predictions and of its probability.

    Examples
    --------
    >>> leaf_columns(["class", "p_max"]), leaf_columns(["class", "class_probability", "leaf", "p_max"])
    (('class', 'p_max'), ('leaf', 'p_max'))
    """
    return "leaf" if "leaf" in names else "class", "p_max"


def class_probability(row: Row) -> float:
    """Return the probability of the class of a row: of a node of a taxonomy, or of the most probable class."""
    p = row.get("class_probability")
    return float(row["p_max"] if p is None else p)


def class_probability_text(row: Row) -> str:
    """Return the probability of the class of a row in words: none for an uncertain answer, which is always right.

    Examples
    --------
    >>> [class_probability_text({"class": name, "p_max": 0.97}) for name in ("EW", "uncertain")]
    ['0.97', '']
    """
    return "" if row["class"] == UNCERTAIN else f"{class_probability(row):.2f}"


def leaves_of(row: Row, classes: Sequence[str]) -> list[tuple[str, float]]:
    """Return the most probable leaves of a row with their probabilities, those from `LEAST` on, at least one."""
    p = sorted(((name, float(row[f"p_{name}"])) for name in classes), key=lambda pair: -pair[1])[:MOST]
    return p[:1] + [pair for pair in p[1:] if pair[1] >= LEAST]


def leaves_text(row: Row, classes: Sequence[str]) -> str:
    """Return the most probable leaves of a row in words.

    Examples
    --------
    >>> leaves_text({"p_EA": 0.01, "p_EB": 0.42, "p_EW": 0.55}, ("EA", "EB", "EW"))
    'EW 0.55 / EB 0.42'
    """
    return " / ".join(f"{name} {p:.2f}" for name, p in leaves_of(row, classes))


def set_text(row: Row) -> str:
    """Return the prediction set of a row in words: the node that it equals, or its classes, the most probable first.

    Examples
    --------
    >>> set_text({"prediction_set": ["EB", "EW"], "p_EB": 0.42, "p_EW": 0.55})
    'EW or EB'
    """
    members = sorted(row.get("prediction_set") or (), key=lambda name: -(row.get(f"p_{name}") or 0))
    return row.get("prediction_set_node") or " or ".join(members) or "no class"


def coverage_text(schema: pa.Schema) -> str:
    """Return the coverage of a table's prediction sets, such as ``90 % of all objects``; "" if there are none."""
    if "prediction_set" not in schema.names:
        return ""
    description = (schema.field("prediction_set").metadata or {}).get(b"description", b"").decode()
    match = re.search(r"for (\S+ % of (?:all objects|each class))", description)
    return match[1] if match else ""


def set_title(schema: pa.Schema) -> str:
    """Return what a table's prediction sets are called: "90 % set", by their coverage."""
    return f"{coverage_text(schema).partition(' of ')[0]} set".strip()


def period_text(period: float, error: float | None = None) -> str:
    """Return a period with its uncertainty in the last digits; with five significant digits without one.

    Examples
    --------
    >>> period_text(0.4, 0.00002), period_text(312.3, 4.2), period_text(0.4)
    ('0.40000(2)', '312(4)', '0.40000')
    """
    if not error or not math.isfinite(error) or error >= period:
        return f"{period:#.5g}".rstrip(".") if period < 1000 else f"{period:.0f}"
    decimals = max(-math.floor(math.log10(float(f"{error:.0e}"))), 0)
    return f"{period:.{decimals}f}({round(error * 10**decimals)})"


def alternatives_text(row: Row) -> str:
    """Return the other periods of a row in words, each by its relation to the period if it has one.

    Those below `LEAST_PROBABLE` are left out; the table of predictions has them.
    """
    return ", ".join(
        f"{other['relation'] or period_text(other['period']) + ' d'} {probability_text(other['probability'])}".strip()
        for other in alternatives_of(row)
        if other["probability"] is None or other["probability"] >= LEAST_PROBABLE
    )


def probability_text(p: float | None) -> str:
    """Return a probability as text; "" where there is none, as of a period that was measured."""
    return "" if p is None else f"{p:.2f}"


def false_alarm_text(row: Row) -> str:
    """Return the false-alarm probability of a row's period in words, empty where there is none."""
    fap = row.get("false_alarm_probability")
    if fap is None:
        return ""
    return f"FAP < {CERTAIN:g}" if fap < CERTAIN else f"FAP {fap:.1g}"


def is_novel(row: Row) -> bool:
    """Return whether an object is less like the training set than nearly all objects of known classes."""
    novelty = row.get("novelty")
    return novelty is not None and novelty > NOVEL


def measured_text(row: Row) -> str:
    """Return amplitude, signal to noise and eclipses of a dense light curve in words; "" without these columns.

    Examples
    --------
    >>> eclipses = {"eclipse_depth": 0.012, "eclipse_duration": 0.1}
    >>> measured_text({"dominant_amplitude": 0.00123, "period_snr": 31.2} | eclipses)
    'A = 1230 ppm, S/N = 31, eclipses 1.2 % deep for 2.4 h'
    """
    if row.get("period_snr") is None:
        return ""
    amplitude, depth, duration = (row.get(n) for n in ("dominant_amplitude", "eclipse_depth", "eclipse_duration"))
    parts = [] if amplitude is None else [f"A = {relative_text(amplitude)}"]
    parts.append(f"S/N = {row['period_snr']:.2g}" if row["period_snr"] < 100 else f"S/N = {row['period_snr']:.0f}")
    if duration is not None:
        deep = "" if depth is None else f" {relative_text(depth)} deep"
        parts.append(f"eclipses{deep} for {24 * duration:.2g} h")
    return ", ".join(parts)


def relative_text(x: float) -> str:
    """Return a relative flux as text, in percent from one on, in ppm below."""
    return f"{100 * x:.2g} %" if x >= 0.01 else f"{float(f'{1e6 * x:.3g}'):g} ppm"


def period_as_json(row: Row) -> dict[str, Any] | None:
    """Return the answered period of a row with all that is to be shown of it, None where there is none."""
    if PERIOD_PROBABILITY not in row or row.get("period") is None:
        return None
    return {
        "period": row["period"],
        "text": period_text(row["period"], row["period_error"]),
        "probability": row[PERIOD_PROBABILITY],
        "alternatives": [other | {"text": period_text(other["period"])} for other in alternatives_of(row)],
        "false_alarm": false_alarm_text(row),
        "measured": measured_text(row),
        "notes": period_notes(row),
    }


def is_doubtful(row: Row) -> bool:
    """Return whether noise alone has a peak like that of the period too often."""
    return row.get("period") is not None and (row.get("false_alarm_probability") or 0) >= DOUBTFUL


def period_notes(row: Row) -> list[str]:
    """Return the reasons to doubt the period of a row."""
    return [*filter(None, [row.get("period_note")]), *[false_alarm_text(row)] * is_doubtful(row)]
