"""What `--slurm` says: the words for sbatch, by submitit's names, each checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asugnn import InputError
from asugnn.capacity import usable_cores
from asugnn.errors import did_you_mean

HOURS, WEEK = 4 * 60, 7 * 24 * 60  # minutes: the time limit where none is stated, on Slurm and on this machine
NUMBERS = {
    "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "array_parallelism", "runs_per_job", "signal_delay_s",
}  # fmt: skip
NAMES = {
    "partition", "account", "qos", "constraint", "gres", "nodelist", "exclude", "mem_per_cpu", "mem_per_gpu", "comment",
    "mail_type", "mail_user", "setup",
}  # fmt: skip
SBATCH = {"reservation", "licenses", "nice", "hold", "exclusive", "begin"}  # sbatch's own, which submitit does not name
SHARED = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb"}  # what submitit names without the cluster
LOCAL = {"timeout_min", "gpus_per_node", "array_parallelism", "runs_per_job", "signal_delay_s", "setup"}
MOST_JOBS = 256  # at a time, where `array_parallelism` says nothing
LONGEST_ARRAY = 1000  # jobs: Slurm's own limit is 1001, and clusters limit the jobs of a user


@dataclass(frozen=True)
class ClusterWords:
    """What a job asks of the cluster: `parameters` are submitit's.

    At most `at_once` jobs run at a time, and at most `most` are sent: on this machine all start at once. Each gets
    `runs` runs, by what they take where that is 0; `ranks` processes train one model together.
    """

    parameters: dict[str, Any]
    at_once: int
    most: int
    runs: int = 0
    ranks: int = 1

    @property
    def minutes(self) -> int:
        """The time limit of a job."""
        return int(self.parameters["timeout_min"])

    @property
    def side_by_side(self) -> int:
        """How many runs a job can do at a time, whose processes each have a GPU or, without any, a core."""
        gres = [part.split(":") for part in str(self.parameters.get("gres", "")).split(",")]  # such as gpu:a100:2
        listed = sum(int(kind[-1]) if kind[-1].isdecimal() else 1 for kind in gres if kind[0] == "gpu")
        gpus = self.parameters.get("gpus_per_node") or listed
        return max(1, int(gpus or self.parameters.get("cpus_per_task") or 1) // self.ranks)


def parse_cluster_words(texts: Sequence[str], local: bool, ranks: int = 1) -> ClusterWords:
    """Read KEY=VALUE,KEY=VALUE; raises `InputError` for a word that is not known or has a wrong value.

    A comma that no KEY= follows belongs to the value, as in `exclude=n1,n2`. `ranks` processes train a model together.
    """
    found: dict[str, Any] = {}
    known = LOCAL if local else NUMBERS | NAMES | SBATCH
    for text in texts:
        for word in re.split(r",(?=\s*[A-Za-z][\w-]*=)", text):
            key, equals, value = (part.strip() for part in word.partition("="))
            key = key.replace("-", "_")
            if not equals or not key or not value:
                raise InputError(
                    f"--slurm takes KEY=VALUE,KEY=VALUE, such as partition=gpu,timeout_min=240, not '{text}'"
                )
            if key not in known:
                more = "" if local else "; sbatch reads its other options from variables such as SBATCH_EXPORT"
                where = "--slurm, with --on local-cluster," if local else "--slurm"
                raise InputError(f"{where} does not know '{key}'{did_you_mean(key, known)}{more}")
            if key in found:
                raise InputError(f"--slurm states {key} twice")
            found[key] = _number(key, value) if key in NUMBERS else value
            if key in SBATCH and value in {"yes", "true"}:
                found[key] = True  # an option without a value
            if key == "setup":
                found[key] = [value]  # lines of the shell before the program
    runs = found.pop("runs_per_job", 0)
    at_once = found.pop("array_parallelism", MOST_JOBS)
    if local:  # where all share the cores, or the GPUs
        at_once = 1 if found.get("gpus_per_node") else max(1, min(at_once, usable_cores() // ranks))
    parameters = {"timeout_min": WEEK if local else HOURS, "signal_delay_s": 90, **found}
    if parameters["signal_delay_s"] >= 60 * parameters["timeout_min"]:
        raise InputError(
            f"--slurm timeout_min={parameters['timeout_min']} ends a job before its signal, which comes "
            f"signal_delay_s={parameters['signal_delay_s']} s earlier: allow more minutes"
        )
    return ClusterWords(parameters, at_once, at_once if local else LONGEST_ARRAY, runs, ranks)


def _number(key: str, value: str) -> int:
    least = 0 if key in {"gpus_per_node", "signal_delay_s"} else 1
    if not value.isdecimal() or len(value) > 9 or int(value) < least:
        raise InputError(f"--slurm {key} takes a whole number from {least}, not '{value}'")
    return int(value)
