"""The gallery, by the commands on its page."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.examples import example_files

STAR = "217801"
RUBIN = ("SNIA", "SLSN", "TDE", "AGN", "RRL", "EB")
SIMULATED = {
    "tess": ["--class", "ECLIPSE", "--class", "RRLYR_CEPHEID", "--class", "DSCT_BCEP", "--seed", "1"],
    "rubin": [
        "--survey",
        "rubin",
        *(f"--class={c}" for c in RUBIN),
        "--seed",
        "1",
    ],
}


def draw(folder: Path) -> None:
    """Make ``gallery-star.png``, ``gallery-tess.png`` and ``gallery-rubin.png``."""
    with TemporaryDirectory() as temporary:
        star = next(path for path in example_files() if Path(path).stem == STAR)
        _run("classify", star, "--model", "variables", "--plot", temporary)
        shutil.copy(Path(temporary) / f"{STAR}.png", folder / "gallery-star.png")
    for name, options in SIMULATED.items():
        _run("simulate", "--figure", str(folder / f"gallery-{name}.png"), *options)


def _run(*arguments: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code:
        raise RuntimeError(f"goodricke {' '.join(arguments)}: {result.output}")
