"""Constant stars are constant."""

import numpy as np

from goodricke.simulate.source import Constant


def test_the_flux_is_one_everywhere():
    source = Constant()
    flux = source.flux(source.draw(3, np.random.default_rng(0)), np.arange(7.0), 0.02)
    assert flux.shape == (3, 7)
    assert (flux == 1).all()
