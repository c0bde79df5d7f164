"""Catalogs of predictions that tests make up, and when two of them are the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.data.formats import Rows
from goodricke.data.predictions import Predictions
from goodricke.survey.shards import completed_shards
from tests.making import predictions_of

CLASSES = ("EA", "RRAB", "ROT")


def predictions(n: int = 60, stars: int | None = None, seed: int = 0, failed: float = 0.2) -> Predictions:
    """Return predictions about n light curves of some stars, with positions, a sector and an embedding."""
    rng = np.random.default_rng(seed)
    star = rng.integers(0, stars, n) if stars else np.arange(n)
    objects = pa.table(
        {
            "sector": pa.array(rng.integers(1, 90, n), pa.int32()),
            "tic_id": pa.array(star + 10**9, mask=rng.random(n) < 0.1),
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        }
    )
    p = rng.dirichlet(np.ones(len(CLASSES)) / 2, n)
    status = np.where(rng.random(n) < failed, "TOO_FEW_POINTS", "OK")
    return predictions_of(
        [f"S{s:07d}" for s in star],
        status,
        CLASSES,
        p,
        rng.integers(5, 500, n),
        spread=p / 10,
        mutual_information=p[:, 0] / 5,
        embedding=rng.normal(size=(n, 4)),
        model="tiny",
        model_hash="0123456789ab",
        objects=objects,
        parameters={"period": rng.uniform(0.1, 10, n)},
    )


def rows(found: Predictions, **about: str) -> Rows:
    return Rows.from_table(found.table, {**found.metadata, **about})


def assert_same_shards(one: Path, two: Path) -> None:
    """Assert that two catalogs have the same shards, but for rounding.

    A process that did much else before was seen to round otherwise (1e-8) than a new one: why is not known.
    """
    names = [entry.shard for entry in completed_shards(one)]
    assert names == [entry.shard for entry in completed_shards(two)]
    assert len(names) > 3
    for name in names:
        here, there = (pq.read_table(path / name).to_pandas() for path in (one, two))
        here, there = (x.drop(columns="embedding").join(x["embedding"].apply(pd.Series)) for x in (here, there))
        pd.testing.assert_frame_equal(here, there, rtol=1e-5, atol=1e-6)
