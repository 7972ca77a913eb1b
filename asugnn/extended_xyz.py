"""Check the text of extended XYZ before ASE parses it: what would keep it busy, and what the text says twice.

ASE takes the last of two lattices and the atomic numbers rather than the symbols, both without a word.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np

from asugnn.crystal import ATOMIC_NUMBERS, HEAVIEST_IN_CAPITALS
from asugnn.errors import InputError
from asugnn.limits import ATOMS, STRUCTURES, XYZ_COLUMNS, check_limit
from asugnn.poscar_files import parse_float
from asugnn.reading import DECIMAL

TRUE, FALSE = {"t", "true", "1", ".true."}, {"f", "false", "0", ".false."}
SYMBOL_COLUMNS = {"species", "symbols", "symbol", "element", "elements"}
NUMBER_COLUMNS = {"z", "numbers", "atomic_numbers", "atomic_number", "atomicnumber", "atomicnumbers"}
TOLERANCE = 1e-3  # angstrom
QUOTES = {'"': '"', "'": "'", "{": "}", "[": "]"}
PAIRS = ((1, 2), (0, 2), (0, 1))  # the vectors of the angles alpha, beta and gamma


def check_frames(text: str) -> str:
    """Return the text with the numbers, elements and flags that ASE knows; raises `InputError` that names the line.

    Refused is also what would keep ASE busy: a count that no file has, or columns without end.
    """
    lines = io.StringIO(text)
    number = frames = 0
    checked: list[str] = []
    while line := lines.readline():
        number += 1
        if not line.strip():  # between frames; ASE would stop there
            continue
        if not re.fullmatch(r"\+?\d{1,9}", count := line.strip(), re.ASCII):
            raise InputError(f"line {number} is '{count[:40]}': it must be the number of atoms")
        check_limit(atoms := int(count), ATOMS, f"atoms in line {number}")
        check_limit(frames := frames + 1, STRUCTURES, "structures")
        comment = lines.readline()
        _check_widths(comment, number + 1)
        comment, lattice, periodic = _check_cell(comment, number + 1)
        checked += [line, comment]
        columns = _list_columns(comment)
        for present in range(atoms):
            if not (line := lines.readline()):
                raise InputError(f"line {number} announces {atoms:,} atoms, and {present:,} follow")
            checked.append(line := _translate_atom(line))
            _check_atom(line.split(), columns, number + present + 2)
        number += atoms + bool(comment)
        vectors = _read_vectors(lines)
        if vectors and not periodic:
            raise InputError(f"line {number + 1} is a vector of the cell, and by pbc the cell is not periodic there")
        if vectors and lattice and not _are_close(vectors, lattice):
            raise InputError(f"line {number + 1} and its Lattice are different vectors of the cell: which are right?")
        number += len(vectors)
        checked += vectors
    return "".join(checked)


def _check_widths(comment: str, number: int) -> None:
    widths = re.findall(r":\s*[RISL]\s*:\s*\+?([\d_]+)", comment)
    if any(len(width) > 6 for width in widths) or sum(int(width.replace("_", "")) for width in widths) > XYZ_COLUMNS:
        raise InputError(f"line {number} announces more than {XYZ_COLUMNS:,} columns of properties")


def _check_cell(comment: str, number: int) -> tuple[str, list[float], bool]:
    """Return the comment line of a frame with keys and flags as ASE knows them, the lattice, and whether pbc is true.

    ASE takes `PBC` for another word, and three words that are no flags for true.
    """
    lattice: list[float] = []
    periodic = True
    if entry := _find_entry(comment, "lattice", number):
        numbers = [parsed for word in entry.words if (parsed := parse_float(word)) is not None]
        if len(numbers) != 9 or len(entry.words) != 9:
            raise InputError(f"line {number}: Lattice is '{entry.shown}': it must be nine numbers, for three vectors")
        lattice = numbers
        comment = entry.replaced(comment, f'Lattice="{" ".join(map(repr, numbers))}"')
    if entry := _find_entry(comment, "cell", number):
        _check_same_cell([parse_float(word) for word in entry.words], lattice, number)
    if entry := _find_entry(comment, "pbc", number):
        flags = [word.lower() for word in entry.words]
        if len(flags) not in (1, 3) or not set(flags) <= TRUE | FALSE:
            raise InputError(f"line {number}: pbc is '{entry.shown}': it must be three of T and F")
        periodic = TRUE.issuperset(flags)
        comment = entry.replaced(comment, f'pbc="{" ".join("T" if flag in TRUE else "F" for flag in flags)}"')
    if entry := _find_entry(comment, "properties", number):
        comment = comment[: entry.start] + "Properties" + comment[entry.start + len("properties") :]
    return comment, lattice, periodic


@dataclass(frozen=True)
class _Entry:
    """A key of a comment line with its value: where they stand, the value as text, and its words."""

    start: int
    end: int
    shown: str
    words: list[str]

    def replaced(self, comment: str, text: str) -> str:
        return comment[: self.start] + text + comment[self.end :]


def _mask_quoted(comment: str) -> str:
    """Replace each text in quotes or brackets by hyphens, in one pass, also where many of them are never closed."""
    last = {opening: comment.rfind(closing) for opening, closing in QUOTES.items()}
    parts, position = [], 0
    for opening in re.finditer("|".join(map(re.escape, QUOTES)), comment):
        start = opening.start()
        if position <= start < last[opening[0]]:
            end = comment.index(QUOTES[opening[0]], start + 1) + 1
            parts += [comment[position:start], "-" * (end - start)]
            position = end
    return "".join([*parts, comment[position:]])


def _find_entry(comment: str, key: str, number: int) -> _Entry | None:
    """Find a key, in any capitals, outside quoted texts; raises `InputError` where it comes twice."""
    found = list(re.finditer(rf"(?<![\w-]){key}\s*=\s*", _mask_quoted(comment), re.IGNORECASE))
    if len(found) > 1:
        raise InputError(f"line {number} has {key} {len(found)} times: which is right?")
    if not found:
        return None
    value = re.compile(r"[\"'{\[]([^\"'}\]]*)[\"'}\]]?|\S+|").match(comment, found[0].end())
    assert value is not None  # it may be empty
    text = value[0] if value[1] is None else value[1]
    return _Entry(found[0].start(), value.end(), text[:60], re.findall(r"[^\s,\[\]]+", text.removeprefix("_JSON")))


def _check_same_cell(cell: list[float | None], lattice: list[float], number: int) -> None:
    """Raise `InputError` where another entry for the cell, nine numbers or six parameters, is not the lattice."""
    if not lattice or None in cell or len(cell) not in (6, 9):
        return
    vectors = np.reshape(lattice, (3, 3))
    with np.errstate(all="ignore"):  # of a cell without volume, which the crystal refuses
        lengths = np.linalg.norm(vectors, axis=1)
        cosines = [vectors[i] @ vectors[j] / (lengths[i] * lengths[j]) for i, j in PAIRS]
        angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    expected = lattice if len(cell) == 9 else [*lengths, *angles]
    if not np.allclose(np.array(cell, dtype=float), expected, atol=0.01):
        raise InputError(f"line {number}: its Lattice and its cell are different: which is right?")


def _list_columns(comment: str) -> list[tuple[str, str]]:
    """The property and the kind, S, R, I or L, of each column of a frame."""
    found = re.search(r"\bProperties\s*=\s*[\"']?([^\s\"']+)", comment)
    parts = (found[1] if found else "species:S:1:pos:R:3").split(":")
    columns = []
    for name, kind, count in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        columns += [(name.lower(), kind)] * (int(count) if count.isdecimal() else 0)
    return columns


def _check_atom(words: list[str], columns: list[tuple[str, str]], number: int) -> None:
    if len(words) < len(columns):
        raise InputError(f"line {number} has {len(words)} columns, and its frame announces {len(columns)}")
    elements: dict[str, int] = {}
    for word, (name, kind) in zip(words, columns, strict=False):
        if kind == "R" and parse_float(word) is None and not re.fullmatch(r"[+-]?(nan|inf)", word, re.IGNORECASE):
            raise InputError(f"line {number} has '{word[:40]}' where a number must be")
        if kind == "S" and name in SYMBOL_COLUMNS and (known := ATOMIC_NUMBERS.get(word.capitalize())):
            if known > HEAVIEST_IN_CAPITALS and word.isupper():
                raise InputError(f"line {number} has '{word}': this is not an element")
            elements[word] = known
        if kind == "I" and name in NUMBER_COLUMNS and re.fullmatch(r"\d{1,3}", word):
            elements[word] = int(word)
    if len(set(elements.values())) > 1:
        raise InputError(f"line {number} names different elements, {' and '.join(elements)}: which is right?")


def _read_vectors(lines: io.StringIO) -> list[str]:
    """Read the lines behind a frame that begin with VEC: the vectors of the cell, as ADF writes them."""
    vectors = []
    place = lines.tell()
    while (line := lines.readline()).lstrip().startswith("VEC"):
        vectors.append(line)
        place = lines.tell()
    lines.seek(place)
    return vectors


def _are_close(vectors: list[str], lattice: list[float]) -> bool:
    found = [parse_float(word) for line in vectors for word in line.split()[1:]]
    return len(found) == 9 and all(
        value is not None and abs(value - other) < TOLERANCE for value, other in zip(found, lattice, strict=True)
    )


def _translate_atom(line: str) -> str:
    """Return the line of an atom with numbers of Fortran in Python's form, and deuterium as hydrogen."""
    if "d" not in line and "D" not in line:
        return line
    line = re.sub(rf"(?<![^\s])([+-]?{DECIMAL})[dD]([+-]?\d{{1,9}})(?!\S)", r"\1e\2", line)
    return re.sub(r"(?<!\S)D(?!\S)", "H", line)
