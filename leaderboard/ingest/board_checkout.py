"""The entries of a public board at a commit of its GitHub repository, verified by the digests of git."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

from asugnn.download import download_bytes, download_file
from asugnn.errors import InputError
from asugnn.limits import ANSWER_BYTES
from asugnn.reading import parse_json, read_bounded_bytes, reading
from leaderboard._util import SAFE_NAME, show_progress
from leaderboard.data import JARVIS, JARVIS_COMMIT, MATBENCH_COMMIT, data_folder

GITHUB_API, GITHUB_RAW = "https://api.github.com/repos", "https://raw.githubusercontent.com"
_PROPERTIES = "|".join(f"{t.property}-{d.theirs}" for d in JARVIS.values() for t in d.targets.values())
REPOSITORIES = {  # of a board: the repository, the commit, and which of its files are entries
    "matbench": (
        "materialsproject/matbench", MATBENCH_COMMIT, re.compile(r"benchmarks/[^/]+/(results\.json\.gz|info\.json)")
    ),
    "jarvis": (
        "usnistgov/jarvis_leaderboard", JARVIS_COMMIT,
        re.compile(
            "jarvis_leaderboard/contributions/[^/]+/"
            rf"(AI-SinglePropertyPrediction-({_PROPERTIES})-test-mae\.csv\.zip|metadata\.json)"
        ),
    ),
}  # fmt: skip


def fetch_board(board: str) -> tuple[Path, str]:
    """Download the entries of a board; returns a folder that is laid out like a checkout, and the commit.

    Every file is compared with the digest that git has of it at that commit. What is there already is kept. Raises
    `InputError`.
    """
    repository, commit, pattern = REPOSITORIES[board]
    hint = "try again later, or name a checkout with --from"
    url = f"{GITHUB_API}/{repository}/git/trees/{commit}?recursive=1"
    with reading(Path(url), "a list of files of GitHub", hint):
        answer = parse_json(download_bytes(url, hint=hint))
        if answer["truncated"]:
            raise ValueError("it is not complete")
        files = {f["path"]: (f["sha"], f["size"]) for f in answer["tree"] if pattern.fullmatch(f["path"])}
    named = {path.split("/")[-2] for path in files if not path.endswith(("info.json", "metadata.json"))}
    home = data_folder() / "boards" / f"{board}-{commit[:12]}"
    with show_progress("files", len(files)) as bar:
        for path, (blob, size) in files.items():
            if (folder := path.split("/")[-2]) in named:
                if not all(SAFE_NAME.fullmatch(part) for part in path.split("/")):
                    raise InputError(f"{url} lists a folder of a strange name, '{folder[:40]}'")
                _fetch_file(f"{GITHUB_RAW}/{repository}/{commit}/{quote(path)}", home / path, blob, size, hint)
            bar.advance(note=path.split("/")[-2])
    return home, commit


def _fetch_file(url: str, file: Path, blob: str, size: int, hint: str) -> None:
    if file.is_file() and blob_sha1(file) == blob:
        return
    file.unlink(missing_ok=True)
    download_file(url, file, size=size, hint=hint)
    if blob_sha1(file) != blob:
        file.unlink()
        raise InputError(f"{url} is not the file of that commit: its digest in git is not {blob}")


def blob_sha1(file: Path) -> str:
    """The digest that git has of a file."""
    with reading(file, "a file of a board"):
        content = read_bounded_bytes(file, ANSWER_BYTES)
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def commit_of(checkout: Path) -> str:
    """The commit of a folder that is a checkout of git; empty where it is none."""
    if not (checkout / ".git").exists():
        return ""
    try:
        words = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
