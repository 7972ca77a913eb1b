"""hm, the paper's zero-shot test: HMdataset of the Hugging Face hub.

The paper names huggingface.co/caobin/ASUGNN, where the authors keep HMdataset.db: an ASE database whose rows have
the key `formation_energy`, in eV/atom. Their other databases also have `band_gap`; where this one has it, there is a
task for it. The hub states the sha256 of a large file in the headers of its answer, and the download is verified by it;
the hub's own client compares only the size.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from asugnn import Crystal
from asugnn.ase_files import read_ase_database
from asugnn.atomic_write import file_sha256
from asugnn.download import download_file, request_headers
from asugnn.errors import InputError
from asugnn.reading import reading
from leaderboard._util import byte_progress
from leaderboard.ingest.labelled_rows import parse_label
from leaderboard.ingest.write import Excluded, NewDataset, Rows, write_dataset
from leaderboard.splitting import write_zero_shot_split

REPOSITORY = "caobin/ASUGNN"
FILE = "HMdataset.db"
TARGETS = (
    {"name": "zero-shot", "column": "formation_energy", "unit": "eV/atom", "kind": "regression"},
    {"name": "metal", "column": "band_gap", "unit": "", "kind": "binary", "positive": "metal", "label": "zero"},
)


def make_hm(home: Path) -> None:
    """Download HMdataset.db, and write the data set `hm` into `home`; raises `InputError`."""
    hint = f"try again later, or look at huggingface.co/{REPOSITORY}"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/{REPOSITORY}/resolve/main/{FILE}"
    headers = request_headers(url, hint)
    tag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    sha256 = tag if re.fullmatch(r"[0-9a-f]{64}", tag) else ""
    size = int(headers.get("X-Linked-Size") or 0) or None
    file = home / FILE
    with byte_progress(size or 0) as advance:
        download_file(url, file, sha256=sha256, size=size, hint=hint, advance=advance)
    sha256 = file_sha256(file)
    rows, excluded = _read_database(file)
    targets = [t for t in TARGETS if any(t["column"] in labels for _, labels in rows.values())]
    if targets[:1] != [TARGETS[0]]:
        raise InputError(f"{file} has no structure with formation_energy: {url} has changed, and cannot be used")
    version = headers.get("X-Repo-Commit") or "not stated"
    description = {"source": url, "version": version, "origin_sha256": sha256, "excluded": len(excluded)}

    def write_own_splits(folder: Path) -> None:
        write_zero_shot_split(folder, "hm", rows, "mp-2024-1", "bench data fetch")

    write_dataset(
        NewDataset(
            name="hm",
            rows=rows,
            columns=[t["column"] for t in targets],
            targets=targets,
            about=description,
            command="bench data fetch",
            excluded=excluded,
            usual_splits=False,
            own_splits=write_own_splits,
        )
    )
    file.unlink()


def _read_database(file: Path) -> tuple[Rows, Excluded]:
    """Crystals and labels of an ASE database by the id of their row, and the rows that cannot be used."""
    rows: dict[str, tuple[Crystal, dict[str, float]]] = {}
    excluded: list[tuple[str, str, str]] = []
    with reading(file, "an ASE database", "remove it, and run the command again"):
        for stored in read_ase_database(file):
            try:
                found = {key: parse_label(stored.values.get(key)) for key in ("formation_energy", "band_gap")}
                labels = {key: value for key, value in found.items() if value is not None}
                if "formation_energy" not in labels:
                    raise InputError("it has no number formation_energy")
                rows[stored.index] = stored.crystal(), labels
            except InputError as error:
                excluded.append((stored.index, "unreadable", str(error)))
    return rows, excluded
