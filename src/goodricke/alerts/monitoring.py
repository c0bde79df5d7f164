"""Seen from outside: counters for Prometheus, a health check, and the numbers of the live view.

The live view in a terminal: rate, lag, states, statuses, and the objects whose class has just changed.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table

from goodricke.alerts.answers import Answers, Counts
from goodricke.alerts.shadow import Shadow

RECENT = 2000  # batches that percentiles are taken of
LATE = 60.0  # seconds without a sign of the worker after which it isn't well


class Metrics:
    """What a worker counts, for its live view and for Prometheus.

    Parameters
    ----------
    counts : Counts
        Of the engine.
    """

    def __init__(self, counts: Counts, clock: Callable[[], float] = time.time) -> None:
        self.counts, self._clock = counts, clock
        self.begun = self.seen = clock()
        self.statuses, self.classes, self.changes = Counter[str](), Counter[str](), deque[dict[str, Any]](maxlen=8)
        self.seconds: deque[float] = deque(maxlen=RECENT)  # of each batch
        self.waited: deque[float] = deque(maxlen=RECENT)  # from a message's arrival at the broker to its answer
        self.lag: dict[int, int] = {}  # messages not taken yet, by partition
        self.answers = self.batches = 0
        self.busy = 0.0  # seconds of all batches
        self.states: dict[int, int] = {}
        self.shadow: Shadow | None = None
        self._told = (self.begun, 0, 0)  # when `summary` was called last, messages and answers up to then

    def alive(self) -> None:
        """Note that the worker is at work, or waits for messages."""
        self.seen = self._clock()

    def batch(self, answers: Answers, seconds: float, waited: float) -> None:
        """Note a batch."""
        self.alive()
        self.batches += 1
        self.answers += len(answers)
        self.busy += seconds
        self.seconds.append(seconds)
        self.waited.append(waited)
        columns = answers.columns
        self.statuses.update(columns["status"].tolist())
        self.classes.update(name for name in columns["class"].tolist() if name)
        moved = (columns["class"] != columns["previous_class"]) & (columns["previous_class"] != "")
        for i in np.flatnonzero(moved)[-8:]:
            names = ("object_id", "previous_class", "class", "p_max", "n_obs")
            self.changes.append({name: columns[name][i].item() for name in names})

    @property
    def rate(self) -> float:
        """Messages per second since the worker began."""
        return self.counts.messages / max(self._clock() - self.begun, 1e-9)

    def percentile(self, of: str, q: float) -> float:
        """Return a percentile of ``seconds`` or ``waited``, NaN before the first batch."""
        values = getattr(self, of)
        return float(np.percentile(values, q)) if values else float("nan")

    @property
    def well(self) -> bool:
        """Whether the worker has given a sign of itself lately."""
        return self._clock() - self.seen < LATE

    def health(self) -> dict[str, Any]:
        """Return the answer of ``/health``."""
        told = {"well": self.well, "seconds_since_sign": round(self._clock() - self.seen, 3)}
        return told | {"messages": self.counts.messages, "lag": sum(list(self.lag.values()))}

    def summary(self) -> dict[str, Any]:
        """Return what has happened, and the rates since the last summary: the fields of an event."""
        now, (then, messages, answers) = self._clock(), self._told
        self._told, seconds = (now, self.counts.messages, self.answers), max(now - then, 1e-9)
        told: dict[str, Any] = {"seconds": round(seconds, 3), "objects": sum(list(self.states.values()))}
        told |= {"messages_per_second": round((self.counts.messages - messages) / seconds, 3)}
        told |= {"answers_per_second": round((self.answers - answers) / seconds, 3), "answers": self.answers}
        told |= {"lag": sum(list(self.lag.values())), "statuses": dict(self.statuses), **vars(self.counts)}
        for name in ("seconds", "waited"):
            p99 = self.percentile(name, 99)
            told[f"batch_{name}_p99"] = None if p99 != p99 else round(p99, 4)
        if self.shadow is not None:
            report = self.shadow.report
            told |= {"shadow_compared": report.compared, "shadow_differing": report.differing}
        return told

    def collect(self) -> Any:
        """Give the metrics to a `prometheus_client` registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        for name, value in vars(self.counts).items():
            yield CounterMetricFamily(f"goodricke_{name}", f"Engine: {name}", value=value)
        yield CounterMetricFamily("goodricke_answers", "Answers published", value=self.answers)
        statuses = CounterMetricFamily("goodricke_status", "Answers by status", labels=["status"])
        for status, number in list(self.statuses.items()):  # the worker goes on counting
            statuses.add_metric([status], number)
        yield statuses
        for name, values in (("goodricke_lag", self.lag), ("goodricke_objects", self.states)):
            gauge = GaugeMetricFamily(name, f"{name[10:]} by partition", labels=["partition"])
            for partition, number in list(values.items()):
                gauge.add_metric([str(partition)], number)
            yield gauge
        for name in ("seconds", "waited"):
            family = GaugeMetricFamily(f"goodricke_batch_{name}", f"{name} of recent batches", labels=["quantile"])
            for q in (50, 99):
                family.add_metric([str(q / 100)], self.percentile(name, q))
            yield family
        yield SummaryMetricFamily("goodricke_batches", "Batches", self.batches, self.busy)
        if self.shadow is not None:
            report = self.shadow.report
            for name, value in (
                ("compared", report.compared),
                ("differing", report.differing),
                ("alone", report.alone),
            ):
                yield GaugeMetricFamily(f"goodricke_shadow_{name}", f"Shadow, partitions held: {name}", value=value)


def serve(metrics: Metrics, host: str, port: int) -> ThreadingHTTPServer:
    """Serve ``/metrics`` and ``/health`` in a thread; call ``shutdown`` of what is returned to end it.

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
            """Say nothing of every visit."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


# ---- The live view in a terminal: rate, lag, states, statuses, and the objects whose class has just chang ------------


def view(metrics: Metrics, title: str, shadow: Shadow | None = None) -> Any:
    """Return the view as it stands, for `rich.live.Live`."""
    parts = [Columns([_numbers(metrics), _counts("status", metrics.statuses), _counts("class", metrics.classes)])]
    if metrics.changes:
        parts.append(_changes(metrics))  # type: ignore[arg-type]
    if shadow is not None:
        parts.append(_shadow(shadow))  # type: ignore[arg-type]
    return Panel(Group(*parts), title=title, title_align="left")


def _numbers(metrics: Metrics) -> Table:
    table = Table.grid(padding=(0, 2))
    counts = metrics.counts
    rows = {
        "messages": f"{counts.messages:,}",
        "per second": f"{metrics.rate:,.0f}",
        "objects": f"{sum(metrics.states.values()):,}",
        "lag": f"{sum(metrics.lag.values()):,}" if metrics.lag else "-",
        "batch p50 / p99": f"{metrics.percentile('seconds', 50):.3f} / {metrics.percentile('seconds', 99):.3f} s",
        "answer after p99": f"{metrics.percentile('waited', 99):.2f} s",
        "rebuilt": f"{counts.rebuilt:,}",
        "refused, known": f"{counts.refused:,}, {counts.known:,}",
        "filled from packets": f"{counts.filled:,}",
        "in two partitions": f"[red]{counts.strayed:,}[/]" if counts.strayed else "0",
        "dead letters": f"[red]{counts.dead:,}[/]" if counts.dead else "0",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _counts(name: str, counts: dict[str, int]) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column(name)
    table.add_column("answers", justify="right")
    for each, number in sorted(counts.items(), key=lambda item: -item[1])[:8]:
        table.add_row(each, f"{number:,}")
    return table


def _changes(metrics: Metrics) -> Table:
    table = Table(box=None, padding=(0, 1), title="latest changes of class", title_justify="left", title_style="dim")
    for name in ("object", "was", "is", "probability", "observations"):
        table.add_column(name, justify="right" if name in ("probability", "observations") else "left")
    for each in list(metrics.changes)[::-1]:
        p = f"{each['p_max']:.2f}"
        table.add_row(each["object_id"], each["previous_class"], each["class"], p, str(each["n_obs"]))
    return table


def _shadow(shadow: Shadow) -> str:
    report = shadow.report
    worst = ", ".join(f"{a} / {b} {n:,}" for a, b, n in report.worst())
    return (
        f"{shadow.engine.model.name} says another class of {report.disagreement:.1%} of {report.compared:,} answers"
        f"{': ' + worst if worst else ''}"
    )
