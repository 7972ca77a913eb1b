"""Work in other processes: the results of this one, whatever becomes of the others."""

import os
from functools import partial

import pytest

from asugnn import workers


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    monkeypatch.setattr(workers, "FEWEST", 100)


def add_process(items, end=None, parent=None):
    """Each item with the process that had it; other processes than the parent end at the item `end`."""
    if end in items and os.getpid() != parent:
        os._exit(1)
    print("not an answer")
    return [(i, os.getpid()) for i in items]


@pytest.mark.parametrize("count", [0, 99, 1000])
def test_results_come_in_order(count):
    found = list(workers.map_chunks(add_process, range(count)))
    assert [i for i, _ in found] == list(range(count))
    others = {process for _, process in found} - {os.getpid()}
    assert len(others) == (2 if count == 1000 else 0)


def test_what_a_killed_process_had_in_hand_is_computed_here():
    found = list(workers.map_chunks(partial(add_process, end=200, parent=os.getpid()), range(1000)))
    assert [i for i, _ in found] == list(range(1000))
    assert (200, os.getpid()) in found


def test_an_exception_passes_through():
    with pytest.raises(ZeroDivisionError):
        list(workers.map_chunks(divide, range(1000)))


def divide(items):
    return [1 / i for i in items]


@pytest.mark.parametrize(("stated", "cores"), [("1", 1), ("", None), ("x", None), ("100000", None)])
def test_cores_are_those_of_the_environment(monkeypatch, stated, cores):
    monkeypatch.undo()
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert workers.usable_cores() == (cores or len(os.sched_getaffinity(0)))
