"""The recipe of open-dft: which structures are computed, how, and how the data set is made of the results.

    python recipes/open_dft.py run FOLDER [--only PATTERN] [--jobs N]   compute, or resume
    python recipes/open_dft.py assemble FOLDER                          results.jsonl -> open_dft.jsonl
    python recipes/open_dft.py table FOLDER                             open_dft.jsonl -> the Parquet of the package

`open_dft.toml` lists prototypes and compounds, `open_dft_groups.py` makes the structures. A group is one substance in
one prototype: its energy is computed at about five volumes, shape and internal coordinates fixed, until the minimum is
bracketed; a third-order Birch-Murnaghan curve through the points gives equilibrium volume and bulk modulus. Formation
energies are relative to the elements, which are groups of their own. Zero-shot structures are single calculations of
distorted Ag and Fe-C, drawn with fixed seeds. No structure comes from a data base.

`open_dft_results.jsonl.gz` is the log of all calculations that were made for the published data. To go on with them:

    mkdir FOLDER && gzip -dc recipes/open_dft_results.jsonl.gz > FOLDER/results.jsonl

then run, which skips finished groups, assemble, and make the table. Many compounds in the lists are still to be
computed. To extend the lists, add a name to the TOML file (a new element needs a volume there, and a reference in
`ELEMENTS`). Run needs GPAW 22.8 or later with its PBE data sets, which is not among this project's dependencies;
`--calculator emt` does the same with ASE's EMT potential for Al, Cu, Ag, Au, Ni, Pd and Pt in seconds, to see how it
works: never mix the two in one folder.

Settings, the same for all rows: plane waves to 400 eV; PBE; Fermi-Dirac smearing 0.1 eV (molecules 0.01), energies
extrapolated to zero; Gamma-centred mesh of 3.2 A x |b_i|, rounded up for elements and to even numbers for compounds,
2.5 and nearest for zero-shot; ferromagnetic start where there is Fe, Co or Ni, else no spin.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import signal
import sys
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ase import Atoms, units
from ase.data import chemical_symbols
from open_dft_groups import Group, compounds, groups, references
from rich.progress import track

from asugnn.file_lock import lock_file
from leaderboard.data import CROISSANT_FILE, CRYSTAL_FIELDS, CroissantField, CroissantTable, croissant_text

PACKAGE = Path(__file__).resolve().parent.parent / "leaderboard" / "_data" / "open-dft"
LOG = "results.jsonl"  # a line a calculation, then a line a group; only ever appended to
DONE = "group_done"  # `set` of the line of a group
PUBLISHED = "gpaw"  # calculator of the rows that name none
STEP = 0.07  # of ln V, between the first two volumes
NEAR = 0.2  # of ln V: what is within of the minimum enters the final fit
SLOW = 6.0  # seconds of a calculation, above which a compound makes do with four volumes
LIMIT = 300  # seconds, after which a calculation has failed
HIGHEST = 8.0  # eV/atom: a formation energy beyond is a calculation gone wrong
MOMENTS = {"Cr": 2.0, "Mn": 3.0, "Fe": 2.5, "Co": 1.8, "Ni": 0.8}  # mu_B, at the start
NO_GAP = 0.01  # eV: a gap on the mesh below is none
FIELDS = (
    *CRYSTAL_FIELDS,
    CroissantField("set", "Text", "reference, compound or zero_shot"),
    CroissantField("prototype", "Text", "structure type"),
    CroissantField("equilibrium", "Boolean", "whether it is the computed volume nearest the minimum of its curve"),
    CroissantField("energy", "Float", "total energy, in eV/atom, relative to free, non-magnetic atoms"),
    CroissantField("formation_energy", "Float", "relative to the elements at equilibrium, in eV/atom"),
    CroissantField("band_gap", "Float", "lowest empty minus highest filled level on the k-mesh, in eV"),
    CroissantField("bulk_modulus", "Float", "clamped-ion bulk modulus, in GPa; equilibrium rows with a fit only"),
)


@dataclass(frozen=True)
class Result:
    """Result of one calculation: energy relative to free atoms, gap on the mesh, magnetic moment of the cell, time."""

    energy_ev_per_atom: float
    band_gap_ev: float
    is_metal: bool
    magmom_total: float
    n_kpts_ibz: int  # 0 of a calculator without a mesh
    spin_polarised: bool
    wall_s: float
    converged: bool = True


Calculator = Callable[[Group, Atoms], Result]


# One calculation -----------------------------------------------------------------------------------------------------


def gpaw(group: Group, atoms: Atoms) -> Result:
    """Run one self-consistent calculation with GPAW; raises what GPAW raises, and `TimeoutError` after `LIMIT`."""
    from gpaw import GPAW, PW, FermiDirac

    atoms, symbols = atoms.copy(), atoms.get_chemical_symbols()
    moments = [1.0, 1.0] if group.molecule and symbols == ["O", "O"] else [MOMENTS.get(s, 0.0) for s in symbols]
    if spin := any(moments):
        atoms.set_initial_magnetic_moments(moments)
    started = time.monotonic()
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT)
    try:
        atoms.calc = GPAW(
            mode=PW(400.0),
            xc="PBE",
            kpts={"size": group.mesh(), "gamma": True},
            occupations=FermiDirac(0.01 if group.molecule else 0.1),
            spinpol=spin,
            nbands=_bands(symbols),
            maxiter=120,
            convergence={
                "energy": 1e-4,
                "density": 4e-4 if group.set == "compound" else 1e-4,  # 0.3 meV/atom
                "eigenstates": 1e-6,
            },
            symmetry={"tolerance": 1e-5},
            txt=None,
        )
        energy = atoms.get_potential_energy()
        gap, moment = mesh_gap(atoms.calc), float(atoms.get_magnetic_moment()) if spin else 0.0
        points = len(atoms.calc.get_ibz_k_points())
    finally:
        signal.alarm(0)
    seconds = round(time.monotonic() - started, 2)
    return Result(energy / len(atoms), round(gap, 4), gap == 0, round(moment, 4), points, spin, seconds)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"no result after {LIMIT} seconds")


@cache
def _valence(symbol: str) -> tuple[int, int]:
    """Valence electrons of an element's PAW data set, and GPAW's number of bands for them."""
    from gpaw.setup import create_setup
    from gpaw.xc import XC

    setup = create_setup(symbol, XC("PBE"))
    return int(setup.Nv), int(setup.get_default_nbands())


def _bands(symbols: Sequence[str]) -> int:
    """The number of bands: GPAW's, but with empty ones, without which Ca, Sr and Ba are wrong by 20 meV/atom."""
    electrons, default = (sum(_valence(s)[i] for s in symbols) for i in (0, 1))
    return max(default, math.ceil(electrons / 2) + len(symbols) + 2)


def mesh_gap(calc: Any) -> float:
    """Lowest empty minus highest filled level on the mesh, eV; 0 where they overlap or the count is not whole.

    From the number of electrons, not from the Fermi level, about which smearing leaves gaps of a few tenths of an eV.
    """
    electrons, spins = calc.get_number_of_electrons(), calc.get_number_of_spins()
    moment = calc.get_magnetic_moment() if spins == 2 else 0.0
    counts = [electrons / 2] if spins == 1 else [(electrons + moment) / 2, (electrons - moment) / 2]
    top, bottom = -np.inf, np.inf
    for spin, count in enumerate(counts):
        n = round(count)
        if abs(count - n) > 0.02:
            return 0.0
        for k in range(len(calc.get_ibz_k_points())):
            levels = np.sort(calc.get_eigenvalues(k, spin))
            top = max(top, levels[n - 1]) if n else top
            bottom = min(bottom, levels[n]) if n < len(levels) else bottom
    gap = float(bottom - top)
    return gap if gap > NO_GAP else 0.0


def emt(_: Group, atoms: Atoms) -> Result:
    """Compute with ASE's effective-medium potential, for tests and examples: it has a few metals and no gaps."""
    from ase.calculators.emt import EMT

    atoms, started = atoms.copy(), time.monotonic()
    atoms.calc = EMT()
    energy = float(atoms.get_potential_energy()) / len(atoms)
    return Result(energy, 0.0, True, 0.0, 0, False, round(time.monotonic() - started, 2))


CALCULATORS: Mapping[str, Calculator] = {"gpaw": gpaw, "emt": emt}


# The equation of state -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """A fit to energies (eV a cell) at volumes exp(x): its minimum, bulk modulus in GPa, and deviation in eV."""

    x: float
    energy: float
    modulus: float
    rms: float


def fit_equation_of_state(points: Mapping[float, float]) -> Curve | None:
    """Fit a third-order Birch-Murnaghan curve, or a parabola in ln V to three points; None without a minimum."""
    from ase.eos import EquationOfState

    x, e = np.array(list(points)), np.array(list(points.values()))
    if len(x) >= 4:
        eos = EquationOfState(np.exp(x), e, "birchmurnaghan")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                volume, energy, modulus = eos.fit(warn=False)
            except (RuntimeError, ValueError):  # no minimum within what the fit looked at
                volume = modulus = -1.0
        if volume > 0 and modulus > 0:
            off = [eos.func(v, *eos.eos_parameters) - y for v, y in zip(np.exp(x), e, strict=True)]
            rms = float(np.sqrt(np.mean(np.square(off))))
            return Curve(math.log(volume), float(energy), float(modulus / units.GPa), rms)
    a, b, c = np.polyfit(x, e, 2)
    if a <= 0:
        return None
    low = float(-b / 2 / a)
    return Curve(low, float(np.polyval([a, b, c], low)), float(2 * a / math.exp(low) / units.GPa), 0.0)


def nearest(points: Mapping[float, float], x: float, n: int) -> dict[float, float]:
    """The n points nearest to x."""
    return {q: points[q] for q in sorted(points, key=lambda q: abs(q - x))[:n]}


def search(
    energy_at: Callable[[float], float], guess: float, most: int, enough: Callable[[], int]
) -> tuple[dict[float, float], Curve | None]:
    """Energies at volumes exp(x) from `guess` on until the minimum is bracketed and sampled, and the last fit.

    Usually five points: three about the guess, one at the minimum that they predict, one on the emptier side. `most`
    points end it, or `enough()` near the minimum.
    """
    points: dict[float, float] = {}

    def evaluate(x: float) -> bool:
        if new := (x := round(x, 4)) not in points:
            points[x] = energy_at(x)
        return new

    evaluate(guess)
    evaluate(guess + STEP)
    curve = None
    while len(points) < most:
        xs = sorted(points)
        low = min(xs, key=lambda q: points[q])
        if low in (xs[0], xs[-1]):
            if not evaluate(low + (1 if low == xs[-1] else -1) * _jump(points, low)):
                break
            continue
        curve = fit_equation_of_state(nearest(points, low, 5))
        if curve is None or not xs[0] - 0.05 < curve.x < xs[-1] + 0.05:
            curve = fit_equation_of_state(nearest(points, low, 3))
            if curve is None:
                break
        target = curve.x
        if min(abs(q - target) for q in xs) <= 0.02:
            close = sum(abs(q - target) < NEAR for q in xs)
            if close >= enough() or (close >= 4 and len(xs) >= 6):
                break
            target = _emptier(xs, target)
        if not evaluate(target):
            break
    return points, curve


def _jump(points: Mapping[float, float], low: float) -> float:
    """The step in ln V towards lower energies."""
    if len(points) < 3:
        return STEP
    curve = fit_equation_of_state(nearest(points, low, 3))
    return min(max(abs(curve.x - low) + 0.03, STEP), 0.26) if curve else 1.6 * STEP


def _emptier(xs: Iterable[float], middle: float) -> float:
    """A new point on the side of the minimum that has fewer points."""
    right = [q - middle for q in xs if 0.03 < q - middle < NEAR]
    left = [middle - q for q in xs if 0.03 < middle - q < NEAR]
    side, sign = (right, 1) if len(right) <= len(left) else (left, -1)
    return middle + sign * (max(side) + 0.05 if side else 0.06)


# A run ---------------------------------------------------------------------------------------------------------------


def compute(group: Group, folder: Path, calculator: str) -> str:
    """Compute what is missing of a group, append it to the log, and return the error, empty without one."""
    done = {row["id"]: row for row in read(folder) if row.get("converged")}
    slowest, n = 0.0, len(group.atoms)
    evaluated: set[str] = set()

    def energy_at(x: float) -> float:
        nonlocal slowest
        name = group.name if group.set == "zero_shot" else f"{group.name}:{x:.{3 if group.molecule else 4}f}"
        if name not in done:
            atoms = group.atoms if group.set == "zero_shot" else group.at(x)
            result = CALCULATORS[calculator](group, atoms)
            slowest = max(slowest, result.wall_s)
            done[name] = {"id": name, **describe_structure(group, atoms), **asdict(result), "calculator": calculator}
            append(folder, done[name])
        evaluated.add(name)
        return float(done[name]["energy_ev_per_atom"]) * n

    fitted: dict[str, Any] = {}
    error = ""
    try:
        if group.set == "zero_shot":
            energy_at(0.0)
        elif group.molecule:
            for x in [0.985, 1.0, 1.015] if n == 2 else [1.0]:
                energy_at(x)
        else:
            enough = partial(lambda: 4 if group.set == "compound" and slowest > SLOW else 5)
            points, curve = search(energy_at, math.log(group.atoms.get_volume()), 8 if n < 6 else 5, enough)
            fitted = summarise_group(group, points, curve)
    except Exception as fault:  # of the calculator: it is logged, and the other groups are computed
        error = f"{type(fault).__name__}: {fault}"[:200]
    record = {"set": DONE, "group": group.name, "n_points": len(evaluated), "bracketed": bool(fitted), **fitted}
    append(folder, record | ({"molecule": True} if group.molecule else {}) | ({"error": error} if error else {}))
    return error


def summarise_group(group: Group, points: Mapping[float, float], curve: Curve | None) -> dict[str, Any]:
    """Equilibrium and bulk modulus of a group from its points; empty where the minimum is not among them."""
    xs, low = sorted(points), min(points, key=lambda q: points[q])
    if curve is None or low in (xs[0], xs[-1]):
        return {}
    near = {q: points[q] for q in xs if abs(q - curve.x) < NEAR}
    final = fit_equation_of_state(near) if len(near) >= 4 else curve
    if final is None or abs(final.x - low) >= 0.1:
        return {}
    best, n = min(xs, key=lambda q: abs(q - final.x)), len(group.atoms)
    return {
        "v0_a3": math.exp(final.x),
        "e0_ev_per_atom": final.energy / n,
        "bulk_modulus_gpa": final.modulus,
        "eos_rms_ev_per_atom": final.rms / n,
        "n_fit": len(near),
        "equilibrium_id": f"{group.name}:{best:.4f}",
    }


def describe_structure(group: Group, atoms: Atoms) -> dict[str, Any]:
    """The entries of a row that describe a structure."""
    return {
        "set": group.set,
        "group": group.name,
        "prototype": group.prototype,
        "formula": atoms.get_chemical_formula("metal"),
        "numbers": [int(z) for z in atoms.numbers],
        "lattice": np.round(atoms.cell[:], 6).tolist(),
        "frac_coords": np.round(atoms.get_scaled_positions(), 6).tolist(),
        "volume_a3": round(float(atoms.get_volume()), 4),
        "kpt_mesh": group.mesh(),
    }


def append(folder: Path, row: Mapping[str, Any]) -> None:
    """Append a line to the log, under a lock against other processes."""
    with lock_file(folder / f".{LOG}.lock"), (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log; an incomplete one is skipped, and computed again."""
    if not (folder / LOG).exists():
        return []
    rows = []
    for line in (folder / LOG).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            print(f"skipped an incomplete line of {LOG}: {line[:60]}", file=sys.stderr)
    return rows


def run(folder: Path, only: str, calculator: str, jobs: int) -> None:
    """Compute all groups whose name has `only` in it, as a regular expression, and that are not done."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = read(folder)
    if others := {row.get("calculator", PUBLISHED) for row in rows if row["set"] != DONE} - {calculator}:
        sys.exit(f"{folder} holds results of {', '.join(others)}: energies of two calculators do not mix")
    done = {row["group"] for row in rows if row["set"] == DONE}
    todo = [group for group in groups(only) if group.name not in done]
    work = partial(compute, folder=folder, calculator=calculator)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        results = zip(todo, pool.map(work, todo) if jobs > 1 else map(work, todo), strict=True)
        for group, error in track(results, "groups", total=len(todo)):
            if error:
                print(f"{group.name}: {error}", file=sys.stderr)


# What becomes of it --------------------------------------------------------------------------------------------------


def assemble(folder: Path) -> None:
    """Write open_dft.jsonl from the log: formation energies, and what the curves give at equilibrium."""
    log = read(folder)
    done = {row["group"]: row for row in log if row["set"] == DONE}
    rows = {row["id"]: row for row in log if row["set"] != DONE}  # the last of each id
    energies: dict[str, float] = {}
    for row in rows.values():
        if row["set"] == "reference" and row["converged"] and row["group"] in done:
            symbol = chemical_symbols[row["numbers"][0]]
            energies[symbol] = min(row["energy_ev_per_atom"], energies.get(symbol, math.inf))
    listed = {group.name for group in (*references(), *compounds())}
    kept, dropped = [], []
    for row in rows.values():
        symbols = [chemical_symbols[z] for z in row["numbers"]]
        if row["set"] != "zero_shot" and row["group"] not in listed:
            dropped.append((row["id"], "not in the lists"))
            continue
        if not row["converged"]:
            dropped.append((row["id"], "not converged"))
            continue
        if missing := sorted(set(symbols) - energies.keys()):
            dropped.append((row["id"], f"no reference of {', '.join(missing)}"))
            continue
        formation = row["energy_ev_per_atom"] - sum(energies[s] for s in symbols) / len(symbols)
        if abs(formation) > HIGHEST:
            dropped.append((row["id"], f"a formation energy of {formation:.1f} eV/atom"))
            continue
        kept.append(assemble_row(row, formation, done.get(row["group"], {})))
    order = ["reference", "compound", "zero_shot"]
    kept.sort(key=lambda row: order.index(row["set"]))
    (folder / "open_dft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    lines = [f"{name},{reason}\n" for name, reason in [("id", "reason"), *dropped]]
    (folder / "dropped.csv").write_text("".join(lines), encoding="utf-8")
    print(f"{len(kept)} rows, {len(dropped)} dropped: see {folder}/dropped.csv")


def assemble_row(row: Mapping[str, Any], formation: float, fitted: Mapping[str, Any]) -> dict[str, Any]:
    """A row of open_dft.jsonl: one calculation, and at equilibrium what the curve of its group gives."""
    lowest = bool(fitted.get("molecule")) and abs(formation) < 1e-9
    equilibrium = fitted.get("equilibrium_id") == row["id"] or lowest
    at_minimum = fitted if equilibrium and "v0_a3" in fitted else {}
    structure = ("id", "set", "group", "prototype", "formula", "numbers", "lattice", "frac_coords")
    return {
        **{key: row[key] for key in structure},
        "energy_ev_per_atom": round(row["energy_ev_per_atom"], 6),
        "formation_energy_ev_per_atom": round(formation, 6),
        "band_gap_ev": row["band_gap_ev"],
        "is_metal": row["is_metal"],
        "equilibrium": equilibrium,
        "volume_a3": row["volume_a3"],
        "bulk_modulus_gpa": round(at_minimum["bulk_modulus_gpa"], 3) if at_minimum else None,
        **{key: row[key] for key in ("magmom_total", "n_kpts_ibz", "converged", "wall_s", "kpt_mesh")},
        "v0_a3": round(at_minimum["v0_a3"], 4) if at_minimum else None,
        "eos_points": at_minimum.get("n_fit"),
        # Four points determine the curve: it has no deviation.
        "eos_rms_ev_per_atom": round(at_minimum["eos_rms_ev_per_atom"], 6) if at_minimum.get("n_fit", 0) > 4 else None,
    }


def table(folder: Path, home: Path = PACKAGE) -> None:
    """Write open_dft.parquet of the package from open_dft.jsonl, and what describes it; no value is changed."""
    source = folder / "open_dft.jsonl"
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    table = pl.DataFrame(
        {
            "material_id": [r["id"] for r in rows],
            "formula": [r["formula"] for r in rows],
            "lattice": [[x for vector in r["lattice"] for x in vector] for r in rows],
            "frac_coords": [[x for site in r["frac_coords"] for x in site] for r in rows],
            "atomic_numbers": [r["numbers"] for r in rows],
            "set": [r["set"] for r in rows],
            "prototype": [r["prototype"] for r in rows],
            "equilibrium": [r["equilibrium"] for r in rows],
            "energy": [r["energy_ev_per_atom"] for r in rows],
            "formation_energy": [r["formation_energy_ev_per_atom"] for r in rows],
            "band_gap": [r["band_gap_ev"] for r in rows],
            "bulk_modulus": [r["bulk_modulus_gpa"] for r in rows],
        },
        schema_overrides={"atomic_numbers": pl.List(pl.UInt8)},
    )
    target = home / "open_dft.parquet"
    table.write_parquet(target, compression="zstd", compression_level=19, statistics=False)
    minima = Counter(table.filter("equilibrium")["set"])
    provenance = f"""\
# Written by recipes/open_dft.py
name = "open-dft"
version = 2
source = "open_dft.jsonl, computed for this project with GPAW 22.8.0 (PBE, plane waves, 400 eV)"
source_sha256 = "{hashlib.sha256(source.read_bytes()).hexdigest()}"
sha256 = "{hashlib.sha256(target.read_bytes()).hexdigest()}"
date = "2026-11-25"
licence = "MIT"
citation = "The asugnn-bench developers: open-dft, version 2 (2026)"

[counts]
rows = {len(table)}
compounds = {minima["compound"]}  # at equilibrium, in one prototype each
elements = {minima["reference"]}
bulk_moduli = {table["bulk_modulus"].count()}
zero_shot = {(table["set"] == "zero_shot").sum()}
"""
    (home / "provenance.toml").write_text(provenance, encoding="utf-8")
    (home / CROISSANT_FILE).write_text(describe(home), encoding="utf-8")


def describe(home: Path = PACKAGE) -> str:
    """The Croissant metadata of open_dft.parquet and provenance.toml in a folder."""
    record = tomllib.loads((home / "provenance.toml").read_text(encoding="utf-8"))
    about = {key: str(record[key]) for key in ("name", "version", "source", "date", "licence", "citation")}
    title = "GPAW/PBE compounds over prototypes, several volumes each; distorted Ag and Fe-C"
    tables = [CroissantTable("open_dft.parquet", "one calculation a row, null where unknown", FIELDS)]
    return croissant_text(home, {**about, "title": title}, tables)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["run", "assemble", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="groups whose name has this regular expression in it")
    parser.add_argument("--calculator", default="gpaw", choices=sorted(CALCULATORS))
    parser.add_argument("--jobs", type=int, default=1, help="groups at a time")
    words = parser.parse_args()
    if words.what == "run":
        run(words.folder, words.only, words.calculator, words.jobs)
    else:
        {"assemble": assemble, "table": table}[words.what](words.folder)


if __name__ == "__main__":
    main()
