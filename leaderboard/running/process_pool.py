"""Several runs at a time, each in a process of its own: most runs are too small for all cores of a machine."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from asugnn.errors import InputError
from leaderboard._util import Workspace, current_workspace, set_workspace, silent, start_worker
from leaderboard.records import Run
from leaderboard.running.plan import Job, RunRequest
from leaderboard.running.runner import Outcome, Report, run_jobs


def run_in_processes(request: RunRequest, out: Path, processes: int, report: Report) -> dict[Outcome, int]:
    """Do the jobs that are not finished, `processes` at a time; a zero-shot job waits for the model that it needs."""
    jobs = request.jobs()
    workspace = replace(current_workspace(), progress=silent)
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}
    waiting = {i: _origin(jobs, i) for i in range(len(jobs))}
    # Set for the processes that are started: together they shall have as many threads as there are cores.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawned, _start_worker, (request, out, workspace)) as pool:
        running: dict[Future[tuple[Outcome, str]], int] = {}
        try:
            while waiting or running:
                for i in [i for i, origin in waiting.items() if origin is None]:
                    running[pool.submit(_run_one, i)] = i
                    del waiting[i]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    i = running.pop(future)
                    outcome, note = future.result()
                    counts[outcome] += 1
                    report(jobs[i].run, outcome, note)
                    waiting |= {k: None for k, origin in waiting.items() if origin == i}
        except BrokenProcessPool as error:
            raise InputError(
                "a process was killed, perhaps for lack of memory: repeat the command with fewer --jobs to resume"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return counts


def _origin(jobs: list[Job], i: int) -> int | None:
    """The job that must be done before another, if it is among them."""
    job = jobs[i]
    before = job.for_task(job.run.task.training_task).run
    if job.weights or before == job.run:
        return None
    return next((k for k, other in enumerate(jobs) if other.run == before), None)


_jobs: list[Job] = []
_out: list[Path] = []


def _start_worker(request: RunRequest, out: Path, workspace: Workspace) -> None:
    """In a new process, once."""
    start_worker()
    set_workspace(workspace)
    _jobs[:] = request.jobs()
    _out[:] = [out]


def _run_one(i: int) -> tuple[Outcome, str]:
    """In another process: one job."""
    reported: list[tuple[Outcome, str]] = []

    def report(_: Run, outcome: Outcome, note: str) -> None:
        reported.append((outcome, note))

    run_jobs([_jobs[i]], _out[0], report)
    return reported[0]
