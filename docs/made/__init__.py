"""What the pages say of the code, made of the code itself, so that it can't be wrong.

Each function returns Markdown. Tests call them too: every option that a page names must be in `commands`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from made import api, commands, recipes, tables

MADE = re.compile(r"^<!-- made: ([\w-]+) ?(.*?) -->$", re.MULTILINE)

MAKERS: dict[str, Callable[..., str]] = {
    "api": api.page,
    "columns": tables.columns,
    "column-aliases": tables.aliases,
    "commands": commands.page,
    "readers": tables.readers,
    "recipe": recipes.example,
    "recipe-keys": recipes.keys,
    "shipped": tables.shipped,
    "statuses": tables.statuses,
}


def filled(text: str) -> str:
    """Return a page with its comments ``<!-- made: NAME ARGUMENTS -->`` replaced.

    Raises
    ------
    KeyError
        If nothing of the name is made.
    """
    return MADE.sub(lambda found: MAKERS[found[1]](*found[2].split()), text)


def fill(app: object, page: str, source: list[str]) -> None:
    """Fill in a page as Sphinx reads it."""
    source[0] = filled(source[0])
