"""What a job of a cluster does on its node: the runs that were put into it, as `bench run` does them.

Before the time limit, and when it is pre-empted, the cluster sends a signal: runs finish their step and save, and the
job goes back into the queue. It resumes there, perhaps on another node.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaderboard._util import Workspace, ignore_stop_signals, raise_on_stop_signals, set_workspace, stop_signal
from leaderboard.records import Run, keep_failure
from leaderboard.running.cluster_words import ClusterWords
from leaderboard.running.estimates import RunCost
from leaderboard.running.job_arrays import record_sha256
from leaderboard.running.machine import choose_device
from leaderboard.running.plan import Job
from leaderboard.running.run_processes import choose_processes, run_jobs

MOST_RESTARTS = 20  # of a job that has saved something, but never more
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class NodeSettings:
    """What all jobs of a command have in common.

    `out` is the folder of runs, `folder` the one in which the command was typed, both as all nodes see them.
    `processes` and `timeout` are those of `bench run`. `cluster` is `slurm` or `local-cluster`.
    """

    cluster: str
    out: Path
    folder: Path
    data: Path | None
    device: Device
    precision: Literal["float32", "bfloat16"]
    processes: int | Literal["auto"]
    timeout: float
    words: ClusterWords

    @property
    def seconds(self) -> float:
        """After which time the signal is that of the time limit; Slurm sends it up to a minute too early."""
        return 60.0 * self.words.minutes - float(self.words.parameters["signal_delay_s"]) - 90


@dataclass(frozen=True)
class NodeWork:
    """A job of a cluster, which submitit calls on the node. `replaces` are the digests of records to be replaced."""

    settings: NodeSettings
    jobs: Sequence[Job]
    estimates: Sequence[RunCost]
    replaces: Mapping[Run, str]

    def __call__(self) -> None:
        settings, began = self.settings, time.monotonic()
        raise_on_stop_signals()  # in place of submitit's handlers
        before = self._progress()
        try:
            self._do_runs()
        except KeyboardInterrupt:
            number = stop_signal()
            print(f"stopped by {number.name}", flush=True)
            if number != signal.SIGUSR2:  # cancelled; or pre-empted, and Slurm puts the job back into the queue itself
                sys.exit(128 + number)
            ignore_stop_signals()  # of which more come when the job is put back
            minutes = settings.words.minutes
            if time.monotonic() - began > settings.seconds and self._is_stuck(before):
                self._give_up(
                    f"the time limit of its job, {minutes} min, came before anything was saved: allow more with "
                    f"--slurm timeout_min={2 * minutes}"
                )
            if settings.cluster != "slurm":
                sys.exit(_local_requeue_status())
            command = ["scontrol", "requeue", os.environ["SLURM_JOB_ID"]]
            if subprocess.run(command, check=False, timeout=60).returncode:
                self._give_up("its job was saved, but could not go back into the queue: repeat the command to resume")
            sys.exit(128 + number)

    def _do_runs(self) -> None:
        settings = self.settings
        os.chdir(settings.folder)
        device = choose_device(settings.device)
        ranks = settings.words.ranks
        set_workspace(Workspace(data=settings.data, device=device, precision=settings.precision, ranks=ranks))
        processes, threads = choose_processes(settings.processes, device, len(self.jobs), ranks)
        if settings.cluster != "slurm":  # other jobs are on this machine
            processes = min(processes, settings.words.side_by_side)
        run_jobs(
            [dataclasses.replace(job, again=self._repeats(job)) for job in self.jobs],
            settings.out,
            self._report,
            processes,
            threads=threads,
            timeout=settings.timeout,
            estimates=self.estimates,
        )

    def _repeats(self, job: Job) -> bool:
        """Whether a finished run is still to be repeated: not so after the job came back into the queue."""
        digest = record_sha256(job.run, self.settings.out) if job.again else None
        return digest is not None and digest == self.replaces.get(job.run)

    def _progress(self) -> set[tuple[str, int]]:
        """What is saved of the runs: files and their times, without those that every attempt writes."""
        folders = [job.run.folder(self.settings.out) for job in self.jobs]
        files = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
        saved = [file for file in files if file.name[0] != "." and file.name not in {"started.json", "error.txt"}]
        return {(str(file), file.stat().st_mtime_ns) for file in saved}

    def _is_stuck(self, before: set[tuple[str, int]]) -> bool:
        """Whether the job would come back for ever: it has saved nothing now, nor before of what is left to do."""
        if self._progress() != before:
            return False
        folders = [job.run.folder(self.settings.out) for job in self.jobs]
        left = [str(folder) for folder in folders if not (folder / "run.json").exists()]
        kept = any(file.startswith(f"{folder}/") for file, _ in before for folder in left)
        return not kept or int(os.environ.get("SLURM_RESTART_COUNT", "0")) >= MOST_RESTARTS

    def _give_up(self, reason: str) -> None:
        """End a job that does not go back into the queue, with the reason for each run that is not finished."""
        for job in self.jobs:
            folder = job.run.folder(self.settings.out)
            if not (folder / "run.json").exists():
                keep_failure(folder, reason)
        sys.exit(1)

    def _report(self, run: Run, outcome: str, note: str) -> None:
        print(f"{run.title}: {outcome}{': ' if note else ''}{note}", flush=True)


def _local_requeue_status() -> int:
    """The exit status by which a job on this machine asks submitit to start it again."""
    from submitit.local.local import LOCAL_REQUEUE_RETURN_CODE

    return int(LOCAL_REQUEUE_RETURN_CODE)
