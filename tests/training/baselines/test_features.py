import numpy as np
import pytest
from scipy import stats

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.periods import find_periods
from goodricke.training.baselines.features import MISSING, PHASE_BINS, simple_statistics, von_neumann


def star(n, seed, period=0.7, unit="mag"):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 300, n))
    value = 14 + 0.3 * np.sin(2 * np.pi * time / period) ** 3 + rng.normal(0, 0.05, n)
    return LightCurves.from_arrays([f"s{seed}"], [0, n], time, value, rng.uniform(0.02, 0.08, n), unit=unit)


@pytest.fixture(scope="module")
def curves():
    empty = LightCurves.from_arrays(["empty"], [0, 0], [], [], unit="mag")
    single = LightCurves.from_arrays(["single"], [0, 1], [3.0], [12.0], [0.1], unit="mag")
    flat = LightCurves.from_arrays(["flat"], [0, 8], np.arange(8), np.full(8, 12.3), np.full(8, 0.1), unit="mag")
    return LightCurves.concat([star(200, 1), empty, star(57, 2), single, flat, star(300, 3, period=3.3)])


def features_by_name(curve, **options):
    features, names = simple_statistics(curve, **options)
    return [dict(zip(names, row, strict=True)) for row in features]


def test_moments_and_percentiles_are_numpys_and_scipys(curves):
    for i in (0, 2, 5):
        got, x = features_by_name(curves[i], brightness=True)[0], curves[i].value.astype(float)
        q = lambda *p: np.percentile(x, p)  # noqa: B023, E731
        wide = np.diff(q(5, 95))[0]
        z = (x - x.mean()) / x.std()
        expected = {
            "std": x.std(),
            "skewness": stats.skew(x),
            "kurtosis": stats.kurtosis(x),
            "beyond_1_std": (abs(z) > 1).mean(),
            "beyond_2_std": (abs(z) > 2).mean(),
            "amplitude": np.ptp(x),
            "amplitude_96": np.diff(q(2, 98))[0],
            "amplitude_90": wide,
            "amplitude_50": stats.iqr(x),
            "ratio_20": np.diff(q(40, 60))[0] / wide,
            "ratio_50": stats.iqr(x) / wide,
            "ratio_80": np.diff(q(10, 90))[0] / wide,
            "ratio_96": np.diff(q(2, 98))[0] / wide,
            "asymmetry": (q(5, 95).sum() - 2 * np.median(x)) / wide,
            "median_absolute_deviation": stats.median_abs_deviation(x),
            "median": np.median(x),
            "mean": x.mean(),
        }
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, rel=1e-5), name


def test_order_in_time_and_errors(curves):
    for i in (0, 2, 5):
        c = curves[i]
        got, t, x, e = features_by_name(c)[0], c.time, c.value.astype(float), c.error.astype(float)
        n, line = len(x), stats.linregress(t, x)
        weighted = np.average(x, weights=e**-2)
        delta = np.sqrt(n / (n - 1)) * (x - weighted) / e
        product = delta[1:] * delta[:-1]
        expected = {
            "eta": np.square(np.diff(x)).sum() / (n - 1) / x.var(),
            "steepest": np.abs(np.diff(x) / np.diff(t)).max(),
            "trend": line.slope,
            "trend_correlation": line.rvalue,
            "median_error": np.median(e),
            "chi2": np.square((x - weighted) / e).sum() / (n - 1),
            "stetson_j": (np.sign(product) * np.sqrt(np.abs(product))).sum() / (n - 1),
            "stetson_k": np.abs(delta).mean() / np.sqrt(np.square(delta).mean()),
        }
        for name, value in expected.items():
            assert got[name] == pytest.approx(value, rel=1e-5), name


def test_folded_statistics(curves):
    for i in (0, 5):
        c = curves[i]
        got, result = features_by_name(c, period=True)[0], find_periods(c)
        assert got["log_period"] == np.log10(result.period[0])
        assert got["power"] == result.power[0]
        for suffix, factor in (("", 1), ("_double", 2)):
            phase = ((c.time - c.time.min()) / (result.period[0] * factor)) % 1
            x = c.value.astype(float)[np.argsort(phase, kind="stable")]
            index = (np.sort(phase) * PHASE_BINS).astype(int)
            means = np.array([x[index == b].mean() for b in np.unique(index)])
            left = sum(np.square(x[index == b] - x[index == b].mean()).sum() for b in np.unique(index))
            eta = np.square(np.diff(x)).sum() / (len(x) - 1) / x.var()
            rough = np.square(np.diff(means)).sum() / (len(means) - 1) / means.var()
            assert got[f"folded_eta{suffix}"] == pytest.approx(eta, rel=1e-5)
            assert got[f"folded_scatter{suffix}"] == pytest.approx(left / len(x) / x.var(), rel=1e-5)
            assert got[f"folded_roughness{suffix}"] == pytest.approx(rough, rel=1e-5)
        assert got["folded_eta"] < 0.5 < features_by_name(c)[0]["eta"]  # smooth in phase, rough in time


@pytest.mark.parametrize("period", [False, True])
def test_company_changes_nothing(curves, period):
    together, names = simple_statistics(curves, brightness=True, period=period)
    for i in range(len(curves)):
        single, same = simple_statistics(curves[i], brightness=True, period=period)
        assert same == names
        np.testing.assert_allclose(single[0], together[i], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(simple_statistics(curves[::-1], True, period)[0], together[::-1])


def test_too_little_to_say(curves):
    features, names = simple_statistics(curves, brightness=True, period=True)
    assert features.shape == (6, len(names))
    assert len(set(names)) == len(names)
    assert np.isfinite(features).all()
    assert (features[[1, 3]] == MISSING).all()  # no point, one point
    flat = dict(zip(names, features[4], strict=True))
    assert flat["std"] == flat["amplitude"] == flat["chi2"] == 0
    assert (
        flat["skewness"] == flat["eta"] == flat["beyond_1_std"] == flat["log_period"] == flat["folded_eta"] == MISSING
    )
    assert flat["median"] == pytest.approx(12.3)


def test_nothing_at_all(curves):
    features, names = simple_statistics(curves[:0], period=True)
    assert features.shape == (0, len(names))


def test_brightness_and_number_of_observations_are_left_out(curves):
    plain, names = simple_statistics(curves[[0]])
    assert not {"mean", "median", "n", "log_period"} & set(names)
    fainter = LightCurves.from_arrays(
        ["x"], curves[[0]].offsets, curves[0].time + 1000, curves[0].value + 2, curves[0].error, unit="mag"
    )
    np.testing.assert_allclose(simple_statistics(fainter)[0], plain, rtol=2e-3, atol=2e-4)


def test_bad_points_count_for_nothing():
    good = star(100, 4)
    time, value, error = (np.append(x, [np.nan, 500, 501]) for x in (good.time, good.value, good.error))
    value[-2:] = [np.inf, np.nan]
    mixed = LightCurves.from_arrays(["bad"], [0, 103], time[::-1], value[::-1], error[::-1], unit="mag")
    np.testing.assert_allclose(simple_statistics(mixed)[0], simple_statistics(good)[0], rtol=1e-9)


def test_unknown_errors_cost_only_what_needs_them():
    good = star(100, 5)
    for bad in (np.nan, 0.0, -1.0):
        error = good.error.copy()
        error[3] = bad
        got = features_by_name(LightCurves.from_arrays(["e"], [0, 100], good.time, good.value, error, unit="mag"))[0]
        assert {name for name, x in got.items() if x == MISSING} == {"median_error", "chi2", "stetson_j", "stetson_k"}


def test_equal_times_have_no_slope():
    same = LightCurves.from_arrays(["t"], [0, 4], np.full(4, 5.0), [1.0, 2, 3, 4], np.ones(4))
    got = features_by_name(same, period=True)[0]
    assert got["steepest"] == got["trend"] == got["log_period"] == MISSING
    assert got["std"] > 0


def test_von_neumann_of_noise_and_of_a_slope():
    rng = np.random.default_rng(0)
    value = np.concatenate([rng.normal(size=20000), np.arange(1000.0)])
    noise, slope = von_neumann(value, np.array([0, 20000, 21000]))
    assert noise == pytest.approx(2, abs=0.05)
    assert slope < 1e-4
