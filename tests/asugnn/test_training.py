import csv
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import mse_loss

from asugnn import Context, InputError, training, training_state
from asugnn.checkpoint import checkpoint_files, read_checkpoint, write_checkpoint
from asugnn.errors import TrainingStoppedError
from asugnn.training import Batches, train


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small spend their time waiting for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Network(nn.Module):
    """Every kind of state that a resume could lose: weights, batch statistics, dropout."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))

    def forward(self, batch):
        return self.layers(batch["x"]).squeeze(-1)


SCHEDULES = {
    "none": lambda _: None,
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.01, total_steps=100),
    "lambda": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "sequence": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o, [torch.optim.lr_scheduler.LinearLR(o, 0.1), torch.optim.lr_scheduler.ExponentialLR(o, 0.9)], [7]
    ),
}


def made(n: int = 37, size: int = 8) -> Batches:
    x = torch.randn(n + 16, 3, generator=torch.Generator().manual_seed(5))
    y = x.sum(dim=1) + 0.1 * x[:, 0] ** 2
    return Batches(x[:n], y[:n], x[n:], y[n:], lambda xs: {"x": torch.stack(list(xs))}, size)


def run(folder=None, *, epochs=6, patience=100, schedule="none", precision="float32", should_stop=None, **more):
    """A new network, trained; returns it with the history and the last learning rate."""
    torch.manual_seed(0)
    module = Network()
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.01)
    extra = {"should_stop": should_stop} if should_stop else {}
    context = Context(seed=3, folder=folder, precision=precision, **extra)
    history = train(
        module,
        more.pop("batches", None) or made(),
        more.pop("loss", mse_loss),
        optimiser,
        SCHEDULES[schedule](optimiser),
        context,
        epochs=epochs,
        patience=patience,
        **more,
    )
    return module, history, optimiser.param_groups[0]["lr"]


def bits(module: nn.Module) -> dict[str, bytes]:
    return {k: v.numpy().tobytes() for k, v in module.state_dict().items()}


def losses(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


class Killed(BaseException):
    """Not an Exception, as no signal is one."""


def ending(steps: int, stop: bool):
    """Ends the run after some steps, or some more with those that end an epoch: as asked, or as a signal would."""
    asked = [0]

    def should_stop() -> bool:
        asked[0] += 1
        if asked[0] >= steps and not stop:
            raise Killed
        return asked[0] >= steps

    return should_stop


@pytest.mark.parametrize(
    "schedule", [n if n in {"none", "one cycle"} else pytest.param(n, marks=pytest.mark.slow) for n in SCHEDULES]
)
@settings(max_examples=3)
@given(
    ends=st.lists(st.tuples(st.integers(1, 35), st.booleans()), max_size=3), interval=st.sampled_from([0.0, 0.003, 1e9])
)
def test_a_run_that_was_ended_at_any_step_ends_as_one_that_was_not(tmp_path_factory, schedule, ends, interval):
    """Whether it had saved its state after each step, after some, or never."""
    folder = tmp_path_factory.mktemp("run")
    whole, history, rate = run(epochs=8, schedule=schedule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_EVERY", interval)
        for steps, stop in ends:
            with suppress(Killed, TrainingStoppedError):  # unless fewer steps were left
                run(folder, epochs=8, schedule=schedule, should_stop=ending(steps, stop))
        again, later, rate_later = run(folder, epochs=8, schedule=schedule)
    assert bits(again) == bits(whole)
    assert losses(later) == losses(history)
    assert rate_later == rate


def test_when_asked_to_stop_it_has_saved_its_last_step(tmp_path):
    with pytest.raises(TrainingStoppedError):
        run(tmp_path, should_stop=ending(8, stop=True))
    content = torch.load(io.BytesIO(read_checkpoint(tmp_path / "checkpoint.pt", " seed 3")), weights_only=True)
    assert (len(content["history"]), content["step"]) == (1, 3)  # five steps an epoch, the last of them fewer crystals


def test_a_process_that_is_shot_resumes(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import test_training as t\n"
        "t.training.CHECKPOINT_EVERY = 0.0\n"
        "t.torch.set_num_threads(1)\n"
        "t.run(Path(sys.argv[2]), epochs=100_000, patience=100_000)\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, env=os.environ.copy()) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "checkpoint.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    names = ("checkpoint.pt", "checkpoint.previous.pt")  # while the first is replaced, the second is there
    payload = read_checkpoint(next(tmp_path / name for name in names if (tmp_path / name).exists()), " seed 3")
    reached = len(torch.load(io.BytesIO(payload), weights_only=True)["history"])
    assert reached > 0
    assert bits(run(tmp_path, epochs=reached + 3)[0]) == bits(run(epochs=reached + 3)[0])


def test_a_finished_run_does_not_train_again(tmp_path):
    first, history, _ = run(tmp_path)
    before = (tmp_path / "history.csv").read_bytes()
    again, later, _ = run(tmp_path, loss=lambda *_: pytest.fail("it trained"))
    assert bits(first) == bits(again)
    assert later == history
    assert (tmp_path / "history.csv").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt", "checkpoint.previous.pt", "history.csv"}


def damaged_copies(content: bytes) -> dict[str, bytes]:
    """Cut, empty, zeros, and bits flipped everywhere."""
    rng = np.random.default_rng(0)

    def flip(bits) -> bytes:
        out = bytearray(content)
        for bit in bits:
            out[bit // 8] ^= 1 << bit % 8
        return bytes(out)

    places = [*range(0, 8 * 100, 7), *rng.integers(0, 8 * len(content), 50).tolist()]
    copies = {f"bit {bit}": flip([bit]) for bit in places}
    copies["50 bits"] = flip(rng.choice(8 * len(content), 50, replace=False).tolist())
    return {"empty": b"", "cut": content[: len(content) // 2], "zeros": bytes(len(content)), **copies}


def test_a_damaged_checkpoint_is_never_read(tmp_path):
    file = tmp_path / "checkpoint.pt"
    write_checkpoint(file, bytes(range(256)) * 8, "a")
    assert read_checkpoint(file, "a") == bytes(range(256)) * 8
    with pytest.raises(InputError, match="another training"):
        read_checkpoint(file, "b")
    for content in damaged_copies(file.read_bytes()).values():
        file.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            read_checkpoint(file, "a")


@pytest.mark.parametrize("damage", ["empty", "cut", "bit 7", "50 bits", "foreign", "other network"])
def test_a_checkpoint_that_does_not_fit_starts_training_again(damage, tmp_path, caplog):
    whole = run()[0]
    run(tmp_path, epochs=3)
    file = tmp_path / "checkpoint.pt"
    if damage == "foreign":
        write_checkpoint(file, b"PK", " seed 3")
    elif damage == "other network":  # its first layer fits, the second does not
        payload = io.BytesIO()
        other = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(15))
        weights = {f"layers.{k}": v for k, v in other.state_dict().items()}
        torch.save({"module": weights, "history": [], "best": 0.0, "best_epoch": 0, "best_weights": None}, payload)
        write_checkpoint(file, payload.getvalue(), " seed 3")
    else:
        file.write_bytes(damaged_copies(file.read_bytes())[damage])
    file.with_name("checkpoint.previous.pt").unlink(missing_ok=True)
    with caplog.at_level(logging.WARNING):
        assert bits(run(tmp_path)[0]) == bits(whole)
    assert [r.getMessage().endswith("training started again") for r in caplog.records] == [True]


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_the_checkpoint_before_the_last_one_serves(damage, tmp_path, caplog, monkeypatch):
    whole = run()[0]
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 0.0)
    run(tmp_path, epochs=3)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-1]) if damage == "cut" else file.unlink()
    seen = []
    assert bits(run(tmp_path, should_stop=lambda: seen.append(1))[0]) == bits(whole)
    assert len(seen) == 3 * (made().steps)  # the last three epochs of six
    said = ["checkpoint.pt was damaged: training resumed from the checkpoint before it"] if damage == "cut" else []
    assert [r.getMessage() for r in caplog.records] == said


def test_a_training_that_went_on_on_another_device_says_so(tmp_path, caplog, monkeypatch):
    whole = run()[0]
    as_on_gpu = lambda device: [torch.get_rng_state(), torch.zeros(16, dtype=torch.uint8)]  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(training_state, "random_state", as_on_gpu)
        run(tmp_path, epochs=3)
    with caplog.at_level(logging.WARNING):
        assert bits(run(tmp_path)[0]) == bits(whole)
    assert [r.getMessage() for r in caplog.records] == ["training began on a GPU and went on, after 3 epochs, on a CPU"]


class Small(Network):
    """A network on a device whose memory holds four crystals at a time; statistics of batches would tell parts."""

    fits = 4

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, batch):
        if len(batch["x"]) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return super().forward(batch)


def test_a_batch_that_does_not_fit_is_worked_on_in_parts(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(globals(), "Network", Small)
    parts, history, _ = run(tmp_path)
    (first, second, *rest) = [r.getMessage() for r in caplog.records]
    assert "from epoch 1 on, each batch of 8 was worked on in 2 parts and their gradients added up" in first
    assert "4 parts" in second, "validation takes 16 at a time"
    assert rest == []
    content = torch.load(io.BytesIO(read_checkpoint(tmp_path / "checkpoint.pt", " seed 3")), weights_only=True)
    assert content["parts"] == 4
    monkeypatch.setattr(Small, "fits", 100)
    whole, expected, _ = run()
    assert [h["val"] for h in history] == pytest.approx([h["val"] for h in expected], rel=1e-4)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-3, atol=1e-5)
    monkeypatch.setattr(Small, "fits", 0)
    with pytest.raises(torch.OutOfMemoryError):
        run()


def test_a_batch_that_does_not_fit_beside_the_one_before_waits_for_it(caplog, monkeypatch):
    """Batches are moved to the device ahead, in a thread: there is no memory for two of them, but for one."""
    expected = bits(run()[0])
    main, move = threading.get_ident(), training.move_batch

    def move_if_alone(batch, device):
        if threading.get_ident() != main:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return move(batch, device)

    monkeypatch.setattr(training, "move_batch", move_if_alone)
    assert bits(run()[0]) == expected
    assert caplog.records == []


def test_a_checkpoint_of_another_run_is_not_resumed(tmp_path, caplog):
    whole = run()[0]
    run(tmp_path, epochs=3)
    (tmp_path / "checkpoint.pt").rename(tmp_path / "kept")
    write_checkpoint(tmp_path / "checkpoint.pt", read_checkpoint(tmp_path / "kept", " seed 3"), " seed 4")
    assert bits(run(tmp_path)[0]) == bits(whole)
    assert "checkpoint.pt is of another training: training started again" in caplog.text


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    assert bits(run()[0]) == bits(run()[0])
    orders = [[made().shuffle_chunks(seed, epoch)[0].tolist() for epoch in (0, 1)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0][0] != orders[0][1]


def test_the_history_is_kept_as_a_table(tmp_path):
    _, history, _ = run(tmp_path, schedule="cosine")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert rows == history
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert list(rows[0]) == ["epoch", "train", "val", "rate", "seconds"]
    steps = made().steps
    expected = [0.005 * (1 + np.cos(np.pi * steps * epoch / 100)) for epoch in range(1, 7)]
    assert [row["rate"] for row in rows] == pytest.approx(expected)


def scripted(values):
    """A validation score that follows a script, and the weights it was asked about."""
    seen = []

    def score(output, target):
        seen.append(output.clone())
        return torch.tensor(values[len(seen) - 1])

    return score, seen


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best"),
    [
        ([5, 4, 3, 3.5, 3.2, 9], 2, 6, 4),  # means of up to five: 5, 4.5, 4, 3.875, 3.74, 4.54
        ([9, 1, 9, 5, 4, 4], 6, 6, 5),  # one lucky epoch is not the best
        ([5, 4, 3, 2, 1, 0.5], 1, 6, 5),
        ([1, 2, 3, 4, 5, 6], 3, 4, 0),
        ([np.nan, 2, np.nan, 3, 1, 4], 3, 5, 1),  # means of what is a number: 2, 2.5, 2
        ([np.inf, 2, 2, 2, 2, 2], 3, 5, 1),  # an equal score is no better one
    ],
)
def test_patience_ends_the_training_and_the_best_weights_come_back(values, patience, epochs, best):
    score, seen = scripted([float(v) for v in values])
    module, history, _ = run(patience=patience, score=score)
    assert len(history) == epochs
    assert not module.training
    with torch.inference_mode():
        now = module({"x": made().val})
    assert torch.allclose(now, seen[best], atol=1e-6)
    assert not torch.allclose(now, seen[best - 1], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_never_a_number_is_an_error(value):
    with pytest.raises(FloatingPointError, match="never a finite number: lower the learning rate"):
        run(score=lambda *_: torch.tensor(value))


def test_the_score_sees_all_of_the_validation_side_at_once():
    shapes = []

    def score(output, target):
        shapes.append((tuple(output.shape), tuple(target.shape)))
        return mse_loss(output, target)

    run(score=score, epochs=1)
    assert shapes == [((16,), (16,))]


def test_the_validation_side_does_not_change_the_weights():
    """But by the choice among epochs, which a constant score leaves out."""

    def fixed(*_):
        return torch.tensor(1.0)

    batches = made()
    other = Batches(batches.train, batches.y_train, -batches.val, 7 * batches.y_val, batches.collate, batches.size)
    assert bits(run(batches=batches, score=fixed)[0]) == bits(run(batches=other, score=fixed)[0])


def test_bfloat16_trains_on_a_cpu():
    module, history, _ = run(precision="bfloat16", epochs=30)
    assert history[-1]["val"] < 0.5 * history[0]["val"]
    assert {v.dtype for k, v in module.state_dict().items() if "num_batches" not in k} == {torch.float32}
    assert bits(module) != bits(run(epochs=30)[0])


def test_it_learns():
    _, history, _ = run(epochs=60)
    assert min(row["val"] for row in history) < 0.1 * history[0]["val"]


def test_gradients_are_clipped():
    norms = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            norms.append(float(torch.cat([p.grad.flatten() for g in self.param_groups for p in g["params"]]).norm()))
            return super().step(closure)

    for clip in (None, 0.05):
        module = Network()
        optimiser = Watched(module.parameters(), lr=1e-3)
        train(module, made(), mse_loss, optimiser, None, Context(), epochs=1, patience=9, clip=clip)
    assert max(norms[: len(norms) // 2]) > 0.05
    assert max(norms[len(norms) // 2 :]) < 0.0501


@given(n=st.integers(1, 200), size=st.integers(1, 32), epoch=st.integers(0, 3))
def test_every_row_is_seen_once_an_epoch_and_no_batch_is_tiny(n, size, epoch):
    batches = Batches(range(n), torch.zeros(n), [], torch.zeros(0), list, size)
    chunks = batches.shuffle_chunks(1, epoch)
    assert sorted(np.concatenate(chunks)) == list(range(n))
    assert len(chunks) == batches.steps
    if n >= 2:
        assert size == 1 or min(map(len, chunks)) >= min(2, n)
    assert min(map(len, chunks)) >= min(n, size // 4)
    assert max(map(len, chunks)) < size + max(2, size // 4)


def test_a_last_batch_of_one_joins_its_neighbour():
    assert [len(c) for c in made(n=17).shuffle_chunks(0, 0)] == [8, 9]
    assert [len(c) for c in made(n=18).shuffle_chunks(0, 0)] == [8, 8, 2]
    run(batches=made(n=17), epochs=1)  # batch norm refuses a batch of one


@pytest.mark.gpu
def test_a_gpu_trains_the_same_network(tmp_path):
    torch.manual_seed(0)
    module = Network()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    context = Context(device="cuda", precision="bfloat16", folder=tmp_path)
    history = train(module, made(), mse_loss, optimiser, None, context, epochs=60, patience=60)
    assert min(row["val"] for row in history) < 0.2 * history[0]["val"]


def test_the_next_batch_is_collated_while_the_network_works():
    """The network waits in its first step until the second batch is there."""
    batches, second, calls = made(16, 8), threading.Event(), []

    def collate(xs):
        calls.append(threading.current_thread())
        if len(calls) == 2:
            second.set()
        return {"x": torch.stack(list(xs))}

    class Waiting(Network):
        def forward(self, batch):
            assert not self.training or second.wait(timeout=20)
            return super().forward(batch)

    network = Waiting()
    ahead = Batches(batches.train, batches.y_train, batches.val, batches.y_val, collate, 8)
    train(network, ahead, mse_loss, torch.optim.SGD(network.parameters(), 0.01), None, Context(), epochs=1, patience=9)
    assert len(calls) == 2 + 1  # two batches of the training side, one of the validation side
    assert threading.main_thread() not in calls[:2]


def test_a_fault_of_collating_reaches_the_caller():
    def collate(xs):
        if threading.current_thread() is not threading.main_thread():
            raise InputError("crystal 'a': no")
        return {"x": torch.stack(list(xs))}

    batches = made()
    wrong = Batches(batches.train, batches.y_train, batches.val, batches.y_val, collate, 8)
    network = Network()
    with pytest.raises(InputError, match="crystal 'a'"):
        train(
            network, wrong, mse_loss, torch.optim.SGD(network.parameters(), 0.1), None, Context(), epochs=1, patience=9
        )


@pytest.mark.parametrize("passing", [torch.OutOfMemoryError("CUDA out of memory"), OSError(24, "Too many open files")])
def test_what_passes_removes_no_checkpoint(passing, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 0.0)
    run(tmp_path, epochs=3)
    files = checkpoint_files(tmp_path / "checkpoint.pt")
    assert len(files) == 2

    def fail(*_, **__):
        raise passing

    with monkeypatch.context() as patched, pytest.raises(InputError, match="cannot be read as a checkpoint"):
        patched.setattr(torch, "load", fail)
        run(tmp_path)
    assert checkpoint_files(tmp_path / "checkpoint.pt") == files
