"""What models there are: a table of those that come with the package, and a model in short."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any

from goodricke.models.bundle import BundleConfig, read_config
from goodricke.models.hub import shipped_models

if TYPE_CHECKING:
    import pandas as pd

FOR = {  # what the kinds of preprocessing are for
    "dense": "dense space photometry (Kepler, TESS)",
    "folded": "periodic stars, sparse",
    "variables": "variable stars, sparse, any bands; with periods",
    "multiband": "transients, sparse, several bands; an answer per observation",
}


SCORES = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def models() -> pd.DataFrame:
    """Return a table of the models that come with the package; its index has the names for ``model=``.

    Columns: what light curves a model is ``for``, ``classes``, ``trained_on``, ``simulated`` (whether those were
    simulations), ``accuracy`` and ``macro_f1`` on stars that were held out, ``summary``.

    Examples
    --------
    >>> models().loc["variables", "for"]
    'variable stars, sparse, any bands; with periods'
    """
    import pandas as pd

    rows = {name: overview(read_config(name)) for name in shipped_models()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def overview(config: BundleConfig) -> dict[str, Any]:
    """Return what a model is for and how well it does, in short."""
    scores = config.metrics.get("monte_carlo", config.metrics.get("deterministic", {}))
    return {
        "for": FOR.get(config.preprocessing.kind, config.preprocessing.kind),
        "classes": ", ".join(config.classes),
        "trained_on": config.trained_on,
        "simulated": config.simulated,
        "accuracy": _value(scores.get("accuracy")),
        "macro_f1": _value(scores.get("macro_f1")),
        "summary": config.summary,
    }


def card(config: BundleConfig, digits: str = "") -> str:
    """Return a model's card in short: what it is for, its classes, its training set and its scores."""
    about = overview(config)
    scores = [f"{name} {about[key]:.3f}" for key, name in SCORES.items() if about[key] == about[key]]
    trained = f"{'simulations: ' if config.simulated else ''}{config.trained_on}"
    data = f"{config.unit}{', ' if config.bands else ''}{'/'.join(config.bands)}"
    lines = {
        "for": about["for"],
        "classes": f"{len(config.classes)}: {about['classes']}",
        "trained on": f"{trained} ({data})",
        "scores": ", ".join(scores) and f"{', '.join(scores)} on held-out stars",
    }
    wrapped = {name: fill(text, 86, subsequent_indent=" " * 14) for name, text in lines.items() if text}
    body = "\n".join(f"  {name:<12}{text}" for name, text in wrapped.items())
    return f"Model {config.name}{f' ({digits})' if digits else ''}\n{body}"


def _value(score: Any) -> float:
    """Return a score, which may have an interval, as a number; NaN without one."""
    value = score.get("value") if isinstance(score, dict) else score
    return float("nan") if value is None else float(value)
