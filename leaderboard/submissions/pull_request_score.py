"""Score proposals: validate the archive that `pull_request_prepare` made, score it, and write the comment.

This part has what the proposer must not have: the host's solution (BENCH_SOLUTION) and the permission to comment. The
archive is untrusted: its size, names and contents are validated, and nothing in it is run. The comment quotes text of
the proposer only as code, where mentions, links, pictures and HTML have no effect.

    python -m leaderboard.submissions.pull_request_score ARCHIVE.zip --out comment.md
"""

from __future__ import annotations

import re
import stat
import tempfile
import traceback
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asugnn.atomic_write import write_text
from asugnn.errors import InputError
from asugnn.reading import check_file_size, read_json, reading
from leaderboard._util import printable
from leaderboard.board import load_ground_truth, rank_runs
from leaderboard.data import PACKAGE, parse_task
from leaderboard.records import SUBMITTED, StoredRun, list_runs
from leaderboard.reports import render_board
from leaderboard.submissions.enter import enter_submission
from leaderboard.submissions.pull_request_prepare import ENTRY_NAME, MESSAGE_LENGTH, MOST_PROPOSALS, SIZE_LIMITS

COMMENT_MARK = "<!-- scores of a proposal, by a workflow -->"
UNPACKED_BYTES = 60_000_000  # of all unpacked files together
COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENTRY_MARK = b"PK\x01\x02"  # begins an entry of the directory
LARGEST_ARCHIVE = 60_000_000  # bytes
COMMENT_LENGTH = 60_000  # characters of a comment: GitHub takes 65,536
ENTRY_LIMITS = {
    "fault.txt": 4 * MESSAGE_LENGTH,
    "about.json": 1000,
    "predictions.csv": SIZE_LIMITS["predictions.csv"],
}  # bytes


def unpack_archive(archive: Path, out: Path) -> None:
    """Unpack an archive into a new folder; raises `InputError` for an entry that does not belong in it."""
    names: set[str] = set()
    left = UNPACKED_BYTES
    with reading(Path("the archive"), "a zip file"):
        check_file_size(archive, LARGEST_ARCHIVE)
        count = archive.read_bytes().count(ENTRY_MARK)  # before zipfile makes an object of each
    if count > MOST_PROPOSALS * (3 * MOST_PROPOSALS + 2):
        raise InputError(f"it has {count:,} entries")
    with reading(Path("the archive"), "a zip file"), zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            if not ENTRY_NAME.fullmatch(info.filename):
                raise InputError(f"it has an entry '{info.filename[:100]}', which does not belong in it")
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG} or info.flag_bits & 1 or info.filename in names:
                raise InputError(f"'{info.filename}' is a link, is encrypted, or occurs twice")
            if info.compress_type not in COMPRESSIONS:
                raise InputError(f"'{info.filename}' is compressed by a method other than deflate")
            names.add(info.filename)
            path = out / info.filename
            left -= (size := _unpack_entry(file, info, path, min(left, ENTRY_LIMITS[path.name])))
            if size < 0:
                raise InputError(f"'{info.filename}' is too large")


def _unpack_entry(file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most: int) -> int:
    """Write one entry and return its size in bytes, or -1 if it has more than `most`, whatever its header states."""
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
    """Return the comment on all proposals in a folder, as Markdown; `runs` are the stored runs to compare with."""
    parts = [COMMENT_MARK]
    others = [stored for stored in list_runs(runs)[0] if stored.run.preset != SUBMITTED]
    for proposal in sorted(p for p in folder.iterdir() if p.is_dir()):
        parts.append(f"### `{proposal.name}`")
        if (fault := proposal / "fault.txt").is_file():
            parts += ["It could not be prepared:", quote_as_code(fault.read_text(encoding="utf-8", errors="replace"))]
        for entry in sorted(p for p in proposal.iterdir() if p.is_dir()):
            try:
                parts.append(_score_entry(entry, proposal.name, others))
            except (InputError, OSError) as error:
                text = str(error).replace(f"{entry}/", "")
                parts += ["It could not be scored:", quote_as_code(text)]
    if len(parts) == 1:
        parts.append("There is no proposal in this pull request.")
    return _join_comment(parts)


def _join_comment(parts: Sequence[str]) -> str:
    """Join as many parts as fit into a comment. No part is cut: a code block would end elsewhere."""
    fitting: list[str] = []
    for part in parts:
        if sum(map(len, fitting)) + len(part) > COMMENT_LENGTH:
            fitting.append("The rest is too long for a comment.")
            break
        fitting.append(part)
    return "\n\n".join(fitting) + "\n"


def _score_entry(entry: Path, name: str, others: Sequence[StoredRun]) -> str:
    """Return the board of one file of predictions and other runs; it is entered in a temporary folder."""
    with reading(Path("about.json"), "a task and a fold"):
        about = read_json(entry / "about.json", "a task and a fold")
        task, fold = parse_task(str(about["task"])), int(about["fold"])
    truth = load_ground_truth(task, fold)  # raises for an unknown split or fold
    with tempfile.TemporaryDirectory() as scratch:
        enter_submission(entry / "predictions.csv", task, name, fold, Path(scratch))
        rows, _ = rank_runs([*others, *list_runs(Path(scratch))[0]], [task], "quick")
    labels = "the public rows of the host's solution" if truth.solution else "the labels of the data set"
    title = f"{name}, {SUBMITTED}"
    table = render_board(rows, [task], "quick", "markdown", detailed=True)
    # As code, a name that looks like a link is not one.
    return f"Fold {fold}, scored by {labels}: " + table.replace(f"| {title} |", f"| **`{name}`**, {SUBMITTED} |")


def quote_as_code(text: str) -> str:
    """Quote text as a Markdown code block that it cannot end: no markup, mention or link in it has an effect."""
    plain = printable(text[: 2 * MESSAGE_LENGTH]).expandtabs(4)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}text\n{plain}\n{fence}"


def main(
    archive: Annotated[Path, typer.Argument(help="Zip archive of a folder that pull_request_prepare wrote.")],
    out: Annotated[Path, typer.Option(help="File for the comment, as Markdown.")] = Path("comment.md"),
    runs: Annotated[Path, typer.Option(help="Folder of the stored runs.")] = PACKAGE / "runs",
) -> None:
    """Score the proposals in an archive, without running any of it, and write a comment about them.

    The comment is written in any case. The exit status is 1 if there is no archive, or none that can be scored.
    """
    fault = ""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            if not archive.exists():
                raise InputError(
                    "there is no archive: no proposal was added, the first workflow failed, or it was too large"
                )
            unpack_archive(archive, Path(scratch))
            text = score_proposals(Path(scratch), runs)
        except InputError as error:
            fault = str(error)
        except Exception as error:  # whatever a stranger's file has done to a parser, the proposer gets an answer
            traceback.print_exc()
            fault = f"{type(error).__name__}; the log of the workflow says more"
    if fault:
        words = "The archive of this pull request cannot be scored:"
        text = _join_comment([COMMENT_MARK, words, quote_as_code(fault)])
    write_text(out, text)
    if fault:
        typer.echo(f"Error: {archive}: {printable(fault)}", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
