import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from goodricke.io import read
from goodricke.io.packets import PacketOptions, decode
from tests.io.packets.making_packets import assert_equal, source, ztf_packet

PACKET = {"objectId": "ZTF1", "candidate": source(2459000.5), "prv_candidates": [source(2458999.5)]}


def lines(records) -> list[bytes]:
    return [json.dumps(record, default=str).encode() for record in records]


def test_a_packet_in_json_is_the_packet():
    avro = decode([ztf_packet(PACKET["candidate"], PACKET["prv_candidates"])], "ztf", PacketOptions(unit="nJy"))
    fink = {"i:objectId": "ZTF1"} | {f"i:{name}": value for name, value in PACKET["candidate"].items()}
    other = decode(lines([PACKET]), "json", PacketOptions(unit="nJy"))
    np.testing.assert_allclose(other.new.value, avro.new.value, rtol=1e-6)
    np.testing.assert_allclose(other.history.value, avro.history.value, rtol=1e-6)
    row = decode(lines([fink]), "json", PacketOptions(unit="nJy"))
    assert row.alert_id.tolist() == other.alert_id.tolist()
    assert row.new.value.tolist() == other.new.value.tolist()
    assert row.history.n_obs.tolist() == [0]


def test_detections_of_alerce_have_its_own_magnitudes(shared):
    table = pd.read_parquet(shared / "data/formats/alerce/detections_sample.parquet").reset_index()
    table = table[table.corrected & (table.magpsf_corr < 50)].head(300)
    table["candid"] = np.arange(len(table)).astype(str)
    rows = [{k: v for k, v in row.items() if v == v} for row in table.to_dict("records")]
    alerts = decode(lines(rows), "json")
    assert not alerts.failures
    assert alerts.object_id.to_pylist() == table.oid.tolist()
    np.testing.assert_allclose(alerts.new.value, table.magpsf_corr, atol=1e-5)
    finite = table.sigmapsf_corr_ext.to_numpy() < 50
    np.testing.assert_allclose(alerts.new.error[finite], table.sigmapsf_corr_ext[finite], rtol=1e-4)
    np.testing.assert_allclose(alerts.new.time, table.mjd, rtol=0, atol=1e-8)
    difference = decode(lines(rows), "json", PacketOptions(photometry="difference", unit="nJy"))
    expected = 3631e9 * 10 ** (-0.4 * table.magpsf) * np.sign(table.isdiffpos)
    np.testing.assert_allclose(difference.new.value, expected, rtol=1e-5)


def test_uncorrected_detections_have_a_difference_only():
    row = {"oid": "ZTF1", "candid": "7", "mjd": 59000.0, "fid": 2, "magpsf": 18.0, "sigmapsf": 0.1, "isdiffpos": 1}
    row |= {"corrected": False, "magpsf_corr": None}
    assert len(decode(lines([row]), "json")) == 0
    alerts = decode(lines([row]), "json", PacketOptions(photometry="difference"))
    np.testing.assert_allclose(alerts.new.value, [18.0], rtol=1e-6)
    assert alerts.alert_id.tolist() == [7]


@pytest.mark.parametrize("survey", ["ztf", "rubin"])
def test_packets_of_fink_hold_what_the_reader_finds(shared, survey):
    name = {"ztf": "ztf_alerts.parquet", "rubin": "rubin_sample_data_10_0.parquet"}[survey]
    path = shared / "data/formats/fink" / name
    images = {f"cutout{kind}" for kind in ("Difference", "Science", "Template")}
    table = pq.read_table(path)
    table = table.drop_columns([c for c in images if c in table.column_names])
    options = PacketOptions(photometry="difference", unit="nJy")
    packets = table.to_pylist()
    for packet in packets if survey == "rubin" else ():  # this file has identifiers as floats, which are refused
        for part in (packet["diaSource"], packet["diaObject"] or {}, *(packet["prvDiaSources"] or ())):
            part.update({name: int(x) for name, x in part.items() if name.endswith("Id") and isinstance(x, float)})
    alerts = decode(lines(packets), "json" if survey == "ztf" else "rubin-json", options)
    assert {f.status for f in alerts.failures} <= {"MOVING", "REJECTED", "NON_FINITE"}
    curves = read(str(path))
    known = {}
    for i, star in enumerate(curves.ids):
        part = slice(curves.offsets[i], curves.offsets[i + 1])
        known[star] = dict(zip(np.round(curves.time[part], 6), curves.value[part], strict=True))
    assert len(alerts) > 10
    for i, star in enumerate(alerts.object_id.to_pylist()):
        for part in (alerts.new[i], alerts.history[i]):
            for time, value in zip(np.round(part.time, 6), part.value, strict=True):
                assert known[star][time] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"{}",
        b'{"candidate": 3}',
        b'{"candidate": {"jd": "x"}, "objectId": "a"}',
        b"[" * 100000,
        json.dumps(PACKET | {"objectId": [1]}).encode(),
        json.dumps(PACKET | {"prv_candidates": [1]}).encode(),
        json.dumps(PACKET | {"candidate": source(2459000.5, magpsf={"a": 1})}).encode(),
        json.dumps(PACKET | {"candidate": source(2459000.5, fid=10**30)}).encode(),
    ],
)
def test_whatever_json_holds_costs_its_own_message_only(bad):
    good = lines([PACKET])[0]
    alerts = decode([good, bad, good], "json")
    assert alerts.index.tolist() == [0, 2]
    assert [f.index for f in alerts.failures] == [1]
    assert_equal(alerts, decode([good, bad, good], "json"))


FINK = {"i:objectId": "ZTF1"} | {f"i:{name}": value for name, value in PACKET["candidate"].items()}
ALERCE = {"oid": "ZTF1", "candid": "7", "mjd": 59000.0, "fid": 2, "magpsf": 18.0, "sigmapsf": 0.1, "isdiffpos": 1}


@pytest.mark.parametrize(("format", "mine", "other"), [("fink", FINK, ALERCE), ("alerce", ALERCE, FINK)])
def test_rows_of_one_broker_are_a_format_of_its_own(format, mine, other):
    options = PacketOptions(photometry="difference")
    alerts = decode(lines([mine, other, PACKET, 7]), format, options)
    assert alerts.index.tolist() == [0]
    assert [failure.index for failure in alerts.failures] == [1, 2, 3]
    assert_equal(decode(lines([mine]), format, options), decode(lines([mine]), "json", options))
