"""Progress bars, as a model and the code around it see them: a program may show them, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Bar(Protocol):
    """A progress bar: `advance` it by some steps, with a note such as the loss."""

    def advance(self, steps: int = 1, note: str = "") -> None: ...


PREPARATION = "inputs"  # with this begins the description of a bar of work before the training

Progress = Callable[[str, int], AbstractContextManager[Bar]]


class _NoBar:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


@contextmanager
def no_progress(description: str, total: int) -> Any:
    """A `Progress` that shows nothing."""
    yield _NoBar()
