"""What light curves and predictions show at a prompt and in a notebook, and the figures that they draw."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import Table

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from tests.making import predictions_of, sine, sky, variables


@pytest.fixture
def curves() -> LightCurves:
    return sky(4)[0]


@pytest.fixture
def predictions(curves) -> Predictions:
    return replace(variables(), curves=(curves,))


def test_the_first_light_curves_as_a_table(curves):
    html = curves.with_columns(label=["<b>EW</b>"] * 4)._repr_html_()
    assert html.count("<tr>") == 5
    assert html.count("<svg") == 4
    assert "&lt;b&gt;EW" in html
    assert "<b>EW" not in html
    many = LightCurves.concat([sky(24, seed)[0] for seed in range(3)])._repr_html_()
    assert "... and 62 more" in many


def test_light_curves_that_are_empty_constant_or_broken_have_a_table():
    none = LightCurves.from_arrays([], [0], [], [])
    odd = LightCurves.from_arrays(["a", "b", "c"], [0, 0, 2, 5], np.arange(5.0), [1, 1, np.nan, np.inf, np.nan])
    for curves in (none, odd):
        assert "<table>" in curves._repr_html_()


def test_predictions_are_a_table_and_say_what_statuses_mean(predictions):
    text = repr(predictions)
    assert text.startswith("Predictions(4 rows, 3 classified by variables, 5 classes)")
    assert "EW 0.55 / EB 0.42" in text
    assert text.count("the light curve has no observation") == 1
    html = predictions._repr_html_()
    assert html.count("<tr>") == 5
    assert "1 EMPTY: the light curve has no observation" in html
    empty = predictions_of([], np.array([], str), ("X",), np.zeros((0, 1)), np.zeros(0, int))
    assert repr(empty) == "Predictions(0 rows, 0 classified, 1 classes)"
    assert "<table>" in empty._repr_html_()


def test_probabilities_of_periods_have_a_column_where_there_are_any(predictions):
    assert "p of P" in repr(predictions)
    bare = predictions.table.drop_columns(["period_probability"])
    bare = bare.append_column("period_probability", pa.nulls(4, pa.float32()))
    assert "p of P" not in repr(Predictions(bare, predictions.classes))


def test_columns_and_rows(predictions, curves):
    assert curves.with_columns(label=list("abcd"))["label"].tolist() == list("abcd")
    assert predictions["status"].tolist() == ["OK", "OK", "OK", "EMPTY"]
    assert predictions[1]["object_id"].tolist() == ["mira"]
    assert predictions[-1]["status"].tolist() == ["EMPTY"]
    chosen = predictions[predictions["status"] == "OK"]
    assert (len(chosen), chosen.curves[0].ids) == (3, curves.ids[:3])
    assert predictions[1:3].curves[0].ids == curves.ids[1:3]
    with pytest.raises(IndexError):
        predictions[4]
    assert len(list(predictions)) == 4


def test_each_row_has_its_light_curve_in_whatever_batches_they_were(curves):
    apart = replace(variables(), curves=(curves[:1], curves[1:3]))
    assert [apart.light_curve(i).ids for i in range(3)] == [[name] for name in curves.ids[:3]]
    unread = apart.light_curve(3)
    assert (unread.ids, unread.n_obs.tolist()) == (["empty"], [0])
    assert [one.ids for one in apart[[2, 0]].curves] == [["2"], ["0"]]
    joined = Predictions.concat([replace(variables(), curves=(curves,))] * 2)
    assert joined.light_curve(5).ids == [curves.ids[1]]
    assert Predictions.concat([variables(), joined]).curves == ()
    with pytest.raises(ValueError, match="keep no light curves"):
        variables().plot(0)


def test_tables_of_astropy(predictions):
    table = predictions.to_astropy()
    assert isinstance(table, Table)
    assert str(table["period"].unit) == "d"
    assert table["period"].mask.tolist() == [False, False, True, True]
    assert table["class"][0] == "ECLIPSING"
    assert table["prediction_set"][0] == "EB|EW"


def test_figures(curves, predictions, tmp_path):
    figures = {
        "light curve": curves.plot(1),
        "folded": curves[1].fold(0.7).plot(),
        "periodogram": curves.periodogram(1).plot(),
        "prediction": predictions.plot(0),
        "not classified": predictions.plot(3),
        "folded on the answer": predictions.fold(0).plot(),
        "folded on the peak": predictions.fold(2).plot(),
        "its periodogram": predictions.periodogram(0).plot(period=0.4),
    }
    for name, figure in figures.items():
        assert figure._repr_png_().startswith(b"\x89PNG"), name
    assert plt.get_fignums() == []  # they belong to no window
    figures["prediction"].savefig(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").exists()


def test_figures_go_into_the_caller_s_axes(curves):
    figure, (left, middle, right) = plt.subplots(1, 3)
    try:
        assert curves.plot(0, ax=left) is figure
        assert curves[0].fold(2.0).plot(ax=middle) is figure
        assert curves.periodogram(0).plot(ax=right) is figure
        assert left.get_xlabel() == "time [d]"
        assert (middle.get_xlabel(), right.get_xlabel()) == ("phase", "period [d]")
    finally:
        plt.close(figure)


def test_a_fold_is_on_the_answered_period(curves, predictions):
    expected = curves[0].fold(0.4)
    np.testing.assert_array_equal(predictions.fold(0).time, expected.time)


def test_a_light_curve_without_a_periodogram_says_why(curves):
    with pytest.raises(ValueError, match=r"0 has no periodogram: 3 observations, of which five"):
        curves[0].where(np.arange(curves.n_obs[0]) < 3).periodogram()


def test_the_periodogram_finds_the_period():
    time, mag = sine(period=0.7)
    assert gr.as_light_curves(time=time, mag=mag).periodogram().best == pytest.approx(0.7, rel=1e-3)


def test_models_and_a_model_in_short():
    table = gr.models()
    assert {"variables", "tess-sim", "ztf-bts", "plasticc"} <= set(table.index)
    assert table.loc["tess-sim", "simulated"]
    card = repr(gr.load_model("variables"))
    assert card.startswith("Model variables (")
    assert len(card.splitlines()) < 12
    for word in ("for ", "classes ", "trained on ", "scores "):
        assert word in card
