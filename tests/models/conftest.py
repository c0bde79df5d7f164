"""Where the recordings of the published network are; they're no part of the repository."""

from pathlib import Path

import pytest

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "astrafier"


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of the recordings, or skip."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"the published network's recordings aren't at {RECORDINGS}")
    return RECORDINGS
