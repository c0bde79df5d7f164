"""The sign of a difference is read in the same way from every source, however the survey spells it."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.io.packets import PacketOptions, decode
from goodricke.io.roles import sign, signs
from goodricke.models.bundle import load_model
from goodricke.preprocess import prepare
from tests.io.packets.making_packets import encoded, source, ztf_packet, ztf_schema

SPELLED = [("t", 1), ("T", 1), ("f", -1), ("1", 1), ("0", -1), ("-1", -1), ("true", 1), ("False", -1)]
IN_JSON = [*SPELLED, (True, 1), (False, -1), (1, 1), (0, -1), (-1, -1), (1.0, 1), (None, 0), ("", 0), ("?", 0)]
OPTIONS = PacketOptions(photometry="difference", unit="nJy")


def measured(alerts) -> int:
    """Return the sign of the only observation, 0 if it has no brightness."""
    return int(np.sign(alerts.new.value[0])) if len(alerts) else 0


@pytest.mark.parametrize(("given", "expected"), IN_JSON)
def test_every_format_reads_the_same_sign(given, expected):
    now = source(2459000.5, isdiffpos=given)
    assert measured(decode([json.dumps({"objectId": "a", "candidate": now}).encode()], "json", OPTIONS)) == expected
    fink = {f"i:{name}": value for name, value in now.items()} | {"i:objectId": "a"}
    assert measured(decode([json.dumps(fink).encode()], "fink", OPTIONS)) == expected
    row = {"oid": "a", "mjd": 59000.0, "corrected": False, **{k: v for k, v in now.items() if k != "jd"}}
    assert measured(decode([json.dumps(row).encode()], "alerce", OPTIONS)) == expected
    assert np.nan_to_num(sign(given)) == expected
    assert np.nan_to_num(signs(pa.array([given]))[0]) == expected
    assert np.nan_to_num(signs(pd.Series([given]))[0]) == expected


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("given", "expected"), [*SPELLED, (None, 0)])
def test_packets_read_the_same_sign(given, expected, compiled):
    options = PacketOptions(photometry="difference", unit="nJy", compiled=compiled)
    assert measured(decode([ztf_packet(source(2459000.5, isdiffpos=given))], "ztf", options)) == expected


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("kind", "given", "expected"), [("boolean", True, 1), ("boolean", False, -1), ("int", 0, -1)])
def test_a_sign_that_is_no_text_is_read_or_refused(kind, given, expected, compiled):
    """Never taken for the other sign: a schema of another type is read as it means, or the packet is refused."""
    schema = json.loads(
        json.dumps(ztf_schema()).replace(
            '"name": "isdiffpos", "type": ["null", "string"]',
            '"name": "isdiffpos", "type": ["null", "KIND"]'.replace("KIND", kind),
        )
    )
    record = {"objectId": "a", "candidate": source(2459000.5, isdiffpos=given), "prv_candidates": [], "fp_hists": []}
    message = encoded(schema, [record | {"cutoutScience": None}])
    options = PacketOptions(photometry="difference", unit="nJy", compiled=compiled)
    assert measured(decode([message], "ztf", options)) in (expected, 0)


def test_a_negative_observation_among_positive_ones_stays():
    model, n = load_model("ztf-bts"), 20
    flux = np.full(n, 1e5)
    flux[7] = -1e5
    band = np.arange(n) % 2
    columns = np.arange(n) * 1.5 + 59000, flux, np.full(n, 2e3), band
    curves = LightCurves.from_arrays(["a"], [0, n], *columns, bands=("r", "g"), unit="nJy")
    steps = prepare(curves, model.preprocessing)
    assert steps.observations.tolist() == [n]
    assert gr.classify(curves, model).table["n_obs"].to_pylist() == [n]
    magnitude = steps.window[:, 4]  # asinh magnitudes are negative for positive fluxes
    assert (magnitude > 0).sum() == 1
