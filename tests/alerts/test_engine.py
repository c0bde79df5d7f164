"""The engine and the whole light curve agree, whatever the order, the batches and the restarts on the way."""

import io
import itertools
import json
from dataclasses import replace

import fastavro
import numpy as np
import pytest

from goodricke import classify
from goodricke.alerts import object_record
from goodricke.alerts.answers import Message, avro_encoder, avro_schema, filter_columns
from goodricke.alerts.engine import Engine, create_engine
from goodricke.alerts.filters import Filter
from goodricke.alerts.object_record import MAX_HASHES, POINT, ObjectRecord
from goodricke.alerts.replay import slim_packets
from goodricke.alerts.store import FencedError, LmdbStore, MemoryStore
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Photometry
from goodricke.data.taxonomy import Leaf, Taxonomy
from goodricke.io.packets import PacketOptions, decode, slim
from goodricke.models.bundle import Model
from goodricke.uncertainty.novelty import Novelty, fit_detector
from goodricke.uncertainty.prediction_sets import Conformal, stratum_of
from tests.alerts.streams import BANDS, light_curves, slim_stream, tiny_model
from tests.io.packets.making_packets import source, ztf_packet

pytest.importorskip("fastavro", reason="needs goodricke[alerts]")

SCHEMA = fastavro.parse_schema(json.loads(slim.schema()))


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def encode(name, alert_id, time, band, value, error, previous=None) -> bytes:
    buffer = io.BytesIO()
    fields = {"object_id": name, "alert_id": int(alert_id), "time": time, "band": band, "value": value, "error": error}
    fastavro.schemaless_writer(buffer, SCHEMA, fields | {"ra": None, "dec": None, "previous": previous})
    return buffer.getvalue()


def stream(curves: LightCurves) -> list[bytes]:
    """Return the observations of all objects in order of time."""
    return [value for _, value in slim_stream(curves)]


def messages(values, first=0):
    return [Message(first + i, value) for i, value in enumerate(values)]


def engine(model, store=None, **options) -> Engine:
    worker = Engine(model, store or MemoryStore(), lambda values: decode(values, "slim"), **options)
    worker.clock = itertools.count().__next__
    return worker


def run(worker: Engine, values, cuts=()) -> dict[str, dict]:
    """Feed a stream cut into batches; return the last answer about each object."""
    last = {}
    for part in np.split(np.array(messages(values), object), cuts):
        if len(part):
            last |= {r["object_id"]: r for r in worker.process(list(part)).answers.rows()}
    return last


def same(one: dict, two: dict) -> None:
    """Check that two answers are the same but for status and change."""
    for name in ("object_id", "class", "n_obs", "time", "ra", "dec"):
        assert one[name] == two[name], name
    for name in ("p_A", "p_B", "p_C"):
        assert (one[name] is None) == (two[name] is None)
        assert one[name] is None or one[name] == pytest.approx(two[name], abs=1e-5)


@pytest.mark.parametrize(("n", "cut"), [(3, 1), (12, 7), (12, 50), (12, 10_000)])
@pytest.mark.parametrize("keep", [2, 32])
def test_the_last_answer_is_that_of_the_whole_light_curve(model, n, cut, keep):
    curves = light_curves(n, 40)
    values = stream(curves)
    last = run(engine(model, keep=keep), values, range(cut, len(values), cut))
    expected = classify(curves, model)
    assert len(last) == n
    for i, name in enumerate(curves.ids):
        assert last[name]["n_obs"] == curves.n_obs[i]
        assert last[name]["status"] == expected.column("status")[i]
        assert last[name]["class"] == expected.column("class")[i]
        if last[name]["status"] == "OK":
            p = [last[name][f"p_{c}"] for c in "ABC"]
            np.testing.assert_allclose(p, expected.probabilities[i], atol=1e-5)


def test_with_a_taxonomy_the_stream_answers_nodes_as_classify_does(model):
    tree = Taxonomy(leaves={"A": Leaf(), "B": Leaf(), "C": Leaf()}, nodes={"ANY": ("GOOD", "C"), "GOOD": ("A", "B")})
    model = replace(model, config=model.config.model_copy(update={"taxonomy": tree}))
    curves = light_curves(40, 20, seed=11)
    worker = engine(model)
    last, expected = run(worker, stream(curves), range(50, 2000, 50)), classify(curves, model)
    rows = {row["object_id"]: row for row in expected.table.to_pylist()}
    assert {"A", "C", "GOOD", "uncertain"} & {row["class"] for row in last.values()} >= {"GOOD", "uncertain"}
    for name, row in last.items():
        assert (row["class"], row["leaf"]) == (rows[name]["class"], rows[name]["leaf"])
        for column in ("class_probability", "node_GOOD", "p_A"):
            assert row[column] == (None if row["class"] is None else pytest.approx(rows[name][column], abs=1e-5))
    names = ["class", "class_probability", "leaf", "node_GOOD", "previous_class"]
    assert set(names) <= set(filter_columns(model.classes, tree))
    answers = next(worker.stored_answers(0))
    chosen = Filter('node_GOOD > 0.5 and leaf in ("A", "B")', filter_columns(model.classes, tree))(answers.columns)
    assert chosen.tolist() == [(r["node_GOOD"] or 0) > 0.5 and r["leaf"] in ("A", "B") for r in answers.rows()]
    schema = fastavro.parse_schema(avro_schema(model.classes, tree))
    (value, *_) = avro_encoder(model.classes, tree)(answers)
    assert fastavro.schemaless_reader(io.BytesIO(value), schema)["leaf"] == answers.rows()[0]["leaf"]


def test_late_observations_are_inserted(model):
    curves = light_curves(8, 30, seed=1)
    values = stream(curves)
    rng = np.random.default_rng(0)
    shuffled = [values[i] for i in np.argsort(np.arange(len(values)) + rng.uniform(0, 40, len(values)))]
    worker = engine(model)
    ordered, late = run(engine(model), values), run(worker, shuffled, range(9, len(values), 9))
    assert worker.counts.rebuilt > 5
    assert worker.counts.refused == 0
    assert {r["status"] for r in late.values()} & {"REBUILT"}
    for name in curves.ids:
        same(ordered[name], late[name])


def test_duplicates_change_nothing(model):
    values = stream(light_curves(8, 30, seed=2))
    twice = [value for value in values for _ in range(2)]
    worker = engine(model)
    plain, doubled = run(engine(model), values), run(worker, twice, range(5, len(twice), 5))
    assert worker.counts.known == len(values)
    for name in plain:
        same(plain[name], doubled[name])


def test_messages_before_the_offset_are_skipped(model):
    values = stream(light_curves(4, 20, seed=3))
    worker, store = engine(model), MemoryStore()
    worker.store = store
    run(worker, values)
    before = dict(store.partition(0).items())
    again = worker.process(messages(values))
    assert len(again.answers) == 0
    assert worker.counts.repeated == len(values)
    assert dict(store.partition(0).items()) == before


def test_dead_letters_are_sent_before_anything_is_written(model):
    values = stream(light_curves(3, 10, seed=4))
    store = MemoryStore()
    worker = engine(model, store)
    sent = []

    def send_dead_letters(letters):
        sent.extend(letters)
        assert not letters or store.partition(0).offset == 0

    result = worker.process(messages([values[0], b"\x00rubbish", *values[1:], b""]), send_dead_letters)
    assert sorted(letter.message.offset for letter in sent) == [1, len(values) + 1]
    assert all(letter.error for letter in sent)
    assert result.offset == len(values) + 2 == store.partition(0).offset
    expected = run(engine(model), values)
    for answer in result.answers.rows():
        same(answer, expected[answer["object_id"]])


def test_an_object_first_seen_in_midlife_comes_with_its_history(model):
    curves = light_curves(1, 30, seed=5)
    points = as_points(curves)
    *past, now = points
    value = encode("object 0", 99, now["time"], now["band"], now["value"], now["error"], past)
    only = run(engine(model), [value])["object 0"]
    same(only, run(engine(model), stream(curves))["object 0"])


def as_points(curves):
    return [
        {"time": t, "band": BANDS[b], "value": float(v), "error": float(e)}
        for t, b, v, e in zip(curves.time.tolist(), curves.band, curves.value, curves.error, strict=True)
    ]


def with_history(curves, rows, history) -> list[bytes]:
    """Return messages about the one object of light curves: row k with the rows before it that ``history`` gives."""
    points = as_points(curves)
    return [
        encode(
            "object 0", k, *(points[k][n] for n in ("time", "band", "value", "error")), [points[i] for i in history(k)]
        )
        for k in rows
    ]


def test_an_observation_before_the_base_is_missing_until_a_packet_has_the_whole_history(model):
    curves = light_curves(1, 60, seed=6)
    values, n = stream(curves), len(curves.time)
    late, (last,) = values[5], with_history(curves, [n - 1], range)
    worker = engine(model, keep=3)
    run(worker, [*values[:5], *values[6 : n - 4]])

    def answer(value):
        (row,) = worker.process(messages([value], worker.assign(0))).answers.rows()
        return row

    without = engine(model)
    straight = run(without, [*values[:5], *values[6 : n - 4]])["object 0"]
    refused = answer(late)
    assert (refused["status"], refused["n_missing"], refused["n_obs"]) == ("OUT_OF_ORDER", 1, n - 5)
    assert refused["p_A"] == pytest.approx(straight["p_A"], abs=1e-5)
    assert refused["change"] == 0
    after = answer(values[n - 4])
    assert (after["status"], after["n_missing"]) == ("OK", 1)
    answer(values[n - 3])
    answer(values[n - 2])
    fixed = answer(last)
    assert (fixed["status"], fixed["n_missing"]) == ("REBUILT", 0)
    same(fixed, run(engine(model), values)["object 0"])


@pytest.mark.parametrize("keep", [3, 32])
def test_a_duplicate_however_late_changes_nothing(model, keep):
    curves = light_curves(5, 60, seed=14)
    values, store = stream(curves), MemoryStore()
    worker = engine(model, store, keep=keep)
    run(worker, values, range(20, len(values), 20))
    before = {key: ObjectRecord.frombytes(data) for key, data in store.partition(0).items()}
    rng = np.random.default_rng(0)
    again = worker.process(messages([values[i] for i in rng.permutation(len(values))], len(values))).answers.rows()
    assert worker.counts.known == len(values)
    assert worker.counts.refused == worker.counts.rebuilt == 0
    for key, data in store.partition(0).items():
        record = ObjectRecord.frombytes(data)
        for name in ("points", "base_hashes", "missing_hashes", "state", "base", "n_obs"):
            assert np.array_equal(getattr(record, name), getattr(before[key], name)), name
    expected = classify(curves, model)
    assert {a["object_id"]: a["status"] for a in again} == dict(zip(curves.ids, expected.column("status"), strict=True))


@pytest.mark.parametrize("keep", [3, 32])
def test_histories_fill_gaps_in_the_stream(model, keep):
    curves, rng = light_curves(1, 60, seed=15), np.random.default_rng(0)
    n = len(curves.time)
    rows = sorted({*np.cumsum(rng.integers(1, 10, n)).tolist(), n - 1} & set(range(n)))  # the stream lacks the others
    worker = engine(model, keep=keep)
    last = run(worker, with_history(curves, rows, range), range(1, len(rows)))["object 0"]
    assert worker.counts.filled == n - len(rows) > 10
    assert worker.counts.observations == n
    same(last, run(engine(model), stream(curves))["object 0"])
    shallow = engine(model, keep=keep)  # packets with the last ten at most
    last = run(shallow, with_history(curves, rows, lambda k: range(max(k - 10, 0), k)), [3])["object 0"]
    same(last, run(engine(model), stream(curves))["object 0"])


def test_histories_of_duplicates_change_nothing(model):
    curves = light_curves(6, 50, seed=16)
    store, plain = MemoryStore(), MemoryStore()
    run(engine(model, plain, keep=4), stream(curves))
    worker = engine(model, store, keep=4)
    values = [value for _, value in slim_packets(curves, previous=30)]
    run(worker, values, range(7, len(values), 7))
    assert worker.counts.filled == worker.counts.rebuilt == 0
    for (key, one), (other, two) in zip(store.partition(0).items(), plain.partition(0).items(), strict=True):
        assert key == other
        a, b = ObjectRecord.frombytes(one), ObjectRecord.frombytes(two)
        assert (a.points == b.points).all()
        assert (a.n_obs, a.base_hashes.tolist()) == (b.n_obs, b.base_hashes.tolist())


def test_an_object_in_two_partitions_is_an_error_in_the_log(model, caplog):
    values = stream(light_curves(4, 10, seed=17))
    worker = engine(model)
    for k, value in enumerate(values):  # partitions in turn, as without a key
        worker.process([Message(k // 2, value, k % 2)])
    assert worker.counts.strayed == worker.counts.born - 4 > 0
    (line,) = [line for line in caplog.messages if "isn't keyed by object" in line]
    assert "identifier as the key" in line
    by_object = engine(model)
    for number in (0, 1):
        name = f"object {number}"
        own = [value for value in values if name.encode() in value]
        by_object.process([Message(k, value, number) for k, value in enumerate(own)])
    assert by_object.counts.strayed == 0


def test_a_record_of_another_version_is_not_thrown_away(model):
    from goodricke.alerts.object_record import RecordVersionError
    from tests.alerts.test_object_record import other_version_bytes

    store = MemoryStore()
    store.partition(0).records[b"object 0"] = other_version_bytes()
    with pytest.raises(RecordVersionError, match="replay --to"):
        run(engine(model, store), stream(light_curves(1, 10, seed=0)))
    assert store.partition(0).records == {b"object 0": other_version_bytes()}


def test_float16_states_answer_nearly_the_same(model):
    values = stream(light_curves(6, 40, seed=7))
    store = MemoryStore()
    expected, half = run(engine(model), values), run(engine(model, store, half=True), values, range(3, len(values), 3))
    for name, answer in expected.items():
        if answer["p_A"] is not None:
            assert half[name]["p_A"] == pytest.approx(answer["p_A"], abs=0.02)


def test_a_damaged_record_is_given_up_and_the_stream_goes_on(model):
    values = stream(light_curves(2, 20, seed=8))
    store = MemoryStore()
    worker = engine(model, store)
    run(worker, values[:-4])
    part = store.partition(0)
    key, data = next(part.items())
    part.records[key] = data[:-3] + b"xyz"
    last = {r["object_id"]: r for r in worker.process(messages(values[-4:], len(values) - 4)).answers.rows()}
    assert key.decode() in last
    assert worker.counts.damaged == 1


def test_the_last_batch_of_a_dead_worker_is_published_again(model, tmp_path):
    values = stream(light_curves(5, 20, seed=9))
    worker = engine(model, LmdbStore(tmp_path))
    run(worker, values[:-10])
    last = worker.process(messages(values[-10:], len(values) - 10)).answers.rows()
    worker.close()
    heir = engine(model, LmdbStore(tmp_path))
    assert heir.assign(0) == len(values)
    again = heir.recover(0)
    assert again is not None
    assert again.rows() == last
    heir.close()


def test_a_worker_that_has_lost_its_partition_publishes_nothing(model, tmp_path):
    values = stream(light_curves(3, 10, seed=10))
    store = MemoryStore()
    one, two = engine(model, store), engine(model, store)
    one.process(messages(values[:3]))
    part = store.partition(0)

    class Stale:
        offset = 3

        def __getattr__(self, name):
            return getattr(part, name)

    two.process(messages(values[3:6], 3))
    one._partitions[0] = Stale()
    with pytest.raises(FencedError):
        one.process(messages(values[3:6], 3))


def test_change_and_previous_class_are_against_the_answer_before(model):
    curves = light_curves(1, 40, seed=11)
    worker, answers = engine(model), []
    for k, value in enumerate(stream(curves)):
        answers += worker.process(messages([value], k)).answers.rows()
    for before, after in itertools.pairwise(answers):
        assert after["previous_class"] == before["class"]
        if before["p_A"] is not None:
            moved = 0.5 * sum(abs(after[f"p_{c}"] - before[f"p_{c}"]) for c in "ABC")
            assert after["change"] == pytest.approx(moved, abs=1e-6)
        else:
            assert after["change"] is None


def test_records_stay_small_however_long_the_stream(model):
    values = [encode("object 0", k, 70000.0 + k, BANDS[k % 2], 18.0, 0.1) for k in range(500)]
    store = MemoryStore()
    worker, sizes = engine(model, store), []
    for first in range(0, 500, 10):
        worker.process(messages(values[first : first + 10], first))
        sizes.append(len(store.partition(0).records[b"object 0"]))
    assert max(sizes[30:]) < max(sizes[10:30]) + 4 * 200 + 10 * POINT.itemsize  # a hash of each, and a batch
    assert max(sizes) < max(sizes[6:10]) + 4 * MAX_HASHES
    assert len(ObjectRecord.frombytes(store.partition(0).records[b"object 0"]).points) <= 64


def test_a_name_too_long_for_a_store_is_a_dead_letter(model, tmp_path):
    worker = engine(model, LmdbStore(tmp_path))
    values = [encode("n" * 600, 1, 60000.0, "g", 18.0, 0.1), encode("n" * 500, 2, 60000.0, "g", 18.0, 0.1)]
    result = worker.process(messages(values))
    assert [letter.message.offset for letter in result.dead_letters] == [0]
    assert result.answers.object_id == ["n" * 500]
    worker.close()


def test_answers_without_a_time_can_be_written_in_avro(model):
    result = engine(model).process(messages([encode("x", 1, 60000.0, "i", 18.0, 0.1)]))  # a band the model doesn't know
    (value,) = avro_encoder(model.classes)(result.answers)
    row = fastavro.schemaless_reader(io.BytesIO(value), fastavro.parse_schema(avro_schema(model.classes)))
    assert (row["status"], row["n_obs"], row["time"]) == ("EMPTY", 0, None)


def test_a_worker_starts_with_a_damaged_record_in_the_last_batch(model):
    values, store = stream(light_curves(3, 10, seed=12)), MemoryStore()
    engine(model, store).process(messages(values))
    part = store.partition(0)
    part.records[b"object 1"] = part.records[b"object 1"][:-1] + b"\xff"
    heir = engine(model, store)
    heir.assign(0)
    again = heir.recover(0)
    assert again is not None
    assert set(again.object_id) == {"object 0", "object 2"}


def test_fluxes_that_have_no_magnitude_do_not_count(model):
    from goodricke.io.packets import PacketOptions

    curves, rng = light_curves(5, 30, seed=13), np.random.default_rng(0)
    flux = rng.normal(500, 600, len(curves.time)).astype(np.float32)
    curves = replace(curves, value=flux, error=np.full(len(flux), 100, np.float32), unit="nJy")
    worker = Engine(model, MemoryStore(), lambda values: decode(values, "slim", PacketOptions(unit="nJy")))
    last, expected = run(worker, stream(curves), [10]), classify(curves, model)
    assert [last[name]["n_obs"] for name in curves.ids] == expected.column("n_obs").tolist()
    assert worker.counts.faint == int((flux <= 100).sum()) > 0


def test_a_model_with_context_columns_is_refused(model):
    class ContextModel:
        name = "m"
        preprocessing = model.preprocessing.model_copy(update={"columns": ("redshift",)})
        network = model.network

        def init_state(self, n):
            return None

    with pytest.raises(TypeError, match="needs redshift of each object"):
        Engine(ContextModel(), MemoryStore(), decode)


@pytest.fixture(scope="module")
def calibrated() -> Model:
    """Return a model calibrated on light curves of the same kind."""
    model, curves = tiny_model(), light_curves(60, 40, seed=70)
    step = model.update_arrays(model.init_state(60), curves)
    output = step.output
    ok, rng = step.status == "OK", np.random.default_rng(0)
    steps, edges = step.n_obs[ok], np.array([0, 10], np.int32)
    label = rng.integers(0, 3, int(ok.sum()))
    logits = np.log(output.probabilities[ok])
    detector = fit_detector("mahalanobis", output.embedding[ok], logits, label)
    score, stratum = detector.score(output.embedding[ok], logits).astype(np.float32), stratum_of(steps, edges)
    novelty = Novelty(detector, score, stratum.astype(np.int16), edges)
    sets = Conformal.fit(output.probabilities[ok], label, steps, edges)
    model.calibration = replace(model.calibration, sets={"stream": sets}, novelty={"stream": novelty})
    return model


@pytest.mark.parametrize(("n", "cut"), [(6, 1), (12, 9), (12, 1000)])
def test_novelty_and_prediction_sets_are_those_of_the_model(calibrated, n, cut):
    curves = light_curves(n, 40, seed=71)
    values = stream(curves)
    store = MemoryStore()
    last = run(engine(calibrated, store), values, range(cut, len(values), cut))
    _, expected = calibrated.update(calibrated.init_state(n), curves)
    table, sizes = expected.table.to_pydict(), set()
    for i, name in enumerate(curves.ids):
        if last[name]["status"] != "OK":
            assert last[name]["novelty"] is last[name]["prediction_set"] is None
            assert last[name]["set_size"] == 0
            continue
        assert last[name]["novelty"] == pytest.approx(table["novelty"][i], abs=0.02)  # a rank: next to a step either is
        assert last[name]["prediction_set"] == table["prediction_set"][i]
        sizes.add(last[name]["set_size"])
    assert len(sizes) > 1
    heir = engine(calibrated, store)
    heir.assign(0)
    again = heir.recover(0)
    assert again is not None
    for answer in again.rows():
        assert answer == last[answer["object_id"]]


def test_novelty_and_sets_can_be_written_and_filtered(calibrated):
    from goodricke.alerts.answers import avro_encoder, avro_schema
    from goodricke.alerts.filters import Filter

    answers = engine(calibrated).process(messages(stream(light_curves(12, 40, seed=71)))).answers
    schema = fastavro.parse_schema(avro_schema(calibrated.classes))
    rows = [
        fastavro.schemaless_reader(io.BytesIO(value), schema) for value in avro_encoder(calibrated.classes)(answers)
    ]
    for one, two in zip(rows, answers.rows(), strict=True):
        assert one["prediction_set"] == two["prediction_set"]
        assert one["novelty"] == (two["novelty"] if two["novelty"] is None else pytest.approx(two["novelty"], abs=1e-6))
    chosen = Filter("novelty < 0.9 and set_size <= 2 and n_missing == 0", answers.columns)(answers.columns)
    expected = [bool(r["novelty"] is not None and r["novelty"] < 0.9 and r["set_size"] <= 2) for r in answers.rows()]
    assert chosen.tolist() == expected
    assert any(expected)


def test_a_model_without_calibration_has_no_novelty(model):
    (answer,) = run(engine(model), stream(light_curves(1, 40, seed=5))).values()
    assert answer["p_A"] is not None
    assert answer["novelty"] is answer["prediction_set"] is None


def test_an_engine_takes_the_photometry_that_its_model_was_trained_on(tmp_path):
    rng, before, values = np.random.default_rng(3), [], []
    for epoch in range(12):
        magnitude, distance = float(rng.normal(18, 0.5)), 0.3 if epoch < 8 else 2.0
        now = source(2459000.5 + epoch, fid=1 + epoch % 2, magpsf=magnitude, distnr=distance)
        values.append(ztf_packet(now, before))
        before.append({name: value for name, value in now.items() if name not in ("pid", "ra", "dec")})

    def answers(flux, **options):
        name = f"m-{flux}"
        if not (tmp_path / name).exists():
            plain = tiny_model()
            config = plain.config.model_copy(update={"photometry": flux and Photometry(flux=flux)})
            Model(config, plain.network).save(tmp_path / name, "# m\n\nUntrained.\n", half=False)
        worker = create_engine(str(tmp_path / name), "memory:", False, "ztf", PacketOptions(**options))
        return run(worker, values)["ZTF1"], worker.counts

    for flux in ("difference", "total"):
        row, counts = answers(flux)
        same(row, answers(None, photometry=flux)[0])
        assert row["n_obs"] == (12 if flux == "difference" else 8)
        assert (counts.wrong_photometry, counts.unusable) == ((0, 0) if flux == "difference" else (4, 4))
    with pytest.raises(ValueError, match="trained on difference photometry, and the options ask for total"):
        answers("difference", photometry="total")


def test_fluxes_without_a_magnitude_are_counted():
    values = [ztf_packet(source(2459000.5 + k, isdiffpos="tf"[k % 2]), name=f"ZTF{k}") for k in range(6)]
    options = PacketOptions(photometry="difference")
    worker = Engine(tiny_model(), MemoryStore(), lambda v: decode(v, "ztf", options))
    run(worker, values)
    assert (worker.counts.negative, worker.counts.unusable, worker.counts.observations) == (3, 3, 3)


# ---- the same exposure told twice ----------------------------------------------------------------------------------


def jittered(points, rng):
    """Return observations whose times are told a little otherwise: by up to 1e-5 d."""
    return [point | {"time": point["time"] + float(rng.uniform(-1e-5, 1e-5))} for point in points]


def told_again(curves, rng, names=None, most=1000) -> list[bytes]:
    """Return messages about each observation, with the earlier ones as history, each time told a little otherwise."""
    result = []
    for i, name in enumerate(curves.ids if names is None else names):
        points = as_points(curves[i])
        for k, now in enumerate(points):
            before = jittered(points[max(0, k - most) : k], rng)
            result.append(
                (now["time"], encode(name, k + 1, *(now[n] for n in ("time", "band", "value", "error")), before))
            )
    return [value for _, value in sorted(result)]


@pytest.mark.parametrize("keep", [3, 32])
@pytest.mark.parametrize("cut", [1, 13, 10_000])
def test_an_exposure_told_twice_counts_once(model, keep, cut):
    rng, curves = np.random.default_rng(7), light_curves(6, 40, seed=21)
    worker = engine(model, keep=keep)
    values = told_again(curves, rng)
    last, expected = run(worker, values, range(cut, len(values), cut)), run(engine(model), stream(curves))
    for name, n in zip(curves.ids, curves.n_obs.tolist(), strict=True):
        assert last[name]["n_obs"] == n
        assert last[name]["n_missing"] == 0
        assert last[name]["status"] == expected[name]["status"]
        same(last[name], expected[name])
    assert (worker.counts.rebuilt, worker.counts.filled) == (0, 0)


def test_a_stream_told_twice_is_the_batch_with_history(model):
    """The same alerts again, later and with other times, change nothing; alone with its history, the last is enough."""
    rng, curves = np.random.default_rng(8), light_curves(5, 30, seed=22)
    values, again = stream(curves), []
    for i, name in enumerate(curves.ids):
        for k, now in enumerate(jittered(as_points(curves[i]), rng)):
            again.append(encode(name, k + 1, *(now[n] for n in ("time", "band", "value", "error"))))
    worker = engine(model)
    once, twice = run(engine(model), values), run(worker, values + again, [len(values)])
    only = run(engine(model), [told_again(curves[i], rng)[-1] for i in range(len(curves))])
    assert worker.counts.known == len(again)
    assert worker.counts.corrected == 0
    for name in curves.ids:
        same(once[name], twice[name])
        assert only[name]["n_obs"] == once[name]["n_obs"]
        assert [only[name][f"p_{c}"] for c in "ABC"] == pytest.approx([once[name][f"p_{c}"] for c in "ABC"], abs=1e-3)


def test_two_bands_at_once_and_exposures_further_apart_are_two(model):
    times = [60000.0, 60000.0, 60000.0 + 3e-5, 60001.0, 60001.0 + 2.2e-5]
    values = [encode("a", k + 1, t, "gr"[k % 2], 18.0 + k, 0.1) for k, t in enumerate(times)]
    values += [encode("a", 9, times[0] + 5e-6, "g", 18.0, 0.1)]
    worker = engine(model)
    assert run(worker, values)["a"]["n_obs"] == 5
    assert worker.counts.known == 1


def test_a_corrected_value_is_counted_and_the_first_stays(model):
    curves = light_curves(1, 30, seed=25)
    values, points = stream(curves), as_points(curves)
    again = encode("object 0", 3, points[2]["time"], points[2]["band"], points[2]["value"] + 0.5, 0.1)
    worker = engine(model)
    last = run(worker, [*values, again])["object 0"]
    assert (worker.counts.known, worker.counts.corrected) == (1, 1)
    same(last, run(engine(model), values)["object 0"])


def test_bases_that_earlier_releases_wrote_are_recognised(model, monkeypatch):
    """Their hashes are of the very times."""
    curves = light_curves(1, 60, seed=24)
    values, n = stream(curves), len(curves.time)
    store = MemoryStore()
    with monkeypatch.context() as patched:
        exact = object_record._hash
        written = lambda points, shift=0: exact((points["time"] + 0.0).view(np.uint64), points["band"])  # noqa: E731
        patched.setattr(object_record, "observation_hashes", written)
        run(engine(model, store, keep=3), values)
    worker = engine(model, store, keep=3)
    for message in messages(values, n):
        worker.process([message])
    assert (worker.counts.known, worker.counts.refused) == (n, 0)
