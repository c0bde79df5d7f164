"""Figures for a notebook or a prompt: what ``plot`` of light curves, predictions and periodograms draws."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.evaluation.figures import objects
from goodricke.evaluation.figures.style import drawing_settings, new_figure
from goodricke.preprocess.periods import Periodogram, PeriodSearch

WIDE, HIGH = 8.0, 3.0  # inches, of a single panel


@contextmanager
def _axes(ax: Any) -> Iterator[Any]:
    """Give the caller's axes, or those of a new figure."""
    with drawing_settings():
        yield new_figure(WIDE, HIGH).add_subplot() if ax is None else ax


def draw_one(curve: LightCurves, ax: Any = None) -> Any:
    """Draw a light curve, or, if it is folded, its phases; return the figure."""
    with _axes(ax) as axes:
        if curve.time_scale == "phase":
            objects.draw_phases(axes, curve)
        else:
            objects.draw_light_curve(axes, curve)
        axes.set_title(curve.ids[0], loc="left", parse_math=False)
        return axes.figure


def draw_prediction(curve: LightCurves, predictions: Predictions) -> Any:
    """Draw an object with its answer, as `plot_object` does; return the figure."""
    with drawing_settings():
        figure = new_figure(objects.WIDTH, 6)
        objects.draw_object(figure, curve, predictions)
        return figure


def draw_spectrum(spectrum: Periodogram, period: float | None = None, ax: Any = None) -> Any:
    """Draw a periodogram, and a dashed line at a period [d]; return the figure."""
    with _axes(ax) as axes:
        objects.draw_periodogram(axes, spectrum, period)
        return axes.figure


def periodogram_of(curve: LightCurves, shortest: float = 0.05) -> Periodogram:
    """Return the periodogram of one light curve, cleaned and its bands on one level.

    Raises
    ------
    ValueError
        If nothing can be searched.
    """
    spectrum = objects.compute_periodogram(curve, PeriodSearch(shortest=shortest))
    if spectrum is None:
        raise ValueError(
            f"{curve.ids[0]} has no periodogram: {len(curve.time)} observations, of which five with different "
            f"brightness over more than {shortest:g} d are needed"
        )
    return spectrum


def folding_period(curve: LightCurves, predictions: Predictions) -> float:
    """Return the period [d] to fold an object on: the answered one, or else the highest peak of its periodogram."""
    answered = objects.answered_period(predictions.table.to_pylist()[0])
    return answered or periodogram_of(curve).best
