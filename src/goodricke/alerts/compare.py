"""AnswerComparison of two sets of answers: two models on the same stream, by their stores or by files of answers.

Two consumer groups, each with a model and a store of its own, read the same topic; neither knows of the other. What
they last answered about the same objects is compared here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table

from goodricke.alerts.answers import JSON_SUFFIXES
from goodricke.alerts.inspect_store import answer_tables
from goodricke.alerts.store import without_password

FILES = (".parquet", ".csv", *JSON_SUFFIXES)
REQUIRED = ("object_id", "status", "class", "n_obs")
SHOWN_OBJECTS, SHOWN_CLASSES = 10, 8
BOTH = "both"
PROBABILITY = "class_probability"


def read_answers(where: str, model: str | None = None) -> pd.DataFrame:
    """Return the last answer about each object.

    Parameters
    ----------
    where : str
        A file of answers (``.parquet``, ``.csv``, or JSON lines as ``.json`` or ``.jsonl``), or a state store.
    model : str, optional
        Of a store, whose classes have no names otherwise; see `goodricke.alerts.inspect_store.class_names`.

    Returns
    -------
    pandas.DataFrame
        Columns ``object_id``, ``status``, ``class``, ``n_obs`` and ``p_...``, and others.

    Raises
    ------
    ValueError
        If there are no answers.
    """
    is_file = Path(where).suffix in FILES and not Path(where).is_dir()
    table = _read_file(Path(where)) if is_file else pa.concat_tables(answer_tables(where, model))
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        fix = "give a store, or a file that `goodricke alerts replay --out` or a worker's topic of answers has given"
        raise ValueError(f"{without_password(where)}: no answers: the column {missing[0]} is missing. Fix: {fix}")
    frame = table.select([c for c in table.column_names if not pa.types.is_nested(table.schema.field(c).type)])
    answers = frame.to_pandas()
    answers["object_id"] = answers["object_id"].astype(str)
    answers["class"] = answers["class"].astype(object).where(answers["class"].notna() & (answers["class"] != ""), None)
    if "offset" in answers:  # a topic may have several answers about an object, and the last batch's twice
        answers = answers.sort_values("offset", kind="stable")
    return answers.drop_duplicates("object_id", keep="last", ignore_index=True)


def _read_file(path: Path) -> pa.Table:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        if path.suffix == ".csv":
            options = pa.csv.ConvertOptions(column_types={"object_id": pa.string()}, strings_can_be_null=True)
            return pa.csv.read_csv(path, convert_options=options)
        return pa.json.read_json(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: can't be read as a file of answers ({error})") from error


@dataclass(frozen=True)
class AnswerComparison:
    """How far two sets of answers, A and B, agree.

    Parameters
    ----------
    objects : pandas.DataFrame
        A row per object of either: ``object_id``; ``present`` ("both", "A" or "B"); ``class_a`` and ``class_b``, and
        their probabilities, ``class_probability_a`` and ``class_probability_b`` (of a leaf or a node); ``status_a`` and
        ``status_b``, ``n_obs_a`` and ``n_obs_b``; ``distance``, the total variation distance of the probabilities, 0 to
        1: half the sum of their absolute differences over the classes that both models have; NaN without probabilities
        from both.
    shared_classes : tuple of str
        Classes that both models have.
    """

    objects: pd.DataFrame
    shared_classes: tuple[str, ...]

    def count(self, present: str) -> int:
        """Return the number of objects in "both", "A" only or "B" only."""
        return int((self.objects["present"] == present).sum())

    @property
    def classified(self) -> pd.DataFrame:
        """The objects with a class from both."""
        return self.objects[self.objects["class_a"].notna() & self.objects["class_b"].notna()]

    @property
    def agreement(self) -> float:
        """Fraction of the objects with a class from both that have the same, NaN if there are none."""
        classified = self.classified
        return float((classified["class_a"] == classified["class_b"]).mean()) if len(classified) else float("nan")

    @property
    def same_observations(self) -> float:
        """Fraction of the objects in both whose answers rest on as many observations, NaN if there are none."""
        both = self.objects[self.objects["present"] == BOTH]
        return float((both["n_obs_a"] == both["n_obs_b"]).mean()) if len(both) else float("nan")

    def class_table(self, most: int = SHOWN_CLASSES) -> pd.DataFrame:
        """Return numbers of objects by class in A (rows) and B (columns), of the classes that disagree most often."""
        classified = self.classified
        differing = classified[classified["class_a"] != classified["class_b"]]
        totals = pd.concat([differing["class_a"], differing["class_b"]]).value_counts()
        names = sorted(totals.index[:most])
        table = pd.crosstab(classified["class_a"], classified["class_b"])
        return table.reindex(index=names, columns=names, fill_value=0)

    def largest_differences(self, most: int = SHOWN_OBJECTS) -> pd.DataFrame:
        """Return the rows of the objects whose probabilities differ most."""
        return self.objects[self.objects["distance"] > 0].nlargest(most, "distance")

    def statuses(self) -> pd.DataFrame:
        """Return numbers of objects by status, in A and B."""
        counts = {name: self.objects[f"status_{name.lower()}"].value_counts() for name in ("A", "B")}
        return pd.DataFrame(counts).fillna(0).astype(int).sort_values("A", ascending=False)

    def table(self) -> pa.Table:
        """Return ``objects`` as an Arrow table, to be written."""
        return pa.Table.from_pandas(self.objects, preserve_index=False)


def compare_answers(a: pd.DataFrame, b: pd.DataFrame) -> AnswerComparison:
    """Compare two sets of answers.

    Parameters
    ----------
    a, b : pandas.DataFrame
        As `read_answers` returns them.

    Raises
    ------
    ValueError
        If no class is in both, so that nothing can be compared.
    """
    classes_a, classes_b = _classes(a), _classes(b)
    shared = tuple(name for name in classes_a if name in classes_b)
    if not shared:
        raise ValueError(
            f"the answers have no class in common: A has {', '.join(classes_a)}, B {', '.join(classes_b)}. A store has "
            "numbers instead of names unless its model is shipped: give --model-a, --model-b"
        )
    columns = ["object_id", "status", "class", PROBABILITY, "n_obs"]
    a, b = (_with_probability(part) for part in (a, b))
    p_columns = [f"p_{name}" for name in shared]
    joined = a[columns + p_columns].merge(
        b[columns + p_columns], on="object_id", how="outer", suffixes=("_a", "_b"), indicator="present"
    )
    p, q = (_matrix(joined, [f"{name}_{side}" for name in p_columns]) for side in ("a", "b"))
    names = [f"{name}_{side}" for name in ("class", PROBABILITY, "status", "n_obs") for side in ("a", "b")]
    objects = joined[["object_id", "present", *names]].assign(
        present=joined["present"].cat.rename_categories({"left_only": "A", "right_only": "B"}).astype(str),
        distance=np.round(0.5 * np.abs(p - q).sum(1), 7),
    )
    for name in names:
        if name.startswith("n_obs"):
            objects[name] = objects[name].astype("Int64")
    return AnswerComparison(objects, shared)


def _with_probability(answers: pd.DataFrame) -> pd.DataFrame:
    """Return answers with the probability of their class: without a taxonomy that of the most probable one."""
    if PROBABILITY in answers:
        return answers
    return answers.assign(**{PROBABILITY: answers[[f"p_{c}" for c in _classes(answers)]].max(axis=1)})


def _classes(answers: pd.DataFrame) -> list[str]:
    return [name[2:] for name in answers.columns if name.startswith("p_") and name != "p_max"]


def _matrix(table: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    return table[columns].to_numpy(np.float64)


def comparison_view(comparison: AnswerComparison) -> Group:
    """Return a comparison as tables for the terminal."""
    parts: list[object] = [_overview(comparison), _status_table(comparison)]
    classes, largest = comparison.class_table(), comparison.largest_differences()
    if len(classes):
        parts.append(_class_table(classes))
    if len(largest):
        parts.append(_object_table(largest))
    return Group(*parts)  # type: ignore[arg-type]


def _overview(comparison: AnswerComparison) -> Table:
    table = Table.grid(padding=(0, 2))
    n = len(comparison.classified)
    table.add_row("objects in both", f"{comparison.count(BOTH):,}")
    table.add_row("only in A, only in B", f"{comparison.count('A'):,}, {comparison.count('B'):,}")
    table.add_row("same class", f"{comparison.agreement:.1%} of {n:,} with a class in both")
    table.add_row("same number of observations", f"{comparison.same_observations:.1%} of those in both")
    table.add_row("classes compared", ", ".join(comparison.shared_classes))
    return table


def _status_table(comparison: AnswerComparison) -> Table:
    table = Table("status", title="objects by status", title_justify="left")
    for name in ("A", "B"):
        table.add_column(name, justify="right")
    for status, row in comparison.statuses().iterrows():
        table.add_row(str(status), f"{row['A']:,}", f"{row['B']:,}")
    return table


def _class_table(classes: pd.DataFrame) -> Table:
    table = Table("A \\ B", title="classes that disagree most often: objects by class in A and B", title_justify="left")
    for name in classes.columns:
        table.add_column(str(name), justify="right")
    for class_a, row in classes.iterrows():
        table.add_row(str(class_a), *(f"{n:,}" for n in row))
    return table


def _object_table(objects: pd.DataFrame) -> Table:
    table = Table(title="largest differences in probability", title_justify="left")
    for name in ("object", "class in A", "in B", "probability in A", "in B", "distance"):
        table.add_column(name, justify="left" if name in ("object", "class in A") else "right")
    for row in objects.to_dict("records"):
        numbers = [f"{row[name]:.3f}" for name in (f"{PROBABILITY}_a", f"{PROBABILITY}_b", "distance")]
        table.add_row(row["object_id"], str(row["class_a"]), str(row["class_b"]), *numbers)
    return table
