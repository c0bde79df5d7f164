"""The page of light curves in bands."""

from pathlib import Path

import pytest

from goodricke.simulate.figures import draw_multiband, select_event
from goodricke.simulate.sparse import simulate_multiband

pytest.importorskip("batman", reason="batman isn't installed")


@pytest.mark.parametrize("survey", ["rubin", "gaia"])
def test_a_page_is_drawn(survey: str, tmp_path: Path) -> None:
    draw_multiband(simulate_multiband(3, survey, classes=["SNIA", "RRL"]), tmp_path / "page.png", per_class=2)
    assert (tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


def test_events_are_shown_about_their_time() -> None:
    curve = simulate_multiband({"CV": 1, "SNIA": 1}, "rubin", seed=2)[1]
    shown = select_event(curve)
    assert 0 < len(shown.time) < len(curve.time)
    assert (shown.value > 5 * shown.error).sum() == (curve.value > 5 * curve.error).sum()
