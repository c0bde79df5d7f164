"""The fit of pairs of a period and a class: its loss, its targets, and that it learns both."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from goodricke.data.lightcurves import LightCurves
from goodricke.data.taxonomy import Taxonomy
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.variables import Variables, VariablesNetworkConfig
from goodricke.preprocess import VariablesConfig, prepare
from goodricke.preprocess.candidates import CandidateSearch
from goodricke.preprocess.tensors import CandidatePeriods
from goodricke.training.fit_variables import (
    Targets,
    agreeing_candidates,
    allowed_pairs,
    fit,
    pair_loss,
    second_to_first_harmonic,
    star_weights,
)
from goodricke.training.loop import LoopConfig

CONFIG = VariablesConfig(bins=32, search=CandidateSearch(shortest=0.2))


def test_the_loss_is_minus_the_log_of_the_allowed_pairs() -> None:
    pairs = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    allowed = torch.zeros(3, 4, 5, dtype=torch.bool)
    allowed[0, 0, 0] = allowed[1, 1, 1] = allowed[1, 3, 2] = True
    allowed[2] = True
    p = torch.softmax(pairs.flatten(1), 1).view_as(pairs)
    plain = [-torch.log(p[i][allowed[i]].sum()) for i in range(3)]
    torch.testing.assert_close(pair_loss(pairs, allowed), torch.stack(plain))
    assert pair_loss(pairs, allowed)[2].abs() < 1e-5  # everything is allowed


def test_catalog_periods_allow_the_candidates_that_agree_or_all() -> None:
    period = np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 0.5], [1.0, 2.0, 3.0], [100.0, 130.0, 50.0]])
    candidates = CandidatePeriods(period, period / 1e4, np.zeros(4), np.full(4, 1000.0))
    catalog = np.array([2.0005, np.nan, 7.0, 101.0])
    agree = [[False, True, False], [False, False, False], [False, False, False], [True, False, False]]
    np.testing.assert_array_equal(agreeing_candidates(candidates, catalog), agree)
    expected = [[False, True, False], [True, True, True], [True, True, True], [True, False, False]]
    classes = np.array([[True, False]] * 4)
    pairs = allowed_pairs(candidates, classes, catalog)
    np.testing.assert_array_equal(pairs[..., 0], expected)
    assert not pairs[..., 1].any()


def test_without_a_catalog_period_a_class_has_the_candidates_that_it_can_have() -> None:
    taxonomy = Taxonomy.shipped().restricted(["EW", "RRAB", "MIRA", "AGN"])
    period = np.array([[0.6, 1.2, 300.0, np.nan]] * 6)
    period[4] = [0.01, 0.02, np.nan, np.nan]
    candidates = CandidatePeriods(period, period / 1e4, np.zeros(6), np.full(6, 1000.0))
    sets = [{"RRAB"}, {"MIRA"}, {"EW", "RRAB"}, {"AGN"}, {"RRAB"}, {"RRAB"}]
    leaves = list(taxonomy.leaves)
    classes = np.array([[leaf in names for leaf in leaves] for names in sets])
    catalog = np.array([np.nan, np.nan, np.nan, np.nan, np.nan, 300.0])
    pairs = allowed_pairs(candidates, classes, catalog, taxonomy)
    allowed = [{(leaves[c], float(period[i, k])) for k, c in np.argwhere(pairs[i])} for i in range(6)]
    assert allowed[0] == {("RRAB", 0.6)}
    assert allowed[1] == {("MIRA", 300.0)}
    assert allowed[2] == {("RRAB", 0.6), ("EW", 0.6), ("EW", 1.2)}
    assert allowed[3] == {("AGN", 0.6), ("AGN", 1.2), ("AGN", 300.0)}
    assert allowed[4] == {("RRAB", 0.01), ("RRAB", 0.02)}  # none is plausible: the label still holds
    assert allowed[5] == {("RRAB", 300.0)}  # the catalog decides


def test_without_a_catalog_period_a_pulsation_is_not_at_twice_its_period() -> None:
    taxonomy = Taxonomy.shipped().restricted(["EW", "RRAB", "DSCT"])
    period = np.array([[0.1, 0.2, 0.05, np.nan]] * 3)
    harmonics = np.array([[0.3, 9.0, 0.8, np.nan]] * 2 + [[2.0, 9.0, 5.0, np.nan]])
    candidates = CandidatePeriods(period, period / 1e4, np.zeros(3), np.full(3, 1000.0))
    leaves = list(taxonomy.leaves)
    classes = np.array([[leaf in names for leaf in leaves] for names in ({"DSCT"}, {"EW", "DSCT"}, {"DSCT"})])
    pairs = allowed_pairs(candidates, classes, np.full(3, np.nan), taxonomy, harmonics)
    allowed = [{(leaves[c], float(period[i, k])) for k, c in np.argwhere(pairs[i])} for i in range(3)]
    assert allowed[0] == {("DSCT", 0.1), ("DSCT", 0.05)}
    assert allowed[1] == {("DSCT", 0.1), ("DSCT", 0.05), ("EW", 0.2)}
    assert allowed[2] == {("DSCT", 0.1), ("DSCT", 0.2), ("DSCT", 0.05)}  # none is plausible: the label still holds


def test_the_second_harmonic_is_the_strongest_at_twice_the_period() -> None:
    curves, label, period = binaries_and_pulsators(40)
    prepared = prepare(curves, CONFIG)
    ratio = second_to_first_harmonic(prepared)
    doubles = agreeing_candidates(prepared.candidates, 2 * period) & (label == 1)[:, None]
    singles = agreeing_candidates(prepared.candidates, period) & (label == 1)[:, None]
    for found, is_second_stronger in ((doubles, True), (singles, False)):
        assert found.sum() > 5
        assert ((ratio[found] > 1) == is_second_stronger).all()


def test_rare_groups_weigh_more() -> None:
    weight = star_weights(np.array([0, 0, 0, 0, 1]), power=0.5)
    assert weight[4] == np.sqrt(4).astype(np.float32) * weight[0]
    assert np.isclose(weight.mean(), 1)


def binaries_and_pulsators(n: int = 120, seed: int = 0) -> tuple[LightCurves, np.ndarray, np.ndarray]:
    """Return eclipsing binaries and sawtooths, their classes, and orbital or pulsation periods."""
    rng = np.random.default_rng(seed)
    label, period = np.arange(n) % 2, rng.uniform(0.4, 0.9, n)
    times = [np.sort(rng.uniform(0, 200, 120)) for _ in range(n)]
    values = []
    for time, kind, p in zip(times, label, period, strict=True):
        phase = (time / p) % 1
        eclipses = np.exp(-(((2 * phase) % 1 - 0.5) ** 2) / 0.005) * np.where(phase < 0.5, 1.0, 0.8)
        values.append(12 + 0.6 * (eclipses if kind == 0 else np.abs(phase - 0.2) % 1) + rng.normal(0, 0.02, len(time)))
    offsets = np.arange(n + 1) * 120
    ids = pa.array([f"s{i}" for i in range(n)])
    error = np.full(n * 120, 0.02)
    curves = LightCurves.from_arrays(ids, offsets, np.concatenate(times), np.concatenate(values), error, unit="mag")
    return curves, label, period


def small_network() -> Variables:
    torch.manual_seed(0)
    return Variables(
        VariablesNetworkConfig(
            classes=2,
            candidates=4,
            bins=32,
            star=CONFIG.star,
            candidate=CONFIG.candidate,
            width=32,
            hidden=32,
            dropout=0,
        )
    )


def test_class_and_orbital_period_are_learnt_together(tmp_path: Path) -> None:
    curves, label, period = binaries_and_pulsators()
    prepared = prepare(curves, CONFIG)
    classes = label[:, None] == np.arange(2)
    targets = Targets(classes, allowed_pairs(prepared.candidates, classes, period), label)
    rows = np.arange(len(label))
    config = LoopConfig(epochs=12, batch=12, rate=3e-3, head_rate=3e-3, warmup=0.1, patience=50)
    network = small_network()
    fit(network, prepared, targets, rows[:96], rows[96:], config, tmp_path)
    model = Model(
        BundleConfig(name="t", family="variables", classes=("EB", "PULS"), network={}, preprocessing=CONFIG),
        network.eval(),
    )
    output = model.run(prepared, rows[96:])
    assert (output.logits.argmax(1) == label[96:]).mean() >= 0.9
    probabilities = torch.softmax(torch.from_numpy(output.logits), 1).numpy()
    answer = model.periods(output.pairs, probabilities, prepared.take(rows[96:]).candidates)
    assert answer is not None
    assert (np.abs(answer.period / period[96:] - 1) < 2e-3).mean() >= 0.85
