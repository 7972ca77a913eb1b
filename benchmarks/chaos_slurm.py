"""A real Slurm of three nodes on this machine, for tests, and the scenarios of chaos.py in which nodes of it die."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chaos_tools import BENCH, Counts, SkippedError, bench, forbid_flock, predictions, workplace

SCRIPTS = Path(__file__).resolve().parent.parent / "tests" / "slurm"
FOUR_TASKS = ("open-dft/formation-energy", "open-dft/band-gap", "open-dft/bulk-modulus", "open-dft/metal")
DAEMONS = ("slurmctld", "slurmd", "munged", "sbatch")


def missing_for_slurm() -> str:
    """What keeps a Slurm from being started here; nothing where it can be."""
    if os.getuid():
        return "only root starts the daemons of Slurm"
    search = f"{os.environ.get('PATH', '')}:/usr/sbin"
    absent = [name for name in DAEMONS if not shutil.which(name, path=search)]
    return f"there is no {' and no '.join(absent)} here" if absent else ""


@contextmanager
def three_nodes(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Slurm, and stop it at the end; yields the environment for the commands that use it."""
    env = {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf"}
    started = subprocess.run(
        [SCRIPTS / "start", folder, str(_free_ports(4))], capture_output=True, text=True, check=False, env=env
    )
    try:
        if started.returncode:
            raise RuntimeError(f"Slurm did not start: {started.stderr}")
        yield env
    finally:
        subprocess.run([SCRIPTS / "stop", folder], check=True, env=env)


def kill_node(folder: Path, name: str) -> int:
    """End a node as a failure of its power does: its daemon, and all that runs on it; how many processes these were."""
    wanted = {f"SLURMD_NODENAME={name}".encode(), f"SLURM_CONF={folder}/slurm.conf".encode()}
    daemons, victims = [int((folder / f"slurmd.{name}.pid").read_text())], []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted <= {*file.read_bytes().split(b"\0")}:
                victims.append(int(file.parent.name))
                parent = int((file.parent / "stat").read_text().rpartition(")")[2].split()[1])
                if "slurmstepd" in Path(f"/proc/{parent}/cmdline").read_text():
                    daemons.append(parent)
    for pid in dict.fromkeys([*daemons, *victims]):  # daemons first, for they would report how jobs ended
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(daemons) + len(victims)


def revive_node(folder: Path, name: str) -> None:
    """Start the daemon of a node that was killed."""
    conf = folder / "slurm.conf"
    subprocess.run(["slurmd", "-N", name, "-f", conf], check=True, env={**os.environ, "SLURM_CONF": str(conf)})


def _free_ports(count: int) -> int:
    """The first of some ports in a row that nobody listens at."""
    for first in range(20_000 + os.getpid() % 1000 * 10, 60_000, count):
        with suppress(OSError):
            sockets = [socket.create_server(("127.0.0.1", first + k)) for k in range(count)]
            for opened in sockets:
                opened.close()
            return first
    raise RuntimeError("there are no free ports")


def slurm_nodes(root: Path, count: int) -> Counts:
    """200 runs on three nodes, of which two are killed on the way: each run is done once, and none is lost."""
    del count
    folder = workplace(root, "nodes")
    words = ("run", "--task", ",".join(FOUR_TASKS), "--model", "mean", "--seed", ",".join(map(str, range(50))))
    with _slurm(root / "slurm") as env:
        process = _start(folder, env, *words, "--on", "slurm", "--slurm", "timeout_min=30,runs_per_job=20")
        for node, so_many in (("n1", 20), ("n3", 60)):
            while len(predictions(folder)) < so_many:
                time.sleep(0.2)
            kill_node(root / "slurm", node)
        _, told = process.communicate(timeout=1800)
        requeued = sum(_log(file).count("Starting with") for file in folder.glob(LOGS)) - 10
    assert process.returncode == 0, told
    done = re.findall(r"^(mean .*): done", "".join(map(_log, folder.glob(LOGS))), re.MULTILINE)
    assert len(done) == len({*done}) == len(predictions(folder)) == 200, f"{len(done)} runs were done"
    checked = bench(folder, "verify", "--runs", "runs")
    assert checked.returncode == 0, checked.stderr
    return {"nodes killed": 2, "jobs": 10, "jobs put back": requeued, "runs": 200, "done once": 200, "verified": 200}


def slurm_planned(root: Path, count: int) -> Counts:
    """10,000 planned runs, listed, estimated and sent to a queue that holds them."""
    del count
    folder = workplace(root, "planned")
    words = ("run", *("--task", "open-dft/metal,open-dft/band-gap", "--model", "mean,forest,cgcnn,megnet,asugnn"))
    words += ("--fold", "all", "--seed", ",".join(map(str, range(200))), "--on", "slurm", "--slurm", "hold=yes")
    with _slurm(root / "slurm") as env:
        began = time.monotonic()
        process = _start(folder, env, *words)
        assert process.stderr is not None
        sentence = process.stderr.readline()
        seconds = time.monotonic() - began
        process.terminate()  # SIGINT would be ignored where this program runs in the background
        process.communicate()
        queued = subprocess.run(["squeue", "-h", "-r"], env=env, capture_output=True, text=True, check=True).stdout
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert sentence.startswith("10000 runs in "), sentence
    return {
        "sent": 10_000,
        "jobs": len(queued.splitlines()),
        "seconds": round(seconds, 1),
        "MB": used.ru_maxrss // 1024,
    }


def slurm_two_nodes(root: Path, count: int) -> Counts:
    """Independent runs of a quarter of a minute, on one node and on two."""
    del count
    before, seconds = os.getloadavg()[0], {}
    words = ("run", "--task", "open-dft/metal", "--model", "chaos_models.py:Busy", "--seed", "0,1,2,3,4,5,6,7")
    with _slurm(root / "slurm") as env:
        env |= {"OMP_NUM_THREADS": "1", "BUSY": "15"}
        for nodes in ("1", "2"):
            folder = workplace(root, f"on-{nodes}")
            settings = f"timeout_min=30,runs_per_job=4,array_parallelism={nodes}"
            began = time.monotonic()
            process = _start(folder, env, *words, "--jobs", "1", "--on", "slurm", "--slurm", settings)
            _, told = process.communicate(timeout=900)
            seconds[nodes] = time.monotonic() - began
            assert process.returncode == 0, told
            assert len(predictions(folder)) == 8, told
    return {"times faster on two": round(seconds["1"] / seconds["2"], 2), "load before": before}


def slurm_without_flock(root: Path, count: int) -> Counts:
    """Nodes without flock, of which one is killed: its lease of a run ends, and another node does the run."""
    del count
    folder = workplace(root, "no-flock")
    forbid_flock(folder)
    words = ("run", "--task", "open-dft/metal,open-dft/bulk-modulus", "--model", "mean", "--seed", "0,1,2,3,4,5")
    with _slurm(root / "slurm") as env:
        env["PYTHONPATH"] = f"{folder}:{env.get('PYTHONPATH', '')}"
        process = _start(folder, env, *words, "--on", "slurm", "--slurm", "timeout_min=30,runs_per_job=2")
        while len(predictions(folder)) < 2:
            time.sleep(0.2)
        kill_node(root / "slurm", "n1")
        _, told = process.communicate(timeout=1800)
    assert process.returncode == 0, told
    assert len(predictions(folder)) == 12
    return {"nodes killed": 1, "runs": 12, "done": len(predictions(folder))}


LOGS = "runs/.cluster/bench-*/*_log.out"


def _log(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _start(folder: Path, env: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*BENCH, *words], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def _slurm(folder: Path) -> Iterator[dict[str, str]]:
    if reason := missing_for_slurm():
        raise SkippedError(reason)
    with three_nodes(folder) as env:
        yield env
