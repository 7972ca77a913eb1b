"""NOMAD2018 from an archive in the form of its repository; nothing of an archive is written where it says."""

import io
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from made import run_here
from sklearn.metrics import mean_squared_log_error
from standin import StandIn, serving

from asugnn import InputError
from asugnn.crystal import SYMBOLS
from leaderboard.board.board import rank_rows
from leaderboard.data import read_exclusions
from leaderboard.data.dataset import crystal_from_row, load_dataset
from leaderboard.data.tasks import parse_task
from leaderboard.ingest import nomad2018
from leaderboard.ingest.fetch import fetch_dataset
from leaderboard.ingest.nomad2018 import COMMIT, crystal_from_aims, files_sha256
from leaderboard.records.predictions_csv import ColumnNames
from leaderboard.running.plan import plan_runs
from leaderboard.scoring.metrics import RANKING
from leaderboard.splitting.split import fold_sides, list_rules, read_split
from leaderboard.submissions import kaggle_metric
from leaderboard.submissions.competition import export_competition
from leaderboard.submissions.kaggle_metric import score

HEADER = "id,spacegroup,formation_energy_ev_natom,bandgap_energy_ev\n"


def files(n: int = 40) -> dict[str, bytes]:
    """Corundum-like cells of one cation and two oxygens, longer and longer, in the layout of the repository."""
    found: dict[str, bytes] = {"README": b"about"}
    for side, table, count in (("train", "train.csv", n), ("test", "labeled_test.csv", n // 4)):
        lines = []
        for i in range(1, count + 1):
            a = (8 if side == "test" else 4) + 0.05 * i
            vectors = [f"lattice_vector {a} 0 0", f"lattice_vector 0.1 {a} 0", f"lattice_vector 0 0 {a}"]
            atoms = [
                f"atom 0 0 0 {('Al', 'Ga', 'In')[i % 3]}",
                f"atom {a / 2} {a / 2} 0 O",
                f"atom 0 {a / 2} {a / 2} O",
            ]
            found[f"{side}/{i}/geometry.xyz"] = "\n".join(["#====", *vectors, *atoms, ""]).encode()
            lines.append(f"{i},33,{0.01 * i},{5 - 0.1 * i}\n")
        found[table] = (HEADER + "".join(lines)).encode()
    return found


def archive(content: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(f"nomad-{COMMIT}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in others:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return out.getvalue()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    with serving() as state:
        monkeypatch.setattr(nomad2018, "NOMAD", state.url)
        give(state, monkeypatch, archive(files()), files_sha256(files()))
        yield state


def give(state: StandIn, monkeypatch: pytest.MonkeyPatch, content: bytes, sha256: str) -> None:
    state.files[f"/{COMMIT}"] = content
    monkeypatch.setattr(nomad2018, "CONTENT", sha256)


def test_it_is_fetched_split_and_ranked_by_rmsle(server: StandIn, tmp_path: Path):
    made = fetch_dataset("nomad2018")
    assert read_exclusions(made) == []
    data = load_dataset(made)
    assert len(data.ids) == 50
    assert data.labels(made.targets[1])[data.rows["test-3"]] == pytest.approx(4.7)
    (crystal,) = data.crystals(["train-2"])
    assert crystal.lattice.tolist() == [[4.1, 0, 0], [0.1, 4.1, 0], [0, 0, 4.1]]
    assert crystal.cart_coords[1] == pytest.approx([2.05, 2.05, 0])
    parts = read_split(data, "kaggle")
    sides = fold_sides(parts, data, made.targets[0], 0)
    assert set(sides.test) == {f"test-{i}" for i in range(1, 11)}
    assert len(sides.train) + len(sides.validate) == 40
    assert {"random", "formula", "kaggle"} <= set(list_rules(made))
    task = parse_task("nomad2018/formation-energy@kaggle")
    run_here(plan_runs([task], ["mean", "forest"], "quick", None, [0], {}), tmp_path / "runs")
    rows, notes = rank_rows(tmp_path / "runs", [task], "quick")
    assert not notes
    assert {r.model for r in rows} == {"forest", "mean"}
    assert list(rows[0].metrics) == ["rmsle", "mae", "rmse", "r2"]
    export_competition(task, 0, tmp_path / "out", True, ColumnNames("id", "y"), "")
    assert 'METRIC = "rmsle"' in (tmp_path / "out" / "host" / "metric.py").read_text(encoding="utf-8")


def test_rmsle_is_that_of_others(monkeypatch: pytest.MonkeyPatch):
    import pandas as pd

    rng = np.random.default_rng(3)
    y, p = rng.uniform(0, 3, 200), rng.uniform(-0.5, 3, 200)
    ours = RANKING["rmsle"](y, p)
    assert ours == pytest.approx(np.sqrt(np.mean((np.log(1 + p) - np.log(1 + y)) ** 2)), rel=1e-12)
    assert RANKING["rmsle"](y, abs(p)) == pytest.approx(np.sqrt(mean_squared_log_error(y, abs(p))), rel=1e-12)
    assert np.isnan(RANKING["rmsle"](y, p - 2))
    ids = np.arange(200).astype(str)
    monkeypatch.setattr(kaggle_metric, "METRIC", "rmsle")
    frames = (pd.DataFrame({"id": ids, "target": v}) for v in (y, p))
    assert score(*frames, "id") == ours


def test_an_archive_writes_nothing_and_is_held_to_its_content(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    up, absolute, link = (tarfile.TarInfo(n) for n in ("../../up.txt", str(tmp_path / "absolute.txt"), "x/link"))
    up.size = absolute.size = 3
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    evil = archive(files(), up, absolute, link)
    give(server, monkeypatch, evil, files_sha256(files()))
    with pytest.raises(InputError, match="no longer the published archive"):
        fetch_dataset("nomad2018")
    assert not (tmp_path / "data" / "nomad2018").exists()
    assert not [p for name in ("up.txt", "absolute.txt", "link") for p in tmp_path.rglob(name)]
    give(server, monkeypatch, archive(files())[:1000], files_sha256(files()))
    with pytest.raises(InputError, match=r"cannot be read as a gzipped tar archive: .* repeat the command"):
        fetch_dataset("nomad2018")
    assert not (tmp_path / "data" / "nomad2018").exists()


def test_the_format_is_that_of_the_competition(data: Path):
    """Crystals of the competition, written as its makers write them, come back as they were."""
    table = pl.read_parquet(data / "nomad2018_train.parquet").head(30)
    for row in table.iter_rows(named=True):
        crystal = crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])
        lines = [f"lattice_vector {' '.join(map(repr, v))}" for v in crystal.lattice.tolist()]
        places = zip(crystal.cart_coords.tolist(), crystal.numbers.tolist(), strict=True)
        lines += [f"atom {' '.join(map(repr, xyz))} {SYMBOLS[z - 1]}" for xyz, z in places]
        back = crystal_from_aims("\n".join(lines))
        assert back.lattice.tolist() == crystal.lattice.tolist()
        assert back.frac_coords == pytest.approx(crystal.frac_coords, abs=1e-9)
        assert back.numbers.tolist() == crystal.numbers.tolist()
