"""The taxonomy: one tree, sums over leaves, labels as sets, periods that classes exclude."""

import numpy as np
import pytest

from goodricke.data.taxonomy import UNCERTAIN, Leaf, Taxonomy

TREE = Taxonomy.shipped()


def probabilities(**p: float) -> np.ndarray:
    return np.array([[p.get(leaf, 0.0) for leaf in TREE.leaves]])


def test_shipped_is_one_tree_in_which_the_root_has_every_leaf():
    assert TREE.root == "SOURCE" == TREE.names[0]
    assert TREE.matrix.shape == (len(TREE.nodes), len(TREE.leaves))
    assert TREE.matrix[0].all()
    for name, children in TREE.nodes.items():
        below = sorted(k for child in children for k in TREE.members(child))
        assert below == list(TREE.members(name))  # children are disjoint and complete


def test_shipped_is_read_once_and_survives_json():
    assert Taxonomy.shipped() is TREE
    assert Taxonomy.model_validate_json(TREE.model_dump_json()) == TREE
    assert list(Taxonomy.model_validate_json(TREE.model_dump_json()).leaves) == list(TREE.leaves)


@pytest.mark.parametrize(
    ("label", "leaves"),
    [
        ("EA", "EA"),
        ("EW/RS", "EW"),
        ("EA/SD", "EA"),
        ("EA:", "EA"),
        ("RRAB/BL", "RRAB"),
        ("DCEP(B)", "CEP_MULTI"),
        ("DCEPS", "CEP_1O"),
        ("DCEP", "CEP_F CEP_1O"),
        ("EA|EB", "EA EB"),
        ("EA|EB|EW", "EA EB EW"),
        ("DSCT+GDOR", "DSCT GDOR"),
        ("E", "EA EB EW"),
        ("RR Lyrae", "RRAB RRC RRD"),
        ("rr_lyrae", "RRAB RRC RRD"),
        ("M", "MIRA"),
        ("SRB", "SR"),
        ("LPV", "MIRA SR"),
        ("SX Phe", "DSCT"),
        ("RS", "ROT"),
        ("BY|RS", "ROT"),
        ("T2CEP", "T2CEP"),
        ("CWB", "T2CEP"),
        ("QSO", "AGN"),
        (["EW", "EB"], "EW EB"),
        (["RR_LYRAE", "EW"], "RRAB RRC RRD EW"),
    ],
)
def test_labels_are_sets_of_leaves(label: str | list[str], leaves: str):
    assert TREE.parse(label) == set(leaves.split())


def test_a_name_means_one_thing():
    """No VSX type of one leaf is spelled like another leaf, node or type of other leaves."""
    for name in TREE.names:
        assert TREE.parse(name) == {list(TREE.leaves)[k] for k in TREE.members(name)}
    for name, leaf in TREE.leaves.items():
        for kind in leaf.vsx:
            assert TREE.parse(kind) == {name}, kind


@pytest.mark.parametrize("label", ["ECLIPSNG", "nothing of the kind", "", [], "EA|no such"])
def test_unknown_labels_are_errors(label: str | list[str]):
    with pytest.raises(ValueError, match=r"is no leaf, node or VSX type|empty label"):
        TREE.parse(label)
    if label == "ECLIPSNG":
        with pytest.raises(ValueError, match="ECLIPSING"):
            TREE.parse(label)


def test_probabilities_of_nodes_are_sums():
    p = np.random.default_rng(0).dirichlet(np.ones(len(TREE.leaves)), 50)
    nodes = TREE.node_probabilities(p)
    for k, name in enumerate(TREE.nodes):
        np.testing.assert_allclose(nodes[:, k], p[:, list(TREE.members(name))].sum(1))


def test_deepest():
    answer, p = TREE.deepest(probabilities(EW=0.55, EB=0.42, ROT=0.03))
    assert answer.tolist() == ["ECLIPSING"]
    np.testing.assert_allclose(p, 0.97)
    assert TREE.deepest(probabilities(EW=0.9, EB=0.1))[0].tolist() == ["EW"]
    assert TREE.deepest(probabilities(EW=0.5, RRC=0.5))[0].tolist() == ["VARIABLE_STAR"]
    assert TREE.deepest(probabilities(EW=0.5, AGN=0.5))[0].tolist() == ["SOURCE"]
    assert TREE.deepest(probabilities(EW=1 - 1e-12), 1.0)[0].tolist() == ["SOURCE"]
    assert TREE.deepest(probabilities(RRAB=0.3, RRC=0.3, CEP_F=0.2, EW=0.2))[0].tolist() == ["PULSATING"]


def test_the_root_as_an_answer_is_called_uncertain_and_stays_the_root():
    p = probabilities(EW=0.5, AGN=0.5)
    name, probability = TREE.answers(p, 0.7)
    assert name.tolist() == [UNCERTAIN]
    np.testing.assert_allclose(probability, 1)
    assert TREE.members(UNCERTAIN) == TREE.members(TREE.root)
    assert not TREE.contradicts(UNCERTAIN, [1e9]).any()
    assert TREE.answers(probabilities(EW=0.9, EB=0.1), 0.7)[0].tolist() == ["EW"]
    with pytest.raises(ValueError, match="uncertain"):  # no label: it would be right whatever the answer
        TREE.parse(UNCERTAIN)


def test_deepest_at_a_low_threshold_is_the_most_probable_of_the_smallest():
    assert TREE.deepest(probabilities(RRAB=0.4, RRC=0.25, EW=0.35), 0.3)[0].tolist() == ["RRAB"]


def test_deepest_is_nested_in_any_lower_threshold():
    p = np.random.default_rng(1).dirichlet(np.full(len(TREE.leaves), 0.1), 500)
    low, high = TREE.deepest(p, 0.6)[0], TREE.deepest(p, 0.9)[0]
    assert all(set(TREE.members(a)) <= set(TREE.members(b)) for a, b in zip(low, high, strict=True))


def test_restricted_drops_nodes_that_say_nothing_more():
    tree = TREE.restricted(["EW", "ROT", "EB", "RRAB"])
    assert list(tree.leaves) == ["EW", "ROT", "EB", "RRAB"]
    assert tree.nodes == {"VARIABLE_STAR": ("ECLIPSING", "ROT", "RRAB"), "ECLIPSING": ("EB", "EW")}
    assert tree.parse("E") == {"EB", "EW"}
    assert tree.parse("ECLIPSING") == {"EB", "EW"}
    assert tree.members("ECLIPSING") == (0, 2)
    with pytest.raises(ValueError, match="no leaf"):
        tree.parse("RRC")
    assert list(TREE.restricted(["EA", "EW"]).nodes) == ["ECLIPSING"]
    assert TREE.restricted(["MIRA"]).deepest([[1.0]])[0].tolist() == ["MIRA"]
    with pytest.raises(ValueError, match="EC"):
        TREE.restricted(["EC"])
    assert TREE.restricted(list(TREE.leaves)) == TREE


def test_sets_are_named_by_nodes():
    assert TREE.set_name(TREE.mask(["EA", "EB", "EW"])) == "ECLIPSING"
    assert TREE.set_name(TREE.mask(["EA"])) == "EA"
    assert TREE.set_name(TREE.mask(["EA", "RRC"])) is None
    assert TREE.set_name(TREE.mask([])) is None
    assert TREE.set_name(TREE.mask(TREE.leaves)) == TREE.root


def test_periods_that_contradict_a_class():
    leaves = np.array(["RRAB", "RRAB", "RRAB", "MIRA", "MIRA", "DSCT", "DSCT", "YSO", "WR", "EA"], object)
    period = [0.3, 0.57, 1.5, 60, 300, 0.5, 0.1, 1e4, 1e-3, 9896]
    expected = [True, False, True, True, False, True, False, False, False, False]
    assert TREE.contradicts(leaves, period).tolist() == expected
    assert TREE.contradicts("RRAB", [np.nan, 2.0]).tolist() == [False, True]
    assert TREE.contradicts(["RR_LYRAE", "RR_LYRAE", "SOURCE"], [0.25, 2.0, 1e9]).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="RRXB"):
        TREE.contradicts(["RRXB"], [1.0])


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ({"ROOT": ("A", "C")}, "neither leaf nor node"),
        ({"ROOT": ("A", "B"), "OTHER": ("A",)}, "several places"),
        ({"ROOT": ("A",)}, "one root"),
        ({"A": ("B",)}, "several places"),
        ({"ROOT": ("A", "B"), "ONE": ("OTHER",), "OTHER": ("ONE",)}, "two children"),
    ],
)
def test_refuses_anything_but_a_tree(nodes: dict[str, tuple[str, ...]], message: str):
    with pytest.raises(ValueError, match=message):
        Taxonomy(leaves={"A": Leaf(), "B": Leaf()}, nodes=nodes)
