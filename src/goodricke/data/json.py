"""JSON of results: NumPy numbers and arrays as plain values, NaN and infinity, which JSON does not have, as null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_values(value: Any) -> Any:
    """Return what JSON can hold: mappings, lists, numbers, text, truth values and None.

    Objects with a method ``to_dict`` become what it returns. Keys become text. NaN and infinity become None.

    Examples
    --------
    >>> json_values({1: np.float32(np.inf), "a": (np.int64(3), np.bool_(True)), "b": np.array([1.5, np.nan])})
    {'1': None, 'a': [3, True], 'b': [1.5, None]}
    """
    if hasattr(value, "to_dict"):
        return json_values(value.to_dict())
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, np.ndarray):
        return json_values(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def dumps(value: Any, indent: int | None = None) -> str:
    """Return ``value`` as strict JSON; see `json_values`."""
    return json.dumps(json_values(value), indent=indent, allow_nan=False)
