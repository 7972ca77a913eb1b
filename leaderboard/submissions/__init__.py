"""Competitions, submissions to the board, and proposals in pull requests.

enter.py                 `bench submit`: predictions become a row of the board and a line of the log
competition.py           `bench export`: files for participants and host, by kaggle_metric.py and pandas_ids.py
pull_request_prepare.py  untrusted: makes the predictions of the proposals in a pull request
pull_request_score.py    trusted: scores those predictions and writes the comment
"""

from leaderboard.submissions.competition import export_competition
from leaderboard.submissions.enter import enter_submission

__all__ = ["enter_submission", "export_competition"]
