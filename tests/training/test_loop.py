"""The training loop: resumption, microbatches, several processes, the best epoch."""

import json
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from goodricke.data.processes import worker_context
from goodricke.training import loop
from goodricke.training.loop import LoopConfig, _rate_factor, train


class Regression:
    """Least squares on fixed numbers through dropout, with given scores."""

    def __init__(self, scores=None, microbatch=1000, dropout=0.3, n=40, seed=0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(n, 3, generator=generator)
        self.y = self.x.sum(1, keepdim=True) + 0.1 * torch.randn(n, 1, generator=generator)
        self.weight = torch.linspace(0.5, 2, n)
        self.scores, self.microbatch, self.epochs, self.seen = scores, microbatch, 0, []

    def microbatches(self, rows):
        return [rows[i : i + self.microbatch] for i in range(0, len(rows), self.microbatch)]

    def begin(self, epoch):
        self.begun = [*getattr(self, "begun", []), epoch]

    def prepare_ahead(self, batches):
        yield from batches

    def phases(self, step):
        return ("all",)

    def clip_groups(self, phase):
        return [list(self.network.parameters())]

    def loss(self, rows, phase="all"):
        self.seen.append(rows)
        squares = (self.network(self.x[rows]) - self.y[rows]).square()[:, 0]
        return (self.weight[rows] * squares).sum(), float(self.weight[rows].sum())

    def validate(self):
        self.network.eval()
        with torch.inference_mode():
            error = float((self.network(self.x) - self.y).square().mean())
        self.epochs += 1
        return {"score": -error if self.scores is None else self.scores[self.epochs - 1]}

    def fit(self, folder, **settings):
        config = LoopConfig(**{"epochs": 4, "batch": 8, "rate": 1e-2, "head_rate": 1e-2, "warmup": 1.0} | settings)
        groups = [{"params": list(self.network.parameters()), "lr": config.rate}]
        return train(self, np.arange(len(self.x)), groups, config, folder)

    def weights(self) -> dict[str, torch.Tensor]:
        return {k: v.clone() for k, v in self.network.state_dict().items()}


def equal(a: dict, b: dict, atol: float = 0.0) -> bool:
    return all(torch.allclose(a[k], b[k], rtol=0, atol=atol) for k in a)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_resumed_run_ends_as_one_without_interruption_bit_for_bit(tmp_path, schedule):
    complete = Regression()
    expected = complete.fit(tmp_path / "whole", epochs=4, schedule=schedule)

    def kill(figures):
        if figures["epoch"] == 1:
            raise KeyboardInterrupt

    first = Regression()
    config = LoopConfig(epochs=4, batch=8, rate=1e-2, head_rate=1e-2, warmup=1.0, schedule=schedule)
    groups = [{"params": list(first.network.parameters()), "lr": 1e-2}]
    with pytest.raises(KeyboardInterrupt):
        train(first, np.arange(40), groups, config, tmp_path / "cut", kill)
    torch.manual_seed(99)
    second = Regression(seed=7)  # other initial weights, which must not matter
    result = second.fit(tmp_path / "cut", epochs=4, schedule=schedule)
    assert equal(second.weights(), complete.weights())
    assert (result.epoch, result.step, result.best, result.best_epoch) == (4, 20, expected.best, expected.best_epoch)
    assert [h["loss"] for h in result.history] == [h["loss"] for h in expected.history]
    a, b = (torch.load(tmp_path / k / "checkpoint.pt", weights_only=True) for k in ("whole", "cut"))
    assert equal(a["network"], b["network"])
    assert a["schedule"] == b["schedule"]


def test_two_and_two_epochs_are_four(tmp_path):
    complete, half, remaining = Regression(), Regression(), Regression(seed=3)
    complete.fit(tmp_path / "whole", epochs=4)
    half.fit(tmp_path / "cut", epochs=2)
    assert remaining.fit(tmp_path / "cut", epochs=4).epoch == 4
    assert remaining.epochs == 2
    assert equal(complete.weights(), remaining.weights())


@pytest.mark.parametrize("name", ["best.pt", "checkpoint.pt"])
def test_a_kill_between_or_amid_the_writes_leaves_a_run_that_goes_on(tmp_path, monkeypatch, name):
    complete = Regression()
    complete.fit(tmp_path / "whole", epochs=4)
    real = torch.save

    def half_way(content, path):
        real(content, path)
        if name.removesuffix(".pt") in path.name and victim.epochs == 3:
            path.write_bytes(path.read_bytes()[:200])
            raise KeyboardInterrupt

    victim = Regression()
    monkeypatch.setattr(torch, "save", half_way)
    with pytest.raises(KeyboardInterrupt):
        victim.fit(tmp_path / "cut", epochs=4)
    monkeypatch.undo()
    selected = torch.load(tmp_path / "cut" / "checkpoint.pt", weights_only=True)
    assert selected["run"]["epoch"] == 2
    remaining = Regression(seed=3)
    remaining.fit(tmp_path / "cut", epochs=4)
    assert equal(complete.weights(), remaining.weights())


def test_a_finished_run_is_taken_as_it_is(tmp_path):
    first, again = Regression(), Regression(seed=3)
    first.fit(tmp_path)
    run = again.fit(tmp_path)
    assert again.epochs == 0
    assert run.epoch == 4
    assert equal(first.weights(), again.weights())


@pytest.mark.parametrize("microbatch", [1, 3, 8])
def test_gradients_of_microbatches_are_those_of_the_batch(tmp_path, microbatch):
    batch, microbatches = Regression(dropout=0), Regression(dropout=0, microbatch=microbatch)
    runs = [r.fit(tmp_path / str(k), batch=16) for k, r in enumerate((batch, microbatches))]
    assert equal(batch.weights(), microbatches.weights(), atol=1e-5)
    assert [h["loss"] for h in runs[0].history] == pytest.approx([h["loss"] for h in runs[1].history], rel=1e-5)
    assert not equal(batch.weights(), Regression(dropout=0).weights(), atol=1e-3)


def test_each_epoch_sees_every_object_once_in_an_order_of_its_own(tmp_path):
    task = Regression()
    task.fit(tmp_path, epochs=2)
    first, second = np.concatenate(task.seen[:5]), np.concatenate(task.seen[5:])
    assert sorted(first) == sorted(second) == list(range(40))
    assert first.tolist() != second.tolist()
    assert [len(rows) for rows in task.seen] == [8] * 10


def test_one_step_is_adamw_on_the_clipped_weighted_mean(tmp_path):
    task, plain = Regression(dropout=0), Regression(dropout=0)
    task.fit(tmp_path, epochs=1, batch=40, warmup=0, clip=0.1, weight_decay=0.01)
    optimiser = torch.optim.AdamW(plain.network.parameters(), 1e-2, (0.9, 0.95), 1e-8, 0.01)
    loss, weight = plain.loss(np.arange(40))
    (loss / weight).backward()
    nn.utils.clip_grad_norm_(plain.network.parameters(), 0.1)
    optimiser.step()
    assert equal(task.weights(), plain.weights(), atol=1e-6)


def test_the_best_epoch_is_restored(tmp_path):
    task = Regression(scores=[0.1, 0.9, 0.3, 0.9])
    selected = []
    config = LoopConfig(epochs=4, batch=8, rate=1e-2, warmup=0)
    groups = [{"params": list(task.network.parameters()), "lr": 1e-2}]
    run = train(task, np.arange(40), groups, config, tmp_path, lambda figures: selected.append(task.weights()))
    assert (run.best, run.best_epoch) == (0.9, 1)
    assert equal(task.weights(), selected[1])
    assert not equal(task.weights(), selected[3])


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_stops_after_so_many_epochs_without_a_better_score(tmp_path, patience):
    task = Regression(scores=[0.1, 0.9, 0.3, 0.9, 0.2, 0.1, 1.0])
    run = task.fit(tmp_path, epochs=7, patience=patience)
    assert run.epoch == 2 + patience
    assert run.best_epoch == 1
    assert Regression(scores=[]).fit(tmp_path, epochs=7, patience=patience).epoch == 2 + patience


def test_the_log_has_a_line_per_epoch(tmp_path):
    run = Regression().fit(tmp_path, epochs=3)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == run.history
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert {"loss", "rate", "score", "seconds"} <= set(lines[0])


def test_the_rate_rises_then_stays_or_falls_as_a_cosine():
    config = LoopConfig(epochs=10, warmup=2)
    assert [_rate_factor(s, 5, config) for s in (0, 4, 9, 10, 49)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    cosine = config.model_copy(update={"schedule": "cosine"})
    assert _rate_factor(10, 5, cosine) == 1
    assert _rate_factor(30, 5, cosine) == pytest.approx(0.5)
    assert _rate_factor(50, 5, cosine) == pytest.approx(1e-3)
    assert all(_rate_factor(s, 5, cosine) >= _rate_factor(s + 1, 5, cosine) for s in range(10, 60))


def test_the_learning_rate_of_each_group_is_scaled(tmp_path):
    task = Regression()
    first, last = task.network[0], task.network[3]
    groups = [{"params": list(first.parameters()), "lr": 1e-3}, {"params": list(last.parameters()), "lr": 1e-2}]
    run = train(task, np.arange(40), groups, LoopConfig(epochs=2, batch=8, warmup=4), tmp_path)
    assert [h["rate"] for h in run.history] == pytest.approx([1e-3 * 6 / 20, 1e-3 * 11 / 20])


def test_other_dropout_in_every_epoch_and_the_same_in_every_run(tmp_path):
    runs = [Regression().fit(tmp_path / str(k)) for k in range(2)]
    assert [h["loss"] for h in runs[0].history] == [h["loss"] for h in runs[1].history]
    other = Regression().fit(tmp_path / "other", seed=1)
    assert other.history[0]["loss"] != runs[0].history[0]["loss"]


def test_negative_scores_have_a_best_epoch_too(tmp_path):
    run = Regression(scores=[-5.0, -4.0]).fit(tmp_path, epochs=2)
    assert run.best == -4


def fit_as_one_of_two(rank, meeting, folder):
    """Train beside another process; return weights and losses."""
    address = {"init_method": f"file://{meeting}", "timeout": timedelta(minutes=5)}
    dist.init_process_group("gloo", rank=rank, world_size=2, **address)
    try:
        task = Regression(dropout=0, n=33, scores=[0.1, 0.2, 0.9])
        run = task.fit(folder, epochs=3, batch=8)
        return task.weights(), [h["loss"] for h in run.history]
    finally:
        dist.destroy_process_group()


def save_second(meeting, folder):
    torch.save(fit_as_one_of_two(1, meeting, folder), f"{meeting}.1")


def test_two_processes_end_with_the_weights_of_one(tmp_path):
    """33 objects in batches of 8: the last batch leaves the second process, which is not this one, without any."""
    single = Regression(dropout=0, n=33, scores=[0.1, 0.2, 0.9])
    run = single.fit(tmp_path / "one", epochs=3, batch=8)
    meeting, folder = tmp_path / "meeting", tmp_path / "two"
    worker = worker_context().Process(target=save_second, args=(meeting, folder))
    worker.start()
    try:
        here = fit_as_one_of_two(0, meeting, folder)
        worker.join(300)
        assert worker.exitcode == 0
    finally:
        worker.kill()
    for weights, losses in (here, torch.load(f"{meeting}.1", weights_only=True)):
        assert equal(weights, single.weights(), atol=1e-5)
        assert losses == pytest.approx([h["loss"] for h in run.history], rel=1e-5)


def test_sums_over_processes_come_back_from_the_gpu(monkeypatch):
    """NCCL reduces on the device: the sums must be copied there and back, or each process divides by its own weight."""
    device = []

    class Elsewhere(torch.Tensor):
        def to(self, *args, **kwargs):
            device.append(self.clone())
            return device[-1]

    def reduce(tensor):
        tensor *= 2

    monkeypatch.setattr(loop.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(loop.dist, "get_backend", lambda: "nccl")
    monkeypatch.setattr(loop.dist, "all_reduce", reduce)
    parameter = nn.Parameter(torch.ones(2))
    sums = torch.tensor([3.0, 4.0]).as_subclass(Elsewhere)
    loop._sum_over_processes([parameter], sums)
    assert len(device) == 1
    assert sums.tolist() == [6, 8]
    assert parameter.grad.tolist() == [0, 0]
