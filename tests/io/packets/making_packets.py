"""Alert packets that tests make up, and the light curves in them."""

import json
from io import BytesIO
from typing import Any

import fastavro
import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import Alerts

NULLABLE = [["float", "magpsf sigmapsf distnr magnr sigmagnr rb drb"], ["int", "nbad"], ["string", "isdiffpos"]]


def ztf_schema() -> dict[str, Any]:
    """Return a schema with the fields of ZTF's that matter, and some that don't."""
    maybe = [{"name": name, "type": ["null", kind]} for kind, names in NULLABLE for name in names.split()]
    times = [
        {"name": "jd", "type": "double"},
        {"name": "fid", "type": "int"},
        {"name": "candid", "type": ["long", "null"]},
    ]
    place = [{"name": "pid", "type": "long"}, {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"}]
    forced = ["forcediffimflux", "forcediffimfluxunc", "magzpsci", "distnr", "magnr", "sigmagnr"]
    status = {"name": "procstatus", "type": ["null", "string"]}
    hists = [*times[:2], *({"name": name, "type": ["null", "float"]} for name in forced), status]
    lists = {
        "prv_candidates": {"type": "record", "name": "ztf.prv_candidate", "fields": [*times, *maybe]},
        "fp_hists": {"type": "record", "name": "ztf.fp_hist", "fields": hists},
    }
    fields: list[dict[str, Any]] = [
        {"name": "objectId", "type": "string"},
        {"name": "candidate", "type": {"type": "record", "name": "ztf.candidate", "fields": [*times, *place, *maybe]}},
    ]
    fields += [{"name": name, "type": ["null", {"type": "array", "items": kind}]} for name, kind in lists.items()]
    fields += [{"name": "cutoutScience", "type": ["null", "bytes"]}]
    return {"type": "record", "name": "ztf.alert", "fields": fields}


def source(jd: float, **fields: Any) -> dict[str, Any]:
    """Return a detection of ZTF, of magnitude 18 on a star of 17."""
    known = {
        "fid": 1,
        "candid": int(jd * 1e4) * 10 + fields.get("fid", 1),
        "magpsf": 18.0,
        "sigmapsf": 0.1,
        "isdiffpos": "t",
        "distnr": 0.3,
    }
    place = {"magnr": 17.0, "sigmagnr": 0.02, "pid": 1, "ra": 10.0, "dec": -20.0}
    return {"jd": jd} | known | place | fields


def ztf_packet(candidate: dict[str, Any], before=(), forced=(), name="ZTF1", codec="null", bare=False) -> bytes:
    """Return an alert as an Avro file, or without a schema."""
    record = {"objectId": name, "candidate": candidate, "prv_candidates": list(before), "fp_hists": list(forced)}
    record["cutoutScience"] = b"\x01" * 300
    return encoded(ztf_schema(), [record], codec, bare)


def encoded(schema: Any, records: list[Any], codec: str = "null", bare: bool = False) -> bytes:
    """Return records as an Avro file, or the first without a schema."""
    file = BytesIO()
    parsed = fastavro.parse_schema(json.loads(json.dumps(schema)))
    if bare:
        fastavro.schemaless_writer(file, parsed, records[0])
    else:
        fastavro.writer(file, parsed, records, codec)
    return file.getvalue()


def many(n: int = 8, most: int = 20, unit: str = "nJy", seed: int = 0, bands=("u", "g", "r")) -> LightCurves:
    """Return light curves whose names are numbers, each time once."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most, n)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    time = np.concatenate([np.sort(rng.uniform(60000, 60100, k)) for k in counts])
    value = rng.normal(20, 1, len(time)) if unit == "mag" else rng.normal(1e4, 5e3, len(time))
    error = np.where(rng.random(len(time)) < 0.1, np.nan, rng.uniform(0.01, 0.1, len(time)))
    band = rng.integers(0, len(bands), len(time))
    ids = [str(10**15 + i) for i in range(n)]
    curves = LightCurves.from_arrays(ids, offsets, time, value, error, band, bands=bands, unit=unit)
    return curves.with_columns(ra=rng.uniform(0, 360, n), dec=rng.uniform(-90, 90, n))


def points(curves: LightCurves, i: int) -> list[tuple[float, float, float, str]]:
    """Return the observations of a light curve, in order, with -1 for an unknown error."""
    part = slice(curves.offsets[i], curves.offsets[i + 1])
    names = [curves.bands[b] for b in curves.band[part]]
    columns = (
        curves.time[part].tolist(),
        curves.value[part].tolist(),
        np.nan_to_num(curves.error[part], nan=-1).tolist(),
    )
    return list(zip(*columns, names, strict=True))


def assert_equal(a: Alerts, b: Alerts) -> None:
    """Compare alerts to the bit, but for the order of bands and the words of failures."""
    assert a.object_id.to_pylist() == b.object_id.to_pylist()
    np.testing.assert_array_equal(a.alert_id, b.alert_id)
    np.testing.assert_array_equal(a.index, b.index)
    for left, right in ((a.new, b.new), (a.history, b.history)):
        assert (left.unit, left.time_scale) == (right.unit, right.time_scale)
        assert [points(left, i) for i in range(len(left))] == [points(right, i) for i in range(len(right))]
    assert a.new.table_of_objects.equals(b.new.table_of_objects) or len(a) == 0 or _same_places(a, b)
    assert [(f.index, f.status) for f in a.failures] == [(f.index, f.status) for f in b.failures]


def _same_places(a: Alerts, b: Alerts) -> bool:
    return all(np.array_equal(a.new.column(c), b.new.column(c), equal_nan=True) for c in ("ra", "dec"))
