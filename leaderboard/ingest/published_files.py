"""Files of other people's repositories: from a folder that the user has, or downloaded, in both cases verified."""

from __future__ import annotations

import bz2
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asugnn.atomic_write import file_sha256
from asugnn.download import download_file
from asugnn.errors import InputError
from asugnn.limits import JSON_BYTES, check_limit
from asugnn.reading import parse_json, reading
from leaderboard._util import byte_progress


def get_published_file(url: str, path: str, home: Path, sha256: str, given: Path | None) -> Path:
    """A published file: that in the folder `given`, else the one at `url`, downloaded into the folder `home`.

    `path` is its place in a checkout; a folder may also hold it under its last name alone. An interrupted download
    resumes when it is repeated. Raises `InputError` where the file cannot be had, or is not that of the digest.
    """
    name = Path(path).name
    for file in [given / path, given / name] if given else []:
        if file.is_file():
            if sha256 and file_sha256(file) != sha256:
                raise InputError(f"{file} is not the published file: its sha256 is not {sha256}")
            return file
    hint = f"try again later, or name a folder that holds {name} with --from"
    with byte_progress(0) as advance:
        download_file(url, home / name, sha256=sha256, hint=hint, advance=advance)
    return home / name


@contextmanager
def reading_download(file: Path, home: Path, what: str) -> Iterator[None]:
    """Like `reading`; a file in `home`, which was downloaded, is removed where it cannot be used."""
    try:
        with reading(file, what):
            yield
    except InputError as error:
        if file.parent != home:
            raise
        file.unlink(missing_ok=True)
        raise InputError(f"{error}; the file was removed: repeat the command to download it again") from error


def read_packed_json(file: Path) -> Any:
    """What a file of labels holds, JSON packed by bzip2 or as the only file of a zip; raises `InputError`."""
    with reading(file, "a file of labels"):
        if file.suffix == ".bz2":
            with bz2.open(file) as packed:
                text = packed.read(JSON_BYTES + 1)
        else:
            with zipfile.ZipFile(file) as archive, archive.open(archive.infolist()[0]) as member:
                text = member.read(JSON_BYTES + 1)
        check_limit(len(text), JSON_BYTES, "unpacked bytes")
        return parse_json(text)


def check_folder(given: Path | None) -> None:
    """Raise `InputError` where `--from` does not name a folder."""
    if given and not given.is_dir():
        raise InputError(f"there is no folder '{given}': --from names a checkout, or a folder of downloaded files")


def check_same(what: str, source: str, ids: Sequence[str], theirs: Sequence[object], ours: Sequence[object]) -> None:
    """Raise `InputError` for the first crystal whose label or formula two published files state differently."""
    for name, a, b in zip(ids, theirs, ours, strict=True):
        same = abs(a - b) <= 1e-6 * max(1.0, abs(b)) if isinstance(a, float) and isinstance(b, float) else a == b
        if not same:
            raise InputError(f"{source} states the {what} {a} of '{name}', and the file of labels {b}: one is wrong")
