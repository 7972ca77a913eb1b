"""The pages of reference that are written by hand agree with the code: environment variables and file formats."""

import ast
import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderboard.records import run_record
from leaderboard.shipped.model_card import Card

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = (ROOT / "docs/environment.md").read_text(encoding="utf-8")
FORMATS = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
SET_FOR_OTHERS = {"HOME"}  # of a process that is started: users set it anyway


def section(page: str, heading: str) -> str:
    """The text of a page below a heading, up to the next one."""
    assert f"\n{heading}\n" in page
    return re.split(r"\n#+ ", page.partition(f"\n{heading}\n")[2])[0]


def first_cells(text: str) -> list[str]:
    """The names in code font in the first cell of each row of a table."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def environment_names(tree: ast.AST) -> Iterator[str]:
    """Names of environment variables that a module reads or sets, wherever they are written as a text."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Call):
            asked += [keyword.value for keyword in node.keywords if keyword.arg == "envvar"]
            called = ast.unparse(node.func)
            if re.fullmatch(r"(os\.)?(environ\.(get|pop|setdefault)|getenv)", called):
                asked += node.args[:1]
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("os.environ", "environ"):
            asked.append(node.slice)
        if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) in ("os.environ", "environ"):
            asked.append(node.left)
        for name in asked:
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value
            elif isinstance(name, ast.Name) and name.id in constants:
                yield str(constants[name.id])


def code_names(*folders: str) -> set[str]:
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return {name for file in files for name in environment_names(ast.parse(file.read_text(encoding="utf-8")))}


def test_the_table_of_environment_variables_is_complete_and_lists_none_that_is_gone():
    listed = set(first_cells(ENVIRONMENT.partition("## For work on the code")[0]))
    assert listed == code_names("asugnn", "baselines", "leaderboard") - SET_FOR_OTHERS


def test_variables_for_work_on_the_code_are_used_there():
    listed = set(first_cells(section(ENVIRONMENT, "## For work on the code")))
    text = "".join(file.read_text(encoding="utf-8") for file in [ROOT / "install", *(ROOT / "docs").glob("*.py")])
    text += "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    assert {name for name in listed if name not in text} == set()
    programs = {name for name in code_names("docs") if not name.startswith("GITHUB")}
    assert programs <= listed


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ['A_B']",
        "import os\nos.environ.get('A_B', '')",
        "import os\nname = 'A_B'\nos.environ.pop(name, None)",
        "import os\n'A_B' in os.environ",
        "import os\nos.getenv('A_B')",
        "option('--x', envvar='A_B')",
    ],
)
def test_a_variable_is_seen_however_it_is_read(code: str):
    assert list(environment_names(ast.parse(code))) == ["A_B"]


# docs/formats.md


def test_the_fields_of_run_json_are_those_of_the_record():
    rows = section(FORMATS, "### `run.json`")
    fields = [field.name for field in dataclasses.fields(run_record.RunRecord) if field.name != "raw"]
    assert sorted(first_cells(rows)) == sorted(fields)
    assert f"in format {run_record.FORMAT}." in rows
    nested = {
        "split": run_record.SplitReference,
        "data": run_record.DataReference,
        "counts": run_record.SideCounts,
        "seconds": run_record.Seconds,
        "device": run_record.Device,
        "weights": run_record.WeightsReference,
        "code": run_record.CodeReference,
        "log": run_record.LogReference,
        "published": run_record.PublishedReference,
    }
    for name, kind in nested.items():
        (row,) = (line for line in rows.splitlines() if line.startswith(f"| `{name}` "))
        assert {field.name for field in dataclasses.fields(kind)} <= set(re.findall(r"\w+", row.partition("object")[2]))


def test_the_fields_of_a_card_are_those_of_the_code():
    listed = first_cells(section(FORMATS, "## `card.json`"))
    assert sorted(listed) == sorted(field.name for field in dataclasses.fields(Card))


def test_the_columns_of_a_history_are_those_of_a_stored_run():
    (file, *_) = (ROOT / "leaderboard/runs").rglob("history.csv")
    assert first_cells(section(FORMATS, "### `history.csv`")) == file.read_text().splitlines()[0].split(",")


def test_the_entries_of_a_split_are_those_of_every_published_one():
    listed = set(first_cells(section(FORMATS, "## A split")))
    for file in sorted((ROOT / "splits").rglob("*.toml")):
        described = tomllib.loads(file.read_text(encoding="utf-8"))
        assert described.keys() - {"counts", "folds"} <= listed, file
        assert {side for fold in described["folds"].values() for side in fold} == {"train", "validate", "test"}
        assert file.with_suffix(".csv").read_text(encoding="utf-8").startswith("id,part\n")
