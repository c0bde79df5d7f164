"""What the commands share: options, exit codes, and how an error is told."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Annotated, Any

import typer

from goodricke.models.hub import completions

DONE, SOME_FAILED, USAGE = 0, 3, 2
FIXES = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a file is where a folder should be",
    errno.EEXIST: "choose another name: a file is where a folder should be",
    errno.EISDIR: "give a file, not a folder",
    errno.EACCES: "check the permissions, or choose another place",
    errno.EPERM: "check the permissions, or choose another place",
    errno.EROFS: "choose another place: this one can't be written to",
    errno.ENOSPC: "make room on the disk, or choose another place",
}

Sources = Annotated[
    list[str], typer.Argument(help="Files, folders, globs or text files that list paths", show_default=False)
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", help="Shipped model (see `goodricke models list`), folder or hub id", autocompletion=completions
    ),
]
ModelArgument = Annotated[
    str, typer.Argument(help="Shipped model, folder or hub id", show_default=False, autocompletion=completions)
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Name a column that isn't recognised: time=HJD, value=Vmag, error=e, object_id=star"),
]
Quality = Annotated[
    str, typer.Option(help="Flagged cadences: default (the product's makers' cut), bitmask, hard or none")
]
Flux = Annotated[str | None, typer.Option(help="Flux column, e.g. PDCSAP_FLUX", show_default=False)]
Band = Annotated[
    str | None,
    typer.Option(help="g keeps that band alone, or names it where the files don't; R=r,I=i calls bands by other names"),
]
Unit = Annotated[
    str | None,
    typer.Option(help="Unit of the brightness, where the files don't tell: mag, nJy, ...", show_default=False),
]
TimeScale = Annotated[
    str | None, typer.Option(help="Time scale, where the files don't tell: MJD, BTJD, HJD, ...", show_default=False)
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Search folders with all their subfolders")]
Passes = Annotated[int, typer.Option(min=0, help="Monte-Carlo passes with dropout on; 0: one pass without")]
Level = Annotated[
    float,
    typer.Option(
        "--coverage", min=0.01, max=0.999, help="Fraction of objects whose prediction_set is to hold the true class"
    ),
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Keep that promise in each class, rare ones too: larger sets")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes for preprocessing")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto; an absent GPU is an error")]


def reading(
    quality: str,
    flux: str | None,
    column: list[str] | None,
    band: str | None,
    unit: str | None,
    time_scale: str | None,
    recursive: bool,
) -> dict[str, Any]:
    """Return the readers' options that the command line gives; the others keep the readers' own defaults."""
    pairs = [item.partition("=") for item in column or []]
    wrong = ["".join(pair) for pair in pairs if not all(pair)]
    if wrong:
        raise typer.BadParameter(f"--column {wrong[0]}: write it as KIND=NAME, e.g. time=HJD")
    told: dict[str, Any] = {"quality": None if quality == "default" else quality, "flux": flux}
    told |= {"band": band} if "=" not in (band or "") else {"rename_bands": _pairs(str(band))}
    told |= {"unit": unit, "time_scale": time_scale and time_scale.upper(), "recursive": recursive or None}
    told |= {"columns": {kind: name for kind, _, name in pairs} or None}
    return {name: value for name, value in told.items() if value is not None}


def _pairs(text: str) -> dict[str, str]:
    """Return what ``A=a,B=b`` says.

    Raises
    ------
    typer.BadParameter
        If it says something else.
    """
    pairs = [item.split("=") for item in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise typer.BadParameter(f"--band {text}: write it as R=r,I=i")
    return {name.strip(): other.strip() for name, other in pairs}


def console() -> Any:
    """Return what commands print to."""
    from rich.console import Console

    return Console()


def guarded(action: Any, *arguments: Any) -> int:
    """Run a command; what the user can fix is told in a line, without a traceback."""
    try:
        return action(*arguments)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if logging.getLogger("goodricke").isEnabledFor(logging.INFO):
            raise
        print(f"goodricke: {told(error)}", file=sys.stderr)
        return USAGE


def told(error: Exception) -> str:
    """Return an error in words, with what to do about it where it is the system's own."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return str(error)
    place = error.filename2 or error.filename  # of a file put in its place: the place, not the partial file
    fix = f". Fix: {FIXES[error.errno]}." if error.errno in FIXES else ""
    return f"{place}: {error.strerror[0].lower()}{error.strerror[1:]}{fix}"
