"""From a sky survey to a catalog: pack small files into shards, classify them, write what other tools open."""

from goodricke.catalog.folder import Catalog

__all__ = ["Catalog"]
