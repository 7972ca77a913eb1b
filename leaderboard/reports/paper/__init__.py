"""The tables and figures of the ASUGNN paper, quoted values beside what stored runs measured."""

from leaderboard.reports.paper.figures import FIGURE_FORMATS, FIGURES, draw_figure
from leaderboard.reports.paper.tables import TABLES

__all__ = ["FIGURES", "FIGURE_FORMATS", "TABLES", "draw_figure"]
