"""Tables of stars joined to a catalog: by the objects' ids, or by a key or position as part of Gaia DR3 or the TIC is.

Ids of one star are written in several ways: ``TIC 00215153``, ``tic-215153``, ``215153``. `IdIndex` is the one place
that decides which ids are the same. A match by position gives one star to one row, the closest pairs first. Nothing
here needs a network.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from numpy.typing import NDArray

from goodricke.data.arrow import as_arrow
from goodricke.data.formats import Rows
from goodricke.data.identifiers import IdIndex
from goodricke.io import Unreadable, roles, table_files
from goodricke.io.files import SourceFile
from goodricke.io.roles import POSITION, find_column, identifiers, names_by_alias

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
RowNumbers = NDArray[np.int64]


# ---- ids -------------------------------------------------------------------------------------------------------------


# ---- tables ----------------------------------------------------------------------------------------------------------


def read_table(path: str | Path) -> pa.Table:
    """Read a table with a row per star: Parquet (a file or a folder), CSV, ECSV, FITS or VOTable.

    Columns with several numbers per row are left out.

    Raises
    ------
    Unreadable
        If it is none.
    """
    if Path(path).is_dir():
        return pyarrow.dataset.dataset(path, format="parquet").to_table()
    file = SourceFile(path)
    if file.kind not in ("text", "votable", "parquet", "fits"):
        raise Unreadable(file.path, "is no table", "give Parquet, CSV, ECSV, FITS or VOTable")
    table = table_files.open_table(file)
    columns = table.load(table.names)
    return pa.table({name: _native(columns[name]) for name in table.names})


def read_object_table(path: str | Path) -> tuple[pa.Array, pa.Table]:
    """Return the ids of a table with a row per object and its other columns, positions under the names ``ra``, ``dec``.

    Raises
    ------
    Unreadable
        If it is no table, or no column is the object's id.
    """
    table = read_table(path)
    names = names_by_alias(table.column_names)
    id_name = find_column(names, roles.OBJECT_ID)
    if id_name is None:
        raise Unreadable(
            str(path), f"has no column for an object id; it has {', '.join(table.column_names)}", "name one id"
        )
    position = {find_column(names, aliases): name for name, aliases in POSITION.items()}
    other = table.drop_columns([id_name])
    return identifiers(table[id_name], id_name), other.rename_columns([position.get(n, n) for n in other.column_names])


def join_table(rows: Rows, path: Path) -> Rows:
    """Add the columns of a table with one row per object; null where it has no row for an object.

    Positions are filled in where the catalog has none. Other columns that the catalog has too, and those that could be
    taken for probabilities of a class (``p_``, ``std_``), are left out. Of several rows of an object the first counts.

    Parameters
    ----------
    rows : Rows
    path : Path
        See `read_object_table`.

    Raises
    ------
    Unreadable
        If it is no table, or no column is the object's id.
    ValueError
        If no object of the catalog is in it.
    """
    ids, table = read_object_table(path)
    table = table.select([n for n in table.column_names if _is_joined(n, rows.schema)])
    index, schema = IdIndex(ids), _joined_schema(rows.schema, table.schema)
    matched = sum(int((index.rows_of(batch["object_id"]) >= 0).sum()) for batch in rows.batches())
    if not matched:
        own: list[str] = next((batch["object_id"][:3].to_pylist() for batch in rows.batches()), [])
        raise ValueError(
            f"{path}: has none of the catalog's objects; its ids look like {', '.join(ids[:3].to_pylist())}, "
            f"the catalog's like {', '.join(map(str, own))}. Give a table of these objects"
        )
    log.info("%s: %s of %s rows matched by their ids", path, f"{matched:,}", f"{rows.count:,}")

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            yield _join(batch, take_rows(table, index.rows_of(batch["object_id"])), schema)

    return Rows(schema, rows.count, batches, rows.about)


def labels_of_objects(object_id: Any, labels: pd.DataFrame) -> NDArray[np.object_]:
    """Return the label (n,) of each object, None where the table (see `goodricke.io.read_labels`) has none."""
    labels = labels.dropna(subset=["label"])
    rows = IdIndex(labels["object_id"].to_numpy(object)).rows_of(object_id)
    return np.array([*labels["label"], None], dtype=object)[rows]


def take_rows(table: pa.Table, rows: RowNumbers) -> pa.Table:
    """Return the rows (n,) of a table, null where -1."""
    return table.take(pa.array(rows, mask=rows < 0))


def _native(values: Any) -> pa.Array:
    """Return a column as Arrow, which takes no numbers of the other byte order, as FITS has them."""
    if isinstance(values, np.ndarray) and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return as_arrow(values)


def _is_joined(name: str, own: pa.Schema) -> bool:
    if name in ("ra", "dec") or (name not in own.names and not name.startswith(("p_", "std_"))):
        return True
    log.warning("column %s of the table is left out: it could be taken for the catalog's own", name)
    return False


def _joined_schema(own: pa.Schema, other: pa.Schema) -> pa.Schema:
    known = [f for f in own if not (pa.types.is_null(f.type) and f.name in other.names)]
    return pa.schema([*known, *(f for f in other if f.name not in {k.name for k in known})])


def _join(batch: pa.Table, table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = {n: batch[n].combine_chunks() for n in batch.column_names}
    for name in table.column_names:
        column, own = table[name].combine_chunks(), columns.get(name)
        if own is None or pa.types.is_null(own.type):
            columns[name] = column
        else:
            own = pc.if_else(pc.is_nan(own), pa.scalar(None, own.type), own)
            columns[name] = pc.coalesce(own, column.cast(own.type, safe=False))
    return pa.table([columns[f.name] for f in schema], schema=schema)


# ---- stars -----------------------------------------------------------------------------------------------------------

RADIUS = 2.0  # arcsec; Gaia's positions are of 2016, most catalogs' of 2000
KEYS = ("objectid", "sourceid", "tic", "ticid", "kic", "kicid", "epic", "id", "source", "designation")
TIC_ONLY = {"tmag", "ticid", "tic"}  # columns that mark a TESS Input Catalog
NEIGHBOURS = 5  # of a star in a HATS catalog, among which the match is made
ENOUGH = 0.5  # share of the stars whose ids must be among a table's keys for them to be the same ids


class Crossmatch(NamedTuple):
    """The result of `crossmatch`."""

    table: pa.Table  # (n rows) ``<prefix>separation`` [arcsec] (by position) and the reference's columns, prefixed
    how: str  # in words
    stars: int  # distinct ids in the catalog
    matched: int  # of them with a row in the reference
    prefix: str


def crossmatch(
    object_id: pa.Array, ra: Float, dec: Float, reference: pa.Table, radius: float = RADIUS, by: str = "auto"
) -> Crossmatch:
    """Match light curves with a table of stars; every light curve keeps its row, in order, null where none matches.

    Parameters
    ----------
    object_id : (n,)
        Light curves with the same id are of one star and get the same match.
    ra, dec : float64 (n,)
        ICRS [deg], NaN where unknown. A star has the position of its first light curve that has one.
    reference : pyarrow.Table
        With ``ra`` and ``dec`` [deg], or a column with the ids of the catalog (``source_id``, ``TIC``, ``ID``, ...).
    radius : float
        Greatest separation [arcsec]. Proper motions are not applied.
    by : {"auto", "key", "position"}
        ``"auto"``: by key if half of the stars' ids are among the table's, else by position.

    Raises
    ------
    ValueError
        If the table has neither a key nor positions, or the catalog lacks what is needed.
    """
    if by not in ("auto", "key", "position"):
        raise ValueError(f"a match is by 'auto', 'key' or 'position', not by {by!r}")
    columns = names_by_alias(reference.column_names)
    prefix = "tic_" if TIC_ONLY & columns.keys() else "gaia_"
    stars = pc.dictionary_encode(object_id)
    star = stars.indices.to_numpy(zero_copy_only=False)
    rows, how = np.full(len(stars.dictionary), -1), ""
    separation = None
    if by != "position":
        rows, how = _by_key(stars.dictionary, reference, [columns[k] for k in KEYS if k in columns])
    has_positions = all(find_column(columns, POSITION[axis]) for axis in ("ra", "dec"))
    share = float(np.mean(rows >= 0)) if len(rows) else 0.0
    if by == "position" or (by == "auto" and share < ENOUGH and (has_positions or not share)):
        rows, separation = _by_position(*_star_positions(star, len(rows), ra, dec), reference, radius)
        how = f"by position within {radius:g} arcsec"
    elif not how:
        raise ValueError(f"the table has no key: none of its columns is called {', '.join(KEYS)}; match by position")
    table = _prefixed(take_rows(reference, rows[star]), None if separation is None else separation[star], prefix)
    return Crossmatch(table, how, len(rows), int((rows >= 0).sum()), prefix)


def one_to_one(star: RowNumbers, row: RowNumbers, separation: Float) -> NDArray[np.bool_]:
    """Return which of the candidate pairs (m,) to keep so that no star and no row is in two, the closest pairs first.

    The same as going through the pairs from the closest on, in rounds: in each, a pair is kept if it is the closest
    that is left both for its star and for its row.
    """
    order = np.argsort(separation, kind="stable")
    keep, left = np.zeros(len(order), bool), order
    while len(left):
        best = np.zeros((2, len(left)), bool)
        for k, side in enumerate((star, row)):
            best[k, np.unique(side[left], return_index=True)[1]] = True
        chosen = left[best.all(0)]
        keep[chosen] = True
        left = left[~np.isin(star[left], star[chosen]) & ~np.isin(row[left], row[chosen])]
    return keep


def read_near(path: str | Path, ra: Float, dec: Float, radius: float = RADIUS) -> pa.Table:
    """Read the rows of a HATS catalog that are near some stars; all of Gaia DR3 would not fit into memory.

    Parameters
    ----------
    path : path
    ra, dec : float64 (n,)
        ICRS [deg]; NaN are left out.
    radius : float
        [arcsec].

    Raises
    ------
    ImportError
        If lsdb is not installed.
    ValueError
        If no star has a position.
    """
    try:
        import lsdb
    except ImportError as error:
        raise ImportError(f"{path} is a HATS catalog, which lsdb reads: pip install lsdb") from error
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        raise ValueError(f"{path} is matched by position, and the catalog has none; give light curves with ra and dec")
    positions = pd.DataFrame({"ra_here": ra[known], "dec_here": dec[known]}).drop_duplicates()
    stars = lsdb.from_dataframe(positions, ra_column="ra_here", dec_column="dec_here", margin_threshold=None)
    near = stars.crossmatch(
        lsdb.open_catalog(path), radius_arcsec=radius, n_neighbors=NEIGHBOURS, suffixes=("_here", "")
    )
    frame = near.compute().reset_index(drop=True)
    frame = frame.drop(columns=[n for n in frame.columns if n.endswith("_here") or n.startswith("_dist")])
    table = pa.Table.from_pandas(pd.DataFrame(frame).drop_duplicates(), preserve_index=False)
    return table.replace_schema_metadata(None)


def is_hats(path: str | Path) -> bool:
    """Return whether a folder is a HATS catalog."""
    return any((Path(path) / name).is_file() for name in ("hats.properties", "properties", "collection.properties"))


def _by_key(ids: pa.Array, reference: pa.Table, keys: Sequence[str]) -> tuple[RowNumbers, str]:
    """Return the row (n,) of the column that has most of the ids, -1 where none, and how in words."""
    best, how = np.full(len(ids), -1), ""
    for key in keys:
        rows = IdIndex(identifiers(reference[key], key)).rows_of(ids)
        if not how or (rows >= 0).sum() > (best >= 0).sum():
            best, how = rows, f"by the ids in its column {key}"
    return best, how


def _by_position(ra: Float, dec: Float, reference: pa.Table, radius: float) -> tuple[RowNumbers, Float]:
    """Return row (n,), -1 where none, and separation (n,) [arcsec] of each star."""
    columns = names_by_alias(reference.column_names)
    names = [find_column(columns, POSITION[axis]) for axis in ("ra", "dec")]
    if None in names:
        raise ValueError(
            f"the table to match with has no ra and dec, and no column with the catalog's ids; it has "
            f"{', '.join(reference.column_names)}"
        )
    ra2, dec2 = (reference[str(name)].to_numpy().astype(np.float64) for name in names)
    star, row, separation = _pairs(ra, dec, ra2, dec2, radius)
    keep = one_to_one(star, row, separation)
    rows, separations = np.full(len(ra), -1), np.full(len(ra), np.nan)
    rows[star[keep]], separations[star[keep]] = row[keep], separation[keep]
    return rows, separations


def _pairs(ra: Float, dec: Float, ra2: Float, dec2: Float, radius: float) -> tuple[RowNumbers, RowNumbers, Float]:
    """Return star, row and separation [arcsec] of all pairs within a radius [arcsec]."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky

    stars, rows = (np.flatnonzero(np.isfinite(a) & np.isfinite(d)) for a, d in ((ra, dec), (ra2, dec2)))
    if not len(stars) or not len(rows):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    catalog = SkyCoord(ra[stars], dec[stars], unit="deg")
    reference = SkyCoord(ra2[rows], dec2[rows], unit="deg")
    i, j, separation, _ = search_around_sky(catalog, reference, radius * u.arcsec)
    return stars[i], rows[j], separation.arcsec


def _star_positions(star: RowNumbers, n: int, ra: Float, dec: Float) -> tuple[Float, Float]:
    """Return the position of each star (n,), that of its first light curve that has one [deg]."""
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))[::-1]
    result = np.full((2, n), np.nan)
    result[:, star[known]] = ra[known], dec[known]
    return result[0], result[1]


def _prefixed(table: pa.Table, separation: Float | None, prefix: str) -> pa.Table:
    """Return a table with prefixed names, distinct without regard to case, and the separations if there are any."""
    names = [n if n.lower().startswith(prefix) else f"{prefix}{n.lower()}" for n in table.column_names]
    names = [n if names.index(n) == k else f"{n}_{k}" for k, n in enumerate(names)]
    table = table.rename_columns(names)
    if separation is None:
        return table
    return table.add_column(0, f"{prefix}separation_arcsec", pa.array(separation, from_pandas=True))
