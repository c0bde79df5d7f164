"""From light curves to the input of a network: cleaning, detrending, folding, standardising, padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from goodricke.data.lightcurves import LightCurves
from goodricke.data.processes import process_pool
from goodricke.preprocess import dense, folded, multiband, variables
from goodricke.preprocess.dense import DenseConfig
from goodricke.preprocess.folded import FoldedConfig
from goodricke.preprocess.multiband import MultibandConfig
from goodricke.preprocess.tensors import Frames, Prepared, Steps
from goodricke.preprocess.variables import VariablesConfig

Preprocessing = Annotated[DenseConfig | FoldedConfig | MultibandConfig | VariablesConfig, Field(discriminator="kind")]

__all__ = [
    "DenseConfig",
    "FoldedConfig",
    "Frames",
    "MultibandConfig",
    "Prepared",
    "Preprocessing",
    "Steps",
    "VariablesConfig",
    "prepare",
    "restore",
]


def prepare(curves: LightCurves, config: Preprocessing, workers: int = 1, chunk: int = 500) -> Prepared:
    """Preprocess light curves.

    Parameters
    ----------
    curves : LightCurves
    config : DenseConfig, FoldedConfig, MultibandConfig or VariablesConfig
    workers : int
        Processes; each takes ``chunk`` light curves at a time, which also bounds memory.

    Returns
    -------
    Prepared
        One entry per light curve, in order, unusable ones included (see ``status``): `Steps` for a
        `MultibandConfig`, else `Frames`.
    """
    if isinstance(config, MultibandConfig):
        return multiband.prepare(curves, config)  # too fast for processes to pay
    step: Callable[[LightCurves], Frames]
    if isinstance(config, DenseConfig):
        step = partial(dense.prepare, config=config)
    elif isinstance(config, VariablesConfig):
        step = partial(variables.prepare, config=config)
    else:
        step = partial(folded.prepare, config=config)
    chunks = [curves[i : i + chunk] for i in range(0, max(len(curves), 1), chunk)]
    if workers <= 1 or len(chunks) == 1:
        return Frames.concat([step(part) for part in chunks])
    with process_pool(workers, threads=False) as pool:
        return Frames.concat(list(pool.map(step, chunks)))


def restore(arrays: Mapping[str, Any], config: Preprocessing) -> Prepared:
    """Return preprocessed light curves from the arrays of their ``to_arrays``."""
    if isinstance(config, MultibandConfig):
        return Steps.from_arrays(arrays)
    return Frames.from_arrays(arrays, getattr(config, "frames", None))
