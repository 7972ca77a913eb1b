"""The site: one folder of static pages, which needs no server and loads nothing from elsewhere.

view_model.py                               what is shown: boards, their rows and runs, and where their pages are
pages.py                                    the folder, from templates (*.html) that escape every value
index_page.py  task_page.py  run_page.py  models_page.py    what each kind of page shows
formatting.py  formulas.py  provenance.py   numbers, formulas, and where everything comes from, in HTML
svg_figures.py  periodic_table.py           figures as SVG, on svg_axes.py
site.js  site.css                           sorting, filters, tooltips; colours, light and dark
"""

from leaderboard.site.pages import build_site

__all__ = ["build_site"]
