"""The paper's two data sets and its suite, end to end on stand-ins, by the commands that docs/data.md names."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import materials
import numpy as np
import pytest
from made import truth_of
from standin import Fault, StandIn, serving

from asugnn import InputError, download
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.score_file import score_file
from leaderboard.data import read_exclusions
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import find_source
from leaderboard.data.tasks import parse_task, suite_tasks
from leaderboard.ingest import materials_project
from leaderboard.ingest.fetch import fetch_dataset
from leaderboard.ingest.materials_project import build_dataset
from leaderboard.records.predictions_csv import ColumnNames
from leaderboard.reports.terminal import render_board, render_datasets, render_score
from leaderboard.running.plan import plan_runs
from leaderboard.scoring.chemical_systems import system_names
from leaderboard.splitting.split import fold_sides, read_split
from leaderboard.submissions.competition import export_competition

DISTORTED = truth_of("open-dft/zero-shot")  # which the stand-in serves as hm


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stand-ins of the bucket and of the hub, and an empty folder of data sets."""
    with serving() as state:
        materials.bucket(materials.documents(every=4), state)
        materials.hub(materials.hm(tmp_path), state)
        for name in ("AWS_ENDPOINT_URL_S3", "HF_ENDPOINT"):
            monkeypatch.setenv(name, state.url)
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
        monkeypatch.setattr(download, "PAUSE", 0.001)
        yield state


def bench(*words: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "leaderboard.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=os.environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fills_both_tables(models: str, folder: Path) -> list[dict]:
    """The commands of docs/data.md, and the board as JSON."""
    out = bench("data", "build", "mp-2024-1", cwd=folder)
    assert "111,120" in out
    assert "tasks: mp-2024-1/formation-energy, mp-2024-1/band-gap, mp-2024-1/bulk-modulus, mp-2024-1/metal" in out
    assert f"hm: {len(DISTORTED.ids)} crystals" in bench("data", "fetch", "hm", cwd=folder)
    out = bench("run", "paper", "--model", models, "--preset", "quick", cwd=folder)
    assert out.startswith("mp-2024-1\n")
    assert "\nhm\n" in out
    rows: list[dict] = json.loads(bench("leaderboard", "paper", "--format", "json", cwd=folder))
    assert bench("verify", cwd=folder).endswith("every row can be recomputed\n")
    return rows


def test_three_commands_fill_both_tables(server: StandIn, tmp_path: Path):
    rows = fills_both_tables("mean", tmp_path)
    names = [task.name for task in suite_tasks("paper")]
    assert names == [
        *(f"mp-2024-1/{t}" for t in ("formation-energy", "band-gap", "bulk-modulus", "metal")),
        "hm/zero-shot",
    ]
    assert {(r["task"], r["model"]) for r in rows} == {(t, "mean") for t in names}
    zero = next(r for r in rows if (r["task"], r["model"]) == ("hm/zero-shot", "mean"))
    assert list(zero["systems"]) == ["all", "Ag", "Fe-C"]
    silver = sum(formula == "Ag" for formula in DISTORTED.formulas)
    assert [s["n"] for s in zero["systems"].values()] == [n := len(DISTORTED.ids), silver, n - silver]
    assert zero["systems"]["all"]["metrics"]["mae"] == zero["metrics"]["mae"]
    assert zero["trained"] == 0
    assert zero["data"]["version"].startswith("0123456789abcdef")
    energy = next(r for r in rows if r["task"] == "mp-2024-1/formation-energy")
    assert {k: energy["data"][k] for k in ("version", "licence")} == {"version": "2023-11-01", "licence": "CC-BY-4.0"}
    assert energy["systems"] == {}
    task = parse_task("hm/zero-shot")
    found, _ = rank_rows(tmp_path / "runs", [task], "quick")
    shown = render_board(found, [task], "quick", "table", True)
    assert "offset" in shown
    assert "version 0123456789abcdef" in shown


@pytest.mark.slow
def test_all_models_fill_both_tables(server: StandIn, tmp_path: Path):
    rows = fills_both_tables("all", tmp_path)
    everyone = {"mean", "forest", "boosted", "cgcnn", "megnet", "m3gnet", "alignn", "cogn", "asugnn"}
    assert {(r["task"], r["model"]) for r in rows} == {(t.name, m) for t in suite_tasks("paper") for m in everyone}
    assert len(rows) == 5 * len(everyone)


# HMdataset ------------------------------------------------------------------------------------------------------------


def test_metal_is_a_task_where_the_database_has_gaps(server: StandIn, tmp_path: Path):
    materials.hub(materials.hm(tmp_path, gaps=True), server)
    made = fetch_dataset("hm")
    assert [t.name for t in made.targets] == ["zero-shot", "metal"]
    metal = parse_task("hm/metal")
    assert metal.training_task.name == "mp-2024-1/metal"
    assert parse_task("hm/zero-shot").training_task.name == "mp-2024-1/formation-energy"
    data = load_dataset(made)
    gaps = data.table["band_gap"].to_numpy()
    assert np.array_equal(data.labels(metal.target), gaps == 0)


def test_hm_is_what_the_database_holds(server: StandIn, tmp_path: Path):
    made = fetch_dataset("hm")
    assert read_exclusions(made) == []
    data, original = load_dataset(made), load_dataset(find_source("open-dft"))
    zero = next(t for t in find_source("open-dft").targets if t.name == "zero-shot")
    y = original.labels(zero)
    assert np.array_equal(data.labels(made.targets[0]), y[np.isfinite(y)])
    ids = [i for i, value in zip(original.ids, y, strict=True) if np.isfinite(value)]
    for ours, theirs in zip(data.crystals(data.ids), original.crystals(ids), strict=True):
        assert ours.numbers.tolist() == theirs.numbers.tolist()
        assert ours.cart_coords == pytest.approx(theirs.cart_coords, abs=1e-8)
    parts = read_split(data, "random")
    for fold in range(5):
        sides = fold_sides(parts, data, made.targets[0], fold)
        assert (len(sides.train), len(sides.validate), len(sides.test)) == (0, 0, len(DISTORTED.ids))
    asked = len(server.asked)
    fetch_dataset("hm")
    assert len(server.asked) == asked


def test_hm_goes_on_and_is_held_to_the_digest_that_the_hub_states(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server.faults["/cdn/HMdataset.db"] = Fault("cut", 2, 5000)
    fetch_dataset("hm")
    ranges = [asked for path, asked in server.asked if path == "/cdn/HMdataset.db"]
    assert ranges == ["", "bytes=5000-", "bytes=10000-"]
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "other"))
    materials.hub(materials.hm(tmp_path), server, etag="0" * 64)
    with pytest.raises(InputError, match="no longer the published file"):
        fetch_dataset("hm")
    assert not (tmp_path / "other" / "hm").exists()
    materials.hub(b"no database at all", server)
    with pytest.raises(InputError, match=r"HMdataset.db cannot be read as an ASE database"):
        fetch_dataset("hm")
    server.redirects.clear()
    with pytest.raises(InputError, match=r"HTTP 404.* look at huggingface.co/caobin/ASUGNN"):
        fetch_dataset("hm")


def test_rows_of_hm_that_cannot_be_used_are_listed(server: StandIn, tmp_path: Path):
    file = tmp_path / "x.db"
    file.write_bytes(materials.hm(tmp_path))
    with sqlite3.connect(file) as db:
        db.execute("UPDATE systems SET key_value_pairs = '{}' WHERE id = 3")
        db.execute("UPDATE systems SET pbc = 0 WHERE id = 5")
        db.execute('UPDATE systems SET key_value_pairs = \'{"formation_energy": "high"}\' WHERE id = 7')
    db.close()
    materials.hub(file.read_bytes(), server)
    made = fetch_dataset("hm")
    lines = (made.folder / "excluded.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", "3", "5", "7"]
    assert "not periodic" in lines[2]
    assert len(load_dataset(made).ids) == 109


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2_000, 8_000])
def test_a_disk_that_is_full_leaves_no_data_set(limit: int, server: StandIn, tmp_path: Path):
    """A limit on the size of files, which the system enforces as it does a full disk."""
    program = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from leaderboard import cli
sys.argv = ["bench", "data", "build", "mp-2024-1"]
if __name__ == "__main__":
    cli.main()
"""
    (tmp_path / "full.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-B", str(tmp_path / "full.py")]  # else a compiled module could be cut off at the limit
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name for p in (tmp_path / "data" / "mp-2024-1").iterdir()} <= {"parts", "excluded.csv"}


# The suite ------------------------------------------------------------------------------------------------------------


def test_what_is_not_there_yet_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match="mp-2024-1 is not available yet: get it with `bench data build mp-2024-1`"):
        plan_runs(suite_tasks("paper"), ["mean"], "quick", [0], [0], {})
    shown = render_datasets()
    assert "not available: get it with `bench data build mp-2024-1`" in shown
    assert "not available: get it with `bench data fetch hm`" in shown
    with pytest.raises(InputError, match="no suite 'papers'; did you mean 'paper'"):
        suite_tasks("papers")


def test_a_file_that_was_changed_is_refused(server: StandIn, tmp_path: Path):
    made = fetch_dataset("hm")
    file = made.folder / made.file
    file.write_bytes(file.read_bytes() + b"0")
    with pytest.raises(InputError, match="was changed since it was made"):
        load_dataset(made)


def test_a_competition_of_hm_trains_on_the_other_data_set(server: StandIn, tmp_path: Path, in_process: None):
    build_dataset()
    fetch_dataset("hm")
    task = parse_task("hm/zero-shot")
    export_competition(task, 0, tmp_path / "out", True, ColumnNames("id", "zero-shot"), "")
    train = (tmp_path / "out" / "participants" / "train.csv").read_text(encoding="utf-8").splitlines()
    assert train[0] == "id,zero-shot,side"
    assert all(line.startswith("mp-") for line in train[1:])
    assert len((tmp_path / "out" / "participants" / "test.csv").read_text(encoding="utf-8").splitlines()) == 113


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(materials_project, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))


# Systems --------------------------------------------------------------------------------------------------------------


def test_scores_of_systems_are_those_of_hand(tmp_path: Path):
    """Predictions off by 1 for Ag and by -2 for Fe-C, and a known scatter: after the offsets the scatter is left."""
    task = parse_task("open-dft/zero-shot")
    held = load_ground_truth(task, 0)
    scatter = np.random.default_rng(0).normal(0, 0.1, len(held.ids))
    shift = np.where(system_names(held.formulas) == "Ag", -1.0, 2.0)
    p = held.y + shift + scatter
    lines = ["id,zero-shot", *(f"{i},{v!r}" for i, v in zip(held.ids, p.tolist(), strict=True))]
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scored = score_file(tmp_path / "p.csv", task, 0)
    assert list(scored["systems"]) == ["all", "Ag", "Fe-C"]
    for name, offset in (("Ag", 1.0), ("Fe-C", -2.0)):
        mine = system_names(held.formulas) == name
        s = scored["systems"][name]
        error = scatter[mine] + shift[mine]
        assert s["n"] == mine.sum()
        assert s["offset"] == pytest.approx(-error.mean())
        assert s["offset"] == pytest.approx(offset, abs=0.05)
        assert s["metrics"]["mae"]["value"] == pytest.approx(abs(error).mean())
        assert s["metrics"]["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()))
        left = scatter[mine] - scatter[mine].mean()
        assert s["after_offset"]["mae"]["value"] == pytest.approx(abs(left).mean())
        assert s["after_offset"]["rmse"]["value"] == pytest.approx(left.std())
        y = held.y[mine]
        assert s["after_offset"]["r2"]["value"] == pytest.approx(1 - (left**2).sum() / ((y - y.mean()) ** 2).sum())
        assert s["after_offset"]["mae"]["low"] < s["after_offset"]["mae"]["value"] < s["after_offset"]["mae"]["high"]
    every = scored["systems"]["all"]
    assert every["offset"] is None
    assert every["metrics"]["mae"] == scored["metrics"]["mae"]
    assert every["after_offset"]["rmse"]["value"] < 0.11
    shown = render_score(scored, task)
    assert "offset: mean of label minus prediction" in shown
    assert "Fe-C" in shown
