"""What follows the logits, in the same graph: calibration, nodes, the answer, prediction set and novelty.

Each is that of the package for one deterministic pass: `goodricke.uncertainty` has the formulas.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from goodricke.data.predictions import THRESHOLD
from goodricke.data.taxonomy import UNCERTAIN
from goodricke.models.bundle import Model
from goodricke.models.onnx.graph import Graph, Value
from goodricke.models.onnx.networks import NetworkValues
from goodricke.uncertainty.calibration import Mode, Scaling
from goodricke.uncertainty.novelty import NEIGHBOUR, Detector, Novelty
from goodricke.uncertainty.prediction_sets import Conformal, Coverage

BLOCK = 64  # scores of a reference that are compared at once


class AnswerValues(NamedTuple):
    """An answer about B objects."""

    probabilities: Value  # float32 (B, C)
    nodes: Value | None  # float32 (B, K), of a model with a taxonomy
    answer: Value  # int64 (B,) into `answer_names`
    answer_probability: Value  # float32 (B,)
    sets: Value | None  # bool (B, C), of a model with calibrated sets
    novelty: Value | None  # float32 (B,), of a model with a calibrated novelty


def write_answer(
    graph: Graph, model: Model, mode: Mode, out: NetworkValues, n: Value, coverage: Coverage
) -> AnswerValues:
    """Write the answer to a network's outputs.

    Parameters
    ----------
    graph : Graph
    model : Model
    mode : {"one_pass", "stream"}
        Of the references of sets and novelty.
    out : NetworkValues
    n : Value
        int64 (B,): points or steps of each object.
    coverage : Coverage
    """
    sets, novelty = model.calibration.sets.get(mode), model.calibration.novelty.get(mode)
    p = _probabilities(model.calibration.one_pass, out.logits)  # float64
    answer, probability = _deepest(graph, model, p)
    tree = model.config.taxonomy
    return AnswerValues(
        p.cast(np.float32),
        None if tree is None else (p @ tree.matrix.T.astype(np.float64)).cast(np.float32),
        answer,
        probability.cast(np.float32),
        None if sets is None else _prediction_set(sets, p, n, coverage),
        None if novelty is None else _rank(novelty, out, n),
    )


def answer_names(model: Model) -> tuple[str, ...]:
    """Return the names of answers: nodes, then classes; the root is ``uncertain``."""
    tree = model.config.taxonomy
    if tree is None:
        return model.classes
    return tuple(UNCERTAIN if name == tree.root and tree.nodes else name for name in tree.names)


def _probabilities(scaling: Scaling, logits: Value) -> Value:
    """Return `Scaling.probabilities`."""
    z = logits.cast(np.float64)
    z = z if scaling.kind == "temperature" else z - z.logsumexp(1)
    z = z * scaling.weight if scaling.weight.ndim == 1 else z @ scaling.weight.T
    return (z + scaling.offset).softmax()


def _deepest(graph: Graph, model: Model, p: Value) -> tuple[Value, Value]:
    """Return index and probability of the answer, as `goodricke.data.taxonomy.deepest_group` does."""
    tree = model.config.taxonomy
    if tree is None:
        return graph.op("ArgMax", p, axis=1, keepdims=0, dtype=np.int64), p.reduce("Max", 1)
    members = np.concatenate([tree.matrix, np.eye(len(tree.leaves), dtype=bool)])
    size = members.sum(1)
    probability = p @ members.T.astype(np.float64)  # (B, G)
    is_root = np.arange(len(members)) == size.argmax()
    reached = (probability >= THRESHOLD) | graph.constant(is_root)
    rank = (probability.clip(0.0, 1.0) - 2.0 * size).where(reached, -np.inf)
    best = graph.op("ArgMax", rank, axis=1, keepdims=0, dtype=np.int64)
    picked = graph.op("GatherElements", probability, best.unsqueeze(1), axis=1)
    return best, picked.squeeze(1)


def _prediction_set(conformal: Conformal, p: Value, n: Value, coverage: Coverage) -> Value:
    """Return `Conformal.sets`."""
    graph, limits = p.graph, conformal.thresholds(coverage)
    width = max(map(len, limits.of_bin))
    borders = np.full((len(limits.borders), width), np.inf, np.float32)  # none reaches what is no border
    of_bin = np.zeros((len(limits.of_bin), width), np.float32)
    for b, (inner, least) in enumerate(zip(limits.borders, limits.of_bin, strict=True)):
        borders[b, : len(inner)], of_bin[b, : len(least)] = inner, least
    stratum, rounded = _stratum(n, conformal.edges), p.cast(np.float32)
    confidence = rounded.reduce("Max", 1, keep=True)
    of_stratum = graph.constant(borders).take(stratum)
    number = (confidence >= of_stratum).cast(np.int64).reduce("Sum", 1, keep=True)
    limit = graph.op("GatherElements", graph.constant(of_bin).take(stratum), number, axis=1)  # (B, 1)
    if np.isfinite(limits.of_class).any():
        limit = graph.op("Min", graph.constant(limits.of_class).take(stratum), limit)
    best = graph.op("ArgMax", p, axis=1, keepdims=1, dtype=np.int64)
    return (rounded >= limit) | best.equals(np.arange(conformal.classes))


def _stratum(n: Value, edges: np.ndarray) -> Value:
    """Return `stratum_of` points."""
    reached = (n.unsqueeze(1) >= edges.astype(np.int64)).cast(np.int64).reduce("Sum", 1)
    return (reached - 1).clip(0)


def _rank(novelty: Novelty, out: NetworkValues, n: Value) -> Value:
    """Return `Novelty.rank`: scores below, found in a sorted reference by blocks, then within one block."""
    graph, score = n.graph, _score(novelty.detector, out).cast(np.float32).unsqueeze(1)  # (B, 1)
    parts = [np.sort(novelty.score[novelty.stratum == b]) for b in range(len(novelty.edges))]
    blocks = max(map(len, parts)) // BLOCK + 1
    table = np.full((len(parts), blocks * BLOCK), np.inf, np.float32)
    for row, part in zip(table, parts, strict=True):
        row[: len(part)] = part
    stratum = _stratum(n, novelty.edges)
    last = graph.constant(table[:, BLOCK - 1 :: BLOCK]).take(stratum)  # (B, blocks)
    before = (last < score).cast(np.int64).reduce("Sum", 1)  # blocks that are below
    at = stratum * blocks + before
    inside = graph.constant(table.reshape(-1, BLOCK)).take(at)  # (B, BLOCK)
    below = before * BLOCK + (inside < score).cast(np.int64).reduce("Sum", 1)
    number = graph.constant(np.array([len(part) + 1 for part in parts], np.float64)).take(stratum)
    return (below.cast(np.float64) / number).cast(np.float32)


def _score(detector: Detector, out: NetworkValues) -> Value:
    """Return `Detector.score`, float64 (B,)."""
    energy = out.logits.cast(np.float64).logsumexp(1).apply("Neg").squeeze(1)
    if detector.kind == "energy":
        return energy
    arrays = {name: np.asarray(x, np.float32) for name, x in detector.arrays.items()}
    if detector.kind == "neighbours":
        return _neighbour_distance(arrays["known"], out.features)
    x = out.features.slice(1, 0, len(arrays["within"]))
    near = _squared(x @ arrays["within"], arrays["means"]).reduce("Min", 1)
    if detector.kind == "combined":
        (a, b), (scale_a, scale_b) = arrays["usual"].astype(np.float64)
        return (near - a) / scale_a + (energy - b) / scale_b
    return near - _squared(x @ arrays["whole"], arrays["mean"]).squeeze(1)


def _squared(x: Value, means: np.ndarray) -> Value:
    """Return the squared distances (B, C) of rows (B, d) to means (C, d), float64."""
    wide, exact = x.cast(np.float64), means.astype(np.float64)
    squares = (wide * wide).reduce("Sum", 1, keep=True) + np.square(exact).sum(1)
    return (squares - (x @ means.T).cast(np.float64) * 2.0).clip(0.0)


def _neighbour_distance(references: np.ndarray, features: Value) -> Value:
    """Return the squared distance to the k-th nearest of unit vectors; see `goodricke.uncertainty.novelty`."""
    x, graph = features.slice(1, 0, references.shape[1]), features.graph
    length = (x * x).reduce("Sum", 1, keep=True).apply("Sqrt").clip(float(np.finfo(np.float32).tiny))
    k = min(NEIGHBOUR, len(references))
    nearest, _ = graph.ops("TopK", 2, (x / length) @ references.T, graph.constant(np.array([k])), axis=1)
    return (nearest.take(k - 1, 1) * -2.0 + 2.0).cast(np.float64)
