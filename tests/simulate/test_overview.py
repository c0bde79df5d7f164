"""Pages of light curves in several bands."""

import pytest
from matplotlib.figure import Figure

from goodricke.simulate.overview import _multiband_panel, select_event
from goodricke.simulate.sparse import simulate_multiband

pytest.importorskip("batman", reason="batman isn't installed")


def test_panels_fold_periodic_light_curves_and_have_bright_magnitudes_at_the_top() -> None:
    axes = Figure().add_subplot()
    curve = simulate_multiband({"RRL": 1}, "gaia", seed=2)
    period = float(curve.column("true_period")[0])
    _multiband_panel(axes, curve, {"kind": "rr_lyrae_ab", "true_period": period})
    assert axes.yaxis_inverted()
    assert axes.dataLim.width < max(period, 1.0) + 1e-6
    assert axes.get_title() == f"RR Lyrae ab, P = {period:.3g} d"


def test_pages_show_events_around_their_time() -> None:
    curve = simulate_multiband({"CV": 1, "SNIA": 1}, "rubin", seed=2)[1]
    event = select_event(curve)
    assert 0 < len(event.time) < len(curve.time)
    assert (event.value > 5 * event.error).sum() == (curve.value > 5 * curve.error).sum()
