"""What a report is made of: sections with words, figures and tables of plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Parameters
    ----------
    title : str
    look : str
        What to look for, in a sentence.
    suspicious : str
        What would speak against the result.
    figures : dict
        Files (PNG or SVG) by what they show.
    table : list of dict
        Rows with the same keys; numbers, truth values, text, or estimates with an interval (anything with ``text`` and
        ``to_dict``). The first column names the row.
    notes : list of str
        What was found, in sentences.
    missing : str
        What to add if there is nothing to show.
    warnings : list of str
        What speaks against the result, in sentences.
    tables : dict of list of dict
        More tables, by their captions.
    text : list of str
        Paragraphs before everything else.
    data : dict
        More numbers, such as those behind the figures, for the JSON twin alone.
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
        """Name in the page's links."""
        return "".join(c if c.isalnum() else "-" for c in self.title.lower())

    @property
    def all_tables(self) -> dict[str, Rows]:
        """All tables that have a row, by caption; that of ``table`` is the title."""
        return {caption: rows for caption, rows in ({self.title: self.table} | dict(self.tables)).items() if rows}


@dataclass(frozen=True)
class Page:
    """A report: what its first lines say, warnings that stand above all, and sections.

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
