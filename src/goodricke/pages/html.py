"""A report as one HTML file: images inside, no script, nothing loaded; readable in the dark and on paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from goodricke.pages.cells import MOST_ROWS, cell, heading, is_number, rest
from goodricke.pages.section import Page, Rows, Section

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
LONG = 48  # characters from which on text in a cell is broken into lines


def to_html(page: Page) -> str:
    """Return the report as a page that holds its images and loads nothing."""
    links = "".join(f'<a href="#{s.anchor}">{escape(s.title)}</a> ' for s in page.sections)
    body = "\n".join(_section(section, page.numbers) for section in page.sections)
    told = "".join(f"<p>{escape(fact)}</p>\n" for fact in page.facts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(page.title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(page.title)}</h1>\n"
        f'<div class="quiet">{told}</div>\n{_alarms(page.warnings)}<nav>{links}</nav>\n{body}\n</body>\n</html>\n'
    )


def _section(section: Section, numbers: str) -> str:
    parts = [f'<section id="{section.anchor}">', f"<h2>{escape(section.title)}</h2>", _alarms(section.warnings)]
    parts += [f"<p>{escape(line)}</p>" for line in section.text]
    if section.missing:
        parts.append(f'<p class="quiet">{escape(section.missing)}</p>')
    parts += [_figure(caption, path) for caption, path in section.figures.items()]
    if section.look and not section.missing:
        parts.append(f'<p class="look"><b>Look for</b> {escape(section.look)}</p>')
    if section.suspicious and not section.missing:
        parts.append(f'<p class="look suspicious"><b>Suspicious</b> {escape(section.suspicious)}</p>')
    if section.notes:
        parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in section.notes) + "</ul>")
    parts += [_table(caption, rows, numbers) for caption, rows in section.all_tables.items()]
    return "\n".join([*(part for part in parts if part), "</section>"])


def _alarms(warnings: Sequence[str]) -> str:
    """Return warnings in a box that stands out by more than its colour."""
    told = "".join(f"<p><strong>Warning:</strong> {escape(warning)}</p>" for warning in warnings)
    return f'<div class="alarm" role="alert">{told}</div>\n' if told else ""


def _figure(caption: str, path: Path) -> str:
    image = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{KINDS[path.suffix]};base64,{image}"
    return f'<figure><img alt="{escape(caption)}" src="{source}"><figcaption>{escape(caption)}</figcaption></figure>'


def _table(caption: str, rows: Rows, numbers: str) -> str:
    numeric = {name for name in rows[0] if any(is_number(row.get(name)) for row in rows)}
    head = "".join(f'<th scope="col"{_kind(name in numeric)}>{escape(heading(name))}</th>' for name in rows[0])
    lines = [f"<tr>{_cells(rows[0], row, numeric)}</tr>" for row in rows[:MOST_ROWS]]
    left_out = rest(len(rows), numbers)
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(lines)}</tbody></table></div>" + (f'<p class="quiet">{left_out}</p>' if left_out else "")
    )


def _cells(names: Mapping[str, Any], row: Mapping[str, Any], numeric: set[str]) -> str:
    first, *others = names
    result = f'<th scope="row">{escape(cell(row.get(first)))}</th>'
    texts = ((name, cell(row.get(name))) for name in others)
    return result + "".join(f"<td{_kind(name in numeric, text)}>{escape(text)}</td>" for name, text in texts)


def _kind(number: bool, text: str = "") -> str:
    return ' class="number"' if number else ' class="long"' if len(text) > LONG else ""
