"""jarvis_*: data sets of the JARVIS-Leaderboard (Choudhary et al., npj Comput. Mater. 10, 93 (2024)).

The leaderboard's repository has a zip of JSON for each task, `{"train": {id: label}, "val"?: .., "test": ..}`. The
crystals are a zip of a JSON list on figshare: `{"jid" or "id", "atoms": {"lattice_mat", "coords", "elements"}, ..}`.
Of that file no digest is published: its ids and labels are compared with those of the tasks, which are verified.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from asugnn.crystal import ATOMIC_NUMBERS, Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.reading import reading
from leaderboard.data import JARVIS, JARVIS_COMMIT, JarvisDataset, find_source
from leaderboard.ingest.json_stream import stream_json
from leaderboard.ingest.published_files import check_same, get_published_file, read_packed_json, reading_download
from leaderboard.ingest.write_public import PublicDataset, write_public
from leaderboard.splitting import JARVIS_FOLD, jarvis_parts

FIGSHARE = "https://api.figshare.com/v2/file/download"  # ndownloader.figshare.com answers programs with 202, empty
LABELS = f"https://raw.githubusercontent.com/usnistgov/jarvis_leaderboard/{JARVIS_COMMIT}"
FOLDER = "jarvis_leaderboard/benchmarks/AI/SinglePropertyPrediction"


def make_jarvis(name: str, home: Path, given: Path | None, labels_only: bool) -> None:
    """Fetch a data set of JARVIS into `home`: labels and splits, then crystals; raises `InputError`."""
    data, sides, labels = JARVIS[name], [], {}
    for target, task in data.targets.items():
        path = f"{FOLDER}/{data.theirs}_{task.property}.json.zip"
        file = get_published_file(f"{LABELS}/{path}", path, home, task.labels_sha256, given)
        with reading(file, "a task of JARVIS"):
            stated = read_packed_json(file)
            sides.append({side: list(stated.get(side, ())) for side in ("train", "val", "test")})
            labels[target] = {i: float(stated[side][i]) for side, ids in sides[-1].items() for i in ids}
    parts = jarvis_parts(sides)
    new = PublicDataset(
        source=find_source(name),
        ids=list(parts),
        formulas=[None] * len(parts),
        labels={target: [of_target.get(i) for i in parts] for target, of_target in labels.items()},
        parts=parts,
        folds=[JARVIS_FOLD],
        split_about="as published, of each target its own",
        split_sha256=data.split_sha256,
        about={"source": "github.com/usnistgov/jarvis_leaderboard", "version": f"commit {JARVIS_COMMIT[:12]}"},
    )
    if labels_only:
        return write_public(new, home, None)
    path = f"{name}.json.zip"
    file = get_published_file(f"{FIGSHARE}/{data.figshare}", path, home, "", given)
    with reading_download(file, home, "crystals of JARVIS"):
        crystals = _read_crystals(file, data, labels)
        if missing := parts.keys() - crystals.keys():
            raise InputError(f"{file} lacks {len(missing):,} crystals of {name}, such as '{min(missing)}'")
    write_public(new, home, [crystals[i] for i in parts])
    (home / path).unlink(missing_ok=True)


def _read_crystals(file: Path, data: JarvisDataset, labels: Mapping[str, Mapping[str, float]]) -> dict[str, Crystal]:
    """The crystals by id that have a label; the labels in the file must be those of the tasks."""
    crystals = {}
    with zipfile.ZipFile(file) as archive, archive.open(archive.infolist()[0]) as stream:
        for _, row in stream_json(cast(BinaryIO, stream)):
            name = str(row[data.id_key])
            for target, task in data.targets.items():
                if name in labels[target]:
                    theirs = float(row[task.column or task.property])
                    check_same("label", file.name, [name], [theirs], [labels[target][name]])
            if any(name in of_target for of_target in labels.values()):
                with prefix_errors(f"{file}, crystal '{name}'"):
                    if (atoms := row["atoms"])["cartesian"]:
                        raise InputError("its coordinates are Cartesian")
                    numbers = [ATOMIC_NUMBERS[element] for element in atoms["elements"]]
                    crystals[name] = Crystal(atoms["lattice_mat"], atoms["coords"], numbers)
    return crystals
