"""Handing in: the log, the board, a host's private rows, and that `verify` names every file that was changed."""

import csv
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import run_here

from asugnn import InputError
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.score_file import score_file
from leaderboard.board.verify import verify_runs
from leaderboard.cli.app import main
from leaderboard.data.tasks import parse_task
from leaderboard.records.host_solution import COMPETITION_FILE, CompetitionRules, competition_rules
from leaderboard.records.predictions_csv import ColumnNames, read_predictions, write_predictions
from leaderboard.records.run_record import FORMAT
from leaderboard.records.submission_log import LOG_FILE, SubmissionLog
from leaderboard.reports.entry import render_entry, render_place
from leaderboard.reports.terminal import render_board, render_score
from leaderboard.reports.wording import format_interval, format_rank
from leaderboard.running.plan import plan_runs
from leaderboard.scoring import TOO_FAR
from leaderboard.submissions import enter
from leaderboard.submissions.competition import export_competition
from leaderboard.submissions.enter import enter_submission

TASK = parse_task("open-dft/bulk-modulus")


def handed_in(path: Path, noise: float = 0.1, seed: int = 0) -> Path:
    held = load_ground_truth(TASK, 0)
    write_predictions(
        path, held.ids, "bulk-modulus", held.y + np.random.default_rng(seed).normal(0, noise, len(held.y))
    )
    return path


def faults(root: Path) -> list[str]:
    return [fault for checked in verify_runs(root) for fault in checked.faults]


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    root = tmp_path_factory.mktemp("one") / "runs"
    run_here(plan_runs([TASK], ["mean"], "quick", [0], [0], {}), root)
    return root


@pytest.fixture
def root(one_run: Path, tmp_path: Path) -> Path:
    """Two submissions, one of them twice, and a run."""
    root = shutil.copytree(one_run, tmp_path / "runs")
    enter_submission(handed_in(tmp_path / "a.csv"), TASK, "a", 0, root)
    enter_submission(handed_in(tmp_path / "b.csv", 0.3), TASK, "b", 0, root)
    enter_submission(handed_in(tmp_path / "a.csv", 0.05), TASK, "a", 0, root)
    return root


def test_a_submission_is_ranked_with_the_models(root: Path):
    rows, notes = rank_rows(root, [TASK], "quick")
    assert not notes
    assert [r.title for r in rows] == ["a, submitted", "b, submitted", "mean"]
    assert [r.rank for r in rows] == [1, 2, 3]
    assert rows[0].seconds_train is None
    for form in ("table", "markdown", "csv", "json"):
        assert "submitted" in render_board(rows, [TASK], "quick", form, detailed=True)


def test_it_scores_as_bench_score(root: Path, tmp_path: Path):
    scored = score_file(tmp_path / "a.csv", TASK, 0)
    row = next(r for r in rank_rows(root, [TASK], "quick")[0] if r.model == "a")
    assert row.metrics["mae"].value == scored["metrics"]["mae"]["value"]
    assert SubmissionLog(root).entries()[-1]["metrics"]["mae"] == scored["metrics"]["mae"]["value"]


def test_the_log_keeps_every_try(root: Path, tmp_path: Path):
    entries = SubmissionLog(root).entries()
    assert [(e["n"], e["name"]) for e in entries] == [(1, "a"), (2, "b"), (3, "a")]
    assert entries[0]["metrics"]["mae"] > entries[2]["metrics"]["mae"]  # a climbed the hill, and it is seen
    assert enter_submission(handed_in(tmp_path / "a.csv", 0.2), TASK, "a", 0, root)["tries"] == 3
    assert faults(root) == []
    truth = load_ground_truth(TASK, 1)
    write_predictions(tmp_path / "other.csv", truth.ids, "bulk-modulus", truth.y)
    assert enter_submission(tmp_path / "other.csv", TASK, "a", 1, root)["tries"] == 1  # on this fold


def test_an_identical_file_is_no_new_try(root: Path, tmp_path: Path):
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    scored = enter_submission(tmp_path / "a.csv", TASK, "a", 0, root)
    assert (scored["outcome"], scored["tries"]) == ("identical", 2)
    assert "identical to your earlier file: nothing changed" in render_entry(scored, TASK)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    next(root.rglob("submitted/a/*/predictions.csv")).write_text("damaged", encoding="utf-8")
    assert enter_submission(tmp_path / "a.csv", TASK, "a", 0, root)["outcome"] == "first"  # it is restored
    assert faults(root) == []


def test_a_worse_file_does_not_silently_replace_a_better_one(root: Path, tmp_path: Path):
    scored = enter_submission(handed_in(tmp_path / "a.csv", 0.2), TASK, "a", 0, root)
    assert scored["outcome"] == "worse"
    assert "it replaces your better or equal file, MAE 0.0" in render_entry(scored, TASK)
    scored = enter_submission(handed_in(tmp_path / "a.csv", 0.1), TASK, "a", 0, root)
    assert scored["outcome"] == "better"
    rows, _ = rank_rows(root, [TASK], "quick")
    assert {row.model: row.tries for row in rows} == {"a": 4, "b": 1, "mean": None}
    for form in ("table", "markdown"):
        text = render_board(rows, [TASK], "quick", form, detailed=True)
        assert "submissions: the last file of each name counts; tries: a 4, b 1" in text
        assert "public" not in text


def test_what_is_refused_leaves_no_trace(root: Path, tmp_path: Path):
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    (tmp_path / "bad.csv").write_text("id,bulk-modulus\nnobody,1\n", encoding="utf-8")
    for name in ("bad", "../../up", "<b>x</b>", "", "x" * 61, "=cmd", "a/b", ".hidden", "nul\0", "two words"):
        with pytest.raises(InputError):
            enter_submission(tmp_path / ("bad.csv" if name == "bad" else "a.csv"), TASK, name, 0, root)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.csv", "bad.csv", "runs"]


def test_nothing_is_wrong_with_what_was_just_made(root: Path):
    assert faults(root) == []
    assert len(list(verify_runs(root))) == 4  # three runs and the log


def test_one_changed_byte_anywhere_is_found_and_named(root: Path):
    rng = random.Random(0)
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    assert len(files) >= 8
    for file in files:
        content = file.read_bytes()
        for _ in range(12 if file.suffix in {".json", ".jsonl"} else 4):
            at = rng.randrange(len(content))
            changed = bytearray(content)
            changed[at] = (changed[at] + rng.randrange(1, 256)) % 256
            file.write_bytes(bytes(changed))
            found = faults(root)
            assert any(file.name in f or str(file.parent) in f for f in found), (file, at, content[at : at + 1], found)
        file.write_bytes(content)
    assert faults(root) == []


def test_files_that_vanish_or_appear_are_named(root: Path):
    files = sorted(root.rglob("predictions.csv"))
    assert files
    for file in files:
        kept = file.read_bytes()
        file.unlink()
        assert any("predictions.csv" in f for f in faults(root))
        file.write_bytes(kept)
    file = next(root.rglob("run.json"))
    kept = file.read_bytes()
    file.unlink()
    assert any("its run.json is missing" in f for f in faults(root))
    file.write_bytes(kept)
    (file.parent / "more.csv").write_text("x", encoding="utf-8")
    assert any("more.csv was added later" in f for f in faults(root))


def test_an_interrupted_submission_leaves_what_was_on_the_board(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(enter.SubmissionLog, "append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        enter_submission(handed_in(tmp_path / "a.csv", 0.01, seed=5), TASK, "a", 0, root)
    assert [r.model for r in rank_rows(root, [TASK], "quick")[0]] == ["a", "b", "mean"]
    assert faults(root) == []
    monkeypatch.undo()
    assert enter_submission(tmp_path / "a.csv", TASK, "a", 0, root)["tries"] == 3
    assert faults(root) == []


def test_a_shortened_log_is_found(root: Path):
    file = root / LOG_FILE
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")
    assert any("has lost or changed the line" in f for f in faults(root))
    file.unlink()
    assert any("has lost or changed the line" in f for f in faults(root))


def test_nothing_is_added_to_a_log_that_was_changed(root: Path, tmp_path: Path):
    file = root / LOG_FILE
    file.write_text(file.read_text(encoding="utf-8").replace('"b"', '"c"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 3 or the line before it was changed"):
        enter_submission(tmp_path / "a.csv", TASK, "d", 0, root)
    assert not list(root.rglob("submitted/d"))


def test_a_run_that_is_moved_is_named(root: Path):
    home = root / "open-dft" / "bulk-modulus@random" / "quick"
    shutil.copytree(home / "mean", home / "better")
    assert any("says model mean, and lies where better belongs" in f for f in faults(root))


# A host's private rows -----------------------------------------------------------------------------------------------


@pytest.fixture
def solution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    held = load_ground_truth(TASK, 0)
    file = tmp_path / "solution.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["id", "bulk-modulus", "Usage"])
        for i, (name, y) in enumerate(zip(held.ids, held.y, strict=True)):
            writer.writerow([name, float(y) + 1, "Public" if i % 3 == 0 else "Private"])
    file.with_name(COMPETITION_FILE).write_text(json.dumps({"task": TASK.name, "fold": 0}), encoding="utf-8")
    monkeypatch.setenv("BENCH_SOLUTION", str(file))
    return file


@pytest.mark.usefixtures("solution")
def test_public_and_private_rows(root: Path, tmp_path: Path):
    held = load_ground_truth(TASK, 0)
    public, private = (rank_rows(root, [TASK], "quick", private=p)[0] for p in (False, True))
    p = read_predictions(tmp_path / "a.csv", held.ids, "bulk-modulus", "regression")
    error = abs(p - held.y)
    value = {row.model: row.metrics["mae"].value for row in public}["a"]
    assert value == pytest.approx(error[::3].mean(), rel=1e-12)
    value = {row.model: row.metrics["mae"].value for row in private}["a"]
    assert value == pytest.approx(np.delete(error, np.s_[::3]).mean(), rel=1e-12)
    assert public[0].n + private[0].n == len(held.ids)


def test_the_private_score_is_nowhere_to_be_read(solution: Path, tmp_path: Path):
    root = tmp_path / "runs"
    scored = enter_submission(handed_in(tmp_path / "a.csv"), TASK, "a", 0, root)
    held = load_ground_truth(TASK, 0, private=True)
    p = read_predictions(tmp_path / "a.csv", held.ids, "bulk-modulus", "regression")
    hidden = f"{abs(p - held.y)[held.scored].mean():.6f}"[:7]
    everything = "".join(f.read_text(encoding="utf-8") for f in root.rglob("*") if f.is_file()) + str(scored)
    assert hidden not in everything


def test_the_best_file_counts_where_the_host_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export_competition(TASK, 0, tmp_path, True, ColumnNames("id", "bulk-modulus"), "", CompetitionRules("best"))
    stated = json.loads((tmp_path / "host" / COMPETITION_FILE).read_text(encoding="utf-8"))
    assert stated == {"task": TASK.name, "fold": 0, "keep": "best"}
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "host" / "solution.csv"))
    root = tmp_path / "runs"
    outcomes = []
    for noise in (0.2, 0.1, 0.3, 0.3, 0.1, 0.05):
        scored = enter_submission(handed_in(tmp_path / "a.csv", noise), TASK, "a", 0, root)
        outcomes.append((scored["outcome"], scored["tries"]))
        if scored["outcome"] == "stays":
            assert "your earlier file stays on the board, public MAE 0.0" in render_entry(scored, TASK)
    assert outcomes == [("first", 1), ("better", 2), ("stays", 3), ("identical", 3), ("identical", 3), ("better", 4)]
    entries = SubmissionLog(root).entries()
    assert [e.get("on_board", True) for e in entries] == [True, True, False, True]
    (row,), _ = rank_rows(root, [TASK], "quick")
    assert row.metrics["mae"].value == min(e["metrics"]["mae"] for e in entries)
    text = render_board([row], [TASK], "quick", "table", detailed=True)
    assert "submissions: the best file of each name counts; tries: a 4" in text
    assert faults(root) == []


@pytest.mark.usefixtures("solution")
def test_a_file_that_was_wrongly_left_off_the_board_is_found(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    enter_submission(handed_in(tmp_path / "c.csv", 0.3), TASK, "c", 0, root)
    append = SubmissionLog.append
    monkeypatch.setattr(SubmissionLog, "append", lambda log, entry: append(log, {**entry, "on_board": False}))
    enter_submission(handed_in(tmp_path / "c.csv", 0.1), TASK, "c", 0, root)
    assert any("was left off the board, and is better than that on it" in fault for fault in faults(root))


@pytest.mark.usefixtures("solution")
@pytest.mark.parametrize("change", [{"metrics": {}}, {"task": "gone/gap"}])
def test_an_edited_log_has_faults_and_is_no_traceback(
    change: dict[str, object], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    append = SubmissionLog.append
    enter_submission(handed_in(tmp_path / "c.csv", 0.3), TASK, "c", 0, root)
    edited = {**change, "on_board": False}
    monkeypatch.setattr(SubmissionLog, "append", lambda log, entry: append(log, {**entry, **edited}))
    enter_submission(handed_in(tmp_path / "c.csv", 0.4), TASK, "c", 0, root)
    assert isinstance(faults(root), list)


@pytest.mark.usefixtures("solution")
def test_headings_say_public_or_private(root: Path, tmp_path: Path):
    for private, word in ((False, "public"), (True, "private")):
        rows, _ = rank_rows(root, [TASK], "quick", private=private)
        for detailed in (False, True):
            text = render_board(rows, [TASK], "quick", "markdown", detailed)
            assert f"{word} MAE" in text.split("| --- |")[0]
        assert f"{word} test crystals" in text
    scored = enter_submission(handed_in(tmp_path / "a.csv", 0.4), TASK, "a", 0, root)
    assert "public MAE" in render_entry(scored, TASK)
    assert "public MAE" in render_score(scored, TASK)


def test_a_choice_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    export_competition(TASK, 0, tmp_path, True, ColumnNames("id", "bulk-modulus"), "")
    stated = {"task": TASK.name, "fold": 0}
    file = tmp_path / "host" / COMPETITION_FILE
    assert json.loads(file.read_text(encoding="utf-8")) == stated
    file.write_text(json.dumps({**stated, "keep": "worst"}), encoding="utf-8")
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "host" / "solution.csv"))
    with pytest.raises(InputError, match="keep is 'worst', not best or last"):
        load_ground_truth(TASK, 0)


def test_a_solution_is_of_its_own_task_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Band gap and metal have the same test ids: the labels of one must not score the other."""
    metal, gap = parse_task("open-dft/metal"), parse_task("open-dft/band-gap")
    assert load_ground_truth(metal, 0).ids == load_ground_truth(gap, 0).ids
    before = load_ground_truth(gap, 0).y
    export_competition(metal, 0, tmp_path, True, ColumnNames("material_id", "is_metal"), "")
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "host" / "solution.csv"))
    assert load_ground_truth(metal, 0).solution
    assert not load_ground_truth(metal, 0).scored.all()
    assert not load_ground_truth(gap, 0).solution
    assert np.array_equal(load_ground_truth(gap, 0).y, before)
    (tmp_path / "host" / COMPETITION_FILE).unlink()  # with it the rules would be gone, without a word
    for task in (metal, gap):
        with pytest.raises(InputError, match=r"competition\.json is missing: it states the task, fold and rules"):
            load_ground_truth(task, 0)


def test_scores_by_a_solution_are_not_called_wrong_without_it(
    solution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "runs"
    enter_submission(handed_in(tmp_path / "a.csv"), TASK, "a", 0, root)
    assert faults(root) == []
    monkeypatch.delenv("BENCH_SOLUTION")
    checked = list(verify_runs(root))
    assert [fault for one in checked for fault in one.faults] == []
    assert any("and BENCH_SOLUTION does not name it" in note for one in checked for note in one.notes)


def test_private_scores_need_a_solution(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, notes = rank_rows(root, [TASK], "quick", private=True)
    assert "BENCH_SOLUTION" in notes[0]
    (tmp_path / "s.csv").write_text("id,bulk-modulus,Usage\n", encoding="utf-8")
    (tmp_path / COMPETITION_FILE).write_text(json.dumps({"task": "open-dft/metal", "fold": 0}), encoding="utf-8")
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "s.csv"))
    assert load_ground_truth(TASK, 0).solution is None  # that of another task: not used


@pytest.mark.parametrize(("edit", "said"), [
    ("rule", "states 'limits', which is no rule: keep, limit or deadline"),
    ("row", "1 ids are not those of the test set: '.*' has no row"),
    ("id", "1 ids are not those of the test set: '~other' is no test crystal"),
    ("column", "the third column is 'usage'; the first line must be"),
    ("private", "has no Public row: nothing is scored"),
])  # fmt: skip
def test_an_edited_solution_is_not_left_out_in_silence(
    edit: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else all submissions would be scored on all test crystals, without limit and deadline."""
    truth = load_ground_truth(TASK, 0)
    rows = [f"{i},{y},Public" for i, y in zip(truth.ids, truth.y, strict=True)]
    stated = {"task": TASK.name, "fold": 0, ("limits" if edit == "rule" else "limit"): 5}
    header = f"id,bulk-modulus,{'usage' if edit == 'column' else 'Usage'}"
    if edit == "row":
        rows = rows[1:]
    elif edit == "id":
        rows.append("~other,1.0,Public")
    elif edit == "private":
        rows = [row.replace("Public", "Private") for row in rows]
    (tmp_path / "s.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    (tmp_path / COMPETITION_FILE).write_text(json.dumps(stated), encoding="utf-8")
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "s.csv"))
    with pytest.raises(InputError, match=said):
        load_ground_truth(TASK, 0)


def test_a_deadline_keeps_its_seconds():
    assert competition_rules(deadline="2027-01-31T23:59:59+00:00").deadline == "2027-01-31T23:59:59+00:00"
    assert competition_rules(deadline="2027-01-31T18:00+01:00").deadline == "2027-01-31T17:00+00:00"


# The command line ----------------------------------------------------------------------------------------------------


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["bench", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_a_course_hands_in_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(("anna", "bert", "cem")):
        handed_in(tmp_path / f"{name}.csv", 0.1 * (i + 1), i)
    (tmp_path / "bert.csv").write_text("id;bulk-modulus\n", encoding="utf-8")
    files = [f"{name}.csv" for name in ("anna", "bert", "cem")]
    assert run("submit", *files, "--task", TASK.name, monkeypatch=monkeypatch) == 1
    out, err = capsys.readouterr()
    assert "anna on open-dft/bulk-modulus: MAE 0.0" in out
    assert "bert.csv cannot be scored" in err
    assert "1 of 3 files were refused" in err
    assert [r.model for r in rank_rows(Path("runs"), [TASK], "quick")[0]] == ["anna", "cem"]
    assert run("verify", monkeypatch=monkeypatch) == 0
    assert "3 runs and logs match their files" in capsys.readouterr().out
    record = next(Path("runs").rglob("submitted/anna/*/run.json"))
    record.write_text(record.read_text(encoding="utf-8").replace("anna", "anne"), encoding="utf-8")
    assert run("verify", monkeypatch=monkeypatch) == 1
    assert f"FAULT {record} was changed" in capsys.readouterr().out
    assert json.loads(record.read_text(encoding="utf-8"))["format"] == FORMAT


def test_a_limit_and_a_deadline_are_shown_and_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rules = competition_rules("last", 2, "2100-01-31T18:00+01:00")
    export_competition(TASK, 0, tmp_path, True, ColumnNames("id", "bulk-modulus"), "", rules)
    page = (tmp_path / "participants" / "data.md").read_text(encoding="utf-8")
    assert "The last file of each name counts, of up to 2. Deadline: 31 January 2100, 17:00 UTC." in page
    monkeypatch.setenv("BENCH_SOLUTION", str(tmp_path / "host" / "solution.csv"))
    root, file = tmp_path / "runs", tmp_path / "host" / COMPETITION_FILE
    for noise in (0.2, 0.1):
        scored = enter_submission(handed_in(tmp_path / "a.csv", noise), TASK, "a", 0, root)
    assert enter_submission(tmp_path / "a.csv", TASK, "a", 0, root)["outcome"] == "identical"
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="'a' has handed in all 2 files that the host allows: nothing changed"):
        enter_submission(handed_in(tmp_path / "a.csv", 0.05), TASK, "a", 0, root)
    rows, _ = rank_rows(root, [TASK], "quick")
    note = "submissions: the last file of each name counts, of up to 2 a task; deadline 31 January 2100, 17:00 UTC; "
    assert note + "tries: a 2" in render_board(rows, [TASK], "quick", "markdown", detailed=True)
    for tries in (2, 3):  # the limit was lowered
        text = render_place(rows[0], rows, {**scored, "tries": tries}, "bench leaderboard")
        assert "; 0 of 2 files left" in text
    stated = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**stated, "deadline": "2026-01-01T00:00+00:00"}), encoding="utf-8")
    with pytest.raises(InputError, match="the deadline was 1 January 2026, 00:00 UTC: nothing changed"):
        enter_submission(tmp_path / "a.csv", TASK, "b", 0, root)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ({"limit": 0}, "limit is '0', not a whole number from 1 on"),
        ({"limit": True}, "limit is 'True'"),
        ({"limit": "5"}, "limit is '5'"),
        ({"deadline": "2027-01-31T18:00"}, "write date, time and zone"),
        ({"deadline": "soon"}, "deadline is 'soon'"),
        ({"deadline": 7}, "deadline is '7'"),
        ({"deadline": "0001-01-01T00:00+14:00"}, "write date, time and zone"),
    ],
)
def test_rules_that_are_none_are_named(rules: dict[str, object], fault: str):
    with pytest.raises(InputError, match=fault):
        competition_rules(**rules)


def test_after_the_first_upload_one_screen_has_rank_interval_ties_and_the_next_step(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "80")
    file = handed_in(tmp_path / "mine.csv", 0.1, seed=3)
    monkeypatch.setattr("sys.argv", ["bench", "submit", str(file), "--task", TASK.name, "--runs", str(root)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 15
    assert max(map(len, out.splitlines())) <= 80
    rows, _ = rank_rows(root, [TASK], "quick")
    mine = next(row for row in rows if row.model == "mine")
    assert f"rank {format_rank(mine)} of 4" in out
    assert format_interval(mine.metrics["mae"]) in " ".join(out.split())
    assert "significantly worse: b, submitted; mean" in out
    assert "The last file of each name counts" in out
    assert f"next: bench leaderboard --task {TASK.name} --runs" in out
    unranked = render_place(None, rows, {"rules": competition_rules(), "tries": 1}, "bench leaderboard")
    assert unranked.startswith("no rank")
    rules = {"rules": competition_rules(), "tries": 1}
    for reason, told in ((TOO_FAR, "no rank: the mean error"), ("fewer than 30 groups", "no rank: the other rows")):
        value = replace(mine.metrics["mae"], low=None, high=None, reason=reason)
        row = replace(mine, rank=None, metrics={**mine.metrics, "mae": value})
        assert render_place(row, rows, rules, "bench leaderboard").startswith(told)
