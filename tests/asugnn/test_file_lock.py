"""Locks, with the kernel's flock and where it is missing."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from asugnn import file_lock
from asugnn.file_lock import lock_file

HOLD = """
import sys, time
from pathlib import Path
from asugnn.file_lock import lock_file
with lock_file(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["flock", "no flock"])
def flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """With `no flock`, fcntl.flock raises ENOSYS in this process and in those that it starts."""
    if request.param == "no flock":

        def missing(*_: object) -> None:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", missing)
        (tmp_path / "site").mkdir()
        code = "import errno, fcntl\ndef missing(*_): raise OSError(errno.ENOSYS, '')\nfcntl.flock = missing\n"
        (tmp_path / "site/sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}:{os.environ.get('PYTHONPATH', '')}")
    return str(request.param)


def test_one_at_a_time(flock: str, tmp_path: Path):
    """Threads of one process and other processes alike."""
    path, inside, seen = tmp_path / "folder/.lock", [0], []

    def work() -> None:
        for _ in range(5):
            with lock_file(path) as mine:
                inside[0] += 1
                seen.append((mine, inside[0]))
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(True, 1)] * 15
    assert (path.with_name(".lock.lease").exists(), path.exists()) == (False, True)


def test_a_holder_that_was_killed_holds_nothing(flock: str, tmp_path: Path):
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with lock_file(path, wait=False) as mine:
            assert not mine
        holder.send_signal(signal.SIGKILL)
    with lock_file(path) as mine:
        assert mine


def test_a_holder_on_another_node_is_dead_without_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What such a node has left behind: the file of a lease, whose process cannot be asked for."""
    from filelock import SoftFileLease

    monkeypatch.setattr(file_lock, "LEASE", 1.0)
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSYS, "")))
    lease = tmp_path / ".lock.lease"
    left = SoftFileLease(lease, lease_duration=1.0)
    left.acquire()
    content = lease.read_text()
    left.release()
    node = os.uname().nodename
    assert node in content
    lease.write_text(content.replace(node, "another-node"))
    started = time.monotonic()
    with lock_file(tmp_path / ".lock", wait=False) as mine:
        assert not mine
    with lock_file(tmp_path / ".lock") as mine:
        assert mine
        assert 1 <= time.monotonic() - started < 10


def test_who_lost_its_lease_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As a process is that stood still while another one took its lease over."""
    monkeypatch.setattr(file_lock, "LEASE", 0.3)
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSYS, "")))
    told = threading.Event()
    with lock_file(tmp_path / ".lock", lost=told.set):
        (tmp_path / "theirs").write_text("999999\nanother-node\n")
        (tmp_path / "theirs").replace(tmp_path / ".lock.lease")
        assert told.wait(5)


def _count(path: Path, rounds: int) -> None:
    for _ in range(rounds):
        with lock_file(path / ".lock"):
            n = int((path / "n").read_text())
            (path / "n").write_text(str(n + 1))


def test_processes_count_right(flock: str, tmp_path: Path):
    (tmp_path / "n").write_text("0")
    fork = multiprocessing.get_context("fork")
    counters = [fork.Process(target=_count, args=(tmp_path, 20)) for _ in range(3)]
    for counter in counters:
        counter.start()
    for counter in counters:
        counter.join()
    assert (tmp_path / "n").read_text() == "60"
