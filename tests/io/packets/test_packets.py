import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from benchmarks.rubin_packets import rubin_packets
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts.replay import slim_packets
from goodricke.io.packets import (
    FORMATS,
    NON_FINITE,
    UNKNOWN_BAND,
    UNREADABLE,
    Alerts,
    PacketOptions,
    decode,
    photometry,
    slim,
)
from tests.io.packets.making_packets import assert_equal, encoded, many, points, source, ztf_packet

FORMATS_IN_BYTES = ("slim", "rubin", "ztf")


@cache
def messages_of(format: str) -> tuple[bytes, ...]:
    """Return sound messages of a format."""
    if format == "ztf":
        before = [source(2458990.5 + i, fid=1 + i % 3) for i in range(5)]
        return tuple(ztf_packet(source(2459000.5 + i), before[:i], name=f"ZTF{i}") for i in range(4))
    curves = many(4, 5)
    made = slim_packets(curves, previous=10) if format == "slim" else rubin_packets(curves, cutouts=300)
    return tuple(message for _, message in made)


def options_of(format: str, compiled: bool = True) -> PacketOptions:
    return PacketOptions(compiled=compiled, unit="nJy" if format == "slim" else None)


def test_slim_records_give_the_light_curves_they_were_made_of():
    curves = many(bands=("g", "Kepler/K2", "å"))
    made = [message for _, message in slim_packets(curves, previous=40)]
    alerts = decode(made, "slim", PacketOptions(unit="nJy"))
    assert not alerts.failures
    assert len(set(alerts.alert_id.tolist())) == len(alerts) == len(curves.time)
    for i, name in enumerate(curves.ids):
        mine = [k for k, other in enumerate(alerts.object_id.to_pylist()) if other == name]
        assert [points(alerts.new, k)[0] for k in mine] == points(curves, i)
        assert [points(alerts.history, k) for k in mine] == [points(curves, i)[:k] for k in range(len(mine))]
    order = np.argsort(curves.time, kind="stable")
    np.testing.assert_array_equal(alerts.alert_id, order + 1)
    assert alerts.new.column("dec")[0] in curves.column("dec")


def test_a_slim_record_is_what_its_schema_says():
    curves = many(2, 4)
    made = [message for _, message in slim_packets(curves, previous=10)]
    plain = [encoded(json.loads(slim.schema()), [as_record(message)], bare=True) for message in made]
    assert plain == made
    framed = [b"\0\0\0\0\1" + message for message in made]
    files = [encoded(json.loads(slim.schema()), [as_record(message)]) for message in made]
    for other in (framed, files):
        assert_equal(decode(other, "slim"), decode(made, "slim"))


def as_record(message: bytes) -> dict:
    from io import BytesIO

    import fastavro

    return fastavro.schemaless_reader(BytesIO(message), fastavro.parse_schema(json.loads(slim.schema())))


@pytest.mark.parametrize("format", FORMATS_IN_BYTES)
@pytest.mark.parametrize("compiled", [True, False])
def test_alone_as_in_company(format, compiled):
    good = messages_of(format)
    batch = [b"", *good, good[-1][:-4], b"\xff" * 50, *reversed(good)]
    together = decode(batch, format, options_of(format, compiled))
    alone = [decode([message], format, options_of(format, compiled)) for message in batch]
    assert len(together) == 2 * len(good)
    assert together.index.tolist() == [i for i, a in enumerate(alone) if len(a)]
    joined = Alerts.concat([shifted(a, i) for i, a in enumerate(alone)])
    assert_equal(together, joined)


def shifted(alerts: Alerts, i: int) -> Alerts:
    from dataclasses import replace

    failures = [replace(failure, index=i) for failure in alerts.failures]
    return replace(alerts, index=alerts.index + i, failures=failures)


def test_compiled_and_plain_give_the_same():
    for format in FORMATS_IN_BYTES:
        batch = list(messages_of(format))
        batch += [message[:-7] for message in batch]
        assert_equal(decode(batch, format, options_of(format)), decode(batch, format, options_of(format, False)))


@pytest.mark.parametrize("format", FORMATS_IN_BYTES)
def test_a_packet_cut_anywhere_is_a_failure(format):
    message = messages_of(format)[-1]
    cuts = [message[:n] for n in range(0, len(message), max(1, len(message) // 500))]
    alerts = decode([*cuts, message], format, options_of(format))
    assert alerts.index.tolist() == [len(cuts)]
    assert {failure.status for failure in alerts.failures} == {UNREADABLE}
    assert all(failure.error for failure in alerts.failures)


@pytest.mark.parametrize("format", FORMATS_IN_BYTES)
@pytest.mark.parametrize("compiled", [True, False])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_failures_never_errors(format, compiled, data):
    good = messages_of(format)
    broken = bytearray(data.draw(st.sampled_from(good)))
    for _ in range(data.draw(st.integers(1, 6))):
        where = data.draw(st.integers(0, len(broken) - 1))
        kind = data.draw(st.sampled_from(["change", "insert", "delete", "cut"]))
        if kind == "change":
            broken[where] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            broken[where:where] = data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "delete" and len(broken) > 2:
            del broken[where]
        elif where:
            del broken[where:]
    alerts = decode([good[0], bytes(broken), good[1]], format, options_of(format, compiled))
    assert sorted({*alerts.index.tolist(), *(f.index for f in alerts.failures)}) == [0, 1, 2]
    assert len(alerts) + len(alerts.failures) == 3
    assert {0, 2} <= set(alerts.index.tolist())
    assert np.isfinite(alerts.new.time).all()
    assert np.isfinite(alerts.new.value).all()


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=40, deadline=None)
@given(messages=st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_failures_or_alerts(format, messages):
    alerts = decode(messages, format)
    assert len(alerts) + len(alerts.failures) == len(messages)


def record(**fields) -> bytes:
    known = {"object_id": "a", "alert_id": 1, "time": 60000.0, "band": "g", "value": 15.0, "error": 0.1}
    return encoded(json.loads(slim.schema()), [known | fields], bare=True)


def test_absurd_values_are_failures():
    for fields, status in [
        ({"time": float("nan")}, NON_FINITE),
        ({"time": float("inf")}, NON_FINITE),
        ({"time": 1e300}, NON_FINITE),
        ({"value": float("nan")}, NON_FINITE),
        ({"value": 1e30}, NON_FINITE),
        ({"band": ""}, UNKNOWN_BAND),
        ({"object_id": "x" * 5000}, UNREADABLE),
        ({"object_id": "", "ra": 1.0}, UNREADABLE),
    ]:
        alerts = decode([record(), record(**fields)], "slim")
        assert alerts.index.tolist() == [0]
        assert [(f.index, f.status) for f in alerts.failures] == [(1, status)]


def test_absurd_errors_and_places_are_unknown():
    alerts = decode([record(error=-1.0, ra=999.0, dec=10.0), record(error=float("inf"))], "slim")
    assert np.isnan(alerts.new.error).all()
    np.testing.assert_array_equal(alerts.new.column("ra"), [np.nan, np.nan])
    np.testing.assert_array_equal(alerts.new.column("dec"), [10.0, np.nan])


def test_a_name_that_is_no_text_costs_its_own_message_only():
    good = record(object_id="star")
    bad = good.replace(b"star", b"\xff\xfe\xfd\xfc")
    for compiled in (True, False):
        alerts = decode([good, good, bad, good], "slim", PacketOptions(compiled=compiled))
        assert alerts.index.tolist() == [0, 1, 3]
        assert [f.index for f in alerts.failures] == [2]


def test_more_bands_than_can_be_kept_cost_the_last_ones():
    alerts = decode([record(band=f"b{i}") for i in range(300)], "slim")
    assert len(alerts) == 255
    assert {f.status for f in alerts.failures} == {UNKNOWN_BAND}


def test_packets_of_one_survey_are_none_of_another():
    for wrong, format in (("ztf", "rubin"), ("ztf", "slim"), ("rubin", "ztf"), ("slim", "rubin"), ("rubin", "slim")):
        alerts = decode(messages_of(wrong), format)
        assert len(alerts) == 0
        assert {failure.status for failure in alerts.failures} == {UNREADABLE}


def test_several_alerts_in_a_file():
    schema = json.loads(slim.schema())
    known = {"time": 60000.0, "band": "g", "value": 15.0, "error": 0.1}
    records = [{"object_id": f"o{i}", "alert_id": i, **known} for i in range(5)]
    file = encoded(schema, records)
    for compiled in (True, False):
        alerts = decode([b"", file, record()], "slim", PacketOptions(compiled=compiled))
        assert alerts.index.tolist() == [1] * 5 + [2]
        assert alerts.alert_id.tolist() == [0, 1, 2, 3, 4, 1]


def test_no_message_no_alert():
    for format in FORMATS:
        alerts = decode([], format)
        assert len(alerts) == len(alerts.history) == len(alerts.failures) == 0


def test_wrong_choices_are_errors():
    with pytest.raises(ValueError, match="no alert format 'lsst'"):
        decode([], "lsst")
    with pytest.raises(ValueError, match="total"):
        PacketOptions(photometry="absolute")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Jy"):
        decode([], "rubin", PacketOptions(unit="Jy"))


def test_the_same_seed_makes_the_same_packets():
    first, again, other = ([m for _, m in rubin_packets(many(1), seed=s)] for s in (1, 1, 2))
    assert first == again != other


def test_observations_that_are_none_make_no_alert():
    curves = many(1, 9)
    value = curves.value.copy()
    value[0] = np.nan
    from dataclasses import replace

    assert len(list(slim_packets(replace(curves, value=value), previous=10))) == len(value) - 1


def test_the_schema_that_is_shipped_is_valid():
    import fastavro

    assert Path(str(slim.SCHEMA)).name == "observation.avsc"
    assert fastavro.parse_schema(json.loads(slim.schema()))["name"] == "goodricke.observation"


def test_the_photometry_of_a_stream_is_what_its_light_curves_are_of():
    for one, two, same in [
        (("ztf", {}), ("json", {"photometry": "total"}), True),
        (("ztf", {}), ("fink", {"compiled": False}), True),
        (("ztf", {}), ("ztf", {"photometry": "difference"}), False),
        (("ztf", {}), ("ztf", {"unit": "nJy"}), False),
        (("ztf", {}), ("ztf", {"forced": True}), False),
        (("ztf", {"flags": ("a", "b")}), ("ztf", {"flags": ("b", "a")}), True),
        (("ztf", {"photometry": "difference"}), ("ztf", {"photometry": "difference", "reference_distance": 1.0}), True),
        (("ztf", {}), ("ztf", {"reference_distance": 1.0}), False),
        (("rubin", {}), ("rubin-json", {"flux": "scienceFlux"}), True),
        (("rubin", {}), ("rubin", {"photometry": "difference"}), False),
        (("rubin", {}), ("rubin", {"flux": "apFlux"}), False),
        (("rubin", {}), ("ztf", {}), False),
        (("slim", {}), ("slim", {"unit": "mag", "photometry": "difference"}), True),
        (("slim", {}), ("slim", {"unit": "nJy"}), False),
    ]:
        (format, options), (other, others) = one, two
        first, second = photometry(format, PacketOptions(**options)), photometry(other, PacketOptions(**others))
        assert (first == second) == same
