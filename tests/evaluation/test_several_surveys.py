"""A recipe of several surveys, one of them left out of the training: its scores, from the training and again."""

import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from goodricke.evaluation import held_out, survey_scores
from goodricke.evaluation.evaluate import evaluate
from goodricke.training import experiment
from goodricke.training.recipe import DataConfig, read_recipe
from tests.quick import leave_out_forests

RECIPE = """
name = "several"
run = "run"
[taxonomy]
leaves = ["EA", "EW", "RRAB"]
[data]
fewest = 3
test = 0.5
[data.surveys.east]
light_curves = "east/curves.csv"
labels = "east/labels.csv"
period = "P"
leaves = { contact = "EW", detached = "EA", pulsating = "RRAB" }
[data.surveys.west]
light_curves = "west/curves.csv"
labels = "west/labels.csv"
[data.surveys.south]
part = "test"
light_curves = "south/curves.csv"
labels = "south/labels.csv"
frequency = "f"
leaves = { binary = ["EW", "EA"], RR = "RRAB", any = ["EW", "EA", "RRAB"] }
[preprocessing]
kind = "variables"
bins = 16
[network]
filters = [4, 4, 4, 4]
width = 8
hidden = 8
[training]
epochs = 1
batch = 16
passes = 0
degraded = 1
"""
LABELS = {"east": ("contact", "detached", "pulsating"), "west": ("EW", "EA", "RRAB"), "south": ("binary", "any", "RR")}


def write_survey(folder: Path, labels: tuple[str, ...], n: int, seed: int) -> None:
    """Write binaries with two minima, eclipses, and sawtooths, in this order."""
    folder.mkdir()
    rng, rows, period = np.random.default_rng(seed), [], np.random.default_rng(seed).uniform(0.4, 0.9, n)
    for k, p in enumerate(period):
        time = np.sort(rng.uniform(0, 200, 50))
        phase = time / p % 1
        shapes = (0.3 * np.cos(4 * np.pi * phase), 0.6 * (np.abs(phase - 0.5) < 0.06), 0.8 * phase)
        mag = 14 + shapes[k % 3] + rng.normal(0, 0.02, 50)
        rows.append(pd.DataFrame({"id": f"{k}", "mjd": 55000 + time, "mag": mag, "magerr": 0.02}))
    pd.concat(rows).to_csv(folder / "curves.csv", index=False)
    names = [labels[k % 3] for k in range(n)]
    where = {"ra": rng.uniform(0, 360, n), "dec": rng.uniform(-60, 60, n)}
    table = {"id": [f"{k}" for k in range(n)], "label": names, "P": period, "f": 1 / period}
    pd.DataFrame(table | where).to_csv(folder / "labels.csv", index=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("surveys")
    for seed, (name, n) in enumerate((("east", 48), ("west", 48), ("south", 18))):
        write_survey(home / name, LABELS[name], n, seed)
    (home / "recipe.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        leave_out_forests(patch)
        patch.setattr(survey_scores, "FEWEST", 5)
        patch.setattr(experiment, "MINUTE", 0.0)
        console = Console(file=StringIO(), width=200)
        held_out.run_recipe(read_recipe(home / "recipe.toml"), console=console)
        (home / "printed.txt").write_text(console.file.getvalue())  # type: ignore[attr-defined]
        yield home


def test_each_survey_is_scored_in_its_own_labels(home: Path) -> None:
    found = {x["survey"]: x for x in json.loads((home / "run" / "metrics.json").read_text())["by_survey"]}
    assert set(found) == {"east", "west", "south"}
    assert set(found["east"]["labels"]) == {"contact", "detached", "pulsating"}
    assert set(found["south"]["labels"]) == {"binary", "RR"}
    assert found["south"]["overlapping"] == {"any": 6}
    assert found["south"]["n"] == 12  # all of it is held out
    assert [found[name]["is_unseen"] for name in ("east", "west", "south")] == [False, False, True]
    assert all(0 <= x["figures"]["coverage"]["value"] <= 1 for x in found.values())


def test_periods_stand_beside_baselines_of_the_same_run(home: Path) -> None:
    found = {x["group"]: x for x in json.loads((home / "run" / "metrics.json").read_text())["periods"]}
    assert {"all", "east", "south", "east: contact", "south: RR"} <= set(found)
    assert not any(name.startswith("west") for name in found)  # without a column of periods
    assert found["east: contact"]["by"]["highest_peak"]["same"]["value"] == 0  # half the period
    assert found["east: contact"]["by"]["highest_peak"]["same_half_or_double"]["value"] == 1
    assert found["east: contact"]["by"]["any_candidate"]["same"]["value"] == 1


def test_card_and_terminal_say_the_same(home: Path) -> None:
    card, printed = (home / "run" / "model" / "README.md").read_text(), (home / "printed.txt").read_text()
    assert "**Leave one survey out**: no light curve of south" in card
    assert "seed 42; all of south held out" in card
    for text in ("south (not trained on)", "east: contact", "highest peak"):
        assert text in card
        assert text in printed
    assert "## Periods" in card
    assert "## By survey\n" in card
    assert "labels that overlap others are not scored: any (6)" in card
    assert "chance" in card


def test_degraded_copies_are_trained_on_and_counted(home: Path) -> None:
    card, printed = (home / "run" / "model" / "README.md").read_text(), (home / "printed.txt").read_text()
    assert "fewer observations, more noise and other errors: 1 time(s)" in card
    parts = re.search(r"3 classes, ([\d,]+) to train", printed)
    progress = re.findall(r"([\d,]+) of ([\d,]+) light curves", printed)
    assert parts is not None
    assert progress[-1] == (str(2 * int(parts[1])),) * 2


def test_with_the_recipe_evaluate_finds_the_same(home: Path, tmp_path: Path) -> None:
    console = Console(file=StringIO(), width=200)
    evaluate([home / "run" / "model"], read_recipe(home / "recipe.toml"), tmp_path, passes=0, console=console)
    own, again = (
        json.loads((home / "run" / "metrics.json").read_text()),
        json.loads((tmp_path / "metrics.json").read_text()),
    )
    again = again["models"]["several"]
    assert again["periods"] == own["periods"]
    assert again["survey_leak"] == own["survey_leak"]
    for mine, theirs in zip(own["by_survey"], again["by_survey"], strict=True):
        assert theirs["figures"] == mine["figures"]
        assert theirs["is_unseen"] == mine["is_unseen"]
    assert "south (not trained on)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_periods_of_any_table_are_compared_with_a_named_column(home: Path) -> None:
    files = {"light_curves": str(home / "west" / "curves.csv"), "labels": str(home / "west" / "labels.csv")}
    options = {"passes": 0, "console": Console(quiet=True)}
    by_period = evaluate([home / "run" / "model"], DataConfig(**files, period="P"), **options).periods["several"]
    by_frequency = evaluate([home / "run" / "model"], DataConfig(**files, frequency="f"), **options).periods["several"]
    assert by_period == by_frequency
    assert [x.group for x in by_period] == ["all", "EA", "EW", "RRAB"]
    assert by_period[0].n == 48
    assert evaluate([home / "run" / "model"], DataConfig(**files), **options).periods["several"] == ()
