"""Tables of rich, drawn for a terminal or as Markdown, whose cells may hold words of strangers."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from leaderboard.reports.wording import plain_words

_READ, _HIDDEN = "[\\", "\uf000\uf001"  # what rich reads as markup, and characters that no `one_line` has


def words_cell(text: str, form: str = "table") -> str:
    """A cell of words, perhaps a stranger's, in which rich finds no markup; drawing puts back what is hidden here."""
    return plain_words(text, form).translate(str.maketrans(_READ, _HIDDEN))


def _show_brackets(drawn: str) -> str:
    """Put back what `words_cell` has hidden."""
    return drawn.translate(str.maketrans(_HIDDEN, _READ))


def new_table() -> Table:
    """An empty table in the style of the bench."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def draw_terminal(table: Table, width: int = 100) -> str:
    """Draw a table as wide as the terminal, or `width` columns without colours where output is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else width)
    if Measurement.get(console, console.options.update(max_width=1000), table).maximum > console.width:
        table.padding = (0, 0)  # closer columns before folded cells
    with console.capture() as captured:
        console.print(table)
    return _show_brackets("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))


def draw_markdown(table: Table) -> str:
    """A Markdown table with the same cells."""

    def plain(text: object) -> str:
        return _show_brackets(" ".join(Text.from_markup(str(text)).plain.split()))

    lines = [[plain(c.header) for c in table.columns]]
    lines.append(["---:" if c.justify == "right" else "---" for c in table.columns])
    lines += [[plain(cell) for cell in row] for row in zip(*(c.cells for c in table.columns), strict=True)]
    return "\n".join(["", *(f"| {' | '.join(line)} |" for line in lines), ""])
