"""Paths of figures as files, below ``/api/figures``: every figure of the page is an address too."""

# No deferred annotations: FastAPI reads those of functions that are defined within functions.

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import Response

from goodricke.explorer import figures
from goodricke.explorer.diagrams import PLOT, PlotSpec
from goodricke.explorer.figures import FigureFormat, figure_bytes
from goodricke.explorer.object_routes import (
    Asked,
    Row,
    find_light_curve,
    find_values,
    probability_history,
)
from goodricke.explorer.periodograms import describe_periodogram
from goodricke.explorer.session import Explorer
from goodricke.explorer.table_routes import CrosstabBody, DiagramBody, HistogramBody
from goodricke.explorer.views import add_view

MEDIA = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
Format = Annotated[FigureFormat, Query()]


class FigureBody(DiagramBody):
    """Points of a diagram as a figure."""

    cells: bool = True
    format: FigureFormat = "png"


class HistogramFigureBody(HistogramBody):
    """A histogram as a figure."""

    format: FigureFormat = "png"


class CrosstabFigureBody(CrosstabBody):
    """A confusion matrix as a figure."""

    format: FigureFormat = "png"


def figure_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api/figures", tags=["explorer"])
    columns = [*explorer.table.columns, "label", "comment"]

    def diagram(name: str, body: FigureBody) -> Response:
        """Return a diagram as a figure."""
        about = explorer.diagrams.diagram(name)
        answer = explorer.diagrams.points(name, body.where, body.most, body.view, body.cells)
        view = body.view or (None,) * 4
        answer["view"] = [end if given is None else given for end, given in zip(answer["box"], view, strict=True)]
        colour = PlotSpec.from_name(name).colour if name.startswith(PLOT) else ""

        def draw(axes: Any) -> None:
            figures.draw_diagram(axes, about, answer, explorer.classes, colour)

        size = "map" if about.kind == "sky" else "square"
        return _file(figure_bytes(draw, size, body.format), about.title, body.format)

    def histogram(body: HistogramFigureBody) -> Response:
        """Return a histogram of a column as a figure."""
        answer = explorer.table.histogram(body.where, body.column, body.bins)
        unit = explorer.table.columns[body.column].unit
        label = f"{body.column} [{unit}]" if unit else body.column
        content = figure_bytes(lambda axes: figures.draw_histogram(axes, answer, label), "wide", body.format)
        return _file(content, f"histogram of {body.column}", body.format)

    def crosstab(body: CrosstabFigureBody) -> Response:
        """Return the number of matching rows with each pair of values of two columns as a figure."""
        answer = explorer.table.crosstab(body.where, body.x, body.y)
        content = figure_bytes(lambda axes: figures.draw_crosstab(axes, answer, body.x, body.y), "matrix", body.format)
        return _file(content, f"{body.x} against {body.y}", body.format)

    add_view(routes, "/diagrams/{name:path}", diagram, columns, response_class=Response)
    add_view(routes, "/histogram", histogram, columns, response_class=Response)
    add_view(routes, "/crosstab", crosstab, columns, response_class=Response)

    @routes.get("/rows/{row}/{what}", response_class=Response)
    def row_figure(
        row: Row,
        what: Literal["light_curve", "folded", "periodogram", "history"],
        asked: Asked,
        format: Format = "png",
        period: Annotated[float | None, Query(gt=0, le=1e6, description="days")] = None,
        band: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Response:
        values = find_values(explorer, row)
        title = str(values["object_id"])
        curve = find_light_curve(explorer, row, title, asked)
        if asked.subtract is not None:
            title += f" less {asked.subtract:.6g} /d"

        def draw(axes: Any) -> None:
            if what == "periodogram":
                dense = explorer.dense_preprocessing
                answer = describe_periodogram(curve, band or None, values.get("class"), dense)
                figures.draw_periodogram(axes, answer, title)
            elif what == "history":
                figures.draw_history(axes, probability_history(explorer, curve), title)
            else:
                figures.draw_light_curve(axes, curve, period if what == "folded" else None, title)

        return _file(figure_bytes(draw, "wide", format), f"{title} {what}", format)

    return routes


def _file(content: bytes, name: str, kind: str) -> Response:
    """Return a file to be saved under a name."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "_" for c in name)[:100] or "figure"
    headers = {"Content-Disposition": f'attachment; filename="{quote(plain)}.{kind}"'}
    return Response(content, media_type=MEDIA[kind], headers=headers)
