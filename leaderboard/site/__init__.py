"""The site: one folder of static pages, which needs no server and loads nothing from elsewhere.

boards.py    what is shown: boards, their rows and runs, and where their pages are
pages.py     the pages, from templates (*.html) that escape whatever stands in a name
figures.py   the figures, on axes.py, as SVG
site.js, site.css    sorting, filters and what a pointer shows; colours, light and dark
"""
