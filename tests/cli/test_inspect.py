import numpy as np
import pytest
from rich.console import Console

from goodricke.cli.file_report import compute_statistics, duration, report_files, sketch, write_png
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import figure_name
from goodricke.io import measurements, table


@pytest.fixture
def console():
    return Console(width=120, record=True, quiet=False, file=open("/dev/null", "w"))


def csv(path, rows, header="mjd,mag,magerr,band"):
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


def test_one_light_curve(tmp_path, console):
    rows = [(59000 + i / 48 + (5 if i > 50 else 0), 12 + 0.1 * np.sin(i), 0.01, "gr"[i % 2]) for i in range(100)]
    rows += [("nan", 12, 0.1, "g"), (59003, "nan", 0.1, "g")]
    assert report_files(csv(tmp_path / "star.csv", rows), console=console) == 0
    text = console.export_text()
    for words in (
        "recognised as  CSV (reader table)",
        "columns used   mjd, mag, magerr, band",
        "brightness in  mag (by name of mag)",
        "time in        MJD [d] (by name of mjd and the numbers; days by default)",
        "rows           102 read, 100 used; not used: 1 without a time, 1 missing brightnesses",
        "102 read, 0 flagged, 2 without a measurement, 100 kept",
        "median cadence  30 min",
        "g 50, r 50",
        "faults          none",
    ):
        assert words in text
    assert any(0x2801 <= ord(c) <= 0x28FF for c in text)


def test_columns_that_are_not_used(tmp_path, console):
    unused = [f"c{i}" for i in range(25)]
    csv(tmp_path / "a.csv", [(59000, 12, *unused)] * 2, ",".join(["mjd", "mag", *unused]))
    csv(tmp_path / "b.csv", [(59000, 12, "x")] * 2, "mjd,mag,Wort")
    csv(tmp_path / "c.csv", [(59000, 12)] * 2, "mjd,mag")
    shown = []
    for name in "abc":
        assert report_files(tmp_path / f"{name}.csv", console=console) == 0
        shown.append(" ".join(console.export_text().replace("│", " ").split()))
    assert "used mjd, mag not used c0, c1, " in shown[0]
    assert "c19 and 5 more brightness" in shown[0]
    assert "columns used mjd, mag not used Wort brightness" in shown[1]
    assert "not used" not in shown[2]


def test_times_in_seconds_are_a_fault(tmp_path, console):
    csv(tmp_path / "a.csv", [(i * 86400, 12) for i in range(100)], "time,mag")
    csv(tmp_path / "b.csv", [(f"s{j}", i * 86400, 12) for j in range(6) for i in range(100)], "id,time,mag")
    csv(tmp_path / "c.csv", [(i * 700, 12) for i in range(100)], "time,mag")
    csv(tmp_path / "d.csv", [(i * 86400, 12) for i in range(100)], "time [s],mag")
    shown = []
    for name in "abcd":
        assert report_files(tmp_path / f"{name}.csv", console=console) == 0
        shown.append(console.export_text())
    assert "span of over 200 yr: are the times in seconds" in shown[0]
    assert "6 objects" in shown[1].split("are the times in seconds")[1]
    assert "seconds" not in shown[2] + shown[3]
    assert "99 d" in shown[3]


def test_many_objects_get_a_summary(tmp_path, console):
    rows = [(f"s{i}", 59000 + j, i + j) for i in range(20) for j in range(i + 1)]
    csv(tmp_path / "many.csv", rows, "id,mjd,flux")
    assert report_files(tmp_path / "many.csv", console=console) == 0
    text = console.export_text()
    assert "20 with 210 observations" in text
    assert "The first 3:" in text
    assert "s2" in text
    assert "s3" not in text


def test_failures_are_shown_and_counted(tmp_path, console):
    csv(tmp_path / "good.csv", [(59000, 12)], "mjd,mag")
    (tmp_path / "bad.csv").write_bytes(b"")
    assert report_files(tmp_path, console=console) == 3
    text = console.export_text()
    assert "Can't be read: it is empty" in text
    assert "good" in text
    assert report_files(str(tmp_path / "*.none"), console=console) == 3


def test_figures(tmp_path, console):
    csv(tmp_path / "a.csv", [("x/1", 59000 + i, 12 + i, "g") for i in range(5)], "id,mjd,mag,band")
    csv(tmp_path / "b.csv", [("x/1", 59000 + i, 12 + i, "gr"[i % 2]) for i in range(5)], "id,mjd,mag,band")
    assert report_files(tmp_path, plot=tmp_path / "plots", console=console) == 0
    first = figure_name("x/1")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted([first, first.replace(".", "-2.")])
    assert (tmp_path / "plots" / first).read_bytes()[:4] == b"\x89PNG"


def test_figures_of_a_star_in_two_sectors(tmp_path):
    curve = LightCurves.from_arrays(["TIC 1"], [0, 3], [1, 2, 3], [1, 2, 3], unit="relative")
    written = set()
    for sector in (1, 2, 2):
        write_png(curve.with_columns(sector=[sector]), tmp_path, written)
    assert written == {tmp_path / f"TIC_1_{end}.png" for end in ("sector1", "sector2", "sector2-2")}
    assert all(path.stat().st_size > 1000 for path in written)


def test_names_of_figures_are_those_of_the_stars(tmp_path):
    names = ["TIC 1", "TIC_1", "../1"]
    curves = LightCurves.from_arrays(names, [0, 3, 6, 9], [1, 2, 3] * 3, [1, 2, 3] * 3)
    written = set()
    for curve in curves:
        write_png(curve, tmp_path, written)
    assert written == {tmp_path / name for name in ("TIC_1.png", "TIC_1-2.png", figure_name("../1"))}


def test_a_pattern_without_a_file_does_not_stop_the_others(tmp_path, console):
    good = csv(tmp_path / "good.csv", [(59000, 12)], "mjd,mag")
    assert report_files([str(tmp_path / "nope*.csv"), good], console=console) == 3
    text = console.export_text()
    assert "Can't be read: it matches no file" in text
    assert "brightness in  mag" in text


def test_any_exception_in_a_file_is_its_failure(tmp_path, console, monkeypatch):
    csv(tmp_path / "a.csv", [(59000, 12)], "mjd,mag")
    csv(tmp_path / "b.csv", [(59000, 12)], "mjd,mag")

    def read(file, options):
        if file.stem == "a":
            raise IndexError("list index out of range")
        return read_table(file, options)

    read_table = table.read
    monkeypatch.setattr(table, "read", read)
    assert report_files(tmp_path, console=console) == 3
    text = console.export_text()
    assert "IndexError: list index out of range" in text
    assert "brightness in  mag" in text


def test_mission_file(data_of_missions, console):
    assert report_files(data_of_missions, console=console) == 0
    text = console.export_text()
    for words in (
        "TESS, SPOC 120 s (reader spoc)",
        "TIC 358108509",
        "20,076 read, 1,160 flagged",
        "120 s",
        "27.9 d",
        "sector 1",
    ):
        assert words in text


@pytest.fixture
def data_of_missions():
    from pathlib import Path

    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats" / "kepler_tess"
    if not path.is_dir():
        pytest.skip(f"no survey files at {path}: the check against a real file needs them")
    return next(path.glob("tess*"))


def test_statistics_agree_with_a_loop():
    rng = np.random.default_rng(1)
    counts = np.array([0, 1, 7, 0, 30, 2, 0])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    time, value = rng.uniform(0, 100, 40), rng.normal(size=40).astype("f4")
    value[rng.random(40) < 0.2] = np.nan
    curves = LightCurves.from_arrays([str(i) for i in range(7)], offsets, time, value)
    stats = compute_statistics(curves)
    for i in range(7):
        mine, steps = curves[i], np.diff(np.sort(curves[i].time))
        assert stats.n_nan[i] == np.isnan(mine.value).sum()
        np.testing.assert_array_equal(stats.steps[stats.step_offsets[i] : stats.step_offsets[i + 1]], steps)
        if len(steps):
            assert stats.span[i] == np.ptp(mine.time)
            assert stats.cadence[i] == pytest.approx(np.median(steps), rel=1e-6)
            assert stats.median[i] == pytest.approx(np.nanmedian(mine.value), rel=1e-6)
        else:
            assert np.isnan(stats.cadence[i])


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (20 / 86400, "20 s"),
        (120 / 86400, "120 s"),
        (1 / 48, "30 min"),
        (0.5, "12 h"),
        (27.88, "27.9 d"),
        (2000, "5.48 yr"),
    ],
)
def test_duration(days, text):
    assert duration(days) == text


@pytest.mark.parametrize(("unit", "rises"), [("mag", False), ("electron / s", True)])
def test_bright_is_up(unit, rises):
    """A falling magnitude and a rising flux both end at the top right."""
    n = 50
    curves = LightCurves.from_arrays(
        ["a"], [0, n], np.arange(n), np.linspace(1, 2, n) if rises else np.linspace(2, 1, n), unit=unit
    )
    lines = sketch(curves, width=20, height=5)
    assert len(lines) == 6
    assert ord(lines[0][-1]) > 0x2800
    assert ord(lines[4][-1]) == 0x2800


@pytest.mark.parametrize("value", [[np.nan, np.nan], [np.inf, np.nan], [99.9, 99.9], [], [1.0], [2.0, 2.0]])
def test_sketch_of_nearly_nothing(value):
    curves = LightCurves.from_arrays(["a"], [0, len(value)], np.arange(len(value)), value, unit="mag")
    assert sketch(curves)


@pytest.mark.parametrize("unit", ["mag", "mag(AB)"])
def test_dummies_are_those_of_the_readers(unit):
    """A value just beyond the readers' limit is not drawn, one just below is."""
    for value, drawn in ((measurements.NO_MAGNITUDE, False), (measurements.NO_MAGNITUDE - 1, True)):
        curves = LightCurves.from_arrays(["a"], [0, 1], [1.0], [value], unit=unit)
        assert (sketch(curves) != ["(no finite value to draw)"]) == drawn


def test_rows_that_are_not_used_have_a_reason(tmp_path, console):
    rows = [(59000 + i, 12.0 + i / 100, 0.1, 0) for i in range(6)]
    rows += [(59010, ">16.5", "", 0), (59011, 99.99, 0.1, 0), (59012, 12.0, 0.1, 32768), ("", 12.0, 0.1, 0)]
    csv(tmp_path / "a.csv", rows, "mjd,mag,magerr,catflags")
    assert report_files(tmp_path / "a.csv", console=console) == 0
    shown = " ".join(console.export_text().replace("│", " ").split())
    assert "rows 10 read, 6 used; not used: " in shown
    for reason in ("1 limits such as >16.5", "1 dummy", "1 flagged by column catflags", "1 without a time"):
        assert reason in shown


def test_packets_of_alerts(shared, console):
    pytest.importorskip("fastavro", reason="needs goodricke[alerts]")
    paths = sorted((shared / "data/formats/ztf_alert").glob("*.avro"))
    assert report_files(paths, console=console) == 0
    text = console.export_text()
    assert "ZTF, alert packet (reader alert)" in text
    assert "rows           22 read, 22 used" in text
    assert report_files(paths, flux="difference", console=console) == 0
    assert "brightness in  nJy" in console.export_text()


def test_each_band_has_its_brightness(tmp_path, console):
    """Bands differ in brightness: each has its numbers, and one is drawn; the same time in two bands is no cadence."""
    rows = [(59000 + i // 2, (12.0, 14.0)[i % 2] + i / 100, 0.01, "gr"[i % 2]) for i in range(20)]
    rows += [(59030, 14.2, 0.01, "r")]
    assert report_files(csv(tmp_path / "star.csv", rows), console=console) == 0
    text = console.export_text()
    assert "brightness      g 12.09 (12.009 to 12.171), r 14.11 (14.02 to 14.195) mag: median (5 % to 95 %)" in text
    assert "median cadence  1 d" in text
    assert " band r " in text


def test_what_the_file_does_not_hold_is_not_shown(tmp_path, console):
    """No origin that there isn't, no flags that count for nothing without a word, no plot of one point."""
    csv(tmp_path / "a.csv", [(59000, 12, 0, 7), (59001, 12, 1, 8)], "mjd,mag,quality,x")
    (tmp_path / "b.txt").write_text("2457000.5 12.1 0.1\n2457001.5 12.2 0.1\n")
    csv(tmp_path / "c.csv", [(59000, 12)], "mjd,mag")
    shown = []
    for name in ("a.csv", "b.txt", "c.csv"):
        assert report_files(tmp_path / name, console=console) == 0
        shown.append(console.export_text())
    assert "column quality isn't applied: what its flags mean isn't known (--quality hard)" in shown[0]
    assert "mag (by the numbers, column value)" in shown[1]
    assert not any(0x2800 <= ord(c) <= 0x28FF for c in shown[2])
