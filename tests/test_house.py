"""The borders of the house: which room may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from read_imports import (
    PACKAGES,
    Import,
    arrows_between_rooms,
    find_cycle,
    list_modules,
    list_rooms,
    read_exports,
    read_imports,
    room_of,
)

ROOT = Path(__file__).resolve().parent.parent

# A room may import the rooms on its line. Rooms of `leaderboard` are named without it; each of them may also import
# `_util` and the light part of `asugnn`. The folders of `baselines` and `leaderboard` are joined by entry points only.
MAY_IMPORT = {
    "asugnn": "",  # the library stands alone
    "baselines": "asugnn",  # models of other people are plug-ins, like anybody's
    "leaderboard": "api",  # its two functions are imported when they are asked for
    "_util": "",
    "scoring": "",
    "data": "scoring",
    "splitting": "data",
    "records": "data",
    "ingest": "data splitting",
    "running": "data splitting records",  # no scoring: a run ends with its predictions
    "board": "data splitting records scoring",  # no running: a score needs no model
    "shipped": "",  # trained models need no data set
    "reports": "data splitting records scoring board shipped",
    "reports.paper": "data splitting records scoring board reports",
    "reports.audit": "data splitting",  # of a data set, not of runs
    "submissions": "data splitting records scoring board reports",
    "public_boards": "data splitting records scoring board",  # their entries, as runs and from runs
    "api": "data splitting records scoring board",  # a program reads and scores; it trains what it likes by itself
    "site": "data splitting records scoring board reports",  # of reports, only the names of wording.py
    "cli": "data splitting records scoring board reports reports.paper reports.audit submissions site ingest running "
    "public_boards shipped",
}

# What `leaderboard` may import of the library: modules that can be imported without torch and the other heavy packages.
LIGHT = {
    "asugnn",
    "asugnn.ase_files",
    "asugnn.atomic_write",
    "asugnn.cache",
    "asugnn.capacity",
    "asugnn.checkpoint",
    "asugnn.crystal",
    "asugnn.crystal_arrays",
    "asugnn.download",
    "asugnn.embedding",
    "asugnn.errors",
    "asugnn.file_lock",
    "asugnn.limits",
    "asugnn.model",
    "asugnn.model_registry",
    "asugnn.progress",
    "asugnn.neighbours",
    "asugnn.published_weights",
    "asugnn.reading",
    "asugnn.structure_files",
    "asugnn.symmetry",
}
MOST_LINES = 320
LONGER = {
    "asugnn/network.py": 340,  # the network of one paper, with its equations: read from top to bottom
}
CALLED_FROM_OUTSIDE = {
    ("leaderboard", "leaderboard"),  # what a program calls, see docs/python.md
    ("leaderboard", "task"),
    ("leaderboard.cli", "main"),  # the script `bench`, in pyproject.toml
    ("leaderboard.cli", "app"),  # the command line as typer holds it: tests and programs read its commands from it
}


def in_leaderboard(room: str) -> str:
    return room if room in PACKAGES else f"leaderboard.{room}"


BORDERS = {
    in_leaderboard(room): {in_leaderboard(name) for name in others.split()}
    | ({"asugnn", "leaderboard._util"} if room not in PACKAGES else set())
    for room, others in MAY_IMPORT.items()
}


# The checks: each gives the faults of a folder that holds packages, a sentence each.


def crossed_borders(root: Path, borders: Mapping[str, set[str]]) -> list[str]:
    """Imports of rooms that the table does not allow, and rooms that it does not have."""
    modules = list_modules(root)
    rooms = list_rooms(modules)
    faults = [f"{room} is not in the table" for room in sorted(rooms.keys() - borders.keys())]
    for i in read_imports(modules):
        importer, imported = room_of(i.importer, rooms), room_of(i.module, rooms)
        if importer != imported and importer in borders and imported not in borders[importer]:
            faults.append(f"{i}: {importer} may not import {imported}")
    return faults


def private_names(root: Path) -> list[str]:
    """Names and modules beginning with `_` that another room imports."""
    return [str(i) for i, room in imports_across_rooms(root) if is_private(i, room)]


def is_private(i: Import, room: str) -> bool:
    inside = [*i.module.removeprefix(room).split("."), i.name]  # the room itself may be private: leaderboard._util
    return any(word.startswith("_") and not word.endswith("__") for word in inside)


def past_the_door(root: Path) -> list[str]:
    """Names that are not taken from the package of another room, or that are not in its `__all__`.

    `asugnn` and `baselines` are excepted. The modules of the library are public, so that a plug-in without torch does
    not import torch; and each model is a file of its own, which only benchmarks import. A room inside another one, such
    as `reports.paper`, is at home there and may import its modules.
    """
    exports = room_exports(root)
    across = [
        (i, room)
        for i, room in imports_across_rooms(root)
        if room.startswith("leaderboard.") and not i.importer.startswith(f"{room}.")
    ]
    return [str(i) for i, room in across if i.module != room or (i.name and i.name not in exports[room])]


def unused_exports(root: Path) -> list[str]:
    """Names in the `__all__` of a room that no other room and no program of the repository imports."""
    used = {(i.module, i.name) for i, _ in imports_across_rooms(root)}
    exported = {(room, name) for room, names in room_exports(root).items() for name in names}
    return [f"{room} exports {name}, which nobody imports" for room, name in sorted(exported - used)]


def imports_across_rooms(root: Path) -> list[tuple[Import, str]]:
    """Imports from another room, and that room; those of docs, recipes, benchmarks and nox count too."""
    modules = list_modules(root)
    rooms = list_rooms(modules)
    programs = [
        file for folder in ("docs", "recipes", "benchmarks", ".github") for file in (root / folder).glob("*.py")
    ]
    users = {file.relative_to(root).as_posix(): file for file in [*programs, *root.glob("noxfile.py")]}
    pairs = [(i, room_of(i.module, rooms)) for i in [*read_imports(modules), *read_imports(modules, users)]]
    return [(i, room) for i, room in pairs if room != room_of(i.importer, rooms)]


def room_exports(root: Path) -> dict[str, tuple[str, ...]]:
    modules = list_modules(root)
    return {room: read_exports(modules[room]) for room in list_rooms(modules)}


def cycles(root: Path) -> list[str]:
    """A cycle among rooms, and one among the modules of each room."""
    modules = list_modules(root)
    rooms, imports = list_rooms(modules), read_imports(modules)
    graphs: list[Mapping[str, Iterable[str]]] = [arrows_between_rooms(imports, rooms)]
    for inside in rooms.values():
        pairs = {(i.importer, i.module) for i in imports if i.importer != i.module}
        graphs.append({name: {b for a, b in pairs if a == name and b in inside} for name in inside})
    return [" -> ".join(cycle) for graph in graphs if (cycle := find_cycle(graph))]


def docstring_faults(root: Path) -> list[str]:
    """Rooms whose `__init__` does not say in a few lines what the room is for."""
    faults = []
    modules = list_modules(root)
    for room in list_rooms(modules):
        lines = (ast.get_docstring(ast.parse(modules[room].read_text(encoding="utf-8"))) or "").splitlines()
        if not 3 <= len(lines) <= 12:
            faults.append(f"{room}: a docstring of {len(lines)} lines, not about five")
    return faults


def long_files(root: Path, longer: Mapping[str, int]) -> list[str]:
    sizes = {
        file.relative_to(root).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in list_modules(root).values()
    }
    return [f"{name} has {n} lines" for name, n in sizes.items() if n > longer.get(name, MOST_LINES)]


def named_in_library(root: Path, names: set[str]) -> list[str]:
    """Where the library names the other packages, in code or prose, or one of some models as a string of code."""
    faults = []
    for name, file in list_modules(root, ["asugnn"]).items():
        text = file.read_text(encoding="utf-8")
        faults += [f"{name} speaks of {package}" for package in ("leaderboard", "baselines") if package in text]
        strings = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
        faults += [f"{name} names the model {model}" for model in sorted(names & strings)]
    return faults


# The house passes every check.


def test_every_room_imports_only_what_the_table_allows():
    assert crossed_borders(ROOT, BORDERS) == []


def test_the_table_lists_no_room_that_is_gone():
    assert BORDERS.keys() == list_rooms(list_modules(ROOT)).keys()


def test_no_private_name_crosses_a_room():
    assert private_names(ROOT) == []


def test_names_are_imported_from_the_package_of_a_room():
    assert past_the_door(ROOT) == []


def test_rooms_export_only_what_others_use():
    outside = {f"{room} exports {name}, which nobody imports" for room, name in CALLED_FROM_OUTSIDE}
    assert set(unused_exports(ROOT)) <= outside


def test_there_is_no_cycle():
    assert cycles(ROOT) == []


def test_every_room_says_what_it_is_for():
    assert docstring_faults(ROOT) == []


def test_every_room_of_the_leaderboard_names_its_files():
    """So that its `__init__` is a table of contents; `_util` needs none, as its files have nothing in common."""
    for file in (ROOT / "leaderboard").rglob("__init__.py"):
        told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        files = {f.name for f in file.parent.glob("*.py")} - {"__init__.py", "__main__.py"}
        if file.parent.name != "_util":
            assert not {name for name in files if name not in told}, file


def test_files_fit_a_head():
    assert long_files(ROOT, LONGER) == []


def test_the_library_names_neither_the_leaderboard_nor_a_baseline():
    points = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    names = {line.partition(" =")[0] for line in points if '= "baselines.' in line} - {"mean"}  # a word of its own
    assert len(names) >= 6
    # The order in which lists show our own models: nothing depends on it, and a model that is not there comes later.
    order = {f"asugnn.model_registry names the model {name}" for name in names}
    assert set(named_in_library(ROOT, names)) <= order


def test_the_site_takes_words_and_panels_from_the_reports_not_tables():
    modules = list_modules(ROOT)
    words = {"leaderboard.reports.wording", "leaderboard.reports.interval_words"}
    wording = {i.name for i in read_imports(modules) if i.module in words}
    imports = [i for i in read_imports(modules) if i.importer.startswith("leaderboard.site")]
    taken = {i.name for i in imports if i.module == "leaderboard.reports"}
    drawing = {"PanelData", "panel_data"}  # what is drawn of predictions, the same for the site and the paper
    assert drawing < taken
    assert taken - drawing <= wording


def test_the_leaderboard_imports_only_the_light_part_of_the_library():
    modules = list_modules(ROOT)
    imports = [i for i in read_imports(modules) if i.importer.startswith("leaderboard")]
    assert {i.module for i in imports if i.module.startswith("asugnn")} <= LIGHT


# Each check sees the fault that it is for, in packages made up here.


@pytest.fixture
def house(tmp_path: Path):
    """A house of two rooms, `low` below `high`, without a fault; `write` replaces one of its files."""

    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return tmp_path

    door = '"""A room.\n\nWith things.\n"""\nfrom leaderboard.{0}.things import thing\n\n__all__ = ["thing"]\n'
    for room in ("low", "high"):
        write(f"leaderboard/{room}/__init__.py", door.format(room))
    write("leaderboard/__init__.py", '"""A house.\n\nOf rooms.\n"""\n')
    write("leaderboard/low/things.py", "thing = _secret = 1\n")
    write("leaderboard/high/things.py", "from leaderboard.low import thing\n")
    write("docs/draw.py", "from leaderboard.high import thing\n")
    return write


TWO_ROOMS: dict[str, set[str]] = {
    "leaderboard": set(),
    "leaderboard.low": set(),
    "leaderboard.high": {"leaderboard.low"},
}


def all_faults(root: Path) -> list[str]:
    checks = (private_names, past_the_door, unused_exports, cycles, docstring_faults)
    faults = [*crossed_borders(root, TWO_ROOMS), *(f for check in checks for f in check(root)), *long_files(root, {})]
    return [*faults, *named_in_library(root, {"forest"})]


def test_a_house_without_a_fault_passes(house):
    assert all_faults(house("leaderboard/low/more.py", "from leaderboard.low.things import _secret\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "from leaderboard.high import thing",
        "from ..high import thing",
        "from .. import high",
        "import leaderboard.high",
        "import leaderboard as board\nboard.high.thing",
        "def late():\n    from ..high.things import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from leaderboard.high import thing",
        "import importlib\nimportlib.import_module('leaderboard.high')",
    ],
)
def test_an_import_across_a_border_is_seen_in_every_form(house, text: str):
    root = house("leaderboard/low/more.py", text)
    assert any("leaderboard.low may not import leaderboard.high" in f for f in crossed_borders(root, TWO_ROOMS))
    assert cycles(root) != []


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("from leaderboard.low.things import _secret", private_names),
        ("from ..low.things import _secret as fine", private_names),
        ("import leaderboard.low.things\nleaderboard.low.things._secret", private_names),
        ("from leaderboard.low._hidden import fine", private_names),
        ("from leaderboard.low.things import thing", past_the_door),
        ("from leaderboard.low import things", past_the_door),
        ("from leaderboard.low import other", past_the_door),
        ("from leaderboard.low import *", past_the_door),
        ("from . import things", cycles),
        ("", unused_exports),
        ("\n" * (MOST_LINES + 1), lambda root: long_files(root, {})),
    ],
)
def test_a_fault_is_seen(house, text: str, check):
    house("leaderboard/low/_hidden.py", "fine = 1\n")
    house("leaderboard/high/others.py", "from . import rest\n")
    house("leaderboard/high/rest.py", "\n")
    root = house("leaderboard/high/things.py", "from . import others\nfrom leaderboard.low import thing\n")
    assert check(root) == []
    root = house("leaderboard/high/rest.py" if check is cycles else "leaderboard/high/things.py", text)
    assert check(root) != []


def test_a_room_inside_another_is_at_home_there(house):
    text = "from leaderboard.low.things import thing\nfrom leaderboard.high import things\n"
    house("leaderboard/low/inner/__init__.py", '"""A room.\n\nInside.\n"""\n')
    root = house("leaderboard/low/inner/more.py", text)
    assert past_the_door(root) == ["leaderboard.low.inner.more, line 2: the module from leaderboard.high.things"]
    assert len(crossed_borders(root, TWO_ROOMS | {"leaderboard.low.inner": {"leaderboard.low"}})) == 1


def test_a_room_without_a_docstring_or_a_line_in_the_table_is_seen(house):
    root = house("leaderboard/attic/__init__.py", '"""Things."""\n')
    assert crossed_borders(root, TWO_ROOMS) == ["leaderboard.attic is not in the table"]
    assert docstring_faults(root) == ["leaderboard.attic: a docstring of 1 lines, not about five"]


@pytest.mark.parametrize("text", ["order = ('forest',)", "# as the leaderboard has it", "'''See baselines.'''"])
def test_a_library_that_names_what_is_above_it_is_seen(house, text: str):
    assert len(named_in_library(house("asugnn/model.py", text), {"forest"})) == 1
