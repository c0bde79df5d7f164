"""``goodricke convert``: a catalog as other tools open it, in memory that doesn't grow with its rows."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from goodricke import formats
from goodricke.catalog.folder import Catalog
from goodricke.catalog.joining import join_table
from goodricke.catalog.rows import rows_of
from goodricke.catalog.sky import write_hats
from goodricke.catalog.stars import How, per_star
from goodricke.catalog.thresholds import FILE, Thresholds, with_confident_class

HATS = ".hats"


def convert(
    catalog: str | Path,
    out: Path,
    how: How | None = None,
    star: str = "object_id",
    thresholds: Path | None = None,
    hats: str | None = None,
    table: Path | None = None,
    console: Console | None = None,
) -> int:
    """Write a catalog in another format.

    Parameters
    ----------
    catalog : path or str
        Whatever `Catalog.open` takes.
    out : Path
        File (.parquet, .csv, .ecsv, .fits, .vot) or, for HATS, a new folder (.hats, or any with ``hats``).
    how : {"best", "mean"}, optional
        Merge the light curves of each star, see `goodricke.catalog.stars`.
    star : str
        Column that says which star a light curve is of.
    thresholds : Path, optional
        Statement of ``goodricke thresholds``, by default that beside the catalog's manifest, if there is one. It adds
        the column ``confident_class``.
    hats : str, optional
        Write a HATS catalog of this name.
    table : Path, optional
        Table with a row per object whose columns are added, see `goodricke.catalog.joining`.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ValueError
        If something is not what it should be; see the functions called.
    """
    if hats is None and out.suffix.lower() != HATS:
        formats.check(out)
    opened = Catalog.open(catalog)
    rows = rows_of(opened)
    if table is not None:
        rows = join_table(rows, table)
    if how is not None:
        rows = per_star(rows, how, star)
    file = thresholds or statement_of(opened)
    if file is not None:
        rows = with_confident_class(rows, Thresholds.read(file))
    n = rows.count
    if hats is not None or out.suffix.lower() == HATS:
        n = write_hats(rows, out, hats)
    else:
        formats.write(rows, out)
    (console or Console()).print(f"{n:,} rows written to {out}")
    return n


def statement_of(catalog: Catalog) -> Path | None:
    """Return the statement beside a catalog's manifest, if there is one."""
    path = catalog.path / FILE
    return path if path.is_file() else None
