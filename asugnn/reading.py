"""Turn failures to read a file into one sentence for the user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asugnn.errors import InputError


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


def read_json(path: Path, what: str, hint: str = "") -> dict[str, Any]:
    """Read the object in a JSON file; raises `InputError` where it is missing, damaged, or holds no object."""
    with reading(path, what, hint):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}, not an object with names")
    return content
