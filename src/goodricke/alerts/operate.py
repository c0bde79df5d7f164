"""What the alert commands do between parsing and printing: put engine, store, broker, metrics and view together."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live

from goodricke import __version__
from goodricke.alerts import events
from goodricke.alerts.answers import Answers
from goodricke.alerts.config import WorkerConfig, read_config
from goodricke.alerts.engine import Engine
from goodricke.alerts.events import event
from goodricke.alerts.monitoring import Metrics, serve, view
from goodricke.alerts.record import VERSION
from goodricke.alerts.replay import into_engine, into_topic, observations
from goodricke.alerts.shadow import Shadow
from goodricke.alerts.store import PREFIX, open_store, without_password
from goodricke.data.exit_codes import ExitCode
from goodricke.inference import InputChecks
from goodricke.io import read
from goodricke.io.packets import PacketOptions, decode, photometry
from goodricke.io.packets.archive import open_archive
from goodricke.models.bundle import load_model

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
        If the model keeps no state, or the store was made for another model, other photometry or other records.
    """
    loaded = load_model(model, device)
    about = {"model": loaded.name, "model_hash": loaded.hash, "half": half, "keep": keep, "records": VERSION}
    about |= photometry(format, options) | more
    store, decoder = open_store(state, about), partial(decode, format=format, options=options)
    try:
        return Engine(loaded, store, decoder, half, keep)
    except TypeError as error:
        raise ValueError(f"{error}: see `goodricke models list`") from error


def operate(config: WorkerConfig, live: bool = True, idle: float | None = None, every: float = 60.0) -> Metrics:
    """Work on a stream until told to stop, or idle for so many seconds; return what was counted.

    Parameters
    ----------
    config : WorkerConfig
    live : bool
        Show what happens in the terminal.
    idle : float, optional
        Stop when nothing has come for so many seconds.
    every : float
        Seconds between summaries in the log.
    """
    from goodricke.alerts.stream import Worker

    known = [field.name for field in fields(PacketOptions)]
    if unknown := [name for name in config.input.options if name not in known]:
        raise ValueError(f"[input.options] {unknown[0]}: no such option; there are {', '.join(known)}")
    try:
        options = PacketOptions(**config.input.options)
    except ValueError as error:
        raise ValueError(f"[input.options]: {error}") from error
    own = (config.half, config.input.format, options, config.keep, config.device)
    engine, shadow = engine_for(config.model, config.state, *own), None
    if config.shadow is not None:
        shadow = Shadow(engine_for(config.shadow, _beside(config.state), *own))
    metrics = Metrics(engine.counts)
    metrics.shadow = shadow
    server = serve(metrics, config.metrics.host, config.metrics.port) if config.metrics.port else None
    title = f"{config.input.topic}: {engine.model.name} ({engine.model.hash})"
    try:
        _tell_of_start(config, engine, shadow)
        summary = events.every(every, lambda: _tell_of(metrics, "summary"))
        with _shown(lambda: view(metrics, title, shadow), live) as show:

            def tell() -> None:
                show()
                summary()

            worker = Worker(config, engine, metrics, tell, shadow)
            worker.run(idle)
        _tell_of(metrics, "stop", reason="asked" if worker.stopped else "idle")
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
    return metrics


def _tell_of_start(config: WorkerConfig, engine: Engine, shadow: Shadow | None) -> None:
    other = None if shadow is None else f"{shadow.engine.model.name} ({shadow.engine.model.hash})"
    reading, writing = config.input, config.output
    told: dict[str, Any] = {
        "model": engine.model.name,
        "model_hash": engine.model.hash,
        "shadow": other,
        "version": __version__,
    }
    told |= {"state": without_password(config.state), "topic": reading.topic, "format": reading.format}
    told |= {"group": reading.group, "answers": writing.topic, "dead_letters": writing.dead_letters}
    told["servers"] = str(config.kafka.get("bootstrap.servers"))
    event("start", f"{engine.model.name} on {reading.topic}, answers to {writing.topic}", **told)


def _tell_of(metrics: Metrics, name: str, **more: Any) -> None:
    told = metrics.summary()
    rate, lag = told["messages_per_second"], told["lag"]
    event(name, f"{name}: {told['messages']:,} messages, {rate:,.0f} per second, lag {lag:,}", **more, **told)


def _beside(state: str) -> str:
    """Return the store of a shadow."""
    if "://" in state:
        place, _, query = state.partition("?")
        pairs = dict(parse_qsl(query))
        return f"{place}?{urlencode(pairs | {'prefix': pairs.get('prefix', PREFIX) + '-shadow'})}"
    return state if state == "memory:" else f"{state.rstrip('/')}-shadow"


class Stream(NamedTuple):
    """What is replayed.

    Parameters
    ----------
    records : iterator of tuple of bytes
        Keys and messages, in order of time.
    days : float64 (n,)
        Time of each.
    format : str
        Of the messages.
    options : PacketOptions
        To decode them with.
    what : str
        In words.
    bands : tuple of str
        If they are known.
    """

    records: Iterator[tuple[bytes, bytes]]
    days: NDArray[np.float64]
    format: str
    options: PacketOptions
    what: str
    bands: tuple[str, ...] = ()


def light_curves(sources: Sequence[str], options: dict[str, Any]) -> Stream:
    """Return the observations of light curves as slim records."""
    curves = read(list(sources), **options)
    records, days = observations(curves)
    what = f"observations of {len(curves):,} objects"
    return Stream(records, days, "slim", PacketOptions(unit=curves.unit), what, curves.bands)


def packets(sources: Sequence[str], photometry: Literal["total", "difference"]) -> Stream:
    """Return the packets in files as they are."""
    archive = open_archive(sources)
    what = f"packets of {archive.objects:,} objects"
    what += f" ({archive.skipped:,} of no fixed object left out)" if archive.skipped else ""
    return Stream(archive.packets(), archive.days, archive.format, PacketOptions(photometry=photometry), what)


def replay(
    stream: Stream,
    model: str,
    state: str,
    half: bool,
    out: Path | None,
    speed: float | None,
    batch: int,
    shadow: str | None,
    live: bool,
) -> int:
    """Feed a stream straight into an engine; see `goodricke.alerts.replay`."""
    # offsets in the store of a replay count its observations: a worker would take them for its topic's
    reading = (half, stream.format, stream.options)
    engine = engine_for(model, state, *reading, replayed=True)
    InputChecks(engine.model.config).check_bands(stream.bands)
    other = None if shadow is None else Shadow(engine_for(shadow, _beside(state), *reading, replayed=True))
    metrics, last = Metrics(engine.counts), dict[str, dict[str, Any]]()

    def keep(answers: Answers) -> None:
        if out is not None:
            last.update((each["object_id"], each) for each in answers.records())

    with _shown(lambda: view(metrics, f"replay: {engine.model.name}", other), live) as tell:
        values = (value for _, value in stream.records)
        n = into_engine(values, stream.days, engine, metrics, batch, speed, other, tell, keep)
    engine.close()
    if other is not None:
        other.close()
    console = Console()
    console.print(f"{n:,} {stream.what}, {metrics.rate:,.0f} per second")
    if metrics.counts.unusable:
        console.print(f"{metrics.counts.unusable:,} of them tell nothing of a known band, or have no such brightness")
    if metrics.counts.repeated:
        known = f"{metrics.counts.repeated:,} of them were left out: the store says that it has taken so many before"
        console.print(f"{known}; for other light curves, give another --state")
    if other is not None:
        report = other.report
        names = f"{engine.model.name} and {other.engine.model.name}"
        console.print(f"{names} disagree on {report.disagreement:.1%} of {report.compared:,} answers")
    if out is not None:
        _write(list(last.values()), out)
        console.print(f"{len(last):,} rows written to {out}")
    return ExitCode.DONE


def send(stream: Stream, config: Path, speed: float | None) -> int:
    """Feed a stream to the input topic of a worker."""
    told = read_config(config)
    if told.input.format != stream.format:
        raise ValueError(
            f'{config}: the messages are {stream.format}; set [input] format = "{stream.format}", not '
            f'"{told.input.format}". Light curves are sent as slim records, packets of surveys with --packets'
        )
    sent = into_topic(stream.records, stream.days, told.input.topic, told.kafka, speed)
    Console().print(f"{sent:,} {stream.what} sent to {told.input.topic}")
    return ExitCode.DONE


def check_writable(out: Path) -> None:
    """Raise a ValueError if answers can't be written to a file of this name."""
    if out.suffix not in WRITTEN:
        raise ValueError(f"{out}: can't write {out.suffix or 'a file without suffix'}; use .parquet, .csv or .json")


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
