"""The shadow's report: every batch once, whoever dies when."""

import itertools

import numpy as np
import pytest

from goodricke.alerts.answers import Answers, Message
from goodricke.alerts.engine import Engine
from goodricke.alerts.monitoring import Metrics
from goodricke.alerts.replay import into_engine
from goodricke.alerts.shadow import Report, Shadow
from goodricke.alerts.store import MemoryStore
from goodricke.io.packets import decode
from tests.alerts.streams import keyed, light_curves, tiny_model

pytest.importorskip("fastavro", reason="needs goodricke[alerts]")

BATCH = 30


@pytest.fixture(scope="module")
def models():
    one, two = tiny_model(), tiny_model(seed=25)
    return one, two


@pytest.fixture(scope="module")
def stream():
    return [Message(k, value) for k, (_, value) in enumerate(keyed(light_curves(12, 40, seed=60)))]


def answers(p):
    made, n = Answers.none(("A", "B")), len(p)
    whole = dict(vars(made), object_id=[str(i) for i in range(n)], status=np.array(["OK"] * n))
    whole |= {"probabilities": np.array(p, np.float32), "previous": np.full(n, 255, np.uint8)}
    whole |= {"sets": np.zeros((n, 2), bool)} | {k: np.zeros(n) for k in ("change", "novelty", "time", "ra", "dec")}
    return Answers(**whole | {k: np.zeros(n, np.int64) for k in ("n_obs", "n_missing", "offset")})


def test_a_report_tells_where_two_models_differ():
    report = Report()
    report.add(answers([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), answers([[0.9, 0.1], [0.8, 0.2], [np.nan, np.nan]]))
    assert (report.disagreement, report.compared, report.worst()) == (0.5, 2, [("B", "A", 1)])
    assert report.distance == pytest.approx(0.6)
    assert Report.frombytes(report.tobytes()) == report
    assert Report.of([report, report]).pairs == {("A", "A"): 2, ("B", "A"): 2}
    report.add(answers([[0.9, 0.1]]), Answers.none(("A", "B")))
    assert report.compared == 2


class Died(Exception):  # noqa: N818
    pass


class Pair:
    """Two engines whose stores outlive them."""

    def __init__(self, models):
        self.models, self.stores = models, (MemoryStore(), MemoryStore())

    def begin(self):
        decoder = lambda values: decode(values, "slim")  # noqa: E731
        self.leader, second = (Engine(m, s, decoder) for m, s in zip(self.models, self.stores, strict=True))
        self.shadow = Shadow(second)
        return self.shadow.assign(0, self.leader)

    def take(self, some, die_between=False):
        taken = self.leader.take(some)
        if die_between:
            raise Died
        self.shadow.take(some, taken.answers)


def batches(stream, first=0):
    return [stream[k : k + BATCH] for k in range(first, len(stream), BATCH)]


@pytest.fixture(scope="module")
def undisturbed(models, stream):
    pair = Pair(models)
    pair.begin()
    for some in batches(stream):
        pair.take(some)
    assert 0.05 < pair.shadow.report.disagreement < 0.95
    assert pair.shadow.report.alone == 0
    return pair.shadow.report, dict(pair.stores[1].partition(0).items())


def without_time(records):
    from goodricke.alerts.record import Record

    return {key: (record.state, record.n_obs) for key, data in records.items() for record in [Record.frombytes(data)]}


@pytest.mark.parametrize("piece", [7, 30, 45, 1000])
def test_every_batch_counts_once_whoever_dies_when(models, stream, undisturbed, piece):
    pair = Pair(models)
    deaths = 0
    for which in itertools.count():
        at = pair.begin()
        assert at <= pair.leader.assign(0)
        behind = stream[at : pair.leader.assign(0)]  # what the broker gives again, however it cuts it
        for some in [behind[k : k + piece] for k in range(0, len(behind), piece)]:
            pair.shadow.take(some, pair.leader.take(some).answers)
        left = batches(stream, pair.leader.assign(0))
        if not left:
            break
        try:
            for k, some in enumerate(left):
                pair.take(some, die_between=k == which % 3)
        except Died:
            deaths += 1
    assert deaths > 3
    report, records = undisturbed
    assert pair.shadow.report == report
    assert without_time(dict(pair.stores[1].partition(0).items())) == without_time(records)


def test_behind_and_new_messages_in_one_piece(models, stream, undisturbed):
    pair = Pair(models)
    pair.begin()
    pair.take(stream[:BATCH])
    with pytest.raises(Died):
        pair.take(stream[BATCH : 2 * BATCH], die_between=True)
    at = pair.begin()
    assert at == BATCH
    pair.take(stream[at : 3 * BATCH])
    for some in batches(stream, 3 * BATCH):
        pair.take(some)
    assert pair.shadow.report == undisturbed[0]


def test_a_shadow_that_comes_later_begins_where_the_stream_is(models, stream):
    pair = Pair(models)
    pair.begin()
    for some in batches(stream)[:4]:
        pair.leader.take(some)
    pair.stores = pair.stores[0], MemoryStore()
    assert pair.begin() == 4 * BATCH
    assert pair.shadow.report == Report()


def test_a_failing_shadow_rests_and_goes_on_where_it_was(models, stream, caplog):
    pair = Pair(models)
    pair.begin()
    some = batches(stream)
    pair.take(some[0])
    pair.shadow.engine.take = None  # not callable
    for k in (1, 2, 3):
        pair.take(some[k])
    assert [line for line in caplog.messages if "the shadow failed in partition 0" in line][1:] == []
    del pair.shadow.engine.take
    pair.take(some[4])  # still resting: messages between would be left out
    assert pair.begin() == BATCH
    again = stream[BATCH : 5 * BATCH]
    pair.shadow.take(again, pair.leader.take(again).answers)
    assert pair.shadow.report.alone == 3 * BATCH  # the last batch's answers are still there
    straight = Pair(models)
    straight.begin()
    for each in some[:5]:
        straight.take(each)
    assert without_time(dict(straight.stores[1].partition(0).items())) == without_time(
        dict(pair.stores[1].partition(0).items())
    )


def test_a_replay_that_died_between_the_two_goes_on(models, stream, undisturbed):
    pair = Pair(models)
    pair.begin()
    for some in batches(stream)[:3]:
        pair.take(some)
    with pytest.raises(Died):
        pair.take(batches(stream)[3], die_between=True)
    pair.begin()
    values = (message.value for message in stream)
    into_engine(values, None, pair.leader, Metrics(pair.leader.counts), BATCH, shadow=pair.shadow)
    assert pair.shadow.report == undisturbed[0]
