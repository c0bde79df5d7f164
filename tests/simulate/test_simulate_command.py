"""The command: files that train and classify read back, a figure, the tables of parameters."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke import read
from goodricke.cli import app
from goodricke.io import read_labels
from goodricke.simulate.blocks import labels_path, write
from goodricke.simulate.dense import simulate_dense
from goodricke.simulate.overview import draw_dense

SMALL = ["--per-class", "3", "--class", "RRLYR_CEPHEID", "--class", "INSTRUMENT", "--seed", "7"]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["simulate", *arguments])
    return result.exit_code, result.output


def test_a_written_file_can_be_read_with_its_labels(tmp_path: Path) -> None:
    out = tmp_path / "new" / "sim.parquet"
    code, text = run("--out", str(out), *SMALL)
    assert code == 0, text
    assert "6 simulated light curves" in text
    made = simulate_dense(3, classes=["RRLYR_CEPHEID", "INSTRUMENT"], seed=7)
    found = read(str(out))
    assert found.ids == made.ids
    for name in ("time", "value", "error", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    assert (found.unit, found.time_scale, found.bands) == (made.unit, made.time_scale, made.bands)
    assert found.table_of_objects["mission"].to_pylist() == ["TESS"] * 6
    labels = read_labels(labels_path(out)).set_index("object_id")["label"]
    assert labels.loc[found.ids].tolist() == found.table_of_objects["label"].to_pylist()
    settings = json.loads(pq.read_schema(out).metadata[b"simulated"])
    assert (settings["seed"], settings["cadence"]) == (7, "tess-30min")
    assert sorted(path.name for path in out.parent.iterdir()) == ["sim-labels.csv", "sim.parquet"]


def test_parts_become_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goodricke.simulate.blocks.GROUP_POINTS", 3000)
    curves = simulate_dense(8, classes=["INSTRUMENT"])
    done = list[int]()
    assert write([curves[i : i + 1] for i in range(8)], tmp_path / "a.parquet", {}, done.append) == 8
    assert sum(done) == 8
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == len(done) > 1
    np.testing.assert_array_equal(read(str(tmp_path / "a.parquet")).value, curves.value)


def test_an_interrupted_file_is_not_left_behind(tmp_path: Path) -> None:
    def parts():  # type: ignore[no-untyped-def]
        yield simulate_dense(2, classes=["INSTRUMENT"])
        raise RuntimeError("out of light")

    with pytest.raises(RuntimeError):
        write(parts(), tmp_path / "a.parquet", {})
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".parquet", ".csv") and path.name[0] != "."]
    with pytest.raises(ValueError, match=r"call the file a\.parquet"):
        write([], tmp_path / "a.fits", {})


def test_a_figure_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "sim.png"
    draw_dense(simulate_dense(5, classes=["INSTRUMENT", "CONSTANT"]), path, per_class=5, columns=3)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_the_parameters_are_printed() -> None:
    code, text = run("--parameters")
    assert code == 0
    for word in ("rr_lyrae_ab", "detached", "systematics", "Mazeh"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to make"),
        (["--out", "a.parquet", "--sectors", "many"], "write how many"),
        (["--figure", "a.foo"], "call it .png"),
        (["--out", "a.parquet", "--class", "QUASAR"], ""),
        (["--out", "a.parquet", "--cadence", "plato"], ""),
    ],
)
def test_wrong_usage_is_an_error(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = run(*arguments)
    assert code == 2
    assert message in " ".join(text.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("survey", [[], ["--survey", "rubin"]])
def test_help_names_the_classes(survey: list[str], tmp_path: Path) -> None:
    _, refusal = run(*survey, "--class", "QUASAR", "--out", str(tmp_path / "a.parquet"))
    names = refusal.partition("there are ")[2].replace(",", " ").split()
    assert len(names) > 8
    assert set(names) <= set(run("--help")[1].replace(",", " ").replace("│", " ").split())


def test_sectors_are_a_number_or_a_list() -> None:
    from goodricke.cli.simulate import _parse_sectors

    assert (_parse_sectors("3"), _parse_sectors("14,15,26"), _parse_sectors("14,")) == (3, (14, 15, 26), (14,))
