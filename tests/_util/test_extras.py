"""What is imported is declared, and what is missing is named together with the extra that installs it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from asugnn.model_registry import list_models
from leaderboard._util.extras import EXTRAS, missing_extra, missing_sentence, require_model_packages, require_packages

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"asugnn", "baselines", "leaderboard"}
# A file that a host gives to Kaggle, where pandas is; and a frame for those who ask for pandas.
USERS_OWN = {("kaggle_metric.py", "pandas"), ("frame.py", "pandas")}


def distributions(requirements: list[str]) -> set[str]:
    return {normalised(re.split(r"[<>=!\[]", line)[0]) for line in requirements}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CORE = distributions(PROJECT["dependencies"])
OF_EXTRA = {name: distributions(PROJECT["optional-dependencies"][name]) for name in EXTRAS}
PROVIDERS = {name: {normalised(d) for d in names} for name, names in packages_distributions().items()}


def third_party_imports() -> set[tuple[str, str]]:
    """(file, package) of every import in our packages, also of those inside functions."""
    pairs = set()
    for package in OURS:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                pairs |= {(file.name, name.partition(".")[0]) for name in names}
    return {(file, name) for file, name in pairs if name not in OURS | sys.stdlib_module_names | {"__future__"}}


def test_all_that_is_imported_is_declared():
    pytest.importorskip("chgnet", reason="chgnet is not installed: what is imported cannot all be told")
    declared = CORE.union(*OF_EXTRA.values())
    imports = third_party_imports()
    assert {name for _, name in imports} >= {"numpy", "torch", "markupsafe"}
    assert {pair for pair in imports if not PROVIDERS.get(pair[1], set()) & declared} == USERS_OWN


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_known_by_what_it_installs(extra: str):
    if extra == "chgnet":
        pytest.importorskip("chgnet")
    assert all(PROVIDERS[package] & OF_EXTRA[extra] for package in EXTRAS[extra])
    assert all(any(dist in PROVIDERS[package] for package in EXTRAS[extra]) for dist in OF_EXTRA[extra])
    assert not OF_EXTRA[extra] & CORE


def test_all_holds_the_other_extras():
    """But that of CHGNet, which has no package for every Python, and is not needed to rank a model."""
    (line,) = PROJECT["optional-dependencies"]["all"]
    assert (
        line == f"asugnn-bench[{','.join(n for n in PROJECT['optional-dependencies'] if n in EXTRAS if n != 'chgnet')}]"
    )


def test_what_a_model_requires_is_in_the_extra_of_models():
    required = {package for entry in list_models() for package in getattr(entry.model, "requires", ())}
    assert {"torch", "sklearn", "matgl", "alignn"} <= required <= {*EXTRAS["models"], "chgnet"}


def test_the_smallest_extra_with_a_package_is_named_unless_another_is_asked_for():
    assert missing_sentence("matplotlib") == "this needs the package matplotlib: pip install 'asugnn-bench[figures]'"
    assert missing_sentence("pymatgen") == "this needs the package pymatgen: pip install 'asugnn-bench[audit]'"
    assert (
        missing_sentence("pymatgen", "models") == "this needs the package pymatgen: pip install 'asugnn-bench[models]'"
    )
    assert missing_sentence("tensorflow", "models") == "this needs the package tensorflow: pip install tensorflow"


def test_a_package_that_a_model_requires_is_looked_for_before_it_is_imported():
    class Theirs:
        requires = ("numpy", "no_such_package")

    with pytest.raises(ModuleNotFoundError, match=r"^this needs the package no_such_package: ") as raised:
        require_model_packages(Theirs)
    assert missing_extra(raised.value) == str(raised.value)
    require_model_packages(object)
    require_packages(["json", "numpy"], "models")


def test_an_error_of_another_kind_is_no_missing_extra():
    assert missing_extra(ModuleNotFoundError("x", name="torch.nn")) == missing_sentence("torch")
    assert missing_extra(ModuleNotFoundError("x", name="leaderboard.nothing")) is None
    assert missing_extra(ImportError("cannot import name 'x' from 'torch'", name="torch")) is None
