"""Numbers as tables show them, and as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

MOST_ROWS = 60  # of a table; the JSON twin has all


def heading(name: str) -> str:
    """Return a column's name as a heading."""
    return name.replace("_", " ")


def is_number(value: Any) -> bool:
    """Return whether a cell is set as a number, to the right."""
    return hasattr(value, "to_dict") or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def cell(value: Any) -> str:
    """Return a number, truth value or text as a table shows it.

    Examples
    --------
    >>> [cell(x) for x in (12345, 0.123456, None, True, "EW")]
    ['12,345', '0.1235', '-', 'yes', 'EW']
    """
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def rest(rows: int, numbers: str) -> str:
    """Say how many rows of a table are left out; nothing if none is."""
    return f"... and {rows - MOST_ROWS:,} more rows: {numbers} has all" if rows > MOST_ROWS else ""


def plain(value: Any) -> Any:
    """Return what JSON can hold: lists, mappings and numbers; NaN and infinity are null."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
