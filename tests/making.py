"""Light curves that tests make up."""

import numpy as np


def sine(n: int = 200, period: float = 0.7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return times [d] and magnitudes of a noisy sine."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 100, n)) + 55000
    return time, 12 + 0.3 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.02, n)
