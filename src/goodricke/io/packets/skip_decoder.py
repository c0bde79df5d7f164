"""Decoding of Avro records, compiled by numba; imported only where numba is installed.

An alert packet is some thousand fields of which a dozen are wanted. A library that makes a Python object of every
field, or checks for every field whether it is wanted, takes milliseconds. Here the writer's schema has become a program
(`skip_program`): it steps over what isn't wanted and writes the rest into a table of 64-bit cells.

No packet is trusted: every step is checked against its end, so that broken bytes give an error code.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy import int64, uint32, uint64

from goodricke.io.packets.skip_program import (
    BEGIN,
    BOOLEAN,
    BYTES,
    DEEP,
    DOUBLE,
    ENDLESS,
    FIXED,
    FLOAT,
    FULL,
    INTEGER,
    JUMP,
    LEFT_OVER,
    LONG,
    MAX_TEXT,
    MAYBE,
    NEGATIVE,
    NO_BRANCH,
    NULLABLE,
    OK,
    STRING,
    TRUNCATED,
    UNION,
    VARINT,
)

DEPTH = 16  # of lists in lists


@numba.njit(inline="always")
def _read_integer(data: Any, at: Any, stop: Any) -> Any:
    """Return a number of variable length (zigzag) and where it ends, -1 if it doesn't."""
    bits, shift = uint64(0), uint64(0)
    while at < stop and shift < 64:
        byte = uint64(data[at])
        at += 1
        bits |= (byte & uint64(127)) << shift
        if byte < 128:
            return int64(bits >> uint64(1)) ^ -int64(bits & uint64(1)), at
        shift += uint64(7)
    return int64(0), int64(-1)


@numba.njit(nogil=True, cache=True)
def decode_records(
    data: Any, start: int, stop: int, count: int, owner: int, program: Any, empty: Any, cells: Any, heap: Any, used: Any
) -> int:
    """Write the wanted fields of the records in data[start:stop] into the next rows of the cells.

    Parameters
    ----------
    data : uint8
        A message.
    count : int
        How many records there are.
    owner : int
        Number of the message, written into the rows of its records.
    program : int32 (P, 3)
        See `goodricke.io.packets.skip_program`.
    empty : int64 (tables, width)
        A row of each table with all values missing.
    cells : int64 (capacity, width)
        In each row: the number of its table; the owner, or the number of the record of an item; the columns.
    heap : uint8
        Where texts are copied to.
    used : int64 (3,)
        Rows and bytes of the heap in use, and records so far: on return, those after.

    Returns
    -------
    int
        OK, or an error code; FULL if the cells or the heap are too small.
    """
    real = cells.view(np.float64)
    bits4, bits8 = np.zeros(1, uint32), np.zeros(1, uint64)
    float4, float8 = bits4.view(np.float32), bits8.view(np.float64)
    left, body = np.zeros(DEPTH, int64), np.zeros(DEPTH, int64)
    rows, since = np.zeros(DEPTH, int64), np.zeros(DEPTH, int64)
    n_rows, n_heap, n_records = used[0], used[1], used[2]
    at = int64(start)
    for _ in range(count):
        if n_rows >= len(cells):
            return FULL
        row = n_rows
        cells[row] = empty[0]
        cells[row, 1] = owner
        n_rows += 1
        depth, pc = 0, 0
        while pc < len(program):
            op, a, b = program[pc, 0], program[pc, 1], program[pc, 2]
            pc += 1
            if op == MAYBE:  # null, or so many unwanted bytes: most of a packet
                if at >= stop:
                    return TRUNCATED
                branch = data[at]
                at += 1
                if branch == 2 - a:
                    at += b
                elif branch != a:
                    return NO_BRANCH
            elif op == FIXED:
                at += a
            elif op == NULLABLE:
                if at >= stop:
                    return TRUNCATED
                branch = data[at]
                at += 1
                if branch == a:
                    pc = b
                elif branch != 2 - a:
                    return NO_BRANCH
            elif op == FLOAT:
                if at + 4 > stop:
                    return TRUNCATED
                bits4[0] = uint32(0)
                for i in range(4):
                    bits4[0] |= uint32(data[at + i]) << uint32(8 * i)
                real[row, a] = float4[0]
                at += 4
            elif op == DOUBLE:
                if at + 8 > stop:
                    return TRUNCATED
                bits8[0] = uint64(0)
                for i in range(8):
                    bits8[0] |= uint64(data[at + i]) << uint64(8 * i)
                real[row, a] = float8[0]
                at += 8
            elif op in (LONG, INTEGER, VARINT):
                number, at = _read_integer(data, at, stop)
                if at < 0:
                    return TRUNCATED
                if op == LONG:
                    cells[row, a] = number
                elif op == INTEGER:
                    real[row, a] = number
            elif op in (BYTES, STRING):
                number, at = _read_integer(data, at, stop)
                if at < 0:
                    return TRUNCATED
                if number < 0:
                    return NEGATIVE
                if number > stop - at:
                    return TRUNCATED
                if op == STRING:
                    if number > MAX_TEXT:
                        return ENDLESS
                    if n_heap + number > len(heap):
                        return FULL
                    heap[n_heap : n_heap + number] = data[at : at + number]
                    cells[row, a] = n_heap << 16 | number
                    n_heap += number
                at += number
            elif op == BOOLEAN:
                if at >= stop:
                    return TRUNCATED
                if data[at] > 1:
                    return NO_BRANCH
                cells[row, a] = data[at]
                at += 1
            elif op == JUMP:
                pc = b
            elif op == UNION:
                number, at = _read_integer(data, at, stop)
                if at < 0:
                    return TRUNCATED
                if number < 0 or number >= a:
                    return NO_BRANCH
                pc += number
            else:  # a list or map: at its beginning, or after an item
                if op == BEGIN:
                    if depth == DEPTH:
                        return DEEP
                    left[depth], body[depth], rows[depth] = 0, pc, row
                    depth += 1
                elif at == since[depth - 1]:  # items without a byte: of these there may be any number
                    return ENDLESS
                top = depth - 1
                if left[top] == 0:
                    number, at = _read_integer(data, at, stop)
                    if at >= 0 and number < 0:  # so many items, and then their size in bytes
                        number = -number
                        _, at = _read_integer(data, at, stop)
                    if at < 0:
                        return TRUNCATED
                    if number < 0:
                        return NEGATIVE
                    left[top] = number
                if left[top] == 0:
                    row = rows[top]
                    depth -= 1
                    if op == BEGIN:
                        pc = b
                else:
                    left[top] -= 1
                    since[top] = at
                    pc = body[top]
                    table = program[pc - 1, 1]
                    if table > 0:
                        if n_rows >= len(cells):
                            return FULL
                        row = n_rows
                        cells[row] = empty[table]
                        cells[row, 1] = n_records
                        n_rows += 1
            if at > stop:
                return TRUNCATED
        n_records += 1
    if at != stop:
        return LEFT_OVER
    used[0], used[1], used[2] = n_rows, n_heap, n_records
    return OK
