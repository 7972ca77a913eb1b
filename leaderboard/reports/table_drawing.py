"""Tables of rich, drawn for a terminal or as Markdown, whose cells may hold words of strangers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
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
    words in the first columns, such as names of models, are folded. One of words alone becomes a list where its longest
    words do not fit beside each other.
    """
    console = Console(width=get_terminal_size((width, 24)).columns)  # COLUMNS, or the terminal's
    with console.capture() as captured:
        for part in _stack(table, console):
            console.print(part)
    return _show_brackets("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))


def _stack(table: Table, console: Console) -> list[Table | Text]:
    """Tables that are as wide as the console at most, each with the first columns of this one, which hold words."""
    if _width(table, console) <= console.width:
        return [table]
    table.padding = (0, 0)  # closer columns first
    if _width(table, console) <= console.width:
        return [table]
    keys = next((i for i, column in enumerate(table.columns) if column.justify == "right"), len(table.columns))
    names, values = table.columns[:keys], table.columns[keys:]
    if not values:
        return [_share_width(table, console.width) or _list_rows(table, console.width)]
    room = max(NAME_WIDTH, console.width // 3)
    fits = partial(_fits, table, names, room, console)
    count = 1  # as few tables as possible, and then as equally wide as possible
    while count < len(values) and not all(map(fits, _divide(values, count))):
        count += 1
    return [_take_columns(table, [*names, *part], room) for part in _divide(values, count)]


def _share_width(table: Table, width: int) -> Table | None:
    """The table with widths for its columns, all words, in which every word is whole; None where there are none."""
    least = [_widest_line(column, str.split) for column in table.columns]
    wanted = [_widest_line(column) - few for column, few in zip(table.columns, least, strict=True)]
    spare = width - sum(least) - len(least) - 1  # a space between columns, and one at each end
    if spare < 0:
        return None
    for column, few, more in zip(table.columns, least, wanted, strict=True):
        column.width = few + min(more, spare)  # the first ones, which are names, first
        spare -= min(more, spare)
    return table


def _list_rows(table: Table, width: int) -> Text:
    """The rows of a table, one below the other: a line for each cell, with its heading, the first less indented."""
    heads, lines = [str(column.header) for column in table.columns], []
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = (Text.from_markup(str(cell)).plain for cell in row)
        lines.append(f" {heads[0]}: {first}")
        for head, text in zip(heads[1:], others, strict=True):
            lines += textwrap.wrap(
                f"{head}: {text}",
                width,
                initial_indent=" " * 3,
                subsequent_indent=" " * 5,
                break_long_words=False,
                break_on_hyphens=False,
            )
    return Text("\n".join([" ", *lines, " "]), overflow="fold")


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
        cells = zip(columns, map(str, row), strict=True)
        part.add_row(*(cell if column.justify == "right" else _break_name(cell, room) for column, cell in cells))
    return part


def _break_name(name: str, room: int) -> str:
    """A name of words alone in lines of `room` columns, broken before a setting (`+epochs=50`) where that can be."""
    if cell_len(name) <= room or "[" in name:
        return name
    lines = [""]
    for part in re.split(r"(?=\+)", name):
        if lines[-1] and cell_len(lines[-1] + part) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _widest_line(column: Column, split: Callable[[str], list[str]] = str.splitlines) -> int:
    cells = [Text.from_markup(str(cell)).plain for cell in (column.header, *column.cells)]
    return max(cell_len(line) for cell in cells for line in split(cell))


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
