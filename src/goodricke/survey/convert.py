"""``goodricke convert``: a catalog in the formats of other tools, in memory that doesn't grow with its rows.

A HATS catalog, which LSDB opens and cross-matches, is cut into HEALPix pixels of about as many rows each. Rows are
distributed to the pixels in one pass and sorted pixel by pixel, so that memory depends on the rows of a pixel, not of
the catalog. Rows without a position are left out, and their number is logged.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console

from goodricke.data import formats
from goodricke.data.files import atomic_folder
from goodricke.data.formats import Rows
from goodricke.data.formats.votable import documented_schema
from goodricke.survey.crossmatch import join_table
from goodricke.survey.per_star import How, per_star
from goodricke.survey.shards import Catalog, catalog_rows
from goodricke.survey.thresholds import FILE, Thresholds, with_confident_class

log = logging.getLogger("goodricke")

INDEX = "_healpix_29"  # HATS's own name: HEALPix pixels of order 29, nested
ORDER = 29
PIXEL_ROWS = 500_000
MOST_PIXELS = 128  # about: so many files are open at once
SKYMAP_ORDER = 8
HATS = ".hats"

Int = NDArray[np.int64]


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
        See `goodricke.survey.Catalog.open`.
    out : Path
        File (.parquet, .csv, .ecsv, .fits, .vot) or, for HATS, a new folder (.hats, or any with ``hats``).
    how : {"best", "mean"}, optional
        Merge the light curves of each star, see `goodricke.survey.per_star`.
    star : str
        Column that says which star a light curve is of.
    thresholds : Path, optional
        Statement of ``goodricke thresholds``, by default that beside the catalog's manifest, if there is one. It adds
        the column ``confident_class``.
    hats : str, optional
        Write a HATS catalog of this name.
    table : Path, optional
        Table with a row per object whose columns are added, see `goodricke.survey.crossmatch`.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ValueError
        If a file is not what it should be; see the functions called.
    """
    if hats is None and out.suffix.lower() != HATS:
        formats.check(out)
    source = Catalog.open(catalog)
    rows = catalog_rows(source)
    if table is not None:
        rows = join_table(rows, table)
    if how is not None:
        rows = per_star(rows, how, star)
    statement = thresholds or source.path / FILE
    if thresholds is not None or statement.is_file():
        rows = with_confident_class(rows, Thresholds.read(statement))
    if hats is not None or out.suffix.lower() == HATS:
        n = write_hats(rows, out, hats)
    else:
        n = rows.count
        formats.write(rows, out)
    (console or Console()).print(f"{n:,} rows written to {out}")
    return n


# ---- HATS ------------------------------------------------------------------------------------------------------------


def write_hats(rows: Rows, path: Path, name: str | None = None, pixel_rows: int = PIXEL_ROWS) -> int:
    """Write a HATS catalog into a new folder, which appears whole or not at all.

    Parameters
    ----------
    rows : Rows
        With positions ``ra`` and ``dec`` [deg].
    path : Path
    name : str, optional
        Of the catalog, by default the folder's.
    pixel_rows : int
        Most rows of a pixel.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ImportError
        If LSDB is not installed.
    ValueError
        If there is no position, or the folder exists.
    """
    _check_hats_target(rows, path)
    index = _pixel_index(rows)
    order, pixel = tiles(index[index >= 0], max(pixel_rows, rows.count // MOST_PIXELS))
    with atomic_folder(path) as partial:
        _distribute(rows, partial, index, order, pixel)
        _write_metadata(rows, partial, name or path.stem, index[index >= 0])
    return int((index >= 0).sum())


def _check_hats_target(rows: Rows, path: Path) -> None:
    try:
        import hats  # noqa: F401
    except ImportError as error:
        raise ImportError("a HATS catalog needs LSDB: pip install 'goodricke[survey]'") from error
    missing = [n for n in ("ra", "dec") if n not in rows.schema.names]
    if missing:
        raise ValueError(
            f"{path}: a HATS catalog needs positions, and there is no column {' and '.join(missing)}: "
            "add them by the objects' ids with --join TABLE, or write .parquet"
        )
    if path.exists():
        raise ValueError(f"{path} exists: choose a new folder, or delete it")


def _pixel_index(rows: Rows) -> Int:
    """Return the HEALPix pixel of order 29 of each row (n,), -1 where there is no position."""
    from hats.pixel_math.spatial_index import compute_spatial_index

    parts = [np.zeros(0, np.int64)]
    for batch in rows.batches():
        ra, dec = (batch[n].cast(pa.float64()).to_numpy() for n in ("ra", "dec"))
        known = np.isfinite(ra) & (np.abs(dec) <= 90)
        index = np.full(len(ra), -1, np.int64)
        index[known] = compute_spatial_index(ra[known] % 360, dec[known])
        parts.append(index)
    indices = np.concatenate(parts)
    lost = int((indices < 0).sum())
    if lost == len(indices):
        raise ValueError(f"none of the {len(indices):,} rows has a position (ra, dec in degrees): see --join TABLE")
    if lost:
        log.warning("%s rows without a position are left out of the HATS catalog", f"{lost:,}")
    return indices


def tiles(index: Int, most: int) -> tuple[Int, Int]:
    """Return for each row the order and number of its tile, the largest HEALPix pixel with at most ``most`` rows.

    Parameters
    ----------
    index : (n,)
        Pixels of order 29.
    most : int
        Rows; a pixel of order 29 with more, or rows at one point, stay together.
    """
    order, pixel, left = np.zeros_like(index), np.zeros_like(index), np.arange(len(index))
    for k in range(ORDER + 1):
        own, inverse, count = np.unique(index[left] >> 2 * (ORDER - k), return_inverse=True, return_counts=True)
        few = (count[inverse] <= most) | (k == ORDER)
        order[left[few]], pixel[left[few]] = k, own[inverse[few]]
        left = left[~few]
    return order, pixel


def _distribute(rows: Rows, folder: Path, index: Int, order: Int, pixel: Int) -> None:
    """Write the rows of each tile into its file."""
    tile = np.full(len(index), -1)
    known, tile[index >= 0] = np.unique(np.stack([order, pixel], 1), axis=0, return_inverse=True)
    fields = [f for f in rows.schema if f.name != INDEX]  # of a HATS catalog that is converted
    schema = documented_schema(pa.schema([pa.field(INDEX, pa.int64(), nullable=False), *fields]), rows.about)
    heaps = [folder / f".{i}.arrow" for i in range(len(known))]
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_file(str(heap), schema)) for heap in heaps]
        done = 0
        for batch in rows.batches():
            part = slice(done, done + len(batch))
            table = pa.table([pa.array(index[part]), *batch.select([f.name for f in fields]).columns], schema=schema)
            for i in np.unique(tile[part][tile[part] >= 0]):
                writers[i].write_table(table.filter(pa.array(tile[part] == i)))
            done += len(batch)
    for heap, (k, number) in zip(heaps, known.tolist(), strict=True):
        _write_pixel(heap, folder, k, number)
        heap.unlink()


def _write_pixel(heap: Path, folder: Path, order: int, pixel: int) -> None:
    """Write one tile's rows in the order of their pixels."""
    from hats.io.paths import pixel_catalog_file
    from hats.pixel_math import HealpixPixel

    path = Path(str(pixel_catalog_file(folder, HealpixPixel(order, pixel))))
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.memory_map(str(heap)) as file:
        table = pa.ipc.open_file(file).read_all()
        by_pixel = np.argsort(table[INDEX].to_numpy(), kind="stable")
        pq.write_table(table.take(pa.array(by_pixel)), path, compression="zstd", row_group_size=131_072)


def _write_metadata(rows: Rows, folder: Path, name: str, index: Int) -> None:
    """Write the files by which readers of HATS find the pixels."""
    from hats.catalog import PartitionInfo, TableProperties
    from hats.io.parquet_metadata import write_parquet_metadata
    from hats.io.skymap import write_skymap

    write_parquet_metadata(folder)
    pixels = _pixels_in(folder)
    partitions = PartitionInfo.from_healpix(pixels)
    partitions.write_to_file(folder / "partition_info.csv")
    counts = np.bincount(index >> 2 * (ORDER - SKYMAP_ORDER), minlength=12 * 4**SKYMAP_ORDER)
    write_skymap(counts, folder)
    about: dict[str, Any] = {f"goodricke_{k}": v for k, v in rows.about.items() if k != "goodricke"}
    properties = TableProperties(
        catalog_name=name,
        catalog_type="object",
        total_rows=len(index),
        ra_column="ra",
        dec_column="dec",
        healpix_column=INDEX,
        healpix_order=ORDER,
        skymap_order=SKYMAP_ORDER,
        hats_order=partitions.get_highest_order(),
        hats_builder=f"goodricke {rows.about.get('goodricke', '')}".strip(),
        hats_cols_sort=INDEX,
        moc_sky_fraction=round(float(partitions.calculate_fractional_coverage()), 6),
        **about,
    )
    properties.to_properties_file(folder)


def _pixels_in(folder: Path) -> list[Any]:
    from hats.io.paths import get_healpix_from_path

    files = sorted((folder / "dataset").rglob("Npix=*.parquet"))
    return [get_healpix_from_path(str(file.relative_to(folder))) for file in files]
