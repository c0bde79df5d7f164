"""Labels for training: which object is of which class, from CSV, ECSV, VOTable, text or Parquet."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from goodricke.io import roles, table_files
from goodricke.io.files import SourceFile
from goodricke.io.options import Unreadable
from goodricke.io.products import astrafier

LABEL = (
    *("label", "class", "classname", "classalerce", "vartype", "variabletype", "variabilitytype", "type"),
    *("classification", "objclass", "sntype", "spectype", "target"),
)


def read_labels(
    path: Path | str, column: str | None = None, id_column: str | None = None, *, id_prefix: str = ""
) -> pd.DataFrame:
    """Read the classes of objects.

    Parameters
    ----------
    path : path or str
        A table with one row per object. Text without a line of names and with two columns is id, label. Light curves
        whose makers put the labels in the same file (`goodricke.io.products.astrafier`) are read from that.
    column, id_column : str, optional
        The columns with the label and the identifier, if they have unusual names.
    id_prefix : str
        Put before each identifier, to make ``KIC 1026895`` of ``1026895`` where the light curves are called so.
        Columns named kic, tic or epic get theirs by themselves.

    Returns
    -------
    pandas.DataFrame
        ``object_id`` (str), ``label`` (str, missing where the file has none), and the file's other columns.

    Raises
    ------
    Unreadable
        If it is no table, or has no column for the identifier or the label.
    """
    file = SourceFile(path)
    if astrafier.recognises(file):
        return _labels_of_tensors(file)
    if file.kind not in table_files.KINDS:
        raise Unreadable(file.path, "is no table", table_files.NO_TABLE)
    table = table_files.open_table(file, [name for name in (column, id_column) if name])
    names = _column_names(table)
    known = roles.names_by_alias(names)
    id_name = _choose(file, id_column, known, roles.OBJECT_ID, "an object id", names)
    left = {key: name for key, name in known.items() if name != id_name}
    label = _choose(file, column, left, LABEL, "a label", names)
    loaded = table.load(table.names)
    data = {name: loaded[written] for name, written in zip(names, table.names, strict=True)}
    frame = pd.DataFrame({name: roles.as_series(values).reset_index(drop=True) for name, values in data.items()})
    ids = roles.identifiers(data[id_name], id_name)
    rest = frame.drop(columns=[id_name, label] + [n for n in ("object_id", "label") if n in frame])
    text = pd.Series([f"{id_prefix}{i}" for i in ids.to_pylist()], dtype="str")
    return pd.concat([text.rename("object_id"), _as_text(frame[label]).rename("label"), rest], axis=1)


def _labels_of_tensors(file: SourceFile) -> pd.DataFrame:
    """Return the labels in a file of tensors, with the part of the authors' split that the file is."""
    frame = astrafier.read_labels(file).to_pandas()
    return frame.assign(object_id=frame["object_id"].astype("str"), label=_as_text(frame["label"]))


def _column_names(table: table_files.Tabular) -> list[str]:
    """Return the columns' names; two nameless ones are id and label."""
    return ["object_id", "label"] if list(table.names) == table_files.HEADERLESS[2] else list(table.names)


def _choose(
    file: SourceFile, wanted: str | None, known: dict[str, str], aliases: tuple[str, ...], what: str, names: list[str]
) -> str:
    name = wanted if wanted in names else roles.find_column(known, [roles.normal_name(wanted)] if wanted else aliases)
    if name is None:
        missing = f"column {wanted}" if wanted else f"column for {what}"
        raise Unreadable(file.path, f"has no {missing}; it has {', '.join(names)}", "name one of these columns")
    return name


def _as_text(values: pd.Series) -> pd.Series:
    """Return labels as text, whole numbers without ``.0``, missing ones missing."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str").str.strip().where(values.notna(), None)
