import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.alerts.record import FIRST, HEADER, MARK, POINT, Damaged, OtherVersion, Record, marks


def points(*times, band=0):
    made = np.zeros(len(times), POINT)
    made["time"], made["value"], made["error"], made["band"] = times, np.arange(len(times)), 0.1, band
    return made


def whole() -> Record:
    marked = np.array([5, 6, 7], MARK), np.array([9], MARK)
    return Record(points(1, 2), b"state" * 9, b"base", b"answer", 7, *marked, 3, 99, 5.0, 10.0, -20.0)


def test_bytes_and_back():
    record = whole()
    again = Record.frombytes(record.tobytes())
    for name, value in vars(record).items():
        assert np.array_equal(getattr(again, name), value), name
    assert Record.frombytes(Record().tobytes()).tobytes() == Record().tobytes()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_change_of_the_bytes_is_noticed(data):
    sound = whole().tobytes()
    at, how = data.draw(st.integers(0, len(sound) - 1)), data.draw(st.sampled_from(["cut", "flip", "more"]))
    flip = data.draw(st.integers(1, 255))
    broken = {"cut": sound[:at], "flip": sound[:at] + bytes([sound[at] ^ flip]) + sound[at + 1 :], "more": sound + b"x"}
    with pytest.raises(Damaged):
        Record.frombytes(broken[how])


def of_first_version(body=b"what was kept") -> bytes:
    return FIRST.pack(b"gkal", 1, 0, len(body), 0, 0, zlib.crc32(body), 3, 0, 0, 7, 1.0, 2.0, 3.0) + body


def test_a_sound_record_of_another_version_is_not_called_damaged():
    with pytest.raises(OtherVersion, match=r"version 1, this goodricke reads 2: .* replay --to"):
        Record.frombytes(of_first_version())
    data = whole().tobytes()
    later = zlib.crc32(data[HEADER.size :], zlib.crc32(struct.pack("<4sH", b"gkal", 3)))
    with pytest.raises(OtherVersion, match="version 3"):
        Record.frombytes(HEADER.pack(b"gkal", 3, later) + data[HEADER.size :])
    with pytest.raises(Damaged):
        Record.frombytes(of_first_version()[:-1] + b"?")


def test_marks_are_of_time_and_band():
    some = points(*np.random.default_rng(0).uniform(0, 1e5, 20_000))
    both = np.concatenate([marks(some), marks(np.concatenate([some[:1], points(*some["time"], band=1)]))])
    assert len(set(both.tolist())) > 40_000 - 3  # 0.2 pairs are expected to have the same by chance
    assert both[0] == both[20_000]
    assert (marks(some[5:9]) == marks(some)[5:9]).all()
    assert marks(points(0.0))[0] == marks(points(-0.0))[0]
