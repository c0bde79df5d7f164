from pathlib import Path

import numpy as np
import pytest

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "astrafier" / "preprocess.npz"


@pytest.fixture(scope="session")
def recorded() -> dict[str, np.ndarray]:
    """What the published preprocessing made of eleven light curves, or skip."""
    if not RECORDINGS.exists():
        pytest.skip(f"the published preprocessing's recordings aren't at {RECORDINGS}")
    with np.load(RECORDINGS) as selected:
        return dict(selected)
