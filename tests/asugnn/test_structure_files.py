import json
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect
from ase.io import write as ase_write
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import DummySpecies, Lattice, Molecule, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from asugnn import Crystal, InputError
from asugnn.structure_files import crystal_from_ase, crystal_from_dict, crystal_from_pymatgen, read_crystals

CELL = "".join(f"_cell_{k} {v}\n" for k, v in zip(
    ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"),
    ("5.64(1)", "5.64", "5.64", "90", "90", "90"), strict=True,
))  # fmt: skip
ROCK_SALT = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
RHOMBOHEDRAL = "_symmetry_space_group_name_H-M 'R -3 m'\n"
SKEWED = CELL.replace("90", "57").replace("5.64\n", "6\n")
VEC = "VEC1 5 0 0\nVEC2 0 5 0\nVEC3 0 0 5\n"
FLAT = "4 0 0\n0 4 0\n4 4 0"
PLAIN, TYPED, FULL = "", "type_symbol ", "type_symbol occupancy "


def cif(*sites: str, keys: str = PLAIN, head: str = "", cell: str = CELL) -> str:
    """A block: each site is its label, what `keys` name, and three coordinates."""
    columns = f"label {keys}fract_x fract_y fract_z".split()
    return f"data_x\n{head}{cell}loop_\n" + "".join(f"_atom_site_{c}\n" for c in columns) + "\n".join(sites) + "\n"


def poscar(
    elements="Na Cl", counts="1 1", scale="1.0", cell="4 0 0\n0 4 0\n0 0 4", mode="Direct", second="0.5 0.5 0.5"
):
    return f"comment\n{scale}\n{cell}\n{elements}\n{counts}\n{mode}\n0 0 0\n{second}\n"


def xyz(*sites: str, lattice='Lattice="4 0 0 0 4 0 0 0 4"', more="") -> str:
    return "\n".join([str(len(sites)), f"{lattice} Properties=species:S:1:pos:R:3 {more}", *sites]) + "\n"


def refusal(tmp_path, name: str, content: str | bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may be said but by the exception
        with pytest.raises(InputError) as caught:
            read_crystals(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


NACL = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CRYSTALS = {
    "rock salt": NACL,
    "skewed": Structure(
        Lattice([[4.1, 0.3, 0], [1.7, 5.2, -0.2], [-1.1, 0.9, 6.3]]),
        ["Fe", "O", "O", "Li"],
        [[0.01, 0.98, 0.2], [0.4, 0.3, 0.7], [0.63, 0.71, 0.21], [0.2, 0.55, 0.48]],
    ),
    "one atom": Structure(Lattice.hexagonal(2.95, 4.68), ["Ti"], [[1 / 3, 2 / 3, 0.25]]),
}


def same(ours: Crystal, structure: Structure, tolerance=1e-4) -> bool:
    """Equal up to the order of the atoms and the orientation of the cell."""
    assert np.allclose(sorted(ours.numbers), sorted(structure.atomic_numbers))
    theirs = Structure(Lattice(ours.lattice), ours.numbers, ours.frac_coords)
    assert np.allclose(theirs.lattice.parameters, structure.lattice.parameters, atol=tolerance)
    return all(
        any(a.species == b.species and np.abs((d := a.frac_coords - b.frac_coords) - np.round(d)).max() < tolerance
            for b in theirs)
        for a in structure
    )  # fmt: skip


def equivalent(ours: Crystal, structure: Structure) -> bool:
    """The same crystal, by pymatgen's judgement, maybe in another cell."""
    theirs = Structure(ours.lattice, ours.numbers, ours.frac_coords)
    return StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1, scale=False).fit(theirs, structure)


ENDINGS = [".cif", ".sym.cif", ".ase.cif", ".vasp", ".structure.json", ".json", ".db", ".xyz", ".extxyz"]
by_spglib = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # pymatgen's to mend


def written(tmp_path, structure: Structure, ending: str):
    """A file that pymatgen or ASE wrote."""
    path = tmp_path / f"crystal{ending}"
    atoms = AseAtomsAdaptor.get_atoms(structure)
    atoms.calc = None
    if ending == ".cif":
        CifWriter(structure, significant_figures=10).write_file(path)
    elif ending == ".sym.cif":
        CifWriter(structure, symprec=1e-3, significant_figures=10).write_file(path)
    elif ending == ".ase.cif":
        ase_write(path, atoms, format="cif")
    elif ending in {".vasp", "-CONTCAR"}:
        Poscar(structure).write_file(path)
    elif ending == ".structure.json":
        path.write_text(json.dumps(structure.as_dict()))
    elif ending in {".json", ".db"}:
        connect(path).write(atoms, key_value_pairs={"formation_energy": 1.0})
    else:
        ase_write(path, atoms, format="extxyz")
    return path


@by_spglib
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", CRYSTALS)
def test_what_others_write_is_read(tmp_path, name, ending):
    path = written(tmp_path, CRYSTALS[name], ending)
    ((key, crystal),) = read_crystals(path).items()
    assert key == path.stem
    assert equivalent(crystal, CRYSTALS[name]) if ending == ".sym.cif" else same(crystal, CRYSTALS[name])


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "POSCAR.relaxed", "poscar_NaCl", "a.poscar", "A.VASP"])
def test_a_poscar_goes_by_many_names(tmp_path, name):
    (tmp_path / name).write_text(poscar())
    ((_, crystal),) = read_crystals(tmp_path / name).items()
    assert crystal.formula == "ClNa"


POSCARS = {
    "three scales": (poscar(scale="1.0 1.0 2.0"), (4, 4, 8), 0.5),
    "volume": (poscar(scale="-512"), (8, 8, 8), 0.5),
    "volume, Cartesian": (poscar(scale="-512", mode="Cartesian", second="2 2 2"), (8, 8, 8), 0.5),
    "three scales, Cartesian": (poscar(scale="1 1 2", mode="Cartesian", second="2 2 2"), (4, 4, 8), 0.5),
    "exponents of Fortran": (poscar(cell="0.4D1 0 0\n0 4d0 0\n0 0 4.D+0", second="5D-1 .5d0 0.5"), (4, 4, 4), 0.5),
    "selective dynamics": (poscar(mode="Selective\nDirect", second="0.5 0.5 0.5 T F T"), (4, 4, 4), 0.5),
    "names of potentials": (poscar(elements="Na_pv/f474ac0d Cl/79d9987a"), (4, 4, 4), 0.5),
    "remarks": (poscar(counts="1 1 ! atoms", second="0.5 0.5 0.5 # Cl"), (4, 4, 4), 0.5),
    "no spaces": (poscar(second="-0.5-0.5-0.5"), (4, 4, 4), -0.5),
    "elements behind": (poscar(second="0.5 0.5 0.5 Cl-").replace("0 0 0\n0.5", "0 0 0 Na1+\n0.5"), (4, 4, 4), 0.5),
    "flags that nothing announces": (poscar(second="0.5 0.5 0.5 T T F"), (4, 4, 4), 0.5),
    "a remark behind": (poscar(second="0.5 0.5 0.5 K site"), (4, 4, 4), 0.5),
    "velocities": (poscar() + "\n0 0 0\n0 0 0\n", (4, 4, 4), 0.5),
    "a remark behind the scale": (poscar(scale="1.0 2x2 cell"), (4, 4, 4), 0.5),
    "VASP 4": ("c\n1\n4 0 0\n0 4 0\n0 0 4\n1 1\nDirect\n0 0 0 Na\n0.5 0.5 0.5 Cl\n", (4, 4, 4), 0.5),
    "Latin-1": (poscar().replace("comment", "Zurück"), (4, 4, 4), 0.5),
}


@pytest.mark.parametrize("name", POSCARS)
def test_what_vasp_allows(tmp_path, name):
    content, lengths, second = POSCARS[name]
    (tmp_path / "POSCAR").write_bytes(content.encode("latin-1"))
    ((_, crystal),) = read_crystals(tmp_path / "POSCAR").items()
    assert crystal.numbers.tolist() == [11, 17]
    assert np.allclose(np.linalg.norm(crystal.lattice, axis=1), lengths)
    assert np.allclose(crystal.frac_coords, [[0, 0, 0], [second] * 3])


def test_xyz_in_latin_1_with_exponents_of_fortran(tmp_path):
    content = xyz("Na 0.0D0 0 0", "Cl 2.0d0 .2D1 2", lattice='Lattice="4d0 0 0 0 4 0 0 0 4"', more='by="Zurück"')
    (tmp_path / "a.xyz").write_bytes(content.encode("latin-1"))
    ((_, crystal),) = read_crystals(tmp_path / "a.xyz").items()
    assert np.allclose(crystal.frac_coords, [[0, 0, 0], [0.5] * 3])


def test_xyz_that_says_it_twice_alike(tmp_path):
    vectors = VEC.replace("5", "4")
    for content in (
        xyz("Na 0 0 0 11", more="pbc=T").replace("pos:R:3", "pos:R:3:Z:I:1"),
        xyz("NA 0 0 0", more='pbc=[true, True, 1] note="pbc=F Lattice=\'"'),
        xyz("Na 0 0 0", lattice="") + vectors,
        xyz("Na 0 0 0") + vectors,
        xyz("Na 0 0 0", more='cell="4 4 4 90 90 90"'),
        xyz("9 9 9 Na 0 0 0").replace("Properties=", "properties=force:R:3:"),
    ):
        (tmp_path / "a.xyz").write_text(content)
        ((_, crystal),) = read_crystals(tmp_path / "a.xyz").items()
        assert (crystal.formula, crystal.volume) == ("Na", pytest.approx(64))


def test_objects_of_other_packages():
    for structure in CRYSTALS.values():
        ours = crystal_from_pymatgen(structure)
        assert (ours.lattice == structure.lattice.matrix).all()
        assert (ours.frac_coords == structure.frac_coords).all()
        assert ours.numbers.tolist() == list(structure.atomic_numbers)
        again = crystal_from_ase(AseAtomsAdaptor.get_atoms(structure))
        assert np.allclose(again.frac_coords, structure.frac_coords)
    charged = NACL.copy().add_oxidation_state_by_guess()
    assert crystal_from_pymatgen(charged).key == crystal_from_pymatgen(NACL).key


def test_several_structures_are_numbered(tmp_path):
    (tmp_path / "a.cif").write_text("data_global\n_year 1999\n" + cif("Na1 0 0 0") + cif("K1 0 0 0"))
    (tmp_path / "a.xyz").write_text(xyz("Na 0 0 0") + xyz("K 0 0 0"))
    (tmp_path / "a.json").write_text(json.dumps([CRYSTALS["one atom"].as_dict(), NACL.as_dict()]))
    assert {k: c.formula for k, c in read_crystals(tmp_path / "a.cif").items()} == {"a:1": "Na", "a:2": "K"}
    assert {k: c.formula for k, c in read_crystals(tmp_path / "a.xyz").items()} == {"a:1": "Na", "a:2": "K"}
    assert {k: c.formula for k, c in read_crystals(tmp_path / "a.json").items()} == {"a:1": "Ti", "a:2": "ClNa"}
    for ending in ("db", "json"):
        with connect(tmp_path / f"b.{ending}") as database:
            for element in ("Na", "K", "Rb"):
                database.write(Atoms(element, cell=[4, 4, 4], pbc=True))
            del database[2]
        found = read_crystals(tmp_path / f"b.{ending}")
        assert {k: c.formula for k, c in found.items()} == {"b:1": "Na", "b:3": "Rb"}  # the row ids


def test_deuterium_is_hydrogen(tmp_path):
    (tmp_path / "a.cif").write_text(cif("D1 D 0 0 0", "D2 ? 0 0 .2", "Li1 Li 0.5 0.5 0.5", keys=TYPED))
    (tmp_path / "a.xyz").write_text(xyz("D 0 0 0", "D 0 0 1", "Li 2 2 2"))
    for name in ("a.cif", "a.xyz"):
        ((_, crystal),) = read_crystals(tmp_path / name).items()
        assert sorted(crystal.numbers) == [1, 1, 3]
    assert crystal_from_pymatgen(Structure(Lattice.cubic(4), ["D"], [[0, 0, 0]])).numbers.tolist() == [1]


@pytest.mark.parametrize(
    "content",
    [
        cif("Na1 0 0 0", "Cl1 0.5 0.5 0.5", head=ROCK_SALT),
        cif("Na1 0 0 0", "Cl1 0.5 0.5 0.5", head="_space_group_IT_number 225\n"),
        cif("Na1 Na1+ 1.000(3) 0 0 0", "Cl1 Cl1- ? 0.5(1) 0.5 .5", keys=FULL, head=ROCK_SALT),
        cif("Na1 0 0 0", "Cl1 0.5 0.5 0.5", head=ROCK_SALT + "_chemical_formula_sum 'Na Cl'\n"),
    ],
)
def test_the_space_group_is_applied(tmp_path, content):
    (tmp_path / "a.cif").write_text(content)
    ((_, crystal),) = read_crystals(tmp_path / "a.cif").items()
    assert same(crystal, NACL)


def test_coordinates_of_four_decimals_make_no_second_atom(tmp_path):
    cell = CELL.replace("gamma 90", "gamma 120")
    (tmp_path / "a.cif").write_text(
        cif("C1 0.1667 0.3333 0", head="_symmetry_space_group_name_H-M 'P 6/m m m'\n", cell=cell)
    )
    ((_, crystal),) = read_crystals(tmp_path / "a.cif").items()
    assert len(crystal) == 6  # position 6l (x, 2x, 0)


P1 = "Na1 0 0 0"
CL = "Cl1 0.5 0.5 0.5"
REFUSED = {
    "empty": ("a.cif", "", "the file is empty"),
    "no structure": ("a.cif", "hello\nworld\n", "it is no CIF: no line begins with data_"),
    "no atoms": ("a.cif", f"data_x\n{CELL}", "it lists no atoms: a CIF does so by _atom_site_label"),
    "binary": ("a.cif", bytes(range(256)), "it is no text file, and so no CIF"),
    "blank lines": ("a.cif", "\n \n", "it is empty"),
    "PDF as POSCAR": ("a.vasp", b"%PDF-1.7\n\0\1", "it is a PDF: for a crystal from an article, use the CIF"),
    "CIF as POSCAR": ("POSCAR", cif("Na1 0 0 0"), "it is a CIF, not a POSCAR: let its name end in .cif"),
    "PDF": ("a.cif", b"%PDF-1.7\n\0\1", "it is a PDF: for a crystal from an article, use the CIF"),
    "POSCAR as CIF": ("a.cif", poscar(), "it is a POSCAR, not a CIF: let its name end in .vasp"),
    "half occupied": ("a.cif", cif("Na1 Na 0.5 0 0 0", keys=FULL), "site 1 (Na1) has occupancy 0.5: every site must"),
    "shared": ("a.cif", cif("Na1 Na 0.5 0 0 0", "K1 K 0.5 0 0 0", keys=FULL), "site 1 (Na1) has occupancy 0.5"),
    "unoccupied": ("a.cif", cif("O1 O 1 0 0 0", "Na1 Na 0 .5 0 0", keys=FULL), "site 2 (Na1) has occupancy 0"),
    "occupied twice": ("a.cif", cif("Na1 Na 1.5 0 0 0", keys=FULL), "site 1 (Na1) has occupancy 1.5"),
    "mixture": ("a.cif", cif("'Nb,Zr' '0.8Nb + 0.2Zr' 1 0 0 0", keys=FULL), "site 1 is '0.8Nb + 0.2Zr': "),
    "coordinate nan": ("a.cif", cif("Na1 nan 0 0"), "site 1 (Na1) has coordinate x 'nan': it must be a number"),
    "coordinate inf": ("a.cif", cif(P1, "Cl1 0 0 inf"), "site 2 (Cl1) has coordinate z 'inf'"),
    "coordinate unknown": ("a.cif", cif("Na1 ? 0 0"), "site 1 (Na1) has coordinate x '?'"),
    "coordinate left out": ("a.cif", cif("Na1 0 . 0"), "site 1 (Na1) has coordinate y '.'"),
    "coinciding": ("a.cif", cif(P1, "Cl1 0 0 0"), "sites 1 (Na1) and 2 (Cl1) coincide"),
    "coinciding by symmetry": ("a.cif", cif(P1, "Na2 .5 .5 0", CL, head=ROCK_SALT), "sites 1 (Na1) and 2 (Na2)"),
    "nearly coinciding": ("a.cif", cif(P1, "Cl1 0.003 0 0"), "sites 1 (Na1) and 2 (Cl1) coincide"),
    "O on H": ("a.cif", cif("O1 0 0 0", "H1 0 0 0"), "sites 1 (O1) and 2 (H1) coincide"),
    "water": ("a.cif", cif("O1 Wat 0 0 0", keys=TYPED), "site 1 is 'Wat': this is not an element"),
    "attached hydrogen": ("a.cif", cif("O1 2 0 0 0", keys="attached_hydrogens "), "2 hydrogen atoms without"),
    "vacancy": ("a.cif", cif("V1 Vac 0 0 0", keys=TYPED), "site 1 is 'Vac': this is not an element"),
    "dummy": ("a.cif", cif("X1 0 0 0"), "site 1 is 'X1': this is not an element"),
    "capitals": ("a.cif", cif("HO1 0 0 0"), "site 1 is 'HO1': this is not an element"),
    "formula without H": ("a.cif", cif(P1, head="_chemical_formula_sum 'Na H'\n"), "disagree about H: are"),
    "formula with more": ("a.cif", cif(P1, CL, head="_chemical_formula_sum 'Na Cl2'\n"), "disagree: are atoms missing"),
    "no cell": ("a.cif", cif(P1, cell=""), "it lacks _cell_length_a"),
    "length 0": ("a.cif", cif(P1, cell=CELL.replace("5.64(1)", "0")), "_cell_length_a is '0': it must be"),
    "angle nan": ("a.cif", cif(P1, cell=CELL.replace("90", "nan")), "_cell_angle_alpha is 'nan'"),
    "flat cell": ("a.cif", cif(P1, cell=CELL.replace("gamma 90", "gamma 180")), "the cell has no volume"),
    "no fractions": ("a.cif", cif(P1).replace("fract", "Cartn"), "it lacks _atom_site_fract_x"),
    "unknown space group": ("a.cif", cif(P1, head=ROCK_SALT.replace("3", "oops")), "write out the symmetry operations"),
    "other setting": ("a.cif", cif("Bi1 .2 .2 .2", head=RHOMBOHEDRAL, cell=SKEWED), "does not fit its cell"),
    "second block": ("a.cif", cif(P1) + cif("Na1 ? 0 0"), "structure 2 (data_x, line 14): site 1 (Na1) has"),
    "cut off": ("a.cif", cif(P1, "Cl1 0.5 0.5"), "the loop_ in line 8 is incomplete: of its 4 tags, the last"),
    "POSCAR without elements": ("POSCAR", poscar().replace("Na Cl\n", ""), "it names no elements"),
    "POSCAR, element too many": ("POSCAR", poscar(elements="Na Cl Br"), "names 3 elements but counts the atoms of 2"),
    "POSCAR, count too many": ("POSCAR", poscar(elements="Na"), "it names 1 elements but counts the atoms of 2"),
    "POSCAR cut off": ("POSCAR", poscar(counts="1 2"), "it announces 3 atoms, and 2 positions follow"),
    "POSCAR with a dummy": ("POSCAR", poscar(elements="Xx Cl"), "line 6 names 'Xx': this is not an element"),
    "POSCAR with nan": ("POSCAR", poscar(second="0 nan 0"), "line 10 is '0 nan 0': it must be a position"),
    "POSCAR, flat": ("POSCAR", poscar(cell=FLAT), "the cell has no volume"),
    "POSCAR, flat, Cartesian": ("POSCAR", poscar(cell=FLAT, mode="Cartesian"), "the cell has no volume"),
    "POSCAR, two scales": ("POSCAR", poscar(scale="1 2"), "line 2 has 2 numbers: it must be the scale of the cell"),
    "POSCAR, four scales": ("POSCAR", poscar(scale="1 1 1 1"), "line 2 has 4 numbers"),
    "POSCAR, a position more": ("POSCAR", poscar() + "0.5 0.5 0 T T T\n", "but line 11 is one position more"),
    "POSCAR, half an atom": ("POSCAR", poscar(counts="1 1.0"), "line 7 has '1.0' where a number of atoms must be"),
    "POSCAR, no mode": ("POSCAR", poscar(mode="0.2 0.2 0.2"), "line 8 is a position: Direct or Cartesian must stand"),
    "POSCAR, another element": ("POSCAR", poscar(second=".5 .5 .5 K"), "K, and by the header its atom is Cl: which"),
    "POSCAR, flags and another element": ("POSCAR", poscar(second=".5 .5 .5 T T F K1"), "line 10 ends with K1"),
    "xyz, another number": ("a.xyz", xyz("Na 0 0 0 19", more="").replace("pos:R:3", "pos:R:3:Z:I:1"), " Na and 19: "),
    "xyz, two columns": ("a.xyz", xyz("Na 0 0 0 K").replace("pos:R:3", "pos:R:3:element:S:1"), " Na and K: "),
    "xyz, a group in capitals": ("a.xyz", xyz("CN 0 0 0"), "line 3 has 'CN': this is not an element"),
    "xyz, PBC": ("a.xyz", xyz("Na 0 0 0", more='PBC="T T F"'), "structure 1: the cell is not periodic in all three"),
    "xyz, no flags": ("a.xyz", xyz("Na 0 0 0", more='pbc="yes yes no"'), "pbc is 'yes yes no': it must be three of T"),
    "POSCAR, a position behind a blank line": ("POSCAR", poscar() + "\n0.5 0.5 0\n", "line 12 is one position more"),
    "POSCAR, remarks": ("POSCAR", poscar(second=".5 .5 .5 ! na").replace("0 0 0\n.5", "0 0 0 # cl\n.5"), "with cl"),
    "xyz, cell": ("a.xyz", xyz("Na 0 0 0", more='cell="4 4 4 90 90 60"'), "its Lattice and its cell are different"),
    "xyz, two lattices": ("a.xyz", xyz("Na 0 0 0", more='Lattice="5 0 0 0 5 0 0 0 5"'), "line 2 has lattice 2 times"),
    "xyz, vectors against flags": ("a.xyz", xyz("Na 0 0 0", lattice="", more="pbc=F") + VEC, "line 4 is a vector of"),
    "xyz, vectors against Lattice": ("a.xyz", xyz("Na 0 0 0") + VEC, "line 4 and its Lattice are different vectors"),
    "xyz without a cell": ("a.xyz", xyz("Na 0 0 0", lattice=""), "the cell is not periodic"),
    "slab": ("a.xyz", xyz("Na 0 0 0", more='pbc="T T F"'), "structure 1: the cell is not periodic in all three"),
    "xyz with a dummy": ("a.xyz", xyz("Na 0 0 0", "X 1 1 1"), "site 2 is 'X': this is not an element"),
    "xyz with no element": ("a.xyz", xyz("Na 0 0 0", "Qq 1 1 1"), "'Qq' is not an element"),
    "xyz with nan": ("a.xyz", xyz("Na 0 0 nan"), "atom 1 has a coordinate that is not a finite number"),
    "xyz cut off": ("a.xyz", "3\n" + xyz("Na 0 0 0", "Cl 2 2 2").split("\n", 1)[1], "line 1 announces 3 atoms, and 2 "),
    "xyz, columns": ("a.xyz", xyz("Na 0 0"), "line 3 has 3 columns, and its frame announces 4"),
    "xyz, no number": ("a.xyz", xyz("Na 0 0 x"), "line 3 has 'x' where a number must be"),
    "xyz, Lattice of 3": ("a.xyz", xyz("Na 0 0 0", lattice='Lattice="4 4 4"'), "line 2: Lattice is '4 4 4'"),
    "POSCAR without a mode": ("POSCAR", poscar().replace("Direct\n", ""), "line 8, which must be Direct or Cartesian"),
    "POSCAR, scale 0": ("POSCAR", poscar(scale="0"), "line 2 is the scale 0"),
    "POSCAR, two scales below 0": ("POSCAR", poscar(scale="1 -1 -1"), "three scales must be positive"),
    "POSCAR, no number": ("POSCAR", poscar(cell="4 0 0\n0 a 0\n0 0 4"), "line 4 is '0 a 0': it must be a vector"),
    "xyz, flat": ("a.xyz", xyz("Na 0 0 0", lattice='Lattice="4 0 0 0 4 0 0 4 0"'), "the cell has no volume"),
    "no database": ("a.db", b"SQLite format 3\0" + bytes(50), "it is no ASE database"),
    "JSON of something": ("a.json", '{"a": 1}', "it is neither a pymatgen structure nor an ASE database"),
    "JSON cut off": ("a.json", '{"lattice": ', "it may be damaged"),
    "JSON, deep": ("a.json", "[" * 100_000, "it may be damaged"),
    "ending": ("a.pdb", "HETATM", "crystals are read from CIF (.cif, .mcif), POSCAR"),
    "no ending": ("crystal", "Na", "crystals are read from CIF (.cif, .mcif), POSCAR"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_crystal_is_refused(tmp_path, name):
    file, content, words = REFUSED[name]
    assert words in refusal(tmp_path, file, content)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_crystals(tmp_path / "a.cif")
    with pytest.raises(InputError, match="is a folder: name the files in it"):
        read_crystals(tmp_path)


@pytest.mark.parametrize(
    ("structure", "words"),
    [
        (Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]), "site 1 is partially occupied (Na0.5"),
        (Structure(Lattice.cubic(4), ["Na", {"Cl": 0.9}], [[0, 0, 0], [0.5] * 3]), "site 2 is partially occupied (Cl0"),
        (Structure(Lattice.cubic(4), [DummySpecies("X")], [[0, 0, 0]]), "site 1 is 'X': this is not an element"),
        (Structure(Lattice.cubic(4, pbc=(True, True, False)), ["Na"], [[0, 0, 0]]), "not periodic in all three"),
        (Molecule(["Na"], [[0, 0, 0]]), "it is a molecule"),
    ],
)  # fmt: skip
def test_what_pymatgen_holds_is_checked(tmp_path, structure, words):
    with pytest.raises(InputError) as caught:
        crystal_from_pymatgen(structure)
    assert words in str(caught.value)
    if isinstance(structure, Structure):  # and so is its JSON, which another code reads
        assert words in refusal(tmp_path, "a.json", json.dumps(structure.as_dict()))


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (Atoms("Na", cell=[4, 4, 4], pbc=[True, True, False]), "the cell is not periodic"),
        (Atoms("Na"), "the cell is not periodic"),
        (Atoms("Na", pbc=True), "the cell has no volume"),
        (Atoms("NaX", [[0, 0, 0], [1, 1, 1]], cell=[4, 4, 4], pbc=True), "site 2 is 'X'"),
        (Atoms("Na", cell=[4, 4, 4], pbc=True, info={"occupancy": {"0": {"Na": 0.5, "K": 0.5}}}), "site 1 is part"),
        (Atoms(cell=[4, 4, 4], pbc=True), "the crystal has no atoms"),
    ],
)  # fmt: skip
def test_what_ase_holds_is_checked(tmp_path, atoms, words):
    with pytest.raises(InputError) as caught:
        crystal_from_ase(atoms)
    assert words in str(caught.value)
    if not atoms.info:
        for ending in ("db", "json"):
            connect(tmp_path / f"a.{ending}").write(atoms)
            with pytest.raises(InputError) as caught:
                read_crystals(tmp_path / f"a.{ending}")
            assert words in str(caught.value)


def test_a_database_is_left_as_it_is(tmp_path):
    """ASE would add its tables to any SQLite file that it opens."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="it is no ASE database: no such table: systems"):
        read_crystals(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.db"]


def test_json_runs_nothing(tmp_path):
    """pymatgen's own reader would import the module that a property names, and call the class."""
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    structure = CRYSTALS["one atom"].as_dict()
    structure["sites"][0]["properties"] = {"a": {"@module": "evil", "@class": "Evil"}}
    (tmp_path / "a.json").write_text(json.dumps(structure))
    code = (
        "from pathlib import Path; from asugnn.structure_files import read_crystals\n"
        "print(len(read_crystals(Path('a.json'))['a']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def test_nothing_heavy_is_imported_before_a_file_is_read():
    code = "import sys, asugnn.structure_files; print(sorted({'pymatgen', 'ase', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@by_spglib
def test_real_crystals_survive_every_format(tmp_path, data):
    import polars as pl

    rows = pl.read_parquet(data / "mp_subset.parquet", columns=["lattice", "frac_coords", "atomic_numbers"])
    for i, (lattice, coords, numbers) in enumerate(rows.sample(12, seed=0).iter_rows()):
        structure = Structure(np.reshape(lattice, (3, 3)), numbers, np.reshape(coords, (-1, 3)))
        for ending in (".cif", ".sym.cif", ".vasp", ".structure.json", ".db", ".xyz"):
            folder = tmp_path / f"{i}{ending}"
            folder.mkdir()
            ((_, crystal),) = read_crystals(written(folder, structure, ending)).items()
            assert equivalent(crystal, structure) if ending == ".sym.cif" else same(crystal, structure)


def test_frames_after_a_blank_line_are_read(tmp_path):
    """ASE stops there, without a word."""
    frame = '1\nLattice="3 0 0 0 3 0 0 0 {}" pbc="T T T"\nCu 0 0 0\n'
    for text in (frame.format(3) + "\n" + frame.format(4), "\n" + frame.format(3) + "\n\n" + frame.format(4) + "\n"):
        (tmp_path / "two.xyz").write_text(text)
        crystals = read_crystals(tmp_path / "two.xyz")
        assert [c.lattice[2, 2] for c in crystals.values()] == [3, 4]


def test_a_site_without_species_is_named():
    sites = [{"species": [{"element": "Si", "occu": 1}], "abc": [0, 0, 0]}, {"abc": [0, 0, 0]}]
    with pytest.raises(InputError, match="site 2 has no species or no fractional coordinates"):
        crystal_from_dict({"lattice": {"matrix": np.eye(3) * 4}, "sites": sites})
