"""Schemas by number, as the five bytes before a Confluent message name them: from a folder, or a registry's server."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from goodricke.io.packets.avro import fastavro_module

VERSION = re.compile(r"v(\d+)_(\d+)")  # of Rubin's schemas: version 10.0 has the number 1000
SUFFIXES = (".avsc", ".json", ".avro")
TIMEOUT = 10.0  # seconds
FORGET = 60.0  # seconds for which a number that the server doesn't know is not asked for again
MOST_UNKNOWN = 1000


class UnknownSchemaError(ValueError):
    """A schema number that the registry doesn't have."""


class RegistryUnreachableError(ConnectionError):
    """The registry can't be asked: nothing is wrong with the message."""


class Registry:
    """Schemas by number.

    Parameters
    ----------
    place : str
        The address of a Confluent schema registry (``http://...``, ``https://...``), or a folder of schemas. There a
        schema's number is the name of its file (``1000.avsc``), or follows from the version in it
        (``lsst.v10_0.alert.avsc`` and ``fakeAlert_v10_0.avro`` are 1000, as Rubin counts). Types in files of their own
        beside it are found; of an ``.avro`` file the schema in its header is taken.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.known: dict[int, str] = {}
        self.unknown: dict[int, float] = {}

    def schema(self, number: int) -> str:
        """Return a schema as JSON text.

        Raises
        ------
        UnknownSchemaError
            If there is no such schema.
        RegistryUnreachableError
            If the server doesn't answer: try again later.
        """
        if number not in self.known:
            remote = self.place.startswith(("http://", "https://"))
            self.known[number] = self._ask(number) if remote else _from_folder(Path(self.place), number)
        return self.known[number]

    def _ask(self, number: int) -> str:
        if time.monotonic() - self.unknown.get(number, -FORGET) < FORGET:
            raise UnknownSchemaError(f"the registry {_without_password(self.place)} has no schema {number}")
        accept = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        request = urllib.request.Request(f"{self.place.rstrip('/')}/schemas/ids/{number}", headers=accept)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                return str(json.load(answer)["schema"])
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise self._unreachable(error) from error
        except (OSError, ValueError, KeyError) as error:
            raise self._unreachable(error) from error
        if len(self.unknown) >= MOST_UNKNOWN:  # numbers made up by damaged messages
            self.unknown.clear()
        self.unknown[number] = time.monotonic()
        return self._ask(number)

    def _unreachable(self, error: Exception) -> RegistryUnreachableError:
        place = _without_password(self.place)
        return RegistryUnreachableError(
            f"the schema registry {place} gives no answer ({error}); check its address and try again"
        )


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def numbers(folder: Path) -> dict[int, Path]:
    """Return the schemas in a folder, by number."""
    found: dict[int, Path] = {}
    files = sorted((path for path in folder.rglob("*") if path.suffix in SUFFIXES), key=lambda path: path.name)
    for path in files:
        version = VERSION.search(path.name)
        whole = path.suffix == ".avro" or path.stem.endswith("alert")  # not the type of a part, in a file of its own
        if path.stem.isdecimal():
            found[int(path.stem)] = path
        elif version and whole:
            found.setdefault(int(version[1]) * 100 + int(version[2]), path)
    return found


def _from_folder(folder: Path, number: int) -> str:
    if not folder.is_dir():
        raise RegistryUnreachableError(f"the folder of schemas {folder} is not there; check the registry's path")
    found = numbers(folder)
    if number not in found:
        there = ", ".join(map(str, sorted(found))) or "none"
        raise UnknownSchemaError(f"no schema {number} in {folder} (there: {there}); put it there as {number}.avsc")
    return schema_of(found[number])


def schema_of(path: str | Path) -> str:
    """Return the schema in an ``.avsc`` file, with the types in files beside it, or in an Avro file's header, as JSON.

    Raises
    ------
    UnknownSchemaError
        If there is none in it.
    """
    fastavro = fastavro_module()
    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(4) == b"Obj\x01":
                file.seek(0)
                return str(fastavro.reader(file).metadata["avro.schema"])
        return json.dumps(_plain(fastavro.schema.load_schema(str(path))))
    except Exception as error:  # whatever a file may hold
        raise UnknownSchemaError(f"{path} holds no Avro schema ({error})") from error


def _plain(schema: Any) -> Any:
    """Return a schema without what fastavro notes in it."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if not key.startswith("__")}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
