"""The paper's Kepler experiment from download to model, on a small archive made of a real light curve."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.evaluation.held_out import run_recipe
from goodricke.models.bundle import load_model
from goodricke.training.recipe import read_recipe
from tests.download.server import kepler_file, kepler_path
from tests.quick import leave_out_forests

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "kepler-q9.toml"
CLASSES = ("APERIODIC", "CONTACT_ROT", "DSCT_BCEP", "ECLIPSE", "GDOR_SPB", "RRLYR_CEPH", "SOLARLIKE")


def wave(real: bytes, period: float, amplitude: float, ra: float) -> bytes:
    """Return the real file with a sine in its flux, at another position."""
    with fits.open(io.BytesIO(real)) as hdus:
        table = hdus[1].data
        scale = np.nanmedian(table["PDCSAP_FLUX"]) * amplitude
        table["PDCSAP_FLUX"] += scale * np.sin(2 * np.pi * np.nan_to_num(table["TIME"]) / period)
        for hdu in hdus:
            hdu.header["RA_OBJ"] = ra
        out = io.BytesIO()
        hdus.writeto(out)
    return out.getvalue()


def test_the_recipe_says_what_the_paper_says():
    recipe = read_recipe(RECIPE)
    assert (recipe.data.test, recipe.data.validation) == (0.2, 0.1)
    training = recipe.training
    assert (training.epochs, training.batch, training.rate, training.head_rate) == (250, 128, 1e-4, 1e-3)
    assert (training.betas, training.weight_decay, training.weight_power) == ((0.9, 0.95), 1e-5, 1)
    assert (recipe.preprocessing.clip_sigma, recipe.preprocessing.detrend) == (None, None)
    assert recipe.preprocessing.frames == round(27.4 * 24 * 60 / 29.425)
    assert recipe.network == {}


@pytest.fixture
def archive(server, real_kepler, shared):
    """Fill the archive with a few stars of each class of the real list; return their lines of the list."""
    lines = (shared / "data" / "labels" / "keplerq9v2_targets.txt").read_text().splitlines()
    table = pd.DataFrame([line.split(",") for line in lines if line[0] != "#"], columns=["kic", "label"])
    real = table["kic"].str.isdigit()
    some = pd.concat([table[real].groupby("label").head(6), table[~real].groupby("label").head(3)])
    for number, (kic, label) in enumerate(some.itertuples(index=False)):
        if kic.isdigit():
            period = 0.1 * 1.7 ** (sorted(table["label"].unique()).index(label))
            body = wave(real_kepler, period, 0.1 + 0.01 * (number % 6), 280 + number / 10)
            server[kepler_path(int(kic))] = kepler_file(body, int(kic))
    return "\n".join(lines[:4] + [f"{kic},{label}" for kic, label in some.itertuples(index=False)]) + "\n"


def test_download_then_train(archive, server, tmp_path, monkeypatch):
    leave_out_forests(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GOODRICKE_ARCHIVE_URL", server.url)
    (tmp_path / "keplerq9v2_targets.txt").write_text(archive)
    words = "download kepler --quarter 9 --targets keplerq9v2_targets.txt --out kepler-q9"  # as the recipe has it
    done = CliRunner().invoke(app, [*words.split(), "--rate", "500"])
    assert done.exit_code == 3, done.output  # the simulated ones
    text = json.loads((tmp_path / "kepler-q9" / "manifest.json").read_text())
    assert text["missing"] == {"no target": 6}  # constant_0, ..., fakerrlyr_0, ...
    assert text["rows"] == 6 * 8
    (tmp_path / "recipes").mkdir()
    recipe = read_recipe(shutil.copy(RECIPE, tmp_path / "recipes"))
    small = {"epochs": 2, "batch": 16, "passes": 2, "warmup": 0.5}
    recipe = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"fewest": 3}),
            "network": {"embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7)},
            "training": recipe.training.model_copy(update=small),
        }
    )
    run_recipe(recipe)
    model = load_model(tmp_path / "runs" / "kepler-q9" / "model")
    assert model.classes == CLASSES
    assert (tmp_path / "runs" / "kepler-q9" / "metrics.json").exists()
    split = pd.read_csv(tmp_path / "runs" / "kepler-q9" / "split.csv")
    assert len(split) == 6 * len(CLASSES)
