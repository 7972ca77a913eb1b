"""Packages that are not part of the core, and the extra that brings each."""

from __future__ import annotations

EXTRAS = {
    "torch": "models",
    "torch_geometric": "models",
    "safetensors": "models",
    "sklearn": "models",
    "matgl": "models",
    "alignn": "models",
    "jarvis": "models",
    "pymatgen": "models",
    "moyopy": "models",
    "ase": "models",
    "spglib": "audit",
    "matplotlib": "figures",
}


def missing_extra(error: ImportError) -> str | None:
    """The sentence about a package that is not installed; None where the package is no part of an extra."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in EXTRAS:
        return None
    return f"this needs the package {package}: pip install 'asugnn-bench[{EXTRAS[package]}]'"
