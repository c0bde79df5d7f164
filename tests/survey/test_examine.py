import csv
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.survey.examine import run as module
from goodricke.survey.examine.run import examine, parse_cuts, parse_pair
from tests.survey.examine.catalogs import CLASSES, catalog, with_stars

STARS = ["gaia_teff_gspphot", "gaia_phot_g_mean_mag", "gaia_bp_rp", "gaia_parallax", "gaia_parallax_error"]


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)  # its first run compiles for half a minute


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Write a catalog of 60 light curves, the light curves, a table of stars and labels; all made up."""
    folder, rng = tmp_path_factory.mktemp("survey"), np.random.default_rng(0)
    table = catalog(60)
    full = with_stars(table)
    pq.write_table(table, folder / "catalog.parquet")
    parts = []
    for k, frequency in enumerate(full["f1"].to_pylist()):
        time = np.sort(rng.uniform(0, 27, 60))
        parts.append((time, 12 + 0.1 * np.sin(2 * np.pi * frequency * time) + rng.normal(0, 0.01, 60), k))
    curves = LightCurves.from_arrays(
        table["object_id"].combine_chunks(),
        60 * np.arange(61),
        np.concatenate([time for time, _, _ in parts]),
        np.concatenate([value for _, value, _ in parts]),
        unit="mag",
    ).with_columns(sector=table["sector"].combine_chunks())
    curves[np.arange(59, -1, -1)].write_parquet(folder / "curves.parquet")
    stars = full.select(["ra", "dec", *STARS]).rename_columns(["ra", "dec", *(s.removeprefix("gaia_") for s in STARS)])
    pq.write_table(stars.take(np.arange(0, 60, 2)), folder / "gaia.parquet")
    with open(folder / "labels.csv", "w") as file:
        file.write("id,label\n" + "".join(f"S{k},{CLASSES[k % 2].lower()}\n" for k in range(20)) + "S21,SN\n")
    return folder, full


@pytest.fixture(scope="module")
def examined(survey, tmp_path_factory):
    """Examine the catalog with everything there is."""
    folder, out = survey[0], tmp_path_factory.mktemp("examined")
    files = {"light_curves": str(folder / "curves.parquet"), "gaia": folder / "gaia.parquet"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", None)
        return examine(folder / "catalog.parquet", out, labels=folder / "labels.csv", **files)


def test_everything_is_joined_counted_and_drawn(survey, examined):
    full, result, out = survey[1], examined, examined.folder
    table = pq.read_table(out / "joined.parquet")
    assert table["object_id"].to_pylist() == full["object_id"].to_pylist()
    found, true = table["f1"].to_numpy(), full["f1"].to_numpy()
    assert np.mean(np.abs(found - true) < 0.02) > 0.9  # each light curve its own, though they came in another order
    assert table["gaia_teff_gspphot"].null_count == 0
    assert set(result.results) >= {
        "counts",
        "agreement",
        "distributions",
        "excesses",
        "groups",
        "hybrids",
        "crossmatch",
    }
    assert result.results["labels"]["no_class_of_the_model"] == {"SN": 2}
    assert result.sample.pair == CLASSES[:2]
    assert json.loads((out / "examination.json").read_text())["rows"] == 60
    with open(out / "hybrids.csv") as file:
        assert len(list(csv.DictReader(file))) == len(result.results["hybrids"]["candidates"])
    report = (out / "report.md").read_text()
    for line in report.splitlines():
        if line.startswith("!["):
            assert (out / line.rpartition("(")[2].rstrip(")")).exists()


def test_the_page_is_well_formed_and_loads_nothing(examined):
    page = (examined.folder / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert 'src="data:image/png;base64,' in page
    body = page.split("</head>")[1].rpartition("</html>")[0]
    tree = ElementTree.fromstring(re.sub(r"<(img[^>]*)>", r"<\1/>", body))
    figures = tree.findall(".//img")
    assert len(figures) >= 8
    assert all(image.get("alt") for image in figures)
    sections = tree.findall("section")
    links = [a.get("href") for a in tree.findall("nav/a")]
    assert links == [f"#{each.get('id')}" for each in sections]
    for each in sections:
        assert each.findall("p"), each.get("id")  # a sentence on what to look for, or on what is missing
    assert "prefers-color-scheme" in page


def test_bare_catalog_says_what_to_add(survey, tmp_path):
    folder, _ = survey
    result = examine(folder / "catalog.parquet", tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "--light-curves" in report
    assert "--gaia" in report
    assert not (tmp_path / "periods").exists()
    assert "excesses" not in result.results


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_catalogs(survey, tmp_path, rows):
    folder, full = survey
    pq.write_table(full.slice(0, rows), tmp_path / "tiny.parquet")
    examine(tmp_path / "tiny.parquet", tmp_path / "out", gaia=folder / "gaia.parquet")
    assert (tmp_path / "out" / "report.html").exists()


def test_the_command_with_other_cuts_measures_nothing_again(survey, examined, tmp_path, monkeypatch):
    folder = survey[0]
    shutil.copytree(examined.folder / "periods", tmp_path / "o" / "periods")
    monkeypatch.setattr("goodricke.survey.variability.measure_piece", None)
    words = ["examine", str(folder / "catalog.parquet"), "--out", str(tmp_path / "o"), "--cuts", "0.6,0.9"]
    result = CliRunner().invoke(app, [*words, "--light-curves", str(folder / "curves.parquet")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "o" / "report.html").exists()
    assert json.loads((tmp_path / "o" / "examination.json").read_text())["cuts"] == [0.6, 0.9]


def test_light_curves_of_others_are_refused(survey, tmp_path):
    folder, _ = survey
    curves = LightCurves.read_parquet(folder / "curves.parquet")
    other = LightCurves.from_arrays([f"X{k}" for k in range(60)], curves.offsets, curves.time, curves.value, unit="mag")
    other.write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="none of the 60 light curves is in the catalog"):
        examine(folder / "catalog.parquet", tmp_path / "out", light_curves=str(tmp_path / "other.parquet"))


def test_labels_that_help_nobody_are_refused(survey, tmp_path):
    folder, _ = survey
    (tmp_path / "l.csv").write_text("id,label\nS1,odd\nS2,odd\n")
    with pytest.raises(ValueError, match="--rename"):
        examine(folder / "catalog.parquet", tmp_path / "out", labels=tmp_path / "l.csv")
    (tmp_path / "l.csv").write_text("id,label\nQ1,odd\nQ2,odd\n")
    with pytest.raises(ValueError, match="look like"):
        examine(folder / "catalog.parquet", tmp_path / "out", labels=tmp_path / "l.csv")


def test_markup_in_names_stays_text(survey, tmp_path):
    table = catalog(30).rename_columns([name.replace("RRLYR_CEPH", "<b>&RR</b>") for name in catalog(1).column_names])
    table = table.set_column(0, "object_id", pa.array([f"<i>{k}" for k in range(30)]))
    pq.write_table(table, tmp_path / "c.parquet")
    examine(tmp_path / "c.parquet", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<b>&RR" not in page
    assert "&lt;b&gt;&amp;RR&lt;/b&gt;" in page


def test_wrong_usage_of_the_command(survey, tmp_path):
    words = ["examine", str(survey[0] / "catalog.parquet"), "--out", str(tmp_path / "o")]
    assert CliRunner().invoke(app, [*words[:4], "--cuts", "many"]).exit_code == 2
    assert CliRunner().invoke(app, [*words[:4], "--pair", "A,B"]).exit_code == 2
    assert CliRunner().invoke(app, ["examine", str(tmp_path / "none"), "--out", str(tmp_path / "p")]).exit_code == 2


def test_what_the_command_line_says():
    assert parse_cuts("0.5, 0.8") == [0.5, 0.8]
    assert parse_pair("A, B") == ("A", "B")
    assert parse_pair(None) is None
    for wrong in (lambda: parse_cuts("x"), lambda: parse_pair("A")):
        with pytest.raises(ValueError, match="--"):
            wrong()
    with pytest.raises(ValueError, match="from 0 to 1"):
        module._sort_cuts([0.5, 80])
