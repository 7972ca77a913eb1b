"""Run folders."""

import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import record_fields

from asugnn import InputError
from leaderboard._util.locks import lock_folder
from leaderboard._util.names import SAFE_NAME
from leaderboard.data.tasks import parse_task
from leaderboard.records.run_folder import (
    Run,
    find_run,
    keep_failure,
    list_failures,
    list_runs,
    read_history,
    row_name,
)
from leaderboard.records.submission_log import SubmissionLog
from leaderboard.records.write_run import write_record

RUN = Run(parse_task("open-dft/metal"), "quick", "mean", 0, 3)


def test_the_folder_of_a_run(tmp_path: Path):
    assert RUN.folder(tmp_path) == tmp_path / "open-dft" / "metal@random" / "quick" / "mean" / "0-3"


@given(st.text(max_size=200), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3))
def test_a_name_on_the_board_is_always_fit_for_a_folder(model: str, overrides: dict[str, str]):
    name = row_name(model, overrides)
    assert SAFE_NAME.fullmatch(name) or name.rpartition("-")[2].isalnum()
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert len(name) <= 100


def test_names_on_the_board():
    assert row_name("cgcnn", {}) == "cgcnn"
    assert row_name("cgcnn", {"width": "64", "epochs": "50"}) == "cgcnn+epochs=50+width=64"
    assert row_name("my/model.py:MyModel", {}) == "my.model.MyModel"
    assert row_name("./model.py:MyModel", {}) == "model.MyModel"
    assert row_name("/elsewhere/model.py:MyModel", {}) == "model.MyModel"
    assert row_name("x", {"a": "../.."}) != row_name("x", {"a": "../../.."})


def test_a_complete_run_is_found_again(tmp_path: Path):
    assert find_run(RUN, tmp_path) is None
    write_record(RUN.folder(tmp_path), record_fields(RUN))
    (record,), faults = list_runs(tmp_path)
    assert (record.run, record.record.raw["seed"], faults) == (RUN, 3, [])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seed": 1}', '{"format": 99}', "\udcff"])
def test_a_folder_that_cannot_be_read_is_named_and_hurts_no_other(content: str, tmp_path: Path):
    write_record(RUN.folder(tmp_path), record_fields(RUN))
    bad = tmp_path / "open-dft" / "metal@random" / "quick" / "bad" / "0-0"
    bad.mkdir(parents=True)
    (bad / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    found, faults = list_runs(tmp_path)
    assert [r.run for r in found] == [RUN]
    assert len(faults) == 1
    assert str(bad) in faults[0]
    with pytest.raises(InputError, match=r"run\.json"):
        find_run(Run(RUN.task, "quick", "bad", 0, 0), tmp_path)


def test_folders_of_other_names_are_named(tmp_path: Path):
    stray = tmp_path / "open-dft" / "gap@random" / "quick" / "mean" / "0-0"
    write_record(stray, record_fields(RUN))
    assert "there is no task 'open-dft/gap'" in list_runs(tmp_path)[1][0]


def test_another_spelling_of_a_split_is_no_second_training(tmp_path: Path):
    folder = RUN.folder(tmp_path)
    write_record(folder, record_fields(RUN))
    shutil.copytree(folder, tmp_path / "open-dft" / f"{RUN.task.target.name}@" / Path(*folder.parts[-3:]))
    found, (fault,) = list_runs(tmp_path)
    assert [stored.run for stored in found] == [RUN]
    assert f"the name of their folder must be {RUN.task.target.name}@random" in fault


def test_runs_of_an_imported_data_set_say_once_that_its_folder_must_be_named(tmp_path: Path):
    for seed in range(3):
        folder = tmp_path / "my-crystals" / "gap@random" / "quick" / "mean" / f"0-{seed}"
        write_record(folder, record_fields(RUN))
    runs, (fault,) = list_runs(tmp_path)
    assert not runs
    assert "runs of my-crystals/gap@random cannot be used: data set 'my-crystals' is not known here" in fault
    assert "if it was imported, name the folder of data sets with --data-dir or BENCH_DATA; `bench data" in fault


def test_a_locked_folder_is_refused_until_it_is_free(tmp_path: Path):
    with lock_folder(tmp_path, wait=False) as first:
        assert first
        with lock_folder(tmp_path, wait=False) as second:
            assert not second
    with lock_folder(tmp_path, wait=True) as third:
        assert third


@pytest.mark.parametrize(("before", "last", "flat"), [(1.0, 0.992, True), (1.0, 0.98, False), (1.0, 1.5, True)])
def test_convergence_looks_at_the_last_tenth_of_the_epochs(before: float, last: float, flat: bool, tmp_path: Path):
    """18 epochs, of which twelve learn nothing, then two, of which one gains as much as is given."""
    val = [*[10.0] * 12, *[before] * 6, last, 2.0]
    RUN.folder(tmp_path).mkdir(parents=True)
    (RUN.folder(tmp_path) / "history.csv").write_text("\n".join(["val", *map(str, val)]) + "\n")
    write_record(RUN.folder(tmp_path), record_fields(RUN))
    convergence = list_runs(tmp_path)[0][0].read_convergence()
    assert convergence is not None
    assert (convergence.epochs, convergence.flat) == (20, flat)
    assert convergence.gain == pytest.approx(max(0, 1 - last))


@pytest.mark.parametrize(
    ("val", "flat"), [([1.0], False), ([1.0, 0.5], False), ([1.0, 1.1], True), ([1.0, 0.5, 0.4, 0.3], False),
                      ([math.nan, math.nan, 0.5], False), ([math.nan, math.nan], True), ([0.5, math.nan], True)]
)  # fmt: skip
def test_of_few_epochs_the_last_one_counts(val: list[float], flat: bool, tmp_path: Path):
    RUN.folder(tmp_path).mkdir(parents=True)
    (RUN.folder(tmp_path) / "history.csv").write_text("\n".join(["val", *map(str, val)]) + "\n")
    write_record(RUN.folder(tmp_path), record_fields(RUN))
    convergence = list_runs(tmp_path)[0][0].read_convergence()
    assert convergence is not None
    assert convergence.flat is flat


@pytest.mark.parametrize("field", ["seed", "parameters", "peak_memory_mb", "leaks"])
def test_a_number_beyond_all_others_is_named(field: str, tmp_path: Path):
    """It cannot be converted to a float, so that whatever formats it would fail."""
    fields = {**record_fields(RUN), field: 10**400}
    with pytest.raises(InputError, match=f"field '{field}' is"):
        write_record(RUN.folder(tmp_path), fields)


@pytest.mark.parametrize("text", ["", "epoch,val\n1,x\n", "epoch,val\n1\n", "epoch,val\n1,2\n\0\n", "\xff"])
def test_a_history_that_cannot_be_read_is_named(text: str, tmp_path: Path):
    (tmp_path / "history.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"history\.csv cannot be read as the history of training: "):
        read_history(tmp_path)


@pytest.mark.parametrize("change", [{"task": None}, {"fold": "0"}, {"name": []}, {"metrics": {"mae": "0.1"}}])
def test_a_forged_log_is_read_by_type(change: dict[str, object], tmp_path: Path):
    log = SubmissionLog(tmp_path)
    log.append({"task": "open-dft/metal", "fold": 0, "name": "a", **change})
    with pytest.raises(InputError, match=r"line 1.* was changed"):
        log.count_tries()


def test_a_reason_with_half_a_character_is_kept(tmp_path: Path):
    keep_failure(RUN.folder(tmp_path), "ValueError: boom \ud800")
    assert list_failures(tmp_path) == [(RUN, RUN.folder(tmp_path), "ValueError: boom \\ud800")]
