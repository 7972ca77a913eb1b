"""What a folder of a run holds while another run takes its place."""

from pathlib import Path

import pytest
from made import record_fields

from asugnn import InputError
from leaderboard.data.tasks import parse_task
from leaderboard.records.run_folder import Run, open_run
from leaderboard.records.write_run import check_record, replace_run

RUN = Run(parse_task("open-dft/metal"), "submitted", "theirs", 0, 0)


def put(folder: Path, text: str, announce=lambda: None, **changes: object) -> None:
    replace_run(folder, record_fields(RUN, **changes), lambda path: path.write_text(text), announce)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refuse(*_: object) -> None:
    raise InputError("no")


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": {"predict": -1.0}},
        {"columns": ["id"]},
        {"finished": "x" * 100_000},
        {"published": {"board": "matbench", "entry": "e", "sha256": "0", "stated": {"mae": 1e300}}},
        {"announce": refuse},
    ],
)
def test_a_run_that_is_refused_leaves_the_one_before_as_it_was(changes: dict[str, object], tmp_path: Path):
    folder = RUN.folder(tmp_path)
    put(folder, "first")
    before = content(folder)
    with pytest.raises(InputError):
        put(folder, "second", **changes)
    assert content(folder) == before
    put(folder, "third")
    assert content(folder)["predictions.csv"] == b"third"
    assert open_run(folder).record.files.keys() == {"predictions.csv"}


def test_predictions_that_cannot_be_written_leave_the_run_before_as_it_was(tmp_path: Path):
    folder = RUN.folder(tmp_path)
    put(folder, "first")
    before = content(folder)
    with pytest.raises(InputError):
        replace_run(folder, record_fields(RUN), refuse)
    assert content(folder) == before


def test_a_record_is_announced_once_and_only_if_it_is_valid(tmp_path: Path):
    told: list[str] = []
    with pytest.raises(InputError, match="field 'columns'"):
        put(RUN.folder(tmp_path), "x", lambda: told.append("wrong"), columns=1)
    put(RUN.folder(tmp_path), "x", lambda: told.append("right"))
    assert told == ["right"]


def test_what_is_known_before_a_run_starts_is_checked_then(tmp_path: Path):
    deep: object = 1
    for _ in range(50):
        deep = [deep]
    fields = {name: value for name, value in record_fields(RUN).items() if name != "predictions_sha256"}
    check_record(tmp_path / "new", fields)
    with pytest.raises(InputError, match="field 'settings'"):
        check_record(tmp_path / "new", {**fields, "settings": {"a": deep}})
    assert not (tmp_path / "new").exists()
