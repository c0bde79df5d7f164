"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; line breaks become spaces, and a bar stays a bar."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def code(text: object) -> str:
    """Return text as code, nothing if there is none."""
    return f"`{text}`" if str(text) else ""


def codes(names: Iterable[str]) -> str:
    """Return names as code, with commas."""
    return ", ".join(map(code, names))


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
