"""What is said of the machine that a run takes place on."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from leaderboard.cli import app
from leaderboard.running import machine
from leaderboard.running.machine import bfloat16_is_slow, processor_name

OLD = "processor\t: 0\nmodel name\t: Some EPYC\nflags\t\t: fpu avx avx2 fma\n\nprocessor\t: 1\nmodel name\t: Other\n"


@pytest.mark.parametrize(
    ("text", "name", "slow"),
    [
        (OLD, "Some EPYC", True),
        (OLD.replace("fma", "avx512f avx512bw amx_bf16"), "Some EPYC", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", "", False),  # ARM
    ],
)
def test_of_a_processor_its_name_and_whether_it_has_bfloat16(
    text: str, name: str, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "cpuinfo")
    assert processor_name()  # where there is no such file, as on macOS
    assert not bfloat16_is_slow()
    (tmp_path / "cpuinfo").write_text(text)
    assert bfloat16_is_slow() == slow
    assert processor_name() == name or not name


@pytest.mark.parametrize(("flags", "warned"), [("avx2", True), ("avx512bw", False)])
def test_bfloat16_without_instructions_for_it_is_warned_of(
    flags: str, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.chdir(tmp_path)
    words = ["run", "--task", "open-dft/metal", "--model", "cgcnn", "--dry-run", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--precision", "bfloat16"])
    assert done.exit_code == 0
    assert ("leave --precision out" in " ".join(done.stderr.split())) == warned
    assert "leave --precision out" not in CliRunner().invoke(app, words).output
    (tmp_path / "m.py").write_text("raise SystemError")  # it is not executed in the command's own process
    file = [*words, "--precision", "bfloat16", "--model", "m.py:M,forest"]
    assert CliRunner().invoke(app, file).exit_code == 0
    forest = [*words, "--precision", "bfloat16", "--model", "forest"]  # no network, whose precision it would be
    assert "leave --precision out" not in CliRunner().invoke(app, forest).output
