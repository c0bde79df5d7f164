"""A catalog matched with a local table of stars, such as a part of Gaia DR3 or of the TESS Input Catalog.

By a common key where there is one, else by position: one star to one row, the closest pairs first. No network.

Columns of another table beside a catalog's, by the objects' ids: positions, Gaia or TIC parameters, labels.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.formats import Rows
from goodricke.io import Unreadable, roles, table_files
from goodricke.io.files import Opened
from goodricke.io.roles import POSITION, find_column, names_by_alias
from goodricke.io.table import identifiers

RADIUS = 2.0  # arcsec; Gaia's positions are of 2016, most catalogs' of 2000
KEYS = ("objectid", "sourceid", "tic", "ticid", "kic", "kicid", "epic", "id", "source", "designation")
TIC_ONLY = {"tmag", "ticid", "tic"}  # columns by which a TESS Input Catalog is known
NEIGHBOURS = 5  # of a star in a HATS catalog that are looked at
ENOUGH = 0.5  # share of the stars whose ids must be among a table's keys for them to be the same ids

Float = NDArray[np.float64]
RowNumbers = NDArray[np.int64]


class Matched(NamedTuple):
    """What `crossmatch` gives."""

    table: pa.Table  # (n rows) ``<prefix>separation`` [arcsec] (by position) and the reference's columns, prefixed
    how: str  # in words
    stars: int  # distinct ids in the catalog
    matched: int  # of them with a row in the reference
    prefix: str


def read_reference(path: str | Path) -> pa.Table:
    """Read any table that Arrow or astropy reads: Parquet, CSV, ECSV, FITS, VOTable.

    Raises
    ------
    ValueError
        If it is none.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in (".parquet", ".pq") or path.is_dir():
            import pyarrow.dataset

            return pyarrow.dataset.dataset(path, format="parquet").to_table()
        return _read_with_astropy(path)
    except Exception as error:
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"{path}: no table that can be read ({told}); give Parquet, CSV, ECSV, FITS or VOTable"
        ) from error


def read_near(path: str | Path, ra: Float, dec: Float, radius: float = RADIUS) -> pa.Table:
    """Read the rows of a HATS catalog that are near some stars: all of Gaia DR3 fits in no memory.

    Parameters
    ----------
    path : path
    ra, dec : float64 (n,)
        ICRS [deg]; those that are NaN are passed over.
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
    import pandas as pd

    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        raise ValueError(f"{path} is matched by position, and the catalog has none; give light curves with ra and dec")
    places = pd.DataFrame({"ra_here": ra[known], "dec_here": dec[known]}).drop_duplicates()
    stars = lsdb.from_dataframe(places, ra_column="ra_here", dec_column="dec_here", margin_threshold=None)
    theirs = lsdb.open_catalog(path)
    near = stars.crossmatch(theirs, radius_arcsec=radius, n_neighbors=NEIGHBOURS, suffixes=("_here", ""))
    frame = near.compute().reset_index(drop=True)
    frame = frame.drop(columns=[n for n in frame.columns if n.endswith("_here") or n.startswith("_dist")])
    return pa.Table.from_pandas(pd.DataFrame(frame).drop_duplicates(), preserve_index=False).replace_schema_metadata(
        None
    )


def is_hats(path: str | Path) -> bool:
    """Tell whether a folder is a HATS catalog."""
    return any((Path(path) / name).is_file() for name in ("hats.properties", "properties", "collection.properties"))


def crossmatch(
    object_id: pa.Array, ra: Float, dec: Float, reference: pa.Table, radius: float = RADIUS, by: str = "auto"
) -> Matched:
    """Match light curves with a table of stars; every light curve keeps its row, in order, null where none matches.

    Parameters
    ----------
    object_id : (n,)
        Light curves with the same id are of one star and get the same match.
    ra, dec : float64 (n,)
        ICRS [deg], NaN where unknown. A star is where its first light curve with a position says.
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
    known = names_by_alias(reference.column_names)
    prefix = "tic_" if TIC_ONLY & known.keys() else "gaia_"
    stars = pc.dictionary_encode(object_id)
    star = stars.indices.to_numpy(zero_copy_only=False)
    rows, how = np.full(len(stars.dictionary), -1), ""
    separation = None
    if by != "position":
        rows, how = _by_key(stars.dictionary.to_pylist(), reference, [known[k] for k in KEYS if k in known])
    placed = all(find_column(known, POSITION[axis]) for axis in ("ra", "dec"))
    found = float(np.mean(rows >= 0)) if len(rows) else 0.0
    if by == "position" or (by == "auto" and found < ENOUGH and (placed or not found)):
        rows, separation = _by_position(*_of_stars(star, len(rows), ra, dec), reference, known, radius)
        how = f"by position within {radius:g} arcsec"
    elif not how:
        raise ValueError(f"the table has no key: none of its columns is called {', '.join(KEYS)}; match by position")
    table = _taken(reference, rows[star], None if separation is None else separation[star], prefix)
    return Matched(table, how, len(rows), int((rows >= 0).sum()), prefix)


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


def plain_id(name: str) -> str:
    """Return an identifier without its catalogue's name, for comparison.

    Examples
    --------
    >>> plain_id("TIC 0025155310"), plain_id("Gaia DR3 4472832130942575872"), plain_id("V* XY Lyr")
    ('25155310', '4472832130942575872', 'v* xy lyr')
    """
    name = name.strip().lower()
    number = re.fullmatch(r"(?:tic|kic|epic|gaia\s*e?dr\d)?[\s_-]*0*(\d+)", name)
    return number.group(1) if number else name


def _by_key(ids: Sequence[str], reference: pa.Table, keys: Sequence[str]) -> tuple[RowNumbers, str]:
    """Return the row (n,) of the column that has most of the ids, -1 where none, and how in words."""
    wanted = pa.array([plain_id(str(name)) for name in ids], pa.string())
    best, how = np.full(len(ids), -1), ""
    for key in keys:
        values = [None if v is None else plain_id(str(v)) for v in reference[key].to_pylist()]
        rows = pc.fill_null(pc.index_in(wanted, pa.array(values, pa.string()), skip_nulls=True), -1).to_numpy()
        if not how or (rows >= 0).sum() > (best >= 0).sum():
            best, how = rows.astype(np.int64), f"by the ids in its column {key}"
    return best, how


def _by_position(
    ra: Float, dec: Float, reference: pa.Table, known: dict[str, str], radius: float
) -> tuple[RowNumbers, Float]:
    """Return row (n,), -1 where none, and separation (n,) [arcsec] of each star."""
    names = [find_column(known, POSITION[axis]) for axis in ("ra", "dec")]
    if None in names:
        raise ValueError(
            f"the table to match with has no ra and dec, and no column with the catalog's ids; it has "
            f"{', '.join(reference.column_names)}"
        )
    ra2, dec2 = (reference[str(name)].to_numpy().astype(np.float64) for name in names)
    star, row, separation = _pairs(ra, dec, ra2, dec2, radius)
    keep = one_to_one(star, row, separation)
    rows, apart = np.full(len(ra), -1), np.full(len(ra), np.nan)
    rows[star[keep]], apart[star[keep]] = row[keep], separation[keep]
    return rows, apart


def _pairs(ra: Float, dec: Float, ra2: Float, dec2: Float, radius: float) -> tuple[RowNumbers, RowNumbers, Float]:
    """Return star, row and separation [arcsec] of all pairs within a radius [arcsec]."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord, search_around_sky

    here, there = (np.flatnonzero(np.isfinite(a) & np.isfinite(d)) for a, d in ((ra, dec), (ra2, dec2)))
    if not len(here) or not len(there):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    ours, theirs = SkyCoord(ra[here], dec[here], unit="deg"), SkyCoord(ra2[there], dec2[there], unit="deg")
    i, j, apart, _ = search_around_sky(ours, theirs, radius * u.arcsec)
    return here[i], there[j], apart.arcsec


def _of_stars(star: RowNumbers, n: int, ra: Float, dec: Float) -> tuple[Float, Float]:
    """Return the position of each star (n,), that of its first light curve that has one [deg]."""
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))[::-1]
    result = np.full((2, n), np.nan)
    result[:, star[known]] = ra[known], dec[known]
    return result[0], result[1]


def _taken(reference: pa.Table, rows: RowNumbers, separation: Float | None, prefix: str) -> pa.Table:
    """Return the reference's rows, null where -1, with prefixed names."""
    index = pa.array(rows, mask=rows < 0)
    taken = reference.take(index)
    names = [n if n.lower().startswith(prefix) else f"{prefix}{n.lower()}" for n in taken.column_names]
    names = [n if names.index(n) == k else f"{n}_{k}" for k, n in enumerate(names)]
    taken = taken.rename_columns(names)
    if separation is None:
        return taken
    return taken.add_column(0, f"{prefix}separation_arcsec", pa.array(separation, from_pandas=True))


def _read_with_astropy(path: Path) -> pa.Table:
    from astropy.table import Table

    name = path.name.lower()
    kind = {"csv": "ascii.csv", "ecsv": "ascii.ecsv", "vot": "votable", "xml": "votable", "fits": "fits"}
    suffix = name.removesuffix(".gz").rpartition(".")[2]
    table = Table.read(path, format=kind.get(suffix))
    columns = {}
    for column in table.itercols():
        if column.ndim > 1:
            continue
        values = np.asarray(column)
        if values.dtype.kind in "SU":
            values = values.astype(str).astype(object)
        elif values.dtype.kind in "fiu" and values.dtype.byteorder == ">":
            values = values.astype(values.dtype.newbyteorder("="))
        mask = np.asarray(getattr(column, "mask", np.zeros(len(values), bool)))
        columns[str(column.name)] = pa.array(values, mask=np.broadcast_to(mask, values.shape).copy(), from_pandas=True)
    return pa.table(columns)


# ---- Columns of another table beside a catalog's, by the objects' ids: positions, Gaia or TIC parameters, ------------


log = logging.getLogger("goodricke")


def join_table(rows: Rows, path: Path) -> Rows:
    """Add the columns of a table with one row per object; null where it has no row for an object.

    Positions are filled in where the catalog has none. Other columns that the catalog has too, and such as could be
    taken for probabilities of a class (``p_``, ``std_``), are left out. Of several rows of an object the first counts.

    Parameters
    ----------
    rows : Rows
    path : Path
        CSV, ECSV, VOTable, FITS or Parquet with a column for the object's id.

    Raises
    ------
    Unreadable
        If it is no table, or no column is the object's id.
    ValueError
        If no object of the catalog is in it.
    """
    ids, table = read_table(path)
    table = table.select([n for n in table.column_names if _wanted(n, rows.schema)])
    known = pa.array(ids, pa.string())
    schema = _schema(rows.schema, table.schema)
    found = sum(int(pc.count(_places(batch, known)).as_py()) for batch in rows.batches())
    if not found:
        own: list[str] = next((batch["object_id"][:3].to_pylist() for batch in rows.batches()), [])
        raise ValueError(
            f"{path}: has none of the catalog's objects; its ids look like {', '.join(ids[:3])}, "
            f"the catalog's like {', '.join(map(str, own))}. Give a table of these objects"
        )
    log.info("%s: %s of %s rows found by their ids", path, f"{found:,}", f"{rows.count:,}")

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            yield _joined(batch, table.take(_places(batch, known)), schema)

    return Rows(schema, rows.count, batches, rows.about)


def read_table(path: Path) -> tuple[list[str], pa.Table]:
    """Return the ids of a table of objects and its other columns, positions under the names ``ra`` and ``dec``."""
    file = Opened(path)
    if file.kind not in ("text", "votable", "parquet", "fits"):
        raise Unreadable(file.path, "is no table", table_files.NO_TABLE)
    table = table_files.open_table(file)
    names = roles.names_by_alias(list(table.names))
    id_name = roles.find_column(names, roles.OBJECT_ID)
    if id_name is None:
        raise Unreadable(file.path, f"has no column for an object id; it has {', '.join(table.names)}", "name one id")
    data = table.load(table.names)
    ids = identifiers(data[id_name], id_name).to_pylist()
    position = {roles.find_column(names, aliases): name for name, aliases in roles.POSITION.items()}
    frame = pd.DataFrame({position.get(n, n): _plain(data[n]) for n in table.names if n != id_name})
    keep = ~pd.Series(ids).duplicated().to_numpy()
    whole = pa.Table.from_pandas(frame[keep], preserve_index=False).replace_schema_metadata(None)
    return [i for i, kept in zip(ids, keep, strict=True) if kept], whole


def _plain(values: object) -> object:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.to_pandas()
    return values if isinstance(values, pd.Series) else np.asarray(values)


def _wanted(name: str, own: pa.Schema) -> bool:
    if name in ("ra", "dec") or (name not in own.names and not name.startswith(("p_", "std_"))):
        return True
    log.warning("column %s of the table is left out: it could be taken for the catalog's own", name)
    return False


def _schema(own: pa.Schema, other: pa.Schema) -> pa.Schema:
    known = [f for f in own if not (pa.types.is_null(f.type) and f.name in other.names)]
    return pa.schema([*known, *(f for f in other if f.name not in {k.name for k in known})])


def _places(batch: pa.Table, known: pa.Array) -> pa.Array:
    return pc.index_in(batch["object_id"].combine_chunks().cast(pa.string()), known)


def _joined(batch: pa.Table, beside: pa.Table, schema: pa.Schema) -> pa.Table:
    found = {n: batch[n].combine_chunks() for n in batch.column_names}
    for name in beside.column_names:
        column = beside[name].combine_chunks()
        known = found.get(name)
        if known is None or pa.types.is_null(known.type):
            found[name] = column
        else:
            known = pc.if_else(pc.is_nan(known), pa.scalar(None, known.type), known)
            found[name] = pc.coalesce(known, column.cast(known.type, safe=False))
    return pa.table([found[f.name] for f in schema], schema=schema)
