"""The commands, as a user runs them."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.examples import example_files
from goodricke.inference import classify
from tests.checking import ink
from tests.survey.embedding_groups import written


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.fixture
def catalog(tmp_path: Path, stars, folded_model) -> Path:
    classify(stars[:10], folded_model, passes=0).write(tmp_path / "p.parquet")
    return tmp_path / "p.parquet"


def test_similar_writes_a_table_and_a_picture(catalog: Path, tmp_path: Path, stars) -> None:
    told = [
        "--light-curves",
        Path(example_files()[0]).parent,
        "--plot",
        tmp_path / "n.png",
        "--out",
        tmp_path / "n.csv",
    ]
    code, text = run("similar", stars.ids[2], "--catalog", catalog, "-k", 4, *told)
    assert code == 0, text
    table = pd.read_csv(tmp_path / "n.csv", dtype={"query": str, "object_id": str})
    assert table["query"].tolist() == [stars.ids[2]] * 4
    assert table["object_id"][0] in text
    assert 0.02 < ink(tmp_path / "n.png")[2] < 0.6


def test_similar_takes_a_new_light_curve(catalog: Path, tmp_path: Path, stars, folded_model) -> None:
    bundle = tmp_path / "model"
    folded_model.save(bundle, "# tiny\n")
    told = ["--catalog", catalog, "--model", bundle, "--light-curves", Path(example_files()[0]).parent]
    code, text = run("similar", stars.ids[11], *told, "-k", 3, "--out", tmp_path / "n.parquet")
    assert code == 0, text
    assert pq.read_table(tmp_path / "n.parquet")["query"].to_pylist() == [stars.ids[11]] * 3
    assert run("similar", *told, "-k", 2, "--out", tmp_path / "all.parquet")[0] == 0
    assert pq.read_table(tmp_path / "all.parquet").num_rows == 2 * len(stars)
    code, _ = run("similar", "nobody", *told)
    assert code == 2


@pytest.mark.parametrize("words", [[], ["S1", "--plot", "x.png"], ["--model", "variables"]])
def test_similar_says_what_is_missing(tmp_path: Path, words: list[str]) -> None:
    assert run("similar", *words, "--catalog", written(tmp_path / "p.parquet"))[0] == 2


def test_suggest_goes_round_and_loses_no_label(tmp_path: Path) -> None:
    path, out = written(tmp_path / "p.parquet"), tmp_path / "a.csv"
    code, text = run("suggest", path, "-n", 8, "--out", out)
    assert code == 0, text
    assert "fill in" in text
    assert run("suggest", path, "-n", 8, "--out", out)[0] == 0  # nothing is lost: no label yet
    table = pd.read_csv(out)
    table["label"] = ["EA", "EB"] * 4
    table.to_csv(out, index=False)
    before = out.read_text()
    assert run("suggest", path, "-n", 8, "--out", out)[0] == 2
    assert out.read_text() == before
    code, text = run("suggest", path, "-n", 8, "--labelled", out, "--out", tmp_path / "b.csv")
    assert code == 0, text
    assert not set(pd.read_csv(tmp_path / "b.csv")["object_id"]) & set(table["object_id"])
    assert run("suggest", path, "-n", 8)[0] == 2
