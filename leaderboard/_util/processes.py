"""One function over many things, on all cores where that is worth it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import TypeVar

from asugnn.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def parallel_map(function: Callable[[T], R], things: Sequence[T], chunk: int, alone: bool = False) -> Iterator[R]:
    """The results in order, `chunk` things a process at a time; `alone`, or on one core, in this process."""
    main = getattr(sys.modules["__main__"], "__file__", None)
    alone = alone or (main is not None and not Path(main).exists())  # a program from stdin cannot be started again
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if alone or cores == 1:
        yield from map(function, things)
        return
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), start_worker) as pool:
        try:
            yield from pool.map(function, things, chunksize=chunk)
        except BrokenProcessPool as error:
            raise InputError("a process was killed, perhaps for its memory: start again with more of it") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def start_worker() -> None:
    """In a new process: an interrupt is told once, by the one that started it, and with that one it ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
