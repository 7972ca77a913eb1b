"""matbench_*: the data sets of Matbench v0.1 (Dunn et al., npj Comput. Mater. 6, 138 (2020)).

Ids, labels and compositions of a task are a small file of its repository; the crystals are one gzipped JSON file,
`{"index": [..], "columns": [..], "data": [[structure, label], ..]}`, of whose rows the k-th has the k-th id.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from asugnn.crystal import Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.reading import reading
from asugnn.structure_files import crystal_from_dict
from leaderboard.data import MATBENCH, MATBENCH_COMMIT, find_source
from leaderboard.ingest.compositions import reduce_composition
from leaderboard.ingest.json_stream import stream_json
from leaderboard.ingest.published_files import check_same, get_published_file, read_packed_json, reading_download
from leaderboard.ingest.write_public import PublicDataset, write_public
from leaderboard.splitting import matbench_fold_parts, matbench_parts

CRYSTALS = "https://ml.materialsproject.org/projects"
LABELS = f"https://raw.githubusercontent.com/materialsproject/matbench/{MATBENCH_COMMIT}"
ABOUT = "the folds of Matbench v0.1; a tenth of the other parts, by the hash of the id, validates"


def make_matbench(name: str, home: Path, given: Path | None, labels_only: bool) -> None:
    """Fetch a data set of Matbench into `home`: labels and split, then crystals if it has any; raises `InputError`."""
    task, path = MATBENCH[name], f"scripts/artifacts/{name}.json.bz2"
    file = get_published_file(f"{LABELS}/{path}", path, home, task.labels_sha256, given)
    with reading(file, "the labels of Matbench"):
        columns = {key: list(column.values()) for key, column in read_packed_json(file).items()}
        ids, y = columns["mbid"], [float(value) for value in columns[task.label]]
        formulas = [reduce_composition(composition) for composition in columns["composition"]]
    new = PublicDataset(
        source=find_source(name),
        ids=ids,
        formulas=formulas,
        labels={task.target: y},
        parts=matbench_parts(name, ids, np.array(y) if task.kind == "binary" else None),
        folds=matbench_fold_parts(),
        split_about=ABOUT,
        split_sha256=task.split_sha256,
        about={"source": "github.com/materialsproject/matbench", "version": f"0.1, commit {MATBENCH_COMMIT[:12]}"},
    )
    if labels_only or not task.structures:
        return write_public(new, home, None)
    path = f"{name}.json.gz"
    file = get_published_file(f"{CRYSTALS}/{path}", path, home, task.crystals_sha256, given)
    with reading_download(file, home, "structures of Matbench"):
        crystals, theirs = _read_crystals(file, task.label)
        if len(crystals) != len(ids):
            raise InputError(f"{file} has {len(crystals):,} crystals, and the file of labels {len(ids):,}")
        check_same("label", file.name, ids, theirs, y)
        check_same("formula", file.name, ids, [c.formula for c in crystals], formulas)
    write_public(new, home, crystals)
    (home / path).unlink(missing_ok=True)


def _read_crystals(file: Path, label: str) -> tuple[list[Crystal], list[float]]:
    crystals: list[Crystal] = []
    labels: list[float] = []
    columns: list[str] = []
    with gzip.open(file) as packed:
        for key, value in stream_json(cast(BinaryIO, packed)):
            if key == "columns":
                columns.append(value)
            elif key == "data":
                row = dict(zip(columns, value, strict=True))
                with prefix_errors(f"{file}, crystal {len(crystals) + 1}"):
                    crystals.append(crystal_from_dict(row["structure"]))
                labels.append(float(row[label]))
    return crystals, labels
