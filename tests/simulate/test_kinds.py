"""Kinds: one list for shares, sources and tables of parameters."""

import numpy as np
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


def test_ellipsoidal_minima_differ_and_nuclei_and_luminous_giants_are_smooth() -> None:
    time, rng = np.arange(1296) / 48, np.random.default_rng(3)

    def flux(kind: str) -> np.ndarray:
        source = DENSE.sources[kind]
        return source.flux(source.draw(40, rng), time, 0.0)

    binary = DENSE.sources["ellipsoidal"]
    truth = binary.draw(40, rng)
    at = [(place - truth["phase"])[:, None] * truth["period"][:, None] for place in (0.0, 0.5)]
    first, second = (
        np.array([binary.flux({k: v[i : i + 1] for k, v in truth.items()}, t, 0.0)[0, 0] for i, t in enumerate(x)])
        for x in at
    )
    assert np.median(second - first) > 0.001  # the cooler star eclipses the hotter one, or tides add to its shadow
    for kind in ("galactic_nucleus", "luminous_giant"):
        x = flux(kind)
        assert np.median(np.diff(x, axis=1).std(1) / x.std(1)) < 0.1, kind
