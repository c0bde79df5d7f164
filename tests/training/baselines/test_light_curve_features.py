import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from goodricke.data.lightcurves import LightCurves
from goodricke.io import read, read_labels
from goodricke.training.baselines.features import MISSING, light_curve_features
from goodricke.training.baselines.forest import fit_balanced_forest

pytest.importorskip("light_curve", reason="the optional package light-curve is not installed")

BANDS = ("g", "r", "i")
WEIGHTED = {"linear_fit_slope", "linear_fit_slope_sigma", "linear_fit_reduced_chi2", "chi2", "stetson_K"}


def star(seed, n=200, period=0.7137, unit="mag", level=15.0, bands=(0, 1, 2)):
    rng = np.random.default_rng(seed)
    time, band = np.sort(rng.uniform(0, 300, n)), rng.choice(bands, n)
    value = level + band + (1 + 0.5 * band) * np.sin(2 * np.pi * time / period) + rng.normal(0, 0.05, n)
    error = rng.uniform(0.02, 0.08, n)
    return LightCurves.from_arrays([f"s{seed}"], [0, n], time, value, error, band, bands=BANDS, unit=unit)


def light_curve(name, time, value, unit):
    n = len(time)
    return LightCurves.from_arrays([name], [0, n], time, value, np.full(n, 0.1), unit=unit, bands=BANDS)


def batch(unit):
    odd = [
        light_curve("empty", [], [], unit),
        light_curve("one", [3.0], [12.0], unit),
        light_curve("two", [3.0, 4.0], [12.0, 12.5], unit),
        light_curve("flat", np.arange(8.0), np.full(8, 12.3), unit),
        light_curve("same time", np.full(6, 5.0), np.arange(6.0), unit),
        light_curve("not a number", [1.0, np.nan, 3.0], [np.inf, 1.0, np.nan], unit),
    ]
    level = 15.0 if unit == "mag" else -1.0
    stars = [star(1, unit=unit, level=level), star(2, 57, 3.3, unit, level), star(3, 40, 1.1, unit, level, (0, 2))]
    return LightCurves.concat([*stars[:2], *odd, stars[2]])


@pytest.fixture(scope="module", params=["mag", "nJy"])
def curves(request):
    return batch(request.param)


def features_by_name(curve, row=0, **options):
    features, names = light_curve_features(curve, **options)
    return dict(zip(names, features[row], strict=True))


@pytest.mark.parametrize("periods", ["none", "single", "multi"])
def test_company_and_order_change_nothing(curves, periods):
    together, names = light_curve_features(curves, periods=periods)
    assert together.shape == (9, len(names))
    assert len(set(names)) == len(names)
    for i in range(len(curves)):
        single, same = light_curve_features(curves[i], periods=periods)
        assert same == names
        np.testing.assert_allclose(single[0], together[i], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(light_curve_features(curves[::-1], periods=periods)[0], together[::-1])
    np.testing.assert_array_equal(light_curve_features(curves, periods=periods, jobs=2)[0], together)
    assert light_curve_features(curves[:0], periods=periods)[0].shape == (0, len(names))


def test_order_of_observations_changes_nothing(curves):
    sample = curves[[0, 1, 8]]
    bounds = zip(sample.offsets[:-1], sample.offsets[1:], strict=True)
    order = np.concatenate([np.random.default_rng(0).permutation(np.arange(a, b)) for a, b in bounds])
    mixed = replace(sample, **{name: getattr(sample, name)[order] for name in ("time", "value", "error", "band")})
    np.testing.assert_array_equal(light_curve_features(mixed)[0], light_curve_features(sample)[0])


@pytest.mark.parametrize("periods", ["none", "single", "multi"])
def test_order_of_bands_turns_colours_around_and_changes_nothing_else(curves, periods):
    # g and r trade places in the batch; the caller asks for other orders than the batch's
    traded = replace(curves, bands=("r", "g", "i"), band=np.array([1, 0, 2], np.uint8)[curves.band])
    expected, names = light_curve_features(curves, BANDS, periods)
    np.testing.assert_allclose(light_curve_features(traded, BANDS, periods)[0], expected, rtol=1e-9)
    back, others = light_curve_features(traded, BANDS[::-1], periods)
    for column, name in zip(back.T, others, strict=True):
        if "-" in name:
            pair, *of = name.split("_")
            wanted = expected[:, names.index("_".join(["-".join(pair.split("-")[::-1]), *of]))]
            wanted = np.where(wanted == MISSING, MISSING, -wanted)
        else:
            wanted = expected[:, names.index(name)]
        np.testing.assert_allclose(column, wanted, rtol=1e-9, err_msg=name)


def test_statistics_are_those_of_numpy_and_scipy(curves):
    c, got = curves[0], features_by_name(curves[0])
    for index, band in enumerate(BANDS):
        t, x, e = (column[c.band == index].astype(float) for column in (c.time, c.value, c.error))
        n, weighted = len(x), np.average(x, weights=e**-2)
        expected = {
            "amplitude": np.ptp(x) / 2,
            "standard_deviation": x.std(ddof=1),
            "skew": stats.skew(x, bias=False),
            "kurtosis": stats.kurtosis(x, bias=False),
            "median_absolute_deviation": stats.median_abs_deviation(x),
            "maximum_slope": np.abs(np.diff(x) / np.diff(t)).max(),
            "eta": np.square(np.diff(x)).sum() / (n - 1) / x.var(ddof=1),
            "linear_trend": stats.linregress(t, x).slope,
            "chi2": np.square((x - weighted) / e).sum() / (n - 1),
        }
        for name, value in expected.items():
            assert got[f"{band}_{name}"] == pytest.approx(value, rel=1e-4), name


def test_colours_of_magnitudes_are_differences_of_means():
    c, got = star(4), features_by_name(star(4))
    mean = [c.value[c.band == b].mean(dtype=float) for b in range(3)]
    assert got["g-r"] == pytest.approx(mean[0] - mean[1])
    assert got["r-i"] == pytest.approx(mean[1] - mean[2])
    assert not [name for name in got if name.endswith("_mean")]
    assert "g_mean_variance" in got


def test_colours_of_flux_are_contrasts_and_may_be_negative():
    c, got = star(4, unit="nJy", level=-3.0), features_by_name(star(4, unit="nJy", level=-3.0))
    high = [float(c.value[c.band == b].max()) for b in range(3)]
    assert min(high) < 0 < max(high)
    assert got["g_maximum"] == high[0]
    assert got["g-i_maximum"] == pytest.approx((high[0] - high[2]) / (abs(high[0]) + abs(high[2])))
    assert got["g-r_amplitude"] == pytest.approx(
        (got["g_amplitude"] - got["r_amplitude"]) / (got["g_amplitude"] + got["r_amplitude"])
    )
    assert not {"g_mean_variance", "g_excess_variance"} & set(got)
    # between positive fluxes a contrast is a function of the colour in magnitudes
    bright = star(5, unit="nJy", level=30.0)
    high = [float(bright.value[bright.band == b].max()) for b in range(3)]
    expected = np.tanh(0.2 * np.log(10) * 2.5 * np.log10(high[0] / high[1]))
    assert features_by_name(bright)["g-r_maximum"] == pytest.approx(expected)


@pytest.mark.parametrize("periods", ["single", "multi"])
def test_what_shifts_and_scales(periods):
    c = star(6, unit="nJy", level=-1.0)
    plain, scaled = (
        features_by_name(c, periods=periods),
        features_by_name(replace(c, value=c.value * 4, error=c.error * 4), periods=periods),
    )
    per_flux = {"amplitude", "maximum", "standard_deviation", "maximum_slope", "linear_trend", "otsu_mean_diff"}
    for name in plain:
        kind = name.partition("_")[2]
        if kind in per_flux and "-" not in name:
            assert scaled[name] == pytest.approx(4 * plain[name], rel=1e-4), name
        elif kind in {"skew", "kurtosis", "cusum", "eta", "chi2", "stetson_K", "period", "folded_eta"} or "-" in name:
            assert scaled[name] == pytest.approx(plain[name], rel=1e-4), name
    later = features_by_name(replace(c, time=c.time + 50000), periods=periods)
    for name, value in plain.items():
        assert later[name] == pytest.approx(value, rel=1e-3, abs=1e-6), name


def test_how_bright_a_star_is_can_not_be_seen():
    c = star(7)
    plain, fainter = features_by_name(c), features_by_name(replace(c, value=c.value + 2))
    relative = {"mean_variance", "excess_variance"}  # the paper's: divided by the mean magnitude
    for name in plain:
        if name.partition("_")[2] not in relative:
            assert fainter[name] == pytest.approx(plain[name], rel=2e-3, abs=1e-4), name


def test_period_of_a_sine():
    single = features_by_name(star(8, 400), periods="single")
    for band in BANDS:
        assert single[f"{band}_period"] == pytest.approx(0.7137, rel=1e-3)
        assert single[f"{band}_folded_eta"] < 0.6 < 1 < single[f"{band}_eta"]
    multi = features_by_name(star(8, 400), periods="multi")
    assert multi["period"] == pytest.approx(0.7137, rel=1e-3)
    assert multi["g_folded_eta"] < 0.6
    assert not [name for name in features_by_name(star(8), periods="none") if "period" in name or "folded" in name]


def test_bands_together_find_what_none_finds_alone():
    c = star(9, 12)  # about four points each
    single, multi = features_by_name(c, periods="single"), features_by_name(star(9, 30), periods="multi")
    assert multi["period"] == pytest.approx(0.7137, rel=1e-3)
    assert MISSING in {single[f"{band}_period"] for band in BANDS}


@pytest.mark.parametrize("periods", ["single", "multi"])
def test_a_band_without_observations(curves, periods):
    got = features_by_name(curves, 8, periods=periods)  # has g and i
    of_r = [name for name in got if name.startswith(("r_", "r-", "g-r"))]
    assert {got[name] for name in of_r} == {MISSING}
    assert got["g_amplitude"] > 0
    assert MISSING not in {value for name, value in got.items() if name.startswith("g-i")}
    # a band that the batch has never heard of is as missing, and bands not asked for don't matter
    calls = features_by_name(curves, 0, periods=periods, bands=["g", "z"])
    assert {value for name, value in calls.items() if name.startswith(("z_", "g-z"))} == {MISSING}
    single = features_by_name(curves.where(curves.band == 0), 0, periods=periods, bands=["g"])
    np.testing.assert_allclose([calls[name] for name in single], list(single.values()), rtol=1e-9)


def test_too_little_to_say(curves):
    for periods in ("none", "single", "multi"):
        features, names = light_curve_features(curves, periods=periods)
        assert np.isfinite(features).all()
        assert (features[[2, 3, 6, 7]] == MISSING).all()  # empty, one point, one time, nothing finite
        two, flat = (dict(zip(names, features[i], strict=True)) for i in (4, 5))
        assert two["g_amplitude"] == pytest.approx(0.25)
        assert two["g_kurtosis"] == MISSING
        assert flat["g_amplitude"] == flat["g_standard_deviation"] == 0
        assert (
            flat["g_skew"] == flat["g_eta"] == flat.get("g_period", MISSING) == flat.get("period", MISSING) == MISSING
        )
        assert flat.get("g_folded_eta", MISSING) == MISSING


def test_one_observation_in_each_band_still_has_colours():
    c = LightCurves.from_arrays(["a"], [0, 2], [1.0, 2.0], [15.0, 14.5], band=[0, 1], bands=BANDS, unit="mag")
    got = features_by_name(c)
    assert {name: value for name, value in got.items() if value != MISSING} == {"g-r": 0.5}


def test_unknown_errors_cost_only_what_needs_them():
    c = star(10)
    clean = features_by_name(c)
    for bad in (np.nan, np.inf, 0.0, -1.0):
        error = c.error.copy()
        error[np.flatnonzero(c.band == 1)[3]] = bad
        got = features_by_name(replace(c, error=error))
        lost = {name for name, value in got.items() if value == MISSING}
        assert lost == {f"r_{kind}" for kind in (*WEIGHTED, "excess_variance")}
        assert all(got[name] == value for name, value in clean.items() if name not in lost)


def test_bad_points_count_for_nothing_and_equal_times_are_averaged():
    c = star(11)
    expected = features_by_name(c)
    columns = [np.append(getattr(c, name), x) for name, x in (("time", [np.nan, 4, 5]), ("value", [1, np.inf, np.nan]))]
    more = LightCurves.from_arrays(
        ["b"], [0, 203], *columns, np.append(c.error, [0.1] * 3), np.append(c.band, [0, 1, 2]), bands=BANDS, unit="mag"
    )
    assert features_by_name(more) == expected
    time, value, band, error = (np.repeat(x, 2) for x in (c.time, c.value, c.band, c.error * np.float32(np.sqrt(2))))
    twice = LightCurves.from_arrays(["t"], c.offsets * 2, time, value, error, band, bands=BANDS, unit="mag")
    for name, value in features_by_name(twice).items():
        assert value == pytest.approx(expected[name], rel=1e-4, abs=1e-9), name


def test_what_a_forest_can_not_take_is_missing():
    c = star(13)
    got = features_by_name(replace(c, error=np.full_like(c.error, 1e-25)))
    assert got["g_chi2"] == MISSING
    assert np.isfinite(np.array(list(got.values()), np.float32)).all()


def test_an_absurd_span_gives_no_period():
    c = star(12, 60)
    time = c.time.copy()
    time[0] = -1e9
    got = features_by_name(replace(c, time=time))
    assert MISSING in {got[f"{band}_period"] for band in BANDS}


def test_columns_of_the_objects(curves):
    plain, names = light_curve_features(curves)
    redshift = np.linspace(0, 1, 9)
    redshift[2] = np.nan
    features, more = light_curve_features(curves, objects=redshift)
    assert more == [*names, "object_0"]
    np.testing.assert_array_equal(features[:, :-1], plain)
    np.testing.assert_array_equal(features[:, -1], np.where(np.isnan(redshift), MISSING, redshift))
    assert light_curve_features(curves, objects=np.ones((9, 3)))[1][-1] == "object_2"
    for wrong in (np.ones(8), np.ones((9, 1, 1)), np.float64(3)):
        with pytest.raises(ValueError, match="9 light curves"):
            light_curve_features(curves, objects=wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bands": []}, "at least one"),
        ({"bands": ["g", "g"]}, "only once"),
        ({"periods": "both"}, "none, single, multi"),
    ],
)
def test_wrong_questions(curves, options, words):
    with pytest.raises(ValueError, match=words):
        light_curve_features(curves, **options)


def test_missing_package_names_the_extra(curves, monkeypatch):
    monkeypatch.setitem(sys.modules, "light_curve", None)
    with pytest.raises(ImportError, match=r"goodricke\[baselines\]"):
        light_curve_features(curves)


def test_forest_on_real_supernovae(shared):
    folder = shared / "data/ztf_bts"
    labels = read_labels(folder / "labels.csv").set_index("object_id").label
    curves = read(folder / "lightcurves.parquet")
    kind = labels.reindex(curves.ids).str.match("SN Ia|SN II$").to_numpy()
    curves = curves[kind][:700]
    label = labels.reindex(curves.ids).eq("SN II").to_numpy().astype(int)
    features, _ = light_curve_features(curves, periods="none")
    forest = fit_balanced_forest(features[:500], label[:500], ("Ia", "II"), trees=60)
    guess = forest.probabilities(features[500:]).argmax(1)
    assert np.mean([(guess == label[500:])[label[500:] == c].mean() for c in (0, 1)]) > 0.75
