"""The live view in a terminal: rate, lag, states, statuses, and the objects whose class has just changed."""

from __future__ import annotations

from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table

from goodricke.alerts.metrics import Metrics
from goodricke.alerts.shadow import Shadow


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
