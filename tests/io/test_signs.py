"""Yes and no, and the sign of a difference flux, in all spellings and in all places that read them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke import spark
from goodricke.io import read
from goodricke.io.packets import PacketOptions, decode
from goodricke.io.roles import flags, sign, signs
from tests.io.packets.making_packets import source, ztf_packet

YES = ("t", "T", "true", "True", " TRUE ", "1", "1.0", "+1", "y", "Yes")
NO = ("f", "F", "false", "False", "FALSE", "0", "0.0", "-1", "n", "No")
NEITHER = (None, "", "maybe", "nan")
SPELLINGS = {**dict.fromkeys(YES, 1.0), **dict.fromkeys(NO, -1.0), **dict.fromkeys(NEITHER, np.nan)}
EXPECTED = np.array(list(SPELLINGS.values()))
JD, MAG = 2459000.5, 20.0
FLUX = 3631e9 * 10 ** (-0.4 * MAG)


def test_text_of_any_kind():
    text = pa.array(list(SPELLINGS))
    for column in (text, text.dictionary_encode(), text.cast(pa.large_string()), list(SPELLINGS)):
        np.testing.assert_array_equal(signs(column), EXPECTED)
        np.testing.assert_array_equal(flags(column), EXPECTED == 1)
    np.testing.assert_array_equal([sign(text) for text in SPELLINGS], EXPECTED)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.int64(), pa.float32(), pa.float64()])
def test_truth_values_and_numbers(kind):
    np.testing.assert_array_equal(signs(pa.array([1, 0, None], pa.int8()).cast(kind)), [1, -1, np.nan])
    if kind != pa.bool_():
        np.testing.assert_array_equal(signs(pa.array([-1, 2], kind)), [-1, 1])


def test_values_of_numpy_and_nulls_without_a_type():
    np.testing.assert_array_equal(signs(np.array([True, False])), [1, -1])
    np.testing.assert_array_equal(signs(np.array([1.0, np.nan, -1.0])), [1, np.nan, -1])
    np.testing.assert_array_equal(signs([None, None]), [np.nan, np.nan])


def expected(values) -> np.ndarray:
    """Return fluxes (n,) of differences with these signs that stay, in order."""
    return FLUX * np.array([SPELLINGS[v] for v in values if np.isfinite(SPELLINGS[v])])


def test_packets_of_ztf():
    values = list(SPELLINGS)
    messages = [ztf_packet(source(JD + k, magpsf=MAG) | {"isdiffpos": v}) for k, v in enumerate(values)]
    found = decode(messages, "ztf", PacketOptions(photometry="difference", unit="nJy"))
    np.testing.assert_allclose(found.new.value, expected(values), rtol=1e-6)


def test_rows_of_brokers_in_json():
    values = [v for v in SPELLINGS if v is not None]
    row = {"i:objectId": "ZTF1", "i:magpsf": MAG, "i:sigmapsf": 0.1, "i:fid": 1}
    fink = [row | {"i:candid": k, "i:jd": JD + k, "i:isdiffpos": v} for k, v in enumerate(values)]
    row = {"oid": "ZTF1", "magpsf": MAG, "sigmapsf": 0.1, "fid": 1}
    alerce = [row | {"candid": k, "mjd": JD - 2400000.5 + k, "isdiffpos": v} for k, v in enumerate(values)]
    for format, rows in (("fink", fink), ("alerce", alerce)):
        messages = [json.dumps(row).encode() for row in rows]
        found = decode(messages, format, PacketOptions(photometry="difference", unit="nJy"))
        np.testing.assert_allclose(found.new.value, expected(values), rtol=1e-6)


def test_finks_parquet(tmp_path):
    values = list(SPELLINGS)
    points = [
        {"jd": JD + k, "fid": 1, "candid": k + 1, "magpsf": MAG, "sigmapsf": 0.1, "isdiffpos": v, "ra": 1.0, "dec": 2.0}
        for k, v in enumerate(values)
    ]
    rows = [{"objectId": "ZTF1", "candidate": point, "prv_candidates": points[:1]} for point in points]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "fink.parquet")
    np.testing.assert_allclose(read(tmp_path / "fink.parquet").value, expected(values), rtol=1e-6)


def test_alerces_detections(tmp_path):
    names = "oid,mjd,fid,isdiffpos,magpsf,sigmapsf,magpsf_corr,sigmapsf_corr_ext,corrected,dubious"
    values = [v for v in SPELLINGS if v]
    rows = [f"ZTF1,{59000 + k},1,{v},{MAG},0.1,,,False,False" for k, v in enumerate(values)]
    (tmp_path / "a.csv").write_text("\n".join([names, *rows]))
    found = read(tmp_path / "a.csv")  # positive differences stay
    assert found.time.tolist() == [59000 + k for k, v in enumerate(values) if SPELLINGS[v] == 1]


def test_columns_within_spark():
    values = list(SPELLINGS)
    columns = {"magpsf": [MAG] * len(values), "sigmapsf": [0.1] * len(values), "isdiffpos": values}
    table = pa.table({"object_id": ["a"], **{name: [column] for name, column in columns.items()}})
    flux = spark._signed_fluxes(table)["flux"].combine_chunks()
    np.testing.assert_allclose(flux.flatten().to_numpy(zero_copy_only=False), FLUX * EXPECTED, rtol=1e-6)
