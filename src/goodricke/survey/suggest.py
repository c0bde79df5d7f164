"""``goodricke suggest``: choose the objects of a catalog whose labels help most, and give the reason.

Objects are ranked by a score, such as how close their two most probable classes are. A batch is spread over the space
of the embeddings, so that it isn't one object many times. With labels, the probabilities are those of a logistic
regression on the embeddings (`LabelHead`), which learns the classes of the labels.
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
from goodricke.survey.embeddings import Moments, Space, blocks, models_of, open_embedded, require_one_model
from goodricke.survey.shards import Catalog
from goodricke.uncertainty.entropy import entropy

log = logging.getLogger("goodricke")

STRATEGY = "mixed"
ITERATIONS = 50  # of k-means
UNUSUAL = 0.99  # novelty from which on an object is called unlike the training set
SPARE = 80  # light curves kept per object: candidates, and spare ones for objects with several light curves
# Inverse strength of the penalty, times d: the squared length of a standardised embedding is d on average. The usual
# strength, 1, overfits long embeddings: with it more labels made the head of PLAsTiCC's 144 numbers worse.
STRENGTH = 16.0

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def margin(p: NDArray) -> Float:
    """Return one minus the difference of the two highest probabilities, (n,): 1 where they are equal."""
    if p.shape[1] < 2:
        return np.zeros(len(p))
    best = np.partition(p, -2, axis=1)[:, -2:].astype(np.float64)
    return 1 - (best[:, 1] - best[:, 0])


Score = Callable[[NDArray, Mapping[str, NDArray], np.random.Generator], Float]
SCORES: dict[str, Score] = {
    "margin": lambda p, columns, rng: margin(p),
    "entropy": lambda p, columns, rng: entropy(p),
    "mutual_information": lambda p, columns, rng: columns["mutual_information"],
    # novelty saturates: without the random part, the most novel objects would be those of the first rows
    "novelty": lambda p, columns, rng: columns["novelty"] + 1e-6 * rng.random(len(p)),
    "random": lambda p, columns, rng: rng.random(len(p)),
}


@dataclass(frozen=True)
class Strategy:
    """A way to choose objects.

    Parameters
    ----------
    score : str
        Of `SCORES`.
    candidates : int
        Per object of a batch, which is spread over their embeddings. 1: the batch is the best by score.
    novel : bool
        Whether one object in `NOVEL` is among the most novel ones, where the catalog has the column ``novelty``.
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
        The higher, the more an object is worth.
    unit : (m, d)
        Unit vectors, see `goodricke.survey.embeddings`.
    n : int
        Objects wanted; fewer if there aren't as many.
    candidates : int
        More than 1: cluster the n times so many best into n groups, by k-means weighted with the score, and take the
        object nearest to the centre of each (Zhdanov 2019, arXiv:1901.05954). 1: the n best.
    seed : int

    Returns
    -------
    rows : int64 (n,)
        In order of their score.
    alike : int64 (n,)
        Candidates in the group of each.
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # given for copies
        group = means.fit_predict(unit[best], sample_weight=weight)
    distance = np.square(unit[best] - means.cluster_centers_[group]).sum(1)
    nearest = np.lexsort((distance, group))
    first = nearest[np.unique(group[nearest], return_index=True)[1]]
    alike = np.bincount(group, minlength=n)[group[first]]
    rest = np.setdiff1d(np.arange(len(best)), first)[: n - len(first)]  # where copies made fewer groups
    place = np.r_[first, rest]
    alike = np.r_[alike, np.ones(len(rest), np.int64)]
    by_score = np.argsort(place, kind="stable")
    return best[place[by_score]], alike[by_score]


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
        Number of objects.
    labelled : mapping, optional
        Classes of objects by id. These objects aren't suggested. With two classes or more, the probabilities are
        those of a `LabelHead` instead of the catalog's.
    strategy : str
        One of `STRATEGIES`.
    seed : int
    tick : callable
        Gets the number of rows after each block, for a progress bar.

    Returns
    -------
    pyarrow.Table
        ``rank``, ``object_id``, ``label`` (empty, to be filled in), ``why``, ``class``, ``p_max``, ``entropy`` [nat],
        ``novelty`` if the catalog has it, and ``alike``: how many candidates are in the object's group.

    Raises
    ------
    ValueError
        If the catalog has no embeddings or lacks the strategy's column, or nothing is left to label.

    Examples
    --------
    >>> suggest("my-catalog", n=50)["why"].to_pylist()[0]  # doctest: +SKIP
    'uncertain between EA and EB (0.48, 0.42); covers a group of 12 alike'
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"no strategy {strategy}; there are {', '.join(STRATEGIES)}")
    if n < 1:
        raise ValueError(f"{n} objects: ask for at least one")
    embedded, chosen, labels = open_embedded(catalog), STRATEGIES[strategy], dict(labelled or {})
    _check_columns(embedded, chosen)
    space, head = _fit_head(embedded, labels) if labels else (None, None)
    pools, space = _candidates(embedded, chosen, labels, space, head, SPARE * n, seed, tick)
    return _suggestions(pools, chosen, space, head.classes if head else embedded.classes, n, seed)


def read_known_labels(
    paths: Sequence[str | Path], label: str | None = None, object_id: str | None = None
) -> dict[str, str]:
    """Return the classes of objects in tables of labels; rows without a label are left out.

    Raises
    ------
    ValueError
        If an object has two different ones.
    """
    labels: dict[str, str] = {}
    for path in paths:
        table = read_labels(path, label, object_id)
        table = table[table["label"].notna() & (table["label"] != "")]
        for name, class_name in zip(table["object_id"], table["label"], strict=True):
            if labels.setdefault(name, class_name) != class_name:
                other = labels[name]
                raise ValueError(f"{path}: {name} is {class_name} here and {other} elsewhere; keep one of them")
    return labels


class LabelHead:
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
        """Return class probabilities (n, C); with a single class all 1."""
        return np.ones((len(z), 1)) if self._fitted is None else self._fitted.predict_proba(z)


class Pool(NamedTuple):
    """Candidates by one score: scores (m,), table, embeddings (m, d), probabilities (m, C)."""

    score: NDArray[np.float64]
    table: pa.Table
    embedding: NDArray[np.float32]
    p: NDArray


class Best:
    """The rows with the largest scores of a table that comes block by block, with their embeddings."""

    def __init__(self, count: int) -> None:
        self.count, self.least = count, -np.inf
        self._parts: list[tuple[Float, pa.Table, NDArray[np.float32], NDArray]] = []

    def add(self, score: Float, table: pa.Table, embedding: NDArray[np.float32], p: NDArray) -> None:
        """Add the rows of a block: score (b,), table, embedding (b, d), probabilities (b, C)."""
        rows = np.flatnonzero(score > self.least)  # not those whose score is NaN
        rows = rows[np.argsort(-score[rows], kind="stable")[: self.count]]
        if len(rows):
            self._parts.append((score[rows], table.take(pa.array(rows)), embedding[rows], p[rows]))
        if sum(len(part[0]) for part in self._parts) > 2 * self.count:
            self._condense()

    def rows(self) -> Pool | None:
        """Return the rows, the best first and each object once; None if there is none."""
        if not self._parts:
            return None
        self._condense()
        score, table, embedding, p = self._parts[0]
        ids = table["object_id"].to_numpy().astype(str)
        first = np.sort(np.unique(ids, return_index=True)[1])
        return Pool(score[first], table.take(pa.array(first)), embedding[first], p[first])

    def _condense(self) -> None:
        scores, tables, embeddings, probabilities = zip(*self._parts, strict=True)
        score, table = np.concatenate(scores), pa.concat_tables(tables)
        rows = np.argsort(-score, kind="stable")[: self.count]
        embedding, p = np.concatenate(embeddings)[rows], np.concatenate(probabilities)[rows]
        self._parts = [(score[rows], table.take(pa.array(rows)), embedding, p)]
        if len(rows) == self.count:
            self.least = float(score[rows[-1]])


def _check_columns(catalog: Catalog, strategy: Strategy) -> None:
    fixes = {
        "mutual_information": "classify with --mc 20",
        "novelty": "classify with a model that has a novelty score",
    }
    score = strategy.score
    if score in fixes and score not in catalog.schema.names:
        raise ValueError(f"{catalog.path}: has no column {score}; {fixes[score]}, or take another strategy")


def _fit_head(catalog: Catalog, labels: Mapping[str, str]) -> tuple[Space, LabelHead | None]:
    """Return the space of a catalog, and a head fitted to the labels; none if they are of one class."""
    moments, names = Moments(), pa.array(list(labels), pa.string())
    ids, embeddings, models = list[str](), list[NDArray](), set[tuple[str, str]]()
    for table, embedding in blocks(catalog, ("model", "model_hash")):
        moments.add(embedding)
        models |= models_of(table)
        rows = np.flatnonzero(pc.is_in(table["object_id"], names).to_numpy())
        ids += table["object_id"].take(pa.array(rows)).to_pylist()
        embeddings.append(embedding[rows])
    require_one_model(models, catalog.path)
    space = moments.space()
    if not ids:
        raise ValueError(
            f"{catalog.path}: has none of the {len(labels)} labelled objects, whose ids look like "
            f"{', '.join(list(labels)[:3])}; name the labels' column of ids with --object-id"
        )
    head = LabelHead(space.standard(np.concatenate(embeddings)), np.array([labels[i] for i in ids]))
    if len(head.classes) < 2:
        log.warning("all labels are %s: the catalog's own probabilities are used", head.classes[0])
        return space, None
    return space, head


def _candidates(
    catalog: Catalog,
    strategy: Strategy,
    labels: Mapping[str, str],
    space: Space | None,
    head: LabelHead | None,
    count: int,
    seed: int,
    tick: Callable[[int], None],
) -> tuple[list[Pool], Space]:
    """Go through the rows; return the best by score, and by novelty if the strategy has it, and the space of all."""
    novel = strategy.novel and "novelty" in catalog.schema.names
    best = {name: Best(count) for name in dict.fromkeys([strategy.score, *(["novelty"] if novel else [])])}
    rng, moments, models = np.random.default_rng(seed), Moments(), set[tuple[str, str]]()
    names, labelled = [f"p_{c}" for c in catalog.classes], pa.array(list(labels), pa.string())
    for table, embedding in blocks(catalog, (*names, "mutual_information", "novelty", "model", "model_hash")):
        if space is None:
            moments.add(embedding)
            models |= models_of(table)
        tick(len(table))
        left = np.flatnonzero(~pc.is_in(table["object_id"], labelled).to_numpy())
        table, embedding = table.take(pa.array(left)), embedding[left]
        if head is not None and space is not None:
            p = head.probabilities(space.standard(embedding))
        else:
            p = np.stack([table[name].to_numpy() for name in names], 1)
        columns = {n: table[n].to_numpy() for n in ("mutual_information", "novelty") if n in table.column_names}
        narrow = table.select([n for n in ("object_id", "novelty") if n in table.column_names])
        for name, rows in best.items():
            rows.add(np.asarray(SCORES[name](p, columns, rng), np.float64), narrow, embedding, p)
    pools = [pool for pool in (rows.rows() for rows in best.values()) if pool is not None]
    if not pools:
        raise ValueError(f"{catalog.path}: nothing is left to label: no other object has an embedding")
    if space is None:
        require_one_model(models, catalog.path)
        space = moments.space()
    return pools, space


def _suggestions(
    pools: Sequence[Pool], strategy: Strategy, space: Space, classes: Sequence[str], n: int, seed: int
) -> pa.Table:
    """Return the suggestions: of the first pool and, in every fifth place, of the second if there is one."""
    rows: list[dict] = []
    if len(pools) > 1:
        rows = _rows(pools[1], n // NOVEL, STRATEGIES["novelty"], space, classes, seed)
    novel = {row["object_id"] for row in rows}
    more = [row for row in _rows(pools[0], n, strategy, space, classes, seed) if row["object_id"] not in novel]
    for place, row in enumerate(more):
        rows.insert(min(place + place // (NOVEL - 1), len(rows)), row)
    ranked = [{"rank": rank, "label": None, **row} for rank, row in enumerate(rows[:n], 1)]
    numbers = [(name, pa.float32()) for name in ("p_max", "entropy", "novelty") if name in ranked[0]]
    texts = [(name, pa.string()) for name in ("object_id", "label", "why", "class")]
    schema = pa.schema([("rank", pa.int32()), *texts, *numbers, ("alike", pa.int32())])
    return pa.Table.from_pylist(ranked, schema)


def _rows(pool: Pool, n: int, strategy: Strategy, space: Space, classes: Sequence[str], seed: int) -> list[dict]:
    """Return the suggestions of one pool."""
    chosen, alike = choose(pool.score, space.unit(pool.embedding), n, strategy.candidates, seed)
    table, rows = pool.table.take(pa.array(chosen)).to_pylist(), []
    for row, p, count in zip(table, pool.p[chosen].astype(np.float64), alike.tolist(), strict=True):
        first = int(p.argmax())
        row |= {"class": classes[first], "p_max": float(p[first]), "entropy": float(entropy(p)), "alike": count}
        rows.append(row | {"why": explain(p, classes, row.get("novelty"), count, strategy.score)})
    return rows


def explain(p: NDArray, classes: Sequence[str], novelty: float | None, alike: int, score: str) -> str:
    """Return the reasons why a score chose an object, in words.

    Examples
    --------
    >>> explain(np.array([0.48, 0.42, 0.1]), ("EA", "EB", "RRAB"), None, 12, "margin")
    'uncertain between EA and EB (0.48, 0.42); covers a group of 12 alike'
    """
    reasons = []
    order = np.argsort(-p, kind="stable")[:2]
    if score == "novelty" or (novelty is not None and novelty >= UNUSUAL):
        reasons.append("unlike the training set")
    if score in ("margin", "entropy", "mutual_information") and len(order) > 1:
        a, b = order
        reasons.append(f"uncertain between {classes[a]} and {classes[b]} ({p[a]:.2f}, {p[b]:.2f})")
    if score == "random" and alike == 1:
        reasons.append("drawn at random")
    if alike > 1:
        reasons.append(f"covers a group of {alike} alike")
    return "; ".join(reasons)
