"""Events in time: a Poisson process in all but name, the same however it is looked at."""

import numpy as np
import pytest

from goodricke.simulate.signals import events, uniforms


def test_random_numbers_are_uniform_and_independent_between_seeds_indices_and_places():
    drawn = uniforms(7, np.arange(-5000, 5000), 2)
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.var() == pytest.approx(1 / 12, abs=0.002)
    assert np.abs(np.corrcoef(drawn[0], drawn[1])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(drawn[0, 1:], drawn[0, :-1])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(drawn[0], uniforms(8, np.arange(-5000, 5000), 2)[0])[0, 1]) < 0.03
    assert 0 < drawn.min() < drawn.max() < 1


def test_events_come_at_their_rate_in_order():
    time, marks = events(3, 0.5, -1000, 3000, 2)
    assert len(time) == pytest.approx(2000, abs=150)
    assert marks.shape == (2, len(time))
    assert (np.diff(time) > 0).all()
    assert np.diff(time).std() == pytest.approx(2.0, rel=0.15)  # as long as the mean: no regular spacing


def test_a_window_shows_the_events_that_a_longer_one_shows_there():
    time, marks = events(11, 2.0, 0, 100, 3)
    inner, inner_marks = events(11, 2.0, 31.7, 52.2, 3)
    inside = (time >= 31.7) & (time <= 52.2)
    np.testing.assert_array_equal(inner, time[inside])
    np.testing.assert_array_equal(inner_marks, marks[:, inside])
