"""goodricke: astronomical light curves in; classes, calibrated probabilities and embeddings out."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# What `import goodricke` offers, imported at first use: `import goodricke` itself costs next to nothing.
_HOME = {
    "LightCurves": "goodricke.data.lightcurves",
    "Predictions": "goodricke.data.predictions",
    "read": "goodricke.io",
    "as_light_curves": "goodricke.io",
    "load_model": "goodricke.models.bundle",
    "classify": "goodricke.inference",
    "GoodrickeClassifier": "goodricke.estimator",
    "evaluate": "goodricke.evaluation.evaluate",
    "similar": "goodricke.survey.similar",
    "Neighbours": "goodricke.survey.similar",
    "suggest": "goodricke.survey.suggest",
}
__all__ = [*_HOME, "__version__"]
DRAWING = "goodricke.evaluation.figures.interactive"  # what `plot` of light curves and predictions calls


def __getattr__(name: str) -> Any:
    if name == "drawing":
        return import_module(DRAWING)
    if name == "models":  # a room that can be called
        return import_module("goodricke.models")
    if name not in _HOME:
        raise AttributeError(f"module 'goodricke' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "models"])
