"""Calibration: from a network's logits to probabilities that mean what they say.

Three maps of growing freedom (Guo et al. 2017; Kull et al. 2019), all of one form, with l = log softmax(z):

    p = softmax(W l + b)

*temperature*: W = 1/T, b = 0, keeps every answer and fixes confidence only; *vector*: W diagonal, also fixes classes
that are named too often, which a loss with class weights brings about; *dirichlet*: all of W, with a penalty on its
distance from a temperature. `choose_scaling` takes the freer one only where it is clearly better on left-out objects.

`Calibration`: what a model has learned from validation objects about its own answers, and the files it is kept in.

Whole light curves are held against whole ones of the validation set. A *stream* answers after every observation: its
sets and novelty are held against validation light curves cut where it stands, stratum by stratum.
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

from goodricke.uncertainty.novelty import Detector, Novelty
from goodricke.uncertainty.prediction_sets import Conformal

Kind = Literal["temperature", "vector", "dirichlet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PENALTY: dict[Kind, float] = {"temperature": 0.0, "vector": 1e-3, "dirichlet": 1e-2}  # of departures, per object
FOLDS = 5
FEW = 20  # validation objects per class, on average, below which only a temperature is fitted

Float = NDArray[np.floating]


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
    def of_temperature(cls, temperature: float, classes: int) -> Scaling:
        """Return temperature scaling; a temperature of 1 leaves the softmax of the logits."""
        return cls("temperature", np.full(classes, 1 / temperature), np.zeros(classes))

    @property
    def temperature(self) -> float | None:
        """What the logits are divided by, None if there is more to the map than that."""
        return float(1 / self.weight[0]) if self.kind == "temperature" else None

    def like(self, other: Scaling) -> bool:
        """Return whether another map gives the same probabilities, but for rounding."""
        pairs = (self.weight, other.weight), (self.offset, other.offset)
        return self.kind == other.kind and all(np.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs)

    def probabilities(self, logits: Float) -> NDArray[np.float64]:
        """Return the probabilities (..., C) of logits (..., C)."""
        z = np.asarray(logits, np.float64)
        if self.kind != "temperature":  # which doesn't care for a constant added to all logits
            z = log_softmax(z, axis=-1)
        z = (z * self.weight if self.weight.ndim == 1 else z @ self.weight.T) + self.offset
        odds = np.exp(z - z.max(-1, keepdims=True))  # a third of the time of scipy's softmax for a single object
        return odds / odds.sum(-1, keepdims=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists for JSON."""
        return {"kind": self.kind, "weight": self.weight.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_dict(cls, kept: dict[str, Any], classes: int) -> Scaling:
        """Return what `to_dict` was made of.

        Raises
        ------
        ValueError
            If it is none, or for another number of classes.
        """
        weight, offset = np.array(kept["weight"], np.float64), np.array(kept["offset"], np.float64)
        fits = weight.shape in ((classes,), (classes, classes)) and offset.shape == (classes,)
        if kept["kind"] not in KINDS or not fits or not (np.isfinite(weight).all() and np.isfinite(offset).all()):
            raise ValueError(f"a scaling of {weight.shape} and {offset.shape} numbers for {classes} classes")
        return cls(kept["kind"], weight, offset)


def fit_scaling(logits: Float, label: NDArray[np.integer], kind: Kind = "temperature") -> Scaling:
    """Return the map that minimises the negative log-likelihood of validation objects.

    Parameters
    ----------
    logits : (S, n, C)
        Of S passes, whose mean probability is the answer; one pass without dropout, or Monte-Carlo passes.
    label : (n,)
        Index of the true class.
    kind : {"temperature", "vector", "dirichlet"}
    """
    classes = logits.shape[2]
    start = Scaling.of_temperature(fit_temperature(logits, label), classes)
    return start if kind == "temperature" else _refined(logits, label, kind, start)


def fit_temperature(logits: Float, label: NDArray[np.integer]) -> float:
    """Return the best temperature (Guo et al. 2017, section 4.2); see `fit_scaling`."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        each = log_softmax(logits / np.exp(log_temperature), axis=2)[:, rows, label]  # (S, n)
        return -float((logsumexp(each, axis=0) - np.log(len(each))).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def _refined(logits: Float, label: NDArray[np.integer], kind: Kind, start: Scaling) -> Scaling:
    """Return a map with more freedom than a temperature, fitted from there on (Kull et al. 2019, section 4)."""
    import torch

    known = torch.from_numpy(log_softmax(np.asarray(logits, np.float64), axis=2))  # (S, n, C)
    truth, samples, classes = torch.from_numpy(np.asarray(label, np.int64)), len(logits), logits.shape[2]
    weight = torch.from_numpy(start.weight.copy() if kind == "vector" else np.diag(start.weight))
    centre, offset = weight.clone(), torch.zeros(classes, dtype=torch.float64)
    weight.requires_grad_()
    offset.requires_grad_()
    search = torch.optim.LBFGS([weight, offset], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Any:
        search.zero_grad()
        scaled = known * weight if kind == "vector" else known @ weight.T
        each = torch.log_softmax(scaled + offset, 2)[:, torch.arange(len(truth)), truth]  # (S, n)
        fit = -(torch.logsumexp(each, 0) - np.log(samples)).mean()
        total = fit + PENALTY[kind] * ((weight - centre).square().sum() + offset.square().sum()) / classes
        total.backward()
        return total

    search.step(loss)
    return Scaling(kind, weight.detach().numpy(), offset.detach().numpy())


def choose_scaling(
    logits: Float, label: NDArray[np.integer], star: ArrayLike | None = None, kinds: Sequence[Kind] = KINDS
) -> tuple[Scaling, NDArray[np.float64]]:
    """Fit the freest map that is clearly better than simpler ones, by cross-validation over stars.

    Parameters
    ----------
    logits, label
        See `fit_scaling`.
    star : (n,), optional
        Which star each object is of; those of one star are left out together.
    kinds : list
        To choose from, the simplest first.

    Returns
    -------
    Scaling
        Fitted to all objects.
    probabilities : (n, C)
        Mean over passes, of each object by a map of that kind fitted to other stars: what `conformal` may use.

    Notes
    -----
    A freer map is taken if it lowers the negative log-likelihood of left-out objects by more than the standard error
    of the difference.
    """
    star = np.arange(len(label)) if star is None else np.asarray(star)
    fold = folds_of(star)
    counts = np.bincount(label, minlength=logits.shape[2])
    possible = kinds if counts.all() and counts.mean() >= FEW else kinds[:1]  # an absent class would be ruled out
    left_out = {kind: _left_out(logits, label, fold, kind) for kind in possible}
    rows, best = np.arange(len(label)), possible[0]
    for kind in possible[1:]:
        gain = np.log(left_out[kind][rows, label]) - np.log(left_out[best][rows, label])
        of_stars = np.bincount(np.unique(star, return_inverse=True)[1], gain)
        if of_stars.mean() > of_stars.std(ddof=1) / np.sqrt(len(of_stars)):
            best = kind
    return fit_scaling(logits, label, best), left_out[best]


def folds_of(star: NDArray) -> NDArray[np.int64]:
    """Return which of `FOLDS` parts each object is in, those of one star together."""
    _, number = np.unique(star, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(number.max(initial=0) + 1)
    return cast(NDArray[np.int64], shuffled[number] % FOLDS)


def _left_out(logits: Float, label: NDArray[np.integer], fold: NDArray[np.int64], kind: Kind) -> NDArray[np.float64]:
    """Return probabilities (n, C) of objects, each by a map fitted to the other folds."""
    result = np.empty(logits.shape[1:], np.float64)
    for k in np.unique(fold):
        out, rest = fold == k, fold != k
        scaling = fit_scaling(logits[:, rest], label[rest], kind) if rest.any() else fit_scaling(logits, label, kind)
        result[out] = scaling.probabilities(logits[:, out]).mean(0)
    return np.maximum(result, np.finfo(np.float64).tiny)


def calibration_error(probabilities: Float, label: NDArray[np.integer], bins: int = 15) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy over equal-width confidence bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == label
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, confidence - right, bins)
    return float(np.abs(gap).sum() / len(label))


# ---- `Calibration`: what a model has learned from validation objects about its own answers, and the files ------------


Mode = Literal["one_pass", "monte_carlo", "stream"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Maps to probabilities, scores for prediction sets, and what is usual.

    Parameters
    ----------
    one_pass, monte_carlo : Scaling
        Of logits of one pass, and of each of some Monte-Carlo passes.
    sets : dict of Conformal
        By mode; none if nothing was fitted.
    novelty : dict of Novelty
        By mode; Monte-Carlo passes share that of one pass.
    """

    one_pass: Scaling
    monte_carlo: Scaling
    sets: Mapping[Mode, Conformal] = field(default_factory=dict)
    novelty: Mapping[Mode, Novelty] = field(default_factory=dict)

    @classmethod
    def none(cls, classes: int) -> Calibration:
        """Return what leaves the softmax of the logits as it is, and knows of no sets and no novelty."""
        same = Scaling.of_temperature(1.0, classes)
        return cls(same, same)

    def scaling(self, mode: Mode) -> Scaling:
        """Return the map of a mode; a stream's probabilities are those of one pass over what it has seen."""
        return self.monte_carlo if mode == "monte_carlo" else self.one_pass

    def write(self, folder: Path) -> None:
        """Write ``calibration.json`` and, if there are sets or novelty, ``calibration.safetensors``."""
        from safetensors.numpy import save

        detector = next((known.detector for known in self.novelty.values()), None)
        told: dict[str, Any] = {"one_pass": self.one_pass.to_dict(), "monte_carlo": self.monte_carlo.to_dict()}
        told["novelty"] = None if detector is None else detector.kind
        told["modes"] = {"sets": sorted(self.sets), "novelty": sorted(self.novelty)}
        (folder / "calibration.json").write_text(json.dumps(told) + "\n")
        arrays = {} if detector is None else {f"detector.{name}": x for name, x in detector.arrays.items()}
        for kind, known in (("sets", self.sets), ("novelty", self.novelty)):
            for mode, one in known.items():
                names = ("score", "stratum", "edges", *(("label",) if isinstance(one, Conformal) else ()))
                arrays |= {f"{kind}.{mode}.{name}": np.ascontiguousarray(getattr(one, name)) for name in names}
        path = folder / "calibration.safetensors"
        path.unlink(missing_ok=True)
        if arrays:
            path.write_bytes(save(arrays))  # save_file lets nobody else read it

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
            told = json.loads((folder / "calibration.json").read_text())
            path = folder / "calibration.safetensors"
            return cls._of(told, load_file(path) if path.exists() else {}, classes)
        except (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ValueError(f"{folder}: its calibration is damaged ({why}). Copy the folder anew") from error

    @classmethod
    def _of(cls, told: dict[str, Any], arrays: dict[str, NDArray], classes: int) -> Calibration:
        if "temperature" in told:  # as models of goodricke 0.1 keep it
            old = [Scaling.of_temperature(float(told[k]), classes) for k in ("temperature", "mc_temperature")]
            return cls(old[0], old[1])
        scaling = [Scaling.from_dict(told[mode], classes) for mode in ("one_pass", "monte_carlo")]
        modes, detector = told["modes"], Detector(told["novelty"], _under("detector.", arrays))
        sets = {m: Conformal(**_under(f"sets.{m}.", arrays), classes=classes) for m in modes["sets"]}
        novelty = {m: Novelty(detector, **_under(f"novelty.{m}.", arrays)) for m in modes["novelty"]}
        return cls(scaling[0], scaling[1], sets, novelty)


def _under(prefix: str, arrays: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the arrays whose names begin so, without it."""
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
