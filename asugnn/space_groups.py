"""Symmetry operations of a crystal: listed in xyz notation, or those of a named setting of a space group.

The settings, 530 of International Tables A and others of cctbx, are the table that pymatgen carries; spglib tells the
space group of listed operations.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from asugnn.crystal import Floats, Ints
from asugnn.errors import InputError

GRID = 5040  # steps of a translation along an axis when operations are compared
CCCE = {"C": "C c c e", "A": "A e a a", "B": "B b e b"}  # number 68, whose two origins have different symbols
SUFFIX = re.compile(r"\s*(?:\(?\s*origin(?:\s+choice)?\s*([12])\s*\)?|:\s*([\w-]+)|\s([SZHR]))$", re.IGNORECASE)


@dataclass(frozen=True)
class Operations:
    """A space group in one cell: rotations (n, 3, 3), whole numbers, and translations (n, 3) in cells."""

    rotations: Ints
    translations: Floats

    def __len__(self) -> int:
        return len(self.rotations)

    def same_as(self, other: Operations) -> bool:
        """Whether both hold the same operations, in any order, translations modulo the cell."""
        return set(_keys(self.rotations, self.translations)) == set(_keys(other.rotations, other.translations))

    def fit(self, lattice: Floats) -> bool:
        """Whether all rotations map the cell with rows `lattice` (3, 3) onto itself, within 2 % of its metric."""
        metric = lattice @ lattice.T
        transformed = self.rotations.transpose(0, 2, 1) @ metric @ self.rotations  # (n, 3, 3)
        lengths = np.sqrt(metric.diagonal())  # each entry by its own axes: a long one hides no misfit of the others
        return bool((np.abs(transformed - metric) <= 0.02 * np.outer(lengths, lengths)).all())

    def combined(self, centring: Operations) -> Operations:
        """Each operation followed by each of the translations in `centring`."""
        n = len(centring)
        shifted = self.translations[:, None] + centring.translations[None]  # (operations, translations, 3)
        return Operations(np.repeat(self.rotations, n, axis=0), shifted.reshape(-1, 3))


@dataclass(frozen=True)
class Setting:
    """A setting of a space group."""

    name: str  # Hermann-Mauguin symbol, with `:1`, `:2`, `:H` or `:R` where it leaves the origin or the axes open
    full: str  # the full symbol, such as `F 4/m -3 2/m`
    number: int  # 1 to 230
    hall: str
    code: str  # of _space_group_IT_coordinate_system_code: "1", "2", "h", "r", "b1", "2cab", ..; else "other"
    xyz: tuple[str, ...]

    @property
    def plain(self) -> str:
        """The symbol without origin and axes."""
        return re.sub(r"\s*:\w+$", "", self.name)

    def operations(self) -> Operations:
        """Return its operations, those of centring included."""
        return parse_operations(self.xyz)


def parse_operations(texts: Iterable[str]) -> Operations:
    """Parse operations such as "-y+1/2,x,z+1/4"; a time reversal behind them, ",-1", is left out.

    Translations with three or more decimals are taken as the nearest 24th, if that is what they round.
    """
    rotations, translations = [], []
    for text in texts:
        parts = re.sub(r"\s+", "", text).lower().split(",")
        if len(parts) == 4 and re.fullmatch(r"[+-]?1", parts[3]):
            parts.pop()
        rows = [_parse_component(part) for part in parts]
        if len(rows) != 3 or None in rows:
            raise InputError(f"'{text[:60]}' is not a symmetry operation, such as 'x, -y, z+1/2' (in quotes)")
        rotations.append([row[0] for row in rows if row])
        translations.append([row[1] for row in rows if row])
    array = np.array(rotations, dtype=np.int64).reshape(-1, 3, 3)
    if any(abs(round(determinant)) != 1 for determinant in np.linalg.det(array)):
        raise InputError("a symmetry operation changes the volume of the cell")
    return Operations(array, np.array(translations, dtype=np.float64).reshape(-1, 3))


@lru_cache(maxsize=4096)
def _parse_component(text: str) -> tuple[tuple[int, int, int], float] | None:
    """Parse one of the three parts of an operation: coefficients of x, y and z, and the translation."""
    terms = re.findall(r"[+-]?[^+-]+", text)
    if not terms or "".join(terms) != text or len(text) > 60:
        return None
    coefficients, shift = [0, 0, 0], Fraction(0)
    for term in terms:
        if axis := re.fullmatch(r"([+-]?)(\d?)\*?([xyz])", term):
            coefficients["xyz".index(axis[3])] += int(f"{axis[1]}{axis[2] or 1}")
        elif number := re.fullmatch(r"([+-]?)(\d{1,4})/0*([1-9]\d{0,3})", term):
            shift += Fraction(int(f"{number[1]}{number[2]}"), int(number[3]))
        elif re.fullmatch(r"[+-]?(\d{1,9}\.?\d{0,15}|\.\d{1,15})", term):
            exact = Fraction(term)
            near = Fraction(round(exact * 24), 24)
            shift += near if abs(exact - near) < Fraction(1, 1000) else exact
        else:
            return None
    x, y, z = coefficients
    return ((x, y, z), float(shift)) if max(map(abs, coefficients)) < 10 else None


def check_group(operations: Operations) -> Operations:
    """Return the operations without repetitions; raises `InputError` where they are not a group."""
    keys = _keys(operations.rotations, operations.translations)
    first = sorted({key: i for i, key in reversed(list(enumerate(keys)))}.values())
    unique = Operations(operations.rotations[first], operations.translations[first])
    present = set(keys)
    if _keys(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)))[0] not in present:
        raise InputError("its symmetry operations are not a group: the identity 'x, y, z' is missing")
    for rotation, translation in zip(unique.rotations, unique.translations, strict=True):
        products = _keys(unique.rotations @ rotation, unique.rotations @ translation + unique.translations)
        if not present.issuperset(products):
            raise InputError(f"its {len(unique)} symmetry operations are not a group: a product of two is missing")
    return unique


def _keys(rotations: Ints, translations: Floats) -> list[bytes]:
    """A key for each of n operations, equal where rotations and translations modulo the cell are."""
    # The offset is one that no rational number rounds by: a translation is never between two steps.
    steps = np.floor(translations * GRID + 0.3183098861) % GRID  # (n, 3)
    rows = np.hstack([rotations.reshape(-1, 9), steps]).astype(np.int16).tobytes()  # (n, 12), two bytes each
    return [rows[i : i + 24] for i in range(0, len(rows), 24)]


def find_number(operations: Operations) -> int | None:
    """Return the number of the space group, 1 to 230, that the operations are, in whatever cell and setting."""
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_spacegroup_type_from_symmetry(operations.rotations, operations.translations, symprec=1e-3)
    return int(found.number) if found else None


def find_settings(name: str | None, hall: str | None, number: int | None, code: str | None) -> list[Setting]:
    """Find the settings that these names of one space group leave open, most likely first; none if none is known.

    A Hall symbol says all; a Hermann-Mauguin symbol may leave the origin or the axes open, and a bare number means the
    standard axes. Raises `InputError` where two of the names are of different space groups.
    """
    by_hall = _settings_by_hall().get(_hall_key(hall), []) if hall else []
    by_name = _settings_by_name().get(_name_key(name), []) if name else []
    if name and not by_name and (suffix := SUFFIX.search(name := " ".join(name.split()))):
        by_name = _settings_by_name().get(_name_key(name[: suffix.start()]), [])
        origin = suffix[1] or suffix[2] or {"s": "1", "z": "2"}.get(suffix[3].lower(), suffix[3])
        by_name = _with_code(by_name, origin)
    said = [(f"'{name}'", by_name), (f"Hall symbol '{hall}'", by_hall)]
    numbers = {what: settings[0].number for what, settings in said if settings}
    if number:
        numbers["its number"] = number
    if len(set(numbers.values())) > 1:
        listed = " and ".join(f"{what} ({of})" for what, of in numbers.items())
        raise InputError(f"its space group is named twice, differently: {listed}. Which is right?")
    found = by_hall or by_name
    if number and not name and not hall:
        of_number = [setting for setting in list_settings() if setting.number == number]
        found = of_number if code or not of_number else _settings_by_name()[_name_key(of_number[0].plain)]
    return found if by_hall or not code else _with_code(found, code)


def _with_code(settings: Sequence[Setting], code: str) -> list[Setting]:
    """The settings with this code of axes and origin; else "1" and "2" are origins with any axes."""
    code = code.lower() if code.lower() == "abc" else code.lower().removesuffix("abc")
    exact = [setting for setting in settings if setting.code == code.replace("abc", "")]
    return exact or [setting for setting in settings if code in {"1", "2"} and setting.code.startswith(code)]


@cache
def list_settings() -> list[Setting]:
    """List the settings in the table, those of International Tables with their code and full symbol."""
    standard = {_hall_key(kind.hall_symbol): kind for kind in _list_spglib_types()}
    table = json.loads((files("pymatgen.symmetry") / "symm_ops.json").read_text(encoding="utf-8"))
    return [
        Setting(
            row["universal_h_m"].strip(),
            full.international_full if (full := standard.get(_hall_key(row["hall"]))) else row["universal_h_m"],
            row["number"],
            row["hall"].strip(),
            full.choice.lower() if full else "other",
            tuple(row["symops"]),
        )
        for row in table
    ]


def _list_spglib_types() -> list[Any]:
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return [spglib.get_spacegroup_type(hall_number) for hall_number in range(1, 531)]


@cache
def _settings_by_hall() -> dict[str, list[Setting]]:
    """Settings by their Hall symbols, and without spaces where that leaves one: P32 is P 32 or P 3 2."""
    halls: dict[str, list[Setting]] = {}
    for setting in list_settings():
        key = _hall_key(setting.hall)
        for spelled in {key, key.replace(" ", "")}:
            halls.setdefault(spelled, []).append(setting)
    return {key: settings for key, settings in halls.items() if len(settings) == 1} | {
        _hall_key(setting.hall): [setting] for setting in list_settings() if " " in _hall_key(setting.hall)
    }


@cache
def _settings_by_name() -> dict[str, list[Setting]]:
    """Settings by each of their Hermann-Mauguin symbols, exact ones first."""
    names: dict[str, list[Setting]] = {}
    for symbols in (_exact_symbols, _older_symbols):
        added: dict[str, list[Setting]] = {}
        for setting in list_settings():
            for key in {_name_key(symbol) for symbol in symbols(setting)} - names.keys():
                added.setdefault(key, []).append(setting)
        names |= added
    return names


def _exact_symbols(setting: Setting) -> list[str]:
    """The symbol with and without its origin, the full symbol, and for one of two monoclinic axes the short one."""
    short = [re.sub(r" 1(?= |$)", "", setting.plain)] if 3 <= setting.number <= 15 and setting.code != "other" else []
    either = [CCCE[setting.name[0]], *_glide_symbols(setting)] if setting.number == 68 else []
    return [setting.name, setting.plain, setting.full, *short, *either]


def _older_symbols(setting: Setting) -> list[str]:
    """Symbols before 1992, C m c a for C m c e, and before 1983, F m 3 m for F m -3 m."""
    cubic = [setting.plain.replace("-3", "3")] if setting.number >= 195 else []
    return [*_glide_symbols(setting), *cubic] if setting.code != "other" else []


def _glide_symbols(setting: Setting) -> list[str]:
    glides = {"A": "bc", "B": "ac", "C": "ab"}.get(setting.name[0], "") if " e" in setting.plain else ""
    return [setting.plain.replace(" e", f" {glide}") for glide in glides]


def _name_key(name: str) -> str:
    return re.sub(r"[\s_]", "", re.sub(r"\((\d)\)", r"\1", name)).lower()


def _hall_key(hall: str) -> str:
    return " ".join(hall.replace("_", " ").split()).lower()
