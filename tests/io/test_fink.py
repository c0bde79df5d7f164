"""Fink's Parquet of ZTF and Rubin alerts: real packets, and the same with more history."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke.io import Unreadable, read, recognise

POINT = {"jd": 2459000.5, "fid": 1, "candid": 1, "magpsf": 20.0, "sigmapsf": 0.1, "isdiffpos": "t", "ra": 1.0}


def point(day=0, **over):
    return {**POINT, "dec": 2.0, "diffmaglim": 20.5, "jd": 2459000.5 + day, "candid": 100 + day} | over


def limit(day):
    return point(day, candid=None, magpsf=None, sigmapsf=None, isdiffpos=None)


def write(path, *packets):
    rows = [
        {"objectId": name, "candid": latest["candid"], "candidate": latest, "prv_candidates": history, "score": score}
        for name, latest, history, score in packets
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_the_real_ztf_packets(shared):
    path = shared / "data" / "formats" / "fink" / "ztf_alerts.parquet"
    assert recognise(path).NAME == "fink"
    curves = read(path)
    packets = pq.read_table(path, columns=["objectId", "candidate", "prv_candidates"]).to_pylist()
    assert curves.ids == [packet["objectId"] for packet in packets]
    assert (curves.unit, curves.time_scale) == ("nJy", "MJD")
    assert set(curves.bands) <= {"g", "r", "i"}
    for one, packet in zip(curves, packets, strict=True):
        points = [p for p in [packet["candidate"], *packet["prv_candidates"]] if p["magpsf"] is not None]
        points.sort(key=lambda p: p["jd"])
        assert one.time == pytest.approx(np.array([p["jd"] for p in points]) - 2400000.5, abs=1e-8)
        sign = np.array([1 if p["isdiffpos"] in ("t", "1") else -1 for p in points])
        magnitudes = np.array([p["magpsf"] for p in points])
        assert one.value == pytest.approx(sign * 3631e9 * 10 ** (-0.4 * magnitudes), rel=1e-5)
    assert (curves.value < 0).any()
    assert "timestamp" in curves.objects.column_names


def test_the_same_packets_again_change_nothing(shared, tmp_path):
    path = shared / "data" / "formats" / "fink" / "ztf_alerts.parquet"
    names = ["objectId", "candid", "candidate", "prv_candidates"]
    table = pq.read_table(path, columns=names)
    pq.write_table(pa.concat_tables([table, table.slice(10), table]), tmp_path / "a.parquet")
    once, thrice = read(path), read(tmp_path / "a.parquet")
    assert once.ids == thrice.ids
    for name in ("offsets", "time", "value", "error", "band"):
        np.testing.assert_array_equal(getattr(once, name), getattr(thrice, name))


def test_the_real_rubin_packets(shared):
    path = shared / "data" / "formats" / "fink" / "rubin_sample_data_10_0.parquet"
    curves = read(path)
    assert (curves.unit, curves.time_scale, len(curves)) == ("nJy", "MJD", 25)
    assert set(curves.bands) == {"i", "r"}
    packets = {p["diaSource"]["diaObjectId"]: p for p in pq.read_table(path).to_pylist()}
    star = curves.ids.index("169645854020337671")
    packet = packets[169645854020337671]
    sources = sorted([packet["diaSource"], *packet["prvDiaSources"]], key=lambda s: s["midpointMjdTai"])
    sources = [s for s in sources if not s["psfFlux_flag"]]
    assert len(sources) > 10
    np.testing.assert_array_equal(curves[star].time, [s["midpointMjdTai"] for s in sources])
    assert curves[star].value == pytest.approx([s["psfFlux"] for s in sources])
    assert curves[star].error == pytest.approx([s["psfFluxErr"] for s in sources])
    assert (curves.value < 0).any()
    assert sum(name.startswith("ssObject ") for name in curves.ids) == 3  # asteroids have no diaObjectId
    science = read(path, flux="scienceFlux")[star]
    assert science.value == pytest.approx([s["scienceFlux"] for s in sources])


def test_packets_of_an_object_are_merged(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        ("ZTF1", point(2, isdiffpos="f"), [limit(0), point(1, fid=2)], 0.2),
        ("ZTF2", point(9, candid=100), None, 0.5),
        ("ZTF1", point(3), [limit(0), point(1, fid=2), point(2, isdiffpos="f")], 0.9),
    )
    curves = read(path)
    assert curves.ids == ["ZTF1", "ZTF2"]
    assert curves[0].time.tolist() == [59001, 59002, 59003]
    assert [curves.bands[b] for b in curves[0].band] == ["r", "g", "g"]
    assert np.sign(curves[0].value).tolist() == [1, -1, 1]
    assert curves.error == pytest.approx(np.abs(curves.value) * 0.1 * np.log(10) / 2.5)
    assert curves.column("n_read").tolist() == [3, 1]  # upper limits are no measurements
    assert curves.column("score").tolist() == [0.9, 0.5]  # of the last packet
    assert curves.column("dec").tolist() == [2, 2]


def test_magnitudes_of_the_difference_when_named(tmp_path):
    path = write(tmp_path / "a.parquet", ("ZTF1", point(2, isdiffpos="f"), [point(1)], 0.2))
    curves = read(path, flux="magpsf")
    assert (curves.unit, curves.value.tolist()) == ("mag", [20, 20])
    assert curves.error == pytest.approx([0.1, 0.1])
    with pytest.raises(Unreadable, match="no flux psfFlux"):
        read(path, flux="psfFlux")


def test_no_packets(tmp_path):
    path = write(tmp_path / "a.parquet", ("ZTF1", point(), [point(1)], 0.2))
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(Unreadable, match="without rows"):
        read(path)
