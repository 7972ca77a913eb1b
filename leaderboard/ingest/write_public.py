"""Write a data set of a public board: its labels, its crystals where they were fetched, and its official split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asugnn.atomic_write import atomic_write, file_sha256, write_text
from asugnn.crystal import Crystal
from asugnn.errors import InputError
from leaderboard.data import OFFICIAL, Source, description_sha256
from leaderboard.ingest.parquet import parquet_bytes
from leaderboard.splitting import FoldParts, split_table, write_split


@dataclass(frozen=True)
class PublicDataset:
    """A data set of a public board as it is to be written; raises `InputError` where its split is not the published.

    formulas
        Reduced formulas (n,); None where none is known.
    labels
        (n,) by target; None where a crystal has none.
    parts
        The part of each id in the official split, for each of the targets if there are several.
    """

    source: Source
    ids: Sequence[str]
    formulas: Sequence[str | None]
    labels: Mapping[str, Sequence[float | None]]
    parts: Mapping[str, tuple[str, ...]]
    folds: Sequence[FoldParts]
    split_about: str
    split_sha256: str
    about: Mapping[str, Any]  # where it is from

    @property
    def split_columns(self) -> tuple[str, ...]:
        """The targets, where each has a split of its own."""
        return tuple(self.labels) if len(self.labels) > 1 else ()

    def __post_init__(self) -> None:
        digest = hashlib.sha256(split_table(self.parts, self.split_columns or ("part",))).hexdigest()
        if digest != self.split_sha256:
            raise InputError(f"the split of {self.source.name} would not be the published one: its sha256 is {digest}")


def write_public(new: PublicDataset, home: Path, crystals: Sequence[Crystal] | None) -> None:
    """Write a data set into its folder, with crystals (n,) or without; dataset.json, the last, makes it complete.

    Its digest is that of ids and labels, so that a score counts whether or not crystals were fetched.
    """
    import polars as pl

    name, command = new.source.name, new.source.command
    table: dict[str, Any] = {
        "material_id": pl.Series(new.ids, dtype=pl.String),
        "formula": pl.Series(new.formulas, dtype=pl.String),
        **{target: pl.Series(values, dtype=pl.Float64) for target, values in new.labels.items()},
    }
    if crystals is not None:
        table |= {
            "lattice": pl.Series([c.lattice.ravel() for c in crystals], dtype=pl.List(pl.Float64)),
            "frac_coords": pl.Series([c.frac_coords.ravel() for c in crystals], dtype=pl.List(pl.Float64)),
            "atomic_numbers": pl.Series([c.numbers for c in crystals], dtype=pl.List(pl.Int64)),
        }
    with atomic_write(home / "data.parquet") as temporary:
        temporary.write_bytes(parquet_bytes(pl.DataFrame(table)))
        (home / "dataset.json").unlink(missing_ok=True)  # without it there is no data set, rather than a mixed one
    write_split(
        home / "splits", name, OFFICIAL, 1, new.split_about, new.parts, command, new.folds, new.split_columns
    )  # fmt: skip
    text: dict[str, Any] = {"name": name, "date": datetime.now(UTC).date().isoformat(), **new.about}
    text |= {
        "excluded": 0,
        "crystals": crystals is not None,
        "sha256": _labels_sha256(new),
        "file_sha256": file_sha256(home / "data.parquet"),
        "targets": [{"name": target} for target in new.labels],
        "split_files": {f"{OFFICIAL}.toml": file_sha256(home / "splits" / f"{OFFICIAL}.toml")},
    }
    text["description_sha256"] = description_sha256(text)
    write_text(home / "dataset.json", json.dumps(text, indent=1) + "\n")


def _labels_sha256(new: PublicDataset) -> str:
    rows = zip(new.ids, *new.labels.values(), strict=True)
    return hashlib.sha256(json.dumps([list(new.labels), *rows]).encode()).hexdigest()
