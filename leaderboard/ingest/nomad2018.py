"""nomad2018: the competition NOMAD2018 of Kaggle with the labels of its test set, from its authors' repository.

The authors keep the 2,400 training and 600 test crystals of the competition, all with labels, in a public repository.
GitHub makes an archive of it anew at each request, so not the archive but the files in it are verified by a digest. The
archive is read in memory and not unpacked.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from asugnn import Crystal
from asugnn.download import download_file
from asugnn.errors import InputError
from asugnn.limits import ARCHIVE_BYTES, ARCHIVE_FILES, check_limit
from asugnn.reading import reading
from asugnn.structure_files import crystal_from_ase
from leaderboard._util import byte_progress
from leaderboard.ingest.write import NewDataset, write_dataset
from leaderboard.splitting import PARTS, part_of_group, write_split

NOMAD = "https://codeload.github.com/csutton7/nomad_2018_kaggle_dataset/tar.gz"
COMMIT = "8ab1dd297a3692a3ec24fa9528c18bd0883ce85f"
CONTENT = "eda25caa8b4904eba3025d0dc8d93475e39b5bd30498c4e9cc4459537e17f1fa"
SIDES = {"train": "train.csv", "test": "labeled_test.csv"}  # of the competition, with the files of their labels
LABELS = {"formation_energy_ev_natom": "formation_energy", "bandgap_energy_ev": "band_gap"}


def make_nomad2018(home: Path) -> None:
    """Download the archive of the competition, and write the data set `nomad2018` into `home`; raises `InputError`."""
    url, file = f"{NOMAD}/{COMMIT}", home / "archive.tar.gz"
    with byte_progress(0) as advance:
        download_file(url, file, advance=advance)
    files = _read_archive(file)
    if (sha256 := files_sha256(files)) != CONTENT:
        file.unlink()
        raise InputError(f"{url} is no longer the published archive: the digest of its files is not {CONTENT}")
    rows: dict[str, tuple[Crystal, dict[str, float]]] = {}
    for side, table in SIDES.items():
        for line in csv.DictReader(io.StringIO(files[table].decode())):
            crystal = crystal_from_aims(files[f"{side}/{line['id']}/geometry.xyz"].decode())
            rows[f"{side}-{line['id']}"] = crystal, {ours: float(line[theirs]) for theirs, ours in LABELS.items()}
    description = {"source": url, "version": COMMIT[:12], "origin_sha256": sha256, "excluded": 0}

    def write_own_splits(folder: Path) -> None:
        tenth = {name: part_of_group("nomad2018", "kaggle", 1, name) for name in rows}
        parts = {name: "test" if name.startswith("test") else tenth[name] for name in rows}
        words = "tests what the competition tested, validates on a tenth of its training set"
        fold = ([str(p) for p in range(1, PARTS)], ["0"], ["test"])
        write_split(folder, "nomad2018", "kaggle", 1, words, parts, "bench data fetch", [fold])

    targets = [
        {"name": "formation-energy", "column": "formation_energy", "unit": "eV/cation", "kind": "regression"},
        {"name": "band-gap", "column": "band_gap", "unit": "eV", "kind": "regression"},
    ]
    write_dataset(
        NewDataset(
            name="nomad2018",
            rows=rows,
            columns=list(LABELS.values()),
            targets=targets,
            about=description,
            command="bench data fetch",
            own_splits=write_own_splits,
        )
    )
    file.unlink()


def _read_archive(file: Path) -> dict[str, bytes]:
    """The files of an archive by their paths below its one folder, in memory; links and folders are skipped.

    Raises `InputError`, and deletes the archive, where it is damaged.
    """
    files: dict[str, bytes] = {}
    try:
        with reading(file, "a gzipped tar archive", "it was deleted: repeat the command to download it again"):
            with gzip.open(file) as packed:
                content = packed.read(ARCHIVE_BYTES + 1)
            check_limit(len(content), ARCHIVE_BYTES, "unpacked bytes")
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for count, member in enumerate(archive, 1):
                    check_limit(count, ARCHIVE_FILES, "files")
                    if member.isfile() and (opened := archive.extractfile(member)):
                        files[member.name.partition("/")[2]] = opened.read()
    except InputError:
        file.unlink()
        raise
    return files


def files_sha256(files: Mapping[str, bytes]) -> str:
    """The sha256 of files by their names, whatever their order."""
    lines = (f"{name} {hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def crystal_from_aims(text: str) -> Crystal:
    """A crystal in the format of FHI-aims: lattice vectors and Cartesian coordinates in angstrom."""
    from ase import Atoms

    words = [line.split() for line in text.splitlines()]
    cell = [[float(x) for x in w[1:4]] for w in words if w[:1] == ["lattice_vector"]]
    atoms = [w for w in words if w[:1] == ["atom"]]
    positions = [[float(x) for x in w[1:4]] for w in atoms]
    return crystal_from_ase(Atoms([w[4] for w in atoms], positions=positions, cell=cell, pbc=True))
