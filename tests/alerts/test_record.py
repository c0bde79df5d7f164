import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts.record import POINT, Damaged, Record, change


def points(*times, band=0):
    made = np.zeros(len(times), POINT)
    made["time"], made["value"], made["error"], made["band"] = times, np.arange(len(times)), 0.1, band
    return made


def test_bytes_and_back():
    record = Record(points(1, 2), b"state", b"base", b"answer", 7, 1, 3, 99, 5.0, 10.0, -20.0)
    again = Record.frombytes(record.tobytes())
    assert (again.points == record.points).all()
    assert [getattr(again, k) for k in vars(again) if k != "points"] == [
        getattr(record, k) for k in vars(record) if k != "points"
    ]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_change_of_the_bytes_is_noticed(data):
    whole = Record(points(1, 2, 3), b"state" * 20, b"", b"a", 3).tobytes()
    at, how = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.sampled_from(["cut", "flip"]))
    broken = whole[:at] if how == "cut" else whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
    try:
        again = Record.frombytes(broken)
    except Damaged:
        return
    # what isn't under the checksum is the header's own numbers, behind the sizes
    assert how == "flip"
    assert (again.points == points(1, 2, 3)).all()
    assert again.state == b"state" * 20


def whole(times, keep, cuts):
    """Return what is left of one object whose observations come in the order given, cut into batches."""
    record, refused, taken, aged = points(), 0, 0, []
    for part in np.split(points(*times), cuts):
        if len(part):
            done = change(record, bool(aged), part, keep)
            record, refused, taken = done.points, refused + len(done.refused), taken + done.taken
            aged += done.aged["time"].tolist()
    return record["time"].tolist(), aged, refused, taken


@given(st.lists(st.integers(0, 40), max_size=40), st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=200, deadline=None)
def test_what_is_kept_does_not_depend_on_how_a_stream_is_cut(times, cuts):
    cuts = sorted(min(cut, len(times)) for cut in cuts)
    kept, aged, refused, taken = whole(times, 3, cuts)
    assert (kept, aged, refused, taken) == whole(times, 3, range(1, len(times)))
    assert kept == sorted(set(kept))
    assert len(kept) <= 6
    assert taken == len(kept) + len(aged)
    assert aged == sorted(aged)
    assert not set(kept) & set(aged)


def test_new_observations_only_have_to_be_added():
    done = change(points(1, 2), False, points(3, 4))
    assert (done.added["time"].tolist(), done.rebuild, done.taken) == ([3, 4], False, 2)


def test_a_late_one_makes_the_object_anew():
    done = change(points(1, 3), False, points(2))
    assert done.rebuild
    assert done.points["time"].tolist() == [1, 2, 3]


def test_a_known_one_changes_nothing():
    done = change(points(1, 2), False, points(2, 1))
    assert (done.known, done.taken, done.rebuild, len(done.added)) == (2, 0, False, 0)
    assert change(points(1, 2), False, points(2, band=1)).taken == 1  # another band is another observation


def test_one_before_the_base_is_refused():
    done = change(points(10, 11), True, points(5, 12))
    assert (len(done.refused), done.taken) == (1, 1)
    assert change(points(10, 11), False, points(5)).taken == 1  # there is nothing before: it is the first


@pytest.mark.parametrize("n", [64, 65, 97])
def test_old_ones_go_into_the_base_some_at_a_time(n):
    done = change(points(), False, points(*range(n)))
    assert len(done.points) + len(done.aged) == n
    assert len(done.aged) == max(0, (n - 33) // 32 * 32)
