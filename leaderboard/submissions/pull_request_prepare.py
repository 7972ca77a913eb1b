"""Proposals: predictions or a model that somebody adds to the repository in a pull request.

A proposal is a folder `submissions/<name>` with `about.toml` and either `predictions.csv` or `model.py`. Its way to a
score has two parts that share nothing but an archive. `prepare`, here, may run the proposer's code: nothing secret may
be in its reach, and what it leaves behind proves nothing. `pull_request_score` holds the labels and the right to
comment: it takes the archive as a stranger's data, and runs none of it.

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
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from asugnn.errors import InputError
from leaderboard.data import Task, parse_task
from leaderboard.records import Run, row_name

HOME = "submissions"
NAME = re.compile(r"[a-z0-9](-?[a-z0-9]){0,39}")
MOST = 5  # proposals of one pull request, and tasks of one proposal
SIZES = {"about.toml": 10_000, "predictions.csv": 20_000_000, "model.py": 200_000, "README.md": 200_000}  # bytes
SECONDS = 3600  # that a model may train on all its tasks
TOLD = 2000  # characters of what went wrong that are passed on
KEPT = ("PATH", "LANG", "BENCH_DATA", "OMP_NUM_THREADS", "PYTHONPATH")  # of the environment, for the proposer's code


@dataclass(frozen=True)
class Proposal:
    """What a folder proposes. `model` is the class in its model.py, and empty for predictions."""

    folder: Path
    tasks: tuple[Task, ...]
    fold: int
    model: str

    @property
    def name(self) -> str:
        """That of the folder."""
        return self.folder.name


def read_proposal(folder: Path) -> Proposal:
    """The proposal in a folder, none of which is run; raises `InputError` with the first thing that is wrong."""
    if not NAME.fullmatch(folder.name):
        raise InputError(f"the folder '{folder.name[:60]}' needs a name of small letters, digits and single hyphens")
    found = {file.name: file.lstat() for file in sorted(folder.iterdir())} if _is_kind(folder, stat.S_ISDIR) else {}
    if not found:
        raise InputError(f"{HOME}/{folder.name} is no folder with files")
    for name, about in found.items():
        if name not in SIZES:
            raise InputError(f"there is a file '{name}': leave only {', '.join(SIZES)}")
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{name} is a link or no plain file")
        if about.st_size > SIZES[name]:
            raise InputError(f"{name} has {about.st_size:,} bytes, more than {SIZES[name]:,}")
    if "about.toml" not in found:
        raise InputError("there is no about.toml, which says the task")
    if ("predictions.csv" in found) == ("model.py" in found):
        raise InputError("there must be either predictions.csv or model.py")
    return _read_about(folder, "model.py" in found)


def _read_about(folder: Path, has_model: bool) -> Proposal:
    """about.toml: `task`, a text or for a model a list; perhaps `fold`; for a model `model`, its class."""
    try:
        about = tomllib.loads((folder / "about.toml").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"about.toml is not TOML: {error}") from error
    if unknown := sorted(about.keys() - {"task", "fold", "model"}):
        raise InputError(f"about.toml has '{unknown[0]}', and takes task, fold and model")
    asked, fold, model = about.get("task"), about.get("fold", 0), about.get("model", "")
    names = asked if isinstance(asked, list) else [asked]
    if not names or len(names) > MOST or not all(isinstance(name, str) for name in names):
        raise InputError(f"about.toml needs task, the name of a task, or for a model a list of no more than {MOST}")
    if not has_model and len(names) > 1:
        raise InputError("predictions.csv is of one task: take a folder for each")
    if type(fold) is not int or not 0 <= fold <= 9:
        raise InputError("fold in about.toml must be a whole number from 0")
    if not isinstance(model, str) or model.isidentifier() != has_model:
        raise InputError("about.toml needs model, the name of the class in model.py, and without that file none")
    return Proposal(folder, tuple(parse_task(name) for name in dict.fromkeys(names)), fold, model)


def added_proposals(base: str, repository: Path) -> list[Path]:
    """The folders of proposals in which a file was added or changed between a commit and what is checked out."""
    command = ["git", "diff", "-z", "--no-renames", "--diff-filter=AMT", "--name-only", "--end-of-options"]
    done = subprocess.run([*command, f"{base}...HEAD", "--", HOME], cwd=repository, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"git knows no changes since '{base}': {done.stderr.decode(errors='replace').strip()}")
    files = [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
    return [repository / HOME / name for name in dict.fromkeys(f.parts[1] for f in files if len(f.parts) > 2)]


def prepare_proposals(folders: Sequence[Path], out: Path) -> dict[str, str]:
    """Make predictions of every proposal, in `out/<name>/<number of the task>`; returns what failed, by name.

    Beside predictions.csv lies about.json with task and fold; of what failed, `out/<name>/fault.txt`.
    """
    if len(folders) > MOST:
        raise InputError(f"{len(folders)} proposals at once: no more than {MOST}")
    faults = {}
    for i, folder in enumerate(folders):
        name = folder.name if NAME.fullmatch(folder.name) else f"unnamed-{i}"
        home = out / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        try:
            _prepare(read_proposal(folder), home)
        except (InputError, OSError) as error:
            faults[name] = str(error)
            (home / "fault.txt").write_text(str(error)[-TOLD:], encoding="utf-8", errors="replace")
    return faults


def _prepare(proposal: Proposal, home: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = _train_model(proposal, Path(scratch)) if proposal.model else [proposal.folder / "predictions.csv"]
        for i, (task, file) in enumerate(zip(proposal.tasks, files, strict=True)):
            if not _is_kind(file, stat.S_ISREG) or file.stat().st_size > SIZES["predictions.csv"]:
                raise InputError(f"{task.name}: there are no predictions, or too many bytes of them")
            (home / str(i)).mkdir()
            shutil.copyfile(file, home / str(i) / "predictions.csv", follow_symlinks=False)
            about = {"task": task.name, "fold": proposal.fold}
            (home / str(i) / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _train_model(proposal: Proposal, scratch: Path) -> list[Path]:
    """Train a model in a process of its own, which sees a copy of model.py and next to nothing of the environment."""
    shutil.copyfile(proposal.folder / "model.py", scratch / "model.py", follow_symlinks=False)
    words = ["--model", f"model.py:{proposal.model}", "--task", ",".join(task.name for task in proposal.tasks)]
    command = [sys.executable, "-m", "leaderboard.cli", "run", *words, "--fold", str(proposal.fold), "--device", "cpu"]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = {"HOME": str(scratch), "BENCH_CACHE": str(scratch / "cache"), "TMPDIR": str(scratch)}
    with (scratch / "log").open("w+b") as log:
        # A process group of its own, so that what it has started can be ended with it.
        running = subprocess.Popen(
            command, cwd=scratch, env={**kept, **own}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            status = running.wait(SECONDS)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"training took longer than {SECONDS:,} seconds") from error
        finally:
            _end_process(running)
        log.seek(max(0, log.seek(0, os.SEEK_END) - TOLD))
        said = log.read().decode("utf-8", errors="replace")
    if status:
        raise InputError(f"model.py:{proposal.model} could not be trained; the end of what was printed:\n{said}")
    name = row_name(f"model.py:{proposal.model}", {})
    runs = [Run(task, "quick", name, proposal.fold, 0) for task in proposal.tasks]
    return [run.folder(scratch / "runs") / "predictions.csv" for run in runs]


def _end_process(running: subprocess.Popen[Any]) -> None:
    """End a process and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _is_kind(path: Path, kind: Any) -> bool:
    """Whether there is something of a kind at a path, and not merely a link to it."""
    try:
        return bool(kind(path.lstat().st_mode))
    except OSError:
        return False


def main(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders of proposals.")] = None,
    base: Annotated[str, typer.Option(help="Take the proposals that were added since this commit.")] = "",
    out: Annotated[Path, typer.Option(help="Folder to write into; upload it whole.")] = Path("proposed"),
) -> None:
    """Make predictions of the proposals in a pull request, for others to score. Runs the proposer's code."""
    chosen: Iterable[Path] = [*(folders or []), *(added_proposals(base, Path.cwd()) if base else [])]
    faults = prepare_proposals([folder.absolute() for folder in chosen], out)
    for name, fault in faults.items():
        typer.echo(f"{name}: {fault}", err=True)
    if faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
