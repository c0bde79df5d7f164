"""Identifiers of objects as different tables spell them: which are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.arrow import as_arrow, floats, strings

EXACT = {"double": 2.0**53, "float": 2.0**24, "halffloat": 2.0**11}  # whole numbers below are exact, by kind of float
ID = r"^(?P<catalogue>tic|kic|epic|gaia\s*e?dr\d)?[\s_-]*0*(?P<number>\d+)$"  # in lower case


def first_rounded(ids: pa.Array) -> float | None:
    """Return the first identifier that is a float too large to be exact; None if there is none."""
    if not pa.types.is_floating(ids.type):
        return None
    numbers = floats(ids, np.float64)
    rounded = numbers[np.abs(numbers) >= EXACT[str(ids.type)]]
    return float(rounded[0]) if len(rounded) else None


def identifier_text(ids: Any) -> pa.Array:
    """Return identifiers (n,) as text.

    Raises
    ------
    ValueError
        If they are floats that lost digits: two objects would become one.
    """
    array = as_arrow(ids)
    if (rounded := first_rounded(array)) is not None:
        raise ValueError(
            f"identifiers were rounded, such as {rounded:.17g}: two objects may have become one. Fix: give whole "
            "numbers (int64) or text"
        )
    return strings(array)


class IdIndex:
    """Identifiers (m,) of a table, to look up those of another.

    Two ids are the same if they are equal without regard to case, or if both are numbers, with or without the name of a
    catalogue (TIC, KIC, EPIC, Gaia DR2, ...) and leading zeros, and don't name different catalogues.

    Examples
    --------
    >>> IdIndex(["215153", "KIC 7", "XY Lyr"]).rows_of(["TIC 00215153", "TIC 7", "7", "xy lyr", None]).tolist()
    [0, -1, 1, 2, -1]
    """

    def __init__(self, ids: Any) -> None:
        catalogue, plain = _split_ids(ids)
        self._full = _full_id(catalogue, plain)
        self._plain = plain
        self._unnamed = pc.if_else(pc.equal(catalogue, ""), plain, pa.scalar(None, pa.string()))

    def rows_of(self, ids: Any) -> NDArray[np.int64]:
        """Return the row (n,) of each id in the table, the first of several; -1 where it has none."""
        catalogue, plain = _split_ids(ids)
        rows = _index_in(_full_id(catalogue, plain), self._full)
        unnamed = pc.equal(catalogue, "").to_numpy(zero_copy_only=False)
        other = np.where(unnamed, _index_in(plain, self._plain), _index_in(plain, self._unnamed))
        return np.where(rows >= 0, rows, other)


def _split_ids(ids: Any) -> tuple[pa.Array, pa.Array]:
    """Return the catalogue's name, empty without one, and the number, or the text of an id that is no number."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(identifier_text(ids)))
    parts = pc.extract_regex(text, pattern=ID)
    catalogue = pc.replace_substring_regex(pc.struct_field(parts, "catalogue").fill_null(""), r"\s+", "")
    catalogue = pc.replace_substring(catalogue, "edr", "dr")  # Gaia EDR3 and DR3 have the same ids
    return catalogue, pc.coalesce(pc.struct_field(parts, "number"), text)


def _full_id(catalogue: pa.Array, plain: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(catalogue, plain, "\x1f")


def _index_in(ids: pa.Array, others: pa.Array) -> NDArray[np.int64]:
    rows = pc.index_in(ids, others, skip_nulls=True)
    return rows.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
