"""Which data sets there are, and where their files lie."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from asugnn.errors import InputError, did_you_mean
from asugnn.reading import read_json, reading
from leaderboard._util import current_workspace
from leaderboard.data.known_sources import SOURCES
from leaderboard.data.targets import Source, described_target

HINT = "name the folder of {} with --data-dir or BENCH_DATA"
PACKAGE = Path(__file__).resolve().parent.parent  # the folder leaderboard/


def data_folder() -> Path:
    """Where data sets that were imported or made are: BENCH_DATA, else `asugnn-bench` in the user's folder of data."""
    if named := current_workspace().data:
        return named
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "asugnn-bench"


def list_sources() -> list[Source]:
    """All data sets: those known here, then what was imported."""
    known = {s.name for s in SOURCES}
    files = sorted(f for f in data_folder().glob("*/dataset.json") if f.parent.name not in known)
    return [*(_made(s) if s.command else s for s in SOURCES), *(_imported(f, f.stat().st_mtime_ns) for f in files)]


def _made(of: Source) -> Source:
    """A data set that a command makes, where it is or will be; when it is there, with the targets that it has."""
    home = data_folder() / of.name
    there = read_description(home).get("targets", ())
    targets = tuple(t for t in of.targets if not there or t.name in {d["name"] for d in there})
    return replace(of, folder=home, targets=targets)


def read_description(home: Path) -> dict[str, Any]:
    """dataset.json in the folder of a data set; nothing where there is none. Raises `InputError`."""
    file = home / "dataset.json"
    return _read_json(file, file.stat().st_mtime_ns) if file.is_file() else {}


@cache
def _read_json(file: Path, _: int) -> dict[str, Any]:
    return read_json(file, "a data set", "remove its folder, and make it again")


def source_provenance(of: Source) -> dict[str, str]:
    """Where a data set is from, as far as is known: source, version, date, licence, citation."""
    file = (PACKAGE / of.file).with_name("provenance.toml")
    about: Mapping[str, Any] = tomllib.loads(file.read_text("utf-8")) if of.embedded else {}
    if of.folder:
        about = read_description(of.folder)
    stated = {key: str(about[key]) for key in ("source", "version", "date") if key in about}
    return {**stated, "licence": of.licence, "citation": of.citation}


@cache  # a data set is one object, whoever asks for it
def _imported(file: Path, mtime: int) -> Source:
    about = _read_json(file, mtime)
    with reading(file, "a data set", "remove its folder, and import again"):
        targets = tuple(described_target(t) for t in about["targets"])
        return Source(
            name=about["name"],
            title=about["title"],
            file="data.parquet",
            embedded=False,
            licence=about["licence"],
            citation=about["citation"],
            targets=targets,
            folder=file.parent,
        )


def find_source(name: str) -> Source:
    """The data set of that name; raises `InputError`."""
    known = {s.name: s for s in list_sources()}
    if name not in known:
        raise InputError(f"there is no data set '{name}'{did_you_mean(name, known)}")
    return known[name]


def data_file(of: Source) -> Path | None:
    """The file of a data set, or None if it is not at hand."""
    if of.embedded:
        return PACKAGE / of.file
    if of.folder:
        return of.folder / of.file if not of.command or (of.folder / "dataset.json").is_file() else None
    folder = current_workspace().data
    return folder / of.file if folder and (folder / of.file).is_file() else None


def how_to_get(of: Source) -> str:
    """What to do about a data set that is not at hand."""
    return f"`{of.command}` makes it" if of.command else HINT.format(of.file)
