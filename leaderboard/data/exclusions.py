"""Rows that were excluded when a data set was made, from the file excluded.csv beside it."""

from __future__ import annotations

import csv

from asugnn.reading import reading
from leaderboard.data.targets import Source

EXCLUSIONS_FILE = "excluded.csv"  # beside the data: id,rule,detail of the excluded rows


def read_exclusions(source: Source) -> list[tuple[str, str]]:
    """Id and reason of each row that was excluded when a data set was made; empty where it was not made here.

    Raises `InputError` for a damaged file.
    """
    file = source.folder / EXCLUSIONS_FILE if source.folder else None
    if not file or not file.is_file():
        return []
    with reading(file, "excluded rows"), file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
        return [(name, f"{rule}: {detail}" if detail else rule) for name, rule, detail in rows]
