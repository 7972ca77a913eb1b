"""Work in other processes: the results of this one, whatever becomes of the others."""

import io
import os
import pickle
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from test_symmetry import KNOWN

from asugnn import Crystal, InputError, workers
from asugnn.capacity import usable_cores
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.cogn import CoGN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
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


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_half_an_answer_of_a_killed_process_is_no_answer(share):
    answer = pickle.dumps([np.arange(10_000.0)] * 3, pickle.HIGHEST_PROTOCOL)
    killed = SimpleNamespace(stdin=io.BytesIO(), stdout=io.BytesIO(answer[: int(share * len(answer))]))
    assert workers._ask(killed, double, [1, 2]) == [2, 4]


def test_an_exception_passes_through():
    with pytest.raises(ZeroDivisionError):
        list(workers.map_chunks(divide, range(1000)))


def double(items):
    return [2 * i for i in items]


def divide(items):
    return [1 / i for i in items]


@pytest.mark.parametrize(("stated", "cores"), [("1", 1), ("", None), ("x", None), ("²", None), ("100000", None)])
def test_cores_are_those_of_the_environment(monkeypatch, stated, cores):
    monkeypatch.undo()
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert workers.processes_for(workers.FEWEST) == (cores or usable_cores())
    assert workers.processes_for(workers.FEWEST - 1) == 1


@pytest.mark.parametrize("cls", [CGCNN, MEGNet, M3GNet, ALIGNN, CoGN])
def test_the_inputs_of_a_model_are_those_of_one_process(cls, monkeypatch):
    """An unsupported crystal among them; a class that others cannot import is left to this process."""
    monkeypatch.setattr(workers, "FEWEST", 4)
    monkeypatch.setattr(workers, "CHUNK", 2)
    started, start = [], workers._start_process
    monkeypatch.setattr(workers, "_start_process", lambda: started.append(1) or start())
    crystals = [crystal for crystal, _, _ in KNOWN.values()][:6]
    crystals[2] = Crystal(crystals[2].lattice, crystals[2].frac_coords, np.full_like(crystals[2].numbers, 118))
    together = list(cls().inputs_together(crystals))
    assert len(started) == 2
    private = type("Private", (cls,), {"__module__": "nowhere"})
    alone = list(private().inputs_together(crystals))
    assert len(started) == 2
    assert isinstance(together[2], InputError)
    for one, other in zip(together, alone, strict=True):
        if isinstance(other, InputError):
            assert str(one) == str(other)
        else:
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[name], other[name]) for name in one)


def test_no_module_of_the_working_folder_is_imported(tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("open('executed', 'w').close()\nraise ImportError\n")
    monkeypatch.chdir(tmp_path)
    assert [i for i, _ in workers.map_chunks(add_process, range(200))] == list(range(200))
    assert not (tmp_path / "executed").exists()


def test_where_a_process_cannot_start_those_before_it_end(monkeypatch):
    started, start = [], workers._start_process

    def start_one():
        if started:
            raise OSError(11, "Resource temporarily unavailable")
        started.append(start())
        return started[0]

    monkeypatch.setattr(workers, "_start_process", start_one)
    with pytest.raises(OSError, match="temporarily"):
        list(workers.map_chunks(add_process, range(200)))
    assert started[0].poll() is not None


class TwoWordsError(Exception):
    """It cannot be made again from what pickle keeps of it."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def fail_in_two_words(items):
    raise TwoWordsError("the true", "reason")


def test_an_error_that_cannot_be_sent_is_the_true_one():
    with pytest.raises(TwoWordsError, match="the true reason"):
        list(workers.map_chunks(fail_in_two_words, range(200)))


def test_what_cannot_be_pickled_is_computed_here():
    found = list(workers.map_chunks(lambda items: [(i, os.getpid()) for i in items], range(200)))
    assert found == [(i, os.getpid()) for i in range(200)]
