"""The ensemble's training by identities: weights, losses, who learns in which phase, and what is left out when."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import RunProgress
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.training.fit_multiband import (
    Ensemble,
    EnsembleConfig,
    augment,
    fit,
    learn_statistics,
    parameter_groups,
)
from goodricke.training.loop import LoopConfig, _step
from tests.io.packets.making_packets import many
from tests.making import sky


def by_hand(counts: list[list[int]], error: float | None = None) -> LightCurves:
    """Return one light curve per list of numbers of observations in g, r, ...; bands come in random order."""
    rng = np.random.default_rng(1)
    band = [rng.permutation(np.repeat(np.arange(len(c)), c)) for c in counts]
    offsets = ragged.offsets_from_counts(np.array([len(b) for b in band]))
    m = offsets[-1]
    errors = rng.uniform(0.005, 0.1, m) if error is None else np.full(m, error)
    time, value = np.concatenate([np.cumsum(rng.uniform(0.1, 2, len(b))) for b in band]), rng.normal(15, 1, m)
    ids = [str(k) for k in range(len(counts))]
    bands = tuple("griz"[: len(counts[0])])
    return LightCurves.from_arrays(ids, offsets, time, value, errors, np.concatenate(band), bands=bands, unit="mag")


def network(seed=0, **changes) -> Multiband:
    torch.manual_seed(seed)
    sizes = {"bands": 2, "classes": 2, "hidden": 8, "head": (8,), "dropout": 0.2}
    return Multiband(MultibandNetworkConfig(**sizes | changes))


def task(curves, label=None, targets=None, bands=None, seed=42, points=65536, score="macro_f1", sizes=None, **config):
    """Return a task on all the light curves, every second one to validate."""
    label = np.arange(len(curves)) % 2 if label is None else label
    targets = np.zeros((len(curves), 0), np.float32) if targets is None else targets
    bands = bands or curves.bands
    net = network(**{"bands": len(bands), "targets": targets.shape[1]} | (sizes or {}))
    preprocessing = MultibandConfig(bands=bands, brightness="magnitude")
    weights, validation = np.array([1.0, 2.5], np.float32), np.arange(0, len(curves), 2)
    settings = EnsembleConfig(**config)
    return Ensemble(net, curves, preprocessing, label, targets, validation, weights, settings, points, score, seed)


def copied(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in net.state_dict().items()}


def same(a: dict, b: dict) -> bool:
    assert a.keys() == b.keys()
    return all(torch.equal(a[k], b[k]) for k in a)


# ---- weights of steps ---------------------------------------------------------------------------------------------

COUNTS = [[12, 40], [3, 25], [0, 9], [4, 0], [5, 5], [2, 8], [7, 2]]  # observations; two fewer steps


def indices(steps):
    owner = ragged.owner(steps.offsets)
    return owner, owner * steps.bands + steps.band, np.arange(len(owner)) - steps.offsets[owner]


@pytest.mark.parametrize("skip", [0, 3, 100])
def test_weights_of_a_band_go_by_inverse_error_from_the_first_step_learned_from(skip):
    job = task(by_hand(COUNTS), skip=skip)
    steps = job.complete_steps
    _, series, _ = indices(steps)
    weight = job._step_weights(steps.error, series, steps.rank)
    for k in np.unique(series):
        rows, error = weight[series == k], steps.error[series == k].astype(float)
        first = min(skip, len(rows) - 1)  # at least the last one is learned from
        assert (rows[:first] == 0).all()
        np.testing.assert_allclose(rows[first:], 1 / error[first:] / (1 / error[first:]).sum())


@pytest.mark.parametrize("skip", [0, 3, 100])
def test_central_weights_sum_to_one_and_bands_share_equally(skip):
    job = task(by_hand(COUNTS), skip=skip)
    steps = job.complete_steps
    owner, _, place = indices(steps)
    weight = job._central_weights(steps, owner, place)
    for i in np.unique(owner):
        rows, band, error = (x[owner == i] for x in (weight, steps.band, steps.error.astype(float)))
        first = min(skip, len(rows) - 1)
        assert (rows[:first] == 0).all()
        assert rows.sum() == pytest.approx(1)
        selected = np.unique(band[first:])
        for b in selected:
            actual = (band == b) & (np.arange(len(band)) >= first)
            assert rows[actual].sum() == pytest.approx(1 / len(selected))  # whatever its number of points
            np.testing.assert_allclose(rows[actual] * error[actual], rows[actual][0] * error[actual][0])


def test_a_band_with_eight_times_the_points_has_no_larger_share():
    job = task(by_hand([[7, 42]], error=0.02), skip=0)  # 5 and 40 steps; the reference's shares are as 25 to 1600
    owner, _, place = indices(job.complete_steps)
    weight = job._central_weights(job.complete_steps, owner, place)
    assert np.bincount(job.complete_steps.band, weight) == pytest.approx([0.5, 0.5])
    np.testing.assert_allclose(weight[job.complete_steps.band == 0], 0.1)


def test_the_share_of_the_last_step_is_exact():
    plain, last = (task(by_hand(COUNTS), skip=3, last=share) for share in (0.0, 0.3))
    owner, _, place = indices(plain.complete_steps)
    end = place == plain.complete_steps.n_points[owner] - 1
    result = last._central_weights(plain.complete_steps, owner, place)
    np.testing.assert_allclose(result, 0.7 * plain._central_weights(plain.complete_steps, owner, place) + 0.3 * end)
    single = task(by_hand(COUNTS), last=1.0)._central_weights(plain.complete_steps, owner, place)
    np.testing.assert_array_equal(single, end)


# ---- losses -------------------------------------------------------------------------------------------------------


def band_loss_by_hand(job: Ensemble, i: int) -> float:
    """Return the weighted loss of one light curve, band by band, each of them alone in its batch."""
    total, steps = 0.0, job.complete_steps.take(np.array([i]))
    for b in range(steps.bands):
        rows = steps.band == b
        if rows.any():
            window = torch.from_numpy(steps.window[rows])
            logits = job.network.bands[b](window, torch.ones(len(window), dtype=torch.int64))
            loss = F.cross_entropy(logits, torch.full((len(window),), int(job.label[i])), reduction="none")
            first = min(job.config.skip, len(window) - 1)
            inverse = 1 / torch.from_numpy(steps.error[rows])[first:]
            total += float((loss[first:] * inverse).sum() / inverse.sum())
    return total * float(job.weights[job.label[i]])


@torch.no_grad()
def test_the_loss_of_the_bands_is_each_light_curves_own():
    job = task(by_hand(COUNTS))
    job.network.eval()
    rows = np.arange(len(COUNTS))
    loss, weight = job.loss(rows, "bands")
    assert float(loss) == pytest.approx(sum(band_loss_by_hand(job, i) for i in rows), rel=1e-5)
    assert weight == pytest.approx(job.weights[job.label].sum())


@torch.no_grad()
def test_the_central_loss_is_each_light_curves_own():
    job = task(by_hand(COUNTS), skip=1, last=0.2)
    job.network.eval()
    total = 0.0
    for i in range(len(COUNTS)):
        steps = job.complete_steps.take(np.array([i]))
        logits = job.network(steps.batch()).logits
        owner, _, place = indices(steps)
        weight = torch.from_numpy(job._central_weights(steps, owner, place))
        loss = F.cross_entropy(logits, torch.full((len(logits),), int(job.label[i])), reduction="none")
        total += float((loss * weight).sum() * job.weights[job.label[i]])
    assert float(job.loss(np.arange(len(COUNTS)), "central")[0]) == pytest.approx(total, rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("phase", ["bands", "central"])
def test_the_loss_in_pieces_is_that_of_the_whole_batch(phase):
    curves, label = sky(30)
    targets = np.random.default_rng(0).normal(size=(30, 1)).astype(np.float32)
    complete, small = (task(curves, label, targets, points=points) for points in (10**6, 60))
    rows = np.random.default_rng(1).permutation(30)[:20]
    assert len(list(complete.microbatches(rows))) == 1
    batches = list(small.microbatches(rows))
    assert len(batches) > 5
    assert sorted(np.concatenate(batches)) == sorted(rows)
    assert max(small.steps.n_points[rows_of_batch].max() * len(rows_of_batch) for rows_of_batch in batches) <= 60
    sums = []
    for job in (complete, small):
        job.network.eval()
        sums.append(
            np.sum(
                [[float(x) for x in job.loss(rows_of_batch, phase)] for rows_of_batch in job.microbatches(rows)], axis=0
            )
        )
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-5)


@torch.no_grad()
def test_unknown_parameters_contribute_nothing():
    curves, label = sky(8)
    truth = np.array([[1.0, np.nan], [np.nan, np.nan], [-2.0, 0.5], [np.nan, 3.0]] * 2, np.float32)
    job, plain = task(curves, label, truth, target_weight=0.25), task(curves, label, truth, target_weight=0.0)
    rows = np.arange(8)
    for value in (job, plain):
        value.network.eval()
    result = job.network.output(job.complete_steps.batch()).targets.numpy()
    squares = np.nansum((result - truth) ** 2)
    difference = float(job.loss(rows, "central")[0]) - float(plain.loss(rows, "central")[0])
    assert difference == pytest.approx(0.25 * squares, rel=1e-4)
    valid = np.isfinite(truth[job.validation])
    rmse = np.sqrt(np.mean((result - truth)[job.validation][valid] ** 2))
    assert job.validate()["target_rmse"] == pytest.approx(rmse, rel=1e-5)


def test_a_batch_without_any_measured_parameter_is_finite():
    curves, label = sky(6)
    job = task(curves, label, np.full((6, 2), np.nan, np.float32))
    loss, _ = job.loss(np.arange(6), "central")
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in job.network.central.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)
    assert all((p.grad == 0).all() for p in job.network.central.regressions.parameters() if p.grad is not None)


@torch.no_grad()
@pytest.mark.parametrize("phase", ["bands", "central"])
def test_light_curves_without_steps_contribute_nothing(phase):
    curves = by_hand([[8, 9], [2, 2], [6, 0], [0, 0]])
    job = task(curves, targets=np.ones((4, 1), np.float32))
    job.network.eval()
    assert job.loss(np.arange(4), phase)[0] == pytest.approx(float(job.loss(np.array([0, 2]), phase)[0]), rel=1e-6)


@pytest.mark.parametrize("phase", ["bands", "central"])
@pytest.mark.parametrize("rows", [[1], [3], [2]])
def test_a_batch_with_nothing_to_learn_from_passes(phase, rows):
    """No step at all, or (row 2) none in a band that learns: a small last batch, or a band rarely observed."""
    curves = by_hand([[8, 9], [2, 2], [6, 0], [0, 0]])
    job = task(curves, targets=np.full((4, 1), np.nan, np.float32), frozen_bands=("g",))
    job.network.train()
    before = copied(job.network.bands)
    optimiser = torch.optim.SGD(parameter_groups(job, 0.1))
    loss, weight = _step(job, np.array(rows), phase, optimiser, LoopConfig())
    assert np.isfinite(loss)
    assert weight > 0
    assert loss == 0 or (phase, rows) == ("central", [2])
    assert same(job.network.bands.state_dict(), before)
    assert all(torch.isfinite(v).all() for v in job.network.state_dict().values())


# ---- who learns when ----------------------------------------------------------------------------------------------


def test_bands_warm_up_alone_and_then_the_central_network_takes_its_turns():
    curves, label = sky(4)
    job = task(curves, label, warmup_batches=3, central_updates=2)
    assert [job.phases(step) for step in (0, 2, 3, 99)] == [["bands"]] * 2 + [["bands", "central", "central"]] * 2
    job.batches = 10  # of a short run a fifth
    assert [job.phases(step) for step in (1, 2)] == [["bands"], ["bands", "central", "central"]]
    frozen = task(curves, label, warmup_batches=3, central_updates=1, frozen_bands=("g", "r"))
    assert [frozen.phases(step) for step in (0, 5)] == [["central"]] * 2


def test_each_turn_changes_its_networks_alone():
    """Promise 5, with an optimiser that decays weights and remembers what the other turn has moved."""
    curves, label = sky(12)
    job = task(curves, label, np.ones((12, 1), np.float32), sizes={"raw_input": True})
    optimiser = torch.optim.AdamW(parameter_groups(job, 0.01), weight_decay=0.5)
    job.network.train()
    bands, central = job.network.bands, job.network.central
    for phase in ("bands", "central", "bands", "central", "central"):
        before = copied(bands), copied(central)
        _step(job, np.arange(12), phase, optimiser, LoopConfig())
        after = copied(bands), copied(central)
        assert same(before[0], after[0]) == (phase == "central")
        assert same(before[1], after[1]) == (phase == "bands")
        learned = {k for k, p in (bands if phase == "bands" else central).named_parameters() if p.requires_grad}
        was, now = (pair[phase == "central"] for pair in (before, after))
        assert all(not torch.equal(was[k], now[k]) for k in learned)


def test_every_network_is_clipped_by_itself_and_every_weight_has_its_rate():
    curves, label = sky(4)
    job = task(curves, label, central_rate=0.25)
    assert len(job.clip_groups("bands")) == 2
    assert len(job.clip_groups("central")) == 1
    bands, central = parameter_groups(job, 0.4)
    assert (bands["lr"], central["lr"]) == (0.4, 0.1)
    listed = [id(p) for p in bands["params"] + central["params"]]
    assert sorted(listed) == sorted(id(p) for p in job.network.parameters() if p.requires_grad)
    assert {id(p) for p in bands["params"]} == {id(p) for p in job.network.bands.parameters() if p.requires_grad}
    frozen = parameter_groups(task(curves, label, frozen_bands=("g", "r")), 0.4)
    assert [group["lr"] for group in frozen] == [0.2]


def test_frozen_bands_are_not_even_listed():
    """Where several processes train together, what is listed gets a gradient of zeros, and its weights decay."""
    curves, label = sky(4)
    job = task(curves, label, frozen_bands=("g",))
    (group,) = job.clip_groups("bands")
    learning = {id(p) for p in job.network.bands[1].parameters() if p.requires_grad}
    assert {id(p) for p in group} == {id(p) for p in parameter_groups(job, 1.0)[0]["params"]} == learning


def config(**changes) -> LoopConfig:
    return LoopConfig(**{"epochs": 2, "batch": 8, "rate": 1e-2, "weight_decay": 0.1, "warmup": 0.5} | changes)


def test_frozen_bands_never_change(tmp_path):
    curves, label = sky(24)
    job = task(curves, label, warmup_batches=2, thin=0.3, frozen_bands=("r",))
    before = copied(job.network.bands[1]), copied(job.network.bands[0])
    fit(job, np.arange(24), config(), RunProgress(tmp_path), learn=[0])
    selected = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["network"]
    for name, weight in before[0].items():
        assert torch.equal(selected[f"bands.1.{name}"], weight)
    assert not torch.equal(
        selected["bands.0.recurrent.layers.0.weight_hh_l0"], before[1]["recurrent.layers.0.weight_hh_l0"]
    )


def test_a_band_learns_the_same_whatever_other_bands_there_are(tmp_path):
    """Without dropout, whose random numbers the bands share, and in whole batches, which bands would cut otherwise."""
    curves, label = sky(24, bands=("g", "r", "i"), counts=(9, 24))
    result = []
    for bands in (("g",), ("g", "r"), ("g", "i", "r")):
        job = task(curves, label, bands=bands, sizes={"dropout": 0}, warmup_batches=2, thin=0.3, noise=1.0)
        assert job.network.bands[0].head.layers[3].p == 0
        folder = tmp_path / "".join(bands)
        fit(job, np.arange(24), config(clip=0.05), RunProgress(folder))
        selected = torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
        result.append({k: v for k, v in selected.items() if k.startswith("bands.0.")})
    assert same(result[0], result[1])
    assert same(result[0], result[2])


# ---- the fit ------------------------------------------------------------------------------------------------------


def killed_after(epochs: int) -> Callable[[dict[str, float]], None]:
    def report(figures: dict[str, float]) -> None:
        if figures["epoch"] + 1 == epochs:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("frozen", [(), ("g", "r")])
def test_a_resumed_fit_ends_as_one_without_interruption(tmp_path, frozen):
    curves, label = sky(16)
    targets = np.where(np.arange(16) % 3, np.arange(16), np.nan)[:, None].astype(np.float32)
    settings = {"warmup_batches": 3, "thin": 0.4, "noise": 1.0, "frozen_bands": frozen}
    complete, half, remaining = (task(curves, label, targets, sizes={"seed": s}, **settings) for s in (0, 0, 5))
    loop = {"batch": 12 if not frozen else 16}  # one batch of all objects, the same ones in every epoch
    fit(complete, np.arange(16), config(epochs=4, **loop), RunProgress(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        fit(half, np.arange(16), config(epochs=4, **loop), RunProgress(tmp_path / "cut", killed_after(2)))
    fit(remaining, np.arange(16), config(epochs=4, **loop), RunProgress(tmp_path / "cut"))
    assert same(copied(complete.network), copied(remaining.network))
    a, b = (torch.load(tmp_path / k / "checkpoint.pt", weights_only=True)["network"] for k in ("whole", "cut"))
    assert same(a, b)


def test_it_learns_what_anyone_can_tell_apart(tmp_path):
    curves, label = sky(120)
    job = task(curves, label, warmup_batches=10, thin=0.2, noise=1.0, last=0.3)
    job.validation = np.arange(100, 120)
    run = fit(job, np.arange(100), config(epochs=6), RunProgress(tmp_path))
    assert run.best > 0.9


def test_the_score_is_the_figure_asked_for_on_whole_light_curves():
    curves, label = sky(20)
    job = task(curves, label, thin=0.9, score="macro_recall")
    figures = job.validate()
    job.begin(3)
    assert job.validate() == figures
    assert figures["score"] == figures["macro_recall"]
    with torch.no_grad():
        output = job.network.eval().output(job.complete_steps.batch(job.validation)).logits
    right = (output.argmax(1).numpy() == label[job.validation]).mean()
    assert figures["accuracy"] == pytest.approx(right)
    expected = float(F.cross_entropy(output, torch.from_numpy(label[job.validation])))
    assert figures["validation_loss"] == pytest.approx(expected, rel=1e-5)


def test_light_curves_that_cannot_be_classified_are_not_validated():
    job = task(by_hand([[8, 9], [5, 8], [2, 2], [6, 0]]), label=np.array([0, 1, 1, 0]))
    before = job.validate()
    job.validation = np.array([0])  # without number 2, which has no step
    assert job.validate() == before


def test_statistics_are_of_the_training_objects_and_of_what_is_asked_for(tmp_path):
    curves, label = sky(20)
    job = task(curves, label)
    steps = job.complete_steps.take(np.arange(10))
    learn_statistics(job.network, steps, [1], [1])
    plain = network()
    assert same(copied(job.network.bands[0]), copied(plain.bands[0]))
    for b in (0, 1):
        standard = job.network.bands[b].standard
        window = steps.window[steps.band == b]
        learned = np.allclose(standard.mean, window.mean(0), atol=1e-5) and np.allclose(standard.std, window.std(0))
        assert learned == (b == 1)
    expected = np.concatenate([steps.colour, steps.wait[:, None]], 1)
    central = job.network.central.standard
    assert central.mean[0] == 0
    assert central.mean[1] == pytest.approx(expected[:, 1].mean(), rel=1e-4)
    assert central.std[1] == pytest.approx(expected[:, 1].std(), rel=1e-4)
    fit(job, np.arange(10), config(epochs=1), RunProgress(tmp_path))
    np.testing.assert_allclose(job.network.bands[0].standard.mean, steps.window[steps.band == 0].mean(0), atol=1e-5)
    np.testing.assert_allclose(central.mean, np.nanmean(expected, 0), rtol=1e-4)


# ---- light curves as a poorer survey would have seen them ---------------------------------------------------------


def rows_of(curves: LightCurves) -> list[tuple]:
    return list(zip(ragged.owner(curves.offsets).tolist(), curves.time.tolist(), curves.band.tolist(), strict=True))


def test_nothing_left_out_and_nothing_shifted_is_the_same():
    curves = sky(6)[0]
    error, value = curves.error.copy(), curves.value.copy()
    error[:3], value[5] = [np.nan, np.inf, -1], np.nan
    curves = replace(curves, error=error, value=value)
    result = augment(curves, 0.0, 0.0, np.random.default_rng(0))
    for name in ("offsets", "time", "value", "error", "band"):
        np.testing.assert_array_equal(getattr(result, name), getattr(curves, name))
    assert result.value.dtype == np.float32
    assert result.ids == curves.ids


def test_thinning_keeps_light_curves_apart_and_in_order():
    curves = sky(200, counts=(0, 60))[0]
    result = augment(curves, 0.5, 0.0, np.random.default_rng(0))
    left, all_of_it = rows_of(result), rows_of(curves)
    assert set(left) < set(all_of_it)
    assert [row for row in all_of_it if row in set(left)] == left  # in order, each still of its own
    assert len(result) == 200
    out = 1 - result.n_obs / np.maximum(curves.n_obs, 1)
    many = curves.n_obs >= 40
    assert out[many].min() < 0.1  # each light curve has its own fraction between 0 and a half
    assert 0.4 < out[many].max() < 0.8
    assert len(left) / len(all_of_it) == pytest.approx(0.75, abs=0.03)


def test_brightness_is_shifted_by_known_errors_alone():
    curves, _ = sky(300)
    error = curves.error.copy()
    error[::7], error[1::7] = np.nan, 0
    curves = replace(curves, error=error)
    result = augment(curves, 0.0, 2.0, np.random.default_rng(0))
    valid = curves.error > 0
    shift = (result.value - curves.value)[valid] / curves.error[valid]
    assert (result.value[~valid] == curves.value[~valid]).all()
    assert np.std(shift) == pytest.approx(2, rel=0.05)
    assert np.mean(shift) == pytest.approx(0, abs=0.1)
    np.testing.assert_array_equal(result.error, curves.error)


@pytest.mark.parametrize("in_magnitudes", [False, True])
def test_faded_light_curves_are_fainter_and_as_noisy_as_their_errors_say(in_magnitudes):
    n, true, sigma = 4000, 100.0, 4.0
    rng = np.random.default_rng(1)
    flux = true + sigma * rng.standard_normal(n * 10)
    value, error, unit = flux, np.full(n * 10, sigma), "nJy"
    if in_magnitudes:
        value, error, unit = -2.5 * np.log10(flux), np.full(n * 10, 2.5 / np.log(10) * sigma / true), "mag"
    curves = LightCurves.from_arrays(
        [str(k) for k in range(n)], np.arange(n + 1) * 10, np.tile(np.arange(10.0), n), value, error=error, unit=unit
    )
    result = augment(curves, 0.0, 0.0, np.random.default_rng(0), fade=1.0)
    assert (result.error > 0).all()
    level = ragged.spread(np.add.reduceat(result.value, result.offsets[:-1]) / 10, result.offsets)
    pull = (result.value - level) / result.error / np.sqrt(0.9)
    assert np.std(pull) == pytest.approx(1, abs=0.03)  # ten points of each: what is seen beside their mean
    if in_magnitudes:
        assert 0 < (result.value - curves.value).mean() < 1
        assert (result.error >= curves.error * (1 - 1e-6)).all()
    else:
        assert result.value.mean() == pytest.approx(true * (1 - 10**-0.4) / (0.4 * np.log(10)), rel=0.01)
        np.testing.assert_array_equal(result.error, curves.error)


def test_fading_leaves_unknown_errors_unknown():
    curves = sky(6)[0]
    error = curves.error.copy()
    error[:3] = [np.nan, np.inf, -1]
    result = augment(replace(curves, error=error), 0.0, 0.0, np.random.default_rng(0), fade=1.0)
    np.testing.assert_array_equal(result.error[:3], error[:3])
    assert np.isfinite(result.value).all()


def test_the_same_seed_and_epoch_give_the_same_and_others_other_light_curves():
    curves, label = sky(10)
    one, two, other = (task(curves, label, thin=0.4, noise=1.0, seed=s) for s in (1, 1, 2))
    calls = {}
    for name, job, epoch in (("a", one, 3), ("b", two, 3), ("c", other, 3), ("d", two, 4)):
        job.begin(epoch)
        calls[name] = job.steps
    assert np.array_equal(calls["a"].window, calls["b"].window)
    assert np.array_equal(calls["a"].offsets, calls["b"].offsets)
    for name in "cd":
        assert not np.array_equal(calls["a"].offsets, calls[name].offsets)
    again = prepare(curves, one.preprocessing)
    assert np.array_equal(one.complete_steps.window, again.window)
    plain = task(curves, label)
    plain.begin(3)
    assert plain.steps is plain.complete_steps


@torch.no_grad()
def test_an_epoch_is_not_trained_on_the_states_of_the_last():
    """With all bands frozen no turn of theirs comes between two central ones, and a batch of all comes again."""
    curves, label = sky(6)
    job = task(curves, label, thin=0.6, frozen_bands=("g", "r"))
    job.network.eval()
    rows, losses = np.arange(6), []
    for epoch in (0, 1):
        job.begin(epoch)
        losses.append(float(job.loss(rows, "central")[0]))
    fresh = task(curves, label, thin=0.6, frozen_bands=("g", "r"))
    fresh.network.eval()
    fresh.begin(1)
    assert losses[1] == float(fresh.loss(rows, "central")[0])
    assert losses[1] != losses[0]


def test_states_are_those_of_the_bands_as_they_are_now():
    """The second central turn takes the states of the first; after a turn of the bands they are made anew."""
    curves, label = sky(8)
    job = task(curves, label)
    calls = []
    real = job.network.band_states
    job.network.band_states = lambda batch: calls.append(1) or real(batch)
    optimiser = torch.optim.SGD(parameter_groups(job, 0.1))
    for phase, created in (("bands", 0), ("central", 1), ("central", 1), ("bands", 1), ("central", 2)):
        _step(job, np.arange(8), phase, optimiser, LoopConfig())
        assert len(calls) == created


def test_a_share_of_light_curves_has_one_flux_of_the_other_sign() -> None:
    curves = many(400, 12, seed=5)
    turned = augment(curves, 0.0, 0.0, np.random.default_rng(1), negative=0.3)
    changed = np.add.reduceat(turned.value != curves.value, curves.offsets[:-1])
    assert set(changed) == {0, 1}
    assert 0.2 < changed.mean() < 0.4
    np.testing.assert_array_equal(np.abs(turned.value), np.abs(curves.value))
    magnitudes = many(40, 12, unit="mag")
    same = augment(magnitudes, 0.0, 0.0, np.random.default_rng(1), negative=1.0)
    np.testing.assert_array_equal(same.value, magnitudes.value)
