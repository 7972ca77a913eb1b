"""The one downloader: a file comes whole and as it was published, or not at all, and goes on where it was cut off.

What has come lies beside the file as `.NAME.TOTAL-STAMP.part`. The stamp is of what the server calls this content
(its ETag, else its date), so bytes of one content are never continued with those of another.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

from asugnn import __version__
from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError

TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 6  # attempts in a row that bring nothing new
PAUSE = 1.0  # seconds before the second of them; doubled before each further one
LONGEST = 60.0  # seconds of a pause, whatever a server asks for
CHUNK = 2**18  # bytes
PASSING = {408, 425, 429, 500, 502, 503, 504}  # what servers answer when it is worth asking again
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

T = TypeVar("T")


def download_file(
    url: str,
    path: Path,
    *,
    sha256: str = "",
    size: int | None = None,
    hint: str = "try again later",
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Download `url` to `path`, unless it is there whole; goes on with what an earlier call has left.

    `sha256` and `size` are what the file must have, where that is known. `advance` is told the bytes that have come,
    a negative number where they must come again. Raises `InputError`, with `hint`, where the file cannot be had; then
    nothing stands under its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        if path.is_file():
            if not sha256 or file_sha256(path) == sha256:
                return
            path.unlink()
        attempt = _Attempt(url, path, size, advance)
        part = _patiently(url, attempt, hint, attempt.reached)
        if sha256 and file_sha256(part) != sha256:
            part.unlink()
            raise InputError(f"{url} is no longer the published file: its sha256 is not {sha256}")
        part.replace(path)


def download_bytes(url: str, headers: Mapping[str, str] | None = None, hint: str = "try again later") -> bytes:
    """The whole of a small answer; raises `InputError`."""

    def attempt() -> bytes:
        with _open(url, headers or {}) as answer:
            content: bytes = answer.read()
        return content

    return _patiently(url, attempt, hint)


def request_headers(url: str, hint: str = "try again later") -> Message:
    """What a server says of a file, before it sends the asker on to another server; raises `InputError`."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *about: Any) -> urllib.request.Request | None:
            elsewhere = urllib.parse.urlsplit(about[4].get("Location", "")).netloc
            return None if elsewhere else super().redirect_request(*about)

    def attempt() -> Message:
        try:
            with urllib.request.build_opener(Stay).open(_request(url, {}, "HEAD"), timeout=TIMEOUT) as answer:
                found: Message = answer.headers
        except urllib.error.HTTPError as error:
            if error.code not in {301, 302, 303, 307, 308}:
                raise
            error.close()
            found = error.headers
        return found

    return _patiently(url, attempt, hint)


class _Attempt:
    """One request after another for the rest of a file."""

    def __init__(self, url: str, path: Path, size: int | None, advance: Callable[[int], None]) -> None:
        self.url, self.path, self.size, self.advance = url, path, size, advance
        if (part := self.part()) is not None:
            advance(part.stat().st_size)

    def part(self) -> Path | None:
        """What has come so far and can be continued."""
        pattern = re.compile(rf"\.{re.escape(self.path.name)}\.\d+-[0-9a-f]+\.part")
        return next((p for p in sorted(self.path.parent.iterdir()) if pattern.fullmatch(p.name)), None)

    def reached(self) -> int:
        """The bytes that lie there."""
        part = self.part()
        return part.stat().st_size if part else 0

    def drop(self) -> None:
        """Start anew."""
        if (part := self.part()) is not None:
            self.advance(-part.stat().st_size)
            part.unlink()

    def __call__(self) -> Path:
        """Get what lacks; returns the complete part."""
        part = self.part()
        have = part.stat().st_size if part else 0
        if part and have >= (total := _total(part)):
            if have == total:
                return part  # it was cut off between its last byte and its name
            self.drop()
            have = 0
        try:
            with _open(self.url, {"Range": f"bytes={have}-"} if have else {}) as answer:
                return self._write(answer, have)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the file has become shorter
                error.close()
                self.drop()
                raise ConnectionError("the server has another file now") from error
            raise

    def _write(self, answer: Any, have: int) -> Path:
        total, stamp = _length(answer, have), _stamp(answer.headers)
        if self.size is not None and total not in {None, self.size}:
            raise InputError(f"{self.url} is not the file that was announced: {total:,} bytes, not {self.size:,}")
        total = self.size if total is None else total
        part = self.path.with_name(f".{self.path.name}.{total or 0}-{stamp or 'once'}.part")
        if have and (answer.status != 206 or part != self.part()):
            self.drop()
            if answer.status == 206:
                raise ConnectionError("the file was changed meanwhile")
            have = 0
        whole = False
        try:
            have = self._append(answer, part, have)
            whole = total in {None, have}
        finally:
            if not whole and not (total and stamp):
                part.unlink(missing_ok=True)  # nobody could tell later what it is a part of
        if not whole:
            raise ConnectionError(f"it broke off after {have:,} of {total:,} bytes")
        return part

    def _append(self, answer: Any, part: Path, have: int) -> int:
        try:
            with part.open("ab" if have else "wb") as file:
                while chunk := _received(answer):
                    file.write(chunk)
                    have += len(chunk)
                    self.advance(len(chunk))
                file.flush()
                os.fsync(file.fileno())
        except _BrokenError as error:
            raise error.reason from error  # what came before it is kept
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in FULL:
                raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error
            raise InputError(
                f"the disk is full: {self.path} did not fit, and nothing of it is left; make room, and run again"
            ) from error
        return have


class _BrokenError(Exception):
    """The connection failed, not the disk."""

    def __init__(self, reason: OSError | http.client.HTTPException) -> None:
        self.reason = reason


def _received(answer: Any) -> bytes:
    try:
        chunk: bytes = answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(error) from error
    return chunk


def _patiently(url: str, attempt: Callable[[], T], hint: str, reached: Callable[[], int] = lambda: 0) -> T:
    """What `attempt` returns, asked again after what passes, until nothing new comes."""
    tries, best = 0, reached()
    while True:
        asked = 0.0
        try:
            return attempt()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in PASSING:
                raise InputError(f"{_refusal(url, error)}; {hint}") from error
            reason, asked = f"the server says {error.code} {error.reason}", _seconds(error.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", "") or error or type(error).__name__)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{url} cannot be downloaded: {error}; {hint}") from error
        if (now := reached()) > best:
            tries, best = 0, now
        tries += 1
        if tries >= PATIENCE:
            raise InputError(f"{url} cannot be downloaded: {reason}, {tries} times in a row; {hint}")
        time.sleep(min(max(asked, PAUSE * 2 ** (tries - 1)), LONGEST))


def _refusal(url: str, error: urllib.error.HTTPError) -> str:
    if error.code in {401, 403}:
        return f"{url} is not given out (HTTP {error.code}): it needs a permission, or was withdrawn"
    if error.code in {404, 410}:
        return f"there is no {url} (HTTP {error.code}): it was moved or removed"
    return f"{url} cannot be downloaded: the server says {error.code} {error.reason}"


def _request(url: str, headers: Mapping[str, str], method: str = "GET") -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": f"asugnn-bench/{__version__}", **headers}, method=method)


def _open(url: str, headers: Mapping[str, str]) -> Any:
    return urllib.request.urlopen(_request(url, headers), timeout=TIMEOUT)


def _length(answer: Any, have: int) -> int | None:
    """The bytes of the whole file, where the server says them."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            raise ConnectionError("the server sent another range than the one that was asked for")
        return int(found[2])
    length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def _stamp(about: Mapping[str, str]) -> str:
    """What tells one content from another; empty where the server does not say. A weak ETag may be of two."""
    tag = about.get("ETag") or ""
    known = about.get("Last-Modified") or "" if tag.startswith("W/") or not tag else tag
    return hashlib.sha256(known.encode()).hexdigest()[:16] if known else ""


def _total(part: Path) -> int:
    return int(part.name.rpartition("-")[0].rpartition(".")[2])


def _seconds(text: str | None) -> float:
    """The whole seconds that Retry-After asks for; a date counts as none."""
    return float(text) if text and text.isdigit() else 0.0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold `path` against other processes and threads; the lock ends with the process, however that ends."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                ours = lock.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                ours = False
            if ours:  # else who held it before has removed it
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return
