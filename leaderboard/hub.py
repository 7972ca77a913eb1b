"""hm: HMdataset, the paper's zero-shot test, from the Hugging Face hub.

The paper names huggingface.co/caobin/ASUGNN, where the authors keep the file HMdataset.db: an ASE database whose rows
have the key `formation_energy`, in eV/atom. Their other databases have `band_gap` too; where this one has, there is a
task of it. The hub states the sha256 of a large file when it is asked for its head, and the file is held to that;
its own client compares the size alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from asugnn import Crystal, download
from asugnn.atomic import digest
from asugnn.errors import InputError
from asugnn.files import from_ase
from asugnn.model import Progress
from leaderboard import datasets, importer, screening, split, store

NAME = "hm"
REPOSITORY = "caobin/ASUGNN"
FILE = "HMdataset.db"
HINT = f"try again later, or look at huggingface.co/{REPOSITORY}"
PART = "zero-shot"  # the one part: nothing here trains
TARGETS = (
    {"name": "zero-shot", "column": "formation_energy", "unit": "eV/atom", "kind": "regression"},
    {"name": "metal", "column": "band_gap", "unit": "", "kind": "binary"},
)


def fetch(progress: Progress) -> tuple[datasets.Source, int]:
    """Make the data set, unless it is there; returns it, and how many rows were excluded. Raises `InputError`."""
    home = datasets.own_folder() / NAME
    if not (home / "dataset.json").is_file():
        with store.locked(home, wait=True):
            if not (home / "dataset.json").is_file():
                _make(home, progress)
    return datasets.source(NAME), datasets.described(home)["excluded"]


def _make(home: Path, progress: Progress) -> None:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{REPOSITORY}/resolve/main/{FILE}"
    about = download.headers(url, HINT)
    tag = (about.get("X-Linked-Etag") or about.get("ETag") or "").removeprefix("W/").strip('"')
    size = int(about.get("X-Linked-Size") or 0) or None
    file = home / FILE
    with progress("kB", (size or 0) // 1000) as bar:
        came = 0

        def advance(n: int) -> None:
            nonlocal came
            bar.advance((came + n) // 1000 - came // 1000)
            came += n

        sha256 = tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""
        download.fetch(url, file, sha256=sha256, size=size, hint=HINT, advance=advance)
    got = digest(file)
    rows, excluded = _rows(file)
    targets = [t for t in TARGETS if any(t["column"] in labels for _, labels in rows.values())]
    if not rows or targets[:1] != [TARGETS[0]]:
        raise InputError(
            f"{file} has no structure with a key formation_energy: {url} is not the file that is known here"
        )
    screening.write_excluded(home / "excluded.csv", excluded)
    stated = {
        "source": url,
        "version": about.get("X-Repo-Commit") or "not stated",
        "origin_sha256": got,
        "excluded": len(excluded),
    }

    def splits(folder: Path) -> None:
        every = dict.fromkeys(rows, PART)
        words = "every fold tests all: nothing here trains, the models are those of mp-2024-1 of the same fold"
        split.write(folder, NAME, "random", 1, words, every, "bench data fetch", [((), (), (PART,))] * 5)

    importer.write(NAME, rows, [t["column"] for t in targets], targets, stated, splits)
    file.unlink()


def _rows(file: Path) -> tuple[dict[str, tuple[Crystal, dict[str, float]]], list[tuple[str, str, str]]]:
    """Crystals and labels by the row's id, and what cannot be used."""
    from ase.db import connect

    rows: dict[str, tuple[Crystal, dict[str, float]]] = {}
    excluded: list[tuple[str, str, str]] = []
    try:
        for row in connect(file, type="db").select():
            name, labels = str(row.id), _labels(row.key_value_pairs)
            try:
                if "formation_energy" not in labels:
                    raise InputError("it has no number formation_energy")
                rows[name] = from_ase(row.toatoms()), labels
            except InputError as error:
                excluded.append((name, "unreadable", str(error)))
    except Exception as error:  # a parser may trip over anything in a stranger's file
        raise InputError(f"{file} cannot be read as an ASE database: {error}; remove it, and run again") from error
    return rows, excluded


def _labels(pairs: dict[str, Any]) -> dict[str, float]:
    numbers = {key: screening.number(pairs.get(key)) for key in ("formation_energy", "band_gap")}
    return {key: value for key, value in numbers.items() if value is not None}
