"""Every command of the tutorials is run, in order, in an empty folder, on the data set of the package."""

import glob
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asugnn.errors import InputError
from leaderboard.cli import app

DOCS = Path(__file__).resolve().parent.parent / "docs"
STEP = re.compile(r"Save this as `([\w.]+)`:\n\n```python\n(.*?)^```$|^((?: {4}\S[^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """The steps of a tutorial: a file's name and text, or an empty name and a command."""
    for match in STEP.finditer((DOCS / f"{page}.md").read_text(encoding="utf-8")):
        if match[1]:
            yield match[1], match[2]
        else:
            yield from (("", line.strip()) for line in match[3].splitlines())


def run_bench(words: list[str]) -> None:
    """Run `bench` in this process: importing the packages again for each command would take most of the time."""
    stdout = open(words[words.index(">") + 1], "w", encoding="utf-8") if ">" in words else None  # noqa: PTH123, SIM115
    words = words[: words.index(">")] if ">" in words else words
    names = [name for word in words for name in (sorted(glob.glob(word)) or [word])]  # noqa: PTH207
    with pytest.MonkeyPatch.context() as patch:
        if stdout:
            patch.setattr(sys, "stdout", stdout)
        assert not app(names[1:], prog_name="bench", standalone_mode=False)
    if stdout:
        stdout.close()


def follow(page: str, patch: pytest.MonkeyPatch) -> int:
    """Do what a tutorial says, in the current folder; how many commands it has."""
    count = 0
    for name, text in steps(page):
        if name:
            Path(name).write_text(text, encoding="utf-8")
            continue
        words = shlex.split(text, comments=True)
        count += 1
        if words[0] == "export":
            patch.setenv(*words[1].split("=", 1))
        elif words[0] == "bench" and "# refused" in text:
            with pytest.raises(InputError):
                run_bench(words)
        elif words[0] == "bench":
            run_bench(words)
        else:
            shell = f'python() {{ "{sys.executable}" "$@"; }}; {text}'
            assert subprocess.run(["bash", "-c", shell], check=False).returncode == 0, text
    return count


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_model_of_your_own(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert follow("tutorial-model", monkeypatch) == 7
    shown = capsys.readouterr().out
    assert "model 'my_model.py:Ridge' keeps the contract" in shown
    assert (empty / "runs/open-dft/bulk-modulus@random/quick/my_model.Ridge/0-0/run.json").is_file()
    assert "my_model.Ridge+strength=1" in shown
    assert "3 runs and logs match their files" in shown
    assert (empty / "public/index.html").is_file()


def test_a_course(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert follow("tutorial-course", monkeypatch) == 11
    shown = capsys.readouterr().out
    assert "ada on open-dft/bulk-modulus: public MAE" in shown
    assert "private MAE" in shown
    log = (empty / "runs/submissions.jsonl").read_text()
    assert '"ada"' in log
    assert "cleo" not in log
    fields = set(
        re.findall(r"`(\w+)`", (DOCS / "formats.md").read_text().partition("## Submissions")[2].partition("## A c")[0])
    )
    assert all(json.loads(line).keys() <= fields for line in log.splitlines())
    assert (empty / "public/index.html").is_file()


@pytest.mark.slow
def test_a_table_for_a_paper(empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    (name, text), *_ = steps("tutorial-model")
    (empty / name).write_text(text, encoding="utf-8")
    assert follow("tutorial-paper", monkeypatch) == 7
    shown = capsys.readouterr().out
    assert "confidence interval over test formulas and training seeds" in shown
    assert "9 runs and logs match their files" in shown
    assert (empty / "table.csv").read_text().startswith("model,preset")
    assert "\\begin{tabular}" in (empty / "table.tex").read_text()
    assert (empty / "paper-runs.tar.gz").stat().st_size > 1000


def test_a_command_that_fails_is_seen(empty: Path, monkeypatch: pytest.MonkeyPatch):
    page = empty / "page.md"
    monkeypatch.setattr(sys.modules[__name__], "DOCS", empty)
    page.write_text("Text.\n\n    bench score gone.csv --task open-dft/metal\n")
    with pytest.raises(InputError):
        follow("page", monkeypatch)
    page.write_text("Text.\n\n    ls gone\n")
    with pytest.raises(AssertionError):
        follow("page", monkeypatch)
    assert os.listdir() == ["page.md"]  # noqa: PTH208
