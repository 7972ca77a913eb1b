"""The files of a run beside its record, by digest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from asugnn.atomic_write import file_sha256
from asugnn.limits import CSV_BYTES, HISTORY_BYTES, RUN_FILE_BYTES
from asugnn.reading import check_file_size, reading

LARGEST_FILES = {"predictions.csv": CSV_BYTES, "history.csv": HISTORY_BYTES}
TRANSIENT_FILES = {
    ".lock",
    "checkpoint.pt",
    "checkpoint.previous.pt",
    "started.json",
    "error.txt",
    "run.json",
}  # not part of a finished run, or itself


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of a run but run.json, by its path in the folder; raises `InputError`."""
    files = (path for path in sorted(files_below(folder)) if _belongs_to_run(path.relative_to(folder)))
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def file_digest(path: Path) -> str:
    """sha256 of a file of a run; raises `InputError` for one that cannot be read, or is larger than such files are."""
    with reading(path, "a file of a run"):
        check_file_size(path, LARGEST_FILES.get(path.name, RUN_FILE_BYTES))
        return file_sha256(path)


def compare_digests(folder: Path, present: Mapping[str, str], stated: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file of a run that is not as run.json lists it, by its path in the folder, and what is wrong with it."""
    for name in sorted(present.keys() | stated.keys()):
        if name not in stated:
            yield name, f"{folder / name} was added later: run.json does not list it"
        elif name not in present:
            yield name, f"{folder / name} is missing"
        elif present[name] != stated[name]:
            yield name, f"{folder / name} was changed: its sha256 is not that in run.json"


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it, however deep those are; pipes and the like are none."""
    folders = [folder] if folder.is_dir() else []
    while folders:
        with reading(folders[-1], "a folder of a run"), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path)


def _belongs_to_run(path: Path) -> bool:
    """Whether a file is part of a finished run: hidden ones are what an interrupted process left behind."""
    return path.name not in TRANSIENT_FILES and not path.parts[0].startswith(".")
