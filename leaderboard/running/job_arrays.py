"""What was sent to a cluster from a folder of runs: a file in `<out>/.cluster` for each array of jobs.

The file is written before the array is sent, and names it; so a command that is killed in between leaves no Slurm job
that another one does not know of. Beside it is a folder of the same name with the logs of the jobs.
"""

from __future__ import annotations

import json
import shutil
import socket
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from asugnn.atomic_write import file_sha256, write_text
from asugnn.reading import read_json, reading
from leaderboard.records import Run

HOME = ".cluster"
WHAT, HINT = "a record of cluster jobs", "move it away"


@dataclass(frozen=True)
class JobArray:
    """An array of cluster jobs. `tasks` has the runs of each, by their folders in the folder of runs.

    `ids` are the cluster's number of the array, or the processes on this machine; none where it is not sent, or the
    command was killed meanwhile. `replaces` has the digests of the records of finished runs that it repeats.
    """

    name: str
    cluster: str
    host: str
    sent: str
    tasks: list[list[str]]
    replaces: dict[str, str]
    ids: list[str]

    def folder(self, out: Path) -> Path:
        """Where the logs are."""
        return out / HOME / self.name

    def sent_at(self, out: Path) -> float:
        """When it was sent, by the clock of the file system."""
        return _file(out, self.name).stat().st_mtime

    def log(self, out: Path, task: int) -> Path:
        """What a job wrote to its standard error; the folder of the logs, where its number is not known."""
        if not self.ids:
            return self.folder(out)
        if self.cluster == "slurm":
            identifier = f"{self.ids[0]}_{task}" if len(self.tasks) > 1 else self.ids[0]
        else:
            identifier = self.ids[task]
        return self.folder(out) / f"{identifier}_0_log.err"


def run_name(run: Run) -> str:
    """The name of a run in an array: its folder, below that of all runs."""
    return run.folder(Path()).as_posix()


def record_sha256(run: Run, out: Path) -> str | None:
    """The digest of the record of a finished run; None where there is none, perhaps for a moment: it is replaced."""
    with suppress(FileNotFoundError):
        return file_sha256(run.folder(out) / "run.json")
    return None


def new_array(cluster: str, tasks: Sequence[Sequence[str]], replaces: Mapping[str, str]) -> JobArray:
    """An array that is to be sent, with a name of its own."""
    now = datetime.now(UTC).isoformat("T", "seconds")
    name = f"bench-{uuid.uuid4().hex[:12]}"
    return JobArray(name, cluster, socket.gethostname(), now, [list(t) for t in tasks], dict(replaces), [])


def write_array(out: Path, array: JobArray) -> None:
    """Write the file of an array."""
    write_text(_file(out, array.name), json.dumps(asdict(array)) + "\n")


def read_arrays(out: Path) -> list[JobArray]:
    """All arrays of a folder of runs, the last one first; raises `InputError` for a damaged file."""
    arrays = []
    for file in (out / HOME).glob("bench-*.json"):
        with reading(file, WHAT, HINT):
            arrays.append(_parse(read_json(file, WHAT, HINT)))
            if arrays[-1].name != file.stem:
                raise ValueError("its name is that of another one")
    return sorted(arrays, key=lambda array: (array.sent, array.name), reverse=True)


def forget_array(out: Path, array: JobArray) -> None:
    """Remove the file and the logs of an array."""
    shutil.rmtree(array.folder(out), ignore_errors=True)
    _file(out, array.name).unlink(missing_ok=True)


def with_ids(array: JobArray, ids: Sequence[str]) -> JobArray:
    """The array, sent."""
    return replace(array, ids=list(ids))


def _parse(fields: Mapping[str, object]) -> JobArray:
    array = JobArray(**fields)  # type: ignore[arg-type]
    texts = [array.name, array.cluster, array.host, array.sent, *array.ids, *(r for t in array.tasks for r in t)]
    ids = all(i.isdecimal() for i in array.ids) if array.cluster != "slurm" else True
    if not all(isinstance(text, str) for text in texts) or not isinstance(array.replaces, dict) or not ids:
        raise TypeError("a field has the wrong type")
    return array


def _file(out: Path, name: str) -> Path:
    return out / HOME / f"{name}.json"
