"""What to do about a file of predictions that was refused, for its participant: the last line of the message."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
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
    ("write a decimal point", ""),
    ("is not a number", "write a number, without a unit"),
    ("is not a probability", "predict the probability of class 1, such as 0.93"),
)


UNNAMED = ("", "Unnamed: 0")  # how pandas writes the name of an index


@contextmanager
def explain_refusal(
    file: Path, task: Task, fold: int, columns: ColumnNames | None, fold_typed: bool = False
) -> Iterator[None]:
    """Add a remedy to the message of a `SubmissionError` of the block."""
    from leaderboard.records import SubmissionError

    try:
        yield
    except SubmissionError as error:
        if remedy := _find_remedy(error, file, task, fold, columns, fold_typed):
            raise InputError(f"{error}\n  {remedy}") from error
        raise


def _find_remedy(
    error: SubmissionError, file: Path, task: Task, fold: int, columns: ColumnNames | None, fold_typed: bool
) -> str:
    text = "\n".join(error.faults)
    if ("the header is" in text and "is missing" not in text) or "more columns than two" in text:
        return _header_remedy(file, task, columns)
    if "the ids are in the" in text:
        return f"or write --columns {shlex.quote(f'{columns.target},{columns.id}')}" if columns else ""
    if "is not in this task" in text or "has no row" in text or "no rows" in text:
        if (other := _fold_of(file, task, fold, columns)) is not None:
            how = f"write --fold {other} instead of --fold {fold}" if fold_typed else f"add --fold {other}"
            return f"these are the test crystals of fold {other}: {how}"
        from leaderboard.data import load_dataset

        if not load_dataset(task.source).has_crystals:
            return ""
        which = f"--task {shlex.quote(task.name)}{f' --fold {fold}' if fold else ''}"
        return f"`bench export {which} --out DIR` writes a file with a row for each test crystal"
    return next((remedy for words, remedy in REMEDIES if words in text), "")


def _header_remedy(file: Path, task: Task, columns: ColumnNames | None) -> str:
    """What to do about a header that is not the right one; empty where the message says it."""
    from leaderboard.records import ColumnNames

    header, row = _read_head(file)
    names = columns or ColumnNames("id", task.target.name)
    if header and header[0] in UNNAMED:
        option = "index=False" if len(header) > 2 else f"index_label='{names.id}'"
        return f"the first column has no name; with pandas write to_csv({option})"
    if len(header) != 2:
        said = {names.id, names.target} <= set(header)
        return "" if said else f"write two columns, '{names.id}' and '{names.target}'"
    if columns is None and (meant := _task_of_columns(task, header)):
        return f"this looks like a file of {meant}: did you mean --task {meant}?"
    if not all(header) or any(c in ',"' or not c.isprintable() for name in header for c in name):
        return "rename the columns"
    if len(row) == 2 and _is_number(row[0]) and not _is_number(row[1]):
        header.reverse()
    return f"rename the columns, or name them with --columns {shlex.quote(','.join(header))}"


def _read_head(file: Path) -> tuple[list[str], list[str]]:
    """The cells of the header, and of the first row as far as there is one."""
    from leaderboard.data import TableError, read_header, read_lines, read_rows

    with suppress(TableError):
        lines = read_lines(file, lambda fault, line: None)
        _, header = read_header(lines, (), "")
        _, row, _ = next(read_rows(lines, 2, lambda: 0), (0, [], None))
        return header, row
    return [], []


def _task_of_columns(task: Task, header: Sequence[str]) -> str:
    """The task of the same data set and split whose target one of the columns is named after; empty for none."""
    from leaderboard.data import Task

    folded = {name.casefold() for name in header} - {task.target.name}
    others = (target for target in task.source.targets if target.name in folded)
    return next((Task(task.source, target, task.rule).name for target in others), "")


def _is_number(text: str) -> bool:
    from leaderboard.data import parse_number

    return parse_number(text)[1] is None


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
