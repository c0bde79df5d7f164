"""``goodricke examine``: a catalog compared with data that its model didn't get; figures, numbers and a report."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from goodricke.data.files import atomic_path, atomic_write
from goodricke.data.json import json_values
from goodricke.evaluation.page import Page, to_html, to_markdown
from goodricke.io import read_labels
from goodricke.survey.crossmatch import (
    RADIUS,
    Crossmatch,
    crossmatch,
    is_hats,
    labels_of_objects,
    read_near,
    read_table,
)
from goodricke.survey.examine import numbers, sections
from goodricke.survey.examine.figures import STACKED, draw_at_most
from goodricke.survey.examine.sample import CUTS, CatalogSample, join_columns, match_light_curves
from goodricke.survey.shards import Catalog
from goodricke.survey.variability import measure_variability, read_variability
from goodricke.training.class_names import ClassMatch, match_classes

log = logging.getLogger("goodricke")

SPECTRUM_CUT = 0.5  # lowest probability of a drawn spectrum; independent of the cuts, which can be changed later
PULSATORS = ("DSCT", "GDOR")  # the pair whose hybrids the paper looks for


@dataclass(frozen=True)
class Examination:
    """The result of `examine`."""

    folder: Path
    sample: CatalogSample
    results: dict[str, Any]  # as in examination.json


def examine(
    catalog: str | Path,
    out: str | Path,
    *,
    light_curves: str | Sequence[str] | None = None,
    gaia: str | Path | None = None,
    labels: str | Path | None = None,
    cuts: Sequence[float] = CUTS,
    workers: int = 1,
    radius: float = RADIUS,
    by: str = "auto",
    pair: tuple[str, str] | None = None,
    label: str | None = None,
    object_id: str | None = None,
    rename: Mapping[str, str] | None = None,
    console: Console | None = None,
    **options: Any,
) -> Examination:
    """Compare a catalog with frequencies, amplitudes, temperatures, luminosities and labels (section 7 of the paper).

    Parameters
    ----------
    catalog : path
        See `goodricke.survey.Catalog.open`.
    out : path
        Folder for ``report.html``, its twins ``report.md`` and ``examination.json``, ``figures/``, ``joined.parquet``
        (the catalog with all joined columns), ``hybrids.csv`` and ``periods/`` (see
        `goodricke.survey.variability.measure_variability`; an interrupted run goes on there).
    light_curves : str or list of str, optional
        What the catalog was made from, for f1, A1 and amplitude spectra.
    gaia : path, optional
        Table of stars, see `goodricke.survey.crossmatch`; ``radius`` [arcsec] and ``by`` are passed on.
    labels : path, optional
        Table of known classes, see `goodricke.io.read_labels`; ``label``, ``object_id`` name its columns,
        ``rename`` gives labels the names of the model's classes.
    cuts : list of float
        Probabilities from which on a star counts as one of its class.
    workers : int
        Processes for the periodograms.
    pair : tuple of str, optional
        Two classes between which hybrids are looked for; if the model has one class of each of `PULSATORS`, those two;
        else the two most probable ones of each star.
    console : rich.console.Console, optional
    **options
        Of the readers, see `goodricke.io.ReadOptions`.

    Raises
    ------
    ValueError
        If a file is not what it should be, or does not belong to the catalog.
    """
    console, out = console or Console(), Path(out)
    opened = Catalog.open(catalog)
    names = [n for n in opened.schema.names if n != "embedding"]
    table, cuts = opened.read(names), _sort_cuts(cuts)
    bare = CatalogSample(table, opened.classes, np.full(table.num_rows, -1), cuts, _pair(pair, opened.classes))
    spectra = None
    results: dict[str, Any] = {"catalog": str(catalog), "rows": len(bare), "cuts": list(cuts)}
    if light_curves is not None:
        table, spectra = _with_periods(bare, light_curves, out / "periods", workers, console, results, options)
    if gaia is not None:
        table = _with_stars(table, bare, gaia, radius, by, results)
    known = np.full(table.num_rows, -1)
    if labels is not None:
        label_table = read_labels(labels, label, object_id)
        match = match_classes(labels_of_objects(table["object_id"], label_table), opened.classes, rename)
        known = match.class_index
        _check_labels(match, str(labels), label_table["object_id"].tolist(), table["object_id"], opened.classes)
        counts = {"used": int((known >= 0).sum()), "no_class_of_the_model": match.unmatched}
        results["labels"] = {"file": str(labels), **counts}
    sample = CatalogSample(table, opened.classes, known, cuts, bare.pair)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "joined.parquet") as partial:
        pq.write_table(table, partial, compression="zstd")
    return _write_report(sample, opened, spectra, out, results)


def parse_cuts(text: str) -> list[float]:
    """Return the probabilities of ``0.5,0.8``.

    Raises
    ------
    ValueError
        If they are no numbers.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--cuts {text}: write probabilities with commas between, 0.5,0.8") from None


def parse_pair(text: str | None) -> tuple[str, str] | None:
    """Return the two classes of ``DSCT_BCEP,GDOR_SPB``.

    Raises
    ------
    ValueError
        If there are not two.
    """
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if text is not None and len(parts) != 2:
        raise ValueError(f"--pair {text}: name two classes, DSCT_BCEP,GDOR_SPB")
    return (parts[0], parts[1]) if parts else None


def _with_periods(
    bare: CatalogSample,
    light_curves: str | Sequence[str],
    folder: Path,
    workers: int,
    console: Console,
    results: dict[str, Any],
    options: Mapping[str, Any],
) -> tuple[pa.Table, sections.Spectra]:
    """Return the catalog with f1, A1, ..., and amplitude spectra of some stars of each class."""
    drawn = _spectra_rows(bare)
    ids = bare.table["object_id"].take(drawn).to_pylist()
    bar = (TextColumn("periodograms"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bar, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(bare))
        measure_variability(
            light_curves,
            folder,
            with_spectrum=ids,
            workers=workers,
            tick=lambda n: progress.advance(task, n),
            **options,
        )
    measured = read_variability(folder)
    rows = match_light_curves(bare.table, measured)
    matched = int((rows >= 0).sum())
    if not matched and len(bare):
        raise ValueError(
            f"none of the {len(measured):,} light curves is in the catalog: their ids look like "
            f"{measured['object_id'][:3].to_pylist()}, the catalog's like {bare.table['object_id'][:3].to_pylist()}; "
            "give the light curves that it was made from"
        )
    if matched < len(bare):
        log.warning("%d of %d rows of the catalog have no light curve there", len(bare) - matched, len(bare))
    with_f1 = int(len(measured) - measured["f1"].null_count)
    results["periods"] = {"light_curves": len(measured), "rows_with_one": matched, "with_f1": with_f1}
    places = rows[drawn]
    spectra = sections.Spectra.from_column(measured["spectrum"], drawn[places >= 0], places[places >= 0])
    return join_columns(bare.table, measured.drop_columns(["spectrum"]), rows), spectra


def _spectra_rows(sample: CatalogSample) -> NDArray[np.int64]:
    """Return the light curves whose spectra are drawn: one of each of `STACKED` stars of a class, at random."""
    parts = [
        draw_at_most(np.flatnonzero(sample.of_class(k, SPECTRUM_CUT)), STACKED) for k in range(len(sample.classes))
    ]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _with_stars(
    table: pa.Table, bare: CatalogSample, path: str | Path, radius: float, by: str, results: dict[str, Any]
) -> pa.Table:
    """Return the catalog with the columns of a table of stars."""
    ids, ra, dec = table["object_id"].combine_chunks().cast(pa.string()), bare.numbers("ra"), bare.numbers("dec")
    stars = read_near(path, ra, dec, radius) if is_hats(path) else read_table(path)
    match: Crossmatch = crossmatch(ids, ra, dec, stars, radius, "position" if is_hats(path) else by)
    counts = {"stars": match.stars, "matched": match.matched, "columns": match.table.column_names}
    results["crossmatch"] = {"table": str(path), "how": match.how, **counts}
    if not match.matched:
        log.warning("%s: no star of the catalog matches (%s)", path, match.how)
    for name in match.table.column_names:
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, match.table[name])
    return table


def _write_report(
    sample: CatalogSample, catalog: Catalog, spectra: sections.Spectra | None, out: Path, results: dict[str, Any]
) -> Examination:
    """Draw the figures and write the report."""
    figures = out / "figures"
    embeddings = sections.embeddings_of(catalog, sample)
    parts = sections.all_sections(sample, spectra, embeddings, figures, results)
    _write_hybrids(numbers.hybrid_rows(sample), out / "hybrids.csv")
    title, facts = f"Examination of {Path(results['catalog']).name}", sections.facts(sample, catalog, results)
    page = Page(title, facts, parts, numbers="examination.json")
    for name, text in (
        ("report.html", to_html(page)),
        ("report.md", to_markdown(page, out)),
        ("examination.json", json.dumps(json_values(results), indent=2) + "\n"),
    ):
        atomic_write(out / name, text)
    return Examination(out, sample, results)


def _write_hybrids(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    names = ("object_id", "first", "second", "p_first", "p_second", "share")
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _sort_cuts(cuts: Sequence[float]) -> tuple[float, ...]:
    values = tuple(sorted(set(map(float, cuts))))
    if not values or values[0] < 0 or values[-1] > 1:
        raise ValueError(
            f"probability cuts are from 0 to 1, such as 0.5,0.8, not {', '.join(map(str, cuts)) or 'none'}"
        )
    return values


def _pair(pair: tuple[str, str] | None, classes: Sequence[str]) -> tuple[str, str] | None:
    """Return the pair of classes between which hybrids are looked for."""
    if pair is not None:
        unknown = [name for name in pair if name not in classes]
        if unknown or pair[0] == pair[1]:
            raise ValueError(f"a pair is two of the classes {', '.join(classes)}, not {' and '.join(pair)}")
        return pair
    candidates = [[name for name in classes if name.upper().startswith(kind)] for kind in PULSATORS]
    return (candidates[0][0], candidates[1][0]) if all(len(names) == 1 for names in candidates) else None


def _check_labels(
    match: ClassMatch, path: str, label_ids: Sequence[str], ids: pa.ChunkedArray, classes: Sequence[str]
) -> None:
    """Refuse labels of other stars; warn of labels that are no class of the model."""
    if match.unmatched:
        listed = ", ".join(f"{name} ({count:,})" for name, count in match.unmatched.items())
        log.warning("%s: no class of the model, left out: %s; see --rename", path, listed)
    if len(ids) and not (match.class_index >= 0).any():
        why = f"the labels are {', '.join(match.unmatched)}, the classes {', '.join(classes)}; see --rename"
        if not match.unmatched:
            examples = label_ids[:3], ids[:3].to_pylist()
            why = f"its ids look like {examples[0]}, the catalog's like {examples[1]}; see --object-id"
        raise ValueError(f"{path}: no star of the catalog gets a class by these labels: {why}")
