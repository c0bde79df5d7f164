"""Schemas by number, as the five bytes before a Confluent message name them: from a folder, or a schema registry."""

from __future__ import annotations

import json
import re
import time
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from goodricke.io.files import AVRO_MAGIC
from goodricke.io.packets.avro import import_fastavro

VERSION = re.compile(r"v(\d+)_(\d+)")  # of Rubin's schemas: version 10.0 has the number 1000
SUFFIXES = (".avsc", ".json", ".avro")
TIMEOUT = 10.0  # seconds
RETRY_UNKNOWN = 60.0  # seconds for which a number that the server doesn't know is not requested again
MAX_UNKNOWN = 1000


class UnknownSchemaError(ValueError):
    """A schema number that the registry doesn't have."""


class RegistryUnreachableError(ConnectionError):
    """The registry doesn't answer: nothing is wrong with the message."""


class Registry:
    """Schemas by number.

    Parameters
    ----------
    place : str
        The address of a Confluent schema registry (``https://user:password@host:port``; the password appears in no
        message), or a folder of schemas. There a schema's number is the name of its file (``1000.avsc``), or follows
        from the version in it (``lsst.v10_0.alert.avsc`` and ``fakeAlert_v10_0.avro`` are 1000, as Rubin counts).
        Types in files of their own in the same folder are found; of an ``.avro`` file the schema in its header is
        taken.
    """

    def __init__(self, place: str) -> None:
        self.place, self.user, self.password = place, "", ""
        self.is_server = place.startswith(("http://", "https://"))
        if self.is_server:
            parts = urlsplit(place)
            self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
            self.place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.schemas: dict[int, str] = {}
        self.unknown: dict[int, float] = {}

    def schema(self, number: int) -> str:
        """Return a schema as JSON text.

        Raises
        ------
        UnknownSchemaError
            If there is no such schema.
        RegistryUnreachableError
            If the server doesn't answer, or refuses to: try again later.
        ImportError
            If the client of schema registries isn't installed.
        """
        if number not in self.schemas:
            place = Path(self.place)
            self.schemas[number] = self._request(number) if self.is_server else _schema_in_folder(place, number)
        return self.schemas[number]

    @cached_property
    def _client(self) -> Any:
        try:
            from confluent_kafka.schema_registry import SchemaRegistryClient
        except ImportError as error:
            raise ImportError("schema registries need their client: pip install 'goodricke[alerts]'") from error
        login = {"basic.auth.user.info": f"{self.user}:{self.password}"} if self.user else {}
        return SchemaRegistryClient({"url": self.place, "timeout": TIMEOUT, "max.retries": 0} | login)

    def _request(self, number: int) -> str:
        client = self._client
        if time.monotonic() - self.unknown.get(number, -RETRY_UNKNOWN) < RETRY_UNKNOWN:
            raise UnknownSchemaError(f"the registry {self.place} has no schema {number}")
        try:
            schema = client.get_schema(number).schema_str
            if not isinstance(schema, str):
                raise ValueError("its answer holds no schema")
            return schema
        except Exception as error:  # the client passes on whatever goes wrong below it
            if getattr(error, "http_status_code", None) != 404:
                fix = "check its address, user and password, and try again"
                reason = f"the schema registry {self.place} gives no answer ({error}); {fix}"
                raise RegistryUnreachableError(reason) from error
        if len(self.unknown) >= MAX_UNKNOWN:  # numbers made up by damaged messages
            self.unknown.clear()
        self.unknown[number] = time.monotonic()
        return self._request(number)


def schema_files(folder: Path) -> dict[int, Path]:
    """Return the schemas in a folder, by number."""
    numbered: dict[int, Path] = {}
    files = sorted((path for path in folder.rglob("*") if path.suffix in SUFFIXES), key=lambda path: path.name)
    for path in files:
        version = VERSION.search(path.name)
        is_alert = path.suffix == ".avro" or path.stem.endswith("alert")  # not the type of a part, in a file of its own
        if path.stem.isdecimal():
            numbered[int(path.stem)] = path
        elif version and is_alert:
            numbered.setdefault(int(version[1]) * 100 + int(version[2]), path)
    return numbered


def _schema_in_folder(folder: Path, number: int) -> str:
    if not folder.is_dir():
        raise RegistryUnreachableError(f"the folder of schemas {folder} is not there; check the registry's path")
    files = schema_files(folder)
    if number not in files:
        available = ", ".join(map(str, sorted(files))) or "none"
        raise UnknownSchemaError(f"no schema {number} in {folder} (there: {available}); put it there as {number}.avsc")
    return read_schema(files[number])


def read_schema(path: str | Path) -> str:
    """Return the schema in an ``.avsc`` file, with the types in files beside it, or in an Avro file's header, as JSON.

    Raises
    ------
    UnknownSchemaError
        If there is none in it.
    """
    fastavro = import_fastavro()
    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(4) == AVRO_MAGIC:
                file.seek(0)
                return str(fastavro.reader(file).metadata["avro.schema"])
        return json.dumps(_without_notes(fastavro.schema.load_schema(str(path))))
    except Exception as error:  # whatever a file may hold
        raise UnknownSchemaError(f"{path} holds no Avro schema ({error})") from error


def _without_notes(schema: Any) -> Any:
    """Return a schema without the keys that fastavro adds to it."""
    if isinstance(schema, dict):
        return {key: _without_notes(value) for key, value in schema.items() if not key.startswith("__")}
    return [_without_notes(part) for part in schema] if isinstance(schema, list) else schema
