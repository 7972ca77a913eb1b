"""A long run of one character costs a reader time in proportion to its length, not to its square."""

import time
from collections.abc import Callable

import pytest

from asugnn import InputError
from asugnn.cif_sites import is_number
from asugnn.cif_symbols import find_elements
from asugnn.extended_xyz import check_frames
from asugnn.poscar_files import parse_float
from asugnn.space_groups import find_settings
from leaderboard.data.csv_table import parse_number
from leaderboard.ingest.compositions import reduce_composition
from leaderboard.submissions.pandas_ids import pandas_id_notes

LENGTH = 300_000  # where the square would take minutes
READERS: dict[str, Callable[[str], object]] = {
    "number of a CIF": lambda text: is_number(text + "x"),
    "number of a POSCAR": lambda text: parse_float(text + "x"),
    "type symbol": lambda text: find_elements([f"Na{text}x"], ["Na1"], None),
    "space group": lambda text: find_settings(f"P{text}x", None, None, None),
    "comment of extended XYZ": lambda text: check_frames(f'1\nLattice="1 0 0 0 1 0 0 0 1" a={text}\nNa 0 0 0\n'),
    "Lattice of extended XYZ": lambda text: check_frames(f"1\nLattice={text} pbc={text}\nNa 0 0 0\n"),
    "atom of extended XYZ": lambda text: check_frames(f"1\nProperties=species:S:1:pos:R:3\nNa {text}d 0 0\n"),
    "number of a CSV": lambda text: parse_number(text + "x"),
    "composition": lambda text: reduce_composition(f"Na{text}x"),
    "id": lambda text: pandas_id_notes([text + "x"], "id"),
}


@pytest.mark.parametrize("unit", ["1", "[", "{", '"', "'", "(", " ", "-", "+", ".", "1.", "=", ": ", "a=", "\t[", "_"])
@pytest.mark.parametrize("reader", READERS)
def test_time_is_proportional_to_length(reader: str, unit: str):
    text = unit * (LENGTH // len(unit))
    start = time.process_time()
    try:
        READERS[reader](text)
    except InputError as error:
        assert len(str(error)) < 1_000, "the sentence quotes what was met in short"
    assert time.process_time() - start < 2
