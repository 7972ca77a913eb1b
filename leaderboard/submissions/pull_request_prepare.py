"""Prepare proposals: make the predictions of what a pull request adds to `submissions`, for others to score.

A proposal is a folder `submissions/<name>` with `about.toml` and either `predictions.csv` or `model.py`. It is scored
in two parts that share only an archive. This part may run the proposer's code: it must have access to no secret, and
the archive that it leaves is not trusted. `pull_request_score` has the labels and the permission to comment: it
validates the archive as untrusted data and runs nothing in it.

    python -m leaderboard.submissions.pull_request_prepare --base COMMIT --out FOLDER   proposals added since a commit
    python -m leaderboard.submissions.pull_request_prepare FOLDER.. --out FOLDER        these
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from asugnn.errors import InputError
from asugnn.reading import read_toml, reading
from leaderboard._util import one_line
from leaderboard.data import Task, parse_task
from leaderboard.records import Run, row_name

PROPOSALS_FOLDER = "submissions"
LONGEST_NAME = 40
PROPOSAL_NAME = re.compile(rf"(?![a-z0-9-]{{{LONGEST_NAME + 1}}})[a-z0-9](-?[a-z0-9])*")
MOST_PROPOSALS = 5  # proposals in a pull request, and tasks of a proposal
ENTRY_NAME = re.compile(
    rf"{PROPOSAL_NAME.pattern}/(fault\.txt|[0-{MOST_PROPOSALS - 1}]/(about\.json|predictions\.csv))"
)  # of a file in the folder that is written
SIZE_LIMITS = {"about.toml": 10_000, "predictions.csv": 20_000_000, "model.py": 200_000, "README.md": 200_000}  # bytes
TRAINING_SECONDS = 3600  # limit for a model on all its tasks
MESSAGE_LENGTH = 2000  # characters of an error message that are passed on
PASSED_VARIABLES = (
    "PATH",
    "LANG",
    "BENCH_DATA",
    "OMP_NUM_THREADS",
    "PYTHONPATH",
)  # environment variables that the proposer's code gets


@dataclass(frozen=True)
class Proposal:
    """A proposal in a folder. `model` is the class in its model.py, and empty for predictions."""

    folder: Path
    tasks: tuple[Task, ...]
    fold: int
    model: str

    @property
    def name(self) -> str:
        """The name of the row: that of the folder."""
        return self.folder.name


def read_proposal(folder: Path) -> Proposal:
    """Read the proposal in a folder without running any of it; raises `InputError` for the first fault."""
    if not PROPOSAL_NAME.fullmatch(folder.name):
        raise InputError(
            f"the folder '{folder.name[:60]}' needs a name of up to {LONGEST_NAME} small letters, digits and single "
            "hyphens"
        )
    files = {file.name: file.lstat() for file in sorted(folder.iterdir())} if _is_kind(folder, stat.S_ISDIR) else {}
    if not files:
        raise InputError(f"{PROPOSALS_FOLDER}/{folder.name} is not a folder with files")
    for name, status in files.items():
        if name not in SIZE_LIMITS:
            raise InputError(f"there is a file '{name}': leave only {', '.join(SIZE_LIMITS)}")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is not a regular file")
        if status.st_size > SIZE_LIMITS[name]:
            raise InputError(f"{name} has {status.st_size:,} bytes, more than {SIZE_LIMITS[name]:,}")
    if "about.toml" not in files:
        raise InputError("about.toml is missing: it names the task")
    if ("predictions.csv" in files) == ("model.py" in files):
        raise InputError("there must be either predictions.csv or model.py")
    return _read_about(folder, "model.py" in files)


def _read_about(folder: Path, has_model: bool) -> Proposal:
    """Read about.toml: `task`, a name or for a model a list; optionally `fold`; for a model `model`, its class."""
    with reading(Path("about.toml"), "TOML"):
        about = read_toml(folder / "about.toml")
    if unknown := sorted(about.keys() - {"task", "fold", "model"}):
        raise InputError(f"about.toml has an unknown entry '{unknown[0]}': it takes task, fold and model")
    task, fold, model = about.get("task"), about.get("fold", 0), about.get("model", "")
    names = task if isinstance(task, list) else [task]
    if not names or len(names) > MOST_PROPOSALS or not all(isinstance(name, str) for name in names):
        raise InputError(f"about.toml needs task: the name of a task, or for a model a list of up to {MOST_PROPOSALS}")
    if not has_model and len(names) > 1:
        raise InputError("predictions.csv holds one task: make a folder for each task")
    if type(fold) is not int or not 0 <= fold <= 9:
        raise InputError("fold in about.toml must be a whole number from 0 to 9")
    if not isinstance(model, str) or model.isidentifier() != has_model:
        raise InputError(
            "model in about.toml must be the name of the class in model.py, and is left out without model.py"
        )
    return Proposal(folder, tuple(parse_task(name) for name in dict.fromkeys(names)), fold, model)


def added_proposals(base: str, repository: Path) -> list[Path]:
    """List the folders of proposals in which files were added or changed since a commit; raises `InputError`."""
    command = ["git", "diff", "-z", "--no-renames", "--diff-filter=AMT", "--name-only", "--end-of-options"]
    done = subprocess.run(
        [*command, f"{base}...HEAD", "--", PROPOSALS_FOLDER], cwd=repository, capture_output=True, check=False
    )
    if done.returncode:
        raise InputError(f"git cannot list the changes since '{base}': {done.stderr.decode(errors='replace').strip()}")
    files = [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
    return [
        repository / PROPOSALS_FOLDER / name for name in dict.fromkeys(f.parts[1] for f in files if len(f.parts) > 2)
    ]


def prepare_proposals(folders: Sequence[Path], out: Path) -> dict[str, str]:
    """Write the predictions of every proposal; return an error message for each that failed, by name.

    `out/<name>/<number of the task>` gets predictions.csv, and about.json with task and fold. For a proposal that
    failed the message is in `out/<name>/fault.txt`. Earlier proposals in `out` are removed. Raises `InputError` for too
    many proposals, and where `out` holds anything else.
    """
    if len(folders) > MOST_PROPOSALS:
        raise InputError(f"there are {len(folders)} proposals: a pull request may have up to {MOST_PROPOSALS}")
    _remove_earlier(out)
    out.mkdir(parents=True, exist_ok=True)
    faults = {}
    names = {folder.name for folder in folders}
    for i, folder in enumerate(dict.fromkeys(folders)):
        name = folder.name
        if not PROPOSAL_NAME.fullmatch(name):
            name = next(f"unnamed-{k}" for k in range(i, i + len(names) + 1) if f"unnamed-{k}" not in names)
            names.add(name)
        destination = out / name
        destination.mkdir(exist_ok=True)
        try:
            _prepare_proposal(read_proposal(folder), destination)
        except (InputError, OSError) as error:
            faults[name] = str(error)
            (destination / "fault.txt").write_text(str(error)[-MESSAGE_LENGTH:], encoding="utf-8", errors="replace")
    return faults


def _remove_earlier(out: Path) -> None:
    """Remove the proposals that an earlier call has left in a folder; raises `InputError` for anything else there."""
    if not os.path.lexists(out):
        return
    if not _is_kind(out, stat.S_ISDIR):
        raise InputError(f"{out} is not a folder: choose another --out")
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if not (_is_kind(path, stat.S_ISDIR) or (_is_kind(path, stat.S_ISREG) and ENTRY_NAME.fullmatch(name))):
            raise InputError(f"{out} holds '{name}', which no earlier call has left there: choose another --out")
    for path in out.iterdir():
        shutil.rmtree(path)


def _prepare_proposal(proposal: Proposal, destination: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = _train_model(proposal, Path(scratch)) if proposal.model else [proposal.folder / "predictions.csv"]
        for i, (task, file) in enumerate(zip(proposal.tasks, files, strict=True)):
            if not _is_kind(file, stat.S_ISREG) or file.stat().st_size > SIZE_LIMITS["predictions.csv"]:
                raise InputError(
                    f"{task.name}: predictions.csv is missing or larger than {SIZE_LIMITS['predictions.csv']:,} bytes"
                )
            (destination / str(i)).mkdir()
            shutil.copyfile(file, destination / str(i) / "predictions.csv", follow_symlinks=False)
            about = {"task": task.name, "fold": proposal.fold}
            (destination / str(i) / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _train_model(proposal: Proposal, scratch: Path) -> list[Path]:
    """Train a model in a process of its own, which gets a copy of model.py and few environment variables."""
    shutil.copyfile(proposal.folder / "model.py", scratch / "model.py", follow_symlinks=False)
    words = ["--model", f"model.py:{proposal.model}", "--task", ",".join(task.name for task in proposal.tasks)]
    command = [sys.executable, "-m", "leaderboard.cli", "run", *words, "--fold", str(proposal.fold), "--device", "cpu"]
    passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    own = {"HOME": str(scratch), "BENCH_CACHE": str(scratch / "cache"), "TMPDIR": str(scratch)}
    with (scratch / "log").open("w+b") as log:
        # A process group of its own, so that the processes it starts are ended with it, unless they leave the group.
        process = subprocess.Popen(
            command, cwd=scratch, env={**passed, **own}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(TRAINING_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"training took longer than {TRAINING_SECONDS:,} seconds") from error
        finally:
            _end_process(process)
        log.seek(max(0, log.seek(0, os.SEEK_END) - MESSAGE_LENGTH))
        printed = log.read().decode("utf-8", errors="replace")
    if status:
        raise InputError(f"model.py:{proposal.model} could not be trained; the end of what was printed:\n{printed}")
    name = row_name(f"model.py:{proposal.model}", {})
    runs = [Run(task, "quick", name, proposal.fold, 0) for task in proposal.tasks]
    return [run.folder(scratch / "runs") / "predictions.csv" for run in runs]


def _end_process(process: subprocess.Popen[Any]) -> None:
    """End a process and those of its process group; what has left the group ends with the machine of the workflow."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _is_kind(path: Path, kind: Any) -> bool:
    """Whether a path is of a kind itself, not by a link: `kind` is a test such as `stat.S_ISREG`."""
    try:
        return bool(kind(path.lstat().st_mode))
    except OSError:
        return False


def main(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders of proposals.")] = None,
    base: Annotated[str, typer.Option(help="Take the proposals that were added since this commit.")] = "",
    out: Annotated[Path, typer.Option(help="Folder to write into; the workflow uploads it.")] = Path("proposed"),
) -> None:
    """Make the predictions of the proposals in a pull request. This runs the proposer's code."""
    chosen: Iterable[Path] = [*(folders or []), *(added_proposals(base, Path.cwd()) if base else [])]
    faults = prepare_proposals([folder.absolute() for folder in chosen], out)
    for name, fault in faults.items():
        typer.echo(f"{name}: {one_line(fault)}", err=True)  # no line of its own: a workflow obeys some
    if faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
