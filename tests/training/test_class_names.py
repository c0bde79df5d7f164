"""Labels matched with the classes of a model, and the syntaxes of renaming."""

import logging

import numpy as np
import pytest

from goodricke.training.class_names import match_classes, parse_renaming, spell_as_classes

CLASSES = ("DSCT_BCEP", "RR Lyrae", "EB")


def test_labels_match_classes_without_regard_to_case_and_punctuation(caplog):
    match = match_classes(["dsct-bcep", "RRLYRAE", "EB", None, np.nan, "ROT", "ROT"], CLASSES)
    assert match.class_index.tolist() == [0, 1, 2, -1, -1, -1, -1]
    assert match.unmatched == {"ROT": 2}
    assert caplog.text.count("matched with classes") == 1
    assert "RRLYRAE = RR Lyrae, dsct-bcep = DSCT_BCEP" in caplog.text
    assert "EB = EB" not in caplog.text


def test_exact_names_are_matched_in_silence(caplog):
    caplog.set_level(logging.WARNING)
    assert match_classes(CLASSES, CLASSES).class_index.tolist() == [0, 1, 2]
    assert not caplog.text


def test_of_two_classes_that_differ_in_case_alone_only_the_exact_name_matches():
    assert match_classes(["RRab", "RRAB", "rrab"], ["RRab", "RRAB"]).class_index.tolist() == [0, 1, -1]


def test_a_label_without_letters_matches_nothing():
    assert match_classes(["?", "-"], ["-", "EB"]).class_index.tolist() == [-1, 0]


@pytest.mark.parametrize("renaming", [parse_renaming(["Eclipsing=EB"]), parse_renaming(merge=["EB=Eclipsing,E"])])
def test_renamed_labels_match_under_their_new_name(renaming):
    assert match_classes(["Eclipsing", "eclipsing", "EB"], CLASSES, renaming).class_index.tolist() == [2, 2, 2]
    assert spell_as_classes(["eclipsing", "ROT", None], CLASSES, renaming).tolist() == ["EB", "ROT", None]


def test_both_syntaxes_give_classes_by_label():
    assert parse_renaming(["A = B=C"], ["EC=W UMa, EW"]) == {"A = B": "C", "W UMa": "EC", "EW": "EC"}


@pytest.mark.parametrize(("option", "text"), [("rename", "ROT"), ("rename", "=ROT"), ("merge", "EC="), ("merge", "EC")])
def test_another_syntax_is_an_error_that_shows_the_right_one(option, text):
    with pytest.raises(ValueError, match=f"--{option} {text}: write it as"):
        parse_renaming(**{option: [text]})


def test_types_of_the_variable_star_index_match_leaves():
    leaves = ["EA", "EB", "EW", "RRAB", "CEP_1O"]
    types = ["EW/RS", "RRAB/BL", "DCEPS", "EA:", "E", "EA|EB", "ELL"]
    assert match_classes(types, leaves).class_index.tolist() == [2, 3, 4, 0, -1, -1, -1]
    assert match_classes(["EW/RS"], ["EW", "MY_CLASS"]).class_index.tolist() == [-1]
