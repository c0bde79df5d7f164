"""Candidate periods: exact fits, the transform against its sum, the search against brute force, and what it finds."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from benchmarks.plain.periods import best_period, exact_score

from goodricke import LightCurves
from goodricke.data import ragged
from goodricke.preprocess import candidates
from goodricke.preprocess.candidates import (
    Candidates,
    CandidateSearch,
    Joined,
    false_alarm_probability,
    find_candidates,
    harmonic_fits,
    highest_peaks,
    join_bands,
    period_uncertainty,
)

SEARCH = CandidateSearch(shortest=0.1)


def eclipses(phase: np.ndarray) -> np.ndarray:
    """Two narrow eclipses of different depth [mag]."""
    return 0.8 * (np.abs(phase - 0.5) < 0.04) + 0.5 * ((phase < 0.04) | (phase > 0.96))


SHAPES = {
    "sine": lambda phase: 0.3 * np.sin(2 * np.pi * phase),
    "sawtooth": lambda phase: 0.8 * phase,
    "contact": lambda phase: 0.3 * np.cos(4 * np.pi * phase) + 0.05 * np.cos(2 * np.pi * phase),
    "detached": eclipses,
}


def star(shape="sine", period=0.7, n=200, seed=0, noise=0.03, span=300.0, nightly=False, name="s") -> LightCurves:
    """Return a star in one band, observed at random or once a night."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, span, n))
    if nightly:
        time = np.floor(time) + 0.1 * rng.normal(size=n)
        time.sort()
    value = 15 + SHAPES[shape](time / period % 1) + noise * rng.normal(size=n)
    return LightCurves.from_arrays([name], [0, n], 53000 + time, value, np.full(n, noise), unit="mag", bands=("V",))


def two_bands(n=30, seed=0, period=0.6123, noise=0.1) -> LightCurves:
    """Return a pulsating star in two bands of different brightness, amplitude and phase."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 400, 2 * n))
    band = rng.integers(0, 2, 2 * n)
    wave = np.sin(2 * np.pi * (time / period + 0.04 * band))
    value = 15 + 1.5 * band + np.where(band, 0.25, 0.6) * wave + np.where(band, 0.4, 1) * noise * rng.normal(size=2 * n)
    error = np.where(band, 0.4, 1) * noise
    return LightCurves.from_arrays(
        ["two"], [0, 2 * n], time, value, error, band.astype(np.uint8), bands=("g", "i"), unit="mag"
    )


def one(joined: Joined, i: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return time, value and weight of one light curve."""
    part = slice(joined.offsets[i], joined.offsets[i + 1])
    return joined.time[part], joined.value[part], joined.weight[part]


def search(curves: LightCurves, config: CandidateSearch = SEARCH) -> Candidates:
    return find_candidates(join_bands(curves), config)


def same_period(a: float, b: float, span: float) -> bool:
    """Whether two periods give the same cycle count to a third of a cycle."""
    return abs(1 / a - 1 / b) < 0.33 / span


# ---- joined bands -------------------------------------------------------------------------------------------------


def test_joined_light_curves_have_mean_zero_and_variance_one() -> None:
    curves = LightCurves.concat([star(n=n, seed=n, shape=s) for n in (5, 60, 200) for s in SHAPES])
    joined = join_bands(curves)
    for i in range(len(curves)):
        time, value, weight = one(joined, i)
        assert time[0] == 0
        assert weight.sum() == pytest.approx(1)
        assert (weight * value).sum() == pytest.approx(0, abs=1e-12)
        assert (weight * value**2).sum() == pytest.approx(1)
        difference = np.diff(value * joined.scale[i] - curves.value[joined.row[joined.offsets[i] :]][: len(value)])
        np.testing.assert_allclose(difference, 0, atol=1e-5)


def test_bands_are_brought_to_one_amplitude() -> None:
    curves = two_bands(n=500, noise=0.01)
    joined = join_bands(curves)
    band = curves.band[joined.row]
    ranges = [np.subtract(*np.quantile(joined.value[band == b], [0.95, 0.05])) for b in (0, 1)]
    assert ranges[0] == pytest.approx(ranges[1], rel=1e-5)
    assert joined.scale[0] * ranges[0] == pytest.approx(
        np.ptp(np.quantile(curves.value[curves.band == 0], [0.05, 0.95]))
    )
    np.testing.assert_allclose(joined.error * joined.scale[0], np.where(band, 0.04 / 0.417, 0.1) / 10, rtol=0.1)


def test_observations_that_cannot_be_used_are_left_out_and_the_rest_is_in_order() -> None:
    curves = star(n=200)
    time, value = curves.time[::-1].copy(), curves.value[::-1].copy()
    time[3], value[7], value[20] = np.nan, np.inf, 60.0
    joined = join_bands(replace(curves, time=time, value=value, error=curves.error.copy()))
    assert set(range(200)) - set(joined.row.tolist()) == {3, 7, 20}
    assert (np.diff(joined.time) >= 0).all()


def test_a_light_curve_without_variation_has_scale_zero() -> None:
    joined = join_bands(replace(star(n=20), value=np.full(20, 12.1, np.float32)))
    assert joined.scale[0] == 0
    assert not joined.value.any()


# ---- fits and transform -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harmonics", [1, 2, 4])
def test_harmonic_fits_are_those_of_least_squares(harmonics: int) -> None:
    time, value, weight = one(join_bands(star("sawtooth")))
    frequency = np.array([1 / 0.7, 0.3, 5.123, 0.004])
    fits = harmonic_fits(time, value, weight, frequency, harmonics)
    assert fits.r2.shape == (4, harmonics)
    for i, f in enumerate(frequency):
        for h in range(1, harmonics + 1):
            angles = [2 * np.pi * k * f * time for k in range(1, h + 1)]
            terms = np.stack([np.ones_like(time), *(w(a) for a in angles for w in (np.cos, np.sin))], 1)
            root = np.sqrt(weight)
            expected = np.linalg.lstsq(terms * root[:, None], value * root)[0]
            chi2 = (weight * (value - terms @ expected) ** 2).sum()
            assert fits.r2[i, h - 1] == pytest.approx(1 - chi2, abs=1e-5)
        np.testing.assert_allclose(fits.coefficients[i], expected, atol=1e-4)


def test_fits_in_single_precision_and_in_blocks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    time, value, weight = one(join_bands(star("sawtooth", span=3000)))
    frequency = np.append(np.random.default_rng(0).uniform(0, 25, 50), [1 / 0.7, 2 / 0.7])
    exact = harmonic_fits(time, value, weight, frequency).r2
    np.testing.assert_allclose(candidates._r2(time, value, weight, frequency, 4), exact, atol=1e-5)
    monkeypatch.setattr(candidates, "BLOCK", 1000)
    np.testing.assert_allclose(harmonic_fits(time, value, weight, frequency).r2, exact, atol=1e-12)


def test_coinciding_phases_give_no_error() -> None:
    time = np.arange(30.0)
    value = np.random.default_rng(0).normal(size=30)
    fits = harmonic_fits(time, value - value.mean(), np.full(30, 1 / 30), np.array([1.0, 0.5, 0.25]))
    assert np.isfinite(fits.r2).all()
    assert fits.r2[0] == pytest.approx(0, abs=1e-3)  # all observations at one phase


@pytest.mark.parametrize("size", [256, 1792, 57344])
def test_the_transform_is_the_direct_sum(size: int) -> None:
    rng = np.random.default_rng(size)
    cycles, strength = rng.uniform(0, 0.4 * size, 100), rng.normal(size=100)  # far beyond what float32 could reduce
    transform = candidates._transform(cycles, strength, size)
    k = np.append(rng.integers(0, size, 50), [0, 1, size - 1])
    expected = np.exp(2j * np.pi * np.multiply.outer(k, cycles)) @ strength
    np.testing.assert_allclose(transform[k], expected, atol=2e-3 * np.abs(strength).sum())


def test_plans_kept_are_bounded_and_serve_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MODES_CACHED", 5000)
    plans = candidates._Plans()
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, 50).astype(np.float32)
    strength = rng.normal(size=50).astype(np.complex64)
    sizes = [256, 512, 1024, 2048, 4096] * 40
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda size: plans.execute(size, angle, strength), sizes))
    for size, result in zip(sizes, results, strict=True):
        np.testing.assert_array_equal(result, plans.execute(size, angle, strength))
    assert 0 < sum(size for size, _ in plans._free) <= 5000


# ---- the search ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nightly", [False, True], ids=["random", "nightly"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_best_period_is_that_of_brute_force(shape: str, nightly: bool) -> None:
    rng = np.random.default_rng(5)
    parts = [star(shape, p, 150, k, nightly=nightly) for k, p in enumerate(np.exp(rng.uniform(-1.5, 2.5, 5)))]
    joined = join_bands(LightCurves.concat(parts))
    found = find_candidates(joined, SEARCH)
    for i in range(len(parts)):
        time, value, weight = one(joined, i)
        best = best_period(time, value, weight, SEARCH)
        score = exact_score(time, value, weight, 1 / found.period[i, :1])[0]
        assert found.score[i, 0] == pytest.approx(score, abs=0.2)
        assert score > best.score - 0.2
        assert same_period(found.period[i, 0], best.period, time[-1]) or abs(score - best.score) < 0.2


def test_the_best_periods_of_example_stars_are_those_of_brute_force(stars: LightCurves) -> None:
    joined = join_bands(stars)
    found = find_candidates(joined, CandidateSearch(shortest=0.1))
    for i in range(0, len(stars), 2):
        time, value, weight = one(joined, i)
        best = best_period(time, value, weight, CandidateSearch(shortest=0.2))
        if best.period < found.period[i, 0] or found.period[i, 0] > 0.2:  # brute force looked there
            assert exact_score(time, value, weight, 1 / found.period[i, :1])[0] > best.score - 0.2
            assert same_period(found.period[i, 0], best.period, time[-1])


def test_a_cepheid_has_its_period_in_the_literature(stars: LightCurves) -> None:
    found = find_candidates(join_bands(stars[[stars.ids.index("224635")]])).period
    assert found[0, 0] == pytest.approx(4.68, rel=2e-3)


def test_a_star_alone_and_in_company_is_the_same_to_the_bit() -> None:
    parts = [star(s, 0.3 + 0.01 * n, n, n, span=50.0 + n) for n in (0, 4, 6, 12, 60, 300) for s in ("sine", "detached")]
    parts += [two_bands()]
    together = search(LightCurves.concat(parts))
    for k, part in enumerate(parts):
        single = search(part)
        np.testing.assert_array_equal(single.period[0], together.period[k])
        np.testing.assert_array_equal(single.score[0], together.score[k])


def test_order_time_zero_band_offsets_and_unit_do_not_matter() -> None:
    curves = two_bands(n=60)
    expected = search(curves)
    order = np.random.default_rng(1).permutation(len(curves.time))
    mixed = {name: getattr(curves, name)[order] for name in ("time", "value", "error", "band")}
    np.testing.assert_array_equal(search(replace(curves, **mixed)).period, expected.period)
    shifted = (curves.value + np.where(curves.band, 2, -1)).astype(np.float32)
    for other in (
        replace(curves, time=curves.time + 2_450_000),
        replace(curves, value=shifted),
        replace(curves, value=4 * curves.value, error=4 * curves.error),
        replace(curves, bands=("i", "g"), band=1 - curves.band),
    ):
        result = search(other)
        np.testing.assert_allclose(result.period[0, :2], expected.period[0, :2], rtol=1e-6)
        np.testing.assert_allclose(result.score[0, :2], expected.score[0, :2], atol=0.05)


def test_two_bands_find_what_one_does_not() -> None:
    parts = [two_bands(n=16, seed=k, noise=0.2) for k in range(40)]
    both = search(LightCurves.concat(parts)).period[:, 0]
    alone = {band: search(LightCurves.concat([p.in_band(band) for p in parts])).period[:, 0] for band in "gi"}
    right = [np.mean(np.abs(1 / p - 1 / 0.6123) < 1 / 400) for p in (both, *alone.values())]
    assert right[0] > max(right[1:]) + 0.2


@pytest.mark.parametrize("period", [0.8311, 2.7183, 11.3])
def test_a_detached_binary_has_its_period_or_half_of_it_among_the_candidates(period: float) -> None:
    curves = LightCurves.concat([star("detached", period, 250, seed, nightly=True, span=2500.0) for seed in range(6)])
    found = search(curves, CandidateSearch()).period
    hit = [any(same_period(p, q, 2500) for p in row for q in (period, period / 2)) for row in found]
    assert all(hit)
    assert np.mean([any(same_period(p, period, 2500) for p in row) for row in found]) > 0.8


def test_the_period_is_listed_where_a_daily_alias_of_it_is_the_best() -> None:
    parts = [star(period=0.6123, n=80, noise=0.3, seed=seed, nightly=True) for seed in range(20)]
    found = search(LightCurves.concat(parts)).period
    aliases = [1 / abs(1 / 0.6123 + k) for k in (-1, 1)]
    confused = [row for row in found if any(same_period(row[0], q, 100) for q in aliases)]
    assert len(confused) > 1
    assert all(any(same_period(p, 0.6123, 300) for p in row) for row in confused)


def test_the_second_candidate_is_twice_the_first() -> None:
    found = search(LightCurves.concat([star("contact", 0.41 + 0.1 * k, seed=k) for k in range(5)]))
    np.testing.assert_allclose(found.period[:, 1], 2 * found.period[:, 0], rtol=3e-3)
    assert (found.score[:, 2] >= found.score[:, 3]).all()


def test_candidates_are_distinct_within_range_and_as_many_as_wanted() -> None:
    config = CandidateSearch(shortest=0.3, number=6)
    found = search(LightCurves.concat([star("sawtooth", 0.9, seed=k) for k in range(3)]), config)
    assert found.period.shape == (3, 6)
    assert (found.period >= 0.3).all()
    assert (found.period <= 300).all()
    for row in found.period:
        assert (np.diff(np.sort(1 / row)) > 0.3 / 300).all()


def test_light_curves_that_cannot_be_searched_have_no_period() -> None:
    parts = [
        star(n=0),
        star(n=4),
        replace(star(n=20), value=np.full(20, 12, np.float32)),
        replace(star(n=20), time=np.full(20, 5.0)),
        replace(star(n=20), time=np.linspace(0, 0.09, 20)),
        replace(star(n=20), time=np.append(np.arange(19.0), 1e9)),
        star(n=20),
    ]
    found = search(LightCurves.concat(parts))
    assert np.isfinite(found.period[:, 0]).tolist() == [False] * 6 + [True]
    assert np.isnan(found.score[:6]).all()


def test_few_observations_are_not_fitted_by_many_harmonics() -> None:
    curves = LightCurves.concat([star(n=n, seed=n, noise=0.1) for n in range(5, 12)])
    found = search(curves)
    assert (found.score[:, 0] < 0.5 * curves.n_obs * np.log(1e4)).all()


# ---- significance and uncertainty ---------------------------------------------------------------------------------


def test_the_false_alarm_probability_is_that_of_astropy() -> None:
    time, value, weight = one(join_bands(star(n=100, noise=0.8, seed=2)))
    period = find_candidates(join_bands(star(n=100, noise=0.8, seed=2)), SEARCH).period[0, 0]
    expected = LombScargle(time, value, 1 / np.sqrt(weight))
    power = max(expected.power(np.arange(1, 5) / period))
    bound = expected.false_alarm_probability(power, method="baluev", maximum_frequency=10)
    assert false_alarm_probability(time, value, weight, period, SEARCH) == pytest.approx(bound, rel=1e-2)


def test_noise_rarely_has_a_low_false_alarm_probability() -> None:
    curves = LightCurves.concat([star(n=60, seed=k, noise=5.0, span=50.0) for k in range(100)])
    joined = join_bands(curves)
    period = find_candidates(joined, SEARCH).period[:, 0]
    probability = [false_alarm_probability(*one(joined, i), p, SEARCH) for i, p in enumerate(period)]
    assert np.mean(np.array(probability) < 0.1) < 0.25
    assert false_alarm_probability(*one(join_bands(star())), 0.7, SEARCH) < 1e-20


def test_periods_scatter_by_their_uncertainty() -> None:
    curves = LightCurves.concat([star(seed=k, noise=0.15) for k in range(60)])
    joined = join_bands(curves)
    period = find_candidates(joined, SEARCH).period[:, 0]
    sigma = np.array([period_uncertainty(*one(joined, i), period[i : i + 1])[0] for i in range(60)])
    formula = np.sqrt(6 / 200) * 0.15 / (np.pi * 300 * 0.3) * 0.7**2
    assert np.median(sigma) == pytest.approx(formula, rel=0.1)
    assert 0.7 < np.std((period - 0.7) / sigma) < 1.3


def test_the_highest_peaks_are_sines() -> None:
    time, value, weight = one(join_bands(star(period=0.7)))
    frequency, r2 = highest_peaks(time, value, weight, SEARCH, 3)
    assert frequency[0] == pytest.approx(1 / 0.7, abs=1e-3)
    assert (np.diff(r2) <= 0).all()
    assert r2[0] == pytest.approx(harmonic_fits(time, value, weight, frequency[:1], 1).r2[0, 0], abs=1e-5)


def test_offsets_of_joined_light_curves_own_their_rows() -> None:
    curves = LightCurves.concat([star(n=7, seed=1), star(n=0), two_bands(n=5)])
    joined = join_bands(curves)
    np.testing.assert_array_equal(ragged.owner(joined.offsets), ragged.owner(curves.offsets)[joined.row])
