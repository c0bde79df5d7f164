"""The configuration of a worker, a TOML file; `EXAMPLE` explains it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goodricke.data.config_errors import faults

MODEL_FILE = "config.json"  # in the folder of a model

EXAMPLE = """\
model = "ztf-bts"                # shipped name, folder or hub id of a multi-band model
state = "state"                  # folder (LMDB), or redis://host:6379/0, the same for all workers
half = false                     # recurrent cells in float16: records of half the size

[input]
topic = "ztf-alerts"             # keyed by object: all messages about an object in one partition
format = "ztf"                   # ztf, rubin, slim (goodricke's own record); in JSON: fink, alerce, json, rubin-json
group = "goodricke"              # workers of one group share the partitions
batch = 1000                     # messages taken at once, at most
wait = 0.5                       # seconds to wait for them, at most

[input.options]                  # of the decoder; photometry is by default what the model was trained on
# reliability = 0.5              # least real-bogus score

[output]
topic = "goodricke"              # an answer per object and batch, keyed by object
format = "json"                  # or avro, or lasair (annotations for that broker)
dead_letters = "goodricke-dead"  # messages that can't be decoded, with the error in a header

[[output.filters]]               # sub-streams, as many as you like
topic = "goodricke-ia"
where = "p_IA > 0.9 and n_obs >= 8"

# [route]                        # variable stars are also answered by a second model, from what their records keep
# model = "variables"
# counts = [10, 30, 100, 300]      # at these numbers of observations; `keep` says of how many at most

[metrics]
port = 9108                      # Prometheus at /metrics, health at /health; 0: none

[kafka]                          # any setting of librdkafka, TLS and SASL too; ${NAME} is an environment variable
"bootstrap.servers" = "localhost:9092"
"""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputConfig(_Section):
    """The messages that come in."""

    topic: str
    format: Literal["ztf", "rubin", "slim", "fink", "alerce", "json", "rubin-json"] = "slim"
    group: str = "goodricke"
    batch: int = Field(1000, ge=1)
    wait: float = Field(0.5, gt=0)
    options: dict[str, Any] = {}


class FilterConfig(_Section):
    """A sub-stream."""

    topic: str
    where: str


class OutputConfig(_Section):
    """The topics of the answers."""

    topic: str
    format: Literal["json", "avro", "lasair"] = "json"
    dead_letters: str = "goodricke-dead"
    filters: tuple[FilterConfig, ...] = ()


class MetricsConfig(_Section):
    """The server of metrics and health."""

    port: int = Field(0, ge=0, le=65535)
    host: str = "127.0.0.1"


class RouteConfig(_Section):
    """The second model; see `goodricke.alerts.route.Route`."""

    model: str
    counts: tuple[int, ...] = (10, 30, 100, 300)
    leaf: str = "VARIABLE"
    threshold: float = Field(0.5, gt=0, le=1)


class WorkerConfig(_Section):
    """See `EXAMPLE`."""

    model: str
    state: str
    half: bool = False
    keep: int = Field(32, ge=1, le=32_767)
    device: str = "cpu"
    input: InputConfig
    output: OutputConfig
    metrics: MetricsConfig = MetricsConfig()
    route: RouteConfig | None = None
    kafka: dict[str, Any]


def read_worker_config(path: Path) -> WorkerConfig:
    """Read a configuration; paths in it are relative to it.

    Raises
    ------
    ValueError
        If it can't be read, or a key is wrong, naming it.
    """
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}; `goodricke alerts run --example` prints one to start from") from error
    if not isinstance(values.get("kafka", {}), dict):
        raise ValueError(f"{path}: kafka is a section, [kafka]")
    if "kafka" in values:
        values["kafka"] = {name: _with_environment(path, name, value) for name, value in values["kafka"].items()}
    try:
        config = WorkerConfig(**values)
    except ValidationError as error:
        wrong = "; ".join(faults(error, WorkerConfig))
        raise ValueError(f"{path}: {wrong}") from None  # the error itself prints values, passwords among them
    options = config.input.options
    paths = {name: _resolve(path, options[name]) for name in ("schema", "registry") if name in options}
    changes: dict[str, Any] = {"model": _resolve(path, config.model, MODEL_FILE)}
    if config.route is not None:
        changes["route"] = config.route.model_copy(update={"model": _resolve(path, config.route.model, MODEL_FILE)})
    changes["input"] = config.input.model_copy(update={"options": options | paths})
    if "://" not in config.state and not config.state.startswith(("memory:", "redis:", "rediss:")):
        changes["state"] = str((path.parent / config.state).absolute())
    return config.model_copy(update=changes)


def _with_environment(path: Path, key: str, value: Any) -> Any:
    """Return a setting with ``${NAME}`` replaced by that environment variable."""
    for name in re.findall(r"\$\{(\w+)\}", str(value)):
        if name not in os.environ:
            raise ValueError(f"{path}: [kafka] {key} needs the environment variable {name}, which isn't set")
        value = str(value).replace(f"${{{name}}}", os.environ[name])
    return value


def _resolve(path: Path, value: Any, inside: str = "") -> Any:
    """Return the path of an existing file beside the configuration; anything else, such as a model's name, as it is."""
    if isinstance(value, str) and value and (path.parent / value / inside).exists():
        return str((path.parent / value).absolute())
    return value
