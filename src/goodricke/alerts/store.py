"""Stores of the objects' records: in memory, in LMDB on a disk, or in Redis for many workers.

A store has the partitions of the stream; all messages about an object are in one of them. A partition has the records
of its objects, the offset of the next message, and the *outbox*: the objects of the last batch, whose answers may not
have been published when a worker died. All three change in one transaction (`Partition.commit`) or not at all. A worker
that has lost its partition to another is fenced off: its commit raises `FencedError`.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

EXTRA = "pip install 'goodricke[alerts]'"
OFFSET, OUTBOX, ABOUT = b"offset", b"outbox", b"about"
START = 0  # offset of a new partition
PREFIX = "goodricke"  # of the keys in Redis


def is_store_error(error: BaseException) -> bool:
    """Return whether a library of the stores raised an error."""
    return type(error).__module__.partition(".")[0] in ("lmdb", "redis")


class FencedError(RuntimeError):
    """Another worker has written to this partition: this one must not write any more."""


class LastBatch(NamedTuple):
    """The outbox of a partition: the last batch, whose answers may not have been published."""

    first_offset: int
    object_ids: list[str]

    def tobytes(self) -> bytes:
        """Return the bytes, JSON."""
        return json.dumps({"first": self.first_offset, "objects": self.object_ids}).encode()

    @classmethod
    def frombytes(cls, data: bytes) -> LastBatch:
        """Return the batch from its bytes, an empty one from none."""
        batch: dict[str, Any] = json.loads(data) if data else {"first": START, "objects": []}
        return cls(batch["first"], batch["objects"])


class Partition(Protocol):
    """The records of one partition of the stream."""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the records of objects, None for those without."""

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """Write records (None deletes one), the offset of the next message, and the outbox, in one transaction.

        Raises
        ------
        FencedError
            If the offset here isn't the ``expected`` one; nothing is written.
        """

    @property
    def offset(self) -> int:
        """Offset of the next message to take."""

    @property
    def outbox(self) -> bytes:
        """The last batch of the last transaction; see `LastBatch`."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all objects and their records; from LMDB those of one moment."""

    def __len__(self) -> int:
        """Return the number of objects."""

    def close(self) -> None:
        """Close files and connections."""


class Store(Protocol):
    """The partitions of one stream and model."""

    def partition(self, number: int) -> Partition:
        """Open a partition, and create it if there is none."""

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that the store was made for, none if there are none yet."""


def open_store(where: str, settings: Mapping[str, Any] | None = None) -> Store:
    """Open a store.

    Parameters
    ----------
    where : str
        ``memory:``, ``redis://host:port/db`` (also ``rediss://``; a prefix for several streams as ``?prefix=NAME``), or
        the folder of an LMDB store.
    settings : mapping, optional
        Model hash, cell precision, photometry: records of other settings can't be mixed with these. Without settings
        the store is opened for any.

    Raises
    ------
    ValueError
        If the store was made for other settings, or there is no such kind of store.
    ImportError
        If the library of the store isn't installed.
    """
    encoded = json.dumps(dict(settings or {}), sort_keys=True).encode()
    if where == "memory:":
        return MemoryStore()
    if where.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(where, encoded)
    if re.match(r"redis(s)?:|\w+://", where):
        raise ValueError(f"{without_password(where)}: no such kind of store; give a folder, or redis://HOST:PORT/DB")
    return LmdbStore(Path(where), encoded)


def without_password(where: str) -> str:
    """Return the address of a store with its password hidden."""
    return re.sub(r"//[^/@]*@", "//", re.sub(r"(password=)[^&]*", r"\1...", where))


def _is_new(stored: bytes | None, settings: bytes, where: str) -> bool:
    """Return whether a store's settings still have to be written.

    Raises
    ------
    ValueError
        If the store was made for other settings.
    """
    if stored is None:
        return settings != b"{}"  # a reader does not decide for which settings the store will be
    if settings != b"{}" and stored != settings:
        old, new = json.loads(stored), json.loads(settings)
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        stored_text, text = (", ".join(f"{name} {json.dumps(s.get(name))}" for name in names) for s in (old, new))
        raise ValueError(
            f"{where} was made for {stored_text}, not for {text}: their states can't be mixed. Set that back, or start "
            "a new store; `goodricke alerts replay --to` fills one with the past, through the topic"
        )
    return False


# ---- memory ---------------------------------------------------------------------------------------------------------


class MemoryPartition:
    """A partition in a dictionary: for tests, and streams that start from the beginning each time."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.offset, self.outbox = START, b""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Partition`."""
        return [self.records.get(key) for key in keys]

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """See `Partition`."""
        if self.offset != expected:
            raise FencedError(f"the offset is {self.offset}, not {expected}")
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

    def settings(self) -> dict[str, Any]:
        """See `Store`."""
        return {}


# ---- LMDB -----------------------------------------------------------------------------------------------------------

_NUMBER = struct.Struct("<q")
MAP_SIZE = 1 << 26  # bytes of address space at first, doubled whenever the file has filled them


class LmdbPartition:
    """A partition in a folder of its own, written by one process at a time.

    A transaction is on the disk when it returns, unless ``sync`` is False: then a crash of the machine (not of the
    process) may lose the last seconds of records and offset together, and the stream is read again from that offset.

    The file is mapped into the address space. Limits on it (``ulimit -v``, containers) count the whole map, which is at
    most twice the file.
    """

    def __init__(self, folder: Path, settings: bytes, sync: bool = True, readonly: bool = False) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise ImportError(f"a store in a folder needs lmdb: {EXTRA}") from error
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "data.mdb"
        map_size = max(MAP_SIZE, 1 << (file.stat().st_size if file.exists() else 0).bit_length())
        # writemap off: a stray write of this process must not reach the file
        self._env = lmdb.open(
            os.fspath(folder),
            map_size=map_size,
            max_dbs=2,
            sync=sync,
            metasync=sync,
            readahead=False,
            readonly=readonly,
        )
        self._full, self._resized = lmdb.MapFullError, lmdb.MapResizedError
        try:
            self._objects = self._env.open_db(b"objects", create=not readonly)
            self._about = self._env.open_db(b"about", create=not readonly)
        except lmdb.NotFoundError as error:
            self._env.close()
            raise ValueError(f"{folder}: a worker is about to create it. Fix: try again in a second") from error
        with self._env.begin(write=not readonly) as transaction:
            if _is_new(transaction.get(ABOUT, db=self._about), settings, str(folder)) and not readonly:
                transaction.put(ABOUT, settings, db=self._about)

    def _begin(self, db: Any, write: bool = False) -> Any:
        """Begin a transaction, on the map size that another process may have given the file."""
        try:
            return self._env.begin(db, write=write)
        except self._resized:
            self._env.set_mapsize(0)
            return self._env.begin(db, write=write)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Partition`."""
        with self._begin(self._objects) as transaction:
            return [transaction.get(key) for key in keys]

    def commit(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes = b"") -> None:
        """See `Partition`."""
        while True:
            try:
                return self._write(changed, expected, offset, outbox)
            except self._full:  # LMDB has undone the transaction
                self._env.set_mapsize(2 * self._env.info()["map_size"])

    def _write(self, changed: Mapping[bytes, bytes | None], expected: int, offset: int, outbox: bytes) -> None:
        with self._begin(self._objects, write=True) as transaction:
            current = _NUMBER.unpack(transaction.get(OFFSET, _NUMBER.pack(START), db=self._about))[0]
            if current != expected:
                raise FencedError(f"the offset is {current}, not {expected}: another worker has this partition")
            for key, record in sorted(changed.items()):
                if record is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, record)
            transaction.put(OFFSET, _NUMBER.pack(offset), db=self._about)
            transaction.put(OUTBOX, outbox, db=self._about)

    @property
    def offset(self) -> int:
        """See `Partition`."""
        return int(_NUMBER.unpack(self._read(OFFSET, _NUMBER.pack(START)))[0])

    @property
    def outbox(self) -> bytes:
        """See `Partition`."""
        return self._read(OUTBOX, b"")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """See `Partition`."""
        with self._begin(self._objects) as transaction:
            yield from transaction.cursor()

    def __len__(self) -> int:
        with self._begin(self._objects) as transaction:
            return int(transaction.stat(self._objects)["entries"])

    @property
    def settings(self) -> dict[str, Any]:
        """See `Store`."""
        return json.loads(self._read(ABOUT, b"{}"))

    def _read(self, key: bytes, default: bytes) -> bytes:
        with self._begin(self._about) as transaction:
            return bytes(transaction.get(key, default))

    def compact(self, folder: Path) -> None:
        """Write a copy without holes into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._env.copy(os.fspath(folder), compact=True)

    def close(self) -> None:
        """See `Partition`."""
        self._env.close()


class LmdbStore:
    """A folder of partitions, each in its own folder: workers that share the disk hand them on to one another."""

    def __init__(self, folder: Path, settings: bytes = b"{}", sync: bool = True, readonly: bool = False) -> None:
        self.folder, self._settings, self._sync, self._readonly = folder, settings, sync, readonly
        if readonly and not folder.is_dir():
            raise ValueError(f"{folder}: no store there. Fix: give the folder that the worker has as its `state`")

    def partition(self, number: int) -> LmdbPartition:
        """See `Store`."""
        return LmdbPartition(self.partition_folder(number), self._settings, self._sync, self._readonly)

    def partition_folder(self, number: int) -> Path:
        """Return the folder of a partition."""
        return self.folder / f"partition-{number:05d}"

    def partitions(self) -> list[int]:
        """See `Store`."""
        return sorted(int(path.name.rpartition("-")[2]) for path in self.folder.glob("partition-*"))

    def settings(self) -> dict[str, Any]:
        """See `Store`."""
        for number in self.partitions():
            with closing(self.partition(number)) as part:
                return part.settings
        return {}


# ---- Redis ----------------------------------------------------------------------------------------------------------

# one step on the server: compare the offset, then write
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
    """A partition in two hashes of a Redis server: the records, and offset and outbox."""

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
                raise FencedError(f"partition {self._number}: {error}, not {expected}") from error
            raise

    @property
    def offset(self) -> int:
        """See `Partition`."""
        return int(self._server.hget(self._about, "offset") or START)

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

    def __init__(self, url: str, settings: bytes = b"{}") -> None:
        try:
            import redis
        except ImportError as error:
            raise ImportError(f"a store in Redis needs redis: {EXTRA}") from error
        place, _, query = url.partition("?")
        pairs = parse_qsl(query)
        self._prefix = dict(pairs).get("prefix", PREFIX) + ":"
        # the client parses the other options itself, as numbers where they are
        others = urlencode([pair for pair in pairs if pair[0] != "prefix"])
        self._server = redis.Redis.from_url(f"{place}?{others}" if others else place)
        if _is_new(self._stored(), settings, without_password(url)):
            self._server.set(f"{self._prefix}about", settings)

    def _stored(self) -> Any:
        return self._server.get(f"{self._prefix}about")

    def partition(self, number: int) -> RedisPartition:
        """See `Store`."""
        return RedisPartition(self._server, self._prefix, number)

    def partitions(self) -> list[int]:
        """See `Store`."""
        names = self._server.scan_iter(f"{self._prefix}{{*}}:about", count=1000)
        return sorted(int(bytes(name).split(b"{")[1].split(b"}")[0]) for name in names)

    def settings(self) -> dict[str, Any]:
        """See `Store`."""
        return json.loads(self._stored() or b"{}")
