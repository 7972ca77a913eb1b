"""`bench run --ranks`: several processes train one model, and one trains what they cannot share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from asugnn.errors import InputError
from leaderboard.running.run_processes import choose_processes

BENCH = [sys.executable, "-m", "leaderboard.cli"]


@pytest.mark.slow
def test_two_processes_train_one_run(tmp_path: Path):
    """Predictions are close to those of one process: Adam turns rounding into small steps; the record says it."""
    words = ("run", "--task", "open-dft/bulk-modulus", "--model", "cgcnn,mean", "--set", "cgcnn.epochs=2")
    values, records = {}, {}
    for ranks in ("1", "2"):
        out = tmp_path / ranks
        done = subprocess.run([*BENCH, *words, "--ranks", ranks, "--out", str(out)], capture_output=True, text=True,
                              check=False, cwd=tmp_path, timeout=600)  # fmt: skip
        assert done.returncode == 0, done.stderr
        (folder,) = out.glob("open-dft/*/quick/cgcnn+epochs=2/0-0")
        values[ranks] = pl.read_csv(folder / "predictions.csv")["bulk-modulus"].to_numpy()
        records[ranks] = json.loads((folder / "run.json").read_text())
    np.testing.assert_allclose(values["1"], values["2"], atol=0.02)
    assert records["1"]["warnings"] == []
    assert records["2"]["warnings"] == ["trained by 2 processes together"]
    assert "trained by 2" not in next((tmp_path / "2").glob("open-dft/*/quick/mean/0-0/run.json")).read_text()


def test_cards_and_cores_are_shared_by_teams(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose_processes("auto", "cuda", 40) == (4, 1)
    assert choose_processes("auto", "cuda", 40, ranks=2) == (2, 1)
    assert choose_processes("auto", "cpu", 40, ranks=os.cpu_count() or 1) == (1, 1)
    with pytest.raises(InputError, match="--ranks 8 needs as many GPUs; here are 4"):
        choose_processes("auto", "cuda", 40, ranks=8)
