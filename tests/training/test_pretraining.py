"""Pre-training by identities: what is hidden is not seen, what comes later neither, and no held-out star takes part."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from benchmarks.pretraining import Material, drawn, estimates, run, samples, scores
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.data.progress import RunProgress
from goodricke.models.bundle import BundleConfig, Target, load_model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess import FoldedConfig
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.training.families import build_network
from goodricke.training.fit_multiband import EnsembleConfig
from goodricke.training.labels import Everything, Labelled, limit_labels, split_unlabelled
from goodricke.training.pretraining import (
    FLOOR,
    Forecast,
    HiddenPoints,
    MaskedPoints,
    NextObservation,
    PretrainingConfig,
    huber_loss,
    load_initial,
    next_of_group,
    pretrain,
    remove_heads,
    sample_hidden,
    save_encoder,
)
from tests.making import sky
from tests.training.test_families import recipe
from tests.training.test_fit_astrafier import network as astrafier
from tests.training.test_fit_astrafier import toy

runner = CliRunner()


def multiband(seed=0) -> Multiband:
    torch.manual_seed(seed)
    return Multiband(MultibandNetworkConfig(bands=2, classes=2, hidden=8, head=(8,)))


def prefixes(lengths, T) -> torch.Tensor:
    return torch.arange(T) < torch.tensor(lengths)[:, None]


def forecast(curves: LightCurves, seed=0, **config) -> Forecast:
    settings = MultibandConfig(bands=curves.bands, brightness="magnitude")
    torch.manual_seed(seed)
    net = NextObservation(multiband(seed))
    return Forecast(net, curves, settings, np.arange(len(curves)), EnsembleConfig(), PretrainingConfig(**config))


# ---- what is hidden -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", [1, 4, 9])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_the_same_fraction_of_every_light_curve_is_hidden_and_something_is_left(fraction, run):
    lengths = [64, 40, 7, 2, 1]
    hidden = sample_hidden(prefixes(lengths, 64), fraction, run)
    assert not (hidden & ~prefixes(lengths, 64)).any()
    expected = [min(max(round(fraction * n), 1), max(n - 1, 1)) for n in lengths]
    assert hidden.sum(1).tolist() == expected


def test_points_are_hidden_everywhere_alike_in_runs_or_alone():
    torch.manual_seed(0)
    hidden = sample_hidden(torch.ones(4000, 64, dtype=torch.bool), 0.4, 8).float()
    often = hidden.mean(0)
    assert often.min() > 0.33
    assert often.max() < 0.5
    runs = hidden.sum(1) / (hidden.diff(dim=1).clamp(min=0).sum(1) + hidden[:, 0])  # mean length of a run
    single, together = runs.sort().values.split(2000)
    assert single.mean() < 2
    assert together.mean() > 3


def test_a_generator_hides_the_same_points_again():
    mask = prefixes([30, 20], 30)
    a, b = (sample_hidden(mask, 0.4, 5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)
    assert not torch.equal(a, sample_hidden(mask, 0.4, 5, torch.Generator().manual_seed(4)))


def test_a_miss_weighs_by_its_error_and_a_wild_one_no_more_than_linearly():
    difference, error = torch.tensor([0.1, 0.1, 30.0, 60.0]), torch.tensor([0.0, 1.0, 0.4, 0.4])
    result = huber_loss(difference, error)
    assert result[0] == pytest.approx((0.1 / FLOOR) ** 2 / 2)
    assert result[1] == pytest.approx(0.01 / (1 + FLOOR**2) / 2)
    assert result[3] - result[2] == pytest.approx(30 / 0.5, rel=1e-5)


# ---- ASTRAFier ------------------------------------------------------------------------------------------------------


def test_nothing_of_hidden_points_but_their_time_is_seen():
    net = HiddenPoints(astrafier(channels=2)).eval()
    mask = prefixes([20, 20, 20], 20)
    hidden = sample_hidden(mask, 0.4, 4)
    values, time = torch.randn(3, 20, 2), torch.arange(20.0).expand(3, 20) / 48
    other = torch.where(hidden.unsqueeze(2), torch.randn(3, 20, 2), values)
    with torch.inference_mode():
        assert torch.equal(net(values, time, mask, hidden), net(other, time, mask, hidden))
        assert not torch.equal(net(values, time, mask, hidden), net(values, time + hidden, mask, hidden))


def test_the_loss_is_over_hidden_points_alone_however_cut():
    prepared, _ = toy()
    net = HiddenPoints(astrafier()).eval()
    task = MaskedPoints(net, prepared, np.arange(20), PretrainingConfig())
    torch.manual_seed(1)
    loss, number = task.loss(np.arange(6))
    torch.manual_seed(1)
    batch = prepared.batch(np.arange(6))
    hidden = sample_hidden(batch.mask, 0.4, 8)
    assert number == hidden.sum()
    reported = net(batch.values, batch.time, batch.mask, hidden)
    expected = sum(
        huber_loss(reported[i, t] - batch.values[i, t, 0], torch.tensor(0.0)) for i, t in hidden.nonzero().tolist()
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    small = MaskedPoints(net, prepared, np.arange(20), PretrainingConfig(points=60))
    batches = list(small.microbatches(np.arange(30)))
    assert len(batches) > 5
    assert sorted(np.concatenate(batches)) == list(range(30))
    assert task.validate() == task.validate()


def test_a_tiny_network_learns_to_fill_gaps(tmp_path: Path):
    prepared, _ = toy(120)
    net = astrafier(dropout=0.0)
    config = PretrainingConfig(epochs=8, batch=10, rate=1e-2)
    finished = pretrain(
        net, None, FoldedConfig(), prepared, np.arange(100), np.arange(100, 120), config, RunProgress(tmp_path)
    )
    assert finished.history[0]["explained"] < finished.history[-1]["explained"]
    assert finished.history[-1]["explained"] > 0.2
    assert finished.best == -finished.history[finished.best_epoch]["validation_loss"]


# ---- the multi-band ensemble ----------------------------------------------------------------------------------------


def test_the_next_of_a_group_as_a_loop_would_find_it():
    group = np.random.default_rng(0).integers(0, 5, 60)
    for i, following in enumerate(next_of_group(group)):
        after = np.flatnonzero(group[i + 1 :] == group[i])
        assert following == (i + 1 + after[0] if len(after) else -1)
    assert next_of_group(np.zeros(0, np.int64)).shape == (0,)


def predictions(task: Forecast, curves: LightCurves) -> tuple[np.ndarray, np.ndarray]:
    """Return what the bands and the central network say at each step of one light curve."""
    steps = prepare(curves, task.preprocessing)
    later, then = next_of_group(steps.band), next_of_group(np.zeros(len(steps.band)))
    with torch.inference_mode():
        band = torch.from_numpy(steps.band.astype(np.int64))
        _, rows, central = task.network(steps.batch(), band, torch.from_numpy(later), torch.from_numpy(then))
    return rows.numpy(), central.numpy()


def test_a_prediction_depends_on_nothing_that_comes_later_but_the_time_and_band_asked_for():
    curves = sky(1, counts=(40, 41))[0]
    task = forecast(curves)
    task.network.eval()
    rows, central = predictions(task, curves)
    steps = prepare(curves, task.preprocessing)
    k = 15  # the observation of this step and all later ones become other ones
    changed = np.where(curves.time >= steps.time[k], curves.value + 3, curves.value).astype(np.float32)
    other = LightCurves.from_arrays(
        curves.ids, curves.offsets, curves.time, changed, curves.error, curves.band, bands=curves.bands, unit="mag"
    )
    reference = predictions(task, other)
    np.testing.assert_allclose(rows[:k], reference[0][:k], atol=1e-6)
    np.testing.assert_allclose(central[:k], reference[1][:k], atol=1e-6)
    assert not np.allclose(central[k:-1], reference[1][k:-1], atol=1e-4)


def test_a_batch_says_of_each_object_what_it_says_of_it_alone():
    curves = sky(6)[0]
    task = forecast(curves)
    task.network.eval()
    sums, number = task._losses(task.complete_steps)
    single = [task._losses(task.complete_steps.take(np.array([k]))) for k in range(6)]
    torch.testing.assert_close(sums, torch.stack([s for s, _ in single]).sum(0), rtol=1e-5, atol=1e-4)
    assert number == sum(n for _, n in single)
    per_object = task.complete_steps.n_points - 1
    assert number == per_object.sum() + sum(
        max((task.complete_steps.take(np.array([k])).band == b).sum() - 1, 0) for k in range(6) for b in range(2)
    )


def test_the_central_network_teaches_the_bands_nothing():
    task = forecast(sky(4)[0])
    steps = task.complete_steps
    later, then = np.full(len(steps.band), -1), next_of_group(np.repeat(np.arange(4), steps.n_points))
    band = torch.from_numpy(steps.band.astype(np.int64))
    _, _, central = task.network(steps.batch(), band, torch.from_numpy(later), torch.from_numpy(then))
    central.square().sum().backward()
    assert all(p.grad is None for p in task.network.network.bands.parameters())
    assert any(p.grad is not None for p in task.network.network.central.recurrent.parameters())


def test_every_parameter_is_trained_once_and_all_but_the_heads_learn():
    task = forecast(sky(6)[0])
    trained = [p for group in task.clip_groups("all") for p in group]
    assert len(trained) == len({id(p) for p in trained})
    assert {id(p) for p in trained} == {id(p) for p in task.network.parameters() if p.requires_grad}
    loss, _ = task.loss(np.arange(6))
    loss.backward()
    still = {name for name, p in task.network.named_parameters() if p.requires_grad and p.grad is None}
    assert still
    assert all(".head." in name for name in still)


def test_a_small_ensemble_learns_what_comes_next(tmp_path: Path):
    curves = sky(50, counts=(30, 45))[0]
    settings = MultibandConfig(bands=curves.bands, brightness="magnitude")
    config = PretrainingConfig(epochs=15, batch=8, rate=2e-2)
    rows = np.arange(40), np.arange(40, 50)
    finished = pretrain(multiband(), curves, settings, prepare(curves, settings), *rows, config, RunProgress(tmp_path))
    assert finished.history[-1]["explained"] > max(finished.history[0]["explained"], 0.15)


@pytest.mark.parametrize("kind", ["folded", "multiband"])
def test_a_resumed_pretraining_ends_as_one_without_interruption(tmp_path: Path, kind: str):
    curves = sky(20)[0]
    settings = FoldedConfig() if kind == "folded" else MultibandConfig(bands=curves.bands, brightness="magnitude")
    prepared = toy(20)[0] if kind == "folded" else prepare(curves, settings)
    nets = [astrafier(seed=k) if kind == "folded" else multiband(k) for k in (0, 0, 5)]
    for net, epochs, folder in zip(nets, (4, 2, 4), ("whole", "cut", "cut"), strict=True):
        torch.manual_seed(0)
        config = PretrainingConfig(epochs=epochs, batch=8, schedule="constant")
        disturb = EnsembleConfig(thin=0.3, noise=0.5)
        where = RunProgress(tmp_path / folder)
        pretrain(net, curves, settings, prepared, np.arange(16), np.arange(16, 20), config, where, disturb)
    a, b = nets[0].state_dict(), nets[2].state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_network_of_another_kind_is_refused(tmp_path: Path):
    inputs = (
        multiband(),
        None,
        FoldedConfig(),
        toy(4)[0],
        np.arange(2),
        np.arange(2),
        PretrainingConfig(),
        RunProgress(tmp_path),
    )
    with pytest.raises(TypeError, match="doesn't fit folded"):
        pretrain(*inputs)


# ---- encoders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["astrafier", "multiband"])
def test_an_encoder_is_saved_without_heads_and_read_as_it_was(tmp_path: Path, kind: str):
    net = astrafier() if kind == "astrafier" else multiband()
    before = {name: x.clone() for name, x in net.state_dict().items()}
    settings = FoldedConfig() if kind == "astrafier" else MultibandConfig(bands=("g", "r"))
    config = BundleConfig(name="e", family=kind, classes=(), network=net.config.model_dump(), preprocessing=settings)
    result = load_initial(str(save_encoder(config, net, tmp_path / "e")))
    assert len({path.stat().st_mode for path in (tmp_path / "e").iterdir()}) == 1  # who may read one may read the other
    assert result.classes == ()
    assert result.preprocessing == settings
    reference = result.network.state_dict()
    assert not any("head." in name for name in reference)
    assert set(reference) == {name for name in before if "head." not in name}
    assert all(torch.equal(reference[name], before[name]) for name in reference)
    with pytest.raises(OSError, match="e"):
        load_model(tmp_path / "e")


def test_a_start_that_is_a_model_is_loaded_as_one(folded_model):
    result = load_initial(str(folded_model.folder))
    assert result.classes == folded_model.classes
    assert result.hash == folded_model.hash


def test_a_multiband_training_takes_all_but_the_heads_from_an_encoder_whatever_its_order_of_bands(tmp_path: Path):
    settings = MultibandConfig(bands=("r", "g"), brightness="magnitude")
    net = Multiband(MultibandNetworkConfig(bands=2, classes=2, hidden=6, head=(5,)))
    for p in net.parameters():
        torch.nn.init.normal_(p)
    config = BundleConfig(
        name="e", family="multiband", classes=(), network=net.config.model_dump(), preprocessing=settings
    )
    encoder = load_initial(str(save_encoder(config, net, tmp_path)))
    created = build_network(recipe(("g", "r"), targets=("P",)), ("A", "B"), (Target(name="P"),), encoder)
    reference, actual = net.state_dict(), created.state_dict()
    assert not [name for name in reference if "head" in name]
    for name, x in reference.items():
        turned = name.replace("bands.0.", "bands.9.").replace("bands.1.", "bands.0.").replace("bands.9.", "bands.1.")
        turned = re.sub(r"translations\.(\d)", lambda m: f"translations.{1 - int(m[1])}", turned)
        assert torch.equal(actual[turned], x), name


def test_heads_are_taken_off_wherever_they_are():
    assert not [name for name in remove_heads(multiband()).state_dict() if "head" in name]


# ---- who takes part -------------------------------------------------------------------------------------------------


def test_no_light_curve_of_a_held_out_star_takes_part():
    star = np.array([0, 0, 1, 2, 3, 3, 4, 5, 6, 7])
    everything = Everything(None, star, np.array([1, 2, 4]))  # the labelled ones: of stars 0, 1, 3
    usable = np.ones(10, bool)
    usable[7] = False
    training, validation = split_unlabelled(everything, usable, np.array([0, 2]), 0.3, 1)  # stars 0 and 3 held out
    assert sorted([*training, *validation]) == [2, 3, 6, 8, 9]
    assert len(validation) == 2
    again = split_unlabelled(everything, usable, np.array([0, 2]), 0.3, 1)
    assert np.array_equal(again[0], training)


def test_few_labels_of_each_class_drawn_by_the_seed():
    label = np.repeat([0, 1, 2], [200, 60, 12])
    rows = np.random.default_rng(0).permutation(272)
    parts = {"train": rows[:190], "validation": rows[190:220], "test": rows[220:]}
    small = limit_labels(parts, label, 20, seed=1)
    assert np.array_equal(small["test"], parts["test"])
    for name in ("train", "validation"):
        assert np.isin(small[name], parts[name]).all()
    counts = sum(np.bincount(label[small[name]], minlength=3) for name in ("train", "validation"))
    exists = sum(np.bincount(label[parts[name]], minlength=3) for name in ("train", "validation"))
    assert counts.tolist() == [20, 20, exists[2]]
    assert (np.bincount(label[small["validation"]]) >= 1).all()
    assert not np.array_equal(small["train"], limit_labels(parts, label, 20, seed=2)["train"])
    complete = limit_labels(parts, label, 10_000, seed=1)
    assert np.array_equal(complete["train"], np.sort(parts["train"]))


# ---- from the command line ------------------------------------------------------------------------------------------

RECIPE = """
name = "toy"
run = "run"
[data]
light_curves = "curves.csv"
labels = "labels.csv"
per_class = 10
fewest = 5
[preprocessing]
kind = "folded"
bins = 16
[network]
embed = 8
heads = 2
hidden = 16
blocks = 1
kernels = [3]
[pretraining]
epochs = {epochs}
batch = 16
hidden = {hidden}
[training]
epochs = 1
passes = 2
{init}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with 60 labelled and 30 unlabelled light curves; the first unlabelled one is of star s000."""
    rng = np.random.default_rng(0)
    rows, labels = [], []
    for k in range(90):
        time = np.sort(rng.uniform(0, 100, 30))
        phase = time / rng.uniform(0.4, 3) % 1
        mag = 12 + (0.4 * np.sin(2 * np.pi * phase) if k % 2 else phase) + rng.normal(0, 0.01, 30)
        rows.append(pd.DataFrame({"star": f"s{k:03d}", "HJD": time, "Vmag": mag, "e_Vmag": 0.01}))
        labels.append((f"s{k:03d}", ("saw", "sine")[k % 2] if k < 60 else "", 10.0 + k, -20.0))
    pd.concat(rows).to_csv(tmp_path / "curves.csv", index=False)
    pd.DataFrame(labels, columns=["star", "class", "ra", "dec"]).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def pretrained(home: Path, epochs=1, hidden=0.4, init="") -> Path:
    (home / "toy.toml").write_text(RECIPE.format(epochs=epochs, hidden=hidden, init=init))
    result = runner.invoke(app, ["pretrain", str(home / "toy.toml")])
    assert result.exit_code == 0, result.output
    return home / "run/pretraining/encoder"


def test_a_kind_without_pretraining_is_refused_before_the_work(tmp_path: Path):
    (tmp_path / "toy.toml").write_text(
        'name = "x"\nrun = "run"\n[data]\nlight_curves = "a"\nlabels = "b"\n[preprocessing]\nkind = "variables"\n'
    )
    result = runner.invoke(app, ["pretrain", str(tmp_path / "toy.toml")])
    assert result.exit_code == 2
    assert 'kind = "variables" has no pre-training' in result.output
    assert not (tmp_path / "run").exists()


def test_pretrain_then_train_with_few_labels(home: Path):
    encoder = load_initial(str(pretrained(home))).network.state_dict()
    (home / "toy.toml").write_text(RECIPE.format(epochs=1, hidden=0.4, init='init = "run/pretraining/encoder"'))
    result = runner.invoke(app, ["train", str(home / "toy.toml")])
    assert result.exit_code == 0, result.output
    split = pd.read_csv(home / "run/split.csv")
    used = split[split["part"].isin(["train", "validation"])]
    assert used["label"].value_counts().to_dict() == {"saw": 10, "sine": 10}
    assert (split["part"] == "test").sum() == 12
    assert "start from random weights: head.0" in " ".join(result.output.split())
    assert load_model(home / "run/model").classes == ("saw", "sine")
    first = torch.load(home / "run/checkpoints/best.pt", weights_only=True)["embed.weight"]
    assert (first - encoder["embed.weight"]).abs().max() < 1e-2  # one epoch of two steps away


def test_held_out_stars_leave_no_trace_in_the_encoder(home: Path):
    first = load_initial(str(pretrained(home))).network.state_dict()
    (home / "run").rename(home / "old")
    result = runner.invoke(app, ["train", str(home / "toy.toml")])
    assert result.exit_code == 0, result.output
    split = pd.read_csv(home / "run/split.csv", dtype=str).set_index("object_id")["part"]
    test, train = split.index[split == "test"], split.index[split == "train"]
    curves = pd.read_csv(home / "curves.csv")
    spoiled = curves["star"].isin(test)
    assert spoiled.any()
    curves.loc[spoiled, "Vmag"] = curves.loc[spoiled, "Vmag"].iloc[::-1].to_numpy()
    curves.to_csv(home / "curves.csv", index=False)
    again = load_initial(str(pretrained(home))).network.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    curves.loc[curves["star"] == train[0], "Vmag"] = curves["Vmag"].iloc[:30].to_numpy()[::-1]
    curves.to_csv(home / "curves.csv", index=False)
    (home / "run").rename(home / "older")
    other = load_initial(str(pretrained(home))).network.state_dict()
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_other_settings_in_the_same_folder_are_refused_and_more_epochs_go_on(home: Path):
    pretrained(home)
    log = (home / "run/pretraining/checkpoints/log.jsonl").read_text()
    pretrained(home, epochs=2)
    assert (home / "run/pretraining/checkpoints/log.jsonl").read_text().startswith(log)
    (home / "toy.toml").write_text(RECIPE.format(epochs=2, hidden=0.5, init=""))
    result = runner.invoke(app, ["pretrain", str(home / "toy.toml")])
    assert result.exit_code == 2


def test_a_killed_writing_leaves_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = BundleConfig(name="e", classes=(), network={"classes": 2}, preprocessing=FoldedConfig())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        save_encoder(config, astrafier(), tmp_path)
    assert not (tmp_path / "encoder.json").exists()


# ---- the experiment's figures ---------------------------------------------------------------------------------------


def test_accuracy_and_macro_f1_of_confusion_matrices_are_scikit_learn_s():
    rng = np.random.default_rng(0)
    label, output = rng.integers(0, 4, (2, 300))
    output = np.where(rng.random(300) < 0.5, label, output)
    confusion = np.zeros((5, 5))
    np.add.at(confusion, (label, output), 1)  # nobody is of the fifth class
    accuracy, macro = scores(confusion)
    assert accuracy == pytest.approx((label == output).mean())
    assert macro == pytest.approx(f1_score(label, output, average="macro"))
    result = samples(label, np.arange(300), output, 5)
    assert result.shape == (1001, 2)
    np.testing.assert_allclose(result[0], [accuracy, macro])
    assert result[1:, 0].std() == pytest.approx(np.sqrt(accuracy * (1 - accuracy) / 300), rel=0.1)


def test_intervals_are_wider_where_seeds_disagree():
    rng = np.random.default_rng(0)
    spread = rng.normal(0, 0.01, (1, 1001, 2))
    alike, apart = (spread + np.reshape([0.5 - d, 0.5, 0.5 + d], (3, 1, 1)) for d in (0.0, 0.1))
    (same, _), (wide, _), (one, _) = estimates(alike), estimates(apart), estimates(alike[:1])
    assert wide.high - wide.low > 2 * (same.high - same.low)
    assert (one.low, one.high) == pytest.approx((same.low, same.high))
    assert same.low < 0.5 < same.high
    assert wide.value == pytest.approx(same.value)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    seeds, stars = rng.normal(0, 0.03, (400, 3)), rng.normal(0, 0.01, 400)
    held_out = 0
    for luck, common in zip(seeds, stars, strict=True):
        result = 0.5 + common + luck[:, None] + np.append(0, rng.normal(0, 0.01, 1000))
        (value,) = estimates(result[:, :, None])
        held_out += value.low < 0.5 < value.high
    assert 0.92 < held_out / 400 < 0.99


def test_all_arms_see_the_same_labels_and_another_seed_draws_others(tmp_path: Path):
    label = np.arange(80) % 2
    data = Labelled(None, label, ("a", "b"), *[None] * 4)
    m = Material("asas", None, data, None, label[:, None], np.arange(60), np.arange(60, 80), None)
    run(m, "forest", 10, 1, tmp_path / "forest-10-1.npz")
    selected = np.load(tmp_path / "forest-10-1.npz")
    assert selected["labels"] == 20
    assert (selected["probabilities"].argmax(1) == label[60:]).all()
    assert np.array_equal(drawn(m, 10, 1), drawn(m, 10, 1))
    assert not np.array_equal(drawn(m, 10, 1), drawn(m, 10, 2))
    assert not np.isin(drawn(m, 10, 1), m.test).any()
