"""From which probability on a class is to be believed: cuts for a wanted purity, chosen on labelled objects.

An object answered with class c is taken for one if ``p_max`` reaches the cut of c. Purity is the fraction of those
taken that are of class c by their label (objects of classes that the model doesn't know are none); completeness is the
fraction of all labelled objects of class c that are taken, those that could not be classified included.

**The rule.** Among a few dozen objects some cut looks pure by luck. A cut is therefore chosen only if the one-sided
Clopper-Pearson lower bound of its purity, at a confidence of 95 %, reaches the wanted purity; of these cuts the lowest.
For a purity of 0.95 this takes at least 59 objects, all right, for 0.9 at least 29; a class with fewer gets no cut and
the statement says so. Because the rule looks at many cuts of the same objects, the bound holds a little less often than
its confidence says: in simulations the true purity fell short in 1 to 7 % of the choices where it grows with the
probability. The expected purity and completeness come with two-sided Clopper-Pearson intervals of 95 %. They are about
objects like the labelled ones: choose cuts on a sample that was not trained on and whose mixture of classes is that of
the survey.

Light curves of one star are not independent: merge them first (``per_star``), or the intervals are too narrow.

Statements about cuts: chosen on a labelled catalog, kept beside a manifest, applied to a catalog.

How cuts are chosen: `goodricke.survey.thresholds`. The shards of a catalog are signed and never changed; the column
``confident_class`` comes with ``goodricke convert``, which finds the statement beside the manifest or is given it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.table import Table

from goodricke.data.formats import Rows
from goodricke.data.predictions import Status
from goodricke.evaluation.intervals import LEVEL, Estimate
from goodricke.io import read_labels
from goodricke.survey.per_star import How, per_star
from goodricke.survey.shards import Catalog, catalog_rows

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Cut:
    """What a cut is expected to give.

    Parameters
    ----------
    cut : float, optional
        Least ``p_max``; None if no cut reaches the purity.
    taken, labelled : int
        Objects that reach the cut, without one all answered with the class; labelled objects of the class.
    purity, completeness : Estimate
        Expected of the objects taken, with 95 % intervals.
    """

    cut: float | None
    taken: int
    labelled: int
    purity: Estimate
    completeness: Estimate


def choose(
    answer: NDArray, p_max: NDArray, label: NDArray, classes: Sequence[str], purity: float, confidence: float
) -> dict[str, Cut]:
    """Choose the cut of each class; see the module for the rule.

    Parameters
    ----------
    answer, label : (n,) of str
        Class found (None if not classified) and true class.
    p_max : (n,)
    classes : sequence of str
    purity, confidence : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If purity or confidence is not between 0 and 1.
    """
    for name, value in (("purity", purity), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"the {name} is a fraction between 0 and 1, such as 0.95, not {value:g}")
    found = {}
    for name in classes:
        own = answer == name
        found[name] = _choose(p_max[own], label[own] == name, int((label == name).sum()), purity, confidence)
    return found


def _choose(p: NDArray, right: NDArray[np.bool_], labelled: int, purity: float, confidence: float) -> Cut:
    """Choose the cut of a class from the objects answered with it."""
    order = np.argsort(-p, kind="stable")
    p, right = p[order], right[order]
    last = np.flatnonzero(np.diff(p, append=-1) != 0)  # objects of equal probability are taken together
    hits, taken = np.cumsum(right)[last], last + 1
    good = np.flatnonzero(lower_bound(hits, taken, confidence) >= purity)
    if not len(good):
        k, n = int(right.sum()), len(p)
        return Cut(None, n, labelled, clopper_pearson(k, n), clopper_pearson(k, labelled))
    i = good[-1]
    k, n = int(hits[i]), int(taken[i])
    cut = _short_between(float(p[n]) if n < len(p) else 0.0, float(p[n - 1]))
    return Cut(cut, n, labelled, clopper_pearson(k, n), clopper_pearson(k, labelled))


def _short_between(below: float, at: float) -> float:
    """Return the number with the fewest digits that is greater than ``below`` and not greater than ``at``."""
    for digits in range(2, 17):
        found = np.floor(at * 10**digits) / 10**digits
        if below < found <= at:
            return float(found)
    return at


def lower_bound(k: NDArray, n: NDArray, confidence: float) -> NDArray[np.float64]:
    """Return the one-sided Clopper-Pearson lower bound of a fraction, k of n; 0 where k is 0."""
    from scipy.stats import beta

    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    return np.where(k > 0, beta.ppf(1 - confidence, np.maximum(k, 1), n - k + 1), 0.0)


def clopper_pearson(k: int, n: int) -> Estimate:
    """Return the fraction k / n with its two-sided 95 % interval; NaN where n is 0."""
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan)
    tail = (1 + LEVEL) / 2
    low = float(lower_bound(np.array(k), np.array(n), tail))
    return Estimate(k / n, low, 1 - float(lower_bound(np.array(n - k), np.array(n), tail)))


# ---- Statements about cuts: chosen on a labelled catalog, kept beside a manifest, applied to a catalog ---------------


log = logging.getLogger("goodricke")

FILE = "thresholds.json"
FORMAT = 1


@dataclass(frozen=True)
class Thresholds:
    """Cuts of all classes, and what they were chosen for and on.

    Parameters
    ----------
    purity, confidence : float
    classes : dict of Cut
    model, model_hash : str
        Whose probabilities are cut.
    per_star : str
        How light curves were merged, empty if not.
    labels, labels_sha256 : str
        Name and hash of the file of labels.
    objects : int
        Labelled rows.
    """

    purity: float
    confidence: float
    classes: dict[str, Cut]
    model: str = ""
    model_hash: str = ""
    per_star: str = ""
    labels: str = ""
    labels_sha256: str = ""
    objects: int = 0

    def to_json(self, indent: int | None = 2) -> str:
        """Return everything as JSON."""
        told = asdict(self) | {"format": FORMAT, "rule": _rule(self.purity, self.confidence)}
        for name, cut in self.classes.items():
            estimates = {"purity": cut.purity.to_dict(), "completeness": cut.completeness.to_dict()}
            told["classes"][name] = asdict(cut) | estimates
        return json.dumps(told, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Thresholds:
        """Return what `to_json` wrote."""
        told = json.loads(text)
        known = {k: told[k] for k in cls.__dataclass_fields__}
        known["classes"] = {name: _cut(cut) for name, cut in told["classes"].items()}
        return cls(**known)

    @classmethod
    def read(cls, path: Path) -> Thresholds:
        """Read a statement.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            return cls.from_json(path.read_text())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no statement of `goodricke thresholds` ({error!r}); make one with it") from error

    def write(self, path: Path) -> Path:
        """Write the statement to a file, or as ``thresholds.json`` into a folder; return where it is."""
        path = path / FILE if path.is_dir() else path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(self.to_json() + "\n")
        return partial.replace(path)

    def to_table(self) -> Table:
        """Return a table for the terminal."""
        title = f"Least p_max for a purity of {self.purity:g} (with {self.confidence:.0%} confidence), {self.model}"
        note = f"{self.objects:,} labelled rows" + (f", {self.per_star}" if self.per_star else "")
        table = Table(title=title, caption=note, title_justify="left", caption_justify="left")
        for name in ("class", "cut", "taken", "purity", "labelled", "completeness"):
            table.add_column(name, justify="left" if name == "class" else "right")
        for name, cut in self.classes.items():
            least = "[red]none[/]" if cut.cut is None else f"{cut.cut:g}"
            table.add_row(name, least, f"{cut.taken:,}", str(cut.purity), f"{cut.labelled:,}", str(cut.completeness))
        if any(cut.cut is None for cut in self.classes.values()):
            table.caption = f"{note}\nnone: no cut is sure to reach the purity; beside it, what all objects would give"
        return table


def _rule(purity: float, confidence: float) -> str:
    return (
        f"lowest p_max at which the one-sided Clopper-Pearson lower bound ({confidence:g}) of the purity is at least "
        f"{purity:g}; intervals are two-sided, {LEVEL:g}"
    )


def _cut(told: Mapping[str, Any]) -> Cut:
    def estimate(numbers: Mapping[str, float | None]) -> Estimate:
        known = (numbers[name] for name in Estimate._fields)
        return Estimate(*(np.nan if x is None else float(x) for x in known))

    purity, completeness = estimate(told["purity"]), estimate(told["completeness"])
    return Cut(told["cut"], told["taken"], told["labelled"], purity, completeness)


def choose_thresholds(
    catalog: str | Path,
    labels: Path,
    purity: float = 0.95,
    confidence: float = CONFIDENCE,
    label: str | None = None,
    object_id: str | None = None,
    rename: Mapping[str, str] | None = None,
    split: Path | None = None,
    how: How | None = None,
    star: str = "object_id",
) -> Thresholds:
    """Choose cuts on a labelled catalog in files; see `thresholds`.

    Parameters
    ----------
    catalog : path or str
        Whatever `Catalog.open` takes.
    labels, label, object_id
        See `goodricke.io.read_labels`.
    purity, confidence : float
    rename : dict of str, optional
        Labels as the model calls them, by the names that the table has.
    split : Path, optional
        A run's ``split.csv``; only its test objects count.
    how, star
        See `goodricke.survey.per_star.per_star`; no merging by default.
    """
    opened = Catalog.open(catalog)
    rows = catalog_rows(opened)
    rows = rows if how is None else per_star(rows, how, star)
    known = read_labels(labels, label, object_id)
    known["label"] = known["label"].replace(dict(rename or {}))
    if split is not None:
        from goodricke.evaluation.sample import read_split
        from goodricke.training.splits import TEST

        part = read_split(split)
        known = known[known["object_id"].isin(part.index[part == TEST])]
    found = thresholds(rows, known, opened.classes, purity, confidence)
    return replace(found, labels=labels.name, labels_sha256=sha256_of(labels))


def thresholds(
    rows: Rows, labels: pd.DataFrame, classes: Sequence[str], purity: float, confidence: float = CONFIDENCE
) -> Thresholds:
    """Choose cuts on a catalog of which some objects are labelled.

    Parameters
    ----------
    rows : Rows
        The catalog; rows without a label are left out.
    labels : pandas.DataFrame
        ``object_id`` and ``label``, see `goodricke.io.read_labels`.
    classes : sequence of str
        Of the model.
    purity, confidence : float

    Raises
    ------
    ValueError
        If no row has a label, no label is a class of the model, or a fraction is none.
    """
    labels = labels.dropna(subset=["label"]).drop_duplicates("object_id")
    columns = ["object_id", "status", "class", "p_max"]
    table = pa.concat_tables([rows.schema.empty_table().select(columns), *(b.select(columns) for b in rows.batches())])
    frame = table.to_pandas()
    frame["label"] = frame["object_id"].astype(str).map(labels.set_index("object_id")["label"])
    known = frame[frame["label"].notna()]
    if not len(known):
        raise ValueError(
            f"none of the {rows.count:,} rows has a label: the catalog's ids look like {_few(frame['object_id'])}, "
            f"those of the labels like {_few(labels['object_id'])}. "
            "Give the labels of these objects, or name the id's column with --object-id"
        )
    if not set(known["label"]) & set(classes):
        raise ValueError(
            f"no label is a class of the model: labels are {_few(known['label'])}, "
            f"classes {', '.join(classes)}. Name the column with --label, or the classes with --rename LABEL=CLASS"
        )
    _warn_of_repeats(known)
    answer = known["class"].where(known["status"] == str(Status.OK), None).to_numpy(object)
    p = known["p_max"].fillna(0).to_numpy(np.float64)
    found = choose(answer, p, known["label"].to_numpy(object), classes, purity, confidence)
    told = {k: rows.about.get(k, "") for k in ("model", "model_hash", "per_star")}
    return Thresholds(purity, confidence, found, **told, objects=len(known))


def _few(values: pd.Series) -> str:
    return ", ".join(map(str, values.drop_duplicates().head(3)))


def _warn_of_repeats(known: pd.DataFrame) -> None:
    repeated = len(known) / known["object_id"].nunique()
    if repeated > 1:
        log.warning(
            "%.1f light curves per object, counted as independent: the intervals are too narrow. Add --per-star best",
            repeated,
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_confident_class(rows: Rows, cuts: Thresholds) -> Rows:
    """Add the column ``confident_class``: the class where ``p_max`` reaches its cut, else null.

    Raises
    ------
    ValueError
        If the cuts are of another model, or of light curves merged in another way.
    """
    for name, what in (("model_hash", "another model"), ("per_star", "light curves merged in another way")):
        own, asked = rows.about.get(name, ""), getattr(cuts, name)
        if own != asked and (name == "per_star" or (own and asked)):
            raise ValueError(
                f"the thresholds were chosen on {what} ({asked or 'not merged'}; the catalog: {own or 'not merged'}): "
                "choose them anew with `goodricke thresholds` on such a catalog"
            )
    least = {name: cut.cut for name, cut in cuts.classes.items() if cut.cut is not None}
    names, values = pa.array(list(least), pa.string()), pa.array(list(least.values()), pa.float64())
    kept = [n for n in rows.schema.names if n != "confident_class"]  # of an earlier choice
    schema = pa.schema([rows.schema.field(n) for n in kept]).append(pa.field("confident_class", pa.string()))

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            cut = values.take(pc.index_in(batch["class"].combine_chunks(), names))
            sure = pc.greater_equal(batch["p_max"].combine_chunks().cast(pa.float64()), cut).fill_null(False)
            column = pc.if_else(sure, batch["class"].combine_chunks(), pa.scalar(None, pa.string()))
            yield pa.table([*batch.select(kept).columns, column], schema=schema)

    return Rows(schema, rows.count, batches, {**rows.about, "thresholds": cuts.to_json(indent=None)})
