"""Records of runs that never ran, for tests of what reads them."""

from contextlib import suppress
from typing import Any

from asugnn import InputError
from leaderboard.data import load_dataset
from leaderboard.records import Run


def record_fields(run: Run, **changes: Any) -> dict[str, Any]:
    """The fields that run.json must have, for `write_record`."""
    data = "0" * 64
    with suppress(InputError):  # it is not available
        data = load_dataset(run.task.source).sha256
    return {
        "task": run.task.name,
        "model": run.model,
        "preset": run.preset,
        "fold": run.fold,
        "seed": run.seed,
        "split": {"rule": run.task.rule, "version": 1, "sha256": "0" * 64},
        "data": {"name": run.task.source.name, "sha256": data},
        "predictions_sha256": "0" * 64,
        **changes,
    }
