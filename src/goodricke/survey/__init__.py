"""From a sky survey to a catalog: pack small files into shards, classify them, write what other tools open."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goodricke.survey.hats import map_catalog
    from goodricke.survey.shards import Catalog

__all__ = ["Catalog", "map_catalog"]

_PLACES = {"Catalog": "shards", "map_catalog": "hats"}  # imported when asked for: the command line begins faster


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"goodricke.survey.{_PLACES[name]}"), name)
