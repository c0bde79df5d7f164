"""Files of figures: one for each light curve in a folder, under the same name from every command, or one for all."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from goodricke.data.answer_text import PLACES
from goodricke.data.files import atomic_path
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.evaluation.figures.objects import WIDTH, draw_object, plot_object
from goodricke.evaluation.figures.style import DPI, drawing_settings, figure_name, new_figure

log = logging.getLogger("goodricke")

Draw = Callable[[LightCurves, Predictions, Callable[[int], None]], None]


def figure_path(curve: LightCurves, folder: Path, written: set[Path]) -> Path:
    """Return the file for a light curve's figure, named after its star and sector, and add it to those ``written``.

    If the same name comes twice, the second file gets a number.
    """
    row = curve.table_of_objects.to_pylist()[0] if curve.objects is not None else {}
    place = next((f"_{name}{row[name]}" for name in PLACES if row.get(name) is not None), "")
    stem = curve.ids[0].replace(" ", "_")  # TIC 1 is TIC_1; other changed ids have digits of their hash
    if figure_name(stem) != f"{stem}.png":
        stem = figure_name(curve.ids[0]).removesuffix(".png")
    names = (folder / f"{stem}{place}{f'-{again}' if again > 1 else ''}.png" for again in itertools.count(1))
    path = next(name for name in names if name not in written)
    written.add(path)
    return path


@contextmanager
def figure_files(folder: Path | None, pdf: Path | None, most: int | None = None) -> Iterator[Draw]:
    """Give a function that draws light curves with their predictions, into a folder, a PDF, or both.

    At most ``most`` light curves are drawn, the first ones; None for all. No failure of a figure stops the others. The
    PDF appears at the end, completely or not at all.
    """
    written, tried = set[Path](), 0
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        pages = None if pdf is None else stack.enter_context(_pages(pdf))

        def draw(curves: LightCurves, predictions: Predictions, tick: Callable[[int], None]) -> None:
            nonlocal tried
            number = len(curves) if most is None else min(len(curves), most - tried)
            tried += number
            tick(0)  # the first figure takes longest
            for i, name in enumerate(curves.ids[:number]):
                row = Predictions(predictions.table.slice(i, 1), predictions.classes)
                try:
                    if folder is not None:
                        plot_object(curves[i], row, figure_path(curves[i], folder, written))
                    if pages is not None:
                        _add_page(pages, curves[i], row)
                except Exception as error:  # a picture is not worth the run
                    log.warning("%s: no figure (%s: %s)", name, type(error).__name__, error)
                tick(1)

        yield draw


@contextmanager
def _pages(pdf: Path) -> Iterator[Any]:
    """Give the pages of a PDF file."""
    from matplotlib.backends.backend_pdf import PdfPages

    pdf.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(pdf) as partial, PdfPages(partial, metadata={"CreationDate": None}) as pages:
        yield pages


def _add_page(pages: Any, curve: LightCurves, predictions: Predictions) -> None:
    with drawing_settings():
        figure = new_figure(WIDTH, 6)
        draw_object(figure, curve, predictions)
        pages.savefig(figure, dpi=DPI)
