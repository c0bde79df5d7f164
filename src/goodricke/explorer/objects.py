"""The rows of a catalog by object and by class, for the REST interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goodricke.explorer.store import Store


class Objects:
    """A catalog that is asked for single objects.

    Parameters
    ----------
    store : Store
        The catalog's rows; see `goodricke.explorer.store.open_store`.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.count = store, store.count
        self._keys = {column.name: column.key for column in store.columns}
        self.classes = [name[2:] for name in self._keys if name.startswith("p_") and name != "p_max"]

    def of(self, object_id: str) -> list[dict[str, Any]]:
        """Return all the rows of an object, in order."""
        return self._ask(f"WHERE CAST({self._keys['object_id']} AS VARCHAR) = ? ORDER BY row", [object_id])

    def page(self, label: str | None, p_min: float, limit: int, after: int) -> list[dict[str, Any]]:
        """Return the next rows of a class, or of all, with a probability from ``p_min`` on, in order."""
        wanted: list[tuple[str, Any]] = [("row > ?", after)]
        if label is not None:
            wanted.append((f"{self._keys['class']} = ?", label))
        if p_min > 0:
            wanted.append((f"{self._keys['p_max']} >= ?", p_min))
        where = " AND ".join(condition for condition, _ in wanted)
        return self._ask(f"WHERE {where} ORDER BY row LIMIT ?", [*(value for _, value in wanted), limit])

    def _ask(self, rest: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows by the names of their columns; ``rest`` is made of the columns' keys alone."""
        keys = ["row", *self._keys.values()]
        found = self.store.ask(f"SELECT {', '.join(keys)} FROM {self.store.rows} {rest}", values).fetchall()
        return [dict(zip(["row", *self._keys], row, strict=True)) for row in found]
