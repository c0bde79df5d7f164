"""`goodricke novelty`: a class that was never shown is noticed, and a finished class is not trained again."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.evaluation.unseen_class import SCORES, TITLES

RECIPE = """
name = "three"
run = "run"
[data]
light_curves = "curves.csv"
labels = "labels.csv"
fewest = 3
[preprocessing]
kind = "multiband"
level = true
[network]
hidden = 12
head = [12]
[training]
epochs = 30
batch = 16
rate = 1e-2
[training.ensemble]
warmup_batches = 2
"""


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with slow, fast and utterly different light curves."""
    home, rng, rows, labels = tmp_path_factory.mktemp("three"), np.random.default_rng(0), [], []
    for k in range(120):
        kind, n = ("slow", "fast", "wild")[k % 3], rng.integers(20, 30)
        time = np.sort(rng.uniform(0, 100, n))
        wave = np.sin(2 * np.pi * time / {"slow": 30, "fast": 3, "wild": 0.1}[kind])
        mag = 15 + wave * {"slow": 1, "fast": 0.3, "wild": 20}[kind]
        rows.append(pd.DataFrame({"id": f"s{k}", "mjd": 58000 + time, "band": "g", "mag": mag, "magerr": 0.02}))
        labels.append((f"s{k}", kind))
    pd.concat(rows).to_csv(home / "curves.csv", index=False)
    pd.DataFrame(labels, columns=["id", "label"]).to_csv(home / "labels.csv", index=False)
    (home / "three.toml").write_text(RECIPE)
    return home


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["novelty", *(str(a) for a in arguments)], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split())


def test_a_wild_class_is_noticed_and_is_not_trained_twice(survey: Path) -> None:
    code, text = run(survey / "three.toml", "--without", "wild")
    assert code == 0, text
    found = json.loads((survey / "run/novelty.json").read_text())["wild"]
    assert found["objects"] == 40
    assert set(found["scores"]) == set(SCORES)
    assert max(found["scores"][kind]["auroc"]["value"] for kind in ("combined", "mahalanobis")) > 0.9
    assert found["scores"]["isolation_forest"]["auroc"]["value"] > 0.9
    for kind in SCORES:
        assert found["scores"][kind]["false_alarms"]["high"] > 0
    config = json.loads((survey / "run/without/wild/novelty.json").read_text())
    (survey / "run/without/wild/novelty.json").write_text(json.dumps(config | {"objects": 41}))
    assert run(survey / "three.toml", "--without", "wild")[0] == 0
    assert json.loads((survey / "run/novelty.json").read_text())["wild"]["objects"] == 41
    lines = (survey / "run/novelty.md").read_text().splitlines()
    assert "| wild | 41 |" in lines[2]
    assert {line.count("|") for line in lines} == {len(SCORES) + 3}
    assert [TITLES[kind] for kind in SCORES] == [x.strip() for x in lines[0].split("|")[3:-1]]


def test_a_class_that_is_not_there_is_told(survey: Path) -> None:
    code, text = run(survey / "three.toml", "--without", "odd")
    assert code == 2
    assert "no class odd; there are fast, slow, wild" in text
