"""The command ``goodricke doctor``: what the package runs on, what is missing or broken, and the fix.

The checks are independent: whatever one raises, because a library is missing, damaged or too old, becomes a line of
the report and never stops the others. Heavy imports stand within the checks.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from goodricke.data.exit_codes import ExitCode

State = Literal["ok", "note", "missing", "broken"]
SIGN = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[dim]missing[/]", "broken": "[bold red]BROKEN[/]"}
FOR_DEVELOPERS = ("test", "dev")  # extras that a user doesn't need
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
TIMEOUT = 5.0  # seconds to wait for a broker or store
LOW_SPACE = 2e9  # bytes on a disk that a catalog or a cache soon fills
REINSTALL = "pip install --force-reinstall goodricke"
IS_IT_RUNNING = "is it running, and the address right?"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Parameters
    ----------
    section, name : str
        What was checked.
    state : {"ok", "note", "missing", "broken"}
        A note is worth reading; a missing extra is no fault.
    value : str
        The version, device, size, ... or what is wrong.
    fix : str
        What to do about it, or when it matters.
    """

    section: str
    name: str
    state: State
    value: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """All lines of the report."""

    checks: tuple[Check, ...]

    @property
    def broken(self) -> bool:
        """Whether any check is."""
        return any(check.state == "broken" for check in self.checks)

    def to_json(self) -> str:
        """Return the report for programs."""
        return json.dumps({"ok": not self.broken, "checks": [asdict(check) for check in self.checks]}, indent=2)


def doctor(
    verify: Annotated[
        bool, typer.Option("--verify", help="Also recompute the shipped models' recorded outputs (seconds)")
    ] = False,
    broker: Annotated[str | None, typer.Option(help="Also check this Kafka broker, HOST:PORT")] = None,
    redis: Annotated[str | None, typer.Option(help="Also check this store, redis://HOST:PORT/DB")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, and for bug reports")] = False,
) -> None:
    """Check what goodricke runs on: versions, devices, threads, extras, models, caches; and say what to fix.

    Exit code: 0 all well (missing extras are no fault), 3 something is broken.
    """
    report = make_report(verify, broker, redis)
    print_report(report, as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if report.broken else ExitCode.DONE)


def make_report(verify: bool = False, broker: str | None = None, redis: str | None = None) -> Report:
    """Run all checks.

    Parameters
    ----------
    verify : bool
        Recompute the recorded outputs of the shipped models.
    broker, redis : str, optional
        ``HOST:PORT`` of a Kafka broker and ``redis://HOST:PORT/DB``; checked only if given.
    """
    sections: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("versions", versions),
        ("extras", extras),
        ("device", devices),
        ("threads", threads),
        ("memory", memory),
        ("models", lambda: models(verify)),
        ("disk", disk),
    ]
    sections += [("stream", lambda: check_broker(broker))] if broker else []
    sections += [("stream", lambda: check_redis(redis))] if redis else []
    return Report(tuple(check for section, checks in sections for check in run_checks(section, checks)))


def run_checks(section: str, checks: Callable[[], Iterator[Check]], name: str = "") -> Iterator[Check]:
    """Give the checks of a section; an exception ends them with a broken one, called ``name``."""
    try:
        yield from checks()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a damaged library may even raise SystemExit
        yield Check(section, name or section, "broken", f"{type(error).__name__}: {error}", REINSTALL)


def print_report(report: Report, as_json: bool = False) -> None:
    """Print the report as a table or as JSON; as plain text where rich doesn't work."""
    if as_json:
        print(report.to_json())
        return
    try:
        _print_table(report)
    except Exception:
        for check in report.checks:
            print(f"{check.section}\t{check.name}\t{check.state}\t{check.value}\t{check.fix}")


def _print_table(report: Report) -> None:
    """Print the lines of each section: name, state, value, and what to do in the next line."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for section, checks in groupby(report.checks, lambda check: check.section):
        table.add_row(f"[bold]{section}[/]")
        for check in checks:
            value = escape(check.value) + (f"\n[dim]->[/] {escape(check.fix)}" if check.fix else "")
            table.add_row(f"  {escape(check.name)}", SIGN[check.state], value)
    console = Console()
    console.print(table)
    counts = {state: sum(check.state == state for check in report.checks) for state in SIGN}
    console.print(", ".join(f"{n} {state}" for state, n in counts.items() if n))
    if any((check.section, check.state) == ("extras", "missing") for check in report.checks):
        console.print("Missing extras are optional: install one when a command asks for it.")


# ---- what is installed --------------------------------------------------------------------------------------------


def versions() -> Iterator[Check]:
    """Check goodricke, Python and the packages that goodricke requires."""
    from goodricke import __version__

    yield Check("versions", "goodricke", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Check("versions", "python", "ok", f"{platform.python_version()}, {sys.executable}, {platform.platform()}")
    for requirement in _requirements():
        if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
            state, version = _installed(requirement)
            fix = "" if state == "ok" else f"pip install '{requirement.name}{requirement.specifier}'"
            yield Check("versions", requirement.name, "broken" if state == "missing" else state, version, fix)


def extras() -> Iterator[Check]:
    """Check the optional packages, extra by extra."""
    names = [x for x in metadata.metadata("goodricke").get_all("Provides-Extra") or () if x not in FOR_DEVELOPERS]
    if not names:
        yield Check("extras", "all", "note", "the installation lists none", REINSTALL)
    for extra in names:
        own = [r for r in _requirements() if r.marker and r.marker.evaluate({"extra": extra})]
        own = [r for r in own if not r.marker.evaluate({"extra": ""}) and r.name != "goodricke"]
        versions = {r.name: _installed(r) for r in own}
        complete = all(state == "ok" for state, _ in versions.values())
        missing = ", ".join(name for name, (state, _) in versions.items() if state == "missing")
        value = ", ".join(f"{name} {version}" for name, (state, version) in versions.items() if state != "missing")
        value = "; ".join(part for part in (value, f"without {missing}" if missing else "") if part)
        yield Check("extras", extra, "ok" if complete else "missing", value, "" if complete else _pip_extra(extra))


def _requirements() -> list[Any]:
    from packaging.requirements import Requirement

    return [Requirement(text) for text in metadata.requires("goodricke") or ()]


def _installed(requirement: Any) -> tuple[State, str]:
    """Return whether a package is installed in a suitable version, and the version."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "missing", "none"
    if requirement.specifier.contains(version, prereleases=True):
        return "ok", version
    return "broken", f"{version}, wanted {requirement.specifier}"


def _pip_extra(extra: str) -> str:
    return f"pip install 'goodricke[{extra}]'"


# ---- hardware ------------------------------------------------------------------------------------------------------


def devices() -> Iterator[Check]:
    """Check processors and GPUs."""
    import torch

    kind = _processor() or platform.machine()
    yield Check("device", "cpu", "ok", f"{kind}, {_cores()} of {os.cpu_count()} cores for this process")
    capability = torch.backends.cpu.get_cpu_capability()
    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    matrix_units = "AMX (used with --precision bfloat16)" if abilities.get("amx_bf16") else "no AMX"
    yield Check("device", "instructions", "ok", f"{capability}, {matrix_units}")
    if not torch.cuda.is_available():
        fix = "torch has CUDA, but sees no GPU: check nvidia-smi, the driver and CUDA_VISIBLE_DEVICES"
        if torch.version.cuda is None:
            fix = "--device cuda needs a driver, and a torch built with CUDA"
        yield Check("device", "gpu", "missing", f"none, torch {torch.__version__}", fix)
    for k in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        gpu = torch.cuda.get_device_properties(k)
        size = f"{gpu.total_memory / 2**30:.0f} GiB, compute capability {gpu.major}.{gpu.minor}"
        works = float(torch.ones(2, device=f"cuda:{k}").sum()) == 2
        yield Check("device", f"cuda:{k}", "ok" if works else "broken", f"{gpu.name}, {size}", "--device cuda")


def _processor() -> str:
    """Return the processor's name, from Linux's /proc where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _cores() -> int:
    """Return the number of cores that this process may use: its affinity, limited by the quota of its container."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(min(bound, round(int(quota) / int(period))), 1)
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return bound


def threads() -> Iterator[Check]:
    """Check the number of threads per process, and the environment variables that set it."""
    import torch

    cores, count = _cores(), torch.get_num_threads()
    fix = ""
    if count > cores:
        fix = f"more threads than cores slow it down: export OMP_NUM_THREADS={cores}"
    elif count < cores:
        fix = "a single process is faster with all cores: unset OMP_NUM_THREADS; several (--workers) need it as it is"
    yield Check("threads", "torch", "note" if count > cores else "ok", f"{count} for {cores} cores", fix)
    variables = {name: os.environ[name] for name in THREADS if name in os.environ}
    wrong = [name for name, value in variables.items() if not value.isdigit() or int(value) < 1]
    value = ", ".join(f"{name}={value}" for name, value in variables.items()) or "nothing set"
    fix = f"{', '.join(wrong)}: must be a whole number from 1 on" if wrong else ""
    yield Check("threads", "environment", "note" if wrong else "ok", value, fix)


def memory() -> Iterator[Check]:
    """Check memory, and whether the C library can keep freed blocks for the next tensor."""
    from goodricke.models.runtime.memory import keep_freed_memory

    total, free = (os.sysconf("SC_PAGE_SIZE") * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    yield Check("memory", "machine", "ok", f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB unused")
    if keep_freed_memory():
        yield Check("memory", "allocator", "ok", "glibc: the commands keep freed blocks")
    else:
        value = "not glibc's: freed blocks go back to the system"
        yield Check("memory", "allocator", "note", value, "passes of ASTRAFier on a CPU take about a quarter longer")


# ---- models and disks ---------------------------------------------------------------------------------------------


def models(verify: bool) -> Iterator[Check]:
    """Check the models that come with the package, one by one."""
    from goodricke.models.hub import SHIPPED, shipped_models

    names = shipped_models()
    if not names:
        yield Check("models", "shipped", "broken", f"none in {SHIPPED}", REINSTALL)
    for name in names:
        yield from run_checks("models", lambda name=name: iter([_model(name, verify)]), name)  # type: ignore[misc]


def _model(name: str, verify: bool) -> Check:
    from goodricke.models.bundle import load_model, verify_model

    try:
        model = load_model(name)
        value = f"loads; {model.hash}, {len(model.classes)} classes, {model.config.family}"
        value += f", recorded logits reproduced to {verify_model(model):.1e}" if verify else ""
    except (ValueError, OSError) as error:
        return Check("models", name, "broken", str(error), REINSTALL)
    return Check("models", name, "ok", value)


def disk() -> Iterator[Check]:
    """Check the folders that commands write to, and the space there."""
    yield _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a disk with space")
    yield _folder("working folder", Path.cwd(), "work in a folder of your own, on a disk with space", required=False)
    home = Path(os.environ.get("HF_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    cached = sorted(path.name.removeprefix("models--").replace("--", "/") for path in hub.glob("models--*--*"))
    offline = "; HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
    yield Check("disk", "hub cache", "ok", f"{hub}: {', '.join(cached) or 'no model'}{offline}", "HF_HOME moves it")


def _folder(name: str, path: Path, fix: str, required: bool = True) -> Check:
    """Return whether a folder can be written to, and the space on its disk."""
    free = shutil.disk_usage(path).free
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return Check("disk", name, "broken" if required else "note", f"{path} can't be written to ({error})", fix)
    low = free < LOW_SPACE
    return Check("disk", name, "note" if low else "ok", f"{path}, {free / 1e9:.1f} GB free", fix if low else "")


# ---- streams, if their address is given ---------------------------------------------------------------------------


def check_broker(address: str) -> Iterator[Check]:
    """Check whether a Kafka broker lists its topics."""
    try:
        from confluent_kafka.admin import AdminClient
    except ImportError as error:
        yield Check("stream", "broker", "broken", str(error), _pip_extra("alerts"))
        return
    try:
        timeout = int(1000 * TIMEOUT)
        client = AdminClient({"bootstrap.servers": address, "socket.timeout.ms": timeout, "log_level": 0})
        topics = client.list_topics(timeout=TIMEOUT).topics
    except Exception as error:
        reason = error.args[0].str() if error.args and hasattr(error.args[0], "str") else error
        yield Check("stream", "broker", "broken", f"{address}: {reason}", IS_IT_RUNNING)
        return
    yield Check("stream", "broker", "ok", f"{address}: {len(topics)} topics ({', '.join(sorted(topics)[:8])})")


def check_redis(address: str) -> Iterator[Check]:
    """Check whether a Redis store answers."""
    from goodricke.alerts.store import without_password

    try:
        import redis
    except ImportError as error:
        yield Check("stream", "redis", "broken", str(error), _pip_extra("alerts"))
        return
    shown = without_password(address)
    try:
        client: Any = redis.Redis.from_url(address, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        version = client.info("server")["redis_version"]
    except Exception as error:
        yield Check("stream", "redis", "broken", f"{shown}: {error}", IS_IT_RUNNING)
        return
    yield Check("stream", "redis", "ok", f"{shown}: version {version}")
