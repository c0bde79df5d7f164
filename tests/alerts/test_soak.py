"""The slope of memory in a soak, on simulated series with a known slope."""

import numpy as np
import pytest

pytest.importorskip("confluent_kafka", reason="needs goodricke[alerts]")

from benchmarks import soak


def series(slope, hours=1.0, segments=1, correlated=0.9, seed=0):
    """Return hours, megabytes and segments of samples every 10 s, with correlated noise."""
    rng, n = np.random.default_rng(seed), int(hours * 360)
    time = np.tile(np.arange(n) / 360, segments)
    noise = np.zeros(n * segments)
    for k in range(1, len(noise)):
        noise[k] = correlated * noise[k - 1] + rng.normal(0, 0.1)
    segment = np.repeat(np.arange(segments), n)
    return time, 300 + 50 * segment + slope * time + noise, segment.astype(float)


def test_the_slope_is_exact_without_noise():
    time, _, segment = series(0, segments=3)
    assert soak.slope(time, 7 * time + 40 * segment, segment, 1 / 12) == pytest.approx((7, 7, 7))


@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_the_interval_covers_the_slope_about_as_often_as_it_claims(slope):
    n_covered = 0
    for seed in range(40):
        time, value, segment = series(slope, 2.0, seed=seed)
        middle, low, high = soak.slope(time, value, segment, 1 / 12, seed)
        assert low <= middle <= high
        n_covered += low <= slope <= high
    assert 32 <= n_covered <= 40


def test_samples_of_segments_are_read_and_added_up(tmp_path):
    path = tmp_path / "soak.csv"
    assert soak._seconds_measured(path) == 0
    rows = [(s, t, 400 + t / 100, 200, 100 * t, 0, 0.5, 1.0) for s in (0, 1) for t in range(0, 1201, 10)]
    lines = [",".join(soak.COLUMNS), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines))
    assert soak._seconds_measured(path) == 2400
    figures = soak.figures(soak._read(path), soak.WARM, soak.BLOCK)
    assert figures["hours"] == pytest.approx(2 / 3)
    assert figures["alerts per second"] == pytest.approx(100)
    assert figures["anonymous slope [MB/h]"] == pytest.approx(0, abs=1e-9)
    assert figures["rss slope [MB/h]"] == pytest.approx(36)
