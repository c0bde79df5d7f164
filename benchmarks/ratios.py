"""A minute of ratios that must not fall: ``python -m benchmarks.ratios``, part of ``.ci/run``.

Each case is the CPU time of a plain implementation over that of goodricke, in one process and in turns, the fastest run
of each. A ratio more than 20 % below the recorded one is measured again; if it stays there, the exit code is 1. On a
processor without records the ratios are printed only. ``--record`` records them for this one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer
from nifty_ls import lombscargle
from rich.console import Console
from rich.table import Table

from benchmarks import alerts, multiband, reading, variables
from benchmarks.astrafier import Case, light_curves, model, prepared_light_curves
from benchmarks.plain import dense as plain_dense
from benchmarks.plain.astrafier import plain_network
from benchmarks.plain.multiband import classify as plain_multiband
from benchmarks.rubin_packets import rubin_packets
from benchmarks.timing import processor
from goodricke.data.files import atomic_write
from goodricke.io import read
from goodricke.io.packets import decode
from goodricke.preprocess.candidates import CandidateSearch, find_candidates, join_bands
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.multiband import prepare as prepare_multiband

RECORDS = Path(__file__).with_suffix(".json")  # the lowest ratios of several runs, by processor and case
LOWEST = 0.8  # of the recorded ratio
ROUNDS = 5  # the fastest runs of all rounds count
TURNS = 3  # of a round


class Pair(NamedTuple):
    """Two ways to one result."""

    plain: Callable[[], object]
    goodricke: Callable[[], object]


def pairs(folder: Path) -> dict[str, Pair]:
    """Return what is measured; ``folder`` is filled with light curves to read."""
    reading.write(folder, 40, 1171)
    paths = sorted(folder.glob("*.fits"))
    curves = light_curves(100, 1171)
    rows = list(zip(curves.offsets[:-1], curves.offsets[1:], strict=True))
    astrafier = model(Case("forward", False, 2))
    frames, plain = prepared_light_curves(2, 1171), plain_network(astrafier.network)
    batch = frames.batch(np.arange(2))
    sparse = multiband.model()
    steps = prepare_multiband(multiband.light_curves(64, 60, 100), multiband.CONFIG)
    stars = variables.simulated(2, 480, 3285.0)
    search = CandidateSearch(shortest=0.05)
    grid = {"fmin": 1 / 3285, "fmax": 20.0, "Nf": 3 * 3285 * 20, "nterms": 2, "nthreads": 1}
    series = [(one.time, one.value.astype(np.float64), one.error.astype(np.float64)) for one in stars]
    packets = [value for _, value in islice(rubin_packets(alerts.night(40, 34, "gr"), 10), 1000)][-100:]
    return {
        "reading 40 QLP files": Pair(lambda: [plain_dense.read(path) for path in paths], lambda: read(folder)),
        "preparing 100 dense light curves": Pair(
            lambda: [plain_dense.prepare(curves.time[a:b], curves.value[a:b]) for a, b in rows],
            lambda: prepare(curves, DenseConfig()),
        ),
        "ASTRAFier, 2 light curves": Pair(
            torch.inference_mode()(lambda: plain(*batch[:3])), lambda: astrafier.run(frames, np.arange(2))
        ),
        "multi-band ensemble, 64 light curves": Pair(
            lambda: plain_multiband(sparse.network, steps), lambda: sparse.run(steps, np.arange(64))
        ),
        "candidate periods of 2 stars (nifty-ls, two harmonics)": Pair(
            lambda: [lombscargle(*one, **grid) for one in series], lambda: find_candidates(join_bands(stars), search)
        ),
        "decoding 100 Rubin packets (fastavro)": Pair(
            lambda: alerts.decode_plainly(packets, "rubin"), lambda: decode(packets, "rubin")
        ),
    }


def kind_of_processor() -> str:
    """Return the processor's name and instruction set: ratios differ between processors of one name, too."""
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}"


def fastest(pair: Pair) -> tuple[float, float]:
    """Return the CPU seconds of the fastest run of each, in turns after one to warm up."""
    seconds = []
    for _ in range(TURNS + 1):
        turn = []
        for action in pair:
            start = time.process_time()
            action()
            turn.append(time.process_time() - start)
        seconds.append(turn)
    plain, ours = np.min(seconds[1:], axis=0).tolist()
    return plain, ours


def measured(pair: Pair, floor: float) -> float:
    """Return plain / goodricke, measured again while it is below the floor."""
    best = np.full(2, np.inf)
    for _ in range(ROUNDS):
        best = np.minimum(best, fastest(pair))
        if best[0] / best[1] >= floor:
            break
    return float(best[0] / best[1])


def main(
    record: Annotated[bool, typer.Option("--record", help="Record the ratios of this processor.")] = False,
) -> None:
    """Measure ratios against plain implementations; exit 1 if one has fallen by more than 20 %."""
    torch.set_num_threads(1)
    console, records = Console(), json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    kind = kind_of_processor()
    known = records.get(kind, {})
    table, ratios, fallen = Table("plain / goodricke, CPU time", "now", "recorded", title=kind), {}, []
    with TemporaryDirectory() as name:
        for case, pair in pairs(Path(name)).items():
            floor = 0.0 if record else LOWEST * known.get(case, 0.0)
            ratios[case] = round(measured(pair, floor), 2)
            fallen += [case] * (ratios[case] < floor)
            table.add_row(case, f"{ratios[case]:.2f}", f"{known[case]:.2f}" if case in known else "-")
    console.print(table)
    if record:
        atomic_write(RECORDS, json.dumps(records | {kind: ratios}, indent=1) + "\n")
    if fallen:
        console.print(f"More than 20 % below the recorded ratio: {', '.join(fallen)}", style="bold red")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
