"""Runs in processes of their own: whatever a model does to its process, the others go on, and the reason is told.

There is one path for one run and for many. Each of `processes` slots is a fresh interpreter that imports once what a
model needs and then forks a child for every run; so a run starts in milliseconds and clean, and can end as it likes. An
interrupt ends all of them; so does the end of the process that started them, however that ends.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from asugnn.atomic_write import UnwritableError, check_writable
from asugnn.model_registry import is_file_model
from leaderboard._util import (
    Workspace,
    cause_of_death,
    console_progress,
    current_workspace,
    lock_folder,
    set_workspace,
    silent,
    start_worker,
)
from leaderboard.records import keep_failure
from leaderboard.running.model_code import required_modules
from leaderboard.running.plan import Job
from leaderboard.running.runner import Outcome, Report, attempt_job, is_origin_busy

POLL = 0.5  # seconds after which a waiting process looks around: an interrupt is answered within this
GRACE = 1.0  # seconds that a run has to end after it was asked to


def run_jobs(jobs: Sequence[Job], out: Path, report: Report, processes: int = 1) -> dict[Outcome, int]:
    """Do what is not done yet, `processes` runs at a time, and report each; a run that fails does not stop the others.

    A zero-shot job waits for the job whose model it needs. A job that another command is working on is put off, and
    waited for when nothing else is left. Raises `UnwritableError` for a folder that cannot be written.
    """
    check_writable(out)
    out = out.absolute()  # a model may change the working folder
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}
    before = {i: _origin(jobs, i) for i in range(len(jobs))}
    ready = deque(i for i, origin in before.items() if origin is None)
    busy: deque[int] = deque()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # importing polars puts another one in its place
    slots: list[_Slot] = []
    try:
        while ready or busy or slots:
            waits = not ready and not any(slot.job is not None for slot in slots)
            if (queue := ready or (busy if waits else None)) and _free(slots, processes):
                i = queue.popleft()
                _slot_for(jobs[i], slots, out, processes).start(i, jobs[i], waits)
                continue
            if waits:  # nothing is left
                break
            for slot in _finished(slots):
                i, answer = slot.answer()
                if slot.broken:
                    slots.remove(slot)
                if answer is None:
                    busy.append(i)
                    continue
                outcome, note = answer
                if slot.broken:
                    keep_failure(jobs[i].run.folder(out), note)
                counts[outcome] += 1
                report(jobs[i].run, outcome, note)
                ready.extend(k for k, origin in before.items() if origin == i)
    finally:
        _close(slots)
    return counts


def _free(slots: Sequence[_Slot], processes: int) -> bool:
    """Whether another run may start."""
    return sum(slot.job is not None for slot in slots) < processes


def _slot_for(job: Job, slots: list[_Slot], out: Path, processes: int) -> _Slot:
    """An idle slot that serves the model of a job; another model's gives way to it, so that no run sees its imports."""
    idle = [slot for slot in slots if slot.job is None]
    if alike := [slot for slot in idle if slot.model == job.model]:
        return alike[0]
    if idle:
        slots.remove(idle[0])
        _close(idle[:1])
    slots.append(_Slot(job.model, out, processes))
    return slots[-1]


def _finished(slots: Sequence[_Slot]) -> list[_Slot]:
    """The slots whose run has ended, after at most `POLL` seconds."""
    running = [slot for slot in slots if slot.job is not None]
    ended = wait([x for slot in running for x in (slot.connection, slot.process.sentinel)], POLL)
    return [slot for slot in running if slot.connection in ended or slot.process.sentinel in ended]


def _close(slots: Sequence[_Slot]) -> None:
    """End slots and what they run."""
    for slot in slots:
        slot.connection.close()  # by which a slot sees that it is to end
    for slot in slots:
        slot.process.join(2 * GRACE)
        if slot.process.is_alive():
            slot.process.kill()
            slot.process.join()


def _origin(jobs: Sequence[Job], i: int) -> int | None:
    """The job that must be done before another, if it is among them."""
    before = jobs[i].for_task(jobs[i].run.task.training_task).run
    if jobs[i].weights or before == jobs[i].run:
        return None
    return next((k for k, other in enumerate(jobs) if other.run == before), None)


class _Slot:
    """A process that serves one model: it forks a child for each run that it is given."""

    def __init__(self, model: str, out: Path, processes: int) -> None:
        self.model = model
        self.job: int | None = None
        self.broken = False
        workspace = current_workspace()
        bars = processes == 1 and workspace.progress is not silent
        spawned = multiprocessing.get_context("spawn")
        self.connection, theirs = spawned.Pipe()
        arguments = (theirs, model, out, replace(workspace, progress=silent), bars)
        self.process: BaseProcess = spawned.Process(target=_serve, args=arguments)
        with _threads(processes):
            self.process.start()
        theirs.close()

    def start(self, i: int, job: Job, waits: bool) -> None:
        """Hand over a job, which is the one of number `i`."""
        self.job = i
        with suppress(OSError):  # a slot that has died says so when it is asked for its answer
            self.connection.send((job, waits))

    def answer(self) -> tuple[int, tuple[Outcome, str] | None]:
        """The job that has ended, and its outcome: None where another command is at it."""
        assert self.job is not None
        i, self.job = self.job, None
        try:
            answer: tuple[Outcome, str] | None = self.connection.recv()
        except (EOFError, OSError):
            self.broken = True
            self.process.join(GRACE)
            return i, ("failed", cause_of_death(self.process.exitcode))
        return i, answer


@contextmanager
def _threads(processes: int) -> Iterator[None]:
    """For processes that are started in this block: together they have as many threads as there are cores."""
    name = "OMP_NUM_THREADS"
    given = os.environ.get(name)
    if processes > 1:
        os.environ[name] = str(max(1, (os.cpu_count() or 1) // processes))
    try:
        yield
    finally:
        if given is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = given


def _serve(connection: Connection, model: str, out: Path, workspace: Workspace, bars: bool) -> None:
    """In a slot: import what the model needs, then fork a child for each job, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides
    set_workspace(workspace)
    _import_packages(model)
    forked = multiprocessing.get_context("fork")
    with suppress(EOFError, OSError):
        while True:
            job, waits = connection.recv()
            ours, theirs = forked.Pipe(duplex=False)
            child = forked.Process(target=_run_child, args=(theirs, job, out, waits, bars))
            child.start()
            theirs.close()
            ended = wait([ours, child.sentinel, connection])
            if connection in ended:
                child.kill()
                return
            try:
                answer = ours.recv()
            except EOFError:
                child.join()
                reason = cause_of_death(child.exitcode)
                keep_failure(job.run.folder(out), reason)
                answer = "failed", reason
            child.join(GRACE)
            child.kill()
            child.join()
            connection.send(answer)


def _import_packages(model: str) -> None:
    """Import what an installed model needs, so that no clock runs meanwhile; a failure shows when it is trained."""
    if is_file_model(model):
        return
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in required_modules(model):
            with suppress(Exception):  # a name that is no module, or a package that is broken
                importlib.import_module(name)


def _run_child(connection: Connection, job: Job, out: Path, waits: bool, bars: bool) -> None:
    """In a child: one job, and its outcome into the connection."""
    start_worker()
    if bars:
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        set_workspace(replace(current_workspace(), progress=partial(console_progress, console)))
    folder = job.run.folder(out)
    answer: tuple[Outcome, str] | None = None
    try:
        with lock_folder(folder, wait=waits) as mine:
            if mine and not is_origin_busy(job, out, waits):
                answer = attempt_job(job, out)
    except SystemExit as left:
        reason = f"it called sys.exit({'' if left.code is None else left.code})"
        keep_failure(folder, reason)
        answer = "failed", reason
    except UnwritableError as error:
        answer = "failed", f"{error.filename} cannot be written: {error.strerror}"
    except BaseException as error:  # which a model raises and no `except Exception` sees
        reason = f"it raised {type(error).__name__}: {error}".removesuffix(": ")
        keep_failure(folder, reason, traceback.format_exc())
        answer = "failed", reason
    connection.send(answer)
