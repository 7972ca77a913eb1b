"""The pages that are written or drawn by programs are up to date, and what the others name exists."""

import ast
import csv
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import draw_architecture
import draw_merging
import head_to_head
import numpy as np
import pytest
import typer
import write_ablation
import write_baselines
import write_boards
import write_reliability
import write_results
import write_speed
from read_imports import list_modules, list_rooms
from test_house import MAY_IMPORT

from leaderboard.cli import app
from leaderboard.data import PACKAGE, parse_task
from leaderboard.reports.paper import draw_figure

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")


def test_baselines_is_the_page_of_the_stored_runs(data: Path):
    assert write_baselines.page() == (DOCS / "baselines.md").read_text(encoding="utf-8")


def test_results_is_the_page_of_the_stored_runs(data: Path):
    assert write_results.page() == (DOCS / "results.md").read_text(encoding="utf-8")


def test_the_ablation_is_that_of_the_stored_runs(data: Path):
    assert write_ablation.page() == (DOCS / "asugnn.md").read_text(encoding="utf-8")


def test_the_results_of_the_readme_are_those_of_the_stored_runs(data: Path):
    assert write_results.readme() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_trials_is_the_page_of_the_log():
    assert write_results.trials_page() == (DOCS / "trials.md").read_text(encoding="utf-8")


def test_predict_has_the_cards_of_the_models_that_come_with_the_package():
    assert write_results.predict_page() == (DOCS / "predict.md").read_text(encoding="utf-8")


def test_the_page_of_the_asymmetric_unit_has_the_stored_gains():
    assert draw_merging.page() == (DOCS / "asymmetric-unit.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", write_speed.PAGES)
def test_speed_is_that_of_the_stored_runs(name: str):
    text = (DOCS / name).read_text(encoding="utf-8")
    assert "| training step of" in text or "| ASUGNN: training step" in text
    assert write_speed.page(name) == text


def test_models_beside_published_ones_are_scored_by_their_own_labels_where_both_agree():
    """By hand: of five crystals three are shared, of which two have labels that agree within 0.01 eV/atom."""
    task = parse_task("mp-2018/formation-energy")
    ours = head_to_head.Side(
        task,
        "abcd",
        np.array([1.0, 2.0, 3.0, 9.0]),
        "WXYZ",
        {"here": np.array([1.0, 2.1, 0.0, 0.0])},
        frozenset(),
        23,
        {"here": "8 epochs, 96 min"},
    )
    theirs = head_to_head.Side(
        task, "cbae", np.array([4.0, 2.008, 0.998, 0.0]), ["?"] * 4, {"there": np.zeros(4)}, frozenset(), 60, {}
    )
    text = "\n".join(head_to_head.compare(ours, theirs))
    assert "2 of the 3 shared test crystals, in 2 formulas" in text
    assert "| here | 23 | 8 epochs, 96 min | 0.050 (-) |" in text  # (0 + 0.1) / 2
    exact = replace(ours, predictions={"there": ours.labels})
    *_, first, second = head_to_head.compare(exact, theirs)
    assert first.endswith("| there | 23 | - | 0.000 (-) |"), "the best is first, and keeps its row beside a namesake"
    assert "there, published" in second
    assert "| there, published | 60 | - | 1.503 (-) |" in text  # (2.008 + 0.998) / 2


def test_boards_has_the_tables_that_head_to_head_writes():
    page = (DOCS / "boards.md").read_text(encoding="utf-8")
    assert head_to_head.HEAD in page
    with (ROOT / "splits" / "mp-2018" / "jarvis.csv").open(encoding="utf-8") as file:
        sides = Counter(row["part"] for row in csv.DictReader(file))
    for side, words in (("train", "of 60,000 training crystals"), ("validate", "for validation"), ("test", "for test")):
        assert f"{sides[side]:,} {words}" in page
    for target, rule in product(head_to_head.TARGETS, head_to_head.RULES):
        assert f"{head_to_head.heading(target, rule)}\n\n{head_to_head.RULES[rule][1].format(target=target)}\n" in page


@pytest.mark.slow
def test_boards_is_the_page_of_the_stored_predictions(data: Path):
    if not (named := os.environ.get("BENCH_BOARDS")):
        pytest.skip("BENCH_BOARDS names no folder of real boards: docs/boards.md was not compared")
    page = write_boards.page(Path(named))
    assert page == (DOCS / "boards.md").read_text(encoding="utf-8"), "nox -s boards writes it again"


def test_the_figure_of_the_readme_is_that_of_the_stored_runs(tmp_path: Path):
    """`nox -s figures` draws it; the same bytes with the packages of constraints.txt."""
    draw_figure("figure-4", "open-dft", "", (), PACKAGE / "runs", tmp_path, ["svg"])
    assert (tmp_path / "figure-4.svg").read_bytes() == (DOCS / "figure-4.svg").read_bytes()


def test_the_figures_of_reliability_are_those_of_the_stored_run():
    assert write_reliability.write_table() == (DOCS / "reliability.md").read_text(encoding="utf-8")


# docs/architecture.md


def test_the_map_is_that_of_the_imports():
    drawn = (DOCS / "architecture.svg").read_text(encoding="utf-8")
    assert draw_architecture.draw() == drawn, "rooms import others than before: nox -s docs draws the map again"


def test_the_map_shows_every_room_and_is_a_picture_for_a_phone():
    modules = list_modules(ROOT)
    named = re.findall(r"/><text [^>]*>([\w/]+)</text>", draw_architecture.draw())
    inside = {draw_architecture.short_name(room) for room in list_rooms(modules)} - {"leaderboard"}
    assert sorted(named) == sorted(inside)
    assert draw_architecture.WIDTH <= 390


@pytest.mark.parametrize(
    ("arrows", "reduced"),
    [
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, {"a": {"b"}, "b": {"c"}, "c": set()}),
        ({"a": {"b", "c"}, "b": set(), "c": set()}, {"a": {"b", "c"}, "b": set(), "c": set()}),
        ({"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}, {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}),
    ],
)
def test_arrows_that_follow_from_others_are_not_drawn(arrows, reduced):
    assert draw_architecture.reduce_arrows(arrows) == reduced


def test_places_of_a_floor_do_not_overlap():
    arrows = draw_architecture.read_house()
    floors = draw_architecture.count_floors(arrows)
    traces = draw_architecture.trace_arrows(draw_architecture.reduce_arrows(arrows), floors)
    middle = draw_architecture.arrange_floors(floors, traces)
    right: dict[int, float] = {}
    for (floor, room, passing), x in sorted(middle.items(), key=lambda item: item[1]):
        half = (draw_architecture.CORRIDOR if passing else draw_architecture.box_width(room)) / 2
        assert x - half >= right.get(floor, draw_architecture.LEFT) + 4, (floor, room)
        right[floor] = x + half
    assert max(right.values()) <= draw_architecture.WIDTH - 4


def test_the_table_of_rooms_is_that_of_the_house():
    lines = ARCHITECTURE.partition("## The map")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    table = {room.strip("`"): others for room, _, others in cells}
    for room, allowed in MAY_IMPORT.items():
        if room == "cli":
            beside = {"cli", "api", "asugnn", "baselines", "leaderboard", "_util"}
            assert set(allowed.split()) == MAY_IMPORT.keys() - beside
            assert table[room] == "every other room of `leaderboard` but `api`"
        elif room != "leaderboard":
            assert table[room].replace("`", "").split() == allowed.split(), room
    assert table.keys() == MAY_IMPORT.keys() - {"leaderboard"}


def linked_files(page: Path, text: str) -> list[Path]:
    """The files and folders of the repository to which a piece of a page links."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    return [(page.parent / target).resolve() for target in targets if "://" not in target]


def defined_names(file: Path) -> Iterator[str]:
    """What a Python file defines: functions, classes, `Class.method`, and names that are assigned."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def missing_names(page: Path, text: str) -> list[str]:
    """Names in code font that none of the files defines to which their paragraph, or row of a table, links."""
    missing = []
    for part in re.split(r"\n\n|\n(?=[|-])", text):
        files = [file for file in linked_files(page, part) if file.is_file()]
        defined = {name for file in files if file.suffix == ".py" for name in defined_names(file)}
        contents = "".join(file.read_text(encoding="utf-8") for file in files)
        for name in re.findall(r"`([A-Za-z_][\w.]*)`", part):
            written = "." in name and name.islower() and name in contents  # a file that is written, a group
            if not (name in defined or name in MAY_IMPORT or written):
                missing.append(f"{name}: {part.strip()[:60]}")
    return missing


WORDS = {"fit", "__init__.py", "__all__"}  # of any model; of any package


def test_every_name_in_architecture_exists():
    missing = missing_names(DOCS / "architecture.md", ARCHITECTURE)
    assert [fault for fault in missing if fault.partition(":")[0] not in WORDS] == []


@pytest.mark.parametrize("text", ["`gone` is in [it](../asugnn/crystal.py)", "`Crystal` is nowhere", "`Crystal.fly`"])
def test_a_name_that_is_gone_is_seen(text: str):
    assert len(missing_names(DOCS / "page.md", text)) == 1


PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.glob("*.md")),
    *(ROOT / name / "README.md" for name in ("splits", "submissions")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(page: Path):
    assert [str(file) for file in linked_files(page, page.read_text(encoding="utf-8")) if not file.exists()] == []


# The words of docs, help and notes. What was changed for a reader's sake shall not come back: exact phrases only.

OLD_PHRASES = (
    "outside its domain left out",
    "outside their domain left out",
    "may contain the test set, and holds no rank",
    "bold: no model is significantly better",
    "interval over test groups",
    "tested crystals are, as structures, also in training",
    "tested structures also train",
    "structures that test and also train",
    "test structures which also train",
    "tests a structure which also trains",
    "doubt a data set",
    "doubt a table",
    "goes on where it was",
    "cut off goes on",
    "the same command goes on",
    "see what published weights give",
    "What is done already is kept",
    "Of matrix products in training",
    "Data set of what is measured",
    "if not the usual",
    "What falls",
    "its line is no document",
    "on the word of others",
    "are no draw",
    "are held against",
    "is held against",
    "How far training came",
    "One function over many things",
    "must be brought",
)


def help_texts() -> dict[str, str]:
    """The help of `bench`, of each command, and of its options, by the words that call the command."""
    texts = {}

    def collect(command, words: list[str]) -> None:
        texts[" ".join(words)] = "\n".join(
            [command.help or "", *(getattr(o, "help", "") or "" for o in command.params)]
        )
        for name, inner in getattr(command, "commands", {}).items():
            collect(inner, [*words, name])

    collect(typer.main.get_command(app), ["bench"])
    return texts


HELP = help_texts()


def old_phrases(text: str) -> list[str]:
    """Old phrases in a text, however it is wrapped; those with a capital letter only where a sentence begins so."""
    words = " ".join(text.split())
    return [phrase for phrase in OLD_PHRASES if phrase in words or (phrase.islower() and phrase in words.lower())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_old_phrase_is_in_a_page(page: Path):
    assert old_phrases(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("command", HELP)
def test_no_old_phrase_is_in_a_help_text(command: str):
    assert len(HELP[command]) > 30
    assert old_phrases(HELP[command]) == []


@pytest.mark.parametrize("room", list_rooms(list_modules(ROOT)))
def test_no_old_phrase_is_in_a_docstring_or_message(room: str):
    """Sources, and the templates of the site."""
    folder = ROOT.joinpath(*room.split("."))
    files = [file for suffix in ("py", "html", "js") for file in sorted(folder.glob(f"*.{suffix}"))]
    found = {file.name: old_phrases(file.read_text(encoding="utf-8")) for file in files}
    assert {name: phrases for name, phrases in found.items() if phrases} == {}


def test_an_old_phrase_is_seen_across_lines():
    assert old_phrases("To Doubt\n a data set or a split: what falls") == ["doubt a data set"]
