"""From light curves to what a network takes: cleaning, detrending, folding, standardising, padding."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated

from pydantic import Field

from goodricke.lightcurves import LightCurves
from goodricke.preprocess import dense, folded
from goodricke.preprocess.dense import DenseConfig
from goodricke.preprocess.folded import FoldedConfig
from goodricke.preprocess.tensors import Prepared

Preprocessing = Annotated[DenseConfig | FoldedConfig, Field(discriminator="kind")]

__all__ = ["DenseConfig", "FoldedConfig", "Prepared", "Preprocessing", "prepare"]


def prepare(curves: LightCurves, config: DenseConfig | FoldedConfig, workers: int = 1, chunk: int = 500) -> Prepared:
    """Preprocess light curves as ``config`` says.

    Parameters
    ----------
    curves : LightCurves
    config : DenseConfig or FoldedConfig
    workers : int
        Processes; each takes ``chunk`` light curves at a time, which also bounds memory.

    Returns
    -------
    Prepared
        One entry per light curve, in order, whatever its state: see its ``status``.
    """
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
