import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts import record as module
from goodricke.alerts.record import Record, Told, change, marks
from tests.alerts.test_record import points


def told(time, past=(), record=None, band=0) -> Told:
    """Return a message, of which all that the record doesn't have is unseen."""
    record, before = record or Record(), points(*past)
    seen = np.isin(marks(before), np.concatenate([marks(record.points), record.folded]))
    return Told(points(time, band=band), before, before[~seen])


def after(record: Record, done) -> Record:
    base = b"" if done.anew else record.base
    base = b"base" if len(done.aged) else base
    return Record(done.points, b"", base, b"", done.n_obs, done.folded, done.missing)


def taken(messages, keep=3, cuts=(), record=None):
    """Return the record that messages (time, past) lead to, the observations in its base, and the last change."""
    record, aged, last = record or Record(), [], None
    for part in np.split(np.array([*messages, None], object)[:-1], cuts):
        if len(part):
            last = change(record, [told(*each, record=record) for each in part], keep)
            aged = ([] if last.anew else aged) + last.aged["time"].tolist()
            record = after(record, last)
    return record, aged, last


def times(record) -> list[float]:
    return record.points["time"].tolist()


message = st.tuples(st.integers(0, 40), st.lists(st.integers(0, 40), max_size=12)).map(
    lambda each: (each[0], sorted({time for time in each[1] if time < each[0]}))
)


@given(st.lists(message, max_size=40), st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=300, deadline=None)
def test_what_is_kept_does_not_depend_on_how_a_stream_is_cut(messages, cuts):
    cuts = sorted(min(cut, len(messages)) for cut in cuts)
    (one, aged, last), (two, again, final) = taken(messages, 3, cuts), taken(messages, 3, range(1, len(messages)))
    for name in ("points", "folded", "missing", "n_obs"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert aged == again
    assert (last and last.status) == (final and final.status)


@given(st.lists(message, max_size=40))
@settings(max_examples=300, deadline=None)
def test_every_observation_is_taken_once_or_missing(messages):
    record, aged, _ = taken(messages)
    kept = times(record)
    assert kept == sorted(set(kept))
    assert aged == sorted(set(aged))
    assert not set(kept) & set(aged)
    assert len(kept) <= 6
    assert record.n_obs == len(kept) + len(aged) == len(kept) + len(record.folded)
    assert record.folded.tolist() == marks(points(*aged)).tolist()
    heard = {time for message in messages for time in (message[0], *message[1])}
    lost = heard - set(kept) - set(aged)
    assert set(record.missing.tolist()) == set(marks(points(*lost)).tolist())


@given(st.lists(message, min_size=1, max_size=30), st.data())
@settings(max_examples=200, deadline=None)
def test_a_message_sent_again_changes_nothing(messages, data):
    record, _, _ = taken(messages)
    again = data.draw(st.sampled_from(messages))
    later, _, done = taken([again], record=record)
    for name in ("points", "folded", "missing", "n_obs"):
        if not done.anew:  # a packet that now tells all the past may fix what was missing
            assert np.array_equal(getattr(later, name), getattr(record, name)), name
    lost = marks(points(again[0]))[0] in record.missing
    assert done.status == ("REBUILT" if done.anew else "OUT_OF_ORDER" if lost else "")


def test_new_observations_only_have_to_be_added():
    done = change(Record(points(1, 2), n_obs=2), [told(3), told(4)])
    assert (done.added["time"].tolist(), done.rebuild, done.taken, done.n_obs) == ([3, 4], False, 2, 4)


def test_a_late_one_makes_the_object_anew():
    done = change(Record(points(1, 3), n_obs=2), [told(2)])
    assert (done.rebuild, done.status) == (True, "REBUILT")
    assert done.points["time"].tolist() == [1, 2, 3]
    assert change(Record(points(1, 3), n_obs=2), [told(2), told(4)]).status == ""  # that of the last message


def test_another_band_is_another_observation():
    done = change(Record(points(1, 2), n_obs=2), [told(2), told(1)])
    assert (done.known, done.taken, done.rebuild, len(done.added)) == (2, 0, False, 0)
    assert change(Record(points(1, 2), n_obs=2), [told(2, band=1)]).taken == 1


def test_one_that_went_into_the_base_is_known_when_it_comes_again():
    record, _, _ = taken([(time, ()) for time in range(20)])
    done = change(record, [told(0)], 3)
    assert (done.known, done.refused, done.status, done.n_obs) == (1, 0, "", 20)


def test_one_that_is_really_late_is_missing_from_then_on():
    record, _, _ = taken([(time, ()) for time in range(1, 20)])
    late, _, done = taken([(0, ())], record=record)
    assert (done.status, done.refused, len(late.missing)) == ("OUT_OF_ORDER", 1, 1)
    twice, _, done = taken([(0, ())], record=late)
    assert (done.status, len(twice.missing)) == ("OUT_OF_ORDER", 1)
    on, _, done = taken([(30, ())], record=twice)
    assert (done.status, len(on.missing)) == ("", 1)


def test_a_packet_that_tells_all_mends_what_was_missing():
    record, _, _ = taken([*((time, ()) for time in range(1, 20)), (0, ())])
    part, _, done = taken([(20, range(5, 20))], record=record)
    assert (done.anew, len(part.missing)) == (False, 1)
    fixed, _, done = taken([(20, range(20))], record=record)
    assert (done.anew, done.status, fixed.n_obs, len(fixed.missing)) == (True, "REBUILT", 21, 0)
    straight, aged, _ = taken([(time, ()) for time in range(21)])
    assert times(fixed) == times(straight)
    assert fixed.folded.tolist() == straight.folded.tolist()
    assert done.aged["time"].tolist() == aged


def test_a_packet_fills_what_no_message_told():
    record, _, _ = taken([(1, ()), (5, ())])
    filled, _, done = taken([(9, (1, 2, 5, 8))], record=record)
    assert times(filled) == [1, 2, 5, 8, 9]
    assert (done.filled, done.taken, done.status) == (2, 3, "REBUILT")
    _, _, later = taken([(12, (9, 10, 11))], record=filled)  # only behind what was there: nothing to build again
    assert (later.filled, later.rebuild, later.status) == (2, False, "")


def test_without_its_mark_an_old_one_changes_nothing_and_is_said(monkeypatch):
    monkeypatch.setattr(module, "MARKS", 6)
    record, _, _ = taken([(time, ()) for time in range(1, 30)])
    assert len(record.folded) == 6
    for time in (1, 0):  # one that was taken, and one that was not
        done = change(record, [told(time)], 3)
        assert (done.status, done.refused, len(done.missing), done.n_obs) == ("OUT_OF_ORDER", 1, 0, 29)
    assert change(record, [told(record.points["time"][0] - 1)], 3).known == 1  # it still has its mark


@pytest.mark.parametrize("n", [64, 65, 97])
def test_old_ones_go_into_the_base_some_at_a_time(n):
    done = change(Record(), [told(time) for time in range(n)])
    assert len(done.points) + len(done.aged) == n
    assert len(done.aged) == max(0, (n - 33) // 32 * 32)
    at_once = change(Record(), [told(n - 1, range(n - 1))])  # from one packet
    assert at_once.points["time"].tolist() == done.points["time"].tolist()
    assert at_once.folded.tolist() == done.folded.tolist()
