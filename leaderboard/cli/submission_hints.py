"""What to do about a file of predictions that was refused, for its participant: the last line of the message."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asugnn.errors import InputError

if TYPE_CHECKING:
    from leaderboard.data import Task
    from leaderboard.records import ColumnNames, SubmissionError

# A fault by words of its sentence, and the remedy; the first that applies is told.
REMEDIES = (
    ("again, first on", "leave one row for each id"),
    ("is not a finite number", "every test crystal needs a finite number"),
    ("the value is empty", "every test crystal needs a finite number"),
    ("is not a probability", "predict the probability of class 1, such as 0.93"),
)


@contextmanager
def explain_refusal(file: Path, task: Task, fold: int, columns: ColumnNames | None) -> Iterator[None]:
    """Add a remedy to the message of a `SubmissionError` of the block."""
    from leaderboard.records import SubmissionError

    try:
        yield
    except SubmissionError as error:
        if remedy := _find_remedy(error, file, task, fold, columns):
            raise InputError(f"{error}\n  {remedy}") from error
        raise


def _find_remedy(error: SubmissionError, file: Path, task: Task, fold: int, columns: ColumnNames | None) -> str:
    text = "\n".join(error.faults)
    if "the header is" in text and "is missing" not in text and columns is None:
        return "rename the columns, or name them with --columns ID,TARGET"
    if "is not in this task" in text or "has no row" in text:
        if (other := _fold_of(file, task, fold, columns)) is not None:
            return f"these are the test crystals of fold {other}: add --fold {other}"
        which = f"--task {shlex.quote(task.name)}{f' --fold {fold}' if fold else ''}"
        return f"`bench export {which} --out DIR` writes a file with a row for each test crystal"
    return next((remedy for words, remedy in REMEDIES if words in text), "")


def _fold_of(file: Path, task: Task, fold: int, columns: ColumnNames | None) -> int | None:
    """Another fold whose test set the file predicts; None if there is none."""
    from leaderboard.data import load_dataset
    from leaderboard.records import ColumnNames, read_predictions
    from leaderboard.splitting import fold_sides, read_split

    names = columns or ColumnNames("id", task.target.name)
    data = load_dataset(task.source)
    split = read_split(data, task.rule)
    for other in split.folds:
        with suppress(InputError):
            ids = fold_sides(split, data, task.target, other).test
            if other != fold and ids:
                read_predictions(file, ids, names.target, task.target.kind, names.id)
                return other
    return None
