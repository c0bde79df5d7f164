"""The next batches in a thread: the same as the plain loop, in order, with its errors, and gone with it."""

import threading
import time

import pytest
import torch

from goodricke.models.runtime.gpu import DEPTH, in_thread, prefetch

CPU, OTHER = torch.device("cpu"), torch.device("meta")


def threads() -> int:
    return sum(thread.name.startswith("prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize("device", [CPU, OTHER])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 50])
def test_items_come_in_order_with_what_is_made_of_them(n, device):
    assert list(prefetch(lambda k: k * k, range(n), device)) == [(k, k * k) for k in range(n)]
    assert threads() == 0


def test_a_cpu_has_no_thread_and_makes_nothing_before_it_is_asked():
    made = []
    batches = prefetch(lambda k: made.append(k) or threading.current_thread(), range(5), CPU)
    assert next(batches)[1] is threading.current_thread()
    assert made == [0]


def test_the_next_are_made_while_one_is_worked_on():
    made, third = [], threading.Event()

    def make(k):
        made.append((k, threading.current_thread()))
        if k == DEPTH:
            third.set()

    batches = prefetch(make, range(50), OTHER)
    next(batches)
    assert third.wait(10)
    time.sleep(0.05)
    assert [k for k, _ in made] == list(range(DEPTH + 1))  # and no more: memory is bounded
    assert threading.current_thread() not in [thread for _, thread in made]
    batches.close()


@pytest.mark.parametrize("device", [CPU, OTHER])
def test_an_exception_reaches_the_caller_at_its_item_s_turn(device):
    def make(k):
        if k == 3:
            raise ValueError("the fourth")
        return k

    batches = prefetch(make, range(50), device)
    assert [next(batches)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the fourth"):
        next(batches)
    assert threads() == 0


def test_an_exception_of_the_items_reaches_the_caller():
    def items():
        yield 1
        raise ValueError("no second")

    with pytest.raises(ValueError, match="no second"):
        list(prefetch(lambda k: k, items(), OTHER))
    assert threads() == 0


@pytest.mark.parametrize("how", ["break", "raise"])
def test_the_thread_ends_where_the_loop_is_left(how):
    made = []

    def work():
        for k, _ in in_thread(made.append, range(1000)):
            if k == 2:
                if how == "break":
                    return
                raise RuntimeError("stop")

    if how == "break":
        work()
    else:
        with pytest.raises(RuntimeError, match="stop"):
            work()
    assert threads() == 0
    assert len(made) <= 3 + DEPTH + 1
