"""What doesn't fit is said: schemas without a field that is needed, identifiers that lost digits, moving objects."""

import json

import pytest

from goodricke.io.packets import MOVING, UNREADABLE, PacketOptions, decode, rubin
from tests.io.packets.making_packets import encoded, source, ztf_packet, ztf_schema

SOURCE = {
    "diaSourceId": 7,
    "diaObjectId": 9,
    "midpointMjdTai": 60000.0,
    "band": "r",
    "psfFlux": 900.0,
    "psfFluxErr": 9.0,
}


def without(name: str, part: str = "candidate") -> bytes:
    """Return an alert of ZTF by a schema that lacks a field."""
    schema, record = ztf_schema(), {"objectId": "ZTF1", "candidate": source(2459000.5)}
    fields = schema["fields"] if part == "" else schema["fields"][1]["type"]["fields"]
    fields[:] = [field for field in fields if field["name"] != name]
    (record if part == "" else record["candidate"]).pop(name, None)
    return encoded(schema, [record])


def errors(messages, format, **options) -> list[tuple[str, str]]:
    alerts = decode(messages, format, PacketOptions(**options))
    return [(failure.status, failure.error) for failure in alerts.failures]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("name", "part", "options"),
    [
        ("jd", "candidate", {}),
        ("fid", "candidate", {}),
        ("magpsf", "candidate", {}),
        ("objectId", "", {}),
        ("magnr", "candidate", {"photometry": "total"}),
        ("nbad", "candidate", {"flags": ("nbad",)}),
    ],
)
def test_a_schema_without_a_needed_field_is_refused_by_name(name, part, options, compiled):
    options = {"photometry": "difference", "compiled": compiled} | options
    path = f"{part}.{name}".lstrip(".")
    assert errors([without(name, part)], "ztf", **options) == [(UNREADABLE, f"lacks the field {path}")]
    assert errors([ztf_packet(source(2459000.5))], "ztf", **options) == []


def test_a_score_may_be_either_of_two():
    packets = [without("drb"), without("rb")]
    assert errors(packets, "ztf", photometry="difference", reliability=0.5) == []
    lacking = encoded(_without_scores(), [{"objectId": "ZTF1", "candidate": source(2459000.5)}])
    (found,) = errors([lacking], "ztf", photometry="difference", reliability=0.5)
    assert found == (UNREADABLE, "lacks the field candidate.drb or candidate.rb")


def _without_scores():
    schema = ztf_schema()
    fields = schema["fields"][1]["type"]["fields"]
    fields[:] = [field for field in fields if field["name"] not in ("rb", "drb")]
    return schema


def test_a_flux_that_the_schema_lacks_is_named():
    packet = encoded(json.loads(rubin.schema()), [{"diaSourceId": 7, "diaSource": SOURCE | {"ra": 1.0, "dec": 2.0}}])
    assert errors([packet], "rubin", photometry="difference") == []
    assert errors([packet], "rubin", flux="apFlux") == [(UNREADABLE, "lacks the field diaSource.apFlux")]


def test_packets_of_rubin_before_version_10_are_refused():
    """Version 7.4 has other names: midPointTai, filterName, psFlux."""
    old = {"name": "diaSource", "type": "record", "fields": [
        {"name": "diaSourceId", "type": "long"}, {"name": "diaObjectId", "type": ["null", "long"]},
        {"name": "midPointTai", "type": "double"}, {"name": "filterName", "type": "string"},
        {"name": "psFlux", "type": ["null", "float"]}, {"name": "psFluxErr", "type": ["null", "float"]},
    ]}  # fmt: skip
    schema = {"name": "alert", "type": "record", "fields": [{"name": "diaSource", "type": old}]}
    record = {
        "diaSourceId": 1,
        "diaObjectId": 2,
        "midPointTai": 6e4,
        "filterName": "g",
        "psFlux": 5.0,
        "psFluxErr": 1.0,
    }
    ((status, text),) = errors([encoded(schema, [{"diaSource": record}])], "rubin", photometry="difference")
    assert (status, text) == (UNREADABLE, "lacks the field diaSource.midpointMjdTai")


def test_rows_in_json_name_what_they_lack():
    row = {"i:candid": 1, "i:objectId": "ZTF1", "i:jd": 2459000.5, "i:fid": 1, "i:magpsf": 18.0, "i:isdiffpos": "t"}
    message = json.dumps(row).encode()
    assert errors([message], "fink", photometry="difference") == []
    assert errors([message], "fink", photometry="total") == [
        (UNREADABLE, "OtherSchemaError: lacks the field candidate.magnr")
    ]


# ---- identifiers ----------------------------------------------------------------------------------------------------


def rubin_json(**fields) -> bytes:
    return json.dumps({"diaSource": SOURCE | fields}).encode()


@pytest.mark.parametrize(
    ("given", "name"), [(2**60 + 1, str(2**60 + 1)), ("169298433191444501", "169298433191444501"), (9.0, "9")]
)
def test_identifiers_may_be_integers_text_and_exact_floats(given, name):
    alerts = decode(
        [rubin_json(diaObjectId=given, diaSourceId=str(2**60 + 3))],
        "rubin-json",
        PacketOptions(photometry="difference"),
    )
    assert alerts.object_id.to_pylist() == [name]
    assert alerts.alert_id.tolist() == [2**60 + 3]


@pytest.mark.parametrize("field", ["diaObjectId", "diaSourceId"])
@pytest.mark.parametrize("given", [float(2**53), 1.692984331914445e17, 1.5, True, "x1"])
def test_identifiers_that_may_have_lost_digits_are_refused(field, given):
    messages = [rubin_json(), rubin_json(**{field: given}), rubin_json()]
    alerts = decode(messages, "rubin-json", PacketOptions(photometry="difference"))
    assert alerts.index.tolist() == [0, 2]
    assert [(failure.index, failure.status) for failure in alerts.failures] == [(1, UNREADABLE)]


def test_a_candid_that_lost_digits_is_refused():
    row = {
        "i:candid": 1.2e18,
        "i:objectId": "ZTF1",
        "i:jd": 2459000.5,
        "i:fid": 1,
        "i:magpsf": 18.0,
        "i:isdiffpos": "t",
    }
    ((status, text),) = errors([json.dumps(row).encode()], "fink", photometry="difference")
    assert status == UNREADABLE
    assert "a float of 2^53 or more has lost digits" in text


# ---- the solar system -----------------------------------------------------------------------------------------------


def ztf_near(name, distance) -> bytes:
    """Return an alert of ZTF with the nearest object of the solar system."""
    schema = ztf_schema()
    fields = schema["fields"][1]["type"]["fields"]
    fields += [{"name": "ssnamenr", "type": ["null", "string"]}, {"name": "ssdistnr", "type": ["null", "float"]}]
    record = {"objectId": "ZTF1", "candidate": source(2459000.5, ssnamenr=name, ssdistnr=distance)}
    return encoded(schema, [record])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("name", "distance", "moves"),
    [("1234", 0.4, True), ("1234", 5.0, False), ("null", 0.4, False), (None, 0.4, False), ("1234", -999.0, False)],
)
def test_alerts_of_ztf_near_a_known_asteroid_are_moving(name, distance, moves, compiled):
    options = {"photometry": "difference", "compiled": compiled}
    found = errors([ztf_near(name, distance)], "ztf", **options)
    assert [status for status, _ in found] == [MOVING] * moves
    assert errors([ztf_near(name, distance)], "ztf", **options, solar_system=True) == []


@pytest.mark.parametrize("star", [0, None, 9])
def test_alerts_of_rubin_of_an_object_of_the_solar_system_are_moving(star):
    message = rubin_json(ssObjectId=77, diaObjectId=star)
    assert [status for status, _ in errors([message], "rubin-json", photometry="difference")] == [MOVING]
    kept = decode([message, rubin_json()], "rubin-json", PacketOptions(photometry="difference", solar_system=True))
    assert kept.object_id.to_pylist() == ["ssObject 77", "9"]
