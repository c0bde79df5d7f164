"""The command ``goodricke simulate``: parses, calls, prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from goodricke.cli.options import console, exit_with
from goodricke.data.exit_codes import ExitCode

if TYPE_CHECKING:
    from goodricke.data.lightcurves import LightCurves


class Advance(Protocol):
    """Tells a progress bar how many light curves are done."""

    def __call__(self, n: int) -> None:
        """Move the bar."""


def simulate(
    out: Annotated[Path | None, typer.Option(help="Parquet file; its labels go beside it", show_default=False)] = None,
    cadence: Annotated[
        str, typer.Option(help="tess-30min, tess-10min, tess-200s, tess-2min, kepler or k2")
    ] = "tess-30min",
    sectors: Annotated[
        str, typer.Option(help="Sectors, quarters or campaigns: how many in a row, or which: 14,15,26")
    ] = "1",
    per_class: Annotated[int, typer.Option(min=1, help="Light curves of each class")] = 100,
    only: Annotated[list[str] | None, typer.Option("--class", help="Of this class only; repeatable")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same stars")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes")] = 1,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw 20 of each class (of a survey 5) into this file (.png, .pdf)", show_default=False),
    ] = None,
    survey: Annotated[
        str | None, typer.Option(help="Sparse light curves in several bands instead: rubin, ztf or gaia")
    ] = None,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Print what is drawn for each kind of star, and after whom")
    ] = False,
) -> None:
    """Make labelled light curves: stars of nine classes as Kepler, K2 or TESS see them, with noise and artefacts.

    To train on:     goodricke simulate --out sim.parquet --per-class 1000 --workers 8
    To look at:      goodricke simulate --figure sim.png
    In many bands:   goodricke simulate --survey rubin --out sim.parquet   (variables, supernovae; or ztf, gaia)
    What they are:   goodricke simulate --parameters

    Classes:        APERIODIC, CONSTANT, CONTACT_ROT, DSCT_BCEP, ECLIPSE, GDOR_SPB, INSTRUMENT, RRLYR_CEPHEID, SOLARLIKE
    Of a survey:    AGN, CEPHEID, CONTACT, CV, DSCT, EB, KN, MICROLENS, MIRA, M_DWARF, RRL, SLSN, SNIA, SNIBC, SNII, TDE

    The file has a light curve per row, its true parameters in columns true_..., and sim-labels.csv the classes.
    Simulated light curves can start a model or test it; what it is worth only real ones tell.
    """
    if parameters:
        exit_with(_print_parameters)
    if out is None and figure is None:
        raise typer.BadParameter("say what to make: --out FILE.parquet, --figure FILE.png or --parameters")
    if figure is not None and figure.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise typer.BadParameter(f"--figure {figure}: call it .png, .pdf or .svg")
    which = _sectors(sectors)
    exit_with(_simulate, out, figure, survey, cadence, which, per_class, only, seed, workers)


def _sectors(text: str) -> int | tuple[int, ...]:
    """Return how many sectors, or which.

    Raises
    ------
    typer.BadParameter
        If the text says neither.
    """
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"--sectors {text}: write how many, 3, or which, 14,15,26 (one: 14,)") from None
    return numbers if "," in text or not numbers else numbers[0]


def _simulate(
    out: Path | None,
    figure: Path | None,
    survey: str | None,
    cadence: str,
    sectors: int | tuple[int, ...],
    per_class: int,
    only: list[str] | None,
    seed: int,
    workers: int,
) -> int:
    settings: dict[str, Any] = {"per_class": per_class, "classes": only, "seed": seed}
    settings |= {"survey": survey} if survey else {"cadence": cadence, "sectors": sectors}
    if out is not None:
        from goodricke.simulate.blocks import labels_beside, write

        total, parts = _parts(per_class, survey, cadence, sectors, only, seed, workers)
        with _progress(total) as advance:
            number = write(parts, out, settings, advance)
        console().print(f"{number:,} simulated light curves: {out}, labels: {labels_beside(out)}", soft_wrap=True)
    if figure is not None:
        from goodricke.data.lightcurves import LightCurves
        from goodricke.simulate import figures
        from goodricke.simulate import figures as dense

        each, draw = (20, dense.draw) if survey is None else (5, figures.draw_sparse)
        _, parts = _parts(each, survey, cadence, sectors, only, seed, workers)
        draw(LightCurves.concat(list(parts)), figure, each)
        console().print(f"{each} of each class: {figure}", soft_wrap=True)
    return ExitCode.DONE


def _parts(
    per_class: int,
    survey: str | None,
    cadence: str,
    sectors: int | tuple[int, ...],
    only: list[str] | None,
    seed: int,
    workers: int,
) -> tuple[int, Iterator[LightCurves]]:
    """Return how many light curves there will be, and those in parts."""
    if survey is not None:
        from goodricke.simulate.sparse import expected, parts

        return expected(per_class, survey, only), parts(per_class, survey, seed, only, workers)
    from goodricke.simulate.dense import Settings, make_blocks, plan
    from goodricke.simulate.kinds import CLASSES

    blocks = plan(per_class, only or CLASSES)
    return sum(block.rows for block in blocks), make_blocks(Settings(cadence, sectors, seed), blocks, workers)


@contextmanager
def _progress(total: int) -> Iterator[Advance]:
    """Show a bar on the standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("light curves"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("", total=total)
        yield lambda n: bar.advance(row, n)


def _print_parameters() -> int:
    """Print the tables of parameters."""
    from rich.table import Table

    from goodricke.simulate.parameters import kinds, rows, table

    for kind in kinds():
        about = table(kind)
        shown = Table(title=f"{kind} ({about.label}): {about.about}", title_justify="left", show_lines=False)
        for name in ("parameter", "distribution", "unit", "meaning", "literature"):
            shown.add_column(name, overflow="fold")
        for row in rows(kind):
            shown.add_row(*(row[c.header] for c in shown.columns))  # type: ignore[index]
        console().print(shown)
    return ExitCode.DONE
