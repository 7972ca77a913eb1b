"""What the library warns of while it works, such as that a damaged file was made again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Collector(logging.Handler):
    """Append what is logged to a list."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__(logging.WARNING)
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def collect_warnings() -> Iterator[list[logging.LogRecord]]:
    """Collect what the library asugnn logs as a warning in the block, instead of printing it."""
    records: list[logging.LogRecord] = []
    handler, logger = _Collector(records), logging.getLogger("asugnn")
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.level, logger.propagate = logging.WARNING, False
    try:
        yield records
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
