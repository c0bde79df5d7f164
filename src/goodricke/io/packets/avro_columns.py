"""Avro records to columns: the wanted fields of many messages.

With numba the records are decoded by a compiled program (`skip_decoder`), without it by fastavro with a
reader's schema that has the wanted fields only; both give the same.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.io.packets import skip_program
from goodricke.io.packets.avro import KEPT, Piece, Plan, fastavro_module
from goodricke.io.packets.skip_program import FIRST, REAL, TEXT, YES_OR_NO, Layout

Columns = dict[str, Any]  # float64, int64 (UNKNOWN where null), bool, or an Arrow array of strings, each (N,)


class Table(NamedTuple):
    """Records, or the items of a list of theirs.

    Parameters
    ----------
    owner : int64 (N,)
        Of records: whose message each is from. Of items: which record's each is, counted from 0.
    columns : dict
        By the names of the layout.
    """

    owner: NDArray[np.int64]
    columns: Columns


def compiled() -> bool:
    """Return whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


class Walked:
    """The wanted fields of records, one message after the other, by the compiled walk."""

    def __init__(self, layout: Layout, messages: int) -> None:
        from goodricke.io.packets.skip_decoder import walk

        self.walk, self.layout = walk, layout
        self.cells = np.empty((64 + 16 * messages, layout.empty.shape[1]), np.int64)
        self.heap = np.empty(1024 + 256 * messages, np.uint8)
        self.used = np.zeros(3, np.int64)

    def add(self, pieces: Sequence[Piece], owner: int) -> None:
        """Add the records of a message, all or none.

        Raises
        ------
        ValueError
            If the bytes are not records of their schema.
        """
        before = self.used.copy()
        for piece in pieces:
            result = self._walk(piece, owner)
            while result == skip_program.FULL:
                self.cells = np.concatenate([self.cells, np.empty_like(self.cells)])
                self.heap = np.concatenate([self.heap, np.empty_like(self.heap)])
                result = self._walk(piece, owner)
            if result != skip_program.OK:
                self.used = before
                raise ValueError(skip_program.ERRORS[result])

    def _walk(self, piece: Piece, owner: int) -> int:
        data = np.frombuffer(piece.data, np.uint8)
        place = (data, piece.start, piece.stop, piece.records, owner)
        return int(self.walk(*place, piece.plan.operations, self.layout.empty, self.cells, self.heap, self.used))

    def tables(self) -> dict[str, Table]:
        """Return the records and the items of their lists.

        Raises
        ------
        pyarrow.ArrowInvalid
            If a text is not UTF-8.
        """
        cells = self.cells[: self.used[0]]
        return {
            name: self._table(cells[cells[:, 0] == number], kinds)
            for number, (name, kinds) in enumerate(self.layout.tables.items())
        }

    def _table(self, rows: NDArray[np.int64], kinds: Mapping[str, str]) -> Table:
        columns = {}
        for i, (name, kind) in enumerate(kinds.items()):
            column = np.ascontiguousarray(rows[:, FIRST + i])
            if kind == TEXT:
                columns[name] = self._texts(column)
            else:
                columns[name] = (
                    column.view(np.float64) if kind == REAL else column != 0 if kind == YES_OR_NO else column
                )
        return Table(rows[:, 1].copy(), columns)

    def _texts(self, places: NDArray[np.int64]) -> pa.Array:
        """Return texts (N,) from where they lie in the heap."""
        known = places >= 0
        lengths = np.where(known, places & 0xFFFF, 0)
        offsets = ragged.offsets_from_counts(lengths)
        flat = self.heap[np.arange(offsets[-1]) + ragged.spread((places >> 16) - offsets[:-1], offsets)]
        valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
        buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(flat)]
        result = pa.Array.from_buffers(pa.string(), len(places), buffers)
        result.validate(full=True)
        return result


class Read:
    """The wanted fields of records, one message after the other, by fastavro: what `Walked` is tested against."""

    def __init__(self, layout: Layout, messages: int) -> None:
        self.layout = layout
        self.records: list[dict[str, Any]] = []
        self.owner: list[int] = []

    def add(self, pieces: Sequence[Piece], owner: int) -> None:
        """Add the records of a message, all or none.

        Raises
        ------
        ValueError
            If the bytes are not records of their schema.
        """
        records = [record for piece in pieces for record in _records(piece)]
        self.records += records
        self.owner += [owner] * len(records)

    def tables(self) -> dict[str, Table]:
        """Return the records and the items of their lists."""
        return tables_of(self.records, np.array(self.owner, np.int64), self.layout)


def _records(piece: Piece) -> list[dict[str, Any]]:
    reader = _reader_schema(piece.plan)
    size = piece.stop - piece.start
    file = BytesIO(piece.data[piece.start : piece.stop] + b"\0")  # what it steps over, fastavro doesn't miss at the end
    try:
        records = [fastavro_module().schemaless_reader(file, piece.plan.writer, reader) for _ in range(piece.records)]
    except Exception as error:  # fastavro raises of every kind
        raise ValueError(f"can't be read ({type(error).__name__}: {error})") from error
    if file.tell() != size:
        raise ValueError(skip_program.ERRORS[skip_program.LEFT_OVER])
    return records


_READERS: dict[int, tuple[Plan, Any]] = {}


def _reader_schema(plan: Plan) -> Any:
    """Return the writer's schema without what isn't wanted, kept from call to call."""
    known = _READERS.get(id(plan.writer))
    if known is None or known[0].writer is not plan.writer:
        if len(_READERS) >= KEPT:
            _READERS.clear()
        schema = _only(plan.writer, plan.layout.fields, _named(plan.writer))
        known = _READERS[id(plan.writer)] = (plan, fastavro_module().parse_schema(schema))
    return known[1]


def _named(kind: Any) -> dict[str, Any]:
    """Return the types with a name in a schema."""
    if isinstance(kind, list):
        return {name: what for part in kind for name, what in _named(part).items()}
    if not isinstance(kind, dict):
        return {}
    own = {kind["name"]: kind} if "name" in kind else {}
    parts = [field["type"] for field in kind.get("fields", ())] + [
        kind[key] for key in ("items", "values") if key in kind
    ]
    return own | _named(parts)


def _only(kind: Any, wanted: Any, named: dict[str, Any]) -> Any:
    """Return a type with the wanted fields only; what is taken from ``named`` is from then on called by its name."""
    if isinstance(kind, list):
        return [_only(branch, wanted, named) for branch in kind]
    name = kind if isinstance(kind, str) else kind.get("name")
    if name in named:
        kind = named.pop(name)
    elif name is not None:
        return name
    if kind.get("type") == "array":
        return {"type": "array", "items": _only(kind["items"], wanted[0], named)}
    if kind.get("type") not in ("record", "error"):
        return kind
    inner = [(field, wanted[field["name"]]) for field in kind["fields"] if field["name"] in wanted]
    fields = [{"name": field["name"], "type": _only(field["type"], what, named)} for field, what in inner]
    return {"type": "record", "name": kind["name"], "fields": fields}


def tables_of(records: Sequence[Mapping[str, Any]], owner: NDArray[np.int64], layout: Layout) -> dict[str, Table]:
    """Return records, whatever they were read from, as columns.

    Raises
    ------
    ValueError, TypeError, pyarrow.ArrowInvalid
        If a field is of a kind that it can't be.
    """
    result = {}
    for name, kinds in layout.tables.items():
        if name == "":
            result[name] = Table(owner, _columns(records, kinds))
            continue
        lists = [record.get(name) or () for record in records]
        whose = np.repeat(np.arange(len(records)), [len(items) for items in lists])
        result[name] = Table(whose, _columns([item for items in lists for item in items], kinds))
    return result


def _columns(records: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> Columns:
    return {name: _column([_at(record, name) for record in records], kind) for name, kind in kinds.items()}


def _at(record: Mapping[str, Any], path: str) -> Any:
    for name in path.split("."):
        value = record.get(name)
        if value is None:
            return None
        record = value
    return record


def _column(values: list[Any], kind: str) -> Any:
    if kind == REAL:
        return np.array(values, np.float64).reshape(len(values))
    if kind == TEXT:
        return pa.array(values, pa.string())
    if kind == YES_OR_NO:
        return np.array([bool(value) for value in values], bool)
    return pa.array(values, pa.int64()).fill_null(skip_program.UNKNOWN).to_numpy(zero_copy_only=False)
