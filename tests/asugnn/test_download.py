"""The downloader, against a server with every fault: what comes is whole and right, or nothing comes."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin import Fault, StandIn, serving

from asugnn import InputError, download
from asugnn.download import _Attempt, download_bytes, download_file, request_headers

CONTENT = random.Random(1).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(download, "CHUNK", 4096)
    monkeypatch.setattr(download, "TIMEOUT", 0.5)


@pytest.fixture
def server():
    with serving(StandIn({"/file": CONTENT})) as state:
        yield state


@pytest.fixture(autouse=True)
def nobody_is_silent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "_silent_servers", set())


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_file_comes_once(server: StandIn, tmp_path: Path):
    came = []
    download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256, size=len(CONTENT), advance=came.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert sum(came) == len(CONTENT)
    download_file("http://127.0.0.1:1/nobody", tmp_path / "a", sha256=SHA256)
    assert left(tmp_path) == ["a"]
    assert len(server.asked) == 1


@given(cuts=st.lists(st.integers(0, len(CONTENT) - 1), min_size=1, max_size=5), etags=st.booleans())
def test_cut_off_at_any_byte_it_goes_on(cuts: list[int], etags: bool, tmp_path_factory: pytest.TempPathFactory):
    """Each cut is an answer that ends too early; the next request starts where that one ended."""
    folder = tmp_path_factory.mktemp("cut")
    with serving(StandIn({"/file": CONTENT}, etags=etags)) as server:
        for after in cuts:
            server.faults["/file"] = Fault("cut", 1, after)
            attempt = _Attempt(f"{server.url}/file", folder / "a", None, lambda _: None)
            before = attempt.received()
            if before + after < len(CONTENT):
                with pytest.raises(ConnectionError, match="broke off"):
                    attempt()
                assert attempt.received() == (before + after if etags else 0)
                assert not (folder / "a").exists()
            server.faults.clear()
        server.asked.clear()
        download_file(f"{server.url}/file", folder / "a", sha256=SHA256)
        assert (folder / "a").read_bytes() == CONTENT
        assert server.asked == [("/file", f"bytes={before + after}-" if etags and before + after else "")] or (
            before + after >= len(CONTENT)
        )
    assert left(folder) == ["a"]


@pytest.mark.parametrize(
    "fault",
    [Fault(str(code), 3) for code in (429, 500, 502, 503, 504)]
    + [Fault("cut", 3, 1000), Fault("stall", 1, 1000), Fault("chunked-cut", 2, 1000), Fault("chunked-cut", 1, 0)],
    ids=lambda fault: fault.kind,
)
def test_what_passes_is_asked_again(fault: Fault, server: StandIn, tmp_path: Path):
    server.faults["/file"] = fault
    download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert fault.times == 0
    assert left(tmp_path) == ["a"]


def test_the_pause_is_as_long_as_the_server_asks(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(download, "PAUSE", 1.0)
    server.faults["/file"] = Fault("429", 1, headers={"Retry-After": "7"})
    download_file(f"{server.url}/file", tmp_path / "a")
    server.faults["/file"] = Fault("503", 4, headers={"Retry-After": "100000"})
    download_file(f"{server.url}/file", tmp_path / "b")
    server.faults["/file"] = Fault("500", 4)
    download_file(f"{server.url}/file", tmp_path / "c")
    assert pauses == [7, 60, 60, 60, 60, 1, 2, 4, 8]
    assert "trying again in 7 s (2 of 6)" in caplog.text  # a user sees that it waits


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("403", 99), "cannot be accessed .HTTP 403.: it needs a permission, or was withdrawn; call us"),
        (Fault("404", 99), "there is no http.*/file .HTTP 404.: it was moved or removed; call us"),
        (Fault("418", 99), "cannot be downloaded: the server says 418"),
        (Fault("429", 99), "the server says 429 .*, 6 times in a row; call us"),
        (Fault("500", 99), "the server says 500 .*, 6 times in a row; call us"),
        (Fault("cut", 99, 0), "it broke off after 0 of 300,000 bytes, 6 times in a row"),
        (Fault("stall", 99, 0), "timed out, 6 times in a row"),
    ],
    ids=lambda x: x.kind if isinstance(x, Fault) else "",
)
def test_what_does_not_pass_is_said(
    fault: Fault, sentence: str, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.faults["/file"] = fault
    with pytest.raises(InputError, match=sentence):
        download_file(f"{server.url}/file", tmp_path / "a", hint="call us")
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == 0
    assert not (tmp_path / "a").exists()
    with pytest.raises(InputError, match="cannot be downloaded"):
        download_bytes("http://127.0.0.1:1/nobody")
    with pytest.raises(InputError, match="cannot be downloaded: unknown url type"):
        download_bytes("nonsense")


def test_a_server_that_ignores_ranges_sends_all_again(server: StandIn, tmp_path: Path):
    server.ranges = False
    server.faults["/file"] = Fault("cut", 2, 200_000)
    came: list[int] = []
    download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256, advance=came.append)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ["", "bytes=200000-", "bytes=200000-"]
    assert sum(came) == len(CONTENT)


@pytest.mark.parametrize("size", [100, 200_000, 300_000, 400_000])
@pytest.mark.parametrize("ranges", [True, False])
def test_content_that_changes_under_way_is_never_mixed(size: int, ranges: bool, server: StandIn, tmp_path: Path):
    server.faults["/file"] = Fault("cut", 1, 200_000)
    attempt = _Attempt(f"{server.url}/file", tmp_path / "a", None, lambda _: None)
    with pytest.raises(ConnectionError):
        attempt()
    server.files["/file"] = changed = random.Random(2).randbytes(size)
    server.ranges = ranges
    download_file(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == changed
    assert left(tmp_path) == ["a"]


def test_a_wrong_digest_is_an_error_and_the_file_is_gone(server: StandIn, tmp_path: Path):
    server.files["/file"] = CONTENT[::-1]
    with pytest.raises(InputError, match="no longer the published file: its sha256 is not"):
        download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert left(tmp_path) == []
    with pytest.raises(InputError, match="not the file that was announced: 300,000 bytes, not 17"):
        download_file(f"{server.url}/file", tmp_path / "a", size=17)
    assert left(tmp_path) == []
    (tmp_path / "a").write_bytes(b"of old")  # what lies there under the name is looked at too
    server.files["/file"] = CONTENT
    download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert (tmp_path / "a").read_bytes() == CONTENT


PROGRAM = """
import resource, sys, time
from pathlib import Path
from asugnn import InputError, download
download.CHUNK, download.PAUSE = 4096, 0.001
url, path, limit, slow = sys.argv[1:]
if int(limit):
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
def tell(n):
    print(n, flush=True)
    time.sleep(float(slow))
try:
    download.download_file(url, Path(path), advance=tell)
except InputError as error:
    print(error)
    sys.exit(1)
"""


def child(server: StandIn, path: Path, limit: int = 0, slow: float = 0.0) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", PROGRAM, f"{server.url}/file", str(path), str(limit), str(slow)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_goes_on_where_it_was(server: StandIn, tmp_path: Path):
    for lines in (5, 3, 11):
        process = child(server, tmp_path / "a", slow=0.005)
        assert process.stdout
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert not (tmp_path / "a").exists()
    server.asked.clear()
    download_file(f"{server.url}/file", tmp_path / "a", sha256=SHA256)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked[0][1].startswith("bytes=")
    assert left(tmp_path) == ["a"]


def test_a_disk_that_is_full_leaves_nothing(server: StandIn, tmp_path: Path):
    """A limit on the size of files, which the system enforces as it does a full disk."""
    process = child(server, tmp_path / "a", limit=100_000)
    out, _ = process.communicate()
    assert process.returncode == 1
    assert "the disk is full" in out
    assert left(tmp_path) == []


@pytest.mark.parametrize(("number", "sentence"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "cannot be written")])
def test_a_disk_that_refuses_at_the_very_end_leaves_nothing(
    number: int, sentence: str, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match=sentence):
        download_file(f"{server.url}/file", tmp_path / "a")
    assert left(tmp_path) == []


def test_two_at_once_do_not_harm_each_other(server: StandIn, tmp_path: Path):
    for k in range(5):
        pair = [
            threading.Thread(target=download_file, args=(f"{server.url}/file", tmp_path / f"{k}")) for _ in range(4)
        ]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        assert (tmp_path / f"{k}").read_bytes() == CONTENT
    assert len(server.asked) == 5
    assert left(tmp_path) == [str(k) for k in range(5)]


def test_a_file_without_bytes(server: StandIn, tmp_path: Path):
    server.files["/file"] = b""
    download_file(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b""
    assert left(tmp_path) == ["a"]


def test_headers_are_those_of_the_first_answer(server: StandIn, tmp_path: Path):
    server.redirects["/hub"] = (f"{server.url}/file", {"X-Linked-Size": "300000"})
    server.redirects["/old"] = ("/hub", {"X-Linked-Size": "1"})  # as a hub says that a repository was renamed
    for name in ("hub", "old"):
        assert request_headers(f"{server.url}/{name}")["X-Linked-Size"] == "300000"
    assert request_headers(f"{server.url}/file")["Content-Length"] == "300000"
    download_file(f"{server.url}/hub", tmp_path / "a", sha256=SHA256)
    assert (tmp_path / "a").read_bytes() == CONTENT
    with pytest.raises(InputError, match="HTTP 404"):
        request_headers(f"{server.url}/none")


class Endless(BaseHTTPRequestHandler):
    """An answer without a length and without an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(bytes(4096))

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("size", [None, 50_000])
def test_an_answer_without_an_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None):
    monkeypatch.setattr(download, "DOWNLOAD_BYTES", 100_000)
    monkeypatch.setattr(download, "ANSWER_BYTES", 100_000)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/file"
    try:
        with pytest.raises(InputError, match=f"sends more than {size or 100_000:,} bytes, the most"):
            download_file(url, tmp_path / "a", size=size)
        with pytest.raises(InputError, match="answers with more than 100,000 bytes"):
            download_bytes(url)
    finally:
        server.shutdown()
        server.server_close()
    assert left(tmp_path) == []


def test_a_server_that_does_not_answer_is_waited_for_once(server: StandIn, tmp_path: Path, monkeypatch):
    """With no network, eleven sets of weights took three minutes of waiting; and empty folders were left."""
    waited: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    for name in ("a", "b", "c"):
        with pytest.raises(InputError, match="cannot be downloaded"):
            download_file(f"http://127.0.0.1:1/{name}", tmp_path / "weights" / name / "state.pt")
    assert len(waited) == download.MAX_ATTEMPTS - 1
    assert list(tmp_path.iterdir()) == []
    download_file(f"{server.url}/file", tmp_path / "weights" / "file", sha256=SHA256)  # another server
    assert left(tmp_path) == ["file"]


def test_a_server_that_answers_again_is_waited_for_again(server: StandIn, tmp_path: Path, monkeypatch):
    waited: list[float] = []
    monkeypatch.setattr(download.time, "sleep", waited.append)
    monkeypatch.setattr(download, "_silent_servers", {server.url.removeprefix("http://")})
    server.faults["/file"] = Fault("503", 99)
    with pytest.raises(InputError):
        download_bytes(f"{server.url}/file")
    assert not waited
    server.faults.clear()
    assert download_bytes(f"{server.url}/file") == CONTENT
    server.faults["/file"] = Fault("503", 99)
    with pytest.raises(InputError, match="503"):
        download_bytes(f"{server.url}/file")
    assert len(waited) == download.MAX_ATTEMPTS - 1
