"""The imports of our packages as they stand in the source: for the map in docs/architecture.md, and for its test.

Every import counts: relative ones, those inside functions, those under TYPE_CHECKING, `import_module("a.b")`, and
attributes of imported modules (`import a.b; a.b.name`). Nothing is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("asugnn", "baselines", "leaderboard")


@dataclass(frozen=True)
class Import:
    """One name that a file imports from a module of ours; `name` is empty where the module itself is imported."""

    importer: str  # leaderboard.board.rows
    module: str  # leaderboard.data
    name: str  # load_dataset
    line: int

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: {self.name or 'the module'} from {self.module}"


def list_modules(root: Path, packages: Iterable[str] = PACKAGES) -> dict[str, Path]:
    """Every module of some packages, by dotted name; a package goes by its own name, without `__init__`."""
    files = sorted(file for package in packages for file in (root / package).rglob("*.py"))
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def list_rooms(modules: Mapping[str, Path]) -> dict[str, list[str]]:
    """The modules of each room, by the dotted name of the room. Every package is a room."""
    packages = [name for name, file in modules.items() if file.name == "__init__.py"]
    rooms: dict[str, list[str]] = {name: [] for name in packages}
    for name in modules:
        rooms[room_of(name, packages)].append(name)
    return rooms


def room_of(module: str, rooms: Iterable[str]) -> str:
    """The innermost room that a module lies in; the module's own name, where it lies in none."""
    around = [room for room in rooms if module == room or module.startswith(f"{room}.")]
    return max(around, key=len, default=module)


def read_exports(file: Path) -> tuple[str, ...]:
    """The names in `__all__` of a file; none where it has none."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]:
            return tuple(ast.literal_eval(node.value))
    return ()


def read_imports(modules: Mapping[str, Path], users: Mapping[str, Path] | None = None) -> list[Import]:
    """Every import of one of `modules` in the files of `users`, which are the modules themselves if not given."""
    exports = {name: read_exports(file) for name, file in modules.items() if file.name == "__init__.py"}

    def resolve(dotted: str) -> tuple[str, str]:
        """Split `a.b.name` into the module `a.b` and the name; what is in `__all__` of `a.b` is no module of it."""
        parts = dotted.split(".")
        known = next(i for i in range(len(parts), 0, -1) if ".".join(parts[:i]) in modules)
        if known == len(parts) > 1 and parts[-1] in exports.get(".".join(parts[:-1]), ()):
            known -= 1
        return ".".join(parts[:known]), ".".join(parts[known : known + 1])

    return [
        Import(importer, *resolve(dotted), line)
        for importer, file in (modules if users is None else users).items()
        for dotted, line in _dotted_names(file, importer)
        if dotted.split(".")[0] in modules
    ]


def _dotted_names(file: Path, importer: str) -> Iterator[tuple[str, int]]:
    """The absolute dotted name and the line of every import in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    package = importer if file.name == "__init__.py" else importer.rpartition(".")[0]
    aliases: dict[str, str] = {}  # local name to what it stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
                aliases[alias.asname or alias.name] = f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((argument.value, node.lineno) for argument in node.args if isinstance(argument, ast.Constant))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in aliases and rest.replace(".", "").isidentifier():
                yield f"{aliases[first]}.{rest}", node.lineno


def arrows_between_rooms(imports: Iterable[Import], rooms: Iterable[str]) -> dict[str, set[str]]:
    """For each room, the other rooms that it imports."""
    names = list(rooms)
    arrows: dict[str, set[str]] = {room: set() for room in names}
    for i in imports:
        importer, imported = room_of(i.importer, names), room_of(i.module, names)
        if importer != imported:
            arrows[importer].add(imported)
    return arrows


def find_cycle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """The nodes of one cycle, the first also last; empty where there is none."""
    finished: set[str] = set()

    def search(path: Sequence[str]) -> list[str]:
        for follower in sorted(arrows.get(path[-1], ())):
            if follower in path:
                return [*path[path.index(follower) :], follower]
            if follower not in finished and (cycle := search([*path, follower])):
                return cycle
        finished.add(path[-1])
        return []

    return next((cycle for start in sorted(arrows) if start not in finished and (cycle := search([start]))), [])


def count_floors(arrows: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """The floor of each node: 0 where it imports nothing, else one above the highest that it imports."""
    floors: dict[str, int] = {}

    def floor(node: str) -> int:
        if node not in floors:
            floors[node] = max((floor(below) + 1 for below in arrows.get(node, ())), default=0)
        return floors[node]

    for node in arrows:
        floor(node)
    return floors
