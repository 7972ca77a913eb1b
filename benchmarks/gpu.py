"""Try the project on a GPU: its tests, losses against the CPU's, and the speed of training; `nox -s gpu`.

    python benchmarks/gpu.py                                 print, and store in benchmarks/results/gpu-NAME.json
    python benchmarks/gpu.py --device cpu --steps 2 --seconds 1 --data open-dft --preset quick --out FILE.json
                                                             try this script without a GPU

It needs this tree, the folder of data sets that BENCH_DATA names, and the installed packages. It ends with status 1
where there is no GPU, a test fails, or the losses on the GPU are not the CPU's.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import leaderboard
from asugnn.errors import InputError, TrainingStoppedError
from asugnn.model import Context, Labelled, Precision
from asugnn.model_registry import configure_model
from asugnn.torch_model import TorchModel
from asugnn.training import autocast, move_batch
from leaderboard.running import processor_name

ROOT = Path(__file__).parent.parent
MODELS = ("cgcnn", "megnet", "m3gnet", "alignn", "cogn", "asugnn")
GPU_TESTS = ("tests/test_gpu.py", "tests/asugnn/test_training.py")
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
FIRST, ALL = 1e-4, 0.05  # largest relative deviation of the first loss, and of any, from the CPU's in float32
WARM = 5  # steps that are not timed


def main(words: list[str]) -> int:
    """Run all parts; returns the exit status."""
    options = _parse_options(words)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("This machine has no GPU that PyTorch can use: nothing was run.", file=sys.stderr)
        return 1
    try:
        train, val = _load_sides(options.data, options.most)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor_name(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "preset": options.preset,
        "data": options.data,
        "tests": _run_tests() if device.type == "cuda" else "need a GPU",
    }
    report["losses"] = _compare_losses(options, train, val)
    report["training"] = {
        p: _time_training(options, _new_model("asugnn", options.preset), p, train, val) for p in PRECISIONS
    }
    report["models"] = {
        name: _time_training(options, _new_model(name, options.models), "float32", train, val) for name in MODELS
    }
    text = json.dumps(report, indent=1) + "\n"
    print(text)
    out = options.out or ROOT / "benchmarks" / "results" / f"gpu-{report['device'].replace(' ', '-')}.json"
    out.write_text(text, encoding="utf-8")
    print(f"stored in {out}")
    agree = report["losses"]["first"] <= FIRST and report["losses"]["largest"] <= ALL
    if not agree:
        print(f"The losses on {device} are not those on the CPU.", file=sys.stderr)
    return 0 if agree and report["tests"] != "failed" else 1


def _parse_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Try the project on a GPU.")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=120.0, help="of training, for each timing")
    parser.add_argument("--steps", type=int, default=20, help="whose losses are compared with the CPU's")
    parser.add_argument("--preset", default="paper", help="of ASUGNN, that is timed in each precision")
    parser.add_argument("--models", default="hours", help="preset of all models, which are timed in float32")
    parser.add_argument("--data", default="mp-2018", help="data set with formation energies")
    parser.add_argument("--most", type=int, default=sys.maxsize, help="crystals to train on, at most")
    parser.add_argument("--out", type=Path, help="file to write instead of benchmarks/results/gpu-NAME.json")
    return parser.parse_args(words)


def _run_tests() -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "gpu", *GPU_TESTS], cwd=ROOT, check=False
    )
    return "failed" if ended.returncode else "passed"


def _load_sides(name: str, most: int) -> tuple[Labelled, Labelled]:
    train, val, _ = leaderboard.task(f"{name}/formation-energy").split()
    few = slice(0, most)
    return (
        Labelled(train.ids[few], train.crystals[few], train.y[few], train.kind),
        Labelled(val.ids[:64], val.crystals[:64], val.y[:64], val.kind),
    )


def _new_model(name: str, preset: str) -> TorchModel:
    endless = {"epochs": "1000000", "patience": "1000000", "updates": "0"}
    model = configure_model(name, preset, endless)
    assert isinstance(model, TorchModel)
    return model


def _train(model: TorchModel, train: Labelled, val: Labelled, context: Context) -> None:
    """Train by the project's own loop until `context` says that it is enough."""
    with suppress(TrainingStoppedError):
        model.fit(train, val, context)


def _compare_losses(options: argparse.Namespace, train: Labelled, val: Labelled) -> dict[str, Any]:
    """Train a narrow network from the same weights on the same batches, without random numbers, here and there."""
    losses = {}
    for label, device, precision in (
        ("cpu", "cpu", "float32"),
        *((f"{options.device} {precision}", options.device, precision) for precision in PRECISIONS),
    ):
        model = _new_model("asugnn", "quick")
        model.drop_key = 0.0  # type: ignore[attr-defined]
        values, compute = [], model._compute_loss

        def recorded(
            output: torch.Tensor,
            target: torch.Tensor,
            values: list[Any] = values,
            compute: Callable[..., Any] = compute,
        ) -> Any:
            values.append(compute(output, target))
            return values[-1]

        model.__dict__["_compute_loss"] = recorded
        few = slice(0, 20 * model.batch_size)
        side = Labelled(train.ids[few], train.crystals[few], train.y[few], train.kind)
        stop = lambda values=values: len(values) >= options.steps  # noqa: E731
        _train(model, side, val, Context(device=device, precision=precision, should_stop=stop))
        losses[label] = torch.stack([v.detach() for v in values]).double().cpu().numpy()
    reference = losses["cpu"]
    deviation = np.abs(losses[f"{options.device} float32"] / reference - 1)
    rounded = {label: [round(float(v), 6) for v in values] for label, values in losses.items()}
    return {"first": float(deviation[0]), "largest": float(deviation.max()), **rounded}


def _time_training(
    options: argparse.Namespace, model: TorchModel, precision: Precision, train: Labelled, val: Labelled
) -> dict[str, Any]:
    """Train for the stated time; speed without the first steps, memory, and the share of the matrix-product rate."""
    cuda = options.device == "cuda"
    ends: list[float] = []

    def enough() -> bool:
        ends.append(time.monotonic())
        return ends[-1] - ends[0] > options.seconds and len(ends) > WARM + 2

    if cuda:
        torch.cuda.reset_peak_memory_stats()
    _train(model, train, val, Context(device=options.device, precision=precision, should_stop=enough))
    if cuda:
        torch.cuda.synchronize()
        ends[-1] = time.monotonic()
    steps_per_second = (len(ends) - 1 - WARM) / (ends[-1] - ends[WARM])
    flops, peak = _count_flops(model, train, options.device, precision), _matrix_rate(options.device, precision)
    return {
        "seconds": round(ends[-1] - ends[0], 1),
        "steps": len(ends),
        "steps_per_second": round(steps_per_second, 3),
        "crystals_per_second": round(steps_per_second * min(model.batch_size, len(train)), 1),
        "flops_of_a_step": flops,
        "matrix_products_per_second": round(peak),
        "share_of_peak": round(flops * steps_per_second / peak, 4),
        "device_memory_mb": int(torch.cuda.max_memory_allocated() // 2**20) if cuda else None,
        "host_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _count_flops(model: TorchModel, train: Labelled, device: str, precision: Precision) -> int:
    """Count the operations of matrix products in one step; those of the LSTM on a GPU are not seen."""
    network = model.network().to(device)
    inputs = [model.inputs(c) for c in train.crystals[: model.batch_size]]
    batch = move_batch(model.batch(inputs), torch.device(device))
    with FlopCounterMode(display=False) as counter:
        with autocast(Context(device=device, precision=precision)):
            output = network(batch)
        output.float().square().mean().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def _matrix_rate(device: str, precision: Precision) -> float:
    """Measure the operations per second of a large matrix product."""
    n = 8192 if device == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=getattr(torch, precision))
    best = 0.0
    for _ in range(5):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * n**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
