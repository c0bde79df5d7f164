"""A cache of the last values that were computed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Cache:
    """The last values that were computed, by key; for many threads.

    Parameters
    ----------
    size : int
    """

    def __init__(self, size: int) -> None:
        self.size, self._values, self._lock = size, OrderedDict[Hashable, Any](), threading.Lock()

    def get(
        self,
        key: Hashable,
        compute: Callable[[], Any],
        evict: Callable[[Any], None] = lambda value: None,
        keep: Callable[[Any], bool] = lambda value: True,
    ) -> Any:
        """Return the value of a key, computed if it isn't there.

        Parameters
        ----------
        key : hashable
        compute : callable
        evict : callable
            Gets the value that makes room for another.
        keep : callable
            Returns whether a value is cached.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value, oldest = compute(), None
        if keep(value):
            with self._lock:
                self._values[key] = value
                oldest = self._values.popitem(last=False) if len(self._values) > self.size else None
        if oldest is not None:
            evict(oldest[1])
        return value
