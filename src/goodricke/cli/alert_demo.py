"""``goodricke demo alerts``: a broker, a night of alerts and a worker, on this machine, offline; stops by itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from goodricke.alerts.answers import unkept
from goodricke.alerts.broker import broker
from goodricke.alerts.config import InputConfig, OutputConfig, WorkerConfig
from goodricke.alerts.inspect_store import find
from goodricke.alerts.operate import operate
from goodricke.alerts.replay import into_topic, observations
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.io import read

MODEL, PARTITIONS, SHOWN = "ztf-bts", 4, 8
MADE_UP = "simulated supernovae, not real ones: none in ZTF's g and r come with goodricke; --light-curves takes yours"
IDLE = 4.0  # seconds without a message after which the night is over


def run(sources: Sequence[str] | None = None, speed: float | None = None, console: Console | None = None) -> int:
    """Replay light curves as alerts through a broker and a worker, and hold its answers against the whole light curves.

    Parameters
    ----------
    sources : list of str, optional
        Light curves in ZTF's g and r; by default 300 simulated supernovae.
    speed : float, optional
        Days of the stream per second; as fast as it goes by default.

    Returns
    -------
    int
        0 if all answers are those of the whole light curves, 1 if not.
    """
    console = console or Console()
    curves = read(list(sources)) if sources else supernovae(300)
    what = f"{len(curves):,} objects, {len(curves.time):,} observations"
    console.print(f"{what}: {'from ' + ', '.join(sources) if sources else MADE_UP}")
    with TemporaryDirectory() as folder, broker({"alerts": PARTITIONS, "classes": PARTITIONS, "dead": 1}) as address:
        console.print(f"a broker at {address}, topics alerts ({PARTITIONS} partitions) and classes")
        kafka = {"bootstrap.servers": address, "log_level": 0}
        records, days = observations(curves)
        night = threading.Thread(target=into_topic, args=(records, days, "alerts", kafka, speed), daemon=True)
        night.start()
        config = WorkerConfig(
            model=MODEL,
            state=str(Path(folder) / "state"),
            input=InputConfig(topic="alerts"),
            output=OutputConfig(topic="classes", dead_letters="dead"),
            kafka=kafka | {"session.timeout.ms": 6000},
        )
        still = 0.0 if speed is None else float(np.diff(days).max(initial=0.0)) / speed  # a season's gap, in seconds
        metrics = operate(config, console.is_terminal, IDLE + still)
        night.join()
        console.print(f"{metrics.counts.messages:,} messages taken, {metrics.answers:,} answers published")
        return _compare(curves, config.state, console)


def _compare(curves: LightCurves, state: str, console: Console) -> int:
    """Show some objects' last answers beside those of their whole light curves; return 1 if any differ."""
    whole = classify(curves, MODEL)
    table, wrong = Table("object", "observations", "class", "probability", "of the whole light curve"), 0
    for i, name in enumerate(curves.ids):
        found = find(state, name)
        p = (
            np.full(len(whole.classes), np.nan)
            if found is None
            else unkept([found[1].answer], len(whole.classes))["p"][0]
        )
        known = bool(np.isfinite(p).all())
        wrong += known != bool(whole.ok[i]) or (known and bool(np.abs(p - whole.probabilities[i]).max() > 1e-4))
        if known and table.row_count < SHOWN:
            best = int(p.argmax())
            other = f"{whole.classes[best]} {whole.probabilities[i, best]:.4f}"
            table.add_row(name, str(int(curves.n_obs[i])), whole.classes[best], f"{p[best]:.4f}", other)
    console.print(table)
    if wrong:
        console.print(f"[red]{wrong:,} objects have another answer than their whole light curve[/]")
        return 1
    console.print(f"all {len(curves):,} objects have the answer of their whole light curve, to 1e-4")
    return 0


def supernovae(n: int, seed: int = 0) -> LightCurves:
    """Return simulated supernovae of four classes as ZTF would see them in g and r.

    Parameters
    ----------
    n : int
    seed : int
    """
    from goodricke.simulate.sparse import simulate_multiband

    shares = {"SNIA": n // 2, "SNII": 3 * n // 10, "SNIBC": n // 10, "SLSN": n // 10}
    curves = simulate_multiband(shares, "ztf", seed)
    return curves.where(np.isin(curves.band, [curves.bands.index(b) for b in ("g", "r")])).sorted()
