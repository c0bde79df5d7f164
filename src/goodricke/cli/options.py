"""What the commands share: options, groups of options, the console, and how they report errors."""

from __future__ import annotations

import errno
import inspect
import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions

if TYPE_CHECKING:
    from rich.console import Console

Command = Callable[..., Any]
Reading = dict[str, Any]  # keyword arguments of `goodricke.read`

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
    typer.Option(help="g: keep only band g, or name the band if the files don't; R=r,I=i: rename bands"),
]
Unit = Annotated[
    str | None,
    typer.Option(help="Unit of the brightness, if the files don't give it: mag, nJy, ...", show_default=False),
]
TimeScale = Annotated[
    str | None,
    typer.Option(help="Time scale, if the files don't give it: MJD, BTJD, HJD, ...", show_default=False),
]
LightCurveColumn = Annotated[
    str | None,
    typer.Option("--light-curve", help="Of several nested columns, the one with the light curves", show_default=False),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Search folders with all their subfolders")]
Passes = Annotated[int, typer.Option(min=0, help="Monte-Carlo passes with dropout on; 0: one pass without")]
Seed = Annotated[int, typer.Option(help="Seed of the dropout masks: the same seed gives the same answer in any batch")]
Level = Annotated[
    float,
    typer.Option(
        "--coverage", min=0.01, max=0.999, help="Fraction of objects whose prediction_set contains the true class"
    ),
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="Reach the coverage in each class, rare ones included: larger sets")
]
Precision = Annotated[
    str, typer.Option(help="float32, bfloat16 (ASTRAFier), or auto: float32 on a CPU, bfloat16 on a GPU")
]
Workers = Annotated[int, typer.Option(min=1, help="Processes for preprocessing")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ... or auto; a missing GPU is an error")]


def option_group(parameter: str, options: Callable[..., Any]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command the options of a function, in the place of one parameter.

    Parameters
    ----------
    parameter : str
        The command's keyword-only parameter that receives what ``options`` returns.
    options : callable
        Its parameters are the options; typer shows and parses them as if the command had declared them.
    """
    group = inspect.signature(options, eval_str=True).parameters

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        declared = signature.parameters.items()
        merged = [p for name, own in declared for p in (group.values() if name == parameter else [own])]
        merged = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in merged]

        @wraps(command)
        def run(**arguments: Any) -> Any:
            arguments[parameter] = options(**{name: arguments.pop(name) for name in group})
            return command(**arguments)

        run.__signature__ = signature.replace(parameters=merged)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in merged}
        return run

    return decorate


def read_options(
    quality: Quality = "default",
    flux: Flux = None,
    column: Columns = None,
    band: Band = None,
    unit: Unit = None,
    time_scale: TimeScale = None,
    light_curve: LightCurveColumn = None,
    recursive: Recursive = False,
) -> Reading:
    """Return the options of `goodricke.read` that the command line sets; the others keep the defaults of `read`.

    Raises
    ------
    typer.BadParameter
        If ``--column`` or ``--band`` is not written as pairs.
    """
    pairs = [item.partition("=") for item in column or []]
    wrong = ["".join(pair) for pair in pairs if not all(pair)]
    if wrong:
        raise typer.BadParameter(f"--column {wrong[0]}: write it as KIND=NAME, e.g. time=HJD")
    options: Reading = {"quality": None if quality == "default" else quality, "flux": flux}
    options |= {"band": band} if "=" not in (band or "") else {"rename_bands": _band_names(str(band))}
    options |= {"unit": unit, "time_scale": time_scale and time_scale.upper(), "recursive": recursive or None}
    options |= {"light_curve": light_curve}
    options |= {"columns": {kind: name for kind, _, name in pairs} or None}
    return {name: value for name, value in options.items() if value is not None}


def _band_names(text: str) -> dict[str, str]:
    """Return the new names of bands by their old ones, from ``R=r,I=i``."""
    pairs = [item.split("=") for item in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise typer.BadParameter(f"--band {text}: write it as R=r,I=i")
    return {old.strip(): new.strip() for old, new in pairs}


reading_options = option_group("reading", read_options)


def console() -> Console:
    """Return the console that commands print to."""
    from rich.console import Console

    return Console()


def exit_with(action: Callable[..., int], *arguments: Any, **options: Any) -> NoReturn:
    """Run a command's work and exit with the code that it returns; see `guarded`."""
    raise typer.Exit(guarded(action, *arguments, **options))


def guarded(action: Callable[..., int], *arguments: Any, **options: Any) -> int:
    """Run a command's work; an error that the user can fix is one line on standard error, without a traceback."""
    try:
        return action(*arguments, **options)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        if logging.getLogger("goodricke").isEnabledFor(logging.INFO):
            raise
        print(f"goodricke: {error_message(error)}", file=sys.stderr)
        return ExitCode.USAGE


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


def error_message(error: Exception) -> str:
    """Return an error in words; one of the operating system with the path and the fix."""
    if not isinstance(error, OSError) or error.filename is None or error.strerror is None:
        return str(error)
    path = error.filename2 or error.filename  # of a failed replacement: the destination, not the partial file
    fix = f". Fix: {FIXES[error.errno]}." if error.errno in FIXES else ""
    return f"{path}: {error.strerror[0].lower()}{error.strerror[1:]}{fix}"
