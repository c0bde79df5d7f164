"""What tests look at: prepared light curves, pictures."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from goodricke.preprocess import Prepared


def assert_same(a: Prepared, b: Prepared) -> None:
    """Compare prepared light curves to the bit."""
    for name in ("offsets", "time", "values", "context", "status"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def ink(path: Path) -> tuple[int, int, float]:
    """Return the size of a PNG and the fraction of its pixels that are not white."""
    image = imread(path)
    return image.shape[1], image.shape[0], float((image[..., :3].min(2) < 0.95).mean())
