"""Speed of nearest neighbours in a catalog, against the memory's limit and scikit-learn, and of suggestions."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.astrafier import Figures
from benchmarks.processes import peak_memory
from benchmarks.timing import copy_rate, default_clock, measure
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.survey.shards import Catalog, Entry, Folder, write_shard
from goodricke.survey.similar import Index, open_index
from goodricke.survey.suggest import suggest
from goodricke.uncertainty.entropy import entropy

SHARD = 100_000
SIZES = {"as ztf-bts": 66, "as plasticc": 144, "as variables": 256}
K = 10


def run(tiny: bool = False) -> Figures:
    """Measure a query of ten neighbours among a million rows, from the warm index, and 50 suggestions.

    Embeddings are made up: 300 groups, coordinates whose variance falls as 1/rank, as that of the shipped models' does
    or more slowly. The limit is the time to read all the embeddings once at the rate of copying memory.
    """
    n = 3000 if tiny else 1_000_000
    figures = Figures()
    for name, d in ({"toy": 8} if tiny else {**SIZES, "no groups": 144}).items():
        with TemporaryDirectory() as folder:
            path = catalog_of(Path(folder) / "catalog", n, d, grouped=name != "no groups")
            figures[f"{n:,} rows of {d}, {name}"] = _queries(path, n, d)
            if name in ("toy", "as plasticc"):
                begun, cpu = time.perf_counter(), time.process_time()
                found = suggest(path, 50)
                taken = time.perf_counter() - begun
                figures[f"50 suggestions among {n:,} rows of {d}"] = {
                    "wall time [s]": taken,
                    "CPU time [s]": time.process_time() - cpu,
                    "suggestions": len(found),
                    "peak memory of all this [GB]": peak_memory(),
                }
    return figures


def catalog_of(path: Path, n: int, d: int, grouped: bool = True) -> Path:
    """Write a catalog of made-up embeddings."""
    rng = np.random.default_rng(0)
    scale = (1 / np.sqrt(np.arange(1, d + 1)) if grouped else np.ones(d)).astype(np.float32)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0].astype(np.float32)
    centre = rng.standard_normal((300, d), np.float32)
    folder = Folder(path, "catalog", {"model": "made up"}).begin()
    for first in range(0, n, SHARD):
        size = min(SHARD, n - first)
        x = rng.standard_normal((size, d), np.float32)
        x = 0.5 * x + centre[rng.integers(0, 300, size)] if grouped else x
        p = rng.dirichlet(np.ones(5), size)
        ids = pa.array([f"object {i}" for i in range(first, first + size)])
        output = Output(p, entropy(p), embedding=(x * scale) @ turn)
        model = ModelId("made up", "0", tuple("ABCDE"))
        table = Predictions.build(output, model, ids, np.full(size, "OK"), np.full(size, 99)).table
        name = f"shard-{first:09d}.parquet"
        written, sha = write_shard(path / name, table, SHARD)
        folder.log(Entry(str(first), name, size, written, sha))
    folder.finish()
    return path


def _queries(path: Path, n: int, d: int) -> dict[str, Any]:
    """Return the times of building the index and of a query, beside the limit and scikit-learn's."""
    from sklearn.neighbors import NearestNeighbors

    begun = time.perf_counter()
    index = open_index(Catalog.open(path))
    building = time.perf_counter() - begun
    rng = np.random.default_rng(1)
    asked = index.vectors(rng.integers(0, n, 50))
    plain = whole(index)
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(plain)
    turn = iter(np.tile(np.arange(50), 40))

    def query() -> np.ndarray:
        row = next(turn)
        return index.nearest(asked[row : row + 1], K)[1]

    clock = default_clock("cpu")
    ours = measure(query, 25)
    name = index.table["object_id"][n // 2].as_py()
    found = measure(lambda: index.rows_of(name), 9).median(clock)
    theirs = measure(lambda: brute.kneighbors(asked[:1]), 3).median(clock)
    distance = np.square(brute.kneighbors(asked[:1])[0][0]) / 2
    limit = plain.nbytes / (copy_rate() * 1e9)
    return {
        "building the index [s]": building,
        f"query, {clock} time [ms]": 1e3 * ours.median(clock),
        "query, fastest wall time [ms]": 1e3 * min(ours.wall),
        "finding the id [ms]": 1e3 * found,
        "scikit-learn [ms]": 1e3 * theirs,
        "scikit-learn / query": theirs / ours.median(clock),
        "limit, all read once [ms]": 1e3 * limit,
        "query / limit": ours.median(clock) / limit,
        "largest difference of a distance": float(np.abs(index.nearest(asked[:1], K)[1][0] - distance).max()),
    }


def whole(index: Index) -> np.ndarray:
    """Return all unit vectors of an index, (n, d)."""
    return index.vectors(np.arange(len(index)))
