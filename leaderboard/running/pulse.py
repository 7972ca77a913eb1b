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

from asugnn.progress import Bar, Progress
from leaderboard._util import LOCK

BEAT, DONE, TOTAL = range(3)


class Pulse:
    """Three numbers: the time of the last progress, by the monotonic clock; steps done, and all steps, of a bar."""

    def __init__(self) -> None:
        self._numbers = multiprocessing.get_context("spawn").RawArray("d", 3)
        self._stop = self._was_asked = False  # of the process of the run alone
        self._seen = (0, 0.0)  # of the process that watches: the newest file, and when it was new
        self.rest()

    def rest(self) -> None:
        """Before a run, and while it waits for another command: no progress is expected."""
        self._numbers[:] = (math.inf, 0.0, 0.0)
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
    def _bar(self, _: str, total: int) -> Iterator[Bar]:
        pulse, numbers = self, self._numbers
        numbers[DONE], numbers[TOTAL] = 0.0, total
        self.beat()

        class _Bar:
            def advance(self, steps: int = 1, note: str = "") -> None:
                numbers[DONE] += steps
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
