"""The bytes of objects' states: only what is in use, many objects at once.

An object's bytes are a header (magic, version, bytes of a cell, number of bands), its record without the cells, which
of the bands have had a step (a byte each), and the cells of those bands and, if there is one, of the central network.
Objects in which the same bands have had a step have bytes of the same shape: an array of them is read and written at
once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VERSION = 2
HEADER = struct.Struct("<4sHBB")  # magic, version, bytes of a cell, number of bands
MAGIC = b"gkmb"
SMALL = ("time", "wait", "band", "refused", "bands")


def to_bytes(records: NDArray[np.void], stepped: NDArray[np.bool_]) -> list[bytes]:
    """Return each object's bytes.

    Parameters
    ----------
    records : structured array (n,)
        Of `goodricke.models.stateful.layout`.
    stepped : bool (n, bands)
        Which bands have had a step.
    """
    result: list[bytes] = [b""] * len(records)
    cell = records.dtype["central_cells"].base.itemsize
    header = HEADER.pack(MAGIC, VERSION, cell, stepped.shape[1])
    for pattern, rows in _alike(stepped):
        some = records if len(rows) == len(records) else records[rows]
        packed = np.zeros(len(rows), _packed(records.dtype, pattern))
        packed["header"], packed["stepped"] = np.void(header), pattern
        for name in SMALL:
            packed[name] = some[name]
        if pattern.any():
            packed["band_cells"], packed["central_cells"] = some["band_cells"][:, pattern], some["central_cells"]
        data, size = packed.tobytes(), packed.itemsize
        for k, row in enumerate(rows.tolist()):
            result[row] = data[k * size : (k + 1) * size]
    return result


def cell_bytes(part: bytes) -> int:
    """Return the bytes of a cell, 2 or 4, from an object's bytes.

    Raises
    ------
    ValueError
        If they are no state, or one of another version.
    """
    if len(part) < HEADER.size or part[:4] != MAGIC:
        raise ValueError("these bytes are no goodricke state")
    _, version, cell, _ = HEADER.unpack_from(part)
    if version != VERSION:
        raise ValueError(
            f"the state has version {version}, this goodricke reads {VERSION}: rebuild it from the history"
        )
    return int(cell)


def fill(records: NDArray[np.void], parts: Sequence[bytes]) -> None:
    """Fill the records (n,), zeros so far, from each object's bytes.

    Raises
    ------
    ValueError
        If they are of another version, precision or model, or cut short.
    """
    if not len(parts):
        return
    bands, cell = records["bands"].shape[1], records.dtype["central_cells"].base.itemsize
    at = _packed(records.dtype, np.zeros(bands, bool)).fields["stepped"][1]  # type: ignore[index]
    header = HEADER.pack(MAGIC, VERSION, cell, bands)
    for part in parts:
        if part[: len(header)] != header:
            cell_bytes(part)  # says what is wrong, if it is the version
            raise ValueError("states of different models or precisions can't be read together")
        if len(part) < at + bands:
            raise ValueError("the state is cut short")
    stepped = np.frombuffer(b"".join([part[at : at + bands] for part in parts]), bool).reshape(-1, bands)
    for pattern, rows in _alike(stepped):
        kind = _packed(records.dtype, pattern)
        some = [parts[row] for row in rows.tolist()]
        if any(len(part) != kind.itemsize for part in some):
            raise ValueError("the state is cut short, or of a model with other sizes")
        _put(records, rows, pattern, np.frombuffer(b"".join(some), kind))


def _put(records: NDArray[np.void], rows: NDArray[np.int64], pattern: NDArray[np.bool_], packed: NDArray) -> None:
    """Put what was packed into the records of the rows."""
    for name in SMALL:
        records[name][rows] = packed[name]
    if pattern.any():
        cells = np.zeros((len(rows), *records["band_cells"].shape[1:]), records["band_cells"].dtype)
        cells[:, pattern] = packed["band_cells"]
        records["band_cells"][rows], records["central_cells"][rows] = cells, packed["central_cells"]


def _packed(record: np.dtype, pattern: NDArray[np.bool_]) -> np.dtype:
    """Return the type of an object's bytes when the bands in ``pattern`` have had a step."""
    fields: list[tuple] = [("header", f"V{HEADER.size}"), *((name, record[name]) for name in SMALL)]
    fields.append(("stepped", bool, pattern.shape))
    if pattern.any():
        cells = record["band_cells"]
        fields += [("band_cells", cells.base, (int(pattern.sum()), *cells.shape[1:]))]
        fields += [("central_cells", record["central_cells"])]
    return np.dtype(fields)


def _alike(stepped: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Return each combination of bands that occurs, and the objects that have it."""
    patterns, which = np.unique(stepped, axis=0, return_inverse=True)
    return [(pattern, np.flatnonzero(which.ravel() == k)) for k, pattern in enumerate(patterns)]
