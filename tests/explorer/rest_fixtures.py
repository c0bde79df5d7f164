"""For tests of the REST interface: tiny untrained models, a tiny catalog, its light curves, an application."""

from pathlib import Path

import pyarrow as pa
import torch
from fastapi import FastAPI

from goodricke.data.predictions import Predictions
from goodricke.explorer.catalog_routes import catalog_routes
from goodricke.explorer.store import RowStore, open_row_store
from goodricke.models.bundle import BundleConfig, Model, load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import MultibandConfig
from goodricke.service.rest import create_rest_app
from goodricke.survey.shards import Catalog
from tests.making import sky
from tests.survey.embedding_groups import groups

CURVES = sky(6)[0]  # of the first objects of the catalog


def bands_model(folder: Path, name: str = "bands", columns: tuple[str, ...] = ()) -> Model:
    """Save an untrained multi-band model and load it."""
    torch.manual_seed(2)
    preprocessing = MultibandConfig(bands=("g", "r"), brightness="magnitude", columns=columns)
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, hidden=4, head=(8,), context=len(columns)))
    config = BundleConfig(
        name=name,
        family="multiband",
        classes=("A", "B/C", "D"),
        network=network.config.model_dump(),
        preprocessing=preprocessing,
        bands=("g", "r"),
        unit="mag",
    )
    Model(config, network.eval()).save(folder / name, "# bands\n\nUntrained, for tests.\n")
    return load_model(folder / name)


def open_catalog(folder: Path) -> RowStore:
    """Return a tiny catalog whose first objects have light curves, with odd names among the others."""
    odd = ["a/b", "ZTF 18ab cd", "naïve-星", "100%", "../etc", "light_curve", "00", "x?y=1#z"]
    ids = [*CURVES.ids, *odd, *(f"S{i}" for i in range(16)), "S0"]
    made = groups(n=len(ids), ids=ids)
    table = made.table.append_column("sector", pa.array(range(len(ids)), pa.int32()))
    Predictions(table, made.classes).write(folder / "catalog.parquet")
    return open_row_store(Catalog.open(folder / "catalog.parquet"))


def light_curves(object_id: str):
    """Return the light curves of an object, None if there are none."""
    return CURVES[CURVES.ids.index(object_id)] if object_id in CURVES.ids else None


def create_test_app(models: list[Model], catalog: RowStore | None = None) -> FastAPI:
    """Return an application with the REST interface, and a catalog if there is one; the guard has its own tests."""
    app = create_rest_app(models, rows=None if catalog is None else catalog.count)
    app.user_middleware.clear()
    if catalog is not None:
        app.include_router(catalog_routes(catalog, light_curves))
    return app
