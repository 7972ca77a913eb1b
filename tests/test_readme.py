"""README says what is true today, and every command that a page or a help text shows can be typed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from asugnn.errors import InputError
from leaderboard.board.verify import verify_runs
from leaderboard.cli import app
from leaderboard.cli.app import USAGE_ERROR
from leaderboard.cli.options import parse_tasks
from leaderboard.data.registry import PACKAGE
from leaderboard.running.model_contract import check_model, failed_findings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_board_is_the_stored_one(tmp_path: Path):
    page = (ROOT / "docs" / "quick-board.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- board: bench (.*) -->\n(.*)<!-- end -->", page, re.DOTALL)
    assert shown
    command = [sys.executable, "-m", "leaderboard.cli", *shown[1].split()]  # in a folder without runs of its own
    board = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert board.stderr == ""
    assert board.stdout.strip() == shown[2].strip()


def test_the_stored_runs_fit_their_files():
    """Every row that ships with the package can be recomputed; of data that cannot be shipped, as far as files go."""
    checked = list(verify_runs(PACKAGE / "runs"))
    assert len(checked) >= 35
    assert [fault for run in checked for fault in run.faults] == []


def test_the_model_in_it_keeps_the_contract(tmp_path: Path):
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code
    (tmp_path / "my_model.py").write_text(code[1])
    assert failed_findings(list(check_model(f"{tmp_path / 'my_model.py'}:Nearest"))) == []


BENCH = typer.main.get_command(app)
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name / "README.md" for name in ("splits", "submissions")),
]


def commands_in(text: str) -> Iterator[tuple[str, bool]]:
    """The `bench` commands of a page, without what a shell adds, and whether they stand in a sentence or table."""
    inline = re.findall(r"`(?:\.venv/bin/)?(bench [^`]+)`", text)
    lines = re.findall(r"^(?: {4}|\$ )?(?:.*&& )?(?:\.venv/bin/)?(bench .*)$", text, re.MULTILINE)
    for command in inline + lines:
        yield re.split(r"\s(?:#|&&|\||>)", command)[0].replace("[", "").replace("]", ""), command in inline


def parse_command(text: str) -> None:
    """Parse a command as the command line does, without running it; raises what the command line would."""
    command, words = BENCH, shlex.split(text)[1:]
    context = None
    while hasattr(command, "commands"):
        with command.make_context("bench", words[:1], parent=context, ignore_unknown_options=True) as context:
            _, command, _ = command.resolve_command(context, words)
        words = words[1:]
    with command.make_context(text, words, parent=context) as inner:
        values = inner.params
        if isinstance(values.get("task"), str) and "T" not in values["task"].split(","):
            parse_tasks(values.get("suite") or "open-dft", values["task"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_can_be_typed(page: Path):
    for command, inline in commands_in(page.read_text(encoding="utf-8")):
        try:
            parse_command(command)
        except USAGE_ERROR as error:
            named = inline and type(error).__name__ == "MissingParameter"  # a sentence about `bench score`
            assert named, f"{command}: {error.format_message()}"


SESSIONS = set(
    re.findall(r'^@nox\.session(?:\(name="([\w-]+)"\))?\ndef (\w+)', (ROOT / "noxfile.py").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_session_and_program_of_a_page_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    sessions = {given or name for given, name in SESSIONS}
    assert set(re.findall(r"nox -s ([\w-]+)", text)) <= sessions
    programs = re.findall(r"\bpython ((?:recipes|benchmarks|docs)/\S+\.py)", text)
    assert [name for name in programs if not (ROOT / name).is_file()] == []


def test_the_file_for_a_cloud_has_a_command_that_can_be_typed():
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found
    task = yaml.safe_load(found[1])
    ((command, _),) = commands_in(task["run"])
    parse_command(command)
    assert command.split()[-1] in task["file_mounts"], "the runs are in the bucket"
    assert (ROOT / task["setup"]).is_file()


def test_the_table_of_what_to_type_is_whole_commands():
    commands = [command for command, _ in commands_in((ROOT / "docs" / "how-to.md").read_text(encoding="utf-8"))]
    assert len(commands) >= 24
    for command in commands:
        parse_command(command)


@pytest.mark.parametrize(
    "command",
    [
        "bench rum --model mean",
        "bench run --models mean",
        "bench score x.csv",
        "bench errors --task open-dft/metal --by colour",
        "bench data audits open-dft",
        "bench score x.csv --task open-dft/metall",
    ],
)
def test_a_command_that_cannot_be_typed_is_seen(command: str):
    with pytest.raises((USAGE_ERROR, InputError)):
        parse_command(command)
