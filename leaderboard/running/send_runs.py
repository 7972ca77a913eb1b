"""Send runs to a cluster, each once: what a job that waits or runs will do is not sent again.

One command at a time sends from a folder of runs. It reads the queue, and then which runs are finished, so that a run
that ends meanwhile is seen in one of the two.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from asugnn import InputError
from asugnn.atomic_write import check_writable
from leaderboard._util import cause_of_death, lock_folder
from leaderboard.running.bundles import bundle_jobs
from leaderboard.running.cluster_queue import Queue, read_queue, require_slurm
from leaderboard.running.cluster_words import SBATCH, SHARED, ClusterWords
from leaderboard.running.estimates import RunCost
from leaderboard.running.job_arrays import (
    HOME,
    JobArray,
    forget_array,
    new_array,
    read_arrays,
    record_sha256,
    run_name,
    with_ids,
    write_array,
)
from leaderboard.running.node_work import NodeSettings, NodeWork
from leaderboard.running.plan import Job
from leaderboard.running.unfinished import list_unfinished

# What sbatch says where it knows no controller, or reaches none.
NO_CONTROLLER = ("Could not establish a configuration source", "Unable to contact slurm controller")


@dataclass(frozen=True)
class Sent:
    """What is on the cluster: the array and the number of the job that does each run, by the run's number.

    `finished` were finished before; `faults` are the reasons of runs that cannot be sent. `new` is the array that this
    command has sent, if any.
    """

    arrays: dict[int, JobArray]
    tasks: dict[int, int]
    finished: list[int]
    faults: dict[int, str]
    new: JobArray | None


def send_runs(jobs: Sequence[Job], estimates: Sequence[RunCost], settings: NodeSettings, dry: bool = False) -> Sent:
    """Send what is neither finished nor sent; with `dry`, say only what would be sent.

    Raises `InputError` where the cluster refuses, `UnwritableError` for a folder that cannot be written.
    """
    out = settings.out
    if dry:
        return _plan(jobs, estimates, settings, dry)[0]
    if settings.cluster == "slurm":
        require_slurm()
    check_writable(out)
    with lock_folder(out / HOME, wait=True):
        sent, bundles = _plan(jobs, estimates, settings, dry)
        if sent.new is None:
            return sent
        runs = {i: jobs[i].run for bundle in bundles for i in bundle}
        replaces = {run: digest for run in runs.values() if (digest := sent.new.replaces.get(run_name(run)))}
        works = [
            NodeWork(settings, [jobs[i] for i in bundle], [estimates[i] for i in bundle], replaces)
            for bundle in bundles
        ]
        write_array(out, sent.new)  # before it is sent: it is found by its name
        try:
            ids = _submit(works, sent.new, settings)
        except InputError:
            forget_array(out, sent.new)
            raise
        new = with_ids(sent.new, ids)
        write_array(out, new)
        arrays = {i: new if array is sent.new else array for i, array in sent.arrays.items()}
        return Sent(arrays, sent.tasks, sent.finished, sent.faults, new)


def _plan(
    jobs: Sequence[Job], estimates: Sequence[RunCost], settings: NodeSettings, dry: bool
) -> tuple[Sent, list[list[int]]]:
    out, words = settings.out, settings.words
    stored = read_arrays(out)
    queue = read_queue(stored)
    left, faults = list_unfinished(jobs, out)
    numbers = {run_name(job.run): i for i, job in enumerate(jobs)}
    arrays: dict[int, JobArray] = {}
    tasks: dict[int, int] = {}
    to_do = set(left)
    for array in stored:  # the last one first
        alive = [k for k in range(len(array.tasks)) if _is_alive(queue, array, k)]
        for k in alive:
            for i in (numbers[run] for run in array.tasks[k] if run in numbers):
                if i in to_do and i not in arrays:
                    arrays[i], tasks[i] = array, k
        if not dry and not alive and all((out / run / "run.json").exists() for task in array.tasks for run in task):
            forget_array(out, array)  # the logs of others may tell what happened
    unsent = [i for i in left if i not in arrays]
    bundles = bundle_jobs(jobs, unsent, estimates, words)
    new = None
    if bundles:
        digests = {run_name(jobs[i].run): record_sha256(jobs[i].run, out) for i in unsent}
        replaces = {name: digest for name, digest in digests.items() if digest}
        new = new_array(settings.cluster, [[run_name(jobs[i].run) for i in bundle] for bundle in bundles], replaces)
        for k, bundle in enumerate(bundles):
            for i in bundle:
                arrays[i], tasks[i] = new, k
    done = [i for i in range(len(jobs)) if i not in to_do and i not in faults]
    return Sent(arrays, tasks, done, faults, new), bundles


def _is_alive(queue: Queue, array: JobArray, task: int) -> bool:
    state = queue.get((array.name, task))
    return state is not None and state.alive


def _submit(works: Sequence[NodeWork], array: JobArray, settings: NodeSettings) -> list[str]:
    """Hand the work to submitit; the numbers that the cluster gives. Raises `InputError` where it refuses."""
    # A process whose session is not that of the terminal, and whose children are not ended with the command: jobs on
    # this machine outlive both.
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe(duplex=False)
    arguments = (theirs, works, array.folder(settings.out), array.name, settings)
    process = spawned.Process(target=_submit_apart, args=arguments)
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        process.join()
        answer = InputError(f"the jobs could not be sent: {cause_of_death(process.exitcode)}")
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return [str(word) for word in answer]


def _submit_apart(
    connection: Connection, works: Sequence[NodeWork], folder: Path, name: str, settings: NodeSettings
) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # else a pipe of the command would be open as long as its jobs
        os.dup2(nothing, stream)
    logging.getLogger("submitit").setLevel(logging.ERROR)
    from submitit import AutoExecutor, Executor, LocalExecutor
    from submitit.core.utils import FailedSubmissionError, UncompletedJobError

    answer: list[str] | Exception
    try:
        if settings.cluster == "slurm":
            executor: Executor = AutoExecutor(folder, cluster="slurm")
            executor.update_parameters(**slurm_parameters(settings.words, name))
        else:
            executor = LocalExecutor(folder)
            executor.update_parameters(**settings.words.parameters)
        ids = [str(job.job_id) for job in executor.submit_array(works)]
        answer = [ids[0].partition("_")[0]] if settings.cluster == "slurm" else ids
    except (FailedSubmissionError, UncompletedJobError, OSError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        lost = any(words in said for words in NO_CONTROLLER)
        reason = "no cluster answers here: type the command on its login node" if lost else "the jobs are refused"
        answer = InputError(f"--on {settings.cluster}: {reason}: {said}")
    connection.send(answer)


def slurm_parameters(words: ClusterWords, name: str) -> dict[str, Any]:
    """The words as submitit's executor takes them; those that only sbatch knows go there as they are."""
    given = dict(words.parameters)
    shared = {key: given.pop(key) for key in SHARED if key in given}
    sbatch = {key: given.pop(key) for key in SBATCH if key in given}
    return {
        "name": name,
        **shared,
        **{f"slurm_{key}": value for key, value in given.items()},
        "slurm_array_parallelism": words.at_once,
        # since Slurm 22.05 the step does not take over the cores of its job
        "slurm_srun_args": [f"--cpus-per-task={shared.get('cpus_per_task', 1)}"],
        "slurm_additional_parameters": {"requeue": True, **sbatch},
    }
