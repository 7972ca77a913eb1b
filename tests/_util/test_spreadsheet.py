"""Cells of tables for people: none is a formula, and none that is not one is changed."""

import csv
import io

import pytest

from leaderboard._util.spreadsheet import spreadsheet_text


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", " =1+1", "\t=1", '=HYPERLINK("x")'])
def test_a_text_that_would_be_computed_is_shown_as_it_is(text: str):
    assert next(csv.reader(io.StringIO(spreadsheet_text([[text, "x"]])))) == [f"'{text}", "x"]


@pytest.mark.parametrize("value", ["-1.5", "+3", "-1e-3", "mp-1", "a=b", "", "Fe+", -2.5, 7, "1-2"])
def test_other_cells_stay(value: object):
    assert next(csv.reader(io.StringIO(spreadsheet_text([[value, "x"]])))) == [str(value), "x"]


def test_a_row_is_a_line_and_nothing_of_it_acts_on_a_terminal():
    assert spreadsheet_text([["a", None], ["\x1b[31mred", 1]]) == "a,\n\ufffd[31mred,1"
