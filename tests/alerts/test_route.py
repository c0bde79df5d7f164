"""A second model answers about variable stars: as for their light curves, whatever the batches and the restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from goodricke import classify, load_model
from goodricke.alerts.answers import ROUTE_COLUMNS, Message, answer_schema, avro_encoder
from goodricke.alerts.engine import Engine
from goodricke.alerts.inspect_store import answer_tables, describe_record, find_record
from goodricke.alerts.object_record import ObjectRecord, is_routed
from goodricke.alerts.route import Route, Routed, open_route
from goodricke.alerts.store import LmdbStore, MemoryStore
from goodricke.alerts.worker_config import EXAMPLE, read_worker_config
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Photometry
from goodricke.io.packets import PacketOptions, decode, rubin
from goodricke.models.bundle import BundleConfig, Model
from goodricke.models.multiband import Multiband, MultibandNetworkConfig
from goodricke.preprocess.multiband import MultibandConfig
from tests.alerts.streams import tiny_model
from tests.io.packets.making_packets import encoded, source, ztf_packet

pytest.importorskip("lmdb", reason="needs goodricke[alerts]")

OPTIONS = PacketOptions(photometry="difference", unit="nJy")
REFERENCE = {1: 15.3, 2: 15.0}  # magnitudes in g and r
N_OBS, STARS = 40, 3


@pytest.fixture(scope="module")
def first() -> Model:
    """Return an untrained model of differences."""
    torch.manual_seed(3)
    network = Multiband(MultibandNetworkConfig(bands=2, classes=2, hidden=8))
    preprocessing = MultibandConfig(bands=("g", "r"), brightness="asinh", softening=3000.0, unit="nJy")
    config = BundleConfig(
        name="gate",
        family="multiband",
        classes=("VARIABLE", "SUPERNOVA"),
        network=network.config.model_dump(),
        preprocessing=preprocessing,
        photometry=Photometry(flux="difference", forced=False),
    )
    return Model(config, network.eval())


@pytest.fixture(scope="module")
def route() -> Route:
    """Return the route of every object with an answer to the shipped model of variable stars."""
    return Route(load_model("variables"), (10, 30), threshold=1e-9)


@pytest.fixture(scope="module")
def stars() -> LightCurves:
    """Return total magnitudes of pulsating stars, whose observations have magnitude errors of 0.01."""
    rng = np.random.default_rng(8)
    time = np.concatenate([np.sort(rng.uniform(59000, 59080, N_OBS)) for _ in range(STARS)])
    band = np.tile(np.arange(N_OBS) % 2, STARS)
    period = np.repeat([0.41, 0.57, 0.66], N_OBS)
    magnitude = np.where(band == 0, 15.3, 15.0) + np.where(band == 0, 0.5, 0.35) * np.sin(2 * np.pi * time / period)
    ids, offsets = [f"star {k}" for k in range(STARS)], np.arange(STARS + 1) * N_OBS
    error = np.full(len(time), 0.01)
    return LightCurves.from_arrays(ids, offsets, time, magnitude, error, band, bands=("g", "r"), unit="mag")


@pytest.fixture(scope="module")
def packets(stars) -> list[bytes]:
    """Return the alerts of the stars in order of time."""
    result = []
    owner = np.repeat(stars.ids, N_OBS)
    for k in np.argsort(stars.time).tolist():
        fid = int(stars.band[k]) + 1
        flux, reference = (10 ** (-0.4 * m) for m in (float(stars.value[k]), REFERENCE[fid]))
        change, error = flux - reference, 0.01 * flux / 1.0857
        fields = {
            "fid": fid,
            "magpsf": float(-2.5 * np.log10(abs(change))),
            "sigmapsf": float(1.0857 * error / abs(change)),
            "isdiffpos": "t" if change > 0 else "f",
            "magnr": REFERENCE[fid],
            "candid": k + 1,
        }
        result.append(ztf_packet(source(stars.time[k] + 2400000.5, **fields), name=str(owner[k])))
    return result


def engine(first, route, store=None, **options) -> Engine:
    worker = Engine(
        first, store or MemoryStore(), partial(decode, format="ztf", options=OPTIONS), route=route, **options
    )
    worker.clock = lambda: 0.0
    return worker


def feed(worker: Engine, packets, cut: int, begin: int = 0) -> dict[str, dict]:
    last = {}
    messages = [Message(k, value) for k, value in enumerate(packets)]
    for start in range(begin, len(messages), cut):
        last |= {row["object_id"]: row for row in worker.process(messages[start : start + cut]).answers.rows()}
    return last


def assert_same_route(one: dict, two: dict) -> None:
    names = [name for name in answer_schema(("A",), routed=True).names if name.startswith("route_")]
    assert len(names) == 5
    for name in names:  # company changes the last digit of a probability
        number = name in ("route_probability", "route_period")
        assert one[name] == (pytest.approx(two[name], rel=1e-5) if number else two[name])


def test_the_second_answer_is_that_of_the_light_curve_up_to_the_number_reached(first, route, stars, packets):
    worker, seen = engine(first, route), {}
    for k, packet in enumerate(packets):
        for row in worker.process([Message(k, packet)]).answers.rows():
            if row["route_class"] is not None:
                seen.setdefault((row["object_id"], row["route_n_obs"]), row)
    assert {count for _, count in seen} == {10, 30}
    for count in (10, 30):
        place = np.concatenate([np.arange(N_OBS)] * STARS)
        expected = classify(stars.where(place < count), route.model).table.to_pylist()
        for want in expected:
            row = seen[want["object_id"], count]
            assert row["route_class"] == want["class"]
            assert row["route_probability"] == pytest.approx(want["class_probability"], abs=1e-3)  # fluxes are float32
            assert row["route_period"] == pytest.approx(want["period"], rel=1e-4)
            assert row["n_obs"] == count


def as_format(format: str, stars: LightCurves) -> list[bytes]:
    """Return the alerts of the stars in another format than ZTF's packets."""
    result = []
    owner = np.repeat(stars.ids, N_OBS)
    for k in np.argsort(stars.time).tolist():
        fid, total, name = int(stars.band[k]) + 1, float(stars.value[k]), str(owner[k])
        flux, reference = (3.631e12 * 10 ** (-0.4 * m) for m in (total, REFERENCE[fid]))
        change, error = flux - reference, 0.01 * flux / 1.0857
        if format.startswith("rubin"):
            row = {"diaSourceId": k + 1, "diaObjectId": int(name.split()[1]) + 1, "ra": 10.0, "dec": -20.0}
            row |= {
                "midpointMjdTai": float(stars.time[k]),
                "band": "gr"[fid - 1],
                "psfFlux": change,
                "psfFluxErr": error,
            }
            if format == "rubin-json":
                result.append(json.dumps({"diaSource": row | {"templateFlux": reference}}).encode())
            else:
                whole = row | {"scienceFlux": flux, "reliability": 0.9}
                record = {"diaSourceId": k + 1, "diaSource": whole, "prvDiaSources": [], "prvDiaForcedSources": []}
                result.append(encoded(json.loads(rubin.schema()), [record]))
            continue
        magnitudes = {"magpsf": -2.5 * np.log10(abs(change) / 3.631e12), "sigmapsf": 1.0857 * error / abs(change)}
        row = {"fid": fid, "candid": k + 1, "isdiffpos": "t" if change > 0 else "f", "distnr": 0.3, **magnitudes}
        if format == "alerce":
            row |= {"oid": name, "mjd": float(stars.time[k]), "corrected": True, "magpsf_corr": total}
            row["isdiffpos"] = 1 if change > 0 else -1
        else:
            row |= {"objectId": name, "jd": stars.time[k] + 2400000.5, "magnr": REFERENCE[fid], "sigmagnr": 0.02}
            row = {f"i:{key}": value for key, value in row.items()}
        result.append(json.dumps(row).encode())
    return result


@pytest.mark.parametrize("format", ["fink", "alerce", "json", "rubin", "rubin-json"])
def test_every_format_that_tells_the_reference_is_routed_alike(format, first, route, stars, packets):
    one = Route(route.model, (10,), threshold=1e-9)
    expected = feed(engine(first, one), packets, 1000)
    worker = engine(first, one)
    worker.decode = partial(decode, format=format, options=OPTIONS)
    got = feed(worker, as_format("fink" if format == "json" else format, stars), 1000)
    assert len(got) == len(expected) == STARS
    for (_, row), (_, want) in zip(sorted(got.items()), sorted(expected.items()), strict=True):
        assert row["route_n_obs"] == want["route_n_obs"] == 10
        assert row["route_class"] == want["route_class"]
        assert row["route_period"] == pytest.approx(want["route_period"], rel=1e-4)


def test_the_export_of_a_store_has_the_second_answers(first, route, packets, tmp_path):
    store = LmdbStore(tmp_path / "state")
    worker = engine(first, route, store)
    last = feed(worker, packets, 1000)
    worker.close()
    (table,) = answer_tables(str(tmp_path / "state"))
    rows = {row["object_id"]: row for row in table.to_pylist()}
    for name, row in last.items():
        assert {key: rows[name][key] for key in ROUTE_COLUMNS} == {
            key: pytest.approx(row[key]) if isinstance(row[key], float) else row[key] for key in ROUTE_COLUMNS
        }
    number, record = find_record(str(tmp_path / "state"), "star 0")
    assert describe_record(number, record)["route_class"] == last["star 0"]["route_class"]
    plain = engine(first, None, LmdbStore(tmp_path / "plain"))
    feed(plain, packets[:5], 1000)
    plain.close()
    (table,) = answer_tables(str(tmp_path / "plain"))
    assert not set(ROUTE_COLUMNS) & set(table.column_names)


def test_batches_change_no_second_answer(first, route, packets):
    whole, single = feed(engine(first, route), packets, 1000), feed(engine(first, route), packets, 1)
    for name, row in single.items():
        assert row["route_n_obs"] == 30
        assert_same_route(whole[name], row)


def test_a_killed_worker_goes_on_with_the_same_second_answers(first, route, packets, tmp_path):
    expected = feed(engine(first, route), packets, 7)
    store = LmdbStore(tmp_path / "state")
    worker = engine(first, route, store)
    feed(worker, packets[:63], 7)
    worker.close()
    again = engine(first, route, LmdbStore(tmp_path / "state"))
    assert again.assign(0) == 63
    recovered = again.recover(0).rows()
    last = feed(again, packets, 7, 56)  # the batch whose offset wasn't committed comes again
    assert [row["route_n_obs"] for row in recovered] == [10] * len(recovered)
    for name, row in last.items():
        assert_same_route(expected[name], row)
    again.close()


def test_without_a_route_records_and_answers_are_as_before(first, packets):
    plain, route = engine(first, None), Routed((1.0, np.nan), 10, {"route_class": "RRAB"})
    last = feed(plain, packets, 50)
    assert not any(name.startswith("route_") for row in last.values() for name in row)
    record = ObjectRecord.frombytes(plain._partitions[0].get([b"star 0"])[0])
    assert record.route == b""
    assert not is_routed(record.tobytes())
    assert record.tobytes()[4] == 4  # with the identifiers of ZTF's observations
    assert replace(record, identifiers=record.identifiers[:0]).tobytes()[4] == 2
    routed = replace(record, route=route.tobytes(), identifiers=record.identifiers[:0])
    assert routed.tobytes()[4] == 3
    assert is_routed(routed.tobytes())
    back = ObjectRecord.frombytes(routed.tobytes())
    assert (back.answer, back.state, back.n_obs) == (record.answer, record.state, record.n_obs)
    restored = Routed.frombytes(back.route, 2)
    assert (restored.reached, restored.answer, restored.reference[0]) == (10, {"route_class": "RRAB"}, 1.0)
    assert np.isnan(restored.reference[1])


def test_routed_answers_can_be_filtered_and_encoded(first, route, packets):
    worker = engine(first, route)
    answers = worker.process([Message(k, value) for k, value in enumerate(packets)]).answers
    assert (answers.columns["route_period"] > 0).all()
    assert len(avro_encoder(first.classes, routed=True)(answers)) == STARS


def test_a_route_needs_its_class_and_differences(first):
    with pytest.raises(TypeError, match="has no class AGN"):
        engine(first, Route(tiny_model(), leaf="AGN"))
    totals = replace(first, config=first.config.model_copy(update={"photometry": Photometry(flux="total")}))
    with pytest.raises(TypeError, match="fluxes of differences"):
        engine(totals, Route(tiny_model()))
    with pytest.raises(ValueError, match="at least one"):
        open_route("variables", [])


def test_a_worker_reads_its_route(tmp_path):
    text = EXAMPLE.replace("# [route] ", "[route] ").replace('# model = "variables"', 'model = "variables"')
    text = text.replace("# counts = [10, 30, 100, 300]", "counts = [30, 10]")
    (tmp_path / "worker.toml").write_text(text)
    config = read_worker_config(tmp_path / "worker.toml")
    assert config.route is not None
    route = open_route(**config.route.model_dump())
    assert (route.model.name, route.counts, route.leaf) == ("variables", (10, 30), "VARIABLE")
    assert [route.due(reached, n) for reached, n in ((0, 9), (0, 12), (10, 12), (0, 99), (10, 30))] == [
        0,
        10,
        0,
        30,
        30,
    ]
    (tmp_path / "plain.toml").write_text(EXAMPLE)
    assert read_worker_config(tmp_path / "plain.toml").route is None
