"""Streams of slim records for the tests: in order, and with duplicates, late and damaged messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from goodricke.alerts.answers import Message
from goodricke.alerts.replay import slim_packets
from goodricke.data.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess.multiband import MultibandConfig

BANDS, CLASSES = ("g", "r"), ("A", "B", "C")


def tiny_model(seed: int = 9) -> Model:
    """Return an untrained model whose answers move."""
    torch.manual_seed(seed)
    network = Multiband(MultibandNetworkConfig(bands=2, classes=3, hidden=16))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.4)
    preprocessing = MultibandConfig(bands=BANDS, brightness="magnitude")
    config = BundleConfig(
        name="m", family="multiband", classes=CLASSES, network=network.config.model_dump(), preprocessing=preprocessing
    )
    return Model(config, network.eval())


def save_tiny_model(folder: Path, seed: int = 9) -> str:
    """Save `tiny_model` into a folder and return its path."""
    tiny_model(seed).save(folder, "# m\n\nUntrained, for tests.\n", half=False)
    return str(folder)


def light_curves(n: int, max_obs: int, seed: int = 0) -> LightCurves:
    """Return light curves of 1 to ``max_obs`` observations."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, max_obs + 1, n)
    total = int(counts.sum())
    return LightCurves.from_arrays(
        [f"object {i}" for i in range(n)],
        np.concatenate([[0], np.cumsum(counts)]),
        60000 + rng.permutation(total * 3)[:total] * 0.25,
        rng.normal(18, 1, total),
        np.full(total, 0.05),
        rng.integers(0, 2, total),
        bands=BANDS,
        unit="mag",
        time_scale="MJD",
    ).sorted()


def slim_stream(curves: LightCurves) -> list[tuple[bytes, bytes]]:
    """Return key and record of every observation, in order of time."""
    return list(slim_packets(curves))


def augment(stream: list[tuple[bytes, bytes]], seed: int = 0) -> list[tuple[bytes, bytes]]:
    """Return a stream with duplicates, soon and much later, late and very late observations, and damaged messages."""
    rng = np.random.default_rng(seed)
    late = rng.uniform(0, 25, len(stream)) + np.where(rng.random(len(stream)) < 0.02, len(stream) / 2, 0)
    order = np.argsort(np.arange(len(stream)) + late)
    result = []
    for i in order.tolist():
        key, value = stream[i]
        result.append((key, value))
        if rng.random() < 0.15:
            result.append((key, value))
        if rng.random() < 0.05:
            result.append(stream[int(rng.choice(order[: len(result) // 2 + 1]))])  # a duplicate, long after
        if rng.random() < 0.05:
            result.append((key, value[: int(rng.integers(0, len(value) - 1))]))
        if rng.random() < 0.03:
            result.append((key, rng.bytes(int(rng.integers(0, 60)))))
    return result


def by_partition(stream: list[tuple[bytes, bytes]], partitions: int) -> dict[int, list[Message]]:
    """Return the messages of each partition, by the number in the object's name."""
    result: dict[int, list[Message]] = {number: [] for number in range(partitions)}
    for key, value in stream:
        number = int(key.split()[-1]) % partitions
        result[number].append(Message(len(result[number]), value, number))
    return result
