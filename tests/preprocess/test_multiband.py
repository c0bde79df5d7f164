"""Steps of multi-band light curves: a toy worked by hand, causality, company, and what the reference got wrong."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.preprocess.tensors import Steps

GR = MultibandConfig(bands=("g", "r"), brightness="magnitude")


def curves(*objects: list[tuple[float, float, str]], unit: str = "mag") -> LightCurves:
    """Make light curves from lists of (time, magnitude, band); errors 0.1."""
    bands = ("g", "r", "x")
    points = [p for o in objects for p in o]
    return LightCurves.from_arrays(
        [str(i) for i in range(len(objects))],
        np.cumsum([0, *map(len, objects)]),
        [p[0] for p in points],
        [p[1] for p in points],
        np.full(len(points), 0.1),
        [bands.index(p[2]) for p in points],
        bands=bands,
        unit=unit,
    )


def test_a_toy_worked_by_hand() -> None:
    star = [(0, 10, "g"), (1, 11, "g"), (3, 13, "g"), (4, 20, "r"), (14, 21, "r"), (114, 19, "r"), (115, 12, "g")]
    result = prepare(curves(star), GR)
    assert result.time.tolist() == [3, 114, 115]
    assert result.band.tolist() == [0, 1, 0]
    assert np.allclose(result.window[0], [0, np.log10(2), 1, 2])
    assert np.allclose(result.window[1], [1, 2, 1, -2])
    assert np.allclose(result.window[2], [np.log10(2), np.log10(112), 2, -1])
    assert np.allclose(result.colour[:, 0], [np.nan, 34 / 3 - 20, 46 / 4 - 20], equal_nan=True)
    assert np.allclose(result.wait, [np.log10(2), 2, 0])
    assert np.allclose(result.error, 0.1)


def test_late_band_and_times_over_a_thousand_days() -> None:
    g = [(t, 15.0 + 0.1 * t, "g") for t in (0, 1, 2, 3, 4, 3000)]
    r = [(t, 16.0, "r") for t in (10, 11, 12, 13)]
    result = prepare(curves(g + r), GR)
    assert result.time.tolist() == [2, 3, 4, 12, 13, 3000]
    assert np.allclose(10**result.wait, [1, 1, 1, 1, 1, 2987], rtol=1e-5)
    assert np.isnan(result.colour[:3]).all()  # no colour before both bands have a step, never a magnitude of zero
    assert np.isfinite(result.colour[3:]).all()


def test_more_than_a_thousand_observations() -> None:
    result = prepare(curves([(0.5 * k, 15.0 + k % 7, "gr"[k % 2]) for k in range(2500)]), GR)
    assert len(result.time) == 2496
    assert (np.diff(result.time) > 0).all()


def test_equal_times_and_zero_errors_stay_finite() -> None:
    star = curves([(1, 15, "g")] * 4 + [(1, 15, "r")] * 4)
    result = prepare(LightCurves(**{**vars(star), "error": np.zeros(8, np.float32)}), GR)
    assert np.isfinite(result.window).all()
    assert np.allclose(result.window[:, :2], -5)
    assert (result.error > 0).all()


def test_statuses() -> None:
    enough = [(float(k), 15.0, "g") for k in range(3)]
    short, other = enough[:2], [(float(k), 15.0, "x") for k in range(9)]
    nan = [(float(k), np.nan, "g") for k in range(9)]
    result = prepare(curves(enough, short, other, [], nan), GR)
    assert result.status.tolist() == ["OK", "TOO_FEW_POINTS", "UNKNOWN_BAND", "EMPTY", "NON_FINITE"]


def test_negative_fluxes_become_asinh_magnitudes() -> None:
    flux = curves([(float(k), f, "g") for k, f in enumerate((-500.0, -5.0, 0.0, 5.0, 5000.0))], unit="nJy")
    result = prepare(flux, MultibandConfig(bands=("g",), brightness="asinh", softening=10))
    assert np.isfinite(result.window).all()
    assert (result.window[:, 3] < 0).all()  # brighter is smaller
    # where flux is much larger than the softening, a plain magnitude difference
    bright = curves([(0.0, 1e5, "g"), (1.0, 1e6, "g"), (2.0, 1e5, "g")], unit="nJy")
    assert np.allclose(
        prepare(bright, MultibandConfig(bands=("g",), brightness="asinh", softening=10)).window[0, 2:], [-2.5, 2.5]
    )


def test_a_model_in_nanojansky_takes_magnitudes_as_their_fluxes() -> None:
    config = MultibandConfig(bands=("g",), brightness="asinh", softening=3000, unit="nJy", level=True)
    points = [(0.0, 18.0, "g"), (1.0, 17.5, "g"), (2.5, 19.0, "g"), (4.0, 18.2, "g")]
    magnitudes = curves(points)
    flux, error = nanojansky(magnitudes.value.astype(float), magnitudes.error.astype(float))
    fluxes = replace(magnitudes, value=flux.astype(np.float32), error=error.astype(np.float32), unit="nJy")
    np.testing.assert_allclose(prepare(magnitudes, config).window, prepare(fluxes, config).window, atol=1e-5)
    below, expected = replace(fluxes, value=-fluxes.value), prepare(fluxes, config).window[:, 2:5]
    np.testing.assert_allclose(prepare(below, config).window[:, 2:5], -expected, atol=1e-5)
    for unit in ("flux", "unknown"):
        with pytest.raises(ValueError, match="have no zero point"):
            prepare(replace(fluxes, unit=unit), config)


def test_magnitudes_and_fluxes_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="have no zero point for AB magnitudes"):
        prepare(curves([(0.0, 1.0, "g")], unit="electron / s"), GR)
    asinh = MultibandConfig(bands=("g",), brightness="asinh", softening=1, unit="nJy")
    with pytest.raises(ValueError, match="in nJy, and the light curves are in electron"):
        prepare(curves([(0.0, 1.0, "g")], unit="electron / s"), asinh)
    with pytest.raises(ValueError, match="takes fluxes"):
        prepare(curves([(0.0, 1.0, "g")]), MultibandConfig(bands=("g",), brightness="asinh", softening=10))


star_strategy = st.lists(
    st.tuples(st.floats(0, 2000), st.floats(10, 25), st.sampled_from(["g", "r", "x"])), max_size=30
).map(sorted)


@settings(max_examples=60, deadline=None)
@given(st.lists(star_strategy, min_size=1, max_size=4), st.integers(0, 30))
def test_cut_light_curves_give_the_same_steps_cut_short(stars: list, k: int) -> None:
    complete, short = prepare(curves(*stars), GR), prepare(curves(*(s[:k] for s in stars)), GR)
    for i, star in enumerate(stars):
        rows, cut = slice(*complete.offsets[i : i + 2]), slice(*short.offsets[i : i + 2])
        n = cut.stop - cut.start
        tied = 0 < k < len(star) and star[k - 1][0] == star[k][0]
        if tied:
            continue  # the cut falls between observations of one instant
        for name in ("window", "colour", "wait", "error"):
            a, b = getattr(complete, name)[rows][:n], getattr(short, name)[cut]
            assert np.allclose(a, b, atol=2e-5, equal_nan=True), name


@settings(max_examples=40, deadline=None)
@given(st.lists(star_strategy, min_size=2, max_size=5))
def test_alone_as_in_company(stars: list) -> None:
    together = prepare(curves(*stars), GR)
    for i, star in enumerate(stars):
        single, rows = prepare(curves(star), GR), slice(*together.offsets[i : i + 2])
        for name in ("window", "colour", "wait", "error"):
            assert np.allclose(getattr(together, name)[rows], getattr(single, name), atol=2e-5, equal_nan=True), name
        assert together.status[i] == single.status[0]


def test_what_a_recipe_leaves_open_follows_from_the_light_curves() -> None:
    star = [(float(k), 15.0, "rx"[k % 2]) for k in range(9)]
    config = MultibandConfig().resolved(curves(star))
    assert (config.bands, config.brightness, config.softening) == (("r", "x"), "magnitude", None)
    config = MultibandConfig(bands=("g",)).resolved(curves(star, unit="nJy"))
    assert (config.bands, config.brightness, config.softening) == (("g",), "asinh", 0.1)


def test_of_one_band_and_instant_the_first_counts() -> None:
    star = [(0.0, 15.0, "g"), (1.0, 15.5, "g"), (2.0, 16.0, "g"), (2.0, 99.0, "g"), (2.0, 14.0, "r")]
    assert prepare(curves(star), GR).window[:, 3].tolist() == pytest.approx([0.5])
    assert prepare(curves(star), GR).n_obs.tolist() == [4]


def test_of_bands_observed_together_one_is_used_in_turns() -> None:
    """Gaia's BP and RP within a minute, every ten days: each band is left with every other visit."""
    time = np.repeat(np.arange(12) * 10.0, 2) + np.tile([0, 1 / 1440], 12)
    curves = LightCurves.from_arrays(
        ["a"], [0, 24], time, np.arange(24.0), band=np.tile([0, 1], 12), bands=("BP", "RP"), unit="mag"
    )
    config = MultibandConfig(bands=("BP", "RP"), alternate=("BP", "RP")).resolved(curves)
    steps = prepare(curves, config)
    assert steps.observations.tolist() == [12]
    assert steps.band.tolist() == [0, 1] * 4
    np.testing.assert_allclose(np.diff(steps.time), 10, atol=0.01)
    assert prepare(curves, config.model_copy(update={"alternate": None})).observations.tolist() == [24]


def test_level_adds_the_magnitude_and_its_error() -> None:
    star = [(float(k), 15.0 + k, "g") for k in range(3)]
    config = GR.model_copy(update={"level": True})
    assert prepare(curves(star), config).window[0, 4:].tolist() == pytest.approx([17, -1])
    assert config.width == prepare(curves(star), config).window.shape[1]


def test_context_columns_must_be_present() -> None:
    star = curves([(float(k), 15.0, "g") for k in range(3)])
    config = GR.model_copy(update={"columns": ("photoz",)})
    with pytest.raises(ValueError, match="photoz"):
        prepare(star, config)
    complete = replace(star, objects=pa.table({"photoz": [0.5]}))
    assert prepare(complete, config).context.tolist() == [[0.5]]
    assert prepare(complete, config).batch().extras[0, -1] == 0.5


def test_taken_saved_and_restored() -> None:
    star = [(float(k), 15.0 + k % 3, "gr"[k % 2]) for k in range(9)]
    complete = prepare(curves(star, star[:2], star[:7]), GR)
    again = Steps.from_arrays(complete.to_arrays())
    single = prepare(curves(star[:7]), GR)
    for name in ("window", "colour", "wait", "rank", "band", "error"):
        assert np.array_equal(getattr(again, name), getattr(complete, name), equal_nan=True), name
        assert np.allclose(
            getattr(complete.take(np.array([2])), name), getattr(single, name), atol=1e-6, equal_nan=True
        )
    assert again.take(np.array([2, 0])).n_points.tolist() == [3, 5]


def test_fluxes_come_in_any_unit() -> None:
    flux = [(float(k), f, "g") for k, f in enumerate((3631.0, 36310.0, 3631.0))]
    config = MultibandConfig(bands=("g",), brightness="asinh", softening=5, unit="nJy")
    complete = prepare(curves(flux, unit="nJy"), config)
    micro = prepare(curves([(t, f / 1000, b) for t, f, b in flux], unit="uJy"), config)
    assert np.allclose(complete.window, micro.window, atol=1e-4)
    # to a model of magnitudes, flux densities are AB magnitudes, those within their errors left out
    faint = [(1.5, 0.05, "g"), (1.7, -50.0, "g")]
    assert prepare(curves(sorted(flux + faint), unit="nJy"), GR).window[0, 2:].tolist() == pytest.approx([-2.5, 2.5])
