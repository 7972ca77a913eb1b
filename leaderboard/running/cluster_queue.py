"""Which jobs of a cluster wait or run, as its queue says: squeue of Slurm, or the processes of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asugnn import InputError
from leaderboard.running.job_arrays import JobArray

ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
RUNNING, GONE = "RUNNING", "GONE"  # the second where the queue has forgotten a job


@dataclass(frozen=True)
class TaskState:
    """The state of one job of an array, in the words of the cluster, and why it is not running."""

    name: str
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Whether the job waits or runs."""
        return self.name not in ENDED and self.name != GONE


Queue = dict[tuple[str, int], TaskState]  # by the name of an array and the number of a job in it


class UnknownQueueError(InputError):
    """The cluster does not say what is in its queue."""


def read_queue(arrays: Sequence[JobArray]) -> Queue:
    """The states of the jobs of some arrays; those that ended long ago are missing. Raises `UnknownQueueError`."""
    queue: Queue = {}
    if names := [array.name for array in arrays if array.cluster == "slurm"]:
        queue |= _read_squeue(names)
    for array in arrays:
        if array.cluster != "slurm":
            queue |= _read_processes(array)
    return queue


def require_slurm() -> None:
    """Raise `InputError` where this machine cannot send jobs to Slurm."""
    for program in ("sbatch", "srun", "squeue"):
        if shutil.which(program) is None:
            raise InputError(
                f"--on slurm: there is no {program} here: type the command on a login node of the cluster, "
                "perhaps after `module load slurm`; --on local-cluster needs no Slurm"
            )


def _read_squeue(names: Iterable[str]) -> Queue:
    require_slurm()
    command = ["squeue", "--noheader", "--array", "--states=all", "--name", ",".join(names)]
    try:
        listed = subprocess.run(
            [*command, "--format=%j|%K|%T|%r"], capture_output=True, text=True, check=True, timeout=120
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise UnknownQueueError(f"squeue does not answer: {said[-1] if said else 'it says nothing'}") from error
    queue: Queue = {}
    for line in listed.splitlines():
        name, index, state, reason = [*line.split("|", 3), "", "", ""][:4]
        queue[name, int(index) if index.isdecimal() else 0] = TaskState(state, "" if reason == "None" else reason)
    return queue


def _read_processes(array: JobArray) -> Queue:
    if array.host != socket.gethostname():
        raise UnknownQueueError(
            f"runs of this folder were sent by --on local-cluster on {array.host}: repeat the command there, "
            f"or remove {array.name}.json from .cluster in the folder of runs if they have ended"
        )
    return {(array.name, k): TaskState(RUNNING) for k, pid in enumerate(array.ids) if _works(int(pid))}


def _works(pid: int) -> bool:
    """Whether a process is one of submitit's; its number may be another one's by now."""
    folder = Path(f"/proc/{pid}")
    if folder.parent.joinpath("self").exists():
        with suppress(OSError):
            state = folder.joinpath("stat").read_text().rpartition(")")[2].split()[0]
            return state != "Z" and b"submitit" in folder.joinpath("cmdline").read_bytes()
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
