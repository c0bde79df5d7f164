"""Calibration: maps from a network's logits to calibrated probabilities, and `Calibration`, all that a model stores.

Three maps of increasing freedom (Guo et al. 2017; Kull et al. 2019), all of one form, with l = log softmax(z):

    p = softmax(W l + b)

*temperature*: W = 1/T, b = 0, leaves the most probable class and corrects the confidence only; *vector*: W diagonal,
also corrects classes predicted too often, as after training with class weights; *dirichlet*: a full W, with a penalty
on its distance from a temperature. `choose_scaling` selects a freer map only if it is clearly better in
cross-validation.

Labels name one class, int (n,), or a set of classes, bool (n, C), see `goodricke.uncertainty.label_sets`.

A complete light curve is compared with complete ones of the validation set. A *stream* is classified after every
observation: its sets and novelty are compared with validation light curves cut to a similar length, in strata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp

from goodricke.uncertainty.label_sets import check_labels, class_counts, log_likelihood
from goodricke.uncertainty.novelty import Detector, Novelty
from goodricke.uncertainty.prediction_sets import Conformal

Kind = Literal["temperature", "vector", "dirichlet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PENALTY: dict[Kind, float] = {"vector": 1e-3, "dirichlet": 1e-2}  # on squared departures from a temperature
FOLDS = 5
FEWEST_PER_CLASS = 20  # validation objects per class, on average, below which only a temperature is fitted

Float = NDArray[np.floating]
Label = NDArray[np.integer] | NDArray[np.bool_]  # (n,) classes, or (n, C) sets of them


@dataclass(frozen=True, eq=False)
class Scaling:
    """A map from logits to calibrated probabilities.

    Parameters
    ----------
    kind : {"temperature", "vector", "dirichlet"}
    weight : float64 (C,) or (C, C)
        W; a vector is its diagonal.
    offset : float64 (C,)
        b.
    """

    kind: Kind
    weight: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def from_temperature(cls, temperature: float, classes: int) -> Scaling:
        """Return temperature scaling; a temperature of 1 gives the softmax of the logits."""
        return cls("temperature", np.full(classes, 1 / temperature), np.zeros(classes))

    @property
    def temperature(self) -> float | None:
        """The temperature T that divides the logits; None for the other kinds."""
        return float(1 / self.weight[0]) if self.kind == "temperature" else None

    def is_same_as(self, other: Scaling) -> bool:
        """Return whether another map gives the same probabilities, up to rounding."""
        pairs = (self.weight, other.weight), (self.offset, other.offset)
        return self.kind == other.kind and all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)

    def probabilities(self, logits: Float) -> NDArray[np.float64]:
        """Return the probabilities (..., C) of logits (..., C)."""
        z = np.asarray(logits, np.float64)
        if self.kind != "temperature":  # whose result doesn't depend on a constant added to all logits
            z = log_softmax(z, axis=-1)
        z = (z * self.weight if self.weight.ndim == 1 else z @ self.weight.T) + self.offset
        odds = np.exp(z - z.max(-1, keepdims=True))  # in a third of the time of scipy's softmax for one object
        return odds / odds.sum(-1, keepdims=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists for JSON."""
        return {"kind": self.kind, "weight": self.weight.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_dict(cls, content: dict[str, Any], classes: int) -> Scaling:
        """Return the map of a `to_dict`.

        Raises
        ------
        ValueError
            If the content is no map for this number of classes.
        """
        weight, offset = np.array(content["weight"], np.float64), np.array(content["offset"], np.float64)
        fits = weight.shape in ((classes,), (classes, classes)) and offset.shape == (classes,)
        if content["kind"] not in KINDS or not fits or not (np.isfinite(weight).all() and np.isfinite(offset).all()):
            raise ValueError(f"a scaling of {weight.shape} and {offset.shape} numbers for {classes} classes")
        return cls(content["kind"], weight, offset)


def fit_scaling(logits: Float, label: Label, kind: Kind = "temperature") -> Scaling:
    """Return the map that minimises the negative log-likelihood of validation objects.

    Parameters
    ----------
    logits : (S, n, C)
        Of S passes, whose probabilities are averaged: one pass without dropout, or Monte-Carlo passes.
    label : int (n,) or bool (n, C)
        Index of the true class, or the set that it is in: the loss is then -log of the summed probability of the set.
    kind : {"temperature", "vector", "dirichlet"}

    Raises
    ------
    ValueError
        If a set is empty.
    """
    classes = logits.shape[2]
    start = Scaling.from_temperature(fit_temperature(logits, label), classes)
    return start if kind == "temperature" else _refine(logits, label, kind, start)


def fit_temperature(logits: Float, label: Label) -> float:
    """Return the best temperature (Guo et al. 2017, section 4.2); see `fit_scaling`."""
    from scipy.optimize import minimize_scalar

    label = check_labels(label)

    def loss(log_temperature: float) -> float:
        likelihood = log_likelihood(log_softmax(logits / np.exp(log_temperature), axis=2), label)  # log, (S, n)
        return -float((logsumexp(likelihood, axis=0) - np.log(len(likelihood))).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _refine(logits: Float, label: Label, kind: Kind, start: Scaling) -> Scaling:
    """Return a map with more freedom than a temperature, fitted from it (Kull et al. 2019, section 4)."""
    import torch

    log_probabilities = torch.from_numpy(log_softmax(np.asarray(logits, np.float64), axis=2))  # (S, n, C)
    samples, classes = len(logits), logits.shape[2]
    member = np.eye(classes, dtype=bool)[label] if label.ndim == 1 else label
    outside = torch.from_numpy(~member)  # (n, C)
    weight = torch.from_numpy(start.weight.copy() if kind == "vector" else np.diag(start.weight))
    centre, offset = weight.clone(), torch.zeros(classes, dtype=torch.float64)
    weight.requires_grad_()
    offset.requires_grad_()
    search = torch.optim.LBFGS([weight, offset], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Any:
        search.zero_grad()
        scaled = log_probabilities * weight if kind == "vector" else log_probabilities @ weight.T
        inside = torch.log_softmax(scaled + offset, 2).masked_fill(outside, -torch.inf)
        fit = -(torch.logsumexp(inside, (0, 2)) - np.log(samples)).mean()
        total = fit + PENALTY[kind] * ((weight - centre).square().sum() + offset.square().sum()) / classes
        total.backward()
        return total

    search.step(loss)
    return Scaling(kind, weight.detach().numpy(), offset.detach().numpy())


def choose_scaling(
    logits: Float, label: Label, star: ArrayLike | None = None, kinds: Sequence[Kind] = KINDS
) -> tuple[Scaling, NDArray[np.float64]]:
    """Fit the freest map that is clearly better than the simpler ones, by cross-validation over stars.

    Parameters
    ----------
    logits, label
        See `fit_scaling`.
    star : (n,), optional
        Star of each object; the objects of one star are left out together.
    kinds : list
        To choose from, the simplest first.

    Returns
    -------
    Scaling
        Fitted to all objects.
    probabilities : (n, C)
        Mean over passes, of each object by a map of that kind fitted to other stars, for `Conformal`.

    Notes
    -----
    A freer map is selected if it lowers the negative log-likelihood in cross-validation by more than the standard
    error of the difference.
    """
    label = check_labels(label)
    star = np.arange(len(label)) if star is None else np.asarray(star)
    fold = folds_of(star)
    counts = class_counts(label, logits.shape[2])
    possible = (
        kinds if counts.all() and counts.mean() >= FEWEST_PER_CLASS else kinds[:1]
    )  # else an absent class would get no probability
    probabilities = {kind: _cross_validated(logits, label, fold, kind) for kind in possible}
    best = possible[0]
    for kind in possible[1:]:
        gain = log_likelihood(np.log(probabilities[kind]), label) - log_likelihood(np.log(probabilities[best]), label)
        star_gain = np.bincount(np.unique(star, return_inverse=True)[1], gain)
        if star_gain.mean() > star_gain.std(ddof=1) / np.sqrt(len(star_gain)):
            best = kind
    return fit_scaling(logits, label, best), probabilities[best]


def folds_of(star: NDArray) -> NDArray[np.int64]:
    """Return the fold of each object, of `FOLDS`, those of one star in one fold."""
    _, number = np.unique(star, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(number.max(initial=0) + 1)
    return cast(NDArray[np.int64], shuffled[number] % FOLDS)


def _cross_validated(logits: Float, label: Label, fold: NDArray[np.int64], kind: Kind) -> NDArray[np.float64]:
    """Return probabilities (n, C) of objects, each by a map fitted to the other folds."""
    result = np.empty(logits.shape[1:], np.float64)
    for k in np.unique(fold):
        validation, training = fold == k, fold != k
        scaling = (
            fit_scaling(logits[:, training], label[training], kind)
            if training.any()
            else fit_scaling(logits, label, kind)
        )
        result[validation] = scaling.probabilities(logits[:, validation]).mean(0)
    return np.maximum(result, np.finfo(np.float64).tiny)


def calibration_error(probabilities: Float, label: NDArray[np.integer], bins: int = 15) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy over equal-width confidence bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == label
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, confidence - right, bins)
    return float(np.abs(gap).sum() / len(label))


# ---- the calibration of a model, and its files -----------------------------------------------------------------------


Mode = Literal["one_pass", "monte_carlo", "stream"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of a model: maps to probabilities, and references for prediction sets and novelty.

    Parameters
    ----------
    one_pass, monte_carlo : Scaling
        For the logits of one pass, and of each of several Monte-Carlo passes.
    sets : dict of Conformal
        By mode; empty if not fitted.
    novelty : dict of Novelty
        By mode; Monte-Carlo passes use that of one pass.
    """

    one_pass: Scaling
    monte_carlo: Scaling
    sets: Mapping[Mode, Conformal] = field(default_factory=dict)
    novelty: Mapping[Mode, Novelty] = field(default_factory=dict)

    @classmethod
    def identity(cls, classes: int) -> Calibration:
        """Return the calibration whose probabilities are the softmax of the logits, without sets and novelty."""
        softmax = Scaling.from_temperature(1.0, classes)
        return cls(softmax, softmax)

    def scaling(self, mode: Mode) -> Scaling:
        """Return the map of a mode; a stream uses that of one pass."""
        return self.monte_carlo if mode == "monte_carlo" else self.one_pass

    def write(self, folder: Path) -> None:
        """Write ``calibration.json`` and, if there are sets or novelty, ``calibration.safetensors``."""
        from safetensors.numpy import save

        detector = next((novelty.detector for novelty in self.novelty.values()), None)
        content: dict[str, Any] = {"one_pass": self.one_pass.to_dict(), "monte_carlo": self.monte_carlo.to_dict()}
        content["novelty"] = None if detector is None else detector.kind
        content["modes"] = {"sets": sorted(self.sets), "novelty": sorted(self.novelty)}
        (folder / "calibration.json").write_text(json.dumps(content) + "\n")
        arrays = {} if detector is None else {f"detector.{name}": x for name, x in detector.arrays.items()}
        for kind, references in (("sets", self.sets), ("novelty", self.novelty)):
            for mode, reference in references.items():
                names = ("score", "stratum", "edges", *(("confidence", "label", "weight") if kind == "sets" else ()))
                arrays |= {f"{kind}.{mode}.{name}": np.ascontiguousarray(getattr(reference, name)) for name in names}
        path = folder / "calibration.safetensors"
        path.unlink(missing_ok=True)
        if arrays:
            path.write_bytes(save(arrays))  # safetensors' save_file makes a file that only its owner can read

    @classmethod
    def read(cls, folder: Path, classes: int) -> Calibration:
        """Return the calibration of a model's folder.

        Raises
        ------
        ValueError
            If it is damaged or of another model.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            content = json.loads((folder / "calibration.json").read_text())
            path = folder / "calibration.safetensors"
            return cls._from_content(content, load_file(path) if path.exists() else {}, classes)
        except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ValueError(f"{folder}: its calibration is damaged ({why}). Fix: copy the folder again") from error

    @classmethod
    def _from_content(cls, content: dict[str, Any], arrays: dict[str, NDArray], classes: int) -> Calibration:
        one_pass, monte_carlo = (Scaling.from_dict(content[mode], classes) for mode in ("one_pass", "monte_carlo"))
        modes, detector = content["modes"], Detector(content["novelty"], _strip_prefix("detector.", arrays))
        sets = {m: Conformal(**_strip_prefix(f"sets.{m}.", arrays), classes=classes) for m in modes["sets"]}
        novelty = {m: Novelty(detector, **_strip_prefix(f"novelty.{m}.", arrays)) for m in modes["novelty"]}
        return cls(one_pass, monte_carlo, sets, novelty)


def _strip_prefix(prefix: str, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the arrays whose names begin with ``prefix``, under the remaining names."""
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
