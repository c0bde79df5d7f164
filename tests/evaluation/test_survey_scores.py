"""Scores of each survey in its own labels, and guesses of the survey from embeddings."""

import numpy as np
import pytest

from goodricke.data.taxonomy import Taxonomy
from goodricke.evaluation.scores import score
from goodricke.evaluation.survey_scores import (
    leak_rows,
    own_labels,
    survey_leaks,
    survey_notes,
    survey_rows,
    survey_scores,
)

LEAVES = ["EA", "EB", "EW", "ROT", "RRAB", "RRC"]
TREE = Taxonomy.shipped().restricted(LEAVES)


def masks(*labels: str) -> np.ndarray:
    return np.array([TREE.mask(TREE.parse(label)) for label in labels])


def test_labels_of_one_set_are_one_and_overlapping_ones_are_left_out() -> None:
    label = np.array(["RRab", "Blazhko", "EA", "binary", "EA", "c", "RRab"])
    own = own_labels(label, masks("RRAB", "RRAB", "EA", "ECLIPSING", "EA", "RRC", "RRAB"))
    assert own.names == ("Blazhko, RRab", "EA", "c")
    assert own.place.tolist() == [0, 0, 1, -1, 1, 2, 0]
    assert own.overlapping == {"binary": 1}
    assert own.leaves.sum(1).tolist() == [1, 1, 1]


def test_labels_that_are_single_leaves_have_the_plain_scores() -> None:
    rng = np.random.default_rng(0)
    p, label, star = rng.dirichlet(np.ones(6), 300), rng.integers(6, size=300), rng.integers(90, size=300)
    names = np.array(LEAVES)[label]
    (found,) = survey_scores(np.full(300, "s"), names, np.eye(6, dtype=bool)[label], p, star)
    plain = score(label, p, LEAVES, star)
    assert found.labels == tuple(sorted(LEAVES)) == tuple(LEAVES)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error"):
        figure = found.figures[name]
        assert figure is not None
        assert figure == pytest.approx(getattr(plain, name))
    assert found.outside.value == 0


def test_the_probability_of_a_label_is_the_sum_over_its_leaves() -> None:
    """Two surveys with the same light curves; one calls contact and semi-detached binaries by one name."""
    p = np.array([[0.1, 0.3, 0.2, 0.4, 0, 0], [0.5, 0.2, 0.1, 0.2, 0, 0], [0, 0, 0, 0, 0.7, 0.3]])
    coarse, fine = ["EB|EW", "EA", "EB|EW"], ["EW", "EA", "EB"]
    survey = np.repeat(["coarse", "fine"], 3)
    allowed = np.concatenate([masks(*coarse), masks(*fine)])
    member = np.tile(p > 0.25, (2, 1))
    found = {
        x.survey: x
        for x in survey_scores(survey, np.array(coarse + fine), allowed, np.tile(p, (2, 1)), prediction_set=member)
    }
    # of the first 0.5 is more than 0.1, though ROT is the most probable leaf; of the third both are 0
    assert found["coarse"].scores.accuracy.value == pytest.approx(2 / 3)
    assert found["fine"].scores.accuracy.value == pytest.approx(1 / 3)
    assert found["coarse"].outside.value == pytest.approx(2 / 3)
    assert found["coarse"].coverage is not None
    assert found["coarse"].coverage.value == pytest.approx(2 / 3)
    assert found["coarse"].set_size == pytest.approx((2 + 1 + 2) / 3)


def test_a_survey_left_out_is_called_so_and_baselines_stand_beside() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(2, size=80)
    sharp = np.where(np.eye(6)[label] > 0, 0.9, 0.02)
    blurred = np.full((80, 6), 1 / 6)
    survey = np.where(np.arange(80) < 40, "east", "west")
    names = np.array(["detached", "semi-detached"])[label]
    found = survey_scores(survey, names, np.eye(6, dtype=bool)[label], sharp, None, None, {"forest": blurred}, ["west"])
    records = [x.to_dict() for x in found]
    assert [x["is_unseen"] for x in records] == [False, True]
    assert all(x["baselines"]["forest"]["accuracy"]["value"] < 0.8 for x in records)
    rows, notes = survey_rows(records), survey_notes(records)
    assert rows[1]["survey"] == "west (not trained on)"
    assert rows[0]["accuracy"].startswith("1.000")
    assert any("No light curve of west" in note for note in notes)


def test_one_label_is_no_question() -> None:
    assert survey_scores(np.full(5, "s"), np.full(5, "EA"), masks(*["EA"] * 5), np.full((5, 6), 1 / 6)) == ()


def test_the_survey_is_guessed_if_embeddings_know_it_and_not_otherwise() -> None:
    rng = np.random.default_rng(2)
    survey = np.repeat(["a", "b", "c"], 60)
    allowed = np.tile(masks("RRAB"), (180, 1))
    noise = rng.normal(size=(180, 5))
    known = noise + 6 * (survey == "b")[:, None]
    (blind,), (seen,) = (survey_leaks(x, survey, allowed, TREE) for x in (noise, known))
    assert blind.leaf == "RRAB"
    assert blind.chance == pytest.approx(1 / 3)
    assert blind.balanced_accuracy.low < 1 / 3 < blind.balanced_accuracy.high + 0.1
    assert seen.balanced_accuracy.value > blind.balanced_accuracy.value + 0.15
    assert leak_rows([seen.to_dict()])[0]["surveys"] == "a 60, b 60, c 60"


def test_light_curves_of_one_star_are_no_help_to_guess_its_survey() -> None:
    """Copies of a star are in one fold: with an embedding of its own for each star nothing can be learned."""
    rng = np.random.default_rng(3)
    star = np.repeat(np.arange(80), 6)
    embedding = rng.normal(size=(80, 40))[star]
    survey = np.where(star % 2, "odd", "even")
    (found,) = survey_leaks(embedding, survey, np.tile(masks("EA"), (480, 1)), TREE, star)
    assert found.balanced_accuracy.value < 0.7
    assert survey_leaks(embedding, survey, np.tile(masks("EA|EB"), (480, 1)), TREE, star) == ()  # not one leaf
