"""A field for tests."""

import numpy as np

from goodricke.simulate.surveys import Field, Visits, find_survey


def nightly(first: float, last: float, survey: str = "rubin", step: float = 1.0) -> Field:
    """Return a field that is visited every night in every band."""
    target = find_survey(survey)
    time, band = np.arange(first, last, step), np.arange(len(target.bands.names), dtype=np.uint8)
    n = len(time) * len(band)
    return Field(target, Visits(np.repeat(time, len(band)), np.tile(band, len(time)), np.full(n, 24.0)))
