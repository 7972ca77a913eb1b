"""The rows of a board as flat records: a row each, a value each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard.board.row_scores import MetricValue
from leaderboard.board.rows import Row

COLUMNS = ("model", "preset", "pretrained_on", "task", "kind", "unit", "n", "groups", "rank", "rank_high",
           "epochs", "flat", "front", "seconds_train", "seconds_predict", "peak_memory_mb", "parameters", "device",
           "noise", "split", "commit", "leaks", "scope", "tries", "tied_with", "runs")  # fmt: skip
ADDED = ("training", "label")  # after the metrics, so that older columns keep their places
MISSING = MetricValue(None, None, None)


def row_columns(rows: Sequence[Row]) -> list[str]:
    """The names of the columns: entries of the rows, then each metric of any row, `<metric>_low`, `<metric>_high`."""
    return [*COLUMNS, *(f"{name}{end}" for name in _metrics(rows) for end in ("", "_low", "_high")), *ADDED]


def row_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A record of a row, by `row_columns`; None where a row has no such value."""
    names = _metrics(rows)
    records = []
    for row in rows:
        record = {column: getattr(row, column) for column in COLUMNS}
        for name in names:
            value = row.metrics.get(name, MISSING)
            record |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        records.append(record | {column: getattr(row, column) for column in ADDED})
    return records


def _metrics(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.metrics))
