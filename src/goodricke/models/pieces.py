"""Long dense light curves in pieces as long as those that a model was trained on, and one answer from the pieces.

A network that has only seen single sectors takes a Kepler quarter, three times as long, for something else. The
light curve is cut into equal pieces; each is cleaned, detrended and classified by itself; then

- probabilities are the geometric mean over the pieces, which share star and instrument: many pieces don't make the
  answer more certain, and one piece can make a class improbable but can't rule it out (`FLOOR`);
- logits, embedding, spread and mutual information are means, novelty the median;
- the prediction set is that of the mean probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Output
from goodricke.models.bundle import Model
from goodricke.preprocess import DenseConfig, Frames, Prepared, prepare
from goodricke.uncertainty.entropy import entropy
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

FLOOR = 1e-9  # probabilities below count as this
LONG = 1.5  # times the length of training light curves from which on a light curve is cut

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def training_span(model: Model) -> float:
    """Return the typical length [d] of the light curves that a model was trained on: of those recorded in its bundle.

    Raises
    ------
    ValueError
        If there are none, or the model isn't one of dense light curves.
    """
    if not isinstance(model.preprocessing, DenseConfig):
        raise ValueError(f"{model.name} is no model of dense light curves. Fix: leave --pieces out")
    path = None if model.folder is None else model.folder / "golden.npz"
    if path is None or not path.exists():
        raise ValueError(f"{model.name}: no light curves are recorded in its folder. Fix: give the length, --pieces 27")
    with np.load(path) as recorded:
        return float(np.median(ragged.extreme(recorded["time"], recorded["offsets"], np.maximum)))


def cut(curves: LightCurves, days: float) -> tuple[LightCurves, Int]:
    """Cut light curves longer than `LONG` times ``days`` into equal pieces of about that length.

    Parameters
    ----------
    curves : LightCurves (n,)
    days : float

    Returns
    -------
    pieces : LightCurves (m,)
        In order; with the ids and columns of their light curves.
    owner : int64 (m,)
        Light curve of each piece.
    """
    curves = curves.where(np.isfinite(curves.time)).sorted()
    first = np.nan_to_num(ragged.extreme(curves.time, curves.offsets, np.minimum))
    span = np.nan_to_num(ragged.extreme(curves.time, curves.offsets, np.maximum)) - first
    number = np.where(span > LONG * days, np.maximum(np.rint(span / days), 1), 1).astype(np.int64)
    owner = np.repeat(np.arange(len(curves)), number)
    start = ragged.offsets_from_counts(number)[:-1]
    length = np.where(span > 0, span, 1) / number
    place = ((curves.time - ragged.spread(first, curves.offsets)) / ragged.spread(length, curves.offsets)).astype(int)
    piece = np.minimum(place, ragged.spread(number, curves.offsets) - 1) + ragged.spread(start, curves.offsets)
    return replace(
        curves,
        object_id=curves.object_id.take(pa.array(owner)),
        offsets=ragged.offsets_from_counts(np.bincount(piece, minlength=len(owner))),
        objects=None if curves.objects is None else curves.objects.take(pa.array(owner)),
    ), owner


def output_of_pieces(
    model: Model,
    curves: LightCurves,
    days: float,
    compute: Callable[[Prepared], Output],
    coverage: Coverage = COVERAGE,
    workers: int = 1,
) -> Output:
    """Return the output of a model for n light curves, combined from their pieces.

    Parameters
    ----------
    model : Model
        Of dense light curves.
    curves : LightCurves (n,)
    days : float
        Length of a piece, see `cut`.
    compute : callable
        Returns the output for prepared pieces.
    coverage : Coverage
        Of the prediction sets.
    workers : int
        Processes for preprocessing.
    """
    pieces, owner = cut(curves, days)
    prepared = prepare(pieces, model.preprocessing, workers)
    assert isinstance(prepared, Frames)
    return combine(model, compute(prepared), owner, len(curves), prepared.n_points, coverage)


def combine(model: Model, output: Output, owner: Int, n: int, n_points: Int, coverage: Coverage = COVERAGE) -> Output:
    """Return the output for n light curves from that for their m pieces; see the module.

    Parameters
    ----------
    model : Model
    output : Output
        Of m pieces; those that could not be classified are left out.
    owner : int64 (m,)
    n : int
    n_points : int64 (m,)
    coverage : Coverage
    """
    good = np.isfinite(output.probabilities).all(1)
    owner, output, n_points = owner[good], output.take(np.flatnonzero(good)), n_points[good]
    groups = [np.flatnonzero(owner == i) for i in range(n)]

    def merged(values: NDArray, how: Callable[..., NDArray] = np.mean) -> NDArray:
        result = np.full((n, *values.shape[1:]), np.nan, values.dtype)
        for i, rows in enumerate(groups):
            if len(rows):
                result[i] = values[rows[0]] if len(rows) == 1 else how(values[rows], axis=0)
        return result

    def geometric(p: NDArray, axis: int) -> NDArray:
        return softmax(np.log(np.maximum(p, FLOOR)).mean(axis))

    p = merged(output.probabilities.astype(np.float64), geometric)
    points = np.array([int(np.median(n_points[rows])) if len(rows) else 0 for rows in groups], np.int64)
    return replace(
        output,
        probabilities=p,
        entropy=entropy(p),
        logits=merged(output.logits),
        embedding=merged(output.embedding),
        parameters={name: merged(x) for name, x in output.parameters.items()},
        spread=None if output.spread is None else merged(output.spread),
        mutual_information=None if output.mutual_information is None else merged(output.mutual_information),
        novelty=None if output.novelty is None else merged(output.novelty, np.median),
        prediction_set=model.prediction_sets(output.mode, p, points, coverage),
        periods=None,
    )
