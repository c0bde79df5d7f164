"""The command line as a user meets it: real files, bad files, exit codes, messages."""

import csv
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.models.bundle import Model
from tests.making import sine

runner = CliRunner()


def run(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three good light curves and everything that can be wrong with a file."""
    for k in range(3):
        time, mag = sine(seed=k, period=0.4 + 0.3 * k)
        pd.DataFrame({"hjd": time, "mag": mag, "mag_err": 0.02}).to_csv(tmp_path / f"good{k}.csv", index=False)
    time, mag = sine()
    (tmp_path / "text.fits").write_text("this is no FITS file")
    (tmp_path / "empty.csv").write_text("hjd,mag,mag_err\n")
    (tmp_path / "nothing.csv").write_text("")
    pd.DataFrame({"flux": mag, "mag_err": 0.1}).to_csv(tmp_path / "timeless.csv", index=False)
    pd.DataFrame({"hjd": time, "mag": np.nan}).to_csv(tmp_path / "nan.csv", index=False)
    pd.DataFrame({"hjd": time[:1], "mag": mag[:1]}).to_csv(tmp_path / "one.csv", index=False)
    pd.DataFrame({"hjd": time, "mag": 12.0}).to_csv(tmp_path / "constant.csv", index=False)
    complete = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(Table({"TIME": time, "FLUX": mag}))])
    complete.writeto(tmp_path / "cut.fits")
    (tmp_path / "cut.fits").write_bytes((tmp_path / "cut.fits").read_bytes()[:3000])
    return tmp_path


def test_every_good_file_is_classified_and_every_bad_one_has_a_row(folder: Path, folded_model: Model) -> None:
    code, _ = run("classify", folder, "--model", folded_model.folder, "--out", folder / "out.parquet", "--mc", 3)
    assert code == 3
    table = pd.read_parquet(folder / "out.parquet").set_index("object_id")
    status = table["status"].to_dict()
    assert {k: v for k, v in status.items() if k.startswith("good")} == dict.fromkeys(("good0", "good1", "good2"), "OK")
    assert status["nan"] == "NON_FINITE"
    assert status["one"] == "TOO_FEW_POINTS"
    assert status["constant"] == "CONSTANT"
    for name in ("text.fits", "nothing.csv", "timeless.csv", "cut.fits", "empty.csv"):
        assert status[name] == "UNREADABLE"
    bad = table[table["status"] != "OK"]
    assert bad[["class", "p_ECL", "p_max", "entropy"]].isna().all().all()
    good = table[table["status"] == "OK"]
    assert np.allclose(good[["p_ECL", "p_PULS", "p_ROT"]].sum(axis=1), 1, atol=1e-5)


def test_log_names_the_file_and_the_fix(folder: Path, folded_model: Model) -> None:
    words = ["classify", folder / "timeless.csv", "--mc", 0, "--model", folded_model.folder]
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == 3
    message = " ".join(result.stderr.split())
    assert "timeless.csv" in message.replace(" ", "")
    assert "Fix" in message
    assert "time" in message


def test_all_good_exits_with_zero(folder: Path, folded_model: Model) -> None:
    files = sorted(folder.glob("good*.csv"))
    code, text = run("classify", *files, "--model", folded_model.folder, "--mc", 0)
    assert code == 0
    assert "3 of 3 classified" in text


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".ecsv", ".fits", ".vot"])
def test_output_formats(folder: Path, folded_model: Model, suffix: str) -> None:
    out = folder / f"out{suffix}"
    assert run("classify", folder / "good0.csv", "--model", folded_model.folder, "--mc", 0, "--out", out)[0] == 0
    if suffix in (".parquet", ".csv"):
        table = Table.from_pandas((pd.read_parquet if suffix == ".parquet" else pd.read_csv)(out))
    else:
        table = Table.read(out)
    assert len(table) == 1
    assert str(table["status"][0]) == "OK"
    assert 0 <= float(table["p_max"][0]) <= 1


def test_unknown_output_format_is_refused_at_once(folder: Path, folded_model: Model) -> None:
    code, _ = run("classify", folder / "good0.csv", "--model", folded_model.folder, "--out", folder / "out.docx")
    assert code == 2


def test_figures_are_written(folder: Path, folded_model: Model) -> None:
    for k in (1, 2):
        (folder / f"good{k}.csv").unlink()
    code, _ = run("classify", folder, "--model", folded_model.folder, "--mc", 2, "--plot", folder / "figures")
    assert code == 3
    assert len(list((folder / "figures").glob("*.png"))) == 4  # the light curves that could be read, classified or not


def test_same_seed_same_answer(folder: Path, folded_model: Model) -> None:
    for out in ("a.csv", "b.csv"):
        run("classify", folder / "good0.csv", "--model", folded_model.folder, "--mc", 4, "--out", folder / out)
    assert (folder / "a.csv").read_text() == (folder / "b.csv").read_text()


def test_unknown_model_names_the_shipped_ones(folder: Path) -> None:
    result = runner.invoke(app, ["classify", str(folder), "--model", "nonsense"])
    assert result.exit_code == 2
    assert "no model 'nonsense'" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_absent_gpu_is_an_error(folder: Path, folded_model: Model) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _ = run("classify", folder / "good0.csv", "--model", folded_model.folder, "--device", "cuda")
    assert code == 2


def test_million_points_and_many_files(tmp_path: Path, folded_model: Model) -> None:
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 30, 1_000_000))
    long = pd.DataFrame({"time": time, "flux": 1 + 0.01 * np.sin(5 * time) + rng.normal(0, 0.01, len(time))})
    long.to_parquet(tmp_path / "long.parquet")
    for k in range(100):
        time, mag = sine(30, seed=k)
        pd.DataFrame({"hjd": time, "mag": mag}).to_csv(tmp_path / f"{k:03d}.csv", index=False)
        if k % 10 == 0:
            (tmp_path / f"{k:03d}.csv").write_text("broken")
    code, text = run("classify", tmp_path, "--model", folded_model.folder, "--mc", 0, "--out", tmp_path / "o.csv")
    assert code == 3
    table = pd.read_csv(tmp_path / "o.csv")
    assert table["status"].value_counts().to_dict() == {"OK": 91, "UNREADABLE": 10}
    assert "91 of 101 classified" in text


def test_inspect_shows_what_was_recognised(folder: Path) -> None:
    code, text = run("inspect", folder / "good0.csv")
    assert code == 0
    assert "200" in text
    assert "mag" in text


def test_every_command_reads_files_in_the_same_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--quality", "hard", "--flux", "F", "--column", "time=t", "--column", "error=e", "--band", "g"]
    options += ["--unit", "mJy", "--time-scale", "MJD", "-r"]
    expected = {"quality": "hard", "flux": "F", "columns": {"time": "t", "error": "e"}, "band": "g"}
    expected |= {"unit": "mJy", "time_scale": "MJD", "recursive": True}
    seen = []
    monkeypatch.setattr("goodricke.cli.file_report.report_files", lambda *_, plot, **reading: seen.append(reading))
    monkeypatch.setattr("goodricke.cli.classify.classify_files", lambda *_, reading, **__: seen.append(reading))
    monkeypatch.setattr("goodricke.evaluation.evaluate.data_source", lambda *arguments: seen.append(arguments[-1]))
    evaluated = ["evaluate", "m", "--out", folder, "--light-curves", folder, "--labels", folder / "labels.csv"]
    monkeypatch.setattr("goodricke.evaluation.evaluate.evaluate", lambda *_, **__: None)
    for command in (["inspect", folder], ["classify", folder, "--model", "m"], evaluated):
        run(*command, *options)
        run(*command)
    assert [{k: v for k, v in reading.items() if v is not None} for reading in seen] == [expected, {}] * 3
    code, text = run("inspect", folder, "--column", "time")
    assert code == 2
    assert "write it as KIND=NAME" in text


def test_dense_model_on_real_tess(shared: Path, dense_model: Model) -> None:
    files = sorted((shared / "data/formats/kepler_tess").glob("tess*.fits"))
    code, text = run("classify", *files, "--model", dense_model.folder, "--mc", 2)
    assert code == 0
    assert "TIC 358108509" in text


def test_models_list_show_verify(folded_model: Model) -> None:
    assert run("models", "list")[0] == 0
    assert "Untrained" in run("models", "show", folded_model.folder)[1]
    code, text = run("models", "verify", folded_model.folder)
    assert code == 0
    assert "reproduced" in text


def test_import_of_a_published_checkpoint(shared: Path, tmp_path: Path) -> None:
    checkpoint = shared / "fixtures/astrafier/one.ckpt"
    code, text = run("models", "import", checkpoint, "--out", tmp_path / "published")
    assert code == 0
    assert "SOLARLIKE" in text
    files = sorted((shared / "data/formats/tglc").glob("*s0007*v1*.fits"))
    assert run("classify", *files, "--model", tmp_path / "published", "--mc", 2)[0] == 0


def test_version_and_example() -> None:
    assert run("--version")[1].strip() == "0.1.0"
    for words, kind in (([], "variables"), (["--dense"], "dense"), (["--multiband"], "multiband")):
        code, text = run("train", "--example", *words)
        assert code == 0
        assert tomllib.loads(text)["preprocessing"]["kind"] == kind


def test_import_is_light() -> None:
    code = (
        "import time; t = time.process_time(); import goodricke; print(time.process_time() - t); import sys; "
        "print(any(m in sys.modules for m in ('torch', 'numpy', 'pandas', 'astropy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.split()
    assert heavy == "False"
    assert float(seconds) < 0.5


def test_bands_are_renamed_and_unknown_ones_are_reported(tmp_path):
    rows = "".join(f"A,{60000 + t},{18 + 0.1 * t},0.1,{'gR'[t % 2]}\n" for t in range(20))
    (tmp_path / "a.csv").write_text("id,mjd,mag,magerr,band\n" + rows)
    command = ["classify", tmp_path / "a.csv", "--model", "ztf-bts", "--out", tmp_path / "o.csv"]
    code, output = run(*command)
    assert code == 0
    assert "observations in R are left out" in " ".join(output.split())
    (before,) = _column(tmp_path / "o.csv", "n_obs")
    code, output = run(*command, "--band", "R=r")
    assert "left out" not in output
    assert (before, *_column(tmp_path / "o.csv", "n_obs")) == ("10", "20")
    assert run(*command, "--band", "R=r,=i")[0] == 2


def test_a_model_of_one_band_warns_that_it_takes_several_together(tmp_path, folded_model):
    rows = [f"{60000 + t},{18 + t % 7},{'gR'[t % 2]}\n" for t in range(60)]
    (tmp_path / "both.csv").write_text("mjd,mag,band\n" + "".join(rows))
    (tmp_path / "g.csv").write_text("mjd,mag,band\n" + "".join(rows[::2]))
    answer = {}
    for name, more in (("both", []), ("both", ["--band", "g"]), ("g", [])):
        out = tmp_path / "o.csv"
        _, output = run("classify", tmp_path / f"{name}.csv", "--model", folded_model.folder, *more, "--out", out)
        warned = "combines their bands, each less its median. To use one band: --band g" in " ".join(output.split())
        answer[name, *more] = warned, _column(out, "n_obs"), _column(out, "class")
    assert answer["both",][:2] == (True, ["60"])
    assert answer["both", "--band", "g"] == answer["g",]
    assert answer["g",][:2] == (False, ["30"])
    catalog = ["catalog", tmp_path / "both.csv", "--model", folded_model.folder, "--mc", "0", "--out"]
    assert "combines their bands" in " ".join(run(*catalog, tmp_path / "c")[1].split())


def test_a_unit_that_the_model_cannot_take_costs_its_rows_and_not_the_run(tmp_path):
    points = [(60000 + t, 18 + 0.1 * t, "gr"[t % 2]) for t in range(20)]
    for name, head in (("mags", "mag"), ("counts", "flux")):
        rows = "".join(f"{name},{t},{x},0.1,{b}\n" for t, x, b in points)
        (tmp_path / f"{name}.csv").write_text(f"id,mjd,{head},{head}_err,band\n{rows}")
    command = [tmp_path / "mags.csv", tmp_path / "counts.csv", "--model", "ztf-bts", "--out"]
    code, output = run("classify", *command, tmp_path / "o.csv")
    assert code == 3
    assert "light curves in flux have no zero point" in " ".join(output.split())
    assert dict(zip(_column(tmp_path / "o.csv", "object_id"), _column(tmp_path / "o.csv", "status"), strict=True)) == {
        "mags": "OK",
        "counts": "WRONG_UNIT",
    }
    assert sorted(_column(tmp_path / "o.csv", "source")) == sorted(str(path) for path in command[:2])
    run("classify", tmp_path / "mags.csv", "--model", "ztf-bts", "--out", tmp_path / "alone.csv")
    assert _column(tmp_path / "alone.csv", "p_II")[0] in _column(tmp_path / "o.csv", "p_II")
    assert run("catalog", *command, tmp_path / "c")[0] == 0
    assert "1 │ the model can't use this unit" in run("catalog", *command, tmp_path / "c")[1]


def test_a_table_shows_the_period_of_the_fold(tmp_path, folded_model):
    time = np.sort(np.random.default_rng(0).uniform(58000, 58400, 300))
    rows = "".join(f"{t},{12 + np.sin(2 * np.pi * t / 0.7)}\n" for t in time)
    (tmp_path / "a.csv").write_text("mjd,mag\n" + rows)
    _, output = run("classify", tmp_path / "a.csv", "--model", folded_model.folder, "--out", tmp_path / "o.csv")
    (period,) = map(float, _column(tmp_path / "o.csv", "fold_period"))
    assert min(abs(period - 0.7), abs(period - 1.4)) < 1e-3
    assert f"{period:.5g}" in output


def _column(path, name):
    with open(path) as file:
        return [row[name] for row in csv.DictReader(file)]
