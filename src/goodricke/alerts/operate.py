"""What the alert commands do between parsing and printing: put engine, store, broker, metrics and view together."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console
from rich.live import Live

from goodricke.alerts.answers import Answers
from goodricke.alerts.config import WorkerConfig, read_config
from goodricke.alerts.engine import Engine
from goodricke.alerts.live import view
from goodricke.alerts.metrics import Metrics, serve
from goodricke.alerts.packets import PacketOptions, decode
from goodricke.alerts.replay import into_engine, into_topic, observations
from goodricke.alerts.shadow import Shadow
from goodricke.alerts.state import PREFIX, open_store
from goodricke.models.bundle import load_model
from goodricke.readers import read

log = logging.getLogger("goodricke")

DONE = 0
WRITTEN = (".parquet", ".csv", ".json")
PER_SECOND = 4  # times the view is drawn


def engine_for(
    model: str,
    state: str,
    half: bool,
    format: str,
    options: PacketOptions,
    keep: int = 32,
    device: str = "cpu",
    **more: Any,
) -> Engine:
    """Return an engine with its model and store.

    Raises
    ------
    ValueError
        If the model keeps no state, or the store was made for another model.
    """
    loaded = load_model(model, device)
    about = {"model": loaded.name, "model_hash": loaded.hash, "half": half, "keep": keep} | more
    store, decoder = open_store(state, about), partial(decode, format=format, options=options)
    try:
        return Engine(loaded, store, decoder, half, keep)
    except TypeError as error:
        raise ValueError(f"{error}: see `goodricke models list`") from error


def operate(config: WorkerConfig, live: bool = True, idle: float | None = None) -> Metrics:
    """Work on a stream until told to stop, or idle for so many seconds; return what was counted."""
    from goodricke.alerts.worker import Worker

    try:
        options = PacketOptions(**config.input.options)
    except TypeError as error:  # a name that there isn't
        raise ValueError(f"[input.options]: {error}") from error
    own = (config.half, config.input.format, options, config.keep, config.device)
    engine, shadow = engine_for(config.model, config.state, *own), None
    if config.shadow is not None:
        shadow = Shadow(engine_for(config.shadow, _beside(config.state), *own))
    metrics = Metrics(engine.counts)
    server = serve(metrics, config.metrics.host, config.metrics.port) if config.metrics.port else None
    title = f"{config.input.topic}: {engine.model.name} ({engine.model.hash})"
    try:
        with _shown(lambda: view(metrics, title, shadow), live) as tell:
            Worker(config, engine, metrics, tell, shadow).run(idle)
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
    log.info("%s", json.dumps({"event": "stopped", **vars(metrics.counts)}))
    return metrics


def _beside(state: str) -> str:
    """Return the store of a shadow."""
    if "://" in state:
        place, _, query = state.partition("?")
        pairs = dict(parse_qsl(query))
        return f"{place}?{urlencode(pairs | {'prefix': pairs.get('prefix', PREFIX) + '-shadow'})}"
    return state if state == "memory:" else f"{state.rstrip('/')}-shadow"


def replay(
    sources: Sequence[str],
    model: str,
    state: str,
    half: bool,
    out: Path | None,
    speed: float | None,
    batch: int,
    shadow: str | None,
    live: bool,
    options: dict[str, Any],
) -> int:
    """Feed light curves straight into an engine; see `goodricke.alerts.replay`."""
    if out is not None and out.suffix not in WRITTEN:
        raise ValueError(f"{out}: can't write {out.suffix or 'a file without suffix'}; use .parquet, .csv or .json")
    curves = read(list(sources), **options)
    # offsets in the store of a replay count its observations: a worker would take them for its topic's
    reading = PacketOptions(unit=curves.unit)
    engine = engine_for(model, state, half, "slim", reading, replayed=True)
    other = None if shadow is None else Shadow(engine_for(shadow, _beside(state), half, "slim", reading, replayed=True))
    metrics, last = Metrics(engine.counts), dict[str, dict[str, Any]]()

    def keep(answers: Answers) -> None:
        if out is not None:
            last.update((each["object_id"], each) for each in answers.records())

    records, days = observations(curves)
    with _shown(lambda: view(metrics, f"replay: {engine.model.name}", other), live) as tell:
        n = into_engine((value for _, value in records), days, engine, metrics, batch, speed, other, tell, keep)
    engine.close()
    console = Console()
    console.print(f"{n:,} observations of {len(curves):,} objects, {metrics.rate:,.0f} per second")
    if metrics.counts.repeated:
        known = f"{metrics.counts.repeated:,} of them were left out: the store says that it has taken so many before"
        console.print(f"{known}; for other light curves, give another --state")
    if other is not None:
        console.print(f"{engine.model.name} and {other.engine.model.name} disagree on {other.disagreement:.1%}")
    if out is not None:
        _write(list(last.values()), out)
        console.print(f"{len(last):,} rows written to {out}")
    return DONE


def send(sources: Sequence[str], config: Path, speed: float | None, options: dict[str, Any]) -> int:
    """Feed light curves to the input topic of a worker, as slim records."""
    told = read_config(config)
    if told.input.format != "slim":
        raise ValueError(f'{config}: replay sends slim records; set [input] format = "slim", not "{told.input.format}"')
    records, days = observations(read(list(sources), **options))
    sent = into_topic(records, days, told.input.topic, told.kafka, speed)
    Console().print(f"{sent:,} records sent to {told.input.topic}")
    return DONE


def _write(rows: list[dict[str, Any]], out: Path) -> None:
    if out.suffix == ".json":
        out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif out.suffix == ".csv":
        pyarrow.csv.write_csv(pa.Table.from_pylist(rows), out)
    else:
        pq.write_table(pa.Table.from_pylist(rows), out, compression="zstd")


@contextmanager
def _shown(draw: Callable[[], Any], live: bool) -> Iterator[Callable[[], None]]:
    """Show a view that is drawn anew a few times a second while what is given back is called."""
    if not live:
        yield lambda: None
        return
    last = 0.0
    with Live(draw(), refresh_per_second=PER_SECOND, transient=False) as shown:

        def tell() -> None:
            nonlocal last
            if time.monotonic() - last > 1 / PER_SECOND:
                last = time.monotonic()
                shown.update(draw())

        yield tell
        shown.update(draw())
