"""The tables and figures of the ASUGNN paper, quoted values beside what stored runs measured.

stored_runs.py  which stored runs fill a table or figure, and paper.toml, the quoted values
tables.py       Table 1, Table 2 and the table of zero-shot errors
figures.py      Figures 3 to 5, from the drawings in panels.py
"""

from leaderboard.reports.paper.figures import FIGURE_FORMATS, FIGURES, draw_figure
from leaderboard.reports.paper.stored_runs import paper_values
from leaderboard.reports.paper.tables import TABLES

__all__ = ["FIGURES", "FIGURE_FORMATS", "TABLES", "draw_figure", "paper_values"]
