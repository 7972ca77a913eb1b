"""How a run ends, and the reason of one that failed."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from asugnn import InputError
from asugnn.atomic_write import disk_full_sentence
from leaderboard._util import missing_extra
from leaderboard.records import Run, keep_failure

Outcome = Literal["done", "kept", "failed"]
OUT_OF_MEMORY: Literal["out of memory"] = "out of memory"
Ending = Outcome | Literal["out of memory", "stopped"]  # of one attempt: the first may be repeated, the other resumed
Report = Callable[[Run, Outcome, str], None]


def keep_reason(folder: Path, error: Exception) -> tuple[Ending, str]:
    """Store why a job failed; how it ended, and the reason for the user.

    A package that is missing is no fault of the run, and nothing of it is stored.
    """
    if isinstance(error, InputError):
        keep_failure(folder, str(error))
        return "failed", str(error)
    if isinstance(error, ImportError) and (sentence := missing_extra(error)):
        return "failed", sentence
    if sentence := disk_full_sentence(error):
        keep_failure(folder, sentence)
        return "failed", sentence
    sentence = f"{type(error).__name__}: {error}".rstrip(": ")
    if _is_out_of_memory(error):
        sentence = f"memory ran out: {sentence}"
        keep_failure(folder, sentence, traceback.format_exc())
        return OUT_OF_MEMORY, sentence
    keep_failure(folder, sentence, traceback.format_exc())
    return "failed", f"{sentence}; the traceback is in {folder / 'error.txt'}"


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory could not be had: PyTorch has an exception of its own for a GPU, and none for a CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(words in str(error) for words in ("allocate memory", "not enough memory", "std::bad_alloc"))
    )
