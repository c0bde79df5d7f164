"""The tables of parameters of each kind of star: distributions, units, meanings and literature.

``parameters/<kind>.toml`` is the only place with the numbers of a distribution. The sources draw from it, and
``goodricke simulate --parameters`` prints it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr, ndtri

FOLDER = Path(__file__).parent / "parameters"
Float = NDArray[np.float64]
Numbers = Mapping[str, Any]


def _uniform(u: Float, p: Numbers) -> Float:
    return p["low"] + (p["high"] - p["low"]) * u


def _loguniform(u: Float, p: Numbers) -> Float:
    return p["low"] * (p["high"] / p["low"]) ** u


def _integer(u: Float, p: Numbers) -> Float:
    return np.minimum(np.floor(p["low"] + (p["high"] + 1 - p["low"]) * u), p["high"])  # rounding may reach high + 1


def _loginteger(u: Float, p: Numbers) -> Float:
    return np.minimum(np.floor(p["low"] * ((p["high"] + 1) / p["low"]) ** u), p["high"])


def _normal(u: Float, p: Numbers) -> Float:
    low, high = ((p.get(name, end) - p["mean"]) / p["sd"] for name, end in (("low", -np.inf), ("high", np.inf)))
    return np.clip(p["mean"] + p["sd"] * ndtri(ndtr(low) + (ndtr(high) - ndtr(low)) * u), *_bounds(p))


def _lognormal(u: Float, p: Numbers) -> Float:
    low, high = _bounds(p)
    logs = {"mean": np.log10(p["median"]), "sd": p["dex"]}
    if low > 0:
        logs["low"] = np.log10(low)
    if np.isfinite(high):
        logs["high"] = np.log10(high)
    return np.clip(10 ** _normal(u, logs), low, high)


def _beta(u: Float, p: Numbers) -> Float:
    return p.get("low", 0.0) + (p.get("high", 1.0) - p.get("low", 0.0)) * betaincinv(p["a"], p["b"], u)


def _power(u: Float, p: Numbers) -> Float:
    k = p["slope"] + 1
    return (p["low"] ** k + (p["high"] ** k - p["low"] ** k) * u) ** (1 / k)


def _isotropic(u: Float, p: Numbers) -> Float:
    cosines = np.cos(np.radians([p.get("low", 0.0), p.get("high", 90.0)]))
    angle = np.degrees(np.arccos(cosines[0] + (cosines[1] - cosines[0]) * u))
    return np.clip(angle, p.get("low", 0.0), p.get("high", 90.0))


def _choice(u: Float, p: Numbers) -> Float:
    edges = np.cumsum(p.get("weights", [1.0] * len(p["values"])))
    return np.asarray(p["values"], np.float64)[np.searchsorted(edges[:-1] / edges[-1], u, side="right")]


def _chance(u: Float, p: Numbers) -> Float:
    return (u < p["chance"]).astype(np.float64)


def _fixed(u: Float, p: Numbers) -> Float:
    return np.broadcast_to(np.asarray(p["value"], np.float64), u.shape).copy()


DISTRIBUTIONS: dict[str, Callable[[Float, Numbers], Float]] = {
    "uniform": _uniform,  # low, high
    "loguniform": _loguniform,  # low, high
    "integer": _integer,  # low, high, both possible
    "loginteger": _loginteger,  # low, high, both possible; density falls as 1 / x
    "normal": _normal,  # mean, sd; truncated to low, high where given
    "lognormal": _lognormal,  # median, dex; truncated to low, high where given
    "beta": _beta,  # a, b; stretched over low, high where given
    "power": _power,  # density x ** slope between low and high
    "isotropic": _isotropic,  # an angle [deg] whose cosine is uniform
    "choice": _choice,  # values, weights
    "chance": _chance,  # 1 with this chance, else 0
    "fixed": _fixed,  # value: the same for all stars
}


@dataclass(frozen=True)
class Parameter:
    """One row of a table.

    Attributes
    ----------
    name, distribution : str
    numbers : mapping
        Of the distribution.
    unit, meaning, literature : str
        ``unit`` is empty where there is none; ``literature`` says where the numbers are from.
    per : str
        What has a value: a ``"star"``, a ``"mode"`` of it, an ``"event"``.
    """

    name: str
    distribution: str
    numbers: Numbers
    unit: str
    meaning: str
    literature: str
    per: str = "star"

    def draw(self, size: int | tuple[int, ...], rng: np.random.Generator) -> Float:
        """Return values of the given shape, one uniform random number each."""
        return DISTRIBUTIONS[self.distribution](rng.random(size), self.numbers)

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value that can be drawn."""
        ends = np.array([0.0, np.nextafter(1.0, 0.0)])
        values = [self.numbers["values"]] if self.distribution == "choice" else []
        truth = np.concatenate([*values, DISTRIBUTIONS[self.distribution](ends, self.numbers)])
        return float(truth.min()), float(truth.max())


@dataclass(frozen=True)
class ParameterTable:
    """The parameters of one kind of star.

    Attributes
    ----------
    kind, label, description : str
        The file's name, the class, one sentence on the kind.
    parameters : dict of Parameter
        By name.
    derived : dict
        Unit and meaning of true parameters that a source computes from these.
    """

    kind: str
    label: str
    description: str
    parameters: dict[str, Parameter]
    derived: dict[str, tuple[str, str]]

    def draw(self, n: int, rng: np.random.Generator, *names: str) -> dict[str, Float]:
        """Return the named parameters of ``n`` stars, (n,) each; by default all in which stars differ."""
        if not names:
            names = tuple(k for k, p in self.parameters.items() if p.per == "star" and p.distribution != "fixed")
        return {name: self.sample(name, n, rng) for name in names}

    def sample(self, name: str, size: int | tuple[int, ...], rng: np.random.Generator) -> Float:
        """Return values of one parameter, of the given shape."""
        return self.parameters[name].draw(size, rng)

    def maximum(self, name: str) -> int:
        """Return the largest value that a whole number can have."""
        return int(self.parameters[name].bounds[1])

    def value(self, name: str) -> Any:
        """Return the value of a parameter that is the same for all stars: a float, or an array where it is a list."""
        value = self.parameters[name].numbers["value"]
        return np.asarray(value) if isinstance(value, list) else value


@cache
def table(kind: str) -> ParameterTable:
    """Read the table of a kind of star.

    Raises
    ------
    ValueError
        If there is no such table, or a parameter of it has no such distribution.
    """
    path = FOLDER / f"{kind}.toml"
    if not path.exists():
        raise ValueError(f"there is no table of parameters {kind!r}; there are: {', '.join(table_names())}")
    content = tomllib.loads(path.read_text())
    parameters = {name: _parameter(kind, name, row) for name, row in content.get("parameters", {}).items()}
    derived = {name: (row.get("unit", ""), row["meaning"]) for name, row in content.get("derived", {}).items()}
    return ParameterTable(kind, content["label"], content["about"], parameters, derived)


def table_names() -> list[str]:
    """Return the names of all tables, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def table_rows(kind: str) -> list[dict[str, str]]:
    """Return a table as rows of text, for printing.

    Returns
    -------
    list of dict
        With parameter, distribution, unit, meaning and literature; derived parameters have the distribution
        ``"derived"``.
    """
    drawn = [
        {
            "parameter": p.name,
            "distribution": f"{p.distribution}({', '.join(f'{k}={v}' for k, v in p.numbers.items())})",
            "unit": p.unit,
            "meaning": p.meaning,
            "literature": p.literature,
        }
        for p in table(kind).parameters.values()
    ]
    derived = [
        {"parameter": name, "distribution": "derived", "unit": unit, "meaning": meaning, "literature": ""}
        for name, (unit, meaning) in table(kind).derived.items()
    ]
    return drawn + derived


def _parameter(kind: str, name: str, row: dict[str, Any]) -> Parameter:
    row = dict(row)
    texts = {key: row.pop(key, "") for key in ("distribution", "unit", "meaning", "literature")}
    texts["per"] = row.pop("per", "star")
    parameter = Parameter(name, numbers=row, **texts)
    try:
        if parameter.distribution != "fixed":
            parameter.draw(1, np.random.default_rng(0))
    except KeyError as missing:
        raise ValueError(
            f"parameters/{kind}.toml: {name} can't be drawn: {missing} is missing or no distribution; "
            f"distributions are {', '.join(DISTRIBUTIONS)}"
        ) from None
    return parameter


def _bounds(p: Numbers) -> tuple[float, float]:
    return p.get("low", -np.inf), p.get("high", np.inf)
