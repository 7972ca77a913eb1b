"""The script behind `nox -s gpu`, as far as a machine without a GPU can run it."""

import json

import gpu
import pytest
import torch


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert capsys.readouterr().err == "This machine has no GPU that PyTorch can use: nothing was run.\n"


def test_all_networks_are_timed_in_both_precisions():
    assert set(gpu.MODELS) == {"cgcnn", "megnet", "m3gnet", "alignn", "cogn", "asugnn"}
    assert set(gpu.PRECISIONS) == {"float32", "bfloat16"}


@pytest.mark.parametrize(
    ("models", "precisions"),
    [(("cgcnn",), ("float32",)), pytest.param(gpu.MODELS, gpu.PRECISIONS, marks=pytest.mark.slow)],
)
def test_every_part_but_the_tests_runs_on_the_cpu(models, precisions, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "MODELS", models)
    monkeypatch.setattr(gpu, "PRECISIONS", precisions)
    words = [
        "--device",
        "cpu",
        "--steps",
        "2",
        "--seconds",
        "0",
        "--preset",
        "quick",
        "--models",
        "quick",
        "--data",
        "open-dft",
        "--most",
        "64",
    ]
    assert gpu.main([*words, "--out", str(tmp_path / "gpu.json")]) == 0
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["losses"]["first"] == report["losses"]["largest"] == 0
    assert set(report["losses"]) >= {"cpu", *(f"cpu {precision}" for precision in precisions)}
    for precision in precisions:
        assert report["losses"][f"cpu {precision}"] == pytest.approx(report["losses"]["cpu"], rel=0.05)
    assert len(report["losses"]["cpu"]) == 2
    assert set(report["models"]) == {*models}
    assert set(report["training"]) == {*precisions}
    assert all(measured["flops_of_a_step"] > 1e8 for measured in report["training"].values())
    for measured in (*report["training"].values(), *report["models"].values()):
        assert measured["steps"] == 8
        assert measured["flops_of_a_step"] > 1e6  # CGCNN's are the fewest
        assert measured["share_of_peak"] > 0
        assert measured["host_memory_mb"] > 100
