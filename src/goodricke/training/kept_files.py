"""What takes long, kept in the folder of a run: an interrupted one neither preprocesses nor fits forests again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.data.files import atomic_path
from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import Prepared, Preprocessing, prepare, restore


def prepare_cached(file: Path, curves: LightCurves, config: Preprocessing, workers: int = 1) -> Prepared:
    """Preprocess light curves, or read the result of a former run on the same ones from ``file``; write it there."""
    key = f"{__version__} {digest(curves)} {config.model_dump_json()}"
    return restore(kept_arrays(file, key, lambda: prepare(curves, config, workers).to_arrays()), config)


def kept_arrays(file: Path, key: str, make: Callable[[], Mapping[str, NDArray]]) -> dict[str, NDArray]:
    """Return arrays by name, read from a file that was made with the same key, or made and written there."""
    if not has_key(file, key):
        with atomic_path(file) as partial:
            np.savez(partial, allow_pickle=False, key=np.array(key), **make())
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "key"}


def digest(curves: LightCurves) -> str:
    """Return a hash of the light curves, observation by observation."""
    digest = hashlib.sha256("\n".join(curves.ids).encode())
    for x in (curves.offsets, curves.time, curves.value, curves.error, curves.band):
        digest.update(x.tobytes())
    return digest.hexdigest()


def has_key(file: Path, key: str) -> bool:
    """Return whether a file exists and was made from the light curves and settings of a key."""
    if not file.exists():
        return False
    with np.load(file) as arrays:
        return str(arrays["key"]) == key
