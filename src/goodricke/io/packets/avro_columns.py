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
from goodricke.io.packets.avro import MAX_SCHEMAS, DecodingPlan, RecordBlock, import_fastavro
from goodricke.io.packets.skip_program import FIRST_COLUMN, REAL, TEXT, YES_OR_NO, Layout

MAX_ROWS = 1 << 18  # of a message: records, and items of their lists
EXACT = 2**53  # all smaller whole numbers are exact in a float
MAX_HEAP = 1 << 26  # bytes of a message's texts

Columns = dict[str, Any]  # float64, int64 (MISSING where null), bool, or an Arrow array of strings, each (N,)


class RecordTable(NamedTuple):
    """Records, or the items of a list of theirs.

    Parameters
    ----------
    owner : int64 (N,)
        Of records: the number of the message. Of items: the number of the record, counted from 0.
    columns : dict
        By the names of the layout.
    """

    owner: NDArray[np.int64]
    columns: Columns


def has_numba() -> bool:
    """Return whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


class CompiledDecoder:
    """The wanted fields of records, one message after the other, by a compiled program."""

    def __init__(self, layout: Layout, messages: int) -> None:
        from goodricke.io.packets.skip_decoder import decode_records

        self.decode_records, self.layout = decode_records, layout
        self.cells = np.empty((64 + 16 * messages, layout.empty.shape[1]), np.int64)
        self.heap = np.empty(1024 + 256 * messages, np.uint8)
        self.used = np.zeros(3, np.int64)

    def add(self, blocks: Sequence[RecordBlock], owner: int) -> None:
        """Add the records of a message, all or none.

        Raises
        ------
        ValueError
            If the bytes are not records of their schema.
        """
        before = self.used.copy()
        for block in blocks:
            result = self._decode(block, owner)
            while result == skip_program.FULL:
                if len(self.cells) - before[0] > MAX_ROWS or len(self.heap) - before[1] > MAX_HEAP:
                    self.used = before
                    raise ValueError(skip_program.ERRORS[skip_program.ENDLESS])
                self.cells = np.concatenate([self.cells, np.empty_like(self.cells)])
                self.heap = np.concatenate([self.heap, np.empty_like(self.heap)])
                result = self._decode(block, owner)
            if result != skip_program.OK:
                self.used = before
                raise ValueError(skip_program.ERRORS[result])

    def _decode(self, block: RecordBlock, owner: int) -> int:
        data = np.frombuffer(block.data, np.uint8)
        place = (data, block.start, block.stop, block.records, owner)
        return int(
            self.decode_records(*place, block.plan.operations, self.layout.empty, self.cells, self.heap, self.used)
        )

    def tables(self) -> dict[str, RecordTable]:
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

    def _table(self, rows: NDArray[np.int64], kinds: Mapping[str, str]) -> RecordTable:
        columns = {}
        for i, (name, kind) in enumerate(kinds.items()):
            column = np.ascontiguousarray(rows[:, FIRST_COLUMN + i])
            if kind == TEXT:
                columns[name] = self._text_column(column)
            else:
                columns[name] = (
                    column.view(np.float64) if kind == REAL else column != 0 if kind == YES_OR_NO else column
                )
        return RecordTable(rows[:, 1].copy(), columns)

    def _text_column(self, places: NDArray[np.int64]) -> pa.Array:
        """Return texts (N,) from where they lie in the heap."""
        present = places >= 0
        lengths = np.where(present, places & 0xFFFF, 0)
        offsets = ragged.offsets_from_counts(lengths)
        flat = self.heap[np.arange(offsets[-1]) + ragged.spread((places >> 16) - offsets[:-1], offsets)]
        valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
        buffers = [valid, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(flat)]
        result = pa.Array.from_buffers(pa.string(), len(places), buffers)
        result.validate(full=True)
        return result


class FastavroDecoder:
    """The wanted fields of records, one message after the other, by fastavro: the reference for `CompiledDecoder`."""

    def __init__(self, layout: Layout, messages: int) -> None:
        self.layout = layout
        self.records: list[dict[str, Any]] = []
        self.owner: list[int] = []

    def add(self, blocks: Sequence[RecordBlock], owner: int) -> None:
        """Add the records of a message, all or none.

        Raises
        ------
        ValueError
            If the bytes are not records of their schema.
        """
        records = [record for block in blocks for record in _records(block)]
        self.records += records
        self.owner += [owner] * len(records)

    def tables(self) -> dict[str, RecordTable]:
        """Return the records and the items of their lists."""
        return tables_from_records(self.records, np.array(self.owner, np.int64), self.layout)


def _records(block: RecordBlock) -> list[dict[str, Any]]:
    reader = _projected_schema(block.plan)
    size = block.stop - block.start
    file = BytesIO(
        block.data[block.start : block.stop] + b"\0"
    )  # fastavro doesn't notice if a skipped field at the end is cut
    try:
        records = [import_fastavro().schemaless_reader(file, block.plan.writer, reader) for _ in range(block.records)]
    except Exception as error:  # fastavro raises of every kind
        raise ValueError(f"can't be read ({type(error).__name__}: {error})") from error
    if file.tell() != size:
        raise ValueError(skip_program.ERRORS[skip_program.LEFT_OVER])
    return records


_READERS: dict[int, tuple[DecodingPlan, Any]] = {}


def _projected_schema(plan: DecodingPlan) -> Any:
    """Return the writer's schema with the wanted fields only, parsed once."""
    known = _READERS.get(id(plan.writer))
    if known is None or known[0].writer is not plan.writer:
        if len(_READERS) >= MAX_SCHEMAS:
            _READERS.clear()
        schema = _project(plan.writer, plan.layout.fields, _named_types(plan.writer))
        known = _READERS[id(plan.writer)] = (plan, import_fastavro().parse_schema(schema))
    return known[1]


def _named_types(kind: Any) -> dict[str, Any]:
    """Return the types with a name in a schema."""
    if isinstance(kind, list):
        return {name: what for part in kind for name, what in _named_types(part).items()}
    if not isinstance(kind, dict):
        return {}
    own = {kind["name"]: kind} if "name" in kind else {}
    parts = [field["type"] for field in kind.get("fields", ())] + [
        kind[key] for key in ("items", "values") if key in kind
    ]
    return own | _named_types(parts)


def _project(kind: Any, wanted: Any, named: dict[str, Any]) -> Any:
    """Return a type with the wanted fields only; a type in ``named`` is spelled out once, later called by its name."""
    if isinstance(kind, list):
        return [_project(branch, wanted, named) for branch in kind]
    name = kind if isinstance(kind, str) else kind.get("name")
    if name in named:
        kind = named.pop(name)
    elif name is not None:
        return name
    if kind.get("type") == "array":
        return {"type": "array", "items": _project(kind["items"], wanted[0], named)}
    if kind.get("type") not in ("record", "error"):
        return kind
    inner = [(field, wanted[field["name"]]) for field in kind["fields"] if field["name"] in wanted]
    fields = [{"name": field["name"], "type": _project(field["type"], what, named)} for field, what in inner]
    return {"type": "record", "name": kind["name"], "fields": fields}


def tables_from_records(
    records: Sequence[Mapping[str, Any]], owner: NDArray[np.int64], layout: Layout
) -> dict[str, RecordTable]:
    """Return decoded records as columns.

    Raises
    ------
    ValueError, TypeError, pyarrow.ArrowInvalid
        If a field is of the wrong kind.
    """
    result = {}
    for name, kinds in layout.tables.items():
        if name == "":
            result[name] = RecordTable(owner, _columns(records, kinds))
            continue
        lists = [record.get(name) or () for record in records]
        owner_of_items = np.repeat(np.arange(len(records)), [len(items) for items in lists])
        result[name] = RecordTable(owner_of_items, _columns([item for items in lists for item in items], kinds))
    return result


def _columns(records: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> Columns:
    return {name: _column([_field(record, name) for record in records], kind) for name, kind in kinds.items()}


def has_field(record: Mapping[str, Any], path: str) -> bool:
    """Return whether a record has a field, which may be null; so has one with a null on the way to it."""
    for name in path.split("."):
        if name not in record:
            return False
        if record[name] is None:
            return True
        record = record[name]
    return True


def _field(record: Mapping[str, Any], path: str) -> Any:
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
        return pa.array([_text(value) for value in values], pa.string())
    if kind == YES_OR_NO:
        return np.array([bool(value) for value in values], bool)
    whole = [_whole_number(value) for value in values]
    return pa.array(whole, pa.int64()).fill_null(skip_program.MISSING).to_numpy(zero_copy_only=False)


def _text(value: Any) -> Any:
    """Return a text; JSON may hold a number in its place."""
    return str(_whole_number(value)) if isinstance(value, int | float) else value


def _whole_number(value: Any) -> int | None:
    """Return a whole number; JSON may hold a text in its place, or a float.

    Raises
    ------
    ValueError
        If it is none, or a float that may have lost digits.
    """
    if value is None or type(value) is int:
        return value
    if isinstance(value, str):
        return int(value)
    if not isinstance(value, float):
        raise ValueError(f"holds {value!r} where a whole number belongs")
    if np.isnan(value):
        return None
    if not value.is_integer():
        raise ValueError(f"holds {value!r} where a whole number belongs")
    if abs(value) >= EXACT:
        raise ValueError(
            f"holds {value!r} as an identifier: a float of 2^53 or more has lost digits. Fix: write "
            "identifiers as integers or as text"
        )
    return int(value)
