"""A process that serves one model: it forks a child for each run that it is given, and watches over it.

A run starts in milliseconds and clean, and can end as it likes. One that makes no progress is ended; so are all, when
the process that started them ends, however that ends.
"""

from __future__ import annotations

import faulthandler
import importlib
import math
import multiprocessing
import os
import signal
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

from asugnn.atomic_write import UnwritableError
from asugnn.capacity import count_oom_kills
from asugnn.model_registry import is_file_model
from leaderboard._util import (
    Workspace,
    adopt_orphans,
    cause_of_death,
    current_workspace,
    end_descendants,
    end_with_parent,
    environment,
    has_ended,
    ignore_stop_signals,
    list_children,
    lock_folder,
    set_workspace,
    silent,
    start_worker,
)
from leaderboard.records import keep_failure
from leaderboard.running.endings import OUT_OF_MEMORY, Ending, keep_reason
from leaderboard.running.model_code import model_code, required_modules
from leaderboard.running.plan import Job
from leaderboard.running.pulse import Pulse
from leaderboard.running.runner import attempt_job, is_origin_busy
from leaderboard.running.shared_answer import Answer, SharedAnswer

POLL = 0.5  # seconds after which a waiting process looks around
GRACE = 1.0  # seconds that a process has to end after it was asked to
# PyTorch and oneDNN each keep 1,024 plans of matrix products, one for every shape: gigabytes, as batches of crystals
# differ in shape, and no time is gained.
PLANS = {"LRU_CACHE_CAPACITY": 64, "ONEDNN_PRIMITIVE_CACHE_CAPACITY": 64}


class Slot:
    """The process, as the one that started it sees it. `shared` says whether its run ever had company.

    `gpu` names the graphics cards that it sees, as CUDA_VISIBLE_DEVICES does; None for all there are.
    """

    def __init__(self, model: str, out: Path, threads: int | None, timeout: float, gpu: str | None = None) -> None:
        self.model, self.gpu = model, gpu
        self.job: int | None = None
        self.broken = self.shared = False
        self.started = 0.0
        spawned = multiprocessing.get_context("spawn")
        self.connection, theirs = spawned.Pipe()
        self.pulse = Pulse()
        workspace = replace(current_workspace(), progress=silent)
        arguments = (theirs, model, out, workspace, self.pulse, timeout)
        self.process: BaseProcess = spawned.Process(target=_serve, args=arguments)
        plans = {name: count for name, count in PLANS.items() if name not in os.environ}
        with environment(OMP_NUM_THREADS=threads, CUDA_VISIBLE_DEVICES=gpu, **plans):
            self.process.start()
        theirs.close()

    @property
    def seconds(self) -> float:
        """Seconds since its job was handed over."""
        return time.monotonic() - self.started

    def start(self, i: int, job: Job, waits: bool) -> None:
        """Hand over a job, which is the one of number `i`; with `waits`, for as long as another command is at it."""
        self.job, self.started = i, time.monotonic()
        self.pulse.rest()
        with suppress(OSError):  # a slot that has died says so when it is asked for its answer
            self.connection.send((job, waits))

    def answer(self) -> tuple[int, Answer | None]:
        """The job that has ended, and its outcome: None where another command is at it."""
        assert self.job is not None
        i, self.job = self.job, None
        try:
            if not self.connection.poll():  # its end may be open in what the run has left behind
                raise EOFError
            answer: Answer | None = self.connection.recv()
        except (EOFError, OSError):
            self.broken = True
            has_ended(self.process, GRACE)
            return i, ("failed", cause_of_death(self.process.exitcode))
        return i, answer

    @property
    def ended(self) -> bool:
        """Whether its process has ended, which it does only if it is killed."""
        return self.process.exitcode is not None


def close_slots(slots: list[Slot]) -> None:
    """End slots and what they run, at once."""
    for slot in slots:
        slot.connection.close()  # by which a slot sees that it is to end
    for slot in slots:
        if not has_ended(slot.process, 2 * GRACE):
            slot.process.kill()
            slot.process.join()


def stop_slots(slots: list[Slot], seconds: float) -> None:
    """Ask all runs to finish their step and save, and end those that have not done so in some seconds."""
    deadline = time.monotonic() + seconds
    for slot in slots:
        if slot.pulse.rests:  # nothing is under way that could be saved
            slot.process.kill()
        with suppress(OSError):
            slot.connection.send(seconds)
    for slot in slots:
        has_ended(slot.process, deadline + GRACE - time.monotonic())  # after its run it ends what that has started
        slot.process.kill()  # by which its run ends, too


def _serve(connection: Connection, model: str, out: Path, workspace: Workspace, pulse: Pulse, timeout: float) -> None:
    """In a slot: import what the model needs, then do each job, until the other end is closed or asks to stop."""
    ignore_stop_signals()  # the process that started this one decides
    adopt_orphans()
    set_workspace(workspace)
    # Some packages start CUDA when they are imported, and then it does not work in a forked child: on a GPU, each child
    # imports them.
    if workspace.device == "cpu":
        _import_packages(model)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the other end is closed
        while True:
            message = connection.recv()
            if isinstance(message, float):
                return
            job, waits = message
            try:
                answer = _run_in_child(connection, job, out, waits, pulse, timeout)
            except OSError as error:  # no process, memory or file is left for it
                answer = keep_reason(job.run.folder(out), error)
            if answer == ("stopped", ""):
                os._exit(0)  # somebody waits: packages may take long to be unloaded
            connection.send(answer)


def _run_in_child(
    connection: Connection, job: Job, out: Path, waits: bool, pulse: Pulse, timeout: float
) -> Answer | None:
    forked, kills, shared = multiprocessing.get_context("fork"), count_oom_kills(), SharedAnswer()
    spared, grace = list_children(), GRACE
    with tempfile.TemporaryFile() as stack:
        child = forked.Process(target=_run_child, args=(shared, job, out, waits, pulse, stack))
        child.start()
        watched: list[int | Connection] = [child.sentinel, connection]
        try:
            while not shared.given and child.is_alive():
                ready = wait(watched, POLL)
                if connection in ready:
                    grace = 0.0
                    _stop_child(child, connection)
                    return "stopped", ""
                if child.sentinel in ready and not has_ended(child, POLL):
                    watched = [connection]  # the model has closed the sentinel
                if pulse.silence(job.run.folder(out)) > (timeout or math.inf):
                    return _end_hanging(child, job, out, timeout, stack)
            answer = shared.read() if shared.given else _explain_death(child, job, out, kills)
            if answer and answer[0] == "stopped":  # by somebody else
                answer = "failed", "it was sent SIGTERM, and has saved its state: repeat the command to resume"
                keep_failure(job.run.folder(out), answer[1])
        finally:
            has_ended(child, grace)
            child.kill()
            child.join()
            left = end_descendants(spared, grace / 2)
    if answer and left:
        words = "a process that it had started was" if left == 1 else f"{left} processes that it had started were"
        answer = answer[0], f"{answer[1]}; {words} still running, and {'was' if left == 1 else 'were'} ended"
    return answer


def _explain_death(child: BaseProcess, job: Job, out: Path, kills: int) -> Answer:
    """How a child ended without an answer; error.txt tells it, too. `kills` of the kernel for memory were before it."""
    ending: Ending = "failed"
    reason = cause_of_death(child.exitcode)
    if child.exitcode == -signal.SIGKILL and count_oom_kills() > kills:
        ending, reason = OUT_OF_MEMORY, "memory ran out, and the kernel ended its process"
    keep_failure(job.run.folder(out), reason)
    return ending, reason


def _end_hanging(child: BaseProcess, job: Job, out: Path, timeout: float, stack: IO[bytes]) -> Answer:
    """End a child that makes no progress; error.txt tells where it was."""
    assert child.pid is not None
    with suppress(OSError):
        os.kill(child.pid, signal.SIGUSR1)  # it writes where it is
    has_ended(child, POLL)
    child.kill()
    stack.seek(0)
    reason = f"it made no progress for {timeout:g} s, and was ended; --timeout allows more"
    keep_failure(job.run.folder(out), reason, stack.read().decode("utf-8", "replace"))
    return "failed", reason


def _stop_child(child: BaseProcess, connection: Connection) -> None:
    """End a child: at once where the other end of the connection is gone, else as soon as it has saved its state."""
    try:
        deadline = time.monotonic() + connection.recv()
    except (EOFError, OSError):
        return
    child.terminate()
    while not has_ended(child, 0.0) and time.monotonic() < deadline:
        if connection.poll(0.02):  # it is closed when a second signal came
            return


def _import_packages(model: str) -> None:
    """Import what an installed model needs, so that no clock runs meanwhile; a failure shows when it is trained."""
    if is_file_model(model):
        return
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in required_modules(model):
            with suppress(Exception):  # a name that is no module, or a package that is broken
                importlib.import_module(name)
        model_code(model)  # what it reads is kept for the runs


def _run_child(shared: SharedAnswer, job: Job, out: Path, waits: bool, pulse: Pulse, stack: IO[bytes]) -> None:
    """In a child: one job, and its outcome into the shared memory."""
    end_with_parent(start_worker())
    ignore_stop_signals()
    signal.signal(signal.SIGTERM, pulse.ask_to_stop)  # the slot sends it
    faulthandler.register(signal.SIGUSR1, stack)
    set_workspace(replace(current_workspace(), progress=pulse.progress, should_stop=pulse.should_stop))
    if current_workspace().device != "cpu":
        _import_packages(job.model)
    folder = job.run.folder(out)

    def fail(reason: str, details: str = "") -> None:
        if not shared.given:  # else the lock could not be released, because the model has closed its file
            keep_failure(folder, reason, details)
            shared.give(("failed", reason))

    try:
        with lock_folder(folder, wait=waits) as mine:
            busy = not mine or is_origin_busy(job, out, waits)
            if not busy:
                pulse.beat()
            shared.give(None if busy else attempt_job(job, out))
    except SystemExit as left:
        fail(f"it called sys.exit({'' if left.code is None else left.code})")
    except UnwritableError as error:
        if not shared.given:
            shared.give(("failed", f"{error.filename} cannot be written: {error.strerror}"))
    except BaseException as error:  # which a model raises and no `except Exception` sees
        fail(f"it raised {type(error).__name__}: {error}".removesuffix(": "), traceback.format_exc())
