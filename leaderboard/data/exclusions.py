"""Rows that were excluded when a data set was made, from the file excluded.csv beside it."""

from __future__ import annotations

from asugnn.reading import read_csv_rows, reading
from leaderboard.data.targets import Source

EXCLUSIONS_FILE = "excluded.csv"  # beside the data: id,rule,detail of the excluded rows


def read_exclusions(source: Source) -> list[tuple[str, str]]:
    """Id and reason of each row that was excluded when a data set was made; empty where it was not made here.

    Raises `InputError` for a damaged file.
    """
    file = source.folder / EXCLUSIONS_FILE if source.folder else None
    if not file or not file.is_file():
        return []
    with reading(file, "excluded rows"):
        rows = read_csv_rows(file)[1:]
        return [(name, f"{rule}: {detail}" if detail else rule) for name, rule, detail in rows]
