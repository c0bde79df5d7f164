"""The comparison of two models' answers: from stores, from files, and by the command."""

import itertools
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

from goodricke.alerts.answers import Message, write_answers
from goodricke.alerts.compare import compare_answers, read_answers
from goodricke.alerts.engine import create_engine
from goodricke.cli import app
from goodricke.io.packets import PacketOptions
from tests.alerts.streams import CLASSES, light_curves, save_tiny_model, slim_stream


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Return folders of two models that read the same stream, B without its end; and the last answers of each."""
    folder, answers = tmp_path_factory.mktemp("compare"), {}
    stream = [Message(k, value) for k, (_, value) in enumerate(slim_stream(light_curves(20, 40, seed=60)))]
    for name, seed in (("a", 9), ("b", 25)):
        model = save_tiny_model(folder / f"m-{name}", seed)
        options = PacketOptions(compiled=False)
        engine = create_engine(model, str(folder / f"state-{name}"), False, "slim", options)
        end = len(stream) - (5 if name == "b" else 0)
        last = {}
        for first in range(0, end, 50):
            rows = engine.process(stream[first : min(first + 50, end)]).answers.rows()
            last |= {row["object_id"]: row for row in rows}
        if name == "b":
            engine.process([Message(end, slim_stream(light_curves(1, 1))[0][1].replace(b"object 0", b"object X"))])
        engine.close()
        answers[name] = last
    return folder, answers


def command(*arguments):
    return CliRunner().invoke(app, ["alerts", "compare", *map(str, arguments)], env={"COLUMNS": "160"})


def stores(folder):
    models = {name: str(folder / f"m-{name}") for name in "ab"}
    return [read_answers(str(folder / f"state-{name}"), models[name]) for name in "ab"]


def test_two_stores_are_compared_object_by_object(worlds):
    folder, answers = worlds
    comparison = compare_answers(*stores(folder))
    both = [(answers["a"][name], answers["b"][name]) for name in answers["a"] if name in answers["b"]]
    pairs = [(a["class"], b["class"]) for a, b in both if a["class"] and b["class"]]
    assert (comparison.count("both"), comparison.count("A"), comparison.count("B")) == (len(both), 20 - len(both), 1)
    assert len(comparison.classified) == len(pairs) > 10
    assert comparison.agreement == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert comparison.same_observations == np.mean([a["n_obs"] == b["n_obs"] for a, b in both])
    assert comparison.same_observations < 1
    table = comparison.class_table()
    for a, b in itertools.product(table.index, table.columns):
        assert table.loc[a, b] == pairs.count((a, b))
    rows = comparison.objects.set_index("object_id")
    for a, b in both:
        row = rows.loc[a["object_id"]]
        assert (row["status_a"], row["status_b"], row["n_obs_a"]) == (a["status"], b["status"], a["n_obs"])
        if a["class"] and b["class"]:
            distance = 0.5 * sum(abs(a[f"p_{c}"] - b[f"p_{c}"]) for c in CLASSES)
            assert row["distance"] == pytest.approx(distance, abs=1e-6)
        else:
            assert np.isnan(row["distance"])
    largest = comparison.largest_differences(3)["distance"].tolist()
    assert largest == sorted(rows["distance"].dropna(), reverse=True)[:3]
    assert comparison.statuses()["A"].sum() == 20


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_files_of_answers_compare_as_their_stores_do(worlds, tmp_path, suffix):
    folder, answers = worlds
    for name in "ab":
        write_answers(list(answers[name].values()), CLASSES, tmp_path / f"{name}{suffix}")
    files = compare_answers(*(read_answers(str(tmp_path / f"{name}{suffix}")) for name in "ab"))
    expected = compare_answers(*stores(folder))
    assert (files.count("both"), files.count("A"), files.count("B")) == (expected.count("both"), expected.count("A"), 0)
    assert files.agreement == expected.agreement
    one, two = (c.objects[c.objects["present"] == "both"].reset_index(drop=True) for c in (files, expected))
    pd.testing.assert_frame_equal(one, two, check_dtype=False, atol=1e-6)


def test_a_model_agrees_with_itself(worlds):
    (a, _) = stores(worlds[0])
    comparison = compare_answers(a, a)
    assert (comparison.agreement, comparison.same_observations, len(comparison.class_table())) == (1, 1, 0)
    assert comparison.objects["distance"].max() == 0


def test_the_newest_answer_about_an_object_counts(worlds, tmp_path):
    _, answers = worlds
    rows = list(answers["a"].values())
    name = rows[0]["object_id"]
    older = rows[0] | {"offset": -1, "class": "C", "n_obs": 1}
    path = tmp_path / "answers.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, older]))  # as a topic that was read twice
    frame = read_answers(str(path)).set_index("object_id")
    assert frame.loc[name, "n_obs"] == rows[0]["n_obs"]


def test_the_command(worlds, tmp_path):
    folder, _ = worlds
    a, b = folder / "state-a", folder / "state-b"
    models = ("--model-a", folder / "m-a", "--model-b", folder / "m-b")
    result = command(a, b, *models, "--out", tmp_path / "objects.parquet")
    assert result.exit_code == 0, result.output
    for text in ("objects in both", "same class", "largest differences in probability", "TOO_FEW_POINTS", "21 rows"):
        assert text in result.output, text
    assert pq.read_table(tmp_path / "objects.parquet").num_rows == 21
    for name in ("objects.csv", "objects.json"):
        assert command(a, b, *models, "--out", tmp_path / name).exit_code == 0
        assert (tmp_path / name).stat().st_size > 0
    numbered = command(a, b, "--model-a", folder / "m-a")
    assert numbered.exit_code == 2
    assert "no class in common" in numbered.stderr
    assert command(tmp_path / "nowhere", b).exit_code == 2
    (tmp_path / "other.json").write_text('{"a": 1}\n')
    assert "the column object_id is missing" in command(a, tmp_path / "other.json").stderr


def test_a_class_stands_with_its_own_probability(worlds):
    folder, _ = worlds
    a, _ = stores(folder)
    nodes = a.assign(class_probability=a[[f"p_{c}" for c in CLASSES]].sum(axis=1).where(a["class"].notna()))
    nodes["class"] = nodes["class"].where(nodes["class"].isna(), "A_OR_B")
    rows = compare_answers(a, nodes).objects
    answered = rows["class_a"].notna()
    p = a.set_index("object_id").loc[rows["object_id"][answered], [f"p_{c}" for c in CLASSES]].max(axis=1)
    np.testing.assert_allclose(rows["class_probability_a"][answered], p, atol=1e-6)
    np.testing.assert_allclose(rows["class_probability_b"][answered], 1, atol=1e-6)
