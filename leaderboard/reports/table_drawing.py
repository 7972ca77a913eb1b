"""Tables of rich, drawn for a terminal or as Markdown, whose cells may hold words of strangers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from shutil import get_terminal_size

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from leaderboard._util import PIPE_WIDTH
from leaderboard.reports.wording import plain_words

NAME_WIDTH = 16  # the least room for names, however narrow the screen
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


def draw_terminal(table: Table, width: int = PIPE_WIDTH) -> str:
    """Draw a table as wide as the screen, or `width` columns without colours where output is no terminal.

    A table that is wider becomes several, one below the other, which repeat its first columns: no number is cut. Long
    words in the first columns, such as names of models, are folded.
    """
    console = Console(width=get_terminal_size((width, 24)).columns)  # COLUMNS, or the terminal's
    with console.capture() as captured:
        for part in _stack(table, console):
            console.print(part)
    return _show_brackets("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))


def _stack(table: Table, console: Console) -> list[Table]:
    """Tables that are as wide as the console at most, each with the first columns of this one, which hold words."""
    if _width(table, console) <= console.width:
        return [table]
    table.padding = (0, 0)  # closer columns first
    if _width(table, console) <= console.width:
        return [table]
    keys = next((i for i, column in enumerate(table.columns) if column.justify == "right"), len(table.columns))
    names, values = table.columns[:keys], table.columns[keys:]
    if not values:  # words alone: rich folds them, but for the names in the first column
        names[0].no_wrap = _widest_line(names[0]) <= console.width // 2
        return [table]
    room = max(NAME_WIDTH, console.width // 3)
    fits = partial(_fits, table, names, room, console)
    count = 1  # as few tables as possible, and then as equally wide as possible
    while count < len(values) and not all(map(fits, _divide(values, count))):
        count += 1
    return [_take_columns(table, [*names, *part], room) for part in _divide(values, count)]


def _divide(columns: Sequence[Column], count: int) -> list[Sequence[Column]]:
    ends = [round(i * len(columns) / count) for i in range(count + 1)]
    return [columns[start:end] for start, end in pairwise(ends)]


def _fits(table: Table, names: Sequence[Column], room: int, console: Console, columns: Sequence[Column]) -> bool:
    return _width(_take_columns(table, [*names, *columns], room), console) <= console.width


def _take_columns(table: Table, columns: Sequence[Column], room: int) -> Table:
    """A table of some columns of another, in which words are folded to `room` columns and numbers never."""
    part = new_table()
    part.padding = table.padding
    for column in columns:
        if column.justify == "right":
            part.add_column(column.header, justify="right", min_width=_widest_line(column))
        else:
            part.add_column(column.header, overflow="fold", max_width=room)
    for row in zip(*(column.cells for column in columns), strict=True):
        part.add_row(*row)
    return part


def _widest_line(column: Column) -> int:
    cells = [Text.from_markup(str(cell)).plain for cell in (column.header, *column.cells)]
    return max(cell_len(line) for cell in cells for line in cell.splitlines())


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=1000), table).maximum


def draw_markdown(table: Table) -> str:
    """A Markdown table with the same cells."""

    def plain(text: object) -> str:
        return _show_brackets(" ".join(Text.from_markup(str(text)).plain.split()))

    lines = [[plain(c.header) for c in table.columns]]
    lines.append(["---:" if c.justify == "right" else "---" for c in table.columns])
    lines += [[plain(cell) for cell in row] for row in zip(*(c.cells for c in table.columns), strict=True)]
    return "\n".join(["", *(f"| {' | '.join(line)} |" for line in lines), ""])
