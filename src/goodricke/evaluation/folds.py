"""Several models, one per fold, on one test set: medians and quartiles (Becker et al. 2025, section 5, seven folds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.evaluation.regression import FIGURES, RegressionScores
from goodricke.evaluation.scores import Scores

if TYPE_CHECKING:
    from rich.table import Table

QUARTILES = (50, 25, 75)  # percentiles, in the order of `Quartiles`
HEADLINE = {"accuracy": "accuracy", "macro_recall": "macro recall", "macro_f1": "macro F1"}


class Quartiles(NamedTuple):
    """Median, 25th and 75th percentile over folds."""

    median: float
    low: float
    high: float

    @classmethod
    def from_values(cls, values: ArrayLike) -> Quartiles:
        """Return those of one figure per fold (F,), linearly interpolated; NaN if one is NaN."""
        return cls(*map(float, np.percentile(np.asarray(values, np.float64), QUARTILES)))

    def __str__(self) -> str:
        return "-" if np.isnan(self.median) else f"{self.median:.3f} ({self.low:.3f}-{self.high:.3f})"

    def to_dict(self) -> dict[str, float | None]:
        """Return the numbers by name for JSON; NaN becomes None."""
        return {name: None if np.isnan(x) else x for name, x in self._asdict().items()}


@dataclass(frozen=True, eq=False)
class FoldSummary:
    """Scores of the models of several folds on one test set.

    Parameters
    ----------
    classes : tuple of str (C,)
    folds : int
    n : int64 (C,)
        Light curves of each class.
    accuracy, macro_recall, macro_f1 : Quartiles
    recall, f1 : tuple of Quartiles (C,)
    confusion : float64 (3, C, C)
        Median, 25th and 75th percentile of each cell of the confusion matrices, whose rows (true classes) are
        normalised to 1. The median's rows need not add up to 1: its cells come from different models.

    Notes
    -----
    The spread is that of training and split; the test set is the same, so the sampling of its stars is not in it. For
    that, see the intervals of each fold's `Scores`. A class without a light curve is NaN throughout.
    """

    classes: tuple[str, ...]
    folds: int
    n: NDArray[np.int64]
    accuracy: Quartiles
    macro_recall: Quartiles
    macro_f1: Quartiles
    recall: tuple[Quartiles, ...]
    f1: tuple[Quartiles, ...]
    confusion: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists and numbers for JSON; NaN becomes None."""
        cells = self.confusion.astype(object)
        cells[np.isnan(self.confusion)] = None
        rows = zip(self.classes, self.n, self.recall, self.f1, strict=True)
        return {
            "folds": self.folds,
            "n": int(self.n.sum()),
            "headline": {name: getattr(self, name).to_dict() for name in HEADLINE},
            "per_class": {
                name: {"n": int(n), "recall": recall.to_dict(), "f1": f1.to_dict()} for name, n, recall, f1 in rows
            },
            "classes": list(self.classes),
            "confusion": dict(zip(Quartiles._fields, cells.tolist(), strict=True)),
        }

    def table(self) -> Table:
        """Return recall and F1 of each class, and the headline figures, as a rich table for the terminal."""
        from rich.table import Table
        from rich.text import Text

        result = Table(title=f"{self.n.sum()} light curves, {self.folds} models: median (25th-75th percentile)")
        for name in ("class", "light curves", "recall", "F1"):
            result.add_column(name, justify="left" if name == "class" else "right")
        for name, n, *figures in zip(self.classes, self.n, self.recall, self.f1, strict=True):
            result.add_row(Text(name), str(n), *map(str, figures))  # Text: square brackets are markup otherwise
        result.add_section()
        result.add_row("mean of classes", str(self.n.sum()), str(self.macro_recall), str(self.macro_f1))
        result.add_row("accuracy", "", str(self.accuracy), "")
        return result


def summarise_folds(scores: Sequence[Scores]) -> FoldSummary:
    """Summarise the scores of several models on one test set, as section 5 of Becker et al. (2025) does.

    Parameters
    ----------
    scores : list of Scores (F,)
        One per fold, of the same light curves.

    Raises
    ------
    ValueError
        If there are none, or they differ in classes or in the number of light curves of a class.
    """
    if not scores:
        raise ValueError("no scores to summarise: give those of one model at least")
    first = scores[0]
    for i, other in enumerate(scores):
        if other.classes != first.classes or not np.array_equal(other.n, first.n):
            raise ValueError(f"fold {i} was scored on other classes or light curves than fold 0; use one test set")
    confusion = np.stack([s.confusion for s in scores])  # (F, C, C)
    with np.errstate(invalid="ignore"):
        cells = np.percentile(confusion / confusion.sum(2, keepdims=True), QUARTILES, axis=0)
    return FoldSummary(
        first.classes,
        len(scores),
        first.n,
        accuracy=Quartiles.from_values([s.accuracy.value for s in scores]),
        macro_recall=Quartiles.from_values([s.balanced_accuracy.value for s in scores]),
        macro_f1=Quartiles.from_values([s.macro_f1.value for s in scores]),
        recall=_per_class([[figure.value for figure in s.recall] for s in scores]),
        f1=_per_class([[figure.value for figure in s.f1] for s in scores]),
        confusion=cells,
    )


def regression_across_folds(scores: Sequence[RegressionScores]) -> dict[str, Quartiles]:
    """Return the quartiles over folds of ``r2``, ``rmse``, ``mape`` and ``mae``: Tables 8-10 of Becker et al. (2025).

    Raises
    ------
    ValueError
        If there are none, or they are of different numbers of light curves.
    """
    if not scores or len({s.n for s in scores}) > 1:
        raise ValueError(f"need scores on one test set, not on sets of {[s.n for s in scores]} light curves")
    return {name: Quartiles.from_values([getattr(s, name).value for s in scores]) for name in FIGURES}


def _per_class(values: list[list[float]]) -> tuple[Quartiles, ...]:
    """Return the quartiles of each class from the figures of each fold (F, C)."""
    return tuple(Quartiles.from_values(column) for column in zip(*values, strict=True))
