"""Data sets that are fetched as they are: hm, the paper's zero-shot test, and nomad2018, Kaggle's.

hm. The paper names huggingface.co/caobin/ASUGNN, where the authors keep HMdataset.db: an ASE database whose rows have
the key `formation_energy`, in eV/atom. Their other databases have `band_gap` too; where this one has, there is a task
of it. The hub states the sha256 of a large file when it is asked for its head, and the file is held to that; the hub's
own client compares the size alone.

nomad2018. Its makers keep the 2,400 and the 600 crystals of the competition, all with labels, in a public repository,
whose archive is made anew at each request: not its bytes but those of the files in it are held to a digest. The archive
is read in memory, and nothing of it is written.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asugnn import Crystal, download
from asugnn.atomic import digest
from asugnn.errors import InputError
from asugnn.files import from_ase
from asugnn.model import Progress
from leaderboard import datasets, importer, screening, split, store

Rows = dict[str, tuple[Crystal, dict[str, float]]]  # by id
BY = "bench data fetch"
Excluded = list[tuple[str, str, str]]  # id, rule, detail


def fetch(name: str, progress: Progress) -> tuple[datasets.Source, int]:
    """Make a data set, unless it is there; returns it, and how many rows were excluded. Raises `InputError`."""
    home = datasets.own_folder() / name
    if not (home / "dataset.json").is_file():
        with store.locked(home, wait=True):
            if not (home / "dataset.json").is_file():
                FETCHED[name](home, progress)
    return datasets.source(name), datasets.described(home)["excluded"]


@contextmanager
def _counted(progress: Progress, size: int) -> Iterator[Callable[[int], None]]:
    """A bar that counts kilobytes."""
    came = 0
    with progress("kB", size // 1000) as bar:

        def advance(n: int) -> None:
            nonlocal came
            bar.advance((came + n) // 1000 - came // 1000)
            came += n

        yield advance


# HMdataset ------------------------------------------------------------------------------------------------------------

REPOSITORY = "caobin/ASUGNN"
FILE = "HMdataset.db"
PART = "zero-shot"  # the one part: nothing here trains
TARGETS = (
    {"name": "zero-shot", "column": "formation_energy", "unit": "eV/atom", "kind": "regression"},
    {"name": "metal", "column": "band_gap", "unit": "", "kind": "binary"},
)


def _hm(home: Path, progress: Progress) -> None:
    hint = f"try again later, or look at huggingface.co/{REPOSITORY}"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{REPOSITORY}/resolve/main/{FILE}"
    about = download.headers(url, hint)
    tag = (about.get("X-Linked-Etag") or about.get("ETag") or "").removeprefix("W/").strip('"')
    sha256 = tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""
    size = int(about.get("X-Linked-Size") or 0) or None
    file = home / FILE
    with _counted(progress, size or 0) as advance:
        download.fetch(url, file, sha256=sha256, size=size, hint=hint, advance=advance)
    sha256 = digest(file)
    rows, excluded = _database(file)
    targets = [t for t in TARGETS if any(t["column"] in labels for _, labels in rows.values())]
    if targets[:1] != [TARGETS[0]]:
        raise InputError(f"{file} has no structure with formation_energy: {url} is not the file that is known here")
    version = about.get("X-Repo-Commit") or "not stated"
    stated = {"source": url, "version": version, "origin_sha256": sha256, "excluded": len(excluded)}

    def splits(folder: Path) -> None:
        words = "every fold tests all: nothing here trains, the models are those of mp-2024-1 of the same fold"
        every = dict.fromkeys(rows, PART)
        split.write(folder, "hm", "random", 1, words, every, BY, [((), (), (PART,))] * 5)

    importer.write(
        "hm", rows, [t["column"] for t in targets], targets, stated, BY, progress, excluded=excluded, own=splits,
        usual=False,
    )  # fmt: skip
    file.unlink()


def _database(file: Path) -> tuple[Rows, Excluded]:
    """Crystals and labels of an ASE database by the row's id, and what cannot be used."""
    from ase.db import connect

    rows: Rows = {}
    excluded: Excluded = []
    try:
        for row in connect(file, type="db").select():
            name, pairs = str(row.id), row.key_value_pairs
            numbers = {key: screening.number(pairs.get(key)) for key in ("formation_energy", "band_gap")}
            labels = {key: value for key, value in numbers.items() if value is not None}
            try:
                if "formation_energy" not in labels:
                    raise InputError("it has no number formation_energy")
                rows[name] = from_ase(row.toatoms()), labels
            except InputError as error:
                excluded.append((name, "unreadable", str(error)))
    except Exception as error:  # a parser may trip over anything in a stranger's file
        raise InputError(f"{file} cannot be read as an ASE database: {error}; remove it, and run again") from error
    return rows, excluded


# NOMAD2018 ------------------------------------------------------------------------------------------------------------

NOMAD = "https://codeload.github.com/csutton7/nomad_2018_kaggle_dataset/tar.gz"
COMMIT = "8ab1dd297a3692a3ec24fa9528c18bd0883ce85f"
CONTENT = "eda25caa8b4904eba3025d0dc8d93475e39b5bd30498c4e9cc4459537e17f1fa"
SIDES = {"train": "train.csv", "test": "labeled_test.csv"}  # the competition's, and where their labels are
LABELS = {"formation_energy_ev_natom": "formation_energy", "bandgap_energy_ev": "band_gap"}


def _nomad2018(home: Path, progress: Progress) -> None:
    url, file = f"{NOMAD}/{COMMIT}", home / "archive.tar.gz"
    with _counted(progress, 0) as advance:
        download.fetch(url, file, advance=advance)
    files = _archive(file)
    if (sha256 := contents(files)) != CONTENT:
        file.unlink()
        raise InputError(f"{url} is no longer the published archive: the digest of its files is not {CONTENT}")
    rows: Rows = {}
    for side, table in SIDES.items():
        for line in csv.DictReader(io.StringIO(files[table].decode())):
            crystal = geometry(files[f"{side}/{line['id']}/geometry.xyz"].decode())
            rows[f"{side}-{line['id']}"] = crystal, {ours: float(line[theirs]) for theirs, ours in LABELS.items()}
    stated = {"source": url, "version": COMMIT[:12], "origin_sha256": sha256, "excluded": 0}

    def splits(folder: Path) -> None:
        tenth = {name: split.part_of("nomad2018", "kaggle", 1, name) for name in rows}
        parts = {name: "test" if name.startswith("test") else tenth[name] for name in rows}
        words = (
            "tests what the competition tested, validates on a tenth of its training set; 400 of the 600 have a twin"
        )
        fold = ([str(p) for p in range(1, split.PARTS)], ["0"], ["test"])
        split.write(folder, "nomad2018", "kaggle", 1, words, parts, BY, [fold])

    targets = [
        {"name": "formation-energy", "column": "formation_energy", "unit": "eV/cation", "kind": "regression"},
        {"name": "band-gap", "column": "band_gap", "unit": "eV", "kind": "regression"},
    ]
    importer.write("nomad2018", rows, list(LABELS.values()), targets, stated, BY, progress, excluded=[], own=splits)
    file.unlink()


def _archive(file: Path) -> dict[str, bytes]:
    """The files of an archive by their paths below its one folder, in memory; links and folders are passed over."""
    found = {}
    try:
        with tarfile.open(file, "r|gz") as archive:
            for member in archive:
                if member.isfile() and (opened := archive.extractfile(member)):
                    found[member.name.partition("/")[2]] = opened.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        file.unlink()
        raise InputError(f"{file} was damaged: {error}; it is gone, and the same command gets it again") from error
    return found


def contents(files: Mapping[str, bytes]) -> str:
    """Digest of files by their names."""
    lines = (f"{name} {hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def geometry(text: str) -> Crystal:
    """A crystal in the format of FHI-aims: lattice vectors and Cartesian coordinates in angstrom."""
    from ase import Atoms

    words = [line.split() for line in text.splitlines()]
    cell = [[float(x) for x in w[1:4]] for w in words if w[:1] == ["lattice_vector"]]
    atoms = [w for w in words if w[:1] == ["atom"]]
    positions = [[float(x) for x in w[1:4]] for w in atoms]
    return from_ase(Atoms([w[4] for w in atoms], positions=positions, cell=cell, pbc=True))


FETCHED: Mapping[str, Callable[[Path, Progress], None]] = {"hm": _hm, "nomad2018": _nomad2018}
