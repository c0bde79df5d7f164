"""One id and one label are the same in every command, however they are written."""

import json
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.explorer.session import read_extra_columns
from goodricke.survey.crossmatch import labels_of_objects
from goodricke.survey.examine.run import examine
from goodricke.survey.shards import Catalog
from goodricke.survey.thresholds import choose_thresholds

run = CliRunner().invoke


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stars, folded_model):
    """Write 12 light curves called TIC 00000001, ..., their catalog, a table with other spellings, and labels."""
    folder = tmp_path_factory.mktemp("names")
    ids = [f"TIC {k + 1:08d}" for k in range(12)]
    replace(stars, object_id=pa.array(ids)).write_parquet(folder / "curves.parquet")
    command = ["classify", str(folder / "curves.parquet"), "--model", str(folded_model.folder), "--mc", "0"]
    result = run(app, [*command, "--out", str(folder / "catalog.parquet")])
    assert result.exit_code == 0, result.output
    table = pd.DataFrame({"ID": range(1, 13), "Teff": [5000.0 + k for k in range(12)]})
    table.to_csv(folder / "tic.csv", index=False)
    labels = pd.DataFrame({"object_id": ids, "label": ["ecl", "Puls", "r.o.t."] * 4})
    labels.to_csv(folder / "labels.csv", index=False)
    return folder


def test_an_id_matches_in_convert_explore_and_examine(folder, tmp_path):
    catalog, table = folder / "catalog.parquet", folder / "tic.csv"
    result = run(app, ["convert", str(catalog), "--join", str(table), "--out", str(tmp_path / "joined.csv")])
    assert result.exit_code == 0, result.output
    temperature = [5000.0 + k for k in range(12)]
    assert pd.read_csv(tmp_path / "joined.csv")["Teff"].tolist() == temperature
    assert read_extra_columns(Catalog.open(catalog), table)["Teff"].to_pylist() == temperature
    assert examine(catalog, tmp_path / "out", gaia=table).sample.numbers("teff").tolist() == temperature


def test_labels_in_other_cases_count_in_examine_thresholds_and_evaluate(folder, folded_model, tmp_path):
    catalog, labels = folder / "catalog.parquet", folder / "labels.csv"
    assert examine(catalog, tmp_path / "out", labels=labels).results["labels"]["used"] == 12
    cuts = choose_thresholds(catalog, labels, 0.5).classes
    assert [cut.labelled for cut in cuts.values()] == [4, 4, 4]
    command = ["evaluate", str(folded_model.folder), "--light-curves", str(folder / "curves.parquet")]
    command += ["--labels", str(labels), "--mc", "0", "--out", str(tmp_path / "scores")]
    result = run(app, command)
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scores["objects"]["scored"] == 12


def test_labels_join_by_the_same_ids(folder):
    labels = pd.DataFrame({"object_id": ["tic-1", "12"], "label": ["EB", None]})
    assert labels_of_objects(["TIC 00000001", "TIC 00000012", "x"], labels).tolist() == ["EB", None, None]
