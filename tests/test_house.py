"""The borders of the house: who may import whom, and what must start fast."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"asugnn", "baselines", "leaderboard"}
LIGHT = {
    "asugnn.download",
    "asugnn.embedding",
    "asugnn.neighbours",
    "asugnn.symmetry",
    "asugnn.published_weights",
    "asugnn",
    "asugnn.atomic_write",
    "asugnn.model_registry",
    "asugnn.cache",
    "asugnn.crystal",
    "asugnn.errors",
    "asugnn.structure_files",
    "asugnn.model",
}
HEAVY = {"torch", "matgl", "alignn", "sklearn", "scipy", "pandas", "pymatgen", "spglib", "ase", "torch_geometric"}


def imported(package: str) -> set[tuple[str, str]]:
    """(file, module of ours) for every import in a package, also those inside functions."""
    found = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = {f"{node.module}.{a.name}" for a in node.names}
                names = [m for m in modules if is_module(m)] or [node.module]
            found |= {(file.name, n) for n in names if n.split(".")[0] in OURS}
    return found


def is_module(name: str) -> bool:
    return (ROOT / Path(*name.split("."))).with_suffix(".py").exists()


def test_the_library_stands_alone():
    assert {m for _, m in imported("asugnn") if not m.startswith("asugnn")} == set()


def test_baselines_import_the_library_only():
    assert {m for _, m in imported("baselines") if not m.startswith(("asugnn", "baselines"))} == set()


def test_the_leaderboard_imports_only_the_light_part_of_the_library():
    assert {m for _, m in imported("leaderboard") if not m.startswith("leaderboard")} <= LIGHT


@pytest.mark.parametrize(
    "call",
    [
        "bench('score', FILE, '--task', 'open-dft/bulk-modulus')",
        "bench('score', FILE, '--task', 'open-dft/metal')",
        "bench('leaderboard')",
        "bench('paper', 'table-1', '--data', 'open-dft')",
        "bench('paper', 'figure-4', '--data', 'open-dft')",
        "bench('models')",
        "bench('data', 'list')",
        "bench('--help')",
    ],
)
def test_what_only_reads_imports_nothing_heavy(call: str, tmp_path: Path):
    program = f"""
import json, sys
from leaderboard.cli import app
FILE = {str(tmp_path / "none.csv")!r}
def bench(*words):
    try:
        app(words, standalone_mode=False)
    except Exception:
        pass
{call}
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert not loaded & HEAVY
    if call in ("bench('models')", "bench('data', 'list')", "bench('--help')"):
        assert "polars" not in loaded
