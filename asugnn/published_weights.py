"""Published weights: which there are, where they lie, and that they are what they were.

Files are looked for in the folder that BENCH_WEIGHTS names, then in the cache; else they are downloaded from where
their authors keep them. Wherever they come from, their sha256 decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asugnn.atomic_write import file_sha256
from asugnn.cache import cache_folder
from asugnn.errors import InputError


@dataclass(frozen=True)
class PublishedWeights:
    """What one set of published weights is, and what it predicts."""

    folder: str  # below BENCH_WEIGHTS
    files: Mapping[str, str]  # name to sha256
    url: str  # of the folder that holds the files
    target: str  # the target of the board that they predict
    trained_on: str  # for the reader of a board


def locate_weights(name: str, weights: PublishedWeights) -> Path:
    """The folder that holds the files, complete and verified; raises `InputError` where it cannot be had."""
    roots = [Path(os.environ["BENCH_WEIGHTS"])] if os.environ.get("BENCH_WEIGHTS") else []
    kept = cache_folder() / "weights"
    for root in (*roots, kept):
        folder = root / weights.folder
        if all((folder / file).is_file() for file in weights.files):
            for file, sha256 in weights.files.items():
                if file_sha256(folder / file) != sha256:
                    raise InputError(f"{folder / file} is not the published file of '{name}': remove it, and run again")
            return folder
    from asugnn.download import download_file

    hint = "try again later, or put the file into a folder that BENCH_WEIGHTS names"
    for file, sha256 in weights.files.items():
        download_file(f"{weights.url}/{file}", kept / weights.folder / file, sha256=sha256, hint=hint)
    return kept / weights.folder
