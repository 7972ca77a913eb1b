"""The form of the JARVIS-Leaderboard's entries: jarvis_leaderboard/contributions/<entry>/.

There is a zip of one CSV for each task, `id,prediction` or `id,target,prediction`, some with a space after the comma;
and metadata.json.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asugnn import __version__
from asugnn.atomic_write import atomic_write, file_sha256, write_text
from asugnn.errors import InputError
from asugnn.limits import CSV_BYTES, check_limit
from asugnn.reading import read_json, reading
from leaderboard._util import safe_name
from leaderboard.data import JARVIS, parse_value
from leaderboard.public_boards.entries import (
    BoardEntry,
    BoardForm,
    FoldEntry,
    Results,
    find_reference,
    read_numbers,
    words,
)

FOLDER = "jarvis_leaderboard/contributions"
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of a zip, so that its bytes depend on the predictions alone


def _list_entries(checkout: Path) -> list[Path]:
    """The folders that have one of the tasks known here."""
    names = [_file_name(data, target) for data in JARVIS for target in JARVIS[data].targets]
    folders = sorted((checkout / FOLDER).glob("*/"))
    return [folder for folder in folders if any((folder / name).is_file() for name in names)]


def _file_name(dataset: str, target: str) -> str:
    data = JARVIS[dataset]
    return f"AI-SinglePropertyPrediction-{data.targets[target].property}-{data.theirs}-test-mae.csv.zip"


def _read_entries(folder: Path) -> list[BoardEntry]:
    """The entry in a folder, once for each of its files, which have a digest each."""
    info: Mapping[str, Any] = {}
    if (folder / "metadata.json").is_file():
        info = read_json(folder / "metadata.json", "the description of an entry of JARVIS")
    entries = []
    for dataset, data in JARVIS.items():
        for target in data.targets:
            file = folder / _file_name(dataset, target)
            if file.is_file():
                entries.append(
                    BoardEntry(
                        board="jarvis",
                        name=folder.name,
                        model=safe_name(folder.name),
                        sha256=file_sha256(file),
                        authors=words(info.get("team_name")),
                        reference=find_reference("", words(info.get("project_url"))),
                        folds={f"{dataset}/{target}": {0: _read_file(file)}},
                    )
                )
    return entries


def _read_file(file: Path) -> FoldEntry:
    with reading(file, "predictions of JARVIS"), zipfile.ZipFile(file) as archive:
        if len(members := archive.infolist()) != 1:
            raise ValueError(f"it holds {len(members)} files instead of one")
        check_limit(members[0].file_size, CSV_BYTES, "unpacked bytes")
        lines = csv.reader(io.StringIO(archive.read(members[0]).decode("utf-8-sig")), skipinitialspace=True)
        rows = [[cell.strip() for cell in line] for line in lines if line]
        header, rows = (rows[0], rows[1:]) if rows else ([], [])
        if header not in (["id", "prediction"], ["id", "target", "prediction"]):
            raise InputError(f"{file}: its header is '{','.join(header)[:80]}', not id,prediction")
        if short := [row for row in rows if len(row) != len(header)]:
            raise ValueError(f"a line has {len(short[0])} cells instead of {len(header)}")
    predictions = {row[0]: _number_or_text(row[-1]) for row in rows}
    if len(predictions) != len(rows):
        seen = Counter(row[0] for row in rows)
        raise InputError(f"{file} holds id '{seen.most_common(1)[0][0][:60]}' more than once")
    labels: Mapping[str, float] = {}
    if len(header) == 3:
        numbers = read_numbers({row[0]: _number_or_text(row[1]) for row in rows})
        labels = dict(zip(predictions, numbers.tolist(), strict=True))
    return FoldEntry(predictions, labels=labels)


def _number_or_text(cell: str) -> float | str:
    """The number in a cell, by the rules of any table of ours; the cell where it holds none."""
    value, fault = parse_value(cell, "regression")
    return cell if fault else value


def _write_entry(out: Path, model: str, results: Results) -> list[Path]:
    home, written = out / FOLDER / model, []
    for task, of_folds in results.items():
        ids, _, p = of_folds[0]
        file = home / _file_name(task.source.name, task.target.name)
        text = "\n".join(["id,prediction", *(f"{i},{value!r}" for i, value in zip(ids, p.tolist(), strict=True))])
        with atomic_write(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(file.stem, FIRST_DATE), text + "\n", zipfile.ZIP_DEFLATED)
        written.append(file)
    metadata = {
        "model_name": model,
        "project_url": "",
        "date_submitted": "",
        "author_email": "",
        "database_version": "12-12-2022",
        "team_name": "",
        "time_taken_seconds": {file.name: "" for file in written},
        "language": "python",
        "os": "linux",
        "software_used": f"asugnn-bench=={__version__}",
        "hardware_used": "",
        "git_url": [],
    }
    write_text(home / "metadata.json", json.dumps(metadata, indent=4) + "\n")
    write_text(
        home / "run.sh", f"#!/bin/bash\n# the commands that made these predictions, with asugnn-bench {__version__}\n"
    )
    return [*written, home / "metadata.json", home / "run.sh"]


FORM = BoardForm(f"{FOLDER}/*/*-test-mae.csv.zip", _list_entries, _read_entries, _write_entry)
