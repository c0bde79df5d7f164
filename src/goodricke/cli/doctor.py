"""``goodricke doctor``: what the package runs on, what is missing, what is broken, and how it is fixed.

Every check stands for itself: whatever it meets, a library that is missing, damaged or of another age, becomes a line
of the report and never stops the others. Nothing heavy is imported but within a check.
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
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from goodricke.data.exit_codes import ExitCode

State = Literal["ok", "note", "missing", "broken"]
SIGN = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[dim]missing[/]", "broken": "[bold red]BROKEN[/]"}
FOR_DEVELOPERS = ("test", "dev")  # extras that a user doesn't need
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE = 5.0  # seconds to wait for a broker or store
LITTLE = 2e9  # bytes on a disk that a catalog or a cache soon fills


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Parameters
    ----------
    section, name : str
        What was looked at.
    state : {"ok", "note", "missing", "broken"}
        A note is worth reading; what is missing is an extra, and no fault.
    found : str
    fix : str
        What to do about it, or when it matters.
    """

    section: str
    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """All lines."""

    checks: tuple[Check, ...]

    @property
    def broken(self) -> bool:
        """Whether anything is."""
        return any(check.state == "broken" for check in self.checks)

    def to_json(self) -> str:
        """Return the report for programs."""
        return json.dumps({"well": not self.broken, "checks": [asdict(check) for check in self.checks]}, indent=2)


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
    report = examine(verify, broker, redis)
    show(report, as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if report.broken else ExitCode.DONE)


def examine(verify: bool = False, broker: str | None = None, redis: str | None = None) -> Report:
    """Make all checks.

    Parameters
    ----------
    verify : bool
        Recompute the recorded outputs of the shipped models.
    broker, redis : str, optional
        ``HOST:PORT`` of a Kafka broker and ``redis://HOST:PORT/DB``, asked only if given.
    """
    parts: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("versions", versions),
        ("extras", extras),
        ("device", devices),
        ("threads", threads),
        ("memory", memory),
        ("models", lambda: models(verify)),
        ("disk", disk),
    ]
    parts += [("stream", lambda: ask_broker(broker))] if broker else []
    parts += [("stream", lambda: ask_redis(redis))] if redis else []
    return Report(tuple(check for section, make in parts for check in guarded(section, make)))


def guarded(section: str, make: Callable[[], Iterator[Check]], name: str = "") -> list[Check]:
    """Return the checks that a function makes; what stops it becomes the last of them, called ``name``."""
    done: list[Check] = []
    try:
        for check in make():
            done.append(check)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a damaged library may even try to leave the program
        reason = f"{type(error).__name__}: {error}"
        done.append(
            Check(
                section, name or section, "broken", reason, "install it anew: pip install --force-reinstall goodricke"
            )
        )
    return done


def show(report: Report, as_json: bool = False) -> None:
    """Print the report as a table, or as JSON; plainly where rich doesn't work."""
    if as_json:
        print(report.to_json())
        return
    try:
        _print_table(report)
    except Exception:
        for check in report.checks:
            print(f"{check.section}\t{check.name}\t{check.state}\t{check.found}\t{check.fix}")


def _print_table(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table, last = Table(title="goodricke doctor", title_justify="left"), ""
    for name in ("", "what", "", "found", "fix, or when it matters"):
        table.add_column(name, overflow="fold")
    for check in report.checks:
        if check.section != last and last:
            table.add_section()
        section = check.section if check.section != last else ""
        last = check.section
        table.add_row(section, escape(check.name), SIGN[check.state], escape(check.found), escape(check.fix))
    console = Console()
    console.print(table)
    counts = {state: sum(check.state == state for check in report.checks) for state in SIGN}
    console.print(", ".join(f"{n} {state}" for state, n in counts.items() if n))


# ---- what is installed --------------------------------------------------------------------------------------------


def versions() -> Iterator[Check]:
    """Look at goodricke, Python and the packages that it can't do without."""
    from goodricke import __version__

    yield Check("versions", "goodricke", "ok", f"{__version__} in {Path(__file__).parent}")
    yield Check("versions", "python", "ok", f"{platform.python_version()}, {sys.executable}, {platform.platform()}")
    for requirement in _requirements():
        if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
            state, found = _installed(requirement)
            state = "broken" if state == "missing" else state
            yield Check("versions", requirement.name, state, found, _pip(requirement) if state != "ok" else "")


def extras() -> Iterator[Check]:
    """Look at what can be installed beside."""
    names = [x for x in metadata.metadata("goodricke").get_all("Provides-Extra") or () if x not in FOR_DEVELOPERS]
    if not names:
        yield Check("extras", "all", "note", "the installation doesn't know of any", "install goodricke anew")
    for extra in names:
        own = [r for r in _requirements() if r.marker and r.marker.evaluate({"extra": extra})]
        own = [r for r in own if not r.marker.evaluate({"extra": ""}) and r.name != "goodricke"]
        found = {r.name: _installed(r) for r in own}
        wanting = [name for name, (state, _) in found.items() if state != "ok"]
        told = ", ".join(f"{name} {text}" for name, (_, text) in found.items() if name not in wanting or text != "none")
        lacking = ", ".join(name for name in wanting if found[name][1] == "none")
        told = "; ".join(part for part in (told, f"without {lacking}" if lacking else "") if part)
        yield Check("extras", extra, "missing" if wanting else "ok", told, _extra_pip(extra) if wanting else "")


def _requirements() -> list[Any]:
    from packaging.requirements import Requirement

    return [Requirement(text) for text in metadata.requires("goodricke") or ()]


def _installed(requirement: Any) -> tuple[State, str]:
    """Return whether a package is there in a version that will do, and which."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "missing", "none"
    if requirement.specifier.contains(version, prereleases=True):
        return "ok", version
    return "broken", f"{version}, wanted {requirement.specifier}"


def _pip(requirement: Any) -> str:
    return f"pip install '{requirement.name}{requirement.specifier}'"


def _extra_pip(extra: str) -> str:
    return f"pip install 'goodricke[{extra}]'"


# ---- what it runs on ----------------------------------------------------------------------------------------------


def devices() -> Iterator[Check]:
    """Look at processors and GPUs."""
    import torch

    kind = _processor() or platform.machine()
    yield Check("device", "cpu", "ok", f"{kind}, {_cores()} of {os.cpu_count()} cores for this process")
    capability = torch.backends.cpu.get_cpu_capability()
    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    matrix_units = "AMX (used with --precision bfloat16)" if abilities.get("amx_bf16") else "no AMX"
    yield Check("device", "instructions", "ok", f"{capability}, {matrix_units}")
    if not torch.cuda.is_available():
        fix = (
            "--device cuda needs a driver, and a torch built with CUDA"
            if torch.version.cuda is None
            else ("torch has CUDA, but sees no GPU: look at nvidia-smi, the driver and CUDA_VISIBLE_DEVICES")
        )
        yield Check("device", "gpu", "missing", f"none, torch {torch.__version__}", fix)
    for k in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(k)
        size = f"{about.total_memory / 2**30:.0f} GiB, compute capability {about.major}.{about.minor}"
        works = float(torch.ones(2, device=f"cuda:{k}").sum()) == 2
        yield Check("device", f"cuda:{k}", "ok" if works else "broken", f"{about.name}, {size}", "--device cuda")


def _processor() -> str:
    """Return the processor's name as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _cores() -> int:
    """Return the cores that this process may use: of those that it is bound to, as many as its container pays for."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(min(bound, round(int(quota) / int(period))), 1)
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return bound


def threads() -> Iterator[Check]:
    """Look at how many threads a process will take, and what was said of it."""
    import torch

    cores, taken = _cores(), torch.get_num_threads()
    fix = ""
    if taken > cores:
        fix = f"more threads than cores slow it down: export OMP_NUM_THREADS={cores}"
    elif taken < cores:
        fix = "for one process alone, all cores are faster: unset OMP_NUM_THREADS; for several (--workers), it is right"
    yield Check("threads", "torch", "note" if taken > cores else "ok", f"{taken} for {cores} cores", fix)
    said = {name: os.environ[name] for name in THREADS if name in os.environ}
    wrong = [name for name, value in said.items() if not value.isdigit() or int(value) < 1]
    found = ", ".join(f"{name}={value}" for name, value in said.items()) or "nothing set"
    fix = f"{', '.join(wrong)}: must be a whole number from 1 on" if wrong else ""
    yield Check("threads", "environment", "note" if wrong else "ok", found, fix)


def memory() -> Iterator[Check]:
    """Look at memory, and whether freed blocks can be kept for the next tensor."""
    from goodricke.models.runtime.memory import keep_freed_memory

    whole, free = (os.sysconf("SC_PAGE_SIZE") * os.sysconf(name) for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    yield Check("memory", "of the machine", "ok", f"{whole / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it unused")
    kept = keep_freed_memory()
    found = "glibc: the commands keep freed blocks" if kept else "not glibc's: freed blocks go back to the system"
    fix = "" if kept else "passes of ASTRAFier on a CPU take about a quarter longer"
    yield Check("memory", "allocator", "ok" if kept else "note", found, fix)


# ---- models and disks ---------------------------------------------------------------------------------------------


def models(verify: bool) -> Iterator[Check]:
    """Look at the models that come with the package, each for itself."""
    from goodricke.models.hub import SHIPPED, shipped_models

    names = shipped_models()
    if not names:
        yield Check("models", "shipped", "broken", f"none in {SHIPPED}", "pip install --force-reinstall goodricke")
    for name in names:
        yield from guarded("models", lambda name=name: iter([_model(name, verify)]), name)  # type: ignore[misc]


def _model(name: str, verify: bool) -> Check:
    from goodricke.models.bundle import load_model, verify_model

    try:
        model = load_model(name)
        found = f"{model.hash}, {len(model.classes)} classes, {model.config.family}"
        worst = f", recorded logits reproduced to {verify_model(model):.1e}" if verify else ""
    except (ValueError, OSError) as error:
        return Check("models", name, "broken", str(error), "pip install --force-reinstall goodricke")
    return Check("models", name, "ok", found + worst, "" if verify else "loads; --verify also recomputes its outputs")


def disk() -> Iterator[Check]:
    """Look at the places where something is written, and the room there."""
    yield _place("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a disk with room")
    yield _place("here", Path.cwd(), "work in a folder of your own, on a disk with room", must=False)
    home = Path(os.environ.get("HF_HOME", Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
    kept = sorted(path.name.removeprefix("models--").replace("--", "/") for path in hub.glob("models--*--*"))
    offline = "; HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") else ""
    yield Check("disk", "hub cache", "ok", f"{hub}: {', '.join(kept) or 'no model'}{offline}", "HF_HOME moves it")


def _place(name: str, path: Path, fix: str, must: bool = True) -> Check:
    """Return whether a folder can be written to, and the room in it."""
    free = shutil.disk_usage(path).free
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return Check("disk", name, "broken" if must else "note", f"{path} can't be written to ({error})", fix)
    little = free < LITTLE
    return Check("disk", name, "note" if little else "ok", f"{path}, {free / 1e9:.1f} GB free", fix if little else "")


# ---- what a stream needs, if asked for ----------------------------------------------------------------------------


def ask_broker(address: str) -> Iterator[Check]:
    """Ask a Kafka broker for its topics."""
    try:
        from confluent_kafka.admin import AdminClient
    except ImportError as error:
        yield Check("stream", "broker", "broken", str(error), _extra_pip("alerts"))
        return
    try:
        quiet: dict[str, Any] = {
            "bootstrap.servers": address,
            "socket.timeout.ms": int(1000 * PATIENCE),
            "log_level": 0,
        }
        topics = AdminClient(quiet).list_topics(timeout=PATIENCE).topics
    except Exception as error:
        told = error.args[0].str() if error.args and hasattr(error.args[0], "str") else error
        yield Check("stream", "broker", "broken", f"{address}: {told}", "is it running, and the address right?")
        return
    yield Check("stream", "broker", "ok", f"{address}: {len(topics)} topics ({', '.join(sorted(topics)[:8])})")


def ask_redis(address: str) -> Iterator[Check]:
    """Ask a store whether it is there."""
    try:
        import redis
    except ImportError as error:
        yield Check("stream", "redis", "broken", str(error), _extra_pip("alerts"))
        return
    try:
        client: Any = redis.Redis.from_url(address, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
        version = client.info("server")["redis_version"]
    except Exception as error:
        yield Check("stream", "redis", "broken", f"{address}: {error}", "is it running, and the address right?")
        return
    yield Check("stream", "redis", "ok", f"{address}: version {version}")
