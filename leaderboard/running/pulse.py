"""The pulse of a run: when it last made progress, and how far it is, in memory that its process shares with others."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from asugnn.progress import PREPARATION, Bar, Progress
from leaderboard._util import LOCK

BEAT, DONE, TOTAL, PREPARES, FIRST, BEGAN, LAST = range(7)


class Pulse:
    """When the last progress was, by the monotonic clock, and what the newest bar of the run shows.

    Of the bar: steps done, all steps, whether it is work before the training, the steps at its first advance (those of
    a training that is resumed) and the time of that, and the time of its last.
    """

    def __init__(self) -> None:
        self._numbers = multiprocessing.get_context("spawn").RawArray("d", LAST + 1)
        self._stop = self._was_asked = False  # of the process of the run alone
        self._seen = (0, 0.0)  # of the process that watches: the newest file, and when it was new
        self.rest()

    def rest(self) -> None:
        """Before a run, and while it waits for another command: no progress is expected."""
        self._numbers[:] = (math.inf, *[0.0] * LAST)
        self._seen = (0, 0.0)

    @property
    def rests(self) -> bool:
        """Whether no progress is expected."""
        return math.isinf(self._numbers[BEAT])

    def beat(self) -> None:
        """There is progress."""
        self._numbers[BEAT] = time.monotonic()

    @property
    def steps(self) -> tuple[int, int]:
        """Steps done, and all steps: 0, 0 where there is no bar."""
        return int(self._numbers[DONE]), int(self._numbers[TOTAL])

    @property
    def prepares(self) -> bool:
        """Whether the bar is of work before the training, such as inputs."""
        return bool(self._numbers[PREPARES])

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the training still takes at its rate since the first advance; None where that is not known."""
        n = self._numbers
        if self.prepares or (steps := n[DONE] - n[FIRST]) <= 0:
            return None
        left = (n[TOTAL] - n[DONE]) * (n[LAST] - n[BEGAN]) / steps
        return max(0.0, float(left - (time.monotonic() - n[LAST])))

    def silence(self, folder: Path) -> float:
        """Seconds without progress, which a new or changed file in the folder of the run counts as, too."""
        now = time.monotonic()
        newest = 0
        with suppress(OSError), os.scandir(folder) as entries:
            files = (entry for entry in entries if not entry.name.startswith(LOCK))  # a lock has a heartbeat of its own
            newest = max((entry.stat(follow_symlinks=False).st_mtime_ns for entry in files), default=0)
        if newest != self._seen[0]:
            self._seen = (newest, now)
        return now - max(float(self._numbers[BEAT]), self._seen[1])

    # In the process of the run ---------------------------------------------------------------------------------------

    def progress(self, _: str) -> Progress:
        """A `Progress`, for every title, whose bars are seen by the process that watches."""
        return self._bar

    @contextmanager
    def _bar(self, description: str, total: int) -> Iterator[Bar]:
        pulse, numbers = self, self._numbers
        numbers[DONE], numbers[TOTAL], numbers[PREPARES] = 0.0, total, description.startswith(PREPARATION)
        numbers[FIRST] = numbers[BEGAN] = numbers[LAST] = 0.0
        self.beat()

        class _Bar:
            def advance(self, steps: int = 1, note: str = "") -> None:
                numbers[DONE] += steps
                numbers[LAST] = time.monotonic()
                if not numbers[BEGAN]:
                    numbers[FIRST], numbers[BEGAN] = numbers[DONE], numbers[LAST]
                pulse.beat()

        yield _Bar()
        self.beat()

    def should_stop(self) -> bool:
        """Whether the run was asked to stop; to ask is progress."""
        self._was_asked = True
        self.beat()
        return self._stop

    def ask_to_stop(self, number: int, _: FrameType | None) -> Any:
        """Handle a signal: stop after this step or, where nobody asks after a step, at once."""
        self._stop = True
        if not self._was_asked:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
