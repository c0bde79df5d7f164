"""goodricke's own alert: one observation in some fifty bytes of Avro (`avsc/observation.avsc`).

It is written without a header (the usual case), with a Confluent one, or as an Avro file. There is no telling them
apart wrongly: a record begins with the length of the object's name, which is neither zero, as a Confluent header
begins, nor negative, as the first byte of an Avro file would say.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.io.packets.avro_columns import Table
from goodricke.io.packets.measurements import MOST_BANDS, Measured, PacketOptions, Parsed, codes_of
from goodricke.io.packets.skip_program import REAL, TEXT, UNKNOWN, WHOLE, Layout

SCHEMA = files("goodricke.io.packets") / "avsc" / "observation.avsc"
NUMBER = 1  # of the schema, in a Confluent header where no registry is told
TIMES = (-1e6, 1e7)  # simulated light curves may begin anywhere
SAME = 0.0
POINT = {"time": REAL, "band": TEXT, "value": REAL, "error": REAL}


def schema() -> str:
    """Return the schema as JSON."""
    return SCHEMA.read_text()


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a record are wanted: all."""
    return Layout({"object_id": TEXT, "alert_id": WHOLE, **POINT, "ra": REAL, "dec": REAL, "previous": [POINT]})


def parse(tables: dict[str, Table], options: PacketOptions) -> Parsed:
    """Return the object, the new observation and the history of each record."""
    records, before = tables[""], tables["previous"]
    n, of = len(records.owner), records.columns
    bands = _bands([of["band"], before.columns["band"]])
    nothing = np.full(len(before.owner), UNKNOWN)
    return Parsed(
        of["object_id"],
        of["ra"],
        of["dec"],
        _measured(np.arange(n), of["alert_id"], of, bands),
        [_measured(before.owner, nothing, before.columns, bands)],
        bands,
        options.unit or "mag",
        "MJD",
        SAME,
        TIMES,
        np.zeros(n, bool),
    )


def _bands(names: list[pa.Array]) -> tuple[str, ...]:
    """Return the names of bands in order of appearance, those of new observations first, as many as can be kept."""
    found = pc.unique(pa.concat_arrays(names)).drop_null().to_pylist()
    return tuple(name for name in found if name)[:MOST_BANDS] or ("none",)


def _measured(owner: NDArray[np.int64], key: NDArray[np.int64], of: dict[str, Any], bands: tuple[str, ...]) -> Measured:
    band = codes_of(of["band"], bands)
    return Measured(owner, key, of["time"], of["value"], of["error"], band, np.ones(len(owner), bool))
