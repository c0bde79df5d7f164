"""How much faster one learns from the objects of ``goodricke suggest`` than from objects drawn at random.

::

    python -m benchmarks.labelling P --labelled P --label label -n 25 --rounds 11 --out DIR

P is the ``.parquet`` of predictions of labelled objects that the model was not trained on. Labelling is simulated: a
third of the objects is held out; of the others a first batch, drawn at random, is labelled; then in each round a
logistic regression is fitted to the embeddings of the labelled objects, and a strategy chooses the next batch by its
probabilities, as ``goodricke suggest --labelled`` does. All strategies start from the same first batch, with each of
several seeds. The result is the mean difference from random choice and its 95 % interval (Student's t) over the seeds:
it shows how much the draws matter, not how much the held-out objects do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from goodricke.data.files import atomic_write
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.scores import confusion_figures
from goodricke.survey.embeddings import Space, blocks, open_embedded
from goodricke.survey.suggest import SCORES, STRATEGIES, LabelHead, choose, read_known_labels

FEWEST = 10  # objects of a class, below which it is left out
HELD_OUT = 1 / 3
FIGURES = ("accuracy", "macro_f1")
RANDOM = "random"

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Labelled(NamedTuple):
    """Objects with embedding and class, and the columns that strategies go by."""

    embedding: NDArray[np.float32]  # (n, d)
    label: NDArray[np.str_]  # (n,)
    columns: dict[str, NDArray]  # each (n,)


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """Scores of each strategy by the number of labels.

    Parameters
    ----------
    strategies : tuple of str (S,)
        The last is random choice.
    labels : int64 (rounds,)
        How many objects have been labelled.
    scores : dict of (S, seeds, rounds)
        Accuracy and macro F1 on the held-out objects.
    all_labels : dict of float
        The same with the labels of the whole pool.
    pool, held_out, classes : int
        Objects to choose from, held-out objects, classes.
    """

    strategies: tuple[str, ...]
    labels: Int
    scores: dict[str, Float]
    all_labels: dict[str, float]
    pool: int
    held_out: int
    classes: int

    def gain(self, figure: str, strategy: str, last: bool = False) -> Estimate:
        """Return the paired difference from random choice: mean of the rounds after the first, or in the last one."""
        both = self.scores[figure][[self.strategies.index(strategy), self.strategies.index(RANDOM)]]
        kept = both[..., -1] if last else both[..., 1:].mean(-1)
        return _interval(kept[0] - kept[1])

    def labels_saved(self, figure: str, strategy: str) -> float:
        """Return how many of random choice's labels the strategy takes to be as good as that at its end (mean curve).

        Infinite if it never is.
        """
        mean = self.scores[figure].mean(1)
        goal = mean[self.strategies.index(RANDOM), -1]
        there = np.flatnonzero(mean[self.strategies.index(strategy)] >= goal)
        return float(self.labels[there[0]]) if len(there) else np.inf

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON."""
        numbers = {k: getattr(self, k) for k in ("pool", "held_out", "classes", "all_labels")}
        curves = {n: {f: self.scores[f][i].tolist() for f in FIGURES} for i, n in enumerate(self.strategies)}
        gains = {n: {f: self.gain(f, n).to_dict() for f in FIGURES} for n in self.strategies if n != RANDOM}
        return {**numbers, "labels": self.labels.tolist(), "scores": curves, "gain over random": gains}

    def to_table(self) -> Table:
        """Return a table for the terminal."""
        title = f"{self.pool:,} objects to choose from, {self.held_out:,} held out, {self.classes} classes; "
        title += f"{self.labels[0]} to {self.labels[-1]} labels, {self.scores['accuracy'].shape[1]} seeds"
        table = Table(title=title, title_justify="left")
        for name in ("strategy", "accuracy at the end", "macro F1 at the end", "gain in accuracy", "gain in macro F1"):
            table.add_column(name)
        table.add_column("labels for random's final macro F1", justify="right")
        for i, name in enumerate(self.strategies):
            ends = [f"{self.scores[f][i, :, -1].mean():.3f}" for f in FIGURES]
            gains = ["", ""] if name == RANDOM else [self.gain(f, name).text("+.3f") for f in FIGURES]
            saved = self.labels_saved("macro_f1", name)
            table.add_row(name, *ends, *gains, f"{saved:.0f}" if np.isfinite(saved) else "more")
        table.add_row("(all labels)", *(f"{self.all_labels[f]:.3f}" for f in FIGURES), "", "", f"{self.pool}")
        return table

    def write(self, folder: Path) -> None:
        """Write ``labelling.json`` and ``labelling.png`` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / "labelling.json", json.dumps(self.to_dict(), indent=1) + "\n")
        self.plot(folder / "labelling.png")

    def plot(self, path: Path) -> None:
        """Draw the learning curves: mean over the seeds, and the spread of random choice."""
        from goodricke.evaluation.figures.style import COLOURS, GREY, PALE, canvas, despine, label_ends

        with canvas(path, 10, 3.8) as figure:
            for k, name in enumerate(FIGURES):
                axes, ends = despine(figure.add_subplot(1, 2, k + 1)), []
                for i, strategy in enumerate(self.strategies):
                    colour = GREY if strategy == RANDOM else COLOURS[i % len(COLOURS)]
                    curves = self.scores[name][i]
                    if strategy == RANDOM:
                        axes.fill_between(self.labels, curves.min(0), curves.max(0), color=PALE, alpha=0.5, lw=0)
                    axes.plot(self.labels, curves.mean(0), color=colour, lw=1.3)
                    ends.append((float(curves.mean(0)[-1]), strategy, colour))
                axes.axhline(self.all_labels[name], color=GREY, lw=0.6, ls=":")
                ends.append((self.all_labels[name], "all labels", GREY))
                axes.set(xlabel="labelled objects", xlim=(self.labels[0], self.labels[-1]))
                axes.set(ylabel=f"{name.replace('_f1', ' F1')} on held-out objects")
                figure.draw_without_rendering()
                label_ends(axes, ends)


def simulate_labelling(
    catalog: str | Path,
    known: Mapping[str, str],
    n: int = 50,
    rounds: int = 10,
    seeds: int = 10,
    strategies: Sequence[str] | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> LearningCurves:
    """Simulate labelling; see the module.

    Parameters
    ----------
    catalog : path or str
        As for `suggest`. Its model must not have been trained on these objects.
    known : mapping
        Classes of objects by id; classes of fewer than 10 are left out.
    n : int
        Objects labelled in a round.
    rounds : int
        After the first batch.
    seeds : int
    strategies : sequence of str, optional
        Of `STRATEGIES`; all that the catalog has the columns for.
    tick : callable
        Gets 1 after each run.

    Raises
    ------
    ValueError
        If there are too few labels.
    """
    data = read_embedded(catalog, known)
    possible = [name for name, way in STRATEGIES.items() if _is_possible(way.score, data)]
    names = [*(s for s in strategies or possible if s != RANDOM), RANDOM]
    if unknown := set(names) - set(possible):
        raise ValueError(f"{catalog}: can't simulate {', '.join(sorted(unknown))}; there are {', '.join(possible)}")
    held, pool = held_out(data.label)
    if len(pool) < 2 * n or len(np.unique(data.label)) < 2:
        raise ValueError(
            f"{catalog}: {len(data.label)} labelled objects in classes of {FEWEST} or more: too few for batches of "
            f"{n}; take a smaller -n, or give more labels"
        )
    rounds = min(rounds, (len(pool) - 1) // n - 1)
    space = Space.fit([data.embedding])
    simulation = _Simulation(space.standard(data.embedding), space.unit(data.embedding), data, pool, held)
    runs = np.empty((2, len(names), seeds, rounds + 1))
    for seed in range(seeds):
        for i, name in enumerate(names):
            runs[:, i, seed] = simulation.run(name, n, rounds, seed).T
            tick(1)
    all_labels = dict(zip(FIGURES, simulation.scores(pool), strict=True))
    scores = dict(zip(FIGURES, runs, strict=True))
    classes = len(np.unique(data.label))
    return LearningCurves(tuple(names), n * np.arange(1, rounds + 2), scores, all_labels, len(pool), len(held), classes)


def read_embedded(catalog: str | Path, known: Mapping[str, str]) -> Labelled:
    """Read embeddings of labelled objects, of an object with several light curves the first one's."""
    names, seen = pa.array(list(known), pa.string()), set[str]()
    embeddings, labels, columns = list[NDArray](), list[str](), dict[str, list[NDArray]]()
    for table, embedding in blocks(open_embedded(catalog), ("mutual_information", "novelty")):
        inside = pc.is_in(table["object_id"], names).to_numpy()
        ids = table["object_id"].to_pylist()
        rows = [i for i in np.flatnonzero(inside) if not (ids[i] in seen or seen.add(ids[i]))]  # type: ignore[func-returns-value]
        embeddings.append(embedding[rows])
        labels += [known[ids[i]] for i in rows]
        for name in table.column_names[1:]:
            columns.setdefault(name, []).append(table[name].to_numpy()[rows])
    if not labels:
        raise ValueError(f"{catalog}: has none of the {len(known)} labelled objects; give labels of its objects")
    label = np.array(labels)
    _, code, count = np.unique(label, return_inverse=True, return_counts=True)
    kept = count[code] >= FEWEST
    whole = {name: np.concatenate(parts)[kept] for name, parts in columns.items()}
    return Labelled(np.concatenate(embeddings)[kept], label[kept], whole)


def held_out(label: NDArray[np.str_], seed: int = 0) -> tuple[Int, Int]:
    """Return the rows of the held-out third, of each class a third, and the other rows."""
    rng, held = np.random.default_rng(seed), []
    for name in np.unique(label):
        rows = rng.permutation(np.flatnonzero(label == name))
        held.append(rows[: round(HELD_OUT * len(rows))])
    chosen = np.sort(np.concatenate(held)) if held else np.zeros(0, np.int64)
    return chosen, np.setdiff1d(np.arange(len(label)), chosen)


def _is_possible(score: str, data: Labelled) -> bool:
    needed = score in ("mutual_information", "novelty")
    return not needed or (score in data.columns and bool(np.isfinite(data.columns[score]).all()))


class _Simulation(NamedTuple):
    """Embeddings standardised (n, d) and as unit vectors, and the rows of the pool and of the held-out objects."""

    z: NDArray[np.float32]
    unit: NDArray[np.float32]
    data: Labelled
    pool: Int
    held: Int

    def run(self, name: str, n: int, rounds: int, seed: int) -> Float:
        """Return accuracy and macro F1 after each round, (rounds + 1, 2)."""
        way, rng = STRATEGIES[name], np.random.default_rng(seed)
        left = rng.permutation(self.pool)
        labelled, left = left[:n], left[n:]  # the same for all strategies
        result = np.empty((rounds + 1, 2))
        for k in range(rounds + 1):
            head = LabelHead(self.z[labelled], self.data.label[labelled])
            result[k] = self._held(head)
            columns = {c: x[left] for c, x in self.data.columns.items()}
            p = head.probabilities(self.z[left])
            score = SCORES[way.score](p, columns, rng)
            chosen, _ = choose(np.asarray(score, np.float64), self.unit[left], n, way.candidates, seed)
            labelled, left = np.r_[labelled, left[chosen]], np.delete(left, chosen)
        return result

    def scores(self, labelled: Int) -> tuple[float, float]:
        """Return accuracy and macro F1 on the held-out objects with these labels."""
        return self._held(LabelHead(self.z[labelled], self.data.label[labelled]))

    def _held(self, head: LabelHead) -> tuple[float, float]:
        classes, truth = np.unique(self.data.label[self.held], return_inverse=True)
        answer = np.array(head.classes)[head.probabilities(self.z[self.held]).argmax(1)]
        place = np.searchsorted(classes, answer)
        confusion = np.zeros((len(classes),) * 2)
        np.add.at(confusion, (truth, place), 1)
        figures = confusion_figures(confusion)
        return float(figures["accuracy"]), float(figures["macro_f1"])


def _interval(differences: Float) -> Estimate:
    """Return the mean of paired differences and its 95 % interval."""
    from scipy.stats import t

    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return Estimate(mean, np.nan, np.nan)
    half = float(t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    return Estimate(mean, mean - half, mean + half)


def main(
    predictions: Path,
    labelled: Annotated[list[Path], typer.Option()],
    label: str | None = None,
    n: Annotated[int, typer.Option("-n")] = 50,
    rounds: int = 9,
    seeds: int = 10,
    out: Path | None = None,
) -> None:
    """Print how strategies compare; write labelling.json and labelling.png to --out."""
    curves = simulate_labelling(predictions, read_known_labels(labelled, label), n, rounds, seeds)
    Console().print(curves.to_table())
    if out is not None:
        curves.write(out)


if __name__ == "__main__":
    typer.run(main)
