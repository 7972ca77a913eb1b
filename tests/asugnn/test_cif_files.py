"""A CIF is read as the crystal that it describes, or refused in a sentence; the judge is spglib's table of settings."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import spglib

from asugnn import Crystal, InputError
from asugnn.space_groups import check_group, find_number, list_settings, parse_operations
from asugnn.structure_files import read_crystals

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")  # of spglib

TWO_ORIGINS = (48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142)
TWO_ORIGINS += (201, 203, 222, 224, 227, 228)
RHOMBOHEDRAL = (146, 148, 155, 160, 161, 166, 167)
NAME, HALL, NUMBER = "_symmetry_space_group_name_H-M", "_symmetry_space_group_name_Hall", "_symmetry_Int_Tables_number"
CODE = "_space_group_IT_coordinate_system_code"
CUBE = (4.11, 4.11, 4.11, 90, 90, 90)
CUBE_8 = (8.08, 8.08, 8.08, 90, 90, 90)
P1 = ("x,y,z",)


def cif(*sites: str, cell=CUBE, keys: str = "label", operations=(), start: str = "data_a", **tags: object) -> str:
    """A block: each site is what `keys` names and three coordinates; `tags` are those of SHORT."""
    names = (f"length_{axis}" for axis in "abc"), (f"angle_{angle}" for angle in ("alpha", "beta", "gamma"))
    lines = [start, *(f"{SHORT[tag]} '{value}'" for tag, value in tags.items())]
    lines += [f"_cell_{name} {value}" for name, value in zip((*names[0], *names[1]), cell, strict=True)]
    if operations:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{operation}'" for operation in operations)]
    lines += ["loop_", *(f"_atom_site_{key}" for key in (*keys.split(), "fract_x", "fract_y", "fract_z")), *sites]
    return "\n".join(lines) + "\n"


SHORT = {
    "name": NAME,
    "hall": HALL,
    "number": NUMBER,
    "code": CODE,
    "formula": "_chemical_formula_sum",
    "z": "_cell_formula_units_Z",
    "volume": "_cell_volume",
    "modulation": "_cell_modulation_dimension",
    "wave": "_cell_wave_vector_seq_id",
    "alt": "_space_group_name_H-M_alt",
    "density": "_exptl_crystal_density_diffrn",
    "system": "_space_group_crystal_system",
}


@pytest.fixture
def read(tmp_path: Path):
    def read_one(content: str | bytes, name: str = "a.cif") -> Crystal:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ((_, crystal),) = read_crystals(tmp_path / name).items()
        return crystal

    return read_one


def spglib_type(hall_number: int):
    return spglib.get_spacegroup_type(hall_number)


def spglib_crystal(hall_number: int, position=(0.137, 0.221, 0.418)) -> tuple[tuple[float, ...], Crystal]:
    """Cell parameters and crystal of one atom in general position, by spglib's operations."""
    database = spglib.get_symmetry_from_database(hall_number)
    rotations, translations = database["rotations"], database["translations"]
    start = np.array([[97.0, 11, 7], [11, 113, 5], [7, 5, 131]])  # a triclinic metric
    metric = np.mean([rotation.T @ start @ rotation for rotation in rotations], axis=0)
    lengths = np.sqrt(np.diag(metric))
    cosines = [metric[i, j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    orbit = (rotations @ np.array(position) + translations) % 1
    parameters = (*np.round(lengths, 6), *np.round(np.degrees(np.arccos(cosines)), 6))
    lattice = np.linalg.cholesky(metric)
    return parameters, Crystal(lattice, orbit, [26] * len(orbit))


def same_positions(ours: Crystal, theirs: Crystal) -> bool:
    shifts = ours.frac_coords[:, None] - theirs.frac_coords[None]
    close = np.abs(shifts - np.round(shifts)).max(axis=-1) < 1e-5
    return len(ours) == len(theirs) and bool(close.any(axis=0).all() and close.any(axis=1).all())


SITE = "Fe1 0.137 0.221 0.418"


def test_every_setting_is_read_by_its_hall_symbol(read):
    for hall_number in range(1, 531):
        kind = spglib_type(hall_number)
        cell, expected = spglib_crystal(hall_number)
        crystal = read(cif(SITE, cell=cell, hall=kind.hall_symbol, number=kind.number))
        assert same_positions(crystal, expected), kind


def test_listed_operations_of_every_setting_are_those_of_its_group():
    for setting in list_settings():
        operations = setting.operations()
        assert len(check_group(operations)) == len(operations)
        assert find_number(operations) == setting.number, setting


def test_a_group_with_two_origins_is_read_only_with_its_origin(read):
    tried = 0
    for hall_number in range(1, 531):
        kind = spglib_type(hall_number)
        if kind.number not in TWO_ORIGINS or kind.choice not in {"1", "2"} or kind.number == 68:
            continue
        tried += 1
        cell, expected = spglib_crystal(hall_number)
        name = kind.international.replace("_", "")
        assert same_positions(read(cif(SITE, cell=cell, name=name, code=kind.choice)), expected), kind
        assert same_positions(read(cif(SITE, cell=cell, number=kind.number, code=kind.choice)), expected), kind
        for spelled in (f"{name} :{kind.choice}", f"{name}:{kind.choice}", f"{name} {'?SZ'[int(kind.choice)]}"):
            assert same_positions(read(cif(SITE, cell=cell, alt=spelled)), expected), (kind, spelled)
        for tags in ({"name": name}, {"number": kind.number}, {"name": name.replace(" ", ""), "number": kind.number}):
            with pytest.raises(InputError, match="leaves open which setting"):
                read(cif(SITE, cell=cell, **tags))
    assert tried == 2 * (len(TWO_ORIGINS) - 1)


@pytest.mark.parametrize("name", ["C c c e", "C c c a", "C c c b", "A e a a"])
def test_group_68_has_two_origins_by_any_name(read, name):
    with pytest.raises(InputError, match="leaves open which setting"):
        read(cif(SITE, cell=(5, 6, 7, 90, 90, 90), name=name))


def test_the_cell_tells_rhombohedral_from_hexagonal_axes(read):
    tried = 0
    for hall_number in range(430, 470):
        if (kind := spglib_type(hall_number)).number in RHOMBOHEDRAL:
            tried += 1
            cell, expected = spglib_crystal(hall_number)
            name = kind.international.replace("_", "")
            for tags in ({"name": name}, {"number": kind.number}, {"name": f"{name} :{kind.choice}"}):
                assert same_positions(read(cif(SITE, cell=cell, **tags)), expected), (kind, tags)
    assert tried == 2 * len(RHOMBOHEDRAL)


@pytest.mark.parametrize(
    ("name", "images"),
    [("C m c a", 16), ("F m 3 m", 192), ("P 21/c", 4), ("P 1 21/n 1", 4), ("P 6_3/m m c", 24), ("Pnma", 8),
     ("A b m 2", 8), ("F 4/m -3 2/m", 192), ("PNMA", 8), ("P 6(3)/m m c", 24)],
)  # fmt: skip
def test_older_and_other_spellings_of_symbols(read, name, images):
    cell = (5, 5, 7, 90, 90, 120) if "6" in name else (5, 6, 7, 90, 90, 90) if "F" not in name else CUBE
    assert len(read(cif("Fe1 .137 .221 .418", cell=cell, name=name))) == images


def test_short_monoclinic_symbols_mean_axis_b_unless_the_cell_says_otherwise(read):
    assert same_positions(read(cif(SITE, cell=(5, 6, 7, 90, 100, 90), name="P 21/c")), spglib_crystal(81)[1])
    assert same_positions(read(cif(SITE, cell=(5, 6, 7, 90, 90, 100), name="P 21/b")), spglib_crystal(86)[1])
    with pytest.raises(InputError, match="leaves open which setting"):
        read(cif(SITE, cell=(5, 6, 7, 90, 90, 90), name="P 21/b"))


CSCL = ("Cs1 0 0 0", "Cl1 0.5 0.5 0.5")
FM3M = tuple(next(s for s in list_settings() if s.name == "F m -3 m").xyz)
FD3M_1 = tuple(next(s for s in list_settings() if s.name == "F d -3 m :1").xyz)
SPINEL = ("Mg1 0.125 0.125 0.125", "Al1 0.5 0.5 0.5", "O1 0.2624 0.2624 0.2624")
WURTZITE = (3.19, 3.19, 5.19, 90, 90, 120)
SCREW = ("x,y,z", "-y,x-y,z+1/3", "-x+y,-x,z+2/3")
ORDER = "site_symmetry_order"
BOTH = "label type_symbol Cartn_x Cartn_y Cartn_z"
CARTESIAN = ("Na1 Na 0 0 0 0 0 0", "K1 K .411 0 0 .1 0 0", "C1 C 2.055 2.055 2.055 .5 .5 .5")  # in CUBE
IN_FRAME = cif(*CSCL).replace("data_a\n", "data_a\n_title x\nsave_b\n") + "save_\n"
TYPED, DISORDER = "label type_symbol", "label type_symbol disorder_group"
REFUSED = {
    "no identity": (cif(*CSCL, operations=("-x,-y,z", "-x,y,-z")), "the identity 'x, y, z' is missing"),
    "a product is missing": (cif(*CSCL, cell=WURTZITE, operations=SCREW[:2]), "are not a group: a product of two"),
    "no inverse": (cif(*CSCL, operations=("x,y,z", "-y,x,z")), "are not a group: a product of two"),
    "a typing error": (cif(*CSCL, cell=WURTZITE, operations=(*SCREW[:2], "-x+y,-x,z+1/3")), "are not a group"),
    "no centring": (cif(*CSCL, operations=FM3M[:48], name="F m -3 m"), "are those of space group number 221"),
    "only the identity": (cif(*CSCL, operations=P1, name="F m -3 m"), "are those of space group number 1, and it"),
    "number of another group": (cif(*CSCL, operations=FM3M, number=227), "are those of space group number 225"),
    "other origin": (cif(*SPINEL, operations=FD3M_1, alt="F d -3 m :2"), "another setting or origin than F d -3 m :2"),
    "other origin by code": (cif(*SPINEL, operations=FD3M_1, number=227, code=2), "another setting or origin than F d"),
    "other origin by Hall": (cif(*SPINEL, operations=FD3M_1, hall="-F 4vw 2vw 3"), "another setting or origin than F"),
    "no operation": (cif(*CSCL, operations=("x,y,z", "x,y")), "'x,y' is not a symmetry operation"),
    "singular operation": (cif(*CSCL, operations=("x,y,z", "x,x,z")), "changes the volume"),
    "symbol against number": (cif(*CSCL, name="F m -3 m", number=227), "named twice, differently: 'F m -3 m' (225)"),
    "symbol against Hall": (cif(*CSCL, name="F m -3 m", hall="-P 4 2 3"), "Hall symbol '-P 4 2 3' (221)"),
    "two symbols": (cif(*CSCL, name="F m -3 m", alt="P m -3 m"), "named twice, as number"),
    "number 231": (cif(*CSCL, number=231), "it must be one from 1 to 230"),
    "unknown symbol with a number": (cif(*CSCL, name="F m 3 oops", number=225), "is not a space group that is known"),
    "Z": (cif(*CSCL, formula="Cs Cl", z=4), "'Cs Cl' times _cell_formula_units_Z, 4, is not what"),
    "Z of a spinel": (cif(*SPINEL, cell=CUBE_8, alt="F d -3 m :1", formula="Mg Al2 O4", z=8), "disagree"),
    "volume": (cif(*CSCL, volume="96.4(2)"), "_cell_volume is 96.4, and the volume of its cell is 69.43"),
    "multiplicity": (cif("Cs1 4 0 0 0", "Cl1 1 .5 .5 .5", keys="label symmetry_multiplicity"), "has multiplicity 4"),
    "dummy": (cif("Cs1 Cs d 0 0 0", "Cg1 C dum .5 .5 .5", keys=f"{TYPED} calc_flag"), "site 2 (Cg1) is a dummy"),
    "disorder": (cif("Cl1 Cl 1 0 0 0", "Cl2 Cl 2 .1 0 0", keys=DISORDER), "are in disorder groups 1 and 2"),
    "disorder about an element": (cif("Cl1 Cl -1 0.1 0 0", keys=DISORDER), "in disorder groups -1 and -1"),
    "modulated": (cif(*CSCL, modulation=1), "modulated structure (_cell_modulation_dimension 1)"),
    "wave vectors": (cif(*CSCL, wave=1), "modulated structure (it has _cell_wave_vector_seq_id)"),
    "an unknown operation": (cif(*CSCL, operations=("x,y,z", "?")), "'?' is not a symmetry operation"),
    "crystal system of another group": (cif(*CSCL, operations=P1, system="cubic"), "number 1, which is triclinic"),
    "order of a site": (cif("Cs1 8 0 0 0", keys=f"label {ORDER}", name="P m -3 m"), f"{ORDER} 8, and its symmetry op"),
    "label of another element": (cif("Na1 K 0 0 0", keys=TYPED), "site 1 has the label 'Na1' and the type symbol of K"),
    "elements of the formula": (cif("Na1 K 0 0 0", "K1 Na .5 .5 .5", keys=TYPED, formula="K Na"), "the label 'Na1'"),
    "Cartesian": (cif(*CARTESIAN[:2], "C1 C 1 0 0 .5 .5 .5", keys=BOTH), "coordinates differ, by 1.8"),
    "density": (cif(*CSCL, density="16.1(2)"), "_exptl_crystal_density_diffrn is 16.1, and its atoms have 4.027 g/cm3"),
    "Z alone": (cif(*CSCL, z=4), "_cell_formula_units_Z is 4, and its cell holds fewer atoms of each element"),
    "volume of a supercell": (cif(*CSCL, volume=8 * 4.11**3), "a factor of 8 (_cell_volume may be that of a su"),
    "supercell": (cif(*CSCL, cell=CUBE_8, volume=8.08**3 / 4), "a factor of 4 (the cell may be a supercell): which"),
    "open save frame": (cif(*CSCL) + "save_a\n_b 1\n", "line 15: the save frame that begins here is not closed"),
    "only a save frame": (IN_FRAME, "data_a has atoms only in its save frame save_b, as a dictionary"),
    "near an element": (cif("Ga1 .00300 .0 .0", cell=(10, 10, 9, 90, 90, 120), name="P 6"), "close to a symmetry"),
    "two lines, one atom": (cif("Cs1 0 0 0", "Cs2 .5 .5 0", name="F m -3 m"), "sites 1 (Cs1) and 2 (Cs2) coincide"),
    "tag twice": (cif(*CSCL).replace("_cell_length_b", "_cell_length_a 5\n_cell_length_b"), "is given a second time"),
    "stray text": (cif(*CSCL) + "loop_\n_a\n1\n_b 2 3\n", "line 18: the text '3' belongs to no tag"),
    "open text": (cif(*CSCL) + "_note\n;\nabc\n", "line 16: the text field that begins here is not closed"),
    "flat cell": (cif(*CSCL, cell=(4, 4, 4, 20, 20, 120)), "the cell has no volume: no three vectors"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_file_says_twice_is_compared(read, name):
    content, words = REFUSED[name]
    with pytest.raises(InputError) as caught:
        read(content)
    assert words in str(caught.value)


VACANCIES = ["Va", "Vac", "VA1", "Du", "X1", "Lp1", "Cent1", "?", "."]
GROUPS = ["Oh1", "OH", "OW1", "H2O", "D2O", "NH4", "Wat1"]
MIXED = ["MgFe", "SiAl", "Mg1Fe1", "Mg/Fe", "Nb,Zr"]
OTHERS = ["T", "T1", "SiT1", "M1", "Q", "1", "26", "HO1", "fe1", "CL1"]


@pytest.mark.parametrize("label", [*VACANCIES, *GROUPS, *MIXED, *OTHERS])
def test_a_label_that_is_no_element_is_refused(read, label):
    for content in (cif(f"{label} 0 0 0", "Br1 .5 .5 .5"), cif(f"A1 {label} 0 0 0", "Br1 Br .5 .5 .5", keys=TYPED)):
        with pytest.raises(InputError, match="this is not an element"):
            read(content)


def test_a_formula_confirms_an_unusual_label(read):
    """As American Mineralogist writes its files: SiT1, OW1; and programs that write capitals."""
    assert read(cif("SiT1 0 0 0", "OA1 .5 .5 .5", formula="Si O")).formula == "OSi"
    assert read(cif("NA1 0 0 0", "CL1 .5 .5 .5", formula="Na Cl")).formula == "ClNa"
    with pytest.raises(InputError, match="this is not an element"):
        read(cif("CO1 0 0 0", "N1 .5 .5 .5", formula="C Co N"))  # carbon or cobalt
    with pytest.raises(InputError, match="site 1 is 'VA1'"):
        read(cif("VA1 0 0 0", "Br1 .5 .5 .5", formula="Br"))


CLAIMS = {
    "_symmetry_cell_setting": "cubic", "_space_group.crystal_system": "monoclinic", "_space_group_Laue_class": "m-3m",
    "_space_group_Bravais_type": "cF", "_space_group_point_group_H-M": "-1",
    "_space_group_IT_coordinate_system_code": "b1",
    "_space_group_magn.name_BNS": "I4/mm'm'", "_space_group_magn.number_OG": "139.8.1187",
    "_parent_space_group.name_H-M_alt": "P 4/n m m", "_space_group_name_Schoenflies": "Oh.5",
    "_symmetry_Intl_Tables_No": "225", "_cod_original_sg_symbol_H-M": "F m -3 m", "_atom_site_Wyckoff_symbol": "4a",
    "_atom_site_site_symmetry_order": "48", "_geom_bond_site_symmetry_2": "3_655", "_symmetry_equiv_pos_site_id": "2",
    "_symmetry_equiv_pos_as_xyz": ".", "_lattice_system": "cubic", "_sg_number": "225",
    "_space_group_symop_operation_xyz": "?", "_symmetry_space_group_name_H-M": "?",
}  # fmt: skip


@pytest.mark.parametrize("tag", CLAIMS)
def test_claimed_symmetry_without_operations_is_no_p1(read, tag):
    """Such a file may list one site of each orbit; it was read as P 1 without a word."""
    for claim in (f"{tag} {CLAIMS[tag]!r}", f"loop_\n{tag}\n{CLAIMS[tag]!r}"):
        with pytest.raises(InputError, match=r"it claims symmetry|is unknown \('[?.]'\)"):
            read(cif(*CSCL, start=f"data_a\n{claim}"))


def test_an_empty_list_of_operations_is_no_p1(read):
    with pytest.raises(InputError, match="_symmetry_equiv_pos_as_xyz is empty, and nothing else gives its symmetry"):
        read(cif(*CSCL) + "loop_\n_symmetry_equiv_pos_as_xyz\n")
    assert len(read(cif(*CSCL, name="P 1", system="cubic") + "loop_\n_symmetry_equiv_pos_as_xyz\n?\n")) == 2


@pytest.mark.parametrize(("tag", "value"), [("symmetry_cell_setting", "Triclinic"), ("space_group_Bravais_type", "aP"),
    ("space_group_Laue_class", "-1"), ("space_group_point_group_H-M", "1"), ("space_group_magn_number_BNS", "1.1"),
    ("geom_bond_site_symmetry_2", "1_655"), ("space_group_crystal_system", "?"),
    ("symmetry_entry_id", "1ABC")])  # fmt: skip
def test_a_claim_of_p1_is_p1(read, tag, value):
    assert len(read(cif(*CSCL, start=f"data_a\n_{tag} '{value}'"))) == 2


@pytest.mark.parametrize("symbols", ["CN K", "NO CL", "CO Na", "CL1 NA", "OH NA"])
def test_capitals_that_may_be_two_atoms_are_refused(read, symbols):
    first, second = symbols.split()
    with pytest.raises(InputError, match="this is not an element"):
        read(cif(f"A1 {first} 0 0 0", f"X1 {second} .5 .5 .5", keys=TYPED))


@pytest.mark.parametrize(("label", "kind", "formula"), [("Ca1", "C", "?"), ("OW1", "O", "?"), ("M1", "Fe", "?"),
    ("Ca1", "Sr", "Sr"), ("D1", "H", "?"), ("Na1", "NA", "?")])  # fmt: skip
def test_labels_that_agree_with_type_symbols(read, label, kind, formula):
    assert len(read(cif(f"{label} {kind} 0 0 0", keys=TYPED, formula=formula))) == 1


def test_cartesian_coordinates_agree_in_any_axes(read):
    """Those of a matrix, of a convention (then modulo the cell), or rotated by 90 degrees about a diagonal."""
    assert len(read(cif(*CARTESIAN, keys=BOTH))) == 3
    wrapped = ("Na1 Na 0 4.11 0 0 0 0", "K1 K .411 0 0 .1 0 0", "C1 C 2.055 2.055 -2.055 .5 .5 .5")
    assert len(read(cif(*wrapped, keys=BOTH))) == 3
    turned = ("Na1 Na 0 0 0 0 0 0", "K1 K .291 .291 0 .1 0 0", "C1 C 0 2.906 2.055 .5 .5 .5")
    assert len(read(cif(*turned, keys=BOTH))) == 3
    matrix = "\n".join(f"_atom_sites_Cartn_tran_matrix_{i}{j} {-4.11 * (i == j)}" for i in (1, 2, 3) for j in (1, 2, 3))
    inverted = [site.replace(" 2.055", " -2.055").replace(" .411", " -.411") for site in CARTESIAN]
    assert len(read(cif(*inverted, keys=BOTH, start=f"data_a\n{matrix}"))) == 3
    assert len(read(cif(*(site.replace(" 0 0 0 0", " ? ? ? 0") for site in CARTESIAN), keys=BOTH))) == 3


ELEMENTS = {"Fe0": "Fe", "Fe3+": "Fe", "Fe+3": "Fe", "O2-": "O", "O-2": "O", "Na+": "Na", "D": "H", "Fe2.5+": "Fe"}


@pytest.mark.parametrize("symbol", ELEMENTS)
def test_a_type_symbol_may_have_a_charge(read, symbol):
    assert read(cif(f"A1 {symbol} 0 0 0", "X1 I .5 .5 .5", keys=TYPED)).formula in {f"{ELEMENTS[symbol]}I", "IO", "INa"}


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())


def test_accepted_spellings_are_the_same_crystal(read):
    """Each was refused, or read as another crystal, though it says the same."""
    plain = cif(*CSCL)
    expected = read(plain)
    note = "_publ_note\n;\ndata_old was refined with\nloop_\n_atom_site_label\n X1\n;\n"
    spellings = {
        "attached hydrogens": cif("Cs1 ? 0 0 0", "Cl1 0 .5 .5 .5", keys="label attached_hydrogens"),
        "occupancy": cif("Cs1 . 0 0 0", "Cl1 1.00(2) .5 .5 .5", keys="label occupancy"),
        "text before": plain.replace("data_a\n", f"data_a\n{note}"),
        "text after": plain + note,
        "capitals": plain.replace("_cell_", "_CELL_").replace("loop_", "LOOP_").replace("data_", "DATA_"),
        "dots": plain.replace("_cell_", "_cell.").replace("_atom_site_", "_atom_site."),
        "quotes of CIF 2.0": "#\\#CIF_2.0\n" + plain.replace("data_a\n", "data_a\n_t '''\ndata_x\n'''\n_l [1 [2 3]]\n"),
        "no label": plain.replace("label", "type_symbol").replace("Cs1", "Cs").replace("Cl1", "Cl"),
        "angle in a loop": plain.replace("_cell_angle_alpha", "loop_\n_cell_angle_alpha\n"),
        "empty loop": plain + "loop_\n_atom_site_moment_label\n_atom_site_moment_crystalaxis_x\n",
        "operation without a loop": plain.replace("loop_", "_symmetry_equiv_pos_as_xyz x,y,z\nloop_", 1),
        "disorder in one group": cif("Cs1 . 0 0 0", "Cl1 1 .5 .5 .5", keys="label disorder_group"),
        "assembly without groups": cif("Cs1 A 0 0 0", "Cl1 A .5 .5 .5", keys="label disorder_assembly"),
        "not modulated": cif(*CSCL, modulation=0),
        "comment": plain.replace("loop_", "# 'unclosed\nloop_"),
        "quote not closed": plain.replace("data_a\n", "data_a\n_author 'O'Brien\n"),
        "unknown symbol": cif(*CSCL, operations=P1, alt="P 1 (no such setting) :2", code=7),
        "save frame before": plain.replace("data_a\n", "data_a\nsave_b\n_cell_length_a 9\nloop_\n_c\n1\nsave_\n"),
        "save frame behind": plain + "SAVE_c\nloop_\n_atom_site_label\nK1\nsave_\n",
        "capitals of elements": cif("CS1 CS 0 0 0", "CL1 CL1- .5 .5 .5", keys=TYPED),
        "operations twice": cif(*CSCL, operations=("x,y,z", " X, Y, Z ", "+x,y,+z")),
    }
    for name, content in spellings.items():
        assert same_positions(read(content), expected), name
    assert same_positions(read(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode()), expected)
    assert same_positions(read(plain.encode("utf-16")), expected)
    assert same_positions(read(packed(plain), "a.cif.gz"), expected)
    assert same_positions(read(plain, "b.MCIF"), expected)


def test_the_operations_of_a_magnetic_group_are_read_without_their_time_reversal(read):
    block = cif("Mn1 0.1 0.2 0.3")
    block += "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\n-x,-y,-z,-1\n"
    block += "loop_\n_space_group_symop_magn_centering.xyz\nx,y,z,+1\nx+1/2,y+1/2,z+1/2,-1\n"
    assert len(read(block, "a.mcif")) == 4


@pytest.mark.parametrize(
    ("x", "y"), [("0.333", "0.667"), ("0.33", "0.67"), ("0.3333", "0.6667"), ("0.33333", "0.66667")]
)
def test_images_within_the_rounding_of_their_digits_are_one_atom(read, x, y):
    crystal = read(cif(f"Ga1 {x} {y} 0", f"N1 {x} {y} 0.377", cell=WURTZITE, name="P 63 m c"))
    assert len(crystal) == 4
    assert np.allclose(np.sort(crystal.frac_coords[:, 0] * 3), [1, 1, 2, 2], atol=1e-12)  # on the axis, not beside it


def test_digits_that_say_otherwise_keep_atoms_apart(read):
    cell = (9, 9, 9, 90, 90, 120)
    assert len(read(cif("Ga1 0.320 0.667 0", cell=cell, name="P 3"))) == 3
    assert len(read(cif("Ga1 0.1 0.1 0", cell=cell, name="P 3"))) == 3


def test_translations_may_have_three_decimals():
    rounded = parse_operations(["x,y,z", "-y,x-y,z+0.333", "-x+y,-x,.667+z"])
    assert rounded.same_as(parse_operations(SCREW))
    assert find_number(check_group(rounded)) == 144
    supercell = parse_operations([f"x,y,z+{i}/7" for i in range(7)])
    assert len(check_group(supercell)) == 7
    assert find_number(supercell) == 1


def test_stated_multiplicities_are_those_of_sites_or_orders_of_site_symmetries(read):
    keys, cell = "label symmetry_multiplicity", CUBE_8
    of_sites = ("Mg1 8 .125 .125 .125", "Al1 16 .5 .5 .5", "O1 32 .2624 .2624 .2624")
    orders = ("Mg1 24 .125 .125 .125", "Al1 12 .5 .5 .5", "O1 6 .2624 .2624 .2624")
    for sites in (of_sites, orders):
        assert len(read(cif(*sites, keys=keys, cell=cell, alt="F d -3 m :2", formula="Mg Al2 O4", z=8))) == 56
        with pytest.raises(InputError, match="has multiplicity"):
            read(cif(*sites, keys=keys, cell=cell, alt="F d -3 m :1"))


@pytest.mark.parametrize(("formula", "z"), [("Cs Cl", 1), ("Cs1 Cl1", "1"), ("Cl Cs", "?"), ("Cs4 Cl4", 4), ("?", 1)])
def test_formulas_that_agree(read, formula, z):
    """The fourth is the content of the cell, with the Z of its reduced formula, as pymatgen writes it."""
    name = "F m -3 m" if formula == "Cs4 Cl4" else "P m -3 m"
    assert read(cif(*CSCL, name=name, formula=formula, z=z)).formula == "ClCs"


def test_a_packed_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("asugnn.reading.STRUCTURE_FILE_BYTES", 1000)
    (tmp_path / "a.cif.gz").write_bytes(packed(cif(*CSCL) + " " * 100_000))
    with pytest.raises(InputError, match="it unpacks to more than 1,000 bytes"):
        read_crystals(tmp_path / "a.cif.gz")
    (tmp_path / "b.cif.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="it is no gzip file, or a damaged one"):
        read_crystals(tmp_path / "b.cif.gz")


def test_a_block_whose_atom_tags_begin_no_line_is_read(tmp_path):
    """It was dropped without a word where another block was read; in a comment the words mean nothing."""
    cell = "_cell_length_a 4\n_cell_length_b 4\n_cell_length_c {}\n" + "".join(
        f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma")
    )
    tags = "_atom_site_label _atom_site_fract_x _atom_site_fract_y _atom_site_fract_z"
    atoms = "\nCu 0 0 0\n"
    blocks = ("loop_\n" + tags.replace(" ", "\n"), "loop_ " + tags)
    text = "".join(f"data_{i}\n{cell.format(4 + i)}{head}{atoms}" for i, head in enumerate(blocks))
    (tmp_path / "two.cif").write_text(text + "data_note\n# no _atom_site_label here\n_journal_year 2026\n")
    assert [c.lattice[2, 2] for c in read_crystals(tmp_path / "two.cif").values()] == [4, 5]


def test_a_long_axis_hides_no_misfit_of_the_others(read):
    """The fourfold axis of P 4 does not fit a = 3, b = 5, whatever c is."""
    for c in (4, 30):
        with pytest.raises(InputError, match="cell"):
            read(cif("Si1 0.1 0.2 0.3", cell=(3, 5, c, 90, 90, 90), name="P 4"))


@pytest.mark.parametrize("name", ["C 2/m 2/m 2/e", "A 2/e 2/m 2/m", "B 2/m 2/e 2/m"])
def test_an_orthorhombic_symbol_of_two_settings_is_refused(read, name):
    """`bca` is a permutation of three axes, not the axis b of a monoclinic group."""
    with pytest.raises(InputError, match="leaves open which setting"):
        read(cif("Si1 0.1 0.2 0.3", cell=(3, 4, 5, 90, 90, 90), name=name))


def test_an_unknown_magnetic_operation_hides_no_other_one(read):
    unknown = "loop_\n_space_group_symop_magn_operation_xyz\n?\n"
    listed = cif("Si1 0.1 0.2 0.3", operations=("x,y,z", "-x,-y,-z"))
    assert len(read(listed + unknown)) == 2
    named = cif("Si1 0.1 0.2 0.3", operations=("x,y,z", "-x,-y,-z"), name="P 4") + unknown
    with pytest.raises(InputError):
        read(named)


@pytest.mark.parametrize(("site", "length", "said"), [
    ("Si1 123456789012345678.3 0 0", "4", "coordinate x '123456789012345678.3': it must be a number, at most 1e.06"),
    ("Si1 1e999 0 0", "4", "coordinate x '1e999'"),
    ("Si1 0.1 0 0", "1e999", "_cell_length_a is '1e999': it must be a positive number, at most 10000"),
])  # fmt: skip
def test_absurd_numbers_are_refused_by_name(read, site, length, said):
    with pytest.raises(InputError, match=said):
        read(cif(site, cell=(length, 4, 4, 90, 90, 90), operations=P1))
