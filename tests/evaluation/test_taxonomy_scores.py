"""Scores where labels are sets of leaves; periods that contradict the class."""

import json
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import PeriodAnswer
from goodricke.data.predictions import Output
from goodricke.data.taxonomy import Taxonomy
from goodricke.evaluation.assessment import Assessment, ModelResult, assess
from goodricke.evaluation.report.terminal import print_assessment
from goodricke.evaluation.sample import Sample
from goodricke.evaluation.scores import check_truth, compare, score
from goodricke.evaluation.taxonomy_scores import (
    allowed_leaves,
    is_right,
    physics_check,
    score_labels,
    score_nodes,
    set_names,
)

TREE = Taxonomy.shipped().restricted(["EA", "EB", "EW", "ROT", "RRAB", "RRC"])
LABELS = ["EW|EB", "ECLIPSING", "EA", "ROT", "RR_LYRAE", "RRAB/BL", "EW|RRD", "MIRA"]
P = np.array(
    [
        [0.0, 0.3, 0.4, 0.3, 0.0, 0.0],
        [0.3, 0.2, 0.1, 0.4, 0.0, 0.0],
        [0.6, 0.2, 0.2, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.8, 0.2, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.2, 0.5, 0.3],
        [0.0, 0.0, 0.0, 0.0, 0.3, 0.7],
    ]
)


def test_labels_in_any_words_are_sets_of_a_model_s_leaves() -> None:
    allowed = allowed_leaves(LABELS, TREE)
    names = ["".join(f"{leaf} " for leaf in np.array(list(TREE.leaves))[row]).strip() for row in allowed]
    assert names == ["EB EW", "EA EB EW", "EA", "ROT", "RRAB RRC", "RRAB", "EW", ""]
    assert set_names(allowed[:6], TREE).tolist() == ["EB|EW", "ECLIPSING", "EA", "ROT", "RR_LYRAE", "RRAB"]
    assert (allowed_leaves(set_names(allowed[:6], TREE), TREE) == allowed[:6]).all()


def test_an_answer_in_the_set_is_right() -> None:
    allowed = allowed_leaves(LABELS[:6], TREE)
    right = is_right(P.argmax(1), allowed)
    assert right.tolist() == [True, False, True, False, True, False]
    scores = score(allowed, P, list(TREE.leaves))
    assert scores.accuracy.value == right.mean()
    assert np.diagonal(scores.confusion).sum() == 3
    likelihood = np.where(allowed, P, 0).sum(1)
    assert scores.negative_log_likelihood.value == pytest.approx(-np.log(likelihood).mean())


def test_sets_of_one_class_are_labels() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), (2, 300))
    label, star = rng.integers(6, size=300), rng.integers(100, size=300)
    sets = np.eye(6, dtype=bool)[label]
    names = list(TREE.leaves)
    assert score(label, p, names, star).to_dict() == score(sets, p, names, star).to_dict()
    assert compare(label, p, q, star) == compare(sets, p, q, star)
    gap = np.abs(np.bincount(np.minimum(p.max(1) * 15, 14).astype(int), p.max(1) - (p.argmax(1) == label))).sum() / 300
    assert score(label, p, names).calibration_error.value == pytest.approx(gap, abs=0.05)


def test_labels_that_allow_nothing_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one of 6"):
        check_truth(np.zeros((6, 6), bool), P, 6)


def test_scores_by_label_and_node() -> None:
    words = np.array(["a: close", "a: any", "a: EA", "b: spots", "b: RR", "b: RR"], object)
    allowed = allowed_leaves(["EW|EB", "ECLIPSING", "EA", "ROT", "RR_LYRAE", "RR_LYRAE"], TREE)
    labels = {x.label: x for x in score_labels(TREE, words, allowed, P)}
    assert labels["b: RR"].n == 2
    assert labels["b: RR"].right.value == 1
    assert labels["b: RR"].meaning == "RR_LYRAE"
    assert labels["b: RR"].probability == pytest.approx(0.9)
    assert labels["b: spots"].confused_with == "EW 1"
    assert labels["a: any"].confused_with == "ROT 1"
    nodes = {x.name: x for x in score_nodes(TREE, allowed, P)}
    assert nodes["ECLIPSING"].n == 3
    assert nodes["ECLIPSING"].unknown == 0
    assert nodes["ECLIPSING"].completeness.value == 1
    assert nodes["ECLIPSING"].purity.value == pytest.approx(3 / 4)  # the spotted star
    assert nodes["EA"].unknown == 1  # any eclipsing binary may be one
    assert nodes["EA"].completeness.value == 1
    assert "VARIABLE_STAR" not in nodes
    assert all(np.isfinite(x.to_dict()["n"]) for x in nodes.values())


def test_periods_that_contradict_the_class_are_counted() -> None:
    answer = ["RRAB", "RRAB", "RRC", "ROT", "EA"]
    check = physics_check(TREE, answer, np.array([0.55, 3.0, 0.3, np.nan, 2.0]))
    assert check is not None
    assert check.n == 4
    assert check.fraction.value == 0.25
    assert dict(check.by_class) == {"RRAB": (1, 2)}
    assert not check.is_met
    assert "RRAB 1 of 2" in str(check)
    assert physics_check(TREE, answer, np.full(5, np.nan)) is None
    many = physics_check(TREE, ["RRAB"] * 1000, np.r_[[5.0] * 4, np.full(996, 0.5)])
    assert many is not None
    assert many.is_met


def assessment(label: list[str], taxonomy: Taxonomy | None, periods: PeriodAnswer | None = None) -> Assessment:
    """Return the assessment of a model of the tree's leaves for the objects of ``P``."""
    n = len(P)
    curves = LightCurves.from_arrays([str(k) for k in range(n)], np.arange(n + 1), range(n), [1.0] * n, unit="mag")
    config = SimpleNamespace(taxonomy=taxonomy, targets=())
    model: Any = SimpleNamespace(classes=tuple(TREE.leaves), config=config, folder=None, hash="0", name="m")
    output = Output(P, np.zeros(n), periods=periods)
    result = ModelResult(model, None, output, np.array(["OK"] * n), None, 0)  # type: ignore[arg-type]
    return assess(Sample(curves, np.array(label, object), np.arange(n), {}, "a test", True), {"m": result})


def test_labels_of_an_assessment_may_be_sets() -> None:
    periods = PeriodAnswer.empty(len(P))
    periods.period[:] = [0.3, 0.3, 0.01, 0.4, 0.6, 0.3]  # no detached binary of 0.01 d
    result = assessment([*LABELS[:5], "RRD"], TREE, periods)
    assert result.rows.tolist() == [0, 1, 2, 3, 4]
    assert result.unknown_labels("m") == {"RRD": 1}
    assert result.scores["m"].accuracy.value == 3 / 5
    assert result.physics["m"].by_class == {"EA": (1, 1)}
    assert {x.label for x in result.by_label["m"]} == set(LABELS[:5])
    content = json.loads(json.dumps(result.to_dict()))["models"]["m"]
    assert content["physics"]["contradict"]["value"] == 1 / 6
    assert content["by_node"][0]["name"] == "ECLIPSING"
    console = Console(record=True, width=150, file=StringIO())
    print_assessment(result, console)
    text = console.export_text()
    assert "contradict each other in 16.67 % of 6 answers (EA 1 of 1)" in text
    assert "EB|EW" in text


def test_without_a_taxonomy_labels_are_classes() -> None:
    result = assessment(["EW", "EA", "EA", "ROT", "RRAB", "E"], None)
    assert result.rows.tolist() == [0, 1, 2, 3, 4]
    assert result.label.tolist() == [2, 0, 0, 3, 4]
    assert result.scores["m"].accuracy.value == 3 / 5
    assert result.nodes == {}
    assert "by_node" not in result.to_dict()["models"]["m"]
