"""One source, three renderings: what HTML and Markdown show is what JSON holds; the page is whole and loads nothing."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from goodricke.evaluation.figures.style import canvas
from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.page import MOST_ROWS, Page, Section, cell, to_html, to_json, to_markdown, write_page

ROWS = [
    {"class": "A<b>|c", "n": 1200, "score": Estimate(0.5, 0.4, 0.6), "share": None},
    {"class": "B", "n": 3, "score": Estimate(np.nan, np.nan, np.nan), "share": 0.123456},
]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    with canvas(tmp_path / "f" / "a.svg", 2, 2) as figure:
        figure.add_subplot().plot([1, 2])
    section = Section(
        "What is it?",
        "this",
        "that & that",
        {"a <line>": tmp_path / "f" / "a.svg"},
        ROWS,
        ["a note"],
        warnings=["<beware>"],
        tables={"more": ROWS[:1]},
        data={"x": np.arange(2)},
    )
    return Page("T & t", ["first", "second"], [section, Section("Empty", missing="give it")], ["all is wrong"])


def body(page: Page) -> ElementTree.Element:
    inner = to_html(page).split("</head>")[1].rpartition("</html>")[0]
    return ElementTree.fromstring(re.sub(r"<(img[^>]*)>", r"<\1/>", inner))


def test_the_page_is_well_formed_and_loads_nothing(page: Page) -> None:
    html, tree = to_html(page), body(page)
    assert not re.search(r"<script|@import|<link|url\(|http", html)
    assert tree.find(".//img").get("src").startswith("data:image/svg+xml;base64,")
    assert tree.find(".//img").get("alt") == "a <line>"
    links = [a.get("href") for a in tree.findall("nav/a")]
    assert links == [f"#{s.get('id')}" for s in tree.findall("section")]
    assert [w.get("role") for w in tree.iter("div") if w.get("class") == "alarm"] == ["alert", "alert"]
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_tables_tell_a_screen_reader_what_their_cells_are(page: Page) -> None:
    for table in body(page).iter("table"):
        assert table.find("caption").text
        assert {th.get("scope") for th in table.findall("thead/tr/th")} == {"col"}
        assert {th.get("scope") for th in table.findall("tbody/tr/th")} == {"row"}
        width = len(table.findall("thead/tr/th"))
        assert all(len(row) == width for row in table.findall("tbody/tr"))


def test_html_and_markdown_show_the_numbers_of_the_json(page: Page, tmp_path: Path) -> None:
    told = to_json(page)
    table = told["sections"]["What is it?"]["tables"]["What is it?"]
    assert table[0]["score"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert table[1]["score"]["value"] is None
    shown = [[c.text for c in row] for row in body(page).find(".//tbody")]
    assert shown == [[cell(v) for v in row.values()] for row in ROWS]
    assert shown[0] == ["A<b>|c", "1,200", "0.500 [0.400, 0.600]", "-"]
    markdown = to_markdown(page, tmp_path)
    assert "| A<b>/c | 1,200 | 0.500 [0.400, 0.600] | - |" in markdown
    assert "![a <line>](f/a.svg)" in markdown
    for words in ("all is wrong", "<beware>", "a note", "give it", "Look for: this"):
        assert words in markdown
    json.dumps(told, allow_nan=False)


def test_long_tables_are_cut_on_the_page_only(page: Page) -> None:
    rows = [{"k": k} for k in range(MOST_ROWS + 5)]
    long = Page("T", [], [Section("S", table=rows)], numbers="n.json")
    assert len(body(long).findall(".//tbody/tr")) == MOST_ROWS
    assert "... and 5 more rows: n.json has all" in to_html(long)
    assert len(to_json(long)["sections"]["S"]["tables"]["S"]) == MOST_ROWS + 5


def test_three_files_alike_each_time(page: Page, tmp_path: Path) -> None:
    write_page(page, tmp_path / "out.html")
    first = [(tmp_path / f"out.{kind}").read_bytes() for kind in ("html", "md", "json")]
    with canvas(tmp_path / "f" / "a.svg", 2, 2) as figure:
        figure.add_subplot().plot([1, 2])
    write_page(page, tmp_path / "out.html")
    assert first == [(tmp_path / f"out.{kind}").read_bytes() for kind in ("html", "md", "json")]
    assert not list(tmp_path.glob(".*"))
