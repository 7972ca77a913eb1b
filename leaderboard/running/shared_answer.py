"""How a run ended, in memory that its process shares with the one that watches it.

A pipe would not do: a model may close every file that it finds open, and what it has forked may hold the pipe open.
"""

from __future__ import annotations

import json
import mmap

from leaderboard.running.endings import Ending

Answer = tuple[Ending, str]
LONGEST_NOTE = 20_000  # characters
SIZE = 2**18  # bytes, enough for a note whose characters all are escaped


class SharedAnswer:
    """Made before the process of a run is forked, which gives the answer once: None where another command is at it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)

    @property
    def given(self) -> bool:
        """Whether there is an answer."""
        return self._memory[0] == 1

    def give(self, answer: Answer | None) -> None:
        """Leave the answer, in the process of the run."""
        plain = answer and (answer[0], answer[1][:LONGEST_NOTE])
        text = json.dumps(plain).encode()
        self._memory[1 : len(text) + 1] = text
        self._memory[0] = 1

    def read(self) -> Answer | None:
        """The answer, once it is given."""
        plain = json.loads(self._memory[1:].partition(b"\0")[0])
        return plain and (plain[0], plain[1])
