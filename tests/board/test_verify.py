"""What `verify` says of runs that were made from something else."""

import json
import shutil
from pathlib import Path

import pytest

from leaderboard.board.verify import verify_runs
from leaderboard.cli.report import verify
from leaderboard.data import PACKAGE
from leaderboard.records.run_folder import list_runs, open_run
from leaderboard.records.run_record import record_text
from leaderboard.records.write_run import write_record

HOME = Path("open-dft/bulk-modulus@random/quick/forest/0-0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stored run, copied."""
    shutil.copytree(PACKAGE / "runs" / HOME, tmp_path / HOME)
    return tmp_path / HOME


def faults(folder: Path) -> list[str]:
    return [fault for checked in verify_runs(folder.parents[4]) for fault in checked.faults]


@pytest.mark.parametrize(
    ("field", "sentence"), [("data", "another version of the data set open-dft"), ("split", "of the split random")]
)
def test_another_version_of_what_a_run_was_made_from_is_named(folder: Path, field: str, sentence: str):
    raw = open_run(folder).record.raw
    write_record(folder, {**raw, field: {**raw[field], "sha256": "0" * 64}})
    (fault,) = faults(folder)
    assert fault.startswith(str(folder))
    assert fault.endswith(sentence)


@pytest.mark.parametrize("field", ["task", "model", "preset", "fold", "seed"])
def test_a_record_of_another_run_is_named_and_has_no_row(folder: Path, field: str):
    other = {"task": "open-dft/metal", "model": "mean", "preset": "hours", "fold": 3, "seed": 7}[field]
    text = record_text({**json.loads((folder / "run.json").read_text()), field: other})
    (folder / "run.json").write_text(text)
    assert any(f"says {field} {other}, and lies where" in fault for fault in faults(folder))
    assert not list_runs(folder.parents[4])[0]


def test_a_row_whose_data_are_missing_is_not_called_recomputed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    row = Path("mp-2018/metal@random/hours/mean/0-0")
    shutil.copytree(PACKAGE / "runs" / row, tmp_path / row)
    verify(tmp_path)
    said = capsys.readouterr()
    assert said.out == "1 run or log matches its files: 0 of them can be recomputed\n"
    assert "not scored: 1; data set mp-2018 is not in the package: name the folder of" in " ".join(said.err.split())
