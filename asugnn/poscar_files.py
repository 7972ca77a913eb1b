"""Read POSCAR and CONTCAR files of VASP 4, 5 and 6, as the VASP manual describes them.

A scale below zero is the volume of the cell, three are factors of x, y and z; they scale Cartesian positions too.
Numbers may have the exponents of Fortran, and elements the names of potentials (`Mg_pv/f474ac0d`). Elements that stand
behind positions must be those of the header, and as many positions must follow as the counts say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from asugnn.crystal import ATOMIC_NUMBERS, SYMBOLS, Crystal, Floats, Ints
from asugnn.errors import InputError
from asugnn.limits import ATOMS, check_limit
from asugnn.reading import DECIMAL

HEADER = 5  # lines before the elements: comment, scale, cell
SHOWN = 40  # characters of a line in a message
FLAG = re.compile(r"[TF]|\.(TRUE|FALSE)\.", re.IGNORECASE)
# An element, perhaps with a number or a charge, or the name of a potential.
BEHIND = re.compile(r"([A-Za-z][a-z]?)(?:[\d+-][\d.+-]*|[_/].*)?")


@dataclass
class Lines:
    """The lines of a file, without comments behind # or !."""

    lines: list[str]

    def words(self, number: int, remarks: bool = False) -> list[str]:
        """Return the words of a line, counted from 1, perhaps with those of the comment; none beyond the end."""
        line = self.lines[number - 1] if number <= len(self.lines) else ""
        return re.sub("[#!]", " ", line).split() if remarks else re.split("[#!]", line)[0].split()

    def floats(self, number: int, count: int, what: str) -> list[float]:
        """Return the numbers that a line begins with; raises `InputError` where it has fewer than `count`."""
        words = self.words(number)
        if len(words) < count:
            words = re.sub(r"(?<=[\d.])-", " -", " ".join(words)).split()  # written without spaces between them
        values = [value for word in words[:count] if (value := parse_float(word)) is not None]
        if len(values) < count:
            shown = f"'{self.lines[number - 1].strip()[:SHOWN]}'" if number <= len(self.lines) else "missing"
            raise InputError(f"line {number} is {shown}: it must be {what}")
        return values

    def is_position(self, number: int) -> bool:
        """Whether a line begins with three numbers."""
        words = self.words(number)[:3]
        return len(words) == 3 and all(parse_float(word) is not None for word in words)


def parse_float(word: str) -> float | None:
    """Return the number that a word is, also with an exponent of Fortran (`1.5D-3`), or None."""
    found = re.fullmatch(rf"([+-]?{DECIMAL})(?:[eEdD]([+-]?\d{{1,9}}))?", word, re.ASCII)
    return float(f"{found[1]}e{found[2] or 0}") if found else None


def crystal_from_poscar(text: str) -> Crystal:
    """Read a POSCAR; raises `InputError` that names the line at fault."""
    lines = Lines(text.split("\n"))
    cell = np.array([lines.floats(i, 3, "a vector of the cell, three numbers") for i in (3, 4, 5)])
    factors = _read_scale(lines, cell)
    symbols, counts, last = _read_counts(lines)
    n = sum(counts)
    selective = lines.words(last + 1)[:1] and lines.words(last + 1)[0][0] in "sS"
    mode = last + 1 + bool(selective)
    cartesian = lines.words(mode)[:1] and lines.words(mode)[0][0] in "cCkK"
    if len(lines.lines) < mode + n or not any(lines.words(mode + n)):
        present = sum(1 for i in range(mode + 1, mode + n + 1) if lines.words(i))
        raise InputError(
            f"it announces {n:,} atoms, and {present:,} positions follow after line {mode}, which must be Direct or "
            "Cartesian: is that line or a position missing?"
        )
    if lines.is_position(mode):
        raise InputError(f"line {mode} is a position: Direct or Cartesian must stand before the first one")
    _check_end(lines, n, mode + n + 1)
    rows = range(mode + 1, mode + n + 1)
    positions = np.array([lines.floats(i, 3, "a position, three numbers") for i in rows])
    behind = [_drop_flags(lines.words(i, remarks=True)[3:], bool(selective)) for i in rows]
    if not symbols:
        symbols, counts = _read_symbols_of_atoms(behind), [1] * n
    numbers = np.repeat([ATOMIC_NUMBERS[symbol] for symbol in symbols], counts)
    _check_symbols_of_atoms(behind, numbers, mode + 1)
    lattice = cell * factors  # the factors are of Cartesian components
    if cartesian:
        positions = _to_fractions(lattice, positions * factors)
    return Crystal(lattice, positions, numbers)


def _read_scale(lines: Lines, cell: Floats) -> Floats:
    """Return the factors (3,) of the Cartesian components."""
    words = [parse_float(word) for word in lines.words(2)]
    count = words.index(None) if None in words else len(words)  # a remark may follow
    if count not in (0, 1, 3):
        raise InputError(f"line 2 has {count} numbers: it must be the scale of the cell, one number or three")
    scale = lines.floats(2, 3 if count == 3 else 1, "the scale of the cell, one number or three")
    if count == 3:
        if min(scale) <= 0:
            raise InputError(f"line 2 has the scales {scale}: three scales must be positive")
        return np.array(scale)
    if scale[0] == 0:
        raise InputError("line 2 is the scale 0: it must be another number")
    volume = abs(np.linalg.det(cell))
    if scale[0] < 0 and volume == 0:
        raise InputError("the cell has no volume: its three vectors lie in one plane")
    return np.full(3, scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3))


def _read_counts(lines: Lines) -> tuple[list[str], list[int], int]:
    """Return the elements, how many atoms each has, and the last line of the counts; no elements in VASP 4."""
    number = HEADER + 1
    symbols: list[str] = []
    while number <= len(lines.lines) and (words := lines.words(number)) and not words[0].isdecimal() and number < 40:
        symbols += words
        number += 1
    if not symbols:
        return [], _parse_counts(lines.words(number), number), number
    counts: list[int] = []
    while len(counts) < len(symbols) and (words := lines.words(number)) and words[0].isdecimal():
        counts += _parse_counts(words, number)
        number += 1
    if not counts:
        raise InputError(f"line {number} must be the numbers of atoms of {' '.join(symbols[:5])[:SHOWN]}")
    if len(symbols) != len(counts):
        raise InputError(f"it names {len(symbols)} elements but counts the atoms of {len(counts)}")
    elements = [re.split("[_/]", symbol)[0] for symbol in symbols]
    if unknown := [symbol for symbol in elements if symbol not in ATOMIC_NUMBERS]:
        raise InputError(f"line {HEADER + 1} names '{unknown[0][:SHOWN]}': this is not an element")
    return elements, counts, number - 1


def _parse_counts(words: list[str], number: int) -> list[int]:
    counts = []
    for word in words:
        if not re.fullmatch(r"\d+", word, re.ASCII):
            if parse_float(word) is not None:
                raise InputError(f"line {number} has '{word[:SHOWN]}' where a number of atoms must be")
            break  # a remark
        counts.append(int(word) if len(word) < 10 else ATOMS + 1)
    check_limit(sum(counts), ATOMS, "atoms")
    if not sum(counts):
        raise InputError(f"line {number} must be the elements, or how many atoms each has")
    return counts


def _check_end(lines: Lines, n: int, number: int) -> None:
    """Raise `InputError` for more than n positions: velocities stand behind an empty line, and are as many."""
    start = number if lines.is_position(number) else number + 1
    more = 0
    while more < n and lines.is_position(start + more):
        more += 1
    if more and (start == number or more < n):
        raise InputError(f"it announces {n:,} atoms, but line {start} is one position more")


def _drop_flags(words: list[str], selective: bool) -> list[str]:
    """Drop the three flags of selective dynamics, which some files have without the line that announces them."""
    return words[3:] if selective or (len(words) >= 3 and all(map(FLAG.fullmatch, words[:3]))) else words


def _read_symbols_of_atoms(behind: list[list[str]]) -> list[str]:
    """Return the elements behind the positions, as some programs write for VASP 4."""
    symbols = [word for words in behind for word in words[:1]]
    if len(symbols) != len(behind) or not set(symbols) <= ATOMIC_NUMBERS.keys():
        raise InputError("it names no elements: write them on the line before the counts")
    return symbols


def _check_symbols_of_atoms(behind: list[list[str]], numbers: Ints, first: int) -> None:
    """Raise `InputError` where an element behind a position is not that of the header; other remarks may be anything.

    A word is an element if it is the only one of its line and has its capital, or if the words of all lines are.
    """
    found = [BEHIND.fullmatch(words[0]) if words else None for words in behind]
    symbols = [match[1].capitalize() if match and match[1].capitalize() in ATOMIC_NUMBERS else "" for match in found]
    everywhere = all(symbols)
    for i, (symbol, words) in enumerate(zip(symbols, behind, strict=True)):
        alone = len(words) == 1 and words[0][0].isupper()
        if symbol and (everywhere or alone) and ATOMIC_NUMBERS[symbol] != numbers[i]:
            raise InputError(
                f"line {first + i} ends with {words[0][:SHOWN]}, and by the header its atom is "
                f"{SYMBOLS[numbers[i] - 1]}: which is right?"
            )


def _to_fractions(lattice: Floats, positions: Floats) -> Floats:
    try:
        return np.array(np.linalg.solve(lattice.T, positions.T).T)  # (n, 3)
    except np.linalg.LinAlgError:
        return np.zeros_like(positions)  # the cell has no volume, which the crystal says
