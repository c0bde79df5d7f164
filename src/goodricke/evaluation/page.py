"""A report as one self-contained HTML file, with a Markdown and a JSON file of the same contents beside it.

A `Page` has sections of text, figures and tables of plain numbers. The HTML holds its images, has no script and loads
nothing; it is readable in dark mode and on paper.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from goodricke.data.files import atomic_write
from goodricke.data.json import dumps, json_values

Rows = Sequence[Mapping[str, Any]]
MOST_ROWS = 60  # of a table; the JSON file has all
LONG = 48  # characters from which on text in a cell is broken into lines
KINDS = {".png": "image/png", ".svg": "image/svg+xml"}
STYLE = """
:root { --paper: #fdfdfc; --ink: #222; --quiet: #5c5c68; --line: #ddd; --card: #fff; --accent: #0063a0;
  --warn: #a33f00; --alarm: #b00020; --pale: #fdecee; }
@media (prefers-color-scheme: dark) { @media not print {
  :root { --paper: #16181c; --ink: #e6e6e6; --quiet: #a3acb5; --line: #333a42; --card: #f4f4f2; --accent: #56b4e9;
    --warn: #e69f00; --alarm: #ff8a8a; --pale: #34191d; }
  img { filter: brightness(.88); }
} }
body { background: var(--paper); color: var(--ink); margin: 0 auto; max-width: 68rem; padding: 2rem 1.2rem;
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .4rem; }
nav, .quiet, figcaption { color: var(--quiet); } nav a { margin-right: 1rem; white-space: nowrap; }
a { color: var(--accent); }
figure { margin: .8rem 0; }
figcaption { font-size: .86rem; max-width: 52rem; }
img { max-width: 100%; height: auto; background: var(--card); border-radius: 6px; border: 1px solid var(--line); }
p, ul { max-width: 52rem; }
.look { margin: .4rem 0; } .look b { font-weight: 600; } .suspicious b, .warn { color: var(--warn); }
.alarm { color: var(--alarm); background: var(--pale); border-left: 4px solid var(--alarm); padding: .5rem .9rem;
  margin: .6rem 0; max-width: 52rem; } .alarm p { margin: .2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; margin: .7rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .2rem; }
th { text-align: left; color: var(--quiet); font-weight: 500; }
tbody th { color: var(--ink); }
th, td { padding: .16rem .55rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; }
td.long { white-space: normal; min-width: 16rem; }
td.number, th.number { text-align: right; }
@media print { body { max-width: none; padding: 0; font-size: 10.5pt; } nav { display: none; }
  h2, figcaption, caption { break-after: avoid; } figure, tr, .alarm { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: 8.5pt; } th, td { padding: .1rem .4rem; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Parameters
    ----------
    title : str
    look : str
        What to look for in the figures and tables, in a sentence.
    suspicious : str
        A reason against the result.
    figures : dict
        Files (PNG or SVG) by caption.
    table : list of dict
        Rows with the same keys; numbers, truth values, text, or estimates with an interval (anything with ``text`` and
        ``to_dict``). The first column names the row.
    notes : list of str
        Results, in sentences.
    missing : str
        What to add if there is nothing to show.
    warnings : list of str
        Reasons against the result, in sentences.
    tables : dict of list of dict
        More tables, by their captions.
    text : list of str
        Paragraphs before everything else.
    data : dict
        More numbers, such as those behind the figures, for the JSON file alone.
    """

    title: str
    look: str = ""
    suspicious: str = ""
    figures: Mapping[str, Path] = field(default_factory=dict)
    table: Rows = ()
    notes: Sequence[str] = ()
    missing: str = ""
    warnings: Sequence[str] = ()
    tables: Mapping[str, Rows] = field(default_factory=dict)
    text: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The target of links to the section."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())

    @property
    def all_tables(self) -> dict[str, Rows]:
        """All tables that have a row, by caption; that of ``table`` is the title."""
        return {caption: rows for caption, rows in ({self.title: self.table} | dict(self.tables)).items() if rows}

    @property
    def guidance(self) -> list[tuple[str, str, str]]:
        """What to look for and what is suspicious, each with its introduction and its CSS class."""
        lines = [("Look for", self.look, ""), ("Suspicious", self.suspicious, " suspicious")]
        return [line for line in lines if line[1] and not self.missing]


@dataclass(frozen=True)
class Page:
    """A report: its first lines, warnings above everything else, and sections.

    Parameters
    ----------
    title : str
    facts : list of str
        Sentences below the title.
    sections : list of Section
    warnings : list of str
    numbers : str
        File with all rows of tables that are cut short.
    """

    title: str
    facts: Sequence[str]
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    numbers: str = "the JSON file"


def write_page(page: Page, path: Path) -> None:
    """Write OUT.html, OUT.md and OUT.json, each completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, to_html(page))
    atomic_write(path.with_suffix(".md"), to_markdown(page, path.parent))
    atomic_write(path.with_suffix(".json"), dumps(to_json(page), indent=2) + "\n")


def to_json(page: Page) -> dict[str, Any]:
    """Return the contents of the page, its numbers unrounded, as plain lists and mappings."""
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
    contents = {"title": page.title, "facts": page.facts, "warnings": page.warnings, "sections": sections}
    return dict(json_values(contents))


# ---- HTML -----------------------------------------------------------------------------------------------------------


def to_html(page: Page) -> str:
    """Return the report as a page that holds its images and loads nothing."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a> ' for s in page.sections)
    body = "\n".join(_html_section(section, page.numbers) for section in page.sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(page.title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(page.title)}</h1>\n"
        f'<div class="quiet">{_paragraphs(page.facts)}</div>\n{_html_warnings(page.warnings)}<nav>{links}</nav>\n'
        f"{body}\n</body>\n</html>\n"
    )


def _html_section(section: Section, numbers: str) -> str:
    parts = [f'<section id="{section.anchor}">', f"<h2>{escape(section.title)}</h2>", _html_warnings(section.warnings)]
    parts.append(_paragraphs(section.text))
    if section.missing:
        parts.append(f'<p class="quiet">{escape(section.missing)}</p>')
    parts += [_html_figure(caption, path) for caption, path in section.figures.items()]
    for words, text, kind in section.guidance:
        parts.append(f'<p class="look{kind}"><b>{words}</b> {escape(text)}</p>')
    if section.notes:
        parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in section.notes) + "</ul>")
    parts += [_html_table(caption, rows, numbers) for caption, rows in section.all_tables.items()]
    return "\n".join([*(part for part in parts if part), "</section>"])


def _paragraphs(lines: Iterable[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>\n" for line in lines)


def _html_warnings(warnings: Sequence[str]) -> str:
    """Return warnings in a box that stands out by more than its colour."""
    lines = "".join(f"<p><strong>Warning:</strong> {escape(warning)}</p>" for warning in warnings)
    return f'<div class="alarm" role="alert">{lines}</div>\n' if lines else ""


def _html_figure(caption: str, path: Path) -> str:
    image = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{KINDS[path.suffix]};base64,{image}"
    return f'<figure><img alt="{escape(caption)}" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'


def _html_table(caption: str, rows: Rows, numbers: str) -> str:
    first, *others = rows[0]
    numeric = _numeric_columns(rows)
    head = "".join(f'<th scope="col"{_cell_class(name in numeric)}>{escape(_heading(name))}</th>' for name in rows[0])
    lines = []
    for row in rows[:MOST_ROWS]:
        texts = ((name, cell(row.get(name))) for name in others)
        cells = "".join(f"<td{_cell_class(name in numeric, text)}>{escape(text)}</td>" for name, text in texts)
        lines.append(f'<tr><th scope="row">{escape(cell(row.get(first)))}</th>{cells}</tr>')
    table = (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
    return table + "".join(f'<p class="quiet">{note}</p>' for note in _row_note(rows, numbers))


def _cell_class(number: bool, text: str = "") -> str:
    return ' class="number"' if number else ' class="long"' if len(text) > LONG else ""


# ---- Markdown -------------------------------------------------------------------------------------------------------


def to_markdown(page: Page, folder: Path) -> str:
    """Return the report as Markdown that refers to the figures by their path within ``folder``."""
    lines = [f"# {page.title}", "", *(f"{fact}  " for fact in page.facts), *_markdown_warnings(page.warnings)]
    for section in page.sections:
        lines += ["", f"## {section.title}", "", *_markdown_section(section, page.numbers, folder)]
    return "\n".join(lines) + "\n"


def _markdown_section(section: Section, numbers: str, folder: Path) -> list[str]:
    lines = _markdown_warnings(section.warnings)
    for paragraph in section.text:
        lines += [paragraph, ""]
    if section.missing:
        lines += [f"*{section.missing}*", ""]
    for caption, path in section.figures.items():
        lines += [f"![{caption}]({path.relative_to(folder).as_posix()})", ""]
    for words, text, _ in section.guidance:
        lines += [f"{words}: {text}", ""]
    lines += [f"- {note}" for note in section.notes]
    for caption, rows in section.all_tables.items():
        lines += ["", *([f"{caption}:", ""] if caption != section.title else []), *_markdown_table(rows, numbers)]
    return lines


def _markdown_warnings(warnings: Sequence[str]) -> list[str]:
    return [line for warning in warnings for line in ("", f"> **Warning:** {warning}", "")]


def _markdown_table(rows: Rows, numbers: str) -> list[str]:
    return [*markdown_table(rows[:MOST_ROWS]), "", *_row_note(rows, numbers)]


def markdown_table(rows: Rows) -> list[str]:
    """Return the lines of a Markdown table of rows with the same keys, at least one; see `Section`."""
    numeric = _numeric_columns(rows)
    rules = ("---:" if name in numeric else "---" for name in rows[0])
    lines = [f"| {' | '.join(map(_heading, rows[0]))} |", f"|{'|'.join(rules)}|"]
    for row in rows:
        lines.append(f"| {' | '.join(cell(row.get(name)).replace('|', '/') for name in rows[0])} |")
    return lines


# ---- cells ----------------------------------------------------------------------------------------------------------


def cell(value: Any) -> str:
    """Return a number, truth value or text as a table shows it.

    Examples
    --------
    >>> [cell(x) for x in (12345, 0.123456, None, True, "EW")]
    ['12,345', '0.1235', '-', 'yes', 'EW']
    """
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _numeric_columns(rows: Rows) -> set[str]:
    """Return the columns of numbers and estimates, which are set to the right."""

    def is_number(value: Any) -> bool:
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        return number or hasattr(value, "to_dict")

    return {name for name in rows[0] if any(is_number(row.get(name)) for row in rows)}


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _row_note(rows: Rows, numbers: str) -> list[str]:
    """Return a note on the rows that a table doesn't show; none if it shows all."""
    more = len(rows) - MOST_ROWS
    return [f"... and {more:,} more rows: {numbers} has all"] if more > 0 else []
