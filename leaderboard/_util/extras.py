"""Packages that the core does not need, and the extra of this project that installs each."""

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
    """What to install for an import that failed; None where the package belongs to no extra."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in EXTRAS:
        return None
    return f"this needs the package {package}: pip install 'asugnn-bench[{EXTRAS[package]}]'"
