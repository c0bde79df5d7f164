"""``goodricke demo alerts``: a broker, a night of alerts and a worker, on this machine, offline; stops by itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from goodricke.alerts.answers import unpack_answers
from goodricke.alerts.inspect_store import find_record
from goodricke.alerts.local_broker import local_broker
from goodricke.alerts.replay import feed_topic, observation_times, slim_packets
from goodricke.alerts.stream import run_worker
from goodricke.alerts.worker_config import InputConfig, OutputConfig, WorkerConfig
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.io import read

MODEL, PARTITIONS, SHOWN, TOLERANCE = "ztf-bts", 4, 8, 1e-4
SIMULATED = "simulated supernovae, not real ones: none in ZTF's g and r come with goodricke; --light-curves takes yours"
IDLE = 4.0  # seconds without a message after which the night is over


def run(sources: Sequence[str] | None = None, speed: float | None = None, console: Console | None = None) -> int:
    """Replay light curves as alerts through a broker and a worker; compare its answers with the whole light curves'.

    Parameters
    ----------
    sources : list of str, optional
        Light curves in ZTF's g and r; by default 300 simulated supernovae.
    speed : float, optional
        Days of the stream per second; unlimited by default.

    Returns
    -------
    int
        0 if all answers are those of the whole light curves, 1 if not.
    """
    console = console or Console()
    curves = read(list(sources)) if sources else supernovae(300)
    size = f"{len(curves):,} objects, {len(curves.time):,} observations"
    console.print(f"{size}: {'from ' + ', '.join(sources) if sources else SIMULATED}")
    topics = {"alerts": PARTITIONS, "classes": PARTITIONS, "dead": 1}
    with TemporaryDirectory() as folder, local_broker(topics) as address:
        console.print(f"a broker at {address}, topics alerts ({PARTITIONS} partitions) and classes")
        kafka = {"bootstrap.servers": address, "log_level": 0}
        days = observation_times(curves)
        night = threading.Thread(
            target=feed_topic, args=(slim_packets(curves), days, "alerts", kafka, speed), daemon=True
        )
        night.start()
        config = WorkerConfig(
            model=MODEL,
            state=str(Path(folder) / "state"),
            input=InputConfig(topic="alerts"),
            output=OutputConfig(topic="classes", dead_letters="dead"),
            kafka=kafka | {"session.timeout.ms": 6000},
        )
        gap = 0.0 if speed is None else float(np.diff(days).max(initial=0.0)) / speed  # between seasons [s]
        metrics = run_worker(config, console.is_terminal, IDLE + gap)
        night.join()
        console.print(f"{metrics.counts.messages:,} messages processed, {metrics.answers:,} answers published")
        return _compare(curves, config.state, console)


def _compare(curves: LightCurves, state: str, console: Console) -> int:
    """Print some objects' last answers beside those of their whole light curves; return 1 if any differ."""
    expected = classify(curves, MODEL)
    table = Table("object", "observations", "class", "probability", "of the whole light curve")
    n_differing = 0
    for i, name in enumerate(curves.ids):
        record = find_record(state, name)
        p = np.full(len(expected.classes), np.nan) if record is None else unpack_answers([record[1].answer])["p"][0]
        known, difference = bool(np.isfinite(p).all()), np.abs(p - expected.probabilities[i]).max()
        n_differing += known != bool(expected.ok[i]) or (known and bool(difference > TOLERANCE))
        if known and table.row_count < SHOWN:
            best = int(p.argmax())
            text = f"{expected.classes[best]} {expected.probabilities[i, best]:.4f}"
            table.add_row(name, str(int(curves.n_obs[i])), expected.classes[best], f"{p[best]:.4f}", text)
    console.print(table)
    if n_differing:
        console.print(f"[red]{n_differing:,} objects have another answer than their whole light curve[/]")
        return 1
    console.print(f"all {len(curves):,} objects have the answer of their whole light curve, to {TOLERANCE:g}")
    return 0


def supernovae(n: int, seed: int = 0) -> LightCurves:
    """Return about ``n`` simulated supernovae of four classes as ZTF would see them in g and r."""
    from goodricke.simulate.sparse import simulate_multiband

    shares = {"SNIA": n // 2, "SNII": 3 * n // 10, "SNIBC": n // 10, "SLSN": n // 10}
    curves = simulate_multiband(shares, "ztf", seed)
    return curves.where(np.isin(curves.band, [curves.bands.index(b) for b in ("g", "r")])).sorted()
