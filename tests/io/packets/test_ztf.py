import math

import fastavro
import numpy as np
import pytest

from goodricke.io.packets import NON_FINITE, NOT_POSITIVE, REJECTED, WRONG_PHOTOMETRY, PacketOptions, avro, decode
from tests.io.packets.making_packets import assert_equal, source, ztf_packet, ztf_schema

REAL = ("2019_01_10_739260766315010006.avro", "472263571115115000.avro")


@pytest.fixture(params=[True, False], ids=["compiled", "fastavro"])
def compiled(request) -> bool:
    return request.param


@pytest.fixture
def real(shared) -> list[bytes]:
    return [(shared / "data/formats/ztf_alert" / name).read_bytes() for name in REAL]


def total(magpsf, sigmapsf, isdiffpos, magnr, sigmagnr) -> tuple[float, float]:
    """Return magnitude and error as one does it by hand."""
    reference, difference = 10 ** (-0.4 * magnr), 10 ** (-0.4 * magpsf)
    flux = reference + (difference if isdiffpos == "t" else -difference)
    return -2.5 * math.log10(flux), math.hypot(reference * sigmagnr, difference * sigmapsf) / flux


def test_a_real_packet_has_the_total_magnitude_that_one_computes_by_hand(real, compiled):
    alerts = decode(real, "ztf", PacketOptions(compiled=compiled))
    assert alerts.object_id.to_pylist() == ["ZTF17aaacxxf", "ZTF17aaajnnn"]
    assert alerts.alert_id.tolist() == [739260766315010006, 472263571115115000]
    # 10^(-0.4 * 14.319) - 10^(-0.4 * 15.371134) = 1.8707e-6 - 0.7099e-6 = 1.1608e-6, i.e. 14.837 mag; the second star
    # got brighter: 10^(-0.4 * 16.426) + 10^(-0.4 * 18.361857) = 2.690e-7 + 0.452e-7 = 3.143e-7, i.e. 16.257 mag
    np.testing.assert_allclose(alerts.new.value, [14.837, 16.257], atol=1e-3)
    # errors: hypot(1.8707e-6 * 0.016, 0.7099e-6 * 0.0445) / 1.1608e-6 = 0.0375 (the factor 2.5 / ln 10 drops out)
    np.testing.assert_allclose(alerts.new.error, [0.0375, 0.0187], atol=1e-4)
    np.testing.assert_allclose(alerts.new.time, [58493.2607639, 58226.2635764], rtol=0, atol=1e-7)
    assert [alerts.new.bands[b] for b in alerts.new.band] == ["r", "r"]
    np.testing.assert_array_equal(alerts.new.column("ra"), [75.2007803, 179.6402013])
    assert (alerts.new.unit, alerts.new.time_scale) == ("mag", "MJD")


def test_the_history_is_all_real_detections_before(real, compiled, shared):
    alerts = decode(real, "ztf", PacketOptions(compiled=compiled))
    with (shared / "data/formats/ztf_alert" / REAL[0]).open("rb") as file:
        packet = next(fastavro.reader(file))
    names = ("magpsf", "sigmapsf", "isdiffpos", "magnr", "sigmagnr")
    known = [p for p in packet["prv_candidates"] if p["magpsf"] is not None and p["distnr"] < 1.4]
    assert 0 < len(known) < len(packet["prv_candidates"])
    known.sort(key=lambda p: p["jd"])
    mine = alerts.history[0]
    np.testing.assert_allclose(mine.time, [p["jd"] - 2400000.5 for p in known], rtol=0, atol=1e-9)
    np.testing.assert_allclose(mine.value, [total(*(p[n] for n in names))[0] for p in known], rtol=1e-6)
    np.testing.assert_allclose(mine.error, [total(*(p[n] for n in names))[1] for p in known], rtol=1e-5)
    assert [mine.bands[b] for b in mine.band] == ["gri"[p["fid"] - 1] for p in known]
    assert alerts.history.n_obs[1] == 0  # eleven upper limits


def test_a_difference_has_a_magnitude_if_it_is_positive_and_always_a_flux(real):
    magnitudes = decode(real, "ztf", PacketOptions(photometry="difference"))
    assert magnitudes.index.tolist() == [1]
    np.testing.assert_allclose(magnitudes.new.value, [18.361857], atol=1e-5)
    np.testing.assert_allclose(magnitudes.new.error, [0.0940405], atol=1e-6)
    assert [(f.index, f.status) for f in magnitudes.failures] == [(0, NOT_POSITIVE)]
    fluxes = decode(real, "ztf", PacketOptions(photometry="difference", unit="nJy"))
    np.testing.assert_allclose(
        fluxes.new.value, [-3631e9 * 10 ** (-0.4 * 15.371134), 3631e9 * 10 ** (-0.4 * 18.361857)], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"distnr": 1.5}, WRONG_PHOTOMETRY),
        ({"distnr": None}, WRONG_PHOTOMETRY),
        ({"magnr": None}, WRONG_PHOTOMETRY),
        ({"magnr": -999.0}, WRONG_PHOTOMETRY),
        ({"magpsf": None}, NON_FINITE),
        ({"isdiffpos": None}, NON_FINITE),
        ({"isdiffpos": "f", "magpsf": 16.0}, NOT_POSITIVE),
        ({"magpsf": float("nan")}, NON_FINITE),
    ],
)
def test_what_no_total_can_be_computed_of_is_left_out(wrong, status):
    new, before = source(2459000.5), source(2458999.5)
    alerts = decode([ztf_packet(new | wrong), ztf_packet(new, [before | wrong, before | {"jd": 2458998.5}])], "ztf")
    assert alerts.index.tolist() == [1]
    assert [(f.index, f.status) for f in alerts.failures] == [(0, status)]
    assert alerts.history.n_obs.tolist() == [1]


def test_an_exposure_counts_once_and_nothing_comes_after_the_new_one(compiled):
    times = [2459000.5, 2458999.5, 2458999.5 + 2e-6, 2458998.5, 2459000.5, 2459003.5]
    before = [source(jd) for jd in times] + [source(2458998.5, fid=2), source(2459000.5, fid=2)]
    alerts = decode([ztf_packet(source(2459000.5), before)], "ztf", PacketOptions(compiled=compiled))
    found = list(zip((alerts.history.time - 59000).tolist(), alerts.history.band.tolist(), strict=True))
    assert found == [(-2.0, 0), (-2.0, 1), (-1.0, 0), (0.0, 1)]


def hist(jd: float, **fields) -> dict:
    known = {"forcediffimflux": -500.0, "forcediffimfluxunc": 20.0, "magzpsci": 26.0, "procstatus": "0", "fid": 1}
    return {"jd": jd, "distnr": 0.2, "magnr": 17.0, "sigmagnr": 0.02} | known | fields


def test_forced_photometry_joins_the_detections(compiled):
    forced = [
        hist(2458990.5),
        hist(2458999.5),
        hist(2458991.5, procstatus="56"),
        hist(2458992.5, forcediffimflux=-99999.0),
    ]
    packet = ztf_packet(source(2459000.5), [source(2458999.5)], [*forced, hist(2459000.5)])
    assert decode([packet], "ztf", PacketOptions(compiled=compiled)).history.n_obs.tolist() == [1]
    history = decode([packet], "ztf", PacketOptions(forced=True, compiled=compiled)).history
    np.testing.assert_array_equal(history.time, [58990.0, 58999.0])
    flux = 10 ** (-0.4 * 17) - 500 * 10 ** (-0.4 * 26)
    error = (
        math.hypot(10 ** (-0.4 * 17) * 0.02 * math.log(10) / 2.5, 20 * 10 ** (-0.4 * 26)) / flux * 2.5 / math.log(10)
    )
    np.testing.assert_allclose(history.value[0], -2.5 * math.log10(flux), rtol=1e-6)
    np.testing.assert_allclose(history.error[0], error, rtol=1e-5)
    np.testing.assert_allclose(history.value[1], total(18.0, 0.1, "t", 17.0, 0.02)[0], rtol=1e-6)  # the detection


def test_cuts_on_score_and_flags_leave_out_what_fails_them():
    new = source(2459000.5)
    before = [source(2458990.5 + i, rb=score) for i, score in enumerate((0.9, 0.1, None))]
    packets = [
        ztf_packet(new | {"rb": 0.9}, before),
        ztf_packet(new | {"rb": 0.9, "drb": 0.1}),
        ztf_packet(new | {"nbad": 2}),
    ]
    alerts = decode(packets, "ztf", PacketOptions(reliability=0.5, flags=("nbad",)))
    assert alerts.index.tolist() == [0]
    assert {f.status for f in alerts.failures} == {REJECTED}
    assert (alerts.history.time - 58990).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_however_it_is_packed(tmp_path, compiled, codec):
    new, before = source(2459000.5), [source(2458999.5)]
    path = tmp_path / "mine.avsc"
    path.write_text(__import__("json").dumps(ztf_schema()))
    bare = decode([ztf_packet(new, before, bare=True)], "ztf", PacketOptions(schema=str(path), compiled=compiled))
    assert_equal(decode([ztf_packet(new, before, codec=codec)], "ztf", PacketOptions(compiled=compiled)), bare)


def test_a_schema_is_parsed_once_however_many_packets_carry_it(real, monkeypatch):
    parsed = []
    plan = avro.DecodingPlan.from_json
    monkeypatch.setattr(avro.DecodingPlan, "from_json", lambda *given: parsed.append(1) or plan(*given))
    assert len(decode(real * 20, "ztf", PacketOptions(reference_distance=1.39))) == 40
    assert len(parsed) == 2
