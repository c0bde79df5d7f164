"""Tables in JSON: a list of records, columns, the Open Supernova Catalog, the interfaces of ALeRCE and TAP services.

Every one becomes an Arrow table, whose columns are judged like those of any other. Whole numbers stay exact, and
identifiers in quotation marks stay text.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from goodricke.io.files import SourceFile
from goodricke.io.options import Unreadable

logger = logging.getLogger("goodricke")

FIX = "give a list of records, one per observation, or an object with a list per column"
# Of a record in the Open Supernova Catalog: photometry that was computed and not measured.
NOT_MEASURED = ("model", "realization", "simulated")
MAX_NAMES = 8  # keys named in an error
Records = Sequence[Mapping[str, Any]]


def read_table(file: SourceFile) -> pa.Table:
    """Return the table in a JSON file; its metadata may hold product, time scale and the object's name.

    Raises
    ------
    Unreadable
        If it is no JSON, or holds no table.
    """
    if "json" not in file.cache:
        file.cache["json"] = _table(_parse(file), file.path)
    return file.cache["json"]


def _parse(file: SourceFile) -> Any:
    """Return the content of the file: one JSON value, or the values of its lines as a list."""
    text = file.raw.decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        first, _, rest = text.strip().partition("\n")
        if not rest or not first.rstrip().endswith("}"):
            raise Unreadable(file.path, f"is JSON that ends or breaks off in the middle ({error})", "fix it") from error
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise Unreadable(file.path, f"is no valid JSON, nor JSON in each line ({error})", "fix it") from error


def _table(content: Any, path: str) -> pa.Table:
    """Return the table that parsed JSON holds, whatever its shape."""
    if isinstance(content, list):
        return _from_list(content, path)
    if not isinstance(content, dict):
        raise Unreadable(path, "is JSON without a table", FIX)
    events = {name: event for name, event in content.items() if isinstance(event, dict) and "photometry" in event}
    if events:
        return _open_supernova_catalog(events, path)
    if isinstance(content.get("photometry"), list) and "name" in content:
        return _open_supernova_catalog({str(content["name"]): content}, path)
    if isinstance(content.get("detections"), list):
        return _alerce(content, path)
    if isinstance(content.get("metadata"), list) and isinstance(content.get("data"), list):  # a TAP service
        return _from_rows([str(column.get("name")) for column in _records(content["metadata"], path)], content, path)
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):  # pandas, orient="split"
        return _from_rows([str(name) for name in content["columns"]], content, path)
    return _from_object(content, path)


def _from_list(content: list[Any], path: str) -> pa.Table:
    """Return the table of a list of records, or of rows under a row of names."""
    if not content:
        raise Unreadable(path, "is an empty list in JSON", "look at the query that it is the answer to")
    if all(isinstance(row, list) for row in content) and all(isinstance(name, str) for name in content[0]):
        return _from_rows(content[0], {"data": content[1:]}, path)
    return _from_records(_records(content, path), {})


def _from_object(content: Mapping[str, Any], path: str) -> pa.Table:
    """Return the table of an object with a list per column, or with a single list of records inside."""
    lists = {name: values for name, values in content.items() if isinstance(values, list)}
    maps = {name: values for name, values in content.items() if isinstance(values, dict)}
    if maps and len(maps) == len(content):  # pandas, orient="columns" or "index"
        keys = {tuple(column) for column in maps.values()}
        if len(keys) == 1 and not any(isinstance(v, dict | list) for column in maps.values() for v in column.values()):
            by_row = all(key.isdigit() for key in maps) and not all(key.isdigit() for key in next(iter(keys)))
            if by_row:
                return _from_records(list(maps.values()), {})
            return _from_columns({name: list(column.values()) for name, column in maps.items()}, {})
    if len(maps) and not lists and isinstance(table := maps.get("data"), dict):  # beside "meta": sncosmo
        return _from_object(_name_of(maps.get("meta", {})) | _name_of(content) | table, path)
    records = {name: v for name, v in lists.items() if v and all(isinstance(row, dict) for row in v)}
    if len(records) == 1:
        return _from_records(next(iter(records.values())), _name_of(content))
    plain = {name: v for name, v in lists.items() if not any(isinstance(cell, dict) for cell in v)}
    length = max((len(values) for values in plain.values()), default=0)
    columns = {name: values for name, values in plain.items() if len(values) == length}
    if len(columns) > 1 and length:
        return _from_columns(columns, _name_of(content))
    if len(records) > 1:
        reason = f"is JSON with several lists of records: {', '.join(records)}"
        raise Unreadable(path, reason, "save the list with the observations to a file of its own")
    names = ", ".join(list(content)[:MAX_NAMES]) or "none"
    message = next((str(content[key]) for key in ("error", "message", "detail", "errors") if key in content), "")
    what = f"is the answer of a service, not data: {message[:200]!r}" if message else "is JSON without a table"
    raise Unreadable(path, f"{what} (its keys: {names})", "look at the query" if message else FIX)


def _open_supernova_catalog(events: Mapping[str, Mapping[str, Any]], path: str) -> pa.Table:
    """Return the photometry of events of the Open Supernova Catalog; what is computed is left out."""
    rows, computed = list[dict[str, Any]](), 0
    for name, event in events.items():
        for record in _records(event["photometry"], path):
            if any(record.get(key) for key in NOT_MEASURED):
                computed += 1
                continue
            rows.append({"event": name, **{key: _middle(value) for key, value in record.items()}})
    if computed:
        logger.warning("%s: %d computed magnitudes (%s) left out", path, computed, ", ".join(NOT_MEASURED))
    if not rows:
        raise Unreadable(path, f"has no photometry of {', '.join(list(events)[:MAX_NAMES])}", "leave the file out")
    scales = {row["u_time"] for row in rows if row.get("time") is not None and row.get("u_time")}
    if len(scales) > 1:
        raise Unreadable(path, f"has times in several units ({', '.join(map(str, scales))})", "leave one unit in it")
    scale = str(next(iter(scales), ""))
    about = {"product": "Open Supernova Catalog"} | ({"time_scale": scale} if scale in ("MJD", "JD", "HJD") else {})
    named = [{"object_id": row.pop("event"), **row} for row in rows]
    return _from_records(named, about)


def _middle(value: Any) -> Any:
    """Return the middle of a range of times, which the catalog writes as a list; anything else as it is."""
    try:
        return sum(map(float, value)) / len(value) if isinstance(value, list) else value
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _alerce(content: Mapping[str, Any], path: str) -> pa.Table:
    """Return the detections of a light curve of ALeRCE's interface; upper limits stand in a list of their own."""
    limits = content.get("non_detections")
    if limits:
        logger.info("%s: %d non-detections left out", path, len(limits))
    detections = _records(content["detections"], path)
    if not detections:
        raise Unreadable(path, "has no detections", "leave the file out")
    return _from_records(detections, {"product": "ALeRCE detections", **_name_of(content)})


def _name_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of the one object that stands beside a table."""
    keys = ("oid", "objectId", "object_id", "name", "id")
    return next(({"object_id": str(content[k])} for k in keys if isinstance(content.get(k), str | int)), {})


# ---- columns ------------------------------------------------------------------------------------------------------


def _records(rows: Any, path: str) -> Records:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable(path, "is JSON whose lists don't hold records", FIX)
    return rows


def _from_rows(names: Sequence[str], content: Mapping[str, Any], path: str) -> pa.Table:
    rows = content["data"]
    if not rows or not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        raise Unreadable(path, f"has no rows, or rows that are not of {len(names)} cells", FIX)
    return _from_columns(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), {})


def _from_records(rows: Records, about: Mapping[str, str]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return _from_columns({name: [row.get(name) for row in rows] for name in names}, about)


def _from_columns(columns: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> pa.Table:
    arrays = {name: _column(values) for name, values in columns.items()}
    return pa.table(arrays).replace_schema_metadata(dict(about) or None)


def _column(values: Sequence[Any]) -> pa.Array:
    """Return values as a column of one type; those of several types as text."""
    for kind in (None, pa.uint64()):
        try:
            return pa.array(values, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            continue
    return pa.array([v if v is None or isinstance(v, str) else json.dumps(v) for v in values], pa.string())
