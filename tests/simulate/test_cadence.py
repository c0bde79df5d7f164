"""Sectors, quarters and campaigns: in their spans, with gaps where they should be."""

import numpy as np
import pytest

from goodricke.simulate.cadence import CADENCES, find_cadence, observe


@pytest.mark.parametrize("name", CADENCES)
def test_times_are_regular_between_the_gaps_and_within_the_sector(name: str) -> None:
    cadence = CADENCES[name]
    for seed in range(5):
        seen = observe(cadence, 1, np.random.default_rng(seed))
        start, stop = cadence.spans[seen.numbers[0]]
        assert start <= seen.time[0] < start + cadence.step
        assert stop - cadence.step <= seen.time[-1] < stop
        inside = np.diff(seen.piece) == 0
        np.testing.assert_allclose(np.diff(seen.time)[inside], cadence.step, rtol=1e-6)
        assert (np.diff(seen.time)[~inside] > 0.1).all()
        assert sum(piece.stop - piece.start for piece in seen.pieces) == len(seen.time)
        assert cadence.exposure <= cadence.step


def test_gaps_are_where_the_data_were_sent_down() -> None:
    rng = np.random.default_rng(0)
    number = {name: len(observe(CADENCES[name], 1, rng).pieces) for name in ("tess-30min", "tess-200s", "k2")}
    assert number == {"tess-30min": 2, "tess-200s": 4, "k2": 1}
    assert len(observe(CADENCES["kepler"], [9], rng).pieces) == 3
    assert len(observe(CADENCES["kepler"], [0], rng).pieces) == 1
    seen = observe(CADENCES["tess-30min"], [14], rng)
    middle = seen.time[seen.pieces[1].start]
    assert abs(middle - np.mean(CADENCES["tess-30min"].spans[14])) < 4
    assert 1050 < len(seen.time) < 1290


def test_known_light_curves_are_in_their_sectors() -> None:
    # first and last time of real products: TESS sectors 1, 7, 34, 61, Kepler quarters 2 and 5, K2 campaigns 4 and 18
    known = {
        ("tess-30min", 1): (1325.3, 1353.2),
        ("tess-30min", 7): (1491.95, 1516.08),
        ("tess-10min", 34): (2229.22, 2254.06),
        ("tess-200s", 61): (2964.16, 2987.5),
        ("kepler", 2): (169.77, 258.47),
        ("kepler", 5): (443.49, 538.16),
        ("k2", 4): (2228.8, 2299.68),
        ("k2", 18): (3418.5, 3469.4),
    }
    for (name, sector), (first, last) in known.items():
        start, stop = CADENCES[name].spans[sector]
        assert start - 0.1 <= first < start + 1.6
        assert stop - 1 <= last <= stop + 0.6


def test_sectors_are_consecutive_or_given_by_number() -> None:
    cadence = CADENCES["tess-30min"]
    seen = observe(cadence, 3, np.random.default_rng(1))
    assert list(np.diff(seen.numbers)) == [1, 1]
    assert (np.diff(seen.time) > 0).all()
    assert set(seen.sector) == {0, 1, 2}
    apart = observe(cadence, (26, 14, 15), np.random.default_rng(1))
    assert apart.numbers == (14, 15, 26)
    assert np.diff(apart.time).max() > 200


def test_resets_of_the_pointing_come_every_few_days_and_k2_fires_every_six_hours() -> None:
    for name, (least, most) in {"tess-30min": (2, 6.7), "kepler": (2.98, 2.98), "k2": (0.2452, 0.2452)}.items():
        seen = observe(CADENCES[name], 1, np.random.default_rng(2))
        assert (seen.reset >= 0).all()
        assert (seen.reset < 1).all()
        pace = seen.cadence.step / np.median(np.diff(seen.reset))
        assert least - 1e-6 <= pace <= most + 1e-6


@pytest.mark.parametrize(
    ("sectors", "message"), [(27, "there are 26"), (0, "there are 26"), ((3, 99), "99"), ((), "no sector")]
)
def test_unknown_sectors_and_cadences_are_errors(sectors: int | tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        observe(CADENCES["tess-30min"], sectors, np.random.default_rng(0))
    with pytest.raises(ValueError, match="tess-30min, tess-10min"):
        find_cadence("plato")
