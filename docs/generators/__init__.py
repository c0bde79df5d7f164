"""Parts of the pages that are generated from the code, so that they are always true of it.

The functions return Markdown. Tests use them too: every option that a page names must be one of `commands`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from generators import api, commands, recipes, tables

DIRECTIVE = re.compile(r"^<!-- generate: ([\w-]+) ?(.*?) -->$", re.MULTILINE)

GENERATORS: dict[str, Callable[..., str]] = {
    "api": api.page,
    "columns": tables.columns,
    "column-aliases": tables.aliases,
    "commands": commands.page,
    "readers": tables.readers,
    "recipe": recipes.example,
    "recipe-keys": recipes.keys,
    "shipped": tables.shipped,
    "statuses": tables.statuses,
    "taxonomy": tables.taxonomy,
}


def generate(text: str) -> str:
    """Return a page with its comments ``<!-- generate: NAME ARGUMENTS -->`` replaced.

    Raises
    ------
    KeyError
        If there is no generator of the name.
    """
    return DIRECTIVE.sub(lambda match: GENERATORS[match[1]](*match[2].split()), text)
