"""Files in the forms of Matbench and JARVIS, made from crystals of open-dft, and their digests put in force."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asugnn.crystal import SYMBOLS, Crystal
from leaderboard.data import JARVIS, MATBENCH, find_source, load_dataset
from leaderboard.ingest.fetch import fetch_dataset

JDFT = "matbench_jdft2d"


def some_crystals(n: int) -> tuple[list[Crystal], list[float]]:
    """Crystals of different formulas at equilibrium, and a label each."""
    data = load_dataset(find_source("open-dft"))
    gap = next(t for t in data.source.targets if t.name == "band-gap")
    y = data.labels(gap)
    ids = [name for name, value in zip(data.ids, y, strict=True) if np.isfinite(value)][:n]
    return data.crystals(ids), [float(y[data.rows[name]]) + 1 for name in ids]


def structure_dict(crystal: Crystal) -> dict[str, Any]:
    """A crystal as pymatgen writes it."""
    sites = [
        {"species": [{"element": SYMBOLS[z - 1], "occu": 1}], "abc": abc, "label": SYMBOLS[z - 1]}
        for z, abc in zip(crystal.numbers.tolist(), crystal.frac_coords.tolist(), strict=True)
    ]
    lattice = {"matrix": crystal.lattice.tolist()}
    return {"@module": "pymatgen.core.structure", "@class": "Structure", "lattice": lattice, "sites": sites}


def labels_file(ids: Sequence[str], label: str, y: Sequence[float], formulas: Sequence[str]) -> bytes:
    """`scripts/artifacts/<name>.json.bz2`."""
    columns = {"mbid": ids, label: y, "composition": formulas}
    text = json.dumps({name: {str(i): v for i, v in enumerate(column)} for name, column in columns.items()})
    return bz2.compress(text.encode())


def crystals_file(crystals: Sequence[Crystal], label: str, y: Sequence[float]) -> bytes:
    """`<name>.json.gz` of ml.materialsproject.org."""
    rows = [[structure_dict(c), value] for c, value in zip(crystals, y, strict=True)]
    content = {"index": list(range(len(rows))), "columns": ["structure", label], "data": rows}
    return gzip.compress(json.dumps(content).encode(), mtime=0)


def jdft_files(n: int = 40) -> dict[str, bytes]:
    """The two files of a data set like matbench_jdft2d, by their paths."""
    crystals, y = some_crystals(n)
    ids = [f"mb-jdft2d-{i + 1:03}" for i in range(n)]
    formulas = [" ".join(f"{SYMBOLS[z - 1]}1" for z in c.numbers.tolist()) for c in crystals]
    label = MATBENCH[JDFT].label
    return {
        f"scripts/artifacts/{JDFT}.json.bz2": labels_file(ids, label, y, formulas),
        f"{JDFT}.json.gz": crystals_file(crystals, label, y),
    }


def publish(patch: pytest.MonkeyPatch, files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files into a folder, and put their digests and that of their split in force."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    labels, crystals = (hashlib.sha256(content).hexdigest() for content in files.values())
    task = replace(MATBENCH[JDFT], labels_sha256=labels, crystals_sha256=crystals, split_sha256="")
    patch.setitem(MATBENCH, JDFT, task)
    patch.setitem(MATBENCH, JDFT, replace(task, split_sha256=split_digest(JDFT, folder)))


def split_digest(name: str, folder: Path) -> str:
    """The digest of the split that would be made, which stands in for the published one."""
    with pytest.raises(Exception, match="would not be the published one") as caught:
        fetch_dataset(name, folder, labels_only=True)
    return re.search(r"[0-9a-f]{64}", str(caught.value))[0]


def jarvis_files(n: int = 40) -> dict[str, bytes]:
    """The files of a data set like jarvis_megnet: two tasks, of which the second lists a test id in train, crystals."""
    crystals, y = some_crystals(n)
    ids = [f"mp-{i}" for i in range(n)]
    sides = {"train": ids[: n - 12], "val": ids[n - 12 : n - 6], "test": ids[n - 6 :]}
    files = {}
    for k, task in enumerate(JARVIS["jarvis_megnet"].targets.values()):
        listed = {side: {i: str(y[ids.index(i)] + k) for i in of_side} for side, of_side in sides.items()}
        if k:
            listed["train"][ids[-1]] = listed["test"][ids[-1]]
        name = f"megnet_{task.property}.json"
        path = f"jarvis_leaderboard/benchmarks/AI/SinglePropertyPrediction/{name}.zip"
        files[path] = zipped(name, json.dumps(listed))
    rows = [
        {
            "id": name,
            "atoms": {
                "lattice_mat": c.lattice.tolist(),
                "coords": c.frac_coords.tolist(),
                "elements": [SYMBOLS[z - 1] for z in c.numbers.tolist()],
                "cartesian": False,
            },
            "e_form": value,
            "gap pbe": value + 1,
        }
        for name, c, value in zip(ids, crystals, y, strict=True)
    ]
    files["jarvis_megnet.json.zip"] = zipped("megnet.json", json.dumps(rows))
    return files


def publish_jarvis(patch: pytest.MonkeyPatch, files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files into a folder, and put their digests and that of their split in force."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    name, data = "jarvis_megnet", JARVIS["jarvis_megnet"]
    digests = [hashlib.sha256(content).hexdigest() for content in files.values()]
    targets = {
        target: replace(task, labels_sha256=digest)
        for (target, task), digest in zip(data.targets.items(), digests, strict=False)
    }
    data = replace(data, targets=targets, split_sha256="")
    patch.setitem(JARVIS, name, data)
    patch.setitem(JARVIS, name, replace(data, split_sha256=split_digest(name, folder)))


def zipped(name: str, text: str) -> bytes:
    """A zip of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return out.getvalue()
