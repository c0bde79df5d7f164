"""TESS light curves of all sectors that a table names, as the ASTRAFier authors' catalog does."""

import io

import pandas as pd
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.download.tess import Tess, read_sector_targets
from goodricke.io import read

NAME = "hlsp_qlp_tess_ffi_s{sector:04d}-{tic:016d}_tess_v01_llc"
STARS = [("ECLIPSE", 14, 101), ("ECLIPSE", 15, 101), ("RRLYR_CEPH", 14, 102), ("RRLYR_CEPH", 26, 103)]


def authors_catalog(rows) -> str:
    """Return lines of labels and paths, written on Windows."""
    names = [(label, NAME.format(sector=sector, tic=tic)) for label, sector, tic in rows]
    return "label,path\n" + "".join(f"{label},raw\\mastDownload\\HLSP\\{n}\\{n}.fits\n" for label, n in names)


def test_sectors_and_stars_from_names_of_files_or_from_columns(tmp_path):
    path = tmp_path / "train_catalog.csv"
    path.write_text(authors_catalog(STARS) + "ECLIPSE,raw\\unknown.fits\n")
    targets = read_sector_targets(path)
    assert targets.rows == {
        14: {"101": ("ECLIPSE",), "102": ("RRLYR_CEPH",)},
        15: {"101": ("ECLIPSE",)},
        26: {"103": ("RRLYR_CEPH",)},
    }
    assert (targets.names, targets.unrecognised) == (("label",), 1)
    path.write_text("tic,sector,label\n" + "".join(f"{tic},{sector},{label}\n" for label, sector, tic in STARS))
    assert read_sector_targets(path).rows == targets.rows
    path.write_text("tic,label\n101,ECLIPSE\n")
    with pytest.raises(ValueError, match="name the sector with --sector"):
        read_sector_targets(path)


def test_every_sector_is_downloaded_with_the_labels_of_all_stars(server, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("GOODRICKE_ARCHIVE_URL", server.url)
    real = (shared / "cases" / "hlsp_qlp_tess_ffi_s0060-0000000100000001_tess_v01_llc.fits").read_bytes()
    for _, sector, tic in STARS[:-1]:  # the last one isn't in the archive
        with fits.open(io.BytesIO(real)) as hdus:
            hdus[0].header["TICID"], hdus[0].header["SECTOR"], out = tic, sector, io.BytesIO()
            hdus.writeto(out)
        location = Tess("qlp", sector).file_requests(None, [str(tic)], None)[0][0].files[0][0]
        server[location.url.removeprefix(server.url)] = out.getvalue()
    (tmp_path / "train_catalog.csv").write_text(authors_catalog(STARS))
    command = ["download", "tess", "--targets", str(tmp_path / "train_catalog.csv"), "--out", str(tmp_path / "qlp")]
    for _ in range(2):  # again: nothing is left to do
        result = CliRunner().invoke(app, [*command, "--rate", "1000", "--attempts", "1"])
        assert result.exit_code == 3, result.output
    curves = read(tmp_path / "qlp", recursive=True)
    assert sorted(zip(curves.ids, curves.objects["sector"].to_pylist(), strict=True)) == [
        ("TIC 101", 14),
        ("TIC 101", 15),
        ("TIC 102", 14),
    ]
    labels = pd.read_csv(tmp_path / "qlp" / "_targets.csv")
    assert labels.to_dict("list") == {
        "object_id": ["TIC 101", "TIC 102", "TIC 103"],
        "label": ["ECLIPSE", "RRLYR_CEPH", "RRLYR_CEPH"],
    }
