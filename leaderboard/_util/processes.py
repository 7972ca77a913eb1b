"""Work in other processes: many at a time, or one that may end as it likes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

from asugnn.capacity import usable_cores
from asugnn.errors import InputError
from asugnn.file_lock import LOST
from leaderboard._util.descendants import adopt_orphans, end_descendants, end_with_parent, list_children
from leaderboard._util.workspace import Workspace, current_workspace, set_workspace, silent

T = TypeVar("T")
R = TypeVar("R")

CLOSED = 76  # exit status of a process that cannot answer, because code of others has closed its files
POLL = 0.2  # seconds after which a process that waits looks around
GRACE = 1.0  # seconds that a process has to end after its last word


def parallel_map(function: Callable[[T], R], items: Sequence[T], chunk: int, alone: bool = False) -> Iterator[R]:
    """Yield the results of a function for all items, in order.

    The items are handed to processes on all cores, `chunk` at a time; with `alone`, or on one core, this process does
    all the work. Raises `InputError` where a process was killed.
    """
    main = getattr(sys.modules["__main__"], "__file__", None)
    alone = alone or (
        main is not None and not Path(main).exists()
    )  # processes cannot import a program that was read from stdin
    cores = usable_cores()
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


class ProcessEndedError(RuntimeError):
    """A process ended before it said anything: the message tells how, without its subject."""


def yield_from_process(function: Callable[..., Iterable[R]], *arguments: object) -> Iterator[R]:
    """Yield what a function yields in a process of its own, where code of others may do as it likes.

    An exception of the function is raised here. Raises `ProcessEndedError` where the process ended without one.
    """
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe(duplex=False)
    workspace = replace(current_workspace(), progress=silent)  # a bar draws on the terminal of this process
    process = spawned.Process(target=_answer, args=(theirs, workspace, function, arguments))
    adopt_orphans()
    process.start()
    spared = list_children() - {process.pid}
    theirs.close()
    try:
        while True:
            try:
                while not ours.poll(POLL):
                    if process.exitcode is not None and not ours.poll():  # what it left behind holds the other end open
                        raise EOFError
                more, value = ours.recv()
            except EOFError:
                status = process.exitcode if has_ended(process, GRACE) else CLOSED
                raise ProcessEndedError(cause_of_death(status)) from None
            if more:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        process.kill()
        process.join()
        end_descendants(spared, 0.0)


def _answer(
    connection: Connection, workspace: Workspace, function: Callable[..., Iterable[R]], arguments: object
) -> None:
    parent = start_worker()
    end_with_parent(parent)
    set_workspace(workspace)
    last: object = None
    try:
        for value in function(*arguments):  # type: ignore[misc]
            connection.send((True, value))
    except Exception as error:
        last = error
    except BaseException as error:  # which would end the command, or seem to be an interrupt
        last = ProcessEndedError(f"it raised {type(error).__name__}: {error}".removesuffix(": "))
    try:
        connection.send((False, last))
    except OSError:
        os._exit(CLOSED)


def has_ended(process: BaseProcess, seconds: float) -> bool:
    """Whether a child process has ended, after some seconds at most.

    Unlike `join` it asks the kernel: what `join` waits for can be closed by the process, or held open by another one.
    """
    deadline = time.monotonic() + seconds
    while process.is_alive():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)
    return True


def hold_standard_streams() -> None:
    """Put /dev/null in the place of standard streams that are closed.

    Otherwise the next file that is opened would get their number, and what is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free


@contextmanager
def without_standard_error() -> Iterator[None]:
    """Drop what a library writes to the descriptor of standard error, such as a panic in Rust beside its exception."""
    hold_standard_streams()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def cause_of_death(status: int | None) -> str:
    """How a process ended that said nothing before, from its exit status; a sentence without its subject."""
    if status is not None and status < 0:
        name = signal.Signals(-status).name if -status in {*signal.Signals} else f"signal {-status}"
        hint = ", perhaps for its memory" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    if status == LOST:
        return "its process stood still for so long that another one took over its folder"
    if status == CLOSED:
        return "it closed the files that its process answers by"
    return f"it ended its own process, with exit status {status}, before it was finished"


def start_worker() -> int:
    """Set up a worker process: an interrupt ends it without a word, and it ends when its parent does.

    Returns the process id of the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None

    def end_after_it() -> None:
        with suppress(OSError, ValueError):  # code of others may close the sentinel
            wait([parent.sentinel])
        while os.getppid() == parent.pid:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=end_after_it, daemon=True).start()
    return parent.pid


@contextmanager
def environment(**values: object) -> Iterator[None]:
    """Set variables for processes that are started in this block; those that are None stay as they are."""
    chosen = {name: str(value) for name, value in values.items() if value is not None}
    given = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for name, value in given.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
