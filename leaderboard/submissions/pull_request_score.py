"""Judge proposals: score the archive that `leaderboard.submissions.pull_request_prepare` made, and say so in a comment.

This part holds what the proposer must not have: a host's solution (BENCH_SOLUTION) and the right to comment. All in
the archive is a stranger's: its size, names and contents are checked, nothing in it is run, and what is said of it
shows the stranger's words as code alone, where no mention, link, picture or HTML comes to life.

    python -m leaderboard.submissions.pull_request_score ARCHIVE.zip --out comment.md
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asugnn.atomic_write import write_text
from asugnn.errors import InputError
from leaderboard.board import load_ground_truth, rank_rows
from leaderboard.data import PACKAGE, parse_task
from leaderboard.records import SUBMITTED
from leaderboard.reports import render_board
from leaderboard.submissions.enter import enter_submission
from leaderboard.submissions.pull_request_prepare import MOST, NAME, SIZES, TOLD

MARK = "<!-- scores of a proposal, by a workflow -->"
BYTES = 60_000_000  # of all that is unpacked
LONGEST = 60_000  # characters of a comment: GitHub takes 65,536
MEMBER = re.compile(rf"{NAME.pattern}/(fault\.txt|[0-{MOST - 1}]/(about\.json|predictions\.csv))")
LARGEST = {"fault.txt": 4 * TOLD, "about.json": 1000, "predictions.csv": SIZES["predictions.csv"]}  # bytes


def unpack_archive(archive: Path, out: Path) -> None:
    """Unpack an archive into a new folder; raises `InputError` for anything in it that has no place there."""
    seen: set[str] = set()
    left = BYTES
    try:
        with zipfile.ZipFile(archive) as file:
            if len(file.infolist()) > MOST * (3 * MOST + 2):
                raise InputError(f"it has {len(file.infolist()):,} entries")
            for info in file.infolist():
                if info.is_dir():
                    continue
                if not MEMBER.fullmatch(info.filename):
                    raise InputError(f"it has an entry '{info.filename[:100]}', which has no place in it")
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in {0, stat.S_IFREG} or info.flag_bits & 1 or info.filename in seen:
                    raise InputError(f"'{info.filename}' is a link, encrypted, or there twice")
                seen.add(info.filename)
                path = out / info.filename
                left -= (size := _unpack_entry(file, info, path, min(left, LARGEST[path.name])))
                if size < 0:
                    raise InputError(f"'{info.filename}' is too large")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise InputError(f"it cannot be read: {error}") from error


def _unpack_entry(file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most: int) -> int:
    """Write one entry; the bytes it has, or -1 if they are more than `most`, whatever its header says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    total = 0
    with file.open(info) as source, path.open("xb") as sink:
        while chunk := source.read(1 << 16):
            total += len(chunk)
            if total > most:
                return -1
            sink.write(chunk)
    return total


def score_proposals(folder: Path, runs: Path) -> str:
    """The comment on all proposals in a folder, as Markdown."""
    parts = [MARK]
    for home in sorted(p for p in folder.iterdir() if p.is_dir()):
        parts.append(f"### `{home.name}`")
        if (fault := home / "fault.txt").is_file():
            parts += ["It could not be prepared:", quote_as_code(fault.read_text(encoding="utf-8", errors="replace"))]
        for entry in sorted(p for p in home.iterdir() if p.is_dir()):
            try:
                parts.append(_score_entry(entry, home.name, runs))
            except InputError as error:
                text = str(error).replace(f"{entry}/", "")
                parts += ["It could not be scored:", quote_as_code(text)]
    if len(parts) == 1:
        parts.append("There is no proposal in this pull request.")
    return _join_comment(parts)


def _join_comment(parts: Sequence[str]) -> str:
    """As many parts as a comment may have; none is cut, which would let a code block end elsewhere."""
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) > LONGEST:
            kept.append("The rest is too long for a comment.")
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"


def _score_entry(entry: Path, name: str, runs: Path) -> str:
    """The row of one file of predictions among those that are stored, in a folder that is thrown away."""
    try:
        about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
        task, fold = parse_task(str(about["task"])), int(about["fold"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise InputError(f"about.json cannot be read: {error}") from error
    held = load_ground_truth(task, fold)  # which refuses what is no split and no fold
    with tempfile.TemporaryDirectory() as scratch:
        home = f"{task.source.name}/{task.target.name}@{task.rule}"
        if (runs / home).is_dir():
            shutil.copytree(runs / home, Path(scratch) / home, ignore=shutil.ignore_patterns(SUBMITTED))
        enter_submission(entry / "predictions.csv", task, name, fold, Path(scratch))
        rows, _ = rank_rows(Path(scratch), [task], "quick")
    by = "the public rows of the host's solution" if held.solution else "the labels of the data set"
    shown = f"{name}, {SUBMITTED}"
    drawn = render_board(rows, [task], "quick", "markdown", detailed=True)
    # As code a name is no link, whatever it looks like.
    return f"Fold {fold}, scored by {by}: " + drawn.replace(f"| {shown} |", f"| **`{name}`**, {SUBMITTED} |")


def quote_as_code(text: str) -> str:
    """A stranger's words as a block of code: nothing in it is Markdown, a mention or a link, and nothing ends it."""
    plain = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text[: 2 * TOLD])
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}text\n{plain}\n{fence}"


def main(
    archive: Annotated[Path, typer.Argument(help="The zip archive of a folder that pull_request_prepare wrote.")],
    out: Annotated[Path, typer.Option(help="The comment to write, as Markdown.")] = Path("comment.md"),
    runs: Annotated[Path, typer.Option(help="Folder of the stored runs.")] = PACKAGE / "runs",
) -> None:
    """Score the proposals in an archive, none of which is run, and write a comment about them."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            if not archive.is_file():
                raise InputError("there is none: no proposal was added, the first workflow failed, or it was too large")
            unpack_archive(archive, Path(scratch))
            text = score_proposals(Path(scratch), runs)
        except InputError as error:
            text = _join_comment(
                [MARK, "The archive of this pull request cannot be scored:", quote_as_code(str(error))]
            )
    write_text(out, text)


if __name__ == "__main__":
    typer.run(main)
