"""The documentation site: it builds without a warning, every link leads somewhere, nothing comes from elsewhere."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from docs_site import OUTSIDE, rewrite_links, set_breaks
from docs_site_fields import list_fields
from write_reference import API

from leaderboard.cli import app

ROOT = Path(__file__).resolve().parent.parent


class Page(HTMLParser):
    """What a page links to, what it loads, its anchors, and its text outside code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.words = ""
        self.code = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        self.code += tag in ("code", "script", "style", "textarea")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" or "src" in values:
            self.loaded.append(values.get("src") or values.get("href", ""))

    def handle_endtag(self, tag: str) -> None:
        self.code -= tag in ("code", "script", "style", "textarea")

    def handle_data(self, data: str) -> None:
        self.words += "" if self.code else data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.glob("*.html"))}


@pytest.mark.parametrize(
    ("width", "scheme", "names"),
    [
        (360, "light", ["submit"]),  # headings of a table, code
        pytest.param(360, "dark", ["index", "asugnn"], marks=pytest.mark.slow),
        pytest.param(1280, "dark", ["index", "asugnn", "commands"], marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_violation_and_no_page_is_wider(site: Path, width: int, scheme: str, names: list[str]):
    """In Debian's Chromium, from the folder itself. Skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no page was opened")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: no page was read")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("there is no Chromium here: the pages were not opened")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        for name in names:
            page.goto((site / f"{name}.html").as_uri())
            page.wait_for_function("!document.querySelector('pre > code') || document.querySelector('.md-code__nav')")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            found = axe.Axe().run(page, options={"preload": False}).response["violations"]
            assert [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found] == [], name
        browser.close()


def test_every_page_of_the_repository_is_a_page_of_the_site(site: Path, pages: dict[Path, Page]):
    names = {file.stem for file in (ROOT / "docs").glob("*.md")} | {Path(name).stem for name in OUTSIDE.values()}
    assert {file.stem for file in pages} == names | {"commands", "api", "404"}
    assert "asugnn-bench" in pages[site / "index.html"].words


def test_every_link_inside_the_site_leads_to_a_page_and_an_anchor(site: Path, pages: dict[Path, Page]):
    lost, count = [], 0
    for file, page in pages.items():
        for link in [*page.links, *page.loaded]:
            if link.startswith(("https://", "data:", "/")) and not (file.stem != "404" and link.startswith("/")):
                continue
            name, _, anchor = link.partition("#")
            target = (file.parent / name).resolve() if name not in ("", ".") else file
            known = target in pages and (not anchor or anchor in pages[target].anchors)
            count += 1
            if not (known or (target.exists() and not anchor)):
                lost.append(f"{file.name}: {link}")
    assert lost == []
    assert count > 1000


def test_no_page_loads_anything_from_elsewhere(site: Path, pages: dict[Path, Page]):
    assert {name for page in pages.values() for name in page.loaded if "//" in name} == set()
    styles = [file.read_text(encoding="utf-8") for file in site.rglob("*.css")]
    assert len(styles) > 1
    assert [name for text in styles for name in re.findall(r"url\(['\"]?(?:https?:)?//[^)]*", text)] == []


def test_no_markdown_is_left_in_the_words_of_a_page(pages: dict[Path, Page]):
    """Lists without a blank line before them, links and bold words that were not understood."""
    left = {
        file.name: re.findall(r"\]\(|\*\*\w|\n- |^\|.*\|$", page.words, re.MULTILINE) for file, page in pages.items()
    }
    assert {name: signs for name, signs in left.items() if signs} == {}


def test_the_reference_has_every_command_with_every_option(site: Path, pages: dict[Path, Page]):
    text = (site / "commands.html").read_text(encoding="utf-8")

    def check(command, words: str) -> int:
        inner = getattr(command, "commands", {})
        assert f"<code>{words}</code>" in text or words == "bench"
        for option in command.params:
            if option.param_type_name == "option":
                assert re.search(rf"<code>{option.opts[0]}( \w+)?</code>", text), (words, option.opts)
        return 1 + sum(check(below, f"{words} {name}") for name, below in inner.items())

    assert check(typer.main.get_command(app), "bench") > 15
    assert {"bench-run", "bench-data-import"} <= pages[site / "commands.html"].anchors


def test_the_reference_has_every_public_name(site: Path, pages: dict[Path, Page]):
    names = {name for group in API.values() for name in group}
    assert names <= pages[site / "api.html"].anchors
    assert {"leaderboard.api.bench_task.BenchTask.split", "asugnn.Model.fit"} <= pages[site / "api.html"].anchors


def test_links_are_those_of_the_site():
    pages = {"docs/data.md": "data.md", "README.md": "index.md", "docs/site.png": "site.png"}
    text = (
        "[all](docs/data.md#a) [this](#here) [out](https://a.org/x) [![p](docs/site.png)](docs/data.md)\n"
        "[model.py](asugnn/model.py) and [the rooms](asugnn)\n```\n[code](docs/data.md)\n```\n"
    )
    plain = rewrite_links(text, "README.md", "index.md", pages, "")
    assert plain == (
        "[all](data.md#a) [this](#here) [out](https://a.org/x) [![p](site.png)](data.md)\n"
        "`asugnn/model.py` and the rooms (`asugnn`)\n```\n[code](docs/data.md)\n```\n"
    )
    public = rewrite_links(text, "README.md", "index.md", pages, "https://host.org/we/bench")
    assert "[model.py](https://host.org/we/bench/blob/main/asugnn/model.py)" in public
    assert "[the rooms](https://host.org/we/bench/tree/main/asugnn)" in public
    assert rewrite_links("[gone](gone.md)", "README.md", "index.md", pages, "") == "[gone](gone.md)"
    assert rewrite_links("[up](../README.md)", "docs/data.md", "data.md", pages, "") == "[up](index.md)"


def test_fields_of_a_docstring_become_a_list():
    text = "Settings.\n\nseed, fold\n    Of the draw,\n    from 0.\nname\n    Its name.\n\nMore words.\n"
    assert list_fields(text) == (
        "Settings.\n\n`seed`, `fold`\n:   Of the draw,\n    from 0.\n\n`name`\n:   Its name.\n\n\nMore words."
    )


def test_names_break_between_their_words_and_intervals_do_not():
    heading = '<span class="doc doc-object-name doc-class-name">leaderboard.api.bench_task.Score</span>'
    assert set_breaks(heading).count("<wbr>") == 4
    assert "bench_<wbr>task.<wbr>Score" in set_breaks(heading)
    cell = "<td>m3gnet</td><td>-0.5 ± 0.02 ★ (-0.61 to -0.4), 95 %</td>"
    assert set_breaks(cell) == (
        '<td>m3gnet</td><td><span class="together">-0.5 ± 0.02 ★</span> '
        '<span class="together">(-0.61 to -0.4)</span>, 95\u00a0%</td>'
    )
    code = "<td><code>checkpoint.previous.pt</code>, <code>--data-dir PATH</code></td>"
    assert set_breaks(code) == code.replace(".", ".<wbr>")
    assert set_breaks("<p><code>a.b</code> (0.1–0.2)</p>") == "<p><code>a.b</code> (0.1–0.2)</p>"
