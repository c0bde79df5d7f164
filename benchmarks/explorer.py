"""Speed of the explorer's table and diagrams, through its web interface, against pandas with all columns in memory."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.astrafier import Figures
from benchmarks.timing import measure
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.explorer.app import create_app
from goodricke.explorer.session import open_explorer
from goodricke.survey.shards import Entry, Folder, write_shard
from goodricke.uncertainty.entropy import entropy

SHARD = 100_000
CLASSES = ("DSCT", "ECL", "ROT", "RRL", "SOLARLIKE")
CORNERS = 300
HERE = "http://127.0.0.1"
TEXT = 'class in ("ECL", "RRL") and f1 > 0.2 and not bp_rp >= 1'
CONE = {"position": "65 -10", "radius": "1 deg"}
CELLS = {"cells": True, "most": 20_000}
PLOT = "plot:" + json.dumps({"x": "bp_rp", "y": "phot_g_mean_mag + 5*log10(parallax) - 10", "colour": "log10(f1)"})


def run(tiny: bool = False) -> Figures:
    """Measure a catalog of a million made-up rows: its first opening, and the page's requests with their answers.

    "Plain" is pandas doing the same to columns that it has in memory, without anything sent or drawn.
    """
    n = 2000 if tiny else 1_000_000
    with TemporaryDirectory() as folder, mock.patch.dict(os.environ, XDG_CACHE_HOME=str(Path(folder) / "cache")):
        path = catalog_of(Path(folder) / "catalog", n)
        times = []
        for _ in range(2):
            start = time.perf_counter()
            explorer = open_explorer(path)
            times.append(time.perf_counter() - start)
            if len(times) == 1:
                explorer.close()
        try:
            start = time.perf_counter()
            explorer.diagrams.prepare()
            prepared = time.perf_counter() - start
            figures = _measure_requests(
                create_app(explorer), explorer.catalog.read().drop_columns(["embedding"]).to_pandas()
            )
        finally:
            explorer.close()
    figures[f"opening {n:,} rows"] = {
        "first time [s]": times[0],
        "later [s]": times[1],
        "its diagrams, in the background [s]": prepared,
    }
    return figures


def catalog_of(path: Path, n: int) -> Path:
    """Write a catalog of made-up classes, positions, main frequencies and Gaia photometry."""
    rng = np.random.default_rng(0)
    folder = Folder(path, "catalog", {"model": "made up"}).begin()
    for first in range(0, n, SHARD):
        size = min(SHARD, n - first)
        colour, parallax = rng.normal(0.9, 0.4, size), 10 ** rng.normal(-0.3, 0.4, size)
        columns = {
            "ra": rng.uniform(0, 360, size),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, size))),
            "f1": 10 ** rng.normal(0, 0.6, size),
            "A1": 10 ** rng.normal(-1, 0.5, size),
            "phot_g_mean_mag": 4 + 3 * colour + rng.normal(0, 0.6, size) - 5 * np.log10(parallax) + 10,
            "bp_rp": colour,
            "parallax": parallax,
            "parallax_error": np.full(size, 0.02),
        }
        p = rng.dirichlet(np.ones(len(CLASSES)), size)
        output = Output(p, entropy(p), embedding=rng.standard_normal((size, 8), np.float32))
        ids = pa.array([str(10_000_000 + i) for i in range(first, first + size)])
        model, status = ModelId("made up", "0", tuple(CLASSES)), np.full(size, "OK")
        table = Predictions.build(output, model, ids, status, np.full(size, 99), objects=pa.table(columns)).table
        name = f"shard-{first:09d}.parquet"
        written, sha = write_shard(path / name, table, SHARD)
        folder.log(Entry(str(first), name, size, written, sha))
    folder.finish()
    return path


def _measure_requests(app: Any, frame: pd.DataFrame) -> Figures:
    """Return the times of the page's requests."""
    from fastapi.testclient import TestClient
    from matplotlib.path import Path as Polygon

    client = TestClient(app, base_url=HERE)
    angles = np.linspace(0, 2 * math.pi, CORNERS)
    circle = np.stack([65 + 50 * np.cos(angles), -10 + 25 * np.sin(angles)], 1)
    lasso = {"all": [{"inside": {"diagram": "sky", "polygon": circle.tolist()}}]}
    best = [{"column": "p_max", "descending": True}]
    find = {"all": [{"search": "1234"}]}
    ecl = {"all": [{"column": "class", "op": "in", "value": ["ECL"]}]}

    def inside() -> pd.DataFrame:
        return frame[Polygon(circle).contains_points(frame[["ra", "dec"]])]

    def by_text() -> pd.Series:
        return frame["class"].isin(["ECL", "RRL"]) & (frame["f1"] > 0.2) & (frame["bp_rp"] < 1)

    def near() -> Any:
        return np.hypot((frame["ra"] - 65) * math.cos(math.radians(-10)), frame["dec"] + 10) < 1

    def in_cells(x: pd.Series, y: pd.Series) -> Any:
        return np.histogram2d(x, y, (180, 120))

    cases: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
        "first page": ("rows", {}, lambda: frame.head(100)),
        "page of the most probable": ("rows", {"sort": best}, lambda: frame.nlargest(100, "p_max")),
        "page in the middle of these": (
            "rows",
            {"sort": best, "offset": len(frame) // 2},
            lambda: frame.sort_values("p_max", ascending=False).iloc[len(frame) // 2 :][:100],
        ),
        "page of a class": ("rows", {"where": ecl}, lambda: frame[frame["class"] == "ECL"].head(100)),
        "search in ids": ("rows", {"where": find}, lambda: frame[frame["object_id"].str.contains("1234")].head(100)),
        "counts by class": ("counts", {"by": "class"}, lambda: frame["class"].value_counts()),
        "histogram": ("histogram", {"column": "p_max"}, lambda: np.histogram(frame["p_max"], 50)),
        "Hertzsprung-Russell diagram": ("diagrams/hr", {}, lambda: frame.sample(min(20_000, len(frame)))),
        f"page of a lasso of {CORNERS} corners": ("rows", {"where": lasso}, lambda: inside().head(100)),
        "diagram of that lasso": ("diagrams/hr", {"where": lasso}, lambda: inside().head(20_000)),
        "page of a filter as text": (
            "rows",
            {"where": {"all": [{"filter": TEXT}]}},
            lambda: frame[by_text()].head(100),
        ),
        "page of a regular expression": (
            "rows",
            {"where": {"all": [{"column": "object_id", "op": "matches", "value": "^1.*77$"}]}},
            lambda: frame[frame["object_id"].str.contains("^1.*77$")].head(100),
        ),
        "page of a cone": ("rows", {"where": {"all": [{"cone": CONE}]}}, lambda: frame[near()].head(100)),
        "confusion of two columns": (
            "crosstab",
            {"x": "class", "y": "status"},
            lambda: pd.crosstab(frame["status"], frame["class"]),
        ),
        "density of the whole sky": ("diagrams/equatorial", CELLS, lambda: in_cells(frame["ra"], frame["dec"])),
        "density of f1-A1": ("diagrams/f1_a1", CELLS, lambda: in_cells(np.log10(frame["f1"]), np.log10(frame["A1"]))),
        "density of any axes, coloured": (
            f"diagrams/{quote(PLOT, safe='')}",
            CELLS,
            lambda: in_cells(frame["bp_rp"], frame["phot_g_mean_mag"] + 5 * np.log10(frame["parallax"]) - 10),
        ),
        "the same of a class": (
            f"diagrams/{quote(PLOT, safe='')}",
            CELLS | {"where": ecl},
            lambda: frame[frame["class"] == "ECL"].head(20_000),
        ),
        "place of a row in an order": (
            "position",
            {"sort": best, "row": len(frame) // 3},
            lambda: frame["p_max"].rank(ascending=False)[len(frame) // 3],
        ),
    }
    figures = Figures()
    for name, (path, body, plain) in cases.items():

        def send(path: str = path, body: dict[str, Any] = body) -> None:
            client.post(f"/api/{path}", json=body).raise_for_status()

        start = time.perf_counter()
        send()
        first = time.perf_counter() - start
        timing, other = measure(send, 5, warm=False), measure(plain, 3)
        figures[name] = {
            "first time [ms]": 1e3 * first,
            "again [ms]": 1e3 * timing.median("wall"),
            "CPU [ms]": 1e3 * timing.median("cpu"),
            "plain [ms]": 1e3 * other.median("wall"),
        }
    return figures
