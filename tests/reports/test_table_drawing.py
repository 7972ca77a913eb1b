"""Tables on narrow screens: nothing is cut, and distinct names stay distinct."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard._util import wrap_lines
from leaderboard.reports.table_drawing import draw_terminal, new_table, words_cell

NAMES = ["cgcnn", "cgcnn, pretrained", "megnet+epochs=120+loss=l1+weight_decay=0.1", "megnet+epochs=120+loss=l1"]


@settings(max_examples=30, deadline=None)
@given(st.integers(50, 140), st.integers(1, 9), st.booleans())
def test_every_number_and_every_name_is_whole_at_any_width(width: int, columns: int, ranked: bool):
    table = new_table()
    if ranked:
        table.add_column("rank")
    table.add_column("model", overflow="fold")
    for i in range(columns):
        table.add_column(f"formation{i}\nenergy\n[dim]MAE\neV/atom[/]", justify="right")
    table.add_column("train\n[dim]s[/]", justify="right")
    for n, name in enumerate(NAMES):
        cells = [f"0.{n}{i}5 ★\n[dim]0.{n}{i}1–0.{n}{i}9[/]" for i in range(columns)]
        table.add_row(*["1-4"] * ranked, words_cell(name), *cells, f"1{n}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        drawn = draw_terminal(table)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= width
    words = re.findall(r"\S+", drawn)
    for n in range(len(NAMES)):
        for i in range(columns):
            assert words.count(f"0.{n}{i}5") == words.count(f"0.{n}{i}1–0.{n}{i}9") == 1
    assert all(words.count(f"1{n}") == 1 for n in range(len(NAMES)))
    parts = drawn.split("\n\n")
    assert all("model" in part for part in parts)
    start = 1 + 5 * ranked
    for part in parts:
        cells = [re.match(r" ?(\S+(?: pretrained)?)", line[start:]) for line in part.splitlines()]
        names = "".join(cell[1] for cell in cells if cell)
        assert all(name.replace(" ", "") in names.replace(" ", "") for name in NAMES)  # folded, and still itself


def test_notes_are_broken_between_words_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch):
    note = "one training run per model: ranks and intervals compare these trained networks, not the methods"
    monkeypatch.delenv("COLUMNS", raising=False)
    assert wrap_lines(note) == note  # a pipe: a line is a sentence
    monkeypatch.setenv("COLUMNS", "40")
    lines = wrap_lines(f"{note}\nshort").splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(line.strip() for line in lines) == f"{note} short"
    assert lines[-1] == "short"


@settings(max_examples=30, deadline=None)
@given(st.integers(34, 140))
def test_every_word_is_whole_in_a_table_of_words(width: int):
    rows = [
        ("m3gnet-potential", "quick, hours", "M3GNet universal potential: its energy", "10.1038/s43588-022-00349-3"),
        ("asugnn", "-", "Asymmetric-unit-based graph neural network", "10.1107/S1600576724011336"),
    ]
    table = new_table()
    for head in ("model", "presets", "description", "doi"):
        table.add_column(head)
    for row in rows:
        table.add_row(f"[bold]{words_cell(row[0])}[/]", *map(words_cell, row[1:]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        drawn = draw_terminal(table)
    assert "…" not in drawn
    assert set(" ".join(" ".join(row) for row in rows).split()) <= set(drawn.split())
    assert max(map(len, drawn.splitlines())) <= width


def test_a_long_name_breaks_before_a_setting(monkeypatch: pytest.MonkeyPatch):
    table = new_table()
    table.add_column("model")
    for i in range(4):
        table.add_column(f"value {i}", justify="right")
    table.add_row(NAMES[2], *["0.123 ± 0.001"] * 4)
    monkeypatch.setenv("COLUMNS", "60")
    assert re.findall(r"^ (\+?\w+=\S+|megnet\S*)", draw_terminal(table), re.MULTILINE)[:3] == [
        "megnet+epochs=120",
        "+loss=l1",
        "+weight_decay=0.1",
    ]
