"""The fit of ASTRAFier: weights of classes, context from the training objects alone, and that it learns."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from goodricke.data.progress import RunProgress
from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.models.runtime import gpu
from goodricke.models.runtime import gpu as prefetch
from goodricke.preprocess.tensors import Frames
from goodricke.training import fit_astrafier as training
from goodricke.training.fit_astrafier import Classification, class_weights, fit, parameter_groups
from goodricke.training.loop import LoopConfig


def network(context=0, seed=0, **changes) -> Astrafier:
    torch.manual_seed(seed)
    sizes = {"classes": 2, "embed": 8, "heads": 2, "hidden": 16, "blocks": 1, "kernels": (3,), "dropout": 0.1}
    return Astrafier(AstrafierConfig(**sizes | {"context": context} | changes))


def toy(n=80, context=0, seed=0, lengths=(12, 20), frames=None) -> tuple[Frames, np.ndarray]:
    """Return slow and fast sines: two classes that anyone can tell apart."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    counts = rng.integers(*lengths, n)
    time = [np.arange(c) / 48 for c in counts]
    values = [np.sin(np.arange(c) * (0.4 + 1.8 * y) + rng.uniform(0, 6)) for c, y in zip(counts, label, strict=True)]
    prepared = Frames(
        object_id=pa.array([str(k) for k in range(n)]),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        time=np.concatenate(time).astype(np.float32),
        values=np.concatenate(values).astype(np.float32)[:, None],
        context=rng.normal(5, 3, (n, context)).astype(np.float32),
        status=np.full(n, "OK"),
        frames=frames,
    )
    return prepared, label.astype(np.int64)


def test_class_weights_are_total_over_own_to_the_power():
    label = np.array([0] * 8 + [1] * 2)
    assert class_weights(label, 2, 1.0) == pytest.approx([1.25, 5])
    assert class_weights(label, 2, 0.5) == pytest.approx([1.25**0.5, 5**0.5])
    assert class_weights(label, 3, 0.0) == pytest.approx([1, 1, 1])
    assert np.isfinite(class_weights(label, 3, 1.0)).all()
    assert class_weights(label, 2, 1.0).dtype == np.float32


def test_the_loss_is_the_weighted_cross_entropy_however_cut():
    prepared, label = toy()
    weights = np.array([1.0, 3.0], np.float32)
    net = network().eval()
    rows = np.arange(30)
    complete = Classification(net, prepared, label, rows, weights, points=10**6)
    small = Classification(net, prepared, label, rows, weights, points=60)
    assert len(list(complete.microbatches(rows))) == 1
    batches = list(small.microbatches(rows))
    assert len(batches) > 5
    assert sorted(np.concatenate(batches)) == list(range(30))
    with torch.no_grad():
        logits = net(*prepared.batch(rows)).logits
        target = torch.from_numpy(label[rows])
        expected = float(F.cross_entropy(logits, target, torch.from_numpy(weights)))
        for task in (complete, small):
            sums = np.sum([[float(loss), weight] for loss, weight in map(task.loss, task.microbatches(rows))], axis=0)
            assert sums[0] / sums[1] == pytest.approx(expected, rel=1e-5)
            figures = task.validate()
            assert figures["validation_loss"] == pytest.approx(expected, rel=1e-5)
            right = logits.argmax(1) == target
            assert figures["accuracy"] == pytest.approx(float(right.float().mean()))
            recalls = [float(right[target == c].float().mean()) for c in (0, 1)]
            assert figures["macro_recall"] == pytest.approx(np.mean(recalls))
            assert figures["score"] == figures["accuracy"]
    recall = Classification(net, prepared, label, rows, weights, score="macro_recall").validate()
    assert recall["score"] == recall["macro_recall"]


def test_pieces_count_the_padding_of_fixed_frames():
    prepared, label = toy(frames=50)
    task = Classification(network(), prepared, label, np.arange(5), np.ones(2, np.float32), points=100)
    assert max(len(rows_of_batch) for rows_of_batch in task.microbatches(np.arange(40))) == 2


def test_the_head_has_its_own_rate_and_nothing_is_forgotten():
    net = network()
    body, head = parameter_groups(net, LoopConfig(rate=1e-4, head_rate=1e-3))
    assert (body["lr"], head["lr"]) == (1e-4, 1e-3)
    assert {id(p) for p in head["params"]} == {id(p) for p in net.head.parameters()}
    assert len(body["params"]) + len(head["params"]) == len(list(net.parameters()))


def test_the_context_is_standardised_by_the_training_objects_alone(tmp_path):
    prepared, label = toy(40, context=3)
    training, validation = np.arange(0, 20), np.arange(20, 40)
    prepared.context[validation] += 1e6
    net = network(3)
    fit(net, prepared, label, training, validation, LoopConfig(epochs=1, batch=16), RunProgress(tmp_path))
    valid = prepared.context[training]
    np.testing.assert_allclose(net.context_mean, valid.mean(0), rtol=1e-5)
    np.testing.assert_allclose(net.context_std, valid.std(0), rtol=1e-4)
    selected = torch.load(tmp_path / "best.pt", weights_only=True)
    assert torch.equal(selected["context_mean"], net.context_mean)


def test_unknown_context_is_left_out_of_the_statistics_and_counts_as_average(tmp_path):
    prepared, label = toy(40, context=2)
    prepared.context[::3, 0] = np.nan
    net = network(2)
    training = np.arange(20)
    run = fit(net, prepared, label, training, np.arange(20, 40), LoopConfig(epochs=1), RunProgress(tmp_path))
    valid = prepared.context[training]
    np.testing.assert_allclose(net.context_mean, np.nanmean(valid, 0), rtol=1e-5)
    np.testing.assert_allclose(net.context_std, np.nanstd(valid, 0), rtol=1e-4)
    assert np.isfinite(run.history[0]["loss"])
    net.eval()
    with torch.inference_mode():
        values, time, mask, context = prepared.batch(np.array([0]))
        unknown = net(values, time, mask, context).logits
        context[0, 0] = net.context_mean[0]
        torch.testing.assert_close(net(values, time, mask, context).logits, unknown)
        assert torch.isfinite(unknown).all()


def test_a_context_that_never_changes_is_not_divided_by_zero(tmp_path):
    prepared, label = toy(20, context=2)
    prepared.context[:, 1] = 4
    net = network(2)
    run = fit(net, prepared, label, np.arange(10), np.arange(10, 20), LoopConfig(epochs=1), RunProgress(tmp_path))
    assert np.isfinite(run.history[0]["loss"])


def test_validation_and_test_objects_are_never_trained_on(tmp_path):
    prepared, label = toy(40)
    training, validation = np.arange(0, 20), np.arange(20, 30)
    nets = [network(), network()]
    config = LoopConfig(epochs=2, batch=8)
    fit(nets[0], prepared, label, training, validation, config, RunProgress(tmp_path / "a"))
    first, second = (prepared.offsets[k] for k in (20, 40))
    prepared.values[first:second] = 9
    label[30:] = 0
    fit(nets[1], prepared, label, training, validation, config, RunProgress(tmp_path / "b"))
    a, b = (torch.load(tmp_path / k / "checkpoint.pt", weights_only=True)["network"] for k in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_tiny_network_learns_what_anyone_can_tell_apart(tmp_path):
    prepared, label = toy(200)
    training, validation, test = np.arange(100), np.arange(100, 120), np.arange(120, 200)
    net = network()
    config = LoopConfig(epochs=8, batch=10, rate=5e-3, head_rate=5e-3, warmup=1)
    run = fit(net, prepared, label, training, validation, config, RunProgress(tmp_path))
    assert run.best > 0.95
    net.eval()
    with torch.inference_mode():
        result = net(*prepared.batch(test)).logits.argmax(1).numpy()
    assert (result == label[test]).mean() > 0.95


def test_a_resumed_fit_ends_as_one_without_interruption(tmp_path):
    prepared, label = toy(40, context=2)
    rows = np.arange(30), np.arange(30, 40)
    complete, half, remaining = network(2), network(2), network(2, seed=5)
    fit(complete, prepared, label, *rows, LoopConfig(epochs=4, batch=8), RunProgress(tmp_path / "whole"))
    fit(half, prepared, label, *rows, LoopConfig(epochs=2, batch=8), RunProgress(tmp_path / "cut"))
    fit(remaining, prepared, label, *rows, LoopConfig(epochs=4, batch=8), RunProgress(tmp_path / "cut"))
    a, b = complete.state_dict(), remaining.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_points_only_bound_the_memory(tmp_path):
    prepared, label = toy(40)
    nets = [network(dropout=0), network(dropout=0)]
    for k, (net, points) in enumerate(zip(nets, (10**6, 50), strict=True)):
        config = LoopConfig(epochs=2, batch=16, points=points)
        fit(net, prepared, label, np.arange(30), np.arange(30, 40), config, RunProgress(tmp_path / str(k)))
    a, b = (torch.load(tmp_path / str(k) / "checkpoint.pt", weights_only=True)["network"] for k in range(2))
    assert all(torch.allclose(a[k], b[k], atol=1e-5) for k in a)


def test_batches_made_ahead_and_rounded_lengths_end_in_the_same_weights(tmp_path, monkeypatch):
    """What a GPU has: without dropout, whose numbers depend on the padding."""
    prepared, label = toy(40)
    nets = [network(dropout=0), network(dropout=0)]
    created = []
    for k, net in enumerate(nets):
        config = LoopConfig(epochs=2, batch=16, points=100)
        fit(net, prepared, label, np.arange(30), np.arange(30, 40), config, RunProgress(tmp_path / str(k)))
        monkeypatch.setattr(training, "prefetch", lambda *a: created.append(a) or prefetch.prefetch_in_thread(*a[:2]))
        monkeypatch.setattr(gpu, "frame_multiple", lambda device: 16)
    a, b = (torch.load(tmp_path / str(k) / "checkpoint.pt", weights_only=True)["network"] for k in range(2))
    assert all(torch.allclose(a[k], b[k], atol=1e-5) for k in a)
    assert len(created) == 4  # training and validation of two epochs


def test_the_points_computed_at_once_are_those_asked_for_or_the_device_s(tmp_path, monkeypatch):
    prepared, label = toy(20)
    calls = []
    real = training.Classification
    monkeypatch.setattr(training, "Classification", lambda *a: calls.append(a[5]) or real(*a))
    monkeypatch.setattr(gpu, "points_at_once", lambda device, work, cpu: 7 * cpu)
    for k, inputs in enumerate(({}, {"points": 50})):
        config = LoopConfig(epochs=1, **inputs)
        fit(network(), prepared, label, np.arange(10), np.arange(10, 20), config, RunProgress(tmp_path / str(k)))
    assert calls == [7 * 16384, 50]


def test_training_in_bfloat16_ends_in_float32_weights(tmp_path):
    prepared, label = toy(20)
    net = network()
    config = LoopConfig(epochs=1, batch=8, precision="bfloat16")
    run = fit(net, prepared, label, np.arange(10), np.arange(10, 20), config, RunProgress(tmp_path))
    assert np.isfinite(run.history[0]["loss"])
    assert {p.dtype for p in net.parameters()} == {torch.float32}
