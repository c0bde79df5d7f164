import json
import threading
from base64 import b64encode
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from urllib.parse import quote, urlparse

import fastavro
import numpy as np
import pytest
from benchmarks.rubin_packets import rubin_id, rubin_packets

from goodricke.io.packets import MOVING, REJECTED, UNREADABLE, PacketOptions, RegistryUnreachableError, decode, rubin
from tests.io.packets.making_packets import assert_equal, encoded, many, points

DIFFERENCE = PacketOptions(photometry="difference")


@pytest.fixture(params=["own", "10.0", "11.0"])
def schema(request):
    """Return the file of a schema, or None for our own."""
    if request.param == "own":
        return None
    shared = request.getfixturevalue("shared")
    return shared / "data/formats/rubin_alert" / f"fakeAlert_v{request.param.replace('.', '_')}.avro"


@pytest.mark.parametrize("version", ["10_0", "11_0"])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_real_packet(shared, version, compiled):
    message = (shared / f"data/formats/rubin_alert/fakeAlert_v{version}.avro").read_bytes()
    alerts = decode([message], "rubin", replace(DIFFERENCE, compiled=compiled))
    assert alerts.object_id.to_pylist() == ["281323062375219201"]
    assert alerts.alert_id.tolist() == [281323062375219200]
    assert points(alerts.new, 0) == [(60902.993305483615, 1241.0, 12.0, "r")]
    assert points(alerts.history, 0) == [
        (60900.993305483615, 1241.0, 12.0, "r"),
        (60901.993305483615, 1241.0, 12.0, "r"),
    ]
    assert (alerts.new.unit, alerts.new.time_scale) == ("nJy", "MJD (TAI)")
    assert alerts.new.column("ra").tolist() == [351.570546978]
    magnitude = decode([message], "rubin", replace(DIFFERENCE, unit="mag")).new.value  # 31.4 - 2.5 log10(1241)
    np.testing.assert_allclose(magnitude, [23.6655], atol=1e-3)
    assert len(decode([message], "rubin")) == 0  # its scienceFlux is null


def test_generated_packets_give_the_light_curves_they_were_made_of(schema):
    curves = many()
    registry = None if schema is None else str(schema.parent)
    made = list(rubin_packets(curves, previous=30, schema=schema))
    for options in (
        PacketOptions(registry=registry),
        PacketOptions(registry=registry, photometry="difference", forced=True),
    ):
        alerts = decode([message for _, message in made], "rubin", options)
        assert not alerts.failures
        assert [key.decode() for key, _ in made] == alerts.object_id.to_pylist()
        assert np.all(np.diff(alerts.new.time) >= 0)
        for i, name in enumerate(curves.ids):
            mine = [k for k, other in enumerate(alerts.object_id.to_pylist()) if other == name]
            assert [points(alerts.new, k)[0] for k in mine] == points(curves, i)
            assert [points(alerts.history, k) for k in mine] == [points(curves, i)[:k] for k in range(len(mine))]
            assert set(alerts.new.column("ra")[mine]) == {curves.column("ra")[i]}


def test_a_packet_is_as_large_as_rubins_and_whole(schema):
    *_, (key, last) = rubin_packets(many(2, 40), previous=10, schema=schema)
    assert 54_000 < len(last) < 80_000
    text = rubin.schema() if schema is None else fastavro.reader(schema.open("rb")).metadata["avro.schema"]
    record = fastavro.schemaless_reader(BytesIO(last[5:]), fastavro.parse_schema(json.loads(text)))
    assert str(record["diaSource"]["diaObjectId"]) == key.decode()
    assert sum(len(record[name]) for name in ("cutoutDifference", "cutoutScience", "cutoutTemplate")) == 54_000
    assert len(record["prvDiaSources"]) == 10


def test_magnitudes_become_fluxes_and_names_numbers():
    curves = replace(many(unit="mag"), object_id=many().object_id.take([0] * 0 + list(range(8))))
    fluxes = decode([m for _, m in rubin_packets(curves, previous=0)], "rubin", PacketOptions(unit="mag"))
    np.testing.assert_allclose(fluxes.new.value, curves.value[np.argsort(curves.time)], rtol=1e-5)
    assert rubin_id("42") == 42
    assert rubin_id("RR Lyr") == rubin_id("RR Lyr") > 0
    with pytest.raises(ValueError, match="nJy"):
        next(rubin_packets(replace(curves, unit="electron / s")))
    with pytest.raises(ValueError, match="Rubin has no band V"):
        next(rubin_packets(replace(curves, bands=("V", "g", "r"))))


def packet(source=(), before=(), forced=(), **fields) -> bytes:
    """Return a packet of our own schema as an Avro file."""
    known = {"diaSourceId": 7, "diaObjectId": 5, "midpointMjdTai": 60000.0, "ra": 1.0, "dec": 2.0, "band": "g"}
    known |= {"psfFlux": 100.0, "psfFluxErr": 1.0, "scienceFlux": 900.0, "scienceFluxErr": 2.0}
    earlier = [known | {"diaSourceId": 10 + i, "midpointMjdTai": 59990.0 + i} | dict(b) for i, b in enumerate(before)]
    record = {"diaSourceId": 7, "diaSource": known | dict(source), "prvDiaSources": earlier}
    return encoded(json.loads(rubin.schema()), [record | {"prvDiaForcedSources": list(forced)} | fields])


def test_objects_of_the_solar_system_and_nameless_ones_are_left_out():
    there = {"diaObjectId": 5, "ra": 1.0, "dec": 2.0}
    messages = [
        packet({"diaObjectId": None, "ssObjectId": 9}),
        packet({"diaObjectId": None}),
        packet({"diaObjectId": None}, diaObject=there),
        packet({"diaObjectId": 0, "ssObjectId": 0}),
    ]
    alerts = decode(messages, "rubin")
    assert alerts.index.tolist() == [2]
    assert [(f.index, f.status) for f in alerts.failures] == [(0, MOVING), (1, UNREADABLE), (3, UNREADABLE)]


def test_flags_score_and_withdrawal_leave_out():
    bad = [{"forced_PsfFlux_flag": True}, {"reliability": 0.1}, {"timeWithdrawnMjdTai": 60001.0}]
    bad += [{"pixelFlags_saturatedCenter": True}]
    options = PacketOptions(reliability=0.5, flags=("pixelFlags_saturatedCenter",))
    alerts = decode([*(packet(b) for b in bad), packet((), [*bad, {}, {"psfFlux_flag": True}])], "rubin", options)
    assert alerts.index.tolist() == [4]
    assert {f.status for f in alerts.failures} == {REJECTED}
    assert alerts.history.time.tolist() == [59994.0, 59995.0]


def test_forced_photometry_joins_the_sources():
    point = {
        "ra": 1.0,
        "dec": 2.0,
        "band": "g",
        "psfFlux": 1.0,
        "psfFluxErr": 2.0,
        "scienceFlux": 3.0,
        "scienceFluxErr": 4.0,
    }
    forced = [point | {"midpointMjdTai": t} for t in (59990.0, 59995.5, 60000.0, 60010.0)] + [
        point | {"midpointMjdTai": 60000.0, "band": "r"}
    ]
    message = packet((), [{}], forced)
    history = decode([message], "rubin", PacketOptions(forced=True)).history
    assert points(history, 0) == [(59990.0, 900.0, 2.0, "g"), (59995.5, 3.0, 4.0, "g"), (60000.0, 3.0, 4.0, "r")]
    assert decode([message], "rubin", replace(DIFFERENCE, forced=True)).history.value.tolist() == [100.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="no apFlux"):
        decode([message], "rubin", PacketOptions(forced=True, flux="apFlux"))


# ---- the registry -------------------------------------------------------------------------------------------------


USER, PASSWORD = "reader", "p@ss:w/rd"


class Server(BaseHTTPRequestHandler):
    """A schema registry that has schema 1100, fails at 5, and wants a password below /private."""

    requests: list[str] = []  # noqa: RUF012

    def do_GET(self):
        path = urlparse(self.path).path
        self.requests.append(path)
        status = {"1100": 200, "5": 503}.get(path.rpartition("/")[2], 404)
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if path.startswith("/private") and self.headers["Authorization"] != f"Basic {login}":
            status = 401
        body = json.dumps({"schema": rubin.schema()} if status == 200 else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Server.requests.clear()
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def with_number(message: bytes, number: int) -> bytes:
    return b"\0" + number.to_bytes(4) + message[5:]


def test_every_schema_is_requested_once(server):
    made = [with_number(message, 1100) for _, message in rubin_packets(many(2))]
    alerts = decode([*made, with_number(made[0], 7), with_number(made[0], 7)], "rubin", PacketOptions(registry=server))
    assert len(alerts) == len(made)
    assert [f.error for f in alerts.failures] == [f"the registry {server} has no schema 7"] * 2
    assert sorted(Server.requests) == ["/schemas/ids/1100", "/schemas/ids/7"]


def test_a_registry_that_does_not_answer_is_no_fault_of_the_messages(server, tmp_path):
    message = next(rubin_packets(many(1)))[1]
    for place in (server, "http://127.0.0.1:9", str(tmp_path / "nowhere")):
        with pytest.raises(RegistryUnreachableError, match="registry"):
            decode([with_number(message, 5)], "rubin", PacketOptions(registry=place))


def test_a_registry_with_a_password_in_its_address(server):
    message = with_number(next(rubin_packets(many(1)))[1], 1100)
    host = server.removeprefix("http://")
    address = f"http://{USER}:{quote(PASSWORD, safe='')}@{host}/private"
    assert len(decode([message], "rubin", PacketOptions(registry=address))) == 1
    wrong = f"http://{USER}:sesame@{host}/private"
    for place in (wrong, f"http://{USER}:sesame@127.0.0.1:9"):
        options = PacketOptions(registry=place)
        with pytest.raises(RegistryUnreachableError, match=r"check its address, user and password") as refusal:
            decode([message], "rubin", options)
        messages = [str(refusal.value), str(refusal.value.__cause__), repr(options)]
        assert not any("sesame" in text for text in messages)
    unknown = decode([with_number(message, 7)], "rubin", PacketOptions(registry=address)).failures[0].error
    assert unknown == f"the registry http://{host}/private has no schema 7"


def test_a_folder_of_schemas_by_number_or_version(tmp_path):
    message = next(rubin_packets(many(1)))[1]
    schema = json.loads(rubin.schema())
    (tmp_path / "12.avsc").write_text(rubin.schema())
    part = schema["fields"][1]["type"]
    schema["fields"][1]["type"] = part["name"]
    (tmp_path / "v10_1").mkdir()
    (tmp_path / "v10_1" / f"{part['name']}.avsc").write_text(json.dumps(part))
    (tmp_path / "v10_1" / "lsst.v10_1.alert.avsc").write_text(json.dumps(schema))
    options = PacketOptions(registry=str(tmp_path))
    alerts = decode([with_number(message, n) for n in (12, 1001, 3)], "rubin", options)
    assert alerts.index.tolist() == [0, 1]
    assert "no schema 3" in alerts.failures[0].error
    assert "12, 1001" in alerts.failures[0].error
    assert_equal(decode([with_number(message, 12)], "rubin", options), decode([message], "rubin"))
