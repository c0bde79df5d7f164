"""Monitoring of a worker: its metrics, for Prometheus and a health check, and the live view in a terminal."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from goodricke.alerts.answers import AlertAnswers
from goodricke.alerts.engine import EngineCounts

RECENT = 2000  # batches in the percentiles
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, float("inf"))  # of latencies [s]
LATE = 60.0  # seconds without a heartbeat after which a worker isn't well
FRAMES_PER_SECOND = 4


class Metrics:
    """The metrics of a worker.

    Parameters
    ----------
    counts : EngineCounts
        Of the engine.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, counts: EngineCounts, clock: Callable[[], float] = time.time) -> None:
        self.counts, self._clock = counts, clock
        self.started = self.last_heartbeat = clock()
        self.statuses, self.classes = Counter[str](), Counter[str]()
        self.changes: deque[dict[str, Any]] = deque(maxlen=8)  # latest changes of class
        self.seconds: deque[float] = deque(maxlen=RECENT)  # of processing, by batch
        self.waited: deque[float] = deque(maxlen=RECENT)  # from a message's arrival at the broker to its answer
        self.lag: dict[int, int] = {}  # messages that wait, by partition
        self.objects: dict[int, int] = {}  # by partition
        self.answers = self.batches = 0
        self.latencies = np.zeros(len(BUCKETS), np.int64)  # messages by seconds from their arrival to their answer
        self.latency_sum = 0.0
        self.busy = 0.0  # seconds of processing of all batches
        self._last_summary = (self.started, 0, 0)  # time, messages and answers

    def heartbeat(self) -> None:
        """Note that the worker works, or waits for messages."""
        self.last_heartbeat = self._clock()

    def add_batch(self, answers: AlertAnswers, seconds: float, waited: float) -> None:
        """Add a batch: its answers, seconds of processing, and seconds from its first message's arrival to now."""
        self.heartbeat()
        self.batches += 1
        self.answers += len(answers)
        self.busy += seconds
        self.seconds.append(seconds)
        self.waited.append(waited)
        columns = answers.columns
        self.statuses.update(columns["status"].tolist())
        self.classes.update(name for name in columns["class"].tolist() if name)
        changed = (columns["class"] != columns["previous_class"]) & (columns["previous_class"] != "")
        for i in np.flatnonzero(changed)[-8:]:
            names = ("object_id", "previous_class", "class", "p_max", "n_obs")
            self.changes.append({name: columns[name][i].item() for name in names})

    def add_latencies(self, seconds: Sequence[float]) -> None:
        """Add messages' seconds from the arrival at the broker to the answer; NaN where the arrival is unknown."""
        values = np.array(seconds, np.float64)
        values = np.maximum(values[np.isfinite(values)], 0.0)
        self.latencies += np.bincount(np.searchsorted(BUCKETS, values), minlength=len(BUCKETS))
        self.latency_sum += float(values.sum())

    @property
    def rate(self) -> float:
        """Messages per second since the start."""
        return self.counts.messages / max(self._clock() - self.started, 1e-9)

    def percentile(self, name: str, q: float) -> float:
        """Return a percentile of ``seconds`` or ``waited``, NaN before the first batch."""
        values = getattr(self, name)
        return float(np.percentile(values, q)) if values else float("nan")

    @property
    def well(self) -> bool:
        """Whether the last heartbeat is recent."""
        return self._clock() - self.last_heartbeat < LATE

    def health(self) -> dict[str, Any]:
        """Return the answer of ``/health``."""
        since = round(self._clock() - self.last_heartbeat, 3)
        lag = sum(list(self.lag.values()))  # a list: the worker changes the dict in another thread
        return {"well": self.well, "seconds_since_sign": since, "messages": self.counts.messages, "lag": lag}

    def summary(self) -> dict[str, Any]:
        """Return all counts, and the rates since the last summary: the fields of an event."""
        now, (then, messages, answers) = self._clock(), self._last_summary
        seconds = max(now - then, 1e-9)
        self._last_summary = now, self.counts.messages, self.answers
        summary: dict[str, Any] = {
            "seconds": round(seconds, 3),
            "objects": sum(list(self.objects.values())),
            "messages_per_second": round((self.counts.messages - messages) / seconds, 3),
            "answers_per_second": round((self.answers - answers) / seconds, 3),
            "answers": self.answers,
            "lag": sum(list(self.lag.values())),
            "statuses": dict(self.statuses),
            **vars(self.counts),
        }
        for name in ("seconds", "waited"):
            p99 = self.percentile(name, 99)
            summary[f"batch_{name}_p99"] = None if np.isnan(p99) else round(p99, 4)
        return summary

    def collect(self) -> Iterator[Any]:
        """Yield the metrics to a `prometheus_client` registry."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            SummaryMetricFamily,
        )

        for name, value in vars(self.counts).items():
            yield CounterMetricFamily(f"goodricke_{name}", f"Engine: {name}", value=value)
        yield CounterMetricFamily("goodricke_answers", "Answers published", value=self.answers)
        statuses = CounterMetricFamily("goodricke_status", "Answers by status", labels=["status"])
        for status, number in list(self.statuses.items()):  # a copy: the worker goes on counting
            statuses.add_metric([status], number)
        yield statuses
        for name, values in (("goodricke_lag", self.lag), ("goodricke_objects", self.objects)):
            gauge = GaugeMetricFamily(name, f"{name[10:]} by partition", labels=["partition"])
            for partition, number in list(values.items()):
                gauge.add_metric([str(partition)], number)
            yield gauge
        for name in ("seconds", "waited"):
            family = GaugeMetricFamily(f"goodricke_batch_{name}", f"{name} of recent batches", labels=["quantile"])
            for q in (50, 99):
                family.add_metric([str(q / 100)], self.percentile(name, q))
            yield family
        names = ["+Inf" if edge == np.inf else str(edge) for edge in BUCKETS]
        buckets = list(zip(names, np.cumsum(self.latencies).tolist(), strict=True))
        text = "From a message's arrival at the broker to its answer"
        yield HistogramMetricFamily("goodricke_latency_seconds", text, buckets, self.latency_sum)
        yield SummaryMetricFamily("goodricke_batches", "Batches", self.batches, self.busy)


def serve_metrics(metrics: Metrics, host: str, port: int) -> ThreadingHTTPServer:
    """Serve ``/metrics`` and ``/health`` in a thread; call ``shutdown`` of the returned server to stop it.

    Raises
    ------
    ImportError
        If prometheus-client isn't installed.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError as error:
        raise ImportError("metrics need prometheus-client: pip install 'goodricke[alerts]'") from error
    registry = CollectorRegistry()
    registry.register(metrics)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._send(200, generate_latest(registry), "text/plain; version=0.0.4")
            elif self.path == "/health":
                self._send(200 if metrics.well else 503, json.dumps(metrics.health()).encode(), "application/json")
            else:
                self._send(404, b"try /metrics or /health\n", "text/plain")

        def _send(self, code: int, body: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log no requests."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


# ---- the live view --------------------------------------------------------------------------------------------------


@contextmanager
def live_display(draw: Callable[[], Any], live: bool = True) -> Iterator[Callable[[], None]]:
    """Show a view in the terminal, and give a function that redraws it, a few times a second at most.

    Without ``live`` nothing is shown.
    """
    if not live:
        yield lambda: None
        return
    last = 0.0
    with Live(draw(), refresh_per_second=FRAMES_PER_SECOND, transient=False) as display:

        def redraw() -> None:
            nonlocal last
            if time.monotonic() - last > 1 / FRAMES_PER_SECOND:
                last = time.monotonic()
                display.update(draw())

        yield redraw
        display.update(draw())


def live_view(metrics: Metrics, title: str) -> Panel:
    """Return the current view: rates, lag, objects, statuses, classes, and the latest changes of class."""
    tables = [_number_table(metrics), _count_table("status", metrics.statuses), _count_table("class", metrics.classes)]
    parts: list[Any] = [Columns(tables)]
    if metrics.changes:
        parts.append(_change_table(metrics))
    return Panel(Group(*parts), title=title, title_align="left")


def _number_table(metrics: Metrics) -> Table:
    table, counts = Table.grid(padding=(0, 2)), metrics.counts
    rows = {
        "messages": f"{counts.messages:,}",
        "per second": f"{metrics.rate:,.0f}",
        "objects": f"{sum(metrics.objects.values()):,}",
        "lag": f"{sum(metrics.lag.values()):,}" if metrics.lag else "-",
        "batch p50 / p99": f"{metrics.percentile('seconds', 50):.3f} / {metrics.percentile('seconds', 99):.3f} s",
        "answer after p99": f"{metrics.percentile('waited', 99):.2f} s",
        "rebuilt": f"{counts.rebuilt:,}",
        "too late": f"{counts.refused:,}",
        "duplicates": f"{counts.known:,}",
        "filled from packets": f"{counts.filled:,}",
        "in two partitions": f"[red]{counts.strayed:,}[/]" if counts.strayed else "0",
        "dead letters": f"[red]{counts.dead:,}[/]" if counts.dead else "0",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _count_table(name: str, counts: Counter[str]) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column(name)
    table.add_column("answers", justify="right")
    for value, number in counts.most_common(8):
        table.add_row(value, f"{number:,}")
    return table


def _change_table(metrics: Metrics) -> Table:
    table = Table(box=None, padding=(0, 1), title="latest changes of class", title_justify="left", title_style="dim")
    for name in ("object", "was", "is", "probability", "observations"):
        table.add_column(name, justify="right" if name in ("probability", "observations") else "left")
    for change in reversed(list(metrics.changes)):
        p = f"{change['p_max']:.2f}"
        table.add_row(escape(change["object_id"]), change["previous_class"], change["class"], p, str(change["n_obs"]))
    return table
