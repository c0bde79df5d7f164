"""A survey of made-up sines, a model of each family trained on it, and strict figures."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from goodricke.evaluation import held_out
from goodricke.training.recipe import read_recipe
from tests.quick import leave_out_forests

QUIET = Console(quiet=True)
DATA = """
light_curves = "curves.csv"
labels = "labels.csv"
fewest = 10
drop = ["odd"]
"""
BANDS = """
name = "bands"
run = "bands"
[data]
{DATA}
[data.targets.period]
column = "P"
log = true
unit = "d"
[preprocessing]
kind = "multiband"
bands = ["g", "r"]
columns = ["photoz"]
[network]
hidden = 4
head = [8]
[training]
epochs = 2
batch = 16
[training.ensemble]
warmup_batches = 2
"""
FOLDED = """
name = "folded"
run = "folded"
[data]
{DATA}
[preprocessing]
kind = "folded"
bins = 16
[network]
embed = 8
heads = 2
hidden = 8
blocks = 1
kernels = [3]
[training]
epochs = 1
batch = 16
passes = 2
"""


@pytest.fixture(scope="package", autouse=True)
def _small_reports() -> Iterator[None]:
    """Draw few panels in the report's figures with a panel for each object or feature, which take half of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("goodricke.evaluation.report.classes.MISTAKES", 2)
        patch.setattr("goodricke.evaluation.report.properties.DRAWN", 2)
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with slow and fast sines in two bands, their labels and a trained model of each family."""
    home, rng = tmp_path_factory.mktemp("survey"), np.random.default_rng(1)
    rows, labels = [], []
    for k in range(82):
        slow, n = k % 2, rng.integers(25, 45) if k < 80 else 2  # two light curves are too short
        time, period = np.sort(rng.uniform(0, 100, n)), (30.0 if slow else 3.0) * rng.uniform(0.9, 1.1)
        mag = 15 + np.sin(2 * np.pi * time / period) * (1 if slow else 0.3)
        band = rng.choice(["g", "r"], n)
        rows.append(pd.DataFrame({"oid": f"s{k}", "mjd": 58000 + time, "band": band, "mag": mag, "magerr": 0.02}))
        name = "odd" if k < 4 else "slow" if slow else "fast"
        labels.append((f"s{k}", name, period if k % 3 else None, 0.1 * slow, 10.0 + k, -20.0))
    pd.concat(rows).to_csv(home / "curves.csv", index=False)
    table = pd.DataFrame(labels, columns=["oid", "class", "P", "photoz", "ra", "dec"])
    table.assign(period=table["P"]).to_csv(home / "labels.csv", index=False)
    (home / "bands.toml").write_text(BANDS.format(DATA=DATA))
    (home / "folded.toml").write_text(FOLDED.format(DATA=DATA))
    with pytest.MonkeyPatch.context() as patch:
        leave_out_forests(patch)
        for name in ("bands", "folded"):
            held_out.run_recipe(read_recipe(home / f"{name}.toml"), console=QUIET)
    return home


@pytest.fixture
def network_only(monkeypatch: pytest.MonkeyPatch, drawn: list[Figure]) -> None:
    """Train networks without the forests beside them and without rendering figures."""
    leave_out_forests(monkeypatch)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the figures that a test draws; they are not rendered, their files are empty."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: Path, **_: object) -> None:
        figures.append(figure)
        path.touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture
def loud() -> Iterator[None]:
    """Lay figures out, and turn matplotlib's warnings (clashing limits, squeezed layouts) into failures."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("goodricke.evaluation.figures.style.LAYOUT", "constrained")
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield
