"""Tables and rows to and from TOPCAT, Aladin and others on this machine, by SAMP.

The hub is that of the user: its secret is in a file that only the user can read. Tables come from files of this machine
or from its own addresses, and become subsets of the catalog by the ids of objects; nothing else is done with them.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import warnings
from collections import deque
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data.formats import Rows, write
from goodricke.data.formats.metadata import BATCH
from goodricke.data.identifiers import IdIndex
from goodricke.explorer.conditions import RowNumbers, Where
from goodricke.survey.crossmatch import read_object_table

if TYPE_CHECKING:
    from goodricke.explorer.session import Explorer

log = logging.getLogger("goodricke")

LOAD = {"table.load.votable": ".vot", "table.load.fits": ".fits"}
MAX_BYTES = 1 << 28  # of a table that is received
MAX_ROWS = 100_000  # of a selection that is received
KEPT_EVENTS, KEPT_TABLES = 100, 20
LOCAL = ("127.0.0.1", "localhost", "::1")
FIX = "start TOPCAT or Aladin (they have a hub) before goodricke explore --samp"


class SampLink:
    """A client of the running SAMP hub.

    Parameters
    ----------
    explorer : Explorer

    Raises
    ------
    ValueError
        If no hub runs.
    """

    def __init__(self, explorer: Explorer) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's module moves to pyvo
            from astropy.samp import SAMPHubError, SAMPIntegratedClient
        self._explorer, self._lock = explorer, threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="goodricke-samp-"))
        self._sent: dict[str, NDArray[np.int64]] = {}  # rows of the tables that were sent, by their ids
        self._events = deque[dict[str, Any]](maxlen=KEPT_EVENTS)
        self._count = 0
        about = {"samp.name": "goodricke", "samp.description.text": "Explorer of a catalog of variable stars"}
        self._client = SAMPIntegratedClient(name="goodricke", metadata=about, addr="127.0.0.1")
        try:
            self._client.connect()
        except (SAMPHubError, OSError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise ValueError(f"--samp: no SAMP hub runs on this machine ({error}). Fix: {FIX}") from None
        for kind in (*LOAD, "table.select.rowList", "table.highlight.row"):
            self._client.bind_receive_notification(kind, self._receive)
            self._client.bind_receive_call(kind, self._receive_call)

    # ---- to others --------------------------------------------------------------------------------------------------

    def send_table(self, where: Where) -> int:
        """Send the matching rows as a VOTable to all who take tables; return their number."""
        table = self._explorer.table
        matching = table.matching(where)
        rows = np.arange(len(table)) if matching is None else np.sort(matching)
        parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
        with self._lock:
            self._count += 1
            number = self._count
        name = f"{self._explorer.catalog.path.resolve().stem}-{number}"
        path = self._folder / f"{number}.vot"
        schema = table.arrow(np.zeros(0, np.int64)).schema
        write(Rows(schema, len(rows), lambda: map(table.arrow, parts), self._explorer.about), path)
        with self._lock:
            self._sent[name] = rows
            while len(self._sent) > KEPT_TABLES:
                self._sent.pop(next(iter(self._sent)))
        self._notify("table.load.votable", {"url": path.as_uri(), "table-id": name, "name": name})
        return len(rows)

    def send_rows(self, where: Where) -> int:
        """Select the matching rows in the table that was sent last; return their number.

        Raises
        ------
        ValueError
            If no table has been sent.
        """
        name, rows = self._last_table()
        matching = self._explorer.table.matching(where)
        chosen = np.arange(len(rows)) if matching is None else np.flatnonzero(np.isin(rows, matching))
        self._notify("table.select.rowList", {"table-id": name, "row-list": [str(i) for i in chosen.tolist()]})
        return len(chosen)

    def highlight(self, row: int) -> None:
        """Point others at an object: its row in the table that was sent last, and its position."""
        table = self._explorer.table
        if self._sent:
            name, rows = self._last_table()
            for index in np.flatnonzero(rows == row).tolist():
                self._notify("table.highlight.row", {"table-id": name, "row": str(index)})
        values = table.row(row)
        if values is not None and table.positions is not None:
            ra, dec = (values[column] for column in table.positions)
            if ra is not None and dec is not None:
                self._notify("coord.pointAt.sky", {"ra": repr(float(ra)), "dec": repr(float(dec))})

    def _last_table(self) -> tuple[str, NDArray[np.int64]]:
        with self._lock:
            if not self._sent:
                raise ValueError("no table has been sent by SAMP: send the selection as a table first")
            return next(reversed(self._sent.items()))

    def _notify(self, kind: str, parameters: dict[str, Any]) -> None:
        self._client.notify_all({"samp.mtype": kind, "samp.params": parameters})

    # ---- from others ------------------------------------------------------------------------------------------------

    def events(self, after: int) -> list[dict[str, Any]]:
        """Return what others have sent since an event: rows, an object to open, a table that is a subset now."""
        with self._lock:
            return [event for event in self._events if event["id"] > after]

    def _receive_call(self, key: str, sender: str, message: str, kind: str, parameters: Any, extra: Any) -> None:
        """Answer a message whose sender waits for it."""
        problem = self._receive(key, sender, kind, parameters, extra)
        status = "samp.error" if problem else "samp.ok"
        answer = {"samp.status": status, "samp.result": {}}
        self._client.reply(message, answer | ({"samp.error": {"samp.errortxt": problem}} if problem else {}))

    def _receive(self, _: str, sender: str, kind: str, parameters: Any, __: Any) -> str:
        """Take a message; return what is wrong with it."""
        try:
            if kind in LOAD:
                self._receive_table(parameters, LOAD[kind])
            else:
                self._receive_rows(kind, parameters)
        except (ValueError, OSError, KeyError, TypeError, HTTPException, pa.ArrowException) as error:
            log.warning("SAMP: %s of %s: %s", kind, sender, error)
            self._tell({"kind": "error", "text": f"SAMP: {error}"})
            return str(error)
        return ""

    def _receive_rows(self, kind: str, parameters: Any) -> None:
        """Turn row numbers of a table that was sent into rows of the catalog; others' tables aren't known here."""
        rows = self._sent.get(str(parameters.get("table-id") or parameters.get("url", "")))
        if rows is None:
            return
        if kind == "table.highlight.row":
            self._tell({"kind": "open", "row": int(rows[_index(parameters["row"], len(rows))])})
            return
        chosen = [_index(text, len(rows)) for text in parameters["row-list"][:MAX_ROWS]]
        self._tell({"kind": "rows", "rows": rows[chosen].tolist()})

    def _receive_table(self, parameters: Any, suffix: str) -> None:
        """Save the objects of a table as a subset."""
        path = self._folder / f"received{suffix}"
        fetch(str(parameters["url"]), path)
        names, _ = read_object_table(path)
        table = self._explorer.table
        every = np.arange(len(table))
        own = [i for first in range(0, len(every), BATCH) for i in table.object_ids(every[first : first + BATCH])]
        known = np.flatnonzero(IdIndex(names).rows_of(pa.array(own)) >= 0)
        if not len(known):
            raise ValueError("none of the table's objects is in the catalog")
        if len(known) > MAX_ROWS:
            raise ValueError(f"the table has {len(known):,} objects of the catalog: {MAX_ROWS:,} at most")
        text = str(parameters.get("name") or parameters.get("table-id") or "table")
        name = "".join(c if c.isprintable() else " " for c in text).strip()[:80] or "table"
        self._explorer.subsets.save(name, Where(all=[RowNumbers(rows=known.tolist())]))
        self._tell({"kind": "subset", "name": name, "count": len(known)})

    def _tell(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._count += 1
            self._events.append({"id": self._count, **event})

    def close(self) -> None:
        """Leave the hub, and remove the tables."""
        try:
            self._client.disconnect()
        except Exception as error:  # the hub may have gone, in many ways
            log.debug("SAMP: %s", error)
        shutil.rmtree(self._folder, ignore_errors=True)


def _index(text: Any, n: int) -> int:
    index = int(text)
    if not 0 <= index < n:
        raise ValueError(f"row {index} of a table with {n}")
    return index


def fetch(url: str, path: Path) -> None:
    """Copy a table of this machine to a path: of a file, or of an address of this machine.

    Raises
    ------
    ValueError
        If it is elsewhere, or too large.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.hostname in (None, *LOCAL):
        source = Path(unquote(parts.path))
        if not source.is_file() or source.stat().st_size > MAX_BYTES:
            raise ValueError(f"{source}: no file, or larger than {MAX_BYTES >> 20} MB")
        shutil.copyfile(source, path)
        return
    if parts.scheme != "http" or parts.hostname not in LOCAL:
        raise ValueError(f"{url[:200]}: tables are taken from this machine only")
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=30)
    try:
        connection.request("GET", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}")
        answer = connection.getresponse()
        if answer.status != 200:  # redirections, which could lead elsewhere, too
            raise ValueError(f"{url[:200]}: answered {answer.status}")
        content = answer.read(MAX_BYTES + 1)
    finally:
        connection.close()
    if len(content) > MAX_BYTES:
        raise ValueError(f"{url[:200]}: larger than {MAX_BYTES >> 20} MB")
    path.write_bytes(content)
