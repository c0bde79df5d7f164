"""Speed of the multi-band ensemble in the paper's ZTF configuration: whole light curves, single updates, training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.plain.multiband import classify as plain_classify
from benchmarks.timing import gemm_rate, measure
from goodricke.data.lightcurves import LightCurves
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess.multiband import MultibandConfig, prepare
from goodricke.training.fit_multiband import Ensemble, EnsembleConfig

CONFIG = MultibandConfig(bands=("g", "r"), brightness="magnitude")
IN_A_ROW = 256  # updates timed at once
MULTIPLICATIONS = 0.71e6  # per observation: the step of a band and that of the central network (spec, section 8.1)


def light_curves(n: int, low: int, high: int, seed: int = 0) -> LightCurves:
    """Return light curves with ``low`` to ``high`` observations in each of two bands."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2 * low, 2 * high + 1, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    time = 58000 + np.cumsum(rng.exponential(2, offsets[-1]))
    band = np.arange(offsets[-1]) % 2
    value, error = rng.normal(18, 0.3, offsets[-1]), np.full(offsets[-1], 0.03)
    return LightCurves.from_arrays(
        [str(i) for i in range(n)], offsets, time, value, error, band, bands=CONFIG.bands, unit="mag"
    )


def model() -> Model:
    """Return an untrained model of the paper's ZTF sizes."""
    torch.manual_seed(0)
    network = Multiband(MultibandNetworkConfig(bands=2, classes=9)).eval()
    config = BundleConfig(name="ztf", family="multiband", classes=tuple("ABCDEFGHI"), network={}, preprocessing=CONFIG)
    return Model(config, network)


def full_light_curves(m: Model, n: int, low: int, high: int) -> dict[str, Any]:
    """Measure whole light curves, against the plain implementation and the machine's limit."""
    network: Any = m.network
    curves = light_curves(n, low, high)
    steps = prepare(curves, CONFIG)
    fast = measure(lambda: m.run(steps, np.arange(n)))
    plain = measure(lambda: plain_classify(network, steps), 3)
    difference = np.abs(m.run(steps, np.arange(n))[0] - plain_classify(network, steps).numpy()).max()
    limit = 2e-9 * MULTIPLICATIONS * len(steps.window) / gemm_rate(torch.float32, clock="cpu")
    return {
        "observations per light curve": float(curves.n_obs.mean()),
        "preprocessing [ms]": 1e3 * measure(lambda: prepare(curves, CONFIG)).median() / n,
        "network [ms]": 1e3 * fast.median() / n,
        "network, quartiles [ms]": [1e3 * x / n for x in fast.quartiles()],
        "plain [ms]": 1e3 * plain.median() / n,
        "plain / fast": plain.median() / fast.median(),
        "limit of the matrix product [ms]": 1e3 * limit / n,
        "fast / limit": fast.median() / limit,
        "largest difference of a logit": float(difference),
    }


def updates(m: Model, n: int, points: int) -> dict[str, Any]:
    """Measure one new observation of each of ``n`` objects, against running the whole light curves again."""
    curves = light_curves(n, points // 2, points // 2)
    last = np.zeros(len(curves.time), bool)
    last[curves.offsets[1:] - 1] = True
    before, now = curves.where(~last), curves.where(last)
    state, _ = m.update(m.init_state(n), before)
    half, _ = m.update(m.init_state(n, half=True), before)
    one = measure(_in_a_row(lambda: m.update(state, now), n)).median()
    half_sized = measure(_in_a_row(lambda: m.update(half, now), n)).median()
    arrays = measure(_in_a_row(lambda: m.update_arrays(state, now), n)).median()
    again = measure(lambda: m.run(prepare(curves, CONFIG), np.arange(n)), 3)
    return {
        "updates per CPU second": max(IN_A_ROW, n) / one,
        "with float16 state": max(IN_A_ROW, n) / half_sized,
        "without the table": max(IN_A_ROW, n) / arrays,
        "observations so far": points,
        "whole light curves again / update": again.median() / one * max(IN_A_ROW // n, 1),
        "state [bytes per object]": state.records.itemsize,
        "float16 state [bytes per object]": half.records.itemsize,
    }


def _in_a_row(action: Callable[[], Any], n: int) -> Callable[[], None]:
    """Return an action on ``n`` objects repeated for `IN_A_ROW` of them, longer than the clock's resolution."""

    def row() -> None:
        for _ in range(max(IN_A_ROW // n, 1)):
            action()

    return row


def training(m: Model, n: int, low: int, high: int) -> dict[str, Any]:
    """Measure a batch of the paper's schedule: a step of the bands, and two of the central network."""
    network: Any = m.network
    curves = light_curves(n, low, high)
    label = np.arange(n) % 9
    task = Ensemble(
        network,
        curves,
        CONFIG,
        label,
        np.zeros((n, 0), np.float32),
        np.arange(n),
        np.ones(9, np.float32),
        EnsembleConfig(warmup_batches=0),
    )
    network.train()

    def batch() -> None:
        for phase in task.phases(0):
            task.loss(np.arange(n), phase)[0].backward()

    timing = measure(batch, 3)
    network.eval()
    return {"light curves per CPU second": n / timing.median(), "per light curve [ms]": 1e3 * timing.median() / n}


def run(tiny: bool = False) -> dict[str, dict[str, Any]]:
    """Measure the multi-band ensemble in the paper's ZTF sizes: whole light curves, single updates, training."""
    m, n, low, high = (model(), 8, 6, 8) if tiny else (model(), 256, 100, 100)
    batches, points = ((1, 4), 12) if tiny else ((1, 16, 256, 1024), 200)
    return {
        "whole light curves, equal lengths": full_light_curves(m, n, low, high),
        "whole light curves, 60 to 140 observations a band": full_light_curves(m, n, low - 3, high)
        if tiny
        else full_light_curves(m, n, 60, 140),
        **{f"updates at batch {b}": updates(m, b, points) for b in batches},
        "training at batch 128": training(m, n if tiny else 128, low, high),
    }
