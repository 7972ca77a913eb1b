"""The code of a model, by digest: what makes an edited model another model.

A model in a file is that file. A model of an installed package is its module and all modules that it imports from its
own package and from asugnn, found by reading import statements; so an edit elsewhere in a package, or a new number of
its version, changes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError
from asugnn.model_registry import find_model, is_file_model

VERSION = "asugnn.version"  # which run.json names by itself


def model_code(name: str) -> dict[str, str]:
    """Name, version and sha256 of a model's code, as run.json holds them; raises `InputError`.

    `name` is that of an entry point, or FILE.py:CLASS as somebody typed it.
    """
    if is_file_model(name):
        file = Path(name.rpartition(":")[0])
        if not file.is_file():
            raise InputError(f"there is no file {file}")
        return {"file": file.as_posix(), "sha256": file_sha256(file)}
    module = find_model(name).__module__
    package = module.partition(".")[0]
    brought = next(iter(bringing_distributions(package)), package)
    try:
        version = importlib.metadata.version(brought)
    except importlib.metadata.PackageNotFoundError:
        version = "not stated"
    return {"package": brought, "version": version, "sha256": _closure_sha256(module)}


def required_modules(name: str) -> list[str]:
    """What the code of an installed model imports, anywhere in it, from the packages that it `requires`.

    Some of the names may be no modules. Raises `InputError` for an unknown model.
    """
    model = find_model(name)
    packages = getattr(model, "requires", ())
    imported = {m for _, modules in _closure(model.__module__).values() for m in modules}
    return [*packages, *sorted(m for m in imported if m.partition(".")[0] in packages)]


@cache  # to read the lists of files of all installed packages takes a second
def bringing_distributions(package: str) -> tuple[str, ...]:
    """Names of the installed distributions that bring a top-level package; none for the module of a file."""
    if not package.isidentifier():
        return ()
    return tuple(importlib.metadata.packages_distributions().get(package, ()))


@cache
def _closure_sha256(module: str) -> str:
    """sha256 over the names and contents of a module and all that it imports from its own package and from asugnn."""
    sources = _closure(module)
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name} {hashlib.sha256(sources[name][0]).hexdigest()}\n".encode())
    return digest.hexdigest()


@cache
def _closure(module: str) -> dict[str, tuple[bytes, tuple[str, ...]]]:
    """A module and all that it imports from its own package and from asugnn: the source of each and what it imports."""
    packages = {module.partition(".")[0], "asugnn"}
    sources: dict[str, tuple[bytes, tuple[str, ...]]] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in sources or (file := _source_file(name)) is None:
            continue
        source = file.read_bytes()
        sources[name] = source, tuple(_imported(source, name, file))
        waiting += [m for m in sources[name][1] if m.partition(".")[0] in packages and m != VERSION]
    return sources


def _source_file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    file = Path(spec.origin) if spec and spec.origin else None
    return file if file and file.suffix == ".py" and file.is_file() else None


def _imported(source: bytes, module: str, file: Path) -> Iterator[str]:
    """The modules that a source imports, anywhere in it; names of a package may be modules of it."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
