"""The commands ``goodricke alerts ...``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Band, console, exit_with, read_options
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions

app = typer.Typer(
    no_args_is_help=True,
    help="Classify a live stream: Kafka in, state per object, answers out, nothing lost.\n\n"
    "Try [bold]goodricke demo alerts[/], then [bold]goodricke alerts run --example > worker.toml[/].",
)
state = typer.Typer(no_args_is_help=True, help="Inspect and maintain a state store.")
app.add_typer(state, name="state")


class Photometry(StrEnum):
    """Which brightness of a packet is used."""

    total = "total"
    difference = "difference"


LIBRARIES = ("cimpl", "confluent_kafka", "redis", "lmdb")  # whose errors are neither OSError nor RuntimeError
SHOWN_ERRORS = 20

Where = Annotated[str, typer.Argument(help="Folder of the store, or redis://HOST:PORT/DB", show_default=False)]
Answers = Annotated[
    str,
    typer.Argument(help="State store, or file of answers: .parquet, .csv, .json", show_default=False),
]
StoreModel = Annotated[
    str | None,
    typer.Option(
        help="Model of the store, for the names of its classes  [default: the shipped model that it names]",
        show_default=False,
        autocompletion=completions,
    ),
]


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="TOML file; see --example", show_default=False)] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a commented configuration to start from")] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show the live view in the terminal")] = True,
    idle: Annotated[
        float | None,
        typer.Option(help="Stop when no message has come for so many seconds, from the start on", show_default=False),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the topic if there is none")] = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log a line of JSON per event to standard error, and no live view")
    ] = False,
    log_every: Annotated[float, typer.Option(min=0, help="Seconds between summaries in the log")] = 60.0,
) -> None:
    """Work on a stream until stopped (Ctrl-C, SIGTERM); start as many workers of a group as you like.

    If a worker is killed at any moment, its partitions go to the others, or to the next that is started: no message is
    lost, none counts twice. Exit code: 0 stopped on request, or idle; 2 wrong usage, no such topic, the broker or the
    store failed, or nothing of the stream could be used.
    """
    from goodricke.alerts.worker_config import EXAMPLE

    if example or config is None:
        typer.echo(EXAMPLE, nl=False)
        if not example:
            typer.echo("goodricke: give --config FILE.toml; above is one to start from", err=True)
        raise typer.Exit(ExitCode.DONE if example else ExitCode.USAGE)
    _exit_with(lambda: _run(config, live, idle, log_json, log_every, wait))


def _run(path: Path, live: bool, idle: float | None, log_json: bool, log_every: float, wait: bool) -> int:
    from goodricke.alerts.events import json_logging, log_failure, secret_values
    from goodricke.alerts.stream import run_worker
    from goodricke.alerts.worker_config import read_worker_config

    config = read_worker_config(path)
    if not log_json:
        run_worker(config, live, idle, log_every, wait)
        return ExitCode.DONE
    with json_logging(secret_values(config.kafka)):
        try:
            run_worker(config, False, idle, log_every, wait)
        except Exception as error:
            log_failure(error)
            return ExitCode.USAGE
    return ExitCode.DONE


@app.command()
def replay(
    sources: Annotated[list[str], typer.Argument(help="Light curves, as for classify", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="Straight into an engine with this multi-band model", autocompletion=completions)
    ] = None,
    state: Annotated[str, typer.Option(help="Store: folder, redis://..., or memory: for none")] = "memory:",
    half: Annotated[bool, typer.Option("--half", help="Store the recurrent cells in float16")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="To the input topic of this worker's configuration instead")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the last answers about all objects of the store: .parquet, .csv, .fits, ..."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="Write the answer after every observation of the light curves: .parquet, .csv, .fits, ..."),
    ] = None,
    route: Annotated[
        str | None,
        typer.Option(help="Second model, which is asked about variable stars", autocompletion=completions),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Days of the stream per second  [default: as fast as possible]")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Messages at once")] = 1000,
    unit: Annotated[str | None, typer.Option(help="Unit of the brightness, if the files don't give it")] = None,
    band: Band = None,
    packets: Annotated[
        bool, typer.Option("--packets", help="The sources are .avro files of alerts: send these as they are")
    ] = False,
    photometry: Annotated[
        Photometry | None,
        typer.Option(
            help="With --packets: brightness of the source, or its difference  [default: as the model was trained]",
            show_default=False,
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Show the live view in the terminal")] = True,
) -> None:
    """Feed archived light curves as a stream, observation by observation in order of time.

    With --model straight into an engine (and --state to keep its store), with --to onto a topic. With --packets the
    surveys' own packets, images included.
    """
    if (model is None) == (to is None):
        raise typer.BadParameter("give --model to run an engine here, or --to CONFIG to send to its topic")

    def work() -> None:
        from goodricke.alerts import replay as module
        from goodricke.alerts.answers import check_writable
        from goodricke.alerts.route import open_route
        from goodricke.alerts.worker_config import read_worker_config
        from goodricke.models.bundle import read_config

        for file in (out, history):
            if file is not None:
                check_writable(file)
        if history is not None and (packets or to is not None):
            raise ValueError("--history needs --model and light curves: packets are read by `goodricke classify`, too")
        if route is not None and not packets:
            raise ValueError("--route needs --packets: they tell the brightness of a star in the reference image")
        config = None if to is None else read_worker_config(to)
        if packets:
            stream = module.stream_packets(sources, None if photometry is None else photometry.value)
        else:
            flux = read_config(str(model) if config is None else config.model).flux_kind
            stream = module.stream_light_curves(sources, read_options(band=band, unit=unit), flux)
        if config is not None:
            module.replay_to_topic(stream, config, speed)
        else:
            second = None if route is None else open_route(route)
            module.replay(stream, str(model), state, half, out, speed, batch, live, history, second)

    _exit_with(work)


@app.command()
def compare(
    a: Answers,
    b: Answers,
    model_a: StoreModel = None,
    model_b: StoreModel = None,
    out: Annotated[Path | None, typer.Option(help="Write a row per object: .parquet, .csv, .json, ...")] = None,
) -> None:
    """Compare the last answers of two models on the same stream, from two stores or two files of answers.

    Let two consumer groups with two models and two stores read the same topic, then compare their stores here.
    """

    def work() -> None:
        from goodricke.alerts.answers import check_writable, write_table
        from goodricke.alerts.compare import compare_answers, comparison_view, read_answers

        if out is not None:
            check_writable(out)
        comparison = compare_answers(read_answers(a, model_a), read_answers(b, model_b))
        console().print(comparison_view(comparison))
        if out is not None:
            write_table(comparison.table(), out)
            console().print(f"{len(comparison.objects):,} rows written to {out}")

    _exit_with(work)


@state.command("ls")
def list_partitions(where: Where) -> None:
    """List the partitions: objects, offset, bytes per object."""
    from goodricke.alerts.inspect_store import partition_table

    _exit_with(lambda: console().print(partition_table(where)))


@state.command()
def show(where: Where, object_id: str) -> None:
    """Show the record of an object."""
    from goodricke.alerts.inspect_store import describe_record, find_record
    from goodricke.alerts.store import without_password

    def work() -> None:
        record = find_record(where, object_id)
        if record is None:
            fix = "give the identifier as the survey writes it, or list all with `goodricke alerts state export`"
            raise ValueError(f"{without_password(where)}: no record of {object_id}. Fix: {fix}")
        for name, value in describe_record(*record).items():
            console().print(f"{name:>14}  {value}", markup=False)

    _exit_with(work)


@state.command()
def export(
    where: Where,
    out: Annotated[Path, typer.Option(help="A .parquet file", show_default=False)],
    model: StoreModel = None,
) -> None:
    """Write a row per object: last answer, number of observations, position; without the states themselves."""
    from goodricke.alerts.inspect_store import export_answers

    _exit_with(lambda: console().print(f"{export_answers(where, out, model):,} objects written to {out}"))


@state.command()
def verify(where: Where) -> None:
    """Check the version and checksum of every record. Exit code: 0 all sound, 3 some are not."""
    from goodricke.alerts.inspect_store import verify_records

    def work() -> int:
        n_sound, errors = verify_records(where)
        for error in errors[:SHOWN_ERRORS]:
            console().print(error, markup=False)
        console().print(f"{n_sound:,} records are sound, {len(errors):,} are not")
        return ExitCode.SOME_FAILED if errors else ExitCode.DONE

    _exit_with(work)


@state.command()
def expire(
    where: Where,
    days: Annotated[float, typer.Option(min=0, help="Without an update", show_default=False)],
) -> None:
    """Delete objects without an update for so many days, while no worker uses the store."""
    from goodricke.alerts.inspect_store import expire_objects

    _exit_with(lambda: console().print(f"{expire_objects(where, days):,} objects deleted"))


@state.command()
def compact(where: Where, out: Annotated[Path, typer.Option(help="An empty folder", show_default=False)]) -> None:
    """Write a copy of a folder's store without unused pages."""
    from goodricke.alerts.inspect_store import compact_store

    def work() -> None:
        before, after = compact_store(where, out)
        console().print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB in {out}")

    _exit_with(work)


def _exit_with(work: Callable[[], int | None]) -> None:
    """Run a command's work and exit; errors of the broker and the store are one line on standard error, too."""

    def run_work() -> int:
        try:
            return work() or ExitCode.DONE
        except Exception as error:
            if type(error).__module__.partition(".")[0] in LIBRARIES:
                fix = ". Fix: is it running, and the address right?" if "onnect" in f"{type(error)} {error}" else ""
                raise RuntimeError(f"{type(error).__name__}: {str(error).rstrip('.')}{fix}") from error
            raise

    exit_with(run_work)
