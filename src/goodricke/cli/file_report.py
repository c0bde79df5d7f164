"""The report of `goodricke inspect`: what is in a file, how it was understood, and what is wrong with it.

Numbers are computed over the whole batch; a file of many objects gets a summary, and its first few light curves in
detail.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from goodricke.data import ragged
from goodricke.data.arrow import NO_BAND
from goodricke.data.exit_codes import ExitCode
from goodricke.data.lightcurves import Fault, LightCurves
from goodricke.io.building import dummies
from goodricke.io.files import Given, Opened, each
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import reader_of
from goodricke.io.reading import blaming
from goodricke.io.roles import listed

IN_FULL, FIRST = 5, 3  # objects shown one by one; shown of a file that has more
UNUSED = 20  # columns that are not used and named all the same
LONGEST = 200 * 365.25  # days; hardly any star was measured for longer
MAX_PICTURES = 100  # PNG files written for one input file
GAPS = 3
PLOT_WIDTH, PLOT_HEIGHT = 72, 10  # in characters, each of 2 x 4 dots
BESIDE_PLOT = 14  # columns for the frame and the scale
BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of each dot, by row and column


@dataclass(frozen=True)
class Numbers:
    """Per-object numbers of a batch, each (n,); times in days."""

    n_obs: NDArray[np.int64]
    n_nan: NDArray[np.int64]
    start: NDArray[np.float64]
    span: NDArray[np.float64]
    cadence: NDArray[np.float64]
    median: NDArray[np.float64]
    steps: NDArray[np.float64]  # all the steps in time, (N',)
    step_offsets: NDArray[np.int64]


def numbers(curves: LightCurves) -> Numbers:
    """Compute the numbers that the summary shows.

    Parameters
    ----------
    curves : LightCurves
        n light curves, in any order of time.
    """
    ordered, offsets = curves.sorted(), curves.offsets
    inside = np.ones(max(len(ordered.time) - 1, 0), bool)
    borders = offsets[1:-1]
    inside[borders[(borders > 0) & (borders < len(ordered.time))] - 1] = False
    steps = np.diff(ordered.time)[inside]
    step_offsets = ragged.offsets_from_counts(np.maximum(curves.n_obs - 1, 0))
    bad = ~np.isfinite(curves.value)
    kept = ragged.select(~bad, offsets)
    start = ragged.extreme(curves.time, offsets, np.minimum)
    return Numbers(
        curves.n_obs,
        ragged.total(bad, offsets).astype(np.int64),
        start,
        ragged.extreme(curves.time, offsets, np.maximum) - start,
        ragged.median(steps.astype(np.float32), step_offsets),
        ragged.median(curves.value[~bad], kept),
        steps,
        step_offsets,
    )


def report_files(paths: Given, *, plot: Path | None = None, console: Console | None = None, **options: Any) -> int:
    """Print what is in files of light curves.

    Parameters
    ----------
    paths : path, str or sequence of them
        As for `goodricke.io.find`.
    plot : Path, optional
        Folder to write a PNG per light curve to, instead of the plots in the terminal.
    console : rich.console.Console, optional
        Where to print.
    **options
        See `goodricke.io.ReadOptions`.

    Returns
    -------
    int
        Exit code: 0 if every file was read, 3 if some weren't.
    """
    console, settings, failed, drawn = console or Console(), ReadOptions(**options), 0, set[Path]()
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)  # a fault of the folder is no file's
    for path in each(paths, recursive=settings.recursive):
        shown = path if isinstance(path, Unreadable) else _panel(path, settings, plot, drawn, console.width)
        failed += isinstance(shown, Unreadable)
        console.print(_failure(shown) if isinstance(shown, Unreadable) else shown)
    return ExitCode.SOME_FAILED if failed else ExitCode.DONE


def _panel(path: str, options: ReadOptions, plot: Path | None, drawn: set[Path], width: int) -> Panel | Unreadable:
    """Return what is in one file, or why it can't be read."""
    try:
        with blaming(path):
            file = Opened(path)
            reader = reader_of(file)
            parts = _parts(reader.read(file, options), file, reader.NAME, plot, drawn, width)
            return Panel(Group(*parts), title=escape(Path(path).name), title_align="left")
    except Unreadable as error:
        return error


def _parts(
    curves: LightCurves, file: Opened, reader: str, plot: Path | None, drawn: set[Path], width: int
) -> list[RenderableType]:
    """Return the header, the summary of many objects, and the first ones in detail."""
    found, shown = numbers(curves), len(curves) if len(curves) <= IN_FULL else FIRST
    parts: list[RenderableType] = [_header(curves, found, file, reader)]
    if len(curves) > IN_FULL:
        parts += [_summary(curves, found), Text(f"\nThe first {shown}:", style="bold")]
    for i in range(shown):
        parts += [Text(f"\n{curves.ids[i]}", style="bold cyan"), _detail(curves, found, i)]
        if plot is None:
            parts.append(Text("\n".join(sketch(curves[i], min(PLOT_WIDTH, width - BESIDE_PLOT))), no_wrap=True))
    if plot is not None:
        written = [write_png(curves[i], plot, drawn) for i in range(min(len(curves), MAX_PICTURES))]
        parts.append(Text(f"\n{len(written)} of {len(curves)} light curves drawn in {plot}"))
    return parts


def _failure(error: Unreadable) -> Panel:
    text = Text.assemble(("Can't be read: ", "bold red"), f"it {error.reason}.\n", ("Fix: ", "bold"), f"{error.fix}.")
    return Panel(text, title=escape(Path(error.path).name or error.path), title_align="left", border_style="red")


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _header(curves: LightCurves, found: Numbers, file: Opened, reader: str) -> Table:
    """Show how the file was understood."""
    first = {name: curves.table_of_objects[name][0].as_py() for name in ("mission", "product")} if len(curves) else {}
    recognised = ", ".join(str(v) for v in first.values() if v) or "nothing"
    rows = [
        ("recognised as", f"{recognised} (reader {reader})"),
        ("columns used", ", ".join(file.used)),
        *([("not used", listed(unused, UNUSED))] if (unused := file.found.get("not used")) else []),
        ("brightness in", curves.unit),
        ("time in", f"{curves.time_scale} [d]"),
        ("objects", f"{len(curves):,} with {len(curves.time):,} observations"),
        ("bands", _bands(curves)),
    ]
    return _grid(rows)


def _bands(curves: LightCurves) -> str:
    counts = np.bincount(curves.band, minlength=len(curves.bands))
    names = ["unnamed" if name == NO_BAND else name for name in curves.bands]
    return ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))


def _summary(curves: LightCurves, found: Numbers) -> Table:
    """Show the spread of the numbers over many objects, and the faults by kind."""
    table = Table("", "least", "median", "most", box=None, padding=(0, 2), header_style="dim")
    for name, values, show in (
        ("observations", found.n_obs, lambda x: f"{x:,.0f}"),
        ("span", found.span, duration),
        ("median cadence", found.cadence, duration),
        (f"median [{curves.unit}]", found.median, lambda x: f"{x:.6g}"),
    ):
        known = values[np.isfinite(values)]
        if len(known):
            table.add_row(name, *(show(float(q)) for q in np.quantile(known, (0, 0.5, 1))))
    for kind, (objects, points) in _by_kind(_faults(curves, found.span)).items():
        table.add_row(Text(kind, style="yellow"), f"{objects:,} objects", f"{points:,} points" if points else "", "")
    return table


def _faults(curves: LightCurves, span: NDArray[np.float64]) -> list[Fault]:
    """Return the faults of light curves, and which have a span (n,) [d] that can't be."""
    long = np.flatnonzero(np.isfinite(span) & (span > LONGEST))
    told = f"span of over {duration(LONGEST)}: are the times in seconds, or some of them wrong?"
    return [*curves.faults(), *(Fault(curves.ids[i], told, 0) for i in long)]


def _by_kind(faults: Sequence[Fault]) -> dict[str, tuple[int, int]]:
    """Return how many objects and points each kind of fault concerns."""
    objects, points = Counter(fault.kind for fault in faults), Counter[str]()
    for fault in faults:
        points[fault.kind] += fault.count
    return {kind: (count, points[kind]) for kind, count in objects.most_common()}


def _detail(curves: LightCurves, found: Numbers, i: int) -> Table:
    """Show one light curve."""
    one = curves[i]
    row = one.table_of_objects.to_pylist()[0]
    left = row["n_read"] - row["n_flagged"] - int(found.n_obs[i])
    points = f"{row['n_read']:,} read, {row['n_flagged']:,} flagged, {left:,} without a time, {found.n_obs[i]:,} kept"
    rows = [("points", f"{points}, {found.n_nan[i]:,} of them NaN or infinite")]
    if found.n_obs[i]:
        rows.append(("span", f"{duration(found.span[i])}, from {found.start[i]:.5f}"))
    if found.n_obs[i] > 1:
        rows += [("median cadence", duration(found.cadence[i])), ("largest gaps", _gaps(found, i))]
    if len(curves.bands) > 1:
        rows.append(("bands", _bands(one)))
    where = [
        f"{name} {row[name]}" for name in ("sector", "quarter", "campaign", "camera", "ccd") if row[name] is not None
    ]
    if row["ra"] is not None and row["dec"] is not None:
        where.append(f"RA {row['ra']:.5f}, Dec {row['dec']:+.5f}")
    rows += [("observed", ", ".join(where))] if where else []
    faults = [f"{f.kind} ({f.count:,})" if f.count else f.kind for f in _faults(one, found.span[i : i + 1])]
    rows.append(("faults", "; ".join(faults) or "none"))
    return _grid(rows)


def _gaps(found: Numbers, i: int) -> str:
    """Return the largest gaps of a light curve, those of more than twice its cadence."""
    steps = found.steps[found.step_offsets[i] : found.step_offsets[i + 1]]
    largest = np.sort(steps)[::-1][:GAPS]
    return ", ".join(duration(float(gap)) for gap in largest if gap > 2 * found.cadence[i]) or "none"


def duration(days: float) -> str:
    """Return a time span in the unit that reads best.

    >>> duration(0.0013889), duration(0.0204), duration(27.9), duration(2000)
    ('120 s', '29.4 min', '27.9 d', '5.48 yr')
    """
    for unit, length, least in (("yr", 365.25, 2), ("d", 1.0, 1), ("h", 1 / 24, 1), ("min", 1 / 1440, 4)):
        if abs(days) >= least * length:
            return f"{days / length:.3g} {unit}"
    return f"{days * 86400:.3g} s"


# ---- pictures -----------------------------------------------------------------------------------------------------


def sketch(curve: LightCurves, width: int = PLOT_WIDTH, height: int = PLOT_HEIGHT) -> list[str]:
    """Draw one light curve in braille characters, bright upwards; a line of text each.

    Parameters
    ----------
    curve : LightCurves
        A batch of one.
    width, height : int
        Size in characters, without the scale at the left.
    """
    known = np.isfinite(curve.value) & np.isfinite(curve.time) & ~dummies(curve.value, curve.unit)
    if not known.any():
        return ["(no finite value to draw)"]
    time, value = curve.time[known], curve.value[known].astype(np.float64)
    low, high = np.quantile(value, (0.002, 0.998))  # so that one outlier doesn't flatten all the rest
    top, bottom = (low, high) if curve.in_magnitudes else (high, low)
    across = _cells(time, time.min(), time.max(), 2 * width)
    down = _cells(np.clip(value, low, high), top, bottom, 4 * height)
    canvas = np.zeros((height, width), int)
    np.bitwise_or.at(canvas, (down // 4, across // 2), DOTS[down % 4, across % 2])
    scale = [f"{top:.5g}"] + [""] * (height - 2) + [f"{bottom:.5g}"]
    margin = max(map(len, scale))
    lines = [
        f"{s:>{margin}} {''.join(chr(BRAILLE + c) for c in r)}" for s, r in zip(scale, canvas.tolist(), strict=True)
    ]
    begin, end = f"{time.min():.2f}", f"{time.max():.2f}"
    return [*lines, " " * (margin + 1) + begin + end.rjust(width - len(begin))]


def _cells(values: NDArray[np.float64], first: float, last: float, n: int) -> NDArray[np.int64]:
    """Return which of n cells from ``first`` to ``last`` each value falls in; the middle one if they are equal."""
    if first == last:
        return np.full(len(values), n // 2)
    return np.clip((values - first) / (last - first) * n, 0, n - 1).astype(np.int64)


def write_png(curve: LightCurves, folder: Path, taken: set[Path]) -> Path:
    """Draw one light curve into a PNG file named after it and its sector; return the file.

    ``taken`` are the files that are not to be written over: the same star may come twice.
    """
    from goodricke.evaluation.figures.style import canvas, draw_light_curve, figure_name, shorten

    row = curve.table_of_objects.to_pylist()[0] if curve.objects is not None else {}
    place = next((f"_{k}{row[k]}" for k in ("sector", "quarter", "campaign") if row.get(k) is not None), "")
    stem = figure_name(curve.ids[0]).removesuffix(".png") + place
    names = (folder / f"{stem}{f'-{again}' if again > 1 else ''}.png" for again in itertools.count(1))
    path = next(name for name in names if name not in taken)
    taken.add(path)
    with canvas(path, 10, 4) as figure:
        figure.suptitle(shorten(curve.ids[0]), parse_math=False)
        draw_light_curve(figure.add_subplot(), curve)
    return path
