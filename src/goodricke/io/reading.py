"""From files to light curves: all at once, or in batches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from goodricke.data.lightcurves import LightCurves
from goodricke.io import files
from goodricke.io.files import SourceFile
from goodricke.io.observations import choose_bands
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import find_reader

logger = logging.getLogger("goodricke")

Key = tuple[str, str, str]  # unit, time scale and reader: what one batch has in common


def read(source: files.Source | Any, *, errors: str = "raise", **options: Any) -> LightCurves:
    """Read light curves from files of any known product.

    Parameters
    ----------
    source : path, str or sequence of them
        A file, a folder, a pattern, a text file with one path per line, or several of these; see `find`. What is in
        memory already is converted by `as_light_curves`.
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

    Examples
    --------
    >>> from goodricke.data.examples import example_files
    >>> read(example_files()[:3])
    LightCurves(3 objects, ... observations, bands ..., value in mag, time in HJD)
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors is 'raise' or 'skip', not {errors!r}")
    source = list(source) if isinstance(source, Iterator) else source  # as of Path.glob
    if not names_files(source):
        from goodricke.io.in_memory import as_light_curves

        return as_light_curves(source, **options)
    settings, parts, last = ReadOptions(**options), list[LightCurves](), None
    for path in files.iterate(source, recursive=settings.recursive):
        result = path if isinstance(path, Unreadable) else _read_file(path, settings)
        if isinstance(result, LightCurves):
            if len(result) or not parts:  # an empty partition of a catalog has no unit that could differ
                parts = [*(parts if not parts or len(parts[0]) else []), result]
                _check_units(parts[0], result, str(path))
            continue
        if errors == "raise":
            raise result
        logger.warning("skipped %s", result)
        last = result
    if not parts:
        raise last or Unreadable(str(source), "names no file", "give a file or folder")
    return _join(parts)


def names_files(source: Any) -> bool:
    """Tell whether a source is a path or several, and nothing that is in memory already."""
    if isinstance(source, str | Path):
        return True
    return isinstance(source, list | tuple | set) and all(isinstance(member, str | Path) for member in source)


def read_batches(
    source: files.Source, *, max_points: int = 2_000_000, **options: Any
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
        those of a kind. None if there are only failures left.
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
    for result in _all_pieces(source, settings, max_points):
        if isinstance(result, Unreadable):
            failures.append(result)
            continue
        key, piece = result
        if key in held and held[key] + len(piece.time) > max_points:
            yield _join(waiting.pop(key)), failures
            failures, _ = [], held.pop(key)
        waiting.setdefault(key, []).append(piece)
        held[key] = held.get(key, 0) + len(piece.time)
        while sum(held.values()) > max_points and len(held) > 1:
            fullest = max(held, key=lambda key: held[key])
            yield _join(waiting.pop(fullest)), failures
            failures, _ = [], held.pop(fullest)
    for parts in waiting.values():
        yield _join(parts), failures
        failures = []
    if failures:
        yield None, failures


@contextmanager
def errors_as_unreadable(path: str) -> Iterator[None]:
    """Turn any exception inside into `Unreadable`: one odd file among a million must not stop the others.

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


def _read_file(path: str, options: ReadOptions) -> LightCurves | Unreadable:
    """Read one file, or return why it can't be read."""
    try:
        with errors_as_unreadable(path):
            file = SourceFile(path)
            return choose_bands(find_reader(file).read(file, options), options, path)
    except Unreadable as error:
        return error


def _all_pieces(
    source: files.Source, options: ReadOptions, max_points: int
) -> Iterator[tuple[Key, LightCurves] | Unreadable]:
    """Give the light curves of all files in pieces; in place of a file that can't be read, the error.

    Raises
    ------
    Unreadable
        If the source names no file at all.
    """
    named, refusals = False, list[Unreadable]()
    for path in files.iterate(source, recursive=options.recursive):
        if isinstance(path, Unreadable):
            refusals.append(path)
            yield path
            continue
        named = True
        try:
            yield from read_pieces(path, options, max_points)
        except Unreadable as error:
            yield error
    if not named:
        raise refusals[0] if refusals else Unreadable(str(source), "names no file", "give a file or folder")


def read_pieces(
    path: str, options: ReadOptions, max_points: int, groups: range | None = None
) -> Iterator[tuple[Key, LightCurves]]:
    """Give the light curves of a file, or of some row groups, in pieces of ``max_points``, or of one light curve.

    Raises
    ------
    Unreadable
        If it can't be read, or can't be read on.
    """
    with errors_as_unreadable(path):
        file = SourceFile(path, groups)
        reader = find_reader(file)
        stream = getattr(reader, "stream", None)
        for curves in stream(file, options, max_points) if stream else (reader.read(file, options),):
            for piece in split_batch(choose_bands(curves, options, path), max_points):
                yield (piece.unit, piece.time_scale, reader.NAME), piece


def split_batch(curves: LightCurves, max_points: int) -> Iterator[LightCurves]:
    """Cut a batch between light curves into slices of at most ``max_points`` observations, where one allows it."""
    if len(curves.time) <= max_points:
        yield curves
        return
    start = 0
    for stop in range(1, len(curves) + 1):
        if stop == len(curves) or curves.offsets[stop + 1] - curves.offsets[start] > max_points:
            yield curves[start:stop]
            start = stop


def _check_units(first: LightCurves, curves: LightCurves, path: str) -> None:
    for name in ("unit", "time_scale"):
        if getattr(first, name) != getattr(curves, name):
            source = first.table_of_objects["source"][0].as_py() if len(first) else "the first file"
            raise ValueError(
                f"{source} is in {name} {getattr(first, name)}, {path} in {getattr(curves, name)}; read them apart, "
                f"use read_batches, or say what is right with {name}="
            )


def _join(parts: list[LightCurves]) -> LightCurves:
    """Join pieces, the per-object columns in one chunk each: ten thousand chunks would slow down every slice."""
    if len(parts) == 1:
        return parts[0]
    joined = LightCurves.concat(parts)
    return replace(joined, objects=None if joined.objects is None else joined.objects.combine_chunks())
