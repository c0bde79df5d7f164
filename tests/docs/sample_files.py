"""The folder that the pages' commands run in: small light curves under the names that the pages use.

The light curves are the package's examples and simulations; large models are of the right kind, but tiny and untrained:
the pages' commands must work, and other tests check their results.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from astropy.io import fits
from astropy.table import Table

from goodricke.data.examples import example_files
from goodricke.io import read
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.bundle import BundleConfig, Model, read_config
from goodricke.models.hub import SHIPPED
from goodricke.preprocess import DenseConfig, prepare
from goodricke.simulate.sparse import simulate_multiband

TINY = {"embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3, 7)}
CLASSES = ("EW", "MIRA", "RRAB", "RRC", "EB", "DSCT")
MULTIBAND = '[preprocessing]\nkind = "multiband"\n'


def fill(folder: Path, shipped: Path) -> None:
    """Fill a folder with the files that pages name, and another with models under the names of the shipped ones."""
    rng = np.random.default_rng(0)
    examples = Path(example_files()[0]).parent
    shutil.copytree(examples, folder / "mine")
    shutil.copy(examples / "217801.csv", folder / "my_star.csv")
    for name in ("152339", "OBJECT_ID"):
        shutil.copy(examples / "217801.csv", folder / "mine" / f"{name}.csv")
    for name in ("FILES", "new"):
        (folder / name).mkdir()
    _add_short_stars(folder / "mine")
    for name in ("FITS_FOLDER", "F"):
        shutil.copytree(folder / "mine", folder / name)
    for name in ("NEW", "src/goodricke/data/examples/asas"):  # the README's path in a clone
        shutil.copytree(examples, folder / name)
    shutil.copy(folder / "known.csv", folder / "L.csv")
    _write_tables(folder)
    _write_labelled(folder, rng)
    _write_transients(folder)
    _write_tess(folder / "tess", rng)
    (folder / "slurm.toml").write_text('queue = "standard"\ncores = 1\nmemory = "4GB"\nwalltime = "04:00:00"\n')
    _write_models(folder, shipped)


def _add_short_stars(mine: Path) -> None:
    """Add short pieces of the example stars, whose period search is quick, and labels in an observer's words."""
    for path in sorted(mine.glob("*.csv")):
        star = pd.read_csv(path)
        for k in range(1, 3):
            star.iloc[20 * k : 20 * k + 60].to_csv(mine / f"{path.stem}{k}.csv", index=False)
    ids = sorted(path.stem for path in mine.glob("*.csv"))
    words = {"EW": "W UMa", "MIRA": "Mira"}
    classes = [CLASSES[k // 6 % len(CLASSES)] for k in range(len(ids))]
    labels = pd.DataFrame({"id": ids, "label": [words.get(c, c) for c in classes]})
    labels.to_csv(mine.parent / "mine.csv", index=False)
    labels.assign(label=classes).to_csv(mine.parent / "known.csv", index=False)


def _write_tables(folder: Path) -> None:
    """Write several stars in one table with recognised column names, and one star with unknown names."""
    parts = [pd.read_csv(path).assign(star=path.stem) for path in sorted((folder / "mine").glob("2?????.csv"))[:4]]
    stars = pd.concat(parts)
    names = {"hjd": "HJD", "mag": "Vmag", "mag_err": "e_Vmag"}
    stars.rename(columns=names)[["star", *names.values()]].to_csv(folder / "stars.csv", index=False)
    odd = {"hjd": "when", "mag": "how_bright", "mag_err": "give_or_take"}
    parts[0].rename(columns=odd)[list(odd.values())].to_csv(folder / "odd.csv", index=False)


def _write_labelled(folder: Path, rng: np.random.Generator) -> None:
    """Write labelled light curves in one band, and the recipes that name them."""
    rows, labels = [], []
    for k in range(78):
        kind, time = ("RRAB", "EA", "MIRA")[k % 3], np.sort(rng.uniform(0, 100, 40))
        phase = time / (0.5, 1.3, 60.0)[k % 3] % 1
        magnitude = 12 + (0.5 * np.sin(6.28 * phase), 0.8 * (abs(phase - 0.5) < 0.05), 2 * phase)[k % 3]
        noisy = magnitude + rng.normal(0, 0.02, 40)
        rows.append(pd.DataFrame({"id": str(1001 + k), "hjd": 2455000 + time, "mag": noisy, "mag_err": 0.02}))
        rows[-1].to_csv(folder / "new" / f"{1001 + k}.csv", index=False)
        labels.append((1001 + k, kind, 150 + k / 9, 2.2))
    pd.concat(rows).to_csv(folder / "obs.csv", index=False)
    read(folder / "obs.csv").write_parquet(folder / "lightcurves.parquet")
    shutil.copy(folder / "lightcurves.parquet", folder / "labelled.parquet")
    for name in ("labels", "new"):
        pd.DataFrame(labels, columns=["id", "label", "ra", "dec"]).to_csv(folder / f"{name}.csv", index=False)
    head = 'name = "my-model"\nrun = "{run}"\n[data]\nlight_curves = "lightcurves.parquet"\nlabels = "labels.csv"\n'
    for name in ("recipe", "RECIPE", "R", "my"):
        (folder / f"{name}.toml").write_text(head.format(run="RUN"))


def _write_transients(folder: Path) -> None:
    """Write simulated supernovae as ZTF sees them, in two bands and in three, labels, and a recipe for two."""
    stars = simulate_multiband(10, "ztf", seed=1, classes=("SNIA", "SNII", "AGN"))
    stars.write_parquet(folder / "supernovae.parquet")
    for name in ("ztf.parquet", "FILES/ztf.parquet"):
        stars[np.flatnonzero(stars.n_obs > 15)[:4]].write_parquet(folder / name)
    labels = {"id": stars.ids, "label": stars.table_of_objects["label"].to_pylist()}
    pd.DataFrame(labels).to_csv(folder / "supernovae-labels.csv", index=False)
    data = '[data]\nlight_curves = "supernovae.parquet"\nlabels = "supernovae-labels.csv"\n'
    (folder / "gr.toml").write_text(f'name = "gr"\nrun = "runs/gr"\n{data}{MULTIBAND}bands = ["g", "r"]\n')


def _write_tess(folder: Path, rng: np.random.Generator) -> None:
    """Write two light curves as TESS's pipeline does."""
    folder.mkdir()
    for k in range(2):
        time = 1500 + np.arange(500) / 48
        flux = 1000 * (1 + 0.01 * np.sin(time * (3 + k)) + rng.normal(0, 0.001, 500))
        columns = {"TIME": time, "SAP_FLUX": flux, "PDCSAP_FLUX": flux, "PDCSAP_FLUX_ERR": np.full(500, 1.0)}
        table = fits.BinTableHDU(Table({**columns, "QUALITY": np.zeros(500, np.int32)}))
        head = fits.PrimaryHDU()
        head.header.update({"TELESCOP": "TESS", "OBJECT": f"TIC {k + 1}", "TICID": k + 1, "SECTOR": 14})
        head.header.update({"CAMERA": 1, "CCD": 1, "RA_OBJ": 10.0, "DEC_OBJ": 5.0, "TESSMAG": 10.0})
        fits.HDUList([head, table]).writeto(folder / f"tess-{k + 1}.fits")
    pd.DataFrame({"id": ["TIC 1", "TIC 2"], "label": ["A", "B"]}).to_csv(folder.parent / "tess-labels.csv", index=False)


def _write_models(folder: Path, shipped: Path) -> None:
    """Write a tiny model under the name of the large shipped one, and link the small ones."""
    for name in ("variables", "ztf-bts", "plasticc"):
        (shipped / name).symlink_to(SHIPPED / name)
    _write_tiny(read_config("tess-sim"), shipped / "tess-sim", read(folder / "tess"))
    dense = BundleConfig(name="astrafier-published", classes=("A", "B"), network={}, preprocessing=DenseConfig())
    _write_tiny(dense, folder / "astrafier-published", read(folder / "tess"))
    for name in ("MODEL", "MODEL_A", "MODEL_B", "OTHER_MODEL"):
        shutil.copytree(shipped / "variables", folder / name)


def _write_tiny(config: BundleConfig, folder: Path, stars: object) -> None:
    torch.manual_seed(1)
    preprocessing = config.preprocessing
    sizes = TINY | {"classes": len(config.classes), "channels": preprocessing.channels}
    sizes |= {"context": preprocessing.context}
    network = Astrafier(AstrafierConfig(**sizes)).eval()
    small = config.model_copy(update={"network": network.config.model_dump()})
    Model(small, network).save(folder, f"# {config.name}\n\nUntrained, for tests.\n", prepare(stars, preprocessing))
