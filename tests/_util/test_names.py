"""Names that fit a path; strangers' words on a terminal, in Markdown and on a page."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from leaderboard._util import SAFE_NAME, markdown_text, one_line, printable, safe_name
from leaderboard.reports.table_drawing import draw_markdown, draw_terminal, new_table, words_cell

EVIL = "\x1b[31mred\x1b]0;title\x07 \x9b5m \u202egnp\u2066 \ud800\x00 <script>alert(1)</script>"


def test_what_steers_a_terminal_is_replaced_and_all_else_stays():
    assert (
        printable(EVIL)
        == "\ufffd[31mred\ufffd]0;title\ufffd \ufffd5m \ufffdgnp\ufffd \ufffd\ufffd <script>alert(1)</script>"
    )
    for text in ("formation energy, eV/atom ± 0.1", "晶体 \n\t é log₁₀"):
        assert printable(text) == text
    assert printable("a\u202fb\u2028c\rd") == "a b\ufffdc\ufffdd"
    assert one_line(" a\n# b\t\n") == "a # b"


@given(st.text())
def test_nothing_printable_steers_anything(text: str):
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert printable(shown) == shown


PIECES = ("`", "*", "_", "|", "<", ">", "[", "]", "(", ")", "!", "\\", "~~", "$", "a", "b", " ", "/", "bold", "@", "#")


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_words_in_a_cell_are_shown_as_they_are(text: str):
    tables = {form: new_table() for form in ("table", "markdown")}
    for form, table in tables.items():
        table.add_column("head")
        table.add_row(f"[bold]x[/] {words_cell(text, form)}")
    assert draw_terminal(tables["table"]).splitlines()[-1].strip() == f"x {one_line(text)}".strip()
    table = MarkdownIt("gfm-like", {"linkify": False}).render(draw_markdown(tables["markdown"]))
    assert html.unescape(table.split("<td>")[1].split("</td>")[0]) == f"x {one_line(text)}".strip()


@pytest.mark.parametrize("name", ["cgcnn+epochs=50", "M3GNet-MP-2018.6.1-Eform", "my_model.My_Model", "a-b, submitted"])
def test_usual_names_need_no_escape(name: str):
    assert markdown_text(name) == name


@pytest.mark.parametrize("name", ["mean", "forest+trees=3", "a" * 100])
def test_a_name_that_fits_is_kept(name: str):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["a" * 101, "a/b", "../up", "", "-x", "ä", "\udcff"])
def test_a_name_that_does_not_fit_gets_a_digest(name: str):
    assert SAFE_NAME.fullmatch(safe_name(name))
    assert len(safe_name(name)) <= 50
    assert safe_name(name) != safe_name(name + "b")
