"""Which data sets there are, and where their files are."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, get_args

from asugnn.cache import home_folder
from asugnn.errors import InputError, did_you_mean, nearest_name
from asugnn.model import Kind
from asugnn.reading import read_json, read_toml, reading
from leaderboard._util import SAFE_NAME, current_workspace
from leaderboard.data.known_sources import SOURCES
from leaderboard.data.targets import Source, described_target

TEXTS = ("name", "title", "licence", "citation", "source", "version", "date", "sha256", "file_sha256")
MAKE_AGAIN = "remove its folder, and make it again"
HINT = "name the folder of {} with --data-dir or BENCH_DATA"
PACKAGE = Path(__file__).resolve().parent.parent  # the folder leaderboard/
SETTLED = 2e9  # nanoseconds: a folder changed less long ago may change again without a new modification time

Stamp = tuple[int, int, int]  # modification time in ns, size, inode of a file: another one, another content


def data_folder() -> Path:
    """The folder of imported and downloaded data sets: that of the workspace, else the user's `asugnn-bench`."""
    if named := current_workspace().data:
        return named
    return Path(os.environ.get("XDG_DATA_HOME") or home_folder() / ".local" / "share") / "asugnn-bench"


def list_sources() -> list[Source]:
    """All data sets: those known by name, then the imported ones, sorted; without damaged ones."""
    return list(sources_by_name().values())


def sources_by_name() -> Mapping[str, Source]:
    """The data sets of `list_sources` by name, read again only when a dataset.json came, went or changed."""
    return _current_sources()[0]


def damaged_sources() -> Mapping[str, InputError]:
    """The name of each imported data set that cannot be read, and why: it hinders no other."""
    return _current_sources()[1]


def find_source(name: str) -> Source:
    """The data set of that name; raises `InputError`, which says how to name the folder of an imported one."""
    sources, damaged = _current_sources()
    if name in damaged:
        raise damaged[name]
    if name not in sources:
        raise InputError(f"data set '{name}' is not known here{unknown_dataset_hint(name, sources)}")
    return sources[name]


def unknown_dataset_hint(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a word that names none of the known data sets or suites."""
    names = list(known)
    if nearest_name(word, names):
        return did_you_mean(word, names, command="bench data list")
    return f": if it was imported, {HINT.format('data sets')}; `bench data list` lists the known ones"


def source_provenance(source: Source) -> dict[str, str]:
    """Source, version and date of a data set, as far as they are known, its licence and citation."""
    record: Mapping[str, Any] = {}
    if source.embedded:
        record = embedded_record(source)
    elif source.folder:
        record = read_description(source.folder)
    stated = {key: str(record[key]) for key in ("source", "version", "date") if key in record}
    return {**stated, "licence": source.licence, "citation": source.citation}


def embedded_record(source: Source) -> dict[str, Any]:
    """provenance.toml beside the file of an embedded data set; raises `InputError`."""
    file = (PACKAGE / source.file).with_name("provenance.toml")
    with reading(file, "the origin of a data set", "install the package again"):
        record = read_toml(file)
        record["sha256"]
        return record


def read_description(home: Path) -> dict[str, Any]:
    """dataset.json in the folder of a data set; empty where there is none. Raises `InputError`."""
    file = home / "dataset.json"
    try:
        return _read_json(file, _stamp(str(file)))
    except FileNotFoundError:
        return {}


def data_file(source: Source) -> Path | None:
    """The file of a data set, or None where it is not available."""
    if source.embedded:
        return PACKAGE / source.file
    if source.folder:
        complete = not source.command or (source.folder / "dataset.json").is_file()
        return source.folder / source.file if complete else None
    folder = current_workspace().data
    return folder / source.file if folder and (folder / source.file).is_file() else None


def how_to_get(source: Source) -> str:
    """How to get a data set that is not available, as the end of a sentence."""
    return f"get it with `{source.command}`" if source.command else HINT.format(source.file)


def crystals_hint(source: Source) -> str:
    """How to get the crystals of a data set that has labels alone, as the end of a sentence."""
    if source.compositions:
        return "its task is one of compositions, which are only scored"
    return f"`{source.command}` gets them"


def _current_sources() -> tuple[dict[str, Source], dict[str, InputError]]:
    home = data_folder()
    return _read_sources(home, _description_stamps(str(home)))


@lru_cache(maxsize=8)
def _read_sources(home: Path, stamps: tuple[tuple[str, Stamp], ...]) -> tuple[dict[str, Source], dict[str, InputError]]:
    """All data sets by name, and what is wrong with damaged ones, when `stamps` are those of the folders in `home`."""
    known = {source.name for source in SOURCES}
    sources = [_with_folder(source, home / source.name) if source.command else source for source in SOURCES]
    damaged = {}
    for name, stamp in stamps:
        if name not in known:
            try:
                sources.append(_imported_source(home / name / "dataset.json", stamp))
            except InputError as error:
                damaged[name] = error
    return {source.name: source for source in sources}, damaged


def _with_folder(source: Source, folder: Path) -> Source:
    """A data set that a command makes, in its folder; when it is there, with the targets that it has."""
    described: set[str] = set()
    with suppress(InputError):  # told when the data set is loaded
        described = {target["name"] for target in read_description(folder).get("targets", ())}
    targets = tuple(target for target in source.targets if not described or target.name in described)
    return replace(source, folder=folder, targets=targets)


@cache  # a data set is one object, whoever asks for it
def _imported_source(file: Path, stamp: Stamp) -> Source:
    description = _read_json(file, stamp)
    with reading(file, "a data set", "remove its folder, and import it again"):
        if description["name"] != file.parent.name:
            raise InputError(
                f"{file} says that it is '{description['name']}': a copy, perhaps; call its folder so, or remove it"
            )
        return Source(
            name=description["name"],
            title=description["title"],
            file="data.parquet",
            embedded=False,
            licence=description["licence"],
            citation=description["citation"],
            targets=tuple(described_target(target) for target in description["targets"]),
            folder=file.parent,
        )


@cache
def _read_json(file: Path, _: Stamp) -> dict[str, Any]:
    description = read_json(file, "a data set", MAKE_AGAIN)
    with reading(file, "a data set", MAKE_AGAIN):
        _check_description(description)
        stated = description.get("description_sha256")
        if stated is not None and stated != description_sha256(description):
            raise InputError(f"{file} was changed since it was made: {MAKE_AGAIN}")
    return description


def _check_description(description: Mapping[str, Any]) -> None:
    """Raise `ValueError` for a text that is none, and for a name that is not fit to be a folder's."""
    targets = description.get("targets", [])
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise ValueError("its entry targets is not a list of objects")
    if "targets" in description and not targets:
        raise ValueError("its entry targets is empty")
    if kinds := [target["kind"] for target in targets if target.get("kind") not in (None, *get_args(Kind))]:
        raise ValueError(f"a target has the kind '{str(kinds[0])[:40]}', not {' or '.join(get_args(Kind))}")
    for entries, texts in ((description, TEXTS), *((target, tuple(target)) for target in targets)):
        for key in texts:
            if not isinstance(entries.get(key, ""), str):
                raise ValueError(f"its entry {key} is not a text")
        if "name" in entries and not SAFE_NAME.fullmatch(entries["name"]):
            raise ValueError(f"the name '{entries['name'][:40]}' may only have letters, digits and . _ + = -")


def description_sha256(description: Mapping[str, Any]) -> str:
    """sha256 of what dataset.json says, without its field of that name and without the names of classes (`positive`).

    The names of classes are the user's to change. Data sets of version 0.1 do not state a digest.
    """
    stated = {key: value for key, value in description.items() if key != "description_sha256"}
    stated["targets"] = [{k: v for k, v in target.items() if k != "positive"} for target in stated["targets"]]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def _description_stamps(home: str) -> tuple[tuple[str, Stamp], ...]:
    """Folder name and stamp of every dataset.json one folder below `home`, sorted."""
    stamps = []
    for name in _subfolders(home):
        try:
            stamps.append((name, _stamp(f"{home}/{name}/dataset.json")))
        except OSError:  # no data set, or not complete
            continue
    return tuple(stamps)


def _stamp(file: str) -> Stamp:
    status = os.stat(file)  # noqa: PTH116 (a path takes twice as long)
    return status.st_mtime_ns, status.st_size, status.st_ino


_listed: dict[str, tuple[int, tuple[str, ...]]] = {}  # of a folder: its modification time, and the folders in it


def _subfolders(home: str) -> tuple[str, ...]:
    """The folders in a folder, sorted, which is listed again when it has changed; none where it cannot be listed."""
    try:
        changed = os.stat(home).st_mtime_ns  # noqa: PTH116
        if home in _listed and _listed[home][0] == changed and time.time_ns() - changed > SETTLED:
            return _listed[home][1]
        with os.scandir(home) as entries:
            folders = tuple(sorted(entry.name for entry in entries if entry.is_dir()))
    except OSError:
        return ()
    _listed[home] = changed, folders
    return folders
