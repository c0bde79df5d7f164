"""What the explorer's tests share: a catalog with all kinds of columns, its light curves, and a client."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from goodricke.data.lightcurves import LightCurves
from goodricke.explorer.app import create_app
from goodricke.explorer.session import open_explorer

HERE = "http://127.0.0.1"
CLASSES = ("ECL", "PULS", "ROT")
EVIL = 'x"; DROP TABLE rows; --'
N, SEEN = 600, 40  # rows, and those with a light curve


def rows(n: int = N) -> pd.DataFrame:
    """Return rows of a catalog, two for each object, as pandas holds them."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet([0.5, 0.6, 0.7], n).astype(np.float32)
    bad = rng.random(n) < 0.1
    table = pd.DataFrame({"object_id": [f"{k // 2:07d}" for k in range(n)]})
    table["status"] = np.where(bad, "TOO_FEW_POINTS", "OK")
    table["class"] = np.where(bad, None, np.array(CLASSES)[p.argmax(1)])
    for k, name in enumerate(CLASSES):
        table[f"p_{name}"] = np.where(bad, np.nan, p[:, k]).astype(np.float32)
        table[f"std_{name}"] = np.where(bad, np.nan, 0.1 * p[:, k]).astype(np.float32)
    table["p_max"] = table[[f"p_{name}" for name in CLASSES]].max(axis=1)
    table["novelty"] = np.where(bad, np.nan, rng.random(n)).astype(np.float32)
    table["prediction_set"] = [None if b else list(np.array(CLASSES)[q > 0.2]) for b, q in zip(bad, p, strict=True)]
    told = zip(bad, p, strict=True)
    table["embedding"] = [None if b else np.r_[q, rng.normal(size=3)].astype(np.float32) for b, q in told]
    table["n_obs"] = rng.integers(5, 500, n).astype(np.int32)
    table["sector"] = (np.arange(n) % 2).astype(np.int32)
    table["source_id"] = (1 << 60) + np.arange(n)
    table["is_star"] = rng.random(n) < 0.5
    table["ra"], table["dec"] = rng.uniform(0, 360, n), rng.uniform(-90, 90, n)
    table["f1"], table["A1"] = 10 ** rng.uniform(-2, 1.3, n), 10 ** rng.uniform(-4, 0, n)
    table["phot_g_mean_mag"], table["bp_rp"] = rng.normal(14, 1, n), rng.normal(1, 0.3, n)
    table["parallax"], table["parallax_error"] = rng.gamma(2, 1, n), 0.05
    table["label"] = "theirs"
    table["teff"], table["Teff"] = rng.normal(6000, 500, n), 1.0  # DuckDB's names have no case
    table[EVIL] = rng.normal(size=n)
    table.loc[7, EVIL] = np.inf
    table["model"], table["model_hash"] = "nobody's", "0123456789ab"
    return table


def folder_of(table: pd.DataFrame, folder, parts: int = 3):
    """Write rows as a folder of Parquet files."""
    folder.mkdir(parents=True)
    whole = pa.Table.from_pandas(table, preserve_index=False)
    whole = whole.set_column(
        whole.schema.get_field_index("embedding"),
        "embedding",
        pa.array(table["embedding"].tolist(), pa.list_(pa.float32(), 6)),
    )
    cuts = np.linspace(0, len(table), parts + 1).astype(int)
    for k, (a, b) in enumerate(pairwise(cuts)):
        pq.write_table(whole.slice(a, b - a), folder / f"shard-{k}.parquet", row_group_size=64)
    return folder


def curves_of(table: pd.DataFrame, bands=("g", "r")) -> LightCurves:
    """Return light curves of the first rows: sines of their f1, the mean magnitude tells the row."""
    rng = np.random.default_rng(1)
    time = 58000 + np.sort(rng.uniform(0, 30, (SEEN, 80)), axis=1)
    f1 = np.clip(table["f1"].to_numpy()[:SEEN], 0.2, 8)[:, None]
    value = 10 + np.arange(SEEN)[:, None] + 0.3 * np.sin(2 * np.pi * f1 * time) + rng.normal(0, 0.01, time.shape)
    curves = LightCurves.from_arrays(
        table["object_id"].tolist()[:SEEN],
        80 * np.arange(SEEN + 1),
        time.ravel(),
        value.ravel(),
        np.full(time.size, 0.01),
        rng.integers(0, 2, time.size),
        bands=bands,
        unit="mag",
        time_scale="MJD",
    )
    return curves.with_columns(sector=table["sector"].to_numpy()[:SEEN])


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Keep the user's cache out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def make_world(folder) -> SimpleNamespace:
    """Write a catalog and its light curves; return their paths, and both as pandas and `LightCurves` hold them."""
    table = rows()
    curves = curves_of(table)
    order = np.random.default_rng(2).permutation(SEEN)  # a pack's order isn't the catalog's
    curves[order].write_parquet(folder / "curves.parquet")
    return SimpleNamespace(
        table=table, catalog=folder_of(table, folder / "cat"), curves=curves, pack=str(folder / "curves.parquet")
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Return a catalog as pandas holds it, its folder and its light curves."""
    return make_world(tmp_path_factory.mktemp("explorer"))


@pytest.fixture(scope="module")
def explorer(world, tmp_path_factory):
    """Return an explorer that is open on it."""
    labels = tmp_path_factory.mktemp("labels") / "labels.csv"
    made = open_explorer(world.catalog, light_curves=[world.pack], labels=labels)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(explorer):
    """Return what asks it."""
    return TestClient(create_app(explorer), base_url=HERE)
