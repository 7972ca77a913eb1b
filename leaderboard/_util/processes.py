"""Parallel map over processes."""

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


def parallel_map(function: Callable[[T], R], items: Sequence[T], chunk: int, alone: bool = False) -> Iterator[R]:
    """Yield the results of a function for all items, in order.

    The items are handed to processes on all cores, `chunk` at a time; with `alone`, or on one core, this process does
    all the work. Raises `InputError` where a process was killed.
    """
    main = getattr(sys.modules["__main__"], "__file__", None)
    alone = alone or (
        main is not None and not Path(main).exists()
    )  # processes cannot import a program that was read from stdin
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if alone or cores == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), start_worker) as pool:
        try:
            yield from pool.map(function, items, chunksize=chunk)
        except BrokenProcessPool as error:
            raise InputError(
                "a process was killed, perhaps because memory ran out: repeat the command with more memory"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def start_worker() -> None:
    """Set up a worker process: it leaves interrupts to its parent, and ends when the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
