"""Scores that the pages copy from a model's card are those of the card.

``<!-- from: MODEL -->`` above a table, a paragraph or a list ties its numbers of three decimals, and its percentages
with an interval, to the card of a shipped model. ``<!-- from: each -->`` is for tables and lists whose rows begin with
the name of their model. ``<!-- from: MODEL; rows: TEXT; TEXT; column: N -->`` ties only the rows with one of the texts,
and only their Nth cell; both parts can be left out, and a table can have several comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from goodricke.models.bundle import shipped_models
from tests.docs.blocks import ROOT, pages

CARDS = ROOT / "src" / "goodricke" / "models" / "shipped"
TIE = re.compile(r"<!-- from: (?P<model>[\w-]+)(?:; rows: (?P<rows>.*?))?(?:; column: (?P<column>\d+))? -->\n+")
NUMBER = r"(?<![\d.])\d\.\d{3}(?!\d)"
SCORE = re.compile(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]")  # a value with its 95 % interval
PERCENT = re.compile(r"([\d.]+)(?: %| points|) \[([\d.]+), ([\d.]+)\]")
CERTAIN = re.compile(r"\b1\.000\]|\[0\.000")  # a few objects, all or none right: many scores are the same by chance


@cache
def card(model: str) -> str:
    """Return the card of a shipped model."""
    return as_fractions((CARDS / model / "README.md").read_text())


def as_fractions(text: str) -> str:
    """Return a text in one line, with percentages of one decimal that have an interval as fractions."""

    def fraction(match: re.Match[str]) -> str:
        if any(len(number.partition(".")[2]) != 1 for number in match.groups()):
            return match[0]
        value, low, high = (f"{float(number) / 100:.3f}" for number in match.groups())
        return f"{value} [{low}, {high}]"

    return PERCENT.sub(fraction, " ".join(text.split()))


def stale(item: str, model: str) -> list[str]:
    """Return the numbers of an item that the card doesn't have; a score counts with its interval."""
    text = as_fractions(item)
    numbers = SCORE.findall(text) + re.findall(NUMBER, SCORE.sub("", text))
    return [number for number in numbers if number not in card(model)]


def tied(text: str) -> Iterator[tuple[str, str]]:
    """Yield the model and the text of every row, item of a list or paragraph that is tied to a card."""
    for match in TIE.finditer(text):
        block = TIE.sub("", text[match.end() :]).split("\n\n")[0]
        for item in re.split(r"\n(?=\||- )", block):
            if match["rows"] and not any(row in item for row in match["rows"].split("; ")):
                continue
            name = re.match(r"(?:\| |- )\**`([\w-]+)`", item) if match["model"] == "each" else None
            if name or match["model"] != "each":
                cell = item.split("|")[int(match["column"])] if match["column"] else item
                yield name[1] if name else match["model"], cell


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_scores_tied_to_a_card_are_those_of_the_card(page: Path) -> None:
    wrong = {item: numbers for model, item in tied(page.read_text()) if (numbers := stale(item, model))}
    assert not wrong, f"{page.name} has numbers that the model's card doesn't have (any more): {wrong}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_scores_of_a_card_are_tied_to_the_card(page: Path) -> None:
    text = page.read_text()
    for _, item in tied(text):
        text = text.replace(item, "")
    scores = SCORE.findall(" ".join(text.split()))  # not percentages: with fewer digits they agree by chance
    cards = [card(model) for model in shipped_models()]
    loose = [s for s in scores if not CERTAIN.search(s) and any(s in text for text in cards)]
    assert not loose, f"{page.name}: put <!-- from: MODEL --> above the place of {loose}"


def test_a_changed_number_is_noticed() -> None:
    score = SCORE.search(card("variables"))
    assert score
    changed = re.sub(r"\d(?= \[)", lambda digit: str((int(digit[0]) + 1) % 10), score[0])
    page = "<!-- from: {} -->\n| model | accuracy |\n| {} | {} |\n\nNot tied: 0.123 [0.100, 0.200]\n"
    for name, first in (("variables", "one"), ("each", "`variables`"), ("variables; rows: two; one; column: 2", "one")):
        right, wrong = (list(tied(page.format(name, first, number))) for number in (score[0], changed))
        assert not any(stale(item, model) for model, item in right), name
        assert [number for model, item in wrong for number in stale(item, model)] == [changed], name
    assert not list(tied(page.format("variables; rows: two", "one", changed)))
    assert stale("better by 99.9 points [98.7, 100.0]", "variables") == ["0.999 [0.987, 1.000]"]
