"""What open-dft computes: the groups of its recipe, from the lists in open_dft.toml and two random seeds."""

from __future__ import annotations

import math
import re
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii, reference_states

HERE = Path(__file__).resolve().parent
LISTS: dict[str, Any] = tomllib.loads((HERE / "open_dft.toml").read_text(encoding="utf-8"))
# fmt: off
ELEMENTS = (
    "Ag", "Fe", "C", "Na", "Mg", "Al", "Si", "Ti", "Cu", "Li", "Ca", "K", "Ni", "O", "F", "Cl", "N", "Ge", "Ga",
    "As", "Zn", "Sc", "V", "Zr", "Nb", "Pd", "Pt", "Au", "Cd", "In", "Sn", "Sb", "Se", "Te", "Be", "Sr", "Ba", "Y",
    "Mo", "Hf", "Ta", "W", "Ru", "Rh", "Ir", "Rb", "Cs", "Pb", "Co", "P", "S", "B", "Br", "I",
)
TRANSITION = {
    "Sc", "Ti", "V", "Y", "Zr", "Nb", "Mo", "Hf", "Ta", "W", "Ru", "Rh", "Pd", "Ir", "Pt", "Fe", "Co", "Ni", "Cu",
}
# fmt: on
BONDS = {"N": 1.102, "O": 1.22, "F": 1.415, "Cl": 2.00}  # angstrom, of the molecules
LOW_SYMMETRY = {
    "B": "alpha-B12",
    "P": "black-P",
    "As": "A7",
    "Sb": "A7",
    "Se": "A8",
    "Te": "A8",
    "Ga": "alpha-Ga",
    "Br": "A14",
    "I": "A14",
    "In": "A6",
}
ANIONS = {"F", "Cl", "Br", "I", "O", "S", "Se", "Te", "N", "C", "P", "As"}


@dataclass(frozen=True)
class Group:
    """One substance in one prototype: what is computed together, at several volumes or, for zero-shot, at one."""

    name: str
    set: str  # reference, compound or zero_shot
    prototype: str
    atoms: Atoms = field(compare=False)  # at the first guess of the volume, or as it is
    molecule: bool = False

    def at(self, x: float) -> Atoms:
        """The structure at volume exp(x) of the cell; of a molecule, with its bond x times as long."""
        atoms = self.atoms.copy()
        if self.molecule:
            if len(atoms) == 2:
                atoms.set_distance(0, 1, BONDS[atoms.get_chemical_symbols()[0]] * x, fix=0.5)
        else:
            scale = (math.exp(x) / atoms.get_volume()) ** (1 / 3)
            atoms.set_cell(atoms.cell[:] * scale, scale_atoms=True)
        return atoms

    def mesh(self) -> list[int]:
        """The Gamma-centred mesh of all its volumes."""
        if self.molecule:
            return [1, 1, 1]
        density = 2.5 if self.set == "zero_shot" else 3.2
        n = density * 2 * math.pi * np.linalg.norm(np.array(self.atoms.cell.reciprocal()), axis=1)
        if self.set == "reference":
            return [max(1, math.ceil(x - 1e-6)) for x in n]
        if self.set == "compound":
            return [max(2, 2 * round(x / 2)) for x in n]
        return [max(1, round(x)) for x in n]


def groups(only: str = "") -> Iterator[Group]:
    """All groups of the recipe whose name has the regular expression in it: elements, compounds, zero-shot."""
    yield from (group for group in (*references(), *compounds()) if re.search(only, group.name))
    for draw, prefix, n in ((silver, "zs-Ag", 75), (iron_carbon, "zs-FeC", 65)):
        names = [f"{prefix}-{i:03d}" for i in range(n)]
        wanted = [name for name in names if re.search(only, name)]
        last = names.index(wanted[-1]) + 1 if wanted else 0  # none is drawn in vain: that takes seconds
        for name, (prototype, atoms) in zip(names, islice(draw(), last), strict=False):
            if name in wanted:
                yield Group(name, "zero_shot", prototype, atoms)


def references() -> Iterator[Group]:
    """A phase of each element: its own structure with experimental shape, or an isolated molecule."""
    for symbol in ELEMENTS:
        own = reference_states[atomic_numbers[symbol]]
        prototype = LOW_SYMMETRY.get(symbol, own["symmetry"] if own else "")
        if symbol in BONDS:
            box = 8.0 if symbol == "Cl" else 7.5
            cell = [box, box, box + 0.8]
            atoms = Atoms([symbol] * 2, [[0, 0, 0], [0, 0, BONDS[symbol]]], cell=cell, pbc=True)
            atoms.center()
            yield Group(f"ref-{symbol}", "reference", "molecule_X2", atoms, molecule=True)
        elif symbol == "S":
            yield Group("ref-S", "reference", "molecule_S8", _crown(), molecule=True)
        elif symbol in LOW_SYMMETRY:
            yield Group(f"ref-{symbol}", "reference", prototype, _primitive(symbol))
        elif symbol == "Sn":
            yield Group("ref-Sn", "reference", "diamond", bulk("Sn", "diamond", a=6.65))
        else:
            shape = {"covera": own["c/a"]} if prototype == "hcp" else {}
            yield Group(f"ref-{symbol}", "reference", prototype, bulk(symbol, prototype, a=own["a"], **shape))


def _crown() -> Atoms:
    """S8, bonds of 2.07 angstrom and angles of 108.2 degrees."""
    angles = [k * math.pi / 4 for k in range(8)]
    ring = [(2.371 * math.cos(a), 2.371 * math.sin(a), 0.4978 * (-1) ** k) for k, a in enumerate(angles)]
    atoms = Atoms("S8", ring, cell=[10.5, 10.5, 7.0], pbc=True)
    atoms.center()
    return atoms


def _primitive(symbol: str) -> Atoms:
    """An element of low symmetry, from the test set of Lejaeghere et al. (2014) that ASE brings."""
    import spglib
    from ase.collections import dcdft

    a = dcdft[symbol]
    cell = (a.cell[:], a.get_scaled_positions(), a.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib, about its own errors
        lattice, frac, numbers = spglib.standardize_cell(cell, to_primitive=True, no_idealize=False, symprec=1e-3)
    return Atoms(numbers, cell=lattice, scaled_positions=frac, pbc=True)


def compounds() -> Iterator[Group]:
    """All names in the lists whose elements are known, each once, in a prototype."""
    seen = set()
    for prototype, names in [*LISTS["compounds"].items(), *LISTS["polymorphs"].items()]:
        for name in names.split():
            species = name.split("-") if "-" in name else re.findall(r"[A-Z][a-z]?", name)
            if not set(species) <= LISTS["volumes"].keys() or (prototype, name) in seen:
                continue
            seen.add((prototype, name))
            key = prototype
            if prototype == "antifluorite":
                key, species = "fluorite", species[::-1]
            volume = guess(key, species)
            yield Group(f"{prototype}-{name}", "compound", prototype, placed(key, species, volume))


def placed(prototype: str, species: Sequence[str], volume: float) -> Atoms:
    """A prototype with its species, at a volume of the cell in cubic angstrom."""
    about = LISTS["prototypes"][prototype]
    cell = np.array(about["cell"])
    a = (volume / abs(np.linalg.det(cell))) ** (1 / 3)
    symbols, positions = [species[s[0]] for s in about["sites"]], [s[1:] for s in about["sites"]]
    return Atoms(symbols, cell=cell * a, scaled_positions=positions, pbc=True)


def guess(prototype: str, species: Sequence[str]) -> float:
    """A first volume of the cell: from covalent radii where there is an anion, else from volumes of atoms.

    The search corrects errors of a fifth.
    """
    about = LISTS["prototypes"][prototype]
    added = sum(LISTS["volumes"][species[s[0]]] for s in about["sites"])
    if len(set(species)) == 1:
        element = species[0]
        soft = element in ANIONS | {"Si", "Ge", "B", "Sb"}
        factor = {"sc": 0.9 if soft else 1.13, "diamond": 1.2 if soft else 1.5}
        return float(added * factor.get(prototype, 0.85 if soft or element == "Sn" else 1))
    metallic = prototype in ("half_heusler", "heusler", "d03", "natl", "l12", "l10")
    pair = [species[i] for i in about.get("pair", ())]
    if metallic or not ANIONS & set(pair):
        return float(0.95 * added)
    bond = sum(covalent_radii[atomic_numbers[s]] for s in pair)
    close = {
        "zincblende": 0.99,
        "wurtzite": 0.99,
        "cu2o": 0.95,
        "cscl": 1.07,
        "fluorite": 1.02,
        "alb2": 1.06,
        "wc": 1.0,
    }
    longer = close.get(prototype, 1.04)
    if TRANSITION & set(pair):
        longer *= 0.86 if prototype in ("rutile", "perovskite", "reo3") else 0.92
    return float(abs(np.linalg.det(np.array(about["cell"]))) * (bond * longer / about["bond"]) ** 3)


IMAGES = np.array([(i, j, k) for i in range(-3, 4) for j in range(-3, 4) for k in range(-3, 4)], float)
Limits = Mapping[tuple[str, str], float]  # the shortest distance of two elements, angstrom


def apart(atoms: Atoms, limits: Limits) -> bool:
    """Whether no two atoms, in any image, are closer than their limit."""
    symbols, shifts = atoms.get_chemical_symbols(), IMAGES @ atoms.cell[:]
    for a in range(len(symbols)):
        for b in range(a, len(symbols)):
            d = np.linalg.norm(atoms.positions[b] - atoms.positions[a] + shifts, axis=1)
            first, second = sorted((symbols[a], symbols[b]))
            if (d[d > 1e-9] if a == b else d).min() < limits[first, second]:
                return False
    return True


def random_cell(rng: np.random.Generator, volume: float) -> np.ndarray:
    """A cell with angles from 55 to 125 degrees and lengths within a factor of 2.2."""
    while True:
        cell = np.eye(3) + rng.normal(0, 0.33, (3, 3))
        det = np.linalg.det(cell)
        if det < 0.15:
            continue
        cell *= (volume / det) ** (1 / 3)
        length = np.linalg.norm(cell, axis=1)
        cosines = [abs(cell[i] @ cell[j]) / length[i] / length[j] for i, j in ((0, 1), (0, 2), (1, 2))]
        if max(cosines) < math.cos(math.radians(55)) and length.max() / length.min() < 2.2:
            return cell


def random_structure(rng: np.random.Generator, symbols: list[str], volume: float, limits: Limits) -> Atoms | None:
    """Atoms anywhere in a random cell, or None where four thousand tries give none that keeps its distances."""
    for _ in range(4000):
        cell = random_cell(rng, volume)
        atoms = Atoms(symbols, cell=cell, pbc=True, scaled_positions=rng.random((len(symbols), 3)))
        atoms.positions -= atoms.positions[0]
        atoms.wrap()
        if apart(atoms, limits):
            return atoms
    return None


def strained(
    rng: np.random.Generator, atoms: Atoms, volume: float, diagonal: bool, amount: float, rattle: float
) -> Atoms:
    """A structure strained by about `amount`, at a volume, its atoms moved by about `rattle` angstrom."""
    strain = rng.normal(0, amount, (3, 3))
    strain = np.diag(np.diag(strain)) if diagonal else (strain + strain.T) / 2
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    atoms.set_cell(atoms.cell[:] * (volume / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
    if rattle:
        atoms.positions += rng.normal(0, rattle, atoms.positions.shape)
        atoms.positions -= atoms.positions[0]
    return atoms


def silver(seed: int = 47) -> Iterator[tuple[str, Atoms]]:
    """Silver at random, or as a strained prototype, with the name of that, without end."""
    rng = np.random.default_rng(seed)
    limits = {("Ag", "Ag"): 2.35}
    kinds = ["fcc", "bcc", "hcp", "sc", "diamond", "fcc2", "bcc2", "fcc4"]
    while True:
        volume = 17.9 * rng.uniform(0.78, 1.28)
        atoms: Atoms | None
        if rng.random() < 0.5:
            size = int(rng.choice([1, 2, 3, 4], p=[0.22, 0.38, 0.25, 0.15]))
            atoms, kind = random_structure(rng, ["Ag"] * size, size * volume, limits), "random"
        else:
            kind = str(rng.choice(kinds, p=[0.14, 0.14, 0.2, 0.14, 0.12, 0.1, 0.08, 0.08]))
            if kind == "fcc4":
                base = bulk("Ag", "fcc", a=4.1, cubic=True)
            elif kind[-1] == "2":
                base = bulk("Ag", kind[:3], a=4.1) * (2, 1, 1)
            else:
                base = placed(kind, ["Ag"], 18.0 * len(LISTS["prototypes"][kind]["sites"]))
            size, diagonal = len(base), rng.random() < 0.5
            rattle = 0 if size == 1 else float(rng.choice([0, 0.15, 0.3]))
            atoms = strained(rng, base, size * volume, diagonal, 0.07, rattle)
        if atoms is not None and apart(atoms, limits):
            yield f"Ag-{kind}", atoms


def iron_carbon(seed: int = 266) -> Iterator[tuple[str, Atoms]]:
    """Iron and carbon at random, or as a strained prototype, with the name of that, without end."""
    rng = np.random.default_rng(seed)
    limits = {("Fe", "Fe"): 1.95, ("C", "Fe"): 1.6, ("C", "C"): 1.25}
    sizes = {"Fe": 11.4, "C": 7.0}
    kinds = {
        "FeC": ["rocksalt", "zincblende", "cscl", "wc"],
        "Fe2C": ["fluorite"],
        "FeC2": ["fluorite", "alb2"],
        "Fe3C": ["l12", "d03", "reo3"],
        "FeC3": ["l12", "d03"],
        "Fe2C2": ["nias", "natl", "wurtzite"],
        "Fe2": ["fcc", "hcp"],
    }
    while True:
        formula = str(rng.choice(list(kinds), p=[0.28, 0.2, 0.15, 0.15, 0.08, 0.06, 0.08]))
        symbols = Atoms(formula).get_chemical_symbols()
        volume = sum(sizes[s] for s in symbols) * rng.uniform(0.8, 1.3)
        atoms: Atoms | None
        if formula == "Fe2":
            base, kind = bulk("Fe", str(rng.choice(["bcc", "fcc"])), a=3.0, cubic=False) * (2, 1, 1), "rattled"
            atoms = strained(rng, base, volume, rng.random() < 0.6, 0.07, 0.2)
        elif rng.random() < 0.45:
            atoms, kind = random_structure(rng, symbols, volume, limits), "random"
        else:
            kind = str(rng.choice(kinds[formula]))
            turned = formula == "FeC3" or (formula, kind) in {("Fe2C", "fluorite"), ("Fe3C", "reo3")}
            base = placed(kind, ["C", "Fe"] if turned else ["Fe", "C"], volume)
            diagonal, rattle = rng.random() < 0.65, float(rng.choice([0, 0, 0.1]))
            atoms = strained(rng, base, volume, diagonal, 0.06, rattle)
        if atoms is not None and apart(atoms, limits):
            yield f"FeC-{kind}", atoms
