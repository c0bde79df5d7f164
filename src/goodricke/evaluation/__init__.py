"""Models put to labelled light curves: objects (`sample`), scores (`assess`), tables and figures (`report`)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goodricke.evaluation.assess import Assessment, evaluate, number_edges, source

__all__ = ["Assessment", "evaluate", "number_edges", "source"]


def __getattr__(name: str) -> Any:  # imported when asked for: the command line begins faster
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("goodricke.evaluation.assess"), name)
