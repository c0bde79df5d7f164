"""A model of dense light curves on real stars of known class, which simulations can't replace.

Each light curve is answered three times: from its first piece as long as the training light curves (one sector), from
all its pieces, combined as `goodricke.models.pieces` says, and whole. The scores go into the model's card, before
those of simulated light curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.predictions import Output
from goodricke.evaluation.card import REAL_STARS, stored_card
from goodricke.evaluation.intervals import Estimate, proportion
from goodricke.evaluation.sample import Sample
from goodricke.evaluation.scores import Scores, score
from goodricke.inference import compute_output
from goodricke.models.bundle import Model
from goodricke.models.pieces import combine, cut, training_span
from goodricke.preprocess import Frames, prepare
from goodricke.preprocess.dense_periods import answer_periods

FIRST, COMBINED, WHOLE = "first piece", "pieces combined", "whole"
CONFIDENT, NOVEL = 0.9, 0.99  # p above which a wrong class is a confident one, and novelty above which it is excused
TOLERANCE = 0.005  # relative, of a period against the catalog's
MULTIPLES = (1.0, 0.5, 2.0)


@dataclass(frozen=True, eq=False)
class RealStarScores:
    """Scores of one way to answer n real stars.

    Parameters
    ----------
    scores : Scores
        Of the m stars that were answered, of classes that the model knows.
    unanswered : int
        Stars whose light curve can't be classified.
    coverage : Estimate
        Fraction of 90 % sets that hold the true class.
    set_size : float
        Classes in a set, on average.
    novel : Estimate
        Fraction with a novelty above 0.99; all are of known classes, so 0.01 is nominal.
    confident_wrong : Estimate
        Fraction with a wrong class of p > 0.9 that isn't novel.
    periods : dict of Estimate
        Of stars with a catalog period: fractions of periods within 0.5 % of it, and of it, its half or its double.
    """

    scores: Scores
    unanswered: int
    coverage: Estimate | None
    set_size: float
    novel: Estimate | None
    confident_wrong: Estimate
    periods: Mapping[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain data, for ``config.json``."""
        estimates = {"coverage": self.coverage, "novel": self.novel, "confident_wrong": self.confident_wrong}
        values = {name: None if x is None else x.to_dict() for name, x in (estimates | dict(self.periods)).items()}
        record = self.scores.to_dict()
        headline = {name: record["headline"][name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
        per_class = {name: x for name, x in record["per_class"].items() if x["n"]}
        counts = {"n": record["n"], "stars": self.scores.stars, "unanswered": self.unanswered}
        size = None if np.isnan(self.set_size) else self.set_size
        return counts | headline | values | {"set_size": size, "per_class": per_class}


def score_real_stars(
    model: Model,
    sample: Sample,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    tick: Callable[[int], None] = lambda light_curves: None,
) -> dict[str, RealStarScores]:
    """Return the scores of a model on labelled real stars, by the way to answer; see the module.

    Parameters
    ----------
    model : Model
        Of dense light curves.
    sample : Sample
        See `goodricke.evaluation.sample.read_sample`; objects of classes that the model doesn't know are left out.
    passes, seed, workers, tick
        As in `goodricke.classify`.

    Raises
    ------
    ValueError
        If no object has a class of the model, or it isn't one of dense light curves.
    """
    known = np.isin(sample.label.astype(str), model.classes)
    if not known.any():
        raise ValueError(f"{sample.origin}: no label is a class of {model.name} ({', '.join(model.classes)})")
    curves, rows = sample.curves[np.flatnonzero(known)], np.flatnonzero(known)
    label = np.array([model.classes.index(name) for name in sample.label[rows]])
    period = None if sample.period is None else sample.period[rows]
    pieces, owner = cut(curves, training_span(model))
    frames, whole = (prepare(x, model.preprocessing, workers) for x in (pieces, curves))
    assert isinstance(frames, Frames)
    assert isinstance(whole, Frames)
    of_pieces = compute_output(model, frames, passes, seed, tick)
    first = np.unique(owner, return_index=True)[1]
    answers = {
        FIRST: (of_pieces.take(first), frames.take(first)),
        COMBINED: (combine(model, of_pieces, owner, len(curves), frames.n_points), whole),
        WHOLE: (compute_output(model, whole, passes, seed, tick), whole),
    }
    return {
        name: _score(model, output, prepared, label, sample.star[rows], period)
        for name, (output, prepared) in answers.items()
    }


def _score(
    model: Model,
    output: Output,
    prepared: Frames,
    label: NDArray[np.int64],
    star: NDArray,
    period: NDArray[np.float64] | None,
) -> RealStarScores:
    """Return the scores of one way to answer."""
    rows = np.flatnonzero(np.isfinite(output.probabilities).all(1))
    p, truth = output.probabilities[rows], label[rows]
    member = None if output.prediction_set is None else output.prediction_set[rows]
    novelty = None if output.novelty is None else output.novelty[rows]
    novel = np.zeros(len(rows), bool) if novelty is None else novelty > NOVEL
    wrong = (p.argmax(1) != truth) & (p.max(1) > CONFIDENT) & ~novel
    answered = answer_periods(prepared, output.probabilities, model.classes, model.preprocessing)  # type: ignore[arg-type]
    return RealStarScores(
        score(truth, p, model.classes, star[rows]),
        len(label) - len(rows),
        None if member is None else proportion(member[np.arange(len(rows)), truth]),
        np.nan if member is None else float(member.sum(1).mean()),
        None if novelty is None else proportion(novel),
        proportion(wrong),
        {} if period is None else _period_agreement(answered.period[rows], period[rows]),
    )


def _period_agreement(answered: NDArray[np.floating], catalog: NDArray[np.float64]) -> dict[str, Estimate]:
    """Return the fractions of the catalog's periods that were found, and up to a factor of two."""
    rows = np.flatnonzero(np.isfinite(catalog))
    if not len(rows):
        return {}
    ratio = answered[rows, None] / (catalog[rows, None] * np.array(MULTIPLES))
    right = np.abs(ratio - 1) < TOLERANCE
    return {"period": proportion(right[:, 0]), "period_multiple": proportion(right.any(1))}


def with_real_stars(
    model: Model, results: Mapping[str, RealStarScores], source: str, passes: int = 0, note: str = ""
) -> Model:
    """Return a model whose card has the scores on real stars; `Model.save` with `render_card` writes it.

    Parameters
    ----------
    model : Model
    results : dict of RealStarScores
        See `score_real_stars`.
    source : str
        What the stars are.
    passes : int
    note : str
        Markdown below the scores: what they are to be compared with, whether the stars had a part in the training.
    """
    record: dict[str, Any] = {"source": source, "days": training_span(model), "passes": passes, "note": note}
    record |= {"ways": {k: x.to_dict() for k, x in results.items()}}
    card = stored_card(model) | {REAL_STARS: record}
    return replace(model, config=model.config.model_copy(update={"metrics": model.config.metrics | {"card": card}}))
