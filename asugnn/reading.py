"""Turn failures to read a file into one sentence for the user."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asugnn.errors import InputError

LARGEST_JSON = 2**26  # bytes of a file of JSON


@contextmanager
def reading(path: Path, what: str, hint: str = "") -> Iterator[None]:
    """Turn whatever fails while `path` is read into an `InputError`: "PATH cannot be read as WHAT: reason; hint".

    A parser may trip over anything in a damaged or foreign file, so every exception counts; an `InputError` passes
    through, because it already is a sentence for the user.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        end = f"; {hint}" if hint else ""
        raise InputError(f"{path} cannot be read as {what}: {reason(error)}{end}") from error


def reason(error: Exception) -> str:
    """Return the message of an exception in one line: a missing key by its name, a failed system call in words."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, KeyError):
        return f"there is no {text}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return text or type(error).__name__


def check_file(path: Path, most: int) -> None:
    """Raise `OSError` or `ValueError` for what is no regular file, such as a pipe, or has more than `most` bytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes, more than {most:,}")


def read_json(path: Path, what: str, hint: str = "") -> dict[str, Any]:
    """Read the object in a JSON file; raises `InputError` where it is missing, damaged, or holds no object."""
    with reading(path, what, hint):
        check_file(path, LARGEST_JSON)
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}, not an object with names")
    return content
