"""Files and folders that appear complete or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there takes the place of ``path`` at the end.

    The temporary name keeps the suffix, by which matplotlib and others choose a format. If the block raises, ``path``
    stays as it was. The file and its entry in the folder are flushed to the disk: after a power cut there is the old
    file or the new one, never an empty one.

    Parameters
    ----------
    path : path
        In a folder that exists.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write ``content``, text as UTF-8, to ``path`` completely or not at all; see `atomic_path`."""
    with atomic_path(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside ``path``, which takes its place at the end; see `atomic_path`.

    A folder that is there is replaced with all its contents.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, former = partial_path(path), path.with_name(f".{path.name}.{os.getpid()}.former")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for file in partial.rglob("*"):
            _flush(file)
        if path.exists():
            path.rename(former)
        partial.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def partial_path(path: Path) -> Path:
    """Return the hidden name under which this process writes ``path``."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk, where the system can do it."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
