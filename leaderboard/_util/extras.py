"""Packages that the core does not need, and the extra of this project that installs each."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping

# By the name that is imported. The smaller extra comes first: a package of two extras is named with the smaller one,
# and a command that needs more of the larger asks for that with `require_packages`.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "figures": ("matplotlib",),
    "audit": ("pymatgen", "spglib", "moyopy", "safetensors", "ase", "matplotlib"),
    "chgnet": ("chgnet",),
    "models": (
        "torch", "safetensors", "sklearn", "torch_geometric", "matgl", "alignn", "jarvis", "pymatgen", "spglib",
        "moyopy", "ase", "scipy",
    ),
}  # fmt: skip


class MissingPackageError(ModuleNotFoundError):
    """A package that is not installed: the message is the sentence that `missing_sentence` makes."""


def require_packages(packages: Iterable[str], extra: str) -> None:
    """Raise `MissingPackageError` for the first package that is not installed; nothing is imported."""
    for package in packages:
        if not _installed(package):
            raise MissingPackageError(missing_sentence(package, extra), name=package)


def require_model_packages(model: type) -> None:
    """Raise `MissingPackageError` where a package that a model declares in `requires` is not installed."""
    require_packages(getattr(model, "requires", ()), "models")


def lacks_package(model: type) -> str | None:
    """The sentence about a declared package of a model that is not installed; None where all are."""
    try:
        require_model_packages(model)
    except MissingPackageError as error:
        return str(error)
    return None


def missing_sentence(package: str, extra: str = "") -> str:
    """Say which package is missing and how to install it: by that extra, else by the smallest one that has it."""
    extras = [name for name, packages in EXTRAS.items() if package in packages]
    chosen = extra if extra in extras else extras[0] if extras else ""
    wanted = f"'asugnn-bench[{chosen}]'" if chosen else package
    return f"this needs the package {package}: pip install {wanted}"


def missing_extra(error: ImportError) -> str | None:
    """What to install for an import that failed; None where the package belongs to no extra."""
    if isinstance(error, MissingPackageError):
        return str(error)
    package = (error.name or "").partition(".")[0]
    known = any(package in packages for packages in EXTRAS.values())
    return missing_sentence(package) if known and isinstance(error, ModuleNotFoundError) else None


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False
    except ValueError:  # a module without a specification, such as one that a program put together itself
        return True
