"""From an Avro schema and a list of wanted fields to a program that `goodricke.io.packets.skip_decoder` runs.

The wanted fields (`Layout`) are the same for all versions of a survey's schema: a table of the records themselves, and
one for each list in them (previous detections, forced photometry). A field that a schema lacks is null. A field of
another kind than expected makes the schema another one: `OtherSchemaError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Operations (op, a, b) of a program
FIXED = 0  # step over a bytes
VARINT = 1  # step over a number of variable length
BYTES = 2  # step over bytes whose number comes first
MAYBE = 3  # null (a is the byte that says so), or step over b bytes
NULLABLE = 4  # if null (a is the byte that says so), go on at b
UNION = 5  # one of a branches: go on with the operation so many further on
JUMP = 6  # go on at b
BEGIN = 7  # a list, whose items are rows of table a if that isn't 0; after it go on at b
NEXT = 8  # the end of an item of the innermost list
FLOAT, DOUBLE, LONG, INTEGER, BOOLEAN, STRING = range(9, 15)  # write into column a; INTEGER as a real number

# Results of decoding
OK, FULL, TRUNCATED, NO_BRANCH, NEGATIVE, ENDLESS, DEEP, LEFT_OVER = range(8)
ERRORS = {
    TRUNCATED: "ends in the middle of a field: cut short, or of another schema",
    NO_BRANCH: "has a branch that its schema doesn't: damaged, or of another schema",
    NEGATIVE: "has a length below zero: damaged, or of another schema",
    ENDLESS: "has a text or a list without end: damaged, or of another schema",
    DEEP: "has lists in lists in lists",
    LEFT_OVER: "goes on after its end: damaged, or of another schema",
}
MAX_TEXT = 1024  # bytes of a wanted text

REAL, WHOLE, YES_OR_NO, TEXT = "real", "whole", "yes or no", "text"  # kinds of columns
MISSING = np.iinfo(np.int64).min  # stands for a missing whole number
EMPTY_CELL = {REAL: int(np.array(np.nan).view(np.int64)), WHOLE: MISSING, YES_OR_NO: 0, TEXT: -1}
FIRST_COLUMN = 2  # after table and owner

READ_OPERATIONS = {
    (REAL, "float"): FLOAT,
    (REAL, "double"): DOUBLE,
    (REAL, "int"): INTEGER,
    (REAL, "long"): INTEGER,
    (WHOLE, "int"): LONG,
    (WHOLE, "long"): LONG,
    (YES_OR_NO, "boolean"): BOOLEAN,
    (YES_OR_NO, "int"): LONG,
    (YES_OR_NO, "long"): LONG,
    (TEXT, "string"): STRING,
}
SIZES = {"null": 0, "boolean": 1, "float": 4, "double": 8}
MAX_OPERATIONS = 100_000  # of a program: types in types in types grow without bound

Fields = Mapping[str, Any]  # name to kind, to the fields of a record, or to a list of one: the fields of its items


class OtherSchemaError(ValueError):
    """A schema without the wanted fields, or with such of another kind."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Which fields are wanted, and where they are put.

    Parameters
    ----------
    fields : mapping
        Of the record.
    required : sequence of tuple of str
        Paths of fields that a schema must have, one of each tuple.
    """

    fields: Fields
    required: Sequence[tuple[str, ...]] = ()

    def check(self, has: Callable[[str], bool]) -> None:
        """Check that the required fields are there.

        Raises
        ------
        OtherSchemaError
            If one is not, naming it.
        """
        for paths in self.required:
            if not any(map(has, paths)):
                raise OtherSchemaError(f"lacks the field {' or '.join(paths)}")

    @cached_property
    def tables(self) -> dict[str, dict[str, str]]:
        """The columns of each table: name (with a dot for the fields of a field) to kind. The first is called ''."""
        result: dict[str, dict[str, str]] = {"": {}}
        for path, wanted in _paths(self.fields):
            if isinstance(wanted, list):
                result[path] = dict(_paths(wanted[0]))
            else:
                result[""][path] = wanted
        return result

    @cached_property
    def empty(self) -> NDArray[np.int64]:
        """A row of each table with all values missing, (tables, width)."""
        columns = [[EMPTY_CELL[kind] for kind in table.values()] for table in self.tables.values()]
        result = np.zeros((len(columns), FIRST_COLUMN + max(map(len, columns))), np.int64)
        for number, cells in enumerate(columns):
            result[number, 0] = number
            result[number, FIRST_COLUMN : FIRST_COLUMN + len(cells)] = cells
        return result


def _paths(fields: Fields, before: str = "") -> list[tuple[str, Any]]:
    """Return the paths of all wanted fields, those of records in records with a dot."""
    result = []
    for name, wanted in fields.items():
        inner = _paths(wanted, f"{before}{name}.") if isinstance(wanted, Mapping) else [(before + name, wanted)]
        result += inner
    return result


def compile_schema(schema: Mapping[str, Any], layout: Layout) -> NDArray[np.int32]:
    """Return the program (P, 3) for records of a schema, as `fastavro.parse_schema` returns it.

    Raises
    ------
    OtherSchemaError
        If a wanted field is of another kind, or the schema is no record, or a type contains itself.
    """
    if not isinstance(schema, Mapping) or schema["type"] != "record":
        raise OtherSchemaError("the schema is not of a record")
    compiler = _Compiler(layout)
    compiler.add(schema, layout.fields, "", 0)
    layout.check(compiler.paths.__contains__)
    return np.array(compiler.operations, np.int32).reshape(-1, 3)


class _Compiler:
    """The operations so far, and the named types seen."""

    def __init__(self, layout: Layout) -> None:
        self.operations: list[list[int]] = []
        self.named: dict[str, Any] = {}
        self.paths = set[str]()  # of the wanted fields of the record that the schema has
        self.columns = [{name: FIRST_COLUMN + i for i, name in enumerate(table)} for table in layout.tables.values()]
        self.lists = {path: number for number, path in enumerate(layout.tables)}

    def emit(self, op: int, a: int = 0, b: int = 0) -> list[int]:
        if len(self.operations) >= MAX_OPERATIONS:
            raise OtherSchemaError("the schema is too large, or a type in it contains itself")
        self.operations.append([op, a, b])
        return self.operations[-1]

    def add(self, kind: Any, wanted: Any, path: str, table: int) -> None:
        """Add the operations for a value; ``wanted`` is None, a kind of column, fields, or a list of items."""
        if isinstance(kind, list):
            return self.union(kind, wanted, path, table)
        if isinstance(kind, str) and kind in self.named:
            kind = self.named[kind]
        name = kind["type"] if isinstance(kind, Mapping) else kind
        if isinstance(kind, Mapping) and "name" in kind:
            self.named[kind["name"]] = kind
        if name in ("record", "error"):
            self.record(kind, wanted, path, table)
        elif name in ("array", "map"):
            self.list(kind, wanted, path, name == "map")
        elif wanted is not None:
            self.column(name, wanted, path, table)
        else:
            self.skip(name, kind)

    def record(self, kind: Mapping[str, Any], wanted: Any, path: str, table: int) -> None:
        if wanted is not None and not isinstance(wanted, Mapping):
            raise OtherSchemaError(f"the field {path} is a record")
        before = f"{path}." if path and wanted is not None else ""
        for field in kind["fields"]:
            inner = None if wanted is None else wanted.get(field["name"])
            self.add(field["type"], inner, before + field["name"], table)

    def list(self, kind: Mapping[str, Any], wanted: Any, path: str, is_map: bool) -> None:
        if wanted is not None and (is_map or not isinstance(wanted, list)):
            raise OtherSchemaError(f"the field {path} is a {'map' if is_map else 'list'}")
        if not is_map and self.is_empty(kind["items"]):  # there could be any number of them
            raise OtherSchemaError(f"the field {path} is a list of items without content")
        table = 0 if wanted is None else self.lists[path]
        begin = self.emit(BEGIN, table)
        if is_map:
            self.emit(BYTES)
        inner = None if wanted is None else wanted[0]
        self.add(kind["values" if is_map else "items"], inner, "", table)
        self.emit(NEXT)
        begin[2] = len(self.operations)

    def is_empty(self, kind: Any) -> bool:
        """Return whether a value takes no bytes."""
        kind = self.named.get(kind, kind) if isinstance(kind, str) else kind
        name = kind["type"] if isinstance(kind, Mapping) else kind
        if name in ("record", "error"):
            return all(self.is_empty(field["type"]) for field in kind["fields"])
        return name == "null" or (name == "fixed" and _fixed_size(kind) == 0)

    def union(self, kinds: Sequence[Any], wanted: Any, path: str, table: int) -> None:
        """Add null or a value (the usual case), or one of several."""
        if len(kinds) == 2 and "null" in kinds:
            null = 2 * kinds.index("null")
            other = kinds[1 - kinds.index("null")]
            if wanted is None and isinstance(other, str) and other in SIZES:
                self.emit(MAYBE, null, SIZES[other])
                return
            nullable = self.emit(NULLABLE, null)
            self.add(other, wanted, path, table)
            nullable[2] = len(self.operations)
            return
        self.emit(UNION, len(kinds))
        branches = [self.emit(JUMP) for _ in kinds]
        ends = []
        for branch, kind in zip(branches, kinds, strict=True):
            branch[2] = len(self.operations)
            self.add(kind, None if kind == "null" else wanted, path, table)
            ends.append(self.emit(JUMP))
        for end in ends:
            end[2] = len(self.operations)

    def column(self, name: str, wanted: Any, path: str, table: int) -> None:
        op = READ_OPERATIONS.get((wanted, name)) if isinstance(wanted, str) else None
        if op is None:
            raise OtherSchemaError(
                f"the field {path} is {name}, not {wanted if isinstance(wanted, str) else 'a record'}"
            )
        self.emit(op, self.columns[table][path])
        if table == 0:
            self.paths.add(path)

    def skip(self, name: str, kind: Any) -> None:
        if name in SIZES or name == "fixed":
            self.emit(FIXED, SIZES[name] if name in SIZES else _fixed_size(kind))
        elif name in ("int", "long", "enum"):
            self.emit(VARINT)
        elif name in ("bytes", "string"):
            self.emit(BYTES)
        else:
            raise OtherSchemaError(f"the schema has the unknown type {name}")


def _fixed_size(kind: Mapping[str, Any]) -> int:
    """Return the size of a type of fixed size [bytes]."""
    size = kind["size"]
    if not isinstance(size, int) or not 0 <= size < 2**31:
        raise OtherSchemaError(f"the schema has a type of the size {size!r}")
    return size
