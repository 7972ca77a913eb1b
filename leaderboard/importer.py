"""Make a data set, its tasks and its splits of somebody's own crystals and labels."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic import digest, replaced, write_text
from asugnn.crystal import Crystal, reduced_formula
from asugnn.errors import InputError
from asugnn.files import read
from asugnn.model import Progress
from leaderboard import datasets, leaks, rules
from leaderboard.duplicates import Pair, compared
from leaderboard.store import SAFE

SHOWN = 5  # faults that are spelt out
FORMATS = "a Parquet table in the bench's layout, a folder of CIFs with one CSV, an ASE database, or extended XYZ"
Labels = Mapping[str, float]  # column to label; a column that is not there has none
Faults = list[tuple[str, str]]  # ids of rows that cannot be used, and why
EXCLUDED = "excluded.csv"  # beside the data: id,rule,detail of the rows that were left out


@dataclass(frozen=True)
class Wanted:
    """A label to import: the column it is in, and its unit, empty for a binary one."""

    column: str
    unit: str

    @property
    def name(self) -> str:
        """As it is called in tasks."""
        return re.sub(r"[^a-z0-9]+", "-", self.column.lower()).strip("-")


def parse(text: str) -> Wanted:
    """`column:unit`, or `column` of a binary label; raises `InputError`."""
    column, _, unit = text.partition(":")
    wanted = Wanted(column.strip(), unit.strip())
    if not wanted.name:
        raise InputError(f"--target takes COLUMN:UNIT, not '{text}'")
    return wanted


def make(
    path: Path, name: str, wanted: Sequence[Wanted], about: Mapping[str, str], skip: bool, progress: Progress
) -> datasets.Source:
    """Read `path`, write the data set `name` into the folder of data sets, and return it.

    `about` has title, licence and citation. With `skip`, rows that are no crystal are left out, else they are an
    error; either way `InputError` names them. A data set that is there already is not replaced.
    """
    if not SAFE.fullmatch(name) or name in {s.name for s in datasets.sources()}:
        taken = "is taken" if SAFE.fullmatch(name) else "takes letters, digits and . _ + = - alone"
        raise InputError(f"the name '{name}' {taken}: choose another with --name")
    if len({w.name for w in wanted}) < len(wanted) or not wanted:
        raise InputError("name each label once, with --target COLUMN:UNIT")
    rows, faults = _rows(path, progress)
    if faults and not skip:
        raise InputError(_told(path, [f"'{i}': {reason}" for i, reason in faults], "--skip leaves them out"))
    if not rows:
        raise InputError(f"{path} has no crystal that can be read")
    for w in wanted:
        found = [labels[w.column] for _, labels in rows.values() if w.column in labels]
        if not found:
            columns = sorted({c for _, labels in rows.values() for c in labels})
            raise InputError(f"{path} has no label '{w.column}'; there is: {', '.join(columns) or 'none'}")
        if not w.unit and not set(found) <= {0.0, 1.0}:
            raise InputError(f"label '{w.column}' has other values than 0 and 1: give its unit, --target {w.column}:eV")
    targets = [
        {"name": w.name, "column": w.column, "unit": w.unit, "kind": "regression" if w.unit else "binary"}
        for w in wanted
    ]
    return write(
        name, rows, [w.column for w in wanted], targets, {"source": str(path), **about}, "bench data import", progress,
        excluded=[(i, "unreadable", reason) for i, reason in faults],
    )  # fmt: skip


def write(
    name: str,
    rows: Mapping[str, tuple[Crystal, Labels]],
    columns: Sequence[str],
    targets: Sequence[Mapping[str, str]],
    about: Mapping[str, Any],
    by: str,
    progress: Progress,
    *,
    excluded: Sequence[tuple[str, str, str]],
    own: Callable[[Path], None] | None = None,
    usual: bool = True,
    pairs: Sequence[Pair] | None = None,
) -> datasets.Source:
    """Write a data set into the folder of data sets: table, splits, and last dataset.json, without which it is none.

    `columns` are those of the labels that are kept; `about` is what dataset.json says beside targets, date and digests;
    `by` the command that makes it. `excluded` is id, rule and detail of every row that is left out. `own` makes splits
    in the folder it is given, beside the usual ones or, without `usual`, instead of them. `pairs` are the crystals that
    were compared, where that is done already.
    """
    home = datasets.own_folder() / name
    _table(home / "data.parquet", rows, columns)
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([("id", "rule", "detail"), *excluded])
    write_text(home / EXCLUDED, lines.getvalue())
    text = {"name": name, "date": datetime.now(UTC).date().isoformat(), **about}
    text |= {"sha256": _content(rows, columns), "file_sha256": digest(home / "data.parquet"), "targets": list(targets)}
    if usual:
        crystals = {i: crystal for i, (crystal, _) in rows.items()}
        if pairs is None:
            pairs = compared(crystals, [c.formula for c in crystals.values()], progress)
        leaks.keep(text["sha256"], pairs)
        near = rules.clusters(crystals, None, [(p.a, p.b) for p in pairs if p.verdict == "same"])
        energies = _energies(rows, targets)
        held = rules.bounds(crystals, energies)
        rules.make(home / "splits", name, crystals, energies, near, held, by, progress)
    if own:
        own(home / "splits")
    write_text(home / "dataset.json", json.dumps(text, indent=1) + "\n")
    return datasets.source(name)


def excluded(source: datasets.Source) -> Faults:
    """Ids that were left out when a data set was made, and why; none of one that was not made here."""
    file = source.folder / EXCLUDED if source.folder else None
    if not file or not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return [(name, f"{rule}: {detail}" if detail else rule) for name, rule, detail in rows]


def _told(path: Path, faults: Sequence[str], hint: str) -> str:
    more = f"\n  and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return "\n  ".join([f"{path}: {len(faults):,} rows cannot be used; {hint}", *faults[:SHOWN]]) + more


def _rows(path: Path, progress: Progress) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    """Crystals and labels by id, and the rows that are none."""
    if path.is_dir():
        return _folder(path, progress)
    if not path.is_file():
        raise InputError(f"there is no {path}; import {FORMATS}")
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in {".db", ".xyz", ".extxyz"}:
        crystals = read(path)
        return dict(zip(crystals, zip(crystals.values(), _infos(path), strict=True), strict=True)), []
    raise InputError(f"{path} cannot be imported: give {FORMATS}")


def _folder(path: Path, progress: Progress) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    tables = sorted(path.glob("*.csv"))
    if len(tables) != 1:
        raise InputError(
            f"{path} has {len(tables)} CSV files: one must hold the labels, its first column the CIF's name"
        )
    with tables[0].open(encoding="utf-8-sig", newline="") as file:
        header, *lines = (line for line in csv.reader(file) if any(line))
    rows: dict[str, tuple[Crystal, Labels]] = {}
    faults: Faults = []
    with progress(f"reading {path}", len(lines)) as bar:
        for number, line in enumerate(lines, 2):
            bar.advance()
            name = line[0].strip().removesuffix(".cif")
            try:
                if name in rows:
                    raise InputError("it comes twice")
                if len(line) != len(header):
                    raise InputError(
                        f"line {number} of {tables[0].name} has {len(line)} cells, the header {len(header)}"
                    )
                labels = {c: float(x) for c, x in zip(header[1:], line[1:], strict=True) if x.strip()}
                (crystal,) = read(path / f"{name}.cif").values()
                rows[name] = crystal, labels
            except (InputError, ValueError) as error:
                faults.append((name, str(error)))
    return rows, faults


def _parquet(path: Path) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    import polars as pl

    table = datasets.parquet(path, path.read_bytes(), f"the layout is {', '.join(datasets.LAYOUT)}, then labels")
    numeric = [
        c
        for c in table.columns
        if (c not in datasets.LAYOUT and table[c].dtype.is_numeric()) or table[c].dtype == pl.Boolean
    ]
    rows: dict[str, tuple[Crystal, Labels]] = {}
    faults: Faults = []
    for row in table.iter_rows(named=True):
        name = str(row["material_id"])
        try:
            if name in rows:
                raise InputError("it comes twice")
            crystal = datasets.crystal(row["lattice"], row["frac_coords"], row["atomic_numbers"])
            rows[name] = crystal, {c: float(row[c]) for c in numeric if row[c] is not None and np.isfinite(row[c])}
        except (InputError, ValueError, TypeError) as error:
            faults.append((name, str(error)))
    return rows, faults


def _infos(path: Path) -> Iterator[Labels]:
    """The numbers that an ASE database or an extended XYZ file holds of each structure, in order."""
    from ase.db import connect
    from ase.io import iread

    if path.suffix == ".db":
        kept: Iterator[Mapping[str, Any]] = (row.key_value_pairs for row in connect(path).select())
    else:
        kept = ({**atoms.info, **(atoms.calc.results if atoms.calc else {})} for atoms in iread(path, format="extxyz"))
    for pairs in kept:
        yield {k: float(v) for k, v in pairs.items() if isinstance(v, (int, float, np.number)) and np.isfinite(v)}


def _table(path: Path, rows: Mapping[str, tuple[Crystal, Labels]], columns: Sequence[str]) -> None:
    import polars as pl

    crystals = [crystal for crystal, _ in rows.values()]
    table: dict[str, Any] = {
        "material_id": list(rows),
        "formula": [reduced_formula(c.numbers) for c in crystals],
        "lattice": [c.lattice.ravel().tolist() for c in crystals],
        "frac_coords": [c.frac_coords.ravel().tolist() for c in crystals],
        "atomic_numbers": [c.numbers.tolist() for c in crystals],
    }
    table |= {column: [labels.get(column) for _, labels in rows.values()] for column in columns}
    with replaced(path) as temporary:
        pl.DataFrame(table).write_parquet(temporary)


def _content(rows: Mapping[str, tuple[Crystal, Labels]], columns: Sequence[str]) -> str:
    """Digest of crystals and labels: equal on every machine, which the bytes of a Parquet file need not be."""
    found = hashlib.sha256()
    for name, (crystal, labels) in rows.items():
        values = [None if labels.get(c) is None else float(labels[c]) for c in columns]
        found.update(json.dumps([name, crystal.key, values]).encode())
    return found.hexdigest()


def _energies(rows: Mapping[str, tuple[Crystal, Labels]], targets: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The first label in eV/atom, by id, where there is one."""
    column = next((t["column"] for t in targets if t.get("unit") == "eV/atom"), None)
    return {i: labels[column] for i, (_, labels) in rows.items() if column in labels} if column else {}
