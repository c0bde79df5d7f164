"""Periods compared with a catalog's: what agrees, beside baselines that need no network."""

from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import PeriodAnswer
from goodricke.data.predictions import Output
from goodricke.evaluation.period_scores import (
    FACTORS,
    FINDERS,
    agrees,
    groups_of,
    highest_peak_periods,
    period_rows,
    period_scores,
    score_periods,
)
from goodricke.evaluation.report.terminal import print_by_survey
from goodricke.preprocess import VariablesConfig, prepare

PERIODS = np.array([0.37, 0.61, 2.3, 5.2])


@pytest.fixture(scope="module")
def binaries() -> LightCurves:
    """Return stars with two equal minima per period: a sine of half the period is the highest peak."""
    rng = np.random.default_rng(0)
    time = [np.sort(rng.uniform(0, 400, 120)) for _ in PERIODS]
    value = [
        15 + 0.2 * np.cos(4 * np.pi * t / p) + rng.normal(0, 0.02, 120) for t, p in zip(time, PERIODS, strict=True)
    ]
    ids = [str(k) for k in range(len(PERIODS))]
    error = np.full(480, 0.02)
    return LightCurves.from_arrays(
        ids, range(0, 481, 120), np.concatenate(time), np.concatenate(value), error, unit="mag"
    )


def test_agreement_is_symmetric_under_a_change_of_units_and_of_factor() -> None:
    rng = np.random.default_rng(1)
    catalog, span = rng.uniform(0.1, 50, 200), np.full(200, 1000.0)
    period = catalog * rng.choice([1, 0.5, 2, 1.1, 1 / 3], 200) * (1 + 1e-4)
    same, multiple = agrees(period, catalog, span), agrees(period, catalog, span, FACTORS)
    np.testing.assert_array_equal(same, agrees(7 * period, 7 * catalog, 7 * span))
    assert (multiple >= same).all()
    np.testing.assert_array_equal(
        agrees(2 * period, 2 * catalog, span * np.inf), agrees(period, catalog, span * np.inf)
    )
    both = np.column_stack([np.full(200, np.nan), period])
    np.testing.assert_array_equal(agrees(both, catalog, span), same)  # of several candidates any may agree
    assert not agrees(np.full(3, np.nan), catalog[:3], span[:3], FACTORS).any()


def test_the_tolerance_is_half_the_width_of_a_peak_or_two_thousandths() -> None:
    frequency, span = 2.0, 100.0
    within, beyond = 1 / (frequency + 0.49 / span), 1 / (frequency + 0.51 / span)
    assert agrees([within, beyond], [0.5, 0.5], [span, span]).tolist() == [True, False]
    assert agrees([1 / 2.0039, 1 / 2.0041], [0.5, 0.5], [1e6, 1e6]).tolist() == [True, False]


def test_the_highest_peak_of_a_binary_is_at_half_its_period(binaries: LightCurves) -> None:
    period, span = highest_peak_periods(binaries)
    assert agrees(period, PERIODS / 2, span).all()
    assert not agrees(period, PERIODS, span).any()
    assert agrees(period, PERIODS, span, FACTORS).all()
    np.testing.assert_allclose(span, 400, atol=20)


def test_scores_of_answers_and_baselines_by_group(binaries: LightCurves) -> None:
    prepared = prepare(binaries, VariablesConfig())
    answer = PeriodAnswer.empty(4)
    answer.period[:] = [PERIODS[0], PERIODS[1] / 2, 77.0, np.nan]
    output = Output(np.full((4, 2), 0.5), np.zeros(4), periods=answer)
    catalog = np.array([*PERIODS[:3], np.nan])
    groups = groups_of(np.array(["a", "a", "b", "b"]), np.array(["EW", "EA", "EW", "EW"]))
    assert list(groups) == ["a", "a: EA", "a: EW", "b", "b: EW"]
    scores = {x.group: x for x in period_scores(binaries, prepared, output, catalog, groups)}
    assert scores["all"].n == 3  # the fourth has no catalog period
    assert scores["all"].same["model"].value == pytest.approx(1 / 3)
    assert scores["all"].multiple["model"].value == pytest.approx(2 / 3)
    assert scores["all"].same["highest_peak"].value == 0
    assert scores["all"].multiple["highest_peak"].value == 1
    assert scores["all"].same["any_candidate"].value == 1  # double the best sine is a candidate
    assert scores["a"].same["model"].value == 0.5
    assert scores["b: EW"].same["model"].value == 0
    for x in scores.values():
        assert set(x.same) == set(FINDERS)
        assert all(x.same[name].low <= x.same[name].value <= x.same[name].high for name in x.same)
    rows = period_rows([x.to_dict() for x in scores.values()])
    assert [row["light curves"] for row in rows] == list(scores)
    assert rows[0]["the model"].startswith("0.333 [")


def test_nothing_to_compare_is_no_score(binaries: LightCurves) -> None:
    prepared: Any = SimpleNamespace(table_columns={}, usable=np.ones(4, bool))
    output = Output(np.full((4, 2), 0.5), np.zeros(4))
    assert period_scores(binaries, prepared, output, PERIODS, {}) == ()  # a model without periods
    answered = Output(np.full((4, 2), 0.5), np.zeros(4), periods=PeriodAnswer.empty(4))
    assert period_scores(binaries, prepared, answered, np.full(4, np.nan), {}) == ()
    assert period_scores(binaries, prepared, answered, None, {}) == ()


def test_several_light_curves_of_a_star_don_t_narrow_the_interval() -> None:
    catalog, span = np.ones(40), np.full(40, 100.0)
    period = np.where(np.arange(40) < 20, 1.0, 3.0)
    alone = score_periods(catalog, span, {"model": period}, {})[0].same["model"]
    copied = score_periods(
        *(x.repeat(9) for x in (catalog, span)), {"model": period.repeat(9)}, {}, np.arange(40).repeat(9)
    )
    assert copied[0].same["model"] == pytest.approx(alone)


@pytest.mark.parametrize("width", [60, 80, 150])
def test_tables_on_a_terminal_are_complete_however_narrow(width: int) -> None:
    figures = {name: {"value": 0.5, "low": 0.25, "high": 0.75} for name in ("same", "same_half_or_double")}
    records = [{"group": "crts_south: contact", "n": 5904, "by": dict.fromkeys(FINDERS, figures)}]
    console = Console(width=width, file=StringIO(), record=True)
    print_by_survey({"periods": records}, "m", console)
    text = console.export_text()
    assert "\u2026" not in text  # nothing is cut
    assert text.count("0.500") == len(period_rows(records)[0]) - 2
    assert "crts_south: contact" in text
