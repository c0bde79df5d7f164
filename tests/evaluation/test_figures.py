import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions, Status
from goodricke.evaluation.figures.objects import (
    compute_periodogram,
    draw_light_curve,
    draw_phases,
    draw_probabilities,
    format_period,
    plot_mistakes,
    plot_object,
    plot_overview,
)
from goodricke.evaluation.figures.style import figure_name, shorten
from goodricke.preprocess.periods import find_periods
from tests.checking import ink
from tests.making import predictions_of, variables

pytestmark = pytest.mark.usefixtures("loud")

CLASSES = ("EA", "EW", "RR")


def star(n=300, period=0.61, object_id="star", unit="mag", seed=0, bands=("V",), span=400.0):
    rng = np.random.default_rng(seed)
    time, band = np.sort(rng.uniform(0, span, n)), rng.integers(len(bands), size=n)
    value = 12 + 3 * band + 0.3 * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.03, n)
    error = rng.uniform(0.02, 0.04, n)
    return LightCurves.from_arrays([object_id], [0, n], time, value, error, band, bands=bands, unit=unit)


def predicted(curves, status="OK", spread=True, classes=CLASSES):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(len(classes)), len(curves))
    status = np.full(len(curves), str(status), dtype=object)
    return predictions_of(curves.object_id, status, classes, p, curves.n_obs, spread=p / 5 if spread else None)


def points(x, y=None, error=None, unit="mag", object_id="bad"):
    x = np.asarray(x, float)
    y = np.full(len(x), 12.0) if y is None else y
    return LightCurves.from_arrays([object_id], [0, len(x)], x, y, error, unit=unit)


BAD = {
    "empty": points([]),
    "one point": points([5.0], error=[0.1]),
    "one point without error": points([5.0]),
    "zero": points([0.0], [0.0], unit="relative"),
    "two points": points([1.0, 2.0], [3.0, 4.0]),
    "same time": points(np.full(9, 3.0), np.arange(9.0)),
    "constant": points(np.arange(50.0)),
    "all NaN": points(np.arange(5.0), np.full(5, np.nan)),
    "no time": points(np.full(5, np.nan)),
    "some infinite": points([1, 2, np.inf, 4, 5, 6, 7], [1, 2, 3, np.inf, -np.inf, np.nan, 2], np.full(7, np.inf)),
    "huge errors": points(np.arange(20.0), np.arange(20.0) % 7, np.full(20, 1e30)),
    "huge values": points(np.arange(20.0), 1e38 * (np.arange(20.0) % 3), unit="nJy"),
    "negative flux": points(np.arange(20.0), -np.arange(20.0) % 7, np.full(20, -1.0), unit="nJy"),
    "unsorted": points(np.arange(20.0)[::-1], np.arange(20.0) % 3),
    "long": star(18_000, unit="electron / s"),
    "eight bands": star(400, bands=tuple("ugrizyVB")),
    "long id": star(object_id="very long " * 200),
    "strange id": star(object_id="$x_{$ <b>\n../\\ % & 100$"),
    "empty id": star(object_id=""),
}


def test_object_figure_is_drawn_for_any_light_curve(tmp_path, monkeypatch):
    monkeypatch.setattr("goodricke.evaluation.figures.style.DPI", 40)
    path = tmp_path / "new" / "figure.png"
    for name, curve in BAD.items():
        layout = "constrained" if "id" in name or "bands" in name else None  # the others' text is like theirs
        monkeypatch.setattr("goodricke.evaluation.figures.style.LAYOUT", layout)
        plot_object(curve, predicted(curve), path)
        assert ink(path)[:2] == (400, 240)
        assert [p.name for p in path.parent.iterdir()] == ["figure.png"]  # no partial file is left


def test_status_replaces_the_probabilities():
    for status in (s for s in Status if s != Status.OK):
        axes = Figure().add_subplot()
        draw_probabilities(axes, predicted(star(), status))
        assert str(status) in axes.texts[0].get_text()
        assert not axes.patches


def test_the_panels_of_an_object_are_those_of_its_data(drawn, tmp_path):
    curve = star(bands=("g", "r"))
    plot_object(curve, predicted(curve), tmp_path / "x.png")
    light_curve, spectrum, folded, probabilities = drawn[0].axes
    assert light_curve.yaxis_inverted()
    assert folded.yaxis_inverted()
    assert (light_curve.get_xlabel(), folded.get_xlabel(), folded.get_xlim()) == ("time [d]", "phase", (0, 2))
    assert (spectrum.get_xscale(), spectrum.get_xlabel(), spectrum.get_ylabel()) == ("log", "period [d]", "power")
    assert folded.get_title() == f"folded on {format_period(compute_periodogram(curve).best)}"
    assert probabilities.get_xlim() == (0, 1)
    plot_mistakes(curve, ["is EA, not EW"], tmp_path / "y.png")
    left, right = drawn[1].axes
    assert left.get_title(loc="left") == "star: is EA, not EW"
    assert right.get_xlabel() == "phase"


def answered(curve, row=0):
    """Return the prediction of one object that has a node as its class and a period."""
    made = variables()
    return Predictions(made.table.slice(row, 1).set_column(0, "object_id", curve.object_id), made.classes)


def test_an_object_is_folded_on_the_answered_period(drawn, tmp_path):
    curve = star(period=0.2)
    plot_object(curve, answered(curve), tmp_path / "x.png")
    _, spectrum, folded, probabilities = drawn[0].axes
    title = drawn[0].get_suptitle()
    assert title == "star:  ECLIPSING, p = 0.97 (EW 0.55 / EB 0.42)"
    lines = ["P = 0.40000(2) d, p = 0.83", "or P/2 0.12, 1-day alias 0.05", "FAP < 1e-06"]
    assert folded.get_title() == "\n".join(lines)
    first = folded.containers[0].lines[0].get_xdata()[: len(curve.time)]
    np.testing.assert_allclose(first, curve.fold(0.4).time)
    assert [line.get_xdata()[0] for line in spectrum.lines if line.get_linestyle() == "--"] == [0.4]
    assert probabilities.get_title() == "class probabilities\n90 % set: EW or EB"


def test_doubts_are_in_the_captions(drawn, tmp_path):
    curve = star()
    plot_object(curve, answered(curve, 1), tmp_path / "x.png")
    assert drawn[0].axes[2].get_title().splitlines()[2:] == ["longer than half the time span", "FAP 0.02"]
    plot_object(curve, answered(curve, 2), tmp_path / "x.png")  # without a period
    assert drawn[1].get_suptitle().endswith(", new?")
    assert drawn[1].axes[2].get_title() == f"folded on {format_period(compute_periodogram(curve).best)}"


def test_the_overview_is_folded_on_the_answered_period_or_that_of_the_fold(drawn, tmp_path):
    curve = star(period=0.2)
    plot_overview(curve, answered(curve), tmp_path / "x.png")
    assert drawn[0].axes[0].get_title().startswith("star, P = 0.40000 d\nECLIPSING")
    fold = {"fold_period": np.array([0.3])}
    folded = predictions_of(curve.object_id, ["OK"], CLASSES, np.eye(3)[:1], [9], columns=fold)
    plot_overview(curve, folded, tmp_path / "x.png")
    assert drawn[1].axes[0].get_title().startswith("star, P = 0.30000 d\nEA, p = 1.00")


def test_probabilities_are_bars_with_their_spread():
    prediction = predicted(star(), classes=tuple(f"class {i}" for i in range(20)))
    axes = Figure().add_subplot()
    draw_probabilities(axes, prediction)
    p = np.sort(prediction.probabilities[0])[::-1][:12]
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], p)
    assert len(axes.containers) == 2  # bars and error bars
    draw_probabilities(axes := Figure().add_subplot(), predicted(star(), spread=False))
    assert len(axes.patches) == 3
    assert len(axes.containers) == 1


def test_magnitudes_run_downwards():
    for unit, downwards in (("mag", True), ("mag (relative)", True), ("nJy", False)):
        axes = Figure().add_subplot()
        draw_light_curve(axes, star(unit=unit))
        assert axes.yaxis_inverted() == downwards
        assert axes.get_ylabel().startswith("magnitude" if downwards else "flux")
        low, high = sorted(axes.get_ylim())
        assert low < star().value.min() < star().value.max() < high


def test_bands_are_named_if_there_are_several():
    axes = Figure().add_subplot()
    draw_light_curve(axes, star(bands=("g", "r")))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["g", "r"]
    draw_light_curve(axes := Figure().add_subplot(), star())
    assert axes.get_legend() is None


def test_periodogram_is_that_of_the_network():
    for period in (0.31, 5.2, 60.0):
        curve = star(period=period)
        spectrum, peaks = compute_periodogram(curve), find_periods(curve)
        assert spectrum.best == pytest.approx(peaks.period[0], rel=1e-9)
        assert spectrum.power.max() == pytest.approx(peaks.power[0], rel=1e-4)  # float32 values minus their median
        assert spectrum.best == pytest.approx(period, rel=0.02)


def test_bands_of_different_brightness_do_not_hide_the_period():
    assert compute_periodogram(star(bands=("g", "r", "i"))).best == pytest.approx(0.61, rel=1e-3)


def test_outlier_does_not_hide_the_period():
    curve = star()
    value = curve.value.copy()
    value[7] += 100
    spoiled = LightCurves.from_arrays(["x"], curve.offsets, curve.time, value, curve.error, unit="mag")
    assert compute_periodogram(spoiled).best == pytest.approx(0.61, rel=1e-3)


def test_no_periodogram():
    assert all(
        compute_periodogram(BAD[what]) is None for what in ("empty", "one point", "same time", "constant", "all NaN")
    )


def test_one_object_at_a_time(tmp_path):
    two = LightCurves.concat([star(), star(object_id="other")])
    with pytest.raises(ValueError, match="not 2 and 1"):
        plot_object(two, predicted(star()), tmp_path / "x.png")
    with pytest.raises(ValueError, match="2 light curves and 1"):
        plot_overview(two, predicted(star()), tmp_path / "x.png")
    with pytest.raises(ValueError, match="at least one"):
        plot_overview(two[:0], predicted(two[:0]), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_overview_grows_by_rows_up_to_twelve(drawn, tmp_path):
    many = LightCurves.concat([star(60, object_id=f"s{i}", seed=i, period=0.4 * 1.7**i) for i in range(14)])
    for n, rows in ((1, 1), (4, 1), (5, 2), (14, 3)):
        plot_overview(many[:n], predicted(many[:n]), tmp_path / "x.png")
        assert len(drawn[-1].axes) == min(n, 12)
        assert drawn[-1].get_figheight() == pytest.approx(2.5 * rows)
    titles = [axes.get_title() for axes in drawn[-1].axes]
    assert titles[0].startswith(f"s0, P = {format_period(compute_periodogram(many[0]).best)}\n")
    assert " d\n" in titles[11]  # too slow to fold: its time span
    assert "P =" not in titles[11]


def test_a_few_flares_do_not_flatten_a_fold_and_an_eclipse_stays():
    rng = np.random.default_rng(0)
    time, phase = np.arange(9000) / 700, np.arange(9000) / 700 / 0.5 % 1
    flux = 1 + 0.01 * np.sin(2 * np.pi * phase) + rng.normal(0, 0.002, 9000)
    flux[(time > 6) & (time < 6.06)] -= 0.5  # an eclipse of 42 points
    flux[[100, 101, 102]] = (4, 3, 2)
    axes = Figure().add_subplot()
    draw_phases(axes, points(time, flux, unit="relative").fold(0.5))
    low, high = axes.get_ylim()
    assert low < 0.5 - 0.02
    assert high < 2
    assert axes.get_xlabel() == "phase (3 points are outside)"
    draw_phases(axes, points(time[:500], flux[:500], unit="relative").fold(0.5))
    assert axes.get_ylim()[1] > 4


def test_settings_of_the_user_stay_as_they_were(tmp_path):
    before = dict(mpl.rcParams)
    plot_object(star(), predicted(star()), tmp_path / "x.png")
    assert dict(mpl.rcParams) == before


def test_import_is_lazy():
    modules = "goodricke.evaluation.figures.classes, goodricke.training.baselines.forest"
    code = f"import sys, {modules}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_figure_names_are_safe(tmp_path):
    for bad in ("", ".", "..", "../../etc/passwd", "a/b", "a\\b", "x" * 999, "Ω Cen", "-rf", "a b", ".h"):
        name = figure_name(bad)
        assert name.endswith(".png")
        assert not name.startswith((".", "-"))
        assert len(name) < 150
        (tmp_path / name).write_bytes(b"")
        assert name in [p.name for p in tmp_path.iterdir()]


def test_figure_names_tell_objects_apart():
    ids = ["215153", "SDSS J1+2", "SDSS J1-2", "SDSS_J1+2", "a/b", "a_b", "x" * 200, "x" * 201, "", "."]
    assert len({figure_name(i) for i in ids}) == len(ids)
    assert figure_name("215153") == "215153.png"


def test_texts():
    assert shorten("a  b\nc") == "a b c"
    assert shorten("x" * 99, 11) == "xxxxx…xxxxx"
    assert [format_period(p) for p in (0.0512346, 1.0, 225.0, 1234.5)] == [
        "0.051235 d",
        "1.0000 d",
        "225.00 d",
        "1234 d",
    ]


def test_an_overview_names_the_classes_of_the_literature(drawn, tmp_path):
    two = LightCurves.concat([star(object_id="a"), star(object_id="b")])
    plot_overview(two, predicted(two), tmp_path / "x.png", {"b": "Mira"})
    endings = [axes.get_title().rpartition("\n")[2] for axes in drawn[-1].axes]
    assert endings == ["literature: no class", "literature: Mira"]
