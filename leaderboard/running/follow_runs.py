"""Follow runs on a cluster until all have ended: what is in the folder of runs counts, and the queue says what waits.

Nothing here keeps the jobs alive: whoever ends this command can repeat it, and finds them where they are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from asugnn import InputError
from leaderboard._util import raise_on_stop_signals
from leaderboard.records import Run, find_run, keep_failure
from leaderboard.running.cluster_queue import GONE, Queue, TaskState, UnknownQueueError, read_queue
from leaderboard.running.endings import Outcome, Report
from leaderboard.running.job_arrays import JobArray, record_sha256, run_name
from leaderboard.running.plan import Job
from leaderboard.running.send_runs import Sent

SLOWEST = 15.0  # seconds between two looks at the queue, of many users
LATE = 5.0  # seconds after the end of a job in which its files may become visible on this node
# How many runs have ended, how many are in a job of each state, and what keeps the queue from being read.
WatchQueue = Callable[[int, Mapping[str, int], str], None]


def follow_runs(jobs: Sequence[Job], out: Path, sent: Sent, report: Report, watch: WatchQueue) -> dict[Outcome, int]:
    """Report each run when it has ended; `watch` is called after each look at the queue.

    A run whose job ended without it fails with the reason that is in its folder, or with the state of the job. Raises
    `KeyboardInterrupt` after a signal to stop; the jobs go on.
    """
    counts: dict[Outcome, int] = {"done": 0, "kept": 0, "failed": 0}

    def end(i: int, outcome: Outcome, note: str) -> None:
        counts[outcome] += 1
        report(jobs[i].run, outcome, note)

    raise_on_stop_signals()
    for i in sent.finished:
        end(i, "kept", "")
    for i, fault in sent.faults.items():
        end(i, "failed", fault)
    waiting = dict.fromkeys(sorted(sent.arrays))
    arrays = list({array.name: array for array in sent.arrays.values()}.values())
    gone: dict[tuple[str, int], float] = {}  # jobs that have ended, and since when
    began, trouble, queue = time.monotonic(), "", Queue()
    while waiting:
        try:
            queue, trouble = read_queue(arrays), ""
        except UnknownQueueError as error:
            trouble = str(error)
        now = time.monotonic()
        states: Counter[str] = Counter()
        for i in [*waiting]:
            array, task = sent.arrays[i], sent.tasks[i]
            state = queue.get((array.name, task), TaskState(GONE))
            if state.name != "PENDING" and _is_done(jobs[i].run, out, array):
                end(i, "done", _seconds(jobs[i].run, out))
                del waiting[i]
                continue
            states[f"{state.name.lower()} ({state.reason})" if state.reason else state.name.lower()] += 1
            if not state.alive and not trouble:
                if now - gone.setdefault((array.name, task), now) > LATE:
                    end(i, "failed", _reason(jobs[i].run, out, array, task, state))
                    del waiting[i]
            else:
                gone.pop((array.name, task), None)
        watch(sum(counts.values()), states, trouble)
        if waiting:
            time.sleep(min(SLOWEST, 1 + (now - began) / 30))
    return counts


def _is_done(run: Run, out: Path, array: JobArray) -> bool:
    """Whether there is a finished run that is not the one to be replaced."""
    digest = record_sha256(run, out)
    return digest is not None and digest != array.replaces.get(run_name(run))


def _seconds(run: Run, out: Path) -> str:
    with suppress(InputError):
        if stored := find_run(run, out):
            train, predict = stored.record.seconds.train, stored.record.seconds.predict
            return f"{train:.0f} s" if train is not None else f"{predict or 0:.1f} s"
    return ""


def _reason(run: Run, out: Path, array: JobArray, task: int, state: TaskState) -> str:
    """Why a run was not finished: what its folder says, if that is newer than the job, else how the job ended."""
    error = run.folder(out) / "error.txt"
    with suppress(OSError):
        if error.stat().st_mtime >= array.sent_at(out):
            return error.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    how = "" if state.name == GONE else f" ({state.name})"
    reason = f"its job on {array.cluster} ended{how} before it was finished; the log is {array.log(out, task)}"
    keep_failure(run.folder(out), reason)
    return reason
