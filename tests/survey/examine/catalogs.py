"""Catalogs and a table of stars that tests make up: nothing here is a real star."""

from functools import cache

import numpy as np
import pyarrow as pa

from goodricke.survey.examine.sample import CatalogSample
from tests.making import predictions_of

CLASSES = ("DSCT_BCEP", "GDOR_SPB", "RRLYR_CEPH")
FREQUENCY = np.array([15.0, 1.5, 1.8])  # [1/d], typical of each class


def catalog(n: int = 300, seed: int = 0, **columns) -> pa.Table:
    """Return predictions of n light curves, the last tenth not classified, two light curves of every star."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.4, 0.4, 0.2], n) if n else np.zeros((0, 3))
    status = np.where(np.arange(n) < 0.9 * n, "OK", "TOO_FEW_POINTS")
    objects = {"sector": pa.array(14 + np.arange(n) % 2, pa.int32()), "camera": pa.array(np.arange(n) // 2 % 4)}
    objects |= {"ra": np.repeat(rng.uniform(0, 360, n), 2)[:n], "dec": np.repeat(rng.uniform(-60, 60, n), 2)[:n]}
    return predictions_of(
        [f"S{k // 2}" for k in range(n)],
        status,
        CLASSES,
        p,
        np.full(n, 100),
        embedding=rng.normal(size=(n, 4)) + 5 * p[:, :1],
        model="made-up",
        model_hash="0",
        objects=pa.table({name: pa.array(x) for name, x in (objects | columns).items()}),
    ).table


def with_stars(table: pa.Table, seed: int = 0) -> pa.Table:
    """Return a catalog with frequencies, amplitudes and what Gaia measures, made up class by class."""
    rng, n = np.random.default_rng(seed), len(table)
    k = np.array([CLASSES.index(name) if name else 0 for name in table["class"].to_pylist()], int)
    teff = np.array([8000.0, 7000.0, 6500.0])[k] * rng.normal(1, 0.05, n)
    columns = {
        "f1": FREQUENCY[k] * rng.lognormal(0, 0.2, n),
        "A1": rng.lognormal(-4, 1, n),
        "span": np.full(n, 27.0),
        "gaia_teff_gspphot": teff,
        "gaia_phot_g_mean_mag": rng.uniform(8, 13, n),
        "gaia_bp_rp": (8500 - teff) / 3000,
        "gaia_parallax": rng.lognormal(0.5, 0.5, n),
        "gaia_parallax_error": np.full(n, 0.05),
        "gaia_ag_gspphot": rng.exponential(0.2, n),
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    return table


def sample(table: pa.Table, labelled: float = 0.3, **about) -> CatalogSample:
    """Return a sample in which a share of the light curves is labelled with what they were taken for."""
    found = CatalogSample(table, CLASSES, np.full(len(table), -1), **about)
    rng = np.random.default_rng(1)
    label = np.where(rng.random(len(table)) < labelled, found.assigned, -1)
    return CatalogSample(table, CLASSES, label, **about)


def nulled(table: pa.Table) -> pa.Table:
    """Return the table with nothing but nulls in every column of numbers."""
    for k, field in enumerate(table.schema):
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            table = table.set_column(k, field.name, pa.nulls(len(table), field.type))
    return table


@cache
def degenerate() -> dict[str, CatalogSample]:
    """Return catalogs that nothing can be drawn of, or hardly anything."""
    table = with_stars(catalog(60))
    one = table.slice(0, 1)
    only = table.filter(pa.array([name == CLASSES[0] for name in table["class"].to_pylist()]))
    same = with_stars(catalog(20))
    for name in ("f1", "A1", "gaia_bp_rp", "gaia_phot_g_mean_mag", "ra", "dec"):
        same = same.set_column(same.column_names.index(name), name, pa.array(np.ones(20)))
    return {
        "usual": sample(table),
        "no row": sample(table.slice(0, 0)),
        "one row": sample(one),
        "one class": sample(only),
        "nothing classified": sample(nulled(table)),
        "nothing joined": sample(catalog(30)),
        "all the same": sample(same),
        "one cut": sample(table, cuts=(0.999999,)),
        "a pair": sample(table, pair=CLASSES[:2]),
    }
