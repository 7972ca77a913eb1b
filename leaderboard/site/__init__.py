"""The site: one folder of static pages, which needs no server and loads nothing from elsewhere.

boards.py    what is shown: boards, their rows and runs, and where their pages are
pages.py     the folder, from templates (*.html) that escape whatever stands in a name
index.py  task.py  run.py    what each kind of page shows
figures.py  elements.py      figures, on axes.py, as SVG
site.js  site.css            sorting, filters, what a pointer shows; colours, light and dark
"""
