"""`goodricke classify`: figures in a folder and in one PDF, progress without a terminal, a model chosen by the data."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from goodricke.cli.classify import classify_files
from goodricke.cli.file_report import report_files
from goodricke.data import progress
from goodricke.data.predictions import Predictions
from goodricke.evaluation.figures.figure_files import figure_files
from tests.making import predictions_of, sky


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two stars, and a file that can't be read."""
    time = 58000 + np.arange(60) * 2.3
    for k, name in enumerate(("a", "b")):
        frame = pd.DataFrame(
            {"star": name, "mjd": time, "mag": 15 + np.sin(time * (k + 1)), "magerr": 0.02, "band": "g"}
        )
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "broken.csv").write_text("x,y\n1,2\n")
    return tmp_path


def test_a_folder_and_a_pdf_of_figures_a_chosen_model_and_progress(folder, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress.PlainLines.__init__, "__defaults__", (0.0,))
    console = Console(file=StringIO(), width=80)
    paths = [str(folder / f"{name}.csv") for name in ("a", "b", "broken")]
    code = classify_files(paths, plot=folder / "figures", pdf=folder / "all.pdf", passes=0, console=console)
    text = console.file.getvalue()
    assert code == 3
    assert text.startswith("Model variables: the light curves are sparse")
    assert "--model ztf-bts" in " ".join(text.split())
    assert text.count("the file can't be read") == 1
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["a.png", "b.png"]
    assert b"/Count 2" in (folder / "all.pdf").read_bytes()
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("2 figures, ") for line in lines)
    assert any(line.startswith("2 light curves, ") for line in lines)
    report_files(paths[:2], plot=folder / "looks", console=console)
    assert sorted(path.name for path in (folder / "looks").iterdir()) == ["a.png", "b.png"]


def test_the_first_light_curves_only_are_drawn_and_how_many_is_said(folder):
    console = Console(file=StringIO(), width=80)
    paths = [str(folder / f"{name}.csv") for name in ("a", "b")]
    figures = folder / "figures"
    classify_files(paths, "variables", plot=figures, pdf=folder / "first.pdf", passes=0, console=console, plot_first=1)
    text = " ".join(console.file.getvalue().split())
    assert "1 of 2 light curves drawn, the first ones; all of them: --plot-first 0" in text
    assert [path.name for path in figures.iterdir()] == ["a.png"]
    assert b"/Count 1" in (folder / "first.pdf").read_bytes()
    curves = sky(5)[0]
    p = predictions_of(curves.ids, ["EMPTY"] * 5, ("A", "B"), np.full((5, 2), 0.5), curves.n_obs)
    with figure_files(folder / "batches", None, 3) as draw:
        for k in (slice(0, 2), slice(2, 4), slice(4, 5)):
            draw(curves[k], Predictions(p.table[k], p.classes), lambda done: None)
    assert len(list((folder / "batches").iterdir())) == 3


def test_figures_of_one_star_have_the_names_of_inspect(tmp_path):
    curves = sky(3)[0].with_columns(sector=[1, 2, 2])
    curves = type(curves).from_arrow(curves.to_arrow().set_column(0, "object_id", [["TIC 1"] * 3]))
    p = predictions_of(curves.ids, ["EMPTY"] * 3, ("A", "B"), np.full((3, 2), 0.5), curves.n_obs)
    with figure_files(tmp_path, None) as draw:
        draw(curves, p, lambda done: None)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.partition("_sector")[2] for name in names] == ["1.png", "2-2.png", "2.png"]


def test_a_figure_that_fails_stops_no_other(tmp_path, monkeypatch, caplog):
    curves = sky(2)[0]
    p = predictions_of(curves.ids, ["EMPTY"] * 2, ("A", "B"), np.full((2, 2), 0.5), curves.n_obs)
    drawn = []

    def fail_first(curve, row, path):
        drawn.append(path)
        if len(drawn) == 1:
            raise RuntimeError("no ink")

    monkeypatch.setattr("goodricke.evaluation.figures.figure_files.plot_object", fail_first)
    with figure_files(tmp_path, None) as draw:
        draw(curves, p, lambda done: None)
    assert len(drawn) == 2
    assert "no figure (RuntimeError: no ink)" in caplog.text
