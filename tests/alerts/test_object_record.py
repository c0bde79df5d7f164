import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts import object_record as module
from goodricke.alerts.object_record import (
    HASH,
    HEADER,
    POINT,
    AlertPoints,
    DamagedRecordError,
    ObjectRecord,
    RecordVersionError,
    merge_alerts,
    observation_hashes,
)


def points(*times, band=0):
    array = np.zeros(len(times), POINT)
    array["time"], array["value"], array["error"], array["band"] = times, np.arange(len(times)), 0.1, band
    return array


# ---- bytes ----------------------------------------------------------------------------------------------------------


def full_record() -> ObjectRecord:
    hashes = np.array([5, 6, 7], HASH), np.array([9], HASH)
    return ObjectRecord(points(1, 2), b"state" * 9, b"base", b"answer", 7, *hashes, 3, 99, 5.0, 10.0, -20.0)


def other_version_bytes(version=9) -> bytes:
    """Return a sound record of another version."""
    data = full_record().tobytes()
    checksum = zlib.crc32(data[HEADER.size :], zlib.crc32(struct.pack("<4sH", b"gkal", version)))
    return HEADER.pack(b"gkal", version, checksum) + data[HEADER.size :]


def test_bytes_and_back():
    record = full_record()
    again = ObjectRecord.frombytes(record.tobytes())
    for name, value in vars(record).items():
        assert np.array_equal(getattr(again, name), value), name
    assert ObjectRecord.frombytes(ObjectRecord().tobytes()).tobytes() == ObjectRecord().tobytes()


def test_the_bytes_of_a_record_are_those_of_earlier_releases():
    data = full_record().tobytes()
    assert (len(data), zlib.crc32(data)) == (179, 1723454961)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_change_of_the_bytes_is_noticed(data):
    sound = full_record().tobytes()
    at, how = data.draw(st.integers(0, len(sound) - 1)), data.draw(st.sampled_from(["cut", "flip", "more"]))
    flip = data.draw(st.integers(1, 255))
    broken = {"cut": sound[:at], "flip": sound[:at] + bytes([sound[at] ^ flip]) + sound[at + 1 :], "more": sound + b"x"}
    with pytest.raises(DamagedRecordError):
        ObjectRecord.frombytes(broken[how])


def test_a_sound_record_of_another_version_is_not_called_damaged():
    with pytest.raises(RecordVersionError, match=r"version 9, this goodricke reads 2: .* replay --to"):
        ObjectRecord.frombytes(other_version_bytes())
    with pytest.raises(DamagedRecordError):
        ObjectRecord.frombytes(other_version_bytes()[:-1] + b"?")


def test_hashes_are_of_time_and_band():
    sample = points(*np.random.default_rng(0).uniform(0, 1e5, 20_000))
    other_band = points(*sample["time"], band=1)
    both = np.concatenate([observation_hashes(sample), observation_hashes(np.concatenate([sample[:1], other_band]))])
    assert len(set(both.tolist())) > 40_000 - 3  # 0.2 pairs are expected to collide by chance
    assert both[0] == both[20_000]
    assert (observation_hashes(sample[5:9]) == observation_hashes(sample)[5:9]).all()
    assert observation_hashes(points(0.0))[0] == observation_hashes(points(-0.0))[0]


# ---- merging alerts -------------------------------------------------------------------------------------------------


def alert(time, history=(), record=None, band=0) -> AlertPoints:
    """Return an alert, of whose history all that the record doesn't have is unrecorded."""
    record, before = record or ObjectRecord(), points(*history)
    recorded = np.concatenate([observation_hashes(record.points), record.base_hashes])
    return AlertPoints(points(time, band=band), before, before[~np.isin(observation_hashes(before), recorded)])


def updated(record: ObjectRecord, update) -> ObjectRecord:
    base = b"" if update.rebuild_base else record.base
    base = b"base" if len(update.base_points) else base
    hashes = update.base_hashes, update.missing_hashes
    return ObjectRecord(update.points, b"", base, b"", update.n_obs, *hashes)


def merged(alerts, keep=3, cuts=(), record=None):
    """Return the record that alerts (time, history) lead to, the times in its base, and the last update."""
    record, base, update = record or ObjectRecord(), [], None
    for batch in np.split(np.array([*alerts, None], object)[:-1], cuts):
        if len(batch):
            update = merge_alerts(record, [alert(*pair, record=record) for pair in batch], keep)
            base = ([] if update.rebuild_base else base) + update.base_points["time"].tolist()
            record = updated(record, update)
    return record, base, update


def times(record) -> list[float]:
    return record.points["time"].tolist()


alerts_strategy = st.tuples(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=12)).map(
    lambda pair: (pair[0], sorted({time for time in pair[1] if time < pair[0]}))
)


@given(st.lists(alerts_strategy, max_size=40), st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_record_does_not_depend_on_how_a_stream_is_cut(alerts, cuts):
    cuts = sorted(min(cut, len(alerts)) for cut in cuts)
    (one, base, last), (two, again, final) = merged(alerts, 3, cuts), merged(alerts, 3, range(1, len(alerts)))
    for name in ("points", "base_hashes", "missing_hashes", "n_obs"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert base == again
    assert (last and last.status) == (final and final.status)


@given(st.lists(alerts_strategy, max_size=40))
@settings(max_examples=150, deadline=None)
def test_every_observation_counts_once_or_is_missing(alerts):
    record, base, _ = merged(alerts)
    recent = times(record)
    assert recent == sorted(set(recent))
    assert base == sorted(set(base))
    assert not set(recent) & set(base)
    assert len(recent) <= 6
    assert record.n_obs == len(recent) + len(base) == len(recent) + len(record.base_hashes)
    assert record.base_hashes.tolist() == observation_hashes(points(*base)).tolist()
    sent = {time for pair in alerts for time in (pair[0], *pair[1])}
    lost = sent - set(recent) - set(base)
    assert set(record.missing_hashes.tolist()) == set(observation_hashes(points(*lost)).tolist())


@given(st.lists(alerts_strategy, min_size=1, max_size=30), st.data())
@settings(max_examples=100, deadline=None)
def test_an_alert_sent_again_changes_nothing(alerts, data):
    record, _, _ = merged(alerts)
    again = data.draw(st.sampled_from(alerts))
    later, _, update = merged([again], record=record)
    for name in ("points", "base_hashes", "missing_hashes", "n_obs"):
        if not update.rebuild_base:  # its history is now complete, and fills what was missing
            assert np.array_equal(getattr(later, name), getattr(record, name)), name
    lost = observation_hashes(points(again[0]))[0] in record.missing_hashes
    assert update.status == ("REBUILT" if update.rebuild_base else "OUT_OF_ORDER" if lost else "")


def test_new_observations_are_appended():
    update = merge_alerts(ObjectRecord(points(1, 2), n_obs=2), [alert(3), alert(4)])
    assert (update.appended["time"].tolist(), update.rebuild_state) == ([3, 4], False)
    assert (update.n_accepted, update.n_obs) == (2, 4)


def test_a_late_observation_rebuilds_the_object():
    record = ObjectRecord(points(1, 3), n_obs=2)
    update = merge_alerts(record, [alert(2)])
    assert (update.rebuild_state, update.status) == (True, "REBUILT")
    assert update.points["time"].tolist() == [1, 2, 3]
    assert merge_alerts(record, [alert(2), alert(4)]).status == ""  # the status is the last alert's


def test_another_band_is_another_observation():
    record = ObjectRecord(points(1, 2), n_obs=2)
    update = merge_alerts(record, [alert(2), alert(1)])
    assert (update.n_duplicates, update.n_accepted, update.rebuild_state, len(update.appended)) == (2, 0, False, 0)
    assert merge_alerts(record, [alert(2, band=1)]).n_accepted == 1


def test_an_observation_in_the_base_is_recognised():
    record, _, _ = merged([(time, ()) for time in range(20)])
    update = merge_alerts(record, [alert(0)], 3)
    assert (update.n_duplicates, update.n_rejected, update.status, update.n_obs) == (1, 0, "", 20)


def test_an_observation_before_the_base_is_missing_from_then_on():
    record, _, _ = merged([(time, ()) for time in range(1, 20)])
    late, _, update = merged([(0, ())], record=record)
    assert (update.status, update.n_rejected, len(late.missing_hashes)) == ("OUT_OF_ORDER", 1, 1)
    twice, _, update = merged([(0, ())], record=late)
    assert (update.status, len(twice.missing_hashes)) == ("OUT_OF_ORDER", 1)
    later, _, update = merged([(30, ())], record=twice)
    assert (update.status, len(later.missing_hashes)) == ("", 1)


def test_a_complete_history_fills_what_was_missing():
    record, _, _ = merged([*((time, ()) for time in range(1, 20)), (0, ())])
    part, _, update = merged([(20, range(5, 20))], record=record)
    assert (update.rebuild_base, len(part.missing_hashes)) == (False, 1)
    filled, _, update = merged([(20, range(20))], record=record)
    assert (update.rebuild_base, update.status) == (True, "REBUILT")
    assert (filled.n_obs, len(filled.missing_hashes)) == (21, 0)
    straight, base, _ = merged([(time, ()) for time in range(21)])
    assert times(filled) == times(straight)
    assert filled.base_hashes.tolist() == straight.base_hashes.tolist()
    assert update.base_points["time"].tolist() == base


def test_a_history_fills_gaps():
    record, _, _ = merged([(1, ()), (5, ())])
    filled, _, update = merged([(9, (1, 2, 5, 8))], record=record)
    assert times(filled) == [1, 2, 5, 8, 9]
    assert (update.n_filled, update.n_accepted, update.status) == (2, 3, "REBUILT")
    _, _, later = merged([(12, (9, 10, 11))], record=filled)  # all later than the record: no rebuild
    assert (later.n_filled, later.rebuild_state, later.status) == (2, False, "")


def test_an_old_observation_without_a_hash_changes_nothing_but_the_status(monkeypatch):
    monkeypatch.setattr(module, "MAX_HASHES", 6)
    record, _, _ = merged([(time, ()) for time in range(1, 30)])
    assert len(record.base_hashes) == 6
    for time in (1, 0):  # a duplicate, and a missing one
        update = merge_alerts(record, [alert(time)], 3)
        assert (update.status, update.n_rejected) == ("OUT_OF_ORDER", 1)
        assert (len(update.missing_hashes), update.n_obs) == (0, 29)
    assert merge_alerts(record, [alert(record.points["time"][0] - 1)], 3).n_duplicates == 1  # still has its hash


def test_old_observations_move_into_the_base():
    for n in (64, 65, 97):
        update = merge_alerts(ObjectRecord(), [alert(time) for time in range(n)])
        assert len(update.points) + len(update.base_points) == n
        assert len(update.base_points) == max(0, (n - 33) // 32 * 32)
        at_once = merge_alerts(ObjectRecord(), [alert(n - 1, range(n - 1))])  # from one packet
        assert at_once.points["time"].tolist() == update.points["time"].tolist()
        assert at_once.base_hashes.tolist() == update.base_hashes.tolist()
