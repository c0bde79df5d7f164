"""The commands ``goodricke alerts ...``: parse, call, print."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.options import Band, console, guarded, read_options
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions

app = typer.Typer(
    no_args_is_help=True,
    help="Classify a live stream: Kafka in, state per object, answers out, nothing lost.\n\n"
    "Try [bold]goodricke demo alerts[/], then [bold]goodricke alerts run --example > worker.toml[/].",
)
state = typer.Typer(no_args_is_help=True, help="Look into a store of states.")
app.add_typer(state, name="state")


class Photometry(StrEnum):
    """What of a packet is the brightness."""

    total = "total"
    difference = "difference"


LIBRARIES = ("cimpl", "confluent_kafka", "redis", "lmdb")  # whose errors are neither OSError nor RuntimeError

Where = Annotated[str, typer.Argument(help="Folder of the store, or redis://HOST:PORT/DB", show_default=False)]
Model = Annotated[
    str,
    typer.Option(help="Multi-band model (see `goodricke models list`), folder or hub id", autocompletion=completions),
]
Shadow = Annotated[
    str | None,
    typer.Option(help="A second model to compare with", show_default=False, autocompletion=completions),
]


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="TOML file; see --example", show_default=False)] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented configuration to start from")] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show what happens in the terminal")] = True,
    idle: Annotated[
        float | None, typer.Option(help="Stop when nothing has come for so many seconds", show_default=False)
    ] = None,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log a line of JSON per event to standard error, and no live view")
    ] = False,
    log_every: Annotated[float, typer.Option(min=0, help="Seconds between summaries in the log")] = 60.0,
) -> None:
    """Work on a stream until stopped (Ctrl-C, SIGTERM); start as many workers of a group as you like.

    Killed at any moment, a worker's partitions go to the others, or to the next that is started: no message is lost,
    none counts twice. Exit code: 0 stopped as asked, 2 wrong usage, or the broker or the store failed.
    """
    from goodricke.alerts.config import EXAMPLE, read_config

    if example or config is None:
        typer.echo(EXAMPLE, nl=False)
        if not example:
            typer.echo("goodricke: say --config FILE.toml; above is one to start from", err=True)
        raise typer.Exit(ExitCode.DONE if example else ExitCode.USAGE)

    def work() -> int:
        from goodricke.alerts.events import as_json, failed, secrets_of
        from goodricke.alerts.operate import operate

        told = read_config(config)
        if not log_json:
            operate(told, live, idle, log_every)
            return ExitCode.DONE
        with as_json(secrets_of(told.kafka)):
            try:
                operate(told, False, idle, log_every)
            except Exception as error:
                failed(error)
                return ExitCode.USAGE
        return ExitCode.DONE

    raise typer.Exit(_guarded(work))


@app.command()
def replay(
    sources: Annotated[list[str], typer.Argument(help="Light curves, as for classify", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="Straight into the engine with this model", autocompletion=completions)
    ] = None,
    state: Annotated[str, typer.Option(help="Store: folder, redis://..., or memory: for none")] = "memory:",
    half: Annotated[bool, typer.Option("--half", help="Cells in float16")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="To the input topic of this worker's configuration instead")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the last answers: .parquet, .csv or .json")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Days of the stream per second  [default: as fast as it goes]")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Messages at once")] = 1000,
    shadow: Shadow = None,
    unit: Annotated[str | None, typer.Option(help="Unit of the brightness, where the files don't tell")] = None,
    band: Band = None,
    packets: Annotated[
        bool, typer.Option("--packets", help="The sources are .avro files of alerts: send these as they are")
    ] = False,
    photometry: Annotated[
        Photometry, typer.Option(help="With --packets and --model: brightness of the source, or its change")
    ] = Photometry.total,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show what happens in the terminal")] = True,
) -> None:
    """Feed archived light curves as a stream, observation by observation in order of time.

    With --model straight into an engine (and --state to keep what comes of it), with --to onto a topic. With --packets
    the surveys' own packets, images and all.
    """
    if (model is None) == (to is None):
        raise typer.BadParameter("give --model to run an engine here, or --to CONFIG to send to its topic")

    def work() -> int:
        from goodricke.alerts import operate

        options = read_options(band=band, unit=unit)
        if out is not None:
            operate.check_writable(out)
        stream = operate.packets(sources, photometry.value) if packets else operate.light_curves(sources, options)
        if to is not None:
            return operate.send(stream, to, speed)
        return operate.replay(stream, str(model), state, half, out, speed, batch, shadow, live)

    raise typer.Exit(_guarded(work))


@state.command("ls")
def list_(where: Where) -> None:
    """List the partitions: objects, offset, bytes per object; of a shadow also how often the two models disagree."""
    from goodricke.alerts.inspect_store import disagreement, listing

    def work() -> None:
        console().print(listing(where))
        report = disagreement(where)
        if report is not None:
            worst = ", ".join(f"{a} / {b} {n:,}" for a, b, n in report.worst())
            told = f"another class than the first model's in {report.disagreement:.1%} of {report.compared:,} answers"
            alone = f"; {report.alone:,} messages without answers to compare with" if report.alone else ""
            console().print(f"{told}{': ' + worst if worst else ''}{alone}")

    _show(work)


@state.command()
def show(where: Where, object_id: str) -> None:
    """Show what is kept of an object."""
    from goodricke.alerts.inspect_store import described, find
    from goodricke.alerts.store import without_password

    def work() -> int:
        found = find(where, object_id)
        if found is None:
            raise ValueError(f"{without_password(where)}: nothing is kept of {object_id}")
        for name, value in described(*found).items():
            console().print(f"{name:>14}  {value}", markup=False)
        return ExitCode.DONE

    raise typer.Exit(_guarded(work))


@state.command()
def export(
    where: Where,
    out: Annotated[Path, typer.Option(help="A .parquet file", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="For the names of the classes", show_default=False, autocompletion=completions)
    ] = None,
) -> None:
    """Write a row per object: last answer, number of observations, position; without the states themselves."""
    from goodricke.alerts.inspect_store import export as write

    def work() -> None:
        from goodricke.models.bundle import read_config

        rows = write(where, out, read_config(model).classes if model else ())
        console().print(f"{rows:,} objects written to {out}")

    _show(work)


@state.command()
def verify(where: Where) -> None:
    """Check the version and checksum of every record. Exit code: 0 all sound, 3 some are not."""
    from goodricke.alerts.inspect_store import verify as check

    def work() -> int:
        sound, wrong = check(where)
        for each in wrong[:20]:
            console().print(each, markup=False)
        console().print(f"{sound:,} records are sound, {len(wrong):,} are not")
        return ExitCode.SOME_FAILED if wrong else ExitCode.DONE

    raise typer.Exit(_guarded(work))


@state.command()
def expire(
    where: Where,
    days: Annotated[float, typer.Option(min=0, help="Without news", show_default=False)],
) -> None:
    """Delete objects without news for so many days, while no worker is on the store."""
    from goodricke.alerts.inspect_store import expire as delete

    _show(lambda: console().print(f"{delete(where, days):,} objects deleted"))


@state.command()
def compact(where: Where, out: Annotated[Path, typer.Option(help="An empty folder", show_default=False)]) -> None:
    """Write a copy of a folder's store without holes."""
    from goodricke.alerts.inspect_store import compact as write

    def work() -> None:
        before, after = write(where, out)
        console().print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB in {out}")

    _show(work)


def _guarded(work: Callable[[], int]) -> int:
    """Run a command; errors of the broker and the store are told in a line, too."""

    def told() -> int:
        try:
            return work()
        except Exception as error:
            if type(error).__module__.partition(".")[0] in LIBRARIES:
                fix = ". Fix: is it running, and the address right?" if "onnect" in f"{type(error)} {error}" else ""
                raise RuntimeError(f"{type(error).__name__}: {str(error).rstrip('.')}{fix}") from error
            raise

    return guarded(told)


def _show(action: Callable[[], Any]) -> None:
    def work() -> int:
        action()
        return ExitCode.DONE

    raise typer.Exit(_guarded(work))
