import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts.filters import Filter

COLUMNS = {
    "p_RRL": np.array([0.9, 0.5, np.nan], np.float32),
    "p_EA": np.array([0.05, 0.4, np.nan], np.float32),
    "p_max": np.array([0.9, 0.5, np.nan], np.float32),
    "n_obs": np.array([20, 5, 1]),
    "class": np.array(["RRL", "RRL", ""]),
    "status": np.array(["OK", "REBUILT", "TOO_FEW_POINTS"]),
}


CONDITIONS = [
    ("p_RRL > 0.8 and n_obs >= 10", [True, False, False]),
    ("p_RRL > 0.8 or n_obs == 1", [True, False, True]),
    ("not p_RRL > 0.8", [False, True, True]),
    ("0.3 < p_EA <= 0.4", [False, True, False]),
    ("p_RRL - p_EA > 0.5", [True, False, False]),
    ("p_RRL / p_EA < 2", [False, True, False]),
    ('class == "RRL" and status != "REBUILT"', [True, False, False]),
    ("class in ('EA', 'RRL')", [True, True, False]),
    ("class not in ('EA', 'RRL')", [False, False, True]),
    ("n_obs > -1", [True, True, True]),
    ("True", [True, True, True]),
    ("2 > 1", [True, True, True]),
    ("p_RRL > 0.8 or False", [True, False, False]),
    ("p_RRL != 0.5", [True, False, False]),
    ("(p_max > 0.4) and (n_obs < 10 or p_EA < 0.1)", [True, True, False]),
]


def test_conditions():
    for text, expected in CONDITIONS:
        assert Filter(text, COLUMNS)(COLUMNS).tolist() == expected, text


NO_CONDITIONS = [
    "p_RRL",
    "p_RRL +",
    "p_XYZ > 1",
    "__import__('os').system('true')",
    "p_RRL.__class__ == 1",
    "[x for x in (1,)] == 1",
    "p_RRL > (lambda: 1)()",
    "n_obs and p_max > 1",
    "n_obs > 'many'",
    "class + 1 > 2",
    "p_max > class",
    "p_max > 1 / 0",
    f"p_max > 1{400 * '0'}",
    "class > 1 2",
    "p_max > 10 ** 1000000",
    "",
    "'open",
]


def test_anything_else_is_refused():
    for text in NO_CONDITIONS:
        with pytest.raises(ValueError, match="filter"):
            Filter(text, COLUMNS)


@given(st.text(max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_text_is_a_filter_or_a_valueerror(text):
    try:
        condition = Filter(text, COLUMNS)
    except ValueError:
        return
    assert np.asarray(condition(COLUMNS)).dtype == bool
