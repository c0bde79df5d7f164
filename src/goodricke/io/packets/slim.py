"""goodricke's own alert: one observation in some fifty bytes of Avro (`avsc/observation.avsc`).

It is written without a header (the usual case), with a Confluent one, or as an Avro file. The three can't be confused:
a record begins with the length of the object's name, which is neither zero, as the first byte of a Confluent header,
nor negative, as the first byte of an Avro file would mean.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.io.packets.avro_columns import RecordTable
from goodricke.io.packets.measurements import MAX_BANDS, Measurements, PacketOptions, ParsedPackets, band_indices
from goodricke.io.packets.skip_program import MISSING, REAL, TEXT, WHOLE, Layout

SCHEMA = files("goodricke.io.packets") / "avsc" / "observation.avsc"
NUMBER = 1  # of the schema, in a Confluent header where no registry is given
TIME_RANGE = (-1e6, 1e7)  # simulated light curves may begin anywhere
SAME_EXPOSURE = 0.0
POINT = {"time": REAL, "band": TEXT, "value": REAL, "error": REAL}


def schema() -> str:
    """Return the schema as JSON."""
    return SCHEMA.read_text()


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a record are wanted: all."""
    fields = {"object_id": TEXT, "alert_id": WHOLE, **POINT, "ra": REAL, "dec": REAL, "previous": [POINT]}
    return Layout(fields, [("object_id",), ("time",), ("band",), ("value",)])


def parse(tables: dict[str, RecordTable], options: PacketOptions) -> ParsedPackets:
    """Return the object, the new observation and the history of each record."""
    records, previous = tables[""], tables["previous"]
    n, fields = len(records.owner), records.columns
    bands = _bands([fields["band"], previous.columns["band"]])
    no_keys = np.full(len(previous.owner), MISSING)
    return ParsedPackets(
        object_id=fields["object_id"],
        ra=fields["ra"],
        dec=fields["dec"],
        new=_measurements(np.arange(n), fields["alert_id"], fields, bands),
        history=[_measurements(previous.owner, no_keys, previous.columns, bands)],
        bands=bands,
        unit=options.unit or "mag",
        time_scale="MJD",
        same_exposure=SAME_EXPOSURE,
        time_range=TIME_RANGE,
        moving=np.zeros(n, bool),
        own_identifiers=False,  # they count the observations of a replay
    )


def _bands(names: list[pa.Array]) -> tuple[str, ...]:
    """Return the names of bands in order of appearance, those of new observations first, at most `MAX_BANDS`."""
    names = pc.unique(pa.concat_arrays(names)).drop_null().to_pylist()
    return tuple(name for name in names if name)[:MAX_BANDS] or ("none",)


def _measurements(
    owner: NDArray[np.int64], key: NDArray[np.int64], fields: dict[str, Any], bands: tuple[str, ...]
) -> Measurements:
    band = band_indices(fields["band"], bands)
    return Measurements(owner, key, fields["time"], fields["value"], fields["error"], band, np.ones(len(owner), bool))
