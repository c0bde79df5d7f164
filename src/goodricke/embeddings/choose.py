"""Which objects make the best batch to label: what scores there are, and how a batch is kept from being all alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.predictions import entropy

Float = NDArray[np.float64]
Int = NDArray[np.int64]

ITERATIONS = 50


def margin(p: NDArray) -> Float:
    """Return one less the lead of the most probable class over the second, (n,): 1 where they are level."""
    if p.shape[1] < 2:
        return np.zeros(len(p))
    best = np.partition(p, -2, axis=1)[:, -2:].astype(np.float64)
    return 1 - (best[:, 1] - best[:, 0])


Score = Callable[[NDArray, Mapping[str, NDArray], np.random.Generator], Float]
SCORES: dict[str, Score] = {
    "margin": lambda p, columns, rng: margin(p),
    "entropy": lambda p, columns, rng: entropy(p),
    "mutual_information": lambda p, columns, rng: columns["mutual_information"],
    # a fraction of validation objects: the strangest of a survey are all alike, and must not be those of the first rows
    "novelty": lambda p, columns, rng: columns["novelty"] + 1e-6 * rng.random(len(p)),
    "random": lambda p, columns, rng: rng.random(len(p)),
}


@dataclass(frozen=True)
class Strategy:
    """A way to choose.

    Parameters
    ----------
    score : str
        Of `SCORES`: what makes an object a candidate.
    candidates : int
        For each object of a batch; the batch is spread over their embeddings. 1: it is the best by score.
    novel : bool
        Whether one in `NOVEL` goes to the most novel objects, where the predictions tell novelty.
    """

    score: str
    candidates: int = 1
    novel: bool = False


NOVEL = 5
STRATEGIES = {
    "mixed": Strategy("margin", candidates=3, novel=True),
    "cover": Strategy("random", candidates=20),
    "margin": Strategy("margin"),
    "entropy": Strategy("entropy"),
    "information": Strategy("mutual_information"),
    "novelty": Strategy("novelty", candidates=3),
    "random": Strategy("random"),
}


def choose(score: Float, unit: NDArray[np.float32], n: int, candidates: int, seed: int = 0) -> tuple[Int, Int]:
    """Choose a batch among objects.

    Parameters
    ----------
    score : (m,)
        How much each is wanted.
    unit : (m, d)
        Unit vectors, see `goodricke.embeddings.space`.
    n : int
        Objects wanted; fewer if there aren't as many.
    candidates : int
        More than 1: cluster the n times so many best into n groups, by k-means weighted with the score, and take the
        object nearest to the centre of each (Zhdanov 2019, arXiv:1901.05954). 1: the n best are taken.
    seed : int

    Returns
    -------
    rows : int64 (n,)
        In order of their score.
    alike : int64 (n,)
        Candidates in the group that each stands for.
    """
    order = np.argsort(-score, kind="stable")
    best = order[: candidates * n]
    if len(best) <= n:
        return order[:n], np.ones(min(n, len(order)), np.int64)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    weight = score[best] - score[best].min()
    weight = weight / (weight.max() or 1) + 1e-3
    means = KMeans(n, n_init=1, max_iter=ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of copies
        group = means.fit_predict(unit[best], sample_weight=weight)
    distance = np.square(unit[best] - means.cluster_centers_[group]).sum(1)
    nearest = np.lexsort((distance, group))
    first = nearest[np.unique(group[nearest], return_index=True)[1]]
    alike = np.bincount(group, minlength=n)[group[first]]
    rest = np.setdiff1d(np.arange(len(best)), first)[: n - len(first)]  # fewer groups than asked: copies
    place = np.r_[first, rest]
    alike = np.r_[alike, np.ones(len(rest), np.int64)]
    by_score = np.argsort(place, kind="stable")
    return best[place[by_score]], alike[by_score]


class Best:
    """The rows with the largest scores of a table that comes block by block, with their embeddings."""

    def __init__(self, count: int) -> None:
        self.count, self.least = count, -np.inf
        self.parts: list[tuple[Float, pa.Table, NDArray[np.float32], NDArray]] = []

    def add(self, score: Float, table: pa.Table, embedding: NDArray[np.float32], p: NDArray) -> None:
        """Add the rows of a block: score (b,), table, embedding (b, d), probabilities (b, C)."""
        rows = np.flatnonzero(score > self.least)  # not those whose score is NaN
        rows = rows[np.argsort(-score[rows], kind="stable")[: self.count]]
        if len(rows):
            self.parts.append((score[rows], table.take(pa.array(rows)), embedding[rows], p[rows]))
        if sum(len(part[0]) for part in self.parts) > 2 * self.count:
            self._condense()

    def found(self) -> tuple[Float, pa.Table, NDArray[np.float32], NDArray] | None:
        """Return the rows, the best first and each object once; None if there is none."""
        if not self.parts:
            return None
        self._condense()
        score, table, embedding, p = self.parts[0]
        ids = table["object_id"].to_numpy().astype(str)
        kept = np.sort(np.unique(ids, return_index=True)[1])
        return score[kept], table.take(pa.array(kept)), embedding[kept], p[kept]

    def _condense(self) -> None:
        scores, tables, embeddings, probabilities = zip(*self.parts, strict=True)
        score, table = np.concatenate(scores), pa.concat_tables(tables)
        rows = np.argsort(-score, kind="stable")[: self.count]
        embedding, p = np.concatenate(embeddings)[rows], np.concatenate(probabilities)[rows]
        self.parts = [(score[rows], table.take(pa.array(rows)), embedding, p)]
        if len(rows) == self.count:
            self.least = float(score[rows[-1]])
