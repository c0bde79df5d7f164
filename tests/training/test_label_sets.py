"""Labels of several surveys as sets of leaves of one taxonomy."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from goodricke.models.variables import VariablesNetworkConfig
from goodricke.training import experiment
from goodricke.training.labels import Labelled, read_labelled
from goodricke.training.recipe import DataConfig, Recipe, read_recipe
from goodricke.training.splits import TEST, complete_split, strata

EAST = ["contact", "contact", "contact", "detached", "detached", "detached", "close", "close", "noise"]
WEST = ["EW/RS", "EW", "EW", "EA", "EA:", "EA", "E", "RRAB", "RRAB"]


def write_survey(folder: Path, labels: list[str], **columns: Any) -> None:
    """Write a survey of stars "0", "1", ...: their ids collide with those of another."""
    folder.mkdir()
    ids = [str(k) for k in range(len(labels))]
    pd.DataFrame({"id": ids, "label": labels} | columns).to_csv(folder / "labels.csv", index=False)
    curves = [(k, 50000 + t, 15 + 0.1 * t, 0.01) for k in ids for t in range(5)]
    pd.DataFrame(curves, columns=["id", "mjd", "mag", "magerr"]).to_csv(folder / "curves.csv", index=False)


@pytest.fixture
def surveys(tmp_path: Path) -> Path:
    n = len(EAST)
    ra = np.arange(n) + 10.0
    write_survey(tmp_path / "east", EAST, ra=ra, dec=5.0, P=[0.3] * (n - 1) + [-1])
    write_survey(tmp_path / "west", WEST, RAJ2000=ra + np.where(np.arange(n) < 2, 1e-4, 100), DEJ2000=5.0, freq=2.0)
    return tmp_path


def config(folder: Path, **more: Any) -> DataConfig:
    leaves = {"contact": "EW", "detached": "EA", "close": ["EW", "EB"]}
    east = {"period": "P", "leaves": leaves, "drop": ["noise"], "exclude": ["4"]}
    west = {"frequency": "freq"}
    files = {
        name: {"light_curves": str(folder / name / "curves.csv"), "labels": str(folder / name / "labels.csv")} | options
        for name, options in (("east", east), ("west", west))
    }
    return DataConfig.model_validate({"surveys": files, "taxonomy": {}, "fewest": 3} | more)


@pytest.fixture
def data(surveys: Path) -> Labelled:
    return read_labelled(config(surveys))


def test_labels_are_sets_of_the_leaves_that_have_enough_objects(data: Labelled) -> None:
    sets = data.label_sets
    assert sets is not None
    assert data.classes == tuple(sets.taxonomy.leaves) == ("EA", "EW")  # RRAB has two, EB none alone
    meaning = ["".join(np.array(data.classes)[row]) for row in sets.leaves]
    assert meaning == [*["EW"] * 3, "EA", "EA", "EW", "EW", *["EW"] * 3, *["EA"] * 3, "EAEW"]
    assert data.label.tolist() == [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, -1]
    assert sets.name[:4].tolist() == ["contact", "contact", "contact", "detached"]


def test_ids_name_the_survey_and_periods_are_those_of_the_catalogs(data: Labelled) -> None:
    sets = data.label_sets
    assert sets is not None
    assert data.curves.ids[:5] == ["east:0", "east:1", "east:2", "east:3", "east:5"]  # 4 is excluded
    assert data.curves.ids[7:] == [f"west:{k}" for k in range(7)]
    assert sets.surveys == ("east", "west")
    assert sets.survey.tolist() == [0] * 7 + [1] * 7
    np.testing.assert_allclose(sets.period, [0.3] * 7 + [0.5] * 7)


def test_one_star_in_two_surveys_is_one_star(data: Labelled) -> None:
    """Stars 0 and 1 are 0.36 arcsec apart in the two surveys; the others of equal id are other stars."""
    assert (data.star[:2] == data.star[7:9]).all()
    assert len(np.unique(data.star)) == 12


def test_stars_without_positions_are_joined_by_their_period(tmp_path: Path) -> None:
    write_survey(tmp_path / "east", ["contact"] * 4 + ["detached"] * 4, P=[0.3123456, 0.31, 0.32, 0.33] * 2)
    write_survey(tmp_path / "west", ["EW"] * 4, freq=[1 / 0.312346, 1 / 0.35, 1 / 0.36, 3.7])
    options = config(tmp_path)
    plain = {name: survey.model_copy(update={"exclude": [], "drop": []}) for name, survey in options.surveys.items()}
    data = read_labelled(options.model_copy(update={"surveys": plain}))
    assert data.star[0] == data.star[4] == data.star[8]  # the fifth has the period of the first, in its own survey
    assert len(np.unique(data.star)) == 10


def test_labels_that_nobody_mapped_are_errors(surveys: Path) -> None:
    options = config(surveys)
    east, west = options.surveys["east"], options.surveys["west"]
    with pytest.raises(ValueError, match=r"\[data.surveys.east\] leaves: noise \(1\) .* not mapped"):
        read_labelled(options.model_copy(update={"surveys": {"east": east.model_copy(update={"drop": []})}}))
    wrong = west.model_copy(update={"leaves": dict.fromkeys(WEST, "ECLIPSNG")})
    with pytest.raises(ValueError, match=r"surveys.west\] leaves: 'ECLIPSNG' is no leaf.*ECLIPSING"):
        read_labelled(options.model_copy(update={"surveys": {"west": wrong}}))


def test_leaves_of_the_model_can_be_chosen(surveys: Path) -> None:
    data = read_labelled(config(surveys, taxonomy={"leaves": ["EW", "EB", "RRAB"]}))
    sets = data.label_sets
    assert sets is not None
    assert data.classes == ("EW", "EB", "RRAB")
    assert sets.leaves.sum(0).tolist() == [9, 3, 2]
    assert "ECLIPSING" in sets.taxonomy.nodes
    with pytest.raises(ValueError, match="XX"):
        read_labelled(config(surveys, taxonomy={"leaves": ["EW", "XX"]}))


def test_a_survey_can_be_for_test_alone(surveys: Path) -> None:
    options = config(surveys)
    west = options.surveys["west"].model_copy(update={"part": "test"})
    data = read_labelled(options.model_copy(update={"surveys": options.surveys | {"west": west}}))
    assert data.part is not None
    assert data.part.tolist() == ["free"] * 7 + ["test"] * 7
    part = complete_split(data.part, data.star, ["all"] * 14, 0.2, 0, None, 0.2)
    assert (part[7:] == TEST).all()
    assert part[:2].tolist() == ["", ""] or (part[:2] == TEST).any()  # seen in the test survey: not for training
    assert not np.isin(part[:2], ["train", "validation"]).any()


def test_one_survey_with_a_taxonomy_needs_no_sections_of_surveys(surveys: Path) -> None:
    west = config(surveys).surveys["west"]
    options = {name: getattr(west, name) for name in ("light_curves", "labels", "frequency")}
    data = read_labelled(DataConfig.model_validate(options | {"taxonomy": {}, "fewest": 3}))
    assert data.label_sets is not None
    assert data.curves.ids[:2] == ["0", "1"]
    assert data.classes == ("EA", "EW")
    np.testing.assert_allclose(data.label_sets.period, 0.5)


def test_recipe(surveys: Path) -> None:
    (surveys / "recipe.toml").write_text(
        """name = "x"
        run = "run"
        [taxonomy]
        leaves = ["EA", "EW"]
        [data]
        fewest = 3
        [data.surveys.east]
        light_curves = "east/curves.csv"
        labels = "east/labels.csv"
        drop = ["noise"]
        leaves = { contact = "EW", detached = "EA", close = ["EW", "EB"] }
        """
    )
    recipe = read_recipe(surveys / "recipe.toml")
    assert read_labelled(recipe.data).classes == ("EA", "EW")
    assert type(recipe).model_validate(recipe.model_dump()) == recipe


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"surveys": {"a": {"light_curves": "x", "labels": "y"}}}, "need the section"),
        (
            {"surveys": {"a": {"light_curves": "x", "labels": "y"}}, "taxonomy": {}, "labels": "y"},
            "labels: with several",
        ),
        ({"surveys": {"a": {"light_curves": "x", "labels": "y"}}, "taxonomy": {}, "drop": ["y"]}, "drop: with several"),
        ({"surveys": {"a": {"labels": "y"}}, "taxonomy": {}}, "light_curves"),
        ({"light_curves": "x", "labels": "y", "leaves": {"a": "EA"}}, "need the section"),
        ({"light_curves": "x", "labels": "y", "taxonomy": {}, "merge": {"a": ["b"]}}, "map labels in leaves"),
        ({"light_curves": "x", "labels": "y", "period": "P", "frequency": "f"}, "leave one out"),
    ],
)
def test_contradictory_sections_are_errors(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate(content)


def test_small_groups_join_coarser_ones() -> None:
    fine = ["a"] * 12 + ["b"] * 3 + ["c"] * 8 + ["d"]
    coarse = ["A"] * 12 + ["B"] * 11 + ["D"]
    result = strata([fine, coarse], np.arange(24))
    assert len(np.unique(result)) == 2
    assert len(np.unique(result[:12])) == len(np.unique(result[12:23])) == 1
    assert result[23] == result[0]  # alone at all levels: with the largest
    star = np.r_[np.arange(23), 0]
    assert strata([fine, coarse], star)[23] == result[0]
    assert np.unique(strata([["x", "y"]], np.arange(2))).tolist() == ["all"]


def test_a_model_and_its_split_keep_the_taxonomy_and_the_surveys_labels(data: Labelled, tmp_path: Path) -> None:
    content = {"name": "x", "run": str(tmp_path), "data": {"light_curves": "a", "labels": "b"}}
    recipe = Recipe.model_validate(content | {"preprocessing": {"kind": "variables"}})
    network = SimpleNamespace(config=VariablesNetworkConfig(classes=2, star=1, candidate=1))
    sets = data.label_sets
    assert sets is not None
    assert experiment._bundle_config(recipe, data, cast(Any, network), ()).taxonomy == sets.taxonomy
    experiment._write_split(recipe, data, {"train": np.arange(3)})
    assert pd.read_csv(tmp_path / "split.csv")["label"].tolist() == sets.name.tolist()
