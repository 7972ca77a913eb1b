"""Feed mutated files of every kind to the readers: each must be read or refused in a sentence, quickly.

    python tests/fuzz_inputs.py COUNT SEED [KIND ..]      (`nox -s fuzz -- COUNT SEED`)

Input number n of a seed is always the same. Any exception but `InputError`, more than 2 seconds or more than 1 GB is a
fault; its input is kept in the folder `fuzz-faults`, and the exit status is 1.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ase import Atoms
from ase.build import bulk
from ase.db import connect
from ase.io import write as ase_write
from pymatgen.io.ase import AseAtomsAdaptor

from asugnn.errors import InputError
from asugnn.structure_files import read_crystals
from leaderboard.board import load_ground_truth
from leaderboard.data import PACKAGE, load_dataset, parse_task
from leaderboard.data.dataset import _opened
from leaderboard.data.exclusions import read_exclusions
from leaderboard.data.registry import _read_json, find_source
from leaderboard.ingest.labelled_rows import ImportTarget, LabelledRows
from leaderboard.ingest.local_files import _read_rows
from leaderboard.ingest.nomad2018 import _read_archive
from leaderboard.ingest.screening import _documents, screen_document
from leaderboard.records.host_solution import COMPETITION_FILE, find_solution
from leaderboard.records.predictions_csv import predictions_text, read_predictions
from leaderboard.records.run_folder import list_runs, read_history
from leaderboard.records.run_record import RunRecord
from leaderboard.records.submission_log import FIRST_PREVIOUS, SubmissionLog
from leaderboard.splitting.split import SPLITS_FOLDER, read_split

SECONDS, MEGABYTES = 2.0, 1000  # of processor time, and beyond what was needed before
HANGS = 20.0  # seconds on the clock after which an input is given up
SPACE = 6_000_000_000  # bytes of addresses: an input that needs more ends in a MemoryError, not with the machine
TOKENS = [
    *(b"nan", b"inf", b"1e999", b"-1", b"0", b"99999999999", b"1_000", b"(3)", b"9" * 400, b"_", b"?", b".", b"'"),
    *(b'"', b";", b",", b"=", b":", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"loop_", b"data_", b"{", b"[", b"]", b"}"),
    b" " * 500,
    *(b"[[[[[[[[" * 60, b"<script>", b"\x1b[31m", b"\xe2\x80\xae", b"\x80" * 8, b"\xff" * 5 + b"\x7f"),
]  # fmt: skip
NUMBERS = [b"0", b"-1", b"1e300", b"nan", b"999999999", b"99999999999999999999", b"1/0", b"0x10", b"3.7", b"12"]
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    10**30,
    10**400,
    "",
    "x" * 3000,
    "../..",
    [],
    {},
    [[]],
    {"a": 1},
]
TASK = "open-dft/metal"
SYMMETRIC_CIF = b"""#\\#CIF_2.0
data_s
_space_group_name_H-M_alt 'P 63 m c'
_space_group_IT_number 186
_space_group_crystal_system hexagonal
save_frame
_cell.length_a 9
save_
_chemical_formula_sum 'Ga N'
_cell_formula_units_Z 2
_cell.length_a 3.19(1)
_cell.length_b 3.19
_cell.length_c 5.19
_cell.angle_alpha 90
_cell.angle_beta 90
_cell.angle_gamma 120
_cell_volume 45.74
_note
;
data_old
;
_list [1 [2 '3']]
loop_
_space_group_symop_operation_xyz
'x, y, z'
'-y, x-y, z'
'-x+y, -x, z'
'-x, -y, z+1/2'
'y, -x+y, z+1/2'
'x-y, x, z+0.5'
'-y, -x, z'
'-x+y, y, z'
'x, x-y, z'
'y, x, z+1/2'
'x-y, -y, z+1/2'
'-x, -x+y, z+1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_symmetry_multiplicity
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_disorder_group
_atom_site_site_symmetry_order
_atom_site_Cartn_x
_atom_site_Cartn_y
_atom_site_Cartn_z
_atom_site_Wyckoff_symbol
Ga1 Ga3+ 2 0.333 0.667 0 1 . 6 0.00 1.84 0 b
N1 N 2 .333 .667 0.377(2) . ? 6 0 1.84 1.96 b
"""
CLAIMING_CIF = re.sub(
    rb"_space_group_name.*\n|_space_group_IT.*\n|loop_\n_space_group_symop(?:.|\n)*?(?=loop_)", b"", SYMMETRIC_CIF
)
NAMED_POSCAR = b"""c
1.0
4 0 0
0 4 0
0 0 4
Na Cl
1 1
Selective
Direct
0 0 0 T T F Na1+
0.5 0.5 0.5 F F F Cl

0 0 0
0 0 0
"""
REPEATING_XYZ = b"""2
Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:Z:I:1 pbc="T T T" energy=1
Na 0 0 0 11
Cl 2 2 2 17
VEC1 4 0 0
VEC2 0 4 0
VEC3 0 0 4
"""


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage some bytes: flip, cut, repeat, insert tokens, replace numbers, drop or shuffle lines."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        start = rng.randrange(len(out) or 1)
        end = min(len(out), start + rng.choice([1, 2, 5, 20, 200]))
        match rng.randrange(8):
            case 0:
                out[start:end] = (
                    bytes([b ^ 1 << rng.randrange(8) for b in out[start : start + 1]]) + out[start + 1 : end]
                )
            case 1:
                out[start:end] = b"" if rng.random() < 0.5 else bytes(end - start)
            case 2:
                out[start : rng.choice([start, end])] = rng.choice(TOKENS)
            case 3:
                del out[start:]
            case 4:
                out[start:start] = out[start:end] * rng.choice([2, 50, 1000])
            case 5:
                lines = bytes(out).split(b"\n")
                if rng.random() < 0.2:
                    rng.shuffle(lines)
                else:
                    lines.pop(rng.randrange(len(lines)))
                out = bytearray(b"\n".join(lines))
            case _:
                if spans := [match.span() for match in re.finditer(rb"-?\d+\.?\d*", bytes(out))]:
                    start, end = rng.choice(spans)
                    out[start:end] = rng.choice(NUMBERS)
        del out[2_000_000:]
    return bytes(out)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Replace, remove or wrap one value of a JSON document, or damage its bytes."""
    if rng.random() < 0.5:
        return mutate(data, rng)
    content = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        places: list[tuple[Any, Any]] = []
        waiting = [content]
        while waiting:
            inner = waiting.pop()
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            places += [(inner, key) for key in keys]
            waiting += [inner[key] for key in keys if isinstance(inner[key], (dict, list))]
        if not places:
            break
        inner, key = rng.choice(places)
        if rng.random() < 0.3:
            del inner[key]
        else:
            inner[key] = copy.deepcopy(rng.choice([*ODD, [inner[key]], {"a": inner[key]}]))  # ODD stays as it is
    return json.dumps(content).encode()


def mutate_database(data: bytes, rng: random.Random) -> bytes:
    """Replace a cell of an SQLite database, turn its table into a view, or damage its bytes."""
    if rng.random() < 0.5:
        return mutate(data, rng)
    with closing(sqlite3.connect(":memory:")) as database, suppress(sqlite3.Error, OverflowError):
        database.deserialize(data)
        columns = [row[1] for row in database.execute("PRAGMA table_info(systems)")]
        values = [None, -1, 2**62, 1.5, "text", "", "[" * 500, b"", b"\0" * 7, b"\xff" * 24, b"\xff" * 72, bytes(240)]
        column, value = rng.choice(columns), rng.choice(values)
        database.execute(f"UPDATE systems SET {column} = ? WHERE id = (SELECT max(id) FROM systems)", (value,))
        if rng.random() < 0.1:
            database.execute("ALTER TABLE systems RENAME TO other")
            body = rng.choice(["SELECT a.* FROM other a, other b, other c", "SELECT zeroblob(1000000000) AS id"])
            endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS id FROM n"
            database.execute(f"CREATE VIEW systems AS {rng.choice([body, endless])}")
        database.commit()
        return database.serialize()
    return data


def mutate_log(data: bytes, rng: random.Random) -> bytes:
    """Damage a line of a log; half of the time its lines are chained anew, as somebody would who forges it."""
    lines = data.splitlines()
    place = rng.randrange(len(lines))
    lines[place] = mutate_json(lines[place], rng)
    if rng.random() < 0.5:
        previous = FIRST_PREVIOUS
        for number, line in enumerate(lines):
            with suppress(ValueError, TypeError, RecursionError):
                lines[number] = json.dumps({**json.loads(line), "n": number + 1, "previous": previous}).encode()
            previous = hashlib.sha256(lines[number]).hexdigest()
    return b"\n".join(lines) + b"\n"


def mutate_packed(data: bytes, rng: random.Random) -> bytes:
    """Damage what is inside a gzip file, or the file itself."""
    if rng.random() < 0.4:
        return mutate(data, rng)
    return gzip.compress(mutate(gzip.decompress(data), rng), 1)


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """Give a column of a Parquet table other values or another type, or damage its bytes."""
    if rng.random() < 0.7:
        return mutate(data, rng)
    table = pl.read_parquet(data)
    name = rng.choice(table.columns)
    n = len(table)
    values: list[pl.Series] = [
        pl.Series([rng.choice([1.0, float("nan"), float("inf"), None, -1e300]) for _ in range(n)], dtype=pl.Float64),
        pl.Series([[rng.choice([0.5, None, float("nan")])] * rng.choice([0, 1, 6, 9, 300]) for _ in range(n)]),
        pl.Series([None] * n),
        pl.Series(["x" * rng.choice([0, 1, 2000])] * n),
        pl.Series([b"\xff"] * n),
        pl.Series([{"a": 1}] * n),
        pl.Series([[["x"]]] * n),
    ]
    out = io.BytesIO()
    table.with_columns(rng.choice(values).alias(name)).write_parquet(out, compression=rng.choice(["zstd", "snappy"]))
    return out.getvalue()


@dataclass
class Kind:
    """A kind of file: seeds by file name, how they are mutated, and what reads the mutated file."""

    read: Callable[[Path], Any]
    mutate: Callable[[bytes, random.Random], bytes] = mutate
    seeds: list[tuple[str, bytes]] = field(default_factory=list)


def make_kinds(home: Path) -> dict[str, Kind]:  # noqa: PLR0915, one block for each kind
    """Write one valid file of each kind in `home`, and return them as seeds."""
    truth = load_ground_truth(parse_task(TASK), 0)
    data = load_dataset(find_source("open-dft"))
    record = next((PACKAGE / "runs/open-dft").rglob("run.json"))
    splits, split = home / "splits", SPLITS_FOLDER / "open-dft"

    def read_run(path: Path) -> None:
        folder = home / "runs" / "open-dft/metal@random/quick/x/0-0"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "run.json")
        list_runs(home / "runs")
        RunRecord.read(path)

    def read_split_toml(path: Path) -> None:
        place_split(path, split / "random.csv")
        read_split(data, "random", splits)

    def place_split(toml: Path, table: Path) -> None:
        (splits / "open-dft").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(toml, splits / "open-dft/random.toml")
        shutil.copyfile(table, splits / "open-dft/random.csv")

    def read_split_csv(path: Path) -> None:
        text = re.sub("[0-9a-f]{64}", hashlib.sha256(path.read_bytes()).hexdigest(), toml)
        (home / "random.toml").write_text(text)
        place_split(home / "random.toml", path)
        read_split(data, "random", splits)

    def read_data_set(path: Path) -> None:
        folder = home / "data" / "own"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / "dataset.json")
        _opened.clear()
        _read_json.cache_clear()
        source = find_source("own")
        read_exclusions(source)
        load_dataset(source)

    def read_table(path: Path) -> None:
        _opened.clear()
        (home / "data/own/dataset.json").write_text(json.dumps(own))
        shutil.copyfile(home / "data/own/data.parquet", home / "kept")
        shutil.copyfile(path, home / "data/own/data.parquet")
        try:
            table = load_dataset(source := find_source("own"))
            table.labels(source.targets[0])
            table.groups(table.ids)
            table.crystals(table.ids)
        finally:
            shutil.copyfile(home / "kept", home / "data/own/data.parquet")

    def read_log(path: Path) -> None:
        folder = home / "log"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / "submissions.jsonl")
        SubmissionLog(folder).count_tries()

    def read_solution(path: Path) -> None:
        folder = home / "solution"
        folder.mkdir(exist_ok=True)
        (folder / COMPETITION_FILE).write_text(json.dumps({"task": TASK, "fold": 0}), encoding="utf-8")
        os.environ["BENCH_SOLUTION"] = str(shutil.copyfile(path, folder / "solution.csv"))
        try:
            find_solution(TASK, 0, truth.ids)
        finally:
            del os.environ["BENCH_SOLUTION"]

    def read_labels(path: Path) -> None:
        _read_rows(path, LabelledRows(path, [ImportTarget("gap", "eV")]))

    def read_folder(path: Path) -> None:
        folder = home / "import"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, content in cifs:
            (folder / name).write_bytes(content)
        shutil.copyfile(path, folder / "labels.csv")
        read_labels(folder)

    def read_documents(path: Path) -> None:
        for name, document in _documents(path):
            screen_document(name, document)

    toml = (split / "random.toml").read_text()
    kinds = {
        "cif": Kind(read_crystals),
        "cif-gz": Kind(read_crystals, mutate_packed),
        "poscar": Kind(read_crystals),
        "xyz": Kind(read_labels),
        "db": Kind(read_labels, mutate_database),
        "json": Kind(read_crystals, mutate_json),
        "predictions": Kind(lambda path: read_predictions(path, truth.ids, "metal", "binary")),
        "run": Kind(read_run, mutate_json),
        "history": Kind(lambda path: read_history(path.parent)),
        "dataset": Kind(read_data_set, mutate_json),
        "split-toml": Kind(read_split_toml),
        "split-csv": Kind(read_split_csv),
        "log": Kind(read_log, mutate_log),
        "solution": Kind(read_solution),
        "parquet": Kind(read_labels, mutate_table),
        "table": Kind(read_table, mutate_table),
        "folder": Kind(read_folder),
        "archive": Kind(_read_archive, mutate_packed),
        "documents": Kind(read_documents, mutate_packed),
    }
    seeds = home / "seeds"
    seeds.mkdir()
    for i, atoms in enumerate(example_crystals()):
        for name, form, kind in (
            (f"a{i}.cif", "cif", "cif"),
            (f"a{i}.vasp", "vasp", "poscar"),
            (f"a{i}.xyz", "extxyz", "xyz"),
            (f"a{i}.json", "json", "json"),
        ):
            ase_write(seeds / name, atoms, format=form)
            kinds[kind].seeds.append((name, (seeds / name).read_bytes()))
        structure = json.dumps(AseAtomsAdaptor.get_structure(atoms).as_dict())
        kinds["json"].seeds.append((f"p{i}.json", structure.encode()))
        with connect(seeds / f"a{i}.db") as database:
            for gap in range(4):
                database.write(atoms, gap=float(gap), name="x")
        kinds["db"].seeds.append((f"a{i}.db", (seeds / f"a{i}.db").read_bytes()))
    cifs = list(kinds["cif"].seeds)
    kinds["cif"].seeds += [("s.cif", SYMMETRIC_CIF), ("t.cif", CLAIMING_CIF)]
    kinds["poscar"].seeds.append(("s.vasp", NAMED_POSCAR))
    kinds["xyz"].seeds.append(("s.xyz", REPEATING_XYZ))
    kinds["cif-gz"].seeds.append(("s.cif.gz", gzip.compress(SYMMETRIC_CIF)))
    rows = [data.table.head(30).with_columns(gap=1.0), data.table.head(2)]
    for table, packing in zip([*rows, *rows], ("zstd", "snappy", "gzip", "uncompressed"), strict=True):
        out = io.BytesIO()
        table.write_parquet(out, compression=packing)  # type: ignore[arg-type]
        kinds["parquet"].seeds.append(("t.parquet", out.getvalue()))
        kinds["table"].seeds.append(("t.parquet", out.getvalue()))
    labels = "name,gap\n" + "".join(f"{name},{i}.5\n" for i, (name, _) in enumerate(cifs))
    predictions = predictions_text(truth.ids, "metal", truth.y.tolist()).encode()
    solution = "id,metal,Usage\n" + "".join(f"{n},{y},Public\n" for n, y in zip(truth.ids, truth.y, strict=True))
    log = SubmissionLog(seeds)
    for _ in range(3):
        log.append({"task": TASK, "fold": 0, "name": "mine", "sha256": "0" * 64})
    own = {
        "name": "own", "title": "own", "licence": "", "citation": "", "source": "", "excluded": 0, "sha256": "0" * 64,
        "targets": [{"name": "gap", "column": "gap", "unit": "eV", "kind": "regression"}],
    }  # fmt: skip
    (home / "data/own").mkdir(parents=True)
    rows[0].write_parquet(home / "data/own/data.parquet")
    (home / "data/own/excluded.csv").write_text("id,rule,detail\na,unreadable,x\n")
    for kind, name, content in (
        ("predictions", "predictions.csv", predictions),
        ("run", "run.json", record.read_bytes()),
        ("history", "history.csv", b"epoch,train,val\n1,0.5,0.6\n2,0.4,0.5\n"),
        ("dataset", "dataset.json", json.dumps(own).encode()),
        ("split-toml", "split.toml", toml.encode()),
        ("split-csv", "split.csv", (split / "random.csv").read_bytes()),
        ("log", "log.jsonl", log.file.read_bytes()),
        ("solution", "solution.csv", solution.encode()),
        ("folder", "labels.csv", labels.encode()),
        ("archive", "archive.tar.gz", example_archive()),
        ("documents", "documents.jsonl.gz", example_documents()),
    ):
        kinds[kind].seeds.append((name, content))
    return kinds


def example_crystals() -> list[Atoms]:
    crystals = [
        bulk("NaCl", "rocksalt", a=5.6),
        bulk("Cu", "fcc", a=3.6, cubic=True),
        bulk("ZnO", "wurtzite", a=3.2, c=5.2),
    ]
    for atoms in crystals:
        atoms.info["gap"] = 1.0
    return crystals


def example_archive() -> bytes:
    out = io.BytesIO()
    aims = b"lattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\natom 0 0 0 Al\natom 2 2 2 O\n"
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in (("x/train.csv", b"id,a\n1,2\n"), ("x/train/1/geometry.xyz", aims)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def example_documents() -> bytes:
    structure = AseAtomsAdaptor.get_structure(example_crystals()[0]).as_dict()
    document = {"material_id": "mp-1", "structure": structure, "deprecated": False, "formation_energy_per_atom": -1.0}
    return gzip.compress(b"\n".join(json.dumps({**document, "material_id": f"mp-{i}"}).encode() for i in range(3)))


class SlowError(BaseException):
    """The time for one input is over."""


def fuzz(count: int, seed: int, only: Sequence[str], keep: Path) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Try `count` inputs; returns how many of each kind were read, refused or at fault, and a report of each fault."""

    def ring(*_: Any) -> None:
        raise SlowError

    outcomes: Counter[tuple[str, str]] = Counter()
    reports: list[str] = []
    before = signal.signal(signal.SIGALRM, ring)
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("BENCH_DATA", str(Path(scratch) / "data"))
        kinds = {name: kind for name, kind in make_kinds(Path(scratch)).items() if not only or name in only}
        for n in range(count):
            name = list(kinds)[n % len(kinds)]
            rng = random.Random(f"{seed}-{n}")
            file, content = rng.choice(kinds[name].seeds)
            path = Path(scratch) / file
            path.write_bytes(mutated := kinds[name].mutate(content, rng))
            peak, start, details = peak_megabytes(), time.process_time(), ""
            signal.setitimer(signal.ITIMER_REAL, HANGS)
            try:
                kinds[name].read(path)
                outcome = "read"
            except InputError:
                outcome = "refused"
            except SlowError:
                outcome = "slow"
            except KeyboardInterrupt:
                raise
            except BaseException:
                outcome, details = "foreign exception", traceback.format_exc()[-1500:]
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if time.process_time() - start > SECONDS:
                outcome = "slow"
            if peak_megabytes() - peak > MEGABYTES:
                outcome = "large"
            outcomes[name, outcome] += 1
            if outcome not in {"read", "refused"}:
                keep.mkdir(exist_ok=True)
                (keep / f"{seed}-{n}-{outcome.split()[0]}-{file}").write_bytes(mutated)
                reports.append(f"input {n} of seed {seed}, {name}, {outcome}\n{details}")
    signal.signal(signal.SIGALRM, before)
    return outcomes, reports


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    words = sys.argv[1:]
    count, seed = (int(word) for word in (words + ["1000", "0"][len(words) :])[:2])
    start = time.perf_counter()
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    outcomes, reports = fuzz(count, seed, words[2:], Path("fuzz-faults"))
    for (name, outcome), number in sorted(outcomes.items()):
        print(f"{name:12} {outcome:18} {number:7,}")
    print(f"{count:,} inputs of seed {seed} in {time.perf_counter() - start:.0f} s, {peak_megabytes():.0f} MB at most")
    for report in {report.strip().rpartition("\n")[2][:60]: report for report in reversed(reports)}.values():
        print(report)
    sys.exit(bool(reports))


if __name__ == "__main__":
    main()
