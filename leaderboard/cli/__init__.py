"""The command line `bench`: parse, one call, print. Each group of commands has a file.

app.py      the groups of commands, and what becomes of an error
options.py  options that several commands share, and how their text is read
run.py  competition.py  published.py  report.py  models.py  data.py
            the commands; each imports what it needs when it is called, so that `--help` starts fast
run_display.py  run_cluster.py  submission_hints.py  usage.py
            what they show of runs here and on a cluster; remedies for refused files, and for wrong usage
"""

from leaderboard.cli.app import app, main

__all__ = ["app", "main"]
