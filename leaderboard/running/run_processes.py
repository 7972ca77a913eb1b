"""Runs in processes of their own: whatever a model does to its process, the others go on, and the reason is told.

There is one path for one run and for many. Each of `processes` slots serves one model at a time (run_slot.py). A signal
to stop lets all runs finish their step and save; a second one ends them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Literal

from asugnn import InputError
from asugnn.atomic_write import check_writable
from asugnn.capacity import available_memory, stated_threads, usable_cores, visible_gpus
from leaderboard._util import (
    STOP_SIGNALS,
    adopt_orphans,
    current_workspace,
    end_descendants,
    list_children,
    raise_on_stop_signals,
    stop_signal,
)
from leaderboard.records import keep_failure
from leaderboard.running.endings import OUT_OF_MEMORY, Outcome, Report
from leaderboard.running.estimates import RunCost, Running
from leaderboard.running.plan import Job
from leaderboard.running.pretrained import fetch_weights
from leaderboard.running.run_slot import POLL, Slot, close_slots, stop_slots
from leaderboard.running.schedule import Schedule
from leaderboard.running.shared_answer import Answer

# What runs, and the seconds of the jobs that have ended, by number: None for one that was kept, or failed.
Watch = Callable[[Sequence[Running], Mapping[int, float | None]], None]
TIMEOUT = 3600.0  # seconds without progress after which a run is ended


def choose_processes(wanted: int | Literal["auto"], device: str, runs: int, ranks: int = 1) -> tuple[int, int]:
    """How many runs work at a time, and the threads of each.

    What a run computes on the processor depends on its number of threads: so that is one, or what OMP_NUM_THREADS
    states, however many cores and runs there are. With `auto`, runs share the cores; on GPUs there is one run
    on each, and they share the cores for their inputs, which do not depend on threads. Where several processes
    (`ranks`) train one model together, each has a GPU, or these threads. Raises `InputError` where there are fewer
    GPUs.
    """
    gpus = len(visible_gpus()) if device == "cuda" else 0
    if gpus and gpus < ranks:
        raise InputError(f"--ranks {ranks} needs as many GPUs; here {'is' if gpus == 1 else 'are'} {gpus}")
    cores, given = usable_cores(), stated_threads()
    if wanted == "auto":
        wanted = (max(1, gpus) if device == "cuda" else cores // (given or 1)) // ranks
    processes = max(1, min(runs, wanted))
    return processes, given or (max(1, cores // (processes * ranks)) if device == "cuda" else 1)


def run_jobs(
    jobs: Sequence[Job],
    out: Path,
    report: Report,
    processes: int = 1,
    *,
    threads: int | None = None,
    timeout: float = TIMEOUT,
    estimates: Sequence[RunCost] | None = None,
    watch: Watch = lambda *_: None,
) -> dict[Outcome, int]:
    """Do what is not done yet, `processes` runs at a time, and report each; a run that fails does not stop the others.

    A zero-shot job waits for the job whose model it needs. A job that another command is working on is put off, and
    waited for when nothing else is left. Published weights are downloaded before all runs. A run starts beside others
    if by its estimate there is memory for it; one whose memory ran out beside others is repeated alone. One without
    progress for `timeout` seconds fails; 0 stands for no limit. `watch` is called about every half second.

    Raises `UnwritableError` for a folder that cannot be written, and `KeyboardInterrupt` after a signal to stop.
    """
    check_writable(out)
    out = out.absolute()  # a model may change the working folder
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}
    ended: dict[int, float | None] = {}
    schedule = Schedule(jobs, estimates or [RunCost(None, None)] * len(jobs), available_memory)
    raise_on_stop_signals()  # importing polars puts another handler of SIGINT in place
    slots: list[Slot] = []
    workspace = current_workspace()
    gpus, ranks = visible_gpus() if workspace.device == "cuda" else [], workspace.ranks
    gpus = [",".join(gpus[k : k + ranks]) for k in range(0, len(gpus) - ranks + 1, ranks)]

    def new_slot(model: str) -> Slot:
        taken = [slot.gpu for slot in slots]
        return Slot(model, out, threads, timeout, min(gpus, key=taken.count, default=None))

    for i in _drop_without_weights(schedule, report):
        counts["failed"] += 1
        ended[i] = None
    resource_tracker.ensure_running()  # before the children are listed, of which it is one
    adopt_orphans()
    spared = list_children()
    try:
        while True:
            while chosen := _next_job(schedule, slots, processes):
                i, waits = chosen
                _slot_for(jobs[i].model, slots, new_slot).start(i, jobs[i], waits)
            if not _working(slots):
                break
            for slot in _finished(slots):
                i, answer = slot.answer()
                if slot.broken:
                    slots.remove(slot)
                    end_descendants({*spared, *(s.process.pid or 0 for s in slots)}, 0.0)
                if answer is None:
                    schedule.put_off(i)
                elif answer[0] == OUT_OF_MEMORY and slot.shared:
                    schedule.repeat_alone(i)
                else:
                    outcome, note = _outcome(answer, i in schedule.tried_alone)
                    if slot.broken:
                        keep_failure(jobs[i].run.folder(out), note)
                    counts[outcome] += 1
                    ended[i] = slot.seconds if outcome == "done" else None
                    report(jobs[i].run, outcome, note)
                    schedule.end(i)
            watch([_running(slot) for slot in slots if slot.job is not None], ended)
    except KeyboardInterrupt:
        stop_slots(slots, STOP_SIGNALS[stop_signal()])
        raise
    finally:
        close_slots(slots)
        end_descendants(spared, 0.0)
    return counts


def _running(slot: Slot) -> Running:
    assert slot.job is not None
    pulse = slot.pulse
    return Running(slot.job, slot.seconds, pulse.steps, pulse.prepares, pulse.seconds_left)


def _drop_without_weights(schedule: Schedule, report: Report) -> list[int]:
    """Download the published weights; report and return the jobs whose weights cannot be had."""
    lacking = fetch_weights((job.model, job.weights) for job in schedule.jobs if job.weights)
    failed = [i for i, job in enumerate(schedule.jobs) if (job.model, job.weights) in lacking]
    for i in failed:
        job = schedule.jobs[i]
        schedule.drop(i)
        report(job.run, "failed", lacking[job.model, job.weights])
    return failed


def _working(slots: Sequence[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.job is not None]


def _next_job(schedule: Schedule, slots: Sequence[Slot], processes: int) -> tuple[int, bool] | None:
    working = _working(slots)
    if len(working) == processes:
        return None
    return schedule.next_job({s.model for s in slots if s.job is None}, {s.model for s in working})


def _slot_for(model: str, slots: list[Slot], new: Callable[[str], Slot]) -> Slot:
    """An idle slot that serves a model; another model's gives way to it, so that no run sees its imports."""
    company = _working(slots)
    idle = [slot for slot in slots if slot.job is None]
    chosen = next((slot for slot in idle if slot.model == model), None)
    if chosen is None:
        if idle:
            slots.remove(idle[0])
            close_slots(idle[:1])
        chosen = new(model)
        slots.append(chosen)
    for slot in company:
        slot.shared = True
    chosen.shared = bool(company)
    return chosen


def _finished(slots: Sequence[Slot]) -> list[Slot]:
    """The slots whose run has ended, after at most `POLL` seconds."""
    working = _working(slots)
    ended = wait([x for slot in working for x in (slot.connection, slot.process.sentinel)], POLL)
    return [slot for slot in working if slot.connection in ended or slot.process.sentinel in ended or slot.ended]


def _outcome(answer: Answer, alone: bool) -> tuple[Outcome, str]:
    """An answer as it is reported; `alone`: after memory ran out beside other runs."""
    ending, note = answer
    if ending in {OUT_OF_MEMORY, "stopped"}:
        ending = "failed"
    words = "; alone, because memory had run out beside other runs" if alone else ""
    return ending, note + words  # type: ignore[return-value]
