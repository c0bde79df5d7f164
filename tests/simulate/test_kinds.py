"""Kinds: one list for shares, sources and tables of parameters."""

import pytest

from goodricke.simulate.kinds import DENSE, MULTIBAND, Kinds, divide, survey_kinds
from goodricke.simulate.parameters import table

BOTH = pytest.mark.parametrize("kinds", [DENSE, MULTIBAND], ids=["dense", "multi-band"])


@BOTH
def test_every_kind_has_a_share_a_source_and_a_table(kinds: Kinds) -> None:
    assert len(kinds.sources) == len(kinds.rows)
    assert list(kinds.classes) == sorted(kinds.classes)
    for label, shares in kinds.shares.items():
        assert sum(shares.values()) == pytest.approx(1), label
        for kind in shares:
            assert kinds.sources[kind].kind == kind == table(kind).kind
            assert kinds is MULTIBAND or table(kind).label == label


@BOTH
def test_counts_sum_to_the_number_of_each_class(kinds: Kinds) -> None:
    for n in (1, 7, 100, 1234):
        counts = kinds.counts(n)
        for label, shares in kinds.shares.items():
            assert sum(counts.get(kind, 0) for kind in shares) == n, label
    assert divide(10, {"a": 0.6, "b": 0.3, "c": 0.1}) == {"a": 6, "b": 3, "c": 1}


def test_unknown_classes_are_errors() -> None:
    with pytest.raises(ValueError, match="no class 'QUASAR' is simulated; there are APERIODIC"):
        DENSE.counts(1, ["QUASAR"])
    with pytest.raises(ValueError, match="no class 'KN' is simulated for gaia; there are AGN"):
        survey_kinds("gaia").counts(1, ["KN"])
