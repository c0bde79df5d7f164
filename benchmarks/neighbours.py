"""How many of an object's k nearest neighbours in the space of embeddings are of its own class.

::

    python -m benchmarks.neighbours P --labels P --label label

P is the ``.parquet`` of predictions of labelled objects that the model was not trained on. Each object is left out of
its own neighbours. For comparison the table has the share of k objects drawn at random (chance) and of other distances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.labelling import read_embedded
from goodricke.evaluation.intervals import Estimate, bootstrap_sums, percentile_interval
from goodricke.survey.embeddings import Space
from goodricke.survey.suggest import read_known_labels

MOST = 20_000  # objects compared, drawn at random from more
AT_ONCE = 500
RESAMPLES = 1000
USED = "cosine, standardised"

Float = NDArray[np.float64]


def _unit(x: Float) -> Float:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-30)


def _whitened(x: Float, shrink: float) -> Float:
    """Return embeddings whitened with a covariance C shrunk to (1 - s) C + s tr(C) / d."""
    variance, axes = np.linalg.eigh(np.cov(x.T))
    variance = (1 - shrink) * variance + shrink * variance.mean()
    return (x - x.mean(0)) @ (axes / np.sqrt(np.maximum(variance, 1e-12)))


MEASURES: dict[str, Callable[[Float, Space], Float]] = {
    USED: lambda x, space: space.unit(x).astype(np.float64),
    "cosine": lambda x, space: _unit(x),
    "cosine, whitened (shrunk by 0.1)": lambda x, space: _unit(_whitened(x, 0.1)),
    "Euclidean": lambda x, space: x,
    "Euclidean, standardised": lambda x, space: space.standard(x).astype(np.float64),
    "Euclidean, whitened (shrunk by 0.1)": lambda x, space: _whitened(x, 0.1),
    "Euclidean, whitened": lambda x, space: _whitened(x, 0.0),
    "drawn at random": lambda x, space: np.random.default_rng(0).normal(size=x.shape),
}


@dataclass(frozen=True, eq=False)
class Purity:
    """Shares of neighbours of an object's own class.

    Parameters
    ----------
    k, objects, classes : int
    chance : float
        Expected of k objects drawn at random.
    share : dict of Estimate
        For each measure of distance, mean over objects with its 95 % bootstrap interval.
    macro : dict of Estimate
        Mean over classes of the mean over their objects.
    """

    k: int
    objects: int
    classes: int
    chance: float
    share: dict[str, Estimate]
    macro: dict[str, Estimate]

    def to_table(self) -> Table:
        """Return a table for the terminal."""
        title = f"{self.objects:,} objects of {self.classes} classes: how many of the {self.k} nearest are of the same"
        table = Table(title=title, title_justify="left")
        for name in ("distance", "share", "mean over classes"):
            table.add_column(name)
        for name, share in self.share.items():
            mark = " (used)" if name == USED else ""
            table.add_row(name + mark, share.text(), self.macro[name].text())
        table.add_row("chance", f"{self.chance:.3f}", f"{1 / self.classes:.3f}")
        return table


def neighbour_purity(catalog: str | Path, known: Mapping[str, str], k: int = 10, seed: int = 0) -> Purity:
    """Measure how pure neighbourhoods are.

    Parameters
    ----------
    catalog : path or str
        As for `goodricke.similar`. Its model should not have been trained on these objects.
    known : mapping
        Classes of objects by id; classes of fewer than 10 objects are left out.
    k : int
    seed : int
        Of the draw of 20,000 objects, if there are more.

    Raises
    ------
    ValueError
        If there are no more than k objects.
    """
    data = read_embedded(catalog, known)
    n = len(data.label)
    if n <= k:
        raise ValueError(f"{catalog}: {n} objects with a label and an embedding, in classes of 10 or more: too few")
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[:MOST])
    x = data.embedding[drawn].astype(np.float64)
    classes, code, count = np.unique(data.label[drawn], return_inverse=True, return_counts=True)
    space, n = Space.fit([x]), len(drawn)
    own = {name: _own(measure(x, space), code, k) for name, measure in MEASURES.items()}
    shares = {name: _estimates(hits, code, len(classes)) for name, hits in own.items()}
    chance = float((count * (count - 1.0)).sum() / (n * (n - 1.0)))
    share, macro = ({name: both[i] for name, both in shares.items()} for i in (0, 1))
    return Purity(k, n, len(classes), chance, share, macro)


def _own(x: Float, code: NDArray[np.int64], k: int) -> Float:
    """Return the share of each object's k nearest that are of its class, (n,)."""
    return np.concatenate([(code[near] == code[rows][:, None]).mean(1) for rows, near in _nearest(x, k)])


def _nearest(x: Float, k: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Give some rows at a time, and the k others nearest to each."""
    squares = np.square(x).sum(1)
    for first in range(0, len(x), AT_ONCE):
        rows = np.arange(first, min(first + AT_ONCE, len(x)))
        distance = squares - 2 * x[rows] @ x.T
        distance[np.arange(len(rows)), rows] = np.inf
        yield rows, np.argpartition(distance, k - 1, axis=1)[:, :k]


def _estimates(own: Float, code: NDArray[np.int64], classes: int) -> tuple[Estimate, Estimate]:
    """Return the mean over objects and that over classes, with intervals from resampling objects."""
    sums = np.zeros((len(own), 2 * classes))
    sums[np.arange(len(own)), code], sums[np.arange(len(own)), classes + code] = own, 1

    def means(total: Float) -> Float:
        hits, n = total[:, :classes], total[:, classes:]
        with np.errstate(invalid="ignore"):
            return np.stack([hits.sum(1) / n.sum(1), np.nanmean(hits / n, axis=1)])

    value, samples = means(sums.sum(0, keepdims=True))[:, 0], means(bootstrap_sums(sums, RESAMPLES, 0))
    low, high = percentile_interval(samples.T)
    return Estimate(*map(float, (value[0], low[0], high[0]))), Estimate(*map(float, (value[1], low[1], high[1])))


def main(
    predictions: Path, labels: Annotated[list[Path], typer.Option()], label: str | None = None, k: int = 10
) -> None:
    """Print the share of neighbours of the same class, for each distance."""
    Console().print(neighbour_purity(predictions, read_known_labels(labels, label), k).to_table())


if __name__ == "__main__":
    typer.run(main)
