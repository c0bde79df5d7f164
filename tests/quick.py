"""What trainings in tests leave out."""

import pytest

from goodricke.evaluation import held_out


def leave_out_forests(patch: pytest.MonkeyPatch) -> None:
    """Train no forests beside the networks: they take most of the time."""
    patch.setattr(held_out, "forest_probabilities", lambda *_: {})
    patch.setattr(held_out, "forest_regressions", lambda curves, prepared, targets, known, rows: targets[rows] * 0)
