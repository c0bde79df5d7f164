"""Packets in files, sent as they were: the same bytes, in order of time, the same answers as their light curves."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from goodricke import classify
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import PacketOptions, decode
from goodricke.io.packets.archive import open_archive, read_packets
from tests.alerts.streams import tiny_model
from tests.io.packets.making_packets import encoded, source, ztf_packet, ztf_schema

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

OBJECTS = ("ZTF1", "ZTF2", "ZTF3")


def candidates(name, n=9):
    rng = np.random.default_rng(len(name) + ord(name[-1]))
    days = 2459000.5 + np.sort(rng.uniform(0, 40, n))
    mags = zip(days, rng.normal(18, 0.5, n), rng.integers(1, 3, n).tolist(), strict=True)
    return [source(float(jd), magpsf=float(mag), fid=fid) | {"candid": k + 1} for k, (jd, mag, fid) in enumerate(mags)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a file per packet of two objects, and all packets of the third in one file."""
    made = tmp_path_factory.mktemp("packets")
    for name in OBJECTS[:2]:
        for k, candidate in enumerate(all_of := candidates(name)):
            (made / f"{k * 7 % 9}-{name}.avro").write_bytes(ztf_packet(candidate, all_of[:k], name=name))
    third = candidates(OBJECTS[2])
    records = [
        {"objectId": OBJECTS[2], "candidate": each, "prv_candidates": third[:k], "fp_hists": []}
        for k, each in enumerate(third)
    ]
    (made / "deeper").mkdir()
    (made / "deeper" / "all.avro").write_bytes(encoded(ztf_schema(), records, "deflate"))
    return made


def test_packets_come_in_order_of_time_as_they_were(folder):
    archive = open_archive([str(folder)])
    assert (archive.format, archive.objects, archive.skipped, len(archive.locations)) == ("ztf", 3, 0, 27)
    assert (np.diff(archive.days) > 0).all()
    sent = list(archive.packets())
    alerts = decode([value for _, value in sent], "ztf")
    assert alerts.object_id.to_pylist() == [key.decode() for key, _ in sent]
    np.testing.assert_array_equal(alerts.new.time, archive.days)
    alone = {path.read_bytes() for path in folder.glob("*.avro")}
    assert {value for key, value in sent if key != b"ZTF3"} == alone


def test_packets_of_one_file_become_files_of_their_own(folder):
    path = folder / "deeper" / "all.avro"
    together, alone = decode([path.read_bytes()], "ztf"), decode(read_packets(path), "ztf")
    assert together.index.tolist() == [0] * 9
    assert alone.index.tolist() == list(range(9))
    assert together.new.value.tolist() == alone.new.value.tolist()
    assert together.history.time.tolist() == alone.history.time.tolist()


def test_a_replay_of_packets_answers_as_the_light_curves(folder, tmp_path):
    model = tiny_model().save(tmp_path / "m", "# m\n\nUntrained, for tests.\n", half=False)
    command = ["alerts", "replay", str(folder), "--packets", "--model", str(tmp_path / "m"), "--no-live"]
    command += ["--photometry", "difference", "--out", str(tmp_path / "answers.parquet"), "--batch", "4"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "27 packets of 3 objects" in result.output
    answers = pq.read_table(tmp_path / "answers.parquet").to_pandas().set_index("object_id").loc[list(OBJECTS)]
    options = PacketOptions(photometry="difference")
    sent = list(open_archive([str(folder)]).packets())
    parts = [decode([value for key, value in sent if key == name.encode()], "ztf", options) for name in OBJECTS]
    curves = LightCurves.from_arrays(
        OBJECTS,
        np.arange(4) * 9,
        *(np.concatenate([getattr(part.new, name) for part in parts]) for name in ("time", "value", "error", "band")),
        bands=parts[0].new.bands,
        unit="mag",
        time_scale="MJD",
    )
    whole = classify(curves, model)
    assert answers["n_obs"].tolist() == [9, 9, 9]
    np.testing.assert_allclose(answers[["p_A", "p_B", "p_C"]], whole.probabilities, atol=1e-5)


def test_a_topic_of_another_format_is_refused(folder, tmp_path):
    (tmp_path / "w.toml").write_text(
        'model = "m"\nstate = "s"\n[input]\ntopic = "in"\nformat = "slim"\n[output]\ntopic = "out"\n[kafka]\n'
    )
    result = CliRunner().invoke(app, ["alerts", "replay", str(folder), "--packets", "--to", str(tmp_path / "w.toml")])
    assert result.exit_code == 2
    assert 'the messages are ztf; set [input] format = "ztf"' in result.stderr


def test_what_is_no_packet_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no \.avro files in"):
        open_archive([str(tmp_path)])
    (tmp_path / "a.avro").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"a\.avro is no Avro file"):
        open_archive([str(tmp_path)])
    (tmp_path / "a.avro").write_bytes(encoded({"type": "record", "name": "x", "fields": []}, [{}]))
    with pytest.raises(ValueError, match=r"a\.avro holds packets of none of ztf, rubin"):
        open_archive([str(tmp_path)])
    with pytest.raises(ValueError, match=r"leave out --packets"):
        open_archive(["curves.parquet"])


def test_a_bad_file_costs_itself_only(folder, tmp_path, caplog):
    shutil.copytree(folder, tmp_path / "night")
    (tmp_path / "night" / "0-bad.avro").write_bytes(b"rubbish")
    (tmp_path / "night" / "9-other.avro").write_bytes(encoded({"type": "record", "name": "x", "fields": []}, [{}]))
    archive, good = open_archive([str(tmp_path / "night")]), open_archive([str(folder)])
    assert [key for key, _ in archive.packets()] == [key for key, _ in good.packets()]
    assert archive.days.tolist() == good.days.tolist()
    assert "2 files or packets are left out, since they can't be read: " in caplog.text
    assert "0-bad.avro is no Avro file" in caplog.text


@pytest.mark.parametrize("name", ["ztf_alert", "rubin_alert"])
def test_packets_of_the_surveys(shared, name):
    paths = sorted((shared / "data/formats" / name).glob("*.avro"))
    for path in paths:
        archive = open_archive([str(path)])
        assert archive.format == name.removesuffix("_alert")
        assert len(archive.locations) + archive.skipped == len(read_packets(path))
        again = decode([value for _, value in archive.packets()], archive.format)
        assert len(again) + len(again.failures) == len(archive.locations)
