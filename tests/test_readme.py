"""README says what is true today."""

import re
import subprocess
import sys
from pathlib import Path

from leaderboard.board.verify import verify_runs
from leaderboard.data.registry import PACKAGE
from leaderboard.running.model_contract import check_model, failed_findings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_board_is_the_stored_one(tmp_path: Path):
    shown = re.search(r"<!-- board: bench (.*) -->\n(.*)<!-- end -->", README, re.DOTALL)
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
