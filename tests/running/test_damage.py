"""Damaged files: cut, empty, zeros, one flipped bit, fifty. None changes a result unseen, none ends in a traceback.

Each is either refused or discarded with a word, or the result is the same to the byte.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from asugnn import InputError, cache
from leaderboard.board import rank_rows, score_cache, verify_runs
from leaderboard.data import PACKAGE, dataset, load_dataset, parse_task
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.records import open_run
from leaderboard.running import load_run_model
from leaderboard.running.plan import plan_runs
from leaderboard.running.runner import attempt_job
from leaderboard.splitting import fold_sides, leakage, read_split

TOY = '''
import os
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn
import asugnn.training
from asugnn.torch_model import TorchModel, flat_batch

asugnn.training.CHECKPOINT_EVERY = 0.0

@dataclass
class Toy(TorchModel):
    """Atomic numbers through a small network; killed after some epochs where TOY_STOP is set."""
    epochs: int = 4
    def inputs(self, crystal):
        return {"x": np.stack([crystal.numbers, np.full(len(crystal), crystal.volume)], 1).astype(np.float32)}
    def batch(self, inputs):
        return flat_batch(inputs, "x")
    def network(self):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.BatchNorm1d(4), nn.Linear(4, 1))
                self.steps = 0
            def forward(self, batch):
                self.steps += self.training
                if self.steps > int(os.environ.get("TOY_STOP", 1000)):
                    raise RuntimeError("killed")
                y = self.layers(batch["x"] / 100)
                return torch.zeros(batch["size"], 1).index_add(0, batch["crystal"], y).view(-1)
        return Net()
'''
TASK = "open-dft/bulk-modulus"
FLIPS = 12  # of one bit each, at random places; as many more at the start of a file, where its header is
FEW = 3  # where a model is trained for each


def damaged(content: bytes, seed: int, flips: int = FLIPS) -> Iterator[tuple[str, bytes]]:
    """Damaged copies of a file, each with the kind of damage."""
    rng = np.random.default_rng(seed)

    def flip(bits: list[int]) -> bytes:
        changed = bytearray(content)
        for bit in bits:
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    yield "cut at half", content[: len(content) // 2]
    yield "empty", b""
    yield "zeros", bytes(len(content))
    for size in (8 * len(content), min(8 * len(content), 800)):
        for bit in rng.integers(0, size, flips).tolist():
            yield f"bit {bit}", flip([bit])
    yield "50 bits", flip(rng.choice(8 * len(content), min(50, 8 * len(content)), replace=False).tolist())


class Tally:
    """What became of damaged files; a changed result without a word, or an exception that is no sentence, fails."""

    def __init__(self, name: str, right: object) -> None:
        self.name, self.right = name, right
        self.refused = self.discarded = self.same = 0

    def add(self, damage: str, use: Callable[[], tuple[object, str]]) -> None:
        """Use a damaged file: `use` returns the result, and what was said."""
        try:
            result, said = use()
        except InputError as error:
            assert len(str(error).splitlines()[0]) > 10, damage
            self.refused += 1
            return
        assert result == self.right or said, f"{self.name}, {damage}: the result changed unseen"
        self.discarded += bool(said)
        self.same += not said

    def report(self) -> None:
        print(f"\n{self.name}: {self.refused} refused, {self.discarded} with a word, {self.same} the same, unseen")


def forget() -> None:
    """What the end of a process would do."""
    cache._memory.clear()
    dataset._opened.clear()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Train and predict in this process: the note of a run that was done, an `InputError` where it was not."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "toy.py").write_text(TOY)
    (job,) = plan_runs([parse_task(TASK)], [f"{tmp_path / 'toy.py'}:Toy"], "quick", [0], [0], {})
    forget()

    def run(out: Path) -> str:
        job.run.folder(out).mkdir(parents=True, exist_ok=True)
        outcome, note = attempt_job(job, out)
        if outcome == "failed":
            raise InputError(note)
        return note

    yield run
    forget()


def only(root: Path, name: str) -> Path:
    (file,) = root.rglob(name)
    return file


def words(note: str) -> str:
    """A note without its seconds."""
    return re.sub(r"^\d+(\.\d+)? s(; )?", "", note)


@pytest.mark.parametrize("name", ["checkpoint.pt", "started.json"])
def test_checkpoint(name: str, toy: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    toy(tmp_path / "whole")
    right = only(tmp_path / "whole", "predictions.csv").read_bytes()
    with monkeypatch.context() as patch, pytest.raises(InputError, match="killed"):
        patch.setenv("TOY_STOP", "3")
        toy(tmp_path / "cut")
    interrupted = only(tmp_path / "cut", "checkpoint.pt").parent
    tally = Tally(name, right)
    for damage, content in damaged((interrupted / name).read_bytes(), 1, FEW):
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        shutil.copytree(tmp_path / "cut", tmp_path / "again")
        folder = tmp_path / "again" / interrupted.relative_to(tmp_path / "cut")
        (folder / name).write_bytes(content)
        note = toy(tmp_path / "again")
        assert (folder / "predictions.csv").read_bytes() == right, damage
        from_before = name == "checkpoint.pt"  # the one before it serves
        assert ("resumed from the checkpoint before it" if from_before else "training started again") in note, damage
        assert open_run(folder).record.resumed is from_before
        assert open_run(folder).record.warnings == (words(note),), damage
        tally.add(damage, lambda: ((folder / "predictions.csv").read_bytes(), words(note)))  # noqa: B023
    tally.report()


def test_an_undamaged_checkpoint_is_resumed(
    toy: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    toy(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="killed"):
        patch.setenv("TOY_STOP", "3")
        toy(tmp_path / "cut")
    assert words(toy(tmp_path / "cut")) == ""
    record = open_run(only(tmp_path / "cut", "run.json").parent).record
    assert record.resumed
    assert record.predictions_sha256 == open_run(only(tmp_path / "whole", "run.json").parent).record.predictions_sha256


def test_cached_inputs(toy: Callable[[Path], str], tmp_path: Path):
    toy(tmp_path / "whole")
    right = only(tmp_path / "whole", "predictions.csv").read_bytes()
    shards = sorted((tmp_path / "cache").rglob("toy-1-*/*.safetensors"))
    whole = {shard: shard.read_bytes() for shard in shards}
    shard = max(shards, key=lambda s: s.stat().st_size)
    tally = Tally("cached inputs", right)
    for damage, content in damaged(whole[shard], 2, FEW):
        for old in shard.parent.iterdir():
            old.unlink()
        for file, text in whole.items():
            file.write_bytes(content if file == shard else text)
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        forget()
        note = toy(tmp_path / "again")
        predictions = only(tmp_path / "again", "predictions.csv").read_bytes()
        assert predictions == right, damage
        tally.add(damage, lambda: (predictions, words(note)))  # noqa: B023
    assert tally.discarded > FEW
    tally.report()


def test_stored_model(toy: Callable[[Path], str], tmp_path: Path):
    """A damaged model is refused by name, and no value is predicted."""
    toy(tmp_path / "runs")
    folder = only(tmp_path / "runs", "run.json").parent
    named = f"{tmp_path / 'toy.py'}:Toy"
    crystals = load_dataset(parse_task(TASK).source).crystals(load_dataset(parse_task(TASK).source).ids[:5])
    right = load_run_model(folder, named)[1].predict(crystals).tobytes()
    files = sorted((folder / "model").iterdir())
    assert len(files) > 1
    for file in files:
        tally, content = Tally(f"model/{file.name}", right), file.read_bytes()
        for damage, changed in damaged(content, 3):
            file.write_bytes(changed)
            with pytest.raises(InputError, match=rf"model/{file.name} was changed"):
                load_run_model(folder, named)
            tally.add(damage, lambda: (load_run_model(folder, named)[1].predict(crystals).tobytes(), ""))
        file.write_bytes(content)
        tally.report()
    (folder / "model" / "more").write_text("")
    with pytest.raises(InputError, match="model/more was added later"):
        load_run_model(folder, named)
    (folder / "model" / "more").unlink()
    (folder / "model" / "model.json").unlink()
    with pytest.raises(InputError, match=r"model/model.json is missing"):
        load_run_model(folder, named)


@pytest.mark.parametrize("name", ["predictions.csv", "history.csv", "run.json"])
def test_stored_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The board and `bench verify` name it, and the other row is shown."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    home = Path("open-dft/bulk-modulus@random/quick")
    for model in ("cgcnn", "mean"):
        shutil.copytree(PACKAGE / "runs" / home / model, tmp_path / "runs" / home / model)
    task = parse_task(TASK)

    def board() -> tuple[object, str]:
        rows, notes = rank_rows(tmp_path / "runs", [task], "quick")
        assert "mean" in {row.model for row in rows}
        return rows, " ".join(notes)

    tally = Tally(name, board()[0])
    file = tmp_path / "runs" / home / "cgcnn/0-0" / name
    for damage, content in damaged(file.read_bytes(), 4):
        file.write_bytes(content)
        tally.add(damage, board)
        assert any(checked.faults for checked in verify_runs(tmp_path / "runs")), damage
    tally.report()
    assert tally.discarded >= FLIPS


def test_a_damaged_record_blocks_no_run_for_ever(tmp_path: Path):
    """It is named with what to do, and --again does it."""
    (job,) = plan_runs([parse_task(TASK)], ["mean"], "quick", [0], [0], {})
    file = job.run.folder(tmp_path) / "run.json"
    file.parent.mkdir(parents=True)
    assert attempt_job(job, tmp_path)[0] == "done"
    file.write_bytes(file.read_bytes()[:-20])
    assert attempt_job(job, tmp_path)[0] == "failed"
    assert attempt_job(replace(job, again=True), tmp_path)[0] == "done"
    assert attempt_job(job, tmp_path)[0] == "kept"


@pytest.mark.parametrize("name", ["random.csv", "random.toml"])
def test_split(name: str, tmp_path: Path):
    from leaderboard.splitting.split import SPLITS_FOLDER

    data, target = load_dataset(parse_task(TASK).source), parse_task(TASK).target
    shutil.copytree(SPLITS_FOLDER, tmp_path / "splits")

    def sides() -> tuple[object, str]:
        return fold_sides(read_split(data, "random", tmp_path / "splits"), data, target, 0), ""

    tally, file = Tally(name, sides()[0]), tmp_path / "splits/open-dft" / name
    for damage, content in damaged(file.read_bytes(), 5):
        file.write_bytes(content)
        tally.add(damage, sides)
    assert tally.refused == 2 * FLIPS + 4
    tally.report()


@pytest.mark.parametrize("name", ["data.parquet", "dataset.json", "splits/random.csv", "splits/random.toml"])
def test_imported_data(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    table = pl.read_parquet(PACKAGE / "_data/open-dft/open_dft.parquet").head(60)
    table.write_parquet(tmp_path / "own.parquet")
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    import_dataset(tmp_path / "own.parquet", "own", [parse_target("formation_energy:eV/atom")], about, False)

    def use() -> tuple[object, str]:
        dataset._opened.clear()
        task = parse_task("own/formation-energy")
        data = load_dataset(task.source)
        sides = fold_sides(read_split(data, task.rule), data, task.target, 0)
        keys = [crystal.key for crystal in data.crystals(data.ids)]
        return (data.sha256, task.target.unit, sides, keys, data.labels(task.target).tobytes()), ""

    tally, file = Tally(name, use()[0]), tmp_path / "data/own" / name
    for i, (damage, content) in enumerate(damaged(file.read_bytes(), 6)):
        file.write_bytes(content)
        os.utime(file, (i, i))  # a file that changed has another time
        tally.add(damage, use)
    assert tally.refused > 2 * FLIPS
    tally.report()


def test_embedded_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = parse_task(TASK).source
    file, content = tmp_path / "open_dft.parquet", (PACKAGE / source.file).read_bytes()
    tally = Tally("open_dft.parquet", None)
    for damage, changed in damaged(content, 7):
        file.write_bytes(changed)
        tally.add(damage, lambda: (dataset._read_dataset(source, file), ""))
    assert tally.refused == 2 * FLIPS + 4
    tally.report()


def test_compared_structures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the cache folder: what is damaged is compared again."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    data = load_dataset(parse_task(TASK).source)
    published = leakage._read_comparison(PACKAGE.parent / "splits/open-dft/duplicates.json", data)
    assert published
    monkeypatch.setattr(leakage, "compare_structures", lambda *_: published[0])
    leakage.compare_dataset(data, {})
    file = only(tmp_path, "*.json")
    right = leakage.compare_dataset(data, {})
    tally = Tally("compared structures", right)
    for damage, content in damaged(file.read_bytes(), 8):
        file.write_bytes(content)
        result = leakage.compare_dataset(data, {})
        assert result == right, damage
        tally.add(damage, lambda: (result, ""))  # noqa: B023
    tally.report()


def test_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the cache folder: what is damaged is scored again."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    home = Path("open-dft/bulk-modulus@random/quick/cgcnn")
    shutil.copytree(PACKAGE / "runs" / home, tmp_path / "runs" / home)
    right = rank_rows(tmp_path / "runs", [parse_task(TASK)], "quick")
    file = only(tmp_path / "cache", "*.npz")
    tally = Tally("scores", right)
    for damage, content in damaged(file.read_bytes(), 9):
        file.write_bytes(content)
        tally.add(damage, lambda: (rank_rows(tmp_path / "runs", [parse_task(TASK)], "quick"), ""))
    assert tally.same == 2 * FLIPS + 4
    tally.report()
    assert score_cache._read_rows(file)
