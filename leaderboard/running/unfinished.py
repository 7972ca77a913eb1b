"""Which runs of a plan are still to be done: those without a finished run, or with one of other code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from asugnn import InputError
from leaderboard._util import ProcessEndedError, yield_from_process
from leaderboard.running.plan import Job
from leaderboard.running.runner import changed_since


def list_unfinished(jobs: Sequence[Job], out: Path) -> tuple[list[int], dict[int, str]]:
    """The numbers of the jobs to be done, and a sentence for each whose folder holds another finished run.

    Code of models is read in a process of its own.
    """
    finished = [i for i, job in enumerate(jobs) if not job.again and (job.run.folder(out) / "run.json").exists()]
    open_, faults = set(range(len(jobs))).difference(finished), {}
    if finished:
        answers = yield_from_process(_compare, [jobs[i] for i in finished], out)
        compared = 0
        with suppress(ProcessEndedError):  # a model's file ended it: the runs that are left say why
            for i, (changed, fault) in zip(finished, answers, strict=True):
                compared += 1
                if changed:
                    open_.add(i)
                if fault:
                    faults[i] = fault
        open_.update(finished[compared:])
    return sorted(open_), faults


def _compare(jobs: Sequence[Job], out: Path) -> Iterator[tuple[bool, str]]:
    for job in jobs:
        try:
            changed = changed_since(job, out)
            yield changed is None or bool(changed), ""
        except InputError as error:
            yield False, str(error)
