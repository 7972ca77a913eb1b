"""Scores kept in the cache folder: the same bits as computed ones, and never those of a file that was changed."""

import json
import os
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from leaderboard.board import score_cache
from leaderboard.board.board import rank_rows
from leaderboard.board.rows import Row
from leaderboard.board.verify import verify_runs
from leaderboard.data import PACKAGE
from leaderboard.data.tasks import parse_task
from leaderboard.records import open_run, run_record, write_record
from leaderboard.site.pages import build_site

TASKS = [parse_task(f"open-dft/{name}") for name in ("bulk-modulus", "metal", "zero-shot")]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stored runs of three tasks, and an empty cache."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for task in TASKS:
        home = Path("open-dft") / f"{task.target.name}@random"
        shutil.copytree(PACKAGE / "runs" / home, tmp_path / "runs" / home)
    return tmp_path / "runs"


def rank(root: Path) -> list[dict]:
    rows, notes = rank_rows(root, TASKS, "quick")
    assert notes == []
    return [asdict(row) for row in rows]


def row_of(root: Path, model: str) -> Row:
    return next(r for r in rank_rows(root, TASKS[:1], "quick")[0] if r.model == model)


def write_constant(file: Path, value: float) -> None:
    """Predict the same for all crystals of a file."""
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *(f"{line.split(',')[0]},{value}" for line in lines)]))


def record_again(file: Path) -> None:
    """State the digests of a run's files as they are now."""
    write_record(file.parent, json.loads((file.parent / "run.json").read_text()))


def forbid_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    def score_runs(*_: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(score_cache, "score_runs", score_runs)


def test_rows_are_the_same_with_and_without_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch):
    computed = rank(root)
    assert any(row["tied_with"] for row in computed)
    with monkeypatch.context() as patch:
        forbid_scoring(patch)
        assert rank(root) == computed
    monkeypatch.setattr(score_cache, "_read_rows", lambda _: {})
    assert rank(root) == computed


def test_influences_keep_their_bits(root: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[list[bytes]] = []

    def rank_models(estimates, higher_is_better):
        seen.append([e.influence.tobytes() for e in estimates.values()])
        return {}

    monkeypatch.setattr("leaderboard.board.board.rank_models", rank_models)
    rank(root)
    first = seen.copy()
    seen.clear()
    forbid_scoring(monkeypatch)
    rank(root)
    assert seen == first


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv"])
def test_a_changed_file_never_shows_an_old_score(root: Path, name: str):
    """Although it has the same size and date as before."""
    for history in root.glob("open-dft/bulk-modulus@random/quick/cgcnn/*/history.csv"):  # of a training that converged
        history.write_text("epoch,val\n" + "".join(f"{epoch},0.5\n" for epoch in range(1, 21)))
        record_again(history)
    before = row_of(root, "cgcnn")
    file = root / "open-dft/bulk-modulus@random/quick/cgcnn/0-0" / name
    stat, lines = file.stat(), file.read_text().splitlines(keepends=True)
    if name == "predictions.csv":  # two crystals change places
        (a, y), (b, z) = (line.split(",") for line in lines[1:3])
        lines[1:3] = [f"{a},{z}", f"{b},{y}"]
    else:
        lines[-1] = lines[-1].replace("0.5", "0.3")  # validation: better than ever, in the last epoch
    file.write_text("".join(lines))
    assert file.stat().st_size == stat.st_size
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    rows, notes = rank_rows(root, TASKS[:1], "quick")
    assert "cgcnn" not in {row.title for row in rows}
    assert f"{name} was changed: its sha256 is not that in run.json" in notes[0]
    record_again(file)
    after = row_of(root, "cgcnn")
    if name == "predictions.csv":
        assert after.metrics["mae"].value != before.metrics["mae"].value
    else:
        assert (before.flat, after.flat) == (True, False)


def test_a_file_that_changes_while_it_is_scored_is_not_kept(root: Path, monkeypatch: pytest.MonkeyPatch):
    file = root / "open-dft/bulk-modulus@random/quick/forest/0-0/predictions.csv"
    original, score_runs = file.read_bytes(), score_cache.score_runs
    right = row_of(root, "forest").metrics
    shutil.rmtree(root.parent / "cache")

    def change_then_score(task, runs, truths):
        write_constant(file, 1.0)
        record_again(file)
        stored = open_run(file.parent)
        runs = [replace(r, record=stored.record) if r.folder == stored.folder else r for r in runs]
        return score_runs(task, runs, truths)

    with monkeypatch.context() as patch:
        patch.setattr(score_cache, "score_runs", change_then_score)
        assert row_of(root, "forest").metrics != right
    file.write_bytes(original)
    record_again(file)
    assert row_of(root, "forest").metrics == right


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "byte", "pickle", "shape"])
def test_damaged_files_are_ignored_and_made_again(root: Path, damage: str, monkeypatch: pytest.MonkeyPatch):
    right = rank(root)
    files = sorted((root.parent / "cache" / "scores").glob("*.npz"))
    assert len(files) == len(TASKS)
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        if damage == "pickle":
            np.savez(file, text=np.array([{"a": 1}], dtype=object), influence=np.zeros(3))
        elif damage == "shape":
            np.savez(file, text=np.frombuffer(b'[["key", "{}", 7], 3]', np.uint8), influence=np.zeros(3))
        else:
            file.write_bytes({"empty": b"", "cut": content[:500], "other": b"PK\x03\x04", "byte": content}[damage])
    assert rank(root) == right
    forbid_scoring(monkeypatch)
    assert rank(root) == right


def test_a_row_that_no_longer_fits_its_layout_is_computed(root: Path, monkeypatch: pytest.MonkeyPatch):
    right = rank(root)
    read_rows = score_cache._read_rows
    monkeypatch.setattr(
        score_cache, "_read_rows", lambda file: {k: ('{"n": 3}', part) for k, (_, part) in read_rows(file).items()}
    )
    assert rank(root) == right


def test_other_code_makes_other_keys(root: Path, monkeypatch: pytest.MonkeyPatch):
    rank(root)
    monkeypatch.setattr(score_cache, "_code_sha256", lambda: "another")
    forbid_scoring(monkeypatch)
    with pytest.raises(AssertionError, match="scored again"):
        rank(root)


def test_a_cache_that_cannot_be_written_hurts_nobody(root: Path, monkeypatch: pytest.MonkeyPatch):
    right = rank(root)
    (root.parent / "file").write_text("")
    monkeypatch.setenv("BENCH_CACHE", str(root.parent / "file"))
    assert rank(root) == right


def test_rows_of_other_folders_stay_while_there_is_room(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    right = rank(root)
    one = Path("open-dft/bulk-modulus@random/quick/mean")
    shutil.copytree(root / one, tmp_path / "few" / one)
    file = tmp_path / "few" / one / "0-0" / "predictions.csv"
    write_constant(file, 1.5)
    record_again(file)
    assert len(rank_rows(tmp_path / "few", TASKS, "quick")[0]) == 1
    with monkeypatch.context() as patch:
        forbid_scoring(patch)
        assert rank(root) == right
    monkeypatch.setattr(score_cache, "LARGEST", 0)
    write_constant(file, 1.6)
    record_again(file)
    assert len(rank_rows(tmp_path / "few", TASKS, "quick")[0]) == 1
    forbid_scoring(monkeypatch)
    with pytest.raises(AssertionError, match="scored again"):
        rank(root)


def test_verify_never_looks_there(root: Path, monkeypatch: pytest.MonkeyPatch):
    rank(root)

    def read(*_: object) -> None:
        raise AssertionError("read the cache")

    monkeypatch.setattr(score_cache.ScoreCache, "__init__", read)
    monkeypatch.setattr(score_cache.np, "load", read)
    assert [fault for checked in verify_runs(root) for fault in checked.faults] == []


@pytest.mark.parametrize("command", ["leaderboard", "site", "verify"])
def test_each_record_is_read_once(root: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    count: Counter[Path] = Counter()
    read_json = run_record.read_json

    def counted(file: Path, what: str, hint: str = "") -> dict:
        count[file] += 1
        return read_json(file, what, hint)

    monkeypatch.setattr(run_record, "read_json", counted)
    if command == "leaderboard":
        rank(root)
    elif command == "site":
        build_site(root, tmp_path / "site")
    else:
        list(verify_runs(root))
    assert set(count.values()) == {1}
    assert len(count) == len(list(root.rglob("run.json")))
