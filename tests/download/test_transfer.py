"""Downloads from beginning to end: files in the folder, requests to the server, messages."""

import json
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.download.http import Client, RequestPolicy
from goodricke.download.kepler import Kepler
from goodricke.download.transfer import Fetcher, ServerDownError
from goodricke.io import read
from goodricke.survey.jobs import lock_folder
from goodricke.survey.shards import read_manifest
from tests.download.server import BUSY, KEPLER, NONE, PAGE, Answer, kepler_file, kepler_path
from tests.processes import start_command

STARS = (757076, 1026895, 10002792, 2013502, 3733346)
LIST = "".join(f"{kic},{label}\n" for kic, label in zip(STARS, "ABABA", strict=True))


@pytest.fixture
def filled(server, real_kepler):
    for kic in STARS:
        server[kepler_path(kic)] = kepler_file(real_kepler, kic)
    return server


def shards(out):
    return [pq.read_table(path) for path in sorted(out.glob("*.parquet"))]


def rows(out):
    return [row for table in shards(out) for row in table.to_pylist()]


def repeat(download):
    """Return the same download, as another run of the command makes it."""
    return type(download)(**vars(download) | {"client": Client(download.client.policy)})


def test_a_download_becomes_shards(filled, make, shared, tmp_path):
    download = make(Kepler(9, base_url=filled.url), LIST, per_shard=2)
    ticks = []
    manifest = download.run(ticks.append)
    assert [table.num_rows for table in shards(download.out)] == [2, 2, 1]
    assert [row["object_id"] for row in rows(download.out)] == [f"KIC {kic}" for kic in sorted(STARS)]
    assert [row["label"] for row in rows(download.out)] == ["A", "B", "B", "A", "A"]
    assert rows(download.out)[0]["source"] == filled.url + kepler_path(757076)
    meta = shards(download.out)[0].schema.metadata
    assert (meta[b"unit"], meta[b"time_scale"]) == (b"electron / s", b"BKJD")
    assert (manifest["kind"], manifest["rows"], manifest["missing"], sum(ticks)) == ("pack", 5, {}, 5)
    assert manifest["settings"]["quarter"] == 9
    assert (download.out / "_targets.csv").read_text().splitlines()[:2] == ["object_id,label", "KIC 757076,A"]
    hidden = [path.name for path in download.out.iterdir() if path.name[0] == "."]
    assert hidden == []
    assert set(filled.asked.values()) == {1}
    curves = read(download.out)  # the package opens what it wrote
    real = read(shared / "data" / "formats" / "kepler_tess" / KEPLER)
    # a table has no rows without a measurement, a mission's file keeps its empty cadences
    np.testing.assert_array_equal(curves[4].value, real.value[np.isfinite(real.value)])
    assert curves.unit == real.unit
    assert curves.is_sorted.all()


def test_a_finished_download_requests_nothing(filled, make):
    download = make(Kepler(9, base_url=filled.url), LIST, per_shard=2)
    first = download.run()
    before = sum(filled.asked.values())
    assert repeat(download).run()["shards"] == first["shards"]
    assert sum(filled.asked.values()) == before


def test_another_list_is_another_download(filled, make):
    make(Kepler(9, base_url=filled.url), LIST).run()
    with pytest.raises(ValueError, match="begun with other settings: targets"):
        make(Kepler(9, base_url=filled.url), LIST.replace("A", "C")).run()
    with pytest.raises(ValueError, match="quarter = 9"):
        make(Kepler(8, base_url=filled.url), LIST).run()


def test_absent_files_are_listed(filled, make):
    filled[kepler_path(STARS[1])] = NONE
    download = make(Kepler(9, base_url=filled.url), LIST + "constant_0,C\n")
    manifest = download.run()
    assert manifest["missing"] == {"no target": 1, "absent": 1}
    listed = (download.out / "_missing.csv").read_text().splitlines()
    assert listed[0] == "target,kind,reason,url"
    assert listed[1].startswith("constant_0,no target,is no KIC")
    assert listed[2] == f"1026895,absent,not observed in this quarter and cadence,{filled.url}{kepler_path(1026895)}"
    repeat(download).run()
    assert filled.asked[kepler_path(STARS[1])] == 1


def test_an_archive_without_any_file_is_no_error(server, make):
    download = make(Kepler(9, base_url=server.url), LIST)
    manifest = download.run()
    assert (manifest["rows"], manifest["missing"]) == (0, {"absent": 5})
    assert shards(download.out) == []


def test_failed_targets_are_repeated_by_the_next_run(filled, make, real_kepler):
    path = kepler_path(STARS[1])
    filled[path] = BUSY
    download = make(Kepler(9, base_url=filled.url), LIST, per_shard=3)
    assert download.run()["missing"] == {"failed": 1}
    assert "503" in (download.out / "_missing.csv").read_text()
    assert repeat(download).run()["missing"] == {"failed": 1}
    filled[path] = kepler_file(real_kepler, STARS[1])
    others = sum(filled.asked.values()) - filled.asked[path]
    manifest = repeat(download).run()
    assert (manifest["missing"], manifest["rows"]) == ({}, 5)
    assert sorted(row["object_id"] for row in rows(download.out)) == sorted(f"KIC {kic}" for kic in STARS)
    assert sum(filled.asked.values()) - filled.asked[path] == others  # nobody else was asked for again
    final = sum(filled.asked.values())
    repeat(download).run()
    assert sum(filled.asked.values()) == final


@pytest.mark.parametrize("fault", ["busy", "page", "cut", "short", "stranger", "text"])
def test_faults_are_overcome(filled, make, real_kepler, fault):
    kic = STARS[2]
    whole = kepler_file(real_kepler, kic)
    wrong = {
        "busy": Answer(b"", 429, (("Retry-After", "0"),)),
        "page": PAGE,
        "cut": Answer(whole, cut=100_000),
        "short": Answer(whole[: 2880 * 40]),  # a whole number of blocks, but not a whole table
        "stranger": Answer(kepler_file(real_kepler, 1)),
        "text": Answer(b"time,flux\n1,2\n"),
    }[fault]
    filled[kepler_path(kic)] = [wrong, whole]
    download = make(Kepler(9, base_url=filled.url), LIST)
    assert download.run()["missing"] == {}
    assert filled.asked[kepler_path(kic)] == 2
    assert len(rows(download.out)) == 5


def test_lasting_faults_have_their_reasons(filled, make, real_kepler):
    filled[kepler_path(STARS[0])] = PAGE
    filled[kepler_path(STARS[1])] = kepler_file(real_kepler, 1)
    filled[kepler_path(STARS[3])] = real_kepler[: 2880 * 40]
    download = make(Kepler(9, base_url=filled.url), LIST)
    assert download.run()["missing"] == {"failed": 3}
    text = (download.out / "_missing.csv").read_text()
    for reason in ("a web page, not with data", "a light curve of KIC 1, which wasn't requested", "is cut short"):
        assert reason in text


def test_a_server_that_is_down_stops_the_download(server, make):
    server["*"] = BUSY
    many = "".join(f"{kic}\n" for kic in range(1, 301))
    download = make(Kepler(9, base_url=server.url), many, RequestPolicy(1000, 1, 5, 0.0), connections=2)
    with pytest.raises(
        ServerDownError, match=r"8 requests in a row .*503(.|\n)*same command again later; it continues"
    ):
        download.run()
    assert len(server.asked) < 30
    assert not (download.out / "shards.jsonl").exists()


def test_files_are_kept_on_request(filled, make, tmp_path, real_kepler):
    download = make(Kepler(9, base_url=filled.url), LIST, keep=tmp_path / "kept", per_shard=2)
    (download.out / ".kepler-00000").mkdir(parents=True)
    (download.out / ".kepler-00000" / "x.partial.fits").touch()  # of a killed run
    download.run()
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == sorted(kepler_path(kic).rpartition("/")[2] for kic in STARS)
    assert (tmp_path / "kept" / kept[0]).read_bytes() == kepler_file(real_kepler, 757076)


def test_two_downloads_in_one_folder_are_refused(filled, make):
    download = make(Kepler(9, base_url=filled.url), LIST)
    download.out.mkdir()
    with lock_folder(download.out), pytest.raises(ValueError, match="another run is at work there"):
        repeat(download).run()
    assert download.run()["rows"] == 5


def test_light_curves_in_another_unit_go_into_another_shard(filled, make, monkeypatch):
    """A shard has one unit; what is in another is listed, and had by the next run."""
    real, odd = Fetcher._light_curves, f"KIC {STARS[0]}"

    def curves(self, path):
        found = real(self, path)
        return replace(found, unit="ppm") if found.ids == [odd] else found

    monkeypatch.setattr(Fetcher, "_light_curves", curves)
    download = make(Kepler(9, base_url=filled.url), LIST)
    assert download.run()["missing"] == {"failed": 1}
    assert "in another unit or time scale than the others" in (download.out / "_missing.csv").read_text()
    assert repeat(download).run()["missing"] == {}
    assert [table.schema.metadata[b"unit"] for table in shards(download.out)] == [b"ppm", b"electron / s"]


def test_no_more_connections_than_allowed(filled, make, real_kepler):
    for kic in STARS:
        filled[kepler_path(kic)] = Answer(kepler_file(real_kepler, kic), delay=0.1)
    make(Kepler(9, base_url=filled.url), LIST, connections=2).run()
    assert filled.at_once == 2


def test_quality_and_flux_are_options_of_the_reader(filled, make):
    from goodricke.io import ReadOptions

    download = make(Kepler(9, base_url=filled.url), LIST, options=ReadOptions(quality="none", flux="SAP_FLUX"))
    manifest = download.run()
    assert manifest["settings"]["reading"]["flux"] == "SAP_FLUX"
    with pytest.raises(ValueError, match="reading"):
        make(Kepler(9, base_url=filled.url), LIST).run()


# ---- killed ---------------------------------------------------------------------------------------------------------


def command(server, out, listed):
    words = ["download", "kepler", "--quarter", "9", "--targets", listed, "--out", out, "--base-url", server.url]
    words += ["--per-shard", "4", "--rate", "1000", "--connections", "3"]
    return [str(word) for word in words]


def test_killed_at_any_moment_nothing_is_lost_or_twice(server, tmp_path, real_kepler):
    """Kill -9 repeatedly; in the end the rows are those of an undisturbed run, with few repeated requests."""
    stars = [100_000 + 7 * k for k in range(12)]
    for kic in stars:
        server[kepler_path(kic)] = Answer(kepler_file(real_kepler, kic), delay=0.05)
    server[kepler_path(stars[4])] = NONE
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{kic},{'AB'[kic % 2]}\n" for kic in stars))
    undisturbed = CliRunner().invoke(app, command(server, tmp_path / "undisturbed", listed))
    assert undisturbed.exit_code == 3, undisturbed.output  # one isn't there
    server.asked.clear()
    rng, kills = np.random.default_rng(1), 0
    for _ in range(25):
        last = sum(server.asked.values()) + rng.integers(3, 12)
        process = start_command(*command(server, tmp_path / "killed", listed))
        while process.is_alive() and sum(server.asked.values()) < last:
            time.sleep(0.005)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 3:
            break
    assert process.exitcode == 3
    assert kills >= 2
    assert max(server.asked.values()) <= 1 + kills
    assert sum(server.asked.values()) <= len(stars) + 3 * kills  # what was on its way, by three connections
    names = [{p.name for p in (tmp_path / which).iterdir()} for which in ("killed", "undisturbed")]
    assert names[0] == names[1]
    killed, expected = (read_manifest(tmp_path / which)["shards"] for which in ("killed", "undisturbed"))
    assert [shard["sha256"] for shard in killed] == [shard["sha256"] for shard in expected]  # the same rows to the bit


def test_a_damaged_leftover_is_fetched_again(filled, make, real_kepler):
    download = make(Kepler(9, base_url=filled.url), LIST)
    hidden = download.out / ".kepler-00000"
    hidden.mkdir(parents=True)
    (hidden / kepler_path(STARS[0]).rpartition("/")[2]).write_bytes(b"\0" * 2880)
    (hidden / kepler_path(STARS[1]).rpartition("/")[2]).write_bytes(kepler_file(real_kepler, STARS[1]))
    assert download.run()["rows"] == 5
    assert filled.asked[kepler_path(STARS[0])] == 1
    assert filled.asked[kepler_path(STARS[1])] == 0


# ---- the command ----------------------------------------------------------------------------------------------------


def run_command(*words):
    result = CliRunner().invoke(app, ["download", *map(str, words)], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_the_command_prints_a_summary(filled, tmp_path):
    targets = tmp_path / "list.txt"
    targets.write_text(LIST)
    words = ["kepler", "--quarter", 9, "--targets", targets, "--base-url", filled.url, "--rate", 100, "--out"]
    code, text = run_command(*words, tmp_path / "out")
    assert code == 0, text
    assert "of 5 targets" in text
    filled[kepler_path(STARS[0])] = NONE
    code, text = run_command(*words, tmp_path / "other")
    assert code == 3, text
    assert "_missing.csv" in text
    assert json.loads((tmp_path / "other" / "manifest.json").read_text())["missing"] == {"absent": 1}


def test_a_server_that_is_down_is_one_line(server, tmp_path):
    targets = tmp_path / "list.txt"
    targets.write_text("".join(f"{kic}\n" for kic in range(1, 31)))
    server["*"] = BUSY
    words = ["--quarter", 9, "--targets", targets, "--out", tmp_path / "out", "--base-url", server.url]
    code, text = run_command("kepler", *words, "--rate", 1000, "--attempts", 1)
    assert code == 3
    assert "12 requests in a row failed" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--base-url", "ftp://x"], "no base URL"),
        (["--base-url", "https://me:secret@x.org"], "must hold no password"),
        (["--cadence", "middling"], "long or short"),
        (["--rate", "-1"], "above 0"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, words, error):
    targets = tmp_path / "list.txt"
    targets.write_text(LIST)
    code, text = run_command("kepler", "--quarter", 9, "--targets", targets, "--out", tmp_path / "out", *words)
    assert code == 2
    assert error in text
    assert "secret" not in text
    assert "Traceback" not in text
