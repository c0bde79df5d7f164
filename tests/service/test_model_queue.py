"""Requests in slices: the same answers as in one piece, in turns, and none for a client that has gone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import numpy as np
import pytest

from goodricke.data.json import dumps
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import classify
from goodricke.service import model_queue, rest
from goodricke.service.model_queue import (
    BusyError,
    ClassifyRequest,
    ClientGoneError,
    ModelQueue,
    Turns,
    points_of,
)
from goodricke.service.schemas import as_json
from tests.explorer.rest_fixtures import CURVES, bands_model, create_test_app
from tests.service.test_rest import classify_json, post_json

ONE_BY_ONE = (1, 1)


@pytest.fixture(scope="module")
def models(tmp_path_factory, folded_model):
    return {"tiny": folded_model, "bands": bands_model(tmp_path_factory.mktemp("queue"))}


@pytest.fixture
def calls(monkeypatch):
    """The objects of each call of the network, where every light curve is a slice of its own."""
    calls = list[list[str]]()

    def recorded(curves, *args, **more):
        calls.append(curves.ids)
        return classify(curves, *args, **more)

    monkeypatch.setattr(model_queue, "classify", recorded)
    monkeypatch.setattr(model_queue, "FIRST_SLICE", 1)
    monkeypatch.setattr(model_queue, "SLICE_POINTS", ONE_BY_ONE)
    return calls


@pytest.mark.parametrize("name", ["tiny", "bands"])
def test_in_slices_as_in_one_piece(models, calls, name):
    model = models[name]
    sliced = ModelQueue(model).classify(ClassifyRequest(CURVES, passes=3, seed=4)).table
    in_one = classify(CURVES, model, 3, 4).table
    assert calls == [[i] for i in CURVES.ids]
    assert sliced.schema.equals(in_one.schema)
    for column in in_one.column_names:
        one, other = in_one[column].to_pylist(), sliced[column].to_pylist()
        if isinstance(one[0], float):
            np.testing.assert_allclose(np.array(other, float), np.array(one, float), atol=2e-5, err_msg=column)
        elif column not in ("embedding", "logits"):
            assert one == other, column


def test_history_in_slices_as_in_one_piece(models, monkeypatch):
    queue = ModelQueue(models["bands"])
    in_one = queue.history(CURVES)
    monkeypatch.setattr(model_queue, "FIRST_SLICE", 1)
    sliced = queue.history(CURVES)
    assert [h["band"] for h in sliced] == [h["band"] for h in in_one]
    for one, other in zip(in_one, sliced, strict=True):
        np.testing.assert_allclose(other["p"]["A"], one["p"]["A"], atol=2e-6)


def test_slices_adapt_to_their_duration(models):
    queue = ModelQueue(models["tiny"])
    before = queue._slice(20)
    queue._adapt_slice(20, 1000, 0.001)
    assert queue._slice(20) == 2 * before
    queue._adapt_slice(20, 1000, 100.0)
    queue._adapt_slice(20, 1000, 100.0)
    assert queue._slice(20) == before / 2
    assert queue._slice(3) == before  # other passes take another time
    for _ in range(50):
        queue._adapt_slice(20, 1000, 100.0)
    assert queue._slice(20) == model_queue.SLICE_POINTS[0]


def test_no_light_curves_are_one_empty_slice(models):
    assert len(ModelQueue(models["tiny"]).classify(ClassifyRequest(CURVES[:0]))) == 0


# ---- turns ----------------------------------------------------------------------------------------------------------


def test_turns_are_in_order_and_never_two_at_a_time():
    turns, order, inside = Turns(), [], []

    def use(name):
        with turns.take(10):
            inside.append(name)
            order.append(name)
            assert inside == [name]
            inside.remove(name)

    with ThreadPoolExecutor(8) as pool, turns.take(1):
        for n in range(8):
            pool.submit(use, n)
            while len(turns._waiting) < n + 1:
                time.sleep(0.001)
    assert order == list(range(8))


def test_a_turn_that_times_out_or_is_answered_leaves_the_queue():
    turns = Turns()
    with turns.take(1) as first:
        assert first
        with pytest.raises(TimeoutError), turns.take(0.01):
            pass
        with turns.take(1, lambda: True) as has_turn:
            assert not has_turn
        with pytest.raises(TimeoutError), turns.take(0.01):
            pass
    with turns.take(0.01) as again:
        assert again


def test_small_requests_are_answered_after_the_slice_in_progress(models, calls, monkeypatch):
    started, released, recorded = threading.Event(), threading.Event(), model_queue.classify

    def held(curves, *args, **more):
        started.set()
        released.wait(20)
        return recorded(curves, *args, **more)

    monkeypatch.setattr(model_queue, "classify", held)
    queue = ModelQueue(models["tiny"])
    with ThreadPoolExecutor(11) as pool:
        large = pool.submit(queue.classify, ClassifyRequest(CURVES, passes=2))
        started.wait(20)
        small = [pool.submit(queue.classify, ClassifyRequest(CURVES[i % 3], passes=i % 2)) for i in range(10)]
        while len(queue._turns._waiting) < 10:
            time.sleep(0.001)
        released.set()
        assert sum(len(each.result()) for each in small) == 10
        assert len(large.result()) == len(CURVES)
    alone = [CURVES.ids.index(call[0]) for call in calls]
    assert calls[0] == [CURVES.ids[0]]
    assert alone.index(1, 1) <= 11  # of the large request nothing more before the ten
    assert alone[-(len(CURVES) - 1) :] == list(range(1, len(CURVES)))


def test_a_client_that_leaves_gets_no_further_slice(models, calls):
    request = ClassifyRequest(CURVES, passes=0, is_gone=lambda: len(calls) == 2)
    with pytest.raises(ClientGoneError):
        ModelQueue(models["tiny"]).classify(request)
    assert len(calls) == 2


def test_a_busy_network_is_told(models):
    one, other = ModelQueue(models["tiny"]), ModelQueue(models["tiny"], max_wait=0.01)
    with one._network(), pytest.raises(BusyError, match="tiny is busy"):
        other.classify(ClassifyRequest(CURVES[0]))
    assert not other._waiting


# ---- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(models):
    from starlette.testclient import TestClient

    with TestClient(create_test_app([*models.values()])) as client:  # one event loop for all requests
        yield client


def test_a_closed_connection_ends_the_computation(models, calls, monkeypatch):
    app, recorded, left = create_test_app([models["tiny"]]), model_queue.classify, threading.Event()

    def first_then_wait(*args, **more):
        predictions = recorded(*args, **more)
        left.wait(20)  # the client leaves during the first slice
        return predictions

    monkeypatch.setattr(model_queue, "classify", first_then_wait)
    body, sent = dumps(as_json(CURVES)).encode(), []
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        if (message := next(messages, None)) is not None:
            return message
        while not calls:
            await anyio.sleep(0.001)
        threading.Timer(0.2, left.set).start()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/classify", "query_string": b"passes=0", "root_path": ""}
    scope |= {"headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}
    anyio.run(app, scope, receive, send)
    assert len(calls) == 1
    assert sent[0]["status"] == rest.CLIENT_GONE


def test_a_cost_over_the_limit_is_refused_with_the_number(client, monkeypatch):
    many = as_json(CURVES)
    points = int(points_of(CURVES).sum())
    monkeypatch.setattr("goodricke.service.answers.MAX_COST", points * 3)
    assert classify_json(client, many, passes=3)
    refused = post_json(client, "model=tiny&passes=4", many)
    assert refused.status_code == 413
    assert f"limit is {points * 3:,}" in refused.json()["detail"]
    assert "passes=3" in refused.json()["detail"]
    assert classify_json(client, many, "bands", passes=100)  # a model without masks has one pass
    assert post_json(client, "model=bands&history=true", many * 2).status_code == 413


def test_what_a_light_curve_counts():
    """At least a hundred, and one per ten days."""
    counts = [3, 500, 0, 2, 2]
    time = np.concatenate([[1, 2, 3], np.arange(500), [0, 1e4], [0, 1e30]])
    curves = LightCurves.from_arrays(list("abcde"), np.cumsum([0, *counts]), time, np.ones(len(time)), unit="mag")
    assert points_of(curves).tolist() == [100, 500, 100, 1000, 10_000]
    assert points_of(curves[:0]).tolist() == []


def test_a_light_curve_that_is_too_long_is_named(client, monkeypatch):
    monkeypatch.setattr(model_queue, "MOST_STEPS", 10)
    refused = post_json(client, "model=bands", as_json(CURVES))
    assert refused.status_code == 413
    assert "the limit of one is 10" in refused.json()["detail"]
    assert classify_json(client, as_json(CURVES), passes=0)


def test_without_a_place_the_answer_is_busy(monkeypatch):
    monkeypatch.setattr(rest, "MAX_WAIT", 0.01)

    async def ask():
        limiter = rest.CapacityLimiter(1)
        await limiter.acquire()
        await rest._in_thread(limiter, lambda: 1)

    with pytest.raises(BusyError, match="too many requests"):
        anyio.run(ask)


def test_a_large_body_waits_for_a_place_and_a_small_one_does_not(models, monkeypatch):
    from starlette.testclient import TestClient

    monkeypatch.setattr(rest, "MAX_LARGE_BODIES", 0)
    monkeypatch.setattr(rest, "MAX_ARRIVAL", 0.1)
    client, one = TestClient(create_test_app([models["tiny"]])), dumps(as_json(CURVES[0])).encode()
    answers = [post_json(client, "passes=0", one + b" " * n).status_code for n in (0, rest.SMALL_BODY)]
    assert answers == [200, 408]
