"""Lines that fit the terminal: sentences are broken between words, and stay as they are in a pipe or a file."""

from __future__ import annotations

import os
import sys
import textwrap
from shutil import get_terminal_size
from typing import TextIO

PIPE_WIDTH = 80  # columns where output is no terminal


def wrap_lines(text: str, stream: TextIO | None = None) -> str:
    """Break lines between words where they are wider than the terminal, or than COLUMNS; without both keep them.

    What continues a line is indented by two more spaces than the line. `stream` is where the text goes, standard output
    if None.
    """
    shown = stream or sys.stdout  # None where it was closed
    if not ((shown and shown.isatty()) or os.environ.get("COLUMNS")):
        return text
    width = get_terminal_size((PIPE_WIDTH, 24)).columns
    return "\n".join(line if len(line) <= width else _fill(line, width) for line in text.split("\n"))


def _fill(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    return textwrap.fill(line, width=width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
