# ruff: noqa: E501
"""Odd run folders: a good run, damaged or forged in every way that we could think of. None of them may hurt another."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic_write import file_sha256
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.dataset import load_dataset
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_files import file_digests
from leaderboard.records.run_folder import Run
from leaderboard.records.run_record import FORMAT, record_text

TASK = parse_task("open-dft/bulk-modulus")
TASKS = [TASK, *(parse_task(f"open-dft/{name}") for name in ("formation-energy", "band-gap", "metal", "zero-shot"))]
MISSING: Any = object()
ESCAPE, BIDI = "\x1b[31mred\x1b]0;title\x07\x9b5m", "\u202egnp.\u2066x\u2069\u200f"
EVIL = f"{ESCAPE} {BIDI} <script>alert(1)</script> | `x` *x* [/] [bold] [x](http://evil.example)\nnext\ud800\x00"
HISTORY = "train,val,seconds\n" + "".join(f"{1 / k},{1.5 / k},0.1\n" for k in range(1, 21))
VALUES: dict[str, Any] = {  # for every field of run.json, at every level
    "missing": MISSING,
    "null": None,
    "true": True,
    "text": "x",
    "evil": EVIL,
    "long": "m" * 300_000,
    "negative": -1,
    "fraction": 0.5,
    "huge": 10**4000,
    "1e308": 1e308,
    "nan": float("nan"),
    "infinity": float("inf"),
    "list": [],
    "lists": [[["x"]], {}],
    "object": {},
    "objects": {"": {"x": None}, EVIL: EVIL},
}
FIELDS = (
    "format", "task", "model", "preset", "fold", "seed", "split", "split.rule", "split.version", "split.sha256", "data",
    "data.name", "data.sha256", "predictions_sha256", "entry", "source", "code", "code.sha256", "code.file", "settings",
    "settings.width", "weights", "weights.name", "weights.trained_on", "weights.sha256", "precision", "counts",
    "counts.train", "counts.test", "seconds", "seconds.train", "seconds.predict", "leaks", "outside", "outside.x",
    "model_of", "resumed", "peak_memory_mb", "peak_device_memory_mb", "device", "device.kind", "device.name",
    "device.threads", "parameters", "columns", "log", "log.line", "log.sha256", "versions", "versions.numpy", "commit",
    "finished", "warnings", "files", "files.model/model.json", "sha256", "unheard",
)  # fmt: skip


def make_good_run(root: Path, task: Any = TASK, model: str = "good", noise: float = 0.1) -> Path:
    """A run of the mean that could have been made by `bench run`, with every optional field of its record."""
    run = Run(task, "quick", model, 0, 0)
    folder = run.folder(root)
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.json").write_text('{"mean": 1.5}\n')
    (folder / "history.csv").write_text(HISTORY)
    truth, data = load_ground_truth(task, 0), load_dataset(task.source)
    p = truth.y + noise * np.sin(np.arange(len(truth.y)))
    write_predictions(
        folder / "predictions.csv", truth.ids, task.target.name, np.clip(p, 0, 1) if max(truth.y) <= 1 else p
    )
    digests = file_digests(folder)
    raw = {
        "format": FORMAT, "task": task.name, "model": model, "preset": "quick", "fold": 0, "seed": 0,
        "split": {"rule": task.rule, "version": 1, "sha256": truth.split_sha256},
        "data": {"name": task.source.name, "sha256": data.sha256},
        "predictions_sha256": digests["predictions.csv"], "entry": "mean", "source": "baselines.mean:Mean",
        "code": {"sha256": "0" * 64, "package": "asugnn-bench", "version": "0.1"}, "settings": {"width": 64},
        "weights": None, "precision": "float32", "counts": {"train": 10, "validate": 2, "test": len(truth.y)},
        "seconds": {"train": 1.5, "predict": 0.1}, "leaks": 0, "outside": {}, "resumed": False, "peak_memory_mb": 100,
        "peak_device_memory_mb": None, "device": {"kind": "cpu", "name": "a processor", "threads": 2},
        "parameters": 1000, "columns": None, "log": None, "versions": {"numpy": "2"}, "commit": "0" * 40,
        "finished": "2025-01-01T00:00:00+00:00", "files": digests,
    }  # fmt: skip
    (folder / "run.json").write_text(record_text(raw))
    return folder


def change_record(folder: Path, field: str, value: Any) -> None:
    """Forge a field of run.json, with the digest that fits what it then says."""
    raw = json.loads((folder / "run.json").read_text())
    *path, name = field.split(".", 1)
    table = raw
    for key in path:
        if not isinstance(table.get(key), dict):
            table[key] = copy.deepcopy(FILLED.get(key, {}))
        table = table[key]
    table.pop(name, None)
    if value is not MISSING:
        table[name] = value
    text = record_text(raw) if field != "sha256" else json.dumps(raw)
    (folder / "run.json").write_text(text, "utf-8", "surrogatepass")


FILLED = {"weights": {"name": "x", "trained_on": "x", "sha256": {}}, "log": {"line": 1, "sha256": "0" * 64}}
Damage = Callable[[Path], object]


def _file(name: str, content: str | bytes) -> Damage:
    """A file of the run with another content, whose digest the record states."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        if name != "run.json":
            files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "run.json"]
            digests = {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
            change_record(folder, "files", digests)
            change_record(folder, "predictions_sha256", digests["predictions.csv"])

    return damage


def _instead(name: str, make: Callable[[Path], object]) -> Damage:
    """Something that is no file in the place of a file."""

    def damage(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path)

    return damage


def _sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def _rename(path: Path, name: str | bytes) -> None:
    os.rename(path, os.path.join(os.fsencode(path.parent), os.fsencode(name)))  # noqa: PTH104, PTH118


def _deep(folder: Path, depth: int) -> None:
    inside = folder / "model"
    for _ in range(depth):
        inside = inside / "d"
        inside.mkdir()


def _values(change: Callable[[str], str]) -> Damage:
    """Predictions with other values."""

    def damage(folder: Path) -> None:
        head, *rows = (folder / "predictions.csv").read_text().splitlines()
        rows = [f"{row.rpartition(',')[0]},{change(row.rpartition(',')[2])}" for row in rows]
        _file("predictions.csv", "\n".join([head, *rows, ""]))(folder)

    return damage


NOT_FILES: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "fifo": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "sparse": _sparse(2**30),
    "nothing": lambda _: None,
}
NAMES: dict[str, str | bytes] = {
    "latin-1": b"caf\xe9", "escape": b"\x1b[31mred\x1b]0;title\x07", "c1": "\x9b31mred", "bidi": BIDI,
    "script": "<script>alert(1)<script>", "image": "<img src=x onerror=alert(1)>", "pipe": "a|b", "newline": "a\nb\n# c",
    "markup": "[bold]x[link=x]y", "closing": "x[@click=bell()]", "open": "[red]", "code": "`x`", "stars": "**x** _y_", "255": "m" * 255,
    "space": " ", "tab": "a\tb", "quote": "\"'><b>", "wide": "晶体" * 20, "tex": "$x^{$", "emoji": "👩‍🔬",
    "zalgo": "z" + "\u0337\u0322" * 50, "backslash": "x\\", "percent": "%s{0}{{ 7*7 }}", "link": "[x](mailto:evil)",
    "separator": "a\u2028b", "bom": "\ufeffx", "nul": "a\x01b", "plus": "+a=-1", "dots": "...", "comma": "a, submitted",
}  # fmt: skip
NUMBERS = (
    "0-00",
    "00-0",
    "1_0-0",
    "٠-٠",
    " 0-0",
    "0-x",
    "0--1",
    "-0-0",
    "0-0-0",
    "0-" + "9" * 200,
    "99-0",
    "9" * 200 + "-0",
    "+0-0",
)
HISTORIES: dict[str, str | bytes] = {
    "empty": "", "header": "train,val\n", "text": "train,val\nx,y\n", "nan": "train,val\nnan,nan\nnan,nan\n",
    "infinite": "train,val\ninf,-inf\n1e999,1\n", "ragged": "train,val\n1\n1,2,3\n", "no val": "train,loss\n1,2\n",
    "huge": "train,val\n" + "1,1\n" * 2_000_000, "binary": bytes(range(256)), "crlf": HISTORY.replace("\n", "\r\n"),
    "negative": "train,val\n-1,-1\n-2,-3\n", "zero": "train,val\n0,0\n0,0\n", "1e308": "train,val\n1e308,1e308\n1e-308,1e-308\n",
    "evil": f"train,val,{ESCAPE}\n1,2,3\n", "twice": "val,val\n1,2\n", "quoted": '"train","val"\n"1","2"\n', "blank": "\n\n\n",
    "bom": b"\xef\xbb\xbf" + HISTORY.encode(), "one line": "val," * 1_000_000 + "\n", "classes": 'val,x" onload="alert(1)\n1,2\n1,3\n',
    "long number": "train,val\n" + "9" * 5000 + ",1\n", "one": "train,val\n1,1\n", "spread": "train,val\n1e-300,1e300\n1e300,1e-300\n",
}  # fmt: skip
RECORDS: dict[str, str | bytes] = {
    "empty": "", "cut": '{"format": 3, "task"', "list": "[]", "number": "7", "null": "null", "deep": "[" * 100_000,
    "deep object": '{"a":' * 100_000, "latin-1": b'{"format": 3, "task": "caf\xe9"}', "bom": b"\xef\xbb\xbf{}", "utf-16": "{}".encode("utf-16"),
    "zeros": bytes(2000), "format 99": '{"format": 99}', "only format": '{"format": 3}', "digits": '{"format": ' + "9" * 10_000 + "}",
    "twice": '{"format": 3, "format": "x"}', "random": os.urandom(3000),
}  # fmt: skip


def nested(depth: int) -> Any:
    """Objects in objects."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    return value


DAMAGES: dict[str, Damage] = {
    **{f"run.json is {k}": _instead("run.json", make) for k, make in NOT_FILES.items()},
    **{f"run.json holds {k}": _file("run.json", content) for k, content in RECORDS.items()},
    **{f"predictions.csv is {k}": _instead("predictions.csv", make) for k, make in NOT_FILES.items()},
    **{f"history.csv is {k}": _instead("history.csv", make) for k, make in NOT_FILES.items()},
    **{f"history.csv holds {k}": _file("history.csv", content) for k, content in HISTORIES.items()},
    **{f"model is {k}": _instead("model", make) for k, make in NOT_FILES.items()},
    **{f"model.json is {k}": _instead("model/model.json", make) for k, make in NOT_FILES.items()},
    "error.txt is fifo": lambda f: ((f / "run.json").unlink(), os.mkfifo(f / "error.txt")),
    "error.txt is folder": lambda f: ((f / "run.json").unlink(), (f / "error.txt").mkdir()),
    "error.txt is evil": lambda f: (
        (f / "run.json").unlink(), (f / "error.txt").write_bytes(EVIL.encode("utf-8", "surrogatepass"))),
    "error.txt is sparse": lambda f: ((f / "run.json").unlink(), _sparse(2**30)(f / "error.txt")),
    "settings are deep": lambda f: change_record(f, "settings", nested(40)),
    "settings are deeper": lambda f: change_record(f, "settings", nested(150)),
    "an unknown field is deep": lambda f: change_record(f, "unheard", nested(100)),
    "settings are many": lambda f: change_record(f, "settings", {f"x{i}": i for i in range(50_000)}),
    "files lead out": lambda f: change_record(f, "files", {"../x": "0" * 64, "/etc/passwd": "0" * 64, "": "", EVIL: "x"}),
    "columns are one": lambda f: change_record(f, "columns", ["id", "id"]),
    "columns are evil": lambda f: change_record(f, "columns", [EVIL, "\n"]),
    "columns are empty": lambda f: change_record(f, "columns", ["", ""]),
    "outside is all": lambda f: change_record(f, "outside", dict.fromkeys(load_ground_truth(TASK, 0).ids, "x")),
    "outside is unknown": lambda f: change_record(f, "outside", {"nobody": EVIL, "../x": "y"}),
    "outside of a trained run": lambda f: change_record(f, "outside", {load_ground_truth(TASK, 0).ids[0]: "hard"}),
    "log of another": lambda f: change_record(f, "log", {"line": 10**15, "sha256": "x"}),
    "weights are stated": lambda f: change_record(f, "weights", {"name": EVIL, "trained_on": EVIL, "sha256": {EVIL: EVIL}}),
    "entry is a file": lambda f: change_record(f, "entry", "../evil.py:Evil"),
    "entry is dotted": lambda f: change_record(f, "entry", "os:system"),
    "predictions are huge": _values(lambda _: "1e308"),
    "predictions are hugest": _values(lambda _: "-1.7976931348623157e308"),
    "predictions are tiny": _values(lambda _: "5e-324"),
    "predictions are equal": _values(lambda _: "0"),
    "predictions are 1e100": _values(lambda _: "1e100"),
    "predictions are text": _values(lambda _: "x"),
    "a file was added": lambda f: (f / f"x{ESCAPE}").write_text("x"),
    "a fifo was added": lambda f: os.mkfifo(f / "model" / "pipe"),
    "folders are deep": lambda f: _deep(f, 1100),
    "a name is latin-1": lambda f: _rename(f / "model" / "model.json", b"caf\xe9"),
}  # fmt: skip


def odd_runs(good: Path, root: Path, skipped: tuple[str, ...] = ()) -> Iterator[tuple[str, Path]]:
    """Copy a good run into `root` once for each damage whose name ends otherwise; yield what is odd, and the folder."""
    home = root / "open-dft" / "bulk-modulus@random" / "quick"
    for i, (what, damage) in enumerate(DAMAGES.items()):
        if what.endswith(skipped):
            continue
        folder = home / f"damaged-{i}" / "0-0"
        shutil.copytree(good, folder)
        change_record(folder, "model", f"damaged-{i}")
        damage(folder)
        yield what, folder
    for what, name in NAMES.items():
        folder = home / "renamed" / "0-0"
        shutil.copytree(good, folder)
        _rename(folder.parent, name)
        yield f"model is named {what}", home / os.fsdecode(name) / "0-0"
    for number in NUMBERS:
        folder = home / f"number-{abs(hash(number))}" / number
        shutil.copytree(good, folder)
        yield f"folder is {number[:10]}", folder
    for place in ("open-dft/bulk-modulus@nothing/quick/a/0-0", "open-dft/nothing@random/quick/a/0-0", f"{ESCAPE}/x@y/quick/a/0-0",
                  f"open-dft/bulk-modulus@random/{ESCAPE}[red]/a/0-0", f"open-dft/bulk-modulus@random/pretrained/{ESCAPE}/0-0",
                  "open-dft/bulk-modulus@random/submitted/[red]/0-0", "open-dft/bulk-modulus@random/0-0", "a/b/c/d/e/f/g/0-0",
                  "open-dft/bulk-modulus@random/quick/a/b/0-0"):  # fmt: skip
        shutil.copytree(good, root / place)
        yield f"folder is {place[-40:]}", root / place


def odd_records(good: Path, root: Path) -> Iterator[tuple[str, Path]]:
    """Copy a good run once for each field of run.json and each odd value."""
    home = root / "open-dft" / "bulk-modulus@random" / "quick"
    for field in FIELDS:
        for kind, value in VALUES.items():
            folder = home / f"{field.replace('/', '-')}-{kind}" / "0-0"
            folder.mkdir(parents=True)
            for name in ("run.json", "predictions.csv"):
                shutil.copy(good / name, folder / name)
            change_record(folder, field, value)
            yield f"{field} is {kind}", folder
