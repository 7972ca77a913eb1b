"""Records of runs that never ran, for tests of what reads them."""

from typing import Any

from leaderboard.records import Run


def record_fields(run: Run, **changes: Any) -> dict[str, Any]:
    """The fields that run.json must have, for `write_record`."""
    return {
        "task": run.task.name,
        "model": run.model,
        "preset": run.preset,
        "fold": run.fold,
        "seed": run.seed,
        "split": {"rule": run.task.rule, "version": 1, "sha256": "0" * 64},
        "data": {"name": run.task.source.name, "sha256": "0" * 64},
        "predictions_sha256": "0" * 64,
        **changes,
    }
