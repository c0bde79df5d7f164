"""Joining Arrow tables that were made apart."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables end to end; a column missing from one is null there, one whose types don't go together is text.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        At least one.
    """
    if any(not table.schema.equals(tables[0].schema) for table in tables):
        names = dict.fromkeys(name for table in tables for name in table.column_names)
        at_odds = [n for n in names if not _go_together([t.select([n]) for t in tables if n in t.column_names])]
        tables = [_with_text(table, at_odds) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _go_together(tables: Sequence[pa.Table]) -> bool:
    try:
        pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def _with_text(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a table with some columns, where it has them, as text."""
    for name in set(names) & set(table.column_names):
        text = [None if value is None else str(value) for value in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, pa.array(text, pa.string()))
    return table
