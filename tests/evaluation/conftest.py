import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture
def loud() -> Iterator[None]:
    """Turn matplotlib's warnings (clashing limits, squeezed layouts) into failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield
