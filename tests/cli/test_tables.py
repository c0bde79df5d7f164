"""The table of predictions on the terminal: its cells, with and without a taxonomy, periods and sets."""

from io import StringIO

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from goodricke.cli.tables import Layout, _prediction_table, print_predictions
from goodricke.data.predictions import Predictions
from tests.making import LEAVES, predictions_of, variables


def cells(predictions: Predictions, width: int = 160) -> dict[str, list[str]]:
    """Return the cells of the table by the titles of its columns; a second column of one name has a space after it."""
    result: dict[str, list[str]] = {}
    for column in _prediction_table(predictions, "", width).columns:
        title = str(column.header)
        result[title + " " * (title in result)] = [str(cell) for cell in column.cells]
    return result


def printed(predictions: Predictions, width: int = 160) -> str:
    console = Console(file=StringIO(), width=width)
    print_predictions(predictions, "title", console)
    return console.file.getvalue()


def test_answers_with_nodes_and_periods() -> None:
    table = cells(variables())
    assert table["class"] == ["ECLIPSING", "MIRA", "uncertain\n[yellow]new?[/]", "[red]EMPTY[/]"]
    assert table["p"] == ["0.97", "1.00", "", ""]
    assert table["leaves"][:2] == ["EW 0.55 / EB 0.42", ""]  # the only leaf is the class
    assert table["90 % set"] == ["EW or EB", "MIRA", "ECLIPSING", ""]
    assert table["P \\[d]"] == ["0.40000(2)", "300(4)", "", ""]
    assert table["p "] == ["0.83", "0.60", "", ""]
    assert table["or P"] == ["P/2 0.12, 1-day alias 0.05", "P/2 0.40", "", ""]
    assert table["doubt"] == ["", "< 2 cycles, FAP 0.02", "", ""]
    assert table["obs"] == ["80", "60", "40", "0"]


def test_a_narrow_terminal_has_fewer_columns_and_whole_names_of_classes() -> None:
    assert "or P" not in cells(variables(), 80)
    assert "uncertain" in printed(variables(), 80)
    assert cells(variables(), 80)["P \\[d]"][:2] == ["0.40000", "300.00"]
    assert cells(variables(), 80)["leaves"][0] == "EW 0.55\nEB 0.42"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_are_whole_whatever_the_width(width: int) -> None:
    names = ["ZTF18aabcdefg", "Gaia DR3 4295806720123456789", "x" * 70]
    p = np.tile([0.55, 0.42, 0.01, 0.01, 0.01], (3, 1))
    sets = np.ones((3, 5), bool)
    many = predictions_of(names, ["OK"] * 3, LEAVES, p, [80, 60, 40], prediction_set=sets)
    text = printed(many, width)
    lines = [line for line in text.splitlines() if not line.isspace()]
    assert max(map(len, lines)) <= width
    assert names[0] in text
    start = lines[1].index("class") if width < 100 else lines[2].index("class")
    joined = "".join(line[:start].strip(" │") for line in lines)
    assert all(name.replace(" ", "") in joined.replace(" ", "") for name in names)


def test_nothing_is_cut_off_where_numbers_of_observations_find_no_room() -> None:
    known = Layout("known", lambda row: "delta Cep", no_wrap=True)
    for width, left_out in ((68, {"obs", "leaves"}), (80, {"obs"}), (160, set())):
        table = _prediction_table(variables(), "", width, [known])
        assert {"obs", "leaves"} - {str(column.header) for column in table.columns} == left_out
        console = Console(file=StringIO(), width=width)
        console.print(table)
        text = console.file.getvalue()
        assert "…" not in text
        assert all(word in text for word in ("ECLIPSING", "delta Cep", "0.97", "300", "MIRA", "P [d]"))


def test_sectors_and_bands_tell_the_light_curves_of_a_star_apart() -> None:
    p, sectors = np.tile([0.8, 0.2], (3, 1)), pa.table({"sector": pa.array([1, 27, None])})
    star = predictions_of(["TIC 1"] * 3, ["OK"] * 3, ("EA", "EW"), p, [80, 60, 40], objects=sectors)
    table = _prediction_table(star, "", 80, bands=["TESS", "TESS"])
    titles = [str(column.header) for column in table.columns]
    assert titles[:3] == ["object", "sector", "class"]
    assert list(table.columns[1].cells) == ["1", "27", ""]
    table = _prediction_table(star, "", 80, bands=["g", "r", "g/r"])
    assert list(table.columns[2].cells) == ["g", "r", "g/r"]
    missions = pa.table({"sector": pa.array([1, None, None]), "quarter": pa.array([None, 5, None])})
    mixed = predictions_of(["TIC 1"] * 3, ["OK"] * 3, ("EA", "EW"), p, [80, 60, 40], objects=missions)
    table = _prediction_table(mixed, "", 80, bands=["TESS", "Kepler", "TESS"])
    assert list(table.columns[1].cells) == ["sector 1", "quarter 5", ""]
    narrow = _prediction_table(mixed, "", 40, bands=["TESS", "Kepler", "TESS"])
    assert "band" not in [str(column.header) for column in narrow.columns]


def test_what_is_below_the_table() -> None:
    text = " ".join(printed(variables()).split())
    assert "3 of 4 classified: ECLIPSING 1, MIRA 1, uncertain 1" in text
    assert "90 % set: classes, the true one among them for 90 % of all objects" in text
    assert "1 < 2 cycles: their periods are longer than half the time span" in text
    assert "1 new?: less like the training set than 99%" in text
    assert "1 EMPTY: the light curve has no observation" in text


def test_models_without_nodes_and_periods_have_the_next_class_and_a_bar() -> None:
    p, spread = np.array([[0.2, 0.8], [0.5, 0.5]]), np.full((2, 2), 0.1)
    plain = predictions_of(["a", "b"], ["OK", "EMPTY"], ("EA", "[ew]"), p, [5, 0], spread=spread)
    table = cells(plain)
    assert list(table) == ["object", "class", "probability", "", "next", "obs"]
    assert table["class"][0] == "\\[ew]"
    assert table["probability"] == ["0.80 ± 0.10", ""]
    assert table[""] == ["████████", ""]
    assert table["next"][0] == "EA 0.20"
    assert table["next"][1] == ""
    assert printed(plain).count("the light curve has no observation") == 1


def test_the_period_of_a_fold_replaces_the_bar_in_a_narrow_terminal() -> None:
    p, columns = np.array([[0.2, 0.8]]), {"fold_period": np.array([0.123456789])}
    folded = predictions_of(["a"], ["OK"], ("EA", "EW"), p, [5], columns=columns)
    assert cells(folded)["P \\[d]"] == ["0.12346"]
    assert "" in cells(folded)
    assert "" not in cells(folded, 80)


def test_no_row_and_no_class() -> None:
    none = predictions_of([], np.array([], str), ("X",), np.zeros((0, 1)), np.zeros(0, int))
    assert "0 of 0 classified" in printed(none)
    one = predictions_of(["a"], ["OK"], ("X",), np.ones((1, 1)), [5], prediction_set=np.zeros((1, 1), bool))
    assert cells(one)["90 % set"] == ["no class"]
    assert cells(one)["next"] == [""]


def test_names_of_classes_are_readable_in_a_narrow_terminal_and_simulations_are_said() -> None:
    classes = ("SOLARLIKE", "GDOR_SPB", "INSTRUMENT", "APERIODIC")
    p, columns = np.array([[0.4, 0.3, 0.2, 0.1]]), {"fold_period": np.array([0.4295])}
    options = {"spread": np.full((1, 4), 0.1), "prediction_set": np.ones((1, 4), bool), "columns": columns}
    dense = predictions_of(["TIC 358108509"], ["OK"], classes, p, [1000], model="tess-sim", **options)
    text = printed(dense, 80)
    assert "…" not in text
    assert all(name in text for name in classes)
    assert "tess-sim was trained on simulations" in text
