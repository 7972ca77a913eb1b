"""The trusted half of a proposal's way: an archive of a stranger's, and what is said of it in public."""

import contextlib
import lzma
import os
import re
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
import typer
from hostile_archives import hostile_archives
from hypothesis import given
from hypothesis import strategies as st
from made import run_here
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from asugnn.errors import InputError
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.running.plan import plan_runs
from leaderboard.submissions import pull_request_score
from leaderboard.submissions.enter import enter_submission
from leaderboard.submissions.pull_request_score import (
    COMMENT_MARK,
    _join_comment,
    main,
    quote_as_code,
    score_proposals,
    unpack_archive,
)

COMMAND = typer.Typer()
COMMAND.command()(main)
EVIL = "<img src=x onerror=alert(1)> @everyone [here](http://evil.example) ```` #1 \u202e"


def packed(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    "name",
    ["../a/0/predictions.csv", "/a/0/predictions.csv", "a/0/../../b", "a/9/predictions.csv", "a/0/predictions.csv/",
     "a\\0\\predictions.csv", "A/0/predictions.csv", "a/0/predictions.csv\n", "a/0/model.py", "predictions.csv", "C:/a",
     "a/0/about.json\u202e"],
)  # fmt: skip
def test_an_entry_out_of_place_refuses_the_archive(name: str, tmp_path: Path):
    archive = packed(tmp_path / "a.zip", (name, b""), ("a/0/predictions.csv", b""))
    out = tmp_path / "in" / "out"
    out.mkdir(parents=True)
    if name.endswith("/"):
        unpack_archive(archive, out)  # an empty folder is none
    else:
        with pytest.raises(InputError, match="which does not belong in it"):
            unpack_archive(archive, out)
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} <= {"a.zip", "predictions.csv"}
    assert list((tmp_path / "in").iterdir()) == [out]


def test_bombs_links_doubles_and_rubbish_are_refused(tmp_path: Path):
    zeros = bytes(25_000_000)
    bomb = packed(tmp_path / "bomb.zip", ("a/0/predictions.csv", zeros))
    assert bomb.stat().st_size < 100_000
    lying = bytearray(bomb.read_bytes())
    entry = lying.rindex(b"PK\x01\x02")
    lying[entry + 24 : entry + 28] = struct.pack("<I", 10)  # its header says ten bytes
    with pytest.warns(UserWarning, match="Duplicate name"):
        double = packed(tmp_path / "double.zip", ("a/0/about.json", b"1"), ("a/0/about.json", b"2"))
    many = packed(tmp_path / "many.zip", *((f"a/{i}/x", b"") for i in range(200)))
    linked = packed(tmp_path / "linked.zip", (link("a/0/predictions.csv"), b"/etc/passwd"))
    locked = bytearray(packed(tmp_path / "locked.zip", ("a/0/about.json", b"1")).read_bytes())
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    for content, sentence in (
        (bomb.read_bytes(), "is too large"),
        (bytes(lying), "is too large|cannot be read"),
        (double.read_bytes(), "occurs twice"),
        (many.read_bytes(), "it has 200 entries"),
        (linked.read_bytes(), "is a link"),
        (bytes(locked), "encrypted"),
        (b"PK\x03\x04 rubbish", "cannot be read"),
        (bomb.read_bytes()[:-40], "cannot be read"),
        (b"", "cannot be read"),
    ):
        (tmp_path / "x.zip").write_bytes(content)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        (tmp_path / "out").mkdir()
        with pytest.raises(InputError, match=sentence):
            unpack_archive(tmp_path / "x.zip", tmp_path / "out")
        assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) < 21_000_000


def test_all_entries_together_are_limited_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pull_request_score, "UNPACKED_BYTES", 1000)
    entries = [(f"a/{i}/predictions.csv", bytes(400)) for i in range(3)]
    unpack_archive(packed(tmp_path / "two.zip", *entries[:2]), tmp_path / "two")
    with pytest.raises(InputError, match=r"'a/2/predictions.csv' is too large"):
        unpack_archive(packed(tmp_path / "three.zip", *entries), tmp_path / "three")


def test_the_comment_shows_no_submission_of_others_and_changes_no_run(tmp_path: Path):
    task, runs = parse_task("open-dft/bulk-modulus"), tmp_path / "runs"
    run_here(plan_runs([task], ["mean"], "quick", [0], [0], {}), runs)
    truth = load_ground_truth(task, 0)
    for name, offset in (("secret", 0.01), ("mine", 0.5)):
        write_predictions(tmp_path / f"{name}.csv", truth.ids, "bulk-modulus", truth.y + offset)
    enter_submission(tmp_path / "secret.csv", task, "secret", 0, runs)
    before = {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    entry = tmp_path / "proposed" / "mine" / "0"
    entry.mkdir(parents=True)
    (entry / "about.json").write_text('{"task": "open-dft/bulk-modulus", "fold": 0}')
    shutil.copy(tmp_path / "mine.csv", entry / "predictions.csv")
    comment = score_proposals(tmp_path / "proposed", runs)
    assert "**`mine`**, submitted" in comment
    assert "| mean |" in comment
    assert "secret" not in comment
    assert {path: path.read_bytes() for path in runs.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "about",
    ["", "[]", "{}", '{"task": "open-dft/metal"}', '{"task": "../x", "fold": 0}',
     '{"task": "open-dft/metal", "fold": 1e999}', '{"task": "open-dft/metal", "fold": 7}', "[" * 900,
     '{"task": ["a"], "fold": []}', '{"task": "@everyone", "fold": 0}'],
)  # fmt: skip
def test_what_is_said_of_bad_entries_is_code(about: str, tmp_path: Path):
    entry = tmp_path / "a" / "0"
    entry.mkdir(parents=True)
    (entry / "about.json").write_text(about)
    (entry / "predictions.csv").write_text(f"id,metal\n{EVIL},1\n")
    comment = score_proposals(tmp_path, tmp_path / "no-runs")
    assert "It could not be scored:" in comment
    assert str(tmp_path) not in comment
    html = MarkdownIt("gfm-like", {"linkify": False}).render(comment)
    assert "@" not in re.sub(r"<code[^>]*>.*?</code>", "", html, flags=re.DOTALL)


PIECES = ("```", "````", "~~~", "\n", "\r", "\u2028", " ", "<a>", "@a")


@given(st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_strangers_words_are_one_block_of_code_and_nothing_else(text: str):
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"before\n\n{quote_as_code(text)}\n\nafter\n")
    assert [t.type for t in tokens if t.level == 0] == [
        "paragraph_open", "paragraph_close", "fence", "paragraph_open", "paragraph_close",
    ]  # fmt: skip
    assert all(c.isprintable() or c == "\n" for c in tokens[3].content)


@given(st.lists(st.tuples(st.text("ab/.\\0123", max_size=12), st.binary(max_size=20)), max_size=6))
def test_no_archive_writes_outside_its_folder(tmp_path_factory: pytest.TempPathFactory, entries):
    home = tmp_path_factory.mktemp("archive")
    unique = {name: content for name, content in entries if name}
    archive = packed(home / "x.zip", *unique.items())
    (home / "out").mkdir()
    with contextlib.suppress(InputError):
        unpack_archive(archive, home / "out")
    assert {p.name for p in home.iterdir()} == {"x.zip", "out"}


def test_a_comment_is_never_cut_within_code():
    parts = ["x" * 30_000, quote_as_code("y" * 1000), "z" * 40_000, "w"]
    whole = _join_comment(parts)
    assert len(whole) < 65_536
    assert whole.endswith("```\n\nThe rest is too long for a comment.\n")


def score_archive(archive: Path, out: Path) -> int:
    """Run the command in this process, and return its exit status."""
    result = CliRunner().invoke(COMMAND, [str(archive), "--out", str(out), "--runs", str(out.parent / "no-runs")])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_hostile_archive_is_answered_quickly_and_leaves_nothing(tmp_path: Path):
    count = 0
    for what, content in hostile_archives():
        home = tmp_path / str(count)
        home.mkdir()
        (home / "x.zip").write_bytes(content)
        started = time.monotonic()
        status = score_archive(home / "x.zip", home / "comment.md")
        assert time.monotonic() - started < 3, what
        comment = (home / "comment.md").read_text(encoding="utf-8")
        assert comment.startswith(COMMENT_MARK), what
        assert ("The archive of this pull request cannot be scored" in comment) == (status == 1), what
        assert status == 1 or "It could not be" in comment or "There is no proposal" in comment, what
        assert all(c.isprintable() or c == "\n" for c in comment), what
        assert str(tmp_path) not in comment, what
        assert {p.name for p in home.iterdir()} == {"x.zip", "comment.md"}, what
        count += 1
    assert count >= 60


@pytest.mark.parametrize("error", [zlib.error("damaged"), lzma.LZMAError("damaged"), KeyError("x"), RecursionError()])
def test_a_comment_is_written_whatever_a_parser_dies_of(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(pull_request_score, "score_proposals", fail)
    archive = packed(tmp_path / "a.zip", ("a/fault.txt", b"x"))
    assert score_archive(archive, tmp_path / "comment.md") == 1
    assert f"{type(error).__name__}; the log" in (tmp_path / "comment.md").read_text()


def test_without_an_archive_the_command_fails_and_the_comment_says_so(tmp_path: Path):
    assert score_archive(tmp_path / "nonexistent.zip", tmp_path / "comment.md") == 1
    assert "there is no archive" in (tmp_path / "comment.md").read_text()
    (tmp_path / "folder.zip").mkdir()
    os.mkfifo(tmp_path / "pipe.zip")
    for name in ("folder.zip", "pipe.zip"):
        assert score_archive(tmp_path / name, tmp_path / "comment.md") == 1
        assert "not a regular file" in (tmp_path / "comment.md").read_text()
