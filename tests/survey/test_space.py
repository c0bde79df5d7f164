"""The space of embeddings: standardised, and the same however the rows come."""

import numpy as np
import pytest

from goodricke.survey.embeddings import Space

X = np.random.default_rng(0).normal(size=(500, 5)) @ np.diag([1, 10, 0.1, 3, 1]) + 100


def test_it_standardises_and_keeps_angles() -> None:
    space = Space.fit([X])
    z = (X - X.mean(0)) / X.std(0)
    np.testing.assert_allclose(space.standard(X), z, atol=2e-3)  # single precision, 1000 spreads from 0
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(space.unit(X[:50]) @ space.unit(X[:50]).T, unit[:50] @ unit[:50].T, atol=2e-3)


def test_pieces_are_the_whole() -> None:
    whole, pieces = Space.fit([X]), Space.fit([X[:1], X[:0], X[1:400], X[400:]])
    for name in ("mean", "spread"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-9)


def test_a_dead_coordinate_and_a_single_row_do_no_harm() -> None:
    dead = np.hstack([X, np.full((500, 1), 7.0)])
    assert np.isfinite(Space.fit([dead]).unit(dead)).all()
    assert np.isfinite(Space.fit([X[:1]]).unit(X[:1])).all()
    with pytest.raises(ValueError, match="no row has an embedding"):
        Space.fit([X[:0]])
