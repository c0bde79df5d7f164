"""``goodricke thresholds``: from which probability on a class can be trusted, chosen on labelled objects.

An object whose most probable class is c is selected if ``p_max`` reaches the cut of c. Purity is the fraction of the
selected objects whose label is c (objects of classes that the model does not know count as wrong). Completeness is the
fraction of all labelled objects of class c that are selected; objects that could not be classified count as missed.

Of a model with a taxonomy the classes are its leaves, and ``leaf`` goes with ``p_max`` (``class`` may be a node). A
label may then be a set of leaves ("EW|EB", ``ECLIPSING``): it is right for each of them, and counts for the
completeness of none.

**The rule.** Among a few dozen objects some cut looks pure by chance. A cut is therefore chosen only if the one-sided
Clopper-Pearson lower bound of its purity, at a confidence of 95 %, reaches the wanted purity; of these cuts the lowest.
A purity of 0.95 takes at least 59 objects, all right, a purity of 0.9 at least 29. A class with fewer gets no cut, and
the statement says so. Because the rule looks at many cuts of the same objects, the bound holds a little less often than
its confidence says: in simulations the true purity fell short in 1 to 7 % of the choices where purity grows with the
probability. The expected purity and completeness come with two-sided Clopper-Pearson intervals of 95 %. They hold for
objects like the labelled ones: choose cuts on a sample that the model was not trained on and that has the survey's
mixture of classes. Light curves of one star are not independent: merge them first (``per_star``), or the intervals are
too narrow.

The shards of a catalog are signed and never changed. The statement (`Thresholds`) is kept beside the manifest, and
``goodricke convert`` adds the column ``confident_class`` by it.
"""

from __future__ import annotations

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

from goodricke.data.answer_text import leaf_columns
from goodricke.data.files import atomic_write
from goodricke.data.formats import Rows
from goodricke.data.identifiers import IdIndex
from goodricke.data.predictions import Status
from goodricke.evaluation.intervals import LEVEL, Estimate, clopper_pearson, exact_lower_bound
from goodricke.evaluation.taxonomy_scores import allowed_leaves
from goodricke.io import read_labels
from goodricke.survey.crossmatch import labels_of_objects
from goodricke.survey.per_star import How, per_star
from goodricke.survey.shards import Catalog, catalog_rows, file_sha256
from goodricke.training.class_names import spell_as_classes, taxonomy_of

log = logging.getLogger("goodricke")

CONFIDENCE = 0.95
FILE = "thresholds.json"
FORMAT = 1


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
    """Choose the cuts of a catalog by a table of labels; see `thresholds`.

    Parameters
    ----------
    catalog : path or str
        Whatever `Catalog.open` takes.
    labels, label, object_id
        See `goodricke.io.read_labels`.
    purity, confidence : float
    rename : dict of str, optional
        Classes by label; see `goodricke.training.class_names`.
    split : Path, optional
        A run's ``split.csv``; only its test objects count.
    how, star
        See `goodricke.survey.per_star.per_star`; no merging by default.
    """
    opened = Catalog.open(catalog)
    rows = catalog_rows(opened) if how is None else per_star(catalog_rows(opened), how, star)
    table = read_labels(labels, label, object_id)
    table["label"] = spell_as_classes(table["label"], opened.classes, rename)
    if split is not None:
        from goodricke.evaluation.sample import read_split
        from goodricke.training.splits import TEST

        part = read_split(split)
        table = table[IdIndex(part.index[part == TEST].to_numpy(object)).rows_of(table["object_id"]) >= 0]
    result = thresholds(rows, table, opened.classes, purity, confidence)
    return replace(result, labels=labels.name, labels_sha256=file_sha256(labels))


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
    leaf, p_max = leaf_columns(rows.schema.names)
    columns = ["object_id", "status", leaf, p_max]
    table = pa.concat_tables([rows.schema.empty_table().select(columns), *(b.select(columns) for b in rows.batches())])
    frame = table.to_pandas()
    frame["label"] = labels_of_objects(table["object_id"], labels)
    known = frame[frame["label"].notna()]
    if not len(known):
        raise ValueError(
            f"none of the {rows.count:,} rows has a label: the catalog's ids look like "
            f"{_examples(frame['object_id'])}, those of the labels like {_examples(labels['object_id'])}. "
            "Give the labels of these objects, or name the id's column with --object-id"
        )
    if not allowed_classes(known["label"].to_numpy(object), classes).any():
        raise ValueError(
            f"no label is a class of the model: labels are {_examples(known['label'])}, "
            f"classes {', '.join(classes)}. Name the column with --label, or the classes with --rename LABEL=CLASS"
        )
    _warn_of_repeats(known)
    answer = known[leaf].where(known["status"] == str(Status.OK), None).to_numpy(object)
    p = known[p_max].fillna(0).to_numpy(np.float64)
    cuts = choose_cuts(answer, p, known["label"].to_numpy(object), classes, purity, confidence)
    source = {k: rows.about.get(k, "") for k in ("model", "model_hash", "per_star")}
    return Thresholds(purity, confidence, cuts, **source, objects=len(known))


def with_confident_class(rows: Rows, cuts: Thresholds) -> Rows:
    """Add the column ``confident_class``: the most probable class where ``p_max`` reaches its cut, else null.

    Raises
    ------
    ValueError
        If the cuts are of another model, or of light curves merged in another way.
    """
    for name, what in (("model_hash", "another model"), ("per_star", "light curves merged in another way")):
        own, other = rows.about.get(name, ""), getattr(cuts, name)
        if own != other and (name == "per_star" or (own and other)):
            raise ValueError(
                f"the thresholds were chosen on {what} ({other or 'not merged'}; the catalog: {own or 'not merged'}): "
                "choose them anew with `goodricke thresholds` on such a catalog"
            )
    least = {name: cut.cut for name, cut in cuts.classes.items() if cut.cut is not None}
    names, values = pa.array(list(least), pa.string()), pa.array(list(least.values()), pa.float64())
    leaf, p_max = leaf_columns(rows.schema.names)
    names_before = [n for n in rows.schema.names if n != "confident_class"]  # of an earlier choice
    schema = pa.schema([rows.schema.field(n) for n in names_before]).append(pa.field("confident_class", pa.string()))

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            cut = values.take(pc.index_in(batch[leaf].combine_chunks(), names))
            sure = pc.greater_equal(batch[p_max].combine_chunks().cast(pa.float64()), cut).fill_null(False)
            column = pc.if_else(sure, batch[leaf].combine_chunks(), pa.scalar(None, pa.string()))
            yield pa.table([*batch.select(names_before).columns, column], schema=schema)

    return Rows(schema, rows.count, batches, {**rows.about, "thresholds": cuts.to_json(indent=None)})


@dataclass(frozen=True)
class Cut:
    """A cut, and the purity and completeness expected of it.

    Parameters
    ----------
    cut : float, optional
        Lowest ``p_max``; None if no cut reaches the purity.
    taken, labelled : int
        Objects that reach the cut (without one, all with the predicted class), and labelled objects of the class.
    purity, completeness : Estimate
        Of the objects that reach the cut, with 95 % intervals.
    """

    cut: float | None
    taken: int
    labelled: int
    purity: Estimate
    completeness: Estimate


@dataclass(frozen=True)
class Thresholds:
    """The statement: cuts of all classes, what they were chosen for, and on which objects.

    Parameters
    ----------
    purity, confidence : float
    classes : dict of Cut
    model, model_hash : str
        Of the predictions.
    per_star : str
        How the light curves of a star were merged, empty if not.
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
        values = asdict(self) | {"format": FORMAT, "rule": _rule(self.purity, self.confidence)}
        for name, cut in self.classes.items():
            estimates = {"purity": cut.purity.to_dict(), "completeness": cut.completeness.to_dict()}
            values["classes"][name] = asdict(cut) | estimates
        return json.dumps(values, indent=indent)

    @classmethod
    def from_json(cls, text: str) -> Thresholds:
        """Return what `to_json` wrote."""
        values = json.loads(text)
        fields = {k: values[k] for k in cls.__dataclass_fields__}
        fields["classes"] = {name: _cut_from_json(cut) for name, cut in values["classes"].items()}
        return cls(**fields)

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
        atomic_write(path, self.to_json() + "\n")
        return path

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
            table.caption = f"{note}\nnone: no cut is sure to reach the purity; that row has the figures of all objects"
        return table


def choose_cuts(
    answer: NDArray, p_max: NDArray, label: NDArray, classes: Sequence[str], purity: float, confidence: float
) -> dict[str, Cut]:
    """Choose the cut of each class; see the module for the rule.

    Parameters
    ----------
    answer, label : (n,) of str
        Most probable class (None if not classified) and label: a class, or what `Taxonomy.parse` understands.
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
    cuts, allowed = {}, allowed_classes(label, classes)
    exact = allowed & (allowed.sum(1) == 1)[:, None]
    for k, name in enumerate(classes):
        own = answer == name
        members = int(exact[:, k].sum())
        cuts[name] = _choose_cut(p_max[own], allowed[own, k], exact[own, k], members, purity, confidence)
    return cuts


def allowed_classes(label: NDArray, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return which classes (n, C) labels (n,) allow: that of their name, or the leaves that they mean."""
    same: NDArray[np.bool_] = np.asarray(label).astype(str)[:, None] == np.array(classes)
    tree = taxonomy_of(classes)
    return same if tree is None else same | allowed_leaves(label, tree)


def _choose_cut(
    p: NDArray, right: NDArray[np.bool_], exact: NDArray[np.bool_], labelled: int, purity: float, confidence: float
) -> Cut:
    """Choose the cut of a class from the objects answered with it, of which ``exact`` have it alone as label."""
    order = np.argsort(-p, kind="stable")
    p, right, exact = p[order], right[order], exact[order]
    last = np.flatnonzero(np.diff(p, append=-1) != 0)  # a cut can't divide objects of equal probability
    hits, taken = np.cumsum(right)[last], last + 1
    good = np.flatnonzero(exact_lower_bound(hits, taken, confidence) >= purity)
    if not len(good):
        n, complete = len(p), clopper_pearson(int(exact.sum()), labelled)
        return Cut(None, n, labelled, clopper_pearson(int(right.sum()), n), complete)
    i = good[-1]
    k, n = int(hits[i]), int(taken[i])
    cut = _shortest_between(float(p[n]) if n < len(p) else 0.0, float(p[n - 1]))
    return Cut(cut, n, labelled, clopper_pearson(k, n), clopper_pearson(int(exact[:n].sum()), labelled))


def _shortest_between(low: float, high: float) -> float:
    """Return the number with the fewest digits that is greater than ``low`` and not greater than ``high``."""
    for digits in range(2, 17):
        number = np.floor(high * 10**digits) / 10**digits
        if low < number <= high:
            return float(number)
    return high


def _examples(values: pd.Series) -> str:
    return ", ".join(map(str, values.drop_duplicates().head(3)))


def _warn_of_repeats(known: pd.DataFrame) -> None:
    repeated = len(known) / known["object_id"].nunique()
    if repeated > 1:
        log.warning(
            "%.1f light curves per object, counted as independent: the intervals are too narrow. Add --per-star best",
            repeated,
        )


def _rule(purity: float, confidence: float) -> str:
    return (
        f"lowest p_max at which the one-sided Clopper-Pearson lower bound ({confidence:g}) of the purity is at least "
        f"{purity:g}; intervals are two-sided, {LEVEL:g}"
    )


def _cut_from_json(values: Mapping[str, Any]) -> Cut:
    def estimate(numbers: Mapping[str, float | None]) -> Estimate:
        values = (numbers[name] for name in Estimate._fields)
        return Estimate(*(np.nan if x is None else float(x) for x in values))

    purity, completeness = estimate(values["purity"]), estimate(values["completeness"])
    return Cut(values["cut"], values["taken"], values["labelled"], purity, completeness)
