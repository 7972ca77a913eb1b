"""A table for print: cells with intervals and footnotes, drawn for a terminal, in Markdown, LaTeX and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asugnn.atomic_write import write_text
from leaderboard._util import markdown_text, one_line
from leaderboard.reports.table_drawing import draw_terminal, new_table, words_cell
from leaderboard.reports.wording import mark_best

TABLE_FORMATS = ("table", "markdown", "latex", "json")
SUFFIXES = {"table": "txt", "markdown": "md", "latex": "tex", "json": "json"}

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "–": "--", "−": "$-$", "★": r"$\star$",
    **{mark: f"$^{n}$" for n, mark in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the interval and the footnote marks beside it, what JSON says of the number, and its star."""

    text: str = "-"
    interval: str = ""
    marks: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    best: bool = False  # whether its model is marked as on a board


@dataclass(frozen=True)
class Column:
    """The heading of a column."""

    title: str
    unit: str = ""
    right: bool = True


@dataclass(frozen=True)
class Table:
    """A table of rows of cells; a row that is only a text is a heading for the rows below it."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[str | Sequence[Cell]]
    notes: Mapping[str, str]  # mark to sentence
    caption: Sequence[str]


class Notes:
    """Footnotes in order of appearance: numbers for quoted values, letters for measured ones."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}  # sentence to mark
        self.counts = {True: 0, False: 0}

    def mark(self, sentence: str, measured: bool = False) -> str:
        """Return the mark of a footnote, the same each time its sentence comes again."""
        if sentence not in self.marks:
            n = self.counts[measured]
            self.counts[measured] += 1
            self.marks[sentence] = _letters(n) if measured else str(n + 1)
        return self.marks[sentence]

    def all(self) -> dict[str, str]:
        """Mark to sentence, numbers before letters."""
        ordered = sorted(self.marks.items(), key=lambda x: (not x[1].isdigit(), len(x[1]), x[1]))
        return {mark: sentence for sentence, mark in ordered}


def draw_table(table: Table, form: str) -> str:
    """Return the table as text in one of `TABLE_FORMATS`; but in JSON, which escapes them, words are `one_line`."""
    if form == "json":
        return _json(table)
    return {"table": _terminal, "markdown": _markdown, "latex": _latex}[form](_printable(table))


def _printable(table: Table) -> Table:
    """The table with stars, and all words in one line that is harmless on a terminal."""

    def clean(cell: Cell) -> Cell:
        return replace(cell, text=mark_best(one_line(cell.text), cell.best), interval=one_line(cell.interval))

    return replace(
        table,
        rows=[one_line(row) if isinstance(row, str) else [clean(cell) for cell in row] for row in table.rows],
        notes={mark: one_line(sentence) for mark, sentence in table.notes.items()},
        caption=[one_line(line) for line in table.caption],
    )


def write_table(table: Table, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the table into a folder, one file for each of some `TABLE_FORMATS`, and return the files."""
    files = [folder / f"{table.name}.{SUFFIXES[form]}" for form in formats]
    for form, file in zip(formats, files, strict=True):
        write_text(file, draw_table(table, form) + "\n")
    return files


def _letters(n: int) -> str:
    return (_letters(n // 26 - 1) if n >= 26 else "") + "abcdefghijklmnopqrstuvwxyz"[n % 26]


def _terminal(table: Table) -> str:
    drawn = new_table()
    for c in table.columns:
        unit = f"\n[dim]{words_cell(c.unit)}[/]" if c.unit else ""
        drawn.add_column(words_cell(c.title) + unit, justify="right" if c.right else "left", overflow="fold")
    for i, row in enumerate(table.rows):
        if isinstance(row, str):
            drawn.add_row(_heading_placeholder(i))  # the heading itself would widen its column
            continue
        cells = []
        for cell in row:
            marks = words_cell(f"[{','.join(cell.marks)}]") if cell.marks else ""
            below = f"\n[dim]{words_cell(cell.interval)}[/]" if cell.interval else ""
            cells.append(f"{words_cell(cell.text)}{marks}{below}")
        drawn.add_row(*cells)
    text = draw_terminal(drawn, 140)
    for i, row in enumerate(table.rows):
        if isinstance(row, str):
            text = text.replace(_heading_placeholder(i), row, 1)
    notes = [f"[{mark}] {sentence}" for mark, sentence in table.notes.items()]
    return "\n".join([table.title, text, *table.caption, *notes])


def _heading_placeholder(i: int) -> str:
    """Two private characters that are replaced by a heading once the table is drawn."""
    return "\ue000" + chr(0xE001 + i)


def _markdown(table: Table) -> str:
    heads = [" ".join(filter(None, (c.title, c.unit))) for c in table.columns]
    lines = [f"**{markdown_text(table.title)}**", "", f"| {' | '.join(map(markdown_text, heads))} |"]
    lines.append(f"|{'|'.join('---:' if c.right else '---' for c in table.columns)}|")
    for row in table.rows:
        if isinstance(row, str):
            cells = [f"**{markdown_text(row)}**", *[""] * (len(table.columns) - 1)]
        else:
            cells = []
            for cell in row:
                marks = f"<sup>{','.join(cell.marks)}</sup>" if cell.marks else ""
                cells.append(
                    markdown_text(cell.text) + marks + (f" ({markdown_text(cell.interval)})" if cell.interval else "")
                )
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- <sup>{mark}</sup> {markdown_text(sentence)}" for mark, sentence in table.notes.items()]
    return "\n".join([*lines, "", *(f"- {markdown_text(line)}" for line in table.caption), *notes])


def _latex(table: Table) -> str:
    """LaTeX for a document with the package booktabs, two columns wide."""

    def plain(text: str) -> str:
        signed = re.sub(r"(?<![\w.])-(?=\d)", "−", "–" if text == "-" else text)
        return "".join(_LATEX.get(c, c) for c in signed).replace("--", "-{}-" if " --" in text else "--")

    spec = "".join("r" if c.right else "l" for c in table.columns)
    lines = [
        r"\begin{table*}",
        rf"\caption{{{plain(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}",
        r"\toprule",
        " & ".join(plain(c.title) for c in table.columns) + r" \\",
    ]
    if any(c.unit for c in table.columns):
        lines.append(" & ".join(plain(c.unit) for c in table.columns) + r" \\")
    lines.append(r"\midrule")
    for row in table.rows:
        if isinstance(row, str):
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{\textit{{{plain(row)}}}}} \\")
            continue
        marks = [rf"\textsuperscript{{{','.join(cell.marks)}}}" if cell.marks else "" for cell in row]
        lines.append(" & ".join(plain(cell.text) + mark for cell, mark in zip(row, marks, strict=True)) + r" \\")
        if any(cell.interval for cell in row):
            below = (rf"{{\tiny {plain(cell.interval)}}}" if cell.interval else "" for cell in row)
            lines.append(" & ".join(below) + r" \\[2pt]")
    notes = [rf"\textsuperscript{{{mark}}}~{plain(sentence)}" for mark, sentence in table.notes.items()]
    text = "\\\\\n".join([*map(plain, table.caption), *notes])
    tail = [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\raggedright\scriptsize", text, r"\end{table*}"]
    return "\n".join([*lines, *tail])


def _json(table: Table) -> str:
    """JSON: rows as lists of cells in the order of the columns, each with the heading above it."""
    rows: list[dict[str, Any]] = []
    heading = ""
    for row in table.rows:
        if isinstance(row, str):
            heading = row
        else:
            rows.append({"heading": heading, "cells": [{"text": cell.text, **cell.record} for cell in row]})
    columns = [{"title": c.title, "unit": c.unit} for c in table.columns]
    head = {"table": table.name, "title": table.title, "columns": columns, "rows": rows}
    return json.dumps({**head, "notes": table.notes, "caption": table.caption}, indent=1)
