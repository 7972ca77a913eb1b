"""Hooks of mkdocs for the documentation site (`mkdocs.yml`, `nox -s docs-site`).

The pages are the files that people read on GitHub. README and others from outside `docs` become pages of the site, the
reference of commands and of the Python API is generated, and links are rewritten to where their target is: a page, a
file beside it or, for code, the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from write_reference import write_api, write_commands

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {  # files outside `docs` that are pages, and the names of these
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "splits/README.md": "splits.md",
    "leaderboard/_data/open-dft/README.md": "open-dft.md",
}
GENERATED = {"commands.md": write_commands, "api.md": write_api}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"\]\(([^()\s]+)\)")
LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\(([^()\s]+)\)")
OBJECT_NAME = re.compile(r'(<span class="doc doc-object-name[^"]*">)([^<]*)')
TABLE_CELL = re.compile(r"(<td[^>]*>)(.*?)(?=</td>)", re.DOTALL)
FIRST_CODE = re.compile(r"((?:^|, )<code>)([^<]*)")
INTERVAL = r"\([−-]?\d[\d.]*(?:–| to )[−-]?\d[\d.]*\)"
NUMBERS = re.compile(INTERVAL + r"|(?<![\w.])[−-]?\d[\d.]*(?: ± \d[\d.]*(?: ★)?| [★*])")
PERCENT = re.compile(r"(?<=\d) %")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of `docs`."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    for name, write in GENERATED.items():
        files.append(File.generated(config, name, content=write()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page, as they are on GitHub, to links of the site."""
    own = page.file.src_uri
    path = next((path for path, name in OUTSIDE.items() if name == own), f"docs/{own}")
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files if file.inclusion.is_included()} | OUTSIDE
    return rewrite_links(markdown, path, own, pages, config.repo_url or "")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Say where lines may break, for narrow screens."""
    return set_breaks(html)


def set_breaks(html: str) -> str:
    """Let names break after their dots and underscores, and keep numbers together with interval, mark and unit.

    Changed are the names in headings of the reference, names and numbers in cells of tables, and percentages.
    """
    html = OBJECT_NAME.sub(lambda match: match[1] + re.sub(r"[._]", r"\g<0><wbr>", match[2]), html)

    def rewrite_cell(cell: re.Match[str]) -> str:
        start, content = cell.groups()
        content = FIRST_CODE.sub(lambda code: code[1] + re.sub(r"[._/]", r"\g<0><wbr>", code[2]), content)
        return start + NUMBERS.sub(r'<span class="together">\g<0></span>', content)

    return PERCENT.sub("\u00a0%", TABLE_CELL.sub(rewrite_cell, html))


def rewrite_links(text: str, path: str, own: str, pages: dict[str, str], repository: str) -> str:
    """Rewrite the links in the text of a page.

    `path` is the file of the page in the repository, `own` its name on the site; `pages` maps files of the repository
    to their names on the site. Other files of the repository become links into `repository` or, if that is empty, text.
    """

    def find(target: str) -> tuple[str, str]:
        """The file in the repository, from its root, and the anchor of a link."""
        file, sign, anchor = target.partition("#")
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), file)), sign + anchor

    def link_page(match: re.Match[str]) -> str:
        file, anchor = find(match[1])
        if is_elsewhere(match[1]) or file not in pages:
            return match[0]
        return f"]({posixpath.relpath(pages[file], posixpath.dirname(own) or '.')}{anchor})"

    def link_code(match: re.Match[str]) -> str:
        words, target = match.groups()
        file, anchor = find(target)
        if is_elsewhere(target) or file in pages or not (ROOT / file).exists():  # mkdocs tells of a link to nothing
            return match[0]
        if repository:
            kind = "blob" if posixpath.splitext(file)[1] else "tree"
            return f"[{words}]({repository.rstrip('/')}/{kind}/main/{file}{anchor})"
        return f"`{file}`" if words.strip("`") == posixpath.basename(file) else f"{words} (`{file}`)"

    def rewrite(part: str) -> str:
        return TARGET.sub(link_page, LINK.sub(link_code, part))

    out, end = [], 0
    for fence in FENCE.finditer(text):
        out += [rewrite(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*out, rewrite(text[end:])])


def is_elsewhere(target: str) -> bool:
    """Whether a link leads out of the repository, or stays on its page."""
    return target.startswith("#") or ":" in target.partition("/")[0]
