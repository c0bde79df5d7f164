"""From a sky survey to a catalog: pack small files into shards, classify them, write what other tools open."""

from typing import Any

from goodricke.catalog.folder import Catalog

__all__ = ["Catalog", "map_catalog"]


def __getattr__(name: str) -> Any:
    if name == "map_catalog":  # imports PyTorch
        from goodricke.catalog.hats import map_catalog

        return map_catalog
    raise AttributeError(name)
