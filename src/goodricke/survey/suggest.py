"""Which objects make the best batch to label: what scores there are, and how a batch is kept from being all alike.

A classifier of the user's own classes on top of embeddings: logistic regression, fitted in a moment.

``goodricke suggest``: which objects of a catalog a human should label next, and why these.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.io import read_labels
from goodricke.survey.embeddings import Moments, Space, blocks, models_of, one_model, open_embedded
from goodricke.survey.shards import Catalog
from goodricke.uncertainty.entropy import entropy

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
        Unit vectors, see `goodricke.survey.embeddings`.
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


# ---- A classifier of the user's own classes on top of embeddings: logistic regression, fitted in a moment ------------


# Inverse strength of the penalty, times d: the square of a standardised embedding's length is d on average. The usual
# strength, 1, overfits long embeddings: with it more labels made the head of PLAsTiCC's 144 numbers worse.
STRENGTH = 16.0


class Head:
    """Logistic regression on standardised embeddings.

    Parameters
    ----------
    z : (n, d)
        Standardised embeddings, see `goodricke.survey.embeddings`.
    label : (n,)
        Names of classes.
    """

    def __init__(self, z: NDArray, label: NDArray) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.classes = tuple(str(c) for c in np.unique(label))
        self._fitted = None
        if len(self.classes) > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self._fitted = LogisticRegression(C=STRENGTH / z.shape[1], max_iter=300, tol=1e-3).fit(
                    z, label.astype(str)
                )

    def probabilities(self, z: NDArray) -> NDArray[np.float64]:
        """Return class probabilities (n, C); all 1 if one class is known only."""
        return np.ones((len(z), 1)) if self._fitted is None else self._fitted.predict_proba(z)


# ---- ``goodricke suggest``: which objects of a catalog a human should label next, and why these ----------------------


log = logging.getLogger("goodricke")

STRATEGY = "mixed"
UNUSUAL = 0.99  # novelty from which on an object is called unlike the training set
NOVEL_CANDIDATES = STRATEGIES["novelty"].candidates
KEPT = 80  # light curves for each object wanted: candidates, and spare ones for objects with several light curves


def suggest(
    catalog: str | Path,
    n: int = 50,
    labelled: Mapping[str, str] | None = None,
    strategy: str = STRATEGY,
    seed: int = 0,
    tick: Callable[[int], None] = lambda rows: None,
) -> pa.Table:
    """Choose objects for a human to label.

    Parameters
    ----------
    catalog : path or str
        Folder of ``goodricke catalog``, or a .parquet with the column ``embedding``.
    n : int
        Objects wanted.
    labelled : mapping, optional
        Classes of objects by id. These aren't suggested, and if there are two classes or more, the probabilities are
        those of a logistic regression on their embeddings instead of the catalog's.
    strategy : str
        One of `STRATEGIES`.
    seed : int
    tick : callable
        Gets the number of rows after each block, for a progress bar.

    Returns
    -------
    pyarrow.Table
        ``rank``, ``object_id``, ``label`` (empty, to be filled in), ``why``, ``class``, ``p_max``, ``entropy`` [nat],
        ``novelty`` if the catalog has it, and ``alike``: how many candidates the object stands for.

    Raises
    ------
    ValueError
        If the catalog has no embeddings or lacks what the strategy goes by, or nothing is left to label.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"no strategy {strategy}; there are {', '.join(STRATEGIES)}")
    if n < 1:
        raise ValueError(f"{n} objects: ask for one at least")
    opened, way, known = open_embedded(catalog), STRATEGIES[strategy], dict(labelled or {})
    _check(opened, way)
    space, head = _taught(opened, known) if known else (None, None)
    pools, space = _candidates(opened, way, known, space, head, KEPT * n, seed, tick)
    return _suggested(pools, way, space, head.classes if head else opened.classes, n, seed)


def known_labels(paths: Sequence[str | Path], label: str | None = None, object_id: str | None = None) -> dict[str, str]:
    """Return the classes of objects in tables of labels; rows without a label are left out.

    Raises
    ------
    ValueError
        If an object has two different ones.
    """
    known: dict[str, str] = {}
    for path in paths:
        table = read_labels(path, label, object_id)
        table = table[table["label"].notna() & (table["label"] != "")]
        for name, given in zip(table["object_id"], table["label"], strict=True):
            if known.setdefault(name, given) != given:
                raise ValueError(f"{path}: {name} is {given} here and {known[name]} elsewhere; keep one of them")
    return known


def _check(catalog: Catalog, way: Strategy) -> None:
    made = {"mutual_information": "classify with --mc 20", "novelty": "classify with a model that has a novelty score"}
    if way.score in made and way.score not in catalog.schema.names:
        raise ValueError(f"{catalog.path}: has no column {way.score}; {made[way.score]}, or take another strategy")


def _taught(catalog: Catalog, known: Mapping[str, str]) -> tuple[Space, Head | None]:
    """Return the space of a catalog, and a head that has learnt the labels; none if they are of one class."""
    moments, names = Moments(), pa.array(list(known), pa.string())
    ids, embeddings, models = list[str](), list[NDArray](), set[tuple[str, str]]()
    for table, embedding in blocks(catalog, ("model", "model_hash")):
        moments.add(embedding)
        models |= models_of(table)
        here = np.flatnonzero(pc.is_in(table["object_id"], names).to_numpy())
        ids += table["object_id"].take(pa.array(here)).to_pylist()
        embeddings.append(embedding[here])
    one_model(models, catalog.path)
    space = moments.space()
    if not ids:
        raise ValueError(
            f"{catalog.path}: has none of the {len(known)} labelled objects, whose ids look like "
            f"{', '.join(list(known)[:3])}; name the labels' column of ids with --object-id"
        )
    head = Head(space.standard(np.concatenate(embeddings)), np.array([known[i] for i in ids]))
    if len(head.classes) < 2:
        log.warning("all labels are %s: the catalog's own probabilities are used", head.classes[0])
        return space, None
    return space, head


class Pool(NamedTuple):
    """Candidates of one kind: score (m,), table, embeddings (m, d), probabilities (m, C)."""

    score: NDArray[np.float64]
    table: pa.Table
    embedding: NDArray[np.float32]
    p: NDArray


def _candidates(
    catalog: Catalog,
    way: Strategy,
    known: Mapping[str, str],
    space: Space | None,
    head: Head | None,
    count: int,
    seed: int,
    tick: Callable[[int], None],
) -> tuple[list[Pool], Space]:
    """Go through the rows; return the best by score, and by novelty if some are to be, and the space of them all."""
    novel = way.novel and "novelty" in catalog.schema.names
    best = {name: Best(count) for name in dict.fromkeys([way.score, *(["novelty"] if novel else [])])}
    rng, moments, models = np.random.default_rng(seed), Moments(), set[tuple[str, str]]()
    names, taken = [f"p_{c}" for c in catalog.classes], pa.array(list(known), pa.string())
    for table, embedding in blocks(catalog, (*names, "mutual_information", "novelty", "model", "model_hash")):
        if space is None:
            moments.add(embedding)
            models |= models_of(table)
        tick(len(table))
        left = np.flatnonzero(~pc.is_in(table["object_id"], taken).to_numpy())
        table, embedding = table.take(pa.array(left)), embedding[left]
        if head is not None and space is not None:
            p = head.probabilities(space.standard(embedding))
        else:
            p = np.stack([table[name].to_numpy() for name in names], 1)
        columns = {n: table[n].to_numpy() for n in ("mutual_information", "novelty") if n in table.column_names}
        narrow = table.select([n for n in ("object_id", "novelty") if n in table.column_names])
        for name, kept in best.items():
            kept.add(np.asarray(SCORES[name](p, columns, rng), np.float64), narrow, embedding, p)
    found = [Pool(*pool) for pool in (kept.found() for kept in best.values()) if pool is not None]
    if not found:
        raise ValueError(f"{catalog.path}: nothing is left to label: no other object has an embedding")
    if space is None:
        one_model(models, catalog.path)
        space = moments.space()
    return found, space


def _suggested(
    pools: Sequence[Pool], way: Strategy, space: Space, classes: Sequence[str], n: int, seed: int
) -> pa.Table:
    """Return the suggestions: of the first pool, and in every fifth place of the second, if there is one."""
    rows: list[dict] = []
    if len(pools) > 1:
        rows = _rows(pools[1], n // NOVEL, NOVEL_CANDIDATES, "novelty", space, classes, seed)
    there = {row["object_id"] for row in rows}
    more = _rows(pools[0], n, way.candidates, way.score, space, classes, seed)
    more = [row for row in more if row["object_id"] not in there]
    for place, row in enumerate(more):
        rows.insert(min(place + place // (NOVEL - 1), len(rows)), row)
    ranked = [{"rank": rank, "label": None, **row} for rank, row in enumerate(rows[:n], 1)]
    numbers = [(name, pa.float32()) for name in ("p_max", "entropy", "novelty") if name in ranked[0]]
    texts = [(name, pa.string()) for name in ("object_id", "label", "why", "class")]
    schema = pa.schema([("rank", pa.int32()), *texts, *numbers, ("alike", pa.int32())])
    return pa.Table.from_pylist(ranked, schema)


def _rows(
    pool: Pool, n: int, candidates: int, score: str, space: Space, classes: Sequence[str], seed: int
) -> list[dict]:
    """Return the suggestions of one pool."""
    chosen, alike = choose(pool.score, space.unit(pool.embedding), n, candidates, seed)
    table, rows = pool.table.take(pa.array(chosen)).to_pylist(), []
    for row, p, count in zip(table, pool.p[chosen].astype(np.float64), alike.tolist(), strict=True):
        first = int(p.argmax())
        row |= {"class": classes[first], "p_max": float(p[first]), "entropy": float(entropy(p)), "alike": count}
        rows.append(row | {"why": why(p, classes, row.get("novelty"), count, score)})
    return rows


def why(p: NDArray, classes: Sequence[str], novelty: float | None, alike: int, score: str) -> str:
    """Return in words why an object was chosen by a score.

    Examples
    --------
    >>> why(np.array([0.48, 0.42, 0.1]), ("EA", "EB", "RRAB"), None, 12, "margin")
    'uncertain between EA and EB (0.48, 0.42); covers a group of 12 alike'
    """
    told = []
    order = np.argsort(-p, kind="stable")[:2]
    if score == "novelty" or (novelty is not None and novelty >= UNUSUAL):
        told.append("unlike the training set")
    if score in ("margin", "entropy", "mutual_information") and len(order) > 1:
        a, b = order
        told.append(f"uncertain between {classes[a]} and {classes[b]} ({p[a]:.2f}, {p[b]:.2f})")
    if score == "random" and alike == 1:
        told.append("drawn at random")
    if alike > 1:
        told.append(f"covers a group of {alike} alike")
    return "; ".join(told)
