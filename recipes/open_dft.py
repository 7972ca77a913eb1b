"""Turn the calculations of open-dft into the Parquet file that the package carries.

    python recipes/open_dft.py FOLDER

FOLDER holds `open_dft.jsonl` (one calculation a line) and the README that says how they were made. Writes
`leaderboard/open-dft/open_dft.parquet` and `provenance.toml`; no value is changed on the way, apart from the names of
the columns. Energies of the whole log stay in the source folder.
"""

import hashlib
import json
import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent.parent / "leaderboard" / "open-dft"


def main(folder: Path) -> None:
    """Convert FOLDER/open_dft.jsonl."""
    source = folder / "open_dft.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    table = pl.DataFrame(
        {
            "material_id": [r["id"] for r in rows],
            "formula": [r["formula"] for r in rows],
            "lattice": [[x for vector in r["lattice"] for x in vector] for r in rows],  # 9 values, angstrom
            "frac_coords": [[x for site in r["frac_coords"] for x in site] for r in rows],  # 3 n values
            "atomic_numbers": [r["numbers"] for r in rows],
            "set": [r["set"] for r in rows],  # reference, compound or zero_shot
            "prototype": [r["prototype"] for r in rows],
            "equilibrium": [r["equilibrium"] for r in rows],  # the volume nearest the minimum of its curve
            "energy": [r["energy_ev_per_atom"] for r in rows],  # eV/atom, against free atoms
            "formation_energy": [r["formation_energy_ev_per_atom"] for r in rows],  # eV/atom
            "band_gap": [r["band_gap_ev"] for r in rows],  # eV, on the k-mesh
            "bulk_modulus": [r["bulk_modulus_gpa"] for r in rows],  # GPa, equilibrium rows with a fit
        },
        schema_overrides={"atomic_numbers": pl.List(pl.UInt8)},
    )
    target = HERE / "open_dft.parquet"
    table.write_parquet(target, compression="zstd", compression_level=19, statistics=False)
    provenance = f"""\
# Written by recipes/open_dft.py
name = "open-dft"
version = 1
rows = {len(table)}
source = "open_dft.jsonl, computed for this project with GPAW 22.8.0 (PBE, plane waves, 400 eV)"
source_sha256 = "{hashlib.sha256(source.read_bytes()).hexdigest()}"
sha256 = "{hashlib.sha256(target.read_bytes()).hexdigest()}"
date = "2026-11-23"
licence = "MIT"
citation = "The asugnn-bench developers: open-dft, version 1 (2026)"
"""
    (HERE / "provenance.toml").write_text(provenance, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
