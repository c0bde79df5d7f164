"""Stars that do not vary: all one sees in them is the instrument."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.source import Drawn, Float


class Constant:
    """A star of constant flux 1."""

    kind = "constant"
    label = "CONSTANT"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        return {"level": np.ones(n)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return np.repeat(drawn["level"].astype(np.float32)[:, None], len(time), axis=1)
