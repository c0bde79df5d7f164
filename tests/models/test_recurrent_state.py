"""State per object: at every observation and for every grouping, the output of the complete light curve (Promise 1)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.multiband import Multiband
from goodricke.models.recurrent_state import State, layout
from goodricke.preprocess.multiband import MultibandConfig
from tests.models.test_multiband import network

BANDS = ("g", "r", "i")


def model(bands: int = 2, seed: int = 0, asinh: bool = False, **changes: object) -> Model:
    brightness = {"brightness": "asinh", "softening": 3.0} if asinh else {"brightness": "magnitude"}
    config = MultibandConfig(bands=BANDS[:bands], level=bool(seed % 2), **brightness)
    net: Multiband = network(seed, bands=bands, width=config.width, targets=0, **changes)
    return Model(
        BundleConfig(name="m", family="multiband", classes=("A", "B", "C"), network={}, preprocessing=config), net
    )


def light_curves(*objects: list[tuple[float, float, str]], unit: str = "mag") -> LightCurves:
    points = [p for o in objects for p in o]
    return LightCurves.from_arrays(
        [str(i) for i in range(len(objects))],
        np.cumsum([0, *map(len, objects)]),
        [p[0] for p in points],
        [p[1] for p in points],
        np.full(len(points), 0.1),
        [(*BANDS, "x").index(p[2]) for p in points],
        bands=(*BANDS, "x"),
        unit=unit,
    )


observation = st.tuples(
    st.floats(0, 3000) | st.integers(0, 5).map(float), st.floats(10, 25), st.sampled_from([*BANDS, "x"])
)
star = st.lists(observation, max_size=25).map(lambda s: sorted(s, key=lambda p: (p[0], (*BANDS, "x").index(p[2]))))


def same(result, expected) -> None:
    assert result.column("status").tolist() == expected.column("status").tolist()
    assert np.allclose(result.probabilities, expected.probabilities, atol=1e-5, equal_nan=True)
    assert result.column("n_obs").tolist() == expected.column("n_obs").tolist()


@settings(max_examples=40, deadline=None)
@given(star, st.integers(0, 7), st.sampled_from([1, 2, 3]), st.booleans())
def test_after_every_observation_the_output_is_that_of_the_light_curve_so_far(
    s: list, seed: int, bands: int, asinh: bool
) -> None:
    m = model(bands, seed, asinh, raw_input=bool(seed % 3), central_layers=1 + seed % 2)
    unit, state = ("flux" if asinh else "mag"), m.init_state(1)
    for k in range(len(s)):
        state, result = m.update(state, light_curves([s[k]], unit=unit))
        expected = classify(light_curves(s[: k + 1], unit=unit), m)
        if expected.ok.all():
            same(result, expected)
        else:
            assert not result.ok.any()


@settings(max_examples=25, deadline=None)
@given(st.lists(star, min_size=1, max_size=4), st.integers(0, 25), st.integers(0, 25))
def test_many_objects_and_many_observations_at_once(stars: list, first: int, second: int) -> None:
    m, (a, b) = model(3), sorted((first, second))
    state, complete = m.init_state(len(stars)), light_curves(*stars)
    for part in (slice(0, a), slice(a, b), slice(b, None)):
        state, result = m.update(state, light_curves(*(s[part] for s in stars)))
    expected = classify(complete, m)
    assert result.ok.tolist() == expected.ok.tolist()
    assert np.allclose(result.probabilities, expected.probabilities, atol=1e-5, equal_nan=True)


def random_star(seed: int, n: int = 60) -> list:
    rng = np.random.default_rng(seed)
    time = np.cumsum(10 ** rng.uniform(-2, 1.5, n)) + 58000
    return list(zip(time, rng.normal(18, 1, n), rng.choice(BANDS[:2], n), strict=True))


def test_an_older_observation_is_refused_and_later_ones_are_taken() -> None:
    m, s = model(), random_star(1)
    state, _ = m.update(m.init_state(1), light_curves(s[:20] + s[21:40]))
    late, result = m.update(state, light_curves([s[20], s[40]]))
    assert result.column("status").tolist() == ["OUT_OF_ORDER"]
    assert late.records["refused"].tolist() == [1]
    _, after = m.update(late, light_curves([s[41]]))
    same(after, classify(light_curves(s[:20] + s[21:42]), m))


def test_a_repeated_observation_changes_nothing() -> None:
    m, s = model(), random_star(2)
    state, first = m.update(m.init_state(1), light_curves(s))
    again, result = m.update(state, light_curves(s[-1:]))
    assert again.records.tobytes() == state.records.tobytes()
    same(result, first)


def test_an_update_copies_the_state_and_changes_only_its_objects() -> None:
    m, s = model(), random_star(3)
    state = m.init_state(3)
    before = state.records.tobytes()
    after, _ = m.update(state, light_curves(s), rows=np.array([1]))
    assert state.records.tobytes() == before
    assert after[[0, 2]].records.tobytes() == state[[0, 2]].records.tobytes()
    assert after.counts.tolist() == [0, 60, 0]


def test_unknown_bands_and_bad_numbers() -> None:
    m, s = model(), random_star(4)
    unusual = [(s[30][0] + 1e-3, 17.0, "x"), (s[30][0] + 2e-3, np.nan, "g")]
    _, result = m.update(m.init_state(1), light_curves(s[:30] + unusual + s[31:]))
    same(result, classify(light_curves(s[:30] + s[31:]), m))
    with pytest.raises(ValueError, match="not x"):
        m.update(m.init_state(1), light_curves(unusual), strict=True)
    with pytest.raises(ValueError, match="AB magnitudes"):
        m.update(m.init_state(1), light_curves(s, unit="electron / s"))
    with pytest.raises(ValueError, match="twice"):
        m.update(m.init_state(3), light_curves(s, s), rows=np.array([1, 1]))
    with pytest.raises(ValueError, match="state of 1 objects"):
        m.update(m.init_state(1), light_curves(s, s))


def test_nothing_new_says_what_is_known() -> None:
    m, s = model(), random_star(5)
    state, first = m.update(m.init_state(1), light_curves(s))
    _, result = m.update(state, light_curves([]))
    same(result, first)
    _, empty = m.update(m.init_state(0), light_curves())
    assert len(empty) == 0


def test_half_precision_drifts_little_over_four_hundred_observations() -> None:
    m, s = model(hidden=32), [random_star(k, 400) for k in range(4)]
    exact, half = m.init_state(4), m.init_state(4, half=True)
    for k in range(400):
        now = light_curves(*([x[k]] for x in s))
        exact, a = m.update(exact, now)
        half, b = m.update(half, now)
    assert np.abs(a.probabilities - b.probabilities).max() < 5e-3
    assert half.records.itemsize < 0.62 * exact.records.itemsize


@pytest.mark.parametrize("half", [False, True])
def test_saved_is_loaded_and_goes_on_alike(half: bool) -> None:
    m, s = model(3), random_star(6)
    state, _ = m.update(m.init_state(3, half), light_curves(s[:40], [], s[:3]))
    again = State.frombytes(state.tobytes(), m.network.config)
    assert again.records.tobytes() == state.records.tobytes()
    _, a = m.update(state, light_curves(s[40:]), rows=np.array([0]))
    _, b = m.update(again, light_curves(s[40:]), rows=np.array([0]))
    assert np.array_equal(a.probabilities, b.probabilities)


def test_bands_never_seen_are_not_stored() -> None:
    m, s = model(3), [(float(k), 15.0, "g") for k in range(9)]
    state, _ = m.update(m.init_state(2), light_curves(s, []))
    calls, unseen = (len(part) for part in state.tobytes())
    sizes = m.network.config  # of one band, and the central network, which has had no step before a band has
    assert calls == unseen + 2 * sizes.hidden * (sizes.band_layers + sizes.central_layers) * 4
    assert state.records.itemsize > calls


def test_damaged_states_are_refused() -> None:
    m = model()
    good = m.init_state(1).tobytes()[0]
    for bad, why in ((b"", "no goodricke"), (b"xxxx" + good[4:], "no goodricke"), (good[:-3], "incomplete")):
        with pytest.raises(ValueError, match=why):
            State.frombytes([bad], m.network.config)
    with pytest.raises(ValueError, match="version 99"):
        State.frombytes([good[:4] + b"\x63\x00" + good[6:]], m.network.config)
    stepped, _ = m.update(m.init_state(1), light_curves([(float(k), 15.0, "g") for k in range(9)]))
    with pytest.raises(ValueError, match="other sizes"):
        State.frombytes(stepped.tobytes(), model(hidden=16).network.config)
    with pytest.raises(ValueError, match="different models"):
        State.frombytes([good], model(3).network.config)


def test_the_record_of_the_papers_ztf_model_is_a_few_kilobytes() -> None:
    config = network(bands=2, hidden=128, central_layers=2).config
    assert layout(config).itemsize < 8500
    assert layout(config, half=True).itemsize < 4300


def test_models_of_whole_light_curves_keep_no_state(folded_model: Model) -> None:
    with pytest.raises(TypeError, match="only multi-band"):
        folded_model.init_state(1)


def test_a_graph_is_never_kept() -> None:
    m = model()
    state, _ = m.update(m.init_state(1), light_curves(random_star(7)))
    assert isinstance(state.records, np.ndarray)
    assert torch.is_grad_enabled()
