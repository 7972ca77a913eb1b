"""Several runs at a time, each in a process of its own: most runs are too small for all cores of a machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from asugnn.errors import InputError
from asugnn.model import Precision, Progress, silent
from leaderboard import cores, runner, tasks
from leaderboard.runner import Bench, Job, Outcome, Report
from leaderboard.store import Run


@dataclass(frozen=True)
class Request:
    """What is asked of `bench run`, in words that another process understands."""

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    preset: str
    folds: tuple[int, ...] | None
    seeds: tuple[int, ...]
    overrides: Mapping[str, Mapping[str, str]]
    weights: str
    data_dir: Path | None
    ablation: bool = False
    allow_leaks: bool = False

    def jobs(self, progress: Progress = silent) -> list[Job]:
        """All jobs; raises `InputError` for whatever is wrong with the request."""
        parsed = [tasks.parse(name) for name in self.tasks]
        if self.weights:
            return runner.plan_pretrained(parsed, self.models, self.weights, self.folds, self.data_dir)
        chosen = (self.models, self.preset, self.folds, self.seeds, self.overrides)
        return runner.plan(parsed, *chosen, self.data_dir, self.allow_leaks, progress, self.ablation)


def work(
    request: Request, out: Path, device: str, precision: Precision, processes: int, report: Report
) -> dict[Outcome, int]:
    """Do what is not done yet in `processes` at a time; a zero-shot job waits for the one whose model it needs."""
    jobs = request.jobs()
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}
    waiting = {i: _origin(jobs, i) for i in range(len(jobs))}
    # Set for the processes that are started: together they shall have as many threads as there are cores.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawned, _start, (request, out, device, precision)) as pool:
        running: dict[Future[tuple[Outcome, str]], int] = {}
        try:
            while waiting or running:
                for i in [i for i, origin in waiting.items() if origin is None]:
                    running[pool.submit(_one, i)] = i
                    del waiting[i]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    i = running.pop(future)
                    outcome, note = future.result()
                    counts[outcome] += 1
                    report(jobs[i].run, outcome, note)
                    waiting |= {k: None for k, origin in waiting.items() if origin == i}
        except BrokenProcessPool as error:
            raise InputError(
                "a process was killed, perhaps for its memory; the same command goes on from here, with fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return counts


def _origin(jobs: list[Job], i: int) -> int | None:
    """The job that must be done before another, if it is among them."""
    job = jobs[i]
    before = job.on(job.run.task.trained).run
    if job.weights or before == job.run:
        return None
    return next((k for k, other in enumerate(jobs) if other.run == before), None)


_jobs: list[Job] = []
_bench: list[Bench] = []


def _start(request: Request, out: Path, device: str, precision: Precision) -> None:
    """In a new process, once."""
    cores.started()
    _jobs[:] = request.jobs()
    _bench[:] = [Bench(out, request.data_dir, device, precision, lambda _: silent)]


def _one(i: int) -> tuple[Outcome, str]:
    """In another process: one job."""
    said: list[tuple[Outcome, str]] = []

    def report(_: Run, outcome: Outcome, note: str) -> None:
        said.append((outcome, note))

    runner.work([_jobs[i]], _bench[0], report)
    return said[0]
