"""From light curves to what a network takes: cleaning, detrending, folding, standardising, padding."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import dense, folded, multiband
from goodricke.preprocess.dense import DenseConfig
from goodricke.preprocess.folded import FoldedConfig
from goodricke.preprocess.multiband import MultibandConfig
from goodricke.preprocess.tensors import Prepared, Steps

Preprocessing = Annotated[DenseConfig | FoldedConfig | MultibandConfig, Field(discriminator="kind")]

__all__ = ["DenseConfig", "FoldedConfig", "MultibandConfig", "Prepared", "Preprocessing", "Steps", "prepare", "restore"]


def prepare(
    curves: LightCurves, config: DenseConfig | FoldedConfig | MultibandConfig, workers: int = 1, chunk: int = 500
) -> Prepared | Steps:
    """Preprocess light curves as ``config`` says.

    Parameters
    ----------
    curves : LightCurves
    config : DenseConfig, FoldedConfig or MultibandConfig
    workers : int
        Processes; each takes ``chunk`` light curves at a time, which also bounds memory.

    Returns
    -------
    Prepared or Steps
        One entry per light curve, in order, whatever its state: see its ``status``. `Steps` for multi-band models.
    """
    if isinstance(config, MultibandConfig):
        return multiband.prepare(curves, config)  # so fast that processes would not pay
    step = partial(_prepare, config=config)
    chunks = [curves[i : i + chunk] for i in range(0, max(len(curves), 1), chunk)]
    if workers <= 1 or len(chunks) == 1:
        return Prepared.concat([step(part) for part in chunks])
    with ProcessPoolExecutor(workers) as pool:
        return Prepared.concat(list(pool.map(step, chunks)))


def _prepare(curves: LightCurves, config: DenseConfig | FoldedConfig) -> Prepared:
    if isinstance(config, FoldedConfig):
        return folded.prepare(curves, config)
    return dense.prepare(curves, config)


def restore(arrays: Mapping[str, Any], config: DenseConfig | FoldedConfig | MultibandConfig) -> Prepared | Steps:
    """Return what was preprocessed as ``config`` says, from the arrays that its ``to_arrays`` made of it."""
    if isinstance(config, MultibandConfig):
        return Steps.from_arrays(arrays)
    return Prepared.from_arrays(arrays, getattr(config, "frames", None))
