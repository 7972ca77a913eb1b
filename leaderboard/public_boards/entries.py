"""An entry of a public board as it was read, whatever form the board gives it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.model import Kind
from asugnn.reading import excerpt
from leaderboard._util import one_line
from leaderboard.data import Task

LONGEST = 500  # characters of the names of authors, and of a reference
_DOI = re.compile(r"10\.\d{4,9}/[^\s{}\"'\\,<>]+")


@dataclass(frozen=True)
class FoldEntry:
    """What an entry stores of one fold of a task."""

    predictions: Mapping[str, Any]  # by id, as the file has them
    stated: Mapping[str, float] = field(default_factory=dict)  # scores by the name of our metric
    labels: Mapping[str, float] = field(default_factory=dict)  # by id, where the file repeats them


@dataclass(frozen=True)
class BoardEntry:
    """An entry: whose it is, the digest of its file, and its folds by task (the name of the data set and target).

    `oddities` are sentences on parts of it that stand for no task or fold of the board.
    """

    board: str
    name: str  # of its folder
    model: str  # on our board
    sha256: str
    authors: str
    reference: str
    folds: Mapping[str, Mapping[int, FoldEntry]]
    oddities: tuple[str, ...] = ()


Results = Mapping[Task, Mapping[int, tuple[Sequence[str], Floats, Floats]]]  # ids, labels, predictions (n,) by fold


@dataclass(frozen=True)
class BoardForm:
    """The form of the entries of a board.

    pattern
        Of the files of predictions in a checkout, for a message.
    list_entries
        The folders of the entries in a checkout.
    read_entries
        What one of these folders holds; raises `InputError` where it is not in the form of the board.
    write_entry
        Write own results into a folder that is laid out like a checkout, for a model by its name; returns the files.
    """

    pattern: str
    list_entries: Callable[[Path], list[Path]]
    read_entries: Callable[[Path], list[BoardEntry]]
    write_entry: Callable[[Path, str, Results], list[Path]]


def words(value: Any) -> str:
    """What an entry says of its authors or references, a text or a list of them, in one line; nothing else counts."""
    texts = value if isinstance(value, list) else [value]
    return one_line(", ".join(text for text in texts if text and isinstance(text, str)))[:LONGEST]


def find_reference(text: str, otherwise: str) -> str:
    """The DOI in references in BibTeX; `otherwise` where they have none."""
    match = _DOI.search(text)
    return f"doi.org/{match[0].rstrip('.;)')}" if match else one_line(otherwise)[:LONGEST]


def read_object(value: Any, what: str) -> Mapping[str, Any]:
    """A value as the object that it must be; raises `InputError`."""
    if not isinstance(value, Mapping):
        raise InputError(f"{what} is {excerpt(value)}, not an object with names")
    return value


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number; true, false and texts are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_numbers(values: Mapping[str, Any], kind: Kind = "regression") -> Floats:
    """Predictions or labels (n,), by id, as finite numbers; raises `InputError` that names the first which is none.

    For a binary target, true and false stand for the classes 1 and 0, as some boards store them.
    """
    out = np.empty(len(values))
    for i, (name, value) in enumerate(values.items()):
        if not (is_number(value) or (kind == "binary" and isinstance(value, bool))):
            raise InputError(f"id '{name}': {excerpt(value)} is not a finite number")
        out[i] = value
    return out
