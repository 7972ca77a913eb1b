"""Work of the library in other processes, as many as the environment allows.

The processes are started as new interpreters, which do not import the program again: so a script needs no guard, and a
process that may have no children of `multiprocessing`, or has threads, can start them too.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from asugnn.capacity import stated_threads, usable_cores

T = TypeVar("T")
R = TypeVar("R")

CHUNK = 64  # items that are handed over at once
FEWEST = 2000  # items for which it is worth while to start processes, which takes them a second or two
# With -P no module of the working folder is imported before the path is that of this process.
_START = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from asugnn.workers import serve; serve()"


def processes_for(items: int) -> int:
    """Return how many processes work on this many items: of many, as OMP_NUM_THREADS or the cores allow."""
    if items < FEWEST:
        return 1
    cores = usable_cores()
    return min(cores, stated_threads() or cores)


def map_chunks(function: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> Iterator[R]:
    """Yield the results of a function, which takes several items and returns as many results, in order.

    Of many items, and with more than one core, other processes do the work, if the function can be pickled. What a
    process had in hand that was killed is computed here.
    """
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    processes = processes_for(len(items))
    if processes == 1 or not _can_be_sent(function):
        for chunk in chunks:
            yield from function(chunk)
        return
    idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
    started: list[subprocess.Popen[bytes]] = []

    def work(chunk: Sequence[T]) -> Sequence[R]:
        process = idle.get()
        try:
            return _ask(process, function, chunk)
        finally:
            idle.put(process)

    pool = ThreadPoolExecutor(processes)
    try:
        for _ in range(processes):
            started.append(_start_process())
            idle.put(started[-1])
        for start in range(0, len(chunks), 8 * processes):  # so that few results wait in memory
            for results in pool.map(work, chunks[start : start + 8 * processes]):
                yield from results
    finally:
        pool.shutdown(cancel_futures=True)
        for process in started:
            process.kill()
            process.communicate()


def _can_be_sent(function: Callable[..., Any]) -> bool:
    try:
        pickle.dumps(function)
    except Exception:  # of a class within a function, for one
        return False
    return True


def _start_process() -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    _send(process.stdin, sys.path)
    return process


def _ask(
    process: subprocess.Popen[bytes], function: Callable[[Sequence[T]], Sequence[R]], chunk: Sequence[T]
) -> Sequence[R]:
    try:
        _send(process.stdin, (function, chunk))
        result: Sequence[R] | Exception = pickle.load(process.stdout)  # type: ignore[arg-type]
    except Exception:  # it was killed, perhaps within its answer, or raised an error that cannot be made again here
        return function(chunk)
    if isinstance(result, Exception):
        raise result
    return result


def serve() -> None:
    """Answer what `map_chunks` asks, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    while True:
        try:
            function, chunk = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = function(chunk)
        except Exception as error:
            answer = error
        _send(answers, answer)


def _send(file: Any, message: Any) -> None:
    pickle.dump(message, file, pickle.HIGHEST_PROTOCOL)
    file.flush()
