"""Predictions with embeddings that tests make up: groups on the sphere, one class each."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.data.predictions import Predictions
from tests.making import predictions_of

CLASSES = ("EA", "EB", "RRAB")


def groups(n: int = 90, d: int = 6, seed: int = 0, failed: float = 0.1, noise: float = 0.3, **more) -> Predictions:
    """Return predictions about n objects, whose embedding lies about a direction of its class."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % len(CLASSES)
    centre = 3 * np.linalg.qr(rng.normal(size=(d, d)))[0][: len(CLASSES)]
    embedding = centre[label] + noise * rng.normal(size=(n, d))
    p = np.eye(len(CLASSES))[label] * 0.5 + rng.dirichlet(np.ones(len(CLASSES)), n) * 0.5
    status = np.where(rng.random(n) < failed, "TOO_FEW_POINTS", "OK")
    ids = more.pop("ids", [f"S{i:05d}" for i in range(n)])
    options = {"embedding": embedding, "model": "tiny", "model_hash": "0123456789ab"} | more
    made = predictions_of(ids, status, CLASSES, p, np.full(n, 50), **options)
    names = pa.array(np.array(CLASSES)[label])
    return Predictions(made.table.append_column("label", names), made.classes)


def written(path: Path, **options) -> Path:
    """Write `groups` to a file and return its path."""
    groups(**options).write(path)
    return path


def embedding_of(path: Path) -> tuple[list[str], np.ndarray]:
    """Return ids and embeddings of the classified rows of a file, read plainly."""
    table = pq.read_table(path)
    table = table.filter(pa.array([s == "OK" for s in table["status"].to_pylist()]))
    return table["object_id"].to_pylist(), np.stack(table["embedding"].to_numpy())
