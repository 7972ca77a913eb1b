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
from leaderboard._util import show_progress
from leaderboard.board import Row
from leaderboard.data import Source
from leaderboard.records import Run, StoredRun
from leaderboard.site.formatting import five_digits, html_count, html_number, html_rank, html_seconds
from leaderboard.site.index_page import index_values
from leaderboard.site.run_page import run_values
from leaderboard.site.task_page import task_values
from leaderboard.site.view_model import SiteBoard, SiteData, crystals_of, load_site_data, page_of_run, page_of_task

HERE = Path(__file__).resolve().parent
GENERATOR = b'<meta name="generator" content="asugnn-bench '  # how a site is known, which may be replaced
FILES = ("predictions.csv", "run.json", "history.csv")  # of a run, what is copied


def build_site(root: Path, out: Path) -> tuple[int, tuple[str, ...]]:
    """Make the site of all stored runs in the folder `out`; how many pages it has, and what could not be used.

    An older site in `out` is replaced. Raises `InputError` where there is anything else, or no run at all.
    """
    if out.exists() and not _replaceable(out):
        raise InputError(f"'{out}' holds something that is no site: empty it, or name another folder with --out")
    stored = load_site_data(root)
    of_tasks = [(board, of) for board in stored.boards for of in board.tasks]
    of_runs: dict[str, tuple[SiteBoard, Row, StoredRun]] = {}  # one with published weights may stand on several boards
    for board in stored.boards:
        for row in board.rows:
            for record in stored.runs(row):
                of_runs.setdefault(page_of_run(record.run), (board, row, record))
    count = 1 + len(of_tasks) + len(of_runs)
    with atomic_folder(out) as folder, show_progress("pages", count) as bar:
        site = _Site(stored, folder)
        for name in ("site.css", "site.js"):
            shutil.copyfile(HERE / name, folder / name)
        sources = list({board.source.name: board.source for board in stored.boards}.values())
        site.write("index.html", "index.html", sources, index_values(stored))
        bar.advance()
        for board, of in of_tasks:
            page = page_of_task(of, board.preset)
            site.write(page, "task.html", [board.source], task_values(stored, board, of))
            bar.advance(note=of.name)
        for page, (board, row, record) in of_runs.items():
            files = site.copy(page, record)
            site.write(page, "run.html", [board.source], {**run_values(stored, board, row, record), "files": files})
            site.crystals(record.run)
            bar.advance()
    return count, stored.notes


@dataclass(frozen=True)
class _Site:
    """What is shown, and the folder that it is written into."""

    stored: SiteData
    folder: Path

    @cached_property
    def templates(self) -> jinja2.Environment:
        """Templates in which every value is escaped."""
        made = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.globals |= {
            "version": __version__,
            "number": html_number,
            "rank": html_rank,
            "seconds": html_seconds,
            "thousands": html_count,
        }
        return made

    def write(self, page: str, template: str, sources: Sequence[Source], values: dict[str, Any]) -> None:
        """Fill a template; `sources` are the data sets that the page owes to."""
        text = self.templates.get_template(template).render(up="../" * page.count("/"), sources=sources, **values)
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))

    def copy(self, page: str, record: StoredRun) -> list[str]:
        """Copy the files of a run beside its page; returns their names."""
        home = (self.folder / page).parent
        home.mkdir(parents=True, exist_ok=True)
        withheld = {"predictions.csv"} if self.stored.withheld(record.run) else set()
        names = [name for name in FILES if name not in withheld and (record.folder / name).is_file()]
        for name in names:
            shutil.copyfile(record.folder / name, home / name)
        return names

    def crystals(self, of: Run) -> None:
        """Write ids, formulas and labels of a test set, once: a script, because a page may not read other files."""
        path = self.folder / crystals_of(of.task, of.fold)
        if path.exists() or self.stored.withheld(of):
            return
        held = self.stored.answers(of)
        labels = [five_digits(y) for y in held.y.tolist()]
        about = {"ids": held.ids, "formulas": self.stored.formulas(of.task, held.ids), "labels": labels}
        text = json.dumps(about, separators=(",", ":")).replace("<", "\\u003c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'(window.crystals ??= {{}})["{of.fold}"] = {text};\n', encoding="utf-8")


def _replaceable(out: Path) -> bool:
    """Whether a folder is empty or a site."""
    if not out.is_dir():
        return False
    first = out / "index.html"
    return not any(out.iterdir()) or (first.is_file() and GENERATOR in first.read_bytes()[:2000])
