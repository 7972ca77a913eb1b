"""Rows that were left out when a data set was made, as excluded.csv beside it says."""

from __future__ import annotations

import csv

from leaderboard.data.targets import Source

EXCLUSIONS_FILE = "excluded.csv"  # beside the data: id,rule,detail of the rows that were left out


def read_exclusions(source: Source) -> list[tuple[str, str]]:
    """Ids that were left out when a data set was made, and why; none of one that was not made here."""
    file = source.folder / EXCLUSIONS_FILE if source.folder else None
    if not file or not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return [(name, f"{rule}: {detail}" if detail else rule) for name, rule, detail in rows]
