import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from asugnn.atomic_write import UnwritableError, atomic_folder, atomic_write, disk_full_sentence, write_text


def test_text_is_written_as_it_is(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "ä\nb\r\n")
    assert path.read_bytes() == "ä\nb\r\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_the_file(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "a.txt", "")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    code = (
        "import sys; from pathlib import Path; from asugnn.atomic_write import write_text\n"
        "for i in range(10**9): write_text(Path(sys.argv[1]), str(i % 10) * 1_000_000)"
    )
    path = tmp_path / "a.txt"
    for delay in (0, 0.013, 0.037):
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as process:
            deadline = time.monotonic() + 30
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        text = path.read_text()
        assert len(text) == 1_000_000
        assert len(set(text)) == 1
        path.unlink()


def test_a_folder_that_does_not_fit_on_the_disk_is_named_and_gone(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # bytes of a file
    try:
        with pytest.raises(UnwritableError) as told, atomic_folder(tmp_path / "site") as folder:
            shutil.copyfile(__file__, folder / "page.html")  # which names its source
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert told.value.filename == str(tmp_path / "site")
    assert disk_full_sentence(told.value).startswith(f"the disk is full: {tmp_path / 'site'} did not fit; make room")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_library_that_says_that_the_disk_is_full_is_understood(code: int):
    said = f"I/O error: {os.strerror(code)} (os error {code})"
    assert "a file did not fit" in disk_full_sentence(RuntimeError(said))
    assert disk_full_sentence(ValueError("odd")) is None


def test_folders_have_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "made"):
            pass
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(before)
