"""An observation that comes again with another time is known by the survey's own identifier."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import fastavro
import numpy as np
import pytest

from goodricke.alerts import object_record
from goodricke.alerts.answers import Message
from goodricke.alerts.engine import Engine
from goodricke.alerts.object_record import (
    IDENTIFIED_VERSION,
    IDENTIFIER_CELL,
    MAX_HASHES,
    NO_IDENTIFIER,
    AlertPoints,
    ObjectRecord,
    RecordUpdate,
    identifier_hashes,
    is_routed,
    merge_alerts,
    nearby_hashes,
    unrecorded_history,
)
from goodricke.alerts.store import MemoryStore
from goodricke.io.packets import PacketOptions, decode, rubin
from tests.alerts.streams import tiny_model
from tests.alerts.test_object_record import full_record, points
from tests.io.packets.making_packets import encoded, source, ztf_packet

JD = 2460000.5
SHIFT = 37 / 86400  # days between TAI and UTC
NO_SHIFTS = np.zeros(9)


def ztf(k: int, shifts=NO_SHIFTS, history: bool = True, name: str = "ZTF1", candid=None) -> bytes:
    """Return the alert of observation ``k``, one a night, with those before it and everyone's shift in time."""
    sources = [
        source(JD + i + shifts[i], candid=i + 1 if candid is None else candid, magpsf=18.0 + 0.1 * i)
        for i in range(k + 1)
    ]
    return ztf_packet(sources[k], sources[:k] if history else (), name=name)


def rubin_alert(k: int, shifts=NO_SHIFTS, history: bool = True, name: str = "", candid=None) -> bytes:
    """Return the same as an alert of Rubin's."""
    sources = [
        {
            "diaSourceId": i + 1 if candid is None else candid,
            "diaObjectId": 1,
            "midpointMjdTai": 60000.0 + i + shifts[i],
        }
        | {"ra": 10.0, "dec": -20.0, "band": "g", "psfFlux": 1e5 - 9e3 * i, "psfFluxErr": 100.0}
        for i in range(k + 1)
    ]
    record = {"diaSourceId": sources[k]["diaSourceId"], "diaSource": sources[k]}
    record |= {"prvDiaSources": sources[:k] if history else [], "prvDiaForcedSources": []}
    return encoded(json.loads(rubin.schema()), [record])


def engine(format: str) -> Engine:
    options = PacketOptions(photometry="difference", unit="mag")
    worker = Engine(tiny_model(), MemoryStore(), partial(decode, format=format, options=options), keep=3)
    worker.clock = itertools.count().__next__
    return worker


def feed(worker: Engine, values, cut: int = 1) -> dict:
    messages = [Message(k, value) for k, value in enumerate(values)]
    rows = [worker.process(messages[a : a + cut]).answers.rows() for a in range(0, len(messages), cut)]
    return rows[-1][-1]


SURVEYS = {"ztf": ztf, "rubin": rubin_alert}


@pytest.mark.parametrize("survey", SURVEYS)
@pytest.mark.parametrize("cut", [1, 4, 100])
@pytest.mark.parametrize("history", [True, False])
def test_an_observation_with_a_corrected_time_is_the_same(survey, cut, history):
    alert, shifted = SURVEYS[survey], NO_SHIFTS + SHIFT
    once, twice = engine(survey), engine(survey)
    values = [alert(k, history=history) for k in range(9)]
    expected = feed(once, values)
    last = feed(twice, [*values, *(alert(k, shifted, history) for k in range(9))], cut)
    counts = twice.counts
    assert (counts.observations, counts.known, counts.corrected, counts.retimed) == (9, 9, 9, 9)
    assert (counts.filled, counts.rebuilt, counts.refused) == (0, 0, 0)
    assert (last["n_obs"], last["n_missing"]) == (expected["n_obs"], 0)
    assert [last[f"p_{c}"] for c in "ABC"] == pytest.approx([expected[f"p_{c}"] for c in "ABC"], abs=1e-5)


@pytest.mark.parametrize("survey", SURVEYS)
def test_a_history_with_corrected_times_adds_nothing(survey):
    alert, shifts = SURVEYS[survey], NO_SHIFTS + np.where(np.arange(9) < 8, SHIFT, 0)
    worker = engine(survey)
    last = feed(worker, [*(alert(k, history=False) for k in range(8)), alert(8, shifts)])
    assert (last["n_obs"], worker.counts.filled, worker.counts.observations) == (9, 0, 9)
    only = feed(engine(survey), [alert(8)])
    assert only["n_obs"] == 9
    assert [last[f"p_{c}"] for c in "ABC"] == pytest.approx([only[f"p_{c}"] for c in "ABC"], abs=1e-5)


@pytest.mark.parametrize("survey", SURVEYS)
def test_one_identifier_for_all_observations_says_nothing(survey):
    worker = engine(survey)
    last = feed(worker, [SURVEYS[survey](k, history=False, candid=7) for k in range(9)])
    assert (last["n_obs"], worker.counts.known) == (9, 0)


@pytest.mark.parametrize("cut", [1, 3, 100])
def test_the_record_does_not_depend_on_the_batches(cut):
    rng = np.random.default_rng(0)
    values = []
    for name in ("ZTF1", "ZTF2"):
        order = [*range(9), *rng.integers(0, 9, 12)]
        values += [ztf(k, NO_SHIFTS + SHIFT * rng.integers(0, 3, 9), bool(rng.integers(2)), name) for k in order]
    records = []
    for size in (cut, 1):
        worker = engine("ztf")
        feed(worker, values, size)
        keys = [b"ZTF1", b"ZTF2"]
        records.append([ObjectRecord.frombytes(x) for x in worker._partitions[0].get(keys)])
    for one, two in zip(*records, strict=True):
        assert (one.n_obs, len(one.identifiers)) == (two.n_obs, len(two.identifiers)) == (9, 9)
        np.testing.assert_array_equal(one.points, two.points)
        assert set(one.identifiers.tolist()) == set(two.identifiers.tolist())


def test_real_packets_of_ztf_and_rubin(shared):
    folder = shared / "data" / "formats"
    cases = [("ztf", "ztf_alert/472263571115115000.avro", "candidate", "jd")]
    cases += [("rubin", "rubin_alert/fakeAlert_v11_0.avro", "diaSource", "midpointMjdTai")]
    for survey, name, key, time in cases:
        data = (folder / name).read_bytes()
        reader = fastavro.reader(io.BytesIO(data))
        (packet,) = reader
        packet[key][time] += SHIFT
        moved = io.BytesIO()
        fastavro.writer(moved, reader.writer_schema, [packet])
        worker = engine(survey)
        worker.decode = partial(decode, format=survey, options=PacketOptions(photometry="difference", unit="nJy"))
        worker.process([Message(0, data)])
        n = worker.counts.observations
        answers = worker.process([Message(1, moved.getvalue())]).answers
        assert len(answers.object_id) == 1, worker.reasons
        assert (n, worker.counts.observations) == (n, n)
        assert worker.counts.retimed == 1


def test_bytes_with_identifiers_and_records_of_earlier_releases():
    record = full_record()
    assert record.tobytes()[4] == 2
    record.identifiers = np.array([4, 5, 6], np.uint32)
    for route in (b"", b"route"):
        record.route = route
        data = record.tobytes()
        again = ObjectRecord.frombytes(data)
        assert data[4] == IDENTIFIED_VERSION
        assert is_routed(data) == bool(route)
        for name, value in vars(record).items():
            assert np.array_equal(getattr(again, name), value), name


def test_hashes_of_identifiers_are_of_time_and_band_too():
    one = identifier_hashes(points(1.0, 1.01), np.array([5, 5]))
    assert one[0] == one[1]
    assert one[0] != identifier_hashes(points(1.0, band=1), np.array([5]))[0]
    assert one[0] != identifier_hashes(points(1.0), np.array([6]))[0]
    assert one[1] == identifier_hashes(points(1.01 - IDENTIFIER_CELL), np.array([5]), 1)[0]


def test_identifiers_are_kept_of_the_last_observations_only():
    n, record = MAX_HASHES + 50, ObjectRecord()
    for first in range(0, n, 100):
        given = range(first, min(first + 100, n))
        alerts = [alert_points(record, float(k), k) for k in given]
        update = merge_alerts(record, alerts, 32)
        hashes = update.base_hashes, update.missing_hashes
        base = b"base" if len(update.base_points) else record.base
        record = ObjectRecord(update.points, b"", base, b"", update.n_obs, *hashes, identifiers=update.identifiers)
    assert record.n_obs == n
    assert len(record.identifiers) == MAX_HASHES
    late = merge_alerts(record, [alert_points(record, n - 2 + SHIFT, n - 2)])
    assert (late.n_duplicates, late.n_retimed, late.n_obs) == (1, 1, n)
    plain = merge_alerts(record, [alert_points(record, n - 2 + SHIFT, NO_IDENTIFIER)])
    assert plain.n_obs == n + 1


@pytest.mark.parametrize("history", [0, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_the_quick_way_to_append_gives_what_merging_gives(
    monkeypatch: pytest.MonkeyPatch, seed: int, history: int
) -> None:
    """Visits minutes to days apart, some told again with another time; alerts with so many observations before."""
    rng = np.random.default_rng(seed)
    times, given = np.cumsum(rng.choice([0.003, 0.02, 0.06, 0.4], 60)), np.arange(60)
    again = rng.choice(np.arange(1, 60), 12, replace=False)
    given[again] = given[again - 1]

    n_quick = 0

    def run(quick: bool) -> list[RecordUpdate]:
        if not quick:
            monkeypatch.setattr(object_record, "_is_append", lambda *_: False)
        nonlocal n_quick
        record, updates = ObjectRecord(), []
        for start in range(0, 60, 3):
            batch = range(start, start + 3)
            before = [[(times[i], int(given[i])) for i in range(max(k - history, 0), k)] for k in batch]
            alerts = [alert_points(record, times[k], int(given[k]), b) for k, b in zip(batch, before, strict=True)]
            n_quick += object_record._is_append(record, alerts, 200)
            update = merge_alerts(record, alerts, 200)
            record = replace(record, points=update.points, n_obs=update.n_obs, identifiers=update.identifiers)
            updates.append(update)
        return updates

    for one, other in zip(run(True), run(False), strict=True):
        assert one.points.tolist() == other.points.tolist()
        assert one.identifiers.tolist() == other.identifiers.tolist()
        counts = ("n_obs", "n_accepted", "n_duplicates", "n_retimed", "status")
        assert [getattr(one, name) for name in counts] == [getattr(other, name) for name in counts]
    assert n_quick > 0


def alert_points(
    record: ObjectRecord, time: float, identifier: int, before: Sequence[tuple[float, int]] = ()
) -> AlertPoints:
    """Return an alert with the observations ``before`` in its history."""
    history, earlier = points(*(t for t, _ in before)), np.array([number for _, number in before], np.int64)
    history["value"] = 0.0  # as in their own alerts
    (is_new,) = unrecorded_history([record], np.array([0]), [history])
    given = np.array([identifier], np.int64)
    hashes = nearby_hashes(points(time), given)[: identifier != NO_IDENTIFIER]
    others = nearby_hashes(history[is_new], earlier[is_new])
    return AlertPoints(points(time), history, history[is_new], given, earlier, earlier[is_new], hashes, others)
