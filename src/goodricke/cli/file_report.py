"""The report of `goodricke inspect`: what is in a file, how it was understood, and what is wrong with it.

A file of many objects gets a summary of all of them, and its first few light curves in detail.
"""

from __future__ import annotations

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
from goodricke.io.files import Source, SourceFile, iterate
from goodricke.io.measurements import dummy_magnitudes
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import find_reader
from goodricke.io.reading import errors_as_unreadable
from goodricke.io.roles import list_names

MAX_DETAILED, FIRST = 5, 3  # objects up to which a file is shown in detail; objects detailed of a larger one
MAX_UNUSED = 20  # unused columns listed by name
MAX_SPAN = 200 * 365.25  # days; hardly any star was measured for longer
MAX_FIGURES = 100  # PNG files written for one input file
GAPS = 3
BY_QUALITY = ("flag", "rows of quality")  # reasons of the quality cut
PLOT_WIDTH, PLOT_HEIGHT = 72, 10  # in characters, each of 2 x 4 dots
PLOT_MARGIN = 14  # columns for the frame and the scale
BRAILLE = 0x2800
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # bit of each dot, by row and column


@dataclass(frozen=True)
class Statistics:
    """Statistics of the n light curves of a batch, (n,) each; times in days."""

    n_obs: NDArray[np.int64]
    n_nan: NDArray[np.int64]
    start: NDArray[np.float64]
    span: NDArray[np.float64]
    cadence: NDArray[np.float64]
    median: NDArray[np.float64]
    steps: NDArray[np.float64]  # differences of consecutive distinct times within the light curves, (N',)
    step_offsets: NDArray[np.int64]


def compute_statistics(curves: LightCurves) -> Statistics:
    """Compute the statistics of n light curves, whose observations may be in any order of time."""
    offsets = curves.offsets
    steps = ragged.differences(curves.sorted().time, offsets)
    following = steps > 0  # all but the first observations, and those in other bands at the same time
    step_offsets = ragged.select(following, offsets)
    finite = np.isfinite(curves.value)
    start = ragged.extreme(curves.time, offsets, np.minimum)
    return Statistics(
        n_obs=curves.n_obs,
        n_nan=ragged.total(~finite, offsets).astype(np.int64),
        start=start,
        span=ragged.extreme(curves.time, offsets, np.maximum) - start,
        cadence=ragged.median(steps[following].astype(np.float32), step_offsets),
        median=ragged.median(curves.value[finite], ragged.select(finite, offsets)),
        steps=steps[following],
        step_offsets=step_offsets,
    )


def report_files(paths: Source, *, plot: Path | None = None, console: Console | None = None, **options: Any) -> int:
    """Print what is in files of light curves.

    Parameters
    ----------
    paths : path, str or sequence of them
        As for `goodricke.io.find`.
    plot : Path, optional
        Folder for a PNG per light curve, instead of the plots in the terminal.
    console : rich.console.Console, optional
        Where to print.
    **options
        See `goodricke.io.ReadOptions`.

    Returns
    -------
    int
        Exit code: done if every file was read.
    """
    console, settings, failed, written = console or Console(), ReadOptions(**options), 0, set[Path]()
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)  # here, so that an error isn't blamed on a file
    for path in iterate(paths, recursive=settings.recursive):
        shown = path if isinstance(path, Unreadable) else _panel(path, settings, plot, written, console.width)
        failed += isinstance(shown, Unreadable)
        console.print(_failure(shown) if isinstance(shown, Unreadable) else shown)
    return ExitCode.SOME_FAILED if failed else ExitCode.DONE


def _panel(path: str, options: ReadOptions, plot: Path | None, written: set[Path], width: int) -> Panel | Unreadable:
    """Return what is in one file, or why it can't be read."""
    try:
        with errors_as_unreadable(path):
            file = SourceFile(path)
            reader = find_reader(file)
            parts = _parts(reader.read(file, options), file, reader.NAME, plot, written, width)
            return Panel(Group(*parts), title=escape(Path(path).name), title_align="left")
    except Unreadable as error:
        return error


def _parts(
    curves: LightCurves, file: SourceFile, reader: str, plot: Path | None, written: set[Path], width: int
) -> list[RenderableType]:
    """Return the header, the summary of many objects, and the first ones in detail."""
    stats, shown = compute_statistics(curves), len(curves) if len(curves) <= MAX_DETAILED else FIRST
    parts: list[RenderableType] = [_header(curves, stats, file, reader)]
    if len(curves) > MAX_DETAILED:
        parts += [_summary(curves, stats), Text(f"\nThe first {shown}:", style="bold")]
    for i in range(shown):
        parts += [Text(f"\n{curves.ids[i]}", style="bold cyan"), _detail(curves, stats, i)]
        if plot is None and stats.n_obs[i] > 1:
            parts.append(Text("\n".join(sketch(curves[i], min(PLOT_WIDTH, width - PLOT_MARGIN))), no_wrap=True))
    if plot is not None:
        count = min(len(curves), MAX_FIGURES)
        for i in range(count):
            write_png(curves[i], plot, written)
        parts.append(Text(f"\n{count} of {len(curves)} light curves drawn in {plot}"))
    return parts


def _failure(error: Unreadable) -> Panel:
    text = Text.assemble(("Can't be read: ", "bold red"), f"it {error.reason}.\n", ("Fix: ", "bold"), f"{error.fix}.")
    return Panel(text, title=escape(Path(error.path).name or error.path), title_align="left", border_style="red")


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _header(curves: LightCurves, stats: Statistics, file: SourceFile, reader: str) -> Table:
    """Show how the file was understood."""
    first = {name: curves.table_of_objects[name][0].as_py() for name in ("mission", "product")} if len(curves) else {}
    recognised = ", ".join(str(v) for v in first.values() if v) or "nothing"
    rows = [
        ("recognised as", f"{recognised} (reader {reader})"),
        *([("columns used", ", ".join(used))] if (used := file.used_columns) else []),
        *([("not used", list_names(unused, MAX_UNUSED))] if (unused := file.unused_columns) else []),
        ("brightness in", _with_origin(curves.unit, file.origins.get("unit"))),
        ("time in", _with_origin(f"{curves.time_scale} [d]", _origin_of_times(file))),
        *([("quality", quality)] if (quality := file.origins.get("quality")) else []),
        ("rows", _rows(curves, file)),
        ("objects", f"{len(curves):,} with {len(curves.time):,} observations"),
        ("bands", _bands(curves) + (f" (by {origin})" if (origin := file.origins.get("band")) else "")),
    ]
    return _grid(rows)


def _with_origin(what: str, origin: str | None) -> str:
    """Return a unit or scale, and where it was found."""
    return f"{what} (by {'the product' if origin is None else origin})"


def _origin_of_times(file: SourceFile) -> str | None:
    """Return where the scale and the unit of the times were found."""
    scale, unit = file.origins.get("time scale"), file.origins.get("time unit")
    return scale and f"{scale}; days by {unit}"


def _rows(curves: LightCurves, file: SourceFile) -> str:
    """Return how many rows were read and used, and why the others were not."""
    table = curves.table_of_objects
    read, flagged = (sum(filter(None, table[name].to_pylist())) for name in ("n_read", "n_flagged"))
    used = int(np.isfinite(curves.value).sum())
    reasons = +file.left_out
    if not any(reason.startswith(BY_QUALITY) for reason in reasons) and flagged:
        reasons["flagged"] = flagged
    left = read - used - sum(reasons.values())
    if left > 0:
        reasons["without a time or brightness, or repeated"] = left
    why = ", ".join(f"{n:,} {reason.rstrip(',')}" for reason, n in reasons.most_common())
    return f"{read:,} read, {used:,} used" + (f"; not used: {why}" if why else "")


def _bands(curves: LightCurves) -> str:
    """Return the number of observations in each band that has some."""
    return ", ".join(f"{name} {len(value):,}" for name, value in _values_by_band(curves).items())


def _brightness(curves: LightCurves) -> str:
    """Return the median of the brightness, and the range without the outermost twentieth at both ends, by band."""
    parts = []
    for name, value in _values_by_band(curves).items():
        value = value[np.isfinite(value)].astype(np.float64)
        if not len(value):
            continue
        low, middle, high = np.quantile(value, (0.05, 0.5, 0.95))
        spread = f" ({low:.5g} to {high:.5g})" if len(value) > 1 else ""
        parts.append(f"{middle:.5g}{spread}" if curves.bands == (NO_BAND,) else f"{name} {middle:.5g}{spread}")
    several = any("(" in part for part in parts)
    return ", ".join(parts) + f" {curves.unit}" + (": median (5 % to 95 %)" if several else "")


def _values_by_band(curves: LightCurves) -> dict[str, NDArray[np.float32]]:
    """Return the brightnesses in each band that has any."""
    values = {name: curves.value[curves.band == i] for i, name in enumerate(curves.bands)}
    return {"unnamed" if name == NO_BAND else name: value for name, value in values.items() if len(value)}


def _summary(curves: LightCurves, stats: Statistics) -> Table:
    """Show the spread of the numbers over many objects, and the faults by kind."""
    table = Table("", "least", "median", "most", box=None, padding=(0, 2), header_style="dim")
    for name, values, show in (
        ("observations", stats.n_obs, lambda x: f"{x:,.0f}"),
        ("span", stats.span, duration),
        ("median cadence", stats.cadence, duration),
        (f"median [{curves.unit}]", stats.median, lambda x: f"{x:.6g}"),
    ):
        finite = values[np.isfinite(values)]
        if len(finite):
            table.add_row(name, *(show(float(q)) for q in np.quantile(finite, (0, 0.5, 1))))
    for kind, (objects, points) in _by_kind(_faults(curves, stats.span)).items():
        table.add_row(Text(kind, style="yellow"), f"{objects:,} objects", f"{points:,} points" if points else "", "")
    return table


def _faults(curves: LightCurves, span: NDArray[np.float64]) -> list[Fault]:
    """Return the faults of light curves, an impossible span (n,) [d] among them."""
    long = np.flatnonzero(np.isfinite(span) & (span > MAX_SPAN))
    kind = f"span of over {duration(MAX_SPAN)}: are the times in seconds, or some of them wrong?"
    return [*curves.faults(), *(Fault(curves.ids[i], kind, 0) for i in long)]


def _by_kind(faults: Sequence[Fault]) -> dict[str, tuple[int, int]]:
    """Return how many objects and points each kind of fault concerns."""
    objects, points = Counter(fault.kind for fault in faults), Counter[str]()
    for fault in faults:
        points[fault.kind] += fault.count
    return {kind: (count, points[kind]) for kind, count in objects.most_common()}


def _detail(curves: LightCurves, stats: Statistics, i: int) -> Table:
    """Show one light curve."""
    one = curves[i]
    row = one.table_of_objects.to_pylist()[0]
    n_read, n_flagged = row["n_read"] or int(stats.n_obs[i]), row["n_flagged"] or 0  # null where a file doesn't tell
    left, n_nan = n_read - n_flagged - int(stats.n_obs[i]), int(stats.n_nan[i])
    points = f"{n_read:,} read, {n_flagged:,} flagged, {left:,} without a measurement, {stats.n_obs[i]:,} kept"
    rows = [("points", points + (f", {n_nan:,} of them NaN or infinite" if n_nan else ""))]
    if stats.n_obs[i]:
        rows.append(("span", f"{duration(stats.span[i])}, from {stats.start[i]:.5f}"))
    if stats.step_offsets[i + 1] > stats.step_offsets[i]:
        rows += [("median cadence", duration(stats.cadence[i])), ("largest gaps", _gaps(stats, i))]
    if len(curves.bands) > 1:
        rows.append(("bands", _bands(one)))
    if np.isfinite(one.value).any():
        rows.append(("brightness", _brightness(one)))
    columns = ("sector", "quarter", "campaign", "camera", "ccd")
    where = [f"{name} {row[name]}" for name in columns if row[name] is not None]
    if row["ra"] is not None and row["dec"] is not None:
        where.append(f"RA {row['ra']:.5f}, Dec {row['dec']:+.5f}")
    rows += [("observed", ", ".join(where))] if where else []
    faults = [f"{f.kind} ({f.count:,})" if f.count else f.kind for f in _faults(one, stats.span[i : i + 1])]
    rows.append(("faults", "; ".join(faults) or "none"))
    return _grid(rows)


def _gaps(stats: Statistics, i: int) -> str:
    """Return the largest gaps of a light curve that are longer than twice its cadence."""
    steps = stats.steps[stats.step_offsets[i] : stats.step_offsets[i + 1]]
    largest = np.sort(steps)[::-1][:GAPS]
    return ", ".join(duration(float(gap)) for gap in largest if gap > 2 * stats.cadence[i]) or "none"


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
    """Draw one light curve in braille characters, bright upwards; return the lines of text.

    Of several bands the one with the most observations is drawn, and named below: their brightnesses differ.

    Parameters
    ----------
    curve : LightCurves
        A batch of one.
    width, height : int
        Size in characters, without the scale at the left.
    """
    valid = np.isfinite(curve.value) & np.isfinite(curve.time) & ~dummy_magnitudes(curve.value, curve.unit)
    if not valid.any():
        return ["(no finite value to draw)"]
    counts = np.bincount(curve.band[valid])
    fullest = int(counts.argmax())
    valid &= curve.band == fullest
    time, value = curve.time[valid], curve.value[valid].astype(np.float64)
    low, high = np.quantile(value, (0.002, 0.998))  # one outlier must not flatten the rest
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
    band = f"band {curve.bands[fullest]}" if np.count_nonzero(counts) > 1 else ""
    return [*lines, " " * (margin + 1) + begin + band.center(width - len(begin) - len(end)) + end]


def _cells(values: NDArray[np.float64], first: float, last: float, n: int) -> NDArray[np.int64]:
    """Return which of n cells from ``first`` to ``last`` each value falls in; the middle one if they are equal."""
    if first == last:
        return np.full(len(values), n // 2)
    return np.clip((values - first) / (last - first) * n, 0, n - 1).astype(np.int64)


def write_png(curve: LightCurves, folder: Path, written: set[Path]) -> None:
    """Draw one light curve into a PNG file named after its star and sector, and add the file to ``written``.

    A file in ``written`` is not overwritten: if the same star comes twice, the second file gets a number.
    """
    from goodricke.evaluation.figures.figure_files import figure_path
    from goodricke.evaluation.figures.objects import draw_light_curve
    from goodricke.evaluation.figures.space_photometry import draw_dense
    from goodricke.evaluation.figures.style import canvas, shorten
    from goodricke.inference import is_dense

    path = figure_path(curve, folder, written)
    with canvas(path, 10, 4) as figure:
        if is_dense(curve)[0]:
            draw_dense(figure, curve, None, shorten(curve.ids[0]))
            return
        figure.suptitle(shorten(curve.ids[0]), parse_math=False)
        draw_light_curve(figure.add_subplot(), curve)
