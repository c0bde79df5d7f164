"""The report of `goodricke evaluate`: its numbers are the assessment's; planted leaks and shifts are told."""

import inspect
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.special import softmax
from typer.testing import CliRunner

from goodricke import classify
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.assessment import Assessment
from goodricke.evaluation.calibration_scores import expected_calibration_error
from goodricke.evaluation.data_checks import forest_accuracy, single_feature_accuracies, two_sample_area
from goodricke.evaluation.early import score_by_number
from goodricke.evaluation.evaluate import evaluate
from goodricke.evaluation.report import build, calibration, classes, leakage, properties
from goodricke.evaluation.sample import TrainingObjects
from goodricke.evaluation.scores import score, threshold_curve
from goodricke.training.recipe import DataConfig, read_recipe

QUIET = Console(quiet=True)
runner = CliRunner()


def run(*arguments: object) -> tuple[int, str]:
    result = runner.invoke(app, ["evaluate", *(str(a) for a in arguments)])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def result(home: Path) -> Assessment:
    """Return an assessment of the multi-band model on the objects that its run held out."""
    return evaluate([home / "bands/model"], read_recipe(home / "bands.toml"), console=QUIET)


@pytest.fixture(scope="module")
def pair(home: Path) -> Assessment:
    model = home / "bands/model"
    return evaluate([model, model, home / "folded/model"], read_recipe(home / "bands.toml"), passes=0, console=QUIET)


def table(section: object, caption: str | None = None) -> pd.DataFrame:
    tables = section.all_tables
    return pd.DataFrame(tables[caption or next(iter(tables))])


# ---- from the command line ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Assessment, Path]:
    """Return an assessment of both models with its report, the shift test included."""
    out = tmp_path_factory.mktemp("new") / "new" / "out.html"
    models, options = [home / "bands/model", home / "folded/model"], {"passes": 2, "console": QUIET}
    recipe = read_recipe(home / "bands.toml")
    return evaluate(models, recipe, report=out, shift=[str(home / "curves.csv")], **options), out


def test_one_page_with_everything_and_its_twins(written: tuple[Assessment, Path]) -> None:
    out = written[1]
    page, report = out.read_text(), json.loads(out.with_suffix(".json").read_text())
    tree = ElementTree.fromstring(re.sub(r"<(img[^>]*)>", r"<\1/>", page.split("</head>")[1].rpartition("</html>")[0]))
    assert list(report["sections"]) == [h.text for h in tree.iter("h2")]
    wanted = ["Scores", "Comparison", "Confusion matrix", "Classes", "Calibration", "Where it fails", "Worst mistakes"]
    assert list(report["sections"]) == [*wanted, "Leakage checks", "Shift"]
    assert not re.search(r"<script|@import|<link|https?://", page)
    assert all(image.get("alt") for image in tree.iter("img"))
    assert "Observed light curves" in report["facts"][0]
    assert any("without the context column photoz" in x for x in report["sections"]["Shift"]["words"])
    assert "seed 42" in report["facts"][1]
    markdown = out.with_suffix(".md").read_text()
    pictures = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert len(pictures) == len(list(tree.iter("img"))) >= 8
    assert all((out.parent / picture).exists() for picture in pictures)
    for fact in report["facts"]:
        assert fact in markdown
    for section in report["sections"].values():
        for caption, rows in section["tables"].items():
            assert rows, caption


def test_the_same_files_again(written: tuple[Assessment, Path], home: Path, tmp_path: Path) -> None:
    assessment, out = written
    other = build.read_shift_set([str(home / "curves.csv")], read_recipe(home / "bands.toml").data)
    build.write_report(assessment, tmp_path / "out.html", other, passes=2, console=QUIET)
    for kind in ("html", "md", "json"):
        assert (tmp_path / f"out.{kind}").read_bytes() == out.with_suffix(f".{kind}").read_bytes()


def test_training_objects_are_told_in_red(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    given = ["--light-curves", home / "curves.csv", "--labels", home / "labels.csv", "--simulated", "--report", out]
    assert run(home / "bands/model", *given)[0] == 3
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["facts"][0].startswith("Simulated light curves")
    assert len(report["warnings"]) >= 2
    assert "Training objects may be among these" in report["warnings"][0]
    assert "was trained or validated on" in report["warnings"][1]
    assert 'class="alarm"' in out.read_text()
    assert any("no check for copies" in x for x in report["sections"]["Leakage checks"]["words"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--report", "out.pdf"], "ends in .html"),
        (["--shift", "x.csv"], "give --report"),
    ],
)
def test_wrong_usage_is_told_before_the_work(home: Path, options: list[str], words: str) -> None:
    code, text = run("nonsense", "--recipe", home / "bands.toml", *options)
    assert code == 2
    assert words in text


def test_a_shift_set_of_few_light_curves_is_refused(home: Path) -> None:
    few = pd.read_csv(home / "curves.csv")
    few[few["oid"].isin(["s1", "s2"])].to_csv(home / "few.csv", index=False)
    with pytest.raises(ValueError, match="too few"):
        build.read_shift_set([str(home / "few.csv")], DataConfig(light_curves="", labels=""))


# ---- the sections -------------------------------------------------------------------------------------------------


def test_scores_are_the_assessment_s(result: Assessment) -> None:
    row = table(build.scores_section(result, 0)).iloc[0]
    assert row["accuracy"] == result.scores["bands"].accuracy
    assert row["objects"] == len(result.rows)
    assert result.warnings == []
    right = int((result.probabilities["bands"].argmax(1) == result.label).sum())
    assert f"right for {100 * right / len(result.label):.1f} %" in " ".join(build.facts(result))


def test_calibration_has_a_row_per_model_and_class(pair: Assessment, tmp_path: Path) -> None:
    section = calibration.calibration_section(pair, tmp_path)
    before = [f"{name} before calibration" for name in pair.models]
    assert table(section)["model"].tolist() == [*pair.models, *before]
    for name in pair.models:
        assert len(table(section, f"{name}, by class")) == len(pair.classes)
        assert sum(row["n"] for row in section.data[name]) == len(pair.rows)


def test_before_calibration_is_the_softmax_of_the_network_s_own_answer(result: Assessment) -> None:
    shown, x = calibration.with_uncalibrated(result), result.models["bands"]
    logits, *_ = x.model.run(x.prepared, result.rows)
    np.testing.assert_allclose(shown["bands before calibration"], softmax(logits, 1), atol=1e-5)
    np.testing.assert_array_equal(shown["bands"], result.probabilities["bands"])


def test_promises_are_held_against_what_was_found(result: Assessment, tmp_path: Path) -> None:
    checks = table(calibration.calibration_section(result, tmp_path), "Coverage and false alarms")
    by_confidence = checks["check"].str.contains("p_max")
    assert by_confidence.any()
    assert checks["nominal"][~by_confidence].tolist() == [0.8, 0.9, 0.95, 0.8, 0.9, 0.95, 0.01, 0.05]
    table_of_all = classify(result.sample.curves[result.rows], result.models["bands"].model)
    sets = table_of_all.table["prediction_set"].to_pylist()
    hit = np.mean([label in s for label, s in zip(result.sample.label[result.rows], sets, strict=True)])
    assert checks["observed"][1].value == pytest.approx(hit)


def test_prediction_sets_are_scored_where_there_are_any(
    result: Assessment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = result.sample.label[result.rows]
    sets = [[label] if k % 2 else ["fast", "slow"] if k % 4 else [] for k, label in enumerate(truth)]
    monkeypatch.setattr(calibration, "prediction_sets", lambda changed, rows: sets)
    found = table(calibration.calibration_section(result, tmp_path), "Prediction sets").set_index("class")
    assert found.loc["all", "coverage"].value == np.mean([label in s for label, s in zip(truth, sets, strict=True)])
    assert found.loc["all", "mean size"].value == np.mean([len(s) for s in sets])
    assert found.loc[["fast", "slow"], "objects"].sum() == len(truth)


def test_conditions_count_every_object_once(result: Assessment, tmp_path: Path) -> None:
    section = properties.conditions_section(result, tmp_path)
    right = result.probabilities["bands"].argmax(1) == result.label
    for caption in ("Accuracy by number of points", "Accuracy by median magnitude"):
        rows = table(section, caption)
        assert rows["objects"].sum() == len(result.rows)
        total = sum(n * x.value for n, x in zip(rows["objects"], rows["accuracy bands"], strict=True))
        assert total == pytest.approx(right.sum())


def test_periods_are_found_and_noise_and_trends_have_none() -> None:
    rng = np.random.default_rng(0)
    time = np.sort(rng.integers(0, 200, (30, 80)) + rng.uniform(0.4, 0.5, (30, 80)), axis=1)  # at night
    shapes = [np.sin(2 * np.pi * time / 0.617), rng.normal(size=time.shape), time / 50]
    value = np.concatenate([15 + s[:10] + 0.02 * rng.normal(size=s[:10].shape) for s in shapes])
    times = np.concatenate([time[:10]] * 3)
    curves = LightCurves.from_arrays(np.arange(30).astype(str), 80 * np.arange(31), times.ravel(), value.ravel())
    period = properties.quantities(curves)[-1].value
    np.testing.assert_allclose(period[:10], 0.617, rtol=0.01)
    assert np.isnan(period[10:]).sum() >= 19


def test_periods_beside_one_day_are_counted_and_one_day_is_not(result: Assessment, tmp_path: Path) -> None:
    """What the section tells readers to look for must be there to be seen."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 300, (2, 150)), axis=1)
    waves = np.sin(2 * np.pi * time * np.array([[1.0], [1.1]]))  # a day itself; where ten days alias
    value = 15 + waves + 0.02 * rng.normal(size=time.shape)
    curves = LightCurves.from_arrays(["day", "alias"], [0, 150, 300], time.ravel(), value.ravel())
    found = properties.quantities(curves)[-1].value
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1 / 1.1, rel=0.01)
    changed = properties.conditions_section(result, tmp_path).suspicious
    assert "a little off one day" in changed
    assert "at one day itself and its whole fractions no period is counted" in changed


def test_the_worst_mistakes_are_the_surest_wrong_answers(
    result: Assessment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classes, "MISTAKES", 4)
    p = np.tile([0.7, 0.3], (len(result.rows), 1))
    p[:4] = [[0.1, 0.9], [0.95, 0.05], [0.2, 0.8], [0.4, 0.6]]
    label = np.zeros(len(p), int)
    label[1] = 1
    changed = replace(result, label=label, probabilities={"bands": p})
    assert classes.worst_mistakes(changed, "bands").tolist() == [1, 0, 2, 3]
    section = classes.mistakes_section(changed, tmp_path)
    ids = [result.sample.curves.ids[result.rows[i]] for i in (1, 0, 2, 3)]
    assert table(section)["object"].tolist() == ids
    assert next(iter(section.figures.values())).stat().st_size > 10_000
    perfect = replace(result, probabilities={"bands": np.eye(2)[result.label]})
    assert classes.mistakes_section(perfect, tmp_path).missing == "No mistake."


def test_a_model_is_no_better_than_itself(pair: Assessment) -> None:
    found = table(classes.comparison_section(pair))
    assert len(found) == 3
    assert found["accuracy, difference"][0] == (0, 0, 0)
    assert found["p (Holm)"][0] == 1
    assert (found["p (Holm)"] >= found["McNemar p"]).all()
    assert any("no difference" in note for note in classes.comparison_section(pair).notes)


def compared(result: Assessment, star: np.ndarray) -> tuple[str, str]:
    """Return the verdict on two models, the second right of 12 light curves more of 120, and how it was reached."""
    label = np.zeros(120, int)
    p = {"a": np.tile([0.9, 0.1], (120, 1)), "b": np.tile([0.9, 0.1], (120, 1))}
    p["a"][:12] = 0.1, 0.9
    results = dict.fromkeys(p, result.models["bands"])
    sample = result.sample._replace(star=star)
    section = classes.comparison_section(
        replace(result, sample=sample, rows=np.arange(120), label=label, probabilities=p, models=results)
    )
    assert section.table[0]["McNemar p"] < 1e-3
    return tuple(section.notes)


def test_light_curves_of_one_star_do_not_make_a_model_better(result: Assessment) -> None:
    verdict, how = compared(result, np.arange(120))
    assert verdict.startswith("b is right more often than a, by 10.0")
    assert how.startswith("Judged by McNemar's test")
    verdict, how = compared(result, np.arange(120) // 12)  # all 12 of one star
    assert "no difference" in verdict
    assert how.startswith("Judged by the intervals, which draw the 10 stars")
    assert "right more often" in compared(result, np.arange(120) // 2)[0]
    assert "no difference" in compared(result, np.zeros(120, int))[0]


# ---- leaks and shifts ---------------------------------------------------------------------------------------------


def test_an_honest_split_raises_no_alarm_of_copies(result: Assessment) -> None:
    found = leakage.check_copies(result)
    assert not found.warnings
    assert len(found.notes) == 3


def test_copies_across_the_split_are_named(result: Assessment) -> None:
    sample = result.sample
    mine = sample.curves[result.rows[:3]]
    hidden = replace(mine, object_id=LightCurves.from_arrays(["x", "y", "z"], [0] * 4, [], []).object_id)
    training = TrainingObjects(hidden, sample.label[result.rows[:3]], np.array([-1, -2, sample.star[result.rows[2]]]))
    found = leakage.check_copies(replace(result, sample=sample._replace(training=training)))
    assert [row["training"] for row in found.rows] == ["x", "y", "z"]
    assert [row["scored"] for row in found.rows] == mine.ids
    assert any("copies of training light curves" in x for x in found.warnings)
    assert any(x.startswith("1 scored objects share the star") for x in found.warnings)
    same = leakage.check_copies(replace(result, sample=sample._replace(training=training._replace(curves=mine))))
    assert any(x.startswith("3 scored objects share the id") for x in same.warnings)


def planted(result: Assessment, later: float) -> Assessment:
    """Return an assessment of 120 made-up light curves of which one class is observed later than the other."""
    rng, label = np.random.default_rng(0), np.arange(120) % 2
    time = np.sort(rng.uniform(0, 50, (120, 30)), axis=1) + later * label[:, None]
    ids = [f"p{k}" for k in range(120)]
    curves = LightCurves.from_arrays(
        ids, 30 * np.arange(121), time.ravel(), 15 + rng.normal(size=time.size), unit="mag"
    )
    names = np.array(result.classes, dtype=object)[label]
    labels = pd.DataFrame({"label": names, "survey": np.where(later * label > 0, "OGLE", "HIPPARCOS"), "code": names})
    curves = curves.with_columns(photoz=rng.normal(size=120))
    sample = result.sample._replace(curves=curves, label=names, star=np.arange(120), table=labels)
    p = np.clip(np.eye(2)[label] + rng.normal(0, 0.2, (120, 2)), 0.01, 1)
    return replace(
        result,
        sample=sample,
        rows=np.arange(120),
        label=label,
        probabilities={"bands": p / p.sum(1, keepdims=True)},
    )


def test_classes_observed_at_other_times_are_an_alarm(result: Assessment) -> None:
    found = leakage.check_confounding(planted(result, later=1000.0))
    assert len(found.warnings) == 1
    assert "confounded" in found.warnings[0]
    assert "time of the first observation, 100.0 %" in found.warnings[0]
    kinds = {row["input"]: row["kind"] for row in found.rows}
    assert kinds["time of the first observation"] == "observing condition"
    assert any("code (column) is the label in other words" in note for note in found.notes)


def test_names_of_stars_are_told_to_be_untestable(result: Assessment) -> None:
    changed = planted(result, later=0.0)
    labels = changed.sample.table.assign(name=[f"star {k // 3}" for k in range(120)])
    sample = changed.sample._replace(table=labels, star=np.arange(120) // 3)
    found = leakage.check_confounding(replace(changed, sample=sample))
    assert "Column name (column) has a value of its own for each star: not tested." in found.notes
    assert not any("name (column)" in row["input"] for row in found.rows)
    assert not any("name (column) is the label" in note for note in found.notes)


def test_classes_observed_alike_are_none(result: Assessment) -> None:
    found = leakage.check_confounding(planted(result, later=0.0))
    assert not found.warnings
    assert max(row["part of the model's lead"] for row in found.rows) < leakage.SINGLE


def test_shift_is_seen_where_there_is_one(result: Assessment, tmp_path: Path) -> None:
    curves = result.sample.curves[result.rows]
    twin = properties.shift_section(result, curves, "itself", tmp_path, workers=1)
    assert not twin.warnings
    assert table(twin, "Each feature by itself, the most shifted first")["distance"].max() == 0
    faint = replace(curves, value=20 + 5 * (curves.value - 20), time=curves.time + 5000)
    other = properties.shift_section(result, faint, "faint", tmp_path, workers=1)
    assert "faint is unlike the scored objects" in other.warnings[0]
    areas = table(other).set_index("by")["area under the ROC curve"]
    assert areas["observing conditions"].value > 0.95
    assert {"variability", "embedding of bands"} <= set(areas.index)


def repeated(result: Assessment, ids: list[str], seed: int) -> tuple[LightCurves, Assessment]:
    """Return light curves of these stars, each of a brightness and amplitude of its own, and as the scored ones."""
    rng, names = np.random.default_rng(seed), np.unique(ids, return_inverse=True)[1]
    time = np.sort(rng.uniform(0, 50, (len(ids), 30)), axis=1)
    level, size = rng.uniform(12, 18, names.max() + 1), rng.uniform(0.01, 1, names.max() + 1)
    value = level[names, None] + size[names, None] * np.sin(2 * np.pi * time / 3 + names[:, None])
    curves = LightCurves.from_arrays(ids, 30 * np.arange(len(ids) + 1), time.ravel(), value.ravel(), unit="mag")
    sample = result.sample._replace(curves=curves, star=names)
    return curves, replace(result, sample=sample, rows=np.arange(len(ids)), models={})


def test_few_stars_with_many_light_curves_are_no_shift(result: Assessment, tmp_path: Path) -> None:
    _, changed = repeated(result, [f"a{k // 10}" for k in range(200)], seed=0)
    other, _ = repeated(result, [f"b{k // 10}" for k in range(200)], seed=1)
    found = properties.shift_section(changed, other, "b", tmp_path, workers=1)
    assert not found.warnings
    assert any(note.startswith("They are of 20 and 20 stars") for note in found.notes)
    assert all(area.low < 0.6 for area in table(found)["area under the ROC curve"])
    one, _ = repeated(result, ["b"] * 10, seed=1)
    alone = properties.shift_section(changed, one, "b", tmp_path, workers=1)
    assert alone.table == []
    assert any(note.startswith("No forest") for note in alone.notes)


def test_stars_of_the_other_set_are_told_by_id_and_position() -> None:
    curves = LightCurves.from_arrays(["x", "y", "z", "s1"], [0] * 5, [], [])
    curves = curves.with_columns(ra=[10.0, 10.0, 20.0, 30.0], dec=[5.0, 5.0, 5.0, 5.0])
    found = properties.number_stars(["s0", "s1"], np.array([4, 7]), curves)
    assert found[0] == found[1]
    assert len({4, *found.tolist()}) == 4
    assert found[3] == 7


def test_promises_of_several_light_curves_of_a_star_are_told_to_be_too_sure(result: Assessment, tmp_path: Path) -> None:
    assert not any("too narrow" in note for note in calibration.calibration_section(result, tmp_path).notes)
    star = np.arange(len(result.sample.star)) // 2
    changed = replace(result, sample=result.sample._replace(star=star))
    said = f"they are of {len(np.unique(star[result.rows]))} stars"
    assert any(said in note for note in calibration.calibration_section(changed, tmp_path).notes)


def test_the_docs_say_how_often_stars_are_drawn() -> None:
    drawn = {
        f.__name__: inspect.signature(f).parameters["resamples"].default
        for f in (
            score,
            score_by_number,
            expected_calibration_error,
            two_sample_area,
            threshold_curve,
            single_feature_accuracies,
            forest_accuracy,
        )
    }
    assert list(drawn.values()) == [1000, 1000, 1000, 500, 200, 200, 200]
    text = " ".join((Path(__file__).parents[2] / "docs/evaluate.md").read_text().split())
    assert "1000 times, 500 for shifts, 200 for purity, completeness and average precision and for leakage" in text
