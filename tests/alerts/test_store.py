import os
import subprocess
import sys
import time

import pytest

from goodricke.alerts import store as module
from goodricke.alerts.store import FencedError, LmdbStore, MemoryStore, RedisStore, open_store, without_password

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")


@pytest.fixture(params=["memory", "lmdb", "redis"])
def store(request, tmp_path):
    if request.param == "memory":
        return MemoryStore()
    if request.param == "lmdb":
        return LmdbStore(tmp_path / "s")
    return RedisStore(f"{request.getfixturevalue('redis_server')}?prefix={tmp_path.name}-{time.time_ns()}")


def test_records_offset_and_outbox_change_together(store):
    part = store.partition(3)
    assert (part.offset, part.outbox, len(part)) == (0, b"", 0)
    part.commit({b"a": b"1", b"b": b"2"}, 0, 10, b"out")
    assert part.get([b"b", b"x", b"a"]) == [b"2", None, b"1"]
    assert (part.offset, part.outbox, len(part)) == (10, b"out", 2)
    part.commit({b"a": None, b"b": b"3"}, 10, 12)
    assert sorted(part.items()) == [(b"b", b"3")]
    assert (part.offset, part.outbox) == (12, b"")
    part.close()


def test_a_worker_that_has_lost_the_partition_writes_nothing(store):
    part = store.partition(0)
    part.commit({b"a": b"1"}, 0, 5)
    with pytest.raises(FencedError):
        part.commit({b"a": b"stale", b"b": b"stale"}, 0, 3)
    assert part.get([b"a", b"b"]) == [b"1", None]
    assert part.offset == 5
    part.close()


def test_partitions_are_apart(store):
    one, two = store.partition(1), store.partition(2)
    one.commit({b"a": b"1"}, 0, 5)
    two.commit({b"a": b"2"}, 0, 7)
    assert (one.get([b"a"]), two.get([b"a"])) == ([b"1"], [b"2"])
    assert store.partitions() == [1, 2]
    one.close()
    two.close()


def test_big_records_and_many(store):
    part = store.partition(0)
    changed = {f"object {i}".encode(): os.urandom(9000) for i in range(500)}
    part.commit(changed, 0, 1)
    assert part.get(list(changed)) == list(changed.values())
    assert len(part) == 500
    part.close()


def test_a_partition_is_handed_from_one_worker_to_the_next(store):
    part = store.partition(0)
    part.commit({b"a": b"1"}, 0, 5)
    part.close()
    again = store.partition(0)
    assert (again.offset, again.get([b"a"])) == (5, [b"1"])
    again.close()


KILLED = """
import os, sys
from pathlib import Path
from goodricke.alerts.store import LmdbStore
part = LmdbStore(Path(sys.argv[1])).partition(0)
n = part.offset
while True:
    part.commit({str(i).encode(): str(n).encode() * 500 for i in range(20)}, n, n + 1, str(n).encode())
    n += 1
    print(n, flush=True)
"""


def test_a_killed_process_leaves_all_of_a_transaction_or_nothing(tmp_path):
    for commits in (1, 5, 20):
        worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        committed = [int(worker.stdout.readline()) for _ in range(commits)][-1]
        worker.kill()
        worker.wait()
        worker.stdout.close()
        part = LmdbStore(tmp_path).partition(0)
        assert part.offset >= committed
        assert part.outbox == str(part.offset - 1).encode()
        assert part.get([b"0", b"19"]) == [str(part.offset - 1).encode() * 500] * 2
        part.close()


@pytest.mark.parametrize("kind", ["lmdb", "redis"])
def test_a_store_is_only_opened_for_its_model(kind, tmp_path, request):
    where = str(tmp_path / "s")
    if kind == "redis":
        where = f"{request.getfixturevalue('redis_server')}?prefix=own-{time.time_ns()}"

    def touch(settings):
        store = open_store(where, settings)
        store.partition(0).close()
        return store.settings()

    touch({"model_hash": "one"})
    assert touch({"model_hash": "one"}) == {"model_hash": "one"}
    assert touch(None) == {"model_hash": "one"}  # a reader
    with pytest.raises(ValueError, match="made for"):
        touch({"model_hash": "two"})


def test_a_compact_copy_holds_the_same(tmp_path):
    part = LmdbStore(tmp_path / "s").partition(0)
    part.commit({str(i).encode(): os.urandom(5000) for i in range(300)}, 0, 1)
    part.commit({str(i).encode(): None for i in range(1, 300)}, 1, 2)
    part.compact(tmp_path / "t" / "partition-00000")
    before = (tmp_path / "s" / "partition-00000" / "data.mdb").stat().st_size
    assert (tmp_path / "t" / "partition-00000" / "data.mdb").stat().st_size < before / 2
    again = LmdbStore(tmp_path / "t").partition(0)
    assert list(again.items()) == list(part.items())
    assert again.offset == 2


def test_reading_creates_no_store(tmp_path):
    with pytest.raises(ValueError, match="no store"):
        LmdbStore(tmp_path / "nowhere", readonly=True)
    assert not (tmp_path / "nowhere").exists()


def test_reading_an_empty_server_leaves_its_settings_open(redis_server):
    where = f"{redis_server}?prefix=look-{time.time_ns()}"
    assert open_store(where).partitions() == []
    open_store(where, {"model_hash": "one"})
    with pytest.raises(ValueError, match="made for"):
        open_store(where, {"model_hash": "two"})


def test_options_in_the_address_of_a_server_are_its_clients(redis_server):
    store = RedisStore(f"{redis_server}?socket_timeout=5&prefix=p-{time.time_ns()}&health_check_interval=3")
    options = store._server.connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["health_check_interval"]) == (5.0, 3)


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("redis://:secret@host:1/0?prefix=a", "redis://host:1/0?prefix=a"),
        ("redis://host/0?password=secret&prefix=a", "redis://host/0?password=...&prefix=a"),
        ("some/folder", "some/folder"),
    ],
)
def test_addresses_are_shown_without_password(where, shown):
    assert without_password(where) == shown


def test_the_map_grows_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAP_SIZE", 1 << 16)
    part = LmdbStore(tmp_path / "s").partition(0)
    other = LmdbStore(tmp_path / "s", readonly=True)
    written = {}
    for k in range(6):
        changed = {f"{k}-{i}".encode(): os.urandom(3000) for i in range(100)}
        part.commit(changed, k, k + 1)
        written |= changed
    size = (tmp_path / "s" / "partition-00000" / "data.mdb").stat().st_size
    assert 1_800_000 < size <= part._env.info()["map_size"] < 2 * size + (1 << 16)
    part.close()
    again = other.partition(0)
    assert (again.get(list(written)), again.offset) == (list(written.values()), 6)
    again.close()


GROWN = """
import os, sys
from pathlib import Path
from goodricke.alerts import store
store.MAP_SIZE = 1 << 16
part = store.LmdbStore(Path(sys.argv[1])).partition(0)
part.commit({str(i).encode(): b"x" * 3000 for i in range(1000)}, 0, 1)
"""


def test_a_file_that_another_process_has_grown_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAP_SIZE", 1 << 16)
    part = LmdbStore(tmp_path).partition(0)
    assert part.get([b"5"]) == [None]
    subprocess.run([sys.executable, "-c", GROWN, str(tmp_path)], check=True)
    assert (part.get([b"999"]), part.offset) == ([b"x" * 3000], 1)
    part.close()


LIMITED = """
import resource, sys
from pathlib import Path
from goodricke.alerts.store import LmdbStore
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
store = LmdbStore(Path(sys.argv[1]))
parts = [store.partition(number) for number in range(8)]
for part in parts:
    part.commit({b"a": b"1"}, 0, 1)
"""


def test_partitions_open_where_address_space_is_limited(tmp_path):
    subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path)], check=True)
    assert LmdbStore(tmp_path).partitions() == list(range(8))


def test_the_refusal_names_what_differs(tmp_path):
    one = {"model_hash": "a", "half": False, "flux": "difference", "unit": "mag"}
    open_store(str(tmp_path / "s"), one).partition(0).close()
    with pytest.raises(ValueError, match=r'made for flux "difference", not for flux "total": .* Set that back'):
        open_store(str(tmp_path / "s"), one | {"flux": "total"}).partition(0)
    with pytest.raises(ValueError, match=r"made for forced null, unit \"mag\", not for forced true, unit"):
        open_store(str(tmp_path / "s"), one | {"unit": "nJy", "forced": True}).partition(0)


@pytest.mark.parametrize("where", ["redis:localhost", "rediss:x", "redid://localhost/0", "http://u:secret@host"])
def test_an_address_of_no_known_kind_is_no_folder(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no such kind of store; give a folder") as caught:
        open_store(where)
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_about_to_be_created_is_said(tmp_path):
    lmdb = pytest.importorskip("lmdb", reason="needs goodricke[alerts]")
    folder = LmdbStore(tmp_path).partition_folder(0)
    folder.mkdir(parents=True)
    lmdb.open(str(folder)).close()  # as a worker leaves it for a moment
    with pytest.raises(ValueError, match="about to create it"):
        LmdbStore(tmp_path, readonly=True).partition(0)
    LmdbStore(tmp_path).partition(0).close()
    LmdbStore(tmp_path, readonly=True).partition(0).close()
