"""Find the files of published weights, download them where needed, and verify them.

Files are looked for in the folder that BENCH_WEIGHTS names, in the package of their authors if it is installed, then in
the cache; else they are downloaded from where their authors publish them. In each case their sha256 is verified.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from asugnn.atomic_write import file_sha256
from asugnn.cache import cache_folder
from asugnn.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedWeights:
    """One set of published weights."""

    folder: str  # below the folder that BENCH_WEIGHTS names, and below that of packages
    files: Mapping[str, str]  # name to sha256
    url: str  # of the folder that holds the files
    target: str  # name of the target that they predict, such as `formation-energy`
    trained_on: str  # the training data, as the board describes it
    package: str = ""  # whose installed files they are among


@dataclass(frozen=True)
class FrozenWeights:
    """Published weights inside a model that is trained here: it does not change them, and a run records them.

    Raises `InputError` where a field is empty, or is no text.
    """

    name: str
    sha256: Mapping[str, str]  # by file
    trained_on: str  # the training data, as the board describes it

    def __post_init__(self) -> None:
        texts = [self.name, self.trained_on]
        if isinstance(self.sha256, Mapping):
            object.__setattr__(self, "sha256", dict(self.sha256))
            texts += [*self.sha256, *self.sha256.values()]
        if len(texts) < 4 or not all(isinstance(text, str) and text for text in texts):
            raise InputError("FrozenWeights needs a name, {file: sha256} and trained_on, all of them texts")


def locate_weights(name: str, weights: PublishedWeights) -> Path:
    """Return the folder that holds the files, complete and verified; they are downloaded if needed.

    `name` is the name that the user typed, for the message. Raises `InputError` for a file that cannot be downloaded or
    has another sha256.
    """
    named = [Path(os.environ["BENCH_WEIGHTS"])] if os.environ.get("BENCH_WEIGHTS") else []
    spec = find_spec(weights.package) if weights.package else None
    installed = [Path(spec.origin).parent.parent] if spec and spec.origin else []
    cached = cache_folder() / "weights"
    for root in (*named, *installed, cached):
        folder = root / weights.folder
        if all((folder / file).is_file() for file in weights.files):
            changed = [file for file, sha256 in weights.files.items() if file_sha256(folder / file) != sha256]
            if not changed:
                return folder
            if root in installed:  # of another version
                continue
            if root != cached:
                raise InputError(
                    f"{folder / changed[0]} is not the published file of '{name}': remove it, and run again"
                )
            logger.warning("published weights in %s were damaged: they were downloaded again", folder)
            for file in changed:
                (folder / file).unlink()
    from asugnn.download import download_file

    hint = "try again later, or put the file into a folder that BENCH_WEIGHTS names"
    for file, sha256 in weights.files.items():
        download_file(f"{weights.url}/{file}", cached / weights.folder / file, sha256=sha256, hint=hint)
    return cached / weights.folder
