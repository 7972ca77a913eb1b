"""Files in the formats of the Materials Project and of the hub, made of open-dft's crystals, on a stand-in."""

import gzip
import hashlib
import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from standin import StandIn

from asugnn import Crystal
from asugnn.crystal import SYMBOLS
from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import find_source

OPEN_DFT = find_source("open-dft")
PREFIX = "collections/2023-11-01/summary/"
BUCKET = "/materialsproject-build"
Documents = dict[str, list[Any]]  # key of a file to its documents


def structure(crystal: Crystal) -> dict[str, Any]:
    """pymatgen's JSON of a structure."""
    a, b, c = np.linalg.norm(crystal.lattice, axis=1)
    lattice = {"matrix": crystal.lattice.tolist(), "pbc": [True] * 3, "a": a, "b": b, "c": c, "volume": crystal.volume}
    sites = [
        {
            "species": [{"element": SYMBOLS[z - 1], "occu": 1}],
            "abc": abc.tolist(),
            "xyz": (abc @ crystal.lattice).tolist(),
            "label": SYMBOLS[z - 1],
            "properties": {"magmom": 0.0},
        }
        for abc, z in zip(crystal.frac_coords, crystal.numbers.tolist(), strict=True)
    ]
    names = {"@module": "pymatgen.core.structure", "@class": "Structure", "charge": 0}
    return {**names, "lattice": lattice, "properties": {}, "sites": sites}


def document(name: str, crystal: Crystal, energy: float, gap: float | None, modulus: float | None) -> dict[str, Any]:
    """A line of the collection `summary`, of the fields of emmet's SummaryDoc."""
    moduli = {"voigt": modulus, "reuss": modulus, "vrh": modulus} if modulus is not None else None
    return {
        "builder_meta": {"emmet_version": "0.72.4", "database_version": "2023.11.1"},
        "nsites": len(crystal),
        "nelements": len(set(crystal.numbers.tolist())),
        "formula_pretty": crystal.formula,
        "volume": crystal.volume,
        "symmetry": {"crystal_system": "Cubic", "number": number(crystal), "symprec": 0.1, "version": "2.0.2"},
        "property_name": "summary",
        "material_id": name,
        "deprecated": False,
        "last_updated": {"$date": "2023-11-01T00:00:00Z"},
        "structure": structure(crystal),
        "formation_energy_per_atom": energy,
        "energy_above_hull": 0.0,
        "band_gap": gap,
        "is_metal": gap == 0,
        "bulk_modulus": moduli,
        "theoretical": False,
    }


def number(crystal: Crystal, tolerance: float = 0.1, degrees: float = 5.0) -> int:
    """The space group by spglib, as the database finds it: at 0.1 angstrom and 5 degrees; 0 for none."""
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
        found = spglib.get_symmetry_dataset(cell, tolerance, degrees)
    return int(found.number) if found else 0


@cache
def documents(every: int = 1) -> Documents:
    """One in `every` equilibrium crystals of open-dft as the bucket has them; who changes them takes a copy."""
    import polars as pl

    data = load_dataset(OPEN_DFT)
    table = data.table.filter(pl.col("equilibrium") & (pl.col("set") != "zero_shot")).gather_every(every)
    out: Documents = {}
    crystals = data.crystals(table["material_id"])
    for i, (crystal, row) in enumerate(zip(crystals, table.iter_rows(named=True), strict=True), 1):
        labels = (row["formation_energy"], row["band_gap"], row["bulk_modulus"])
        made = document(f"mp-{i}", crystal, *labels)
        key = f"nelements={made['nelements']}/symmetry_number={made['symmetry']['number']}.jsonl.gz"
        out.setdefault(key, []).append(made)
    return out


def packed(lines: list[Any]) -> bytes:
    """A file of the bucket; a line that is text stands as it is."""
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    return gzip.compress(text.encode(), mtime=0)


def bucket(of: Documents, state: StandIn, page: int = 1000) -> None:
    """Put files into a stand-in, which lists them as S3 does, `page` at a time."""
    objects = {f"{PREFIX}{key}": packed(lines) for key, lines in of.items()}
    objects[f"{PREFIX}manifest.jsonl.gz"] = packed([{"material_id": "mp-1"}])
    state.files |= {f"{BUCKET}/{key}": content for key, content in objects.items()}

    def listing(query: dict[str, str], _: Any) -> tuple[int, bytes]:
        assert query["list-type"] == "2"
        start = int(query.get("continuation-token", 0))
        prefix = query["prefix"]
        names = sorted(key for key in objects if key.startswith(prefix))
        if query.get("delimiter"):
            folders = sorted({prefix + key[len(prefix) :].split("/")[0] + "/" for key in names})
            body = "".join(f"<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>" for f in folders)
            return 200, _xml(body, "")
        tags = {key: hashlib.md5(objects[key]).hexdigest() for key in names}
        body = "".join(
            f"<Contents><Key>{escape(key)}</Key><ETag>&quot;{tags[key]}&quot;</ETag><Size>{len(objects[key])}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in names[start : start + page]
        )
        more = f"<NextContinuationToken>{start + page}</NextContinuationToken>" if start + page < len(names) else ""
        return 200, _xml(body, more)

    state.pages[f"{BUCKET}/"] = listing


def _xml(body: str, more: str) -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    truncated = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
    return f"{head}<Name>materialsproject-build</Name>{truncated}{more}{body}</ListBucketResult>".encode()


def api(of: Documents, state: StandIn, key: str = "k" * 32, version: str = "2025.09.25") -> None:
    """Put the same documents behind a stand-in for the project's API."""
    every = [doc for lines in of.values() for doc in lines if isinstance(doc, dict)]
    state.pages["/heartbeat"] = lambda *_: (200, json.dumps({"status": "OK", "db_version": version}).encode())

    def summary(query: dict[str, str], headers: Any) -> tuple[int, bytes]:
        if headers.get("X-API-KEY") != key:
            return 403, b'{"detail": "Invalid API key"}'
        fields, skip, limit = query["_fields"].split(","), int(query["_skip"]), int(query["_limit"])
        assert query["deprecated"] == "false"
        shown = [{f: doc.get(f) for f in fields} for doc in every if not doc.get("deprecated")]
        meta = {"total_doc": len(shown), "db_version": version, "api_version": "0.86"}
        return 200, json.dumps({"data": shown[skip : skip + limit], "meta": meta}).encode()

    state.pages["/materials/summary/"] = summary


def hm(folder: Path, gaps: bool = False) -> bytes:
    """An ASE database of open-dft's distorted Ag and Fe-C, with the keys of the authors' databases."""
    import polars as pl
    from ase import Atoms
    from ase.db import connect

    data = load_dataset(OPEN_DFT)
    table = data.table.filter(pl.col("set") == "zero_shot")
    path = folder / "made.db"
    with connect(path) as db:
        for crystal, row in zip(data.crystals(table["material_id"]), table.iter_rows(named=True), strict=True):
            atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
            gap = {"band_gap": 0.0 if row["formation_energy"] < 0.5 else 1.0} if gaps else {}
            db.write(atoms, formation_energy=row["formation_energy"], **gap)
    content = path.read_bytes()
    path.unlink()
    return content


def hub(content: bytes, state: StandIn, etag: str = "") -> None:
    """Put HMdataset.db where the hub has it: a head that states the digest, and a file on another server."""
    headers = {
        "X-Repo-Commit": "0123456789abcdef0123456789abcdef01234567",
        "X-Linked-Size": str(len(content)),
        "X-Linked-Etag": f'"{etag or hashlib.sha256(content).hexdigest()}"',
    }
    state.files["/cdn/HMdataset.db"] = content
    state.redirects["/caobin/ASUGNN/resolve/main/HMdataset.db"] = (f"{state.url}/cdn/HMdataset.db", headers)
