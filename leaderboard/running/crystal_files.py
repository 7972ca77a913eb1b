"""The crystals in the files that a user names, each with an id of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.structure_files import read_crystals, unpacked_name


def read_crystal_files(files: Sequence[Path]) -> tuple[dict[str, Crystal], list[str]]:
    """Read the crystals in some files by id, and a sentence for each file that cannot be read.

    Raises `InputError` where a file is named twice, or none can be read.
    """
    crystals: dict[str, Crystal] = {}
    unreadable: list[str] = []
    for file, own in zip(files, file_ids(files), strict=True):
        try:
            found = read_crystals(file)
        except InputError as error:
            unreadable.append(str(error))
            continue
        for name, crystal in found.items():
            name = own + name.removeprefix(unpacked_name(file).stem)  # noqa: PLW2901
            if name in crystals:
                raise InputError(f"id '{name}' comes twice, the second time from {file}: rename one of the files")
            crystals[name] = crystal
    if not crystals:
        raise InputError("\n".join(unreadable))
    return crystals, unreadable


def file_ids(files: Sequence[Path]) -> list[str]:
    """The id of each file: its name without the ending, as `NaCl` for `NaCl.cif`.

    Files that share it get what tells them apart: their ending (`NaCl.cif` and `NaCl.vasp`), or the folders they lie in
    (`a/POSCAR` and `b/POSCAR`). Raises `InputError` where a file is named twice.
    """
    sharing: dict[str, list[Path]] = {}
    for file in map(Path.absolute, files):
        group = sharing.setdefault(unpacked_name(file).stem, [])
        if file in group:
            raise InputError(f"{file} is named twice")
        group.append(file)
    names: dict[Path, str] = {}
    for group in sharing.values():
        names |= dict(zip(group, _shortest_names(group), strict=True))
    return [names[file.absolute()] for file in files]


def _shortest_names(files: Sequence[Path]) -> list[str]:
    stems = [unpacked_name(file).stem for file in files]
    for depth in range(1 + max(len(file.parts) for file in files)):
        for names in (stems, [file.name for file in files]):
            folders = [file.parent.parts[1:][-depth:] if depth else () for file in files]
            out = ["/".join((*parents, name)) for parents, name in zip(folders, names, strict=True)]
            if len(set(out)) == len(out):
                return out
    return [str(file) for file in files]
