"""Formulas of columns: numpy's numbers for what is allowed, and a sentence for everything else."""

import numpy as np
import pytest

from goodricke.explorer.expressions import Formula

A, B = np.array([1.0, 100.0, -4.0, np.nan]), np.array([2.0, 0.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", A),
        ("-a + 2*b", -A + 2 * B),
        ("a**2 / b", [0.5, np.inf, 16 / 3, np.nan]),
        ("a^2", A**2),
        ("log10(a) - 5*log10(10)", [-5, -3, np.nan, np.nan]),
        ("sqrt(abs(a))", np.sqrt(np.abs(A))),
        ('"odd name; x" * 1e3', 1000 * B),
        ("2 * (1 + 3)", [8, 8, 8, 8]),
    ],
)
def test_the_values_are_numpys(text, expected):
    formula = Formula(text)
    values = formula.evaluate({"a": A, "b": B, "odd name; x": B})
    np.testing.assert_array_equal(values, expected)
    assert formula.columns <= {"a", "b", "odd name; x"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a +",
        "a.__class__",
        "__import__('os')",
        "open('x')",
        "a[0]",
        "[a for a in b]",
        "lambda: 1",
        "a if b else 1",
        "a < b",
        "(a, b)",
        "log10(a, b)",
        "log10(a, out=b)",
        "exec(a)",
        "1j",
        "True",
        "None",
        "b'x'",
        "a@b",
        "a//b",
        "not a",
        "~a",
        "a" * 301,
        "(" * 120 + "a" + ")" * 120 + "(" * 200,
        "-" * 200 + "a",
        "f'{a}'",
        "a := 1",
        "\x00",
    ],
)
def test_nothing_else_is_a_formula(text):
    with pytest.raises(ValueError):  # noqa: PT011  (the words differ)
        Formula(text)


def test_large_powers_are_numbers_of_the_machine():
    """As Python's integers they would take minutes."""
    assert np.isinf(Formula("9**9**9**9").evaluate({"a": A})).all()
