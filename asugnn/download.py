"""Download files: complete and verified or not at all, resuming where an interrupted download stopped.

The bytes received so far are in a file `.NAME.TOTAL-STAMP.part` beside the final one. The stamp is a digest of how the
server identifies the content (its ETag, else its date), so that bytes of different contents are never joined.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar

from asugnn.atomic_write import DISK_FULL, file_sha256
from asugnn.errors import InputError
from asugnn.file_lock import lock_file, tidy_folders
from asugnn.limits import ANSWER_BYTES, DOWNLOAD_BYTES
from asugnn.version import __version__

logger = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds without a byte
MAX_ATTEMPTS = 6  # in a row that bring nothing new
PAUSE = 1.0  # seconds before the second of them; doubled before each further one
MAX_PAUSE = 60.0  # seconds, whatever a server asks for
CHUNK = 2**18  # bytes
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses after which a request is repeated

_silent_servers: set[str] = set()  # those that did not answer in all attempts: further requests do not wait for them

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
    """Download `url` to `path`, unless it is there already; resumes what an earlier call has left.

    `sha256` and `size` (bytes) are verified if given. `advance` is called with the number of bytes received, a negative
    number where they must be received again. Raises `InputError`, which ends with `hint`, where the file cannot be
    downloaded; then there is no file at `path`.
    """
    lock = path.with_name(f".{path.name}.lock")
    with tidy_folders(path.parent), lock_file(lock):
        try:
            if path.is_file():
                if not sha256 or file_sha256(path) == sha256:
                    return
                path.unlink()
            attempt = _Attempt(url, path, size, advance)
            part = _retry(url, attempt, hint, attempt.received)
            if sha256 and file_sha256(part) != sha256:
                part.unlink()
                raise InputError(f"{url} is no longer the published file: its sha256 is not {sha256}")
            part.replace(path)
        finally:
            lock.unlink(missing_ok=True)  # who waits for it sees that, and makes another


def download_bytes(url: str, headers: Mapping[str, str] | None = None, hint: str = "try again later") -> bytes:
    """Download a small file into memory; raises `InputError`, which ends with `hint`, where that fails."""

    def attempt() -> bytes:
        with _open(url, headers or {}) as answer:
            content: bytes = answer.read(ANSWER_BYTES + 1)
        if len(content) > ANSWER_BYTES:
            raise InputError(f"{url} answers with more than {ANSWER_BYTES:,} bytes: it is not what was asked for")
        return content

    return _retry(url, attempt, hint)


def request_headers(url: str, hint: str = "try again later") -> Message:
    """Request the headers of a file from its own server, without following redirects to others; raises `InputError`."""

    class SameServer(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> urllib.request.Request | None:
            other_server = urllib.parse.urlsplit(args[4].get("Location", "")).netloc
            return None if other_server else super().redirect_request(*args)

    def attempt() -> Message:
        try:
            with urllib.request.build_opener(SameServer).open(_request(url, {}, "HEAD"), timeout=TIMEOUT) as answer:
                headers: Message = answer.headers
        except urllib.error.HTTPError as error:
            if error.code not in {301, 302, 303, 307, 308}:
                raise
            error.close()
            headers = error.headers
        return headers

    return _retry(url, attempt, hint)


class _Attempt:
    """A request for the rest of a file, to be called until it succeeds."""

    def __init__(self, url: str, path: Path, size: int | None, advance: Callable[[int], None]) -> None:
        self.url, self.path, self.size, self.advance = url, path, size, advance
        if (part := self.find_part()) is not None:
            advance(part.stat().st_size)

    def find_part(self) -> Path | None:
        """Find the file of the bytes received so far, if they can be continued."""
        pattern = re.compile(rf"\.{re.escape(self.path.name)}\.\d+-[0-9a-f]+\.part")
        return next((p for p in sorted(self.path.parent.iterdir()) if pattern.fullmatch(p.name)), None)

    def received(self) -> int:
        """Count the bytes received so far."""
        part = self.find_part()
        return part.stat().st_size if part else 0

    def discard_part(self) -> None:
        """Remove the bytes received so far."""
        if (part := self.find_part()) is not None:
            self.advance(-part.stat().st_size)
            part.unlink()

    def __call__(self) -> Path:
        """Request the missing bytes; returns the complete part."""
        part = self.find_part()
        have = part.stat().st_size if part else 0
        if part and have >= (total := _part_total(part)):
            if have == total:
                return part  # it was interrupted between its last byte and its renaming
            self.discard_part()
            have = 0
        try:
            with _open(self.url, {"Range": f"bytes={have}-"} if have else {}) as answer:
                return self._write(answer, have)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the file has become shorter
                error.close()
                self.discard_part()
                raise ConnectionError("the server has another file now") from error
            raise

    def _write(self, answer: Any, have: int) -> Path:
        total, stamp = _total_length(answer, have), _content_stamp(answer.headers)
        if self.size is not None and total not in {None, self.size}:
            raise InputError(f"{self.url} is not the file that was announced: {total:,} bytes, not {self.size:,}")
        total = self.size if total is None else total
        part = self.path.with_name(f".{self.path.name}.{total or 0}-{stamp or 'once'}.part")
        if have and (answer.status != 206 or part != self.find_part()):
            self.discard_part()
            if answer.status == 206:
                raise ConnectionError("the file was changed meanwhile")
            have = 0
        complete = False
        try:
            have = self._append(answer, part, have, total or DOWNLOAD_BYTES)
            complete = total in {None, have}
        finally:
            if not complete and not (total and stamp):
                part.unlink(missing_ok=True)  # later it would be unknown what it is a part of
        if not complete:
            raise ConnectionError(f"it broke off after {have:,} of {total:,} bytes")
        return part

    def _append(self, answer: Any, part: Path, have: int, most: int) -> int:
        try:
            with part.open("ab" if have else "wb") as file:
                while chunk := _read_chunk(answer):
                    if have + len(chunk) > most:
                        part.unlink()
                        raise InputError(f"{self.url} sends more than {most:,} bytes, the most that are accepted")
                    file.write(chunk)
                    have += len(chunk)
                    self.advance(len(chunk))
                file.flush()
                os.fsync(file.fileno())
        except _BrokenConnectionError as error:
            raise error.reason from error  # the bytes before it are kept
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in DISK_FULL:
                raise InputError(f"{self.path} cannot be written: {error.strerror or error}") from error
            raise InputError(
                f"the disk is full: {self.path} did not fit, and nothing of it is left; make room, and run again"
            ) from error
        return have


class _BrokenConnectionError(Exception):
    """The connection failed, not the disk."""

    def __init__(self, reason: OSError | http.client.HTTPException) -> None:
        self.reason = reason


def _read_chunk(answer: Any) -> bytes:
    try:
        chunk: bytes = answer.read(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenConnectionError(error) from error
    return chunk


def _retry(url: str, attempt: Callable[[], T], hint: str, received: Callable[[], int] = lambda: 0) -> T:
    """Return the result of `attempt`, repeated after transient failures until no new bytes are received.

    A server that did not answer an earlier request in all its attempts is asked once.
    """
    server = urllib.parse.urlsplit(url).netloc
    most = 1 if server in _silent_servers else MAX_ATTEMPTS
    tries, best, answers = 0, received(), False
    while True:
        asked = 0.0
        try:
            result = attempt()
            _silent_servers.discard(server)
            return result
        except urllib.error.HTTPError as error:
            error.close()
            answers = True
            if error.code not in TRANSIENT:
                raise InputError(f"{_refusal_message(url, error)}; {hint}") from error
            reason, asked = (
                f"the server says {error.code} {error.reason}",
                _retry_seconds(error.headers.get("Retry-After")),
            )
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", "") or error  # what urllib wraps
            reason = str(getattr(cause, "strerror", "") or cause or type(error).__name__)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{url} cannot be downloaded: {error}; {hint}") from error
        if (now := received()) > best:
            tries, best = 0, now
            most, answers = MAX_ATTEMPTS, True
        tries += 1
        if tries >= most:
            if not answers:
                _silent_servers.add(server)
            often = f", {tries} times in a row" if tries > 1 else ""
            network = "" if answers else "; is there a network? A proxy is named by https_proxy"
            raise InputError(f"{url} cannot be downloaded: {reason}{often}{network}; {hint}")
        pause = min(max(asked, PAUSE * 2 ** (tries - 1)), MAX_PAUSE)
        logger.warning("%s: %s; trying again in %.0f s (%d of %d)", server, reason, pause, tries + 1, most)
        time.sleep(pause)


def _refusal_message(url: str, error: urllib.error.HTTPError) -> str:
    if error.code in {401, 403}:
        return f"{url} cannot be accessed (HTTP {error.code}): it needs a permission, or was withdrawn"
    if error.code in {404, 410}:
        return f"there is no {url} (HTTP {error.code}): it was moved or removed"
    return f"{url} cannot be downloaded: the server says {error.code} {error.reason}"


def _request(url: str, headers: Mapping[str, str], method: str = "GET") -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": f"asugnn-bench/{__version__}", **headers}, method=method)


def _open(url: str, headers: Mapping[str, str]) -> Any:
    """Request the content of `url`: only 200 and 206 bring it, after 202 the server is still preparing it."""
    answer = urllib.request.urlopen(_request(url, headers), timeout=TIMEOUT)
    if answer.status in {200, 206}:
        return answer
    answer.close()
    if answer.status == 202:
        raise ConnectionError("the server says 202, that it is still preparing the file")
    raise ValueError(f"the server says {answer.status} {answer.reason}, which brings no content")


def _total_length(answer: Any, have: int) -> int | None:
    """Return the length of the whole file in bytes, or None where the server does not say it."""
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if not match or int(match[1]) != have:
            raise ConnectionError("the server sent another range than the one that was asked for")
        return int(match[2])
    length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def _content_stamp(headers: Mapping[str, str]) -> str:
    """Digest how the server identifies the content; empty where it does not. Two contents may share a weak ETag."""
    tag = headers.get("ETag") or ""
    identity = headers.get("Last-Modified") or "" if tag.startswith("W/") or not tag else tag
    return hashlib.sha256(identity.encode()).hexdigest()[:16] if identity else ""


def _part_total(part: Path) -> int:
    return int(part.name.rpartition("-")[0].rpartition(".")[2])


def _retry_seconds(text: str | None) -> float:
    """Return the seconds that a Retry-After header asks for; 0 for a date."""
    return float(text) if text and text.isdigit() else 0.0
