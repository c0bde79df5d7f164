"""A report as Markdown that refers to its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goodricke.pages.cells import MOST_ROWS, cell, heading, is_number, rest
from goodricke.pages.section import Page, Rows, Section


def to_markdown(page: Page, folder: Path) -> str:
    """Return the report as Markdown that refers to the figures by their path within ``folder``."""
    lines = [f"# {page.title}", "", *(f"{fact}  " for fact in page.facts), *_alarms(page.warnings)]
    for section in page.sections:
        lines += ["", f"## {section.title}", "", *_section(section, page.numbers, folder)]
    return "\n".join(lines) + "\n"


def _section(section: Section, numbers: str, folder: Path) -> list[str]:
    lines = _alarms(section.warnings)
    lines += [line for told in section.text for line in (told, "")]
    if section.missing:
        lines += [f"*{section.missing}*", ""]
    for caption, path in section.figures.items():
        lines += [f"![{caption}]({path.relative_to(folder).as_posix()})", ""]
    lines += [f"Look for: {section.look}", ""] if section.look and not section.missing else []
    lines += [f"Suspicious: {section.suspicious}", ""] if section.suspicious and not section.missing else []
    lines += [f"- {note}" for note in section.notes]
    for caption, rows in section.all_tables.items():
        lines += ["", *([f"{caption}:", ""] if caption != section.title else []), *_table(rows, numbers)]
    return lines


def _alarms(warnings: Sequence[str]) -> list[str]:
    return [line for warning in warnings for line in ("", f"> **Warning:** {warning}", "")]


def _table(rows: Rows, numbers: str) -> list[str]:
    rules = ["---:" if any(is_number(row.get(name)) for row in rows) else "---" for name in rows[0]]
    lines = [f"| {' | '.join(map(heading, rows[0]))} |", f"|{'|'.join(rules)}|"]
    for row in rows[:MOST_ROWS]:
        lines.append(f"| {' | '.join(cell(row.get(name)).replace('|', '/') for name in rows[0])} |")
    return [*lines, "", *([rest(len(rows), numbers)] if len(rows) > MOST_ROWS else [])]
