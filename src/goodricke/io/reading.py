"""`read` and `read_batches`: many files, one after the other, into light curves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from goodricke.data.lightcurves import LightCurves
from goodricke.io import files
from goodricke.io.building import as_told
from goodricke.io.files import Opened
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import reader_of

logger = logging.getLogger("goodricke")

Key = tuple[str, str, str]  # unit, time scale and reader: what one batch has in common


def read(source: files.Given, *, errors: str = "raise", **options: Any) -> LightCurves:
    """Read light curves from files of any known product.

    Parameters
    ----------
    source : path, str or sequence of them
        A file, a folder, a pattern, a text file with one path per line, or several of these; see `find`.
    errors : {"raise", "skip"}
        What to do about a file that can't be read: stop, or log a warning and go on.
    **options
        See `ReadOptions`.

    Returns
    -------
    LightCurves
        In the order of the files. `LightCurves.objects` tells source, mission, product, sector, position and the
        number of cadences read and flagged of each.

    Raises
    ------
    Unreadable
        On the first file that can't be read, or if none can.
    ValueError
        If files differ in unit or time scale, which no batch may.
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors is 'raise' or 'skip', not {errors!r}")
    settings, parts, last = ReadOptions(**options), list[LightCurves](), None
    for path in files.each(source, recursive=settings.recursive):
        found = path if isinstance(path, Unreadable) else _read_or_refuse(path, settings)
        if isinstance(found, LightCurves):
            parts.append(found)
            _check_alike(parts[0], found, str(path))
            continue
        if errors == "raise":
            raise found
        logger.warning("skipped %s", found)
        last = found
    if not parts:
        raise last or Unreadable(str(source), "names no file", "give a file or folder")
    return _join(parts)


def read_batches(
    source: files.Given, *, max_points: int = 2_000_000, **options: Any
) -> Iterator[tuple[LightCurves | None, list[Unreadable]]]:
    """Read light curves batch by batch, in bounded memory however many there are.

    Parameters
    ----------
    source : path, str or sequence of them
        As for `read`.
    max_points : int
        Observations held at once, and so the most in a batch, unless a single light curve or a plain table has more;
        nested Parquet files are read a few rows at a time, plain tables whole.
    **options
        See `ReadOptions`.

    Yields
    ------
    batch : LightCurves or None
        All of one unit and time scale, from one reader. Objects are whole, and in the order of the files among
        those of a kind. None if there are only failures left to tell.
    failures : list of Unreadable
        Files that couldn't be read since the last batch, and patterns and folders that name none. They never stop
        the run.

    Raises
    ------
    Unreadable
        If the source as a whole names no file.
    """
    settings, waiting, failures = ReadOptions(**options), dict[Key, list[LightCurves]](), list[Unreadable]()
    held = dict[Key, int]()
    for found in _all_pieces(source, settings, max_points):
        if isinstance(found, Unreadable):
            failures.append(found)
            continue
        key, piece = found
        if key in held and held[key] + len(piece.time) > max_points:
            yield _join(waiting.pop(key)), failures
            failures, _ = [], held.pop(key)
        waiting.setdefault(key, []).append(piece)
        held[key] = held.get(key, 0) + len(piece.time)
        while sum(held.values()) > max_points and len(held) > 1:
            fullest = max(held, key=lambda each: held[each])
            yield _join(waiting.pop(fullest)), failures
            failures, _ = [], held.pop(fullest)
    for parts in waiting.values():
        yield _join(parts), failures
        failures = []
    if failures:
        yield None, failures


@contextmanager
def blaming(path: str) -> Iterator[None]:
    """Make whatever goes wrong inside the file's fault: one odd file among a million must not stop the others.

    Raises
    ------
    Unreadable
        In place of any exception.
    """
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        reason = f"can't be read ({type(error).__name__}: {error})"
        raise Unreadable(path, reason, "look at the file, and report it if it seems whole") from error


def _read_or_refuse(path: str, options: ReadOptions) -> LightCurves | Unreadable:
    """Read one file, or tell why it can't be."""
    try:
        with blaming(path):
            file = Opened(path)
            return as_told(reader_of(file).read(file, options), options, path)
    except Unreadable as error:
        return error


def _all_pieces(
    source: files.Given, options: ReadOptions, max_points: int
) -> Iterator[tuple[Key, LightCurves] | Unreadable]:
    """Give the light curves of all files in pieces; in place of what can't be read, why not.

    Raises
    ------
    Unreadable
        If the source names no file at all.
    """
    named, refusals = False, list[Unreadable]()
    for path in files.each(source, recursive=options.recursive):
        if isinstance(path, Unreadable):
            refusals.append(path)
            yield path
            continue
        named = True
        try:
            yield from pieces(path, options, max_points)
        except Unreadable as error:
            yield error
    if not named:
        raise refusals[0] if refusals else Unreadable(str(source), "names no file", "give a file or folder")


def pieces(
    path: str, options: ReadOptions, max_points: int, groups: range | None = None
) -> Iterator[tuple[Key, LightCurves]]:
    """Give the light curves of a file, or of some row groups, in pieces of ``max_points``, or of one light curve.

    Raises
    ------
    Unreadable
        If it can't be read, or can't be read on.
    """
    with blaming(path):
        file = Opened(path, groups)
        reader = reader_of(file)
        stream = getattr(reader, "stream", None)
        for curves in stream(file, options, max_points) if stream else (reader.read(file, options),):
            for piece in split(as_told(curves, options, path), max_points):
                yield (piece.unit, piece.time_scale, reader.NAME), piece


def split(curves: LightCurves, max_points: int) -> Iterator[LightCurves]:
    """Cut a batch between light curves into slices of at most ``max_points`` observations, where one allows it."""
    if len(curves.time) <= max_points:
        yield curves
        return
    start = 0
    for stop in range(1, len(curves) + 1):
        if stop == len(curves) or curves.offsets[stop + 1] - curves.offsets[start] > max_points:
            yield curves[start:stop]
            start = stop


def _check_alike(one: LightCurves, other: LightCurves, path: str) -> None:
    for name in ("unit", "time_scale"):
        if getattr(one, name) != getattr(other, name):
            first = one.table_of_objects["source"][0].as_py() if len(one) else "the first file"
            raise ValueError(
                f"{first} is in {name} {getattr(one, name)}, {path} in {getattr(other, name)}; read them apart, "
                f"use read_batches, or say what is right with {name}="
            )


def _join(parts: list[LightCurves]) -> LightCurves:
    """Join pieces, the per-object columns in one chunk each: ten thousand chunks would slow down every slice."""
    if len(parts) == 1:
        return parts[0]
    joined = LightCurves.concat(parts)
    return replace(joined, objects=None if joined.objects is None else joined.objects.combine_chunks())
