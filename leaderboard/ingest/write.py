"""Write a data set into the folder of data sets: table, splits, croissant.json and, last, dataset.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write, file_sha256, write_text
from asugnn.crystal import Crystal, reduced_formula
from leaderboard.data import (
    CROISSANT_FILE,
    EXCLUSIONS_FILE,
    Source,
    croissant_text,
    data_folder,
    dataset_tables,
    description_sha256,
    find_source,
    list_sources,
)
from leaderboard.ingest.parquet import parquet_bytes
from leaderboard.splitting import (
    ComparedPair,
    choose_bounds,
    cluster_duplicates,
    compare_structures,
    make_splits,
    store_comparison,
)

Labels = Mapping[str, float]  # by column; a column without an entry has no label
Rows = Mapping[str, tuple[Crystal, Labels]]  # by id
Excluded = Sequence[tuple[str, str, str]]  # id, rule, detail of an excluded row


@dataclass(frozen=True)
class NewDataset:
    """A data set as it is to be written.

    name
        The name of its folder, and in its tasks.
    rows
        Crystals and labels by id.
    columns
        The columns of the table beside crystals and ids.
    targets
        As dataset.json lists them: name, column, unit and kind; optional are meaning, label (`value`, `log10` or
        `zero`) and positive, the name of class 1.
    about
        The entries of dataset.json beside targets, date and digests.
    command
        The command that makes it.
    excluded
        The rows that are excluded.
    pairs
        The compared crystals, where that was done already.
    usual_splits
        Whether splits by the rules of `make_splits` are written.
    own_splits
        A function that writes further splits into a folder.
    """

    name: str
    rows: Rows
    columns: Sequence[str]
    targets: Sequence[Mapping[str, str]]
    about: Mapping[str, Any]
    command: str
    excluded: Excluded = ()
    pairs: Sequence[ComparedPair] | None = None
    usual_splits: bool = True
    own_splits: Callable[[Path], None] | None = None


def write_dataset(new: NewDataset) -> Source:
    """Write a data set into the folder of data sets; dataset.json is written last, and makes it complete."""
    home = data_folder() / new.name
    _write_table(home / "data.parquet", new.rows, new.columns)
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([("id", "rule", "detail"), *new.excluded])
    write_text(home / EXCLUSIONS_FILE, lines.getvalue())
    text = {"name": new.name, "date": datetime.now(UTC).date().isoformat(), **new.about}
    text |= {
        "sha256": _content_sha256(new.rows, new.columns),
        "file_sha256": file_sha256(home / "data.parquet"),
        "targets": list(new.targets),
    }
    if new.usual_splits:
        crystals = {i: crystal for i, (crystal, _) in new.rows.items()}
        pairs = new.pairs
        if pairs is None:
            pairs = compare_structures(crystals, [c.formula for c in crystals.values()])
        store_comparison(text["sha256"], pairs)
        clusters = cluster_duplicates(crystals, None, [(p.a, p.b) for p in pairs if p.verdict == "same"])
        energies = _energy_labels(new.rows, new.targets)
        bounds = choose_bounds(crystals, energies)
        make_splits(home / "splits", new.name, crystals, energies, clusters, bounds, new.command)
    if new.own_splits:
        new.own_splits(home / "splits")
    text["split_files"] = {file.name: file_sha256(file) for file in sorted((home / "splits").glob("*.toml"))}
    rules = sorted(file.stem for file in (home / "splits").glob("*.toml"))
    tables = dataset_tables(new.columns, new.targets, rules)
    write_text(home / CROISSANT_FILE, croissant_text(home, {**_known_texts(new.name), **text}, tables))
    text["description_sha256"] = description_sha256(text)
    write_text(home / "dataset.json", json.dumps(text, indent=1) + "\n")
    return find_source(new.name)


def _known_texts(name: str) -> dict[str, str]:
    """Title, licence and citation of a data set that is known by name; nothing of any other."""
    known = next((source for source in list_sources() if source.name == name), None)
    return {"title": known.title, "licence": known.licence, "citation": known.citation} if known else {}


def _write_table(path: Path, rows: Rows, columns: Sequence[str]) -> None:
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
    with atomic_write(path) as temporary:
        temporary.write_bytes(parquet_bytes(pl.DataFrame(table)))


def _content_sha256(rows: Rows, columns: Sequence[str]) -> str:
    """Digest of crystals and labels, which is the same on every machine, unlike the bytes of a Parquet file."""
    digest = hashlib.sha256()
    for name, (crystal, labels) in rows.items():
        values = [None if labels.get(c) is None else float(labels[c]) for c in columns]
        digest.update(json.dumps([name, crystal.key, values]).encode())
    return digest.hexdigest()


def _energy_labels(rows: Rows, targets: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """The first target in eV/atom by id; empty where there is none."""
    column = next((t["column"] for t in targets if t.get("unit") == "eV/atom"), None)
    return {i: labels[column] for i, (_, labels) in rows.items() if column in labels} if column else {}
