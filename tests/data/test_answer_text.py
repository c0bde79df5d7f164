"""Texts of answers, on values."""

import pytest

from goodricke.data.answer_text import (
    alternatives_text,
    class_probability,
    false_alarm_text,
    is_novel,
    leaves_of,
    leaves_text,
    period_notes,
    period_text,
    set_text,
    set_title,
)
from tests.making import LEAVES, variables

BINARY, MIRA, STRANGE, EMPTY = variables().table.to_pylist()


def test_the_class_with_its_leaves() -> None:
    assert (BINARY["class"], round(class_probability(BINARY), 2)) == ("ECLIPSING", 0.97)
    assert class_probability({"p_max": 0.5}) == 0.5
    assert leaves_text(BINARY, LEAVES) == "EW 0.55 / EB 0.42"
    assert leaves_text(MIRA, LEAVES) == "MIRA 1.00"
    assert len(leaves_of(STRANGE, LEAVES)) == 3


def test_sets_have_their_coverage_and_the_name_of_a_node() -> None:
    assert set_title(variables().table.schema) == "90 % set"
    assert set_title(variables(coverage=(0.955, True)).table.schema) == "95.5 % set"
    assert [set_text(row) for row in (BINARY, MIRA, STRANGE)] == ["EW or EB", "MIRA", "ECLIPSING"]
    assert set_text({"prediction_set": []}) == "no class"


@pytest.mark.parametrize(
    ("period", "error", "text"),
    [
        (0.123456789, 1.2e-7, "0.1234568(1)"),
        (300.0, 4.0, "300(4)"),
        (300.0, 42.0, "300(42)"),
        (0.5, 0.0096, "0.50(1)"),
        (2500.0, None, "2500"),
        (1.0, 2.0, "1.0000"),
        (123.45678, float("nan"), "123.46"),
    ],
)
def test_periods_have_as_many_digits_as_are_known(period: float, error: float | None, text: str) -> None:
    assert period_text(period, error) == text


def test_other_periods_are_named_by_their_relation() -> None:
    assert alternatives_text(BINARY) == "P/2 0.12, 1-day alias 0.05"
    assert alternatives_text(STRANGE) == alternatives_text(EMPTY) == ""
    unrelated = BINARY | {"period_alternatives": [0.71, None, None]}
    assert alternatives_text(unrelated) == "0.71000 d 0.12"


def test_doubts_are_named() -> None:
    assert false_alarm_text(BINARY) == "FAP < 1e-06"
    assert false_alarm_text(STRANGE) == ""
    assert period_notes(BINARY) == period_notes(STRANGE) == []
    long, fap = period_notes(MIRA)
    assert long.startswith("longer than half the time span")
    assert fap == "FAP 0.02"
    assert [is_novel(row) for row in (BINARY, STRANGE, EMPTY)] == [False, True, False]
