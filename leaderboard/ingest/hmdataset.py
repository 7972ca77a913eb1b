"""hm, the paper's zero-shot test: HMdataset of the Hugging Face hub.

The paper names huggingface.co/caobin/ASUGNN, where the authors keep HMdataset.db: an ASE database whose rows have
the key `formation_energy`, in eV/atom. Their other databases have `band_gap` too; where this one has, there is a task
of it. The hub states the sha256 of a large file when it is asked for its head, and the file is held to that; the hub's
own client compares the size alone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from asugnn import Crystal
from asugnn.atomic_write import file_sha256
from asugnn.download import download_file, request_headers
from asugnn.errors import InputError
from asugnn.structure_files import crystal_from_ase
from leaderboard._util import byte_progress
from leaderboard.ingest.screening import finite_number
from leaderboard.ingest.write import Excluded, NewDataset, Rows, write_dataset
from leaderboard.splitting import write_split

REPOSITORY = "caobin/ASUGNN"
FILE = "HMdataset.db"
PART = "zero-shot"  # the one part: nothing here trains
TARGETS = (
    {"name": "zero-shot", "column": "formation_energy", "unit": "eV/atom", "kind": "regression"},
    {"name": "metal", "column": "band_gap", "unit": "", "kind": "binary", "positive": "metal"},
)


def make_hm(home: Path) -> None:
    """Download HMdataset.db, and write the data set `hm` into `home`; raises `InputError`."""
    hint = f"try again later, or look at huggingface.co/{REPOSITORY}"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{REPOSITORY}/resolve/main/{FILE}"
    about = request_headers(url, hint)
    tag = (about.get("X-Linked-Etag") or about.get("ETag") or "").removeprefix("W/").strip('"')
    sha256 = tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""
    size = int(about.get("X-Linked-Size") or 0) or None
    file = home / FILE
    with byte_progress(size or 0) as advance:
        download_file(url, file, sha256=sha256, size=size, hint=hint, advance=advance)
    sha256 = file_sha256(file)
    rows, excluded = _read_database(file)
    targets = [t for t in TARGETS if any(t["column"] in labels for _, labels in rows.values())]
    if targets[:1] != [TARGETS[0]]:
        raise InputError(f"{file} has no structure with formation_energy: {url} is not the file that is known here")
    version = about.get("X-Repo-Commit") or "not stated"
    stated = {"source": url, "version": version, "origin_sha256": sha256, "excluded": len(excluded)}

    def splits(folder: Path) -> None:
        words = "every fold tests all: nothing here trains, the models are those of mp-2024-1 of the same fold"
        every = dict.fromkeys(rows, PART)
        write_split(folder, "hm", "random", 1, words, every, "bench data fetch", [((), (), (PART,))] * 5)

    write_dataset(
        NewDataset(
            name="hm",
            rows=rows,
            columns=[t["column"] for t in targets],
            targets=targets,
            about=stated,
            command="bench data fetch",
            excluded=excluded,
            usual_splits=False,
            own_splits=splits,
        )
    )
    file.unlink()


def _read_database(file: Path) -> tuple[Rows, Excluded]:
    """Crystals and labels of an ASE database by the row's id, and what cannot be used."""
    from ase.db import connect

    rows: dict[str, tuple[Crystal, dict[str, float]]] = {}
    excluded: list[tuple[str, str, str]] = []
    try:
        for row in connect(file, type="db").select():
            name, pairs = str(row.id), row.key_value_pairs
            numbers = {key: finite_number(pairs.get(key)) for key in ("formation_energy", "band_gap")}
            labels = {key: value for key, value in numbers.items() if value is not None}
            try:
                if "formation_energy" not in labels:
                    raise InputError("it has no number formation_energy")
                rows[name] = crystal_from_ase(row.toatoms()), labels
            except InputError as error:
                excluded.append((name, "unreadable", str(error)))
    except Exception as error:  # a parser may trip over anything in a stranger's file
        raise InputError(f"{file} cannot be read as an ASE database: {error}; remove it, and run again") from error
    return rows, excluded
