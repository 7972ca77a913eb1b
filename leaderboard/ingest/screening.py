"""From documents of the Materials Project to a data set: the screening of the paper, and what fell by which rule.

The paper (section 4.1): "structures exhibiting broken symmetry, duplication or space group mismatches identified by
comparison with those computed using spglib were excluded". It states no tolerance; spglib is asked here at that of the
embedding, 1e-3 angstrom, while the database's own space groups are of 0.1.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic_write import atomic_write
from asugnn.crystal import Crystal, reduced_formula
from asugnn.errors import InputError
from asugnn.structure_files import crystal_from_dict
from asugnn.symmetry import SYMPREC, space_group_number
from leaderboard.data import crystal_from_row
from leaderboard.splitting import ComparedPair, compare_structures

MODULI = (1.0, 500.0)  # GPa: beyond, a bulk modulus is none; that of diamond is 440
PAPER = {"listed": 154_718, "kept": 111_120, "bulk_modulus_voigt": 9_479}
LABELS = ("formation_energy", "band_gap", "bulk_modulus_voigt")
RULES = {  # in the order in which they are applied: what a row is excluded by
    "deprecated": "withdrawn by the database, and not counted by the paper",
    "unreadable": "no document, or no crystal of whole atoms",
    "broken-symmetry": "spglib finds no symmetry, or the database states no space group",
    "space-group": "the database's space group is not spglib's",
    "id-twice": "the id was there before",
    "duplicate": "the same structure as one with a smaller id",
}
MODULUS = "bulk-modulus"  # in the list of what was excluded: the label alone

Row = dict[str, Any]


def screen_document(name: str, document: Any) -> Row:
    """A row of one document: its crystal and labels, or the rule that excludes it. `name` is for one without an id."""
    row: Row = {"material_id": name, "rule": "", "detail": "", "modulus": None}
    try:
        row["material_id"] = str(document["material_id"])
        if document.get("deprecated"):
            return row | {"rule": "deprecated"}
        crystal = crystal_from_dict(document["structure"])
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        lacks = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        return row | {"rule": "unreadable", "detail": lacks}
    stated = (document.get("symmetry") or {}).get("number")
    try:
        found = space_group_number(crystal)
    except InputError:
        return row | {"rule": "broken-symmetry", "detail": f"spglib finds none at {SYMPREC} angstrom"}
    if stated is None:
        return row | {"rule": "broken-symmetry", "detail": "the database states no space group"}
    if found != stated:
        return row | {"rule": "space-group", "detail": f"{stated} in the database, {found} by spglib"}
    modulus = finite_number((document.get("bulk_modulus") or {}).get("voigt", document.get("k_voigt")))
    physical = modulus is not None and MODULI[0] <= modulus <= MODULI[1]
    return row | {
        "lattice": crystal.lattice.ravel().tolist(),
        "frac_coords": crystal.frac_coords.ravel().tolist(),
        "atomic_numbers": crystal.numbers.tolist(),
        "space_group": found,
        "formation_energy": finite_number(document.get("formation_energy_per_atom")),
        "band_gap": finite_number(document.get("band_gap")),
        "bulk_modulus_voigt": modulus if physical else None,
        "modulus": modulus,
    }


def write_part(path: Path, rows: Iterable[Row], sha256: str) -> None:
    """Keep the rows of one file, whose digest is `sha256`, as Parquet."""
    import polars as pl

    floats, ints = pl.List(pl.Float64), pl.List(pl.Int64)
    schema: dict[str, Any] = {
        **dict.fromkeys(("material_id", "rule", "detail"), pl.String),
        **{"lattice": floats, "frac_coords": floats, "atomic_numbers": ints, "space_group": pl.Int64},
        **dict.fromkeys((*LABELS, "modulus"), pl.Float64),
    }
    with atomic_write(path) as temporary:
        table = pl.DataFrame(list(rows), schema=schema)
        table.with_columns(pl.lit(sha256).alias("origin")).write_parquet(temporary)


@dataclass(frozen=True)
class ScreenedRows:
    """What is left, by id, in the order of the ids; and (id, rule, detail) of all that is not."""

    rows: dict[str, tuple[Crystal, dict[str, float]]]
    excluded: list[tuple[str, str, str]]
    pairs: list[ComparedPair]  # of what is left, those that were compared
    counts: dict[str, int]  # `listed`, each rule, `kept`, the labels of what is kept, the moduli that are refused
    origin: str  # sha256 over those of the files


def merge_parts(parts: Sequence[Path]) -> ScreenedRows:
    """The rows of all parts together, less those that repeat another."""
    import polars as pl

    table = pl.concat([pl.read_parquet(part) for part in parts])
    excluded: list[tuple[str, str, str]] = table.filter(pl.col("rule") != "")["material_id", "rule", "detail"].rows()
    left = table.filter(pl.col("rule") == "")
    names = left["material_id"].to_list()
    rows: dict[str, tuple[Crystal, dict[str, float]]] = {}
    refused: dict[str, float] = {}
    for row in left[sorted(range(len(names)), key=lambda i: sort_key(names[i]))].iter_rows(named=True):
        name = row["material_id"]
        if name in rows:
            excluded.append((name, "id-twice", ""))
            continue
        crystal = crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])
        labels = {c: row[c] for c in (*LABELS, "space_group") if row[c] is not None}
        rows[name] = crystal, labels
        if row["modulus"] is not None and row["bulk_modulus_voigt"] is None:
            refused[name] = row["modulus"]
    crystals = {name: crystal for name, (crystal, _) in rows.items()}
    pairs = compare_structures(crystals, [reduced_formula(c.numbers) for c in crystals.values()])
    for name, first in _repeats(list(rows), pairs).items():
        excluded.append((name, "duplicate", f"the same structure as {first}"))
        del rows[name]
    fell = Counter(rule for _, rule, _ in excluded)
    counts = {"listed": len(table) - fell["deprecated"], **{rule: fell[rule] for rule in RULES}, "kept": len(rows)}
    counts |= {label: sum(label in labels for _, labels in rows.values()) for label in LABELS}
    moduli = {name: value for name, value in refused.items() if name in rows}
    excluded += [(name, MODULUS, f"{value:g} GPa: the label alone is refused") for name, value in moduli.items()]
    origin = hashlib.sha256("".join(sorted(table["origin"].unique().to_list())).encode()).hexdigest()
    excluded.sort(key=lambda x: (sort_key(x[0]), x[1]))
    left_pairs = [p for p in pairs if p.a in rows and p.b in rows]
    return ScreenedRows(rows, excluded, left_pairs, {**counts, MODULUS: len(moduli)}, origin)


def screening_report(counts: Mapping[str, int]) -> str:
    """How many fell by which rule, beside the paper's numbers."""
    lines = [f"{'':34}{'here':>10}{'paper':>10}"]

    def line(words: str, key: str) -> None:
        paper = f"{PAPER[key]:,}" if key in PAPER else "-"
        lines.append(f"{words:34}{counts[key]:>10,}{paper:>10}")

    line("materials", "listed")
    for rule in RULES:
        if rule != "deprecated":
            line(f"  excluded: {rule}", rule)
    line("kept", "kept")
    for label in LABELS:
        line(f"  with {label.replace('_', ' ')}", label)
    line("  bulk modulus refused", MODULUS)
    return "\n".join([*lines, f"and {counts['deprecated']:,} that the database has withdrawn"])


def sort_key(name: str) -> tuple[int, str]:
    """For sorting: mp-149 before mp-1000."""
    digits = name.rpartition("-")[2]
    return (int(digits) if digits.isdecimal() else -1, name)


def _repeats(names: Sequence[str], pairs: Iterable[ComparedPair]) -> dict[str, str]:
    """Each crystal that is the same as an earlier one, in chains, to the first of them."""
    root = {name: name for name in names}
    place = {name: i for i, name in enumerate(names)}

    def first(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    for pair in pairs:
        if pair.verdict == "same":
            low, high = sorted((first(pair.a), first(pair.b)), key=place.__getitem__)
            root[high] = low
    return {name: first(name) for name in names if root[name] != name}


def finite_number(value: Any) -> float | None:
    """A finite number; None for whatever else a document may hold."""
    return float(value) if isinstance(value, (int, float)) and np.isfinite(value) else None
