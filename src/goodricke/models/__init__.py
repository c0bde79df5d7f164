"""The networks, one module each, and the folder format of models; called, a table of those that come with the package.

>>> import goodricke as gr
>>> gr.models().loc["variables", "for"]
'variable stars, sparse, any bands; with periods'
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that is a function too: `goodricke.models` is the room, ``goodricke.models()`` a table."""

    def __call__(self) -> Any:
        """Return a table of the models that come with the package; see `goodricke.models.overview.models`."""
        from goodricke.models.overview import models

        return models()


sys.modules[__name__].__class__ = _CallablePackage
