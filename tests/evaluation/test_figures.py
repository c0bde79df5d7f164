import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions, Status
from goodricke.evaluation.figures.classes import plot_confusion, plot_history, plot_reliability
from goodricke.evaluation.figures.objects import (
    compute_periodogram,
    draw_light_curve,
    draw_probabilities,
    format_period,
    plot_object,
    plot_overview,
)
from goodricke.evaluation.figures.style import figure_name, shorten
from goodricke.evaluation.scores import score
from goodricke.preprocess.periods import find_periods
from tests.checking import ink
from tests.making import predictions_of

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


@pytest.mark.parametrize("what", BAD)
def test_object_figure_is_drawn_whatever_comes(what, tmp_path):
    curve, path = BAD[what], tmp_path / "new" / "figure.png"
    plot_object(curve, predicted(curve), path)
    width, height, inked = ink(path)
    assert (width, height) == (1200, 720)
    assert inked > 0.01
    plot_overview(curve, predicted(curve), path)
    assert ink(path)[2] > 0.003
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]  # no half-written file is left


@pytest.mark.parametrize("status", [s for s in Status if s != Status.OK])
def test_status_is_shown_instead_of_probabilities(status, tmp_path):
    curve = star()
    axes = Figure().add_subplot()
    draw_probabilities(axes, predicted(curve, status))
    assert str(status) in axes.texts[0].get_text()
    assert not axes.patches
    plot_object(curve, predicted(curve, status), tmp_path / "x.png")
    assert ink(tmp_path / "x.png")[2] > 0.01


def test_failed_predictions_have_a_figure(tmp_path):
    curve = star(0)
    plot_object(curve, Predictions.failed(["star"], Status.UNREADABLE, predicted(curve)), tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


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


@pytest.mark.parametrize(("unit", "downwards"), [("mag", True), ("mag (relative)", True), ("nJy", False)])
def test_magnitudes_run_downwards(unit, downwards):
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


@pytest.mark.parametrize("period", [0.31, 5.2, 60.0])
def test_periodogram_is_that_of_the_network(period):
    curve = star(period=period)
    spectrum, found = compute_periodogram(curve), find_periods(curve)
    assert spectrum.best == pytest.approx(found.period[0], rel=1e-9)
    assert spectrum.power.max() == pytest.approx(found.power[0], rel=1e-4)  # float32 values less their median
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


def test_overview_grows_by_rows_up_to_twelve(tmp_path):
    many = LightCurves.concat([star(60, object_id=f"s{i}", seed=i, period=0.4 * 1.7**i) for i in range(14)])
    heights = []
    for n in (1, 4, 5, 12, 14):
        plot_overview(many[:n], predicted(many[:n]), tmp_path / "x.png")
        heights.append(ink(tmp_path / "x.png")[1])
    assert heights == [276, 276, 552, 828, 828]


def test_confusion_reliability_and_history(tmp_path):
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 25):
        names = [f"a rather long name of class {i}" for i in range(count)]
        label = rng.integers(max(count - 1, 1), size=200)  # the last class has no light curve
        plot_confusion(score(label, rng.dirichlet(np.ones(count), 200), names), tmp_path / "confusion.png")
        assert ink(tmp_path / "confusion.png")[2] > 0.02
    label, p = rng.integers(3, size=200), rng.dirichlet(np.ones(3), 200)
    for n in (200, 1, 0):
        plot_reliability(label[:n], p[:n], tmp_path / "reliability.png")
        assert ink(tmp_path / "reliability.png")[2] > 0.005
    row = {"loss": 1.0, "validation_loss": 1.1, "accuracy": 0.8, "macro_recall": 0.7, "score": 0.7}
    for history in ([row | {"epoch": i} for i in range(9)], [row], [{"epoch": 0, "loss": float("nan")}], []):
        plot_history(history, tmp_path / "history.png")
        assert ink(tmp_path / "history.png")[0] == 1200


def test_other_formats(tmp_path):
    for suffix in ("pdf", "svg"):
        plot_object(star(), predicted(star()), tmp_path / f"x.{suffix}")
        assert (tmp_path / f"x.{suffix}").stat().st_size > 5000


def test_settings_of_the_user_stay_as_they_were(tmp_path):
    before = dict(mpl.rcParams)
    plot_object(star(), predicted(star()), tmp_path / "x.png")
    assert dict(mpl.rcParams) == before


def test_import_is_lazy():
    modules = "goodricke.evaluation.figures.classes, goodricke.training.baselines.forest"
    code = f"import sys, {modules}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "bad", ["", ".", "..", "../../etc/passwd", "a/b", "a\\b", "x" * 999, "Ω Cen", "-rf", "a b", ".h"]
)
def test_figure_names_are_safe(bad, tmp_path):
    name = figure_name(bad)
    assert name.endswith(".png")
    assert not name.startswith((".", "-"))
    assert len(name) < 150
    (tmp_path / name).write_bytes(b"")
    assert [p.name for p in tmp_path.iterdir()] == [name]


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
