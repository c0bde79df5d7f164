"""The report of an examination as one HTML file that needs nothing else, and its twin in Markdown."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

MOST_ROWS = 60  # of a table; the JSON twin has all

STYLE = """
:root { --paper: #fdfdfc; --ink: #222; --quiet: #667; --line: #ddd; --card: #fff; --accent: #0072b2; --warn: #b34700; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #e6e6e6; --quiet: #9aa3ad; --line: #333a42; --card: #f4f4f2; --accent: #56b4e9;
    --warn: #e69f00; }
}
body { background: var(--paper); color: var(--ink); margin: 0 auto; max-width: 68rem; padding: 2rem 1.2rem;
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; }
nav, .quiet, figcaption { color: var(--quiet); } nav a { margin-right: 1rem; } a { color: var(--accent); }
figure { margin: .8rem 0; }
img { max-width: 100%; height: auto; background: var(--card); border-radius: 6px; border: 1px solid var(--line); }
.look { margin: .4rem 0; } .look b { font-weight: 600; } .suspicious b, .warn { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; margin: .7rem 0; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--quiet); font-weight: 500; }
th, td { padding: .16rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number { text-align: right; }
"""


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Parameters
    ----------
    title : str
    look : str
        What to look for, in a sentence.
    suspicious : str
        What would speak against the catalog.
    figures : dict
        Files by what they show.
    table : list of dict
        Rows with the same keys.
    notes : list of str
        What was found, in sentences.
    missing : str
        What to add if there is nothing to draw.
    """

    title: str
    look: str = ""
    suspicious: str = ""
    figures: Mapping[str, Path] = field(default_factory=dict)
    table: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    missing: str = ""

    @property
    def anchor(self) -> str:
        """Name in the page's links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())


def to_html(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the report as a page that holds its images and loads nothing."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a> ' for s in sections)
    body = "\n".join(_section_html(section) for section in sections)
    told = "".join(f"<p>{escape(fact)}</p>\n" for fact in facts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f'<div class="quiet">{told}</div>\n<nav>{links}</nav>\n{body}\n</body>\n</html>\n'
    )


def to_markdown(title: str, facts: Sequence[str], sections: Sequence[Section], folder: Path) -> str:
    """Return the report as Markdown that refers to the figures by their path within ``folder``."""
    lines = [f"# {title}", "", *(f"{fact}  " for fact in facts)]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.missing:
            lines += [f"*{section.missing}*", ""]
        for caption, path in section.figures.items():
            lines += [f"![{caption}]({path.relative_to(folder).as_posix()})", ""]
        lines += [f"Look for: {section.look}", ""] if section.look and not section.missing else []
        lines += [f"Suspicious: {section.suspicious}", ""] if section.suspicious and not section.missing else []
        lines += [line for note in section.notes for line in (f"- {note}",)]
        lines += ["", *_table_markdown(section.table)] if section.table else []
    return "\n".join(lines) + "\n"


def _section_html(section: Section) -> str:
    parts = [f'<section id="{section.anchor}">', f"<h2>{escape(section.title)}</h2>"]
    if section.missing:
        parts.append(f'<p class="quiet">{escape(section.missing)}</p>')
    for caption, path in section.figures.items():
        image = base64.b64encode(path.read_bytes()).decode()
        parts.append(f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{image}"></figure>')
    if not section.missing:
        if section.look:
            parts.append(f'<p class="look"><b>Look for</b> {escape(section.look)}</p>')
        if section.suspicious:
            parts.append(f'<p class="look suspicious"><b>Suspicious</b> {escape(section.suspicious)}</p>')
    if section.notes:
        parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in section.notes) + "</ul>")
    if section.table:
        parts.append(_table_html(section.table))
    return "\n".join([*parts, "</section>"])


def _table_html(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(_heading(name))}</th>" for name in rows[0])
    lines = []
    for row in rows[:MOST_ROWS]:
        cells = (f"<td{_kind(row.get(name))}>{escape(_cell(row.get(name)))}</td>" for name in rows[0])
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>\n{"".join(lines)}</table></div>{_rest(rows, "p")}'


def _table_markdown(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = [_heading(name) for name in rows[0]]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows[:MOST_ROWS]:
        lines.append(f"| {' | '.join(_cell(row.get(name)).replace('|', '/') for name in rows[0])} |")
    return [*lines, "", *([_rest(rows, "")] if len(rows) > MOST_ROWS else [])]


def _rest(rows: Sequence[Mapping[str, Any]], tag: str) -> str:
    """Say how many rows are left out."""
    if len(rows) <= MOST_ROWS:
        return ""
    text = f"... and {len(rows) - MOST_ROWS:,} more rows: examination.json has all"
    return f'<{tag} class="quiet">{text}</{tag}>' if tag else text


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _kind(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | float | np.number) and not isinstance(value, bool) else ""


def _cell(value: Any) -> str:
    """Return a number, truth value or text as a table shows it."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
