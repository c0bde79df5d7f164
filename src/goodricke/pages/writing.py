"""A report and its twins as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from goodricke.pages.cells import plain
from goodricke.pages.html import to_html
from goodricke.pages.markdown import to_markdown
from goodricke.pages.section import Page


def to_json(page: Page) -> dict[str, Any]:
    """Return everything that the page says, its numbers unrounded, as plain lists and mappings."""
    sections = {
        section.title: {
            "words": [*section.text, *section.notes],
            "warnings": section.warnings,
            "missing": section.missing,
            "tables": section.all_tables,
            "data": section.data,
        }
        for section in page.sections
    }
    said = {"title": page.title, "facts": page.facts, "warnings": page.warnings, "sections": sections}
    return plain(said)


def write_page(page: Page, path: Path) -> None:
    """Write OUT.html, OUT.md and OUT.json; each appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {
        path: to_html(page),
        path.with_suffix(".md"): to_markdown(page, path.parent),
        path.with_suffix(".json"): json.dumps(to_json(page), indent=2) + "\n",
    }
    for file, text in texts.items():
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
