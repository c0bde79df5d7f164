"""The mixture of experts: the paper's sizes, each band read once to its end, trained as the ensemble is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from rich.console import Console
from scipy.special import softmax

from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import RunProgress
from goodricke.evaluation import held_out
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.preprocess.tensors import Steps
from goodricke.training.baselines.mixture import (
    MixtureOfExperts,
    MixtureTask,
    fit_mixture,
    last_places,
    learn_statistics,
    mixture_logits,
    mixture_probabilities,
)
from goodricke.training.fit_multiband import Ensemble, EnsembleConfig
from goodricke.training.labels import Labelled
from goodricke.training.recipe import Recipe, read_recipe
from tests.making import sky


def uneven() -> tuple[LightCurves, np.ndarray]:
    """Return light curves of which number 1 has no g, 3 no r, 4 neither, 5 no observation; no step from few."""
    curves, label = sky(8)
    owner = np.repeat(np.arange(8), curves.n_obs)
    keep = ~((owner == 1) & (curves.band == 0)) & ~((owner == 3) & (curves.band == 1)) & (owner != 5)
    keep &= (owner != 4) | (np.arange(len(owner)) - curves.offsets[owner] < 2)
    return curves.where(keep), label


def network(seed=0, **changes) -> MixtureOfExperts:
    torch.manual_seed(seed)
    sizes = {"bands": 2, "classes": 2, "hidden": 8, "head": (8,), "dropout": 0.2}
    created = MixtureOfExperts(MultibandNetworkConfig(**sizes | changes)).eval()
    created.head.layers[1].running_mean.normal_()
    return created


CONFIG = MultibandConfig(bands=("g", "r"), brightness="magnitude")


def prepare_steps(curves: LightCurves, columns: int = 0) -> Steps:
    expected = np.random.default_rng(2).normal(size=(len(curves), columns)).astype(np.float32)
    return replace(prepare(curves, CONFIG), context=expected)


# ---- the network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "head"),
    [
        ({"bands": 2, "classes": 9}, 257 * 128 + 2 * 128**2 + 6 * 128 + 129 * 9),  # ZTF: two states and a colour
        ({"bands": 5, "classes": 6, "hidden": 64, "head": (128, 128)}, 330 * 128 + 128**2 + 4 * 128 + 129 * 6),  # PS1
    ],
)
def test_parameters_are_those_of_band_networks_without_head_and_one_head(sizes, head):
    config = MultibandNetworkConfig(**sizes)
    h = config.hidden
    expert = 4 * (4 * h + h * h + h) + 2 * 4 * (2 * h * h + h) + 5 * h + 4 * h + 3  # LSTMs, skip, norms, alpha
    assert MixtureOfExperts(config).n_parameters == config.bands * expert + head


def test_last_places_are_where_each_sequence_ends():
    assert last_places(torch.tensor([3, 2, 2, 1])).tolist() == [7, 6, 2]
    assert last_places(torch.tensor([2])).tolist() == [0, 1]
    assert last_places(torch.tensor([1, 1, 1])).tolist() == [2]


@torch.no_grad()
def test_an_answer_is_made_of_each_bands_last_state_and_the_final_colours():
    model, steps = network(context=1), prepare_steps(uneven()[0], 1)
    model.standard.mean.normal_()
    result = model(steps.batch())
    selected = np.flatnonzero(steps.n_points)
    assert selected.tolist() == [0, 1, 2, 3, 6, 7]
    assert len(result.logits) == len(selected)
    assert result.targets.shape == (len(selected), 0)
    for row, i in enumerate(selected):
        rows = steps.take(np.array([i]))
        states = []
        for b in (0, 1):
            window = torch.from_numpy(rows.window[rows.band == b])
            if not len(window):
                states.append(torch.zeros(8))
                continue
            expert = model.experts[b]
            outputs = expert.recurrent(expert.standard(window), torch.ones(len(window), dtype=torch.int64))
            states.append(expert.mixture([y[-1] for y in outputs]))
        expected = torch.tensor([rows.colour[-1, 0], rows.context[0, 0]])
        features = torch.cat([*states, model.standard(expected)])
        torch.testing.assert_close(result.embedding[row], features, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(result.logits[row], model.head(features[None])[0], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(result.logits).all()
    assert (result.embedding[1, :8] == 0).all()  # without g
    assert (result.embedding[3, 8:16] == 0).all()  # without r


@torch.no_grad()
def test_company_changes_nothing():
    model, steps = network(), prepare_steps(uneven()[0])
    together = model.output(steps.batch(np.array([7, 0, 3, 1]))).logits
    for row, i in enumerate((7, 0, 3, 1)):
        single = model.output(steps.batch(np.array([i]))).logits
        torch.testing.assert_close(together[row : row + 1], single, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight():
    model, steps = network().train(), prepare_steps(sky()[0])
    model(steps.batch()).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)
    with torch.no_grad():
        packed = model.eval()(steps.batch()).logits
    torch.testing.assert_close(model(steps.batch()).logits, packed, atol=1e-5, rtol=1e-5)  # as at inference


# ---- the task -----------------------------------------------------------------------------------------------------


def task(curves, label, points=65536, **config) -> MixtureTask:
    targets, weights = np.zeros((len(curves), 0), np.float32), np.array([1.0, 2.5], np.float32)
    settings = EnsembleConfig(**config)
    return MixtureTask(
        network(), curves, CONFIG, label, targets, np.arange(4), weights, settings, points, "accuracy", 7
    )


@torch.no_grad()
def test_the_loss_is_the_weighted_cross_entropy_however_cut():
    curves, label = uneven()
    rows = np.array([6, 1, 4, 3, 0, 5])  # numbers 4 and 5 have no step
    complete, small = task(curves, label), task(curves, label, points=20)
    selected = np.array([6, 1, 3, 0])
    logits = complete.network.output(complete.complete_steps.batch(selected)).logits
    expected = F.cross_entropy(logits, torch.from_numpy(label[selected]), torch.tensor([1.0, 2.5]), reduction="sum")
    assert len(list(small.microbatches(rows))) > 2
    for job in (complete, small):
        sums = np.sum([[float(x) for x in job.loss(batch)] for batch in job.microbatches(rows)], axis=0)
        assert sums == pytest.approx([float(expected), 1.0 * 3 + 2.5 * 3], rel=1e-5)


def test_a_batch_without_any_step_passes():
    curves, label = uneven()
    job = task(curves, label)
    job.network.train()
    loss, weight = job.loss(np.array([4, 5]))
    loss.backward()
    assert loss.item() == 0
    assert weight > 0
    assert all(torch.isfinite(v).all() for v in job.network.state_dict().values())


def test_it_sees_the_same_poorer_light_curves_as_the_ensemble():
    curves, label = sky()
    job = task(curves, label, thin=0.4, noise=1.0)
    config = MultibandNetworkConfig(bands=2, classes=2, hidden=4, head=(4,))
    other = Ensemble(Multiband(config), *(getattr(job, k) for k in ("curves", "preprocessing", "label", "targets")),
                     job.validation, job.weights, job.config, seed=7)  # fmt: skip
    for epoch in (0, 1):
        job.begin(epoch)
        other.begin(epoch)
        np.testing.assert_array_equal(job.steps.window, other.steps.window)
        np.testing.assert_array_equal(job.steps.offsets, other.steps.offsets)
    assert job.phases(0) == ["all"]
    assert {id(p) for p in job.clip_groups("all")[0]} == {id(p) for p in job.network.parameters() if p.requires_grad}


# ---- the fit ------------------------------------------------------------------------------------------------------


def recipe(**training) -> Recipe:
    settings = {"batch": 8, "rate": 1e-2, "warmup": 0.5, "seed": 3, "score": "macro_f1"}
    return Recipe.model_validate(
        {
            **{"name": "toy", "run": "run", "data": {"light_curves": "x", "labels": "y"}},
            "preprocessing": CONFIG.model_dump() | {"kind": "multiband"},
            "network": {"hidden": 8, "head": [8]},
            "training": settings | {"ensemble": {"thin": 0.3, "noise": 1.0}} | training,
        }
    )


def labelled(n: int, seed=0) -> Labelled:
    curves, label = sky(n, seed)
    return Labelled(curves, label, ("A", "B"), np.arange(n), np.arange(n), np.full((n, 1), np.nan), None)


def test_it_learns_what_anyone_can_tell_apart_and_says_how_sure_it_is(tmp_path):
    data = labelled(160)
    training, validation, test = np.arange(80), np.arange(80, 120), np.arange(120, 160)
    lines, counted = [], []
    created = fit_mixture(
        *(recipe(epochs=6), data, training, validation), RunProgress(tmp_path, lines.append, counted.append)
    )
    assert len(lines) == 6
    assert sum(counted) == 480
    steps = prepare(data.curves, CONFIG)
    result = mixture_probabilities(created, steps, data.label, validation, test)
    np.testing.assert_allclose(result.sum(1), 1)
    assert (result.argmax(1) == data.label[test]).mean() > 0.9
    scores = [line["macro_f1"] for line in lines]
    right = mixture_logits(created, steps, validation).argmax(1) == data.label[validation]
    assert right.mean() == lines[int(np.argmax(scores))]["accuracy"]  # the best epoch's weights


def test_a_resumed_fit_ends_as_one_without_interruption(tmp_path):
    data, rows = labelled(24), (np.arange(16), np.arange(16, 24))
    complete = fit_mixture(recipe(epochs=4), data, *rows, RunProgress(tmp_path / "whole"))
    fit_mixture(recipe(epochs=2), data, *rows, RunProgress(tmp_path / "cut"))
    torch.manual_seed(99)
    remaining = fit_mixture(recipe(epochs=4), data, *rows, RunProgress(tmp_path / "cut"))
    a, b = complete.state_dict(), remaining.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == 4


def test_settings_of_the_recipe_reach_the_loop(tmp_path, monkeypatch):
    data, calls = labelled(12), []
    monkeypatch.setattr("goodricke.training.baselines.mixture.train", lambda *args: calls.extend(args))
    training = np.array([0, 1, 2, 4, 6])
    settings = recipe(points=999, weight_power=1.0, init="no-such-model")
    created = fit_mixture(settings, data, training, np.arange(8, 12), RunProgress(tmp_path))
    job, rows, groups, config, folder, *_ = calls
    assert (rows is training, config is settings.training, folder) == (True, True, tmp_path)
    assert (job.points, job.score, job.seed) == (999, "macro_f1", 3)
    assert job.config == settings.training.ensemble
    np.testing.assert_allclose(job.weights, [5 / 4, 5 / 1])
    assert [group["lr"] for group in groups] == [1e-2]
    assert sum(p.numel() for p in groups[0]["params"]) == created.n_parameters


def test_statistics_are_of_the_training_objects_alone():
    steps, created = prepare_steps(uneven()[0], 1), network(context=1)
    valid = steps.take(np.array([0, 2, 3]))
    learn_statistics(created, valid)
    for b in (0, 1):
        window = valid.window[valid.band == b]
        np.testing.assert_allclose(created.experts[b].standard.mean, window.mean(0), atol=1e-5)
        np.testing.assert_allclose(created.experts[b].standard.std, window.std(0), rtol=1e-3)
    last = valid.offsets[1:] - 1
    colour = valid.colour[last, 0]
    assert np.isnan(colour).tolist() == [False, False, True]
    assert created.standard.mean[0] == pytest.approx(np.nanmean(colour), rel=1e-4)
    assert created.standard.mean[1] == pytest.approx(valid.context.mean(), rel=1e-4)


def test_the_temperature_is_fitted_on_validation_objects_alone():
    curves, label = sky(40)
    steps, created = prepare_steps(curves), network()
    created.head.layers[-1].weight.data *= 20
    validation, test = np.arange(20), np.array([31, 22, 25])
    result = mixture_probabilities(created, steps, label, validation, test)
    logits = mixture_logits(created, steps, test)
    with torch.no_grad():
        one = created.output(steps.batch(test[:1])).logits.numpy()
    np.testing.assert_allclose(logits[:1], one, atol=1e-4)  # in the order asked for
    ratio = (np.log(result[:, 0]) - np.log(result[:, 1])) / (logits[:, 0] - logits[:, 1])
    assert ratio == pytest.approx(np.full(3, ratio[0]), rel=1e-3)
    assert ratio[0] < 0.5  # an untrained network is too sure of itself
    changed = label.copy()
    changed[20:] = 1 - changed[20:]
    np.testing.assert_array_equal(mixture_probabilities(created, steps, changed, validation, test), result)
    np.testing.assert_allclose(result, softmax(logits * ratio[0], axis=1), atol=1e-4)


# ---- in a training run --------------------------------------------------------------------------------------------

RECIPE = """
name = "toy"
run = "run"
[data]
light_curves = "curves.csv"
labels = "labels.csv"
split = "part"
fewest = 10
[preprocessing]
kind = "{kind}"
[network]
{network}
[training]
epochs = 2
batch = 16
{mixture}
"""


def write_recipe(home: Path, mixture: bool, kind: str = "multiband") -> Path:
    network = "hidden = 8\nhead = [8]" if kind == "multiband" else ""
    text = RECIPE.format(kind=kind, network=network, mixture="mixture = true" if mixture else "")
    (home / "toy.toml").write_text(text)
    return home / "toy.toml"


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    curves, label = sky(60)
    columns = {"oid": np.repeat(curves.ids, curves.n_obs), "mjd": 58000 + curves.time, "mag": curves.value}
    columns |= {"magerr": curves.error, "band": np.array(["g", "r"])[curves.band]}
    pd.DataFrame(columns).to_csv(tmp_path / "curves.csv", index=False)
    names = {"oid": curves.ids, "class": np.array(["fast", "slow"])[label]}
    part = np.where(np.arange(60) % 3, "train", "test")
    pd.DataFrame(names | {"part": part}).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_a_run_trains_the_mixture_beside_the_ensemble(survey, monkeypatch):
    monkeypatch.setattr(held_out, "forest_probabilities", lambda *rest: {})  # they have tests of their own
    console = Console(record=True, width=200, quiet=False, file=(survey / "out.txt").open("w"))
    held_out.run_recipe(read_recipe(write_recipe(survey, mixture=False)), console=console)
    run = survey / "run"
    assert not (run / "mixture").exists()
    assert set(json.loads((run / "metrics.json").read_text())) == {"deterministic"}
    trained = (run / "checkpoints" / "checkpoint.pt").stat().st_mtime_ns
    held_out.run_recipe(read_recipe(write_recipe(survey, mixture=True)), console=console)  # asked for afterwards
    assert (run / "checkpoints" / "checkpoint.pt").stat().st_mtime_ns == trained
    assert len((run / "mixture" / "log.jsonl").read_text().splitlines()) == 2
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics) == {"deterministic", "mixture"}
    assert metrics["mixture"]["n"] == metrics["deterministic"]["n"] == 20
    assert "| mixture of experts" in (run / "model" / "README.md").read_text()
    assert "Mixture of experts: band networks joined by one head" in console.export_text()
    log = (run / "mixture" / "log.jsonl").read_text()
    held_out.run_recipe(read_recipe(survey / "toy.toml"), console=console)  # taken up: nothing is left to do
    assert (run / "mixture" / "log.jsonl").read_text() == log


def test_a_mixture_beside_another_network_is_refused_at_once(survey):
    with pytest.raises(ValueError, match=r"\[training\] mixture is a baseline for multi-band models"):
        read_recipe(write_recipe(survey, mixture=True, kind="folded"))
    assert not read_recipe(write_recipe(survey, mixture=False)).training.mixture
