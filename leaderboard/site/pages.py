"""The pages of the site, from templates: the board, a page a task and preset, a page a run. Whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2

from asugnn import __version__
from asugnn.atomic_write import atomic_folder
from asugnn.errors import InputError
from leaderboard._util import printable, show_progress
from leaderboard.board import Row
from leaderboard.data import Source
from leaderboard.records import Run, StoredRun
from leaderboard.site.formatting import five_digits, html_count, html_name, html_number, html_rank, html_seconds
from leaderboard.site.index_page import index_values
from leaderboard.site.models_page import PAGE as MODELS_PAGE
from leaderboard.site.models_page import models_values
from leaderboard.site.run_page import run_values
from leaderboard.site.task_page import task_values
from leaderboard.site.view_model import SiteBoard, SiteData, crystals_of, load_site_data, page_of_run, page_of_task

HERE = Path(__file__).resolve().parent
GENERATOR = b'<meta name="generator" content="asugnn-bench '  # marks a site, which may be replaced
FILES = ("predictions.csv", "run.json", "history.csv")  # of a run, copied beside its page


def build_site(root: Path | None, out: Path) -> tuple[int, tuple[str, ...]]:
    """Build the site of all stored runs in the folder `out`.

    Returns the number of pages, and sentences on runs that could not be used. An older site in `out` is replaced.
    Raises `InputError` if `out` holds anything else, or if there is no run.
    """
    if out.is_file():
        raise InputError(f"'{out}' is a file: name a folder with --out")
    if out.exists() and not _replaceable(out):
        raise InputError(f"'{out}' holds files that are not a site: empty it, or choose another folder with --out")
    stored = load_site_data(root)
    task_pages = [(board, task) for board in stored.boards for task in board.tasks]
    run_pages: dict[str, tuple[SiteBoard, Row, StoredRun]] = {}  # a pretrained run may be on several boards
    for board in stored.boards:
        for row in board.rows:
            for record in stored.runs(row):
                run_pages.setdefault(page_of_run(record.run), (board, row, record))
    count = 2 + len(task_pages) + len(run_pages)
    with atomic_folder(out) as folder, show_progress("pages", count) as bar:
        site = _Site(stored, folder)
        for name in ("site.css", "site.js", "tables.js"):
            shutil.copyfile(HERE / name, folder / name)
        sources = list({board.source.name: board.source for board in stored.boards}.values())
        site.write_page("index.html", "index.html", sources, index_values(stored))
        site.write_page(MODELS_PAGE, "models.html", sources, models_values(stored))
        bar.advance(2)
        for board, task in task_pages:
            page = page_of_task(task, board.preset)
            site.write_page(page, "task.html", [board.source], task_values(stored, board, task))
            bar.advance(note=task.name)
        for page, (board, row, record) in run_pages.items():
            values = {**run_values(stored, board, row, record), "files": site.copy_run_files(page, record)}
            site.write_page(page, "run.html", [board.source], values)
            site.write_crystals(record.run)
            bar.advance()
    return count, stored.notes


@dataclass(frozen=True)
class _Site:
    """The folder of a site that is being built from stored runs."""

    stored: SiteData
    folder: Path

    @cached_property
    def templates(self) -> jinja2.Environment:
        """Templates that escape every value."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals |= {
            "version": __version__,
            "number": html_number,
            "rank": html_rank,
            "seconds": html_seconds,
            "thousands": html_count,
            "models_page": MODELS_PAGE,
            "model_name": html_name,
        }
        return environment

    def write_page(self, page: str, template: str, sources: Sequence[Source], values: dict[str, Any]) -> None:
        """Write a page from a template; `sources` are the data sets to cite on it."""
        text = self.templates.get_template(template).render(up="../" * page.count("/"), sources=sources, **values)
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(printable(text).encode("utf-8"))

    def copy_run_files(self, page: str, record: StoredRun) -> list[str]:
        """Copy the files of a run beside its page, and return their names."""
        home = (self.folder / page).parent
        home.mkdir(parents=True, exist_ok=True)
        withheld = {"predictions.csv"} if self.stored.is_withheld(record.run) else set()
        names = [name for name in FILES if name not in withheld and (record.folder / name).is_file()]
        for name in names:
            shutil.copyfile(record.folder / name, home / name)
        return names

    def write_crystals(self, run: Run) -> None:
        """Write ids, formulas and labels of a test set once, as a script: a page may not read other files."""
        path = self.folder / crystals_of(run.task, run.fold)
        if path.exists() or self.stored.is_withheld(run):
            return
        truth = self.stored.ground_truth(run)
        labels = [five_digits(y) for y in truth.y.tolist()]
        crystals = {
            "ids": [printable(name) for name in truth.ids],
            "formulas": self.stored.formulas(run.task, truth.ids),
            "labels": labels,
        }
        text = json.dumps(crystals, separators=(",", ":")).replace("<", "\\u003c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'(window.crystals ??= {{}})["{run.fold}"] = {text};\n', encoding="utf-8")


def _replaceable(out: Path) -> bool:
    """Whether a folder is empty or a site."""
    if not out.is_dir():
        return False
    first = out / "index.html"
    return not any(out.iterdir()) or (first.is_file() and GENERATOR in first.read_bytes()[:2000])
