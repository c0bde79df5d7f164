"""Where the objects' records are: in memory, in LMDB on a disk, or in Redis for many workers.

A store has partitions, those of the stream: all messages about an object are in one. A partition keeps its objects'
records, how far the stream was taken (the offset of the next message), and the *outbox*: the objects of the last batch,
whose answers may not have been published when a worker died. All three change in one transaction (`Partition.commit`),
or not at all; a worker that has lost its partition to another is `Fenced` off.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

EXTRA = "pip install 'goodricke[alerts]'"
OFFSET, OUTBOX, ABOUT = b"offset", b"outbox", b"about"
FIRST = 0  # offset before the first message
PREFIX = "goodricke"  # of the keys in Redis


class Fenced(RuntimeError):  # noqa: N818  what has happened to the worker
    """Another worker has taken this partition further: this one must not write any more."""


class Partition(Protocol):
    """The records of one partition of the stream."""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the records of some objects, None for those that there are none of."""
        ...

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """Write records (None deletes one), the offset of the next message, and the outbox, in one transaction.

        Raises
        ------
        Fenced
            If the offset here isn't the ``expected`` one; nothing is written.
        """
        ...

    @property
    def offset(self) -> int:
        """Offset of the next message to take."""
        ...

    @property
    def outbox(self) -> bytes:
        """What the last transaction said of answers to publish."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Give all objects and their records, those of one moment where the store can."""
        ...

    def __len__(self) -> int:
        """Return the number of objects."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Store(Protocol):
    """The partitions of one stream and model."""

    def partition(self, number: int) -> Partition:
        """Open a partition, made if there is none."""
        ...

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions that there are."""
        ...


def open_store(where: str, about: Mapping[str, Any] | None = None) -> Store:
    """Open a store.

    Parameters
    ----------
    where : str
        ``memory:``, ``redis://host:port/db`` (also ``rediss://``; a prefix for several streams as ``?prefix=NAME``), or
        the folder of an LMDB store.
    about : mapping, optional
        What the records belong to: model hash, cell precision, photometry. A store is only opened for what it was made
        for.

    Raises
    ------
    ValueError
        If it belongs to something else, or there is no such kind.
    ImportError
        If the library of the store isn't installed.
    """
    told = json.dumps(dict(about or {}), sort_keys=True).encode()
    if where == "memory:":
        return MemoryStore()
    if where.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(where, told)
    if re.match(r"redis(s)?:|\w+://", where):
        raise ValueError(f"{without_password(where)}: no such kind of store; give a folder, or redis://HOST:PORT/DB")
    return LmdbStore(Path(where), told)


def without_password(where: str) -> str:
    """Return where a store is, as it can be shown."""
    return re.sub(r"//[^/@]*@", "//", re.sub(r"(password=)[^&]*", r"\1...", where))


def _check(kept: bytes | None, asked: bytes, where: str) -> bool:
    """Return whether what a store belongs to has still to be written.

    Raises
    ------
    ValueError
        If it belongs to something else.
    """
    if kept is None:
        return asked != b"{}"  # who only looks doesn't say what the next one must be
    if asked != b"{}" and kept != asked:
        old, new = json.loads(kept), json.loads(asked)
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        had, has = (", ".join(f"{name} {json.dumps(told.get(name))}" for name in names) for told in (old, new))
        raise ValueError(
            f"{where} was made for {had}, and is to go on with {has}: its states can't be mixed with others. Set that "
            "back, or start a new store; `goodricke alerts replay --to` fills one with the past, through the topic"
        )
    return False


# ---- memory ---------------------------------------------------------------------------------------------------------


class MemoryPartition:
    """A partition in a dictionary: for tests, and streams that begin anew each time."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.offset, self.outbox = FIRST, b""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Partition`."""
        return [self.records.get(key) for key in keys]

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """See `Partition`."""
        if self.offset != expected:
            raise Fenced(f"the offset is {self.offset}, not {expected}")
        for key, record in changed.items():
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record
        self.offset, self.outbox = offset, outbox

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `Partition`."""
        yield from sorted(self.records.items())

    def __len__(self) -> int:
        return len(self.records)

    def close(self) -> None:
        """See `Partition`."""


class MemoryStore:
    """A store in memory."""

    def __init__(self) -> None:
        self.parts: dict[int, MemoryPartition] = {}

    def partition(self, number: int) -> MemoryPartition:
        """See `Store`."""
        return self.parts.setdefault(number, MemoryPartition())

    def partitions(self) -> list[int]:
        """See `Store`."""
        return sorted(self.parts)


# ---- LMDB -----------------------------------------------------------------------------------------------------------

_NUMBER = struct.Struct("<q")
MAP = 1 << 26  # bytes of address space to begin with: it is doubled when the file has filled it


class LmdbPartition:
    """A partition in a folder of its own, written by one process at a time.

    A transaction is on the disk when it returns, unless ``sync`` is False: then a crash of the machine (not of the
    process) may lose the last seconds, consistently: the stream is then taken up from the offset that is there.

    The file is mapped into the address space, which limits on it (``ulimit -v``, containers) count in full: the map is
    no more than twice the file.
    """

    def __init__(self, folder: Path, about: bytes, sync: bool = True, readonly: bool = False) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise ImportError(f"a store in a folder needs lmdb: {EXTRA}") from error
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "data.mdb"
        room = max(MAP, 1 << (file.stat().st_size if file.exists() else 0).bit_length())
        # writemap off: a stray write of this process must not reach the file
        self._env = lmdb.open(
            os.fspath(folder), map_size=room, max_dbs=2, sync=sync, metasync=sync, readahead=False, readonly=readonly
        )
        self._full, self._resized = lmdb.MapFullError, lmdb.MapResizedError
        self._objects = self._env.open_db(b"objects", create=not readonly)
        self._about = self._env.open_db(b"about", create=not readonly)
        with self._env.begin(write=not readonly) as change:
            if _check(change.get(ABOUT, db=self._about), about, str(folder)) and not readonly:
                change.put(ABOUT, about, db=self._about)

    def _begin(self, db: Any, write: bool = False) -> Any:
        """Begin a transaction, with as much room as another process has given the file."""
        try:
            return self._env.begin(db, write=write)
        except self._resized:
            self._env.set_mapsize(0)
            return self._env.begin(db, write=write)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Partition`."""
        with self._begin(self._objects) as look:
            return [look.get(key) for key in keys]

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """See `Partition`."""
        while True:
            try:
                return self._write(changed, expected, offset, outbox)
            except self._full:  # the transaction is undone
                self._env.set_mapsize(2 * self._env.info()["map_size"])

    def _write(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes) -> None:
        with self._begin(self._objects, write=True) as change:
            here = _NUMBER.unpack(change.get(OFFSET, _NUMBER.pack(FIRST), db=self._about))[0]
            if here != expected:
                raise Fenced(f"the offset is {here}, not {expected}: another worker has this partition")
            for key, record in sorted(changed.items()):
                if record is None:
                    change.delete(key)
                else:
                    change.put(key, record)
            change.put(OFFSET, _NUMBER.pack(offset), db=self._about)
            change.put(OUTBOX, outbox, db=self._about)

    @property
    def offset(self) -> int:
        """See `Partition`."""
        with self._begin(self._about) as look:
            return int(_NUMBER.unpack(look.get(OFFSET, _NUMBER.pack(FIRST)))[0])

    @property
    def outbox(self) -> bytes:
        """See `Partition`."""
        with self._begin(self._about) as look:
            return bytes(look.get(OUTBOX, b""))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `Partition`."""
        with self._begin(self._objects) as look:
            yield from look.cursor()

    def __len__(self) -> int:
        with self._begin(self._objects) as look:
            return int(look.stat(self._objects)["entries"])

    def compact(self, folder: Path) -> None:
        """Write a copy without holes into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._env.copy(os.fspath(folder), compact=True)

    def close(self) -> None:
        """See `Partition`."""
        self._env.close()


class LmdbStore:
    """A folder with one for each partition: on a disk that workers share, a partition goes from one to the next."""

    def __init__(self, folder: Path, about: bytes = b"{}", sync: bool = True, readonly: bool = False) -> None:
        self.folder, self._about, self._sync, self._readonly = folder, about, sync, readonly
        if readonly and not folder.is_dir():
            raise ValueError(f"{folder}: no store there")

    def partition(self, number: int) -> LmdbPartition:
        """See `Store`."""
        return LmdbPartition(self.folder / f"partition-{number:05d}", self._about, self._sync, self._readonly)

    def partitions(self) -> list[int]:
        """See `Store`."""
        return sorted(int(path.name.rpartition("-")[2]) for path in self.folder.glob("partition-*"))


# ---- Redis ----------------------------------------------------------------------------------------------------------

# in one step on the server: compare the offset, then write
_COMMIT = """
local here = redis.call('HGET', KEYS[2], 'offset') or '0'
if here ~= ARGV[1] then return {err = 'FENCED ' .. here} end
redis.call('HSET', KEYS[2], 'offset', ARGV[2], 'outbox', ARGV[3])
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
"""


class RedisPartition:
    """A partition in two hashes of a Redis server: the objects, and how far the stream was taken."""

    def __init__(self, server: Any, prefix: str, number: int) -> None:
        self._server, self._number = server, number
        # the braces keep both on one node of a cluster
        self._objects, self._about = f"{prefix}{{{number}}}:objects", f"{prefix}{{{number}}}:about"
        self._commit = server.register_script(_COMMIT)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Partition`."""
        return self._server.hmget(self._objects, list(keys)) if keys else []

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """See `Partition`."""
        from redis.exceptions import ResponseError

        pairs = [part for key, record in changed.items() for part in (key, record or b"")]
        try:
            self._commit(keys=[self._objects, self._about], args=[expected, offset, outbox, *pairs])
        except ResponseError as error:
            if "FENCED" in str(error):
                raise Fenced(f"partition {self._number}: {error}, not {expected}") from error
            raise

    @property
    def offset(self) -> int:
        """See `Partition`."""
        return int(self._server.hget(self._about, "offset") or FIRST)

    @property
    def outbox(self) -> bytes:
        """See `Partition`."""
        return bytes(self._server.hget(self._about, "outbox") or b"")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `Partition`."""
        yield from self._server.hscan_iter(self._objects, count=1000)

    def __len__(self) -> int:
        return int(self._server.hlen(self._objects))

    def close(self) -> None:
        """See `Partition`."""


class RedisStore:
    """A Redis server, for workers without a common disk."""

    def __init__(self, url: str, about: bytes = b"{}") -> None:
        try:
            import redis
        except ImportError as error:
            raise ImportError(f"a store in Redis needs redis: {EXTRA}") from error
        place, _, query = url.partition("?")
        pairs = parse_qsl(query)
        self._prefix = dict(pairs).get("prefix", PREFIX) + ":"
        # the client reads the other settings itself: as numbers, not as words
        others = urlencode([pair for pair in pairs if pair[0] != "prefix"])
        self._server = redis.Redis.from_url(f"{place}?{others}" if others else place)
        kept: Any = self._server.get(f"{self._prefix}about")
        if _check(kept, about, without_password(url)):
            self._server.set(f"{self._prefix}about", about)

    def partition(self, number: int) -> RedisPartition:
        """See `Store`."""
        return RedisPartition(self._server, self._prefix, number)

    def partitions(self) -> list[int]:
        """See `Store`."""
        names = self._server.scan_iter(f"{self._prefix}{{*}}:about", count=1000)
        return sorted(int(bytes(name).split(b"{")[1].split(b"}")[0]) for name in names)
